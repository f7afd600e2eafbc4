"""Where rules may match: one pass of all patterns over the bytes, or, without hyperscan, one pass a rule.

Both give, for each rule, the windows outside of which none of its matches begins. Every match holds a hit of what the
database looks for, and a pattern spans at most `reach` bytes, so the windows around hits miss nothing; trying the pattern
in them finds exactly what trying it everywhere would find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scanners.searching import Sought, Window

if TYPE_CHECKING:
    from scanners.ruleset import Rule, RuleSet

MARGIN = 64
"""Bytes a pattern may look ahead beyond its match."""

_KIND = 1 << 20
"""From here on, what the database reports are kinds of encoding, not rules."""


class Sight(NamedTuple):
    """What one look at bytes gave."""

    windows: Sequence[tuple[int, Sequence[Window]]] = ()
    """Rule numbers in ascending order, each with its windows in ascending order; no offset is in two of them."""
    kinds: AbstractSet[int] | None = frozenset()
    """Which kinds of encoding there may be, by their numbers in `scanners.kinds.KINDS`; None: not known."""


NOTHING = Sight()
"""Nothing to be tried, and nothing that may be encoded."""


class Matcher(Protocol):
    """Says where each rule has to be tried."""

    def look(self, data: bytes) -> Sight:
        """What is there to be tried in some bytes."""
        ...

    def beside(self) -> Matcher:
        """The same for another thread."""
        ...


class DatabaseMatcher:
    """All patterns in one hyperscan database."""

    def __init__(self, sought: Callable[[], Sequence[Sought]], database: Any, scratch: Any = None) -> None:
        """What is sought is asked for when something was hit, which in most files nothing is."""
        self._sought = sought
        self._database = database
        self._scratch = scratch or database.scratch
        self._groups: dict[int, list[int]] = {}

    def beside(self) -> DatabaseMatcher:
        return DatabaseMatcher(self._sought, self._database, self._scratch.clone())

    def look(self, data: bytes) -> Sight:
        hits: dict[int, list[int]] = {}

        def on_hit(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
            ends = hits.get(number)
            if ends is None:
                hits[number] = [end]
            else:
                ends.append(end)

        self._database.scan(data, match_event_handler=on_hit, scratch=self._scratch)
        if not hits:
            return NOTHING
        kinds = {number - _KIND for number in hits if number >= _KIND}
        if len(kinds) == len(hits):
            return Sight((), kinds)
        sought = self._sought()
        if not self._groups:
            for number, one in enumerate(sought):
                self._groups.setdefault(one.hits, []).append(number)
        found = sorted((number, group) for group in hits if group < _KIND for number in self._groups[group])
        return Sight([(number, _around(hits[group], sought[number], data)) for number, group in found], kinds)


class PlainMatcher:
    """The standard library alone: rules whose keywords occur are tried everywhere."""

    def __init__(self, rules: RuleSet) -> None:
        self._keywords = [tuple(word.encode() for word in rule.keywords) for rule in rules]

    def beside(self) -> PlainMatcher:
        return self

    def look(self, data: bytes) -> Sight:
        lowered = data.lower()
        seen: dict[bytes, bool] = {}
        whole = ((0, len(data), len(data)),)
        windows = []
        for number, keywords in enumerate(self._keywords):
            for word in keywords:
                found = seen.get(word)
                if found is None:
                    found = seen[word] = word in lowered
                if found:
                    windows.append((number, whole))
                    break
        return Sight(windows, None)


def _around(ends: list[int], sought: Sought, data: bytes) -> list[Window]:
    """Windows around hits, one where they touch. Hits come in ascending order."""
    # What follows a match may be part of the hit.
    before, after = sought.before + 1, sought.reach + MARGIN
    size = len(data)
    windows: list[Window] = []
    low, high, stop = -1, -1, -1
    for end in ends:
        if end == high:
            continue
        begin, last = end - before, end + after
        begin = max(0, begin)
        last = min(size, last)
        if sought.one_line:
            # The hit itself may hold the line's end, as its last byte.
            begin = data.rfind(b"\n", begin, end - 1) + 1 or begin
            last = data.find(b"\n", end - 1, last) + 1 or last
        if begin <= high:
            high, stop = end, max(stop, last)
            continue
        if high >= 0:
            windows.append((low, high, stop))
        low, high, stop = begin, end, last
    windows.append((low, high, stop))
    return windows


def _grouped(rules: Sequence[Rule] | RuleSet) -> dict[tuple[str, str], list[int]]:
    """Rules by what the database looks for: what several share is looked for once."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, rule in enumerate(rules):
        groups.setdefault((rule.trigger, "" if rule.trigger else rule.pattern), []).append(number)
    return groups


def sought_for(rules: Sequence[Rule] | RuleSet) -> list[Sought]:
    """What is sought for each rule, by its number."""
    found: dict[int, Sought] = {}
    for hits, numbers in enumerate(_grouped(rules).values()):
        found.update((number, Sought.of(rules[number], hits)) for number in numbers)
    return [found[number] for number in range(len(rules))]


def compile_database(rules: Sequence[Rule]) -> Any:
    """Compile all patterns into one hyperscan database.

    Raises:
        hyperscan.CompilerError: a pattern it cannot take; the rules' own tests keep that from happening.
    """
    import hyperscan

    from scanners.kinds import KINDS
    from scanners.triggers import sought

    expressions, flags = [], []
    for trigger, pattern in _grouped(rules):
        expression, approximate = sought(trigger, pattern)
        expressions.append(expression.encode())
        flags.append(hyperscan.HS_FLAG_PREFILTER if approximate else 0)
    ids = list(range(len(expressions)))
    # What may be encoded is looked for on the same way, once in a document.
    ids += range(_KIND, _KIND + len(KINDS))
    expressions += KINDS
    flags += [hyperscan.HS_FLAG_SINGLEMATCH] * len(KINDS)
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(expressions=expressions, ids=ids, elements=len(expressions), flags=flags)
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
