"""A transport that hands requests to a function of this process instead of a socket: for a private simulator."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import requests
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

Answer = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes, bool]]
"""Method, URL, headers and body to status, headers and body, and whether the body breaks off half-way.

Raises ConnectionError where a connection would have been closed without an answer.
"""


class _Direct(HTTPAdapter):
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: requests.PreparedRequest, *_arguments: Any, **_options: Any) -> requests.Response:
        body = request.body if isinstance(request.body, bytes) else _read(request.body)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        try:
            status, told, content, broken = self._answer(str(request.method), str(request.url), headers, body)
        except ConnectionError as error:
            raise requests.ConnectionError("the connection was closed without an answer") from error
        length = str(len(content))
        sent = content[: len(content) // 2] if broken else content
        raw = HTTPResponse(
            io.BytesIO(sent),
            {"Content-Type": "application/json; charset=utf-8", **told, "Content-Length": length},
            status,
            preload_content=False,
            enforce_content_length=True,
        )
        return self.build_response(request, raw)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read(body: Any) -> bytes:
    if body is None:
        return b""
    if hasattr(body, "read"):
        return bytes(body.read())
    return str(body).encode()


def transport(answer: Answer) -> HttpTransport[Any, Any]:
    """The transport of a session, as `Session(transport_factory=...)` takes it."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _Direct(answer))
    made: HttpTransport[Any, Any] = RequestsTransport(session=session)
    return made
