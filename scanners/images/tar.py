"""Tar as it streams by: one header after the other, nothing unpacked, nothing believed.

Reads v7, ustar, GNU (long names, sparse files, numbers in base 256) and pax (global and local headers). Links are not
followed and devices not opened: an entry is a name and bytes. A damaged header costs what lies before the next sound one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from scanners.images.limits import Limits

BLOCK = 512
FILE, DIRECTORY, LINK, OTHER = "file", "directory", "link", "other"
_ZEROS = bytes(BLOCK)
_KINDS = {b"1": LINK, b"2": OTHER, b"3": OTHER, b"4": OTHER, b"5": DIRECTORY, b"6": OTHER}
"""Types that have no body, whatever size they claim; everything else is a file (POSIX.1-2001, and Go's archive/tar)."""


class TarError(Exception):
    """The archive cannot be read any further."""


class Entry(NamedTuple):
    """One member."""

    path: str
    """As the archive has it; bytes that are no UTF-8 are shown by their numbers."""
    kind: str
    size: int
    """Bytes that follow."""
    link: str
    """Where a hard link leads, or a symbolic one."""


@dataclass(slots=True)
class _Extended:
    """What headers before a member say of it."""

    path: str | None = None
    link: str | None = None
    size: int | None = None

    def take(self, other: _Extended) -> _Extended:
        """These, where the other says nothing."""
        return _Extended(
            other.path if other.path is not None else self.path,
            other.link if other.link is not None else self.link,
            other.size if other.size is not None else self.size,
        )


class Buffer:
    """Chunks of any size read as bytes of any number."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        at, data = self._at, self._data
        if at + size <= len(data):
            self._at = at + size
            return data[at : at + size]
        parts = [data[at:]]
        have = len(data) - at
        self._data, self._at = b"", 0
        while have < size:
            data = next(self._chunks, b"")
            if not data:
                break
            parts.append(data)
            have += len(data)
        if have > size:
            last = parts[-1]
            keep = len(last) - (have - size)
            self._data, self._at = last, keep
            parts[-1] = last[:keep]
        return b"".join(parts)

    def peek(self, size: int) -> bytes:
        """What `read` would give, left where it is."""
        data = self.read(size)
        self._data, self._at = data + self._data[self._at :], 0
        return data

    def skip(self, size: int) -> int:
        """Pass over so many bytes; how many there were."""
        here = len(self._data) - self._at
        if size <= here:
            self._at += size
            return size
        self._data, self._at, passed = b"", 0, here
        while passed < size:
            data = next(self._chunks, b"")
            if not data:
                return passed
            passed += len(data)
            if passed > size:
                self._data, self._at = data, len(data) - (passed - size)
                passed = size
        return passed


class TarReader:
    """Members of a tar in their order. Read a member's body with `read` before asking for the next one."""

    def __init__(self, buffer: Buffer, limits: Limits, problem: Callable[[str], None]) -> None:
        """Read from `buffer`; `problem` is told of what is odd and survived."""
        self._buffer = buffer
        self._limits = limits
        self._problem = problem
        self._left = 0
        self._padding = 0
        self._path = ""

    def read(self, size: int) -> bytes:
        """At most so many bytes of the member's body; nothing at its end.

        Raises:
            TarError: the archive ends within it.
        """
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._buffer.read(wanted)
        self._left -= len(data)
        if len(data) < wanted:
            missing, self._left = self._left, 0
            if not data:
                raise TarError(f"ends within {self._path}: {missing} bytes are missing")
            self._problem(f"the archive ends within {self._path}: {missing} bytes are missing")
        return data

    def entries(self) -> Iterator[Entry]:
        """All members.

        Raises:
            TarError: the archive ends within a member.
        """
        common = _Extended()
        own = _Extended()
        damaged = False
        while True:
            self._finish()
            header = self._buffer.read(BLOCK)
            if len(header) < BLOCK:
                if header.strip(b"\0"):
                    raise TarError("ends within a header")
                return
            if header == _ZEROS:
                # Two of them end an archive. What comes after is looked at all the same: nobody hides there.
                continue
            if not _sound(header):
                if not damaged:
                    self._problem(
                        "a header of the archive is damaged; what lies before the next sound one was not judged"
                    )
                damaged = True
                continue
            damaged = False
            flag = header[156:157]
            size = _number(header[124:136])
            if size is None:
                self._problem(f"{_text(header[:100])}: its size is no number")
                continue
            if flag in b"xgLKXNVM" and flag != b"":
                self._left, self._padding = size, -size % BLOCK
                if flag in (b"V", b"M"):
                    continue
                if size > self._limits.header:
                    self._problem(f"an extended header of {size} bytes was passed over")
                    continue
                self._path = "an extended header"
                body = self._whole(size)
                if flag == b"g":
                    common = common.take(self._pax(body))
                elif flag in (b"x", b"X"):
                    own = own.take(self._pax(body))
                elif flag == b"L":
                    own = own.take(_Extended(path=_text(body)))
                elif flag == b"K":
                    own = own.take(_Extended(link=_text(body)))
                continue
            if flag == b"S":
                self._sparse(header)
            entry = self._entry(header, flag, size, common.take(own))
            own = _Extended()
            if entry is not None:
                yield entry

    def _entry(self, header: bytes, flag: bytes, size: int, said: _Extended) -> Entry | None:
        path = said.path
        if path is None:
            path = _text(header[:100])
            if header[257:263] == b"ustar\0":
                prefix = _text(header[345:500])
                path = f"{prefix}/{path}" if prefix else path
        if said.size is not None:
            size = said.size
        kind = _KINDS.get(flag, FILE)
        if kind is FILE and path.endswith("/") and flag in (b"0", b"\0"):
            kind = DIRECTORY
        if kind is not FILE:
            size = 0
        self._left, self._padding = size, -size % BLOCK
        self._path = path
        if len(path) > self._limits.path:
            self._problem(f"a name of {len(path)} characters was cut")
            path = path[: self._limits.path]
        link = ""
        if flag in (b"1", b"2"):
            link = said.link if said.link is not None else _text(header[157:257])
        return Entry(path, kind, size, link)

    def _whole(self, size: int) -> bytes:
        body = self.read(size)
        if len(body) < size:
            raise TarError("ends within an extended header")
        return body

    def _finish(self) -> None:
        """Pass over what nobody read of the last member."""
        size = self._left + self._padding
        if not size:
            return
        unread, self._left, self._padding = self._left, 0, 0
        passed = self._buffer.skip(size)
        if passed < unread:
            raise TarError(f"ends within {self._path}: {unread - passed} bytes are missing")

    def _pax(self, body: bytes) -> _Extended:
        said = _Extended()
        at = 0
        while at < len(body):
            space = body.find(b" ", at, at + 12)
            length = int(body[at:space]) if space > at and body[at:space].isdigit() else 0
            record = body[space + 1 : at + length]
            key, equals, value = record.removesuffix(b"\n").partition(b"=")
            if space <= at or length <= space - at or not equals or at + length > len(body):
                if body[at:].strip(b"\0"):
                    self._problem("an extended header is damaged")
                break
            if key in (b"path", b"GNU.sparse.name"):
                said.path = _text(value)
            elif key == b"linkpath":
                said.link = _text(value)
            elif key == b"size":
                if value.isdigit() and len(value) <= 18:
                    said.size = int(value)
                else:
                    self._problem("an extended header names a size that is no number")
            at += length
        return said

    def _sparse(self, header: bytes) -> None:
        """Pass over the map of an old GNU sparse file: its data follows, without the holes."""
        more = header[482:483] not in (b"\0", b"")
        while more:
            block = self._buffer.read(BLOCK)
            if len(block) < BLOCK:
                raise TarError("ends within the map of a sparse file")
            more = block[504:505] != b"\0"


def looks_like(data: bytes) -> bool:
    """Whether bytes begin a tar."""
    return len(data) >= BLOCK and data[:BLOCK] != _ZEROS and _sound(data[:BLOCK])


def _sound(header: bytes) -> bool:
    told = _number(header[148:156])
    if told is None:
        return False
    total = sum(header) - sum(header[148:156]) + 8 * 32
    if told == total:
        return True
    # Some old programs add the bytes as signed numbers.
    high = sum(1 for byte in header[:148] if byte > 127) + sum(1 for byte in header[156:] if byte > 127)
    return told == total - 256 * high


def _number(field: bytes) -> int | None:
    """An octal number, or one in base 256; None when it is neither, or negative."""
    if field[0] == 0x80:
        number = int.from_bytes(field[1:], "big")
        return number if number < 1 << 62 else None
    if field[0] == 0xFF:
        return None
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    try:
        return int(text, 8) if text.isdigit() else None
    except ValueError:
        return None


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")
