"""Offsets turned into what people read: lines and columns."""

from __future__ import annotations


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
