"""Apply: one row a step with its state and time, a log, and a way to stop; also shows resumptions and rollbacks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.widget import Widget
from textual.widgets import RichLog

from migrator import api
from migrator.control import Control
from migrator.model import Json, Plan, ResourceId
from migrator.ports import Event
from tui import changes, theme
from tui.dialogs import Confirm, Failure
from tui.page import Filter, Page
from tui.widgets.bars import Plot, bar
from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Cell, Row
from tui.wording import clean, count, took

if TYPE_CHECKING:
    from migrator.executor import RunResult

STATES = {
    "step-started": "working",
    "step-waiting": "waiting",
    "step-done": "done",
    "step-adopted": "adopted",
    "step-failed": "failed",
    "step-undone": "undone",
}
APPS = {"app-done": "done", "app-failed": "failed", "app-rolled-back": "rolled-back"}
MANY = 60
"""Steps above which only apps at work are open."""


@dataclass(slots=True)
class Live:
    """One step or app as it stands."""

    name: str
    parent: str
    state: str = "pending"
    text: str = ""
    began: float | None = None
    ended: float | None = None

    def cells(self, now: float) -> tuple[Cell, ...]:
        """Its row."""
        sign, word, role = theme.state(self.state)
        elapsed = None if self.began is None else (self.ended or now) - self.began
        heavy = "strong" if not self.parent else ""
        return ([(f"{sign} {word}", role)], [(clean(self.name), heavy)], took(elapsed), clean(self.text))


class ApplyPage(Page):
    """A run, live."""

    NAME = "apply"
    HELP = (
        "**Enter** begins, after you typed what it asks for. Every step is written to the journal before it is made and "
        "proven after; an app that fails is put back as it was, the others go on. **x** stops after the steps that are at "
        "work now. Closing the terminal at any moment leaves a run that `keylift resume` goes on with."
    )
    HELP_OF: ClassVar[dict[str, str]] = {"log": "What happened, in order. Scroll with the arrows."}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "stop", "Stop after this step", id="apply.stop", tooltip="Stop after the steps at work now"),
        Binding("r", "resume", "Resume", id="apply.resume", tooltip="Go on with the run that was stopped"),
    ]
    DEFAULT_CSS = """
    ApplyPage #bar { height: 1; }
    ApplyPage #split { layout: vertical; height: 1fr; }
    ApplyPage #log { height: 6; background: $surface; padding: 0 1; scrollbar-size: 0 1; overflow-x: hidden; }
    ApplyPage.-wide #split { layout: horizontal; }
    ApplyPage.-wide #log { width: 64; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._for: object = None
        self._live: dict[str, Live] = {}
        self._events: deque[Event | str] = deque()
        self._control = Control()
        self._began = 0.0
        self._ended: float | None = None
        self._doing = ""
        self._leave: Callable[[], None] | None = None

    def body(self) -> Iterable[Widget]:
        yield Plot(id="progress", classes="-one")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: apps, steps, states")
        with Container(id="split"):
            yield Grid(
                [
                    Column("State", 16),
                    Column("Step", share=3),
                    Column("Time", 12, right=True),
                    Column("", share=3, least=100),
                ]
            )
            yield RichLog(id="log", max_lines=5000, min_width=20, markup=False, highlight=False, wrap=True)

    def on_mount(self) -> None:
        self.set_interval(0.1, self._tick)

    def shown(self) -> None:
        plan: Plan | None = self.wizard.session.plan
        running = self.wizard.session.running
        if plan is not None and not running and self._for is not plan and self.wizard.session.result is None:
            self.lay_out(plan)
        self._tell()

    # What is shown

    def lay_out(self, plan: Plan) -> None:
        """The rows of a plan, nothing begun."""
        self._for = plan
        self._live = {}
        for group in changes.groups(plan):
            app = group.steps[0].app.lower()
            key = app or "shared"
            self._live[key] = Live(group.title if app else "shared by several apps", "")
            for step in group.steps:
                self._live[step.id] = Live(step.id.partition("/")[2] if app else step.id, key)
        self._began, self._ended = 0.0, None
        assert self.grid is not None
        self.grid.model.opened = {
            key for key, live in self._live.items() if not live.parent and len(plan.steps) <= MANY
        }
        self._draw()

    def _draw(self) -> None:
        assert self.grid is not None
        now = time.monotonic()
        self.grid.set_rows(Row(key, live.cells(now), live.parent) for key, live in self._live.items())

    def _tell(self) -> None:
        plan: Plan | None = self.wizard.session.plan
        session = self.wizard.session
        if session.running:
            self.say("stopping after the steps at work …" if self._control.stopped else f"{self._doing} …")
        elif session.result is not None:
            told = summary(session.result)
            self.say(f"run {session.result.run}: {told}")
        elif plan is not None:
            self.say(f"nothing is changed yet: {count(len({s.app for s in plan.steps if s.app}), 'app')} to do")

    def blocked(self) -> str:
        if self.wizard.session.running:
            return "At work"
        if self.wizard.session.result is None and self.wizard.session.plan is not None:
            return ""
        return self.wizard.reach("proof")

    def _say(self) -> None:
        super()._say()
        session = self.wizard.session
        if not session.running and session.result is None and session.plan is not None:
            from rich.text import Text
            from textual.widgets import Static

            text = Text(self._said[0], no_wrap=True, overflow="ellipsis")
            right = "Enter ▸ apply this plan"
            text.truncate(max(0, self.size.width - 4 - len(right)), overflow="ellipsis", pad=True)
            text.append("  " + right, style="bold")
            self.query_one("#status", Static).update(text, layout=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "stop":
            return self.wizard.session.running
        if action == "resume":
            result = self.wizard.session.result
            return not self.wizard.session.running and result is not None and result.stopped
        return super().check_action(action, parameters)

    # Beginning

    def action_next(self) -> None:
        session = self.wizard.session
        if session.running or session.result is not None or session.plan is None:
            super().action_next()
            return
        self.ask(session.plan)

    def ask(self, plan: Plan) -> None:
        """The last question before anything is changed."""
        apps = sorted({step.app for step in plan.steps if step.app}, key=str.lower)
        if not apps:
            return
        name = ResourceId.parse(apps[0]).name
        word = name if len(apps) == 1 else f"apply {len(apps)} apps"
        held = self.wizard.session.rehearsal
        rehearsed = "" if held is not None and held.ok else "\n\nThis plan was not rehearsed, or not well (Review, h)."
        lack = changes.missing_rights(plan)
        lacking = f"\n\nYou lack {count(len(lack), 'right')} that it needs: it will stop there." if lack else ""
        text = (
            f"{changes.summary(plan)}.\n\nEach app is proven by a running replica; one that fails is put back as it was."
            f"{rehearsed}{lacking}"
        )
        self.app.push_screen(
            Confirm("Apply this plan?", text, word, "Apply"), lambda answer: self.apply(plan) if answer else None
        )

    def apply(self, plan: Plan) -> None:
        """Carry a plan out."""
        wizard = self.wizard
        self.lay_out(plan)
        self._run(
            "applying the plan",
            lambda control: api.apply_plan(wizard.cloud(), plan, control=control, on_event=self._events.append),
        )

    def rollback(self, run: str, plan: Plan) -> None:
        """Take a run back."""
        wizard = self.wizard
        self.lay_out(plan)
        self._run(
            f"taking run {run} back",
            lambda control: api.rollback_run(wizard.cloud(), run, control=control, on_event=self._events.append),
        )

    def resume(self, run: str, plan: Plan) -> None:
        """Go on with a run."""
        wizard = self.wizard
        if self._for is not plan or not self._live:
            self.lay_out(plan)
        self._run(
            f"going on with run {run}",
            lambda control: api.resume_run(wizard.cloud(), run, control=control, on_event=self._events.append),
        )

    def action_resume(self) -> None:
        result, plan = self.wizard.session.result, self._for
        if result is not None and isinstance(plan, Plan):
            self.resume(result.run, plan)

    def _run(self, doing: str, job: Callable[[Control], RunResult]) -> None:
        session = self.wizard.session
        self._control = control = Control()
        self._events.clear()
        session.running, session.result, session.proof = True, None, None
        self._doing = doing
        self._began, self._ended = time.monotonic(), None
        self.query_one("#log", RichLog).write(f"{doing}")
        self.refresh_bindings()
        self._tell()
        self.crumbs()
        self.start(doing, lambda: job(control), self._over, group="run", failed=self._broke, stopped=self._broke)

    def _broke(self) -> None:
        self.wizard.session.running = False
        self._ended = time.monotonic()
        self.refresh_bindings()
        self._tick()
        self._tell()
        self.crumbs()
        # the journal knows the run even where no result came
        self.start("reading the journal", lambda: api.list_runs(self.wizard.place), self._note_run, failed=self._left)

    def _note_run(self, runs: list[Json]) -> None:
        plan = self._for
        run = next((entry for entry in runs if isinstance(plan, Plan) and entry["plan"] == plan.id), None)
        if run is not None:
            self.wizard.journey.run = str(run["id"])
            self.wizard.save()
        self._left()

    def _over(self, result: RunResult) -> None:
        session = self.wizard.session
        session.running, session.result = False, result
        self._ended = time.monotonic()
        self.wizard.journey.run = result.run
        self.wizard.save()
        self._tick()
        log = self.query_one("#log", RichLog)
        log.write(f"run {result.run}: {summary(result)}")
        for text in result.left:
            log.write(f"left: {clean(text)}")
        for app in result.apps:
            key = app.app.lower()
            if key in self._live:
                self._live[key].state = app.state if app.proven or app.state != "done" else "unproven"
                self._live[key].text = (app.error or {}).get("what", "")
        self._draw()
        self.refresh_bindings()
        self._tell()
        self.crumbs()
        bad = next((app for app in result.apps if app.error), None)
        if self._leave is not None:
            self._left()
        elif bad is not None and bad.error:
            error = bad.error
            self.app.push_screen(
                Failure(
                    f"{self._doing} ({bad.name})",
                    str(error.get("what", "")),
                    str(error.get("why", "")),
                    str(error.get("hint", "")) or f"keylift status {result.run}",
                    retry=False,
                )
            )

    # Stopping

    def action_stop(self) -> None:
        self._control.stop()
        self._tell()
        self.notify("It stops after the steps that are at work now.", timeout=4)

    def halt(self) -> None:
        """Stop after the steps at work; from any thread, and with no widget touched."""
        self._control.stop()

    def stop_then(self, leave: Callable[[], None]) -> None:
        """Stop, and call back when the run has ended."""
        self._leave = leave
        self._control.stop()
        self._tell()

    def _left(self) -> None:
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()

    # Events

    def _tick(self) -> None:
        busy = self.wizard.session.running
        changed: list[str] = []
        while self._events:
            event = self._events.popleft()
            if isinstance(event, Event):
                changed += self._take(event)
        if not self.is_current or self.grid is None:
            return
        now = time.monotonic()
        if changed and self.grid.model.words:
            self._draw()
        for key, live in self._live.items():
            if key in changed or (busy and live.state in {"working", "waiting", "running", "undoing"}):
                self.grid.update_row(key, live.cells(now))
        self._progress(now)

    def _take(self, event: Event) -> list[str]:
        now = time.monotonic()
        touched: list[str] = []
        live = self._live.get(event.step)
        if live is not None and event.kind in STATES:
            live.state = STATES[event.kind]
            live.text = event.text
            if event.kind == "step-started":
                live.began, live.ended = now, None
            elif event.kind != "step-waiting":
                live.began = live.began or now
                live.ended = now
            touched.append(event.step)
            parent = self._live.get(live.parent)
            if parent is not None and parent.state in {"pending", "running"}:
                parent.state = "running"
                parent.began = parent.began or now
                touched.append(live.parent)
                if not live.parent.startswith("/"):
                    mine = [one for one in self._live.values() if one.parent == live.parent]
                    if all(one.state in {"done", "adopted", "undone"} for one in mine):
                        parent.state, parent.ended = "done", now
        app = self._live.get(event.app.lower()) if event.app else None
        if app is not None and event.kind in APPS:
            app.state, app.text, app.ended = APPS[event.kind], event.text, now
            app.began = app.began or now
            touched.append(event.app.lower())
        if event.kind not in {"step-started", "step-waiting"}:
            word = theme.state(STATES.get(event.kind) or APPS.get(event.kind) or "")[1] or event.kind.replace("-", " ")
            subject = event.step or event.app.rsplit("/", 1)[-1]
            told = f"{now - self._began:6.1f} s  {word:<11} {subject}" + (f": {event.text}" if event.text else "")
            self.query_one("#log", RichLog).write(clean(told))
        return touched

    def _progress(self, now: float) -> None:
        steps = [live for live in self._live.values() if live.parent]
        if not steps:
            return
        over = sum(1 for live in steps if live.state in {"done", "adopted", "undone", "failed", "skipped"})
        failed = sum(1 for live in self._live.values() if not live.parent and live.state in {"failed", "rolled-back"})
        elapsed = (self._ended or now) - self._began if self._began else 0.0
        working = [
            f"{self._live[live.parent].name} {live.name}" if live.parent.startswith("/") else live.name
            for live in steps
            if live.state in {"working", "waiting"}
        ]
        parts = [
            (bar(over / len(steps), 24), "primary"),
            (f" {over}/{len(steps)} steps   {took(elapsed)}   ", ""),
            (f"{count(failed, 'app')} not done   " if failed else "", "error"),
            (", ".join(working[:3]) if self.wizard.session.running else "", ""),
        ]
        self.query_one("#progress", Plot).show(*parts)


def summary(result: RunResult) -> str:
    """`12 apps done, 1 rolled back`."""
    states: dict[str, int] = {}
    for app in result.apps:
        word = "done, unproven" if app.state == "done" and not app.proven else theme.state(app.state)[1]
        states[word] = states.get(word, 0) + 1
    told = ", ".join(f"{number} {word}" for word, number in states.items())
    return ("interrupted; " if result.stopped else "") + (told or str(result.state))
