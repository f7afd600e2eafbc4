"""Baselines as detect-secrets 1.5 writes them: ours for its tools, its for ours, with the real command lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scanners import allow, baseline
from scanners.allow import AllowError
from scanners.baseline import BaselineError, Hashing, Seen
from scanners.engine import Engine
from scanners.model import FileLocation, Report, Secret
from scanners.sources import files

ONE = "quai-Vodka-lantern-81x"
TWO = "gUx7kLw92mZpV1b4TqHs8Dn3Rc6Ye5"
NAME = ".secrets.baseline"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text(f'"""Text."""\nDB_PASSWORD = "{ONE}"\n')
    (tmp_path / "b.py").write_text(f'API_SECRET = "{TWO}"\nfine = 1\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=answers)


def scanned(engine: Engine, *paths: str) -> Report:
    names = [Path(path) for path in paths or ("app/a.py", "b.py")]
    return files.scan([path for path in names if path.exists()], engine=engine, fingerprinter=Hashing(), workers=1)


def results(path: Path = Path(NAME)) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["results"]
    return found


def undated(text: str) -> str:
    return re.sub(r'"generated_at": "[^"]*"', '"generated_at": ""', text)


def theirs(*arguments: str) -> str:
    """A baseline by detect-secrets itself, with its own plugins only."""
    done = run("detect_secrets", "scan", "--all-files", *arguments, "app", "b.py")
    assert done.returncode == 0, done.stderr
    return done.stdout


# Ours for its tools


def test_ours_is_what_detect_secrets_itself_writes_with_our_plugin(tree: Path, engine: Engine) -> None:
    assert baseline.update(Path(NAME), scanned(engine))
    ours = Path(NAME).read_text()
    done = run("detect_secrets", "scan", "--all-files", "--baseline", NAME, "app", "b.py")
    assert done.returncode == 0, done.stderr
    assert undated(Path(NAME).read_text()) == undated(ours)
    assert {name: [entry["line_number"] for entry in found] for name, found in results().items()} == {
        "app/a.py": [2],
        "b.py": [1],
    }


def test_its_hook_takes_ours(tree: Path, engine: Engine) -> None:
    (tree / ".git").rmdir()
    subprocess.run(["git", "init", "-q", "."], check=True)
    baseline.update(Path(NAME), scanned(engine))
    subprocess.run(["git", "add", "."], check=True)
    hook = ("detect_secrets.pre_commit_hook", "--baseline", NAME, "app/a.py", "b.py")
    assert run(*hook).returncode == 0
    Path("b.py").write_text(Path("b.py").read_text() + f'OTHER_PASSWORD = "{ONE}z"\n')
    assert run(*hook).returncode == 1


def test_its_dialogue_labels_ours_and_labels_stay(tree: Path, engine: Engine) -> None:
    baseline.update(Path(NAME), scanned(engine))
    # From a folder below: paths of a baseline are relative to its own.
    command = [sys.executable, "-c", "from scanners.hook import main; main()", "--audit"]

    def label(answers: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd="app", input=answers)

    cut = label("y\n")
    assert cut.returncode == 1
    assert "cut off" in cut.stderr
    assert "Traceback" not in cut.stderr
    assert all("is_secret" not in entry for found in results().values() for entry in found)
    done = label("y\nn\n")
    assert done.returncode == 0, done.stderr
    labels = {name: [entry.get("is_secret") for entry in found] for name, found in results().items()}
    assert labels == {"app/a.py": [False], "b.py": [True]}
    assert [plugin["name"] for plugin in json.loads(Path(NAME).read_text())["plugins_used"]] == [baseline.OUR_PLUGIN]
    Path("b.py").write_text("\n\n" + Path("b.py").read_text())
    assert baseline.update(Path(NAME), scanned(engine))
    (entry,) = results()["b.py"]
    assert (entry["line_number"], entry["is_secret"]) == (3, True)
    assert list(entry) == ["type", "filename", "hashed_secret", "is_verified", "line_number", "is_secret"]


def test_its_audit_takes_its_own_after_an_update_by_ours(tree: Path, engine: Engine) -> None:
    Path(NAME).write_text(run("detect_secrets", "scan", "--all-files", "app").stdout)
    assert baseline.update(Path(NAME), scanned(engine))
    assert sorted(results()) == ["app/a.py", "b.py"]
    before = json.loads(Path(NAME).read_text())
    done = run("detect_secrets", "audit", NAME, answers="y\nn\n")
    assert done.returncode == 0, done.stderr
    after = json.loads(Path(NAME).read_text())
    assert after["plugins_used"] == before["plugins_used"]
    assert {name: [entry.get("is_secret") for entry in found] for name, found in results().items()} == {
        "app/a.py": [False],
        "b.py": [True],
    }
    assert run("detect_secrets", "audit", "--report", NAME).returncode == 0


# Its for ours


@pytest.mark.parametrize("options", [(), ("--slim",), ("--exclude-lines", "nothing", "--hex-limit", "2.5")])
def test_its_file_is_read_and_written_byte_by_byte(tree: Path, options: tuple[str, ...]) -> None:
    text = theirs(*options)
    Path(NAME).write_text(text)
    read = baseline.read(Path(NAME))
    assert read.text() == text
    baseline.write(read)
    assert undated(Path(NAME).read_text()) == undated(text)


def test_what_it_knows_is_known(tree: Path) -> None:
    Path(NAME).write_text(theirs())
    allowed = allow.load(tree / "app")
    line = f'DB_PASSWORD = "{ONE}"'
    assert allowed.status("generic-password", "a.py", line, "", Secret(ONE)) == "known"
    assert allowed.status("generic-password", str(tree / "app" / "a.py"), line, "", Secret(ONE)) == "known"
    assert allowed.status("generic-password", "a.py", line, "", Secret(TWO)) == "new"
    assert allowed.status("generic-password", "../b.py", line, "", Secret(ONE)) == "new"
    assert (
        allowed.status("generic-password", "a.py", line + "  # pragma: allowlist secret", "", Secret(ONE)) == "allowed"
    )


def test_an_update_keeps_what_is_its_own(tree: Path, engine: Engine) -> None:
    Path("c.py").write_text(f'key = "{TWO[::-1]}"\n')
    done = run("detect_secrets", "scan", "--all-files", "app", "c.py")
    Path(NAME).write_text(done.stdout)
    before = json.loads(done.stdout)
    assert "c.py" in before["results"]
    assert baseline.update(Path(NAME), scanned(engine))
    after = json.loads(Path(NAME).read_text())
    assert after["filters_used"] == before["filters_used"]
    assert after["plugins_used"] == before["plugins_used"]
    assert after["results"]["c.py"] == before["results"]["c.py"]
    # The same value in the same file is one entry, whoever found it.
    assert after["results"]["app/a.py"] == before["results"]["app/a.py"]
    assert [entry["type"] for entry in after["results"]["b.py"]] == [baseline.NAMED_TYPE]


def test_nothing_changed_nothing_written(tree: Path, engine: Engine) -> None:
    assert baseline.update(Path(NAME), scanned(engine))
    path = Path(NAME)
    stamp = path.stat().st_mtime_ns
    assert not baseline.update(path, scanned(engine))
    assert path.stat().st_mtime_ns == stamp


def test_a_slim_one_stays_slim(tree: Path, engine: Engine) -> None:
    Path(NAME).write_text(theirs("--slim"))
    Path("d.py").write_text(f'OTHER_PASSWORD = "{ONE}z"\n')
    assert baseline.update(Path(NAME), scanned(engine, "app/a.py", "b.py", "d.py"))
    text = Path(NAME).read_text()
    assert "d.py" in text
    assert "line_number" not in text
    assert "generated_at" not in text


# Pruning


def seen(path: str, value: str, line: int) -> Seen:
    return Seen(path, line, baseline.digest(Secret(value)))


def test_prune(tree: Path, engine: Engine) -> None:
    baseline.update(Path(NAME), scanned(engine))
    same = baseline.read(Path(NAME))
    assert not baseline.prune(same, [seen("app/a.py", ONE, 2)], ["app/a.py"])
    moved = baseline.read(Path(NAME))
    assert baseline.prune(moved, [seen(str(tree / "app" / "a.py"), ONE, 7)], [str(tree / "app" / "a.py")])
    assert moved.document["results"]["app/a.py"][0]["line_number"] == 7
    assert moved.document["results"]["b.py"][0]["line_number"] == 1
    gone = baseline.read(Path(NAME))
    assert baseline.prune(gone, [], ["app/a.py"])
    assert list(gone.document["results"]) == ["b.py"]
    assert not baseline.known(gone, "app/a.py", Secret(ONE))
    removed = baseline.read(Path(NAME))
    assert baseline.prune(removed, [], [], ["b.py"])
    assert list(removed.document["results"]) == ["app/a.py"]


def test_prune_leaves_what_other_plugins_found(tree: Path) -> None:
    Path(NAME).write_text(theirs())
    read = baseline.read(Path(NAME))
    assert not baseline.prune(read, [], ["app/a.py", "b.py"])
    assert baseline.prune(read, [seen("app/a.py", ONE, 9)], ["app/a.py"])
    assert {entry["line_number"] for entry in read.document["results"]["app/a.py"]} == {9}


def test_the_first_of_equal_values_counts(tree: Path, engine: Engine) -> None:
    Path("b.py").write_text(f'API_SECRET = "{TWO}"\nAPI_SECRET = "{TWO}"\n')
    baseline.update(Path(NAME), scanned(engine))
    (entry,) = results()["b.py"]
    assert entry["line_number"] == 1


# Broken ones


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": "1.5.0", "plugins_used": [], "results": {"a": 1}}'])
def test_a_broken_one_is_said_so(tree: Path, text: str) -> None:
    Path(NAME).write_text(text)
    with pytest.raises(BaselineError, match="is no baseline") as error:
        baseline.read(Path(NAME))
    assert "keylift-baseline" in error.value.hint
    with pytest.raises(AllowError, match="is no baseline"):
        allow.load(tree)


def test_an_old_one_is_read(tree: Path) -> None:
    old = {
        "exclude": {"files": None, "lines": None},
        "generated_at": "2019-01-01T00:00:00Z",
        "plugins_used": [{"name": "KeywordDetector"}],
        "results": {"app/a.py": [{"hashed_secret": baseline.digest(Secret(ONE)), "line_number": 2, "type": "Secret Keyword"}]},
        "version": "0.13.0",
        "word_list": {"file": None, "hash": None},
    }  # fmt: skip
    Path(NAME).write_text(json.dumps(old))
    assert baseline.known(baseline.read(Path(NAME)), "app/a.py", Secret(ONE))


def test_what_fails_no_commit_is_left_out(tree: Path, engine: Engine) -> None:
    Path("weak.py").write_text(
        "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;\n"
    )
    report = scanned(engine, "weak.py", "b.py")
    assert baseline.update(Path(NAME), report)
    assert list(results()) == ["b.py"]
    assert not [finding for finding in report.findings if not isinstance(finding.location, FileLocation)]


def test_digests_of_a_baseline_are_for_nothing_else() -> None:
    with pytest.raises(TypeError):
        Hashing().of("a document")


def test_it_holds_no_value_and_is_as_open_as_before(tree: Path, engine: Engine) -> None:
    Path(NAME).write_text(theirs())
    Path(NAME).chmod(0o640)
    baseline.update(Path(NAME), scanned(engine))
    assert ONE not in Path(NAME).read_text()
    assert Path(NAME).stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tree.iterdir() if path.name.startswith(f"{NAME}.") or "tmp" in path.name] == []
