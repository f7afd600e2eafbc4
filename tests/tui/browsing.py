"""A headless Chromium and one page in it, over its own protocol: keys in, and what the terminal in the page is sent."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

PATIENCE = 180.0
NAMED = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowDown": 40, "ArrowRight": 39}
_CODES = re.compile(rb"\x1b(\[[0-9;?=<>]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_=>78])")


class Page:
    """One page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._bytes = b""
        self.sockets: list[tuple[str, int]] = []
        """Address and status of each websocket that the page opened."""
        self._opened: dict[str, str] = {}
        self._statuses: dict[str, int] = {}
        """Address of each document that the page asked for -> the status it was answered with."""
        self._loads = 0

    async def listen(self) -> None:
        """Take what the browser tells, until it ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
                continue
            about = told.get("params", {})
            if told["method"] == "Network.webSocketFrameReceived":
                payload = about["response"]["payloadData"]
                self._bytes += base64.b64decode(payload) if about["response"]["opcode"] == 2 else payload.encode()
            elif told["method"] == "Network.webSocketCreated":
                self._opened[about["requestId"]] = about["url"]
            elif told["method"] == "Network.webSocketHandshakeResponseReceived":
                self.sockets.append((self._opened[about["requestId"]], about["response"]["status"]))
            elif told["method"] == "Network.responseReceived" and about["type"] == "Document":
                self._statuses[about["response"]["url"]] = about["response"]["status"]
                self._loads = 0
            elif told["method"] == "Page.loadEventFired":
                self._loads += 1

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the browser's protocol; its result."""
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, PATIENCE)
        assert "error" not in told, told
        found: dict[str, Any] = told["result"]
        return found

    async def open(self, address: str) -> int:
        """Go to an address, and wait until what the server answered with is loaded; the status of the answer."""
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.navigate", url=address)
        began = time.monotonic()
        while address not in self._statuses or not self._loads:
            assert time.monotonic() - began < PATIENCE, f"waited for {address}: {self._statuses}"
            await asyncio.sleep(0.05)
        return self._statuses[address]

    async def evaluate(self, expression: str) -> Any:
        """What an expression, or the promise it gives, is in the page."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"]["value"]

    async def focus(self) -> None:
        """Put the focus on the terminal in the page, as a click would."""
        expression = "document.querySelector('.xterm-helper-textarea').focus()"
        await self.call("Runtime.evaluate", expression=expression)

    async def press(self, key: str) -> None:
        """One key, as a keyboard sends it to the page: a name of `NAMED`, or a letter."""
        self._bytes = b""  # what comes now is the answer
        about: dict[str, Any] = {"key": key}
        if key in NAMED:
            about |= {"code": key, "windowsVirtualKeyCode": NAMED[key]}
            about |= {"text": "\r"} if key == "Enter" else {}
        else:
            about |= {"text": key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def shown(self) -> str:
        """The text the terminal in the page was sent since the last key, without its control codes."""
        return _CODES.sub(b"", self._bytes).decode(errors="replace")

    async def until(self, *texts: str) -> None:
        """Wait until texts were sent to the terminal in the page."""
        began = time.monotonic()
        while not all(text in self.shown() for text in texts):
            assert time.monotonic() - began < PATIENCE, f"waited for {texts}:\n{self.shown()[-4000:]}"
            await asyncio.sleep(0.05)

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser with one empty page; skips the test where there is none."""
    found = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), "")
    if not found:
        pytest.skip("no Chromium here; apt-get install chromium")
    process = await asyncio.create_subprocess_exec(
        found,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1000,600",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        address = ""
        while not address:
            line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode()
            assert line, "the browser ended"
            address = next(iter(re.findall(r"ws://([\d.:]+)/", line)), "")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                targets = await answer.json()
            target = next(one for one in targets if one["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                yield page
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
    finally:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), 60)
