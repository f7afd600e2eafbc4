"""Drift in its formats: human, JSON, SARIF."""

from __future__ import annotations

import hashlib
import json
from itertools import groupby
from urllib.parse import quote

from migrator.about import HOME
from migrator.drift import KINDS, Drift, Item
from migrator.model import Json
from migrator.output import _words as words

_LEVEL = {"critical": "error", "high": "error", "medium": "warning"}
_SCORE = {"critical": "9.5", "high": "8.0", "medium": "5.5"}


def human(found: Drift, _tool: Json) -> str:
    """By kind, worst first; then what could not be looked at, and one sentence."""
    lines: list[str] = []
    for kind, items in groupby(found.items, key=lambda item: item.kind):
        lines.append(f"{KINDS[kind][1]:<9}{KINDS[kind][0]}")
        for item in items:
            where = words.short(item.app) if item.app else words.short(item.resource)
            lines.append(f"  {words.clean(where)}: {words.clean(item.subject)}: {words.clean(item.text)}")
            if (item.by or item.at) and "last changed by" not in item.text:
                kind_of = f" ({words.clean(item.by_type)})" if item.by_type else ""
                lines.append(
                    f"    by {words.clean(item.by) or 'unknown'}{kind_of} at {words.clean(item.at) or 'unknown'}"
                )
            lines.append(f"    run {item.run}; see it whole: keylift verify {item.run}")
        lines.append("")
    if found.unchecked:
        lines.append("Could not be looked at")
        lines += [
            f"  {words.clean(entry.get('where'))}: {words.clean(entry.get('what'))}; {words.clean(entry.get('hint') or '')}"
            for entry in found.unchecked
        ]
        lines.append("")
    looked = f"{words.count(found.checks, 'check')} of {words.count(len(found.apps), 'app')} in "
    looked += words.count(len(found.runs), "run")
    good = "nothing drifted" if not found.unchecked else "nothing drifted of what could be looked at"
    verdict = words.count(len(found.items), "thing") + " drifted" if found.items else good
    return "\n".join([*lines, f"{looked}: {verdict}"]) + "\n"


def as_json(found: Drift, tool: Json) -> str:
    """The object, with the tool's name and version."""
    document = found.as_dict()
    return json.dumps({"schema": document.pop("schema"), "tool": tool, **document}, indent=2, ensure_ascii=False) + "\n"


def sarif(found: Drift, tool: Json) -> str:
    """SARIF 2.1.0: one result for each thing that drifted."""
    kinds = sorted({item.kind for item in found.items})
    page = f"{HOME}/blob/main/docs/commands/drift.md"
    run = {
        "tool": {
            "driver": {
                "name": tool["name"],
                "version": tool["version"],
                "informationUri": HOME,
                "rules": [
                    {
                        "id": f"drift-{kind}",
                        "name": "Drift" + "".join(part.capitalize() for part in kind.split("-")),
                        "shortDescription": {"text": KINDS[kind][0]},
                        "helpUri": page,
                        "help": {"text": f"See what changed, and apply or plan again. {page}"},
                        "defaultConfiguration": {"level": _LEVEL[KINDS[kind][1]]},
                        "properties": {"security-severity": _SCORE[KINDS[kind][1]], "tags": ["security", "drift"]},
                    }
                    for kind in kinds
                ],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "warning",
                        "message": {"text": words.clean(f"{entry.get('where')}: {entry.get('what')}")},
                    }
                    for entry in found.unchecked
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, kinds) for item in found.items],
    }
    document = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _result(item: Item, kinds: list[str]) -> Json:
    changed = (
        f"; changed by {item.by or 'unknown'} at {item.at}" if item.at and "last changed by" not in item.text else ""
    )
    key = f"keylift-drift/v1\0{item.kind}\0{item.resource.lower()}\0{item.path}\0{item.subject.lower()}"
    where = item.resource or item.app
    return {
        "ruleId": f"drift-{item.kind}",
        "ruleIndex": kinds.index(item.kind),
        "level": _LEVEL[item.severity],
        "message": {"text": words.clean(f"{item.title}: {words.short(where)}: {item.subject}: {item.text}{changed}")},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(where.lstrip("/"), safe="/-_.~") or "unknown"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [
                    {
                        "name": words.clean(item.subject),
                        "fullyQualifiedName": words.clean(f"{where}#{item.path}"),
                        "kind": "resource",
                    }
                ],
            }
        ],
        "partialFingerprints": {"keylift-drift/v1": hashlib.sha256(key.encode()).hexdigest()},
        "properties": {"run": item.run, "app": item.app, "changed": item.as_dict()["changed"]},
    }
