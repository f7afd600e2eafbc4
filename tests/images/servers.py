"""Servers that the tests run themselves: registries that misbehave, and one that gives tokens."""

from __future__ import annotations

import base64
import datetime as dt
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is sent back; `cut` drops the connection after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


Handler = Callable[[Asked], Answer]


class Served:
    """A server over one function from request to answer."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Web(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = {name: " ".join(values) for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, parts.path, query, headers, body)
                outer.asked.append(asked)
                answer = handler(asked)
                self.send_response(answer.status)
                if not any(name.lower() == "content-length" for name in answer.headers):
                    self.send_header("Content-Length", str(len(answer.body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if answer.cut is None:
                    self.wfile.write(answer.body)
                    return
                self.wfile.write(answer.body[: answer.cut])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_POST = do_HEAD = _any  # noqa: N815 - names of the standard library

            def log_message(self, *_: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that went away is what these tests are about.
                if not isinstance(sys.exc_info()[1], ConnectionError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", 0), Web)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.server = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TokenServer:
    """Gives tokens that docker-registry believes: RS256, signed by a key whose certificate it is told of.

    As distribution.github.io/distribution/spec/auth describes it: GET with basic credentials, POST with a refresh token.
    """

    ISSUER, SERVICE = "keylift tests", "registry of the tests"

    def __init__(self, folder: Path) -> None:
        self.users = {"reader": "let-me-in-7"}
        self.refresh = "refresh-token-of-the-tests"
        self.lifetime = 60
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.ISSUER)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = folder / "token-root.pem"
        self.bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self._chain = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
        self._served = Served(self._answer)

    def __enter__(self) -> Self:
        self._served.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._served.__exit__()

    @property
    def asked(self) -> list[Asked]:
        return self._served.asked

    @property
    def auth(self) -> str:
        """The section of a registry's configuration."""
        return "\n".join(
            [
                "token:",
                f"  realm: http://{self._served.server}/token",
                f"  service: {self.SERVICE}",
                f"  issuer: {self.ISSUER}",
                f"  rootcertbundle: {self.bundle}",
            ]
        )

    def _answer(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            form = dict(parse_qsl(asked.body.decode()))
            if form.get("grant_type") == "refresh_token":
                allowed = form.get("refresh_token") == self.refresh
            else:
                allowed = form.get("grant_type") == "password" and self.users.get(form.get("username", "")) == form.get(
                    "password"
                )
            scope = form.get("scope", "")
        else:
            scheme, _, coded = asked.headers.get("authorization", "").partition(" ")
            name, _, password = base64.b64decode(coded).decode().partition(":") if scheme == "Basic" else ("", "", "")
            allowed = bool(name) and self.users.get(name) == password
            scope = asked.query.get("scope", "")
        if not allowed:
            return Answer(401, b'{"details":"incorrect username or password"}')
        body = json.dumps({"token": self._token(scope), "expires_in": self.lifetime}).encode()
        return Answer(200, body, {"Content-Type": "application/json"})

    def _token(self, scope: str) -> str:
        now = int(time.time())
        access = []
        for one in scope.split():
            kind, name, actions = one.split(":", 2)
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        claims: dict[str, Any] = {
            "iss": self.ISSUER,
            "aud": self.SERVICE,
            "sub": "reader",
            "exp": now + self.lifetime,
            "nbf": now - 5,
            "iat": now,
            "jti": str(now),
            "access": access,
        }
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self._chain]}
        signed = ".".join(_coded(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_coded(signature)}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
