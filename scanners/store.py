"""The compiled rule set on disk: one file, read in a few milliseconds, trusted only if it is ours and whole.

The file is JSON and a hyperscan database behind a header that names the rules, the library and the machine they were
compiled for, and a digest of what follows. Nothing in it is ever unpickled. A file of another owner, one that others may
write, one behind a symbolic link, and one whose digest does not hold are all treated as absent and replaced.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

_MAGIC = b"keylift-rules-1\n"
_HEADER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Stored:
    """What a cache file holds."""

    rules: list[dict[str, Any]]
    database: bytes


def default_folder() -> Path | None:
    """Where caches of this user lie by the platform's convention; None without a home."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return Path(base) / "keylift" / "Cache" if base else None
    home = os.environ.get("HOME")
    if sys.platform == "darwin":
        return Path(home) / "Library" / "Caches" / "keylift" if home else None
    base = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)
    return Path(base) / "keylift" if base else None


def load(folder: Path, key: str) -> Stored | None:
    """The stored rule set of this key; None when there is none that can be trusted."""
    data = _read_own(folder / _name(key))
    if data is None or not data.startswith(_MAGIC):
        return None
    end = data.find(b"\n", len(_MAGIC), len(_MAGIC) + _HEADER_LIMIT)
    try:
        header = json.loads(data[len(_MAGIC) : end])
        body = memoryview(data)[end + 1 :]
        if header["key"] != key or header["sha256"] != sha256(body).hexdigest():
            return None
        size = int(header["rules"])
        rules = json.loads(bytes(body[:size]))
        return Stored(rules, bytes(body[size:])) if isinstance(rules, list) else None
    except (ValueError, KeyError, TypeError):
        return None


def save(folder: Path, key: str, stored: Stored) -> None:
    """Write a rule set, whole or not at all. A folder that cannot be written means no cache, which is no error."""
    rules = json.dumps(stored.rules, separators=(",", ":")).encode()
    body = rules + stored.database
    header = json.dumps({"key": key, "rules": len(rules), "sha256": sha256(body).hexdigest()}).encode()
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes the file 0600 and under a name that nobody else has.
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".rules-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + header + b"\n" + body)
            Path(temporary).replace(folder / _name(key))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _forget_others(folder, key)


def _name(key: str) -> str:
    return f"rules-{key[:32]}.bin"


def _read_own(path: Path) -> bytes | None:
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


def _forget_others(folder: Path, key: str) -> None:
    """Drop rule sets of other versions, so that upgrades do not fill the folder; the newest few stay for other installs."""
    old = sorted(folder.glob("rules-*.bin"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[4:]:
        if path.name != _name(key):
            path.unlink(missing_ok=True)
