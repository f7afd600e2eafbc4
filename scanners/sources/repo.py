"""Git repositories: the files a commit would take, what is staged, a branch as it stands, or the whole history."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanners import places
from scanners.engine import Engine
from scanners.git import Git, RepositoryError
from scanners.model import CommitLocation, FileLocation, Finding, Fingerprinter, Report
from scanners.sources import files
from scanners.sources.history import History, Progress, Selection, not_here, opaque, shown
from scanners.sources.versions import Item, Versions

if TYPE_CHECKING:
    from scanners.allow import Allow

_REGULAR = (b"100644", b"100755", b"100664")
_SUBMODULE = b"160000"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository as git sees it."""

    git: Git
    top: Path | None
    """The top of the work tree; None: it has none."""
    shallow: bool
    partial: bool
    """Objects may be missing on purpose: another repository has promised them."""
    shared_store: bool
    """Objects of other repositories lie in the same store."""

    @classmethod
    def open(cls, path: Path) -> Repository:
        """The repository at or above a path.

        Raises:
            RepositoryError: there is none, git is missing, or git refuses to read it.
        """
        start = path if path.is_dir() else path.parent
        git = Git(start)
        folder, bare, inside, shallow = git.run(
            "rev-parse", "--git-common-dir", "--is-bare-repository", "--is-inside-work-tree", "--is-shallow-repository"
        ).splitlines()
        common = start / os.fsdecode(folder)
        top = None
        if inside == b"true" and bare != b"true":
            top = Path(os.fsdecode(git.run("rev-parse", "--show-toplevel").rstrip(b"\n")))
            git = Git(top)
        try:
            promised = git.run("config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$")
        except RepositoryError:
            promised = b""
        alternates = common / "objects" / "info" / "alternates"
        return cls(git, top, shallow == b"true", bool(promised), alternates.exists())

    def commit(self, name: str) -> str:
        """The id of the commit that a revision names.

        Raises:
            RepositoryError: it names none.
        """
        for candidate in (f"refs/heads/{name}", name):
            with suppress(RepositoryError):
                found = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{candidate}^{{commit}}")
                return found.decode("ascii").strip()
        raise RepositoryError(
            f"there is no commit {name!r} in {self.git.path}",
            why="it names no branch, tag or commit here" + (", and the history is shallow" if self.shallow else ""),
            hint="fetch the rest of the history: git fetch --unshallow"
            if self.shallow
            else "see what there is: git branch --all; git tag",
        )


