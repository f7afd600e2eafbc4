"""How foreign findings become ours: one place that touches values, numbers that are numbers, paths with slashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from scanners.model import (
    CommitLocation,
    Confidence,
    FileLocation,
    Finding,
    Fingerprinter,
    Location,
    Secret,
    Severity,
    preview,
)

_BLANKED = re.compile(r"\W*|.*(?:\.\.\.|…)|.*\*{3}.*|(?i:.*redacted.*)", re.DOTALL)
"""What tools write instead of a value when they are asked to."""


@dataclass(frozen=True, slots=True)
class Make:
    """Makes findings of one report."""

    tool: str
    fingerprinter: Fingerprinter

    def finding(
        self,
        rule: object,
        title: object,
        place: Location,
        *,
        value: object = None,
        digest: object = "",
        severity: Severity = Severity.HIGH,
        confidence: Confidence = Confidence.MEDIUM,
        live: bool = False,
        status: str = "new",
        tool: str = "",
    ) -> Finding:
        """A finding of another tool.

        Args:
            rule: the tool's id of its rule.
            title: what the rule finds; never a text that could quote the value.
            place: where.
            value: the value if the report has it in clear; only its fingerprint and preview stay.
            digest: the tool's own digest of the value, which tells equal values apart when there is no value.
            severity: how bad it is; few tools say.
            confidence: how sure the tool is; few say.
            live: whether the tool signed in with it.
            status: `new`, or `allowed` where the report says that somebody allowed it.
            tool: which tool found it, where the format does not say.

        Raises:
            TypeError: the rule is none.
        """
        if not isinstance(rule, str) or not rule:
            raise TypeError("no rule")
        known = value if isinstance(value, str) and not _BLANKED.fullmatch(value) else None
        if known is not None:
            fingerprint, shown = self.fingerprinter.of(known), preview(Secret(known))
        else:
            # Without the value equality is what the tool says, else every place is a secret of its own.
            stand_in = digest or "\0".join(map(str, (rule, *place.sort_key())))
            fingerprint, shown = self.fingerprinter.of(f"{self.tool}\0{stand_in}"), ""
        return Finding(
            rule=rule,
            title=text(title) or rule,
            severity=severity,
            confidence=Confidence.HIGH if live else confidence,
            location=place,
            fingerprint=fingerprint,
            preview=shown,
            verified="live" if live else None,
            detail=f"found by {tool or self.tool}",
            status=status,
        )


def place_of(path: object, line: object, column: object = 1, commit: object = "", date: object = "") -> Location:
    """A place in a file, or in a version of it where a commit is named.

    Raises:
        TypeError: there is no path.
    """
    if not isinstance(path, str) or not path:
        raise TypeError("no path")
    shown = path.replace("\\", "/").removeprefix("./")
    where = (shown, number(line), number(column))
    if not commit:
        return FileLocation(*where)
    # Whether HEAD still holds it, no other tool says: what is not known to be gone counts as there.
    return CommitLocation(*where, commit=str(commit), author_date=str(date) if date else None, at_head=True)


def number(value: object) -> int:
    """A line or column; what is none counts as the first."""
    return max(1, value) if isinstance(value, int) and not isinstance(value, bool) else 1


def text(value: object) -> str:
    """A text or nothing."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """An object or an empty one."""
    return value if isinstance(value, Mapping) else {}


def from_uri(uri: str) -> str:
    """A path of an address relative to the repository or of a `file:` one."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return unquote(parts.path)
    return unquote(uri)
