from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from migrator.cloud import reading
from migrator.cloud.reading import Scope
from migrator.errors import UsageError
from migrator.model import Json
from scanners.model import reveal

from .world import (
    ENVIRONMENT,
    GROUP,
    OTHER,
    SECRETS_USER,
    SUB,
    VAULT,
    app,
    app_id,
    estate,
    identity_id,
    running,
    vault,
)

PRIVATE = f"/subscriptions/{SUB}/resourceGroups/rg-private"
REGISTRY = {
    "id": f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/acrshop",
    "type": "Microsoft.ContainerRegistry/registries",
    "location": "westeurope",
    "sku": {"name": "Basic"},
    "properties": {"adminUserEnabled": True},
}


def shop() -> list[Json]:
    reference = "https://kv-shop.vault.azure.net/secrets/db"
    return [
        vault(),
        REGISTRY,
        app("web", env=[{"name": "A", "value": "plain"}]),
        app("api", secrets={"db": "inline-value", "key": "other-value"}),
        app("worker", references={"db": reference}, identity=identity_id("id-worker")),
    ]


def shop_estate(**more: object) -> Json:
    return estate(
        *shop(),
        vaultSecrets=[{"vault": "kv-shop", "name": "db", "value": "vault-value"}],
        roleAssignments=[{"principal": identity_id("id-worker"), "role": SECRETS_USER, "scope": f"{VAULT}/secrets/db"}],
        **more,
    )


def kinds(requests: list[str]) -> Counter[str]:
    """Requests by what they ask for; names taken out."""
    found: Counter[str] = Counter()
    for request in requests:
        for mark in (
            "listSecrets",
            "revisions",
            "authConfigs",
            "ResourceGraph",
            "roleAssignments",
            "roleDefinitions",
            "locks",
        ):
            if mark.lower() in request.lower():
                found[mark] += 1
                break
        else:
            found[request.rsplit("/", 1)[-1].lower()] += 1
    return found


def test_a_scan_of_many_apps_costs_what_was_promised(tmp_path: Path) -> None:
    with_secrets = [app(f"app-{n:03}", secrets={"db": f"value-{n}"}) for n in range(70)]
    without = [app(f"bare-{n:03}") for n in range(50)]
    with running(estate(*with_secrets, *without), tmp_path) as world:
        found = reading.read_estate(world.session, Scope(), with_revisions=True)
        asked = kinds(world.requests())
    assert len(found.apps) == 120
    assert not found.errors
    assert asked.pop("ResourceGraph") == 1
    assert asked == {
        "subscriptions": 1,
        "containerapps": 3,  # pages of 50
        "listSecrets": 70,
        "revisions": 120,
        # once for each environment and what can lie below it
        "managedenvironments": 1,
        "daprcomponents": 1,
        "storages": 1,
        "certificates": 1,
        "javacomponents": 1,
        "dotnetcomponents": 1,
    }


