"""Offsets turned into what people read: lines and columns."""

from __future__ import annotations

_WIDEST = 4096
"""Bytes before and after a value in which its line is looked for: a line of megabytes has no comment for people."""


class Lines:
    """Lines and columns of one document. Line breaks are counted on from the offset that was asked for last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._begin()

    def _begin(self) -> None:
        self._offset, self._number, self._start = 0, 1, 0
        self._counted, self._characters = 0, 0
        """Up to where characters of the line are counted, and how many there are."""

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of a byte offset, both from one; the column counts characters where the line is UTF-8."""
        if offset < self._offset:
            self._begin()
        breaks = self._data.count(b"\n", self._offset, offset)
        if breaks:
            self._start = self._data.rfind(b"\n", self._offset, offset) + 1
            self._number += breaks
            self._counted, self._characters = self._start, 0
        self._offset = offset
        # A line may be megabytes long, and full of what is asked for.
        with memoryview(self._data)[self._counted : offset] as part:
            try:
                self._characters += len(str(part, "utf-8"))
            except UnicodeDecodeError:
                return self._number, offset - self._start + 1
        self._counted = offset
        return self._number, self._characters + 1


def line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column of one byte offset, from one."""
    return Lines(data).at(offset)


def surroundings(data: bytes, start: int, end: int) -> tuple[str, str]:
    """The lines a value lies in and the one before them, as `Allow.status` wants them.

    Only a few kilobytes around the value are looked at.
    """
    low = max(0, start - _WIDEST)
    begin = data.rfind(b"\n", low, start) + 1 or low
    stop = data.find(b"\n", end, end + _WIDEST)
    line = data[begin : stop if stop != -1 else end + _WIDEST]
    previous = b""
    if begin > low or data[begin - 1 : begin] == b"\n":
        before = max(0, begin - 1 - _WIDEST)
        previous = data[data.rfind(b"\n", before, begin - 1) + 1 or before : begin - 1]
    return line.decode("utf-8", "replace"), previous.decode("utf-8", "replace")
