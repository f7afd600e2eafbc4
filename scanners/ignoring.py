"""`.gitignore` files, read as git reads them: later lines win, deeper files win, a directory that is out takes all with it.

Source: gitignore(5). What git tracks in spite of its ignore files is not known here; `--no-ignore` scans everything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One pattern of an ignore file."""

    pattern: re.Pattern[str]
    negated: bool
    directories_only: bool


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The patterns of one directory's ignore file."""

    base: str
    """Path of the directory, with a slash at its end, or empty for the root of the walk."""
    lines: tuple[Line, ...]


def read(path: Path, base: str) -> IgnoreFile | None:
    """The ignore file of a directory; None when there is none that can be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return parse(text, base)


def parse(text: str, base: str = "") -> IgnoreFile | None:
    """The patterns of a text; None when it has none."""
    lines = tuple(line for raw in text.splitlines() if (line := _line(raw)) is not None)
    return IgnoreFile(base, lines) if lines else None


def ignored(path: str, *, directory: bool, files: Sequence[IgnoreFile]) -> bool:
    """Whether a path is ignored.

    Args:
        path: relative to the root of the walk, with slashes.
        directory: whether it is one.
        files: ignore files of the directories above it, outermost first.
    """
    for file in reversed(files):
        relative = path[len(file.base) :]
        for line in reversed(file.lines):
            if (directory or not line.directories_only) and line.pattern.fullmatch(relative):
                return not line.negated
    return False


def _line(raw: str) -> Line | None:
    text = raw.rstrip("\r\n")
    text = re.sub(r"(?<!\\) +\Z", "", text)
    if not text or text.startswith("#"):
        return None
    negated = text.startswith("!")
    text = text[negated:].removeprefix("\\") if text[negated:].startswith(("\\#", "\\!")) else text[negated:]
    directories_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    anchored = "/" in text
    text = text.lstrip("/")
    try:
        pattern = re.compile(("" if anchored else "(?:.*/)?") + _translated(text))
    except re.error:
        return None
    return Line(pattern, negated, directories_only)


def _translated(text: str) -> str:
    out, at = "", 0
    while at < len(text):
        if text.startswith("**/", at):
            out, at = out + "(?:.*/)?", at + 3
        elif text.startswith("/**", at) and at + 3 == len(text):
            out, at = out + "/.*", at + 3
        elif text[at] == "*":
            while text[at : at + 1] == "*":
                at += 1
            out += "[^/]*"
        elif text[at] == "?":
            out, at = out + "[^/]", at + 1
        elif text[at] == "[" and (end := text.find("]", at + 2)) != -1:
            inside = text[at + 1 : end].replace("\\", "\\\\")
            inside = "^" + inside[1:] if inside[:1] in "!^" else inside
            out, at = out + f"[{inside}]", end + 1
        else:
            at += text[at] == "\\" and at + 1 < len(text)
            out, at = out + re.escape(text[at]), at + 1
    return out
