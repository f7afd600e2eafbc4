"""Words that several formats share: counts, places, and text from outside made safe to show."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from scanners.model import Finding, Report, Severity

ORDER = (Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW)
"""Worst first."""


def clean(text: object) -> str:
    """Text from a cloud or a file without what moves a cursor, colours a terminal or turns reading around."""
    return "".join(
        character if unicodedata.category(character)[0] != "C" else " " if character in "\r\n\t" else "\ufffd"
        for character in str(text)
    )


def count(number: int, one: str, many: str = "") -> str:
    """`1 app`, `2 apps`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def joined(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    found = list(words)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def tally(findings: Iterable[Finding]) -> str:
    """`3 findings (1 critical, 2 high)`."""
    found = list(findings)
    by = Counter(finding.severity for finding in found)
    parts = ", ".join(f"{by[severity]:,} {severity}" for severity in ORDER if by[severity])
    return count(len(found), "finding") + (f" ({parts})" if parts else "")


def summary(report: Report) -> str:
    """One sentence on a whole report."""
    found = list(report.findings)
    parts = [tally(finding for finding in found if finding.status == "new")]
    for status in ("known", "allowed"):
        number = sum(1 for finding in found if finding.status == status)
        if number:
            parts.append(f"{number:,} {status}")
    if report.errors:
        parts.append(f"{count(len(report.errors), 'place')} could not be read")
    looked = ", ".join(f"{number:,} {clean(what)}" for what, number in sorted(report.scanned.items()))
    return ", ".join(parts) + (f"; looked at {looked}" if looked else "")


def resource_of(place: Mapping[str, Any]) -> str:
    """What a finding lies in: an ARM id, a file, an image."""
    if place.get("kind") == "azure":
        return clean(place["resource"])
    if place.get("kind") == "image":
        return clean(place.get("image"))
    return clean(place.get("path"))


def from_here(path: str) -> str:
    """A path as services read it: with forward slashes, and from the working folder when it lies below that."""
    here = os.getcwd().replace(os.sep, "/").rstrip("/") + "/"  # noqa: PTH109 - text is all that is needed
    return clean(path).replace("\\", "/").removeprefix(here).removeprefix("./")


def within(place: Mapping[str, Any]) -> str:
    """Where in it."""
    if place.get("kind") == "azure":
        return clean(place["path"])
    parts = []
    if place.get("kind") == "image":
        layer = place.get("layer")
        parts.append(f"{place.get('path') or place.get('config')}" + (f" in layer {layer}" if layer else ""))
        by = f"by layer {place['deleted_by']}" if place.get("deleted_by") else "in a later layer"
        parts += [f"deleted {by}"] if place.get("deleted") else []
        parts += [f"replaced by layer {place['replaced_by']}"] if place.get("replaced_by") else []
        parts += [f"made by {place['instruction']}"] if place.get("instruction") else []
    if place.get("line"):
        parts.append(f"line {place['line']}, column {place.get('column')}")
    if place.get("commit"):
        parts.append(f"commit {place['commit']}")
    return clean(", ".join(parts))


def short(resource: str) -> str:
    """A resource's own name, with its group for those that have one; of a collection the kind."""
    parts = resource.strip("/").split("/")
    low = [part.lower() for part in parts]
    if "providers" in low and "resourcegroups" in low:
        group = parts[low.index("resourcegroups") + 1]
        below = parts[low.index("providers") + 2 :]
        return f"{'/'.join(below[1::2]) or below[0]} in {group}" if below else group
    return resource


def says(finding: Finding) -> str:
    """What is known of a value beside its kind."""
    parts = []
    if finding.verified:
        parts.append(f"{finding.verified} holds")
    if str(finding.confidence) != "high" and not finding.verified:
        parts.append(f"{finding.confidence} confidence")
    if finding.detail:
        parts.append(finding.detail)
    if finding.weak:
        parts.append("weak")
    if finding.status != "new":
        parts.append(finding.status)
    return clean(", ".join(parts))
