"""Archives opened in memory, to depth two, within limits that nothing in them can move.

Nothing is written to disk and nothing in an archive is believed: sizes are counted as bytes come out, not as headers
promise them. What is larger than the limits is cut off or left alone, and said so.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from scanners import tarring
from scanners.tarring import Readable, TarError
from scanners.words import words

DEPTH = 2
SEPARATOR = "!/"
"""Between an archive and what is in it: `outer.zip!/inner/path`."""

_ZIPS = words("zip jar war ear whl nupkg snupkg vsix egg aar")
_TARS = words("tar")
_COMPRESSED = {"gz": "gz", "tgz": "gz", "zst": "zst", "tzst": "zst"}
_CHUNK = 256 * 1024
_FLOOR = 1024 * 1024
"""Below this many bytes nothing is called a bomb: empty space compresses well."""
_WINDOW = 128 * 1024 * 1024
"""Memory that a zstd frame may ask for; its own default for long distances."""
_LARGEST_DIRECTORY = 16 * 1024 * 1024
_BY_HAND = "open it by hand, if it should be readable"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_IN_FILE = b"PK\x03\x04"
_IN_DIRECTORY = b"PK\x01\x02"
_END_OF_DIRECTORY = b"PK\x05\x06"
_LARGE_LOCATOR = b"PK\x06\x07"

Problem = dict[str, str]
"""`{"where", "what", "hint"}`, as the errors of a report."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is opened at most, counted over an archive and the archives in it."""

    entry: int = 16 * 1024 * 1024
    """Bytes of one file; what is behind them is left out."""
    total: int = 1024 * 1024 * 1024
    """Bytes of all files together."""
    ratio: int = 250
    """Bytes out of one compressed byte. Text reaches 20, a database full of zeros 100, a bomb 1000."""
    entries: int = 50_000
    """Files."""


class _StopError(Exception):
    """An archive that is not read any further: why, and what a person can do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


_DAMAGED = (
    zlib.error,
    TarError,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    LookupError,
    ValueError,
    OverflowError,
    OSError,
)
"""What readers raise over damaged input, all of it; memory is bounded before they run."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is opened."""
    return _kind(name) is not None


