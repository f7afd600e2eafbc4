"""Images on disk: OCI layouts in folders and tars, `docker save`, and any of these as a stream that comes but once.

Image layout as in the OCI image specification, image-layout.md; `docker save` writes manifest.json, since version 25 an
OCI layout beside it.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

from scanners.images.errors import PULL_AGAIN, BlobError, ImageError
from scanners.images.finds import LayerFinds
from scanners.images.limits import MIB, Limits
from scanners.images.manifests import Blob, Image, descriptor, document, images
from scanners.images.reference import DIGEST
from scanners.images.streams import BZIP2, GZIP, XZ, ZSTD, Counting, Digesting, Joined, Reader, exactly, unpacked
from scanners.images.tar import FILE, Buffer, TarError, TarReader, looks_like

_INDEX, _LAYOUT, _DOCKER = "index.json", "oci-layout", "manifest.json"
_REF = "org.opencontainers.image.ref.name"
_CONTAINERD = "io.containerd.image.name"
_ENTRIES = 100_000
_HELD = 64 * MIB
_WHAT = "an image is a docker save or OCI tar, an OCI layout folder, or a reference: registry.example.com/team/app:1.0"

LayerScan = Callable[[Reader, str], LayerFinds]
"""Judges a blob that comes but once; told its name."""
Told = Callable[[str, ImageError], None]


class Files(Protocol):
    """Named files, wherever they lie."""

    def has(self, name: str) -> bool: ...

    def size(self, name: str) -> int: ...

    def open(self, name: str) -> AbstractContextManager[Reader]:
        """Raise a BlobError where it cannot be read."""
        ...

    def mark(self, name: str) -> str:
        """Changes when the file may have changed; empty where nobody can tell."""
        ...


class Layout:
    """Images in an archive or a folder."""

    def __init__(self, name: str, files: Files, limits: Limits) -> None:
        """Read `files`; `name` is what a person called it."""
        self.name = name
        self.files = files
        self._limits = limits

    def images(self, platform: str | None, told: Told) -> list[Image]:
        """The images in it.

        Raises:
            ImageError: there is none.
        """
        found: list[Image] = []
        if self.files.has(_INDEX):
            found += self._oci(platform, told)
        seen = {image.config.digest for image in found}
        if self.files.has(_DOCKER):
            found += [
                image for image in self._docker(told) if image.config.digest is None or image.config.digest not in seen
            ]
        elif not self.files.has(_INDEX):
            raise ImageError(
                f"{self.name} holds no image", why="it has neither index.json nor manifest.json", hint=_WHAT
            )
        if len(found) == 1:
            return [Image(self.name, found[0].platform, found[0].config, found[0].layers, found[0].digest)]
        return found

    def _oci(self, platform: str | None, told: Told) -> list[Image]:
        listed = document(self.small(Blob(_INDEX), self._limits.document), f"{_INDEX} of {self.name}").get("manifests")
        found: list[Image] = []
        plain: list[object] = []
        entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
        with_platform = [entry for entry in entries if isinstance(entry.get("platform"), dict)]
        if (
            len(with_platform) == len(entries)
            and len(entries) > 1
            and len({str(self._ref(entry)) for entry in entries}) == 1
        ):
            # buildx puts the platforms of one image side by side.
            plain = [{"schemaVersion": 2, "manifests": entries}]
        for entry in plain or entries:
            name = self._named(entry) if entry in entries else self.name
            try:
                if entry in entries:
                    blob = descriptor(entry, f"a manifest of {self.name}")
                    data, digest = self.small(blob, self._limits.document), blob.digest
                else:
                    data, digest = _json(entry), None
                fetch = lambda blob: self.small(blob, self._limits.document)  # noqa: E731 - one call, named for reading
                found += images(name, data, digest, fetch, platform, self._limits, told)
            except ImageError as error:
                if len(entries) == 1 and not self.files.has(_DOCKER):
                    raise
                told(name, error)
        return found

    def _ref(self, entry: object) -> str | None:
        notes = entry.get("annotations") if isinstance(entry, dict) else None
        ref = (notes.get(_CONTAINERD) or notes.get(_REF)) if isinstance(notes, dict) else None
        return ref if isinstance(ref, str) else None

    def _named(self, entry: object) -> str:
        ref = self._ref(entry)
        return f"{self.name} ({ref})" if ref else self.name

    def _docker(self, told: Told) -> Iterator[Image]:
        data = self.small(Blob(_DOCKER), self._limits.document)
        # A list at its top: read as a member of an object.
        listed = document(b'{"images":' + data + b"}", f"{_DOCKER} of {self.name}")["images"]
        for entry in listed if isinstance(listed, list) else ():
            config = entry.get("Config") if isinstance(entry, dict) else None
            layers = entry.get("Layers") if isinstance(entry, dict) else None
            tags = entry.get("RepoTags") if isinstance(entry, dict) else None
            tag = tags[0] if isinstance(tags, list) and tags and isinstance(tags[0], str) else None
            name = f"{self.name} ({tag})" if tag else self.name
            if not isinstance(config, str) or not isinstance(layers, list) or len(layers) > self._limits.layers:
                told(
                    name,
                    BlobError(f"{_DOCKER} is broken", why="an image has no configuration or layers", hint=PULL_AGAIN),
                )
                continue
            blobs = tuple(_by_path(layer) for layer in layers if isinstance(layer, str))
            yield Image(name, None, _by_path(config), blobs)

    def small(self, blob: Blob, most: int) -> bytes:
        """A blob that is held whole, verified.

        Raises:
            BlobError: it is missing, too large, or not what its digest says.
        """
        name = _path(blob)
        with self.files.open(name) as reader:
            digesting = Digesting(reader, blob.digest.partition(":")[0] if blob.digest else "sha256")
            data = exactly(digesting, most + 1)
        if len(data) > most:
            raise BlobError(f"{name} is larger than {most // MIB} MiB", why="no honest one is", hint=PULL_AGAIN)
        if blob.digest and digesting.digest != blob.digest:
            why = f"its bytes have the digest {digesting.digest}"
            raise BlobError(f"{name} is not what its digest says", why=why, hint=PULL_AGAIN)
        return data

    def open(self, blob: Blob) -> AbstractContextManager[Reader]:
        """A layer's bytes.

        Raises:
            BlobError: it is missing.
        """
        return self.files.open(_path(blob))

    def size(self, blob: Blob) -> int:
        """Of a layer, 0 when it is missing."""
        name = _path(blob)
        return self.files.size(name) if self.files.has(name) else 0

    def mark(self, blob: Blob) -> str:
        """Changes when the blob may have changed."""
        return self.files.mark(_path(blob))

    def close(self) -> None:
        """Let go of the file."""
        close = getattr(self.files, "close", None)
        if close is not None:
            close()


def _json(entry: object) -> bytes:
    import json

    return json.dumps(entry).encode()


def _path(blob: Blob) -> str:
    return f"blobs/{blob.name.replace(':', '/', 1)}" if DIGEST.fullmatch(blob.name) else blob.name


def _by_path(name: str) -> Blob:
    """A file that manifest.json names; in an OCI layout its name is its digest."""
    parts = name.split("/")
    if len(parts) == 3 and parts[0] == "blobs" and DIGEST.fullmatch(":".join(parts[1:])):
        return Blob(":".join(parts[1:]), ":".join(parts[1:]))
    return Blob(posixpath.normpath(name) if name else name)


class Folder:
    """Files below a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return self._inside(name) and (self._path / name).is_file()

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def mark(self, name: str) -> str:
        try:
            return _mark((self._path / name).stat(), name)
        except OSError:
            return ""

    @contextmanager
    def open(self, name: str) -> Iterator[Reader]:
        path = self._path / name
        if not self._inside(name):
            raise BlobError(f"{name} leads out of the image", why="the manifest is broken", hint=PULL_AGAIN)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(path, flags)
        except OSError as error:
            raise _missing(name, error.strerror or type(error).__name__) from None
        with os.fdopen(handle, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _missing(name, "it is no regular file")
            yield _Disk(file, name)

    @staticmethod
    def _inside(name: str) -> bool:
        return not name.startswith("/") and ".." not in name.split("/") and "\0" not in name


class TarFile:
    """Members of an uncompressed tar, found once, read where they lie. Safe in many threads."""

    def __init__(self, path: Path, limits: Limits, problem: Callable[[str], None]) -> None:
        """Find the members.

        Raises:
            ImageError: it cannot be read.
        """
        self._path = path
        self._about = path.stat()
        self._members: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        with path.open("rb") as file:
            buffer = _Seeking(file, self._about.st_size)
            try:
                for entry in TarReader(buffer, limits, problem).entries():
                    if len(self._members) >= _ENTRIES:
                        problem(f"has more than {_ENTRIES} members; those after that were not looked at")
                        break
                    name = posixpath.normpath(entry.path)
                    if entry.kind is FILE:
                        self._members[name] = (file.tell(), entry.size)
                    elif entry.link:
                        self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.link))
            except TarError as error:
                problem(f"{error}")

    def _find(self, name: str) -> tuple[int, int] | None:
        for _ in range(8):
            if name in self._members:
                return self._members[name]
            name = self._links.get(name, "")
        return None

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def size(self, name: str) -> int:
        found = self._find(name)
        return found[1] if found else 0

    def mark(self, name: str) -> str:
        return _mark(self._about, f"{self._find(name)}")

    @contextmanager
    def open(self, name: str) -> Iterator[Reader]:
        found = self._find(name)
        if found is None:
            raise _missing(name, "the archive has no such member")
        try:
            file = self._path.open("rb", buffering=0)
        except OSError as error:
            raise _missing(name, error.strerror or type(error).__name__) from None
        with file:
            file.seek(found[0])
            yield _Disk(file, name, found[1])


