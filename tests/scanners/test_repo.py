"""Repositories of every kind git makes: what is found in them, and what is said of what cannot be."""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scanners import git
from scanners.allow import load
from scanners.engine import Engine
from scanners.git import RepositoryError
from scanners.model import Finding, Fingerprinter, Report
from scanners.sources import repo, versions
from scanners.sources.history import Change, Commit, parsed

from .repositories import Repo, connection, key

Scan = Callable[..., Report]


@pytest.fixture
def scan(engine: Engine, fingerprinter: Fingerprinter) -> Scan:
    def run(path: Path, **options: Any) -> Report:
        return repo.scan(path, engine=engine, fingerprinter=fingerprinter, **{"workers": 1, **options})

    return run


@pytest.fixture
def there(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def places(report: Report) -> list[dict[str, Any]]:
    return [finding.location.as_dict() for finding in report.findings]


def of(report: Report, seed: str, fingerprinter: Fingerprinter) -> list[Finding]:
    return [finding for finding in report.findings if finding.fingerprint == fingerprinter.of(key(seed))]


def test_a_finding_names_the_first_commit_its_date_and_path(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter
) -> None:
    there.commit(**{"app.env": "MODE=live\n"})
    first = there.commit(**{"app.env": f"MODE=live\nSTORAGE={connection('one')}\n"})
    date = there.date()
    there.commit(**{"app.env": f"MODE=test\nMORE=1\nSTORAGE={connection('one')}\nLAST=1\n"})
    report = scan(there.path, history=True)
    (found,) = of(report, "one", fingerprinter)
    assert found.location.as_dict() == {
        "kind": "commit",
        "path": "app.env",
        "line": 2,
        "column": 9 + len(connection("one").partition("AccountKey=")[0]) + len("AccountKey="),
        "commit": first,
        "author_date": date,
        "at_head": True,
    }
    assert report.errors == []
    assert report.scanned["commits"] == 3


def test_what_was_taken_out_is_no_longer_at_head(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('gone')}\n", "b.env": f"S={connection('kept')}\n"})
    there.commit(**{"a.env": "S=\n"})
    report = scan(there.path, history=True)
    assert [f.location.as_dict()["at_head"] for f in of(report, "gone", fingerprinter)] == [False]
    assert [f.location.as_dict()["at_head"] for f in of(report, "kept", fingerprinter)] == [True]


def test_a_renamed_file_is_one_version_and_still_at_head(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    first = there.commit(**{"a.env": f"S={connection('moved')}\n"})
    there.git("mv", "a.env", "b.env")
    there.commit()
    (found,) = of(scan(there.path, history=True), "moved", fingerprinter)
    place = found.location.as_dict()
    assert (place["path"], place["commit"], place["at_head"]) == ("a.env", first, True)


def test_branches_tags_stashes_and_lost_commits_are_history(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter
) -> None:
    there.commit(a="1\n")
    there.git("checkout", "-q", "-b", "side")
    side = there.commit(**{"side.env": f"S={connection('side')}\n"})
    there.git("checkout", "-q", "main")
    lost = there.commit(**{"lost.env": f"S={connection('lost')}\n"})
    there.git("reset", "-q", "--hard", "HEAD~1")
    there.write("a", f"S={connection('stashed')}\n")
    there.git("stash", "-q")
    there.stage("staged.env", f"S={connection('staged')}\n")
    unnamed = there.git("hash-object", "-w", "--stdin", data=f"S={connection('dangling')}\n".encode())
    report = scan(there.path, history=True)

    def where(seed: str) -> tuple[str, str | None]:
        (found,) = of(report, seed, fingerprinter)
        place = found.location.as_dict()
        return place["path"], place["commit"]

    assert where("side") == ("side.env", side)
    assert where("lost") == ("lost.env", lost)
    assert where("stashed")[0] == "a"
    assert where("staged") == ("staged.env", None)
    assert where("dangling") == (f"unreachable object {unnamed[:12]}", None)
    assert report.errors == []


def test_a_commit_of_a_branch_is_named_before_one_that_only_the_reflog_knows(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter
) -> None:
    there.commit(a="1\n")
    there.commit("typo", **{"b.env": f"S={connection('amended')}\n"})
    there.git("commit", "-q", "--amend", "-m", "right")
    (found,) = of(scan(there.path, history=True), "amended", fingerprinter)
    assert found.location.as_dict()["commit"] == there.git("rev-parse", "HEAD")


def test_messages_and_tags_are_read(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit("first")
    commit = there.commit(f"use the new account\n\nIt is {connection('message')}\n")
    there.git("tag", "-a", "v1", "-m", f"released with\n{connection('tagged')}")
    there.git("tag", "-a", "outer", "v1", "-m", "a tag of a tag")
    report = scan(there.path, history=True)
    (message,) = of(report, "message", fingerprinter)
    (tag,) = of(report, "tagged", fingerprinter)
    assert message.location.as_dict()["path"] == versions.MESSAGE
    assert (message.location.as_dict()["line"], message.location.as_dict()["commit"]) == (3, commit)
    assert (tag.location.as_dict()["path"], tag.location.as_dict()["line"]) == ("tag v1", 2)
    assert tag.location.as_dict()["commit"] == commit
    assert message.location.as_dict()["at_head"] is True


def test_a_merge_that_brings_in_what_no_parent_had(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(a="1\n")
    there.git("checkout", "-q", "-b", "side")
    there.commit(b="1\n")
    there.git("checkout", "-q", "main")
    there.commit(c="1\n")
    there.git("merge", "-q", "--no-ff", "--no-commit", "side")
    merged = there.commit("merged", **{"evil.env": f"S={connection('evil')}\n"})
    (found,) = of(scan(there.path, history=True), "evil", fingerprinter)
    assert found.location.as_dict()["commit"] == merged


def test_names_of_every_kind_and_binary_files(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    names = ["with space.env", "new\nline.env", 'quo"te.env', ":colon.env", "tab\t.env", "ünï.env", "-dash.env"]
    for name in names:
        there.write(name, f"S={connection(name)}\n")
    there.write("data.bin", b"\x00\x01\x02" + b"\xff" * 50 + connection("binary").encode() + b"\x00" * 9)
    there.write("wide.txt", f"S={connection('wide')}\n".encode("utf-16"))
    there.commit()
    for options in ({"history": True}, {}):
        report = scan(there.path, **options)
        for name in names:
            (found,) = of(report, name, fingerprinter)
            assert found.location.as_dict()["path"] == name
        assert len(of(report, "binary", fingerprinter)) == 1
        assert len(of(report, "wide", fingerprinter)) == 1


def test_a_large_version_is_read_in_pieces(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = "".join(f"line {number} of something long\n" for number in range(200_000))
    there.commit(**{"big.log": f"{filler}S={connection('deep')}\n{filler}"})
    (found,) = of(scan(there.path, history=True), "deep", fingerprinter)
    assert found.location.as_dict()["line"] == 200_001
    assert found.location.as_dict()["column"] == 3 + connection("deep").index(key("deep"))


def test_since_takes_only_what_came_later(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    start = there.commit(**{"a.env": f"S={connection('old')}\n", "moved.env": f"S={connection('moves')}\nX=1\nY=1\n"})
    there.git("mv", "moved.env", "elsewhere.env")
    there.commit(
        **{"a.env": f"NEW=1\nS={connection('old')}\n", "elsewhere.env": f"S={connection('moves')}\nX=2\nY=1\n"}
    )
    there.git("checkout", "-q", "-b", "side")
    there.commit(**{"side.env": f"S={connection('side')}\n"})
    there.git("checkout", "-q", "main")
    there.commit(**{"b.env": f"S={connection('new')}\n"})
    report = scan(there.path, since=start)
    assert {place["path"] for place in places(report)} == {"b.env"}
    report = scan(there.path, since=start, branches=["side"])
    assert {place["path"] for place in places(report)} == {"side.env"}
    report = scan(there.path, since=start, history=True)
    assert {place["path"] for place in places(report)} == {"b.env", "side.env"}


def test_a_branch_as_it_stands_and_its_history(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('main')}\n"})
    there.git("checkout", "-q", "--orphan", "other")
    there.git("rm", "-rqf", ".")
    there.commit(**{"b.env": f"S={connection('was')}\n"})
    there.commit(**{"b.env": f"S={connection('is')}\n"})
    there.git("checkout", "-q", "main")
    as_it_stands = scan(there.path, branches=["other"])
    assert [place["kind"] for place in places(as_it_stands)] == ["file"]
    assert of(as_it_stands, "is", fingerprinter)
    past = scan(there.path, branches=["other"], history=True)
    assert of(past, "is", fingerprinter)
    assert of(past, "was", fingerprinter)
    assert not of(past, "main", fingerprinter)


def test_without_history_tracked_files_as_they_lie_there(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('committed')}\n", ".gitignore": "*.log\n", "gone.env": "X=1\n"})
    there.stage("gone.env", f"S={connection('index')}\n")
    (there.path / "gone.env").unlink()
    there.write("a.env", f"\nS={connection('edited')}\n")
    there.write("untracked.env", f"S={connection('untracked')}\n")
    there.write("out.log", f"S={connection('ignored')}\n")
    (there.path / "link.env").symlink_to("untracked.env")
    there.git("add", "link.env")
    report = scan(there.path)
    assert [place["path"] for place in places(report)] == ["a.env", "gone.env"]
    assert [place["kind"] for place in places(report)] == ["file", "file"]
    assert places(report)[0]["line"] == 2
    assert of(report, "edited", fingerprinter)
    assert of(report, "index", fingerprinter)


def test_a_folder_inside_means_its_repository(there: Repo, scan: Scan) -> None:
    there.commit(**{"deep/inside/a.env": f"S={connection('a')}\n", "b.env": f"S={connection('b')}\n"})
    report = scan(there.path / "deep" / "inside")
    assert [place["path"] for place in places(report)] == ["b.env", "deep/inside/a.env"]


def test_staged_lines_only(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('old')}\nX=1\n"})
    there.stage("a.env", f"S={connection('old')}\nX=2\nN={connection('new')}\n")
    there.write("a.env", f"N={connection('unstaged')}\n")
    report = scan(there.path, staged=True)
    assert [place["line"] for place in places(report)] == [3]
    assert of(report, "new", fingerprinter)


# Repositories of other kinds


def test_bare_packed_and_linked(there: Repo, scan: Scan, fingerprinter: Fingerprinter, tmp_path: Path) -> None:
    there.commit(**{"a.env": f"S={connection('gone')}\n"})
    there.commit(**{"a.env": f"S={connection('kept')}\n"})
    there.git("clone", "-q", "--bare", str(there.path), str(tmp_path / "bare.git"))
    there.git("gc", "-q")
    there.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    for path in (there.path, tmp_path / "bare.git", tmp_path / "linked"):
        past = scan(path, history=True)
        assert len(of(past, "gone", fingerprinter)) == 1, path
        assert of(past, "kept", fingerprinter)[0].location.as_dict()["at_head"] is True
        now = scan(path)
        assert [place["path"] for place in places(now)] == ["a.env"], path
        assert of(now, "kept", fingerprinter)


def test_sha256(tmp_path: Path, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there = Repo(tmp_path / "long", "--object-format=sha256")
    commit = there.commit(**{"a.env": f"S={connection('one')}\n"})
    assert len(commit) == 64
    there.commit(**{"a.env": f"X=1\nS={connection('one')}\n"})
    (found,) = of(scan(there.path, history=True), "one", fingerprinter)
    assert found.location.as_dict()["commit"] == commit
    there.stage("b.env", f"S={connection('two')}\n")
    assert len(scan(there.path, staged=True).findings) == 1


def test_a_shallow_history_is_said_to_be_one(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    there.commit(**{"a.env": f"S={connection('gone')}\n"})
    there.commit(**{"a.env": f"S={connection('kept')}\n"})
    there.git("clone", "-q", "--depth=1", there.path.as_uri(), str(tmp_path / "shallow"))
    report = scan(tmp_path / "shallow", history=True)
    assert of(report, "kept", fingerprinter)
    assert not of(report, "gone", fingerprinter)
    assert [error["where"] for error in report.errors] == ["history"]
    assert "--unshallow" in report.errors[0]["hint"]


def test_a_partial_clone_is_scanned_without_fetching(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter, tmp_path: Path
) -> None:
    there.git("config", "uploadpack.allowFilter", "true")
    there.commit(**{"a.env": f"S={connection('gone')}\n"})
    there.commit(**{"a.env": f"S={connection('kept')}\n"})
    clone = Repo(tmp_path / "partial")
    shutil.rmtree(clone.path)
    there.git("clone", "-q", "--filter=blob:none", there.path.as_uri(), str(clone.path))
    before = clone.git("count-objects", "-v")
    report = scan(clone.path, history=True)
    assert of(report, "kept", fingerprinter)
    assert not of(report, "gone", fingerprinter)
    assert [error["what"].split(" ")[0] for error in report.errors] == ["1"]
    assert "partial clone" in report.errors[0]["what"]
    assert clone.git("count-objects", "-v") == before


def test_submodules_are_named_and_not_entered(there: Repo, scan: Scan, tmp_path: Path) -> None:
    inner = Repo(tmp_path / "inner")
    inner.commit(**{"a.env": f"S={connection('inner')}\n"})
    there.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.path), "libs/inner")
    there.commit()
    for options in ({}, {"history": True}, {"branches": ["main"]}):
        report = scan(there.path, **options)
        assert report.findings == []
        assert [error["where"] for error in report.errors] == ["libs/inner"]
        assert report.scanned["submodules"] == 1


def test_replaced_objects_do_not_hide_what_they_replace(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('hidden')}\n"})
    blob = there.git("rev-parse", "HEAD:a.env")
    clean = there.git("hash-object", "-w", "--stdin", data=b"S=\n")
    there.git("replace", blob, clean)
    (found,) = of(scan(there.path, history=True), "hidden", fingerprinter)
    assert found.location.as_dict()["at_head"] is True


def test_nothing_in_a_repository_is_run(there: Repo, scan: Scan, fingerprinter: Fingerprinter, tmp_path: Path) -> None:
    mark = tmp_path / "it ran"
    script = tmp_path / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    there.write(".gitattributes", "*.env diff=evil filter=evil\n")
    there.commit(**{"a.env": f"S={connection('one')}\n"})
    for name in ("core.fsmonitor", "diff.evil.textconv", "diff.evil.command", "diff.external", "filter.evil.smudge"):
        there.git("config", name, str(script))
    for name in ("post-index-change", "reference-transaction"):
        (there.path / ".git" / "hooks").mkdir(exist_ok=True)
        shutil.copy(script, there.path / ".git" / "hooks" / name)
    there.git("-c", "core.fsmonitor=false", "config", "core.pager", str(script))
    (there.path / "a.env").write_text(f"S={connection('one')}\nN={connection('two')}\n")
    there.git(
        "-c", "core.fsmonitor=false", "-c", "filter.evil.smudge=", "-c", "core.hooksPath=/dev/null", "add", "a.env"
    )
    mark.unlink(missing_ok=True)
    for options in ({}, {"history": True}, {"staged": True}, {"since": "HEAD"}):
        scan(there.path, **options)
    assert not mark.exists()


def test_the_variables_of_another_repository_do_not_count(
    there: Repo, scan: Scan, fingerprinter: Fingerprinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repo(tmp_path / "other")
    other.commit(**{"b.env": f"S={connection('other')}\n"})
    there.commit(**{"a.env": f"S={connection('mine')}\n"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git" / "index"))
    for options in ({}, {"history": True}, {"branches": ["main"]}):
        report = scan(there.path, **options)
        assert of(report, "mine", fingerprinter)
        assert not of(report, "other", fingerprinter)


# Damage and refusals


def test_a_damaged_object_is_told_and_hides_nothing_else(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    for number in range(6):
        there.commit(**{f"f{number}.env": f"S={connection(f'n{number}')}\n"})
    blob = there.git("rev-parse", "HEAD:f2.env")
    loose = there.path / ".git" / "objects" / blob[:2] / blob[2:]
    loose.chmod(0o644)
    loose.write_bytes(loose.read_bytes()[:20])
    report = scan(there.path, history=True)
    for number in (0, 1, 3, 4, 5):
        assert of(report, f"n{number}", fingerprinter), number
    assert any("f2.env" in error["where"] and error["hint"] for error in report.errors), report.errors


def test_a_damaged_tree_leaves_its_files_to_be_found(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a/x.env": f"S={connection('one')}\n"})
    there.commit(**{"a/y.env": f"S={connection('two')}\n"})
    tree = there.git("rev-parse", "HEAD~1:a")
    loose = there.path / ".git" / "objects" / tree[:2] / tree[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"")
    report = scan(there.path, history=True)
    assert of(report, "one", fingerprinter)
    assert of(report, "two", fingerprinter)
    assert any(error["where"] == "history" for error in report.errors)


def test_no_commits_yet(there: Repo, scan: Scan) -> None:
    there.stage("a.env", f"S={connection('one')}\n")
    assert [place["path"] for place in places(scan(there.path))] == ["a.env"]
    assert [place["path"] for place in places(scan(there.path, history=True))] == ["a.env"]
    assert [place["path"] for place in places(scan(there.path, staged=True))] == ["a.env"]


def test_errors_name_the_way_out(there: Repo, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there.commit(a="1\n")
    (tmp_path / "plain").mkdir()
    with pytest.raises(RepositoryError, match="is not a git repository") as raised:
        scan(tmp_path / "plain")
    assert "scan files" in raised.value.hint
    with pytest.raises(RepositoryError, match="there is no commit 'nothing'") as raised:
        scan(there.path, since="nothing")
    assert raised.value.hint
    with pytest.raises(RepositoryError, match="there is no commit"):
        scan(there.path, since="--output=/tmp/x")
    monkeypatch.setenv("PATH", str(tmp_path / "plain"))
    with pytest.raises(RepositoryError, match="git is not installed") as raised:
        scan(there.path)
    assert raised.value.hint


def test_a_repository_of_somebody_else_is_explained() -> None:
    said = b"fatal: detected dubious ownership in repository at '/srv/x'\nTo add an exception...\n"
    error = git.failed(Path("/srv/x"), said)
    assert "belongs to another user" in error.why
    assert error.hint.endswith("git config --global --add safe.directory /srv/x")
    assert "pw" not in git.failed(Path("/srv/x"), b"fatal: cannot reach https://me:pw@host/x").why


# What does not depend on how it is done


def test_findings_are_the_same_for_any_number_of_processes(
    there: Repo, scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        there.commit(
            f"number {number}",
            **{f"f{number % 3}.env": f"X={number}\nS={connection(f'n{number}')}\nS={connection('same')}\n"},
        )
    monkeypatch.setattr("scanners.sources.history._FEW", 0)
    one = scan(there.path, history=True, workers=1)
    several = scan(there.path, history=True, workers=3)
    assert [f.as_dict() for f in one.findings] == [f.as_dict() for f in several.findings]
    assert one.scanned == several.scanned
    assert len(one.findings) == 15


def test_what_is_found_does_not_depend_on_comparing_with_earlier_versions(
    there: Repo, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"setting_{number} = {number}" for number in range(900)]
    for number in range(8):
        lines[100 * number] = f"setting_{number} = '{connection(f'n{number}')}'"
        lines[50] = f"changed = {number}"
        lines[850] = f"changed = {number}"
        there.commit(**{"settings.py": "\n".join(lines)})
        if number == 4:
            del lines[400]
    compared = scan(there.path, history=True)
    monkeypatch.setattr(versions.Versions, "_may_be_new", lambda *_: True)
    whole = scan(there.path, history=True)
    assert [f.as_dict() for f in compared.findings] == [f.as_dict() for f in whole.findings]
    assert len(compared.findings) == 8


def test_shared_beginnings_and_ends() -> None:
    one, other = b"a" * 5000 + b"x" + b"b" * 5000, b"a" * 5000 + b"yy" + b"b" * 5000
    assert 5000 - 256 <= versions.shared_start(one, other) <= 5000
    assert 5000 - 256 <= versions.shared_end(one, other, 5000) <= 5000
    assert versions.shared_start(one, one) == len(one)
    assert versions.shared_end(b"abc", b"c", 0) == 0
    assert versions.shared_start(b"", b"abc") == 0


def test_what_is_allowed_is_marked(there: Repo, engine: Engine, fingerprinter: Fingerprinter) -> None:
    there.commit(**{"a.env": f"S={connection('one')}\n", "t/b.env": f"S={connection('two')}\n"})
    there.commit(
        **{
            "a.env": f"S={connection('one')} # pragma: allowlist secret\n",
            "keylift.toml": 'allow = [{ path = "t/**", reason = "made up" }]\n',
        }
    )
    report = repo.scan(
        there.path / "t",
        history=True,
        engine=engine,
        fingerprinter=fingerprinter,
        allow=load(there.path / "t"),
        workers=1,
    )
    assert {f.location.as_dict()["path"]: f.status for f in report.findings} == {
        "a.env": "allowed",
        "t/b.env": "allowed",
    }


def test_progress_counts_commits(there: Repo, scan: Scan) -> None:
    there.commit()
    there.commit()
    told: list[tuple[str, int, int]] = []
    scan(there.path, history=True, progress=lambda *what: told.append(what))
    assert told == [("commits", 2, 2)]


def test_the_log_is_parsed_by_position() -> None:
    tokens = [
        *(b"a" * 40, b"2024-01-01T00:00:00Z", b":a message like an entry\n", b"\n:000000 100644 0 1 A", b":path"),
        *(b"b" * 40, b"", b"", b"", b"::100644 100644 100644 1 2 3 MM", b"both", b":100644 000000 1 0 D", b"gone"),
    ]
    assert list(parsed(iter(tokens))) == [
        Commit("a" * 40, "2024-01-01T00:00:00Z", b":a message like an entry\n"),
        Change(b"100644", "1", b":path", "0"),
        Commit("b" * 40, "", b""),
        Change(b"100644", "3", b"both", "1"),
    ]


def test_no_value_is_in_a_report(there: Repo, scan: Scan) -> None:
    there.commit(connection("message"), **{"a.env": f"S={connection('one')}\n"})
    report = scan(there.path, history=True)
    text = repr(report) + repr([f.as_dict() for f in report.findings])
    assert key("one")[:8] not in text
    assert key("message")[:8] not in text
    assert len(report.findings) == 2
    assert os.environ.get("HOME", "") != key("one")


def test_archives_are_opened(there: Repo, scan: Scan, fingerprinter: Fingerprinter) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/a.env", f"X=1\nS={connection('zipped')}\n")
    first = there.commit(**{"lib.zip": packed.getvalue()})
    for options in ({"history": True}, {"branches": ["main"]}, {}):
        (found,) = of(scan(there.path, **options), "zipped", fingerprinter)
        place = found.location.as_dict()
        assert (place["path"], place["line"]) == ("lib.zip!/inner/a.env", 2)
        assert place.get("commit") in (None, first)
        assert place.get("at_head") in (None, True)
