"""Findings as secrets: places of one value together, what it is called, and since when it lies there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from migrator.model import Estate
from scanners.model import Finding
from tui import theme
from tui.wording import clean

RANKS = list(theme.SEVERITY)


@dataclass(frozen=True, slots=True)
class Known:
    """One secret: every place that holds it."""

    fingerprint: str
    findings: tuple[Finding, ...]

    @property
    def worst(self) -> Finding:
        """The finding that tells most."""
        return min(self.findings, key=lambda f: (RANKS.index(str(f.severity)), f.verified is None, f.rule))

    @property
    def names(self) -> list[str]:
        """What it is called, most frequent first."""
        called = Counter(name_of(finding) for finding in self.findings)
        return [name for name, _ in called.most_common()]

    @property
    def resources(self) -> list[str]:
        """Apps, files and images that hold it, by their own names."""
        return list(dict.fromkeys(resource_of(finding) for finding in self.findings))


def name_of(finding: Finding) -> str:
    """What the place is called."""
    place = finding.location.as_dict()
    return clean(place.get("name") or str(place.get("path") or place.get("config") or "").rsplit("/", 1)[-1])


def resource_of(finding: Finding) -> str:
    """The app (of a revision: its app), the file or the image, by its own name."""
    place = finding.location.as_dict()
    text = str(place.get("resource") or place.get("image") or place.get("path") or "")
    parts = text.strip("/").split("/")
    low = [part.lower() for part in parts]
    if "containerapps" in low:
        return clean(parts[low.index("containerapps") + 1])
    return clean(parts[-1])


def known_secrets(findings: Iterable[Finding]) -> list[Known]:
    """Findings by value, worst first, then by name."""
    by: dict[str, list[Finding]] = {}
    for finding in findings:
        by.setdefault(finding.fingerprint, []).append(finding)
    known = [Known(mark, tuple(found)) for mark, found in by.items()]
    return sorted(known, key=lambda one: (RANKS.index(str(one.worst.severity)), one.names[0].lower(), one.fingerprint))


def since(estate: Estate) -> dict[str, date]:
    """Resource id, lower case -> the day since when it is known to be as it is."""
    found: dict[str, date] = {}
    for app in estate.apps:
        changed = (app.document.get("systemData") or {}).get("lastModifiedAt")
        pairs = [(app.id, changed)]
        pairs += [
            (str(revision.get("id")), (revision.get("properties") or {}).get("createdTime"))
            for revision in app.revisions
        ]
        for resource, text in pairs:
            try:
                found[resource.lower()] = date.fromisoformat(str(text)[:10])
            except ValueError:
                continue
    return found
