"""HTTPS on 127.0.0.1 for any number of planes: one event loop in a daemon thread, one port a plane.

Requests are answered on the loop itself: `Azure.handle` is serial by its lock, so worker threads would add nothing but
their switches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import trustme
import uvicorn
from starlette.requests import ClientDisconnect
from starlette.requests import Request as WebRequest
from starlette.responses import Response as WebResponse
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from migrator.simulator.wire import DroppedConnectionError, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

HOST = "127.0.0.1"
KEEP_ALIVE = 75
"""Seconds an idle connection stays open."""
GRACE = 1.0
"""Seconds that answers under way get when the server stops."""


class Listeners:
    """The open ports of one simulator. `answer` gets a plane and a request, on the loop's thread.

    `delay` says before how many seconds a request waits; all others are answered meanwhile.
    """

    def __init__(
        self, answer: Callable[[str, Request], Response], delay: Callable[[str, Request], float] = lambda _p, _r: 0.0
    ) -> None:
        """Nothing is open yet: `bind` planes, then `start`; later ones may be bound at any time."""
        self._answer = answer
        self._delay = delay
        self._sockets: dict[str, socket.socket] = {}
        self._served: dict[str, asyncio.Server] = {}
        self._connections: set[_Connection] = set()
        self._state = ServerState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def bind(self, plane: str, port: int = 0) -> int:
        """Open a plane's port (0: a free one) and give its number; from any thread, the loop's included.

        Raises:
            OSError: the port is taken.
        """
        # with the protocol named: asyncio sets TCP_NODELAY only then, and without it an answer takes 44 ms
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((HOST, port))
            bound.listen(256)  # who connects before the loop serves waits in line
            bound.setblocking(False)
        except OSError as error:
            bound.close()
            raise OSError(error.errno, f"port {port} of {HOST}: {error.strerror}") from error
        self._sockets[plane] = bound
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._serve_soon, plane)
        return int(bound.getsockname()[1])

    def start(self, context: ssl.SSLContext) -> None:
        """Serve what is bound, and what will be.

        Raises:
            RuntimeError: the loop did not start.
        """
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(context, ready), name="simulator", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise RuntimeError("the simulator's server thread did not start") from self._failure

    def stop(self) -> None:
        """Let answers under way leave, then close every connection and port. Twice is harmless."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended by itself
                loop.call_soon_threadsafe(self._stop.set)
            thread.join()
        self._loop = self._thread = None
        for bound in self._sockets.values():
            bound.close()
        self._sockets.clear()

    # On the loop's thread

    def _run(self, context: ssl.SSLContext, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(context, ready))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in start()
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, context: ssl.SSLContext, ready: threading.Event) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        for plane in list(self._sockets):
            await self._serve_plane(plane)
        ready.set()
        await self._stop.wait()
        for listener in self._served.values():
            listener.close()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=GRACE)
        for connection in list(self._connections):
            await connection.end()

    def _serve_soon(self, plane: str) -> None:
        task = asyncio.ensure_future(self._serve_plane(plane))
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)

    async def _serve_plane(self, plane: str) -> None:
        if plane in self._served:
            return

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            await self._respond(plane, scope, receive, send)

        config = uvicorn.Config(
            application,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
        )
        config.load()
        self._served[plane] = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self._connections, config, self._state), sock=self._sockets[plane], ssl=self._context
        )

    async def _respond(self, plane: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await WebRequest(scope, receive).body()
        except ClientDisconnect:
            return
        request = _request(scope, body)
        if (seconds := self._delay(plane, request)) > 0:
            await asyncio.sleep(seconds)
        try:
            response = self._answer(plane, request)
        except DroppedConnectionError:
            scope["simulator.transport"].abort()
            await _disconnected(receive)
            return
        if response.delay > 0:
            await asyncio.sleep(response.delay)
        encoded = response.encoded()
        answer = WebResponse(encoded, response.status, response.headers)
        if encoded and "content-type" not in answer.headers:
            answer.headers["content-type"] = "application/json; charset=utf-8"
        if not response.truncated:
            await answer(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
        await send({"type": "http.response.body", "body": encoded[: len(encoded) // 2], "more_body": True})
        scope["simulator.transport"].close()
        await _disconnected(receive)


class _Connection(H11Protocol):
    """A connection whose application may drop it: the scope carries the transport."""

    def __init__(self, known: set[_Connection], config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {})
        self._known = known
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in H11Protocol
        super().connection_made(transport)
        self._known.add(self)
        inner: Callable[..., Any] = self.app

        async def application(scope: Any, receive: Any, send: Any) -> None:
            scope["simulator.transport"] = transport
            await inner(scope, receive, send)

        self.app = application

    def connection_lost(self, exc: Exception | None) -> None:
        self._known.discard(self)
        self._ended.set()
        super().connection_lost(exc)

    async def end(self) -> None:
        """Close without waiting for the client's farewell, which an idle pooled connection never sends."""
        self.transport.abort()
        await self._ended.wait()


def _request(scope: Scope, body: bytes) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(
        scope["method"],
        "https",
        headers.get("host") or "{}:{}".format(*scope["server"]),
        scope["path"],
        dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers,
        body,
    )


async def _disconnected(receive: Receive) -> None:
    # an application that returns before the connection is gone would make uvicorn answer 500
    while (await receive())["type"] != "http.disconnect":
        pass


def certificate(directory: Path) -> ssl.SSLContext:
    """Server certificates for 127.0.0.1 and localhost, by the private authority whose certificate is `ca.pem` there.

    The authority is made on first use and kept (`ca-key.pem`, 0600), so that clients trust a restarted server too.
    """
    public, private = directory / "ca.pem", directory / "ca-key.pem"
    if public.exists() and private.exists():
        authority = trustme.CA.from_pem(public.read_bytes(), private.read_bytes())
    else:
        authority = trustme.CA(organization_name="keylift simulator", organization_unit_name="loopback only")
        write_private(private, authority.private_key_pem.bytes())
        write_private(public, authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    return context


def write_private(path: Path, content: bytes) -> None:
    """Replace a file, readable by its owner only, in one step."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(path)