def scan(
    path: Path,
    *,
    history: bool = False,
    since: str | None = None,
    staged: bool = False,
    branches: Sequence[str] = (),
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    cache_dir: Path | None = None,
) -> Report:
    """Scan a repository. Nothing in it is run, changed or fetched.

    Without further wishes these are the files that git tracks, as they lie in the work tree, or as HEAD has them where
    there is no work tree. Paths are relative to the repository's top.

    Args:
        path: the repository or a folder in it.
        history: every version that any ref leads to, and what none leads to any more.
        since: what the history of HEAD, or of the branches, has beyond this revision. What was in the same file at that
            revision is no finding.
        staged: what the next commit would bring in.
        branches: only these; without `history` and `since` as they stand.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        allow: says of each find whether it is new; its paths are relative to the repository's top.
        progress: told how far a history or a work tree is.
        workers: processes; by default as many as there are cores, and one for a small repository.
        cache_dir: not needed; the engine knows where the other processes find its compiled rules.

    Raises:
        RepositoryError: no repository, an unknown revision, git missing or refusing.
    """
    del cache_dir
    repository = Repository.open(path)
    report = Report(scanned={})
    if allow is not None:
        # Paths of findings are the repository's, wherever in it the scan was started.
        allow = copy(allow)
        allow.start = repository.git.path.resolve()
    if staged:
        _staged(repository, report, engine, fingerprinter, allow)
    elif history or since:
        tips = tuple(repository.commit(branch) for branch in branches)
        start = repository.commit(since) if since else None
        if start and not tips and not history:
            tips = (repository.commit("HEAD"),)
        past = History(
            git=repository.git,
            engine=engine,
            fingerprinter=fingerprinter,
            allow=allow,
            progress=progress,
            workers=workers
            if workers is not None
            else os.cpu_count() or 1
            if not hasattr(os, "sched_getaffinity")
            else len(os.sched_getaffinity(0)),
            partial=repository.partial,
            shared_store=repository.shared_store,
        )
        found = past.scan(Selection(tips, start))
        if start:
            found = _brought_in(repository, found, start, tips or ("HEAD",), engine, fingerprinter)
        report.findings, report.errors, report.scanned = found, past.errors, past.scanned
        _name_submodules(past.submodules, report)
        if repository.shallow:
            report.errors.append(
                {
                    "where": "history",
                    "what": "is shallow: older commits are not here, and what they held seems to come from the oldest one that is",
                    "hint": "get them, then scan again: git fetch --unshallow",
                }
            )
    elif branches or repository.top is None:
        for name in branches or ("HEAD",):
            _tree(repository, name, report, engine, fingerprinter, allow)
    else:
        _work_tree(repository, repository.top, report, engine, fingerprinter, allow, workers, progress)
    report.findings = [places.judged(finding, finding.location.as_dict()["path"]) for finding in report.ordered()]
    report.errors.sort(key=lambda error: (str(error["where"]), str(error["what"])))
    return report


def _staged(
    repository: Repository, report: Report, engine: Engine, fingerprinter: Fingerprinter, allow: Allow | None
) -> None:
    from scanners.staged import Staging

    staging = Staging(os.fspath(repository.git.path), callers=False)
    for find in staging.finds(engine):
        if not find.new:
            continue
        finding = files.found_at(find.match, FileLocation(find.path, find.line, find.column), fingerprinter)
        status = find.status(allow)
        report.findings.append(finding if status == "new" else replace(finding, status=status))
    report.errors += [*staging.errors, *staging.unread]
    report.scanned = {"files": len(staging.files), "bytes": staging.bytes}


def _work_tree(
    repository: Repository,
    top: Path,
    report: Report,
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None,
    workers: int | None,
    progress: Progress | None,
) -> None:
    """Tracked files as they lie there; what is tracked and not there (sparse checkouts, deletions) as the index has it."""
    there: list[Path] = []
    absent: list[Item] = []
    submodules = set()
    seen = set()
    for entry in repository.git.run("ls-files", "-s", "-z", "--full-name").split(b"\0"):
        about, _, name = entry.partition(b"\t")
        if not name:
            continue
        mode, oid, _ = about.split(b" ")
        if mode == _SUBMODULE:
            submodules.add(shown(name))
        if mode not in _REGULAR or name in seen:
            continue
        seen.add(name)
        file = top / os.fsdecode(name)
        if os.path.lexists(file):
            if not file.is_symlink():
                there.append(file)
        elif not opaque(shown(name)):
            absent.append(Item(len(absent), oid.decode("ascii"), shown(name), None, None, True))
    found = files.scan(
        there,
        engine=engine,
        fingerprinter=fingerprinter,
        ignore=False,
        allow=allow,
        progress=None if progress is None else lambda done, total: progress("bytes", done, total),
        workers=workers,
    )
    below = f"{top.as_posix()}/"
    report.findings += [_relative(finding, below) for finding in found.findings]
    report.errors += [{**error, "where": str(error["where"]).removeprefix(below)} for error in found.errors]
    report.scanned = found.scanned
    _versions(repository, absent, report, engine, fingerprinter, allow)
    _name_submodules(submodules, report)


