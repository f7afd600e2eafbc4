"""The rule files that come with the project, and what names them. Nothing here imports much: the hook asks each time."""

from __future__ import annotations

import os
from collections.abc import Mapping

try:
    # What hashlib gives, without loading OpenSSL for it: that alone takes a tenth of the hook's time.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib costs the hook time
FOLDER = os.path.join(_HERE, "rules")  # noqa: PTH118
_SIZE = 32


def rule_files() -> dict[str, bytes]:
    """The rule files, by family name, in order."""
    return {name[:-5]: _read(FOLDER, name) for name in sorted(os.listdir(FOLDER)) if name.endswith(".toml")}  # noqa: PTH208


def digest(files: Mapping[str, bytes]) -> str:
    """Names one set of rule files and the words their triggers are made of: the cache is keyed by it."""
    total = blake2b(_read(_HERE, "names.py"), digest_size=_SIZE)
    for name, data in files.items():
        total.update(f"{name}:{len(data)}:".encode() + data)
    return total.hexdigest()


def digest_of(*parts: bytes) -> str:
    """Names some bytes, whichever parts they come in."""
    total = blake2b(digest_size=_SIZE)
    for part in parts:
        total.update(part)
    return total.hexdigest()


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:  # noqa: PTH118, PTH123
        return file.read()
