"""Versions of files, judged one after the other: what one worker of a history scan does.

A version mostly repeats the one before it. So what a version shares with the last one of the same path, at its beginning
and at its end, is not judged again: only the part between, with what stands around it. When that part holds something
that the path did not hold before, the whole version is judged, so that what is reported never depends on where it was cut.
"""

from __future__ import annotations

import io
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from scanners import archives
from scanners.engine import Engine
from scanners.git import Git
from scanners.model import CommitLocation, Document, Finding, Fingerprinter, Match
from scanners.positions import Lines
from scanners.sources.files import found_at, opaque
from scanners.sources.objects import Objects, Stream, Unreadable
from scanners.sources.pieces import PIECE, pieces

if TYPE_CHECKING:
    from scanners.allow import Allow

MESSAGE = "commit message"
"""The path that a finding in a commit's message is reported at."""

_KEPT = 48 * 1024 * 1024
"""Bytes of earlier versions a worker keeps."""
_VERSIONS = 2
_LARGE = 1024 * 1024
"""A version beyond this is not kept and not compared."""
_AROUND = 2048
"""Bytes around a changed part that are judged with it, to the ends of their lines."""
_LINE = 4096
_MANIFEST = re.compile(rb"kind[\"']?[ \t]*:[ \t\r\n]*[\"']?Secret\b")
_LARGEST_ARCHIVE = 32 * 1024 * 1024
"""Bytes of an archive, which is held as a whole to be opened."""
_NEAR = 256


class Item(NamedTuple):
    """Something to judge, and where it was first seen."""

    number: int
    """Its place in the order of history."""
    oid: str | None
    """The object that holds it; None: it is `text`."""
    path: str
    commit: str | None
    author_date: str | None
    at_head: bool
    text: bytes = b""
    before: str | None = None
    """The version that this one was made from."""


class Hit(NamedTuple):
    """A finding and the version it was found in."""

    number: int
    at_head: bool
    finding: Finding


class Judged(NamedTuple):
    """What a batch of items gave."""

    hits: list[Hit]
    errors: list[dict[str, str]]
    missing: list[dict[str, str]]
    """Errors about objects that the store lacks, as that of a partial clone may."""
    objects: int
    bytes: int


