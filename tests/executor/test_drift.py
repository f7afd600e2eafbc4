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
from migrator.model import Json, same_id
from migrator.output import _drift
from migrator.simulator import memberships

from .contracts import PASSWORD, QUICK, SERVER, finalize, shop
from .jobs import job, job_id
from .test_jobs import start
from .world import (
    GROUP,
    KEY,
    PLANTED,
    REGISTRY,
    VAULT,
    Driven,
    World,
    app_id,
    estate,
    inside,
    no_values,
    running,
    two_apps,
)

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


def test_a_moved_value_in_a_secret_of_another_name(world: World) -> None:
    """What the run left inline is not told: only what somebody put there since."""
    secrets = [
        {"name": s.name, "keyVaultUrl": s.key_vault_url, "identity": s.identity}
        for s in world.cloud.get_app_secrets(app_id("api"))
    ]
    back = {"name": "by-hand", "value": PLANTED["database"]}
    another = {"name": "harmless", "value": "what-nobody-moved"}
    world.patch("api", {"properties": {"configuration": {"secrets": [*secrets, back, another]}}})
    (item,) = look(world).items
    assert (item.kind, item.subject, item.path) == ("plaintext", "by-hand", "properties.configuration.secrets")
    assert item.by


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
    assert item.by, "what is gone says nothing itself: the Activity Log does"
    assert item.at
    world.fault(method="GET", path="eventtypes", status=403, code="AuthorizationFailed", times=99)
    (item,) = look(world).items
    assert (item.kind, item.by) == ("role-lost", ""), "without the log it is told all the same"


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
    (gone,) = [item for item in found.items if item.kind == "identity" and "gone" in item.text]
    assert gone.by
    assert gone.at
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


SKEWS = [-7200.0, 0.0, 7200.0]
OWN = f"{IDENTITIES}/id-own"


def apps_with_own_identity() -> Json:
    """An app whose identity holds a role on something else of the vault already."""
    (first, *_) = two_apps()
    first["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {OWN: {}}}
    before = {"principal": OWN, "role": "Key Vault Secrets User", "scope": f"{VAULT}/secrets/another"}
    return estate(first, switches={"role_propagation": [1.0, 3.0]}, roleAssignments=[before])


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("adopted", [False, True])
def test_a_clock_that_is_wrong_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skew: float, adopted: bool
) -> None:
    """Azure's times are compared with Azure's: its own of the run's assignments, else its clock as answers tell it."""
    monkeypatch.setattr(Driven, "now", lambda self: self._clock.now() + skew)
    document = apps_with_own_identity()
    if adopted:  # nothing is assigned by the run, so that no time of Azure's is known of it
        whole = {"principal": OWN, "role": "Key Vault Secrets User", "scope": VAULT}
        document["roleAssignments"].append(whole)
    with running(document, tmp_path) as world:
        principal = world.cloud.get_identity(OWN)["properties"]["principalId"]  # type: ignore[index] # it is there
        early, _ = world.cloud.put_assignment(f"{VAULT}/secrets/early", str(uuid.uuid4()), SECRETS_USER, principal, "")
        world.clock.sleep(600)
        assert world.executor().apply(world.plan()).exit_code == 0
        assert look(world).items == [], "what was there before the run is no drift"
        world.clock.sleep(600)
        late, _ = world.cloud.put_assignment(f"{VAULT}/secrets/late", str(uuid.uuid4()), SECRETS_USER, principal, "")
        (item,) = look(world).items
        assert item.kind == "role-widened"
        assert late.id in item.text
        assert early.id not in item.text


def test_an_identity_that_joined_a_group(tmp_path: Path) -> None:
    """The group's assignment is older than the run, and nothing tells when somebody joins: what the plan foresaw does."""
    team = "aaaaaaaa-9999-0000-0000-000000000001"
    given = {"principal": team, "role": "Key Vault Secrets User", "scope": VAULT}
    document = estate(*two_apps(), switches={"role_propagation": [1.0, 3.0]}, roleAssignments=[given])
    document["groups"] = [{"id": team, "members": []}]
    with running(document, tmp_path) as world:
        assert world.executor().apply(world.plan()).exit_code == 0
        assert look(world).items == []
        identity = world.cloud.get_identity(f"{IDENTITIES}/id-api")
        assert identity is not None
        memberships.join(world.simulator.azure, team, [identity["properties"]["principalId"]])
        (item,) = look(world).items
        assert item.kind == "role-widened"
        assert f"through group {team}" in item.text
        assert (item.by, item.at) == ("", ""), "who made the identity is not who put it into the group"


def test_what_may_not_be_looked_at_is_not_called_good(world: World) -> None:
    """A lost right to read looks like no drift only to those who do not ask; the command exits with 1 then."""
    world.fault(method="GET", path="containerApps/api$", status=403, code="AuthorizationFailed", times=99)
    found = look(world)
    assert found.items == []
    assert any("api" in str(one["where"]) for one in found.unchecked)
    assert "nothing drifted of what could be looked at" in _drift.human(found, TOOL)


