"""Where rules may match: one pass of all patterns over the bytes, or, without hyperscan, one pass a rule.

Both give, for each rule, the windows outside of which it cannot match. A pattern spans at most `reach` bytes and every
match holds a hit of what the database looks for, so a window of `reach` to both sides of each hit misses nothing, and
running the pattern inside the merged windows finds exactly what running it over the whole would find.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from scanners.ruleset import Rule, RuleSet

MARGIN = 64
"""Bytes a pattern may look ahead beyond its match."""
_SMALL = 4096
"""Up to here a document is one window: cutting it costs more than it saves."""

Window = tuple[int, int]


class Matcher(Protocol):
    """Says where each rule has to be tried."""

    def windows(self, data: bytes) -> Iterator[tuple[int, Sequence[Window]]]:
        """Rule numbers in ascending order, each with its windows in ascending order."""
        ...


class DatabaseMatcher:
    """All patterns in one hyperscan database."""

    def __init__(self, rules: RuleSet, database: Any) -> None:
        self._rules = rules
        self._database = database

    def windows(self, data: bytes) -> Iterator[tuple[int, Sequence[Window]]]:
        hits: dict[int, list[int]] = {}

        def on_hit(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            ends = hits.get(number)
            if ends is None:
                hits[number] = [end]
            else:
                ends.append(end)

        self._database.scan(data, match_event_handler=on_hit)
        size = len(data)
        for number in sorted(hits):
            if size <= _SMALL:
                yield number, ((0, size),)
            else:
                yield number, _around(hits[number], self._rules[number].reach, size)


class PlainMatcher:
    """The standard library alone: rules whose keywords occur are tried everywhere."""

    def __init__(self, rules: RuleSet) -> None:
        self._keywords = [tuple(word.encode() for word in rule.keywords) for rule in rules]

    def windows(self, data: bytes) -> Iterator[tuple[int, Sequence[Window]]]:
        lowered = data.lower()
        seen: dict[bytes, bool] = {}
        whole = ((0, len(data)),)
        for number, keywords in enumerate(self._keywords):
            for word in keywords:
                found = seen.get(word)
                if found is None:
                    found = seen[word] = word in lowered
                if found:
                    yield number, whole
                    break


def _around(ends: list[int], reach: int, size: int) -> list[Window]:
    """Windows around hits, merged where they touch."""
    merged: list[Window] = []
    start, stop = max(0, ends[0] - reach), ends[0] + reach
    for end in ends[1:]:
        if end - reach <= stop:
            stop = max(stop, end + reach)
        else:
            merged.append((start, min(size, stop + MARGIN)))
            start, stop = end - reach, end + reach
    merged.append((start, min(size, stop + MARGIN)))
    return merged


def compile_database(rules: Sequence[Rule]) -> Any:
    """Compile all patterns into one hyperscan database.

    Raises:
        hyperscan.CompilerError: a pattern it cannot take; the rules' own tests keep that from happening.
    """
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[rule.searched.encode() for rule in rules],
        ids=list(range(len(rules))),
        elements=len(rules),
        flags=[hyperscan.HS_FLAG_PREFILTER if "(?" in rule.searched else 0 for rule in rules],
    )
    return database


def dump_database(database: Any) -> bytes:
    """A compiled database as bytes."""
    import hyperscan

    data: bytes = hyperscan.dumpb(database)
    return data


def load_database(data: bytes) -> Any:
    """A database from bytes; None when the library refuses them (another processor, another version, damage)."""
    import hyperscan

    try:
        database = hyperscan.loadb(data, hyperscan.HS_MODE_BLOCK)
        database.scratch = hyperscan.Scratch(database)
        # Deserialising checks little; a scan of nothing tells whether this processor can run it.
        database.scan(b"-", match_event_handler=lambda *_: None)
    except hyperscan.HyperscanError:
        return None
    return database


def library_version() -> str | None:
    """Names the hyperscan that is installed; None when there is none for this platform."""
    try:
        from hyperscan._version import __version__ as version
    except ImportError:
        return None
    return str(version)
