"""What somebody makes of a finished run is found, named, and told with who did it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator import drift
from migrator.cloud import reading
from migrator.drift import Drift
from migrator.model import Json
from migrator.output import _drift

from .world import GROUP, KEY, PLANTED, VAULT, World, app_id, estate, no_values, running, two_apps

IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
TOOL = {"name": "keylift", "version": "1"}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(estate(*two_apps(), switches={"role_propagation": [1.0, 3.0]}), tmp_path) as made:
        assert made.executor().apply(made.plan()).exit_code == 0
        yield made
        no_values(tmp_path)


def look(world: World) -> Drift:
    found = reading.read_estate(world.session, reading.Scope(), with_secrets=False, with_access=True)
    result = drift.drift(drift.candidates(world.journal, "simulator"), found, world.cloud, world.journal, KEY)
    for shown in (_drift.human(result, TOOL), _drift.as_json(result, TOOL), _drift.sarif(result, TOOL)):
        assert not any(value in shown for value in PLANTED.values())
    return result


def kinds(found: Drift) -> list[str]:
    return [item.kind for item in found.items]


def containers(world: World, change: Json) -> Json:
    container = world.app("api")["properties"]["template"]["containers"][0]
    container["resources"].pop("ephemeralStorage")
    container["env"] = [e if e["name"] != change["name"] else change for e in container["env"]]
    return {"properties": {"template": {"containers": [container], "revisionSuffix": None}}}


def test_nothing_drifted(world: World) -> None:
    found = look(world)
    assert not found.items
    assert not found.unchecked
    assert found.checks > 8
    assert len(found.apps) == 2
    assert "nothing drifted" in _drift.human(found, TOOL)


def test_plaintext_that_came_back(world: World) -> None:
    value = PLANTED["database"]
    world.patch("api", containers(world, {"name": "DB_CONNECTION", "value": value}))
    world.clock.sleep(120)
    found = look(world)
    assert set(kinds(found)) == {"plaintext"}
    (env,) = [item for item in found.items if item.subject == "DB_CONNECTION"]
    assert env.path == "properties.template.containers[0].env[1].value"
    assert env.by
    assert env.at
    sarif = json.loads(_drift.sarif(found, TOOL))
    assert {result["ruleId"] for result in sarif["runs"][0]["results"]} == {"drift-plaintext"}
    assert json.loads(_drift.as_json(found, TOOL))["drift"][0]["changed"]["by"] == env.by


def test_a_reference_that_is_inline_again(world: World) -> None:
    name = "microsoft-provider-authentication-secret"
    secrets = [{"name": name, "value": "another-value-1234"}, {"name": "other", "value": "stays-inline-as-it-is"}]
    world.patch("web", {"properties": {"configuration": {"secrets": secrets}}})
    assert kinds(look(world))[0] == "plaintext"


def test_a_role_that_is_gone(world: World) -> None:
    run = world.journal.find("latest")
    (facts,) = [
        entry.facts
        for entry in world.journal.steps(run).values()
        if entry.kind == "role-assignment" and entry.app.endswith("/api")
    ]
    world.cloud.delete_assignment(facts["assignment"])
    (item,) = look(world).items
    assert item.kind == "role-lost"
    assert item.resource.endswith("/secrets/api-db-connection")


def test_a_role_that_is_wider(world: World) -> None:
    world.clock.sleep(60)
    identity = world.cloud.get_identity(f"{IDENTITIES}/id-api")
    assert identity is not None
    principal = identity["properties"]["principalId"]
    world.cloud.put_assignment(VAULT, str(uuid.uuid4()), SECRETS_USER, principal, "")
    (item,) = look(world).items
    assert item.kind == "role-widened"
    assert "every secret of kv-shop" in item.text
    assert item.by


def test_an_identity_that_is_gone_or_made_anew(world: World) -> None:
    identity = f"{IDENTITIES}/id-api"
    world.cloud.delete_identity(identity)
    found = look(world)
    assert any(item.kind == "identity" and "gone" in item.text for item in found.items)
    world.cloud.put_identity(identity, "westeurope", {})
    assert any(item.kind == "identity" and "made anew" in item.text for item in look(world).items)


def test_a_value_that_is_disabled_in_the_vault(world: World) -> None:
    uri = str(world.cloud.get_vault(VAULT)["properties"]["vaultUri"]).rstrip("/")
    described = world.cloud.describe_secret(uri, "api-db-connection")
    assert described is not None
    assert described.version is not None
    world.cloud.update_secret(uri, "api-db-connection", described.version, enabled=False)
    found = look(world)
    assert [item.kind for item in found.items] == ["reference"]


def test_an_app_that_is_gone_and_a_run_that_was_taken_back(world: World) -> None:
    world.simulator.world.resources.pop(app_id("web").lower())
    (item,) = look(world).items
    assert item.kind == "app"
    run = world.journal.find("latest")
    world.executor().rollback(run, apps=("web",))
    assert not look(world).items
