"""One layer, one pass: read, verify, unpack, walk, judge, note what it does to the layers below.

Nothing is written anywhere. What is odd or damaged becomes an entry of `errors`, and the rest is judged all the same.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from scanners.images.copies import SLOT, Batches, Copies
from scanners.images.errors import PULL_AGAIN, BlobError, ImageError, LimitError
from scanners.images.finds import Find, LayerFinds
from scanners.images.judging import Judge, Problem, part, whole
from scanners.images.limits import DEFAULT, MIB, Limits
from scanners.images.streams import Digesting, Joined, Reader, exactly, is_packed, unpacked
from scanners.images.tar import DIRECTORY, FILE, LINK, Buffer, TarError, TarReader, looks_like
from scanners.images.whiteouts import digest as path_digest
from scanners.sources.pieces import Piece


class LayerScanner:
    """Judges layers, one after the other. Each thread has one of its own, because each needs an engine of its own."""

    def __init__(
        self,
        judge: Judge,
        *,
        limits: Limits = DEFAULT,
        copies: Copies | None = None,
        seen: Callable[[int], None] | None = None,
    ) -> None:
        """Judge by `judge`, or have `copies` of it do so; `seen` is told of bytes as they are read."""
        self._judge = judge
        self._limits = limits
        self._copies = copies
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
        one = _Layer(self._judge, self._limits, self._copies)
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
            one.note("", f"{error.what}: {error.why}" if error.why else error.what, error.hint)
            found.whole = False
            return found
        self._verify(one, digest, diff_id)
        return found

    def _verify(self, one: _Layer, digest: str | None, diff_id: str | None) -> None:
        found = one.found
        if digest is not None and found.digest != digest:
            one.note(
                "",
                f"its bytes have the digest {found.digest}: they are not what the manifest names",
                PULL_AGAIN,
                first=True,
            )
            found.whole = False
        elif digest is None and diff_id is not None and found.diff_id != diff_id and found.whole:
            why = f"it unpacks to {found.diff_id}: that is not what the configuration names"
            one.note("", why, PULL_AGAIN, first=True)
            found.whole = False


class _Layer:
    """The layer at work."""

    def __init__(self, judge: Judge, limits: Limits, copies: Copies | None) -> None:
        self.found = LayerFinds()
        self._judge = judge
        self._limits = limits
        self._away = Batches(copies) if copies else None
        self._outside = 0
        self._links: dict[str, list[str]] = {}
        self._entry = 0
        """Where in `changes.files` the file at work is."""
        self._order = 0
        self._asked: dict[int, tuple[int, int]] = {}
        """What was handed over, by its number: its place in the order of everything, and the file it is of."""
        self._finds: list[tuple[int, int, Find]] = []
        self._problems: list[tuple[int, Problem]] = []
        """In no order, as they come from here and from copies."""
        self._count = self._heard = 0

    def note(self, where: str, what: str, hint: str = PULL_AGAIN, *, first: bool = False) -> None:
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
        start = exactly(packed, 8)
        chunks = unpacked(Joined(start, packed), self._limits, lambda: packed.size)
        # What is not packed has one digest.
        twice = with_diff_id and is_packed(start)
        if twice:
            plain = Digesting(_Chunks(chunks))
            chunks = iter(lambda: plain.read(MIB), b"")
        counted = _Counted(chunks)
        buffer = Buffer(counted)
        try:
            head = buffer.peek(512)
            if head.strip(b"\0") and not looks_like(head):
                self._no_tar(buffer)
            else:
                self._walk(TarReader(buffer, self._limits, lambda what: self.note("", what)))
            while buffer.skip(MIB):
                pass
        except TarError as error:
            self.note("", f"the layer {error}", PULL_AGAIN)
            found.whole = False
        except (BlobError, LimitError) as error:
            self.note("", f"{error.what}: {error.why}" if error.why else error.what, error.hint)
            found.whole = False
        found.unpacked = counted.size
        if with_diff_id:
            found.diff_id = plain.digest if twice else packed.digest
        self._settle()

    def _no_tar(self, buffer: Buffer) -> None:
        """A blob that is no archive of files: a chart, a signature, or something that was meant to look like a layer."""
        self.note("", "is no tar archive; it was judged as one file", "see what made the image")
        self.found.files += 1
        self._file("", buffer.read, 1 << 62)

    def _walk(self, reader: TarReader) -> None:
        found, changes = self.found, self.found.changes
        for entry in reader.entries():
            found.entries += 1
            if found.entries > self._limits.entries:
                self.note("", f"has more than {self._limits.entries} entries; those after that were not judged")
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
            if entry.size:
                self._entry = len(changes.files) - 1
                self._file(path, reader.read, entry.size)

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
                self.note(
                    "", f"has names that lead out of the image, the first is {path!r}; they were judged all the same"
                )
            while normal.startswith("../"):
                normal = normal[3:]
            return "" if normal == ".." else normal
        return normal

    def _link(self, path: str, target: str) -> None:
        if len(self._links) < self._limits.links:
            self._links.setdefault(target, []).append(path)

    def _settle(self) -> None:
        if self._away is not None:
            self._away.finish()
            for number, (finds, problems) in self._away.made:
                order, entry = self._asked[number]
                self._finds += [(order, entry, find) for find in finds]
                self._problems += [(order, problem) for problem in problems]
            self._away = None
        self._finds.sort(key=lambda one: one[0])
        for _, (where, what, hint) in sorted(self._problems):
            self.note(where, what, hint)
        if len(self._finds) > self._limits.layer_findings:
            self.note("", f"has more than {self._limits.layer_findings} findings; the others are not listed")
            del self._finds[self._limits.layer_findings :]
        self.found.finds = list(self._placed())
        files = {find.file for find in self.found.finds}
        self.found.links = {path: names for path, names in self._links.items() if path in files}
        self.found.changes.settle()

    def _placed(self) -> Iterator[Find]:
        """What was found; a path that comes again hides what the layer had there before."""
        wanted = {find.file: path_digest(find.file) for _, _, find in self._finds}
        known = set(wanted.values())
        last = {name: at for at, name in enumerate(self.found.changes.files) if name in known} if known else {}
        for _, entry, find in self._finds:
            yield replace(find, shadowed=True) if last.get(wanted[find.file], entry) > entry else find

    # Files

    def _file(self, path: str, read: Callable[[int], bytes], size: int) -> None:
        if self._full():
            return
        if self._away is None or size > SLOT:
            self._judge.file(path, read, self)
            return
        data = read(size)
        if not self._hand_over(whole(path), data):
            self._judge.file(path, io.BytesIO(data).read, self)

    def take(self, path: str, piece: Piece) -> None:
        """Have a piece judged."""
        if self._full() or self._hand_over(part(path[: self._limits.path], piece), piece.data):
            return
        finds = self._judge.piece(path, piece)
        self._order += 1
        self._count += len(finds)
        self._finds += [(self._order, self._entry, find) for find in finds]

    def problem(self, where: str, what: str, hint: str) -> None:
        """Note what could not be read of a file."""
        self._order += 1
        if len(self._problems) <= self._limits.errors:
            self._problems.append((self._order, (where, what, hint)))

    def _hand_over(self, about: tuple[Any, ...], data: bytes) -> bool:
        """Whether a copy will judge it."""
        number = self._away.add(about, len(about[0]), data) if self._away is not None else None
        if number is None:
            return False
        self._order += 1
        self._asked[number] = self._order, self._entry
        return True

    def _full(self) -> bool:
        """Whether there is so much already that the rest is not looked at."""
        if self._away is not None:
            new = self._away.made[self._heard :]
            self._heard += len(new)
            self._count += sum(len(finds) for _, (finds, _) in new)
        return self._count > self._limits.layer_findings


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
