"""The hook: what of the index it looks at, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanners import hook, staged

from .repositories import Repo, connection, key

WEAK = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"

Hook = Callable[..., tuple[int, str, str]]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Repo:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp().parent / f"hook-cache-{os.getuid()}"))
    for name in [name for name in os.environ if name.startswith(("GIT_", "PRE_COMMIT", "KEYLIFT_BASELINE"))]:
        monkeypatch.delenv(name)
    repo = Repo(tmp_path / "repo")
    monkeypatch.chdir(repo.path)
    return repo


@pytest.fixture
def run(there: Repo, capsys: pytest.CaptureFixture[str]) -> Hook:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = hook.run(arguments)
        said = capsys.readouterr()
        for seed in ("one", "two", "old", "new"):
            assert key(seed)[:6] not in said.out + said.err
        return code, said.out, said.err

    return call


def test_a_clean_commit_passes_in_silence(there: Repo, run: Hook) -> None:
    there.stage("a.env", "MODE=live\n")
    assert run() == (0, "", "")


def test_nothing_staged(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": f"S={connection('one')}\n"})
    assert run() == (0, "", "")


def test_a_secret_fails_and_is_shown_with_the_way_out(there: Repo, run: Hook) -> None:
    there.stage("conf/a b.env", f"MODE=live\nS={connection('one')}\n")
    code, out, err = run()
    assert code == hook.FINDINGS
    (line,) = out.splitlines()
    assert line.startswith("conf/a b.env:2:")
    assert f"{key('one')[:4]}… (<128 chars)" in line
    assert "git add" in err
    assert "keylift plan --vault" in err
    assert "pragma: allowlist secret" in err
    assert 'path = "conf/a b.env", reason = "..."' in err


def test_the_index_counts_and_not_the_work_tree(there: Repo, run: Hook) -> None:
    there.stage("a.env", "MODE=live\n")
    there.write("a.env", f"S={connection('one')}\n")
    assert run("a.env")[0] == 0
    there.stage("a.env", f"S={connection('one')}\n")
    there.write("a.env", "MODE=live\n")
    assert run("a.env")[0] == hook.FINDINGS


def test_partial_staging(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": "A=1\nB=1\nC=1\n"})
    there.stage("a.env", "A=2\nB=1\nC=1\n")
    there.write("a.env", f"A=2\nB=1\nC={connection('one')}\n")
    assert run("a.env")[0] == 0


def test_only_new_lines_count(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": f"S={connection('old')}\nX=1\n"})
    there.stage("a.env", f"S={connection('old')}\nX=2\n")
    assert run("a.env") == (0, "", "")
    there.stage("a.env", f"Y=1\nS={connection('old')}\nX=2\nN={connection('new')}\n")
    code, out, _ = run("a.env")
    assert code == hook.FINDINGS
    assert [line.split(":")[1] for line in out.splitlines()] == ["4"]


def test_a_renamed_file_brings_in_only_what_was_changed(there: Repo, run: Hook) -> None:
    lines = "".join(f"X{number}={number}\n" for number in range(20))
    there.commit(**{"a.env": f"{lines}S={connection('old')}\n"})
    there.git("mv", "a.env", "b.env")
    assert run("b.env")[0] == 0
    there.stage("b.env", f"{lines}S={connection('old')}\nN={connection('new')}\n")
    code, out, _ = run("b.env")
    assert code == hook.FINDINGS
    assert [line.split(":")[:2] for line in out.splitlines()] == [["b.env", "22"]]


def test_a_value_of_several_lines_counts_when_one_of_them_is_new(there: Repo, run: Hook) -> None:
    body = [key(f"line {number}")[:64] for number in range(24)]
    pem = ["-----BEGIN RSA PRIVATE KEY-----", "MIIE" + body[0][4:], *body[1:], "-----END RSA PRIVATE KEY-----"]
    there.commit(id_rsa="\n".join([*pem[:12], *pem[13:]]) + "\n")
    there.stage("id_rsa", "\n".join(pem) + "\n")
    assert run()[0] == hook.FINDINGS


def test_deleted_files_are_gone(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": f"S={connection('old')}\n"})
    there.git("rm", "-q", "a.env")
    assert run() == (0, "", "")
    assert run("a.env") == (0, "", "")


@pytest.mark.parametrize(
    "name", ["with space", "new\nline", 'quo"te', "tab\there", "ünï", ":colon", "-dash", "*", "b/"]
)
def test_names_of_every_kind(there: Repo, run: Hook, name: str) -> None:
    name += "x.env"
    there.commit(**{name: "X=1\n"})
    there.stage(name, f"X=1\nS={connection('one')}\n")
    for named in ((), ("--", name)):
        code, out, _ = run(*named)
        assert code == hook.FINDINGS
        assert out.startswith(name.replace("\n", "\ufffd").replace("\t", "\ufffd") + ":2:")


def test_binary_files(there: Repo, run: Hook) -> None:
    noise = bytes(range(256)) * 8
    there.write("a.bin", noise + connection("old").encode() + b"\x00\n" + noise)
    there.commit()
    there.stage("a.bin", noise + connection("old").encode() + b"\x00\n" + noise + b"\n\x00more\x00")
    assert run()[0] == 0
    there.stage(
        "a.bin", noise + connection("old").encode() + b"\x00\n" + noise + b"\n\x00" + connection("new").encode()
    )
    assert run()[0] == hook.FINDINGS


def test_archives_are_opened_and_pictures_are_not(there: Repo, run: Hook) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/a.env", f"\nS={connection('one')}\n")
    there.stage("picture.png", b"\x89PNG\x00" + connection("two").encode() + b"\x00")
    assert run()[0] == 0
    there.stage("lib.zip", packed.getvalue())
    code, out, _ = run()
    assert code == hook.FINDINGS
    assert out.startswith("lib.zip!/inner/a.env:2:")


def test_attributes_and_configuration_do_not_hide_lines(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": "X=1\n", ".gitattributes": "*.env -diff\n"})
    for name, value in {
        "diff.noprefix": "true",
        "diff.renames": "false",
        "diff.external": "/bin/false",
        "diff.relative": "true",
        "diff.context": "9",
        "diff.mnemonicPrefix": "true",
        "diff.orderFile": "/nowhere",
        "color.ui": "always",
        "core.quotePath": "true",
    }.items():
        there.git("config", name, value)
    there.stage("a.env", f"X=1\nS={connection('one')}\n")
    code, out, err = run("a.env")
    assert code == hook.FINDINGS, err
    assert out.startswith("a.env:2:")


def test_a_subfolder_a_folder_and_a_whole_path(there: Repo, run: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    there.commit(**{"deep/a.env": "X=1\n", "b.env": "X=1\n"})
    there.stage("deep/a.env", f"X=1\nS={connection('one')}\n")
    there.stage("b.env", f"X=1\nS={connection('two')}\n")
    for named, found in {
        (): ["b.env", "deep/a.env"],
        ("deep",): ["deep/a.env"],
        (".",): ["b.env", "deep/a.env"],
        (str(there.path / "b.env"),): ["b.env"],
    }.items():
        code, out, _ = run(*named)
        assert code == hook.FINDINGS
        assert [line.split(":")[0] for line in out.splitlines()] == found
    monkeypatch.chdir(there.path / "deep")
    assert [line.split(":")[0] for line in run("a.env")[1].splitlines()] == ["deep/a.env"]
    assert [line.split(":")[0] for line in run("../b.env")[1].splitlines()] == ["b.env"]


def test_named_files_that_are_not_changed_count_whole(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": f"S={connection('old')}\n", "b.env": "X=1\n"})
    assert run("a.env", "b.env")[0] == hook.FINDINGS
    there.stage("b.env", "X=2\n")
    assert run("b.env")[0] == 0


def test_a_named_file_that_git_does_not_know(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": "X=1\n"})
    there.write("b.env", f"S={connection('one')}\n")
    code, _, err = run("b.env")
    assert code == hook.ERROR
    assert "b.env is not in the index" in err


def test_the_first_commit_and_an_index_of_its_own(there: Repo, run: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    there.stage("a.env", f"S={connection('one')}\n")
    assert run()[0] == hook.FINDINGS
    there.git("rm", "-q", "--cached", "a.env")
    there.index = there.path / ".git" / "other-index"
    monkeypatch.setenv("GIT_INDEX_FILE", str(there.index))
    there.git("add", "a.env")
    assert run()[0] == hook.FINDINGS
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert run()[0] == 0


def test_merged_lines_are_not_new(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": "X=1\n"})
    there.git("checkout", "-q", "-b", "side")
    there.commit(**{"a.env": f"X=1\nS={connection('old')}\n", "c.env": f"S={connection('old')}\n"})
    there.git("checkout", "-q", "main")
    there.commit(**{"b.env": "X=1\n"})
    there.git("merge", "-q", "--no-ff", "--no-commit", "side")
    assert run()[0] == 0
    there.stage("a.env", f"X=1\nS={connection('old')}\nN={connection('new')}\n")
    code, out, _ = run()
    assert code == hook.FINDINGS
    assert [line.split(":")[:2] for line in out.splitlines()] == [["a.env", "3"]]


def test_between_two_commits(there: Repo, run: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    start = there.commit(**{"a.env": f"S={connection('old')}\nX=1\n"})
    end = there.commit(**{"a.env": f"S={connection('old')}\nX=2\nN={connection('new')}\n"})
    there.commit(**{"a.env": "X=3\n"})
    monkeypatch.setenv("PRE_COMMIT_FROM_REF", start)
    monkeypatch.setenv("PRE_COMMIT_TO_REF", end)
    for named in ((), ("a.env",)):
        code, out, _ = run(*named)
        assert code == hook.FINDINGS
        assert [line.split(":")[1] for line in out.splitlines()] == ["3"]
    assert run("b.env")[0] == 0


def test_weak_values_do_not_fail_unless_asked(there: Repo, run: Hook) -> None:
    there.stage("a.env", f"S={WEAK}\n")
    code, out, err = run()
    assert (code, out) == (0, "")
    assert "--strict" in err
    code, out, _ = run("--strict")
    assert code == hook.FINDINGS
    assert "weak" in out


def test_comments_and_entries_allow(there: Repo, run: Hook) -> None:
    there.stage("a.env", f"S={connection('one')} # pragma: allowlist secret\n")
    there.stage("b.env", f"S={connection('two')} # gitleaks:allow\n")
    assert run()[0] == 0
    there.stage("tests/c.env", f"S={connection('one')}\n")
    assert run()[0] == hook.FINDINGS
    there.write("keylift.toml", 'allow = [{ path = "tests/**", reason = "made up" }]\n')
    assert run()[0] == 0


def test_a_suggested_entry_allows_the_value(there: Repo, run: Hook) -> None:
    there.stage("a.env", f"S={connection('one')}\n")
    code, _, err = run("--verbose")
    assert code == hook.FINDINGS
    (entry,) = [line.strip() for line in err.splitlines() if "fingerprint = " in line]
    there.write("keylift.toml", f"allow = [{entry}]\n")
    assert run()[0] == 0
    there.stage("a.env", f"S={connection('two')}\n")
    assert run()[0] == hook.FINDINGS


def test_a_baseline_is_written_obeyed_and_followed(there: Repo, run: Hook) -> None:
    there.commit(**{"a.env": f"S={connection('old')}\nX=1\n", "b.env": f"S={connection('two')}\n"})
    code, _, err = run("--update-baseline")
    assert code == hook.REWRITTEN
    assert ".secrets.baseline was written" in err
    assert run("--update-baseline") == (0, "", "")

    def lines() -> dict[str, list[int]]:
        results = json.loads((there.path / ".secrets.baseline").read_text())["results"]
        return {name: [entry["line_number"] for entry in entries] for name, entries in results.items()}

    assert lines() == {"a.env": [1], "b.env": [1]}
    there.commit()
    assert run("a.env", "b.env")[0] == 0
    there.stage("a.env", f"\n\nS={connection('old')}\nX=1\n")
    assert run("a.env")[0] == hook.REWRITTEN
    assert lines() == {"a.env": [3], "b.env": [1]}
    there.git("rm", "-q", "b.env")
    assert run("a.env")[0] == hook.REWRITTEN
    assert lines() == {"a.env": [3]}
    there.stage("a.env", f"\n\nS={connection('old')}\nN={connection('new')}\n")
    code, out, _ = run("a.env")
    assert code == hook.FINDINGS
    assert [line.split(":")[1] for line in out.splitlines()] == ["4"]


def test_errors_say_what_to_do(there: Repo, run: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("--nonsense")
    assert code == hook.ERROR
    assert "--help" in err
    assert run("--help")[:2] == (0, hook.USAGE)
    assert run("--version")[0] == 0
    there.write("keylift.toml", 'allow = [{ path = "x" }]\n')
    there.stage("a.env", f"S={connection('one')}\n")
    code, _, err = run()
    assert code == hook.ERROR
    assert "reason" in err
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    code, _, err = run()
    assert code == hook.ERROR
    assert "is not a git repository" in err
    monkeypatch.setenv("PATH", str(tmp_path / "plain"))
    code, _, err = run()
    assert code == hook.ERROR
    assert "git is not installed" in err


def test_a_damaged_object_fails(there: Repo, run: Hook) -> None:
    there.stage("a.env", "X=1\n")
    there.stage("b.env", f"S={connection('one')}\n")
    blob = there.git("rev-parse", ":a.env")
    loose = there.path / ".git" / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"junk")
    code, out, err = run()
    assert code == hook.FINDINGS
    assert out.startswith("b.env:1:")
    assert "a.env cannot be read" in err


def test_many_and_large_files(there: Repo, run: Hook) -> None:
    for number in range(1200):
        there.write(f"f{number}.txt", f"{number}\n")
    there.write("big.log", "a line of a log\n" * 400_000 + f"S={connection('one')}\n")
    there.git("add", "-A")
    code, out, _ = run()
    assert code == hook.FINDINGS
    assert [line.split(":")[:2] for line in out.splitlines()] == [["big.log", "400001"]]


def test_patches_are_read_by_counting() -> None:
    patch = (
        b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@ f\n--- a/looks like a header\n-+++ b/too\n"
        b"+@@ -1 +99 @@\n+diff --git a/y b/y\n+++ b/z\n\\ No newline at end of file\n@@ -9,0 +12 @@\n+one\n"
        b'diff --git "a/t\\tb" "b/t\\tb"\n--- /dev/null\n+++ "b/t\\303\\274\\tb"\n@@ -3 +2,0 @@\n-gone\n'
        b"diff --git a/with space b/with space\n--- a/with space\t\n+++ b/with space\t\n@@ -1 +1 @@\n-a\n+b\n"
    )
    assert dict(staged.added(patch)) == {
        b"x": [(1, 3), (12, 12)],
        "tü\tb".encode(): [],
        b"with space": [(1, 1)],
    }


def test_the_command_imports_nothing_heavy(there: Repo) -> None:
    there.stage("a.env", "MODE=live\npassword = os.environ['PASSWORD']\n")
    probe = (
        "import sys\nfrom scanners import hook\ncode = hook.run([])\n"
        "import json\nprint(json.dumps([code, sorted({n.split('.')[0] for n in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    code, modules = json.loads(done.stdout)
    heavy = {
        "azure",
        "textual",
        "rich",
        "click",
        "requests",
        "yaml",
        "jinja2",
        "detect_secrets",
        "subprocess",
        "argparse",
    }
    heavy |= {"migrator", "tui", "multiprocessing", "concurrent", "asyncio", "logging", "unittest", "email", "socket"}
    assert code == 0
    assert not heavy & set(modules)


@pytest.mark.parametrize(
    "text",
    [
        "nothing that looks like anything\n",
        # Where a rule may match, its pattern is tried first.
        "return connect(host='db.internal', user='app', password=password)\nabcdefghijklmnopqrstuvwxyzabcd %3D\n",
    ],
)
def test_a_clean_commit_imports_nothing_that_judges(there: Repo, text: str) -> None:
    there.stage("a.txt", text * 50)
    assert hook.run([]) == hook.DONE  # the database is compiled by now
    probe = "import sys\nfrom scanners import hook\ncode = hook.run([])\nprint(code, *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    code, *modules = done.stdout.split()
    assert code == "0"
    assert not {"dataclasses", "inspect", "pathlib", "hashlib", "json", "scanners.model", "scanners.confirm"} & {
        *modules
    }


def test_a_secret_is_told_without_what_takes_long_to_import(there: Repo) -> None:
    there.stage("a.py", f"x = 1\nS = '{connection('one')}'\n")
    assert hook.run([]) == hook.FINDINGS
    probe = "import sys\nfrom scanners import hook\ncode = hook.run([])\nprint(code, *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    code, *modules = done.stdout.splitlines()[-1].split()
    assert code == str(hook.FINDINGS)
    assert not {"dataclasses", "inspect", "pathlib", "hashlib", "hmac", "subprocess", "scanners.allow"} & {*modules}


def test_a_configuration_above_the_repository_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = Repo(tmp_path / "inner")
    monkeypatch.chdir(inner.path)
    inner.stage("a.py", f"S = '{connection('one')}'\n")
    assert hook.run([]) == hook.FINDINGS
    (tmp_path / "keylift.toml").write_text('allow = [{ path = "/a.py", reason = "made up" }]\n')
    assert hook.run([]) == hook.FINDINGS  # patterns are relative to the configuration
    (tmp_path / "keylift.toml").write_text('allow = [{ path = "/inner/a.py", reason = "made up" }]\n')
    assert hook.run([]) == hook.DONE
    capsys.readouterr()


def test_a_damaged_archive_is_told_and_stops_no_commit(there: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("a.txt", "first")
        file.writestr("b.env", f"S={connection('one')}\n")
    there.stage("x.zip", made.getvalue().replace(b"first", b"f!rst"))
    assert hook.run([]) == hook.FINDINGS
    out, err = capsys.readouterr()
    assert out.startswith("x.zip!/b.env:1:")
    assert "x.zip!/a.txt cannot be read to its end: its checksum does not hold" in err
    there.stage("x.zip", b"PK\x03\x04\x00 no archive")
    assert hook.run([]) == hook.DONE
    assert "x.zip cannot be opened" in capsys.readouterr().err


def test_the_command_ends_with_its_code(there: Repo) -> None:
    there.stage("a.env", f"S={connection('one')}\n")
    run = [sys.executable, "-c", "from scanners.hook import main; main()"]
    done: Any = subprocess.run(run, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == hook.FINDINGS
    assert done.stdout.startswith("a.env:1:")
    assert "Traceback" not in done.stderr
