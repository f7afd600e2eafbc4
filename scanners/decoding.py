"""Decode and look again: what is written in base64, in hex, percent-encoded or with escapes, to depth two.

Every kind is found by a search that costs next to nothing where there is none of it, and what is found is decoded only
if it begins as text does. All that one pass decoded is scanned as one document. A level never holds more than twice the
bytes of the document, and every byte is looked at a fixed number of times, so work is linear in the size of the document
whatever it holds. Decoded values keep their place in the document.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from threading import local
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from scanners.kinds import ESCAPE, KINDS, KUBERNETES, PERCENT, RUNS

if TYPE_CHECKING:
    from scanners.confirm import Candidate

DEPTH = 2
_BUDGET = 2
"""Bytes that a level may hold for each byte of the document: an escaped line, and the base64 that is in it."""
_BARRIER = b"\n\x00\n"
"""Between decoded pieces: no value and no pattern spans it."""


class Piece(NamedTuple):
    """A part of a document, decoded."""

    data: bytes
    start: int
    """Where the encoded form begins in the document."""
    end: int
    how: str
    """How it was written."""
    place: Callable[[int], int]
    """Offset in `data` -> offset in the document."""
    replaces: bool = False
    """What the encoded form looks like means nothing: only the decoded value counts."""


class Found(Protocol):
    """What an engine finds in bytes by all of its rules, and which kinds of encoding there may be, if it knows."""

    def __call__(self, data: bytes, /) -> tuple[list[Candidate], AbstractSet[int] | None]: ...


class _Level:
    """Everything that was decoded out of one buffer, as one buffer."""

    def __init__(self, kinds: AbstractSet[int] | None = None) -> None:
        self.pieces: list[Piece] = []
        self.starts: list[int] = []
        self.data = b""
        self.kinds = kinds
        """What may be encoded in it; None: not known."""

    def at(self, start: int, end: int) -> tuple[Piece, int] | None:
        """The piece in which a part of the buffer lies whole, and where the piece begins."""
        number = bisect_right(self.starts, start) - 1
        if number < 0 or end > self.starts[number] + len(self.pieces[number].data):
            return None
        return self.pieces[number], self.starts[number]


def decoded_views(data: bytes) -> Iterator[Piece]:
    """What is written in other ways in a document, outer layers first, each in the order of where it lies."""
    for level in _levels(data):
        yield from level.pieces


def look_again(
    found: list[Candidate], data: bytes, scan: Found, kinds: AbstractSet[int] | None = None
) -> list[Candidate]:
    """What was found in a document, with what is found in it once it is decoded.

    A value that was found as it stands is not found again because it stands in something that can be decoded. The data
    of a Kubernetes Secret counts decoded only: its base64 is no password of its own.

    Args:
        found: what the rules find in the document as it stands.
        data: the document.
        scan: all candidates of a buffer, by the same rules.
        kinds: numbers of `KINDS` that the document may hold; None: not known.
    """
    more: list[Candidate] = []
    known: _Known | None = None
    for level in _levels(data, kinds):
        if known is None:
            found = _without_replaced(found, level)
            known = _Known(found)
        candidates, level.kinds = scan(level.data)
        for candidate in candidates:
            placed = _placed(candidate, level)
            if placed is not None and not known.has(placed):
                more.append(placed)
    return found + more if more else found


def _placed(candidate: Candidate, level: _Level) -> Candidate | None:
    match = candidate.match
    home = level.at(match.start, match.end)
    if home is None:
        return None
    piece, base = home
    start = piece.place(match.start - base)
    end = max(piece.place(match.end - base), start + 1)
    detail = f"written in {piece.how}"
    if match.detail:
        detail = f"{match.detail}, {detail}"
    name_start = min(start, piece.place(max(0, candidate.name_start - base)))
    return candidate._replace(match=match._replace(start=start, end=end, detail=detail), name_start=name_start)


def _without_replaced(found: list[Candidate], level: _Level) -> list[Candidate]:
    """What was found, but for encoded forms that are no values of their own."""
    spans = sorted((piece.start, piece.end) for piece in level.pieces if piece.replaces)
    if not spans:
        return found

    def replaced(candidate: Candidate) -> bool:
        match = candidate.match
        at = bisect_right(spans, (match.start, sys.maxsize)) - 1
        return match.verified is None and at >= 0 and match.end <= spans[at][1]

    return [candidate for candidate in found if not replaced(candidate)]


class _Known:
    """Values that were found as they stand, with their places."""

    def __init__(self, found: Sequence[Candidate]) -> None:
        from scanners.matches import reveal

        self._reveal = reveal
        self._places: dict[str, list[tuple[int, int]]] = {}
        for candidate in found:
            match = candidate.match
            self._places.setdefault(reveal(match.secret), []).append((match.start, match.end))
        for places in self._places.values():
            places.sort()

    def has(self, candidate: Candidate) -> bool:
        """Whether the same value was found at the same place."""
        match = candidate.match
        places = self._places.get(self._reveal(match.secret))
        if not places:
            return False
        at = bisect_left(places, (match.end, 0))
        return at > 0 and places[at - 1][1] > match.start


def _levels(data: bytes, kinds: AbstractSet[int] | None = None) -> Iterator[_Level]:
    buffer, outer = data, _Level(kinds=kinds)
    for depth in range(DEPTH):
        level = _Level()
        parts: list[bytes] = []
        size, budget = 0, _BUDGET * len(data)
        for inner in _pieces(buffer, outer.kinds):
            piece = inner
            if depth:
                placed = _inside(inner, outer)
                if placed is None:
                    continue
                piece = placed
            budget -= len(piece.data)
            if budget < 0:
                break
            level.pieces.append(piece)
            level.starts.append(size)
            parts += (piece.data, _BARRIER)
            size += len(piece.data) + len(_BARRIER)
        if not level.pieces:
            return
        level.data = b"".join(parts)
        yield level
        buffer, outer = level.data, level


def _inside(inner: Piece, outer: _Level) -> Piece | None:
    """A piece of a decoded buffer as one of the document."""
    home = outer.at(inner.start, inner.end)
    if home is None:
        return None
    around, base = home
    return inner._replace(
        start=around.place(inner.start - base),
        end=around.place(inner.end - base),
        how=f"{inner.how} inside {around.how}",
        place=lambda offset: around.place(inner.place(offset) - base),
    )


def _pieces(data: bytes, kinds: AbstractSet[int] | None = None) -> Iterator[Piece]:
    """Everything in a buffer that can be decoded once, the most telling kinds first."""
    if kinds is None:
        kinds = _PREFILTER.kinds(data)
    # What reads a kind is imported where there may be something of it.
    if KUBERNETES in kinds:
        from scanners import kubernetes
        from scanners.runs import from_base64

        for value in kubernetes.secret_data(data):
            way = from_base64(value.start, value.end, value.size, prefix=value.prefix)
            yield Piece(value.text, value.start, value.end, "Kubernetes Secret data", way, replaces=True)
    if RUNS in kinds:
        from scanners.runs import coded_runs

        for start, end, text, how, way in coded_runs(data):
            yield Piece(text, start, end, how, way)
    if PERCENT in kinds:
        from scanners.unescaping import percent_encoded

        for start, end, text, way in percent_encoded(data):
            yield Piece(text, start, end, "percent-encoding", way)
    if ESCAPE in kinds:
        from scanners.unescaping import escaped

        for start, end, text, way in escaped(data):
            yield Piece(text, start, end, "string escapes", way)


class _Prefilter(local):
    """Which kinds there may be in a large document: one pass of hyperscan, where it is loaded anyway.

    One for each thread: a database can be used by one at a time.
    """

    _PATTERNS = KINDS
    _SMALL = 16384
    """Below, a database of one's own does not pay: each kind's own first search is as good."""

    def __init__(self) -> None:
        self._database: Any = None

    def kinds(self, data: bytes) -> set[int]:
        """Numbers of the kinds that have to be looked for, as `KINDS` has them."""
        if self._database is None:
            if len(data) <= self._SMALL or "hyperscan" not in sys.modules:
                return set(range(len(self._PATTERNS)))
            import hyperscan

            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            self._database.compile(
                expressions=list(self._PATTERNS),
                ids=list(range(len(self._PATTERNS))),
                elements=len(self._PATTERNS),
                flags=[hyperscan.HS_FLAG_SINGLEMATCH] * len(self._PATTERNS),
            )
        seen: set[int] = set()
        self._database.scan(data, match_event_handler=lambda number, *_: seen.add(number))
        return seen


_PREFILTER = _Prefilter()
