"""kingfisher 1 and 2 (`-f json`, `-f jsonl`): findings with the value in clear, some validated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.imports.making import Make, mapping, number, place_of, text
from scanners.model import Confidence, Finding

NAME = "kingfisher"


def recognises(document: Any) -> bool:
    entries = list(_entries(document))
    return any("rule" in entry and "finding" in entry for entry in entries) or (
        isinstance(document, dict) and "kingfisher_version" in mapping(document.get("metadata"))
    )


def _entries(document: Any) -> Iterator[dict[str, Any]]:
    listed = document.get("findings") if isinstance(document, dict) else document
    if isinstance(listed, list):
        yield from (entry for entry in listed if isinstance(entry, dict))
    elif isinstance(document, dict) and "rule" in document:
        yield document


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for entry in _entries(document):
        if "finding" not in entry:
            # The last line of JSON lines tells of the run.
            continue
        rule, found = entry["rule"], entry["finding"]
        commit = mapping(mapping(found.get("git_metadata")).get("commit"))
        place = place_of(
            found["path"],
            found.get("line"),
            number(found.get("column_start")) + 1,
            commit.get("id"),
            commit.get("date"),
        )
        status = text(mapping(found.get("validation")).get("status"))
        yield make.finding(
            rule["id"],
            rule.get("description") or rule.get("name") or "",
            place,
            value=found.get("snippet"),
            digest=text(found.get("fingerprint")),
            confidence=Confidence(text(found.get("confidence")).lower() or "medium"),
            live=status.lower() == "active credential",
        )
