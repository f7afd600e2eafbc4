"""What a repository's history brought in: every version of every file once, at the commit that first had it.

`git log` lists what each commit changed against all its parents, oldest first, so the first time an object is listed is
the commit that brought it in. Versions then go to workers in that order, so many at a time to whoever is free.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from scanners.allow import BASELINE
from scanners.archives import is_archive
from scanners.engine import Engine
from scanners.git import DIFF, Git, RepositoryError, failed
from scanners.model import CommitLocation, Finding, Fingerprinter
from scanners.sources import files, forking
from scanners.sources.versions import MESSAGE, Hit, Item, Judged, Versions

if TYPE_CHECKING:
    from concurrent.futures import Future

    from scanners.allow import Allow

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

_BATCH = 1024
"""Versions a worker takes at once: neighbours in history, which git stores as changes of one another."""
_AHEAD = 4
"""Batches that may wait for each worker."""
_FEW = 4000
"""Objects up to which one process is faster than starting several."""
_SYMLINK, _SUBMODULE = b"120000", b"160000"
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the history."""

    tips: tuple[str, ...] = ()
    """Commits whose history counts; without any, everything that any ref leads to, and what none leads to any more."""
    since: str | None = None
    """A commit whose history does not count."""


class Commit(NamedTuple):
    """One commit of the log."""

    id: str
    date: str
    message: bytes


class Change(NamedTuple):
    """A version of a file that a commit brought in."""

    mode: bytes
    oid: str
    path: bytes
    before: str
    """The version it was made from; zeros: none."""


