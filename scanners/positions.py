"""Offsets turned into what people read: lines and columns."""

from __future__ import annotations


class Lines:
    """Lines and columns of one document. Line breaks are counted on from the offset that was asked for last."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0
        self._number = 1
        self._start = 0

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
        if offset < self._offset:
            self._offset, self._number, self._start = 0, 1, 0
        breaks = self._data.count(b"\n", self._offset, offset)
        if breaks:
            self._start = self._data.rfind(b"\n", self._offset, offset) + 1
            self._number += breaks
        self._offset = offset
        return self._number, self._start


def line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column of one byte offset, from one."""
    return Lines(data).at(offset)
