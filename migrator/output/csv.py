"""CSV: one line a finding, for spreadsheets."""

from __future__ import annotations

import csv
import io

from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Report

COLUMNS = (
    "rule",
    "title",
    "severity",
    "confidence",
    "verified",
    "service",
    "detail",
    "kind",
    "resource",
    "path",
    "name",
    "line",
    "column",
    "commit",
    "fingerprint",
    "preview",
    "weak",
    "status",
)


def findings(report: Report, look: Look) -> str:
    """A header, then findings in their order; lines end as RFC 4180 says."""
    del look
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in report.ordered():
        known = finding.as_dict()
        place = known.pop("location")
        row = {**known, **place, "resource": words.resource_of(place)}
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = words.clean(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@"} else text
