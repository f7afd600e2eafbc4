"""Proof: who reads what before and after, what proves each app, what remains, what to type next; and the way back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Static, TabbedContent, TabPane

from migrator import api
from tui import changes, theme
from tui.dialogs import Confirm
from tui.page import Page
from tui.screens.apply import ApplyPage
from tui.widgets import graph
from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Row
from tui.wording import clean, count

if TYPE_CHECKING:
    from migrator.proof import Proof
    from migrator.report import RunReport

TABS = ("access", "apps", "rest", "graph", "commands")


class ProofPage(Page):
    """A run as it stands now."""

    NAME = "proof"
    HELP = (
        "Everything here is read anew from the cloud. **Access** shows which identity reads which vault secret, before and "
        "after the run. **Apps** shows what proves each app: references, roles, a running replica. **Rest risk** lists every "
        "place where a moved value still lies: rotate those. **Graph** draws apps, identities and secrets. **Next** has the "
        "commands that do all this without the wizard.\n\n"
        "**Left** and **Right** on the tabs change between them, **[** and **]** do so from anywhere. **b** takes the run "
        "back: every app as it was, without needing the vault."
    )
    HELP_OF: ClassVar[dict[str, str]] = {"tabs": "**Left** and **Right** change between the views."}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "rollback", "Roll back", id="proof.rollback", tooltip="Put every app of this run back as it was"),
        Binding(
            "v", "verify", "Verify again", id="proof.verify", tooltip="Read the cloud again and prove the run anew"
        ),
        Binding("left_square_bracket", "tab(-1)", "[ tab", show=False, id="proof.tab-back", tooltip="The view before"),
        Binding("right_square_bracket", "tab(1)", "Tabs [ ]", id="proof.tab", tooltip="The next view; [ goes back"),
        Binding("y", "copy", "Copy", show=False, id="proof.copy", tooltip="Copy the commands of the view Next"),
    ]
    DEFAULT_CSS = """
    ProofPage TabbedContent { height: 1fr; }
    ProofPage TabPane { padding: 0 1; }
    ProofPage Underline > .underline--bar { color: $primary; }
    ProofPage Grid { height: 1fr; }
    ProofPage VerticalScroll { height: 1fr; overflow-x: auto; scrollbar-size: 1 1; }
    ProofPage VerticalScroll Static { width: auto; min-width: 100%; }
    ProofPage #risks, ProofPage #next { width: 100%; }
    """
    AUTO_FOCUS = "Tabs"

    def __init__(self) -> None:
        super().__init__()
        self._busy = False
        self._for = ""
        self._report: RunReport | None = None

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())

    def body(self) -> Iterable[Widget]:
        with TabbedContent(id="tabs"):
            with TabPane("Access", id="access"), VerticalScroll():
                yield Static(id="matrix", markup=False)
            with TabPane("Apps", id="apps"):
                yield Grid([Column("Status", 16), Column("App, check", share=2), Column("Found", share=3)], id="checks")
            with TabPane("Rest risk", id="rest"), VerticalScroll():
                yield Static(id="risks", markup=False)
            with TabPane("Graph", id="graph"), VerticalScroll():
                yield Static(id="wires", markup=False)
            with TabPane("Next", id="commands"), VerticalScroll():
                yield Static(id="next", markup=False)

    def shown(self) -> None:
        run = self.wizard.journey.run
        if self.wizard.session.proof is None or self.wizard.session.proof.run != run:
            self.action_verify()
        elif self._for != run:
            self._show(self.wizard.session.proof)

    def blocked(self) -> str:
        return "Proving …" if self._busy else ""

    def action_next(self) -> None:
        self.action_tab(1)

    def action_tab(self, by: int) -> None:
        tabs = self.query_one(TabbedContent)
        at = TABS.index(tabs.active) if tabs.active in TABS else 0
        tabs.active = TABS[(at + by) % len(TABS)]

    def action_verify(self) -> None:
        run, wizard = self.wizard.journey.run, self.wizard
        if self._busy or not run:
            return
        self._busy = True
        self.say(f"proving run {run}: reading the cloud again …")

        def job() -> tuple[Proof, RunReport]:
            place = wizard.cloud()
            return api.verify_run(place, run), api.run_report(place, run)

        self.start("proving the run", job, lambda both: self._proven(*both), failed=self._failed)

    def _failed(self) -> None:
        self._busy = False
        self.say("not proven; v tries again")

    def _proven(self, proof: Proof, report: RunReport) -> None:
        self._busy = False
        self.wizard.session.proof = proof
        self._report = report
        self._show(proof)
        self._risks(proof, report)
        self.crumbs()

    def _show(self, proof: Proof) -> None:
        self._for = proof.run
        self._draw()
        grid = self.query_one("#checks", Grid)
        rows = []
        for app in proof.apps:
            sign, word, role = theme.state(str(app.status))
            rows.append(
                Row(app.app, ([(f"{sign} {word}", role)], [(clean(app.name), "strong")], theme.state(app.state)[1]))
            )
            for number, check in enumerate(app.checks):
                sign, word, role = theme.state(str(check.status))
                name = f"{check.name} {clean(check.subject)}"
                cells = ([(f"{sign} {word}", role)], name, clean(check.text))
                rows.append(Row(f"{app.app}/{number}", cells, parent=app.app))
        grid.set_rows(rows)
        self._commands(proof)
        states = [str(app.status) for app in proof.apps]
        told = ", ".join(f"{states.count(one)} {one}" for one in dict.fromkeys(states))
        checks = sum(len(app.checks) for app in proof.apps)
        verdict = "everything is as the run left it" if proof.ok else "SOMETHING IS NOT AS THE RUN LEFT IT (Apps)"
        self.say(f"{count(checks, 'check')} of {count(len(proof.apps), 'app')}: {told}; {verdict}")

    def _draw(self) -> None:
        """What has colours of the theme in it."""
        proof, report, colors = self.wizard.session.proof, self._report, self._colors()
        if proof is not None:
            self.query_one("#matrix", Static).update(graph.matrix(proof.reaches, colors))
        if report is not None:
            self.query_one("#wires", Static).update(graph.wires(report.before, report.after, colors))

    def _colors(self) -> dict[str, str]:
        """Colours of the theme for what is drawn; none where the terminal's own are used."""
        variables = self.app.theme_variables
        found = {"good": variables.get("success", ""), "warn": variables.get("warning", "")}
        return {role: color for role, color in found.items() if color.startswith("#")}

    def _risks(self, proof: Proof, report: RunReport) -> None:
        text = Text()
        if proof.lying:
            text.append("Moved values that still lie in plain text: rotate these first\n\n", style="bold")
            for entry in proof.lying:
                text.append(f"{clean(entry.secret)}\n", style="bold")
                for place in entry.places:
                    text.append(f"  {clean(place)}\n")
            text.append("\n")
        risks = changes.risks(report.plan)
        if risks:
            text.append("Where else values lie, until when\n\n", style="bold")
            for risk in risks:
                text.append(f"{', '.join(risk.places)}\n")
                text.append(f"  {risk.what}; until {risk.until}\n", style="dim")
        for note in proof.notes:
            text.append(f"note: {clean(note)}\n")
        if not text.plain:
            text.append("No place is known where a moved value still lies.")
        self.query_one("#risks", Static).update(text)

    def _commands(self, proof: Proof) -> None:
        wizard = self.wizard
        text = Text()
        text.append("The same without the wizard (y copies)\n\n", style="bold")
        for line in self._lines():
            text.append(f"  {line}\n")
        text.append("\nNext steps\n\n", style="bold")
        told = [
            "rotate every value of Rest risk, then remove its old places",
            f"when the apps have proven themselves for some days: keylift finalize {proof.run} -o final.json",
            "keep watch in CI: keylift drift "
            + (
                f"--state {shared.url}" if (shared := wizard.place.shared) else f"--state-dir {wizard.place.state.path}"
            ),
            "keep new ones out: the pre-commit hook keylift-hook",
        ]
        for line in told:
            text.append(f"  · {line}\n")
        self.query_one("#next", Static).update(text)

    def _lines(self) -> list[str]:
        wizard = self.wizard
        place = wizard.place
        return wizard.journey.commands(
            wizard.session.standing,
            cloud=place.cloud,
            state=place.state.path,
            choices=wizard.choices_file,
            shared=place.shared.url if place.shared else "",
        )

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(self._lines()))
        self.notify("The commands are copied; they hold no value.", timeout=3)

    # The way back

    def action_rollback(self) -> None:
        proof = self.wizard.session.proof
        if self.wizard.session.running or proof is None:
            return
        ask_rollback(self, proof.run)


def ask_rollback(page: Page, run: str) -> None:
    """Ask, then show the rollback live. The journal may be a team's, behind a network: it is read in a thread."""
    page.start("reading the run", lambda: api.run_report(page.wizard.place, run), partial(_ask_rollback, page, run))


def _ask_rollback(page: Page, run: str, report: RunReport) -> None:
    wizard = page.wizard
    apps = [entry.app.rsplit("/", 1)[-1] for entry, _ in report.apps]
    word = apps[0] if len(apps) == 1 else f"roll back {len(apps)} apps"
    text = (
        "Every app of the run is put back as it was read before the plan: values become plain text again. Only what the run "
        "made is touched; the vault is not needed, and nothing in it is deleted. Doing it twice is safe."
    )

    def back(answer: str | None) -> None:
        if answer:
            live = wizard.page("apply")
            wizard.journey.run = run
            wizard.session.proof = None
            wizard.switch_screen(live)
            if isinstance(live, ApplyPage):
                wizard.call_later(live.rollback, run, report.plan)

    page.app.push_screen(Confirm(f"Roll run {run} back?", text, word, "Roll back"), back)
