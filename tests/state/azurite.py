"""Azurite, the storage emulator of Microsoft, as a process: https, with tokens of the simulator's Entra."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "devstoreaccount1"


def command() -> list[str]:
    """How Azurite is started; the test is skipped where it is missing. `.ci/run` installs it."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    for folder in (os.environ.get("AZURITE_HOME"), ROOT / ".node" / "node_modules" / "azurite"):
        script = Path(folder or "/nowhere") / "dist" / "src" / "blob" / "main.js"
        if script.is_file():
            return [node, str(script)]
    found = shutil.which("azurite-blob")
    if found is not None:
        return [found]
    pytest.skip("Azurite is not installed: make azurite")


class Azurite:
    """One emulator; it can be stopped and started again with what it keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA(organization_name="keylift tests")
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        cert = authority.issue_cert("127.0.0.1", "localhost")
        self._cert, self._key = folder / "cert.pem", folder / "key.pem"
        self._cert.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
        cert.private_key_pem.write_to_path(self._key)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *command(),
                *("--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--oauth", "basic"),
                *("--cert", str(self._cert), "--key", str(self._key), "--location", str(self.folder / "data")),
                *("--silent", "--disableTelemetry"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        context = ssl.create_default_context(cafile=str(self.ca))
        end = time.monotonic() + 60
        while True:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=5) as raw,
                context.wrap_socket(raw, server_hostname="127.0.0.1"),
            ):
                return
            assert self._process.poll() is None, "Azurite ended"
            assert time.monotonic() < end, "Azurite does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an operator would: it writes down what it holds."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running(folder: Path) -> Iterator[Azurite]:
    made = Azurite(folder)
    made.start()
    try:
        yield made
    finally:
        with suppress(AssertionError, ProcessLookupError):
            made.thaw()
        made.stop()