class Streamed:
    """Members of a tar that comes but once: documents are held, everything else is judged as it goes by."""

    def __init__(
        self, chunks: Iterator[bytes], limits: Limits, problem: Callable[[str], None], scan: LayerScan
    ) -> None:
        """Read everything.

        Raises:
            ImageError: nothing of it can be read.
        """
        self._held: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self.layers: dict[str, LayerFinds] = {}
        held = 0
        reader = TarReader(Buffer(chunks), limits, problem)
        try:
            for entry in reader.entries():
                name = posixpath.normpath(entry.path)
                if entry.link:
                    self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.link))
                if entry.kind is not FILE:
                    continue
                if len(self.layers) + len(self._held) >= _ENTRIES:
                    problem(f"has more than {_ENTRIES} members; those after that were not looked at")
                    break
                head = reader.read(64)
                if head.lstrip()[:1] in (b"{", b"[") and entry.size <= min(limits.config, _HELD - held):
                    self._held[name] = head + reader.read(entry.size)
                    held += entry.size
                elif entry.size > 64 or name.endswith(".tar"):
                    self.layers[name] = scan(_Member(head, reader, name), name)
        except TarError as error:
            problem(f"{error}")
        except BlobError as error:
            problem(f"{error.what}: {error.why}")

    def finds(self, blob: Blob) -> LayerFinds | None:
        """What a layer gave as it went by."""
        name = _path(blob)
        for _ in range(8):
            if name in self.layers:
                return self.layers[name]
            name = self._links.get(name, "")
        return None

    def has(self, name: str) -> bool:
        return name in self._held or name in self.layers

    def size(self, name: str) -> int:
        return len(self._held.get(name, b""))

    def mark(self, name: str) -> str:
        del name
        return ""

    def open(self, name: str) -> AbstractContextManager[Reader]:
        if name not in self._held:
            raise _missing(name, "the archive has no such document")
        return nullcontext(io.BytesIO(self._held[name]))


