"""Jobs carried through a migration: references, proof by executions, the way back; and the traps on the way."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.executor import RunResult
from migrator.journal import Journal
from migrator.model import AppState, Json, Plan, RunState, is_job, settled
from scanners.model import Secret

from . import contracts
from .jobs import CONNECTION, job, job_id
from .test_sweep import Death, attempt
from .world import KEY, PLANTED, REGISTRY, VAULT, World, app, estate, no_values, running

QUICK = {"role_propagation": [1.0, 3.0], "job_execution": 5.0}
STRIDE = 17
"""Of the instants of death; a prime, so that all parts of a call are met. Every fifth was tried by hand."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(estate(job(), app("bystander"), switches=QUICK), tmp_path) as found:
        yield found
        no_values(tmp_path, *(event.text for event in found.events))


def shown(world: World, name: str = "nightly") -> Json:
    return world.cloud.get_app(job_id(name))


def values(world: World, name: str = "nightly") -> dict[str, Secret | None]:
    return {secret.name: secret.value for secret in world.cloud.get_app_secrets(job_id(name))}


def start(world: World, name: str = "nightly", *, seconds: float = 60.0) -> None:
    """Somebody, or an event, starts an execution; time passes."""
    azure = world.simulator.azure
    from migrator.simulator.apps import executions

    document = azure.world.resources[job_id(name).lower()]
    executions.start(azure, document, None, azure.clock.now())
    world.clock.sleep(seconds)
    azure.settle()


def applied(world: World, **options: Any) -> tuple[Plan, RunResult]:
    plan = world.plan(**options)
    result = world.executor().apply(plan)
    assert result.exit_code == 0, [(a.name, a.error) for a in result.apps]
    assert result.state == RunState.DONE
    return plan, result


def execution_check(world: World, result: RunResult) -> proof.Check:
    (found,) = [a for a in proof.verify(result.run, world.cloud, world.journal, KEY).apps if is_job(a.app)]
    (check,) = [check for check in found.checks if check.name == "execution"]
    return check


