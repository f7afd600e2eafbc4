"""The journal's database: its schema, how it is opened, and what its errors mean.

Every commit is durable when it returns (WAL with `synchronous=FULL`).
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from migrator.errors import JournalError

_MIGRATIONS = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, plan TEXT NOT NULL, document TEXT NOT NULL,
        cloud TEXT NOT NULL, state TEXT NOT NULL, started REAL NOT NULL, ended REAL
    ) STRICT;
    CREATE TABLE apps (
        run TEXT NOT NULL REFERENCES runs, app TEXT NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL,
        proven INTEGER NOT NULL DEFAULT 1, cause TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '{}',
        initial TEXT NOT NULL DEFAULT 'null', PRIMARY KEY (run, app)
    ) STRICT;
    CREATE TABLE steps (
        run TEXT NOT NULL REFERENCES runs, step TEXT NOT NULL, position INTEGER NOT NULL, app TEXT NOT NULL,
        kind TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        operation TEXT NOT NULL DEFAULT '', facts TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '{}',
        started REAL, ended REAL, PRIMARY KEY (run, step)
    ) STRICT;
    CREATE INDEX steps_by_target ON steps (target);
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs, number INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
        app TEXT NOT NULL, step TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (run, number)
    ) STRICT;
    """,
    """
    CREATE TABLE rehearsals (
        plan TEXT PRIMARY KEY, at REAL NOT NULL, ok INTEGER NOT NULL, report TEXT NOT NULL
    ) STRICT;
    """,
)
"""One script for each schema version; a database of an older version is brought forward when it is opened."""

SCHEMA = len(_MIGRATIONS)
APPLICATION = 0x6B6C6674
"""SQLite's `application_id`: the file says that it is keylift's."""


def create(path: Path) -> None:
    """Make an empty file for a database, unless it is there: 0600 whatever the umask."""
    with suppress(FileExistsError):
        # SQLite gives its side files the mode of the database
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def connect(path: Path | None, observe: Callable[[str], None] | None = None) -> sqlite3.Connection:
    """A connection to a database of this schema, brought forward if it is older; safe for several threads in turn.

    Args:
        path: Its file; None: one in memory.
        observe: Given every SQL statement.

    Raises:
        JournalError: it is another program's, or was written by a newer keylift.
        sqlite3.Error: it cannot be opened, or is damaged.
    """
    database = ":memory:" if path is None else str(path)
    connection = sqlite3.connect(database, timeout=30.0, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        if observe is not None:
            connection.set_trace_callback(observe)
        _prepare(path or Path(database), connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and tables:
        raise JournalError(
            f"{path} is not keylift's journal",
            why="the database was made by another program",
            hint="name another state folder: --state-dir DIR",
        )
    if version > SCHEMA:
        raise JournalError(
            f"the journal {path} was written by a newer keylift",
            why=f"it has schema {version}, this version knows {SCHEMA}",
            hint="update keylift: uv tool upgrade keylift",
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if version < SCHEMA:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            # read again: another process may have been faster
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            for script in _MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA:d}")
            connection.execute(f"PRAGMA application_id = {APPLICATION:d}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what the database and the disk refuse into words with the way out."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = str(error)
        if "malformed" in text or "not a database" in text:
            hint = f"restore it from a backup, or begin anew: mv {path} {path}.damaged"
        elif "full" in text or getattr(error, "errno", None) == errno.ENOSPC:
            hint = f"make room on the disk of {path.parent}, then go on: keylift resume latest"
        elif "readonly" in text or "unable to open" in text or isinstance(error, PermissionError):
            hint = f"make {path.parent} writable for you, or name another state folder: --state-dir DIR"
        elif "locked" in text:
            hint = "another keylift is writing: try again in a moment"
        else:
            hint = f"check the disk of {path.parent}, then go on: keylift resume latest"
        raise JournalError(f"the journal {path} cannot be used", why=text, hint=hint) from error