def test_without_old_revisions_none_are_listed(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        reading.read_estate(world.session, Scope())
        asked = kinds(world.requests())
    assert asked["listSecrets"] == 2
    assert "revisions" not in asked
    assert "roleAssignments" not in asked


def test_apps_are_read_with_their_secrets_in_order(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        found = reading.read_estate(world.session, Scope())
        assert [a.name for a in found.apps] == ["api", "web", "worker"]
        assert found.apps[0].document == world.cloud.get_app(app_id("api")), "a listing gives what a GET gives"
    secrets = {a.name: {s.name: s for s in a.secrets} for a in found.apps}
    value = secrets["api"]["db"].value
    assert value is not None
    assert reveal(value) == "inline-value"
    assert secrets["api"]["db"].key_vault_url is None
    worker = secrets["worker"]["db"]
    assert worker.value is not None
    assert reveal(worker.value) == "vault-value"
    assert worker.key_vault_url is not None
    assert worker.identity is not None
    assert found.apps[1].secrets == ()
    assert found.apps[1].secrets_read
    assert [r.name for r in found.registries] == ["acrshop"]
    assert found.registries[0].document["properties"]["adminUserEnabled"] is True
    assert found.tenant
    assert found.cloud == "simulator"


def test_two_readings_are_equal(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        first, second = (
            reading.read_estate(world.session, Scope(), with_access=True, with_revisions=True) for _ in range(2)
        )
    assert first == second


def test_what_plans_need_is_read_too(tmp_path: Path) -> None:
    locks = [{"id": f"{VAULT}/providers/Microsoft.Authorization/locks/keep", "level": "CanNotDelete"}]
    with running(shop_estate(locks=locks), tmp_path) as world:
        found = reading.read_estate(world.session, Scope(), with_access=True, with_auth=True, vault="kv-shop")
    assert [e.id.lower() for e in found.environments] == [ENVIRONMENT.lower()]
    assert [i.name for i in found.identities] == ["id-worker"]
    principal = found.identities[0].document["properties"]["principalId"]
    assert found.identities[0].document["properties"]["clientId"]
    assert [v.name for v in found.vaults] == ["kv-shop"]
    mine = [a for a in found.assignments if a.principal_id == principal]
    assert [(a.role, a.scope.lower()) for a in mine] == [(SECRETS_USER, f"{VAULT}/secrets/db".lower())]
    assert {r.name for r in found.roles} >= {"Key Vault Secrets User", "Owner"}
    user = next(r for r in found.roles if r.id == SECRETS_USER)
    assert "Microsoft.KeyVault/vaults/secrets/getSecret/action" in user.data_actions
    assert [lock.level for lock in found.locks] == ["CanNotDelete"]
    assert not found.errors


def test_old_revisions_keep_what_they_show(tmp_path: Path) -> None:
    with running(estate(app("web", env=[{"name": "A", "value": "planted"}])), tmp_path) as world:
        body = {"properties": {"template": {"containers": [{"name": "main", "image": "nginx:2"}]}}}
        world.cloud.patch_app(app_id("web"), body, lambda _url: None)
        found = reading.read_estate(world.session, Scope(), with_revisions=True)
    (web,) = found.apps
    assert [r["properties"]["template"]["containers"][0]["env"][0]["value"] for r in web.revisions] == ["planted"]


# What is refused


def test_one_app_without_the_right_hides_no_other(tmp_path: Path) -> None:
    rights = [
        {"role": "Reader", "scope": f"/subscriptions/{SUB}"},
        {"role": "Container Apps Operator", "scope": app_id("api")},
    ]
    with running(shop_estate(operator={"roles": rights}), tmp_path) as world:
        found = reading.read_estate(world.session, Scope())
    apps = {a.name: a for a in found.apps}
    assert apps["api"].secrets_read
    assert not apps["worker"].secrets_read
    assert [s.name for s in apps["worker"].secrets] == ["db"]
    (entry,) = found.errors
    assert entry["where"].lower() == app_id("worker").lower()
    assert "listSecrets" in entry["what"]
    assert '--role "Container Apps Contributor"' in entry["hint"]


def test_rights_on_one_group_are_enough(tmp_path: Path) -> None:
    document = shop_estate(operator={"roles": [{"role": "Contributor", "scope": GROUP}]})
    document["resources"].append(app("hidden", group=PRIVATE))
    with running(document, tmp_path) as world:
        found = reading.read_estate(world.session, Scope(resource_groups=("RG-SHOP",)))
    assert [a.name for a in found.apps] == ["api", "web", "worker"]
    assert not found.errors


def test_without_a_right_on_the_subscription_each_app_that_shows_is_read(tmp_path: Path) -> None:
    document = shop_estate(operator={"roles": [{"role": "Contributor", "scope": app_id("api")}]})
    with running(document, tmp_path) as world:
        found = reading.read_estate(world.session, Scope())
    assert [a.name for a in found.apps] == ["api"]
    assert found.apps[0].secrets_read


def test_a_server_error_on_one_app_becomes_an_entry(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        world.fault(path="/api/listSecrets", status=503, times=99)
        found = reading.read_estate(world.session, Scope())
    assert [a.name for a in found.apps] == ["api", "web", "worker"]
    assert [e["where"].rsplit("/", 1)[-1] for e in found.errors] == ["api"]


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 429, "headers": {"Retry-After": "3"}},
        {"status": 500},
        {"drop": "before"},
        {"drop": "after"},
        {"truncate": True},
        {"status": 412},
    ],
)
@pytest.mark.parametrize("path", ["/listSecrets", "/containerApps$"])
def test_what_passes_by_itself_leaves_no_trace(tmp_path: Path, rule: Json, path: str) -> None:
    with running(shop_estate(), tmp_path) as world:
        fault = world.fault(path=path, times=2, **rule)
        found = reading.read_estate(world.session, Scope())
        assert fault.seen > 2
    assert not found.errors
    assert all(a.secrets_read for a in found.apps)
    assert len(found.apps) == 3


def test_without_graph_the_listings_do(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        world.fault(path="ResourceGraph", status=403, code="AuthorizationFailed", times=99)
        found = reading.read_estate(world.session, Scope(), with_access=True, vault="kv-shop")
    assert len(found.apps) == 3
    assert [i.name for i in found.identities] == ["id-worker"]
    assert [v.name for v in found.vaults] == ["kv-shop"]
    assert not found.errors


def test_a_stale_inventory_hides_nothing_new(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path, switches={"graph_staleness": 600.0}) as world:
        world.clock.sleep(1000)
        reading.read_estate(world.session, Scope())
        world.cloud.put_identity(identity_id("id-new"), "westeurope", {})
        found = reading.read_estate(world.session, Scope(), with_access=True)
    assert [i.name for i in found.identities] == ["id-new", "id-worker"]


# Scope


def test_apps_and_groups_are_chosen_by_name(tmp_path: Path) -> None:
    document = shop_estate()
    document["resources"].append(app("other", group=PRIVATE))
    with running(document, tmp_path) as world:

        def names(**scope: tuple[str, ...]) -> list[str]:
            return [a.name for a in reading.read_estate(world.session, Scope(**scope)).apps]

        assert names(apps=("API",)) == ["api"]
        assert names(apps=(app_id("web"), "api")) == ["api", "web"]
        assert names(resource_groups=("rg-private",)) == ["other"]
        assert names(resource_groups=("rg-nowhere",)) == []
        assert names(subscriptions=(SUB.upper(),)) == ["other", "api", "web", "worker"]


def test_a_name_that_is_not_there_names_its_neighbours(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        with pytest.raises(UsageError) as caught:
            reading.read_estate(world.session, Scope(apps=("wroker",)))
        assert "did you mean worker" in caught.value.hint
        with pytest.raises(UsageError) as caught:
            reading.read_estate(world.session, Scope(subscriptions=("Subscription 1",)))
        assert "--subscription" in caught.value.what
        assert SUB in caught.value.why


def test_several_subscriptions_are_read_together(tmp_path: Path) -> None:
    document = shop_estate()
    elsewhere = f"/subscriptions/{OTHER}/resourceGroups/rg-two"
    document["subscriptions"].append(OTHER)
    document["resources"].append(app("two", group=elsewhere, secrets={"a": "two-value"}))
    with running(document, tmp_path) as world:
        found = reading.read_estate(world.session, Scope(), with_access=True)
        assert [a.name for a in found.apps] == ["api", "web", "worker", "two"]
        only = reading.read_estate(world.session, Scope(subscriptions=(f"subscription {OTHER}",)))
        assert [a.name for a in only.apps] == ["two"]
    assert found.subscriptions == (SUB, OTHER)
    assert len({a.id for a in found.assignments}) == len(found.assignments)
    assert [e.id.lower() for e in found.environments] == [ENVIRONMENT.lower()]


def test_progress_counts_apps(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with running(shop_estate(), tmp_path) as world:
        reading.read_estate(world.session, Scope(), progress=lambda *step: told.append(step))
    assert told == [("apps", n, 3) for n in range(4)]


def test_values_are_in_secrets_only(tmp_path: Path) -> None:
    with running(shop_estate(), tmp_path) as world:
        found = reading.read_estate(world.session, Scope(), with_access=True)
    assert "inline-value" not in repr(found)
    assert "vault-value" not in repr(found)


def test_the_vault_may_lie_outside_the_scanned_subscriptions(tmp_path: Path) -> None:
    document = shop_estate()
    document["subscriptions"].append(OTHER)
    document["resources"].append(app("two", group=f"/subscriptions/{OTHER}/resourceGroups/rg-two"))
    with running(document, tmp_path) as world:
        found = reading.read_estate(world.session, Scope(subscriptions=(OTHER,)), with_access=True, vault="kv-shop")
    assert [a.name for a in found.apps] == ["two"]
    assert [v.id.lower() for v in found.vaults] == [VAULT.lower()]
    assert any(a.scope.lower().startswith(VAULT.lower()) for a in found.assignments)
