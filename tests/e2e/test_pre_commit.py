"""The hook as people run it: through pre-commit and prek from PyPI, and through git itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scanners.repositories import Repo, connection, key

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

CONFIG = """\
repos:
  - repo: {manifest}
    rev: v1
    hooks:
      # The environment of this test, instead of one that is built for the hook.
      - id: keylift
        language: system
      - id: keylift-baseline
        language: system
"""


def program(name: str) -> str:
    found = shutil.which(name, path=BIN)
    if found is None:
        pytest.skip(f"{name} is not installed beside {sys.executable}")
    return found


class Project(Repo):
    """A repository whose commits go through the hook."""

    def __init__(self, path: Path, tool: str) -> None:
        super().__init__(path)
        self.tool = tool

    def hook(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tool, *arguments], cwd=self.path, capture_output=True, text=True, timeout=120, check=False
        )

    def try_commit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com")
        return subprocess.run(
            ["git", "-C", str(self.path), *who, "commit", "-m", "change", *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with our hook definitions, as pre-commit clones it."""
    repo = Repo(tmp_path_factory.mktemp("hooks"))
    repo.write(".pre-commit-hooks.yaml", (ROOT / ".pre-commit-hooks.yaml").read_bytes())
    repo.commit()
    repo.git("tag", "v1")
    return repo.path


@pytest.fixture(params=["pre-commit", "prek"])
def project(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Project:
    tool = program(request.param)
    base = tmp_path_factory.getbasetemp()
    for name in [name for name in os.environ if name.startswith(("GIT_", "PRE_COMMIT", "PREK", "KEYLIFT_BASELINE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(base / "pre-commit"))
    monkeypatch.setenv("PREK_HOME", str(base / "prek"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(base.parent / f"hook-cache-{os.getuid()}"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    project = Project(tmp_path / "project", tool)
    project.commit(**{".pre-commit-config.yaml": CONFIG.format(manifest=manifest), "a.env": "A=1\nB=1\n"})
    done = project.hook("install")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def said(done: subprocess.CompletedProcess[str]) -> str:
    for seed in ("one", "old"):
        assert key(seed)[:6] not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_commit_with_a_secret_is_refused_until_it_is_taken_out(project: Project) -> None:
    project.stage("a.env", f"A=1\nB=1\nS={connection('one')}\n")
    refused = project.try_commit()
    assert refused.returncode != 0
    assert "a.env:3:" in said(refused)
    assert "[azure-storage" in said(refused)
    assert "keylift plan --vault" in said(refused)
    project.stage("a.env", "A=1\nB=1\nS=from the vault\n")
    passed = project.try_commit()
    assert passed.returncode == 0, said(passed)


def test_partial_staging_single_files_renames_and_deletions(project: Project) -> None:
    project.stage("with space.env", "X=1\n")
    project.write("with space.env", f"X={connection('one')}\n")
    project.git("mv", "a.env", "moved.env")
    passed = project.try_commit()
    assert passed.returncode == 0, said(passed)
    assert connection("one") in (project.path / "with space.env").read_text()
    project.stage("b.env", f"S={connection('one')}\n")
    project.stage("moved.env", "A=2\n")
    passed = project.try_commit("--", "moved.env")
    assert passed.returncode == 0, said(passed)
    refused = project.try_commit()
    assert refused.returncode != 0
    assert "b.env:1:" in said(refused)
    project.git("rm", "-qf", "b.env", "moved.env")
    passed = project.try_commit("--allow-empty")
    assert passed.returncode == 0, said(passed)


def test_binary_files_are_looked_at(project: Project) -> None:
    project.stage("settings.ps1", f"$s = '{connection('one')}'\r\n".encode("utf-16"))
    refused = project.try_commit()
    assert refused.returncode != 0
    assert "settings.ps1:1:" in said(refused)


def test_all_files_and_a_range_of_commits(project: Project) -> None:
    project.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "start")
    start = project.git("rev-parse", "HEAD")
    project.stage("old.env", f"S={connection('old')}\n")
    project.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "by the back door")
    found = project.hook("run", "--all-files")
    assert found.returncode != 0
    assert "old.env:1:" in said(found)
    found = project.hook("run", "--from-ref", start, "--to-ref", "HEAD")
    assert found.returncode != 0
    assert "old.env:1:" in said(found)
    project.stage("old.env", f"S={connection('old')}\nX=1\n")
    passed = project.try_commit()
    assert passed.returncode == 0, said(passed)
    passed = project.hook("run", "--from-ref", "HEAD~1", "--to-ref", "HEAD")
    assert passed.returncode == 0, said(passed)


def test_a_baseline(project: Project) -> None:
    project.stage("old.env", f"S={connection('old')}\n")
    project.git("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "from before")
    written = project.hook("run", "keylift-baseline", "--hook-stage", "manual", "--all-files")
    assert written.returncode != 0
    assert ".secrets.baseline was written" in said(written)
    assert list(json.loads((project.path / ".secrets.baseline").read_text())["results"]) == ["old.env"]
    project.git("add", ".secrets.baseline")
    passed = project.try_commit()
    assert passed.returncode == 0, said(passed)
    passed = project.hook("run", "--all-files")
    assert passed.returncode == 0, said(passed)
    project.stage("old.env", f"\nS={connection('old')}\n")
    rewritten = project.try_commit()
    assert rewritten.returncode != 0
    assert "brought up to date" in said(rewritten)
    project.git("add", ".secrets.baseline")
    passed = project.try_commit()
    assert passed.returncode == 0, said(passed)


def test_as_a_plain_git_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_", "PRE_COMMIT"))]:
        monkeypatch.delenv(name)
    repo = Project(tmp_path / "repo", program("keylift-hook"))
    script = repo.path / ".git" / "hooks" / "pre-commit"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\nexec '{repo.tool}'\n")
    script.chmod(0o755)
    repo.stage("deep/a.env", f"S={connection('one')}\n")
    monkeypatch.chdir(repo.path / "deep")
    refused = repo.try_commit()
    assert refused.returncode != 0
    assert "deep/a.env:1:" in said(refused)
    repo.stage("b.env", "X=1\n")
    passed = repo.try_commit("--", "b.env")
    assert passed.returncode == 0, said(passed)
