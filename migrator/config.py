"""Configuration: flags, then environment (`KEYLIFT_*`), then `keylift.toml` or `[tool.keylift]`, the nearest first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.errors import UsageError

KEYS: dict[str, type] = {
    "cloud": str,
    "auth": str,
    "subscription": list,
    "resource_group": list,
    "app": list,
    "state_dir": str,
    "state": str,
    "format": str,
    "vault": str,
    "identity": str,
    "vault_secret_name": str,
    "on_conflict": str,
    "passwordless": str,
    "workers": int,
    "propagation_minutes": int,
    "proof_minutes": int,
    "color": bool,
    "allow": list,
    "baseline": str,
}
"""Every key of the configuration and its type; lists of the environment are separated by commas."""


@dataclass(frozen=True, slots=True)
class Config:
    """Values by key, and where they were read."""

    values: Mapping[str, Any]
    source: Path | None = None

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a known key."""
        return self.values.get(key, default)


def load(start: Path, environment: Mapping[str, str] | None = None) -> Config:
    """Read the nearest configuration file at or above `start`, overlaid by the environment.

    Raises:
        UsageError: a file is no TOML, or a key is unknown or of the wrong type; the nearest known key is named.
    """
    values: dict[str, Any] = {}
    source = None
    for folder in (start, *start.parents):
        found = _read(folder)
        if found is not None:
            source, values = found
            break
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith("KEYLIFT_"):
            key = name.removeprefix("KEYLIFT_").lower()
            if key in _INTERNAL:
                continue
            _check(key, name)
            values[key] = _from_text(key, text, name)
    return Config(values, source)


_INTERNAL = {"no_skip"}
"""`KEYLIFT_*` names that are no configuration."""


def _read(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    for path, section in ((folder / "keylift.toml", ()), (folder / "pyproject.toml", ("tool", "keylift"))):
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{path} cannot be read", why=type(error).__name__, hint=f"check the file: less {path}"
            ) from error
        import tomllib

        try:
            document: Any = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not valid TOML", why=str(error), hint=f"mend the file: {path}") from error
        for part in section:
            document = document.get(part) if isinstance(document, dict) else None
        if document is None:
            continue
        values = {}
        for key, value in document.items():
            name = key.replace("-", "_")
            _check(name, f"{path}: {key}")
            if not isinstance(value, KEYS[name]):
                raise UsageError(
                    f"{path}: '{key}' must be of type {KEYS[name].__name__}",
                    why=f"it is {type(value).__name__}",
                    hint=f"mend the line in {path}",
                )
            values[name] = value
        return path, values
    return None


def _check(key: str, where: str) -> None:
    if key not in KEYS:
        import difflib

        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.4)
        raise UsageError(
            f"{where}: unknown key",
            why="known keys: " + ", ".join(sorted(KEYS)),
            hint=f"did you mean '{near[0]}'?" if near else "remove it",
        )


def _from_text(key: str, text: str, name: str) -> Any:
    kind = KEYS[key]
    if kind is list:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind is bool:
        return text.strip().lower() not in {"", "0", "false", "no", "off"}
    if kind is int:
        try:
            return int(text)
        except ValueError as error:
            raise UsageError(f"{name} must be a whole number", hint=f"{name}=10") from error
    return text
