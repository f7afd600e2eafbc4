"""Tar archives as a stream, one header at a time, in memory that is bounded whatever they say of themselves.

The standard library's reader holds every header it has seen and reads extended headers whole however large they are; what
comes out of a compressed stream may claim anything. Formats: POSIX.1-2017 `pax`, ustar, and GNU long names and sparse files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

BLOCK = 512
_HEADER_LIMIT = 1024 * 1024
"""Bytes of one extended header; real ones have a few hundred."""
_REGULAR = b"\x000" + b"7"
_SPARSE = b"S"


class TarError(ValueError):
    """No tar archive, or one that is damaged."""


class Readable(Protocol):
    """Anything bytes come out of."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; fewer only at the end or when no more are there yet."""
        ...


class Entry(NamedTuple):
    """A regular file of an archive."""

    name: str
    size: int
    content: Readable
    """Its bytes, to be read before the next entry is asked for; what is left is skipped."""


class _Part:
    """So many bytes of a stream."""

    def __init__(self, stream: Readable, size: int) -> None:
        self._stream = stream
        self.left = size

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self.left)
        if not wanted:
            return b""
        data = self._stream.read(wanted)
        if not data:
            raise TarError("it ends in the middle of a file")
        self.left -= len(data)
        return data


def entries(stream: Readable, damaged: Callable[[str], None] | None = None) -> Iterator[Entry]:
    """The regular files of an archive in order; links, devices and folders are passed over.

    Args:
        stream: its bytes.
        damaged: told of a header that cannot be read; then the files behind the next one that can follow. Without it, and
            where the very first cannot be read, that is the end.

    Raises:
        TarError: it is damaged, or no tar archive.
    """
    name = size = None
    seen = lost = False
    while (header := _block(stream)) is not None:
        if not header.strip(b"\x00"):
            # One block of zeros ends an archive; archives that were appended to one another have more behind it.
            continue
        if not _sum_holds(header):
            if damaged is None or not seen:
                raise TarError("a header is damaged")
            if not lost:
                damaged("a header is damaged")
            name = size = None
            lost = True
            continue
        seen, lost = True, False
        kind, length = header[156:157], _number(header[124:136])
        if kind in b"xgLK" and kind:
            content = _whole(stream, length)
            if kind == b"L":
                name = content.split(b"\x00", 1)[0]
            elif kind == b"x":
                known = _pax(content)
                name, size = known.get(b"path", name), _decimal(known.get(b"size"), size)
            continue
        length = length if size is None else size
        if kind == _SPARSE:
            _sparse(stream, header)
        if kind not in (b"", b"\x00", b"0", b"7", _SPARSE) and kind in b"123456":
            length = 0
        part = _Part(stream, length)
        if kind in (b"\x00", b"0", b"7", _SPARSE):
            yield Entry(_text(name or _short_name(header)), length, part)
        while part.read(65536):
            pass
        _skip(stream, -length % BLOCK)
        name = size = None


def _block(stream: Readable) -> bytes | None:
    data = stream.read(BLOCK)
    while data and len(data) < BLOCK:
        more = stream.read(BLOCK - len(data))
        if not more:
            raise TarError("it ends in the middle of a header")
        data += more
    return data or None


def _whole(stream: Readable, length: int) -> bytes:
    if length > _HEADER_LIMIT:
        raise TarError("an extended header is larger than a megabyte")
    part, data = _Part(stream, length), b""
    while piece := part.read(length):
        data += piece
    _skip(stream, -length % BLOCK)
    return data


def _skip(stream: Readable, length: int) -> None:
    while length and (data := stream.read(length)):
        length -= len(data)


def _sparse(stream: Readable, header: bytes) -> None:
    extended = header[482] != 0
    while extended:
        block = _block(stream)
        if block is None:
            raise TarError("it ends in the middle of a header")
        extended = block[504] != 0


def _sum_holds(header: bytes) -> bool:
    total = sum(header[:148]) + 8 * 32 + sum(header[156:])
    # Old writers added signed characters.
    signed = total - 256 * sum(code > 127 for code in header[:148] + header[156:])
    try:
        return _number(header[148:156]) in (total, signed)
    except TarError:
        return False


def _number(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \x00")
    if not text:
        return 0
    if text.translate(None, b"01234567"):
        raise TarError("a header has no number where one belongs")
    return int(text, 8)


def _decimal(text: bytes | None, otherwise: int | None) -> int | None:
    if text is None:
        return otherwise
    if len(text) > 20 or not text.isdigit():
        raise TarError("an extended header has no number where one belongs")
    return int(text)


def _pax(content: bytes) -> dict[bytes, bytes]:
    """The records of an extended header: `LENGTH KEY=VALUE` and a line break each."""
    found, at = {}, 0
    while at < len(content):
        gap = content.find(b" ", at, at + 8)
        length = content[at:gap]
        if gap == -1 or not length.isdigit() or not gap - at < int(length) <= len(content) - at:
            break
        key, _, value = content[gap + 1 : at + int(length) - 1].partition(b"=")
        found[key] = value
        at += int(length)
    return found


def _short_name(header: bytes) -> bytes:
    name = header[:100].split(b"\x00", 1)[0]
    prefix = header[345:500].split(b"\x00", 1)[0] if header[257:263] == b"ustar\x00" else b""
    return prefix + b"/" + name if prefix else name


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
