"""Values in shell scripts of a command: where they stand, and what can stand there so that the shell sees the same words.

Container Apps does not say whether it fills `$(NAME)` in a command, as Kubernetes would, so a plan does not rely on it. A
script that the command hands to a shell (`sh -c SCRIPT`) is another matter: a shell fills `$NAME` from its environment by
its own rules (POSIX.1-2024, 2.6), whatever runs it. Where quoting is not certain the value is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scanners.model import Fingerprinter

_SHELLS = frozenset({"sh", "bash", "dash", "ash"})
_OPTIONS = frozenset("abcefhmuvxo")
"""Of these shells with `-c`, those that read no file which could change the environment (`-l` and `-i` do)."""
_UNCERTAIN = re.compile(r"`|\$\(|\(\(|<<|\$'|\$\"|=~|\$\{[^}]*['\"\\$]")
"""Constructs in which a part of a script is read by other rules: substitutions, arithmetic, here-documents, patterns."""
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./=-]+")
"""What means itself outside quotes."""
_NAMED = re.compile(r"(?:^|\s)(?:for|select|function)\s+$")
MOST_CUTS = 700
"""Places in a text at which a value may begin or end: above that nobody is told where it stands."""


def script_at(words: Sequence[str]) -> int | None:
    """Index of the script in a command line that is a shell with `-c`; None for any other."""
    if not words or words[0].rpartition("/")[2] not in _SHELLS:
        return None
    at, given = 1, False
    while at < len(words) and words[at].startswith("-"):
        letters = words[at][1:]
        if not letters or not set(letters) <= _OPTIONS:
            return None
        given = given or "c" in letters
        at += 1 + letters.count("o")  # `-o pipefail`
    return at if given and at < len(words) else None


def standing(text: str, fingerprint: str, fingerprinter: Fingerprinter) -> str | None:
    """The part of a text that has a fingerprint: from and to where letters and digits begin or end.

    None when no part has it, or the text has too many places to look at.
    """
    cuts = [
        at for at in range(len(text) + 1) if not (0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum())
    ]
    if len(cuts) > MOST_CUTS:
        return None
    for first, start in enumerate(cuts):
        for end in reversed(cuts[first + 1 :]):
            part = text[start:end]
            if "\n" not in part.strip("\n") and fingerprinter.of(part) == fingerprint:
                return part
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """One occurrence of a value in a script."""

    start: int
    end: int
    quoting: str
    """`plain`, `single`, `double` or `comment`."""

    def refer(self, variable: str) -> str:
        """What stands there instead, so that the shell makes the same words of the script."""
        return {
            "plain": f'"${variable}"',
            "single": f"'\"${variable}\"'",
            "double": f"${{{variable}}}",
            "comment": variable,
        }[self.quoting]


def occurrences(script: str, value: str) -> list[Standing] | None:
    """Every occurrence of a value in a script; None when one of them cannot become a variable with certainty."""
    if not value or re.search(r"[$`\\\"'\x00-\x1f\x7f]", value):
        return None
    context = _contexts(script)
    if context is None:
        return None
    found = []
    at = script.find(value)
    while at >= 0:
        end = at + len(value)
        kinds = set(context[at:end])
        if len(kinds) != 1 or not _certain(script, at, end, next(iter(kinds))):
            return None
        found.append(Standing(at, end, kinds.pop()))
        at = script.find(value, end)
    return found


def _certain(script: str, start: int, end: int, quoting: str) -> bool:
    before, after = script[start - 1 : start], script[end : end + 1]
    if quoting in {"single", "comment"}:
        return True
    if quoting == "double":
        return before not in {"\\", "$"} and "!" not in script[start:end]
    if quoting != "plain" or _assigns(script, start, end):
        return False
    return (
        _PLAIN.fullmatch(script[start:end]) is not None
        and before not in {"\\", "$", "~", "{"}
        and after not in {"=", "+", "(", "[", "<", ">", "}"}
        and _NAMED.search(script[:start]) is None
    )


def _assigns(script: str, start: int, end: int) -> bool:
    """Whether the name of an assignment may be part of the value: a quoted one would be a command."""
    head = re.split(r"[\s;&|()]", script[:start])[-1] + script[start:end].partition("=")[0]
    return "=" in script[start:end] and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", head) is not None


def _contexts(script: str) -> list[str] | None:
    """By which rules the shell reads each character; None when that is not certain."""
    if _UNCERTAIN.search(script):
        return None
    found: list[str] = []
    state = "plain"
    while len(found) < len(script):
        at = len(found)
        char = script[at]
        if state == "comment":
            state = "plain" if char == "\n" else state
            found.append("comment" if state == "comment" else "end")
        elif state == "single":
            state = "plain" if char == "'" else state
            found.append("single" if state == "single" else "quote")
        elif char == "\\":
            found += ["escaped"] * min(2, len(script) - at)
        elif char == '"':
            state = "plain" if state == "double" else "double"
            found.append("quote")
        elif char == "$":
            variable = re.compile(r"\$(?:\{[^}]*\}|[A-Za-z_][A-Za-z0-9_]*|.|$)", re.DOTALL).match(script, at)
            found += ["expansion"] * (len(variable[0]) if variable else 1)
        elif state == "plain" and char == "'":
            state = "single"
            found.append("quote")
        elif state == "plain" and char == "#" and (at == 0 or script[at - 1] in " \t\n;&|()"):
            if at and found[-1] == "escaped":
                return None  # a part of the word after `\ `, a comment after a line that goes on
            state = "comment"
            found.append("comment")
        else:
            found.append(state)
    return found if state in {"plain", "comment"} else None


def variable(name: str, taken: Iterable[str], script: str) -> str:
    """A name for the variable that carries a value: nothing in the container or its script goes by it."""
    stem = "KEYLIFT_" + re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")
    used = set(taken)
    number = 1
    while True:
        found = stem if number == 1 else f"{stem}_{number}"
        if found not in used and found not in script:
            return found
        number += 1


_CALLED = re.compile(
    r"""(?<![\w.+/%-])(?:--([A-Za-z][\w.-]*)["']?(?:=|\s+)|([A-Za-z][\w.-]*)["']?(?:=|:\s+))["']?$""",
)


def option(text: str, start: int) -> str:
    """What a text calls the value that begins at `start`: `--NAME=`, `--NAME `, `NAME=`, `NAME: `; else nothing.

    A word that merely stands before the value is no name: it may be a value itself (`mc alias set s3 URL KEY SECRET`,
    `-u KEY:SECRET`), and what this gives goes into plans.
    """
    found = _CALLED.search(text[:start])
    return (found[1] or found[2]) if found else ""
