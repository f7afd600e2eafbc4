"""Findings: one row a secret, its places below; what is known of it, and what is decided about it."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from scanners.model import Confidence, Finding, reveal
from tui import theme
from tui.dialogs import Ask, Field
from tui.journey import decisions
from tui.known import RANKS, Known, known_secrets, name_of, resource_of, since
from tui.page import Filter, Page
from tui.widgets.bars import Plot, bar, heights
from tui.widgets.grid import Column, Grid
from tui.widgets.pane import Pane
from tui.widgets.rows import Cell, Row
from tui.wording import clean, count, joined, says, short, within

SHOWN = 0.9
"""Seconds a value stays after the last repeat of the key: longer than the pause before a held key repeats."""
AGES = ((7, "≤ week"), (31, "≤ month"), (92, "≤ quarter"), (366, "≤ year"), (10**6, "older"))


class FindingsPage(Page):
    """A table of secrets, and a pane on the one under the cursor."""

    NAME = "findings"
    HELP = (
        "One row is one value, wherever it lies; **Right** shows its places. Equal values are found by a keyed fingerprint, "
        "so the same password in two apps is one row, and rotating it once is enough.\n\n"
        "Values that a rule is sure of move unless you say otherwise. **i** ignores a secret: it is real and stays, for a "
        "reason and until a day. **f** says it is no secret. **a** accepts it, also where the rule is not sure. **u** takes "
        "a decision back. With rows selected, each of these speaks of all selected.\n\n"
        "Values are masked. **v**, held down, shows the one under the cursor; it is gone when the key is let go. Nothing is "
        "copied or written, and F8 hides it at once."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "ignore", "Ignore", id="findings.ignore", tooltip="It is real and stays: a reason, until a day"),
        Binding("f", "false", "False", id="findings.false", tooltip="It is no secret"),
        Binding("a", "accept", "Accept", id="findings.accept", tooltip="Move it, also where the rule is not sure"),
        Binding("u", "undecide", "Undecide", show=False, id="findings.undecide", tooltip="Take the decision back"),
        Binding(
            "v", "reveal", "Hold: value", show=False, id="findings.reveal", tooltip="Show the value while held down"
        ),
        Binding("d", "detail", "Detail", show=False, id="findings.detail", tooltip="Go to the pane with what is known"),
    ]
    DEFAULT_CSS = """
    FindingsPage #bar { height: 1; }
    FindingsPage #split { layout: vertical; height: 1fr; }
    FindingsPage #detail { height: 8; }
    FindingsPage #value { height: auto; display: none; background: $warning 20%; padding: 0 1; }
    FindingsPage #value.-shown { display: block; }
    FindingsPage.-wide #split { layout: horizontal; }
    FindingsPage.-wide #detail { width: 46; height: 1fr; padding: 1 2; }
    """
    HELP_OF: ClassVar[dict[str, str]] = {
        "detail": "What is known of the secret under the cursor: where it lies, why it was found, who else has it, and what "
        "takes its place. Scroll with the arrows; **Tab** goes back to the rows."
    }

    def __init__(self) -> None:
        super().__init__()
        self._for: tuple[object, int] | None = None
        self._known: dict[str, Known] = {}
        self._since: dict[str, date] = {}
        self._hide: Timer | None = None

    def body(self) -> Iterable[Widget]:
        yield Plot(id="plot", classes="-one")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: name, kind, app, rule, decision")
        with Container(id="split"):
            yield Grid(
                [
                    Column("Severity", 15),
                    Column("Secret", share=3),
                    Column("Kind", share=3, least=72),
                    Column("Places", 6, right=True),
                    Column("Apps", 5, right=True, least=84),
                    Column("Sure", 9, least=95),
                    Column("Decision", 9),
                ],
                mark="top",
                empty="Nothing lies in plain sight. Well done.",
            )
            yield Pane(id="detail")
        yield Static(id="value", markup=False)

    # Content

    def findings(self) -> list[Finding]:
        """All that count: of the estate, of repositories, of images."""
        session = self.wizard.session
        found = list(session.material.report.findings) if session.material else []
        for extra in session.extra.values():
            found += extra
        return [finding for finding in found if finding.status == "new"]

    def shown(self) -> None:
        session = self.wizard.session
        now = (session.material, sum(len(extra) for extra in session.extra.values()))
        if self._for != now and session.material is not None:
            self._for = now
            self._since = since(session.material.estate)
            self._known = {one.fingerprint: one for one in known_secrets(self.findings())}
            assert self.grid is not None
            self.grid.set_rows(self._rows())
            # What was found stays as long as it is shown: a collector that looks through ten thousand findings while
            # somebody scrolls is felt as a key that hangs. What a former scan found is given back first.
            gc.unfreeze()
            gc.collect()
            gc.freeze()
        self._plot()
        self._tell()

    def on_unmount(self) -> None:
        gc.unfreeze()

    def _rows(self) -> Iterable[Row]:
        decided = decisions(self.wizard.journey)
        for known in self._known.values():
            yield self._row(known, decided.get(known.fingerprint, ""))
            for number, finding in enumerate(known.findings):
                place = finding.location.as_dict()
                yield Row(
                    f"{known.fingerprint}/{number}",
                    ([(str(finding.severity), "dim")], name_of(finding), _short_place(place), "", "", "", ""),
                    parent=known.fingerprint,
                    find=f"{finding.rule} {within(place)} {place.get('resource', '')} {resource_of(finding)}",
                    data=finding,
                )

    def _row(self, known: Known, decision: str) -> Row:
        worst = known.worst
        sign, role = theme.SEVERITY[str(worst.severity)]
        cells: tuple[Cell, ...] = (
            [(f"{sign} {worst.severity}", role)],
            [(known.names[0], "strong"), *([(f" +{len(known.names) - 1}", "dim")] if len(known.names) > 1 else [])],
            clean(worst.title),
            str(len(known.findings)),
            str(len(known.resources)),
            [(str(worst.verified or worst.confidence), "good" if worst.verified else "")],
            _decision(decision, worst),
        )
        sort = (RANKS.index(str(worst.severity)), None, None, -len(known.findings), -len(known.resources), None, None)
        return Row(known.fingerprint, cells, find=decision, sort=sort, data=known)

    def _refresh(self, marks: Iterable[str]) -> None:
        assert self.grid is not None
        decided = decisions(self.wizard.journey)
        for mark in marks:
            if mark in self._known:
                row = self._row(self._known[mark], decided.get(mark, ""))
                self.grid.update_row(mark, row.cells, row.find)
        session = self.wizard.session
        session.plan = session.rehearsal = None
        self.wizard.save()
        self._detail(self.grid.current)
        self._tell()
        self.crumbs()

    def _plot(self) -> None:
        by = Counter(str(one.worst.severity) for one in self._known.values())
        most = max(by.values(), default=1)
        colors = {"critical": "error", "high": "error", "medium": "warning", "low": "primary"}
        parts: list[tuple[str, str]] = []
        for name in RANKS:
            parts += [(f"{name} ", ""), (bar(by[name] / most, 6).rstrip() or "·", colors[name]), (f" {by[name]}  ", "")]
        ages = self._ages()
        told = "  ".join(f"{number} {name}" for (_, name), number in zip(AGES, ages, strict=True) if number)
        parts += [("│ age ", ""), (heights(ages), "primary"), (f"  {told}", "")]
        self.query_one("#plot", Plot).show(*parts)

    def _ages(self) -> list[int]:
        counts = [0] * len(AGES)
        for known in self._known.values():
            days = self._days(known)
            if days is not None:
                counts[next(at for at, (most, _) in enumerate(AGES) if days <= most)] += 1
        return counts

    def _days(self, known: Known) -> int | None:
        """Days since when it has lain somewhere, as far as anything tells."""
        found = []
        for finding in known.findings:
            place = finding.location.as_dict()
            text = str(place.get("author_date") or "")[:10]
            try:
                day = date.fromisoformat(text) if text else self._since.get(str(place.get("resource", "")).lower())
            except ValueError:
                day = None
            if day is not None:
                found.append((self.wizard.today() - day).days)
        return max(0, *found) if found else None

    def _tell(self) -> None:
        assert self.grid is not None
        stay = sum(1 for mark in self.wizard.journey.ignored if mark in self._known)
        marked = len(self.grid.model.marked)
        text = f"{count(len(self._known), 'secret')}, {stay} stay"
        if self.grid.model.words:
            text = f"{len(self.grid.model.passing()):,} of {len(self._known):,} secrets, {stay} stay"
        self.say(text + (f"   selected: {marked:,} of {len(self._known):,}" if marked else ""))

    def filtered(self) -> None:
        self._tell()

    def on_grid_marked(self) -> None:
        self._tell()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self.hide()
        self._detail(event.row)

    # The pane

    def _detail(self, row: Row | None) -> None:
        pane = self.query_one(Pane)
        if row is None or self.grid is None:
            pane.show("")
            return
        known: Known = self.grid.model.top_of(row).data
        finding = row.data if isinstance(row.data, Finding) else known.worst
        pane.show(self._about(known, finding))

    def _about(self, known: Known, finding: Finding) -> Text:
        place = finding.location.as_dict()
        text = Text()

        def line(name: str, told: str) -> None:
            if told:
                text.append(f"{name:<9} ", style="dim")
                text.append(told + "\n")

        text.append(f"{name_of(finding)}  ", style="bold")
        text.append(f"{finding.preview}\n")
        line("where", clean(short(str(place.get("resource") or place.get("image") or place.get("path") or ""))))
        line("at", within(place))
        line("why", f"{clean(finding.title)} ({finding.rule})")
        sure = f"{finding.confidence} confidence"
        line("sure", f"{sure}; {'proven by its ' + finding.verified if finding.verified else 'not verified'}")
        line("says", says(finding) if finding.detail or finding.weak else "")
        own = resource_of(finding)
        others = [name for name in known.resources if name != own]
        line("also in", joined(others[:8]) + (f" and {len(others) - 8} more" if len(others) > 8 else ""))
        days = self._days(known)
        line("since", "" if days is None else f"{count(days, 'day')} at least")
        line("instead", self._instead(known))
        decided = self.wizard.journey.ignored.get(known.fingerprint)
        if decided:
            until = f" until {decided['until']}" if decided["until"] else ""
            line("decided", f"{'no secret' if decided['verdict'] == 'false' else 'stays'}{until}: {decided['reason']}")
        return text

    def _instead(self, known: Known) -> str:
        slot = next((slot for slot in self.wizard.session.slots if slot.fingerprint == known.fingerprint), None)
        if slot is not None and slot.action:
            return f"a reference to the vault secret {slot.name}, read by the app's own identity"
        if all(finding.location.kind != "azure" for finding in known.findings):
            return "rotate it: what lies in history or an image cannot be moved"
        if known.worst.rule == "registry-password":
            return "pulling with a managed identity"
        return "a Key Vault reference, read by the app's own identity"

    def action_detail(self) -> None:
        self.query_one("#detail").focus()

    # Decisions

    def _targets(self) -> list[str]:
        assert self.grid is not None
        if self.grid.model.marked:
            return [mark for mark in self._known if mark in self.grid.model.marked]
        return [self.grid.model.top_of(self.grid.current).key] if self.grid.current else []

    def _of(self, marks: Sequence[str]) -> str:
        if len(marks) == 1 and not (self.grid and self.grid.model.marked):
            return self._known[marks[0]].names[0]
        return f"{len(marks)} of {count(len(self._known), 'secret')}"

    def action_ignore(self) -> None:
        def until(text: str) -> str:
            if not text.strip():
                return ""
            try:
                day = date.fromisoformat(text.strip())
            except ValueError:
                return "Write the day as 2026-12-31, or leave it empty."
            return "" if day >= self.wizard.today() else "That day has passed."

        later = str(self.wizard.today() + timedelta(days=90))
        fields = [
            Field("reason", "Why does it stay?", check=_reason),
            Field("until", "Until when? (empty: for ever)", later, "2026-12-31", until),
        ]
        self._decide("ignored", "Ignore", fields)

    def action_false(self) -> None:
        self._decide("false", "No secret:", [Field("reason", "How do you know?", check=_reason)])

    def _decide(self, verdict: str, words: str, fields: Sequence[Field]) -> None:
        marks = self._targets()
        if not marks:
            return

        def decided(answer: str | None) -> None:
            if answer is None:
                return
            said = json.loads(answer)
            journey = self.wizard.journey
            for mark in marks:
                journey.ignored[mark] = {"verdict": verdict, "reason": said["reason"], "until": said.get("until", "")}
                if mark in journey.accepted:
                    journey.accepted.remove(mark)
            self._refresh(marks)

        self.app.push_screen(Ask(f"{words} {self._of(marks)}", "", fields, "Decide"), decided)

    def action_accept(self) -> None:
        marks = self._targets()
        journey = self.wizard.journey
        for mark in marks:
            journey.ignored.pop(mark, None)
            if mark not in journey.accepted:
                journey.accepted.append(mark)
        journey.accepted.sort()
        self._refresh(marks)
        if len(marks) > 1:
            self.notify(f"Accepted {self._of(marks)}.", timeout=3)

    def action_undecide(self) -> None:
        marks = self._targets()
        journey = self.wizard.journey
        for mark in marks:
            journey.ignored.pop(mark, None)
            if mark in journey.accepted:
                journey.accepted.remove(mark)
        self._refresh(marks)

    # One value, while a key is held down

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "reveal":
            return self.wizard.reveal_allowed
        return super().check_action(action, parameters)

    def action_reveal(self) -> None:
        material, row = self.wizard.session.material, self.grid.current if self.grid else None
        if material is None or row is None or self.grid is None:
            return
        known: Known = self.grid.model.top_of(row).data
        chosen = [row.data] if isinstance(row.data, Finding) else list(known.findings)
        value = next((value for finding in chosen if (value := material.value(finding)) is not None), None)
        shown = self.query_one("#value", Static)
        if value is None:
            shown.update("The value is not at hand: only those of live apps are.")
        else:
            shown.update(clean(reveal(value)))
        shown.add_class("-shown")
        if self._hide is not None:
            self._hide.stop()
        self._hide = self.set_timer(SHOWN, self.hide)

    def hide(self) -> None:
        """Take a revealed value from the screen."""
        if self._hide is not None:
            self._hide.stop()
            self._hide = None
        shown = self.query("#value")
        if shown and shown.first().has_class("-shown"):
            shown.first(Static).update("")
            shown.first().remove_class("-shown")

    def on_screen_suspend(self) -> None:
        self.hide()


def _reason(text: str) -> str:
    return "" if text.strip() else "Say why, for whoever asks later."


def _decision(decision: str, worst: Finding) -> Cell:
    if decision == "ignored":
        return [("– ignored", "dim")]
    if decision == "false":
        return [("– false", "dim")]
    if decision == "accepted":
        return [("✓ moves", "good")]
    if worst.confidence is Confidence.LOW:
        return [("? unsure", "warn")]
    return [("→ moves", "")]


def _short_place(place: dict[str, object]) -> str:
    if place.get("kind") == "azure":
        parts = str(place["resource"]).strip("/").split("/")
        return clean("/".join(parts[-1:] if "revisions" not in str(place["resource"]).lower() else parts[-3::2]))
    return clean(f"{place.get('path') or place.get('config') or ''}:{place.get('line') or ''}".rstrip(":"))
