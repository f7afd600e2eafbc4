"""Drives the wizard by keys on a simulated cloud, and keeps what it shows as text."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.keys import REPLACED_KEYS, _get_unicode_name_from_key
from textual.pilot import Pilot

from migrator import api
from migrator.executor import RunResult
from migrator.simulator.server import Simulator
from migrator.state import StateFolder
from tui.app import Wizard

CANARY = "Canary"
ONE = "11111111-2222-4333-8444-555555555555"
VALUES = [f"Canary{number}-kT9vQ2xZ7mLw4pRsHb3n" for number in range(12)]
TODAY = date(2026, 11, 22)
PATIENCE = 180.0


def rid(kind: str, name: str) -> str:
    return f"/subscriptions/{ONE}/resourceGroups/rg-one/providers/{kind}/{name}"


def app(name: str, env: dict[str, str], secrets: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "id": rid("Microsoft.App/containerApps", name),
        "name": name,
        "type": "Microsoft.App/containerApps",
        "location": "westeurope",
        "systemData": {
            "createdAt": "2026-03-01T08:00:00Z",
            "lastModifiedAt": "2026-10-30T08:00:00Z",
            "createdBy": "ann@example.com",
            "createdByType": "User",
            "lastModifiedBy": "ann@example.com",
            "lastModifiedByType": "User",
        },
        "properties": {
            "managedEnvironmentId": rid("Microsoft.App/managedEnvironments", "env1"),
            "configuration": {"secrets": [{"name": n, "value": v} for n, v in (secrets or {}).items()] or None},
            "template": {
                "containers": [
                    {
                        "name": "main",
                        "image": "docker.io/library/nginx:1",
                        "env": [{"name": n, "value": v} for n, v in env.items()],
                    }
                ],
                "scale": {"minReplicas": 1},
            },
        },
    }


def vault() -> dict[str, Any]:
    return {
        "id": rid("Microsoft.KeyVault/vaults", "kv-one"),
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {"enableRbacAuthorization": True},
    }


def estate(*apps: dict[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "subscriptions": [ONE], "resources": [vault(), *apps]}


def shop() -> dict[str, Any]:
    return estate(
        app("api", {"DB_PASSWORD": VALUES[1], "MODE": "live"}),
        app("web", {"SESSION_TOKEN": VALUES[3]}, {"mail-password": VALUES[2]}),
    )


_COMPILED = tempfile.TemporaryDirectory()
"""The rules, compiled once for all tests of a process."""


class Frozen:
    """A clock that stands, for what is shown; everything else keeps the machine's."""

    @staticmethod
    def monotonic() -> float:
        return 1000.0


class Watched(Wizard):
    """The wizard on a fixed day."""

    def today(self) -> date:
        return TODAY


@contextmanager
def cloud(document: dict[str, Any], folder: Path, **options: Any) -> Iterator[tuple[Simulator, api.Workplace]]:
    """A simulated cloud, an hour of it in six seconds, and a state folder with a known key."""
    state = StateFolder(folder / "state").ensure()
    if not state.cache.exists():
        state.cache.symlink_to(_COMPILED.name)
    key = state.path / "fingerprint.key"
    if not key.exists():
        key.write_bytes(bytes(range(32)))
        key.chmod(0o600)
    switches = {"token_lifetime": 1e7, **options.pop("switches", {})}
    with Simulator(document, speed=options.pop("speed", 600), switches=switches, **options) as simulator:
        yield simulator, api.Workplace(str(simulator.profile_path), state=state, workers=1)


