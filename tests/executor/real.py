"""`kill -9` for real: processes with sockets and files, killed before a commit or whenever it hits them."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import Json, Plan, RunState, settled

from .world import KEY, Fast, World, app, estate, no_values, running, two_apps

NAMES = ("api", "web", "bystander")
SWITCHES = {"app_operation": 4.0, "role_propagation": [2.0, 6.0], "principal_replication": [0.5, 2.0]}
COMMITS = 130
"""About as many as an undisturbed run has."""
LASTS = 1.5
"""Wall seconds within which a process is killed that is killed by the clock."""


def work(profile: str, folder: str, verb: str, plan: str, commit: int) -> None:
    """Apply, resume or roll back; die right before the bytes of the given commit are written (0: live)."""
    left = commit

    def observe(statement: str) -> None:
        nonlocal left
        # the callback comes before the statement runs
        if commit and statement.strip().upper().startswith("COMMIT"):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    clock = Fast()
    with (
        Journal.open(Path(folder) / "keylift.db", observe=observe) as journal,
        Session(load_profile(profile), clock=clock, seed=1) as session,
    ):
        executor = Executor(AzureCloud(session), journal, clock, KEY, workers=2)
        if verb == "apply":
            sys.exit(executor.apply(Plan.from_json(plan)).exit_code)
        sys.exit((executor.resume if verb == "resume" else executor.rollback)("latest").exit_code)


@dataclass(slots=True)
class Kills:
    """What was tried."""

    killed: int = 0
    processes: int = 0
    cases: int = 0
    bad: list[str] = field(default_factory=list)


class Bench:
    """One simulated cloud behind TLS, on which one plan is carried out and taken back again and again."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.plan = world.plan().to_json()
        self.before, self.things = self._documents(), world.resources()
        # a server that has imported everything and forks: a process costs milliseconds
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    def _documents(self) -> dict[str, Json]:
        return {name: settled(self.world.app(name)) for name in NAMES}

    def process(self, state: Path, verb: str, dice: random.Random | None) -> int:
        """One process of keylift, killed if there are dice; its exit code."""
        commit = dice.randint(1, COMMITS) if dice is not None and dice.random() < 0.5 else 0
        arguments: tuple[Any, ...] = (str(self.world.simulator.profile_path), str(state), verb, self.plan, commit)
        process = self._context.Process(target=work, args=arguments)
        process.start()
        if dice is not None and not commit:
            process.join(dice.uniform(0.0, LASTS))
            if process.exitcode is None:
                process.kill()
        process.join(120)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{verb} does not end")
        no_values(state)
        return process.exitcode

    def case(self, number: int, dice: random.Random) -> int:
        """A plan begun, killed, gone on with, perhaps killed again, and ended; how many processes were killed.

        Raises:
            AssertionError: it did not end as planned or as before.
        """
        state = self.folder / f"case-{number}"
        state.mkdir()
        killed = int(self.process(state, "apply", dice) == -9)
        way = dice.choice(["resume", "rollback"])
        if self._begun(state):
            for _ in range(dice.choice([0, 1, 1, 2])):
                killed += int(self.process(state, way, dice) == -9)
            assert self.process(state, way, None) == 0, f"{way} fails"
            with Journal.open(state / "keylift.db") as journal:
                (run,) = journal.runs()
            assert run["state"] == (RunState.DONE if way == "resume" else RunState.ROLLED_BACK), run
            if way == "resume":
                for name in ("api", "web"):
                    kept = self.world.cloud.get_app_secrets(self.world.app(name)["id"])
                    assert any(secret.key_vault_url for secret in kept), f"{name} is not switched"
                assert self._documents()["bystander"] == self.before["bystander"]
                assert self.process(state, "rollback", None) == 0, "the last rollback fails"
        assert self._documents() == self.before, "the apps are not as before"
        assert self.world.resources() == self.things, "something is left or lost"
        return killed

    def _begun(self, state: Path) -> bool:
        if not (state / "keylift.db").exists():
            return False
        with Journal.open(state / "keylift.db") as journal:
            return bool(journal.runs())


def kills(wanted: int, seed: int = 0, *, tell: Any = lambda _text: None) -> Kills:
    """Kill as many real processes as wanted."""
    found = Kills()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="keylift-kills-") as folder:
        document = estate(*two_apps(), app("bystander"), switches=SWITCHES)
        with running(document, Path(folder), fast=True) as world:
            bench = Bench(world, Path(folder))
            while found.killed < wanted and not found.bad:
                dice = random.Random(f"{seed}/{found.cases}")
                try:
                    found.killed += bench.case(found.cases, dice)
                except AssertionError as error:
                    # the cloud is not as it was: what comes after would say nothing
                    found.bad.append(f"case {found.cases} of seed {seed}: {error}")
                found.cases += 1
                if found.cases % 20 == 0:
                    tell(f"{found.killed} processes killed in {found.cases} cases, {time.monotonic() - begun:.0f} s")
    return found
