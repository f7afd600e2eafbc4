"""Dapr components under `--passwordless apply`: the key leaves the metadata, every app that loads it gets the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator import planner
from migrator.model import DataRole
from migrator.planning.options import Options
from migrator.proposing import with_targets
from migrator.rehearsal import rehearse
from migrator.rehearsal_stage import Source
from scanners.model import AzureLocation, Confidence, Finding, Secret, Severity, preview
from tests.executor import world

from .test_apply import BUS, GROUP, KEY, bus, planned, steps

COMPONENT = f"{world.ENVIRONMENT}/daprComponents/orders"
ENVIRONMENT = {
    "id": world.ENVIRONMENT,
    "location": "westeurope",
    "properties": {"daprConfiguration": {"version": "1.14.4"}},
}
OWN = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared"


def loader(name: str, identity: dict[str, Any] | None = None) -> dict[str, Any]:
    found = world.app(name, configuration={"dapr": {"enabled": True, "appId": name, "appPort": 80}})
    found["identity"] = identity or {"type": "UserAssigned", "userAssignedIdentities": {OWN: {}}}
    return found


def component(
    metadata: list[dict[str, Any]], kind: str = "pubsub.azure.servicebus.topics", **more: Any
) -> dict[str, Any]:
    return {
        "id": COMPONENT,
        "properties": {"componentType": kind, "version": "v1", "metadata": metadata, "scopes": ["one", "two"], **more},
    }


PLAIN = [{"name": "connectionString", "value": BUS}, {"name": "consumerID", "value": "orders"}]
BY_SECRET = [{"name": "connectionString", "secretRef": "bus"}]


def apps() -> list[dict[str, Any]]:
    return [ENVIRONMENT, loader("one"), loader("two"), bus()]


def shown(live: world.World) -> dict[str, Any]:
    properties = live.cloud.get_part(COMPONENT)["properties"]
    return {entry["name"]: entry.get("value") or entry.get("secretRef") for entry in properties["metadata"]}


def values(live: world.World) -> dict[str, Any]:
    return {secret.name: secret.value for secret in live.cloud.get_app_secrets(COMPONENT)}


@pytest.mark.parametrize("metadata", [PLAIN, BY_SECRET])
def test_the_key_leaves_the_metadata_and_comes_back(tmp_path: Path, metadata: list[dict[str, Any]]) -> None:
    secrets: dict[str, Any] = {"secrets": [{"name": "bus", "value": BUS}]} if metadata is BY_SECRET else {}
    with world.inside(world.estate(*apps(), component(metadata, **secrets)), tmp_path) as live:
        before, kept, things = shown(live), values(live), live.resources()
        plan = planned(live, tmp_path, {}, planted=[])
        assert steps(plan) == ["role-assignment", "role-assignment", "access-wait", "part-switch", "part-prove"]
        assert KEY not in plan.to_json()
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        after = shown(live)
        # the full host name, the one identity all have, and nothing of the key: a key that is left wins
        assert after["namespaceName"] == "ns1.servicebus.windows.net"
        client = live.cloud.get_identity(OWN)
        assert client is not None
        assert after["azureClientId"] == client["properties"]["clientId"]
        assert "connectionString" not in after
        assert BUS not in str(live.cloud.get_part(COMPONENT))
        assert executor.rollback(result.run).exit_code == 0
        assert shown(live) == before
        assert values(live) == kept
        assert live.resources() == things


def test_a_right_that_components_of_other_apps_need_stays_until_the_last_goes_back(tmp_path: Path) -> None:
    """Both sign in as one identity: taken back with the first, the right would be missing for the other."""
    first, second = component(PLAIN, scopes=["one"]), component(PLAIN, scopes=["two"])
    second["id"] = f"{world.ENVIRONMENT}/daprComponents/other"
    with world.inside(world.estate(*apps(), first, second), tmp_path) as live:
        things = live.resources()
        plan = planned(live, tmp_path, {}, planted=[])
        rights = [step for step in plan.steps if step.kind == "role-assignment"]
        assert len({step.change["role"] for step in rights}) == len(rights)
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        given = live.resources()
        assert executor.rollback(result.run, [world.app_id("one")]).exit_code == 0
        assert live.resources() == given
        assert executor.rollback(result.run, [world.app_id("two")]).exit_code == 0
        assert live.resources() == things


def test_a_component_that_changed_is_left_alone(tmp_path: Path) -> None:
    with world.inside(world.estate(*apps(), component(PLAIN)), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[])
        properties = live.cloud.get_part(COMPONENT)["properties"]
        changed = {**properties, "scopes": ["one"]}
        live.cloud.put_part(COMPONENT, {"properties": changed}, lambda _url: None)
        result = live.executor().apply(plan)
        assert result.exit_code == 11
        assert shown(live)["connectionString"] == BUS


def test_apps_without_an_identity_in_common_keep_the_key(tmp_path: Path) -> None:
    estranged = [ENVIRONMENT, loader("one"), loader("two", {"type": "SystemAssigned"}), bus(), component(PLAIN)]
    with world.inside(world.estate(*estranged), tmp_path) as live:
        assert steps(planned(live, tmp_path, {}, planted=[])) == []


def test_a_rehearsal_meets_every_fault(tmp_path: Path) -> None:
    with world.inside(world.estate(*apps(), component(PLAIN)), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[])
        held = rehearse(Source(plan, live.read(), world.KEY))
        assert held.ok, (held.problems, [trial for trial in held.trials if not trial.survived])


CACHE: dict[str, Any] = {
    "id": f"{GROUP}/providers/Microsoft.Cache/redis/r1",
    "location": "westeurope",
    "properties": {"hostName": "r1.redis.cache.windows.net", "redisConfiguration": {"aad-enabled": "true"}},
}
REDIS = [
    {"name": "redisHost", "value": "r1.redis.cache.windows.net:6380"},
    {"name": "redisPassword", "value": KEY},
    {"name": "redisUsername", "value": "default"},
    {"name": "enableTLS", "value": "true"},
]


def test_redis_gets_an_access_policy_and_loses_its_user_name(tmp_path: Path) -> None:
    """With useEntraID a redisUsername that is left is an error; no role of Azure opens the data plane."""
    parts = [ENVIRONMENT, loader("one"), loader("two"), CACHE, component(REDIS, "state.redis")]
    with world.inside(world.estate(*parts), tmp_path) as live:
        before = shown(live)
        plan = planned(live, tmp_path, {}, planted=[])
        assert steps(plan)[:1] == ["data-role"]
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        assert {"redisPassword", "redisUsername"} & set(shown(live)) == set()
        assert shown(live)["useEntraID"] == "true"
        (held,) = live.cloud.list_data_roles("redis", CACHE["id"])
        assert held.role == "Data Contributor"
        assert executor.rollback(result.run).exit_code == 0
        assert shown(live) == before
        assert live.cloud.list_data_roles("redis", CACHE["id"]) == ()


def test_what_was_assigned_before_is_adopted_and_stays(tmp_path: Path) -> None:
    parts = [ENVIRONMENT, loader("one"), loader("two"), CACHE, component(REDIS, "state.redis")]
    with world.inside(world.estate(*parts), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[])
        (role,) = [step for step in plan.steps if step.kind == "data-role"]
        theirs = live.cloud.data_role_id("redis", CACHE["id"], "theirs")
        principal = role.change["principal_id"]
        live.cloud.put_data_role(
            "redis", DataRole(theirs, role.change["role"], principal, CACHE["id"]), lambda _u: None
        )
        executor = live.executor()
        result = executor.apply(plan)
        assert live.journal.steps(result.run)[role.id].state == "adopted"
        assert executor.rollback(result.run).exit_code == 0
        assert [one.id for one in live.cloud.list_data_roles("redis", CACHE["id"])] == [theirs]


def _found(resource: str, path: str, name: str, value: str = KEY) -> Finding:
    place = AzureLocation(resource, path, name)
    return Finding(
        "planted", "planted", Severity.HIGH, Confidence.HIGH, place, world.KEY.of(value), preview(Secret(value))
    )


def test_a_key_that_gives_way_is_not_among_what_is_skipped(tmp_path: Path) -> None:
    """But what else the component holds is, and a secret that other metadata takes, and the same key elsewhere."""
    metadata = [
        {"name": "ConnectionString", "secretRef": "bus"},
        {"name": "consumerID", "secretRef": "shared"},
        {"name": "azureClientSecret", "secretRef": "shared"},
    ]
    secrets = [{"name": "bus", "value": BUS}, {"name": "shared", "value": "Canary7-kT9vQ2xZ7mLw4pRs"}]
    other = component([{"name": "connectionString", "value": BUS}], "state.mongodb")
    other["id"] = f"{world.ENVIRONMENT}/daprComponents/other"
    with world.inside(world.estate(*apps(), component(metadata, secrets=secrets), other), tmp_path) as live:
        found = with_targets(live.session, live.read(), None)
        gone = [
            _found(COMPONENT.upper(), "properties.secrets[0].value", "bus"),
            _found(COMPONENT, "properties.metadata[0].value", "connectionString"),
            _found(COMPONENT, "properties.metadata[2].value", "azureClientSecret"),
        ]
        left = [
            _found(COMPONENT, "properties.secrets[1].value", "shared"),
            _found(COMPONENT, "properties.metadata[1].value", "consumerID"),
            _found(f"{world.ENVIRONMENT}/daprComponents/other", "properties.metadata[0].value", "connectionString"),
        ]
        plan = planner.plan(found, [*gone, *left], Options(world.VAULT, passwordless="apply"), world.KEY)
        assert [step.kind for step in plan.steps].count("part-switch") == 1
        assert sorted(entry["finding"]["location"]["path"] for entry in plan.skipped) == [
            "properties.metadata[0].value",
            "properties.metadata[1].value",
            "properties.secrets[1].value",
        ]
        advised = planner.plan(found, [*gone, *left], Options(world.VAULT), world.KEY)
        assert len(advised.skipped) == 6
