"""trufflehog 3 (`--json`): one object a line, the value in clear, and whether it could sign in with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanners.imports.making import Make, mapping, place_of
from scanners.model import Finding

NAME = "trufflehog"


def recognises(document: Any) -> bool:
    entries = document if isinstance(document, list) else [document]
    return bool(entries) and all(isinstance(entry, dict) and "SourceMetadata" in entry for entry in entries)


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for entry in document if isinstance(document, list) else [document]:
        # {"Git": {...}}, {"Filesystem": {...}}, {"Docker": {...}}: one source each.
        sources = mapping(entry["SourceMetadata"].get("Data"))
        kind = next(iter(sources), "")
        about = mapping(sources.get(kind))
        path = about.get("file") or about.get("path") or about.get("link") or kind.lower()
        place = place_of(path, about.get("line"), 1, about.get("commit"), about.get("timestamp"))
        name = entry["DetectorName"]
        yield make.finding(
            f"trufflehog-{name}",
            f"{name} credential",
            place,
            # RawV2 has both parts of credentials of two; Raw is the part that is a secret by itself.
            value=entry.get("Raw") or entry.get("RawV2"),
            live=entry.get("Verified") is True,
        )
