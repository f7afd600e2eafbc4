"""Archives inside a layer: jar, war, zip, whl, nupkg, tar, gzip, read member by member to a bounded size."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import IO, NamedTuple

from scanners.images.errors import BlobError, LimitError
from scanners.images.limits import Limits
from scanners.images.streams import GZIP, ZSTD, unpacked
from scanners.images.tar import FILE, Buffer, TarError, TarReader, looks_like

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_MANUALS = ("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/")
"""Where distributions keep thousands of small gzip files of documentation."""
_STEP = 64 * 1024
"""Bytes unpacked at once: what comes before a damaged place is judged."""
_HINT = "look at the archive by hand if it is yours"
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    NotImplementedError,
    OverflowError,
)
"""What the zip module raises at hostile archives."""

Problem = Callable[[str, str], None]


class Member(NamedTuple):
    """A file in an archive, to be read before the next one is asked for."""

    path: str
    """With the archives it lies in before it, each ended by `!`."""
    read: Callable[[int], bytes]
    """As a layer's own files are read; may raise a LimitError or a BlobError."""


def kind(path: str, head: bytes) -> str | None:
    """What archive a file is by its first bytes: `zip`, `tar`, `gzip`, or None."""
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith((GZIP, ZSTD)):
        return None if path.startswith(_MANUALS) else "gzip"
    if head[257:262] == b"ustar" and looks_like(head):
        return "tar"
    return None


class Budget:
    """What one archive of a layer may still unpack to, with all that is in it."""

    def __init__(self, packed: int, limits: Limits) -> None:
        """Allow what `limits` say for an archive of `packed` bytes."""
        self._most = min(limits.nested_unpacked, max(limits.nested_ratio_from, limits.nested_ratio * packed))
        self._entries_left = limits.nested_entries
        self._size = 0

    def spend(self, size: int) -> None:
        """Count bytes.

        Raises:
            LimitError: too many.
        """
        self._size += size
        if self._size > self._most:
            why = "a decompression bomb, or too large; what comes after that in it was not judged"
            raise LimitError(f"unpacks to more than {self._most} bytes", why=why, hint=_HINT)

    def enter(self) -> None:
        """Count an entry.

        Raises:
            LimitError: too many.
        """
        self._entries_left -= 1
        if self._entries_left < 0:
            raise LimitError("has too many entries", why="those after the limit were not judged", hint=_HINT)


def members(form: str, path: str, data: bytes, limits: Limits, problem: Problem, budget: Budget) -> Iterator[Member]:
    """Files of an archive.

    Args:
        form: what `kind` said.
        path: of the archive.
        data: the archive.
        limits: for headers.
        problem: told, with a path, of what cannot be read.
        budget: what may be unpacked.

    Raises:
        LimitError: the budget is spent.
    """
    try:
        if form == "zip":
            yield from _zip(path, data, problem, budget)
        elif form == "tar":
            yield from _tar(path, Buffer(iter((data,))), limits, problem, budget)
        else:
            yield from _packed(path, data, limits, problem, budget)
    except LimitError:
        raise
    except (BlobError, TarError) as error:
        problem(path, f"the archive is damaged: {getattr(error, 'why', '') or error}")


def _zip(path: str, data: bytes, problem: Problem, budget: Budget) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _UNREADABLE as error:
        problem(path, f"the archive is damaged: {type(error).__name__}")
        return
    with archive:
        for entry in archive.infolist():
            budget.enter()
            if entry.filename.endswith("/"):
                continue
            inner = f"{path}!/{entry.filename}"
            if entry.flag_bits & 1:
                problem(inner, "is encrypted and was not judged")
                continue
            told = entry.CRC
            # Without one the module checks nothing: at a wrong one it would throw away what it had read.
            del entry.CRC
            try:
                stream = archive.open(entry)
            except _UNREADABLE as error:
                problem(inner, _damage(error))
                continue
            with stream:
                yield Member(inner, _counted(_Unzipped(stream, told, partial(problem, inner)).read, budget))


class _Unzipped:
    """A member of a zip: what can be read of it is given, and what is wrong with it is told."""

    def __init__(self, stream: IO[bytes], crc: int, problem: Callable[[str], None]) -> None:
        self._stream = stream
        self._told = crc
        self._crc = 0
        self._problem = problem
        self._ended = False

    def read(self, size: int) -> bytes:
        parts, have = [], 0
        while have < size and not self._ended:
            try:
                data = self._stream.read(min(_STEP, size - have))
            except _UNREADABLE as error:
                self._ended = True
                self._problem(_damage(error))
                break
            if not data:
                self._ended = True
                if self._crc != self._told:
                    self._problem("is damaged: its checksum does not hold")
                break
            self._crc = zlib.crc32(data, self._crc)
            parts.append(data)
            have += len(data)
        return b"".join(parts)


def _damage(error: Exception) -> str:
    # The module's own words may quote the archive.
    return f"cannot be unpacked whole: {type(error).__name__}"


def _tar(path: str, buffer: Buffer, limits: Limits, problem: Problem, budget: Budget) -> Iterator[Member]:
    reader = TarReader(buffer, limits, lambda what: problem(path, what))
    for entry in reader.entries():
        budget.enter()
        if entry.kind is FILE:
            yield Member(f"{path}!/{entry.path.removeprefix('./')}", _counted(reader.read, budget))


def _packed(path: str, data: bytes, limits: Limits, problem: Problem, budget: Budget) -> Iterator[Member]:
    """A compressed tar, or one compressed file."""
    made = unpacked(io.BytesIO(data), limits, lambda: len(data))
    head = next(made, b"")
    buffer = Buffer(_from(head, made))
    if looks_like(head):
        yield from _tar(path, buffer, limits, problem, budget)
    else:
        yield Member(f"{path}!", _counted(buffer.read, budget))


def _counted(read: Callable[[int], bytes], budget: Budget) -> Callable[[int], bytes]:
    def counted(size: int) -> bytes:
        data = read(size)
        budget.spend(len(data))
        return data

    return counted


def _from(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    while head:
        yield head
        head = next(rest, b"")
