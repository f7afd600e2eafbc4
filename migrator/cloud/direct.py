"""A transport that hands requests to a function of this process instead of a socket: for a private simulator."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import requests
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from urllib3 import HTTPResponse

Answer = Callable[[str, str, Mapping[str, str], bytes], tuple[int, Mapping[str, str], bytes, bool]]
"""Method, URL, headers and body to status, headers and body, and whether the body breaks off half-way.

Raises ConnectionError where a connection would have been closed without an answer.
"""


class _Direct(requests.Session):
    """Requests' session without what it does for sockets: redirects, cookies, proxies, adapters."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    def request(  # type: ignore[override] # what the SDK's transport gives it by name
        self, method: str, url: str, *, headers: Mapping[str, Any] | None = None, data: Any = None, **options: Any
    ) -> requests.Response:
        sent = {name.lower(): _text(value) for name, value in (headers or {}).items()}
        try:
            status, told, content, broken = self._answer(method, url, sent, _read(data))
        except ConnectionError as error:
            raise requests.ConnectionError("the connection was closed without an answer") from error
        length = str(len(content))
        response = requests.Response()
        response.status_code, response.url = status, url
        response.headers.update({"Content-Type": "application/json; charset=utf-8", **told, "Content-Length": length})
        response.raw = HTTPResponse(
            io.BytesIO(content[: len(content) // 2] if broken else content),
            response.headers,
            status,
            preload_content=False,
            enforce_content_length=True,
        )
        if not options.get("stream"):
            _ = response.content  # read here, where the transport handles a body that breaks off
        return response


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read(body: Any) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    if isinstance(body, Mapping):
        return urlencode(list(body.items())).encode()  # a form, as tokens are asked for
    if hasattr(body, "read"):
        return bytes(body.read())
    return str(body).encode()


def transport(answer: Answer) -> HttpTransport[Any, Any]:
    """The transport of a session, as `Session(transport_factory=...)` takes it."""
    made: HttpTransport[Any, Any] = RequestsTransport(session=_Direct(answer))
    return made
