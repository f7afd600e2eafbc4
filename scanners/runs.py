"""Base64 and hex that begin as text does: long runs of letters and digits, of which most are names, ids and digests.

Runs are many and values in them rare, so a run is first asked whether text can stand in it at all. In base64 of text the
first bit of every byte is zero, which leaves each place of four fewer characters to have: five fours of an id pass for
text once in ten thousand.
"""

from __future__ import annotations

import re
import sys
from binascii import a2b_base64, unhexlify
from collections.abc import Callable, Iterator, Sequence
from threading import local
from typing import Any

from scanners.kinds import RUN

_HEX_RUN = 32
_BACK = 4096
"""Characters of base64 before its first run of letters and digits alone that are looked at."""
_WRAPPED = 40
"""Characters in a line of base64 that goes on in the next one."""
_LEAST = 12
"""Bytes of text below which nothing is worth looking at."""

_ALNUM = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = bytes(97 if code in _ALNUM else 32 for code in range(256))
_BASE64 = bytes(97 if code in _ALNUM or code in b"+/-_" else 32 for code in range(256))
_NEEDLE = b"a" * RUN
_WHOLE = re.compile(rb"[A-Za-z0-9]+")
_FIRST, _SECOND, _THIRD = rb"[CDI-Za-f]", rb"[A-HQ-Xg-nw-z0-3]", rb"[ABEFIJMNQRUVYZcdghklopstwx014589]"
_ANY = rb"[A-Za-z0-9+/_-]"
_UTF_16 = rb"[AQgw][AB]" + _ANY + rb"A[A-H][AEIMQUYcgkosw048]A"
# Written out: a repeated group costs several times as much.
_QUADS = re.compile(
    b"".join(
        (
            _FIRST,
            rb"(?:",
            _SECOND + _THIRD + _ANY + (_FIRST + _SECOND + _THIRD + _ANY) * 4,
            rb"|",
            _UTF_16 + _FIRST + _UTF_16,
            rb")",
        )
    )
)
_SIGNS = (b"+", b"/", b"-", b"_")
_REST = re.compile(rb"[A-Za-z0-9+/_-]*")
_NEXT_LINE = re.compile(rb"(?:\r?\n|(?:\\r)?\\n)[ \t]*")
_LINE = re.compile(rb"[A-Za-z0-9+/]+")
_HEX_BEGINS = re.compile(rb"(?:[0-9A-Za-z]{0,8}?0[xX])?(?:[2-7][0-9A-Fa-f]|0[9aAdD]){8}")
_HEX_TEXT = re.compile(rb"(?:[0-9A-Za-z]{0,8}?0[xX])?((?:[2-7][0-9A-Fa-f]|0[9aAdD]){8}(?:[0-9A-Fa-f]{2}){8,})")
_DIGITS = b"0234567"
_TEXT = re.compile(rb"(?:[\t\n\r\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]{1,3})+")
_WIDE_TEXT = re.compile(rb"(?:[\t\n\r\x20-\x7e]\x00)+")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

Coded = tuple[int, int, bytes, str, Callable[[int], int]]
"""Where it begins and ends, what it says, how it was written, and how offsets lead back."""


def coded_runs(data: bytes) -> Iterator[Coded]:
    """Everything in base64 and hex that reads as text, in order."""
    done = 0
    seems_text, seems_hex = _QUADS.search, _HEX_BEGINS.match
    for at in _FINDER.runs(data):
        if seems_text(data, at, at + RUN) is None and (data[at] not in _DIGITS or seems_hex(data, at) is None):
            continue
        if at < done:
            continue
        whole = _WHOLE.match(data, at)
        stop = whole.end() if whole else at + RUN
        found = None
        begins = _QUADS.search(data, at, at + RUN)
        if begins is not None:
            found = _base64(data, done, at, stop, begins.end())
        if found is None and stop - at >= _HEX_RUN:
            found = _hex(data, at, stop)
        done = stop
        if found is not None:
            done = max(stop, found[1])
            yield found


