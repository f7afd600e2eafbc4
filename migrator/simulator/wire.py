"""Requests, responses and errors as the simulated planes see them, free of any web framework.

A plane is a function from `Request` to `Response`: the HTTPS server adapts to it, and a test may call it in process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]


class AzureError(Exception):
    """An answer that refuses: status, code and message as Azure gives them."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        """Keep the parts; `extra` are further members of the `error` object (`innererror`, `target`, `details`)."""
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.extra = extra

    def response(self) -> Response:
        """The error as ARM and the vault data plane write it: `{"error": {"code", "message", ...}}`."""
        return Response(
            self.status, {"error": {"code": self.code, "message": self.message, **self.extra}}, dict(self.headers)
        )


class DroppedConnectionError(Exception):
    """A fault: the connection is closed without an answer."""


@dataclass(slots=True)
class Request:
    """One HTTP request. Header names are lower case; `path` is percent-decoded and carries no query."""

    method: str
    scheme: str
    host: str
    """Host and port, as in the Host header."""
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""
    bent: list[Any] | None = None
    """The fault rules that bend it, once they were chosen."""

    @classmethod
    def of(cls, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Request:
        """Build a request from a whole URL."""
        parts = urlsplit(url)
        return cls(
            method.upper(),
            parts.scheme,
            parts.netloc,
            unquote(parts.path),
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in (headers or {}).items()},
            body,
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port: the base of every URL that an answer names."""
        return f"{self.scheme}://{self.host}"

    def json(self) -> Json:
        """The body as a JSON object.

        Raises:
            AzureError: 400 `InvalidRequestContent` when the body is no JSON object.
        """
        try:
            document = json.loads(self.body or b"{}")
        except ValueError as error:
            raise AzureError(
                400,
                "InvalidRequestContent",
                f"The request content was invalid and could not be deserialized: '{error}'.",
            ) from error
        if not isinstance(document, dict):
            raise AzureError(
                400,
                "InvalidRequestContent",
                "The request content was invalid and could not be deserialized: 'a JSON object is expected'.",
            )
        return document

    def form(self) -> dict[str, str]:
        """The body as an HTML form (token requests)."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Response:
    """One HTTP answer. `body` None means no content; bytes are sent as they are; a str as a JSON string, as some actions do."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """A fault: wall seconds to wait before it is sent."""
    truncated: bool = False
    """A fault: half of the body is sent, then the connection ends."""

    def encoded(self) -> bytes:
        """The body as bytes on the wire."""
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()
