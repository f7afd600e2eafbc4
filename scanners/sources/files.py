"""Files below paths: walked, read in pieces of bounded size, scanned on all cores, reported by line and column."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from scanners import archives, ignoring, places
from scanners.engine import Engine
from scanners.model import FileLocation, Finding, Fingerprinter, Match, Report, preview
from scanners.positions import Lines
from scanners.sources import forking
from scanners.sources.pieces import OVERLAP, PIECE, Piece, pieces
from scanners.sources.tracked import Tracked
from scanners.words import words

if TYPE_CHECKING:
    from scanners.allow import Allow

_SMALL_LISTING = 0.01
"""Seconds in which a small tree is listed."""
_MANY_FILES = 500
_MANY_BYTES = 8 * 1024 * 1024
_MANY_TO_SPAWN = 3
"""Starting a process anew pays for so many times as much."""
_BATCH_FILES = 64
_BATCH_BYTES = 256 * 1024
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
"""What was a file and is a pipe by now must not be waited for."""
_NEVER_ENTERED = frozenset({".git", ".hg", ".svn"})
_OPAQUE = words(
    "png jpg jpeg gif bmp ico webp tif tiff psd woff woff2 ttf otf eot mp3 mp4 m4a mov avi mkv webm wav flac ogg zip gz bz2 xz "
    "zst 7z rar tar tgz jar whl nupkg vsix iso dmg pyc pdf"
)
"""Endings of files in which nothing can be read without decoding them."""

Review = Callable[[Report], None]
Progress = Callable[[int, int], None]
"""Told how many bytes of how many were read."""


@dataclass(slots=True)
class Found:
    """What one file or one batch of files gave."""

    findings: list[Finding]
    errors: list[dict[str, str]]
    files: int = 0
    bytes: int = 0


def scan(
    paths: Sequence[Path],
    *,
    engine: Engine,
    fingerprinter: Fingerprinter,
    ignore: bool = True,
    allow: Allow | None = None,
    review: Review | None = None,
    prepare: Callable[[], None] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Report:
    """Scan files and everything below directories.

    Symbolic links below a path are not followed. A file that cannot be read is an entry of `errors` and hides nothing.

    Args:
        paths: files or directories.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        ignore: leave out what `.gitignore` files leave out and git does not track.
        allow: says of each find whether it is new.
        review: changes what was found, a part of it at a time; done by all processes where they can share it.
        prepare: gets ready what `review` needs; called where there is time for it.
        progress: told how many bytes of how many were read; up to the first call, files are being listed.
        workers: processes; by default as many as there are cores, and none for a small tree.
    """
    cores = workers if workers is not None else _cores()
    forked = forking.possible()
    listed = _listed(paths, engine, prepare, ignore=ignore, aside=forked and cores > 1)
    many = 1 if forked else _MANY_TO_SPAWN
    job = _Job(engine, fingerprinter, allow, _folders(paths), review, _Told(progress, listed.size))
    if cores > 1 and (workers is not None or listed.files > many * _MANY_FILES or listed.size > many * _MANY_BYTES):
        found_in = _in_parallel(listed, job, cores, forked=forked)
    else:
        found_in, done = [], 0
        for some in listed.batches:
            found_in.append(job.batch(some))
            done += sum(size for _, size in some)
            job.told.reached(done)
    report = Report(errors=list(listed.errors), scanned={"files": 0, "bytes": 0})
    for found in found_in:
        report.findings += found.findings
        report.errors += found.errors
        report.scanned["files"] += found.files
        report.scanned["bytes"] += found.bytes
    report.findings = list(report.ordered())
    report.errors.sort(key=lambda error: str(error["where"]))
    return report


@dataclass(slots=True)
class _Listed:
    """What there is to be scanned."""

    batches: list[list[tuple[str, int]]]
    """Files with their sizes, in the order and the parts in which they are scanned."""
    errors: list[dict[str, str]]
    files: int
    size: int
    """Bytes of all of them."""


def _listed(
    paths: Sequence[Path], engine: Engine, prepare: Callable[[], None] | None, *, ignore: bool, aside: bool
) -> _Listed:
    """List files; a large tree in a process of its own, while this one imports and reads what scanning it needs."""
    if not (aside and any(path.is_dir() for path in paths)):
        return _list(paths, ignore=ignore)
    listing = forking.Aside(lambda: _list(paths, ignore=ignore))
    if not listing.done_within(_SMALL_LISTING):
        _ready(engine)
        if prepare is not None and not listing.done_within(0):
            prepare()
    return listing.result()


def _list(paths: Sequence[Path], *, ignore: bool) -> _Listed:
    errors: list[dict[str, str]] = []
    names = [found for path in paths for found in walk(path, errors, ignore=ignore)]
    batches = _batches(_twins_together(names))
    return _Listed(batches, errors, len(names), sum(size for _, size in names))


def _ready(engine: Engine) -> None:
    """Import and read what judging needs, which copies of this process would do each for itself."""
    import scanners.confirm
    import scanners.decoding  # noqa: F401

    engine.rules  # noqa: B018 - read on first use


def _folders(paths: Sequence[Path]) -> list[str]:
    """The folders among paths, as paths of findings begin, the innermost first."""
    folders = {os.fspath(path).replace(os.sep, "/").rstrip("/") + "/" for path in paths if path.is_dir()}
    return sorted(folders, key=len, reverse=True)


def _within(finding: Finding, roots: Sequence[str]) -> str:
    """The path of a finding within what was asked for: what that lies in says nothing of it."""
    path = str(finding.location.as_dict()["path"])
    root = next((root for root in roots if path.startswith(root)), None)
    return path[len(root) :] if root else path.rpartition("/")[2]


def walk(path: Path, errors: list[dict[str, str]], *, ignore: bool = True) -> Iterator[tuple[str, int]]:
    """Regular files at or below a path with their sizes, in order of their names; what cannot be read goes to `errors`."""
    root = os.fspath(path)
    try:
        about = path.stat()
    except OSError as error:
        errors.append(_unreadable(root, error))
        return
    if not stat.S_ISDIR(about.st_mode):
        # What a pipe or a device holds, nobody knows before.
        yield root, about.st_size if stat.S_ISREG(about.st_mode) else PIECE
        return
    base, above = ignoring.above(path) if ignore else ("", ())
    yield from _below(root, base, above, errors, ignore=ignore)


def _below(
    folder: str, base: str, above: tuple[ignoring.IgnoreFile, ...], errors: list[dict[str, str]], *, ignore: bool
) -> Iterator[tuple[str, int]]:
    # An explicit stack: trees can be deeper than Python's recursion.
    stack = [_Folder(folder, base, above, Tracked(folder, base, errors) if base else None)]
    while stack:
        here = stack.pop()
        try:
            with os.scandir(here.path) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            errors.append(_unreadable(here.path, error))
            continue
        files, tracked = here.files, here.tracked
        names = {entry.name for entry in entries} if ignore else frozenset()
        if ".git" in names and not here.ignored:
            tracked = Tracked(here.path, here.base, errors)
        if ".gitignore" in names:
            own = ignoring.read(Path(here.path, ".gitignore"), here.base)
            files = (*files, own) if own else files
        deeper = []
        for entry in entries:
            name = here.base + entry.name
            try:
                directory = entry.is_dir(follow_symlinks=False)
                if directory and entry.name in _NEVER_ENTERED:
                    continue
                ignored = here.ignored or (bool(files) and ignoring.ignored(name, directory=directory, files=files))
                if ignored and not (tracked and tracked.has(name, directory=directory)):
                    continue
                if directory:
                    deeper.append(_Folder(entry.path, name + "/", files, tracked, ignored=ignored))
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                errors.append(_unreadable(entry.path, error))
        stack.extend(reversed(deeper))


class _Folder(NamedTuple):
    """A folder that is still to be walked."""

    path: str
    base: str
    """Its path in the repository, with a slash at its end, or empty for the root of the walk."""
    files: tuple[ignoring.IgnoreFile, ...]
    """The ignore files above it."""
    tracked: Tracked | None
    """Of the repository it is in."""
    ignored: bool = False
    """It is left out, but for what git tracks in it."""


class Last:
    """The last file that was read at once, with what it holds: trees are full of copies, and a copy holds the same."""

    def __init__(self) -> None:
        self._data = b""
        self._found: list[Match] = []

    def matches(self, data: bytes, engine: Engine) -> list[Match]:
        """What the engine finds in a file."""
        if data != self._data:
            self._found = engine.matches(data)
            self._data = data
        return self._found


class _Told:
    """How far a scan is; copies of the process tell nothing."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._here = os.getpid()
        self._total = total
        self._done = 0

    def read(self, size: int) -> None:
        """So many bytes more."""
        self._done += size
        if self._progress is not None and os.getpid() == self._here:
            self._progress(min(self._done, self._total), self._total)

    def reached(self, done: int) -> None:
        """So many bytes in all, those of other processes included."""
        self.read(max(0, done - self._done))


