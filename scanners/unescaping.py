r"""Percent-encoding and the escapes of JSON, YAML and most languages' strings, taken off where they stand.

A line of source with an escape in it is common and a value behind one is rare. So only the escapes that can stand
inside a secret or around it begin a search (`\u002B` and `\/` in a key, `\"` around a name, `%3D` at an end), and what
is decoded is the line, or as much of a long one as a rule can span.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator

from scanners.kinds import ESCAPES, PERCENTS

_AROUND = 2048
"""Bytes to both sides of an escape that are decoded with it, in lines that are longer."""
_ESCAPE = re.compile(ESCAPES)
_PERCENT = re.compile(PERCENTS)
_ONE_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|U000[0-9A-Fa-f]{5}|x[0-9A-Fa-f]{2}|[\"'/\\ntr])")
_ONE_PERCENT = re.compile(rb"%[0-9A-Fa-f]{2}")
_LETTERS = {b'\\"': b'"', b"\\'": b"'", b"\\/": b"/", b"\\\\": b"\\", b"\\n": b"\n", b"\\t": b"\t", b"\\r": b"\r"}
_OF_A_URL = re.compile(rb"[^\s\"'<>`\\|{}^\x00-\x1f]+")
_SEPARATORS = bytes(32 if code in b"\"'<>`\\|{}^ " or code < 32 else 97 for code in range(256))
_LEAST_ENCODED = 16

Decoded = tuple[int, int, bytes, Callable[[int], int]]
"""Where it begins and ends, what it says, and how its offsets lead back."""


_CHARACTER = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")


def plain_text(value: str) -> str:
    """One value with the escapes of characters and the entities of HTML taken off, and the quotes that came of them."""
    from html import unescape

    text = _CHARACTER.sub(lambda found: chr(int(found[1] or found[2], 16)), value) if "\\" in value else value
    if "&" in text:
        text = unescape(text)
    return text if text == value else text.strip("\"'")


def escaped(data: bytes) -> Iterator[Decoded]:
    """Lines with escapes in them, without."""
    for start, end in _lines_around(data):
        raw = data[start:end]
        text = _ONE_ESCAPE.sub(_unescaped, raw)
        if text != raw:
            yield start, end, text, _Way(raw, start, _ONE_ESCAPE, _unescaped)


def percent_encoded(data: bytes) -> Iterator[Decoded]:
    """Addresses, form fields and the like with percent-encoding in them, without."""
    done = 0
    for found in _PERCENT.finditer(data):
        at = found.start()
        if at < done:
            continue
        low = max(done, at - _AROUND)
        start = low + data[low:at].translate(_SEPARATORS).rfind(b" ") + 1
        whole = _OF_A_URL.match(data, at)
        done = whole.end() if whole else found.end()
        raw = data[start:done]
        if len(raw) >= _LEAST_ENCODED:
            text = _ONE_PERCENT.sub(_unquoted, raw)
            # Nobody encodes a line break or a control character of a secret: that is binary data, or an attack.
            if not any(code < 9 for code in text):
                yield start, done, text, _Way(raw, start, _ONE_PERCENT, _unquoted)


def _lines_around(data: bytes) -> Iterator[tuple[int, int]]:
    start = end = -1
    for found in _ESCAPE.finditer(data):
        at = found.start()
        if at < end:
            if end - at < _AROUND // 2 and data[end : end + 1] != b"\n":
                end = _line_end(data, at)
            continue
        if start >= 0:
            yield start, end
        low = max(end, at - _AROUND, 0)
        start = data.rfind(b"\n", low, at) + 1 or low
        end = _line_end(data, at)
    if start >= 0:
        yield start, end


def _line_end(data: bytes, at: int) -> int:
    high = min(len(data), at + _AROUND)
    end = data.find(b"\n", at, high)
    return high if end == -1 else end


def _unescaped(found: re.Match[bytes]) -> bytes:
    text = found[0]
    plain = _LETTERS.get(text)
    if plain is not None:
        return plain
    code = int(text[2:].decode(), base=16)
    return chr(code).encode("utf-8", "replace") if code < 0x110000 else text


def _unquoted(found: re.Match[bytes]) -> bytes:
    return bytes((int(found[0][1:], 16),))


class _Way:
    """From offsets in a decoded text back to the document, worked out when the first one is asked for."""

    def __init__(
        self, raw: bytes, start: int, pattern: re.Pattern[bytes], decode: Callable[[re.Match[bytes]], bytes]
    ) -> None:
        self._raw = raw
        self._start = start
        self._pattern = pattern
        self._decode = decode
        self._after: list[int] | None = None
        self._shift: list[int] = []

    def __call__(self, offset: int) -> int:
        """The offset in the document."""
        if self._after is None:
            self._after, shift = [], 0
            for found in self._pattern.finditer(self._raw):
                shift += found.end() - found.start() - len(self._decode(found))
                self._after.append(found.end() - shift)
                self._shift.append(shift)
        number = bisect_right(self._after, offset)
        return self._start + offset + (self._shift[number - 1] if number else 0)
