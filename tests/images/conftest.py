"""Registries to pull from: Debian's docker-registry with TLS, and a token server of our own."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from scanners.engine import Engine
from scanners.model import Fingerprinter
from tests.images.servers import Handler, Served, TokenServer, free_port


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture(scope="session")
def fingerprinter() -> Fingerprinter:
    return Fingerprinter(bytes(32))


_PACKAGE = {"htpasswd": "apache2-utils"}


def tool(name: str) -> str:
    """A program of the machine, or the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install {_PACKAGE.get(name, name)}")
    return found


@dataclass(frozen=True)
class Registry:
    """A running docker-registry."""

    server: str
    ca_file: Path
    folder: Path
    log: Path


Start = Callable[..., Registry]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


@pytest.fixture
def registry(tmp_path: Path, authority: tuple[trustme.CA, Path]) -> Iterator[Start]:
    """Starts registries: `registry(tls=True, auth={...})`; `auth` is the YAML of the configuration's section."""
    program = tool("docker-registry")
    with ExitStack() as stack:

        def start(*, tls: bool = True, auth: str = "") -> Registry:
            folder = tmp_path / f"registry-{free_port()}"
            folder.mkdir()
            port = free_port()
            lines = [
                "version: 0.1",
                "log: {level: warn, accesslog: {disabled: false}}",
                f"storage: {{filesystem: {{rootdirectory: {folder}}}}}",
                "http:",
                f"  addr: 127.0.0.1:{port}",
                "  secret: only-for-tests",
            ]
            if tls:
                certificate = authority[0].issue_cert("127.0.0.1", "localhost")
                certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
                for at, blob in enumerate(certificate.cert_chain_pems):
                    blob.write_to_path(str(folder / "cert.pem"), append=at > 0)
                lines += ["  tls:", f"    certificate: {folder}/cert.pem", f"    key: {folder}/key.pem"]
            if auth:
                lines += ["auth:", *(f"  {line}" for line in auth.format(folder=folder).splitlines())]
            config = folder / "config.yml"
            config.write_text("\n".join(lines) + "\n")
            log = folder / "log.txt"
            with log.open("wb") as output:
                process = subprocess.Popen([program, "serve", str(config)], stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.kill)
            _wait_for(port, process, log)
            return Registry(f"127.0.0.1:{port}", authority[1], folder, log)

        yield start


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"docker-registry ended: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("docker-registry does not answer")


@pytest.fixture
def serve(authority: tuple[trustme.CA, Path]) -> Iterator[Callable[..., Served]]:
    """Starts servers of our own over handlers: `serve(handler, tls=True)`."""
    with ExitStack() as stack:

        def start(handler: Handler, *, tls: bool = False) -> Served:
            context = None
            if tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority[0].issue_cert("127.0.0.1").configure_cert(context)
            return stack.enter_context(Served(handler, context))

        yield start


@pytest.fixture
def token_server(tmp_path: Path) -> Iterator[TokenServer]:
    with TokenServer(tmp_path) as server:
        yield server


def push(layout: Path, registry: Registry, name: str, *, login: str | None = None, every: bool = True) -> str:
    """Copy an OCI layout into a registry with skopeo."""
    target = f"{registry.server}/{name}"
    command = [tool("skopeo"), "--insecure-policy", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false"]
    command += ["--all"] if every else []
    command += ["--dest-creds", login] if login else []
    done = subprocess.run(
        [*command, f"oci:{layout}", f"docker://{target}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target