class Judge(Protocol):
    """Takes items; `drain` gives what they gave, in no order."""

    def submit(self, items: list[Item]) -> None: ...

    def drain(self) -> Iterator[Judged]: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class History:
    """One scan of a history, as it goes."""

    git: Git
    engine: Engine
    fingerprinter: Fingerprinter
    allow: Allow | None
    progress: Progress | None
    workers: int
    partial: bool
    """Objects may be missing on purpose."""
    shared_store: bool
    """Objects of other repositories lie in the same store."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    scanned: dict[str, int] = field(default_factory=lambda: {"commits": 0, "objects": 0, "bytes": 0})
    submodules: set[str] = field(default_factory=set)
    _groups: dict[tuple[str, str, str], list[Hit]] = field(default_factory=dict)
    _at_head: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _missing: int = 0
    _number: int = 0
    _waiting: list[Item] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set)
    _left_out: set[int] = field(default_factory=set)
    _head: frozenset[int] = frozenset()
    _present: set[int] | None = None

    def scan(self, selection: Selection) -> list[Finding]:
        """Findings by where each value was first seen at a path.

        Raises:
            RepositoryError: git is missing or cannot read the repository at all.
        """
        everything = not selection.tips and selection.since is None
        self._head = self._tree_of_head()
        if self.partial:
            self._present = {number for _, number, _ in self._stored()}
        judge = self._judge()
        try:
            for revisions in _revisions(selection):
                self._walk(revisions, judge)
            self._tags(selection, judge)
            if everything and not self.shared_store:
                self._unreachable(judge)
            self._send(judge)
            for judged in judge.drain():
                self._take(judged)
        finally:
            judge.close()
        self._tell_missing()
        return self._settled()

    def _judge(self) -> Judge:
        if self.workers > 1 and self._objects_at_most() <= _FEW:
            self.workers = 1
        if self.workers > 1:
            return Pool(self.git, self.engine, self.fingerprinter, self.allow, self.workers, self._take)
        return Alone(Versions(self.git, self.engine, self.fingerprinter, self.allow), self._take)

    # What there is to judge

    def _walk(self, revisions: Sequence[str], judge: Judge) -> None:
        total = self._count(revisions) if self.progress else 0
        commit = Commit("", "", b"")
        done = 0
        for thing in self._log(revisions):
            if isinstance(thing, Commit):
                commit = thing
                self._seen.add(_number(commit.id))
                done += 1
                if commit.message.strip():
                    self._add(Item(self._next(), None, MESSAGE, commit.id, commit.date, False, commit.message), judge)
                if self.progress and done % 256 == 0:
                    self.progress("commits", done, total)
                continue
            if thing.mode == _SUBMODULE:
                self.submodules.add(shown(thing.path))
            if thing.mode in (_SUBMODULE, _SYMLINK):
                continue
            self._version(thing, shown(thing.path), commit, judge)
        self.scanned["commits"] += done
        if self.progress and done:
            self.progress("commits", done, max(done, total))

    def _version(self, change: Change, path: str, commit: Commit, judge: Judge) -> None:
        number = _number(change.oid)
        if number in self._seen:
            return
        if opaque(path):
            self._left_out.add(number)
            return
        self._seen.add(number)
        if self._present is not None and number not in self._present:
            self._missing += 1
            return
        at_head = number in self._head
        self._add(Item(self._next(), change.oid, path, commit.id, commit.date, at_head, before=change.before), judge)

    def _tags(self, selection: Selection, judge: Judge) -> None:
        limits = [f"--merged={tip}" for tip in selection.tips]
        limits += [f"--no-merged={selection.since}"] if selection.since else []
        fields = ("objecttype", "objectname", "*objectname", "taggerdate:iso-strict", "refname:short", "contents")
        form = "".join(f"%({name})%00" for name in fields)
        try:
            listed = self.git.run("for-each-ref", f"--format={form}", *limits).split(b"\0")
        except RepositoryError as error:
            self.errors.append(_incomplete("tags", error))
            return
        for at in range(0, len(listed) - len(fields), len(fields)):
            kind, oid, target, date, name, text = listed[at : at + len(fields)]
            if kind.strip() != b"tag" or _number(oid.decode()) in self._seen:
                continue
            self._seen.add(_number(oid.decode()))
            path = f"tag {shown(name)}"
            self._add(Item(self._next(), None, path, target.decode(), date.decode() or None, False, text), judge)

    def _unreachable(self, judge: Judge) -> None:
        """What lies in the store and no ref leads to: what is only staged, what was rewritten and not yet swept up."""
        staged = self._index()
        for kind, number, oid in self._stored():
            if number in self._seen or number in self._left_out or kind == b"tree":
                continue
            self._seen.add(number)
            path = staged.get(oid) or f"unreachable object {oid[:12]}"
            if not opaque(path):
                self._add(Item(self._next(), oid, path, None, None, False), judge)

    def _log(self, revisions: Sequence[str]) -> Iterator[Commit | Change]:
        arguments = (
            # Told in reverse, every commit is held first: what is left for trees is small, and enough, as they come in order.
            *("-c", "core.deltaBaseCacheLimit=16m"),
            *("log", "--raw", "-z", "-c", "--root", "--reverse", "--date-order", "--no-renames", "--no-abbrev"),
            *("--no-notes", "--no-mailmap", "--no-decorate", "--no-show-signature", "--encoding=UTF-8"),
            *("--ignore-submodules=none", "--format=tformat:%H%x00%aI%x00%B", *DIFF, *revisions, "--"),
        )
        with tempfile.TemporaryFile() as said:
            process = self.git.start(*arguments, errors=said)
            try:
                yield from parsed(_tokens(cast("Any", process.stdout)))
                code = process.wait()
            finally:
                if process.poll() is None:
                    process.kill()
                if process.stdout is not None:
                    process.stdout.close()
                process.wait()
            if code:
                said.seek(0)
                # What the log could not say is judged all the same, with what no ref leads to.
                self.errors.append(_incomplete("history", failed(self.git.path, said.read())))

    def _stored(self) -> Iterator[tuple[bytes, int, str]]:
        """Kind, number and id of every object in the store."""
        with tempfile.TemporaryFile() as said:
            form = "--batch-check=%(objecttype) %(objectname)"
            process = self.git.start("cat-file", "--batch-all-objects", "--unordered", "--buffer", form, errors=said)
            with process:
                for line in process.stdout or ():
                    kind, _, name = line.rstrip(b"\n").partition(b" ")
                    if kind in (b"blob", b"tree", b"commit", b"tag"):
                        oid = name.decode("ascii")
                        yield kind, _number(oid), oid
            if process.returncode:
                said.seek(0)
                self.errors.append(_incomplete("object store", failed(self.git.path, said.read())))

    def _index(self) -> dict[str, str]:
        try:
            listed = self.git.run("ls-files", "-s", "-z", "--full-name")
        except RepositoryError:
            return {}
        staged = {}
        for entry in listed.split(b"\0"):
            about, _, path = entry.partition(b"\t")
            if path:
                staged[about.split(b" ")[1].decode("ascii")] = shown(path)
        return staged

    def _tree_of_head(self) -> frozenset[int]:
        try:
            self.git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except RepositoryError:
            return frozenset()
        with tempfile.TemporaryFile() as said:
            numbers = set()
            process = self.git.start("ls-tree", "-r", "-z", "--full-tree", "HEAD", errors=said)
            with process:
                for entry in _tokens(cast("Any", process.stdout)):
                    mode, kind, oid = entry.partition(b"\t")[0].split(b" ")
                    if kind == b"blob" and mode != _SYMLINK:
                        numbers.add(_number(oid.decode("ascii")))
            if process.returncode:
                said.seek(0)
                self.errors.append(_incomplete("HEAD", failed(self.git.path, said.read())))
        return frozenset(numbers)

    def _count(self, revisions: Sequence[str]) -> int:
        with contextlib.suppress(RepositoryError, ValueError):
            return int(self.git.run("rev-list", "--count", *revisions, "--"))
        return 0

    def _objects_at_most(self) -> int:
        total = 0
        for line in self.git.run("count-objects", "-v").splitlines():
            name, _, number = line.partition(b": ")
            if name in (b"count", b"in-pack"):
                total += int(number)
        return total

    # Workers

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _add(self, item: Item, judge: Judge) -> None:
        self._waiting.append(item)
        if len(self._waiting) >= _BATCH:
            self._send(judge)

    def _send(self, judge: Judge) -> None:
        if self._waiting:
            judge.submit(self._waiting)
            self._waiting = []

    def _take(self, judged: Judged) -> None:
        self.errors += judged.errors
        if self.partial:
            self._missing += len(judged.missing)
        else:
            self.errors += judged.missing
        self.scanned["objects"] += judged.objects
        self.scanned["bytes"] += judged.bytes
        for hit in judged.hits:
            finding = hit.finding
            key = (finding.rule, finding.fingerprint, finding.location.as_dict()["path"])
            first = self._groups.get(key)
            if first is None or hit.number < first[0].number:
                self._groups[key] = [hit]
            elif hit.number == first[0].number:
                first.append(hit)
            if hit.at_head and self._at_head.get(key) != "new":
                self._at_head[key] = finding.status

    # Findings

    def _settled(self) -> list[Finding]:
        texts = {
            hit.finding.location.commit
            for hits in self._groups.values()
            for hit in hits
            if isinstance(hit.finding.location, CommitLocation) and _is_text(hit.finding.location.path)
        }
        in_head = self._in_history_of_head({text for text in texts if text})
        findings = []
        for key, hits in self._groups.items():
            for hit in hits:
                place = hit.finding.location
                assert isinstance(place, CommitLocation)
                there = place.commit in in_head if _is_text(place.path) else key in self._at_head
                # A comment that allows a value counts from the day it stands beside it, for the past as well.
                status = self._at_head.get(key, hit.finding.status)
                findings.append(replace(hit.finding, location=replace(place, at_head=there), status=status))
        return findings

    def _in_history_of_head(self, commits: set[str]) -> set[str]:
        """Those that HEAD descends from or is."""
        found: set[str] = set()
        if not commits:
            return found
        with tempfile.TemporaryFile() as said:
            process = self.git.start("rev-list", "HEAD", "--", errors=said)
            with process:
                for line in process.stdout or ():
                    name = line.decode("ascii").strip()
                    if name in commits:
                        found.add(name)
        return found

    def _tell_missing(self) -> None:
        if self._missing:
            self.errors.append(not_here(f"{self._missing} versions of files"))


def not_here(what: str) -> dict[str, str]:
    """The error about objects that a partial clone was promised and does not have."""
    return {
        "where": "object store",
        "what": f"{what} are not in this partial clone and were not judged",
        "hint": "get them all, then scan again: git fetch --refetch --no-filter",
    }


def parsed(tokens: Iterator[bytes]) -> Iterator[Commit | Change]:
    """What `git log --raw -z -c --format=tformat:%H%x00%aI%x00%B` says."""
    for token in tokens:
        entry = token.lstrip(b"\n")
        if not entry:
            continue
        if entry.startswith(b":"):
            parents = len(entry) - len(entry.lstrip(b":"))
            said = entry.split(b" ")
            path = next(tokens)
            mode, oid = said[parents], said[2 * parents + 1]
            if mode != b"000000":
                yield Change(mode, oid.decode("ascii"), path, said[parents + 1].decode("ascii"))
        else:
            yield Commit(entry.decode("ascii"), next(tokens).decode("ascii"), next(tokens))


def opaque(path: str) -> bool:
    """Whether a name says that nothing is to be found: nothing can be read there, or only digests of what is known."""
    return (files.opaque(path) and not is_archive(path)) or path.rpartition("/")[2] == BASELINE


def shown(path: bytes) -> str:
    """A path as text: what is no UTF-8 in it is shown by its bytes."""
    return path.decode("utf-8", "backslashreplace")


def _revisions(selection: Selection) -> Iterable[tuple[str, ...]]:
    limit = ("--not", selection.since) if selection.since else ()
    if selection.tips:
        return [(*selection.tips, *limit)]
    if limit:
        return [("--all", *limit)]
    # A commit that only the reflog knows comes second: what a ref leads to as well is named by that.
    return [("--all",), ("--reflog", "--not", "--all")]


def _tokens(stream: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read1(_CHUNK):
        tokens = (rest + chunk).split(b"\0")
        rest = tokens.pop()
        yield from tokens
    if rest:
        yield rest


def _number(oid: str) -> int:
    """The first 60 bits of an object's id: enough to tell a repository's objects apart, and a third of the memory."""
    return int(oid[:15], 16)


def _is_text(path: str) -> bool:
    return path == MESSAGE or path.startswith("tag ")


def _incomplete(what: str, error: RepositoryError) -> dict[str, str]:
    return {"where": what, "what": f"could not be read whole: {error.why or error.what}", "hint": error.hint}


class Alone:
    """Judges in this process."""

    def __init__(self, versions: Versions, take: Callable[[Judged], None]) -> None:
        self._versions = versions
        self._take = take

    def submit(self, items: list[Item]) -> None:
        """Judge items now."""
        self._take(self._versions.judge(items))

    def drain(self) -> Iterator[Judged]:
        """Nothing is left to wait for."""
        return iter(())

    def close(self) -> None:
        """End git."""
        self._versions.close()


class Pool:
    """Judges in processes. Values stay in the process that read them."""

    def __init__(
        self,
        git: Git,
        engine: Engine,
        fingerprinter: Fingerprinter,
        allow: Allow | None,
        workers: int,
        take: Callable[[Judged], None],
    ) -> None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        self._take = take
        self._most = workers * _AHEAD
        self._waiting: deque[Future[Judged]] = deque()
        global _versions
        if forking.possible():
            # The copies are made at the first submission, all of them before the pool has threads.
            _versions = Versions(git, engine, fingerprinter, allow)
            self._pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork"))
            return
        start = (git.path, fingerprinter, allow, engine.cache_dir, engine.plain)
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=start)

    def submit(self, items: list[Item]) -> None:
        """Hand items over; waits when the workers are far behind."""
        self._waiting.append(self._pool.submit(_work, items))
        while self._waiting and (self._waiting[0].done() or len(self._waiting) > self._most):
            self._take(self._waiting.popleft().result())

    def drain(self) -> Iterator[Judged]:
        """Wait for everything."""
        while self._waiting:
            yield self._waiting.popleft().result()

    def close(self) -> None:
        """End the workers."""
        global _versions
        self._pool.shutdown(wait=True, cancel_futures=True)
        if _versions is not None:
            _versions.close()
            _versions = None


_versions: Versions | None = None


def _begin(path: Path, fingerprinter: Fingerprinter, allow: Allow | None, cache_dir: Path | None, plain: bool) -> None:
    global _versions
    _versions = Versions(Git(path), Engine.load(cache_dir, plain=plain), fingerprinter, allow)


def _work(items: list[Item]) -> Judged:
    assert _versions is not None
    return _versions.judge(items)
