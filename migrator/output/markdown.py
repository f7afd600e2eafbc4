"""Markdown: a report for a build's summary, a plan for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from migrator.model import Plan
from migrator.output import _changes as changes
from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Report


def findings(report: Report, look: Look) -> str:
    """A sentence, a table, and what could not be read."""
    del look
    text = ["## keylift findings", "", f"{_plain(words.summary(report))}.", ""]
    rows = []
    for finding in report.ordered():
        place = finding.location.as_dict()
        where = words.short(words.resource_of(place))
        called = f" {_code(place['name'])}" if place.get("name") else ""
        rows.append(
            [
                _plain(finding.severity),
                f"{_plain(finding.title)} ({_code(finding.rule)})",
                f"{_plain(where)}{called} {_code(words.within(place))}".rstrip(),
                _code(finding.preview),
                _plain(words.says(finding)),
            ]
        )
    if rows:
        text += _table(["severity", "what", "where", "preview", ""], rows)
    if report.errors:
        text += ["### Could not be read", ""]
        text += _table(
            ["where", "what", "way out"],
            [[_plain(e.get("where", "")), _plain(e.get("what", "")), _plain(e.get("hint", ""))] for e in report.errors],
        )
    return "\n".join(text).rstrip() + "\n"


def plan(plan: Plan, look: Look) -> str:
    """A diff for each app, then what is left, what is needed, and where values still lie."""
    del look
    vault = _code(words.short(str(plan.options.get("vault", ""))))
    about = f"Contract of run {_code(plan.finalizes)}" if plan.finalizes else f"Vault {vault}"
    text = [
        f"## keylift plan {_code(plan.id)}",
        "",
        f"{_plain(changes.summary(plan))}. {about}, cloud {_code(plan.cloud)}. No value is in this plan.",
        "",
    ]
    for number, line in enumerate(changes.no_return(plan)):
        text.append(f"> **{_plain(line)}**" if not number else f"> - {_plain(line.strip())}")
        text += [">"] if not number else []
    text += [""] if plan.irreversible else []
    for group in changes.groups(plan):
        text += _group(group)
    text += _rest(plan)
    return "\n".join(text).rstrip() + "\n"


def _group(group: changes.Group) -> list[str]:
    where = f" in {_code(group.where)}" if group.where else ""
    text = [f"### {_plain(group.title)}{where}", "", "````diff"]
    text += [f"{sign} {line}" for step in group.steps for sign, line in changes.lines(step)]
    text += ["````", ""]
    text += [f"> **{_plain(note['kind'])}**: {_plain(note['text'])}\n>" for note in group.notes]
    if group.notes:
        text[-1] = text[-1].removesuffix("\n>")
        text.append("")
    rows = [[_code(step.id), _plain(step.why), _plain(changes.undo(step))] for step in group.steps]
    losses = [[_code(step.id), _plain(changes.lost(step))] for step in group.steps if changes.lost(step)]
    if losses:
        text += _table(["step", "what is lost"], losses)
    return [*text, *_folded("why, and how it is undone", _table(["step", "why", "undo"], rows))]


def _rest(plan: Plan) -> list[str]:
    text: list[str] = []
    notes = changes.loose_notes(plan)
    if notes:
        text += ["### Know this", ""]
        text += [f"- **{_plain(note['kind'])}**: {_plain(note['text'])}" for note in notes] + [""]
    if plan.skipped:
        what = "thing" if plan.finalizes else "finding"
        text += [f"### Skipped: {words.count(len(plan.skipped), what)}", ""]
        for entry in changes.skipped(plan):
            text.append(f"- {_plain(entry.reason)}.")
            text += [f"  - {_plain(place)}" for place in entry.places]
            text.append(f"  - way out: {_plain(entry.hint)}")
        text.append("")
    missing = changes.missing_rights(plan)
    if missing:
        text += ["### You lack", ""]
        for command, actions in changes.grants(missing):
            text += [f"- {', '.join(map(_code, actions))}", f"  - {_code(command)}"]
        text.append("")
    rights = plan.operator.get("permissions", [])
    if rights:
        held = {True: "yes", False: "**no**", None: "not known"}
        rows = [
            [_code(r["action"]), _code(r["scope"]), _plain(r["role"]), held.get(r.get("held"), "not known")]
            for r in rights
        ]
        text += _folded("what you need to apply it", _table(["action", "scope", "smallest role", "held"], rows))
    reach = changes.reach_rows(plan)
    if reach:
        rows = [[_plain(name), _plain(before), _plain(after)] for name, before, after in reach]
        text += _folded(_plain(changes.reachable(plan)), _table(["identity", "before", "after"], rows))
    could = changes.advice(plan)
    if could:
        text += ["### Could do without a secret altogether", ""]
        for one in could:
            text += [f"- {_plain(one.place)}: {_plain(one.head)}", *(f"  - {_plain(line)}" for line in one.lines)]
        text.append("")
    if plan.rest_risk:
        text += ["### Where values still lie afterwards", ""]
        for risk in changes.risks(plan):
            where = ", ".join(map(_code, risk.places))
            text.append(f"- {where}: {_plain(risk.what)}. Until {_plain(risk.until)}.")
        text.append("")
    return text


def _folded(title: str, body: Sequence[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *body, "</details>", ""]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def _plain(text: object) -> str:
    """Text that is shown as it stands: no markup, no link, no mention, no column break."""
    shown = words.clean(text)
    shown = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", shown)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;")


def _code(text: object) -> str:
    """Inline code; backticks inside it are shown as quotes, and column breaks are escaped for tables."""
    shown = words.clean(text).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown else ""
