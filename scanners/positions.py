"""Offsets turned into what people read: lines and columns."""

from __future__ import annotations

from bisect import bisect_right


class Lines:
    """The line breaks of one document, found once, on first use."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._starts: list[int] | None = None

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of a byte offset, both from one; the column counts characters where the line is UTF-8."""
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        text = self._data[starts[line - 1] : offset]
        try:
            column = len(text.decode("utf-8"))
        except UnicodeDecodeError:
            column = len(text)
        return line, column + 1

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0]
            at = self._data.find(b"\n")
            while at != -1:
                self._starts.append(at + 1)
                at = self._data.find(b"\n", at + 1)
        return self._starts


def line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    """Line and column of one byte offset, from one."""
    return Lines(data).at(offset)