def test_a_job_moves_onto_references_and_back(world: World) -> None:
    before, held, things, beside = settled(shown(world)), values(world), world.resources(), world.app("bystander")
    plan, result = applied(world)
    kinds = [step.kind for step in plan.steps if is_job(step.app)]
    assert kinds[0] == "identity-create"
    assert kinds[-2:] == ["app-switch", "app-prove"]
    assert {step.permission for step in plan.steps if step.kind in {"app-switch", "identity-attach"}} == {
        "Microsoft.App/jobs/write"
    }
    after = shown(world)
    assert not any(value in str(after) for value in PLANTED.values())
    secrets = {secret.name: secret for secret in world.cloud.get_app_secrets(job_id("nightly"))}
    assert secrets[CONNECTION].key_vault_url
    assert secrets["other"].key_vault_url is None
    (env,) = [e for e in after["properties"]["template"]["containers"][0]["env"] if e["name"] == "DB"]
    assert secrets[env["secretRef"]].value == Secret(PLANTED["database"])
    rule = after["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]
    assert rule == before["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]
    assert world.app("bystander") == beside

    back = world.executor().rollback(result.run)
    assert back.exit_code == 0, back
    assert settled(shown(world)) == before
    assert values(world) == held
    assert world.resources() == things


def test_a_job_is_unproven_until_an_execution_succeeds(world: World) -> None:
    start(world)
    _, result = applied(world)
    (entry,) = [a for a in result.apps if is_job(a.app)]
    assert entry.proven is False, "an execution before the change proves nothing"
    assert any("unproven until the next execution" in event.text for event in world.events)
    check = execution_check(world, result)
    assert (check.status, check.text) == (proof.Status.UNPROVEN, "no execution has run since the change")
    world.clock.sleep(5)
    start(world)
    assert execution_check(world, result).status is proof.Status.OK


def test_an_execution_that_fails_since_the_change_is_told(world: World) -> None:
    start(world)
    _, result = applied(world)
    world.simulator.azure.world.table("needs")[job_id("nightly").lower()] = [{"env": "DB", "value": "another"}]
    world.clock.sleep(5)
    start(world)
    assert execution_check(world, result).status is proof.Status.FAILED


def test_a_job_that_failed_before_is_not_blamed_on_the_change(world: World) -> None:
    world.simulator.azure.world.table("needs")[job_id("nightly").lower()] = [{"env": "DB", "value": "another"}]
    start(world)
    _, result = applied(world)
    world.clock.sleep(5)
    start(world)
    check = execution_check(world, result)
    assert check.status is proof.Status.UNPROVEN
    assert "as the last one before the change did" in check.text


def test_history_stays_in_the_rest_risk(world: World) -> None:
    start(world)
    plan = world.plan()
    (name,) = world.simulator.azure.world.table("executions")[job_id("nightly").lower()]
    (risk,) = [risk for risk in plan.rest_risk if f"/executions/{name}" in risk["where"]]
    assert risk["what"] == "shows DB, SHARED in plain text to every Reader; no execution can be deleted"
    assert risk["until"] == "the value is rotated"
    assert [note["kind"] for note in plan.notes if is_job(note["app"])].count("job") == 1


def test_an_outside_change_is_stale(world: World) -> None:
    plan = world.plan()
    body = {"properties": {"configuration": {"replicaTimeout": 61}}}
    world.cloud.patch_app(job_id("nightly"), body, lambda _url: None)
    result = world.executor().apply(plan)
    assert result.exit_code == 11
    (entry,) = [a for a in result.apps if is_job(a.app)]
    assert entry.state == AppState.STALE
    assert PLANTED["database"] in str(shown(world)), "nothing of it was changed"


def test_rollback_needs_no_vault(world: World) -> None:
    before = settled(shown(world))
    _, result = applied(world)
    world.fault(plane="vault", status=503, times=10_000)
    world.simulator.azure.world.resources[VAULT.lower()]["properties"]["publicNetworkAccess"] = "Disabled"
    world.executor().rollback(result.run)
    assert settled(shown(world))["properties"] == before["properties"]


def test_a_job_beside_an_app_of_its_name(tmp_path: Path) -> None:
    twin = app("nightly", {"DB": PLANTED["database"]})
    with running(estate(job(), twin, switches=QUICK), tmp_path) as world:
        plan, _ = applied(world)
        assert len({step.id for step in plan.steps}) == len(plan.steps)
        made = {step.target for step in plan.steps if step.kind == "identity-create"}
        assert len(made) == 2, "an identity of its own for each"
        assert not any(value in str([shown(world), world.app("nightly")]) for value in PLANTED.values())


def test_a_registry_of_a_job_is_read_with_its_identity(tmp_path: Path) -> None:
    registry = {
        "id": REGISTRY,
        "name": "acrshop",
        "type": "Microsoft.ContainerRegistry/registries",
        "location": "westeurope",
        "sku": {"name": "Basic"},
        "properties": {"adminUserEnabled": True, "loginServer": "acrshop.azurecr.io"},
    }
    pulls = job(
        registries=[{"server": "acrshop.azurecr.io", "username": "acrshop", "passwordSecretRef": "other"}],
        template={"containers": [{"name": "main", "image": "acrshop.azurecr.io/app:1"}]},
    )
    with running(estate(registry, pulls, switches=QUICK), tmp_path) as world:
        before = settled(shown(world))
        _, result = applied(world)
        (entry,) = shown(world)["properties"]["configuration"]["registries"]
        assert entry["identity"]
        assert not entry["passwordSecretRef"]
        world.clock.sleep(5)
        start(world)
        assert execution_check(world, result).status is proof.Status.OK, "the image was pulled with the identity"
        world.executor().rollback(result.run)
        assert settled(shown(world)) == before


# Traps


def test_a_rule_that_names_a_secret_that_is_not_there_hinders_nothing(tmp_path: Path) -> None:
    auth = [{"secretRef": "nowhere", "triggerParameter": "connection"}]
    dangling = job("dangling")
    dangling["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]["auth"] = auth
    web = app("web", {"DB": PLANTED["database"]})
    web["properties"]["template"]["scale"]["rules"] = [
        {"name": "q", "custom": {"type": "azure-servicebus", "metadata": {"queueName": "q"}, "auth": auth}}
    ]
    with running(estate(dangling, web, switches=QUICK), tmp_path) as world:
        applied(world)
        rules = shown(world, "dangling")["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"]
        assert rules[0]["auth"] == auth
        assert world.app("web")["properties"]["template"]["scale"]["rules"][0]["custom"]["auth"] == auth


def test_a_volume_without_a_list_keeps_new_secrets_out(tmp_path: Path) -> None:
    mounted = job(template={"volumes": [{"name": "all", "storageType": "Secret"}]})
    with running(estate(mounted, switches=QUICK), tmp_path) as world:
        plan = world.plan()
        told = {entry["code"]: entry for entry in plan.skipped}
        assert "secret-volume" in told
        assert "az containerapp job update" in told["secret-volume"]["hint"]
        (switch,) = [step for step in plan.steps if step.kind == "app-switch"]
        assert [secret["name"] for secret in switch.change["secrets"]] == [CONNECTION], "a name that is there may stay"


def test_a_variable_that_the_rule_reads_is_left_alone(tmp_path: Path) -> None:
    reads = job()
    rule = reads["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]
    rule["metadata"]["connectionFromEnv"] = "DB"
    with running(estate(reads, switches=QUICK), tmp_path) as world:
        plan = world.plan()
        (entry,) = [entry for entry in plan.skipped if entry["code"] == "scale-rule-env"]
        assert entry["finding"]["location"]["name"] == "DB"


def test_a_system_identity_made_again_is_another_principal(tmp_path: Path) -> None:
    with running(estate(job(), switches=QUICK), tmp_path) as world:
        _, first = applied(world, identity="system")
        principal = shown(world)["identity"]["principalId"]
        assert world.executor().rollback(first.run).exit_code == 0
        assert shown(world)["identity"]["type"] == "None"
        _, second = applied(world, identity="system")
        assert shown(world)["identity"]["principalId"] != principal
        assert second.run != first.run
        roles = world.simulator.azure.world.table("assignments").values()
        assert principal not in str(list(roles)), "no role of the dead principal"


def test_an_app_of_the_estate_beside_a_job_is_still_an_app(tmp_path: Path) -> None:
    with running(estate(job(), app("web", {"DB": PLANTED["database"]}), switches=QUICK), tmp_path) as world:
        plan, result = applied(world)
        proven = {entry.name: entry.proven for entry in result.apps}
        assert proven == {"nightly": False, "web": True}
        (item,) = [step for step in plan.steps if step.kind == "vault-secret" and not step.app]
        assert item.change["fingerprint"] == KEY.of(PLANTED["database"]), "one value of two, moved once"


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_dead_at_any_instant_of_a_job(tmp_path: Path, way: str) -> None:
    with running(estate(job(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        before, things = settled(shown(world)), world.resources()
        kept = copy.deepcopy(world.simulator.world.tables)

        def case(at: int) -> int:
            with world.simulator.azure.lock:
                world.simulator.world.tables = copy.deepcopy(kept)
            for path in tmp_path.glob("keylift.db*"):
                path.unlink()
            death = Death(at)
            attempt(world, death, lambda executor: executor.apply(plan))
            with Journal.open(tmp_path / "keylift.db") as journal:
                begun = bool(journal.runs())
            if begun:
                attempt(world, Death(at // 3 + 2), lambda executor: getattr(executor, way)("latest"))
                last = attempt(world, Death(0), lambda executor: getattr(executor, way)("latest"))
                assert last.exit_code == 0, (at, [entry.error for entry in last.apps])
            if way == "rollback" or not begun:
                assert settled(shown(world)) == before, at
                assert world.resources() == things, at
            else:
                assert not any(value in str(shown(world)) for value in PLANTED.values()), at
            return death.instants

        for at in range(1, case(0), STRIDE):
            case(at)
        no_values(tmp_path)


def test_an_unused_secret_of_a_job_is_removed_once_an_execution_proved_it(tmp_path: Path) -> None:
    pulls = job(
        registries=[{"server": "acrshop.azurecr.io", "username": "acrshop", "passwordSecretRef": "acr"}],
        template={"containers": [{"name": "main", "image": "acrshop.azurecr.io/app:1"}]},
        secrets=[
            {"name": CONNECTION, "value": PLANTED["client"]},
            {"name": "acr", "value": contracts.PASSWORD},
            {"name": "unused", "value": "nobody-reads-it"},
        ],
    )
    with running(estate(contracts.registry(), pulls, switches=QUICK), tmp_path) as world:
        _, result = applied(world)
        early = contracts.finalize(world, result.run)
        assert early.steps == ()
        assert any("no execution has run since the change" in entry["reason"] for entry in early.skipped)
        world.clock.sleep(5)
        start(world)
        contract = contracts.finalize(world, result.run)
        removal = contract.steps[-1]
        assert (removal.kind, removal.permission) == ("secret-remove", "Microsoft.App/jobs/write")
        assert [entry["name"] for entry in removal.change["secrets"]] == ["unused"]
        assert not any(step.kind == "revision-deactivate" for step in contract.steps)
        done = world.executor().apply(contract, point_of_no_return=True)
        assert done.exit_code == 0, [(a.name, a.error) for a in done.apps]

        assert "unused" not in values(world)
        assert "registry-admin-off" in [step.kind for step in contract.steps], "the job pulls with its identity"
