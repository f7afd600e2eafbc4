"""Files inside archives: scanned in memory, located as `outer.zip!/inner/path`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scanners import archives
from scanners.engine import Engine
from scanners.model import Document, FileLocation, Finding, Fingerprinter
from scanners.positions import Lines
from scanners.sources.files import found_at, opaque

if TYPE_CHECKING:
    from scanners.allow import Allow


def scan_archive(
    name: str,
    engine: Engine,
    fingerprinter: Fingerprinter,
    allow: Allow | None,
    errors: list[archives.Problem],
    limits: archives.Limits | None = None,
) -> tuple[list[Finding], int]:
    """The findings of all files in an archive and how many bytes they have.

    Args:
        name: path of the archive.
        engine: loaded rules.
        fingerprinter: tells equal values without showing them.
        allow: what is allowed.
        errors: takes what could not be read.
        limits: what to read at most.

    Raises:
        OSError: the archive cannot be opened as a file.
    """
    findings: list[Finding] = []
    size = 0
    with Path(name).open("rb") as stream:
        shown = name.replace(os.sep, "/")
        for path, content in archives.members(shown, stream, limits, errors, skip=opaque):
            size += len(content)
            matches = engine.scan(Document(content, FileLocation(path, 1, 1), name=path.rpartition("/")[2]))
            lines = Lines(content)
            for match in matches:
                finding = found_at(match, FileLocation(path, *lines.at(match.start)), fingerprinter)
                findings.append(finding if allow is None else allow.judged(finding, match, path, content))
    return findings, size
