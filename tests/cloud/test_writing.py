from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.cloud import writing
from migrator.errors import CloudError, DeniedError, NotFoundError, ReferenceRefusedError
from migrator.model import Json, settled
from scanners.model import reveal

from .world import GROUP, SUB, VAULT, World, app, app_id, estate, identity_id, running, vault

WEB = app_id("web")
CANARY = "planted-inline-canary"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    document = estate(
        vault(),
        app("web", secrets={"db": CANARY}, env=[{"name": "A", "value": "one"}]),
        vaultSecrets=[{"vault": "kv-shop", "name": "db", "value": "vault-value"}],
    )
    with running(document, tmp_path) as made:
        yield made


def with_env(value: str) -> Json:
    containers = [{"name": "main", "image": "nginx:1", "env": [{"name": "A", "value": value}]}]
    return {"properties": {"template": {"containers": containers}}}


def ignore(_url: str) -> None:
    return


def test_a_patch_is_followed_to_its_end(world: World) -> None:
    urls: list[str] = []
    polled_before: list[int] = []

    def durable(url: str) -> None:
        urls.append(url)
        polled_before.append(sum("operation" in r.lower() for r in world.requests()))

    after = world.cloud.patch_app(WEB, with_env("two"), durable)
    assert after["properties"]["provisioningState"] == "Succeeded"
    assert after["properties"]["template"]["containers"][0]["env"] == [{"name": "A", "value": "two"}]
    assert len(urls) == 1
    assert polled_before == [0], "told before the first poll"
    assert after["properties"]["configuration"]["secrets"] == [{"name": "db"}], "what is not named is kept"
    assert world.cloud.wait_operation(urls[0]) == "Succeeded"


def test_an_operation_of_location_alone_is_followed_too(tmp_path: Path) -> None:
    with running(estate(app("web")), tmp_path, switches={"patch_location_only_2023": True}) as world:
        urls: list[str] = []
        after = world.cloud.patch_app(WEB, with_env("two"), urls.append)
        assert after["properties"]["template"]["containers"][0]["env"][0]["value"] == "two"
        assert "Result" in urls[0]
        assert world.cloud.wait_operation(urls[0]) == "Succeeded"


def test_long_operations_are_waited_for_beyond_fifteen_minutes(tmp_path: Path) -> None:
    with running(estate(app("web")), tmp_path, switches={"app_operation": 1300.0}) as world:
        after = world.cloud.patch_app(WEB, with_env("two"), ignore)
        assert after["properties"]["provisioningState"] == "Succeeded"


def test_an_endless_operation_is_a_passing_error(tmp_path: Path) -> None:
    with running(estate(app("web")), tmp_path, switches={"app_operation": 100_000.0}) as world:
        with pytest.raises(CloudError) as caught:
            world.cloud.patch_app(WEB, with_env("two"), ignore)
        assert caught.value.transient
        assert "keylift resume" in caught.value.hint
        assert f"az resource show --ids {WEB} --query properties.provisioningState" in caught.value.hint


def test_a_busy_app_is_waited_for(world: World) -> None:
    message = "Cannot modify a container app 'web' because there is an active provisioning operation in progress."
    fault = world.fault(method="PATCH", status=409, code="ContainerAppOperationInProgress", message=message, times=5)
    world.cloud.patch_app(WEB, with_env("two"), ignore)
    assert fault.seen == 6
    assert len(set(world.clock.slept[:5])) == 5, "with jitter"


def test_an_app_that_stays_busy_is_a_passing_error(world: World) -> None:
    world.fault(method="PATCH", status=409, code="ContainerAppLockConflict", message="another modification", times=9999)
    with pytest.raises(CloudError) as caught:
        world.cloud.patch_app(WEB, with_env("two"), ignore)
    assert caught.value.transient
    assert caught.value.code == "ContainerAppLockConflict"


@pytest.mark.parametrize("rule", [{"drop": "before"}, {"drop": "after"}, {"status": 429}, {"status": 500}])
def test_a_patch_whose_answer_is_lost_is_sent_again(world: World, rule: Json) -> None:
    world.fault(method="PATCH", times=1, **rule)
    after = world.cloud.patch_app(WEB, with_env("two"), ignore)
    assert after["properties"]["template"]["containers"][0]["env"][0]["value"] == "two"
    assert len(world.cloud.list_revisions(WEB)) == 2, "one new revision, not two"


@pytest.mark.parametrize(
    "rule", [{"drop": "before"}, {"truncate": True}, {"status": 503}, {"status": 404, "code": "X"}]
)
def test_polls_survive_what_passes(world: World, rule: Json) -> None:
    world.fault(path="operation(status|result)", times=2, **rule)
    if rule.get("status") == 404:
        with pytest.raises(NotFoundError):
            world.cloud.patch_app(WEB, with_env("two"), ignore)
    else:
        world.cloud.patch_app(WEB, with_env("two"), ignore)