def _tree(
    repository: Repository,
    name: str,
    report: Report,
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None,
) -> None:
    """The files of a commit."""
    if name == "HEAD" and not _has_commits(repository):
        report.scanned = {"files": 0, "bytes": 0}
        return
    commit = repository.commit(name)
    items: list[Item] = []
    submodules = set()
    for entry in repository.git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        about, _, path = entry.partition(b"\t")
        if not path:
            continue
        mode, _, oid = about.split(b" ")
        if mode == _SUBMODULE:
            submodules.add(shown(path))
        if mode in _REGULAR and not opaque(shown(path)):
            items.append(Item(len(items), oid.decode("ascii"), shown(path), None, None, True))
    _versions(repository, items, report, engine, fingerprinter, allow)
    _name_submodules(submodules, report)


def _versions(
    repository: Repository,
    items: Sequence[Item],
    report: Report,
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None,
) -> None:
    versions = Versions(repository.git, engine, fingerprinter, allow)
    try:
        judged = versions.judge(items)
    finally:
        versions.close()
    for hit in judged.hits:
        place = hit.finding.location.as_dict()
        location = FileLocation(place["path"], place["line"], place["column"])
        report.findings.append(replace(hit.finding, location=location))
    report.errors += judged.errors
    if judged.missing and repository.partial:
        report.errors.append(not_here(f"{len(judged.missing)} files"))
    else:
        report.errors += judged.missing
    for what, number in (("files", judged.objects), ("bytes", judged.bytes)):
        report.scanned[what] = report.scanned.get(what, 0) + number


def _brought_in(
    repository: Repository,
    found: Sequence[Finding],
    start: str,
    tips: Sequence[str],
    engine: Engine,
    fingerprinter: Fingerprinter,
) -> list[Finding]:
    """Findings whose value the file did not hold at `start` already; a file that was renamed since is the same file."""
    paths = {place.path for finding in found if isinstance(place := finding.location, CommitLocation)}
    if not paths:
        return list(found)
    before = _tree_of(repository, start)
    renamed: dict[str, str] = {}
    for tip in tips:
        with suppress(RepositoryError):
            listed = repository.git.run("diff-tree", "-r", "-z", "-M", "--name-status", "--diff-filter=R", start, tip)
            parts = listed.split(b"\0")
            for at in range(0, len(parts) - 2, 3):
                renamed.setdefault(shown(parts[at + 2]), shown(parts[at + 1]))
    items: list[Item] = []
    for path in sorted(paths):
        oid = before.get(path) or before.get(renamed.get(path, ""))
        if oid is not None:
            items.append(Item(len(items), oid, path, None, None, True))
    versions = Versions(repository.git, engine, fingerprinter)
    try:
        judged = versions.judge(items)
    finally:
        versions.close()
    known = {_key(hit.finding) for hit in judged.hits}
    return [finding for finding in found if _key(finding) not in known]


def _key(finding: Finding) -> tuple[Any, ...]:
    return (finding.rule, finding.fingerprint, finding.location.as_dict()["path"])


def _tree_of(repository: Repository, commit: str) -> dict[str, str]:
    tree = {}
    for entry in repository.git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        about, _, path = entry.partition(b"\t")
        if path:
            tree[shown(path)] = about.split(b" ")[2].decode("ascii")
    return tree


def _has_commits(repository: Repository) -> bool:
    try:
        return bool(
            re.fullmatch(rb"[0-9a-f]+\n", repository.git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}"))
        )
    except RepositoryError:
        return False


def _relative(finding: Finding, below: str) -> Finding:
    place = finding.location
    if not isinstance(place, FileLocation):
        return finding
    return replace(finding, location=replace(place, path=place.path.removeprefix(below)))


def _name_submodules(paths: set[str], report: Report) -> None:
    if paths:
        report.scanned["submodules"] = len(paths)
    report.errors += [
        {
            "where": path,
            "what": "is a submodule, a repository of its own, and was not entered",
            "hint": f"scan it as well: keylift scan repo {path}",
        }
        for path in sorted(paths)
    ]
