"""gitleaks 8: a list of findings with the value in clear, unless `--redact` was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.imports.making import Make, place_of
from scanners.model import Finding

NAME = "gitleaks"


def recognises(document: Any) -> bool:
    """An empty list is what gitleaks writes when it finds nothing."""
    return isinstance(document, list) and (not document or (isinstance(document[0], dict) and "RuleID" in document[0]))


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for entry in document:
        place = place_of(
            entry["File"], entry.get("StartLine"), entry.get("StartColumn"), entry.get("Commit"), entry.get("Date")
        )
        yield make.finding(entry["RuleID"], entry.get("Description", ""), place, value=entry.get("Secret"))
