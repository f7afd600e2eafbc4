"""`kill -9` at durable points, by real processes: resume and rollback end in the planned or the original world."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from migrator.model import Json, RunState, StepState, settled

from .real import kills
from .world import Fast, World, app, estate, no_values, running, two_apps

SCRIPT = Path(__file__).with_name("killed.py")
NAMES = ("api", "web")
SWITCHES = {"app_operation": 4.0, "role_propagation": [2.0, 6.0], "principal_replication": [0.5, 2.0]}


def process(world: World, verb: str, commit: int, signal: str = "SIGKILL", times: int = 1) -> int:
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            str(world.simulator.profile_path),
            str(world.folder),
            verb,
            str(world.folder / "plan.json"),
            str(commit),
            signal,
            str(times),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
    )
    no_values(world.folder, done.stdout, done.stderr)
    assert done.returncode in {-9, 0, 130}, done.stderr
    return done.returncode


def documents(world: World) -> dict[str, Json]:
    return {name: settled(world.app(name)) for name in (*NAMES, "bystander")}


@pytest.mark.parametrize("commit", [2, 23, 52])
@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_killed_and_gone_on(tmp_path: Path, commit: int, way: str) -> None:
    document = estate(*two_apps(), app("bystander"), switches=SWITCHES)
    with running(document, tmp_path, fast=True) as world:
        assert isinstance(world.clock, Fast)
        before, things = documents(world), world.resources()
        (tmp_path / "plan.json").write_text(world.plan().to_json())
        ended = process(world, "apply", commit)
        # the second process is killed, too, a little later in its own way
        again = process(world, way, commit // 2 + 3)
        last = process(world, way, 0)
        assert last == 0, (ended, again)
        after = documents(world)
        assert after["bystander"] == before["bystander"]
        if not world.journal.runs():
            assert after == before
        elif way == "rollback":
            assert after == before
            assert world.resources() == things
            assert world.journal.runs()[0]["state"] == RunState.ROLLED_BACK
        else:
            assert world.journal.runs()[0]["state"] == RunState.DONE
            for name in NAMES:
                secrets = {s.name: s for s in world.cloud.get_app_secrets(world.app(name)["id"])}
                assert any(secret.key_vault_url for secret in secrets.values())


def test_interrupted_once(tmp_path: Path) -> None:
    """Ctrl-C: every app ends after its step, the run can be resumed, and nothing is undone."""
    document = estate(*two_apps(), app("bystander"), switches=SWITCHES)
    with running(document, tmp_path, fast=True) as world:
        before = documents(world)
        (tmp_path / "plan.json").write_text(world.plan().to_json())
        assert process(world, "apply", 30, "SIGINT") == 130
        (run,) = world.journal.runs()
        assert run["state"] == RunState.INTERRUPTED
        assert run["holder"] is None
        states = {step.state for step in world.journal.steps(run["id"]).values()}
        assert StepState.DONE in states
        assert StepState.PENDING in states
        assert StepState.UNDONE not in states
        assert process(world, "resume", 0) == 0
        assert world.journal.runs()[0]["state"] == RunState.DONE
        assert process(world, "rollback", 0) == 0
        assert documents(world) == before


def test_interrupted_twice(tmp_path: Path) -> None:
    """Ctrl-C again: nobody waits for the step any more; the journal has it, so it can be gone on from."""
    document = estate(*two_apps(), app("bystander"), switches={**SWITCHES, "app_operation": 400.0})
    with running(document, tmp_path, fast=True) as world:
        before, things = documents(world), world.resources()
        (tmp_path / "plan.json").write_text(world.plan().to_json())
        assert process(world, "apply", 24, "SIGINT", times=2) == 130
        (run,) = world.journal.runs()
        assert run["state"] == RunState.INTERRUPTED
        assert run["holder"] is None
        states = {step.state for step in world.journal.steps(run["id"]).values()}
        assert StepState.INTENT in states, "a step was under way, and stayed so"
        assert process(world, "resume", 0) == 0
        assert world.journal.runs()[0]["state"] == RunState.DONE
        assert process(world, "rollback", 0) == 0
        assert documents(world) == before
        assert world.resources() == things


def test_killed_at_random(tmp_path: Path) -> None:
    """A few of the real kills that `make soak` does by the hundred."""
    found = kills(4)
    assert not found.bad
    assert found.killed >= 4
