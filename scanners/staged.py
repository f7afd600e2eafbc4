"""What a commit would bring in: the content of the index, and which of its lines are new.

Content comes from the index, never from the work tree, so what is staged in part is seen as it will be committed. A line
is new when HEAD does not have it in the same file, under whatever name; while a merge is being concluded, when none of
the merged commits has it.

The hook runs this for every commit, so git runs while Python is still importing, and nothing here imports much.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from scanners.git import DIFF, SAFE, RepositoryError, environment, failed, missing
from scanners.sources.pieces import Piece, pieces
from scanners.spawn import Running

if TYPE_CHECKING:
    from scanners.allow import Allow
    from scanners.engine import Engine
    from scanners.model import Match

_REGULAR = frozenset({b"100644", b"100755", b"100664"})
_AT_ONCE = 500
"""Ids asked for at once: they fit into a pipe, so writing them never waits for reading."""
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb'\\([0-7]{3}|[abtnvfr"\\])')
_ESCAPED = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}

Range = tuple[int, int]
"""Lines from one to another, both included."""


class File(NamedTuple):
    """A file to look at."""

    path: str
    """Relative to the top of the repository."""
    raw: bytes
    oid: str
    before: bytes | None
    """The path HEAD has it at; None: HEAD has it nowhere."""
    changed: bool
    """The commit changes it; else it was asked for, and all of it counts."""


class Find(NamedTuple):
    """A match in staged content."""

    path: str
    line: int
    column: int
    last: int
    """The line it reaches to."""
    match: Match
    here: str
    """The line, or the lines, it stands in."""
    previous: str
    """The line before."""
    new: bool = True
    """The commit brings it in."""

    def status(self, allow: Allow | None) -> str:
        """`new`, `known` or `allowed`."""
        if allow is None:
            return "new"
        return allow.status(self.match.rule, self.path, self.here, self.previous, self.match.secret)


class Staging:
    """What is staged, being listed from the moment this is made."""

    def __init__(
        self, folder: str, *, callers: bool, named: Sequence[str] = (), between: tuple[str, str] | None = None
    ) -> None:
        """Start git.

        Args:
            folder: in the repository.
            callers: as in `scanners.git.environment`.
            named: look only at these files, and at all of those that are not changed; relative to `folder`.
            between: two commits; then it is what the second has beyond the first, not what is staged.

        Raises:
            RepositoryError: git is missing.
        """
        self.folder = folder
        self.errors: list[dict[str, Any]] = []
        self.unread: list[dict[str, Any]] = []
        """What is packed and could not be read whole: known when `finds` is, and no reason to stop a commit."""
        self.bytes = 0
        self._environment = environment(callers=callers)
        self._named = named
        self._since = "...".join(between) if between else "--cached"
        self._merging = between is None
        arguments = ("--raw", "-z", "-M", "--no-abbrev", "--diff-filter=ACDMRT", "--ignore-submodules=all", *DIFF)
        self._diff = ("diff", self._since, *arguments, "--")
        self._running = self._start(*self._diff)
        self._files: list[File] | None = None
        self._top: str | None = None
        self.removed: list[str] = []
        """Files that the commit takes away; known when `files` is."""

    @property
    def staged(self) -> bool:
        """Whether this is what is staged, and not what two commits differ by."""
        return self._merging

    @property
    def top(self) -> str:
        """The top of the work tree."""
        if self._top is None:
            if os.path.lexists(os.path.join(self.folder, ".git")):  # noqa: PTH118 - pathlib costs the hook time
                self._top = self.folder
            else:
                said = (self._start("rev-parse", "--show-cdup").output() or b"").rstrip(b"\n")
                self._top = os.path.join(self.folder, os.fsdecode(said))  # noqa: PTH118
        return self._top

    def finish(self) -> None:
        """Let git end, whatever it says."""
        if self._files is None:
            self._running.output()

    @property
    def files(self) -> list[File]:
        """The files to look at.

        Raises:
            RepositoryError: no repository, or git could not say.
        """
        if self._files is None:
            listed = self._running.output()
            if listed is None:
                raise self._why(*self._diff)
            files = list(changed(listed, self.removed))
            self._files = self._only_named(files) if self._named else files
        return self._files

    def contents(self) -> Iterator[tuple[File, bytes | Rest]]:
        """Each file with its content; the content is gone when the next is asked for.

        Raises:
            RepositoryError: no repository, or git could not say.
        """
        files = self.files
        at = 0
        while at < len(files):
            running = self._start("cat-file", "--batch", feed=True)
            try:
                some = files[at : at + _AT_ONCE]
                running.feed.write("".join(f"{file.oid}\n" for file in some).encode("ascii"))
                for file in some:
                    at += 1
                    head = running.stream.readline().split()
                    if len(head) != 3:
                        self._damaged(file)
                        if head:
                            continue
                        break
                    rest = Rest(running.stream, int(head[2]))
                    self.bytes += rest.left
                    whole = rest.read(rest.left) if rest.left <= _HELD else rest
                    yield file, whole
                    while rest.read(_HELD):
                        pass
                    if running.stream.read(1) != b"\n":
                        self._damaged(file)
                        break
            finally:
                running.close()

    def finds(self, engine: Engine) -> list[Find]:
        """Everything that is found in the files, by file and place; what stands in new lines is marked so.

        Raises:
            RepositoryError: no repository, or git could not say.
        """
        found = [
            (file, find) for file, data in self.contents() for find in matches(file.path, data, engine, self.unread)
        ]
        if not found:
            return []
        bases = self._bases()
        # A file that HEAD has nowhere is all new, unless one of the commits that are being merged has it.
        asked = {file for file, _ in found if file.changed and (file.before is not None or len(bases) > 1)}
        new = self._new_lines(sorted(asked), bases) if asked else {}
        marked = []
        for file, find in found:
            lines = new.get(file.raw, ())
            # Lines of what is packed are no lines of the archive: all of one that changed is new.
            whole = file not in asked or find.path != file.path
            fresh = whole or any(low <= find.last and find.line <= high for low, high in lines)
            marked.append(find._replace(new=fresh))
        return marked

    def _only_named(self, files: Sequence[File]) -> list[File]:
        named = self._from_top()
        chosen = {file.raw: file for file in files if _below(file.raw, named)}
        if not self._merging:
            return list(chosen.values())
        others = {name: given for name, given in named.items() if name not in chosen}
        if others:
            arguments = ("ls-files", "-s", "-z", "--full-name", "--", *others.values())
            listed = self._start(*arguments).output()
            if listed is None:
                raise self._why(*arguments)
            there = set(chosen)
            for entry in listed.split(b"\0"):
                about, _, raw = entry.partition(b"\t")
                if not raw or raw in chosen:
                    continue
                mode, oid, stage = about.split(b" ")
                there.add(raw)
                if stage != b"0":
                    self._conflict(shown(raw))
                elif mode in _REGULAR:
                    chosen[raw] = File(shown(raw), raw, oid.decode("ascii"), raw, changed=False)
            self._tell_untracked(others, there)
        return [chosen[raw] for raw in sorted(chosen)]

    def _from_top(self) -> dict[bytes, str]:
        """The named files as git names them, each with its given name."""
        prefix = b""
        if not os.path.lexists(os.path.join(self.folder, ".git")):  # noqa: PTH118 - pathlib costs the hook time
            prefix = (self._start("rev-parse", "--show-prefix").output() or b"").rstrip(b"\n")
        named = {}
        for given in self._named:
            name = os.path.relpath(given, self.folder) if os.path.isabs(given) else given  # noqa: PTH117
            path = os.path.normpath(os.path.join(prefix, os.fsencode(name)))  # noqa: PTH118
            named[path.replace(os.fsencode(os.sep), b"/")] = given
        return named

    def _tell_untracked(self, others: dict[bytes, str], there: set[bytes]) -> None:
        for name, given in others.items():
            on_disk = os.path.lexists(os.path.join(self.folder, given))  # noqa: PTH118
            if (
                on_disk
                and name not in there
                and not any(path.startswith(name + b"/") for path in there)
                and name != b"."
            ):
                self.errors.append(
                    {
                        "where": shown(name),
                        "what": "is not in the index, so no commit would take it",
                        "hint": "git add it, or scan it where it lies: keylift scan files PATH",
                    }
                )

    def _bases(self) -> tuple[str, ...]:
        """What new lines are new against: HEAD, and the commits that are being merged."""
        if not self._merging:
            return (self._since,)
        try:
            with open(self._merge_head(), encoding="ascii") as file:  # noqa: PTH123
                return (self._since, *file.read().split())
        except OSError:
            return (self._since,)

    def _merge_head(self) -> str:
        """Where git notes what is being merged."""
        own = os.path.join(self.folder, ".git")  # noqa: PTH118
        if "GIT_DIR" not in self._environment and os.path.isdir(own):  # noqa: PTH112
            return os.path.join(own, "MERGE_HEAD")  # noqa: PTH118
        # Git knows where: not in `.git` itself, in a linked work tree.
        said = (self._start("rev-parse", "--git-path", "MERGE_HEAD").output() or b"").rstrip(b"\n")
        return os.path.join(self.folder, os.fsdecode(said))  # noqa: PTH118

    def _new_lines(self, files: Sequence[File], bases: Sequence[str]) -> dict[bytes, list[Range]]:
        """Line ranges of each file that none of the bases has."""
        # Git tells that a file moved only where it sees both of its names.
        paths = sorted({os.fsdecode(path) for file in files for path in (file.raw, file.before) if path is not None})
        limits = paths if len(paths) <= _AT_ONCE else []
        options = ("-U0", "-M", "--text", "--ignore-submodules=all", "--src-prefix=a/", "--dst-prefix=b/", *DIFF)
        new: dict[bytes, list[Range]] = {}
        for number, base in enumerate(bases):
            which = (base,) if number == 0 else ("--cached", base)
            arguments = ("diff", *which, *options, "--", *limits)
            patch = self._start(*arguments, folder=self.top).output()
            if patch is None:
                raise self._why(*arguments, folder=self.top)
            against = dict(added(patch))
            for file in files:
                here = against.get(file.raw, [])
                new[file.raw] = here if number == 0 else _both(new[file.raw], here)
        return new

    def _start(self, *arguments: str, feed: bool = False, folder: str | None = None) -> Running:
        try:
            return Running([*SAFE, "-C", folder or self.folder, *arguments], self._environment, feed=feed)
        except FileNotFoundError as error:
            raise missing() from error

    def _why(self, *arguments: str, folder: str | None = None) -> RepositoryError:
        """Run a git that failed once more, for what it says."""
        import subprocess
        from pathlib import Path

        where = folder or self.folder
        said = b""
        # Outside of a repository diff compares files, and says nothing of what is wrong.
        for tried in (("rev-parse", "--git-dir"), arguments):
            done = subprocess.run(
                [*SAFE, "-C", where, *tried],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self._environment,
                check=False,
            )
            said = done.stderr
            if done.returncode:
                break
        return failed(Path(where), said)

    def _damaged(self, file: File) -> None:
        self.errors.append(
            {
                "where": file.path,
                "what": f"cannot be read: object {file.oid} is missing or damaged",
                "hint": "git fsck --full says what else is; git add the file again",
            }
        )

    def _conflict(self, path: str) -> None:
        if not any(error["where"] == path for error in self.errors):
            self.errors.append(
                {"where": path, "what": "is in conflict and was not looked at", "hint": "resolve it, then git add it"}
            )


_SAMPLE = 8192
_ARCHIVE = 32 * 1024 * 1024
_HELD = 4 * 1024 * 1024
"""Bytes of a file that are held at once."""


class Rest:
    """The content of a file, as it comes."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self.left = size

    def read(self, size: int) -> bytes:
        """At most so many bytes; nothing at the end."""
        if not self.left:
            return b""
        data: bytes = self._stream.read(min(size, self.left))
        self.left = self.left - len(data) if data else 0
        return data


