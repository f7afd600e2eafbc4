"""What is written when the wizard meets an error it does not know: where it was, and nothing that could be a value."""

from __future__ import annotations

import platform
import traceback
from datetime import UTC, datetime
from pathlib import Path

from migrator.errors import KeyliftError
from tui.journey import write_private


def redacted(error: BaseException, doing: str) -> str:
    """The report: kinds of errors and places in code. Messages, source lines and local values may hold a secret: none."""
    from importlib.metadata import version

    from migrator.about import tool

    lines = [
        f"keylift {tool()['version']}, Python {platform.python_version()}, Textual {version('textual')}, {platform.system()}",
        f"while: {doing}",
        "Messages and values are left out on purpose.",
        "",
    ]
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        kind = type(current)
        known = f": {current.what}" if isinstance(current, KeyliftError) else ""
        lines.append(f"{kind.__module__}.{kind.__qualname__}{known}")
        frames = traceback.extract_tb(current.__traceback__)
        lines += [f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
        current = current.__cause__ or current.__context__
    return "\n".join(lines) + "\n"


def write(folder: Path, error: BaseException, doing: str) -> Path:
    """Write the report into a folder; its path."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"error-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.txt"
    write_private(path, redacted(error, doing))
    return path


def _short(filename: str) -> str:
    parts = Path(filename).parts
    for root in ("site-packages", "migrator", "scanners", "tui"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at + (root == "site-packages") :])
    return Path(filename).name
