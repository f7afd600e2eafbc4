"""betterleaks 2: findings with the value in clear, unless `--redact` was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.imports.making import Make, mapping, place_of
from scanners.model import Confidence, Finding

NAME = "betterleaks"


def recognises(document: Any) -> bool:
    return isinstance(document, dict) and "schema_version" in document and isinstance(document.get("findings"), list)


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for entry in document["findings"]:
        where, about, found = entry["location"], mapping(entry.get("attributes")), mapping(entry.get("match"))
        place = place_of(
            where["path"],
            where.get("start_line"),
            where.get("start_column"),
            about.get("git.sha"),
            about.get("git.date"),
        )
        yield make.finding(
            entry["rule_id"],
            entry.get("description", ""),
            place,
            value=found.get("value"),
            digest=found.get("fingerprint", ""),
            confidence=Confidence(entry.get("confidence") or "medium"),
        )
