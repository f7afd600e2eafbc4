"""Runs: everything that was done before, and what can be done with it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from migrator import api
from migrator.model import Json
from tui import theme
from tui.page import Filter, Page
from tui.screens.apply import ApplyPage
from tui.screens.proof import ask_rollback
from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Row
from tui.wording import clean, count

if TYPE_CHECKING:
    from migrator.report import RunReport


class RunsPage(Page):
    """Past runs of this state folder."""

    NAME = "runs"
    HELP = (
        "Runs of this state folder, newest first. **Enter** proves the run under the cursor again, **r** goes on with one "
        "that was interrupted, **b** takes one back. A run whose process is gone stands as interrupted: nothing is lost."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "resume", "Resume", id="runs.resume", tooltip="Go on with the run under the cursor"),
        Binding("b", "rollback", "Roll back", id="runs.rollback", tooltip="Take the run under the cursor back"),
    ]
    DEFAULT_CSS = """
    RunsPage #bar { height: 1; }
    """

    def body(self) -> Iterable[Widget]:
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: runs, states, apps")
        yield Grid(
            [
                Column("State", 16),
                Column("Run", 24),
                Column("Apps"),
                Column("Started", 21, least=90),
                Column("Cloud", 12, least=110),
            ],
            empty="No run yet: nothing was applied from this state folder.",
        )

    def shown(self) -> None:
        self.start("reading the journal", lambda: api.list_runs(self.wizard.place), self._read)

    def _read(self, runs: list[Json]) -> None:
        assert self.grid is not None
        rows = []
        for run in runs:
            sign, word, role = theme.state(str(run["state"]))
            states = Counter(str(app["state"]) for app in run["apps"].values())
            told = ", ".join(f"{number} {theme.state(state)[1]}" for state, number in sorted(states.items()))
            cells = ([(f"{sign} {word}", role)], str(run["id"]), told, str(run["started"] or ""), clean(run["cloud"]))
            rows.append(Row(str(run["id"]), cells, find=" ".join(run["apps"]), data=run))
        self.grid.set_rows(rows)
        self.say(count(len(runs), "run"))

    def _run(self) -> Json | None:
        row = self.grid.current if self.grid else None
        found: Json | None = row.data if row else None
        return found

    def action_next(self) -> None:
        run = self._run()
        if run is not None:
            self.wizard.journey.run = str(run["id"])
            self.wizard.session.proof = None
            self.wizard.action_go("proof")

    def action_back(self) -> None:
        found = self.query(Filter)
        if found and (found.first().value or found.first().has_focus):
            super().action_back()
            return
        here = self.wizard.journey.page
        self.wizard.action_go(here if not self.wizard.reach(here) else "scope")

    def action_resume(self) -> None:
        run = self._run()
        if run is None or self.wizard.session.running:
            return
        if run["state"] not in {"interrupted", "failed"}:
            self.notify(f"There is nothing to go on with: it is {run['state']}.", timeout=4)
            return
        name = str(run["id"])

        def resume(report: RunReport) -> None:
            live = self.wizard.page("apply")
            self.wizard.switch_screen(live)
            if isinstance(live, ApplyPage):
                self.wizard.call_later(live.resume, name, report.plan)

        self.start("reading the run", lambda: api.run_report(self.wizard.place, name), resume)

    def action_rollback(self) -> None:
        run = self._run()
        if run is not None and not self.wizard.session.running:
            ask_rollback(self, str(run["id"]))