class _Disk:
    """A file, or a part of it, whose errors are ours."""

    def __init__(self, file: io.FileIO, name: str, size: int = 1 << 62) -> None:
        self._file = file
        self._name = name
        self._left = size
        self._whole = size == 1 << 62

    def read(self, size: int, /) -> bytes:
        try:
            data = self._file.read(min(size, self._left)) if self._left else b""
        except OSError as error:
            raise _missing(self._name, error.strerror or type(error).__name__) from None
        self._left -= len(data or b"")
        if not data and self._left and not self._whole:
            raise BlobError(f"{self._name} is cut short", why="the archive ends within it", hint=PULL_AGAIN)
        return data or b""


class _Member:
    """A member of a stream that is read as it goes by."""

    def __init__(self, head: bytes, reader: TarReader, name: str) -> None:
        self._head = head
        self._reader = reader
        self._name = name

    def read(self, size: int, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        try:
            return self._reader.read(size)
        except TarError as error:
            raise BlobError(f"{self._name} is cut short", why=str(error), hint=PULL_AGAIN) from None


class _Seeking(Buffer):
    """A file read by leaps."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(iter(()))
        self._file = file
        self._size = size

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> int:
        here = self._file.tell()
        passed = max(0, min(size, self._size - here))
        self._file.seek(here + passed)
        return passed


def _mark(about: os.stat_result, name: str) -> str:
    return f"{about.st_dev}:{about.st_ino}:{about.st_size}:{about.st_mtime_ns}:{about.st_ctime_ns}:{name}"


def _missing(name: str, why: str) -> BlobError:
    return BlobError(f"{name} is missing", why=why, hint=PULL_AGAIN)


def open_local(target: str, limits: Limits, problem: Callable[[str], None], scan: LayerScan) -> Layout:
    """The images in a folder, in a file, or (`-`) on standard input.

    Raises:
        ImageError: there are none, or it cannot be read.
    """
    if target == "-":
        return _stream("standard input", sys.stdin.buffer, limits, problem, scan)
    path = Path(target)
    try:
        if path.is_dir():
            return Layout(target, Folder(path), limits)
        with path.open("rb") as file:
            head = file.read(512)
            if head.startswith((GZIP, ZSTD, BZIP2, XZ)):
                file.seek(0)
                return _stream(target, file, limits, problem, scan)
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _stream(target, Joined(head, file), limits, problem, scan)
        if not looks_like(head):
            raise ImageError(f"{target} is no image", why="it is no tar archive", hint=_WHAT)
        return Layout(target, TarFile(path, limits, problem), limits)
    except OSError as error:
        raise ImageError(f"{target} cannot be read", why=error.strerror or type(error).__name__, hint=_WHAT) from None


def _stream(name: str, file: Reader, limits: Limits, problem: Callable[[str], None], scan: LayerScan) -> Layout:
    counted = Counting(file)
    return Layout(name, Streamed(unpacked(counted, limits, lambda: counted.size), limits, problem, scan), limits)
