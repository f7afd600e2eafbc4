"""What looking for a rule's pattern takes, without what judging its matches takes: most windows hold no match at all.

Rules are many and one commit has to do with few of them. So this much of each is kept beside the database in a form that
is read in a moment (`dumped`, `read`), and the rest of a rule is read when its pattern has matched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from scanners.ruleset import Rule

Window = tuple[int, int, int]
"""Matches begin from the first offset on and before the second, and may be looked for up to the third."""
Kept = TypeVar("Kept")

HEAD = 24
"""Characters of what a match begins with that are looked for, at most."""
_FIELDS, _RECORDS = "\x1f", "\x1e"
SEPARATORS = frozenset(_FIELDS + _RECORDS)
"""Characters that no pattern may hold."""


class Sought(NamedTuple):
    """What is sought for one rule."""

    hits: int
    """The number under which the database reports where its matches may be."""
    group: int
    """The group of the pattern that is the value."""
    before: int
    """How many bytes of a match lie before a hit's end, at most."""
    reach: int
    """Bytes a match spans, at most."""
    one_line: bool
    """No match holds a line break."""
    judged: bool
    """Name and value decide, not the pattern."""
    heads: str
    """A pattern of what every match begins with, in lower case; empty: nobody knows."""
    pattern: str

    @classmethod
    def of(cls, rule: Rule, hits: int) -> Sought:
        """What is sought for a rule."""
        before = rule.before or rule.reach
        return cls(hits, rule.group, before, rule.reach, rule.one_line, bool(rule.judge), rule.heads, rule.pattern)


def dumped(sought: Sequence[Sought]) -> bytes:
    """As `read` takes it."""
    return _RECORDS.join(
        _FIELDS.join(part if isinstance(part, str) else str(int(part)) for part in one) for one in sought
    ).encode()


def read(data: bytes) -> list[Sought]:
    """The inverse of `dumped`.

    Raises:
        ValueError: something that it did not write.
    """
    found = []
    for record in data.decode().split(_RECORDS) if data else ():
        hits, group, before, reach, one_line, judged, heads, pattern = record.split(_FIELDS)
        found.append(
            Sought(int(hits), int(group), int(before), int(reach), one_line == "1", judged == "1", heads, pattern)
        )
    return found


# Most rules never match anything.
_COMPILED: dict[str, re.Pattern[bytes]] = {}


def compiled(pattern: str) -> re.Pattern[bytes]:
    """A rule's pattern, compiled on first use."""
    found = _COMPILED.get(pattern)
    if found is None:
        found = _COMPILED[pattern] = re.compile(pattern.encode())
    return found


def kept(
    sought: Sought, data: bytes, windows: Sequence[Window], judged: Callable[[re.Match[bytes]], Kept | None]
) -> Iterator[Kept]:
    """What `judged` makes of a rule's matches in its windows, in order; they do not overlap.

    What matches the pattern and is turned down hides nothing that begins in its value.
    """
    pattern = compiled(sought.pattern)
    heads = compiled(sought.heads) if sought.heads else None
    done = 0
    for low, high, stop in windows:
        at = max(low, done)
        # Looking for the keywords in lower case first is many times faster than a pattern without case.
        lowered = data[low : high + HEAD].lower() if heads else b""
        while at < high:
            if heads:
                head = heads.search(lowered, at - low)
                if head is None or head.start() + low >= high:
                    break
                at = head.start() + low
                hit = pattern.match(data, at, stop)
                if hit is None:
                    at += 1
                    continue
            else:
                hit = pattern.search(data, at, stop)
                if hit is None or hit.start() >= high:
                    break
            made = judged(hit)
            if made is not None:
                yield made
            at = done = max(hit.start(sought.group) if made is None else hit.end(), hit.start() + 1)
