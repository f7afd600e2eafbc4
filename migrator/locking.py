"""One process per run: a lock of the operating system on a small file that says who holds it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migrator.database import translated
from migrator.errors import RunError
from migrator.ledger import words
from migrator.model import Json

if sys.platform == "win32":
    import msvcrt

    _PLACE = 1 << 30
    """Windows locks bytes, and a locked byte cannot be read: lock one far behind the text."""

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _PLACE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@dataclass(slots=True)
class RunLock:
    """A held lock. The system lets go of it when the process dies, however it dies."""

    path: Path
    descriptor: int

    @classmethod
    def take(cls, path: Path, run: str) -> RunLock:
        """Take the lock at once or not at all.

        Raises:
            RunError: another process holds it; the message says which process, on which host, since when.
            OSError: the folder cannot be written, or its disk is full.
        """
        tries = 0
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                who = _read(descriptor)
                os.close(descriptor)
                tries += 1
                if tries < 5:  # somebody may only be looking, see `holder`
                    time.sleep(0.02)
                    continue
                raise RunError(
                    f"run {run} is held by another process",
                    why=words(who),
                    hint=f"wait until it ends, or stop it and then: keylift resume {run}",
                ) from None
            if _same_file(descriptor, path):
                break
            os.close(descriptor)  # its last holder removed it in between
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ).encode()
        try:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, text)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    def release(self) -> None:
        """Let go, and take the file away. Doing it twice is safe."""
        if self.descriptor >= 0:
            with suppress(OSError):  # a folder that became read-only: the file stays, and locks nothing
                self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
            self.descriptor = -1

    @staticmethod
    def holder(path: Path) -> dict[str, Any] | None:
        """Who holds the lock: `{"pid", "host", "since"}`; None if nobody does."""
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            return None
        try:
            _lock(descriptor)
        except OSError:
            return _read(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)


class FolderLocks:
    """The ledger of a folder: it locks runs; records are kept by the journal's own database."""

    shared = False
    most_steps = sys.maxsize

    def __init__(self, folder: Path) -> None:
        """Lock runs by files in `folder`."""
        self.name = str(folder)
        self._folder = folder
        self._locks: dict[str, RunLock] = {}

    @contextmanager
    def hold(self, run: str, lost: Callable[[], None]) -> Iterator[None]:  # noqa: ARG002 - such a lock is never lost
        with translated(self._folder / "keylift.db"):
            lock = RunLock.take(self._path(run), run)
        self._locks[run] = lock
        try:
            yield
        finally:
            self._locks.pop(run, None)
            lock.release()

    def holder(self, run: str) -> Json | None:
        return RunLock.holder(self._path(run))

    def append(self, run: str, record: Json) -> None:
        """Nothing to do."""

    def news(self) -> Iterable[tuple[str, Json]]:
        return ()

    def discard(self, run: str) -> bool:  # noqa: ARG002 - the ledger's form
        return False

    def close(self) -> None:
        for lock in list(self._locks.values()):
            lock.release()
        self._locks.clear()

    def _path(self, run: str) -> Path:
        return self._folder / f"run-{run}.lock"


def _read(descriptor: int) -> dict[str, Any]:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        found = json.loads(os.read(descriptor, 4096) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
