"""The compiled rule set on disk: one file, read in a few milliseconds, trusted only if it is ours and whole.

The file is JSON and a hyperscan database behind a header that names the rules, the library and the machine they were
compiled for, and a digest of what follows. Nothing in it is ever unpickled. A file of another owner, one that others may
write, one behind a symbolic link, and one whose digest does not hold are all treated as absent and replaced.

The hook reads it each time, so reading imports next to nothing, and the JSON is left for when a rule has matched.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

from scanners.rulefiles import digest_of

_MAGIC = b"keylift-rules-3"


class Stored(NamedTuple):
    """What a cache file holds."""

    sought: bytes
    """As `searching.dumped` wrote it."""
    rules: bytes
    """As `dumped` wrote them."""
    database: bytes


def dumped(rules: Sequence[Any]) -> bytes:
    """Rules as they are stored: a line of JSON for each, so that one can be read alone."""
    import json

    return b"\n".join(json.dumps(rule, separators=(",", ":")).encode() for rule in rules)


def default_folder() -> str | None:
    """Where caches of this user lie by the platform's convention; None without a home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return rf"{base}\keylift\Cache" if base else None
    home = os.environ.get("HOME")
    if sys.platform == "darwin":
        return f"{home}/Library/Caches/keylift" if home else None
    base = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)
    return f"{base}/keylift" if base else None


def load(folder: str | os.PathLike[str], key: str) -> Stored | None:
    """The stored rule set of this key; None when there is none that can be trusted."""
    file = _open_own(_path(folder, key))
    if file is None:
        return None
    with file:
        try:
            parts = file.readline(512).rstrip(b"\n").split(b" ")
            if (
                len(parts) != 5
                or parts[0] != _MAGIC
                or parts[1] != key.encode()
                or not all(part.isdigit() for part in parts[2:4])
            ):
                return None
            # Each part by itself: the database is large, and copying it takes as long as reading it.
            stored = Stored(file.read(int(parts[2])), file.read(int(parts[3])), file.read())
        except (OSError, OverflowError, MemoryError):
            return None
    return stored if parts[4] == digest_of(*stored).encode() else None


def save(folder: str | os.PathLike[str], key: str, stored: Stored) -> None:
    """Write a rule set, whole or not at all. A folder that cannot be written means no cache, which is no error."""
    import tempfile
    from contextlib import suppress
    from pathlib import Path

    body = b"".join(stored)
    sizes = [str(len(part)).encode() for part in stored[:2]]
    header = b" ".join((_MAGIC, key.encode(), *sizes, digest_of(*stored).encode()))
    with suppress(OSError):
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes the file 0600 and under a name that nobody else has.
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".rules-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(header + b"\n" + body)
            Path(temporary).replace(_path(folder, key))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _forget_others(Path(folder), key)


def _name(key: str) -> str:
    return f"rules-{key[:32]}.bin"


def _path(folder: str | os.PathLike[str], key: str) -> str:
    return os.path.join(folder, _name(key))  # noqa: PTH118 - pathlib costs the hook time


def _open_own(path: str) -> BinaryIO | None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    if hasattr(os, "geteuid"):
        about = os.fstat(handle)
        others = stat.S_IWGRP | stat.S_IWOTH
        if about.st_uid != os.geteuid() or about.st_mode & others or not stat.S_ISREG(about.st_mode):
            os.close(handle)
            return None
    return os.fdopen(handle, "rb")


def _forget_others(folder: Any, key: str) -> None:
    """Drop rule sets of other versions, so that upgrades do not fill the folder; the newest few stay for other installs."""
    old = sorted(folder.glob("rules-*.bin"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[4:]:
        if path.name != _name(key):
            path.unlink(missing_ok=True)
