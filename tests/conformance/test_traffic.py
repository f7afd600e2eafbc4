"""The recorded flows of Microsoft.App, replayed in order and compared answer by answer.

`KEYLIFT_FLOWS` names another folder of flows. `pytest -s` prints the report: matched/total for each flow, each mismatch
with the place where the answers differ.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conformance import flows, traffic

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
AT_LEAST = 0.95

FOLDERS = {"recordings/microsoft.app": 4, "traffic/recordings/powershell-2023-headers": 8}
"""Other recordings, one interaction a file, and how many of them match: all but the first of 2023, a managed redis."""

KNOWN = {
    # the same state, shown Healthy three times in this recording and None once
    ("revisions-actions", 21): "health of a revision that drains",
    # a deletion before this answer is not in the flow
    ("dapr-resiliency", 10): "deleted meanwhile, outside the flow",
    # how a managed certificate is issued, by whom and how long, is not simulated
    ("errors-history", 2): "another managed certificate being issued",
    # recorded in September 2022, when the provider wrote errors without the `error` around them
    ("errors-history", 3): "error body of 2022",
    # an image that listens on another port than the ingress expects: nothing in a document tells
    ("revision-failed", 10): "the simulator knows no ports of images",
    ("revision-failed", 11): "the simulator knows no ports of images",
    ("revision-failed", 8): "the simulator knows no ports of images",
    ("revision-failed", 12): "the simulator knows no ports of images",
    ("revision-failed", 14): "the simulator knows no ports of images",
}
"""Answers that differ, and why."""


def _flows() -> Path:
    return Path(os.environ.get("KEYLIFT_FLOWS") or SHARED / "azure" / "traffic" / "flows")


@pytest.fixture(scope="module")
def reports() -> list[flows.Report]:
    folder = _flows()
    if not folder.is_dir():
        pytest.skip(f"the recorded flows are not at {folder}")
    return [traffic.replay(path.stem, flows.read(path)) for path in sorted(folder.glob("*.json"))]


def test_flows_are_answered_as_recorded(reports: list[flows.Report]) -> None:
    for report in reports:
        sys.stdout.write("\n".join(report.lines()) + "\n")
    counted = sum(len(report.counted) for report in reports)
    matched = sum(report.matched for report in reports)
    apart = sum(len(report.outcomes) - len(report.counted) for report in reports)
    sys.stdout.write(f"{matched}/{counted} answers match; {apart} interactions are of kinds that are not simulated\n")
    assert counted
    assert matched / counted >= AT_LEAST


def test_each_mismatch_has_a_reason(reports: list[flows.Report]) -> None:
    if os.environ.get("KEYLIFT_FLOWS"):
        return  # the reasons are those of the flows in ../shared
    unexplained = [
        f"{report.name} {outcome.step.number}: {outcome.mismatches[:3]}"
        for report in reports
        for outcome in report.counted
        if not outcome.matched and (report.name, outcome.step.number) not in KNOWN
    ]
    assert not unexplained


@pytest.mark.parametrize(("folder", "matching"), FOLDERS.items())
def test_other_recordings_are_answered_as_recorded(folder: str, matching: int) -> None:
    path = SHARED / "azure" / folder
    if not path.is_dir():
        pytest.skip(f"the recordings are not at {path}")
    report = traffic.replay(folder, flows.collected(path), selected=True)
    assert report.matched == matching, "\n".join(report.lines())
