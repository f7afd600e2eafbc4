"""Azure dies in the middle of a run and comes back: what it acknowledged is there, and the run outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from migrator import planner, proof
from migrator.cloud import reading, vaults
from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import Json
from migrator.planning.options import Options
from migrator.ports import Event
from migrator.proof import Status

from .world import KEY, VAULT, Fast, app, app_id, estate, find, two_apps


class Server:
    """`keylift simulator` as a process, which can be killed and started again."""

    def __init__(self, folder: Path, *more: Json) -> None:
        self._folder = folder
        (folder / "estate.json").write_text(
            json.dumps(estate(*two_apps(), *more, switches={"role_propagation": [1.0, 3.0]})), encoding="utf-8"
        )
        self.deaths = 0
        self.start()

    def start(self) -> None:
        given = ["--estate", "estate.json", "--world", "world.json", "--state-dir", "sim", "--speed", str(Fast.SPEED)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "migrator", "simulator", *given], cwd=self._folder, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.profile = json.loads(self._process.stdout.readline())["profile"]

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def again(self) -> None:
        self.kill()
        self.deaths += 1
        self.start()


def test_a_killed_simulator(tmp_path: Path) -> None:
    server = Server(tmp_path)
    clock = Fast()
    try:
        with (
            Session(load_profile(str(tmp_path / server.profile)), clock=clock, seed=1) as session,
            Journal.open(tmp_path / "keylift.db") as journal,
        ):
            found = reading.read_estate(
                session, reading.Scope(), with_revisions=True, with_auth=True, with_access=True, vault=VAULT
            )
            chosen = Options(vault=VAULT)
            findings = list(find(found))
            names = planner.wanted(found, findings, chosen, KEY)
            (vault,) = found.vaults
            found = found.with_vault(vaults.read_vault_secrets(session, vault, names, KEY))
            plan = planner.plan(found, findings, chosen, KEY)
            cloud = AzureCloud(session)

            def listen(event: Event) -> None:
                if event.kind == "step-done" and event.step == "api/app-switch":
                    server.again()

            executor = Executor(cloud, journal, clock, KEY, listen, workers=1)
            result = executor.apply(plan)
            assert result.exit_code == 0, [app.error for app in result.apps]
            assert server.deaths == 1
            proven = proof.verify(result.run, cloud, journal, KEY)
            assert [app.status for app in proven.apps] == [Status.OK, Status.OK], proven.as_dict()
            assert Executor(cloud, journal, clock, KEY).rollback(result.run).exit_code == 0
            assert cloud.get_app(app_id("api"))["properties"]["provisioningState"] == "Succeeded"
    finally:
        server.kill()


def test_a_large_simulator_that_is_killed_right_after_an_answer(tmp_path: Path) -> None:
    """However many apps there are: each write that was answered is there when it is started again."""
    bystanders = [app(f"other-{number}", {"TEXT": "x" * 4000}) for number in range(700)]
    server = Server(tmp_path, *bystanders)
    try:
        with Session(load_profile(str(tmp_path / server.profile)), clock=Fast(), seed=1) as session:
            cloud = AzureCloud(session)
            for number in range(4):
                cloud.patch_app(app_id("api"), {"tags": {"number": str(number)}}, lambda _url: None)
            server.again()
            assert cloud.get_app(app_id("api"))["tags"]["number"] == "3"
            assert cloud.get_app(app_id("api"))["properties"]["provisioningState"] == "Succeeded"
    finally:
        server.kill()
