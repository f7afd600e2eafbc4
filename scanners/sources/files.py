"""Files below paths: walked, read in pieces of bounded size, scanned on all cores, reported by line and column."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scanners import archives, ignoring, places
from scanners.engine import Engine
from scanners.model import FileLocation, Finding, Fingerprinter, Match, Report, preview
from scanners.positions import Lines
from scanners.sources import forking
from scanners.sources.pieces import OVERLAP, pieces
from scanners.words import words

if TYPE_CHECKING:
    from scanners.allow import Allow

_MANY_FILES = 500
_MANY_BYTES = 8 * 1024 * 1024
_MANY_TO_SPAWN = 3
"""Starting a process anew pays for so many times as much."""
_BATCH_FILES = 256
_BATCH_BYTES = 1024 * 1024
_NEVER_ENTERED = frozenset({".git", ".hg", ".svn"})
_OPAQUE = words(
    "png jpg jpeg gif bmp ico webp tif tiff psd woff woff2 ttf otf eot mp3 mp4 m4a mov avi mkv webm wav flac ogg zip gz bz2 xz "
    "zst 7z rar tar tgz jar whl nupkg vsix iso dmg pyc pdf"
)
"""Endings of files in which nothing can be read without decoding them."""


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
    workers: int | None = None,
) -> Report:
    """Scan files and everything below directories.

    Symbolic links below a path are not followed. A file that cannot be read is an entry of `errors` and hides nothing.

    Args:
        paths: files or directories.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        ignore: leave out what `.gitignore` files leave out.
        allow: says of each find whether it is new.
        workers: processes; by default as many as there are cores, and none for a small tree.
    """
    errors: list[dict[str, str]] = []
    names = [found for path in paths for found in walk(path, errors, ignore=ignore)]
    cores = workers if workers is not None else _cores()
    total = sum(size for _, size in names)
    forked = forking.possible()
    many = 1 if forked else _MANY_TO_SPAWN
    if cores > 1 and (workers is not None or len(names) > many * _MANY_FILES or total > many * _MANY_BYTES):
        batches = _in_parallel(names, engine, fingerprinter, allow, cores, forked=forked)
    else:
        batches = [_batch([name for name, _ in names], engine, fingerprinter, allow)]
    report = Report(errors=list(errors), scanned={"files": 0, "bytes": 0})
    for found in batches:
        report.findings += found.findings
        report.errors += found.errors
        report.scanned["files"] += found.files
        report.scanned["bytes"] += found.bytes
    roots = _folders(paths) if report.findings else []
    report.findings = [places.judged(finding, _within(finding, roots)) for finding in report.ordered()]
    report.errors.sort(key=lambda error: str(error["where"]))
    return report


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
        yield root, about.st_size
        return
    yield from _below(root, "", (), errors, ignore=ignore)


def _below(
    folder: str, base: str, above: tuple[ignoring.IgnoreFile, ...], errors: list[dict[str, str]], *, ignore: bool
) -> Iterator[tuple[str, int]]:
    # An explicit stack: trees can be deeper than Python's recursion.
    stack = [(folder, base, above)]
    while stack:
        folder, base, above = stack.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            errors.append(_unreadable(folder, error))
            continue
        files = above
        if ignore and any(entry.name == ".gitignore" for entry in entries):
            own = ignoring.read(Path(folder, ".gitignore"), base)
            files = (*above, own) if own else above
        deeper = []
        for entry in entries:
            name = base + entry.name
            try:
                directory = entry.is_dir(follow_symlinks=False)
                if ignore and files and ignoring.ignored(name, directory=directory, files=files):
                    continue
                if directory:
                    if entry.name not in _NEVER_ENTERED:
                        deeper.append((entry.path, name + "/", files))
                elif entry.is_file(follow_symlinks=False):
                    yield entry.path, entry.stat(follow_symlinks=False).st_size
            except OSError as error:
                errors.append(_unreadable(entry.path, error))
        stack.extend(reversed(deeper))


def scan_file(
    name: str, engine: Engine, fingerprinter: Fingerprinter, allow: Allow | None = None
) -> tuple[list[Finding], int]:
    """The findings of one file and how many bytes were read.

    Raises:
        OSError: it cannot be read.
    """
    if opaque(name):
        return [], 0
    findings: list[Finding] = []
    shown = name.replace(os.sep, "/")
    size = 0
    with open(name, "rb") as file:  # noqa: PTH123 - pathlib costs more than opening does
        for piece in pieces(file.read):
            size += len(piece.data) if not size else len(piece.data) - OVERLAP
            found = engine.matches(piece.data)
            if not found:
                continue
            lines = Lines(piece.data)
            for match in found:
                if piece.low <= match.start < piece.high:
                    line, column = piece.place(*lines.at(match.start))
                    finding = found_at(match, FileLocation(shown, line, column), fingerprinter)
                    findings.append(finding if allow is None else allow.judged(finding, match, name, piece.data))
    return findings, size


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


def _batch(names: Sequence[str], engine: Engine, fingerprinter: Fingerprinter, allow: Allow | None) -> Found:
    found = Found([], [])
    for name in names:
        try:
            if archives.is_archive(name):
                from scanners.sources.archived import scan_archive

                findings, size = scan_archive(name, engine, fingerprinter, allow, found.errors)
            else:
                findings, size = scan_file(name, engine, fingerprinter, allow)
        except OSError as error:
            found.errors.append(_unreadable(name, error))
            continue
        found.findings += findings
        found.files += 1
        found.bytes += size
    return found


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


_engine: Engine | None = None


def _in_parallel(
    names: Sequence[tuple[str, int]],
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None,
    workers: int,
    *,
    forked: bool,
) -> list[Found]:
    """Batches over processes. Values stay in the process that read them: findings hold none."""
    batches = _batches(names)
    if forked:
        return forking.each(lambda some: _batch(some, engine, fingerprinter, allow), batches, workers)
    import multiprocessing

    start = (engine.cache_dir, engine.plain)
    with multiprocessing.get_context("spawn").Pool(workers, _start, start) as pool:
        return list(pool.imap(_work, [(some, fingerprinter, allow) for some in batches]))


def _batches(names: Sequence[tuple[str, int]]) -> list[list[str]]:
    """Files for which asking for the next ones does not count, and which do not keep one process busy at the end."""
    batches: list[list[str]] = [[]]
    most = max(_BATCH_FILES, len(names) // 4000)
    least = room = max(_BATCH_BYTES, sum(size for _, size in names) // 8000)
    for name, size in names:
        if room <= 0 or len(batches[-1]) >= most:
            batches.append([])
            room = least
        batches[-1].append(name)
        room -= size
    return batches


def _start(cache_dir: Path | None, plain: bool) -> None:
    global _engine
    _engine = Engine.load(cache_dir, plain=plain)


def _work(batch: tuple[list[str], Fingerprinter, Allow | None]) -> Found:
    if _engine is None:
        raise RuntimeError("a worker has no engine")
    return _batch(batch[0], _engine, batch[1], batch[2])


def _unreadable(where: str, error: OSError) -> dict[str, str]:
    return {
        "where": where.replace(os.sep, "/"),
        "what": f"cannot be read: {error.strerror or error}",
        "hint": "run as a user who may read it, or leave it out",
    }
