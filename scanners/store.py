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
from typing import Any, NamedTuple

from scanners.rulefiles import digest_of

_MAGIC = b"keylift-rules-2"


class Stored(NamedTuple):
    """What a cache file holds."""

    rules: bytes
    """As `dumped` wrote them."""
    database: bytes


def dumped(rules: Sequence[Any]) -> bytes:
    """Rules as they are stored."""
    import json

    return json.dumps(rules, separators=(",", ":")).encode()


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
    data = _read_own(_path(folder, key))
    if data is None:
        return None
    header, _, _ = data[:512].partition(b"\n")
    parts = header.split(b" ")
    if len(parts) != 4 or parts[0] != _MAGIC or parts[1] != key.encode() or not parts[2].isdigit():
        return None
    body = memoryview(data)[len(header) + 1 :]
    if parts[3] != digest_of(body).encode():
        return None
    size = int(parts[2])
    return Stored(bytes(body[:size]), bytes(body[size:]))


def save(folder: str | os.PathLike[str], key: str, stored: Stored) -> None:
    """Write a rule set, whole or not at all. A folder that cannot be written means no cache, which is no error."""
    import tempfile
    from contextlib import suppress
    from pathlib import Path

    body = stored.rules + stored.database
    header = b" ".join((_MAGIC, key.encode(), str(len(stored.rules)).encode(), digest_of(body).encode()))
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


def _read_own(path: str) -> bytes | None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        if hasattr(os, "geteuid"):
            about = os.fstat(file.fileno())
            others = stat.S_IWGRP | stat.S_IWOTH
            if about.st_uid != os.geteuid() or about.st_mode & others or not stat.S_ISREG(about.st_mode):
                return None
        try:
            return file.read()
        except OSError:
            return None


def _forget_others(folder: Any, key: str) -> None:
    """Drop rule sets of other versions, so that upgrades do not fill the folder; the newest few stay for other installs."""
    old = sorted(folder.glob("rules-*.bin"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[4:]:
        if path.name != _name(key):
            path.unlink(missing_ok=True)
