"""JSON: the findings format and the plan file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from migrator.output.formats import Look
from scanners.model import Report

if TYPE_CHECKING:
    from migrator.model import Plan

FINDINGS_SCHEMA = 1


def findings(report: Report, look: Look) -> str:
    """The findings format, version 1."""
    document = {
        "schema": FINDINGS_SCHEMA,
        "tool": look.tool,
        "findings": [finding.as_dict() for finding in report.ordered()],
        "errors": list(report.errors),
        "scanned": dict(sorted(report.scanned.items())),
        # Of images: who they run as, which apps run them.
        **({"notes": list(report.notes)} if report.notes else {}),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def plan(plan: Plan, look: Look) -> str:
    """The plan file itself."""
    del look
    return plan.to_json()
