"""detect-secrets: its baselines and the output of `detect-secrets scan`, which hold a SHA-1 of each value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.imports.making import Make, place_of
from scanners.model import Finding

NAME = "detect-secrets"


def recognises(document: Any) -> bool:
    return isinstance(document, dict) and "plugins_used" in document and isinstance(document.get("results"), dict)


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for name, entries in document["results"].items():
        for entry in entries:
            kind = entry["type"]
            yield make.finding(
                "detect-secrets-" + "-".join(str(kind).lower().split()),
                kind,
                place_of(name, entry.get("line_number")),
                digest=entry["hashed_secret"],
                live=entry.get("is_verified") is True,
                # An audit labelled it as no secret.
                status="allowed" if entry.get("is_secret") is False else "new",
            )