class Versions:
    """Judges items in the order of history, be it only some of them."""

    def __init__(self, git: Git, engine: Engine, fingerprinter: Fingerprinter, allow: Allow | None = None) -> None:
        """Judge by `engine`; `allow` says of each find whether it is new."""
        self._objects = Objects(git)
        self._engine = engine
        self._fingerprinter = fingerprinter
        self._allow = allow
        self._earlier: OrderedDict[str, list[tuple[str, bytes]]] = OrderedDict()
        self._kept = 0
        self._known: set[tuple[str, str, str]] = set()

    def close(self) -> None:
        """End git."""
        self._objects.close()

    def judge(self, items: Sequence[Item]) -> Judged:
        """Findings that a path did not have in an earlier version, and all those of versions at HEAD.

        Raises:
            RepositoryError: git is missing, or cannot read the repository at all.
        """
        judged = Judged([], [], [], 0, 0)
        size = count = 0
        texts = [item for item in items if item.oid is None]
        stored = [item for item in items if item.oid is not None]
        if texts:
            judged.hits.extend(self._messages(texts))
        for item, thing in zip(stored, self._objects.each([item.oid or "" for item in stored]), strict=True):
            if isinstance(thing, Unreadable):
                (judged.missing if thing.missing else judged.errors).append(_damaged(item, thing.why))
                continue
            try:
                judged.hits.extend(self._object(item, thing, judged.errors))
            except EOFError as error:
                judged.errors.append(_damaged(item, str(error)))
                continue
            count += 1
            size += thing.size
        return judged._replace(objects=count, bytes=size)

    def _object(self, item: Item, stream: Stream, errors: list[dict[str, str]]) -> list[Hit]:
        if stream.kind in ("commit", "tag"):
            head, _, text = stream.read(stream.size).partition(b"\n\n")
            if stream.kind == "commit":
                item = item._replace(path=MESSAGE, commit=item.oid, author_date=author_date(head))
            return self._whole(item, text)
        if stream.kind != "blob":
            return []
        if archives.is_archive(item.path):
            return self._archive(item, stream, errors)
        if stream.size > PIECE:
            return self._large(item, stream)
        data = stream.read(stream.size)
        if item.at_head or stream.size > _LARGE:
            self._keep(item, data)
            return self._whole(item, data)
        if not self._may_be_new(item, data):
            return []
        return self._whole(item, data)

    def _may_be_new(self, item: Item, data: bytes) -> bool:
        """Whether a version may hold something that the path did not hold before."""
        before = self._version_before(item)
        self._keep(item, data)
        if before is None or b"\x00" in data:
            return True
        start = shared_start(before, data)
        end = len(data) - shared_end(before, data, min(len(before), len(data)) - start)
        low, high = _line_start(data, start - _AROUND), _line_end(data, end + _AROUND)
        if high - low > 0.8 * len(data) or _judged_from_afar(data):
            return True
        part = data[low:high]
        found = self._engine.scan(Document(part, _document(item), name=_name(item.path)))
        return any(self._key(item, match) not in self._known for match in found)

    def _whole(self, item: Item, data: bytes) -> list[Hit]:
        found = self._engine.scan(Document(data, _document(item), name=_name(item.path)))
        if not found:
            return []
        lines = Lines(data)
        return self._reported(item, ((match, *lines.at(match.start), data) for match in found))

    def _large(self, item: Item, stream: Stream) -> list[Hit]:
        hits: list[Hit] = []
        for piece in pieces(stream.read):
            found = self._engine.scan(Document(piece.data, _document(item), name=_name(item.path)))
            if not found:
                continue
            lines = Lines(piece.data)
            inside = (match for match in found if piece.low <= match.start < piece.high)
            hits += self._reported(
                item, ((match, *piece.place(*lines.at(match.start)), piece.data) for match in inside)
            )
        return hits

    def _archive(self, item: Item, stream: Stream, errors: list[dict[str, str]]) -> list[Hit]:
        if stream.size > _LARGEST_ARCHIVE:
            errors.append(
                {
                    "where": f"{item.path} ({item.oid})",
                    "what": f"is an archive of {stream.size:,} bytes and was not opened",
                    "hint": f"get it, then scan it as a file: git cat-file blob {item.oid} > FILE",
                }
            )
            return []
        hits: list[Hit] = []
        problems: list[archives.Problem] = []
        data = stream.read(stream.size)
        for path, content in archives.members(item.path, io.BytesIO(data), errors=problems, skip=opaque):
            hits += self._whole(item._replace(path=path), content)
        errors += [{**problem, "where": f"{problem['where']} ({item.oid})"} for problem in problems]
        return hits

    def _messages(self, items: Sequence[Item]) -> list[Hit]:
        """Messages are short and many: all at once, and one by one only where something is."""
        hits: list[Hit] = []
        gap = b"\n\n\n"
        at, starts = 0, []
        for item in items:
            starts.append(at)
            at += len(item.text) + len(gap)
        together = gap.join(item.text for item in items)
        found = self._engine.scan(Document(together, _document(items[0]), name=None))
        matched = [match.start for match in found]
        for item, start in zip(items, starts, strict=True):
            end = start + len(item.text)
            if any(start <= place < end for place in matched):
                hits += self._whole(item, item.text)
        return hits

    def _reported(self, item: Item, found: Iterable[tuple[Match, int, int, bytes]]) -> list[Hit]:
        hits = []
        fresh: set[tuple[str, str, str]] = set()
        for match, line, column, data in found:
            key = self._key(item, match)
            if key in self._known and key not in fresh and not item.at_head:
                continue
            if key not in self._known:
                self._known.add(key)
                fresh.add(key)
            location = CommitLocation(item.path, line, column, item.commit, item.author_date, item.at_head)
            finding = found_at(match, cast("Any", location), self._fingerprinter)
            if self._allow is not None:
                finding = self._allow.judged(finding, match, item.path, data)
            hits.append(Hit(item.number, item.at_head, finding))
        return hits

    def _key(self, item: Item, match: Match) -> tuple[str, str, str]:
        return (match.rule, self._fingerprinter.of_secret(match.secret), item.path)

    def _version_before(self, item: Item) -> bytes | None:
        """The version this one was made from, or else the one that was judged last."""
        kept = self._earlier.get(item.path)
        if not kept:
            return None
        return next((data for oid, data in kept if oid == item.before), kept[-1][1])

    def _keep(self, item: Item, data: bytes) -> None:
        """Keep a version to compare with: two of a path, since branches take turns; paths not seen for long go."""
        if item.oid is None or len(data) > _LARGE:
            return
        kept = self._earlier.setdefault(item.path, [])
        self._earlier.move_to_end(item.path)
        kept.append((item.oid, data))
        self._kept += len(data)
        if len(kept) > _VERSIONS:
            self._kept -= len(kept.pop(0)[1])
        while self._kept > _KEPT:
            _, old = self._earlier.popitem(last=False)
            self._kept -= sum(len(data) for _, data in old)


