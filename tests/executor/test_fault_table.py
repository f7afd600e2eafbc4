"""Every fault of the table in `docs/faults.md`, on a cloud of this process: how the run ends, what it says, what is left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.executor import RunResult
from migrator.model import AppState, Plan, settled
from migrator.proof import Status
from migrator.simulator.mishaps.apps import redeployment

from .contracts import shop
from .fault_cases import CASES, PAGE, Case, elsewhere, parts, tables
from .world import KEY, VAULT, app_id, estate, inside, no_values, two_apps

QUICK = {"role_propagation": [0.0, 0.0], "principal_replication": [0.0, 0.0]}
"""So that the first write of a reference is the one that counts, and rules meet it."""


def _rule(rule: dict[str, Any], plan: Plan, body: dict[str, Any]) -> dict[str, Any]:
    """A rule with the names that the plan gives in place of `$...`."""
    names = {
        f"${step.app.rsplit('/', 1)[-1]}": step.change["name"]
        for step in plan.steps
        if step.kind == "vault-secret" and step.app
    }
    text = json.dumps(rule).replace("$vault", VAULT).replace('"$body"', json.dumps(body))
    for place, name in names.items():
        text = text.replace(place, name)
    return dict(json.loads(text))


def _told(result: RunResult) -> str:
    return "\n".join(
        f"{app.error['what']}; {app.error['why']}; {app.error['hint']}" for app in result.apps if app.error
    ).replace("\n", " ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, tmp_path: Path) -> None:
    resources = shop() if case.registries else two_apps()
    with inside(estate(*resources, switches=QUICK), tmp_path) as world:
        names = ("api", "web")
        before, things = {name: settled(world.app(name)) for name in names}, world.resources()
        served = {name: world.app(name)["properties"]["latestRevisionName"] for name in names}
        plan = world.plan()
        azure = world.simulator.azure
        body = redeployment(azure, azure.world.resources[app_id("api").lower()], entry=False)
        made = [world.fault(**_rule(rule, plan, body)) for rule in case.rules]
        began = world.clock.now()
        result = world.executor(propagation=case.propagation, **case.options).apply(plan)
        assert all(fault.seen > fault.skip for fault in made), "a fault did not come up"
        told = _told(result)
        assert result.exit_code == case.code, told
        assert re.search(case.says, told, re.IGNORECASE | re.DOTALL), told
        assert case.limit is None or world.clock.now() - began <= case.limit
        if case.fresh:
            assert world.app(case.fresh)["properties"]["latestRevisionName"] != served[case.fresh]
        # whatever befell api, the other app is done and proven
        assert [app.state for app in result.apps if app.name == "web"] == [AppState.DONE] or case.code != 0
        world.simulator.azure.faults.rules.clear()
        for app in proof.verify(result.run, world.cloud, world.journal, KEY).apps:
            if app.state == AppState.DONE and case.name != "vault-deleted":
                assert app.status is not Status.FAILED, [c for c in app.checks if c.status is Status.FAILED]
        for rule in case.mended:
            world.fault(**rule)
        back = world.executor().rollback(result.run)
        assert back.exit_code == 0, _told(back)
        world.simulator.clock.advance(60)
        for name in names:
            if not (name == "api" and "*" in case.kept):
                _as_before(before[name], settled(world.app(name)), case.kept if name == "api" else ())
        gone = {thing for thing in things - world.resources() if "*" not in case.kept and not _vault_gone(case, thing)}
        assert (gone, world.resources() - things) == (set(), set())
        no_values(tmp_path, told, *(event.text for event in world.events))


def _vault_gone(case: Case, thing: str) -> bool:
    return case.name == "vault-deleted" and thing.startswith(VAULT.lower())


def _as_before(before: dict[str, Any], after: dict[str, Any], kept: tuple[str, ...]) -> None:
    one, other = dict(before), dict(after)
    for name in kept:
        for document in (one, other):
            if name == "template":
                document["properties"] = {**document["properties"], "template": None}
            document.pop(name, None)
    assert one == other


def test_the_page_is_as_the_code_is() -> None:
    head, generated = parts(PAGE.read_text(encoding="utf-8"))
    assert generated == tables(), "run: python -m tests.executor.fault_cases"
    sources = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    for name in elsewhere():
        assert f"def {name}(" in sources
    assert head


def test_a_wait_says_what_it_waits_for(tmp_path: Path) -> None:
    """Operations, throttling, replication: each of them is on the screen while it lasts."""
    with inside(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        world.fault(method="PUT", path="roleAssignments/", mishap="throttled", arguments={"retry_after": 7})
        world.fault(method="PUT", path="userAssignedIdentities/", mishap="identity-slow", times=2)
        assert world.executor().apply(plan).exit_code == 0
        told = {event.text for event in world.events if event.kind == "step-waiting"}
        assert "waits for Azure to carry it out" in told
        assert "waits for the role service to know the new identity" in told
        assert any(re.fullmatch(r"waits for Azure to answer again \(\d+ s\)", text) for text in told), told
