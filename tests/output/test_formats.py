"""Every format as bytes, and what none of them may hold."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest

from migrator.errors import UsageError
from migrator.model import Plan
from migrator.output import formats
from migrator.output.formats import Look
from scanners.model import FileLocation, Report
from tests.planner import estates

from . import samples

GOLDEN = Path(__file__).parent / "golden"
FINDINGS = ("csv", "html", "human", "json", "markdown", "sarif")
PLANS = ("human", "json", "markdown")
ENDINGS = {"human": "txt", "markdown": "md"}
LOOKS = {"plain": Look(tool=samples.TOOL), "color": Look(color=True, width=80, tool=samples.TOOL)}


def same_as_golden(name: str, text: str) -> None:
    """Compare bytes; KEYLIFT_GOLDEN=write writes them instead, for a person to read before they are committed."""
    path = GOLDEN / name
    if os.environ.get("KEYLIFT_GOLDEN") == "write":
        path.write_bytes(text.encode())
    assert path.read_bytes() == text.encode(), f"{name} differs: KEYLIFT_GOLDEN=write pytest tests/output, then read it"


def test_formats_are_found_by_name() -> None:
    assert formats.known("findings") == FINDINGS
    assert formats.known("plan") == PLANS
    with pytest.raises(UsageError, match="no format 'yaml'") as error:
        formats.render_plan("yaml", samples.plan())
    assert "markdown" in error.value.hint
    with pytest.raises(UsageError):
        formats.render_plan("sarif", samples.plan())


@pytest.mark.parametrize("name", FINDINGS)
def test_findings(name: str) -> None:
    text = formats.render_findings(name, samples.report(), LOOKS["plain"])
    same_as_golden(f"findings.{ENDINGS.get(name, name)}", text)


@pytest.mark.parametrize("name", PLANS)
def test_plans(name: str) -> None:
    same_as_golden(f"plan.{ENDINGS.get(name, name)}", formats.render_plan(name, samples.plan(), LOOKS["plain"]))


def test_colour() -> None:
    same_as_golden("findings.color.txt", formats.render_findings("human", samples.report(), LOOKS["color"]))
    same_as_golden("plan.color.txt", formats.render_plan("human", samples.plan(), LOOKS["color"]))


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", sorted({*FINDINGS, *PLANS}))
def test_no_output_holds_a_value_or_a_control_character(name: str, look: str) -> None:
    texts = []
    if name in FINDINGS:
        texts.append(formats.render_findings(name, samples.report(), LOOKS[look]))
    if name in PLANS:
        texts.append(formats.render_plan(name, samples.plan(), LOOKS[look]))
    for text in texts:
        assert not [value for value in samples.CANARIES if value in text]
        assert text.endswith("\n")
        assert "\u202e" not in text or name == "json"
        if look == "plain" or name != "human":
            assert "\x1b" not in text


@pytest.mark.parametrize("name", FINDINGS)
def test_nothing_found(name: str) -> None:
    text = formats.render_findings(name, Report(), LOOKS["plain"])
    assert text.endswith("\n")
    if name in {"json", "sarif"}:
        json.loads(text)


@pytest.mark.parametrize("name", PLANS)
def test_nothing_to_do(name: str) -> None:
    empty = Plan(samples.TOOL, "public", {}, {"vault": "v"}, {}, ())
    text = formats.render_plan(name, empty, LOOKS["plain"])
    assert name == "json" or "nothing to do" in text


def test_a_step_of_an_unknown_kind_is_named() -> None:
    document = json.loads(samples.plan().to_json())
    document["steps"][0]["kind"] = "dance"
    altered = {key: value for key, value in document.items() if key not in {"schema", "id"}}
    from migrator.model import Step

    steps = tuple(Step(**{**step, "after": tuple(step["after"])}) for step in altered.pop("steps"))
    plan = Plan(**altered, steps=steps)
    assert "dance: kv-shop/" in formats.render_plan("human", plan)


def test_human_text_keeps_words_whole_and_lines_short() -> None:
    text = formats.render_plan("human", samples.plan(), Look(width=80))
    long = [line for line in text.splitlines() if len(line) > 80 and len(line.split()) > 2]
    assert not long
    narrow = formats.render_plan("human", samples.plan(), Look(width=10))
    assert "--role 'Key Vault" in " ".join(narrow.split())


def test_csv_starts_no_formula() -> None:
    text = formats.render_findings("csv", samples.report())
    rows = list(csv.reader(io.StringIO(text)))
    assert len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if cell[:1] in {"=", "+", "-", "@"}]


def test_markdown_tables_have_one_width() -> None:
    for text in (
        formats.render_findings("markdown", samples.report()),
        formats.render_plan("markdown", samples.plan()),
    ):
        width = 0
        for line in text.splitlines():
            if not line.startswith("|"):
                width = 0
                continue
            columns = line.replace("\\|", "").count("|")
            assert columns == (width or columns), line
            width = columns


def test_sarif_is_what_a_service_takes() -> None:
    text = formats.render_findings("sarif", samples.report())
    (run,) = json.loads(text)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rule["helpUri"].startswith("https://") and rule["helpUri"].endswith(f"#{rule['id']}") for rule in rules)
    assert all(0 < float(rule["properties"]["security-severity"]) <= 10 for rule in rules)
    assert len({result["partialFingerprints"]["keylift/v1"] for result in run["results"]}) == len(run["results"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        physical = result["locations"][0]["physicalLocation"]
        uri = physical["artifactLocation"]["uri"]
        assert not uri.startswith("/")
        assert not {"\\", ":", " "} & set(uri)
        assert set(physical["region"]) <= {"startLine", "startColumn"}, "a snippet would hold the value"
    assert "snippet" not in text


def test_a_sarif_fingerprint_survives_a_move_within_the_file_and_another_key() -> None:
    def fingerprint(line: int, digest: str) -> str:
        place = FileLocation("a.py", line, 1)
        report = Report([samples.finding(place, estates.PASSWORD, fingerprint=digest)])
        (result,) = json.loads(formats.render_findings("sarif", report))["runs"][0]["results"]
        return str(result["partialFingerprints"]["keylift/v1"])

    assert fingerprint(1, "f1:aa") == fingerprint(99, "f1:bb")
