"""Blobs as they stream: digests of what came, and what it unpacks to, never more than a piece in memory.

What a blob is compressed with is told by its first bytes, as container engines do it; media types are often wrong.
"""

from __future__ import annotations

import bz2
import hashlib
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from scanners.images.errors import PULL_AGAIN, BlobError, ImageError, LimitError
from scanners.images.limits import Limits

CHUNK = 128 * 1024
"""Compressed bytes read at once."""
OUT = 1024 * 1024
"""Unpacked bytes made at once, at most."""

GZIP, ZSTD, BZIP2, XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"


class Reader(Protocol):
    """Something that gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, at least one before the end; nothing at the end.

        Raises:
            BlobError: the rest cannot be had.
        """
        ...


Opener = Callable[[], AbstractContextManager[Reader]]


class Digesting:
    """Passes bytes on and knows their digest and number."""

    def __init__(self, inner: Reader, algorithm: str = "sha256", seen: Callable[[int], None] | None = None) -> None:
        """Read from `inner`; `seen` is told of every byte that went by."""
        self._inner = inner
        self._hash = hashlib.new(algorithm)
        self._algorithm = algorithm
        self._seen = seen
        self.size = 0
        self.failed = False
        """The rest cannot be had; the digest says nothing."""

    def read(self, size: int, /) -> bytes:
        """As `Reader.read`."""
        try:
            data = self._inner.read(size)
        except ImageError:
            self.failed = True
            raise
        self._hash.update(data)
        self.size += len(data)
        if self._seen is not None:
            self._seen(len(data))
        return data

    def drain(self) -> None:
        """Read what is left, for the digest's sake."""
        while self.read(CHUNK):
            pass

    @property
    def digest(self) -> str:
        """Of what went by so far."""
        return f"{self._algorithm}:{self._hash.hexdigest()}"


class Counting:
    """Passes bytes on and knows their number."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """As `Reader.read`."""
        data = self._inner.read(size)
        self.size += len(data)
        return data


class Joined:
    """Bytes that were read ahead, then the reader they came from."""

    def __init__(self, head: bytes, rest: Reader) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """As `Reader.read`."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._rest.read(size)


def exactly(reader: Reader, size: int) -> bytes:
    """So many bytes; fewer only at the end."""
    parts, have = [], 0
    while have < size:
        data = reader.read(size - have)
        if not data:
            break
        parts.append(data)
        have += len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def is_packed(head: bytes) -> bool:
    """Whether a blob that begins so is compressed."""
    return head.startswith((GZIP, ZSTD, BZIP2, XZ)) or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F)


def unpacked(reader: Reader, limits: Limits, total: Callable[[], int]) -> Iterator[bytes]:
    """What a blob unpacks to, or the blob itself when it is not compressed.

    Args:
        reader: the blob.
        limits: how much it may become.
        total: how many bytes were read of the blob so far.

    Raises:
        BlobError: it is damaged, or ends too early.
        LimitError: it becomes larger than the limits allow.
    """
    head = exactly(reader, 8)
    source = Joined(head, reader)
    if head.startswith(GZIP):
        made = _gzip(source)
    elif head.startswith(ZSTD) or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        made = _zstd(source)
    elif head.startswith(BZIP2):
        made = _simple(source, bz2.BZ2Decompressor)
    elif head.startswith(XZ):
        made = _simple(source, lambda: lzma.LZMADecompressor(memlimit=256 * 1024 * 1024))
    else:
        made = _plain(source)
    size = 0
    for piece in made:
        size += len(piece)
        if size > limits.layer:
            raise LimitError(
                f"unpacks to more than {limits.layer >> 30} GiB",
                why="what comes after that was not judged",
                hint=PULL_AGAIN,
            )
        if size > limits.ratio_from and size > limits.ratio * max(1, total()):
            raise LimitError(
                f"unpacks to more than {limits.ratio} times its size",
                why=f"a decompression bomb: {total()} bytes became more than {size}; what comes after was not judged",
                hint=PULL_AGAIN,
            )
        yield piece


def _plain(reader: Reader) -> Iterator[bytes]:
    while data := reader.read(OUT):
        yield data


def _gzip(reader: Reader) -> Iterator[bytes]:
    """Every member: eStargz has one for each file."""
    inflate = zlib.decompressobj(wbits=31)
    data = b""
    try:
        while data or (data := reader.read(CHUNK)):
            if inflate.eof:
                data = data.lstrip(b"\0")
                if not data:
                    continue
                if not GZIP.startswith(data[:2]):
                    # gzip(1) ignores what is appended and no member, and so do container engines.
                    return
                inflate = zlib.decompressobj(wbits=31)
            made = inflate.decompress(data, OUT)
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if made:
                yield made
        while made := inflate.decompress(inflate.unconsumed_tail, OUT):
            yield made
    except zlib.error as error:
        raise _damaged(f"damaged gzip data ({error})") from None
    if not inflate.eof:
        raise _damaged("the gzip data ends too early")


def _zstd(reader: Reader) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    # Windows beyond 128 MiB are for archives; engines refuse them too.
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 27}
    try:
        yield from _simple(reader, lambda: zstd.ZstdDecompressor(options=options))
    except zstd.ZstdError as error:
        raise _damaged(f"damaged zstd data ({error})") from None


class _Decompressor(Protocol):
    """What the decompressors of the standard library have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _simple(reader: Reader, make: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """Stream after stream, as bzip2, xz and zstd put them one behind the other."""
    inner = make()
    try:
        while True:
            if inner.eof:
                data = inner.unused_data or reader.read(CHUNK)
                if not data.strip(b"\0"):
                    return
                inner = make()
            else:
                data = reader.read(CHUNK) if inner.needs_input else b""
                if inner.needs_input and not data:
                    break
            made = inner.decompress(data, OUT)
            if made:
                yield made
    except (OSError, lzma.LZMAError, EOFError, ValueError) as error:
        raise _damaged(f"damaged compressed data ({error})") from None
    raise _damaged("the compressed data ends too early")


def _damaged(why: str) -> BlobError:
    return BlobError("is damaged", why=why, hint=PULL_AGAIN)
