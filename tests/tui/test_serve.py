"""The wizard in a browser: reached by whoever has the address, and by nobody else."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from migrator import cli
from tui.serve import without_foreign

from .browsing import browser

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", "wizard", "--demo", "--serve", "--state-dir", str(folder / "state")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        yield re.findall(r"http://\S+", line)[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def asked(url: str, **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=60)
    connection.request("GET", parts.path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_the_token_opens_and_nothing_else_does(address: str) -> None:
    parts = urlsplit(address)
    base, token = f"http://{parts.netloc}", parts.path.strip("/")
    assert parts.hostname == "127.0.0.1"
    assert len(token) >= 32
    status, page = asked(address)
    assert status == 200
    assert b"https://" not in page
    script = re.findall(rb'src="[^"]*?(/static/js/[^"]+)"', page)[0].decode()
    assert asked(f"{base}/{token}{script}")[0] == 200
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    wrong = "x" * len(token)
    for path in ("/", "/ws", f"{script}", f"/{wrong}/", f"/{wrong}/ws", f"/{wrong}{script}", f"/{token[:-1]}/"):
        for headers in ({}, upgrade):
            status, body = asked(base + path, **headers)
            assert status == 404, path
            assert token.encode() not in body
            assert b"keylift" not in body
    # by another name (DNS rebinding), or from another page
    assert asked(address, Host="evil.example")[0] == 404
    assert asked(f"{address}ws", Origin="http://evil.example", **upgrade)[0] == 404
    assert asked(f"{base}/{token}/static/../server.py")[0] == 404
    assert asked(f"{base}/{token}/static/%2e%2e/server.py")[0] == 404


def test_the_wizard_is_driven_in_a_browser(address: str, tmp_path: Path) -> None:
    async def go() -> bytes:
        async with browser(tmp_path / "profile") as page:
            assert await page.open(address) == 200
            await page.until("1 Scope", "apps picked", "Enter ▸ Scan")
            assert [status for _, status in page.sockets] == [101]
            await page.focus()
            await page.press("Enter")
            await page.until("2 Scan", "Enter ▸ Findings")
            await page.press("Enter")
            await page.until("3 Findings", "secrets, 0 stay", "Enter ▸ Mapping")
            await page.press("f")
            await page.until("No secret:", "How do you know?")
            for letter in "mine":
                await page.press(letter)
            await page.press("Enter")
            await page.until("1 stay")
            return await page.picture()

    (tmp_path / "findings.png").write_bytes(asyncio.run(go()))


def test_a_browser_with_a_wrong_token_gets_nothing(address: str, tmp_path: Path) -> None:
    parts = urlsplit(address)
    wrong = f"http://{parts.netloc}/{'x' * 43}/"

    async def go() -> None:
        async with browser(tmp_path / "profile") as page:
            assert await page.open(wrong) == 404
            # nothing came with it: the page is the browser's own, about an answer without content
            assert await page.evaluate("document.location.href") == "chrome-error://chromewebdata/"
            shown = await page.evaluate("document.documentElement.outerHTML")
            assert "404" in shown
            assert "xterm" not in shown
            assert "keylift" not in shown
            ask = f"new Promise(r => {{ const s = new WebSocket('ws://{parts.netloc}/{'x' * 43}/ws'); s.onerror = () => r('refused'); s.onopen = () => r('open') }})"
            assert await page.evaluate(ask) == "refused"
            assert page.shown() == ""

    asyncio.run(go())


def test_a_real_cloud_is_not_served_just_like_that(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="not served for a real cloud"):
        CliRunner().invoke(cli.keylift, ["wizard", "--serve", "--state-dir", str(tmp_path)], catch_exceptions=False)


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = '<link rel="x" href="/static/a.css" />\n<link\n rel="stylesheet"\n href="https://fonts.example/css"\n/>'
    assert without_foreign(page) == '<link rel="x" href="/static/a.css" />\n'