def matches(
    path: str, data: bytes | Rest, engine: Engine, unread: list[dict[str, Any]] | None = None
) -> Iterator[Find]:
    """What a file holds, by place; what of it cannot be read goes to `unread`."""
    unread = [] if unread is None else unread
    if not isinstance(data, bytes) or b"\x00" in data[:_SAMPLE]:
        # Only what is no text has to be known by its name, and only then is it worth importing what knows.
        from scanners.archives import is_archive, members
        from scanners.sources.files import opaque

        if is_archive(path):
            size = len(data) if isinstance(data, bytes) else data.left
            if size > _ARCHIVE:
                what = f"is an archive of {size:,} bytes and was not opened"
                unread.append({"where": path, "what": what, "hint": f"scan it by itself: keylift scan files {path}"})
                return
            packed = data if isinstance(data, bytes) else data.read(size)
            for inner, content in members(path, BytesIO(packed), errors=unread, skip=opaque):
                yield from matches(inner, content, engine, unread)
            return
        if opaque(path):
            return
    for piece in (Piece(data, 0, len(data), 0, 0),) if isinstance(data, bytes) else pieces(data.read):
        # Nothing here may need more than the engine does: most of what is committed holds nothing.
        found = engine.matches(piece.data)
        if not found:
            continue
        from scanners.places import judged
        from scanners.positions import Lines, surroundings

        lines = Lines(piece.data)
        for match in found:
            if piece.low <= match.start < piece.high:
                line, column = piece.place(*lines.at(match.start))
                last = piece.line + lines.at(max(match.start, match.end - 1))[0]
                yield Find(
                    path, line, column, last, judged(match, path), *surroundings(piece.data, match.start, match.end)
                )


