"""Runs with shared state, on the simulator and Azurite: killed, locked out, cut off, and gone on with elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from migrator.cloud.blob_ledger import BlobLedger, LockLostError
from migrator.errors import JournalError, RunError
from migrator.executor import Executor, RunResult
from migrator.journal import Journal
from migrator.model import Json, RunState, settled
from migrator.ports import Event
from tests.executor.world import KEY, PLANTED, World, app, estate, running, two_apps

from .azurite import ROOT, Azurite
from .conftest import Team, both

NAMES = ("api", "web")
QUICK = {"role_propagation": [1.0, 3.0]}
SLOW = {"app_operation": 4.0, "role_propagation": [2.0, 6.0], "principal_replication": [0.5, 2.0]}


def documents(world: World) -> dict[str, Json]:
    return {name: settled(world.app(name)) for name in (*NAMES, "bystander")}


def written(world: World) -> int:
    """Changes of the cloud so far."""
    return sum(count for method, count in world.session.transport.counts.items() if method not in {"GET", "POST"})


def no_values(team: Team) -> None:
    blobs = b"".join(team.blobs().values()).decode()
    assert "api" in blobs
    for value in PLANTED.values():
        assert value not in blobs
        assert json.dumps(value)[1:-1] not in blobs


class Machine:
    """One process's view of the team's state: a journal of its own, and an executor."""

    def __init__(
        self, world: World, team: Team, on_event: Callable[[Event], None] = lambda _event: None, **options: Any
    ) -> None:
        self.ledger: BlobLedger = team.ledger(**options)
        self.journal = Journal.of(self.ledger)
        world.session.transport.gate = self.ledger.check
        self.executor = Executor(world.cloud, self.journal, world.clock, KEY, on_event, workers=1)

    def do(self, verb: str, *arguments: Any) -> RunResult:
        with self.journal:
            result: RunResult = getattr(self.executor, verb)(*arguments)
            return result


@contextmanager
def shop(folder: Path, *, fast: bool = False) -> Iterator[World]:
    document = estate(*two_apps(), app("bystander"), switches=SLOW if fast else QUICK)
    with running(document, folder, fast=fast) as world:
        yield world


@pytest.mark.parametrize(("number", "after", "way"), [(9, "", "rollback"), (47, "after", "resume")])
def test_killed_and_gone_on_elsewhere(
    team: Team, storage: Azurite, tmp_path: Path, number: int, after: str, way: str
) -> None:
    with shop(tmp_path, fast=True) as world:
        before, things = documents(world), world.resources()
        (tmp_path / "plan.json").write_text(world.plan().to_json())
        profile = both(Path(world.simulator.profile_path), storage, tmp_path)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.state.killed"),
                *(str(profile), team.state.url, str(tmp_path / "plan.json"), str(number), after),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == -9, done.stderr
        with Journal.of(team.ledger()) as journal:
            (run,) = journal.runs()
        if way == "resume":
            other = team.ledger()
            with Journal.of(other):
                assert other.unlock(run["id"])
        # else nobody unlocks it: the lock of the dead ends by itself
        end = time.monotonic() + 60
        while True:
            try:
                result = Machine(world, team).do(way, "latest")
                break
            except RunError as error:
                if "held by another process" not in error.what or time.monotonic() > end:
                    raise
                time.sleep(0.5)
        assert (result.run, result.exit_code) == (run["id"], 0)
        if way == "rollback":
            assert documents(world) == before
            assert world.resources() == things
        else:
            assert result.state == RunState.DONE
            shown = str(documents(world))
            assert not any(value in shown for value in PLANTED.values())
        no_values(team)


@pytest.mark.parametrize("at", ["step-started vault-secret", "step-done identity-attach", "step-started app-switch"])
def test_a_run_whose_lock_is_taken_away_stops_within_one_write(team: Team, tmp_path: Path, at: str) -> None:
    with shop(tmp_path) as world:
        before, things = documents(world), world.resources()
        plan = world.plan()
        changes: list[int] = []

        def unlock(event: Event) -> None:
            if not changes and f"{event.kind} {event.step.split('/')[1] if '/' in event.step else ''}".startswith(at):
                other = team.ledger()
                with Journal.of(other) as journal:
                    assert other.unlock(journal.find("latest"))
                changes.append(written(world))

        with pytest.raises(LockLostError) as caught:
            Machine(world, team, unlock).do("apply", plan)
        assert "taken away with keylift unlock" in caught.value.why
        assert changes == [written(world)]  # nothing at all went out after it
        # and nothing is lost: another machine takes it back
        result = Machine(world, team).do("rollback", "latest")
        assert result.exit_code == 0
        assert documents(world) == before
        assert world.resources() == things
        no_values(team)


def test_a_machine_that_slept_before_a_change_does_not_make_it(team: Team, tmp_path: Path) -> None:
    """The record is written, the machine sleeps, the lease ends: the change that the record announces stays in."""
    with shop(tmp_path) as world:
        before, things = documents(world), world.resources()
        machine = Machine(world, team)
        patch = world.cloud.patch_app
        changes: list[int] = []

        def slept(*arguments: Any, **options: Any) -> Any:
            if not changes:
                changes.append(written(world))
                for lease in machine.ledger._leases.values():
                    lease._until = (0.0, 0.0)
            return patch(*arguments, **options)

        world.cloud.patch_app = slept  # type: ignore[method-assign]
        with pytest.raises(LockLostError):
            machine.do("apply", world.plan())
        world.cloud.patch_app = patch  # type: ignore[method-assign]
        assert changes == [written(world)]
        other = team.ledger()
        with Journal.of(other) as journal:
            other.unlock(journal.find("latest"))
        assert Machine(world, team).do("rollback", "latest").exit_code == 0
        assert documents(world) == before
        assert world.resources() == things


def test_storage_that_comes_back_is_waited_for(team: Team, storage: Azurite, tmp_path: Path) -> None:
    back: list[threading.Thread] = []

    def cut(event: Event) -> None:
        if event.kind == "step-done" and not back:
            storage.stop()
            back.append(threading.Thread(target=storage.start))
            back[0].start()

    with shop(tmp_path) as world:
        result = Machine(world, team, cut).do("apply", world.plan())
        back[0].join()
        assert (result.state, result.exit_code) == (RunState.DONE, 0)
        with Journal.of(team.ledger()) as journal:
            assert journal.state(result.run) == RunState.DONE
            assert all(step.state in {"done", "adopted"} for step in journal.steps(result.run).values())


def test_storage_that_stays_away_stops_the_run(team: Team, storage: Azurite, tmp_path: Path) -> None:
    with shop(tmp_path) as world:
        before, things = documents(world), world.resources()
        changes: list[int] = []

        def cut(event: Event) -> None:
            if event.kind == "step-done" and not changes:
                storage.stop()
                changes.append(written(world))

        try:
            with pytest.raises(JournalError) as caught:
                Machine(world, team, cut, seconds=15).do("apply", world.plan())
        finally:
            storage.start()
        assert "lost" in caught.value.what
        assert "could not be renewed" in caught.value.why
        assert changes == [written(world)]
        ledger = team.ledger()
        with Journal.of(ledger) as journal:
            ledger.unlock(journal.find("latest"))
        result = Machine(world, team).do("rollback", "latest")
        assert result.exit_code == 0
        assert documents(world) == before
        assert world.resources() == things
