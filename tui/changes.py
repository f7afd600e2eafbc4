"""A plan in words and signs, as the other formats have it: the one place that reaches for them. For pages behind the first."""

from __future__ import annotations

from migrator.output._changes import (
    evidence,
    grants,
    groups,
    lines,
    missing_rights,
    reach_rows,
    reachable,
    risks,
    skipped,
    summary,
    undo,
)

__all__ = [
    "evidence",
    "grants",
    "groups",
    "lines",
    "missing_rights",
    "reach_rows",
    "reachable",
    "risks",
    "skipped",
    "summary",
    "undo",
]
