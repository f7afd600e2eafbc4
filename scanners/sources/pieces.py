"""Bytes of any length in pieces of bounded size, cut so that every match lies whole in one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

PIECE = 4 * 1024 * 1024
"""Bytes held at once. Even, so that characters of two bytes keep their halves."""
OVERLAP = 128 * 1024
"""Bytes that two pieces share: more than twice what the widest rule spans."""


class Piece(NamedTuple):
    """A part of a document. A match belongs to the piece in which it starts between `low` and `high`."""

    data: bytes
    low: int
    high: int
    line: int
    """Lines before the piece."""
    column: int
    """Bytes of the piece's first line that came before it."""

    def place(self, line: int, column: int) -> tuple[int, int]:
        """A line and column of the piece as those of the document."""
        return self.line + line, column + (self.column if line == 1 else 0)


def pieces(read: Callable[[int], bytes]) -> Iterator[Piece]:
    """What `read` gives until it gives nothing, in pieces. An empty document is one empty piece.

    Args:
        read: gives at most the number of bytes asked for, fewer only at the end.
    """
    piece, first = read(PIECE), True
    line = column = 0
    while True:
        more = read(PIECE - OVERLAP) if len(piece) >= PIECE - OVERLAP else b""
        high = len(piece) - OVERLAP // 2 if more else len(piece)
        yield Piece(piece, 0 if first else OVERLAP // 2, high, line, column)
        if not more:
            return
        done = len(piece) - OVERLAP
        breaks = piece.count(b"\n", 0, done)
        column = done - piece.rfind(b"\n", 0, done) - 1 if breaks else column + done
        line += breaks
        piece, first = piece[-OVERLAP:] + more, False