def scan_file(
    name: str,
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None = None,
    read: Callable[[int], None] | None = None,
) -> tuple[list[Finding], int]:
    """The findings of one file and how many bytes were read, a piece of it at a time.

    Args:
        name: path of the file.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        allow: what is allowed.
        read: told of bytes that were read of a large file, as it goes.

    Raises:
        OSError: it cannot be read.
    """
    findings: list[Finding] = []
    size = 0
    with open(name, "rb") as file:  # noqa: PTH123 - pathlib costs more than opening does
        for piece in pieces(file.read):
            more = len(piece.data) if not size else len(piece.data) - OVERLAP
            size += more
            found = engine.matches(piece.data)
            if found:
                findings += _located(name, piece, found, fingerprinter, allow)
            if read is not None:
                read(more)
    return findings, size


def _small(name: str, size: int) -> bytes | None:
    """The bytes of a regular file that is read at once; None for one that has another size by now, or is large.

    Raises:
        OSError: it cannot be read.
    """
    if size >= PIECE - OVERLAP:
        return None
    handle = os.open(name, _READ)
    try:
        data = os.read(handle, size + 1)
    finally:
        os.close(handle)
    # It is being written, or one that the system makes up as it is read.
    return data if len(data) == size else None


def _located(
    name: str, piece: Piece, found: Sequence[Match], fingerprinter: Fingerprinter, allow: Allow | None
) -> Iterator[Finding]:
    lines = Lines(piece.data)
    shown = name.replace(os.sep, "/")
    for match in found:
        if piece.low <= match.start < piece.high:
            line, column = piece.place(*lines.at(match.start))
            finding = found_at(match, FileLocation(shown, line, column), fingerprinter)
            yield finding if allow is None else allow.judged(finding, match, name, piece.data)


