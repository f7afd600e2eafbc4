"""The same wizard in a browser: on this machine only, behind a token that is new each time."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from migrator.errors import UsageError

HOST = "127.0.0.1"
MOST = 256
"""Connections at a time would each start a wizard; a browser needs a few for its files."""

Handler = Callable[[Any], Awaitable[Any]]


def serve(arguments: list[str], *, port: int = 0, say: Callable[[str], None]) -> int:
    """Serve `keylift wizard` with some arguments until SIGINT or SIGTERM.

    Args:
        arguments: Of the wizard that each browser tab gets.
        port: On the loopback interface; 0 takes a free one.
        say: Told the address, token included.

    Raises:
        UsageError: textual-serve is not installed, or the port is taken.
    """
    try:
        from aiohttp import web
        from textual_serve.server import Server
    except ImportError as error:
        raise UsageError(
            "serving the wizard needs textual-serve, which is not installed",
            why=str(error),
            hint="install keylift with its extra: pip install 'keylift[serve]'",
        ) from None
    token = secrets.token_urlsafe(32)
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used", why=str(error), hint="leave --port out") from None
    port = listener.getsockname()[1]
    hosts = {f"{HOST}:{port}", f"localhost:{port}"}
    origins = {f"http://{host}" for host in hosts}

    @web.middleware
    async def guarded(request: Any, handler: Handler) -> Any:
        """Whoever lacks the token, or comes by another name, gets nothing: no page, no file, no hint."""
        inner = request.match_info.get("token", "")
        named = request.host.lower() in hosts
        origin = request.headers.get("Origin")
        if not named or not hmac.compare_digest(inner, token) or (origin is not None and origin not in origins):
            return web.Response(status=404)
        response = await handler(request)
        with contextlib.suppress(Exception):
            if not response.prepared:
                response.headers["Referrer-Policy"] = "no-referrer"
                response.headers["Cache-Control"] = "no-store"
                response.headers["X-Frame-Options"] = "DENY"
        return response

    class Guarded(Server):  # type: ignore[misc, unused-ignore] # textual-serve may lack types
        async def _make_app(self) -> Any:
            inside = await super()._make_app()
            outside = web.Application(middlewares=[guarded])
            outside.on_startup.extend(inside.on_startup)
            outside.on_shutdown.extend(inside.on_shutdown)

            async def index(request: Any) -> Any:
                import jinja2

                folder = jinja2.FileSystemLoader(self.templates_path)
                page = jinja2.Environment(loader=folder, autoescape=True).get_template("app_index.html")
                base = f"http://{request.host}/{token}"
                text = page.render(
                    font_size=16,
                    app_websocket_url=f"ws://{request.host}/{token}/ws",
                    config={"static": {"url": f"{base}/static/"}},
                    application={"name": "keylift"},
                )
                return web.Response(text=without_foreign(text), content_type="text/html")

            outside.add_routes(
                [
                    web.get("/{token}/", index),
                    web.get("/{token}/ws", self.handle_websocket),
                    web.get("/{token}/static/{file:.+}", self._file),
                ]
            )
            return outside

        async def _file(self, request: Any) -> Any:
            root = self.statics_path.resolve()
            path = (root / request.match_info["file"]).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                return web.Response(status=404)
            return web.FileResponse(path)

        async def on_startup(self, _app: Any) -> None:
            say(f"the wizard is at http://{HOST}:{port}/{token}/")
            say("whoever has this address can use it; Ctrl+C ends it")

        def initialize_logging(self) -> None:
            """No line of the library may show the token."""

    command = shlex.join([sys.executable, "-m", "migrator", "wizard", *arguments])
    server = Guarded(command, host=HOST, port=port, title="keylift")

    async def main() -> None:
        runner = web.AppRunner(await server._make_app(), access_log=None)  # noqa: SLF001 - the library's one seam
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, ended.set)
        await ended.wait()
        await runner.cleanup()

    asyncio.run(main())
    return 0


def without_foreign(page: str) -> str:
    """The page without what it would load from elsewhere: a browser that shows a wizard asks this machine only."""
    import re

    return re.sub(r"<link\b[^>]*https://[^>]*>", "", page, flags=re.DOTALL)
