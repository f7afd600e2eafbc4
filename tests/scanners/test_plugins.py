"""detect-secrets as a second opinion, and our rules as its plugin under the real `detect-secrets`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners import plugins
from scanners.engine import Engine
from scanners.model import Confidence, Document, FileLocation, Fingerprinter, Report, Secret
from scanners.sources import container_app, files
from tests.scanners import cases

PLUGIN = Path(plugins.__file__)
PASSWORD = "quai-Vodka-lantern-81x"
PAIRED = "gUx7kLw92mZpV1b4TqHs8Dn3Rc6Ye5"
CODE = f'"""Text."""\nDB_PASSWORD = "{PASSWORD}"\nplain = 1\n'
YAML = f"env:\n  - name: DB_PASSWORD\n    value: {PAIRED}\n"


def detect_secrets(*arguments: str, cwd: Path) -> Any:
    command = [sys.executable, "-m", "detect_secrets", "scan", "--all-files", *arguments, "."]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_ours_run_under_detect_secrets(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.yaml").write_text(YAML)
    (tmp_path / "c.py").write_text(f'DB_PASSWORD = "{PASSWORD}"  # pragma: allowlist secret\n')
    report = detect_secrets("-p", str(PLUGIN), cwd=tmp_path)
    assert {"name": "KeyliftDetector", "path": f"file://{PLUGIN}"} in report["plugins_used"]
    ours = {
        (name, entry["line_number"])
        for name, entries in report["results"].items()
        for entry in entries
        if entry["type"] == plugins.KeyliftDetector.secret_type
    }
    # The pair is joined over two lines, which no plugin that sees one line at a time could do.
    assert ours == {("a.py", 2), ("b.yaml", 3)}


def test_a_line_that_is_of_no_file() -> None:
    detector = plugins.KeyliftDetector()
    (found,) = detector.analyze_line("adhoc", f'DB_PASSWORD = "{PASSWORD}"', 0)
    assert found.secret_value == PASSWORD
    assert not detector.analyze_line("adhoc", "nothing to see", 0)
    assert detector.json() == {"name": "KeyliftDetector"}


def test_a_line_that_the_file_has_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(CODE)
    detector = plugins.KeyliftDetector()
    (found,) = detector.analyze_line(str(path), f'OTHER_PASSWORD = "{PASSWORD}9"', 3)
    assert found.secret_value == f"{PASSWORD}9"
    assert not detector.analyze_line(str(path), "plain = 1", 3)
    assert detector.analyze_line(str(path), f'A_PASSWORD = "{PASSWORD}"', 99)


# Second opinion


def unsure(path: Path, text: str, engine: Engine, fingerprinter: Fingerprinter) -> Report:
    """What is found in a file, all of it with medium confidence, however sure the rules are today."""
    path.write_text(text)
    report = files.scan([path], engine=engine, fingerprinter=fingerprinter, workers=1)
    report.findings = [replace(finding, confidence=Confidence.MEDIUM) for finding in report.findings]
    return report


def test_a_report_is_reviewed_without_values(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    text = f'\nAPI_SECRET = "{PAIRED}"\nlogin_password = "{PASSWORD}"\n'
    report = unsure(tmp_path / "settings.py", text, engine, fingerprinter)
    plugins.review(report, fingerprinter)
    after = {finding.location.as_dict()["line"]: finding.confidence for finding in report.findings}
    # Name and chance speak for the first; of the second only the name does, and that is no second opinion.
    assert after == {2: Confidence.HIGH, 3: Confidence.MEDIUM}


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    path = tmp_path / "settings.py"
    report = unsure(path, f'API_SECRET = "{PAIRED}"\n', engine, fingerprinter)
    found = list(report.findings)
    path.unlink()
    plugins.review(report, fingerprinter)
    assert found
    assert report.findings == found


def test_a_value_that_only_its_plugins_know() -> None:
    # The shape of a Twilio account id, which no rule of ours takes for a secret by itself.
    found = plugins.second_value("SETTING", Secret("AC" + "0f3a9c1e7b5d2846" * 2))
    assert found is not None
    assert found.confidence is Confidence.LOW
    assert "TwilioKeyDetector" in str(found.detail)
    assert plugins.second_value("SETTING", Secret("nothing-at-all")) is None


def test_long_lines_are_not_asked_about() -> None:
    assert plugins.opinions("password = '" + "a1B2" * 10_000 + "'") == {}


@pytest.mark.parametrize("text", ["${secret}", "<password>", "aaaaaaaaaaaaaaaa", "$VARIABLE"])
def test_its_filters_apply(text: str) -> None:
    assert not plugins.agrees(name for names in plugins.opinions(f'password = "{text}"').values() for name in names)


def test_it_costs_no_precision(engine: Engine) -> None:
    """Over the development set: raised matches are secrets, and nothing is raised that was not found before."""
    raised = {True: 0, False: 0}
    for case in cases.labelled():
        data = case["text"].encode()
        lines = case["text"].split("\n")
        for match in engine.scan(Document(data, FileLocation("x", 1, 1), name=case["filename"])):
            line = lines[data.count(b"\n", 0, match.start)]
            if plugins.second_match(match, line) != match:
                raised[bool(case["label"])] += 1
    assert raised[True] >= 20, raised
    assert raised[False] <= 0.05 * raised[True], raised


def test_values_of_an_app_get_a_second_opinion(engine: Engine, fingerprinter: Fingerprinter) -> None:
    only_theirs = "AC" + "0f3a9c1e7b5d2846" * 2
    emulators = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    env = {"API_SECRET": PAIRED, "SETTING": only_theirs, "PLAIN": "eastus", "STORE": f"AccountKey={emulators}"}
    app = {
        "id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/a",
        "properties": {"template": {"containers": [{"env": [{"name": k, "value": v} for k, v in env.items()]}]}},
    }
    ours = container_app.scan(app, (), engine, fingerprinter, {})
    unsure = [replace(finding, confidence=Confidence.MEDIUM) for finding in ours]
    after = plugins.review_places(unsure, container_app.places(app, ()), fingerprinter)
    by_name = {str(finding.location.as_dict()["name"]): finding for finding in after}
    assert by_name["API_SECRET"].confidence is Confidence.HIGH
    # As if our rules knew none of these kinds, however many they know today.
    (alone,) = plugins.review_places(
        [], [p for p in container_app.places(app, ()) if p.name != "API_SECRET"], fingerprinter
    )
    assert (alone.rule, alone.confidence, alone.location.as_dict()["name"]) == (plugins.RULE, Confidence.LOW, "SETTING")
    assert only_theirs not in repr(alone)


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "password",
                    "api_key",
                    "id",
                    " = ",
                    ": ",
                    "'",
                    '"',
                    "get(",
                    ")",
                    "deadbeef01234567",
                    "9f8b3c2d1e0a4756",
                ),
                *(
                    "ghp_" + "aB3dE5gH7j" * 4,
                    "kT9vX2mQ7wZ4rB8nL5cJ1fH6",
                    "AKIAQ7RZ4X2MWT5B3V6N",
                    "${secret}",
                    "0123456789",
                ),
            ]
        ),
        max_size=9,
    ).map("".join)
)
def test_agreement_is_what_all_opinions_say(line: str) -> None:
    said = {value for value, names in plugins.opinions(line).items() if plugins.agrees(names)}
    assert plugins.agreed(line) == said


def test_what_only_verifying_online_needs_is_not_imported() -> None:
    program = """
import sys
from scanners import plugins
assert plugins.opinions("password = 'kT9vX2mQ7wZ4rB8nL5cJ1fH6'")
print([name for name in ("requests", "multiprocessing") if name in sys.modules])
import requests, multiprocessing
from detect_secrets.plugins import stripe
print(requests.__spec__.name, multiprocessing.__spec__.name, stripe.requests.get is requests.get)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["[]", "requests multiprocessing True"]
