"""The wizard itself: its pages, what they share, themes, the palette, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from migrator import api
from migrator.errors import KeyliftError
from migrator.state import StateFolder
from tui import reporting, theme
from tui.dialogs import Confirm, Failure
from tui.journey import PAGES, Journey
from tui.page import TITLES, Page

if TYPE_CHECKING:
    from migrator.demo import Stage
    from migrator.executor import RunResult
    from migrator.planner import Slot
    from migrator.proof import Proof
    from migrator.proposing import Material
    from migrator.rehearsal import Rehearsal
    from migrator.standing import Standing
    from tui.screens.apply import ApplyPage
    from tui.screens.findings import FindingsPage

NAMES = (*PAGES, "runs")
"""Of all pages: each is the class of its name in the module of its name, imported when it is first asked for."""


def kind(name: str) -> type[Page]:
    """The class of a page."""
    found: type[Page] = getattr(importlib.import_module(f"tui.screens.{name}"), f"{name.capitalize()}Page")
    return found


@dataclass(slots=True)
class Session:
    """What was read and made while the wizard is open. Never written."""

    standing: Standing | None = None
    material: Material | None = None
    extra: dict[str, list[Any]] = field(default_factory=dict)
    """Findings of repositories and images, by what was scanned."""
    plan: Any = None
    slots: tuple[Slot, ...] = ()
    rehearsal: Rehearsal | None = None
    result: RunResult | None = None
    proof: Proof | None = None
    running: bool = False
    """Whether a run or a rollback is at work."""


class Wizard(App[int]):
    """`keylift wizard`."""

    TITLE = "keylift"
    CSS = """
    * { scrollbar-color: $foreground 30%; scrollbar-background: $background; scrollbar-color-hover: $primary; }
    *:ansi { scrollbar-color: ansi_default; }
    Screen { scrollbar-size-vertical: 1; }
    Toast { background: $panel; }
    """
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="app.help", tooltip="Help for what has the focus"),
        Binding("question_mark", "help", "Help", show=False, id="app.help-too", tooltip="Help for what has the focus"),
        Binding("ctrl+o", "jump", "Jump", show=False, id="app.jump", tooltip="A letter on everything you can go to"),
        Binding("ctrl+s", "save", "Save", show=False, id="app.save", tooltip="Save your choices now"),
        Binding(
            "ctrl+r", "go('runs')", "Runs", show=False, id="app.runs", tooltip="Past runs: resume, roll back, look"
        ),
        Binding("ctrl+t", "theme", "Theme", show=False, id="app.theme", tooltip="The next theme"),
        Binding("f8", "mask", "Mask", show=False, id="app.mask", tooltip="Hide what is revealed, at once"),
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit", tooltip="Save and quit"),
        *(
            Binding(
                str(number),
                f"go('{name}')",
                TITLES[name],
                show=False,
                id=f"app.go-{name}",
                tooltip=f"Go to the page {TITLES[name]}",
            )
            for number, name in enumerate(PAGES, start=1)
        ),
    ]
    raise_in_tests = True
    """Whether a test that drives the app sees unknown exceptions instead of their page."""

    def __init__(
        self,
        place: api.Workplace,
        *,
        demo: bool = False,
        folder: Path | None = None,
        reveal: bool = True,
        speed: float = 60.0,
        fixed_theme: str = "",
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            place: Which cloud, where state lies.
            demo: Bring a simulated cloud.
            folder: Where the demo keeps its files; a temporary one, removed at the end, if None.
            reveal: Whether one value may be looked at, by a key held down.
            speed: Of the demo's clock.
            fixed_theme: Instead of the one chosen last.
        """
        # as on a terminal of its own colours, of which none is left then: grey on grey would be Textual's way, and black on
        # black where a theme has the terminal's colours
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.demo, self.reveal_allowed, self._speed = demo, reveal, speed
        self._folder = folder
        self._temporary: Path | None = None
        if demo:
            if folder is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="keylift-wizard-"))
            home = folder or self._temporary or Path()
            home.mkdir(parents=True, exist_ok=True)
            self._home = home
        self._reports = place.state.path / "reports"
        if demo:
            place = replace(place, state=StateFolder(self._home / "state"), shared=None)
        self.place = place
        place.state.ensure()
        self.journey = Journey.load(self.journey_file)
        self.session = Session()
        self.stage: Stage | None = None
        self._starting = threading.Lock()
        """Work of several threads may need the demo's cloud at once."""
        self.resume_at = self.journey.page
        self._pages: dict[str, Page] = {}
        self._generation = 0
        """How often all pages began anew; part of the names they are installed under."""
        self.broken: Path | None = None
        self._events: asyncio.AbstractEventLoop | None = None
        self._silence = -1
        """The writing end of what stands for the keys of a terminal that is no more."""
        if self.journey.cloud and not demo and place.cloud == "public":
            self.place = replace(self.place, cloud=self.journey.cloud, auth=self.journey.auth or place.auth)
        for one in theme.KEYLIFT:
            self.register_theme(one)
        wanted = fixed_theme or self.journey.theme
        self.theme = wanted if wanted in self.available_themes else theme.DARK

    # Files

    @property
    def journey_file(self) -> Path:
        """Where choices are kept."""
        return self.place.state.path / "wizard.json"

    @property
    def choices_file(self) -> Path:
        """Decisions on single things, as `keylift plan --choices` takes them."""
        return self.place.state.path / "choices.json"

    @property
    def reports(self) -> Path:
        """Where reports of unknown errors go; those of a demo, too, outlive its folder."""
        return self._reports

    def save(self) -> None:
        """Write the choices down."""
        from tui.journey import write_private

        try:
            self.place.state.ensure()
            self.journey.save(self.journey_file)
            # a team's key comes with the first scan: before it, nothing was decided that names a value
            team = self.place.shared
            key = self.place.state.fingerprinter() if team is None else self.place.state.team_key(team.url)
            if key is not None:
                write_private(self.choices_file, self.journey.choices().to_json(key.key_id))
        except (OSError, KeyliftError) as error:
            self.notify(f"Your choices could not be saved: {error}", severity="error")

    def forget(self) -> None:
        """Another cloud: what was read of the one before is gone, and so are decisions on its apps."""
        self.session = Session()
        self.journey = Journey(theme=self.journey.theme, cloud=self.journey.cloud, auth=self.journey.auth)
        for name in [name for name in self._pages if name != "scope"]:
            self.uninstall_screen(self._pages.pop(name))

    # The demo's cloud

    def cloud(self) -> api.Workplace:
        """Where verbs work; starts the demo's simulator first. Called in threads only.

        Raises:
            KeyliftError: the simulator did not start.
        """
        if self.demo:
            from migrator import demo

            with self._starting:
                if self.stage is not None and self.stage.process.poll() is not None:
                    self.close_stage()
                if self.stage is None:
                    # its world is kept beside it: a simulator that ended is started again where it was
                    self.stage = demo.start(self._home, keep=True, speed=self._speed)
                    self.place = replace(self.place, cloud=str(self.stage.profile))
        return self.place

    def close_stage(self) -> None:
        """Stop the simulator."""
        if self.stage is not None:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                self.stage.stop()
            self.stage = None

    def close_demo(self) -> None:
        """Stop the simulator and remove what is temporary."""
        self.close_stage()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def today(self) -> date:
        """The day, by which ages and last days are told."""
        return datetime.now(UTC).date()

    # Pages

    def page(self, name: str) -> Page:
        """A page; made when it is first asked for, and kept."""
        if name not in self._pages:
            made = kind(name)()
            self._pages[name] = made
            self.install_screen(made, f"{name}-{self._generation}")
        return self._pages[name]

    def on_mount(self) -> None:
        self._events = asyncio.get_running_loop()
        self.push_screen(self.page("scope"))

    def reach(self, name: str) -> str:
        """Why a page is out of reach; empty when it is not."""
        session = self.session
        if name in {"scope", "runs"}:
            return ""
        if session.standing is None and name != "proof":
            return "Sign in first: the scope is not read yet"
        if name == "scan":
            return "" if self.journey.everything or self.journey.picked else "Pick at least one app"
        if name in {"findings", "mapping"}:
            return "" if session.material else "Scan first"
        if name == "apply" and (session.running or session.result is not None):
            return ""
        if name in {"review", "apply"}:
            return "" if session.plan else "Choose a vault first: no plan is made yet"
        return "" if self.journey.run else "Nothing was applied yet"

    def states(self) -> dict[str, str]:
        """Page -> `done`, `open` or `blocked`."""
        session = self.session
        done = {
            "scope": session.standing is not None and (self.journey.everything or bool(self.journey.picked)),
            "scan": session.material is not None,
            "findings": session.plan is not None,
            "mapping": session.plan is not None,
            "review": bool(self.journey.run),
            "apply": bool(self.journey.run) and not session.running,
            "proof": session.proof is not None,
        }
        return {name: "done" if done[name] else "blocked" if self.reach(name) else "open" for name in PAGES}

    def action_go(self, name: str) -> None:
        why = self.reach(name)
        if why:
            self.notify(why, severity="warning", timeout=4)
            return
        page = self.page(name)
        if self.screen is page:
            return
        if name in PAGES:
            self.journey.page = name
        self.save()
        if isinstance(self.screen, Page):
            self.switch_screen(page)

    # Actions that work everywhere

    def action_help(self) -> None:
        if isinstance(self.screen, Page):
            self.screen.action_help()

    def action_jump(self) -> None:
        if isinstance(self.screen, Page):
            self.screen.action_jump()

    def action_save(self) -> None:
        self.save()
        self.notify("Your choices are saved; reopening goes on from here.", timeout=3)

    def action_theme(self) -> None:
        at = theme.THEMES.index(self.theme) if self.theme in theme.THEMES else -1
        self.theme = theme.THEMES[(at + 1) % len(theme.THEMES)]
        self.journey.theme = self.theme
        self.notify(f"Theme {self.theme}", timeout=2)

    def action_mask(self) -> None:
        if "findings" in self._pages:
            cast("FindingsPage", self._pages["findings"]).hide()

    async def action_quit(self) -> None:
        if not self.session.running:
            self.leave()
            return
        self.push_screen(
            Confirm(
                "A run is at work",
                "It ends after the steps that are at work now; what was begun is in the journal, and keylift resume goes "
                "on from there. Or stay, and let it come to its end.",
                "",
                "Stop and quit",
            ),
            lambda answer: self._stop_and_leave() if answer else None,
        )

    def hang_up(self, *, gone: bool) -> None:
        """End soon, as a signal asks: a run stops after the steps at work, and can be resumed. Called by a signal's handler.

        Args:
            gone: Whether the terminal is no more. Writing to it then would fail, and hold whoever writes for good.
        """
        if gone:
            # right behind SIGHUP comes SIGCONT, for which Textual takes the terminal again, with a thread that nobody ends
            signal.signal(signal.SIGCONT, lambda *_: None)
            nothing = os.open(os.devnull, os.O_RDWR)
            # a pipe that stays open: whoever waits for keys goes on waiting, and does not read an end in a circle; with one
            # key that means nothing, for whoever was told by the terminal that something is there, and reads it now
            quiet, self._silence = os.pipe()
            os.write(self._silence, b"\0")
            for standard, instead in enumerate((quiet, nothing, nothing)):
                os.dup2(instead, standard)
        if "apply" in self._pages:
            # by a thread of its own: Textual may have given up already, and the handler may have interrupted who holds a lock
            threading.Thread(target=cast("ApplyPage", self._pages["apply"]).halt).start()
        if self._events is not None and not self._events.is_closed():
            leave = self._stop_and_leave if self.session.running else self.leave
            self._events.call_soon_threadsafe(self.call_later, leave)

    def _stop_and_leave(self) -> None:
        if "apply" in self._pages:
            cast("ApplyPage", self._pages["apply"]).stop_then(self.leave)
        else:
            self.leave()

    def leave(self) -> None:
        """Save and end."""
        self.save()
        self.exit(0)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for name in NAMES:
            if not self.reach(name):
                yield SystemCommand(f"Go to {TITLES.get(name, 'Runs')}", "", lambda name=name: self.action_go(name))
        if isinstance(screen, Page):
            for active in screen.active_bindings.values():
                binding = active.binding
                own = (binding.id or "").partition(".")[0] not in {"grid", "filter", "app", ""}
                if own and binding.tooltip and active.enabled:
                    yield SystemCommand(
                        binding.description, binding.tooltip, lambda action=binding.action: self._act(screen, action)
                    )
        for one in theme.THEMES:
            yield SystemCommand(f"Theme {one}", "Change how everything looks", lambda one=one: self._set_theme(one))
        yield SystemCommand("Save", "Save your choices now", self.action_save)
        yield SystemCommand("Quit", "Save and quit", lambda: self.run_worker(self.action_quit()))

    def _act(self, screen: Page, action: str) -> None:
        self.call_later(screen.run_action, action)

    def _set_theme(self, name: str) -> None:
        self.theme = name
        self.journey.theme = name

    # Failing

    def _handle_exception(self, error: Exception) -> None:
        """An exception nobody caught: a report without values and a page instead of a traceback with local values."""
        if self.is_headless and self.raise_in_tests:
            super()._handle_exception(error)
            return
        again = self.broken is not None
        self.broken = reporting.write(self.reports, error, f"showing the page {self.journey.page}")
        with contextlib.suppress(OSError):
            self.save()
        if again or not self.is_running:
            self.exit(1)
            return
        page = Failure(
            "showing a page",
            f"the wizard failed in a way it does not know ({type(error).__name__})",
            f"a report without values is in {self.broken}",
            "go back: the pages start anew with your choices; if it stays, pass the report on",
            retry=False,
        )
        self.call_later(lambda: self.push_screen(page, lambda _answer: self._anew()))

    def _fatal_error(self) -> None:
        """Textual would print a traceback with local values."""
        self.exit(1)

    def _anew(self) -> None:
        """All pages from the beginning, with the same choices and what was read."""
        # the page that failed answers no more and cannot be taken off the stack: the new ones come above it
        self._pages, self._generation = {}, self._generation + 1
        self.broken = None
        self.push_screen(self.page("scope"))

    # Screenshots never show what is revealed

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        self.action_mask()
        return super().export_screenshot(title=title, simplify=simplify)
