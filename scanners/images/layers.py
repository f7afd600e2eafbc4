"""One layer, one pass: read, verify, unpack, walk, judge, note what it does to the layers below.

Nothing is written anywhere. What is odd or damaged becomes an entry of `errors`, and the rest is judged all the same.
"""

from __future__ import annotations

import posixpath
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from scanners import allow as allowing
from scanners.engine import Engine
from scanners.images import nested, secret_files
from scanners.images.errors import PULL_AGAIN, BlobError, ImageError, LimitError
from scanners.images.finds import Find, LayerFinds
from scanners.images.limits import DEFAULT, MIB, Limits
from scanners.images.streams import Digesting, Reader, unpacked
from scanners.images.tar import DIRECTORY, FILE, LINK, Buffer, TarError, TarReader, looks_like
from scanners.model import Document, FileLocation, Fingerprinter, Match
from scanners.positions import Lines
from scanners.sources.pieces import Piece, pieces

if TYPE_CHECKING:
    from scanners.allow import Allow

_LARGE = 8 * MIB
_WIDEST = 1 * MIB
"""A file that is read by its path's own rules is smaller than this."""
_one_large = threading.Semaphore(1)
"""Of archives that are held in memory, one large one at a time."""


class LayerScanner:
    """Judges layers, one after the other. Each thread has one of its own, because each needs an engine of its own."""

    def __init__(
        self,
        engine: Engine,
        fingerprinter: Fingerprinter,
        *,
        limits: Limits = DEFAULT,
        allow: Allow | None = None,
        seen: Callable[[int], None] | None = None,
    ) -> None:
        """Judge by `engine`; `seen` is told of bytes as they are read."""
        self._engine = engine
        self._fingerprinter = fingerprinter
        self._limits = limits
        self._allow = allow
        self._seen = seen

    def scan(
        self, opened: AbstractContextManager[Reader], *, digest: str | None = None, diff_id: str | None = None
    ) -> LayerFinds:
        """The findings of one layer.

        Args:
            opened: gives the blob.
            digest: what the manifest says of the blob.
            diff_id: what the configuration says of what it unpacks to; looked at when there is no digest.
        """
        one = _Layer(self._engine, self._fingerprinter, self._limits, self._allow)
        found = one.found
        try:
            with opened as reader:
                packed = Digesting(reader, (digest or "sha256:").partition(":")[0], self._seen)
                one.run(packed, with_diff_id=digest is None)
                if packed.failed:
                    found.whole = False
                    return found
                packed.drain()
                found.packed, found.digest = packed.size, packed.digest
        except ImageError as error:
            one.problem("", f"{error.what}: {error.why}" if error.why else error.what, error.hint)
            found.whole = False
            return found
        self._verify(one, digest, diff_id)
        return found

    def _verify(self, one: _Layer, digest: str | None, diff_id: str | None) -> None:
        found = one.found
        if digest is not None and found.digest != digest:
            one.problem(
                "",
                f"its bytes have the digest {found.digest}: they are not what the manifest names",
                PULL_AGAIN,
                first=True,
            )
            found.whole = False
        elif digest is None and diff_id is not None and found.diff_id != diff_id and found.whole:
            why = f"it unpacks to {found.diff_id}: that is not what the configuration names"
            one.problem("", why, PULL_AGAIN, first=True)
            found.whole = False


