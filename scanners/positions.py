"""Offsets turned into what people read: lines and columns."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

_FEW = 4
"""Places that are counted one by one; for more, all line breaks are found once."""


class Lines:
    """Lines and columns of one document, whose line breaks are found once when there is more to ask than a few places."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._asked = 0
        self._starts: list[int] = []

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of a byte offset, both from one; the column counts characters where the line is UTF-8."""
        line, start = self._line(offset)
        text = self._data[start:offset]
        try:
            column = len(text.decode("utf-8"))
        except UnicodeDecodeError:
            column = len(text)
        return line, column + 1

    def _line(self, offset: int) -> tuple[int, int]:
        """The line of an offset and where it begins."""
        self._asked += 1
        if self._asked <= _FEW:
            return self._data.count(b"\n", 0, offset) + 1, self._data.rfind(b"\n", 0, offset) + 1
        if not self._starts:
            self._starts = [0, *accumulate(len(line) + 1 for line in self._data.split(b"\n"))]
        line = bisect_right(self._starts, offset)
        return line, self._starts[line - 1]


def line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column of one byte offset, from one."""
    return Lines(data).at(offset)
