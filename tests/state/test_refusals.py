"""What Azure Storage answers and no emulator does: each in words with the command that gets out of it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from migrator.cloud.blob_ledger import BlobLedger
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.errors import JournalError
from migrator.shared import SharedState
from migrator.simulator.server import Simulator


@contextmanager
def answering(status: int, code: str, authority: trustme.CA) -> Iterator[tuple[int, list[str]]]:
    """A storage account that gives everybody the same answer (the form is the REST reference's)."""
    asked: list[str] = []
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>No.\nRequestId:1</Message></Error>'.encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("x-ms-error-code", code)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815 - the base class's names

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, trustme.CA]]:
    """A simulator's profile that trusts a certificate authority of the tests, too, and that authority."""
    folder = tmp_path_factory.mktemp("entra")
    authority = trustme.CA()
    with Simulator({"schema": 1, "subscriptions": [], "resources": []}, directory=folder / "simulator") as simulator:
        document = json.loads(Path(simulator.profile_path).read_text())
        certificates = folder / "both.pem"
        certificates.write_bytes(Path(document["ca_file"]).read_bytes() + authority.cert_pem.bytes())
        profile = folder / "profile.json"
        profile.write_text(json.dumps({**document, "ca_file": str(certificates)}))
        yield profile, authority


@pytest.mark.parametrize(
    ("status", "code", "why", "hint"),
    [
        (
            403,
            "AuthorizationPermissionMismatch",
            "no role that allows it",
            'az role assignment create --role "Storage Blob Data Contributor"',
        ),
        (403, "AuthorizationFailure", "network rules", "az storage account network-rule add --account-name shopstate"),
        (403, "PublicAccessNotPermitted", "a policy forbids it", "network-rule"),
        (404, "ContainerNotFound", "no container 'runs'", "az storage container create --name runs"),
        (409, "ContainerBeingDeleted", "ContainerBeingDeleted: Azure Storage answered 409", "keylift resume RUN"),
        (503, "ServerBusy", "ServerBusy: Azure Storage answered 503", "nothing is lost"),
        (401, "InvalidAuthenticationInfo", "InvalidAuthenticationInfo", "keylift"),
    ],
)
def test_a_refusal_says_the_way_out(
    entra: tuple[Path, trustme.CA], status: int, code: str, why: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.cloud.blobs.PATIENCE", 0.3)
    profile, authority = entra
    with answering(status, code, authority) as (port, asked), Session(load_profile(str(profile))) as session:
        state = SharedState.parse(f"azblob://127.0.0.1:{port}/shopstate/runs/team")
        with pytest.raises(JournalError) as caught:
            BlobLedger.open(session, state)
    error = caught.value
    assert error.what == f"could not look at the container in {state.url}"
    assert why in error.why
    assert hint in error.hint
    assert asked
    assert all(header.startswith("Bearer ") for header in asked)
    assert (len(asked) > 1) == (status in {503, 401})
    # nothing of the token gets into words
    assert not any(header.split(".")[1] in f"{error.what}{error.why}{error.hint}" for header in asked)
    assert error.__cause__ is None


def test_an_untrusted_certificate_is_not_waited_for(entra: tuple[Path, trustme.CA]) -> None:
    profile, _ = entra
    with answering(200, "", trustme.CA()) as (port, asked), Session(load_profile(str(profile))) as session:
        with pytest.raises(JournalError, match="could not look") as caught:
            BlobLedger.open(session, SharedState.parse(f"azblob://localhost:{port}/shopstate/runs"))
        assert not asked
    assert "certificate" in caught.value.why
    assert "ca_file" in caught.value.hint
