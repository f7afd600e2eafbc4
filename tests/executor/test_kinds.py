"""Step kinds where Azure's ways differ: identity maps, revision modes, shared values, registries, access that is late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.executor import RunResult
from migrator.model import AppState, Json, settled
from scanners.model import Secret

from .world import GROUP, KEY, PLANTED, REGISTRY, VAULT, World, app, app_id, copied, estate, no_values, running

QUICK = {"role_propagation": [1.0, 3.0]}
OTHER = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-other"


def whole(world: World, *names: str) -> dict[str, Any]:
    return {name: (settled(world.app(name)), world.values(name)) for name in names}


def why(result: RunResult, name: str) -> str:
    error = next(app.error for app in result.apps if app.name == name)
    assert error is not None
    return f"{error['what']}: {error['why']} | {error['hint']}"


@pytest.mark.parametrize("identity_map", ["merge", "replace"])
@pytest.mark.parametrize("choice", ["user", "system"])
@pytest.mark.parametrize(
    "had",
    [
        None,
        {"type": "SystemAssigned"},
        {"type": "UserAssigned", "userAssignedIdentities": {OTHER: {}}},
        {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {OTHER: {}}},
    ],
)
def test_identities_come_and_go_under_both_semantics(
    tmp_path: Path, identity_map: str, choice: str, had: Json | None
) -> None:
    document = app("api", {"DB": PLANTED["database"]})
    if had:
        document["identity"] = had
    with running(estate(document, switches={**QUICK, "identity_map": identity_map}), tmp_path) as world:
        before, things = whole(world, "api"), world.resources()
        principal = world.app("api")["identity"].get("principalId")
        plan = world.plan(identity=choice)
        result = world.executor().apply(plan)
        assert result.exit_code == 0, why(result, "api")
        kinds = set(world.app("api")["identity"]["type"].replace(" ", "").split(","))
        assert kinds >= set((had or {"type": "None"})["type"].split(",")) - {"None"}
        assert world.app("api")["identity"].get("principalId") == principal or principal is None
        assert world.executor().rollback(result.run).exit_code == 0
        after = whole(world, "api")
        assert after == before
        assert world.resources() == things


@pytest.mark.parametrize(
    "traffic",
    [
        [{"latestRevision": True, "weight": 100}],
        [{"latestRevision": True, "weight": 100, "label": "live"}],
        "named",
        "both",
    ],
)
def test_traffic_moves_only_after_proof(tmp_path: Path, traffic: list[Json] | str) -> None:
    with running(estate(app("api", {"DB": PLANTED["database"]}, mode="Multiple"), switches=QUICK), tmp_path) as world:
        old = world.app("api")["properties"]["latestRevisionName"]
        if traffic == "named":
            wanted: list[Json] = [{"revisionName": old, "weight": 100}]
        elif traffic == "both":
            wanted = [{"revisionName": old, "weight": 30}, {"latestRevision": True, "weight": 70}]
        else:
            assert isinstance(traffic, list)
            wanted = traffic
        world.patch("api", {"properties": {"configuration": {"ingress": {"traffic": wanted}}}})
        before = whole(world, "api")
        weights: list[tuple[str, Any]] = []

        def listen(event: Any) -> None:
            world.events.append(event)
            if event.kind == "step-done" and event.step.endswith(("app-switch", "app-prove", "traffic-shift")):
                shown = world.cloud.list_revisions(app_id("api"))
                weights.append((event.step, {r["name"]: r["properties"]["trafficWeight"] for r in shown}))

        result = world.executor(on_event=listen).apply(world.plan())
        assert result.exit_code == 0, why(result, "api")
        new = world.app("api")["properties"]["latestRevisionName"]
        assert new != old
        seen = dict(weights)
        assert seen["api/app-switch"] == {old: 100, new: 0}
        assert seen["api/app-prove"] == {old: 100, new: 0}
        assert seen["api/traffic-shift"][new] == (70 if traffic == "both" else 100)
        assert world.executor().rollback(result.run).exit_code == 0
        after = whole(world, "api")
        if traffic == "named":
            assert [
                e["revisionName"] for e in world.app("api")["properties"]["configuration"]["ingress"]["traffic"]
            ] == [old]
        assert after == before


def test_a_failing_new_revision_gets_no_traffic(tmp_path: Path) -> None:
    document = app("api", {"DB": PLANTED["database"]}, mode="Multiple")
    with running(estate(document, switches=QUICK), tmp_path) as world:
        before, plan = whole(world, "api"), world.plan()
        old = world.app("api")["properties"]["latestRevisionName"]
        needs = world.simulator.world.table("needs")
        needs[app_id("api").lower()] = [{"env": "DB", "value": "another"}]
        weights: list[int] = []

        def listen(event: Any) -> None:
            world.events.append(event)
            if event.kind == "app-failed":
                needs.clear()  # the old template is good
            shown = world.cloud.list_revisions(app_id("api"))
            weights.append(sum(r["properties"]["trafficWeight"] for r in shown if r["name"] != old))

        result = world.executor(on_event=listen).apply(plan)
        assert result.exit_code == 12
        assert whole(world, "api") == before
        failed = next(i for i, event in enumerate(world.events) if event.kind == "app-failed")
        assert set(weights[:failed]) == {0}


def test_one_value_of_several_apps_is_one_secret(tmp_path: Path) -> None:
    names = ("one", "two", "three")
    apps = [app("one", {"TOKEN": PLANTED["shared"]}), app("two", None, {"token": PLANTED["shared"]})]
    apps.append(app("three", {"OTHER": PLANTED["shared"]}, init={"TOKEN": PLANTED["shared"]}))
    with running(estate(*apps, switches=QUICK), tmp_path) as world:
        before, things = whole(world, *names), world.resources()
        plan = world.plan()
        (shared,) = (step for step in plan.steps if not step.app)
        result = world.executor().apply(plan)
        assert result.exit_code == 0, result
        uri, secret = shared.change["vault_uri"], shared.change["name"]
        versions = world.cloud.describe_secret(uri, secret)
        world.executor().rollback(result.run, apps=("one", "two"))
        kept = world.cloud.describe_secret(uri, secret)
        assert kept == versions  # `three` still stands on it
        assert kept is not None
        assert kept.enabled
        assert proof.verify(result.run, world.cloud, world.journal, KEY).ok
        world.executor().rollback(result.run)
        gone = world.cloud.describe_secret(uri, secret)
        assert gone is not None
        assert not gone.enabled
        assert whole(world, *names) == before
        assert world.resources() == things


def test_a_shared_step_that_fails_stops_all_that_wait_for_it(tmp_path: Path) -> None:
    apps = [app("one", {"TOKEN": PLANTED["shared"]}), app("two", {"TOKEN": PLANTED["shared"]})]
    apps.append(app("alone", {"DB": PLANTED["database"]}))
    with running(estate(*apps, switches=QUICK), tmp_path) as world:
        plan, before = world.plan(), whole(world, "one", "two")
        world.fault(method="PUT", plane="vault", path="shared", status=403, code="Forbidden", times=10**6)
        result = world.executor().apply(plan)
        assert result.exit_code == 12
        states = {app.name: app.state for app in result.apps}
        assert states == {"one": AppState.ROLLED_BACK, "two": AppState.ROLLED_BACK, "alone": AppState.DONE}
        assert "shared/vault-secret" in why(result, "two")
        assert whole(world, "one", "two") == before


REGISTRY_DOCUMENT = {
    "id": REGISTRY,
    "name": "acrshop",
    "type": "Microsoft.ContainerRegistry/registries",
    "location": "westeurope",
    "sku": {"name": "Basic"},
    "properties": {"adminUserEnabled": True, "loginServer": "acrshop.azurecr.io"},
}


def test_a_late_right_to_pull_is_waited_for(tmp_path: Path) -> None:
    """The platform tries a refused pull again, and the role is on its way: nothing is undone for that.

    The role at the vault, which the write itself waits for, is in effect long before.
    """
    document = app("worker", None, {"acr-password": "Canary4-registry-password-1234567890"}, ingress=False)
    entry = {"server": "acrshop.azurecr.io", "username": "acrshop", "passwordSecretRef": "acr-password"}
    document["properties"]["configuration"]["registries"] = [entry]
    document["properties"]["template"]["containers"][0]["image"] = "acrshop.azurecr.io/worker:1"
    with running(estate(copied(REGISTRY_DOCUMENT), document, switches=QUICK), tmp_path) as world:
        before, plan = whole(world, "worker"), world.plan()

        def listen(event: Any) -> None:
            world.events.append(event)
            if event.kind == "step-done" and event.step.endswith("role-assignment/acrshop.azurecr.io"):
                for held in world.simulator.world.table("assignments").values():
                    if held["scope"].lower() == REGISTRY.lower():
                        held["effective"] = world.clock.now() + 400

        result = world.executor(on_event=listen).apply(plan)
        assert result.exit_code == 0, why(result, "worker")
        assert any("right to pull to take effect" in event.text for event in world.events)
        assert world.executor().rollback(result.run).exit_code == 0
        assert whole(world, "worker") == before


def test_a_registry_is_pulled_from_with_the_identity(tmp_path: Path) -> None:
    registry = copied(REGISTRY_DOCUMENT)
    password = {"name": "acr-password", "value": "Canary4-registry-password-1234567890"}
    document = app("api", {"DB": PLANTED["database"]}, {password["name"]: password["value"]})
    configuration = document["properties"]["configuration"]
    configuration["registries"] = [
        {"server": "acrshop.azurecr.io", "username": "acrshop", "passwordSecretRef": "acr-password"}
    ]
    document["properties"]["template"]["containers"][0]["image"] = "acrshop.azurecr.io/api:1"
    only = app("worker", None, {password["name"]: password["value"]}, ingress=False)
    only["properties"]["configuration"]["registries"] = list(configuration["registries"])
    only["properties"]["template"]["containers"][0]["image"] = "acrshop.azurecr.io/worker:1"
    with running(estate(registry, document, only, switches=QUICK), tmp_path) as world:
        before, things, plan = whole(world, "api", "worker"), world.resources(), world.plan()
        assert any(step.change.get("registries") for step in plan.steps)
        result = world.executor().apply(plan)
        assert result.exit_code == 0, result
        for name in ("api", "worker"):
            (entry,) = world.app(name)["properties"]["configuration"]["registries"]
            assert entry["identity"]
            assert not entry["passwordSecretRef"]
            assert not entry["username"]
        assert world.app("worker")["properties"]["latestRevisionName"].startswith("worker--kl-")
        assert proof.verify(result.run, world.cloud, world.journal, KEY).ok
        assert world.executor().rollback(result.run).exit_code == 0
        assert whole(world, "api", "worker") == before
        assert world.resources() == things


def test_scaled_to_zero_is_unproven(tmp_path: Path) -> None:
    with running(estate(app("api", {"DB": PLANTED["database"]}, minimum=0), switches=QUICK), tmp_path) as world:
        asleep = world.cloud

        class Asleep:
            """The cloud, whose revisions rest at zero replicas."""

            def __getattr__(self, name: str) -> Any:
                found = getattr(asleep, name)
                if name == "list_replicas":
                    return lambda _app, _revision: ()
                if name == "get_revision":

                    def revision(app: str, called: str) -> Json:
                        document: Json = found(app, called)
                        document["properties"] |= {"runningState": "ScaledToZero", "replicas": 0}
                        return document

                    return revision
                return found

        result = world.executor(cloud=Asleep()).apply(world.plan())
        assert result.exit_code == 0
        assert not result.apps[0].proven
        assert any("unproven" in event.text for event in world.events if event.kind == "app-done")
        assert not world.journal.runs()[0]["apps"][app_id("api").lower()]["proven"]
        found = proof.verify(result.run, Asleep(), world.journal, KEY)
        assert found.apps[0].status is proof.Status.UNPROVEN
        assert found.ok


def test_late_access_is_waited_for(tmp_path: Path) -> None:
    """Fourteen minutes were measured; nothing is refused in between."""
    switches = {"role_propagation": [840.0, 884.0]}
    with running(estate(app("api", {"DB": PLANTED["database"]}), switches=switches), tmp_path) as world:
        result = world.executor().apply(world.plan())
        assert result.exit_code == 0
        assert any("access to take effect" in event.text for event in world.events)
        assert not any("access" in event.text for event in world.journal.events(result.run))


def _never(_world: World, _uri: str) -> None:
    """The role never takes effect."""


def _disabled(world: World, uri: str) -> None:
    found = world.cloud.describe_secret(uri, "api-db")
    assert found is not None
    assert found.version is not None
    world.cloud.update_secret(uri, "api-db", found.version, enabled=False)


def _empty(world: World, uri: str) -> None:
    world.cloud.set_secret(uri, "api-db", Secret(""), {})


def _policies(world: World, _uri: str) -> None:
    world.simulator.world.resources[VAULT.lower()]["properties"]["enableRbacAuthorization"] = False


def _closed(world: World, _uri: str) -> None:
    world.simulator.world.resources[VAULT.lower()]["properties"]["publicNetworkAccess"] = "Disabled"


def _role_gone(world: World, _uri: str) -> None:
    for held in world.cloud.list_assignments(f"{VAULT}/secrets/api-db"):
        if held.scope.lower().endswith("/secrets/api-db"):
            world.cloud.delete_assignment(held.id)


@pytest.mark.parametrize(
    ("meddle", "cause", "command", "at_once"),
    [
        (_never, "not in effect yet", "keylift apply", False),
        (_disabled, "is disabled", "az keyvault secret set-attributes", True),
        (_empty, "is empty", "az keyvault secret set", True),
        (_policies, "access policies", "az keyvault set-policy", True),
        (_closed, "public access is off", "az keyvault network-rule", True),
        (_role_gone, "has no role", "az role assignment create", True),
    ],
)
def test_the_one_cause_is_named(
    tmp_path: Path, meddle: Callable[[World, str], None], cause: str, command: str, at_once: bool
) -> None:
    switches = {"role_propagation": [3000.0, 3000.0]}
    with running(estate(app("api", {"DB": PLANTED["database"]}), switches=switches), tmp_path) as world:
        before, plan = whole(world, "api"), world.plan()
        (written,) = (step for step in plan.steps if step.kind == "vault-secret")
        began: list[float] = []

        def listen(event: Any) -> None:
            world.events.append(event)
            if event.kind == "step-waiting" and "access to take effect" in event.text and not began:
                began.append(world.clock.now())
                meddle(world, written.change["vault_uri"])

        result = world.executor(on_event=listen).apply(plan)
        assert result.exit_code == 12
        assert cause in why(result, "api")
        assert command in why(result, "api")
        waited = world.clock.now() - began[0]
        assert (waited < 300) == at_once, waited
        assert whole(world, "api") == before
        no_values(tmp_path, why(result, "api"))


def test_a_new_version_over_another_value_is_taken_back(tmp_path: Path) -> None:
    held = [{"vault": "kv-shop", "name": "api-db", "value": "an older value of somebody else", "tags": {"mine": "1"}}]
    document = estate(app("api", {"DB": PLANTED["database"]}), vaultSecrets=held, switches=QUICK)
    with running(document, tmp_path) as world:
        plan = world.plan(on_conflict="new-version")
        (written,) = (step for step in plan.steps if step.kind == "vault-secret")
        uri = written.change["vault_uri"]
        assert written.undo == {"restore": True}
        result = world.executor().apply(plan)
        assert result.exit_code == 0, why(result, "api")
        now = world.cloud.get_secret(uri, "api-db")
        assert now is not None
        assert now[0] == Secret(PLANTED["database"])
        world.clock.sleep(5)
        assert world.executor().rollback(result.run).exit_code == 0
        back = world.cloud.get_secret(uri, "api-db")
        assert back is not None
        assert back[0] == Secret("an older value of somebody else")
        assert back[1].tags == {"mine": "1"}
        versions = world.executor().rollback(result.run)
        assert versions.exit_code == 0
        assert world.cloud.get_secret(uri, "api-db") == back


def test_proof_sees_what_came_undone(tmp_path: Path) -> None:
    with running(estate(app("api", {"DB": PLANTED["database"]}), switches=QUICK), tmp_path) as world:
        result = world.executor().apply(world.plan())
        _role_gone(world, "")
        document = world.app("api")
        containers = document["properties"]["template"]["containers"]
        containers[0]["resources"].pop("ephemeralStorage", None)
        containers[0]["env"].append({"name": "AGAIN", "value": PLANTED["database"]})
        world.patch("api", {"properties": {"template": {"containers": containers, "revisionSuffix": None}}})
        found = proof.verify(result.run, world.cloud, world.journal, KEY)
        assert not found.ok
        assert found.exit_code == 13
        failed = {check.name for check in found.apps[0].checks if check.status is proof.Status.FAILED}
        assert failed == {"role", "plaintext"}
        no_values(tmp_path, str(found.as_dict()))
