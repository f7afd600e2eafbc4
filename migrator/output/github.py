"""Annotations of GitHub Actions: lines of a log that GitHub shows beside the lines of code they name.

They are no format of their own: where `GITHUB_ACTIONS` is set they go to the log beside whatever was asked for.
Source: docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

from migrator.output import _words as words
from scanners.model import Finding, Report, Severity

_MOST = 50
"""Annotations that a report makes: GitHub keeps ten errors, ten warnings and ten notices of a step, and fifty of a job."""
_COMMAND = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "notice"}


def annotate(report: Report) -> str:
    """One line a new finding, worst first; what is known, allowed or weak is left out. Empty when there is nothing."""
    found = [finding for finding in report.ordered() if finding.status == "new" and not finding.weak]
    found.sort(key=lambda finding: words.ORDER.index(finding.severity))
    lines = [_line(finding) for finding in found[:_MOST]]
    if len(found) > _MOST:
        rest = words.count(len(found) - _MOST, "more finding")
        lines.append(f"::notice title=keylift::{_data(rest + ' in the report')}")
    return "".join(f"{line}\n" for line in lines)


def _line(finding: Finding) -> str:
    place = finding.location.as_dict()
    where = {"title": words.clean(finding.title)}
    text = f"{finding.rule}: {words.clean(finding.preview)}".rstrip(": ")
    if place["kind"] in {"file", "commit"}:
        where = {
            "file": words.from_here(place["path"]),
            "line": str(place["line"]),
            "col": str(place["column"]),
            **where,
        }
    else:
        # Not in the repository: GitHub shows it with the job.
        text = f"{words.short(words.resource_of(place))} {words.within(place)}: {text}"
    if place.get("commit"):
        text += f", in commit {place['commit']}"
    more = words.says(finding)
    text += f" ({more})" if more else ""
    properties = ",".join(f"{key}={_property(value)}" for key, value in where.items())
    return f"::{_COMMAND[finding.severity]} {properties}::{_data(text + '. Move it with keylift, or allow it with a reason')}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
