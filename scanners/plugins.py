"""detect-secrets, both ways: its plugins as a second opinion on ours, and our rules as a plugin for its users.

A user of detect-secrets names this file: `detect-secrets scan -p .../scanners/plugins.py`, or `plugins_used` of a
baseline; keylift must be installed beside it. detect-secrets imports requests to verify values online. Nothing here
verifies online, and nothing on the hook's way imports this module.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from scanners import offline
from scanners.baseline import OUR_TYPE
from scanners.engine import Engine
from scanners.model import (
    Confidence,
    Document,
    FileLocation,
    Finding,
    Fingerprinter,
    Match,
    Report,
    Secret,
    Severity,
    preview,
    reveal,
)
from scanners.placeholders import placeholder
from scanners.places import judged
from scanners.positions import Lines
from scanners.published import emulator, published
from scanners.sources.container_app import ENV, Place

with offline.nothing_unneeded():
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.core.potential_secret import PotentialSecret
    from detect_secrets.filters import heuristic
    from detect_secrets.plugins.base import BasePlugin
    from detect_secrets.util.code_snippet import CodeSnippet

RULE = "second-opinion"
"""The rule of what only detect-secrets finds."""
_BY_NAME = "KeywordDetector"
_JUDGES_BY_SHAPE = frozenset({_BY_NAME, "Base64HighEntropyString", "HexHighEntropyString"})
_NOT_ASKED = frozenset({"IPPublicDetector", "PrivateKeyDetector", "BasicAuthDetector"})
"""Plugins whose word adds nothing: addresses are no secrets, and the other two see less than our own rules do."""
_LONGEST_LINE = 4096
"""Characters of a line that plugins are asked about: some of their patterns take quadratic time."""
_LARGEST_FILE = 64 * 1024 * 1024
_READ_AGAIN = 4 * 1024 * 1024
"""Bytes of a file whose lines are read again as a whole; a larger one is scanned in pieces, and gets no second opinion."""


# Its plugins as a second opinion


def opinions(line: str) -> dict[str, set[str]]:
    """What the plugins of detect-secrets find in a line, after its own filters: plugin names by value."""
    found: dict[str, set[str]] = {}
    if len(line) > _LONGEST_LINE or heuristic.is_indirect_reference(line):
        return found
    for plugin in _plugins():
        _ask(plugin, line, found)
    return found


@lru_cache(maxsize=1024)
def agreed(line: str) -> frozenset[str]:
    """The values in a line that its plugins agree on: of `opinions`, those that `agrees` holds for, with less to ask.

    Trees say the same in many places, so the answers are kept.
    """
    found: dict[str, set[str]] = {}
    if len(line) > _LONGEST_LINE:
        return frozenset()
    for plugin in _plugins():
        if type(plugin).__name__ != _BY_NAME:
            _ask(plugin, line, found)
    # The one that goes by names takes longer than all others, and agrees with nobody where they found nothing.
    if found and not all(map(agrees, found.values())):
        for plugin in _plugins():
            if type(plugin).__name__ == _BY_NAME:
                _ask(plugin, line, found)
    said = frozenset(value for value, names in found.items() if agrees(names))
    # Asked last: its pattern takes a millisecond.
    return said if said and not heuristic.is_indirect_reference(line) else frozenset()


def _ask(plugin: BasePlugin, line: str, found: dict[str, set[str]]) -> None:
    for secret in plugin.analyze_line(filename="line", line=line, line_number=1):
        value = str(secret.secret_value)
        if not _filtered(value, line, plugin):
            found.setdefault(value, set()).add(type(plugin).__name__)


def agrees(names: Iterable[str]) -> bool:
    """Whether plugins that name a value say that it is a secret: one that knows its format does, or a name and chance."""
    said = set(names)
    return bool(said - _JUDGES_BY_SHAPE) or len(said) > 1


@cache
def _plugins() -> tuple[BasePlugin, ...]:
    with offline.nothing_unneeded():
        kinds: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    asked = (kind for kind in kinds if kind.__name__ not in _NOT_ASKED and kind.secret_type != OUR_TYPE)
    return tuple(kind() for kind in sorted(asked, key=lambda kind: str(kind.__name__)))


def _filtered(value: str, line: str, plugin: Any) -> bool:
    return bool(
        heuristic.is_sequential_string(value)
        or heuristic.is_potential_uuid(value)
        or heuristic.is_likely_id_string(value, line, plugin)
        or heuristic.is_templated_secret(value)
        or heuristic.is_prefixed_with_dollar_sign(value)
        or heuristic.is_not_alphanumeric_string(value)
    )


def second_value(name: str, secret: Secret) -> Match | None:
    """A named value that ours takes for nothing and a plugin knows by its format: a match of low confidence.

    Measured on the development set, such a hit is right half of the time, hence the confidence.
    """
    value = reveal(secret)
    if placeholder(value) or published(value) or emulator(value):
        # Ours knows why it is none.
        return None
    line = f'{name} = "{value}"'
    for found, names in sorted(opinions(line).items()):
        said = sorted(names - _JUDGES_BY_SHAPE)
        if said and found in value:
            return Match(
                rule=RULE,
                title="Value in a format that detect-secrets knows",
                severity=Severity.MEDIUM,
                confidence=Confidence.LOW,
                secret=secret,
                start=0,
                end=len(value.encode("utf-8", "surrogatepass")),
                detail=f"found by {', '.join(said)} of detect-secrets only",
            )
    return None


def second_match(match: Match, line: str) -> Match:
    """A match of medium confidence becomes one of high confidence where plugins agree; others stay as they are.

    Measured on the development set: of 97 matches raised so, none was a negative.

    Args:
        match: ours.
        line: the line it lies in, or `NAME = "value"` for a setting.
    """
    if match.confidence is not Confidence.MEDIUM or match.weak:
        return match
    if _agreed(line, reveal(match.secret)):
        return match._replace(confidence=Confidence.HIGH)
    return match


def review_places(found: Sequence[Finding], places: Iterable[Place], fingerprinter: Fingerprinter) -> list[Finding]:
    """The findings of an app after a second opinion: raised where plugins agree, and of low confidence where only they do.

    Args:
        found: ours.
        places: all values of the app.
        fingerprinter: for what only plugins find.
    """
    by_place = {finding.location.sort_key(): finding for finding in found}
    for place in places:
        key, line = place.location.sort_key(), f'{place.name} = "{reveal(place.secret)}"'
        finding = by_place.get(key)
        if finding is not None:
            sure = finding.confidence is not Confidence.MEDIUM or finding.weak
            if not sure and _agreed(line, reveal(place.secret)):
                by_place[key] = replace(finding, confidence=Confidence.HIGH)
        elif place.kind == ENV and (match := second_value(place.name, place.secret)) is not None:
            by_place[key] = Finding(
                rule=match.rule,
                title=match.title,
                severity=match.severity,
                confidence=match.confidence,
                location=place.location,
                fingerprint=fingerprinter.of_secret(place.secret),
                preview=preview(place.secret),
                detail=match.detail,
            )
    return list(by_place.values())


def _agreed(line: str, value: str) -> bool:
    return any(said in value or value in said for said in agreed(line))


def review(report: Report, fingerprinter: Fingerprinter) -> None:
    """Ask about the lines of files that were flagged with medium confidence, and raise what plugins agree with.

    The lines are read again, since findings hold no values; a value is known again by its fingerprint. What cannot be
    read any more, or changed meanwhile, stays as it was. Changes `report`.
    """
    for number, finding in enumerate(report.findings):
        if (
            finding.confidence is not Confidence.MEDIUM
            or finding.weak
            or not isinstance(finding.location, FileLocation)
        ):
            continue
        line = _line(finding.location)
        if any(fingerprinter.of(value) == finding.fingerprint for value in agreed(line)):
            report.findings[number] = replace(finding, confidence=Confidence.HIGH)
    _lines.cache_clear()


def _line(place: FileLocation) -> str:
    """A line of a file; nothing when the file is large, gone, or has no such line."""
    lines = _lines(place.path)
    return lines[place.line - 1].decode("utf-8", "replace") if place.line <= len(lines) else ""


@lru_cache(maxsize=4)
def _lines(path: str) -> list[bytes]:
    try:
        return Path(path).read_bytes().split(b"\n") if Path(path).stat().st_size <= _READ_AGAIN else []
    except (OSError, ValueError):
        return []


# Our rules as a plugin


class KeyliftDetector(BasePlugin):
    """Finds what `keylift scan files` finds, low confidence and weak values left out.

    Files are scanned whole, once, so that values over several lines and names on other lines are seen; a line that is
    not of a file is scanned by itself.
    """

    secret_type = OUR_TYPE

    def analyze_string(self, string: str) -> Generator[str, None, None]:
        """The values in a text."""
        for match in _scan(string.encode("utf-8", "surrogatepass"), ""):
            yield reveal(match.secret)

    def analyze_line(
        self, filename: str, line: str, line_number: int = 0, context: CodeSnippet | None = None, **kwargs: Any
    ) -> set[PotentialSecret]:
        """The values that begin in a line."""
        del context, kwargs
        values = _of_file(filename, line_number, line)
        if values is None:
            found = _scan(line.encode("utf-8", "surrogatepass"), _from_here(filename))
            values = tuple(reveal(match.secret) for match in found)
        return {
            PotentialSecret(type=self.secret_type, filename=filename, secret=value, line_number=line_number)
            for value in values
        }


def _of_file(filename: str, line_number: int, line: str) -> tuple[str, ...] | None:
    """The values of a file's line; None when the line is not that of the file, as in a diff or an altered file.

    detect-secrets writes the lines of YAML anew before plugins see them; what is still in such a line counts.
    """
    try:
        about = os.stat(filename)  # noqa: PTH116 - once for every line
    except (OSError, ValueError):
        return None
    if line_number < 1 or about.st_size > _LARGEST_FILE:
        return None
    lines, values = _scanned(filename, about.st_mtime_ns, about.st_size)
    if line_number > len(lines):
        return None
    found = values.get(line_number, ())
    if lines[line_number - 1].strip() == line.strip().encode("utf-8", "surrogateescape"):
        return found
    return tuple(value for value in found if value in line) or None


def _from_here(filename: str) -> str:
    """A file's path from the folder that detect-secrets runs in, which is the repository's top."""
    return os.path.relpath(filename).replace(os.sep, "/") if filename else ""


@lru_cache(maxsize=2)
def _scanned(filename: str, _changed: int, _size: int) -> tuple[list[bytes], dict[int, tuple[str, ...]]]:
    data = Path(filename).read_bytes()
    where, values = Lines(data), dict[int, tuple[str, ...]]()
    for match in _scan(data, _from_here(filename)):
        line, _ = where.at(match.start)
        values[line] = (*values.get(line, ()), reveal(match.secret))
    return data.split(b"\n"), values


def _scan(data: bytes, name: str) -> Iterator[Match]:
    for found in _engine().scan(Document(data, FileLocation(name, 1, 1), name=name.rpartition("/")[2] or None)):
        match = judged(found, name)
        if match.confidence is not Confidence.LOW and not match.weak:
            yield match


@cache
def _engine() -> Engine:
    return Engine.load()
