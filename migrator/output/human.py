"""For people at a terminal: findings by resource, a plan as a diff. rich is imported when something is shown."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from migrator.model import Json, Plan
from migrator.output import _changes as changes
from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Finding, Report

if TYPE_CHECKING:
    from rich.console import Console

_SEVERITY = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
_SIGN = {"+": "green", "~": "yellow", "-": "red", " ": ""}
_MOST = 12
"""Identities that are listed; the JSON form has all."""
_NARROW = 60
"""Columns below which text is not wrapped further: a terminal this narrow scrolls."""


def findings(report: Report, look: Look) -> str:
    """Findings by the resource they lie in, then what could not be read, then one sentence."""
    page = _Page(look)
    ordered = list(report.ordered())
    for resource, found in groupby(ordered, key=lambda f: words.resource_of(f.location.as_dict())):
        page.line((words.short(resource), "bold"))
        if words.short(resource) != resource:
            page.line((resource, "dim"), indent=2)
        for finding in found:
            _finding(page, finding)
        page.blank()
    if report.errors:
        page.line(("Could not be read", "bold"))
        for error in report.errors:
            page.line((words.clean(error.get("where") or ""), ""), indent=2)
            page.line((words.clean(error.get("what") or ""), ""), indent=4)
            if error.get("hint"):
                page.line(("→ ", "dim"), (words.clean(error["hint"]), "cyan"), indent=4)
        page.blank()
    page.line((words.summary(report), "bold"))
    return page.text()


def _finding(page: _Page, finding: Finding) -> None:
    place = finding.location.as_dict()
    dim = "" if finding.status == "new" else "dim"
    name = words.clean(place.get("name") or "")
    page.line(
        (f"{finding.severity:<9}", dim or _SEVERITY[str(finding.severity)]),
        (f"{words.clean(finding.title)} ", dim),
        (name, dim or "bold"),
        (f"  {words.clean(finding.preview)}", dim),
        indent=2,
        hang=9,
    )
    more = words.says(finding)
    page.line((f"{finding.rule}  {words.within(place)}{f'  ({more})' if more else ''}", "dim"), indent=11)


def plan(plan: Plan, look: Look) -> str:
    """The diff by app with why and undo, what is skipped, what you lack, where values still lie, the numbers."""
    page = _Page(look)
    page.line((f"Plan {plan.id}", "bold"), (f"  {_about(plan)}", "dim"))
    page.blank()
    for text in changes.no_return(plan):
        page.line((text.strip(), "bold red"), indent=2 if text.startswith(" ") else 0, hang=2)
    if plan.irreversible:
        page.blank()
    for group in changes.groups(plan):
        page.line((group.title, "bold"), (f"  {group.where}", "dim"))
        for step in group.steps:
            for sign, text in changes.lines(step):
                page.line((f"{sign} ", _SIGN[sign]), (text, _SIGN[sign]), indent=2, hang=2)
            page.line(("why   ", "dim"), (words.clean(step.why), "dim"), indent=6, hang=6)
            if changes.lost(step):
                page.line(("lost  ", "dim"), (changes.lost(step), "yellow"), indent=6, hang=6)
            style = "bold red" if step.undo.get("irreversible") else "dim"
            page.line(("undo  ", "dim"), (words.clean(changes.undo(step)), style), indent=6, hang=6)
        _notes(page, group.notes)
        page.blank()
    _notes(page, changes.loose_notes(plan), blank=True)
    _skipped(page, plan)
    _rights(page, plan)
    _advice(page, plan)
    _risks(page, plan)
    _reach(page, plan)
    page.line((changes.summary(plan), "bold"))
    return page.text()


def _about(plan: Plan) -> str:
    if plan.finalizes:
        return f"contract of run {words.clean(plan.finalizes)}, cloud {words.clean(plan.cloud)}"
    vault = words.clean(words.short(str(plan.options.get("vault", ""))))
    return f"into vault {vault}, cloud {words.clean(plan.cloud)}"


def _notes(page: _Page, notes: Iterable[Json], *, blank: bool = False) -> None:
    found = list(notes)
    for note in found:
        page.line(("! ", "magenta"), (words.clean(note["text"]), ""), indent=2, hang=2)
    if blank and found:
        page.blank()


def _skipped(page: _Page, plan: Plan) -> None:
    if not plan.skipped:
        return
    what = "thing" if plan.finalizes else "finding"
    page.line((f"Skipped: {words.count(len(plan.skipped), what)}", "bold"))
    for entry in changes.skipped(plan):
        for place in entry.places:
            page.line((place, ""), indent=2)
        page.line((entry.reason, "dim"), indent=4)
        page.line(("→ ", "dim"), (entry.hint, "cyan"), indent=4, hang=2)
    page.blank()


def _rights(page: _Page, plan: Plan) -> None:
    missing, unknown = changes.missing_rights(plan), changes.unknown_rights(plan)
    if missing:
        page.line((f"You lack {words.count(len(missing), 'right')} that this plan needs", "bold red"))
        for command, actions in changes.grants(missing):
            page.line((words.joined(actions), ""), indent=2, hang=2)
            page.line(("→ ", "dim"), (command, "cyan"), indent=4, hang=2)
        page.blank()
    if unknown:
        text = f"Whether you have {words.count(len(unknown), 'right')} of those needed is not known (--format json)"
        page.line((text, "dim"))
        page.blank()


def _advice(page: _Page, plan: Plan) -> None:
    could, stay = changes.advice(plan), changes.stay_secret(plan)
    if could:
        page.line(("Could do without a secret altogether (advice; this plan does not do it)", "bold"))
        for one in could:
            page.line((one.place, ""), indent=2)
            page.line((one.head, ""), indent=4)
            for text in one.lines:
                page.line((text, "dim"), indent=6, hang=2)
        page.blank()
    if stay:
        page.line(("Keys of Azure services that stay secrets, as far as is known", "bold"))
        for why, places in stay:
            page.line((", ".join(places), ""), indent=2, hang=2)
            page.line((why, "dim"), indent=4)
        page.blank()


def _risks(page: _Page, plan: Plan) -> None:
    if not plan.rest_risk:
        return
    page.line(("Where values still lie afterwards", "bold"))
    for risk in changes.risks(plan):
        page.line((", ".join(risk.places), ""), indent=2, hang=2)
        page.line((f"{risk.what}; until {risk.until}", "dim"), indent=4)
    page.blank()


def _reach(page: _Page, plan: Plan) -> None:
    rows = changes.reach_rows(plan)
    if not rows:
        return
    page.line(("Secrets reachable", "bold"), ("  by identity, before and after", "dim"))
    for name, before, after in rows[:_MOST]:
        page.line(
            (f"{name}: ", ""), (f"{before} → {after}" if before != after else f"{after}, as before", "dim"), indent=2
        )
    if len(rows) > _MOST:
        page.line(
            (f"{words.count(len(rows) - _MOST, 'more identity', 'more identities')} (--format json)", "dim"), indent=2
        )
    page.line((changes.reachable(plan), "dim"), indent=2)
    page.blank()


class _Page:
    """Collects styled lines; wraps at blanks, never inside a word, so that ids and commands can be copied whole."""

    def __init__(self, look: Look) -> None:
        from rich.console import Console

        self._width = max(look.width, _NARROW)
        self._buffer = io.StringIO()
        self._console: Console = Console(
            file=self._buffer,
            force_terminal=look.color,
            color_system="standard" if look.color else None,
            no_color=not look.color,
            width=100_000,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )

    def line(self, *parts: tuple[str, str], indent: int = 0, hang: int = 0) -> None:
        """One line of `(text, style)` parts, continued with `hang` more columns where it is too long."""
        from rich.text import Text

        room = self._width
        current, used, start = Text(" " * indent), indent, True
        for text, style in parts:
            for word, blank in _words(text):
                if used + len(word) > room and not start:
                    self._put(current)
                    current, used = Text(" " * (indent + hang)), indent + hang
                current.append(word, style=style or None)
                current.append(" " * blank)
                used += len(word) + blank
                start = False
        self._put(current)

    def blank(self) -> None:
        """An empty line."""
        self._console.print()

    def text(self) -> str:
        """Everything so far."""
        return self._buffer.getvalue()

    def _put(self, text: object) -> None:
        from rich.text import Text

        if isinstance(text, Text):
            text.rstrip()
            self._console.print(text, soft_wrap=True)


def _words(text: str) -> list[tuple[str, int]]:
    """`(word, blanks after it)`; leading blanks count as an empty word's."""
    found: list[tuple[str, int]] = []
    word, blanks = "", 0
    for character in text:
        if character == " ":
            blanks += 1
            continue
        if blanks:
            found.append((word, blanks))
            word, blanks = "", 0
        word += character
    return [*found, (word, blanks)]