def _hex(data: bytes, start: int, stop: int) -> Coded | None:
    found = _HEX_TEXT.fullmatch(data, start, stop)
    if found is None:
        return None
    begin = found.start(1)
    text = _TEXT.match(unhexlify(found[1]))
    if text is None or text.end() < _LEAST:
        return None
    return begin, begin + 2 * text.end(), text[0], "hex", lambda offset: begin + 2 * offset


def _base64(data: bytes, done: int, at: int, stop: int, known: int) -> Coded | None:
    """Base64 around a run.

    Args:
        data: the document.
        done: before it everything was looked at.
        at: where the run begins.
        stop: where it ends.
        known: before it there is something that may be base64 of text.
    """
    left = at
    if at > done and data[at - 1] in b"+/-_":
        low = max(done, at - _BACK)
        left = low + data[low:at].translate(_BASE64).rfind(b" ") + 1
    begins = _QUADS.search(data, left, known)
    if begins is None:
        return None
    if data[stop : stop + 1] in _SIGNS:
        more = _REST.match(data, stop)
        stop = more.end() if more else stop
    start = begins.start()
    coded, ends = _unwrapped(data, start, stop, stop - left)
    spare = len(coded) % 4
    coded = coded[:-1] if spare == 1 else coded + b"=" * (-len(coded) % 4)
    raw = a2b_base64(coded.translate(_TO_STANDARD))
    wide = _WIDE_TEXT.match(raw)
    if wide is not None and wide.end() >= 2 * _LEAST:
        return start, ends, wide[0][::2], "base64 of UTF-16", from_base64(start, ends, len(raw) // 2, width=2)
    text = _TEXT.match(raw)
    if text is None or text.end() < _LEAST:
        return None
    return start, ends, text[0], "base64", from_base64(start, ends, len(raw))


def from_base64(start: int, end: int, size: int, *, prefix: int = 0, width: int = 1) -> Callable[[int], int]:
    """The way from decoded bytes back into base64.

    Args:
        start: where the base64 begins.
        end: where it ends.
        size: how many bytes it says.
        prefix: bytes of our own before them.
        width: bytes that were one character.
    """

    def place(offset: int) -> int:
        byte = max(0, offset - prefix)
        return end if byte >= size else min(end, start + byte * width * 4 // 3)

    return place


def _unwrapped(data: bytes, start: int, right: int, width: int) -> tuple[bytes, int]:
    """Base64 from `start` on, with the lines that go on from it, and where it ends with its padding."""
    parts = [data[start:right]]
    ends = right
    if width >= _WRAPPED:
        while (gap := _NEXT_LINE.match(data, ends)) is not None:
            line = _LINE.match(data, gap.end())
            # Lines are as long as the first one; the last is shorter, and what is longer is something else.
            if line is None or line.end() - line.start() > width:
                break
            parts.append(line[0])
            ends = line.end()
            if line.end() - line.start() < width:
                break
    while ends < len(data) and data[ends] == 61 and ends - right < 2:
        ends += 1
    return b"".join(parts), ends


class _Finder(local):
    """Where runs begin: one pass of hyperscan where it is loaded anyway, else two of the standard library.

    One for each thread: a database can be used by one at a time.
    """

    _SMALL = 4096
    """Below, the call of the library costs more than it saves."""

    def __init__(self) -> None:
        self._database: Any = None

    def runs(self, data: bytes) -> Sequence[int]:
        """Offsets at which runs of letters and digits begin that are long enough, in order."""
        if len(data) <= self._SMALL or "hyperscan" not in sys.modules:
            return _run_starts(data)
        if self._database is None:
            import hyperscan

            self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
            pattern = rb"(?:^|[^A-Za-z0-9])[A-Za-z0-9]{%d}" % RUN
            self._database.compile(expressions=[pattern], ids=[0], elements=1, flags=[0])
        starts: list[int] = []
        self._database.scan(data, match_event_handler=lambda _id, _from, end, *_: starts.append(end - RUN))
        return starts


def _run_starts(data: bytes) -> list[int]:
    letters = data.translate(_LETTERS)
    starts = []
    at = letters.find(_NEEDLE)
    while at != -1:
        starts.append(at)
        stop = letters.find(b" ", at)
        at = letters.find(_NEEDLE, stop) if stop != -1 else -1
    return starts


_FINDER = _Finder()
