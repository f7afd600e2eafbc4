"""Every wait of a run: it says what it waits for, it ends, and its end names the cause and the command that gets out."""

from __future__ import annotations

import ast
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from migrator.errors import CloudError
from migrator.executor import RunResult
from migrator.model import DataRole
from migrator.ports import WAITING, Event
from migrator.scheduling import Threads

from .contracts import PASSWORD, SERVER, finalize, registry, shop
from .fault_cases import PAGE, always
from .jobs import job
from .test_jobs import start
from .waits import SLEEPS, WAITS, waits
from .world import GROUP, REGISTRY, Driven, World, app, app_id, estate, inside, two_apps

QUICK = {"role_propagation": [0.0, 0.0], "principal_replication": [0.0, 0.0]}
ROOT = Path(__file__).parents[2]
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-new"
NOBODY = "99999999-2222-3333-4444-555555555555"


def told(result: RunResult) -> str:
    errors = [a.error for a in result.apps if a.error]
    return "\n".join(f"{error['what']}; {error['why']}; {error['hint']}" for error in errors)


def shown(world: World) -> list[str]:
    return [event.text for event in world.events if event.kind == "step-waiting"]


def test_somebody_elses_operation(tmp_path: Path) -> None:
    with inside(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        world.simulator.world.resources[app_id("api").lower()]["properties"]["provisioningState"] = "InProgress"
        began = world.clock.now()
        result = world.executor(proof=300.0).apply(plan)
        assert 300 <= world.clock.now() - began < 900
        assert "waits for another operation on the app to end" in shown(world)
        assert "has been InProgress for 300 seconds; last changed by" in told(result)
        assert f"az resource show --ids {app_id('api')} --query".lower() in told(result).lower()


def test_a_write_that_meets_operations_without_end(tmp_path: Path) -> None:
    with inside(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        world.fault(**always({"method": "PATCH", "path": "containerApps/api$", "mishap": "busy"}))
        began = world.clock.now()
        result = world.executor().apply(plan)
        assert result.exit_code == 12
        assert 900 <= world.clock.now() - began < 2400
        assert any(text.startswith("tries again: ") for text in shown(world))
        assert re.search(r"\(tried \d+ times in 15 minutes\)", told(result))


def test_a_new_identity_without_a_principal(tmp_path: Path) -> None:
    with inside(estate(), tmp_path) as world:
        texts: list[str] = []
        WAITING.set(texts.append)
        for method in ("PUT", "GET"):
            world.fault(**always({"method": method, "path": "userAssignedIdentities/id-new", "status": 200}))
        began = world.clock.now()
        with pytest.raises(CloudError) as caught:
            world.cloud.put_identity(IDENTITY, "westeurope", {})
        assert 60 <= world.clock.now() - began < 90
        assert texts == ["Azure to tell the new identity's principal id"]
        assert f"az identity show --ids {IDENTITY} --query principalId" in caught.value.hint


def test_a_principal_that_stays_unknown(tmp_path: Path) -> None:
    with inside(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        unknown = {"method": "PUT", "path": "roleAssignments/", "status": 400, "code": "PrincipalNotFound"}
        world.fault(**always(unknown))
        began = world.clock.now()
        result = world.executor(workers=1).apply(plan)
        assert result.exit_code == 12
        assert world.clock.now() - began < 2000
        assert "waits for the role service to know the new identity" in shown(world)
        assert "not yet known to the role service, 5 minutes after it was made" in told(result)
        assert re.search(r"az ad sp show --id [0-9a-f-]{36}; ", told(result))


def test_a_service_that_never_knows_the_identity(tmp_path: Path) -> None:
    account = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/c1"
    resources = [{"id": account, "location": "westeurope", "type": "Microsoft.DocumentDB/databaseAccounts"}]
    with inside(estate(*resources), tmp_path) as world:
        texts: list[str] = []
        WAITING.set(texts.append)
        name = world.cloud.data_role_id("cosmos", account, "11111111-0000-0000-0000-000000000001")
        began = world.clock.now()
        with pytest.raises(CloudError) as caught:
            world.cloud.put_data_role(
                "cosmos",
                DataRole(name, "00000000-0000-0000-0000-000000000001", NOBODY, account),
                lambda _url: None,
            )
        assert 60 < world.clock.now() - began < 180
        assert set(texts) == {"the service to know the new identity"}
        assert f"az ad sp show --id {NOBODY}" in caught.value.hint


def test_a_right_to_pull_that_never_takes_effect(tmp_path: Path) -> None:
    document = app("worker", None, {"acr-password": PASSWORD}, ingress=False)
    entry = {"server": SERVER, "username": "acrshop", "passwordSecretRef": "acr-password"}
    document["properties"]["configuration"]["registries"] = [entry]
    document["properties"]["template"]["containers"][0]["image"] = f"{SERVER}/worker:1"
    with inside(estate(registry(), document, switches=QUICK), tmp_path) as world:
        plan = world.plan()

        def listen(event: Event) -> None:
            world.events.append(event)
            if event.kind == "step-done" and event.step.endswith(f"role-assignment/{SERVER}"):
                for held in world.simulator.world.table("assignments").values():
                    if held["scope"].lower() == REGISTRY.lower():
                        held["effective"] = world.clock.now() + 100_000

        result = world.executor(on_event=listen, propagation=600.0).apply(plan)
        assert result.exit_code == 12
        assert "waits for the identity's right to pull to take effect" in shown(world)
        assert "may not pull its image; the identity's right has not taken effect in 10 minutes" in told(result)
        assert re.search(f"(?i)az role assignment list --assignee [0-9a-f-]{{36}} --scope {REGISTRY};", told(result))


def test_an_execution_that_does_not_end(tmp_path: Path) -> None:
    with inside(estate(job(), switches={**QUICK, "job_execution": 100_000.0}), tmp_path) as world:
        plan = world.plan()

        def listen(event: Event) -> None:
            world.events.append(event)
            if event.kind == "step-done" and event.step.endswith("app-switch"):
                start(world, seconds=1.0)

        result = world.executor(on_event=listen, proof=120.0).apply(plan)
        assert (result.exit_code, [a.proven for a in result.apps]) == (0, [False])
        assert any("is running" in text for text in shown(world))
        (text,) = [event.text for event in world.events if event.kind == "app-done"]
        assert "is running still, after 2 minutes" in text
        assert "az containerapp job start" in text


def test_a_revision_that_stays_active(tmp_path: Path) -> None:
    with inside(estate(*shop(), switches=QUICK), tmp_path) as world:
        plan = finalize(world, world.executor().apply(world.plan()).run)
        world.fault(**always({"method": "POST", "path": "/deactivate$", "status": 200}))
        began = world.clock.now()
        result = world.executor().apply(plan, point_of_no_return=True)
        assert 120 <= world.clock.now() - began < 600
        assert any(text.endswith("to be inactive") for text in shown(world))
        assert re.search("is still active; .*keylift rollback", told(result))


def test_a_replaced_revision_that_does_not_drain(tmp_path: Path) -> None:
    with inside(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        run = world.executor().apply(plan).run
        refused = {"status": 400, "code": "ContainerAppSecretInUse", "message": "api--2 still uses the secret"}
        world.fault(**always({"method": "PATCH", "path": "containerApps/api$", "skip": 1, **refused}))
        began = world.clock.now()
        result = world.executor().rollback(run)
        assert 120 <= world.clock.now() - began < 900
        assert "waits for the replaced revision to drain" in shown(world)
        assert "api--2 still uses the secret" in told(result)


class Back(Driven):
    """A clock that somebody sets."""

    behind = 0.0

    def now(self) -> float:
        return super().now() - self.behind


def test_a_clock_that_is_put_right_between_a_right_and_what_stands_on_it(tmp_path: Path) -> None:
    """Ten minutes are ten minutes: a moment that was noted by a clock a day ahead is none to count from."""
    from tests.passwordless.test_apply import TRIGGER, bus, functions, planned

    with inside(estate(functions(), bus(), switches=QUICK), tmp_path) as world:
        plan = planned(world, tmp_path, TRIGGER)
        clock = world.clock = Back(world.simulator.clock)

        def listen(event: Event) -> None:
            world.events.append(event)
            if event.kind == "step-done" and "role-assignment" in event.step:
                clock.behind = 86_400.0

        began = world.simulator.clock.now()
        assert world.executor(on_event=listen).apply(plan).exit_code == 0
        assert 600 <= world.simulator.clock.now() - began < 1800
        assert any("rights to take effect everywhere" in text for text in shown(world))


def test_the_lane_of_an_environment() -> None:
    lanes, texts, inside_it, leave = Threads(), list[str](), threading.Event(), threading.Event()

    def first() -> None:
        with lanes.lane("env"):
            inside_it.set()
            assert leave.wait(30)

    def told_of_it(text: str) -> None:
        texts.append(text)
        leave.set()

    holder = threading.Thread(target=first)
    holder.start()
    assert inside_it.wait(30)
    WAITING.set(told_of_it)
    with lanes.lane("ENV"), lanes.lane("env"):
        pass
    holder.join()
    assert texts == ["this run's write to another app of the environment to end"]


def test_the_page_lists_every_wait_of_the_code() -> None:
    """Whoever sleeps in the code of a run is in the table, and each row's tests are there."""
    assert waits() in PAGE.read_text(encoding="utf-8"), "run: python -m tests.executor.fault_cases"
    sleeping = set()
    for path in (ROOT / "migrator").rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("migrator/simulator/") and any(map(_sleeps, ast.walk(ast.parse(path.read_text())))):
            sleeping.add(name)
    listed = {place for row in WAITS for place in row.where}
    assert sleeping - set(SLEEPS) == listed
    assert set(SLEEPS) <= sleeping
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("*.py"))
    for row in WAITS:
        for test in row.tests:
            function, _, case = test.partition("[")
            assert f"def {function}(" in sources, test
            assert not case or f'"{case.rstrip("]")}"' in sources, test


_BLOCKING = {"sleep", "acquire"}


def _sleeps(node: Any) -> bool:
    """A call of a clock's `sleep`, or one that takes a lock."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _BLOCKING