def test_a_registry_that_is_pulled_from_with_its_password_again(tmp_path: Path) -> None:
    with running(estate(*shop(), switches=QUICK), tmp_path) as world:
        assert world.executor().apply(world.plan()).exit_code == 0
        assert look(world).items == []
        entry = {"server": SERVER, "username": "acrshop", "passwordSecretRef": "acr-password"}
        secrets = [
            {"name": s.name, "keyVaultUrl": s.key_vault_url, "identity": s.identity}
            if s.key_vault_url
            else {"name": s.name, "value": PASSWORD}
            for s in world.cloud.get_app_secrets(app_id("api"))
        ]
        world.patch("api", {"properties": {"configuration": {"registries": [entry], "secrets": secrets}}})
        items = look(world).items
        assert "registry" in kinds_of(items)
        (item,) = [one for one in items if one.kind == "registry"]
        assert item.path == "properties.configuration.registries"
        assert item.by


def test_an_app_whose_latest_revision_does_not_run(world: World) -> None:
    """Somebody deployed an image that does not start; the references stand, so that nothing else is told."""
    world.fault(method="PATCH", path="containerApps/api$", mishap="revision", arguments={"becomes": "failed"})
    template = world.app("api")["properties"]["template"]
    template["containers"][0]["resources"].pop("ephemeralStorage")
    template["containers"][0]["image"] = "mcr.microsoft.com/k8se/quickstart:broken"
    world.patch("api", {"properties": {"template": {**template, "revisionSuffix": None}}})
    world.clock.sleep(120)
    (item,) = look(world).items
    assert (item.kind, item.subject) == ("revision", world.app("api")["properties"]["latestRevisionName"])
    assert same_id(item.resource, app_id("api"))
    assert item.by


def test_a_job_that_fails_since(tmp_path: Path) -> None:
    with inside(estate(job(), switches=QUICK), tmp_path) as world:
        start(world)
        assert world.executor().apply(world.plan()).exit_code == 0
        world.clock.sleep(5)
        start(world)
        assert look(world).items == []
        world.simulator.azure.world.table("needs")[job_id("nightly").lower()] = [{"env": "DB", "value": "another"}]
        world.clock.sleep(5)
        start(world)
        (item,) = look(world).items
        assert (item.kind, item.resource) == ("revision", job_id("nightly"))


def contracted(world: World) -> None:
    run = world.executor().apply(world.plan()).run
    result = world.executor().apply(finalize(world, run), point_of_no_return=True)
    assert result.exit_code == 0, [app.error for app in result.apps]
    assert look(world).items == []


def test_an_old_revision_that_is_active_again(tmp_path: Path) -> None:
    with inside(estate(*shop(), switches=QUICK), tmp_path) as world:
        (old,) = [r["name"] for r in world.cloud.list_revisions(app_id("api"))]
        contracted(world)
        world.cloud.revision_action(app_id("api"), old, "activate")
        (item,) = look(world).items
        assert (item.kind, item.subject, item.path) == ("plaintext", old, f"revisions/{old}")


def test_an_old_revision_that_has_traffic_again(tmp_path: Path) -> None:
    """It stays active until the contract, so that one can go back to it: but then its values are in use again."""
    with inside(estate(*shop(), switches=QUICK), tmp_path) as world:
        (old,) = [r["name"] for r in world.cloud.list_revisions(app_id("api"))]
        assert world.executor().apply(world.plan()).exit_code == 0
        assert look(world).items == []
        traffic = [{"latestRevision": True, "weight": 90}, {"revisionName": old, "weight": 10}]
        world.patch("api", {"properties": {"configuration": {"ingress": {"traffic": traffic}}}})
        (item,) = look(world).items
        assert (item.kind, item.path) == ("plaintext", "properties.configuration.ingress.traffic")
        assert f"{old} has 10 % of the traffic" in item.text
        assert item.by
        traffic = [{"latestRevision": True, "weight": 100}, {"revisionName": old, "weight": 0}]
        world.patch("api", {"properties": {"configuration": {"ingress": {"traffic": traffic}}}})
        assert look(world).items == []


def test_what_a_contract_took_away_and_is_there_again(tmp_path: Path) -> None:
    with inside(estate(*shop(), switches=QUICK), tmp_path) as world:
        contracted(world)
        world.simulator.world.resources[REGISTRY.lower()]["properties"]["adminUserEnabled"] = True
        secrets = [
            {"name": s.name, "keyVaultUrl": s.key_vault_url, "identity": s.identity}
            for s in world.cloud.get_app_secrets(app_id("web"))
        ]
        back = {"name": "unused", "value": "nobody-reads-it"}
        world.patch("web", {"properties": {"configuration": {"secrets": [*secrets, back]}}})
        items = look(world).items
        assert ("plaintext", "unused", app_id("web").lower()) in {
            (i.kind, i.subject, i.resource.lower()) for i in items
        }
        assert ("registry", "acrshop", REGISTRY.lower()) in {(i.kind, i.subject, i.resource.lower()) for i in items}
        assert kinds_of(items) == {"plaintext", "registry"}


def test_an_identity_that_was_taken_from_its_app(world: World) -> None:
    """A role then is worth nothing to the app, though the identity and the role are there."""
    world.simulator.world.resources[app_id("api").lower()]["identity"] = {"type": "None"}
    (item,) = look(world).items
    assert (item.kind, item.path) == ("identity", "identity")
    assert same_id(item.resource, app_id("api"))


def kinds_of(items: list[drift.Item]) -> set[str]:
    return {item.kind for item in items}
