"""Every instant a run of a team can die at: before and after each request to storage, and each call of the cloud."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.cloud.blob_ledger import BlobLedger
from migrator.cloud.blobs import BlobFolder
from migrator.executor import RunResult
from migrator.journal import Journal
from migrator.model import Plan, RunState, settled
from migrator.shared import SharedState
from tests.executor.test_sweep import Death, DiedError, MortalCloud
from tests.executor.world import PLANTED, World, app, estate, running, two_apps

from .conftest import Team

STRIDE = int(os.environ.get("SWEEP_STRIDE", "290"))
"""Every how many instants one is tried; 1 tries all."""
NAMES = ("api", "web", "bystander")


class MortalFolder(BlobFolder):
    """Storage, with an instant to die at before each request and one after it: the answer is lost."""

    death: Death

    def _try(self, doing: str, action: Callable[[], Any], patience: Callable[[], bool] | None = None) -> Any:
        if threading.current_thread().name == "keylift-lease":
            return super()._try(doing, action, patience)  # when a lock is renewed is the wall clock's business
        self.death.instant()
        answer = super()._try(doing, action, patience)
        self.death.instant()
        return answer


def attempt(world: World, team: Team, state: SharedState, death: Death, verb: str, *given: Any) -> RunResult | None:
    """Run a verb on a machine that may die; what it gives, or None."""
    with ExitStack() as stack:
        folder = MortalFolder(team.session(), state)
        folder.death = death
        try:
            journal = stack.enter_context(Journal.of(BlobLedger(folder, user="operator")))
            world.journal = journal
            result: RunResult = getattr(world.executor(workers=1, cloud=MortalCloud(world.cloud, death)), verb)(*given)
        except DiedError:
            stack.pop_all()  # whoever is dead lets go of nothing
            return None
        return result


def unlocked(team: Team, state: SharedState) -> list[str]:
    """States of all runs, after the locks of the dead were taken away."""
    ledger = BlobLedger(BlobFolder(team.session(), state), user="somebody")
    with Journal.of(ledger) as journal:
        for run in journal.runs():
            ledger.unlock(run["id"])
        return [journal.state(run["id"]) for run in journal.runs()]


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_dead_at_any_instant(team: Team, tmp_path: Path, way: str) -> None:
    document = estate(*two_apps(), app("bystander"), switches={"role_propagation": [1.0, 3.0]})
    with running(document, tmp_path) as world:
        plan = world.plan()
        before, things = [settled(world.app(name)) for name in NAMES], world.resources()
        kept = copy.deepcopy(world.simulator.world.tables)

        def case(at: int, plan: Plan) -> int:
            with world.simulator.azure.lock:
                world.simulator.world.tables = copy.deepcopy(kept)
            state = replace(team.state, prefix=f"case/{at}")
            death = Death(at)
            result = attempt(world, team, state, death, "apply", plan)
            assert result is None or result.exit_code == 0
            begun = bool(unlocked(team, state))
            if begun:
                # dies again on the way, then lives
                attempt(world, team, state, Death(at // 3 + 2), way, "latest")
                unlocked(team, state)
                last = attempt(world, team, state, Death(0), way, "latest")
                assert last is not None
                assert last.exit_code == 0, [each.error for each in last.apps]
                assert unlocked(team, state) == [RunState.DONE if way == "resume" else RunState.ROLLED_BACK], at
            now = [settled(world.app(name)) for name in NAMES]
            if way == "rollback" or not begun:
                assert now == before, at
                assert world.resources() == things, at
            else:
                assert now[2] == before[2], at
                assert not any(value in str(now) for value in PLANTED.values()), at
            return death.instants

        total = case(0, plan)
        for at in range(1, total, STRIDE):
            case(at, plan)
        blobs = b"".join(team.blobs().values()).decode()
        assert not any(value in blobs for value in PLANTED.values())