def added(patch: bytes) -> Iterator[tuple[bytes, list[Range]]]:
    """The new lines of each file of a patch that has no context (`-U0`).

    Content is told from headers by counting: a line that is removed can look like a header.
    """
    name: bytes | None = None
    found: list[Range] = []
    old = new = 0
    for line in patch.split(b"\n"):
        if old or new:
            old -= line.startswith(b"-")
            new -= line.startswith(b"+")
        elif line.startswith(b"diff --git "):
            if name is not None:
                yield name, found
            name, found = None, []
        elif line.startswith(b"+++ "):
            name = unquoted(line[4:].removesuffix(b"\t")).removeprefix(b"b/")
        elif hunk := _HUNK.match(line):
            old, new = (1 if count is None else int(count) for count in (hunk[1], hunk[3]))
            if new:
                found.append((int(hunk[2]), int(hunk[2]) + new - 1))
    if name is not None:
        yield name, found


def unquoted(name: bytes) -> bytes:
    """A path as git writes it in a header: as it is, or in double quotes with escapes."""
    if not (len(name) >= 2 and name.startswith(b'"') and name.endswith(b'"')):
        return name

    def plain(found: re.Match[bytes]) -> bytes:
        said = found[1]
        return bytes([int(said, 8) & 0xFF]) if len(said) == 3 else _ESCAPED.get(said, said)

    return _ESCAPE.sub(plain, name[1:-1])


