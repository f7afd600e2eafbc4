"""Every instant a run can die at, one after the other, in one process: each journal write and each call of the cloud."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from migrator.journal import Journal
from migrator.model import Json, Plan, RunState, settled

from .world import PLANTED, World, app, estate, no_values, running, two_apps

STRIDE = int(os.environ.get("SWEEP_STRIDE", "170"))
"""Every how many instants one is tried; 1 tries all."""


class DiedError(BaseException):
    """What a killed process would have no time to catch."""


class Death:
    """Comes at the N-th instant, and then everything that is asked for is too late."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.instants = 0
        self._guard = threading.Lock()

    def instant(self) -> None:
        with self._guard:
            self.instants += 1
            if self.at and self.instants >= self.at:
                raise DiedError


class MortalCloud:
    """The cloud, with an instant to die at before each call and one after it: the answer is lost."""

    def __init__(self, cloud: Any, death: Death) -> None:
        self._cloud = cloud
        self._death = death

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cloud, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self._death.instant()
            answer = found(*arguments, **options)
            self._death.instant()
            return answer

        return call


class MortalJournal(Journal):
    """The journal, with an instant to die at before and after each write."""

    death: Death

    @contextmanager
    def _write(self) -> Iterator[Any]:
        self.death.instant()
        with super()._write() as db:
            yield db
        self.death.instant()


def attempt(world: World, death: Death, verb: Callable[[Any], Any]) -> Any:
    """Run a verb in a process that may die; what it gives, or None."""
    world.journal.close()
    with MortalJournal.open(world.folder / "keylift.db") as journal:
        assert isinstance(journal, MortalJournal)
        journal.death = death
        world.journal = journal
        try:
            return verb(world.executor(workers=1, cloud=MortalCloud(world.cloud, death)))
        except DiedError:
            return None


def documents(world: World) -> dict[str, Json]:
    return {name: settled(world.app(name)) for name in ("api", "web", "canary")}


def apps() -> list[Json]:
    traffic = [{"latestRevision": True, "weight": 100, "label": "live"}]
    return [
        *two_apps(),
        app("canary", {"TOKEN": PLANTED["shared"]}, mode="Multiple", traffic=traffic),
    ]


@pytest.mark.parametrize("way", ["resume", "rollback"])
@pytest.mark.parametrize("identity_map", ["merge", "replace"])
def test_dead_at_any_instant(tmp_path: Path, way: str, identity_map: str) -> None:
    switches = {"identity_map": identity_map, "role_propagation": [1.0, 3.0]}
    with running(estate(*apps(), switches=switches), tmp_path) as world:
        plan = world.plan()
        before, things = documents(world), world.resources()
        kept = copy.deepcopy(world.simulator.world.tables)

        def case(at: int, plan: Plan) -> int:
            with world.simulator.azure.lock:
                world.simulator.world.tables = copy.deepcopy(kept)
            for path in tmp_path.glob("keylift.db*"):
                path.unlink()
            death = Death(at)
            result = attempt(world, death, lambda executor: executor.apply(plan))
            if result is not None:
                assert result.exit_code == 0, [a.error for a in result.apps]
            with Journal.open(tmp_path / "keylift.db") as journal:
                begun = bool(journal.runs())
            if begun:
                # dies again on the way, then lives
                attempt(world, Death(at // 3 + 2), lambda executor: getattr(executor, way)("latest"))
                last = attempt(world, Death(0), lambda executor: getattr(executor, way)("latest"))
                assert last.exit_code == 0, [app.error for app in last.apps]
                with Journal.open(tmp_path / "keylift.db") as journal:
                    state = journal.runs()[0]["state"]
                assert state == (RunState.DONE if way == "resume" else RunState.ROLLED_BACK), at
            if way == "rollback" or not begun:
                assert documents(world) == before, at
                assert world.resources() == things, at
                names = ("api", "web", "canary")
                assert not any(s.key_vault_url for n in names for s in world.cloud.get_app_secrets(world.app(n)["id"]))
            else:
                shown = str(documents(world))
                assert not any(value in shown for value in PLANTED.values()), at
            return death.instants

        total = case(0, plan)
        for at in range(1, total, STRIDE):
            case(at, plan)
        no_values(tmp_path)
