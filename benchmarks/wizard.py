"""The wizard in a terminal: its first frame, what a key costs with 2,000 apps and 10,000 findings, and memory.

`python benchmarks/wizard.py [first|keys]` prints each beside what Textual itself takes: an empty app, and its own table with the same rows. A key is timed
from the byte that goes into the pseudo-terminal to the last byte of the frame that comes out of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from migrator.demo_estate import SUBSCRIPTION
from migrator.model import App, Estate
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter, Report, Severity

APPS, EACH = 2000, 5
SIZE = (160, 50)
FIRST = 4.0
"""Seconds to wait for the first byte of a frame."""
QUIET = 0.12
"""Seconds without a byte after which a frame is whole."""
ROUNDS = 7
KEYS = {
    "down": "\x1b[B",
    "right": "\x1b[C",
    "pagedown": "\x1b[6~",
    "end": "\x1b[F",
    "home": "\x1b[H",
    "enter": "\r",
    "escape": "\x1b",
    "backspace": "\x7f",
    "ctrl+a": "\x01",
}


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, *command: str, environment: dict[str, str]) -> None:
        self.began = time.perf_counter()
        self.process, self._file = pty.fork()
        if not self.process:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
            os.execve(command[0], command, environment)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))

    def _read(self, seconds: float) -> bytes:
        ready, _, _ = select.select([self._file], [], [], seconds)
        return os.read(self._file, 1 << 16) if ready else b""

    def until(self, text: str) -> float:
        """Wait for a text; seconds since the process was started."""
        seen = b""
        while text.encode() not in re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen):
            found = self._read(60)
            if not found:
                raise SystemExit(f"no {text!r} came:\n{seen[-2000:]!r}")
            seen += found
        return time.perf_counter() - self.began

    def settle(self, quiet: float = QUIET) -> float:
        """Read until nothing comes; the moment of the last byte."""
        last = time.perf_counter()
        found = self._read(FIRST)
        while found:
            last = time.perf_counter()
            found = self._read(quiet)
        return last

    def press(self, key: str) -> tuple[float, float]:
        """Milliseconds until the last byte of the frame, and of processor time."""
        used, began = self.used(), time.perf_counter()
        os.write(self._file, KEYS.get(key, key).encode())
        return 1000 * (self.settle() - began), self.used() - used

    def used(self) -> float:
        """Milliseconds of processor time so far, of all threads."""
        spent = 0
        for task in Path(f"/proc/{self.process}/task").iterdir():
            with contextlib.suppress(OSError):
                spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e6

    def memory(self) -> float:
        """Megabytes at most."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self._file)


def resource_id(number: int) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number % 40:02}"
    return f"{group}/providers/Microsoft.App/containerApps/app-{number:04}"


def findings() -> list[Finding]:
    severities = list(Severity)
    return [
        Finding(
            rule="generic-password",
            title="Password in plain text",
            severity=severities[(number + at) % 4],
            confidence=Confidence.HIGH,
            location=AzureLocation(
                resource_id(number), f"properties.template.containers[0].env[{at}].value", f"PASSWORD_{at}"
            ),
            fingerprint=f"f1:{number * EACH + at:032x}",
            preview="… (<32 chars)",
        )
        for number in range(APPS)
        for at in range(EACH)
    ]


# What runs in the terminal


def wizard(folder: Path) -> None:
    """The wizard with an estate that was read already: keys are measured, not a cloud."""
    from migrator import api
    from migrator.cloud.account import Account
    from migrator.proposing import Material
    from migrator.standing import Place, Standing, Thing
    from migrator.state import StateFolder
    from tui.app import Wizard
    from tui.screens.scope import ScopePage

    class Filled(Wizard):
        def on_mount(self) -> None:
            things = tuple(Thing(resource_id(n), f"app-{n:04}", SUBSCRIPTION, f"rg-{n % 40:02}") for n in range(APPS))
            account = Account("ann@example.com", "user", "Azure CLI", "tenant", "object")
            self.session.standing = Standing("public", account, (Place(SUBSCRIPTION, "Production"),), things, ())
            apps = tuple(App(thing.id, {"id": thing.id, "name": thing.name, "properties": {}}) for thing in things)
            estate = Estate(subscriptions=(SUBSCRIPTION,), apps=apps)
            self.session.material = Material(estate, Report(findings()), Fingerprinter(bytes(32)), api.Scope())
            super().on_mount()

    def nothing(_page: ScopePage) -> None:
        """No cloud is asked."""

    ScopePage.action_again = nothing  # type: ignore[method-assign, assignment]
    Filled(api.Workplace(cloud="china", state=StateFolder(folder))).run()


