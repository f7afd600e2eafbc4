"""Findings of other tools as ours: the format is known by its content, values are fingerprinted at once and dropped.

Every module of this package that has `NAME`, `recognises(document)` and `findings(document, make)` is a format.
"""

from __future__ import annotations

import codecs
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from scanners import imports
from scanners.imports.making import Make
from scanners.model import Finding, Fingerprinter, Report


class ImportFileError(ValueError):
    """A file that is no report of a known tool, or a broken one. `hint` is the way out."""

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Format:
    """What another tool writes."""

    name: str
    recognises: Callable[[Any], bool]
    findings: Callable[[Any, Make], Iterator[Finding]]


@cache
def formats() -> tuple[Format, ...]:
    """All formats, by name."""
    found = []
    for info in pkgutil.iter_modules(imports.__path__):
        module = importlib.import_module(f"{imports.__name__}.{info.name}")
        if hasattr(module, "recognises"):
            found.append(Format(module.NAME, module.recognises, module.findings))
    return tuple(sorted(found, key=lambda one: one.name))


def read(path: Path, fingerprinter: Fingerprinter) -> Report:
    """The findings of a report that keylift or another scanner wrote.

    Args:
        path: the file, JSON or JSON lines.
        fingerprinter: makes fingerprints of the values that some tools write in clear.

    Raises:
        ImportFileError: it cannot be read, is of no known format, or is broken. No message quotes the file.
    """
    document = _document(path)
    for one in formats():
        if one.recognises(document):
            return _report(path, one, document, fingerprinter)
    names = ", ".join(one.name for one in formats())
    raise ImportFileError(
        f"{path} is no report of a tool that keylift knows", hint=f"have it written as JSON or SARIF by one of {names}"
    )


def _report(path: Path, one: Format, document: Any, fingerprinter: Fingerprinter) -> Report:
    report = Report(scanned={"reports": 1})
    found = one.findings(document, Make(one.name, fingerprinter))
    while True:
        try:
            finding = next(found, None)
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            # What went wrong could quote the entry, which may hold a value: it goes no further.
            finding, broken = None, True
        else:
            broken = False
        if broken:
            raise ImportFileError(
                f"{path}: entry {len(report.findings) + 1} is not as {one.name} writes it",
                hint=f"have {one.name} write the report again; versions known to work are in docs/allowing.md",
            )
        if finding is None:
            break
        report.findings.append(finding)
    report.findings = list(report.ordered())
    return report


def _document(path: Path) -> Any:
    try:
        text = _text(path.read_bytes())
    except OSError as error:
        raise ImportFileError(
            f"{path} cannot be read: {error.strerror}", hint="check its name and permissions"
        ) from error
    except UnicodeDecodeError:
        text = ""
    if not text.strip():
        raise ImportFileError(
            f"{path} holds no report: it is empty or no text",
            hint="some tools write nothing when they find nothing; leave the file out then, or run the tool again",
        )
    try:
        return json.loads(text)
    except RecursionError:
        pass
    except ValueError:
        lines = _lines(text)
        if lines is not None:
            return lines
    # No cause: a decoder's message can quote what it stumbled over.
    raise ImportFileError(f"{path} is not JSON", hint="have the tool write JSON, JSON lines or SARIF")


def _lines(text: str) -> list[Any] | None:
    try:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None
    return found if all(isinstance(entry, dict) for entry in found) else None


def _text(data: bytes) -> str:
    """UTF-8, or UTF-16 with its mark, which is what a redirect of PowerShell writes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")
