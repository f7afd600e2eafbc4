"""Review: the plan as a tree of changes, what is lacked, what is left, what may undo it; save it, rehearse it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.widget import Widget

from migrator import api
from migrator.console import write_file
from migrator.model import Plan, ResourceId, Step
from tui import changes, theme
from tui.dialogs import Ask, Field
from tui.page import Filter, Page
from tui.widgets.bars import Plot
from tui.widgets.grid import Column, Grid
from tui.widgets.pane import Pane
from tui.widgets.rows import Cell, Row
from tui.wording import clean, count, joined, took

if TYPE_CHECKING:
    from migrator.rehearsal import Rehearsal

REACH = (
    "Counted is what an identity's own rights give, by roles, groups and access policies: secrets in vaults, and those of apps "
    "that it may list. The fewer, the less is lost with one app."
)


class ReviewPage(Page):
    """What will be done, before anything is."""

    NAME = "review"
    HELP = (
        "Every change stands with a sign and a word: **+ add**, **~ change**, **- remove**. The pane tells why a step is "
        "there, how it is undone, and which right it needs. At the top are rights that you lack; below the apps stand what "
        "is skipped and why, what may undo the change later, and where values still lie afterwards.\n\n"
        "**w** writes the plan: the same bytes as `keylift plan` with the same choices. **h** rehearses it: your estate is "
        "rebuilt in a private simulator, without values; the plan is carried out there, disturbed, and taken back."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "w", "write", "Write plan", id="review.write", tooltip="Write the plan to a file, as keylift plan does"
        ),
        Binding("h", "rehearse", "Rehearse", id="review.rehearse", tooltip="Carry it out where nothing can break"),
        Binding("d", "detail", "Detail", show=False, id="review.detail", tooltip="Go to the pane on this row"),
    ]
    DEFAULT_CSS = """
    ReviewPage #bar { height: 1; }
    ReviewPage #split { layout: vertical; height: 1fr; }
    ReviewPage #detail { height: 7; }
    ReviewPage.-wide #split { layout: horizontal; }
    ReviewPage.-wide #detail { width: 50; height: 1fr; padding: 1 2; }
    """
    HELP_OF: ClassVar[dict[str, str]] = {"detail": "Why this is there, how it is undone, and which right it needs."}

    def __init__(self) -> None:
        super().__init__()
        self._for: object = None
        self._busy = ""

    def body(self) -> Iterable[Widget]:
        yield Plot(id="blast")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: apps, steps, reasons")
        with Container(id="split"):
            yield Grid([Column("Change"), Column("", 9)], empty="The plan has no steps: nothing is to do.")
            yield Pane(id="detail")

    @property
    def plan(self) -> Plan | None:
        """The plan under review."""
        found: Plan | None = self.wizard.session.plan
        return found

    def shown(self) -> None:
        plan = self.plan
        if plan is None or self.grid is None:
            return
        now = (plan, self.wizard.session.rehearsal)
        if self._for != now:
            self._for = now
            rows = list(plan_rows(plan, self.wizard.session.rehearsal))
            self.grid.model.opened |= {row.key for row in rows if row.key.startswith(("app:", "lack", "rehearsal"))}
            self.grid.set_rows(rows)
            self._blast(plan)
        self._tell()

    def _blast(self, plan: Plan) -> None:
        switches = [step for step in plan.steps if step.kind == "app-switch"]
        restarts = sum(1 for step in switches if step.change["revision"] != "none")
        roles = sum(1 for step in plan.steps if step.kind == "role-assignment" and not step.change.get("existing"))
        lack = changes.missing_rights(plan)
        parts = [
            (f"{len(switches)} ", "primary"),
            ("apps   ", ""),
            (f"{restarts} ", "primary"),
            ("new revisions   ", ""),
            (f"{roles} ", "primary"),
            ("roles granted   ", ""),
            (f"{len(plan.skipped)} ", "primary"),
            ("skipped   ", ""),
            (f"✗ {count(len(lack), 'right')} lacked" if lack else "✓ no right lacked", "error" if lack else "success"),
        ]
        self.query_one("#blast", Plot).show(*parts)

    def _tell(self) -> None:
        plan, held = self.plan, self.wizard.session.rehearsal
        if plan is None:
            return
        if self._busy:
            self.say(self._busy)
            return
        rehearsed = "not rehearsed (h)" if held is None else "rehearsed well" if held.ok else "REHEARSAL NOT GOOD"
        saved = f", written to {self.wizard.journey.plan_file}" if self.wizard.journey.plan_file else ""
        self.say(f"plan {plan.id}: {count(len(plan.steps), 'step')}, {rehearsed}{saved}")

    def blocked(self) -> str:
        if self._busy:
            return "Rehearsing …"
        plan = self.plan
        return "" if plan is not None and plan.steps else "The plan has no steps"

    # The pane

    def on_grid_moved(self, event: Grid.Moved) -> None:
        pane = self.query_one(Pane)
        data = event.row.data if event.row else None
        if isinstance(data, Step):
            pane.show(step_text(data))
        elif isinstance(data, str):
            pane.show(clean(data))
        else:
            pane.show("")

    def action_detail(self) -> None:
        self.query_one("#detail").focus()

    # Writing and rehearsing

    def action_write(self) -> None:
        plan = self.plan
        if plan is None:
            return

        def check(text: str) -> str:
            path = Path(text.strip()).expanduser()
            if not text.strip() or path.is_dir():
                return "Name a file."
            if not path.absolute().parent.is_dir():
                return "There is no such folder."
            return ""

        def write(answer: str | None) -> None:
            if answer is None:
                return
            path = Path(json.loads(answer)["path"]).expanduser()

            def written(_: None) -> None:
                self.wizard.journey.plan_file = str(path)
                self.wizard.save()
                self.notify(f"The plan is in {path}.", timeout=4)
                self._tell()

            def job() -> None:
                from migrator.passwordless import script_files

                write_file(path, plan.to_json())
                for beside, script in script_files.beside(plan, path).items():
                    write_file(beside, script)

            self.start("writing the plan", job, written, group="write")

        now = self.wizard.journey.plan_file or "plan.json"
        self.app.push_screen(
            Ask("Write the plan", "It holds no value.", [Field("path", "File", now, check=check)], "Write"), write
        )

    def action_rehearse(self) -> None:
        plan = self.plan
        if plan is None or self._busy or not plan.steps:
            return
        self._busy = "rehearsing: reading the estate anew …"
        self._tell()
        self.crumbs()

        def told(text: str) -> None:
            self._busy = f"rehearsing: {text}"
            if self.app.is_running:
                self.app.call_later(self._tell)

        def ended(held: Rehearsal) -> None:
            self._busy = ""
            self.wizard.session.rehearsal = held
            self.shown()
            self.crumbs()
            if self.grid is not None:
                self.grid.go_to("rehearsal")

        def failed() -> None:
            self._busy = ""
            self._tell()
            self.crumbs()

        wizard = self.wizard
        self.start(
            "rehearsing the plan", lambda: api.rehearse_plan(wizard.cloud(), plan, tell=told), ended, failed=failed
        )


def step_text(step: Step) -> Text:
    """Everything on one step."""
    text = Text()
    for sign, line in changes.lines(step):
        text.append(f"{sign} {line}\n", style="bold")
    for name, told in (
        ("why", clean(step.why)),
        ("undo", clean(changes.undo(step))),
        ("needs", step.permission),
        ("after", joined(step.after)),
    ):
        if told:
            text.append(f"{name:<7}", style="dim")
            text.append(told + "\n")
    return text


def plan_rows(plan: Plan, held: Rehearsal | None) -> Iterable[Row]:
    """The plan as a tree: rights, rehearsal, apps with steps, what may undo it, what is skipped, what remains."""
    lack = changes.missing_rights(plan)
    if lack:
        yield Row("lack", ([(f"✗ You lack {count(len(lack), 'right')} that this plan needs", "bad")], ""))
        for number, (command, actions) in enumerate(changes.grants(lack)):
            text = f"{joined(actions)}\n\nwhoever may grant it types:\n{command}"
            yield Row(f"lack:{number}", (joined(actions), ""), parent="lack", find=command, data=text)
    if held is not None:
        yield from _rehearsal_rows(held)
    for group in changes.groups(plan):
        key = f"app:{group.title}/{group.where}"
        yield Row(key, ([(group.title, "strong"), (f"  {group.where}", "dim")], [(f"{len(group.steps)} steps", "dim")]))
        for step in group.steps:
            for number, (sign, line) in enumerate(changes.lines(step)):
                word, role = theme.SIGN.get(sign, ("", ""))
                yield Row(
                    f"{step.id}#{number}",
                    ([(f"{sign} ", role), (line, role if number == 0 else "")], [(word, role)]),
                    parent=key,
                    find=f"{step.why} {step.kind}",
                    data=step,
                )
        for number, note in enumerate(group.notes):
            text = clean(note["text"])
            yield Row(f"{key}!{number}", ([("! ", "warn"), (text, "")], [("note", "warn")]), parent=key, data=text)
    if told := changes.reachable(plan):
        yield Row("reach", ([(told[0].upper() + told[1:], "strong")], ""), data=REACH)
        for number, (identity, before, after) in enumerate(changes.reach_rows(plan)):
            text = f"{identity} can read {before} before, {after} after.\n\n{REACH}"
            cells: tuple[Cell, ...] = ([(f"{identity}  ", ""), (f"{before} → ", "dim"), (after, "")], "")
            yield Row(f"reach:{number}", cells, parent="reach", data=text)
    deployers = [note for note in plan.notes if note["kind"] == "deployer"]
    if deployers:
        yield Row("later", ([(f"May undo this later: {count(len(deployers), 'deployer')}", "warn")], ""))
        for number, note in enumerate(deployers):
            app = ResourceId.parse(str(note["app"])).name
            text = f"{app}: {clean(note['text'])}"
            yield Row(f"later:{number}", (text, ""), parent="later", data=text)
    if plan.skipped:
        yield Row("skipped", ([(f"Skipped: {count(len(plan.skipped), 'finding')}", "strong")], ""))
        for number, entry in enumerate(changes.skipped(plan)):
            text = f"{joined(entry.places)}\n\n{entry.reason}\n\n→ {entry.hint}"
            yield Row(f"skipped:{number}", (f"{joined(entry.places)}: {entry.reason}", ""), parent="skipped", data=text)
    if plan.rest_risk:
        risks = changes.risks(plan)
        yield Row("rest", ([("Where values still lie afterwards", "strong")], ""))
        for number, risk in enumerate(risks):
            text = f"{', '.join(risk.places)}\n\n{risk.what}; until {risk.until}"
            yield Row(f"rest:{number}", (f"{', '.join(risk.places)}: {risk.what}", ""), parent="rest", data=text)


def _rehearsal_rows(held: Rehearsal) -> Iterable[Row]:
    sign, role = ("✓", "good") if held.ok else ("✗", "bad")
    word = "well" if held.ok else "NOT GOOD"
    yield Row("rehearsal", ([(f"{sign} Rehearsal ended {word}", role)], [(took(held.wall), "dim")]))
    survived = sum(1 for trial in held.trials if trial.survived)
    told = [
        f"carried out: {count(held.steps, 'step')} on {count(held.apps, 'app')}, {held.proven} proven by a running replica",
        f"taken back: {count(held.inverses, 'inverse')} executed, the estate compared with before",
        f"disturbed: {survived} of {count(len(held.trials), 'fault')} survived, {count(held.deaths, 'death')} of the process",
        f"times: {took(held.took)} undisturbed, {took(held.worst[1])} at worst ({held.worst[0]}), on a simulated clock",
        *(f"problem: {text}" for text in held.problems),
        *(f"note: {text}" for text in held.notes),
    ]
    for number, text in enumerate(told):
        yield Row(f"rehearsal:{number}", (clean(text), ""), parent="rehearsal", data=text)