def members(
    name: str,
    stream: BinaryIO,
    limits: Limits | None = None,
    errors: list[Problem] | None = None,
    *,
    skip: Callable[[str], bool] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """The files in an archive and in the archives in it, in their order.

    What cannot be read is an entry of `errors` and hides nothing else. Links are never followed.

    Args:
        name: of the archive; its ending says what it is.
        stream: its bytes. It should be able to seek: what cannot is read into memory first, if it is a zip archive.
        limits: what to read at most.
        errors: takes what could not be read.
        skip: says of a file's name that nobody wants its bytes.

    Yields:
        `outer.zip!/inner/path` and the bytes of that file, of which there are never more than `limits.entry`.
    """
    yield from _Reading(limits or Limits(), [] if errors is None else errors, skip).archive(name, stream, DEPTH)


class _Reading:
    """One archive with all that is in it."""

    def __init__(self, limits: Limits, errors: list[Problem], skip: Callable[[str], bool] | None) -> None:
        self._limits = limits
        self._errors = errors
        self._skip = skip
        self._bytes = 0
        self._entries = 0

    def archive(self, name: str, stream: BinaryIO, depth: int) -> Iterator[tuple[str, bytes]]:
        """All files of one archive.

        Raises:
            _StopError: the limits of the outermost archive are used up.
        """
        told = len(self._errors)
        try:
            yield from self._files(name, stream, depth)
        except _StopError as stop:
            self._problem(name, stop.what, stop.hint)
            if depth < DEPTH and self._used_up():
                raise
        except _DAMAGED as error:
            # What ends in the middle of a file ends the archive, too, and is told once.
            if not any(_why(error) in known["what"] for known in self._errors[told:]):
                self._problem(name, f"cannot be opened: {_why(error)}", "open it by hand, if it should be one")

    def _files(self, name: str, stream: BinaryIO, depth: int) -> Iterator[tuple[str, bytes]]:
        kind = _kind(name)
        if kind == "zip":
            yield from self._zip(name, stream, depth)
        elif kind == "tar":
            yield from self._tar(name, stream, depth)
        elif kind is not None:
            base = name.rpartition("/")[2]
            stem, _, ending = base.rpartition(".")
            inner = self._decompressed(kind, stream)
            if ending.lower() in ("tgz", "tzst") or stem.lower().endswith(".tar"):
                yield from self._tar(name, inner, depth)
            else:
                yield from self._one(name + SEPARATOR + (stem or base), inner, depth)

    def _zip(self, name: str, stream: BinaryIO, depth: int) -> Iterator[tuple[str, bytes]]:
        if not stream.seekable():
            stream = io.BytesIO(self._content(name, stream)[0])
        size, count = _directory(stream)
        if size > _LARGEST_DIRECTORY or count > self._limits.entries:
            raise _StopError("its directory is too large", "unpack it and scan the folder")
        import zipfile

        try:
            file = zipfile.ZipFile(stream)
        except zipfile.BadZipFile as error:
            raise EOFError(str(error)) from error
        with file:
            for info in file.infolist():
                inner = name + SEPARATOR + info.filename.replace("\\", "/").lstrip("/")
                # The upper half holds the mode of the system it was made on; a link's content is a path.
                if info.filename.endswith("/") or (info.external_attr >> 16) & 0o170000 == 0o120000:
                    continue
                if not self._wanted(inner):
                    self._count()
                    continue
                if info.flag_bits & 1:
                    self._problem(inner, "is encrypted", "decrypt the archive, if it is yours")
                    continue
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    self._problem(inner, "is compressed in a way that is not read", "unpack it and scan the folder")
                    continue
                try:
                    packed = _packed(stream, info)
                except _DAMAGED as error:
                    self._problem(inner, f"cannot be read: {_why(error)}", _BY_HAND)
                    continue
                limited = _Counted(packed, self._ratio_of(partial(int, info.compress_size)))
                yield from self._one(inner, limited, depth)

    def _tar(self, name: str, stream: Readable, depth: int) -> Iterator[tuple[str, bytes]]:
        def lost(what: str) -> None:
            self._problem(name, f"is damaged: {what}; what belongs to it was left out", _BY_HAND)

        for entry in tarring.entries(stream, lost):
            inner = name + SEPARATOR + entry.name.removeprefix("./").lstrip("/")
            if self._wanted(inner):
                yield from self._one(inner, entry.content, depth)
            else:
                self._count()

    def _one(self, name: str, stream: Readable, depth: int) -> Iterator[tuple[str, bytes]]:
        self._count()
        content, whole = self._content(name, stream)
        if not is_archive(name):
            if whole or content:
                yield name, content
        elif not whole:
            return
        elif depth > 1:
            yield from self.archive(name, io.BytesIO(content), depth - 1)
        else:
            self._problem(
                name, f"is an archive inside {DEPTH} others and was not opened", "unpack it and scan the folder"
            )

    def _content(self, name: str, stream: Readable) -> tuple[bytes, bool]:
        """The bytes of a file, and whether they are all of them."""
        parts: list[bytes] = []
        size = 0
        while size <= self._limits.entry:
            try:
                part = stream.read(min(_CHUNK, self._limits.entry + 1 - size))
            except _DAMAGED as error:
                # What came out before is worth looking at.
                self._problem(name, f"cannot be read to its end: {_why(error)}", _BY_HAND)
                return b"".join(parts), False
            if not part:
                break
            parts.append(part)
            size += len(part)
            self._bytes += len(part)
            if self._bytes > self._limits.total:
                raise _StopError(
                    f"holds more than {_amount(self._limits.total)}; the rest was left out",
                    "unpack it and scan the folder",
                )
        if size > self._limits.entry:
            self._problem(
                name,
                f"is larger than {_amount(self._limits.entry)}; what lies behind was left out",
                "unpack it and scan the file",
            )
        return b"".join(parts)[: self._limits.entry], size <= self._limits.entry

    def _decompressed(self, kind: str, stream: BinaryIO) -> Readable:
        packed = _Counted(stream, None)
        opened = _Gunzip(packed) if kind == "gz" else _zstd(packed)
        return _Counted(opened, self._ratio_of(lambda: packed.count))

    def _ratio_of(self, packed: Callable[[], int]) -> Callable[[int], None]:
        def check(count: int) -> None:
            if count > _FLOOR and count > self._limits.ratio * max(1, packed()):
                raise _StopError(
                    f"unpacks to more than {self._limits.ratio} times its size, as a bomb does; it was not read on",
                    "look at where it comes from",
                )
            if count > self._limits.total:
                raise _StopError(self._too_much(), "unpack it and scan the folder")

        return check

    def _wanted(self, name: str) -> bool:
        return self._skip is None or is_archive(name) or not self._skip(name)

    def _count(self) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise _StopError(
                f"holds more than {self._limits.entries} files; the rest was left out", "unpack it and scan the folder"
            )

    def _too_much(self) -> str:
        return f"holds more than {_amount(self._limits.total)}; the rest was left out"

    def _used_up(self) -> bool:
        return self._entries > self._limits.entries or self._bytes > self._limits.total

    def _problem(self, where: str, what: str, hint: str) -> None:
        self._errors.append({"where": where, "what": what, "hint": hint})


def _packed(stream: BinaryIO, info: Any) -> Readable:
    """The content of a zip archive's member, as far as it can be had.

    The standard library's reader throws away what it has when a checksum does not hold, and reads nothing when a name is
    written differently in the member's own header.

    Raises:
        EOFError: there is no member where the directory says.
    """
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_IN_FILE):
        raise EOFError("its directory points to something else")
    name, extra = _LOCAL_HEADER.unpack(header)[-2:]
    start = stream.seek(info.header_offset + _LOCAL_HEADER.size + name + extra)
    return _Member(stream, start, info.compress_size, info.CRC, deflated=info.compress_type != 0)


