"""keylift's own findings, schema 1. Fingerprints stay: they tell equal values apart within one report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from scanners.imports.making import Make, number, text
from scanners.model import (
    AzureLocation,
    CommitLocation,
    Confidence,
    FileLocation,
    Finding,
    Location,
    Severity,
)

NAME = "keylift"
_SCHEMA = 1
_STATUS = ("new", "known", "allowed")
_PREVIEW = re.compile(r"(?:.{4})?… \([<>=0-9]+ chars\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """A place in an image, as a report tells it."""

    entries: tuple[tuple[str, Any], ...]
    kind: ClassVar[str] = "image"

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **dict(self.entries)}

    def sort_key(self) -> tuple[Any, ...]:
        about = dict(self.entries)
        return (self.kind, *(str(about.get(key) or "") for key in ("image", "layer", "path", "config")))


def recognises(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and document.get("schema") == _SCHEMA
        and isinstance(document.get("tool"), dict)
        and isinstance(document.get("findings"), list)
    )


def findings(document: Any, make: Make) -> Iterator[Finding]:
    del make
    for entry in document["findings"]:
        shown, status = text(entry.get("preview")), entry.get("status", "new")
        if status not in _STATUS:
            raise ValueError("no status")
        yield Finding(
            rule=_told(entry, "rule"),
            title=_told(entry, "title"),
            severity=Severity(entry["severity"]),
            confidence=Confidence(entry["confidence"]),
            location=_location(entry["location"]),
            fingerprint=_told(entry, "fingerprint"),
            preview=shown if _PREVIEW.fullmatch(shown) else "",
            verified=entry.get("verified"),
            service=entry.get("service"),
            detail=entry.get("detail"),
            weak=entry.get("weak") is True,
            status=status,
        )


def _told(entry: Mapping[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _location(place: Mapping[str, Any]) -> Location:
    kind = place["kind"]
    if kind == "azure":
        return AzureLocation(_told(place, "resource"), _told(place, "path"), _told(place, "name"))
    if kind == "image":
        return ImageLocation(tuple((key, value) for key, value in place.items() if key != "kind"))
    where = (_told(place, "path"), number(place.get("line")), number(place.get("column")))
    if kind == "file":
        return FileLocation(*where)
    if kind != "commit":
        raise ValueError(kind)
    return CommitLocation(
        *where,
        commit=place.get("commit"),
        author_date=place.get("author_date"),
        at_head=place.get("at_head", True) is not False,
    )
