"""Bytes as the rules read them: one byte a character, whatever the encoding of the file.

UTF-8 and Latin-1 are scanned as they stand. UTF-16 is turned into UTF-8, with offsets that lead back. Of a binary file
only the printable runs are seen, narrow ones and wide ones; judged rules stay out of them, because names mean nothing
there.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_SAMPLE = 8192
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PRINTABLE = bytes(c if c in b"\t\n\r" or 32 <= c < 127 or c >= 160 else 10 for c in range(256))
"""Everything unprintable becomes a line break: runs end there, and offsets stay."""
_WIDE_RUN = re.compile(rb"(?:[\x20-\x7e]\x00){12,65536}")
_CLASSES = bytes(97 if 32 <= c < 127 else 0 if c == 0 else 32 for c in range(256))
_WIDE = b"a\x00" * 12
_ZEROS = bytes(len(_WIDE) // 4)
_BLOCK = 64 * 1024


class View(NamedTuple):
    """One reading of a document."""

    data: bytes
    translate: Callable[[int], int] | None = None
    """Offset in `data` -> offset in the document; None when they are the same."""
    binary: bool = False


def views(data: bytes) -> Iterable[View]:
    """The readings of a document's bytes."""
    if b"\x00" not in data and data[:2] not in _MARKS:
        # Nearly every file.
        return (View(data),)
    encoding = _wide_encoding(data)
    if encoding is not None:
        return (_wide(data, encoding),)
    return _of_binary(data)


def _of_binary(data: bytes) -> Iterator[View]:
    yield View(data.translate(_PRINTABLE), binary=True)
    for start, end in _wide_runs(data):
        yield View(data[start:end:2], translate=_every_second(start), binary=True)


def _wide_runs(data: bytes) -> Iterator[tuple[int, int]]:
    """Where printable characters of two bytes stand in a row.

    A program is megabytes of everything else: where every fourth byte is not zero some times in a row, there is nothing,
    and elsewhere a search for a literal passes over ten times as fast as a pattern.
    """
    at = 0
    while at < len(data):
        end = at + _BLOCK
        block = data[at : end + len(_WIDE) - 1]
        if _ZEROS in block[1::4] or _ZEROS in block[::4]:
            classes = block.translate(_CLASSES)
            found = classes.find(_WIDE)
            while found != -1:
                run = _WIDE_RUN.match(data, at + found)
                assert run is not None
                yield run.span()
                end = max(end, run.end())
                found = classes.find(_WIDE, run.end() - at)
        at = end


def _every_second(start: int) -> Callable[[int], int]:
    return lambda offset: start + 2 * offset


def _wide_encoding(data: bytes) -> str | None:
    """`utf-16-le` or `utf-16-be` when the bytes say so by their mark or by where their zeros are."""
    if data.startswith(codecs.BOM_UTF16_LE) and not data.startswith(codecs.BOM_UTF32_LE):
        return "utf-16-le"
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = data[:_SAMPLE]
    if len(sample) < 8 or b"\x00" not in sample:
        return None
    half = len(sample) // 2
    if sample.count(0) <= 0.8 * half:
        return None
    if sample[1::2].count(0) > 0.8 * half and sample[::2].count(0) < 0.05 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.8 * half and sample[1::2].count(0) < 0.05 * half:
        return "utf-16-be"
    return None


def _wide(data: bytes, encoding: str) -> View:
    mark = 2 if data[:2] in _MARKS else 0
    narrow = data[mark:].decode(encoding, "replace").encode()

    return View(narrow, _WayBack(narrow, mark, encoding))


class _WayBack:
    """From offsets in UTF-8 to those in UTF-16, counted once in steps, so that many matches cost no more than one."""

    _STEP = 4096

    def __init__(self, narrow: bytes, mark: int, encoding: str) -> None:
        self._narrow = narrow
        self._encoding = encoding
        self._starts = [0]
        self._places = [mark]

    def __call__(self, offset: int) -> int:
        """The offset in the document."""
        while self._starts[-1] + self._STEP <= offset:
            start = self._starts[-1]
            end = start + self._STEP
            # Steps end where a character does.
            while end > start and end < len(self._narrow) and self._narrow[end] & 0xC0 == 0x80:
                end -= 1
            self._places.append(self._places[-1] + self._width(start, end))
            self._starts.append(end)
        at = bisect_right(self._starts, offset) - 1
        return self._places[at] + self._width(self._starts[at], offset)

    def _width(self, start: int, end: int) -> int:
        return len(self._narrow[start:end].decode("utf-8", "ignore").encode(self._encoding))