def shown(path: bytes) -> str:
    """A path as text: what is no UTF-8 in it is shown by its bytes."""
    return path.decode("utf-8", "backslashreplace")


def changed(listed: bytes, removed: list[str]) -> Iterator[File]:
    """Regular files of `git diff --raw -z`; names that are no more go to `removed`."""
    tokens = iter(listed.split(b"\0"))
    for entry in tokens:
        if not entry.startswith(b":"):
            continue
        _, mode, _, oid, status = entry[1:].split(b" ")
        path = next(tokens)
        before: bytes | None = None if status.startswith(b"A") else path
        if status[:1] in (b"R", b"C"):
            if status.startswith(b"R"):
                removed.append(shown(path))
            path = next(tokens)
        if status == b"D":
            removed.append(shown(path))
        if mode in _REGULAR:
            yield File(shown(path), path, oid.decode("ascii"), before, changed=True)


def _below(path: bytes, named: dict[bytes, str]) -> bool:
    if path in named or b"." in named:
        return True
    parts = path.split(b"/")
    return any(b"/".join(parts[:end]) in named for end in range(1, len(parts)))


def _both(one: Sequence[Range], other: Sequence[Range]) -> list[Range]:
    """The lines that are in both."""
    return [
        (max(low, start), min(high, stop))
        for low, high in one
        for start, stop in other
        if max(low, start) <= min(high, stop)
    ]