class Waits:
    """How long the callbacks of event loops slept at most: neither at work nor waiting for a core, but for somebody else.

    A busy machine makes callbacks long, not asleep: what is asleep for as long as a slow answer takes waits for that answer.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.longest, self.of = 0.0, ""
        original = asyncio.Handle._run

        def watched(handle: asyncio.Handle) -> None:
            before = self._awake()
            began = time.monotonic()
            original(handle)
            asleep = time.monotonic() - began - (self._awake() - before)
            if asleep > self.longest:
                self.longest, self.of = asleep, repr(handle)

        monkeypatch.setattr(asyncio.Handle, "_run", watched)

    @staticmethod
    def _awake() -> float:
        """Seconds that this thread worked, or could have worked had a core been free."""
        worked, queued, _ = Path("/proc/thread-self/schedstat").read_text().split()
        return (int(worked) + int(queued)) / 1e9


def _key(name: str) -> events.Key:
    """A key as the terminal sends it."""
    character: str | None
    try:
        character = unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(name, name)))
    except KeyError:
        character = name if len(name) == 1 else None
    return events.Key(name, character)


class Driver:
    """Keys in, screens out."""

    def __init__(self, wizard: Wizard, pilot: Pilot[Any]) -> None:
        self.wizard, self.pilot = wizard, pilot
        self.seen: dict[str, str] = {}
        self.themes: tuple[str, ...] = ()
        """Themes in which `look` keeps a screen, beside the one in use."""

    async def press(self, *keys: str) -> None:
        for key in keys:
            # not the pilot's way, which waits until the whole process has nothing to do: the cloud is in it, too
            self.wizard.post_message(_key(key))
            await self.idle()

    async def click(self, text: str, *, before: int = 0) -> None:
        """Click on the first place of a text on the screen, or some cells before it."""
        for y, line in enumerate(picture(self.wizard, styles=False).split("\n")[1:]):
            if text in line:
                await self.pilot.click(offset=(line.index(text) - before, y))
                await self.idle()
                return
        pytest.fail(f"{text!r} is not on the screen:\n{picture(self.wizard, styles=False)}")

    async def idle(self) -> None:
        """Wait until every message is answered, and what follows from it is laid out and drawn."""
        quiet, began = 0, time.monotonic()
        while quiet < 3:
            assert time.monotonic() - began < PATIENCE, "the wizard never comes to rest"
            await self.pilot._wait_for_screen()
            screen = self.wizard.screen
            screen._on_timer_update()
            pumps = (self.wizard, *screen.walk_children(with_self=True))
            busy = any(pump.message_queue_size or pump._next_callbacks for pump in pumps)
            quiet = 0 if busy or screen._layout_required or screen._callbacks else quiet + 1

    async def type(self, text: str) -> None:
        named = {" ": "space", "-": "minus", ".": "full_stop", "/": "slash", "_": "underscore"}
        await self.press(*(named.get(letter, letter) for letter in text))

    async def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait for something to become true, as a person would."""
        began = time.monotonic()
        while not holds():
            if time.monotonic() - began > PATIENCE:
                pytest.fail(f"waited in vain for {what}:\n{picture(self.wizard, styles=False)}")
            # not the pilot's pause: a screen whose handler raised answers no more, until its page takes over
            await asyncio.sleep(0.02)
        await self.idle()

    @property
    def result(self) -> RunResult:
        """How the last run ended."""
        found = self.wizard.session.result
        assert found is not None
        return found

    def page(self) -> str:
        return type(self.wizard.screen).__name__

    def keep(self, name: str) -> str:
        """Keep the screen under a name."""
        self.seen[name] = picture(self.wizard)
        return self.seen[name]

    async def look(self, name: str) -> None:
        """Keep the screen under a name, in each theme under `name@theme`."""
        self.keep(name)
        before = self.wizard.theme
        for theme in (*self.themes, before):
            if theme != self.wizard.theme:
                self.wizard.theme = theme
                await self.idle()
            self.seen[f"{name}@{theme}"] = picture(self.wizard)


def run(
    place: api.Workplace,
    story: Callable[[Driver], Any],
    *,
    size: tuple[int, int] = (80, 24),
    theme: str = "keylift-dark",
    **options: Any,
) -> Driver:
    """Open the wizard, drive it, close it."""

    async def go() -> Driver:
        wizard = Watched(place, fixed_theme=theme, **options)
        wizard.animation_level = "none"  # a picture is of the end of a movement
        async with wizard.run_test(size=size) as pilot:
            driver = Driver(wizard, pilot)
            await story(driver)
            wizard.save()
        return driver

    return asyncio.run(go())


def picture(wizard: Wizard, *, styles: bool = True) -> str:
    """The screen as text, then every run of style: what a terminal would get."""
    lines, runs = [], []
    width, height = wizard.size
    for y, strip in enumerate(wizard.screen._compositor.render_strips()[:height]):
        lines.append(strip.text.rstrip())
        x, told = 0, []
        for segment in strip.simplify():
            style = segment.style
            if style is not None:
                words = [
                    str(style.color.name) if style.color else "-",
                    str(style.bgcolor.name) if style.bgcolor else "-",
                ]
                words += [name for name in ("bold", "dim", "italic", "underline", "reverse") if getattr(style, name)]
                told.append(f"{x}:{'/'.join(words)}")
            x += segment.cell_length
        runs.append(f"{y:>2} {' '.join(told)}")
    text = "\n".join([f"{width}x{height} {wizard.theme}", *lines, *(["", *runs] if styles else [])]) + "\n"
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "20261122-120000-abcdef", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-11-22T12:00:00Z", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:12345", text)
    text = re.sub(r"(plan )[0-9a-f]{16}", r"\g<1>0123456789abcdef", text)
    return re.sub(r"/tmp/\S+|/private/\S+", "/tmp/…", text)