def _judged_from_afar(data: bytes) -> bool:
    """Whether a part of a text may be a secret for what stands far from it: the rest of a key, the kind of a manifest."""
    return b"PRIVATE KEY" in data or (b"Secret" in data and _MANIFEST.search(data) is not None)


def shared_start(one: bytes, other: bytes) -> int:
    """How many bytes two texts share at their beginning, or up to a few hundred fewer."""
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    low, step = 0, 1024
    while one[low : low + step] == other[low : low + step]:
        low += step
        step *= 2
    high = min(most, low + step)
    while high - low > _NEAR:
        middle = (low + high) >> 1
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def shared_end(one: bytes, other: bytes, most: int) -> int:
    """How many bytes, at most `most`, two texts share at their end, or up to a few hundred fewer."""
    first, second = len(one), len(other)
    low, step = 0, 1024
    while low < most:
        high = min(most, low + step)
        if one[first - high : first - low] != other[second - high : second - low]:
            break
        low = high
        step *= 2
    else:
        return most
    while high - low > _NEAR:
        middle = (low + high) >> 1
        if one[first - middle : first - low] == other[second - middle : second - low]:
            low = middle
        else:
            high = middle
    return low


def _line_start(data: bytes, at: int) -> int:
    if at <= 0:
        return 0
    found = data.rfind(b"\n", max(0, at - _LINE), at)
    return found + 1 if found != -1 else at


def _line_end(data: bytes, at: int) -> int:
    if at >= len(data):
        return len(data)
    found = data.find(b"\n", at, at + _LINE)
    return found + 1 if found != -1 else at


def _document(item: Item) -> CommitLocation:
    return CommitLocation(item.path, 1, 1, item.commit, item.author_date, item.at_head)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def author_date(head: bytes) -> str | None:
    """When the author of a commit says it was made, by its header; None where that says nothing of sense."""
    found = re.search(rb"^author [^\n]*> (\d{1,11}) ([+-])(\d\d)(\d\d)$", head, re.MULTILINE)
    if found is None:
        return None
    minutes = int(found[3]) * 60 + int(found[4])
    try:
        offset = timezone(timedelta(minutes=-minutes if found[2] == b"-" else minutes))
        return datetime.fromtimestamp(int(found[1]), offset).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _damaged(item: Item, why: str) -> dict[str, str]:
    return {
        "where": f"{item.path} ({item.oid})",
        "what": f"missing or damaged in the object store: git says {why}",
        "hint": "git fsck --full says what else is; fetch the object again from a whole clone",
    }
