"""Who can read what: tables, JSON, and the words that the page (`_access_page`) has in common with them."""

from __future__ import annotations

import json

from migrator.access_report import (
    ALL,
    CAN_LIST,
    CONSOLE,
    DEPLOYS,
    LISTS_KEYS,
    AccessReport,
    Comparison,
    Grant,
    Reading,
)
from migrator.model import ResourceId
from migrator.output import _words as words
from migrator.output._words import count

WAYS = {
    CAN_LIST: "lists secrets, resolved ones too",
    CONSOLE: "opens a console, where all variables are",
    DEPLOYS: "deploys with any secret of the vault",
    LISTS_KEYS: "lists its keys",
}


def as_json(report: AccessReport, compared: Comparison | None = None) -> str:
    """The report, and beside it what changes."""
    document = report.as_dict() | ({"compared": compared.as_dict()} if compared is not None else {})
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def human(report: AccessReport, compared: Comparison | None = None) -> str:
    """Tables."""
    from migrator.rendering import table

    rows = []
    for who in report.principals:
        for reading in who.readings:
            by = ", ".join(sorted({given_by(grant) for grant in reading.grants}))
            rows.append((f"{who.name} ({who.kind})", f"{name_of(reading.vault)}/{what_of(reading)}", by))
    lines = ["Who reads vault secrets", ""]
    lines.append(
        table(rows, ("WHO", "SECRET", "BY")) if rows else "nobody, as far as role assignments and policies tell"
    )
    wide = [(who, excess) for who in report.principals for excess in who.excess]
    if wide:
        lines += ["", "Wider than needed", ""]
        for who, excess in wide:
            lines.append(f"{who.name}: {given_by(excess.grant)}: {excess.why}")
            lines += [f"    {command}" for command in excess.commands]
    readers: dict[tuple[str, str, str], set[str]] = {}
    for reader in report.value_readers:
        way = WAYS.get(reader.way, "sees env values")
        readers.setdefault((reader.name, way, given_by(reader.grant)), set()).update(reader.apps)
    if readers:
        lines += ["", "Who reads values without a vault role", ""]
        lines.append(
            table(
                [(*key, count(len(apps), "resource")) for key, apps in sorted(readers.items())],
                ("WHO", "HOW", "BY", "OF"),
            )
        )
    broken = [entry for entry in report.references if entry.readable is False]
    if broken:
        lines += ["", "References that their identity cannot read", ""]
        lines.append(
            table(
                [(name_of(r.app), r.name, f"{name_of(r.vault)}/{r.secret}") for r in broken],
                ("APP", "SECRET", "VAULT SECRET"),
            )
        )
    if report.resources:
        lines += ["", "What secrets open, and who else gets at it", ""]
        lines.append(table(resource_rows(report), ("RESOURCE", "OPENED BY", "WHO ELSE", "HOW", "BY")))
    if compared is not None:
        lines += ["", f"Before and after {compared.what}", ""]
        pairs = [
            (who.name, ", ".join(before) or "nothing", ", ".join(after) or "nothing" if before != after else "the same")
            for who, before, after in compared.changes
        ]
        lines.append(table(pairs, ("WHO", "READS BEFORE", "READS AFTER")) if pairs else "nobody reads a vault secret")
        opened = opening_rows(compared)
        lines += ["", table(opened, ("RESOURCE", "OPENED BEFORE BY", "OPENED AFTER BY"))] if opened else []
    lines += ["", *report.notes] if report.notes else []
    return "\n".join(words.clean(line) for line in "\n".join(lines).split("\n")) + "\n"


def resource_rows(report: AccessReport, *, whole: bool = False) -> list[tuple[str, str, str, str, str]]:
    """(resource, opened by, who else, how, by) of what secrets open; the first two once for each resource, or in every row."""
    found = []
    for one in report.resources:
        by = ", ".join(f"{name_of(app)} {name}" for app, name in one.by)
        first = (name_of(one.resource), by)
        readers = [
            (reader.name, WAYS.get(reader.way, "role with data actions"), given_by(reader.grant))
            for reader in one.readers
        ]
        if one.own_roles:
            readers.append(("not seen", "the service's own roles", ""))
        for number, (who, way, grant) in enumerate(readers or [("nobody", "", "")]):
            found.append((*(first if whole or number == 0 else ("", "")), who, way, grant))
    return found


def opening_rows(compared: Comparison) -> list[tuple[str, str, str]]:
    """(resource, what opens it before, after) of those where that changes."""

    def told(by: tuple[tuple[str, str], ...]) -> str:
        return ", ".join(f"{name_of(app)} {name}" for app, name in by) or "nothing"

    return [(name_of(resource), told(before), told(after)) for resource, before, after in compared.openings]


def name_of(resource: str) -> str:
    """The name of an ARM id; anything else as it is."""
    try:
        return ResourceId.parse(resource).name
    except ValueError:
        return resource


def given_by(grant: Grant) -> str:
    """What gives an access, and where."""
    through = f" through group {grant.through}" if grant.through else ""
    return f"{grant.name} at {place_of(grant.scope)}{through}" + (
        ", if its condition holds" if grant.conditional else ""
    )


def place_of(scope: str) -> str:
    """A scope as people call it."""
    parts = scope.strip("/").split("/")
    if scope.strip("/") == "":
        return "the tenant"
    if len(parts) == 2:
        return f"subscription {parts[1]}"
    return "/".join(parts[-2:])


def what_of(reading: Reading) -> str:
    """The secret that can be read, or which of a vault."""
    if reading.secret != ALL:
        return reading.secret
    return "every secret" + (f" but {', '.join(reading.denied)}" if reading.denied else "")