class _Layer:
    """The layer at work."""

    def __init__(self, engine: Engine, fingerprinter: Fingerprinter, limits: Limits, allow: Allow | None) -> None:
        self.found = LayerFinds()
        self._engine = engine
        self._fingerprinter = fingerprinter
        self._limits = limits
        self._allow = allow
        self._outside = 0
        self._more_errors = 0
        self._links: dict[str, list[str]] = {}

    def problem(self, where: str, what: str, hint: str = PULL_AGAIN, *, first: bool = False) -> None:
        """Note what could not be read."""
        errors = self.found.errors
        entry = {"where": where, "what": what, "hint": hint}
        if first:
            errors.insert(0, entry)
        elif len(errors) < self._limits.errors:
            errors.append(entry)
        elif len(errors) == self._limits.errors:
            errors.append({"where": "", "what": "has more errors than are listed", "hint": hint})

    def run(self, packed: Digesting, *, with_diff_id: bool) -> None:
        """Judge everything in the blob."""
        found = self.found
        chunks = unpacked(packed, self._limits, lambda: packed.size)
        if with_diff_id:
            plain = Digesting(_Chunks(chunks))
            chunks = iter(lambda: plain.read(MIB), b"")
        counted = _Counted(chunks)
        buffer = Buffer(counted)
        try:
            head = buffer.peek(512)
            if head.strip(b"\0") and not looks_like(head):
                self._no_tar(buffer)
            else:
                self._walk(TarReader(buffer, self._limits, lambda what: self.problem("", what)))
            while buffer.skip(MIB):
                pass
        except TarError as error:
            self.problem("", f"the layer {error}", PULL_AGAIN)
            found.whole = False
        except (BlobError, LimitError) as error:
            self.problem("", f"{error.what}: {error.why}" if error.why else error.what, error.hint)
            found.whole = False
        found.unpacked = counted.size
        if with_diff_id:
            found.diff_id = plain.digest
        self._settle()

    def _no_tar(self, buffer: Buffer) -> None:
        """A blob that is no archive of files: a chart, a signature, or something that was meant to look like a layer."""
        self.problem("", "is no tar archive; it was judged as one file", "see what made the image")
        self.found.files += 1
        self._file("", buffer.read, 0, None)

    def _walk(self, reader: TarReader) -> None:
        found, changes = self.found, self.found.changes
        for entry in reader.entries():
            found.entries += 1
            if found.entries > self._limits.entries:
                self.problem("", f"has more than {self._limits.entries} entries; those after that were not judged")
                found.whole = False
                return
            path = self._inside(entry.path)
            if len(changes.removed) + len(changes.emptied) < self._limits.whiteouts and changes.mark(path):
                continue
            changes.add(path, folder=entry.kind is DIRECTORY)
            if entry.kind is LINK:
                self._link(path, self._inside(entry.link))
            if entry.kind is not FILE:
                continue
            found.files += 1
            if found.finds:
                self._shadow(path)
            if entry.size:
                self._file(path, reader.read, 0, None)

    def _inside(self, path: str) -> str:
        """A path as a container shows it: from the root, without detours."""
        if path.startswith("./") and "/../" not in path and "//" not in path and "/./" not in path:
            plain = path[2:].rstrip("/")
            if not plain.startswith((".", "/")) and not plain.endswith(("/..", "/.")):
                return plain
        normal = posixpath.normpath(path.lstrip("/")) if path.strip("/") else ""
        if normal in {".", "/"}:
            return ""
        if normal == ".." or normal.startswith("../"):
            self._outside += 1
            if self._outside == 1:
                self.problem(
                    "", f"has names that lead out of the image, the first is {path!r}; they were judged all the same"
                )
            while normal.startswith("../"):
                normal = normal[3:]
            return "" if normal == ".." else normal
        return normal

    def _link(self, path: str, target: str) -> None:
        if len(self._links) < self._limits.links:
            self._links.setdefault(target, []).append(path)

    def _shadow(self, path: str) -> None:
        """A path that comes again hides what the layer had there before."""
        finds = self.found.finds
        if any(find.file == path for find in finds):
            self.found.finds = [replace(find, shadowed=True) if find.file == path else find for find in finds]

    def _settle(self) -> None:
        files = {find.file for find in self.found.finds}
        self.found.links = {path: names for path, names in self._links.items() if path in files}
        self.found.changes.settle()

    # Files

    def _file(self, path: str, read: Callable[[int], bytes], depth: int, budget: nested.Budget | None) -> None:
        """Judge one file, in the layer or in an archive of it."""
        head = read(1024)
        form = nested.kind(path, head) if depth < self._limits.depth else None
        if form is None:
            self._bytes(path, _Ahead(head, read).read)
            return
        most = self._limits.nested
        body = head + read(min(_LARGE, most))
        if len(body) < min(_LARGE, most):
            self._archive(form, path, body, depth, budget)
            return
        with _one_large:
            body += read(max(0, most - len(body)) + 1)
            if len(body) <= self._limits.nested:
                self._archive(form, path, body, depth, budget)
                return
        self.problem(
            path,
            f"is an archive of more than {self._limits.nested // MIB} MiB and was judged without unpacking it",
            "unpack it and scan the folder: keylift scan files DIR",
        )
        self._bytes(path, _Ahead(body, read).read)

    def _archive(self, form: str, path: str, body: bytes, depth: int, budget: nested.Budget | None) -> None:
        outermost = budget is None
        budget = budget or nested.Budget(len(body), self._limits)

        def problem(where: str, what: str) -> None:
            self.problem(f"/{where}", what, "see whether the file is damaged where it comes from")

        try:
            for member in nested.members(form, path, body, self._limits, problem, budget):
                self._file(member.path, member.read, depth + 1, budget)
        except LimitError as error:
            if not outermost:
                raise
            self.problem(f"/{path}", f"{error.what}: {error.why}", error.hint)

    def _bytes(self, path: str, read: Callable[[int], bytes]) -> None:
        name = path.rpartition("/")[2]
        location = FileLocation(path, 1, 1)
        special = secret_files.reader_of(path)
        for piece in pieces(read):
            if not piece.data.strip(b"\0"):
                # Sparse files are zeros in a tar.
                continue
            matches = self._engine.scan(Document(piece.data, location, name=name))
            if special is not None and not piece.line and len(piece.data) < _WIDEST:
                matches = secret_files.with_more(matches, special(piece.data), self._engine)
            if matches:
                self._keep(path, piece, matches)

    def _keep(self, path: str, piece: Piece, matches: list[Match]) -> None:
        lines = Lines(piece.data)
        for match in matches:
            if not piece.low <= match.start < piece.high:
                continue
            if len(self.found.finds) >= self._limits.layer_findings:
                self.problem("", f"has more than {self._limits.layer_findings} findings; the others are not listed")
                return
            line, column = piece.place(*lines.at(match.start))
            status = "new"
            if self._allow is not None:
                around = allowing.surroundings(piece.data, match.start, match.end)
                status = self._allow.status(match.rule, path, *around, match.secret)
            self.found.finds.append(Find.of(match, path, line, column, self._fingerprinter, status))


class _Ahead:
    """A reading function with bytes before it that were read already."""

    def __init__(self, head: bytes, read: Callable[[int], bytes]) -> None:
        self._head = head
        self._read = read

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._read(size)
        head, self._head = self._head[:size], self._head[size:]
        return head + self._read(size - len(head)) if len(head) < size else head


class _Counted:
    """Chunks, counted."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.size += len(chunk)
        return chunk


class _Chunks:
    """Chunks as a reader."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, _size: int, /) -> bytes:
        return next(self._chunks, b"")