def test_a_reference_that_does_not_resolve_is_told_apart(world: World) -> None:
    identity = world.cloud.put_identity(identity_id("id-web"), "westeurope", {})
    body: Json = {
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {identity["id"]: {}}},
        "properties": {
            "configuration": {
                "secrets": [{"name": "db", "keyVaultUrl": f"{_uri(world)}/secrets/db", "identity": identity["id"]}]
            }
        },
    }
    with pytest.raises(ReferenceRefusedError) as caught:
        world.cloud.patch_app(WEB, body, ignore)
    assert caught.value.transient
    world.clock.sleep(60)
    world.cloud.put_assignment(
        f"{VAULT}/secrets/db",
        "0b1f7b1c-3f0e-4d9d-9c1b-7d8f0b8f6a11",
        "4633458b-17de-408a-b874-0445c86b69e6",
        identity["properties"]["principalId"],
        "run 1",
    )
    world.clock.sleep(120)
    world.cloud.patch_app(WEB, body, ignore)
    (secret,) = world.cloud.get_app_secrets(WEB)
    assert secret.value is not None
    assert reveal(secret.value) == "vault-value"
    assert (secret.key_vault_url, (secret.identity or "").lower()) == (
        f"{_uri(world)}/secrets/db",
        identity["id"].lower(),
    )


def _uri(world: World) -> str:
    return str(world.cloud.get_vault(VAULT)["properties"]["vaultUri"]).rstrip("/")


def test_the_way_back_does_not_tell_values(world: World) -> None:
    before = world.cloud.get_app(WEB)
    message = f"Field 'configuration.secrets' is invalid: {CANARY}"
    world.fault(method="PATCH", status=400, code="ContainerAppSecretInvalid", message=message, times=1)
    body = {"properties": {"configuration": {"secrets": [{"name": "db", "value": CANARY}]}}}
    with pytest.raises(CloudError) as caught:
        world.cloud.patch_app(WEB, body, ignore)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error)) + error.why
    assert error.__context__ is None
    world.cloud.patch_app(WEB, body, ignore)
    assert settled(world.cloud.get_app(WEB)) == settled(before)


def test_a_lock_stops_a_patch_and_is_named(tmp_path: Path) -> None:
    locks = [{"id": f"{GROUP}/providers/Microsoft.Authorization/locks/freeze", "level": "ReadOnly"}]
    with running(estate(app("web"), locks=locks), tmp_path) as world, pytest.raises(DeniedError) as caught:
        world.cloud.patch_app(WEB, with_env("two"), ignore)
    assert caught.value.code == "ScopeLocked"
    assert "az lock list --resource-group rg-shop" in caught.value.hint


def test_an_app_that_is_not_there(world: World) -> None:
    for call in (world.cloud.get_app, world.cloud.get_app_secrets):
        with pytest.raises(NotFoundError):
            call(app_id("nope"))
    with pytest.raises(NotFoundError):
        world.cloud.patch_app(app_id("nope"), with_env("x"), ignore)
    with pytest.raises(NotFoundError):
        world.cloud.get_revision(WEB, "web--nope")


def test_revisions_and_replicas(world: World) -> None:
    first = world.cloud.get_app(WEB)["properties"]["latestRevisionName"]
    after = world.cloud.patch_app(WEB, with_env("two"), ignore)
    world.clock.sleep(120)
    latest = after["properties"]["latestRevisionName"]
    assert latest != first
    assert {r["name"] for r in world.cloud.list_revisions(WEB)} == {first, latest}
    assert world.cloud.get_revision(WEB, latest)["name"] == latest
    assert len(world.cloud.list_replicas(WEB, latest)) == 1
    world.cloud.revision_action(WEB, latest, "restart")
    world.cloud.revision_action(WEB, first, "activate")
    world.cloud.revision_action(WEB, first, "deactivate")
    assert world.cloud.get_revision(WEB, first)["properties"]["active"] is False


def test_sign_in_settings_are_read_where_there_are_any(world: World) -> None:
    assert world.cloud.get_auth(WEB) is None
    with pytest.raises(NotFoundError):
        world.cloud.get_auth(app_id("nope"))


def test_an_operation_of_another_cloud_is_not_followed(world: World) -> None:
    with pytest.raises(CloudError, match="will not send"):
        writing.wait_operation(world.session, f"https://evil.example/subscriptions/{SUB}/x")


def test_a_caller_without_patience_gets_each_failure_at_once(world: World) -> None:
    """It holds the lane of its environment, in which others wait."""
    bent: list[Json] = [{"status": 500}, {"status": 429, "headers": {"Retry-After": "9"}}, {"drop": "before"}]
    for fault in bent:
        rule = world.fault(method="PATCH", times=10**9, **fault)
        slept = len(world.clock.slept)
        with pytest.raises(CloudError) as raised:
            world.cloud.patch_app(WEB, {"tags": {"a": "b"}}, ignore, patience=0.0)
        assert raised.value.transient
        assert (rule.seen, world.clock.slept[slept:]) == (1, [])
        rule.times = 0
        world.simulator.clock.advance(10)
