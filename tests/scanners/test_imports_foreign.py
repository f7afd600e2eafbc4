"""Reports of other tools, written by the tools themselves over one small repository, and broken ones.

gitleaks 8.30.1, betterleaks 2.0.0-rc.4, kingfisher 2.14.0, detect-secrets 1.5.0; trufflehog's by its documentation. The
values in them are made up.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator.output import formats
from migrator.output.formats import Look
from scanners.imports import reading
from scanners.imports.reading import ImportFileError
from scanners.model import Confidence, Fingerprinter, Report, Secret, Severity
from tests.output import samples

FOREIGN = Path(__file__).parent / "foreign"
KEY = Fingerprinter(b"\x07" * 32)
GITHUB = "ghp_8sT2kQmWv5LzR7nYc3XbJ1dHf9GpAe4Uo0Ni"
PASSWORD = "quai-Vodka-lantern-81x"
AWS = "AKIAQ3EGRZT5WNLM4XYU"
COMMIT = "137c3d466e0002ec11208e45619858d3318e6091"
FILES = sorted(path.name for path in FOREIGN.iterdir())


def told(report: Report) -> str:
    return json.dumps([finding.as_dict() for finding in report.findings])


def by_line(name: str) -> dict[int, Any]:
    return {f.location.as_dict()["line"]: f for f in reading.read(FOREIGN / name, KEY).findings}


@pytest.mark.parametrize("name", FILES)
def test_every_report_is_read_and_no_value_stays(name: str) -> None:
    report = reading.read(FOREIGN / name, KEY)
    assert report.findings
    assert {f.location.as_dict()["path"] for f in report.findings} == {"app/settings.py"}
    assert not [value for value in (GITHUB, PASSWORD, AWS) if value in told(report)]
    assert not [value for value in (GITHUB, PASSWORD, AWS) if value in repr(report)]
    assert 2 in {f.location.as_dict()["line"] for f in report.findings}


@pytest.mark.parametrize(
    "name",
    ["gitleaks.json", "gitleaks.sarif", "betterleaks.json", "kingfisher.json", "kingfisher.jsonl", "kingfisher.sarif", "trufflehog.jsonl"],
)  # fmt: skip
def test_values_in_clear_become_fingerprints(name: str) -> None:
    finding = by_line(name)[2]
    # The same as ours for the same value, so that an estate that holds it too is recognised.
    assert finding.fingerprint == KEY.of_secret(Secret(GITHUB))
    assert finding.preview == "ghp_… (<64 chars)"
    assert str(finding.detail).startswith("found by ")
    assert finding.title
    assert finding.severity is Severity.HIGH


def test_commits_are_kept() -> None:
    for name in ("gitleaks.json", "gitleaks.sarif", "betterleaks.json", "kingfisher.jsonl", "trufflehog.jsonl"):
        place = by_line(name)[2].location.as_dict()
        assert (place["kind"], place["commit"]) == ("commit", COMMIT)
        assert place["author_date"].startswith("2026-11-22")


def test_redacted_values_are_no_values() -> None:
    found = by_line("gitleaks-redacted.json")
    assert {finding.preview for finding in found.values()} == {""}
    # No value: every place is a secret of its own.
    assert len({finding.fingerprint for finding in found.values()}) == len(found) == 3


def test_what_a_tool_signed_in_with_is_live() -> None:
    found = by_line("trufflehog.jsonl")
    assert (found[4].verified, found[4].confidence) == ("live", Confidence.HIGH)
    assert (found[2].verified, found[2].confidence) == (None, Confidence.MEDIUM)


def test_digests_of_detect_secrets_tell_equal_values_apart(tmp_path: Path) -> None:
    document = json.loads((FOREIGN / "detect-secrets.json").read_text())
    (entries,) = document["results"].values()
    document["results"]["other.py"] = [{**entries[0], "is_secret": False}]
    (tmp_path / "x.json").write_text(json.dumps(document))
    found = reading.read(tmp_path / "x.json", KEY).findings
    (copy,) = (finding for finding in found if finding.location.as_dict()["path"] == "other.py")
    assert copy.status == "allowed"
    assert [f.fingerprint for f in found].count(copy.fingerprint) >= 2
    assert entries[0]["hashed_secret"] not in told(reading.read(tmp_path / "x.json", KEY))


def test_ours_come_back_as_they_were(tmp_path: Path) -> None:
    report = samples.report()
    path = tmp_path / "findings.json"
    path.write_text(formats.render_findings("json", report))
    again = reading.read(path, KEY)
    before = [finding.as_dict() for finding in report.ordered()]
    for entry in before:
        # The samples' own location of a commit says less.
        if entry["location"]["kind"] == "commit":
            entry["location"]["at_head"] = True
    assert [finding.as_dict() for finding in again.findings] == before


def test_our_sarif_leads_to_the_same_places(tmp_path: Path) -> None:
    path = tmp_path / "findings.sarif"
    path.write_text(formats.render_findings("sarif", samples.report(), Look(tool=samples.TOOL)))
    again = {(f.rule, f.location.as_dict()["path"]) for f in reading.read(path, KEY).findings}
    azure = {(f.rule, f.location.as_dict()["path"]) for f in samples.report().findings if f.location.kind == "azure"}
    assert azure <= again
    assert ("generic-password", "deploy/app settings.json") in again


def test_a_report_redirected_by_powershell(tmp_path: Path) -> None:
    text = (FOREIGN / "gitleaks.json").read_text()
    (tmp_path / "16.json").write_bytes(text.encode("utf-16"))
    (tmp_path / "8.json").write_bytes(text.encode("utf-8-sig"))
    assert told(reading.read(tmp_path / "16.json", KEY)) == told(reading.read(tmp_path / "8.json", KEY))


def test_nothing_found(tmp_path: Path) -> None:
    for number, text in enumerate(
        ("[]", '{"version": "2.1.0", "runs": []}', '{"plugins_used": [], "results": {}}', '{"schema_version": "1", "findings": []}')
    ):  # fmt: skip
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        assert reading.read(path, KEY).findings == []


# Broken ones


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("no report", "not JSON"),
        ('{"a": 1}\n{"b"', "not JSON"),
        ("[" * 200_000, "not JSON"),
        ('{"a": 1}', "no report of a tool"),
        ("42", "no report of a tool"),
        ('[{"x": 1}]', "no report of a tool"),
        ('{"schema": 2, "tool": {}, "findings": []}', "no report of a tool"),
        ('[{"RuleID": "r", "File": 3, "Secret": "' + PASSWORD + '"}]', "entry 1 is not as gitleaks"),
        ('[{"RuleID": "r", "File": "f"}, "' + PASSWORD + '"]', "entry 2 is not as gitleaks"),
        ('{"version": "2.1.0", "runs": [{}]}', "entry 1 is not as SARIF"),
        ('{"version": "2.1.0", "runs": [{"tool": {"driver": {}}, "results": [{"ruleId": "r"}]}]}', "not as SARIF"),
        ('{"plugins_used": [], "results": {"a": [{}]}}', "not as detect-secrets"),
        ('{"schema": 1, "tool": {}, "findings": [{"rule": "r"}]}', "not as keylift"),
        ('{"SourceMetadata": {"Data": {"Git": {"file": "f"}}}}', "not as trufflehog"),
        ('{"findings": [{"rule": {"id": "r"}, "finding": {"path": 1}}]}', "not as kingfisher"),
    ],
)
def test_what_cannot_be_read_is_said_so(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ImportFileError) as error:
        reading.read(path, KEY)
    assert says in str(error.value)
    assert "report.json" in str(error.value)
    assert error.value.hint
    assert PASSWORD not in f"{error.value}{error.value.hint}"


def test_a_binary_file_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\x00\xff\xfe\x80")
    for name in ("x", "y"):
        with pytest.raises(ImportFileError):
            reading.read(tmp_path / name, KEY)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.data())
def test_altered_reports_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in FILES if not name.endswith("l")]))
    document = json.loads((FOREIGN / name).read_text())
    place: Any = document
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
        if data.draw(st.booleans()) or not isinstance(place[key], dict | list):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with contextlib.suppress(ImportFileError):
        report = reading.read(path, KEY)
        for form in ("sarif", "csv", "human", "html", "markdown", "json"):
            formats.render_findings(form, report)
