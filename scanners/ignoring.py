"""`.gitignore` files, read as git reads them: later lines win, deeper files win, a directory that is out takes all with it.

Source: gitignore(5). What git tracks in spite of its ignore files is not known here (`scanners.sources.tracked` asks it).
"""

from __future__ import annotations

import os
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


def above(folder: Path) -> tuple[str, tuple[IgnoreFile, ...]]:
    """What the repository around a folder says of it: the folder's path in it, and the ignore files above the folder.

    A folder outside of any repository has neither.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - `..` goes, links stay
    top = next((one for one in (folder, *folder.parents) if os.path.lexists(one / ".git")), None)
    if top is None:
        return "", ()
    own = [read(top / ".git" / "info" / "exclude", "")]
    base = ""
    for part in folder.relative_to(top).parts:
        own.append(read(top / base / ".gitignore", base))
        base += f"{part}/"
    return base, tuple(file for file in own if file is not None)


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
        pattern = re.compile(("" if anchored else "(?s:.*/)?") + _translated(text))
    except re.error:
        return None
    return Line(pattern, negated, directories_only)


def _translated(text: str) -> str:
    """A pattern as a regular expression that takes time in proportion to the path, however many stars there are.

    What follows a star is looked for once, where it comes first: if the rest does not match behind that, it matches
    behind no later place either. Only the last star of a part, whose end is given, has to try several.
    """
    groups: list[list[str]] = [[]]
    segments = text.split("/")
    for number, segment in enumerate(segments):
        if segment != "**" or len(segments) == 1:
            groups[-1].append(_segment(segment))
        elif number == len(segments) - 1:
            groups[-1].append("(?s:.*)")
        elif groups[-1] or number == 0:
            groups.append([])
    first, *rest = ["/".join(group) for group in groups]
    if not rest:
        return first
    *middle, last = rest
    deep = "".join(f"(?>(?:[^/]*/)*?{group}/)" for group in middle)
    return (f"{first}/" if first else "") + deep + f"(?s:.*/)?{last}"


def _segment(text: str) -> str:
    chunks, at = [""], 0
    while at < len(text):
        if text[at] == "*":
            while text[at : at + 1] == "*":
                at += 1
            chunks.append("")
        elif text[at] == "?":
            chunks[-1], at = chunks[-1] + "[^/]", at + 1
        elif text[at] == "[" and (end := text.find("]", at + 2)) != -1:
            chunks[-1], at = chunks[-1] + _class(text[at + 1 : end]), end + 1
        else:
            at += text[at] == "\\" and at + 1 < len(text)
            chunks[-1], at = chunks[-1] + re.escape(text[at]), at + 1
    first, *rest = chunks
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{chunk})" for chunk in middle) + "[^/]*" + last


def _class(text: str) -> str:
    inside = re.sub(r"[\\\[&~|]", r"\\\g<0>", text).replace("--", "-\\-")
    return f"[^{inside[1:]}]" if inside[:1] in "!^" else f"[{inside}]"