@lru_cache(maxsize=4096)
def _plain(ending: str) -> bool:
    """Whether files whose names end so are looked at as they are: most have one of a few endings."""
    name = f"name.{ending}"
    return not (opaque(name) or archives.is_archive(name))


def opaque(name: str) -> bool:
    """Whether nothing can be read in a file of this name."""
    return name.rpartition(".")[2].lower() in _OPAQUE


def found_at(match: Match, location: FileLocation, fingerprinter: Fingerprinter) -> Finding:
    """A match as a finding: the value stays behind."""
    return Finding(
        rule=match.rule,
        title=match.title,
        severity=match.severity,
        confidence=match.confidence,
        location=location,
        fingerprint=fingerprinter.of_secret(match.secret),
        preview=preview(match.secret),
        verified=match.verified,
        service=match.service,
        detail=match.detail,
        weak=match.weak,
        origin=match.origin,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What is done with files, whichever process does it."""

    engine: Engine
    fingerprinter: Fingerprinter
    allow: Allow | None
    roots: Sequence[str]
    review: Review | None
    told: _Told

    def batch(self, names: Sequence[tuple[str, int]]) -> Found:
        """What some files give, which are told with their sizes."""
        found, last = Found([], []), Last()
        for name, known in names:
            try:
                if _plain(name.rpartition(".")[2]):
                    # Nearly every file is of this kind, and nearly all of them hold nothing.
                    data = _small(name, known)
                    if data is not None:
                        matches = last.matches(data, self.engine)
                        if matches:
                            whole = Piece(data, 0, known, 0, 0)
                            found.findings += _located(name, whole, matches, self.fingerprinter, self.allow)
                        found.files += 1
                        found.bytes += known
                        continue
                if archives.is_archive(name):
                    from scanners.sources.archived import scan_archive

                    findings, size = scan_archive(name, self.engine, self.fingerprinter, self.allow, found.errors)
                elif opaque(name):
                    findings, size = [], 0
                else:
                    findings, size = scan_file(name, self.engine, self.fingerprinter, self.allow, self.told.read)
            except OSError as error:
                found.errors.append(_unreadable(name, error))
                continue
            found.findings += findings
            found.files += 1
            found.bytes += size
        found.findings = [places.judged(finding, _within(finding, self.roots)) for finding in found.findings]
        if self.review is not None and found.findings:
            report = Report(findings=found.findings)
            self.review(report)
            found.findings = report.findings
        return found


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


_job: _Job | None = None


def _in_parallel(listed: _Listed, job: _Job, workers: int, *, forked: bool) -> list[Found]:
    """Batches over processes. Values stay in the process that read them: findings hold none."""
    batches = listed.batches
    if forked:
        _ready(job.engine)
        before = [0, *accumulate(sum(size for _, size in some) for some in batches)]
        workers = min(workers, len(batches))
        found = forking.each(job.batch, batches, workers, lambda at: job.told.reached(before[at]))
        job.told.reached(before[-1])
        return found
    import multiprocessing

    start = (job.engine.cache_dir, job.engine.plain, job.fingerprinter, job.allow, job.roots)
    with multiprocessing.get_context("spawn").Pool(workers, _start, start) as pool:
        found = list(pool.imap(_work, batches))
    if job.review is not None:
        # Where it comes from cannot be told to a process that is started anew.
        for some in found:
            report = Report(findings=some.findings)
            job.review(report)
            some.findings = report.findings
    return found


def _twins_together(names: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Files of the same name and size next to one another, where the first of them was: most often they are copies."""
    first: dict[tuple[str, int], int] = {}
    places = [first.setdefault(_twin(file), number) for number, file in enumerate(names)]
    if len(first) == len(names):
        return names
    return [names[number] for number in sorted(range(len(names)), key=places.__getitem__)]


def _twin(file: tuple[str, int]) -> tuple[str, int]:
    return file[0].rpartition(os.sep)[2], file[1]


def _batches(names: Sequence[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Files for which asking for the next ones does not count, and which do not keep one process busy at the end."""
    batches: list[list[tuple[str, int]]] = [[]]
    most = max(_BATCH_FILES, len(names) // 4000)
    least = room = max(_BATCH_BYTES, sum(size for _, size in names) // 8000)
    before = ("", 0)
    for file in names:
        full = room <= 0 or len(batches[-1]) >= most
        # Copies stay with their first, unless they are so many that they may be none.
        if full and (_twin(file) != _twin(before) or len(batches[-1]) >= 2 * most):
            batches.append([])
            room = least
        batches[-1].append(file)
        room -= file[1]
        before = file
    return batches


def _start(
    cache_dir: Path | None, plain: bool, fingerprinter: Fingerprinter, allow: Allow | None, roots: Sequence[str]
) -> None:
    global _job
    _job = _Job(Engine.load(cache_dir, plain=plain), fingerprinter, allow, roots, None, _Told(None, 0))


def _work(names: list[tuple[str, int]]) -> Found:
    if _job is None:
        raise RuntimeError("a worker was not started")
    return _job.batch(names)


def _unreadable(where: str, error: OSError) -> dict[str, str]:
    return {
        "where": where.replace(os.sep, "/"),
        "what": f"cannot be read: {error.strerror or error}",
        "hint": "run as a user who may read it, or leave it out",
    }