def table(_folder: Path) -> None:
    """What Textual has for rows: its DataTable, filled anew by a filter."""
    from textual.app import App as Textual
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widgets import DataTable, Footer, Input

    rows = [
        (str(one.severity), one.location.as_dict()["name"], one.title, "1", "1", str(one.confidence), "moves")
        for one in findings()
    ]

    class Table(Textual[None]):
        BINDINGS: ClassVar[list[BindingType]] = [("slash", "filter", "Filter")]

        def compose(self) -> ComposeResult:
            yield Input(compact=True)
            yield DataTable(cursor_type="row")
            yield Footer()

        def on_mount(self) -> None:
            found = self.query_one(DataTable)
            found.add_columns("Severity", "Secret", "Kind", "Places", "Apps", "Sure", "Decision")
            found.add_rows(rows)
            found.focus()

        def action_filter(self) -> None:
            self.query_one(Input).focus()

        def on_input_changed(self, event: Input.Changed) -> None:
            found = self.query_one(DataTable)
            found.clear()
            found.add_rows(row for row in rows if any(event.value in cell for cell in row))

    Table().run()


def bare(_folder: Path) -> None:
    """Textual with one line of text and a footer."""
    from textual.app import App as Textual
    from textual.app import ComposeResult
    from textual.widgets import Footer, Static

    class Bare(Textual[None]):
        def compose(self) -> ComposeResult:
            yield Static("1 Scope")
            yield Footer()

    Bare().run()


# Measuring


def keys(environment: dict[str, str], what: str, folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """What is pressed -> milliseconds to the end of the frame, milliseconds of processor time, of each key."""
    terminal = Terminal(sys.executable, __file__, what, str(folder), environment=environment)
    try:
        if what == "wizard":
            terminal.until("7 Proof")
            terminal.settle(1.0)
            wall, used = terminal.press("3")
            print(f"  the page opens after {wall:.0f} ms, {used:.0f} ms of it at work")
        else:
            terminal.until("Severity")
        terminal.settle(1.0)
        found = {}
        for name, pressed in {
            "scroll a row": ["down"] * 60,
            "scroll a page": ["pagedown"] * 40,
            "to the end and back": ["end", "home"] * 5 if what == "wizard" else [],
            "open a row": ["right", "down"] * 15 if what == "wizard" else [],
            "type a letter": [*"app-19", *["backspace"] * 6, *"password"],
            "sort": ["escape", "s", "s", "s", "S"] if what == "wizard" else [],
            "select all": ["ctrl+a"] * 2 if what == "wizard" else [],
        }.items():
            if name == "type a letter":
                terminal.press("/")
            if pressed:
                both = [terminal.press(key) for key in pressed]
                found[name] = ([wall for wall, _ in both], [used for _, used in both])
            if name == "type a letter":
                terminal.press("enter")
        print(f"  {terminal.memory():.0f} MB at most")
    finally:
        terminal.close()
    return found


def first_frames(environment: dict[str, str], folder: Path) -> None:
    from migrator.simulator.server import Simulator

    command = [sys.executable, "-m", "migrator", "wizard", "--state-dir", str(folder / "state"), "--cloud"]
    with Simulator({"schema": 1, "subscriptions": [SUBSCRIPTION], "resources": []}) as simulator:
        measured: dict[str, list[tuple[float, float]]] = {}
        for number in range(ROUNDS + 1):
            for name, words in {
                "Textual, empty": [sys.executable, __file__, "bare", str(folder)],
                "keylift wizard": [*command, str(simulator.profile_path)],
            }.items():
                terminal = Terminal(*words, environment=environment)
                try:
                    took = 1000 * terminal.until("1 Scope"), terminal.used()
                finally:
                    terminal.close()
                if number:  # the first one fills the cache of compiled files
                    measured.setdefault(name, []).append(took)
    for name, found in measured.items():
        wall = [one for one, _ in found]
        used = statistics.median(one for _, one in found)
        print(
            f"  {name:<20} {statistics.median(wall):6.0f} ms median  {max(wall):6.0f} ms worst  {used:6.0f} ms at work"
        )


def told(name: str, found: tuple[Sequence[float], Sequence[float]]) -> str:
    wall, used = found
    return (
        f"  {name:<20} {statistics.median(wall):6.1f} ms median  {max(wall):6.1f} ms worst of {len(wall):<3}"
        f" {statistics.median(used):6.1f} ms at work, {max(used):6.1f} at most"
    )


def main(only: set[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPYCACHEPREFIX": str(folder / "compiled"),  # as it is once installed
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
        }
        if "first" in only:
            print(f"first frame, of {ROUNDS}")
            first_frames(environment, folder)
        for what, title in (("wizard", "keylift wizard"), ("table", "Textual's DataTable")) if "keys" in only else ():
            print(f"{title}, {APPS:,} apps, {APPS * EACH:,} findings")
            for kind, found in keys(environment, what, folder).items():
                print(told(kind, found))


if __name__ == "__main__":
    shown = {"wizard": wizard, "table": table, "bare": bare}
    if sys.argv[1:2] and sys.argv[1] in shown:
        shown[sys.argv[1]](Path(sys.argv[2]))
    else:
        main(set(sys.argv[1:]) or {"first", "keys"})