class _Member:
    """A member of a zip archive, stored or deflated (PKWARE's APPNOTE 4.4.5, methods 0 and 8)."""

    def __init__(self, stream: BinaryIO, start: int, size: int, checksum: int, *, deflated: bool) -> None:
        self._stream = stream
        self._at = start
        self._left = size
        self._checksum = checksum
        self._sum = 0
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if deflated else None
        self._waiting = b""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end.

        Raises:
            EOFError: the archive ends before the member does, or its checksum does not hold; all of it was read then.
            zlib.error: it is damaged from here on.
        """
        data = b""
        while not data and not (self._inflate and self._inflate.eof):
            if not self._waiting and self._left:
                # Members take turns: archives in archives are read while this one waits.
                self._stream.seek(self._at)
                self._waiting = self._stream.read(min(self._left, _CHUNK))
                if not self._waiting:
                    raise EOFError("the archive ends before it does")
                self._at += len(self._waiting)
                self._left -= len(self._waiting)
            if self._inflate is None:
                data, self._waiting = self._waiting[:size], self._waiting[size:]
            else:
                data = self._inflate.decompress(self._waiting, size)
                self._waiting = self._inflate.unconsumed_tail
            if not data and not self._waiting and not self._left:
                break
        self._sum = zlib.crc32(data, self._sum)
        if not data:
            if self._inflate and not self._inflate.eof:
                raise EOFError("it ends before its content does")
            if self._sum != self._checksum:
                raise EOFError("its checksum does not hold")
        return data


class _Counted:
    """A stream that counts what is read of it."""

    def __init__(self, stream: Any, check: Callable[[int], None] | None) -> None:
        self._stream = stream
        self._check = check
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        """As the stream below, and the check of all that was read so far."""
        data: bytes = self._stream.read(size)
        self.count += len(data)
        if self._check is not None:
            self._check(self.count)
        return data


def _kind(name: str) -> str | None:
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    ending = ending.lower()
    if not stem:
        return None
    if ending in _ZIPS:
        return "zip"
    return "tar" if ending in _TARS else _COMPRESSED.get(ending)


class _Gunzip:
    """Gzip members one after the other (RFC 1952). The standard library's reader keeps back what comes before damage."""

    _WBITS = 16 + zlib.MAX_WBITS

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(self._WBITS)
        self._waiting = b""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at the end.

        Raises:
            EOFError: it ends in the middle of a member.
            zlib.error: it is damaged from here on, or no gzip.
        """
        while True:
            if self._inflate.eof:
                rest = self._inflate.unused_data.lstrip(b"\x00") or self._stream.read(_CHUNK).lstrip(b"\x00")
                # As gzip(1): what is no further member is none of the content.
                if not rest.startswith(b"\x1f"):
                    return b""
                self._inflate, self._waiting = zlib.decompressobj(self._WBITS), rest
            self._waiting = self._waiting or self._stream.read(_CHUNK)
            data = self._inflate.decompress(self._waiting, size)
            ended = not self._waiting
            self._waiting = self._inflate.unconsumed_tail
            if data:
                return data
            if ended and not self._inflate.eof:
                raise EOFError("it ends before its content does")


def _zstd(stream: _Counted) -> Readable:
    """A reader of zstd: of the standard library from Python 3.14 on, else of the package where it is installed."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore] # new in 3.14
    except ImportError:
        try:
            import zstandard
        except ImportError:
            raise _StopError(
                "is compressed with zstd, which this Python cannot read", "pip install zstandard"
            ) from None
        reader: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        return _Zstandard(reader.stream_reader(stream, read_size=65536, read_across_frames=True), zstandard.ZstdError)
    options = {zstd.DecompressionParameter.window_log_max: _WINDOW.bit_length() - 1}
    return _Zstandard(zstd.ZstdFile(stream, options=options), zstd.ZstdError)


class _Zstandard:
    """Its errors are none of the standard library's."""

    def __init__(self, stream: Any, error: type[Exception]) -> None:
        self._stream = stream
        self._error = error

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except self._error as error:
            raise EOFError(str(error)) from error
        return data


def _directory(stream: BinaryIO) -> tuple[int, int]:
    """Bytes and files of a zip archive's directory, which is read whole before the first file is."""
    end = stream.seek(0, io.SEEK_END)
    tail_start = stream.seek(max(0, end - 66_000))
    tail = stream.read(66_000)
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or len(tail) < at + 22:
        raise EOFError("it has no directory")
    size: int = struct.unpack_from("<L", tail, at + 12)[0]
    if at >= 20 and tail.startswith(_LARGE_LOCATOR, at - 20):
        # Sizes beyond 4 GB stand in a record of their own, right before the locator.
        stream.seek(max(0, tail_start + at - 76))
        record = stream.read(56)
        size = max(0 if size == 0xFFFFFFFF else size, struct.unpack_from("<Q", record, 40)[0])
    if size <= _LARGEST_DIRECTORY:
        begins = stream.seek(max(0, tail_start + at - 76 - size))
        count = stream.read(tail_start + at - begins).count(_IN_DIRECTORY)
    else:
        count = 0
    stream.seek(0)
    return size, count


def _why(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def _amount(count: int) -> str:
    return f"{count // (1024 * 1024)} MB" if count >= 1024 * 1024 else f"{count} bytes"
