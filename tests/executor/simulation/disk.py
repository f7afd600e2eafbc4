"""A disk that can lose what was never flushed and tear what was being written when the power went.

The journal's files are real ones, read and written by SQLite itself. What a power cut leaves is computed from SQLite's own
rules: in WAL mode every commit is flushed with `synchronous=FULL`; with less, nothing is between two checkpoints.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.journal import Journal

FULL = 2
"""`PRAGMA synchronous`: from here on every commit is on the disk when it returns."""
HEADER = 32
"""Bytes of a WAL file before its first frame."""


class WatchedJournal(Journal):
    """The journal, with an instant before each write and one after it."""

    instant: Callable[[str], None]
    before: bytes
    """The WAL as it was before the last write began."""
    tearing: bool = False
    """Whether the next crash may want to know."""

    @contextmanager
    def _write(self) -> Iterator[Any]:
        self.instant("write")
        if self.tearing:
            self.before = _read(_wal(self.path))
        with super()._write() as db:
            yield db
        self.instant("written")


@dataclass(frozen=True, slots=True)
class Written:
    """A journal's files at one instant."""

    database: bytes
    wal: bytes
    before: bytes | None
    """The WAL before the last write, if that could be torn still."""
    synchronous: int


class Disk:
    """A folder with one journal in it."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # flushing there costs nothing
        self.folder = Path(tempfile.mkdtemp(prefix="keylift-world-", dir=memory if memory.is_dir() else None))
        self.path = self.folder / "keylift.db"

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def fill(self, content: bytes) -> None:
        """Begin with a journal that is there."""
        for path in self.folder.iterdir():
            path.unlink()
        if content:
            self.path.write_bytes(content)

    def crash(self, journal: WatchedJournal, how: str, dice: random.Random) -> None:
        """Leave the files as the death of the process or of the machine leaves them.

        Args:
            journal: Still open; nobody uses it any more.
            how: `kill` (what was written is there), or `power` (what was not flushed may be lost, the last write torn).
            dice: Decides how much is lost.
        """
        written = self.written(journal)
        journal._connection.close()  # tidies up, which a process that died does not: so the files are put back
        self.leave(written, how, dice)

    def written(self, journal: WatchedJournal) -> Written:
        """What lies in the folder while a journal is open."""
        (synchronous,) = journal._connection.execute("PRAGMA synchronous").fetchone()
        return Written(_read(self.path), _read(_wal(self.path)), getattr(journal, "before", None), synchronous)

    def leave(self, written: Written, how: str, dice: random.Random) -> None:
        """Put into the folder what a death at an instant leaves of what was written by then."""
        wal = written.wal
        if how == "power":
            if written.synchronous < FULL:
                wal = wal[: dice.randint(HEADER, max(HEADER, len(wal)))]
            elif written.before is not None and written.before != wal:
                wal = _torn(written.before, wal, dice)
        for path in self.folder.iterdir():
            path.unlink()
        self.path.write_bytes(written.database)
        if wal:
            _wal(self.path).write_bytes(wal)

    def bytes(self) -> bytes:
        """Everything that lies in the folder."""
        return b"".join(_read(path) for path in sorted(self.folder.iterdir()))


def empty() -> bytes:
    """A journal without runs."""
    folder = Path(tempfile.mkdtemp())
    try:
        Journal.open(folder / "keylift.db").close()
        return (folder / "keylift.db").read_bytes()
    finally:
        shutil.rmtree(folder)


def closed(path: Path) -> bytes:
    """A journal's file with everything in it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def _torn(before: bytes, after: bytes, dice: random.Random) -> bytes:
    """A prefix of what the last write wrote over what was there."""
    same, unlike = 0, min(len(before), len(after)) + 1
    while unlike - same > 1:
        middle = (same + unlike) // 2
        same, unlike = (middle, unlike) if before[:middle] == after[:middle] else (same, middle)
    cut = dice.randint(same, len(after))
    return after[:cut] + before[cut:]


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
