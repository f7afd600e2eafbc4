"""What a reviewer is told beside the steps: rights, deployers, consumers, rest risk."""

from __future__ import annotations

from typing import Any

import pytest

from migrator import planner
from migrator.model import Permission
from migrator.planning.permissions import Permissions

from .estates import (
    ENVIRONMENT,
    GROUP,
    KEY,
    OTHER,
    PASSWORD,
    SUBSCRIPTION,
    TOKEN,
    VAULT_ID,
    VAULT_URI,
    Spec,
    app_id,
    entry,
    estate,
    held,
    make,
    notes,
    options,
    registry,
    vault,
    with_identities,
)


def rights(plan: Any) -> dict[tuple[str, str], Any]:
    return {(r["scope"], r["action"].split("/", 1)[1]): r for r in plan.operator["permissions"]}


def test_rights_are_named_with_their_scopes_and_smallest_roles() -> None:
    plan = make(Spec(inline={"pw": PASSWORD}, registries=[entry(secret="pw")]), registries=(registry(),))
    found = rights(plan)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    roles = {
        (app_id("orders"), "containerApps/write"): "Container Apps Contributor",
        (app_id("orders"), "containerApps/listSecrets/action"): "Container Apps Contributor",
        (ENVIRONMENT, "managedEnvironments/join/action"): "Container Apps Contributor",
        (group, "userAssignedIdentities/write"): "Managed Identity Contributor",
        (group, "userAssignedIdentities/*/assign/action"): "Managed Identity Operator",
        (VAULT_ID, "vaults/secrets/setSecret/action"): "Key Vault Secrets Officer",
        (VAULT_ID, "vaults/secrets/getSecret/action"): "Key Vault Secrets Officer",
        (VAULT_ID, "roleAssignments/write"): "Key Vault Data Access Administrator",
        (registry().id, "roleAssignments/write"): "Role Based Access Control Administrator",
    }
    assert {key: found[key]["role"] for key in roles} == roles
    assert all(right["held"] is None for right in found.values())
    attached = rights(make(Spec(env={"DB": PASSWORD}, identity=with_identities("a"))))
    assert any(action == "userAssignedIdentities/*/assign/action" for _, action in attached)
    assert not any(action == "userAssignedIdentities/write" for _, action in attached)


WRITE = "Microsoft.App/containerApps/write"
APP = app_id("orders")
UPPER = f"/subscriptions/{SUBSCRIPTION}"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([Permission(APP.upper(), ("*",))], True),
        ([Permission(UPPER, ("Microsoft.App/*",))], True),
        ([Permission("", ("*",))], True),
        ([Permission(UPPER, ("*/read",))], None),
        ([Permission(APP, ("*/read",))], False),
        ([Permission(APP, ("*",), ("Microsoft.App/*/write", "Microsoft.App/containerApps/write"))], False),
        ([Permission(APP, ("*",), (WRITE,)), Permission(UPPER, (WRITE,))], True),
        ([Permission(APP, ("Microsoft.App/containerApps/*/write",))], None),
        ([Permission(APP + "-2", ("*",))], None),
        ([Permission(APP, (), (), ("*",))], False),
    ],
)
def test_whether_a_right_is_held(entries: list[Permission], expected: bool | None) -> None:
    assert Permissions(estate(permissions=tuple(entries))).held(APP, WRITE) is expected


def test_data_rights_are_apart_from_others() -> None:
    known = Permissions(estate(permissions=(Permission(VAULT_ID, ("*",), (), ()),)))
    assert known.held(VAULT_ID, "Microsoft.KeyVault/vaults/secrets/setSecret/action", data=True) is False


@pytest.mark.parametrize(
    ("tags", "who"),
    [
        ({"azd-env-name": "prod"}, "azd"),
        ({"azd-service-name": "web"}, "azd"),
        ({"aspire-resource-name": "web"}, "Aspire"),
        ({"ManagedBy": "Terraform"}, "Terraform"),
        ({"managed-by": "terraform"}, "Terraform"),
        ({"terraform": "true"}, "Terraform"),
        ({"pulumi:project": "shop"}, "Pulumi"),
        ({"deployed_by": "Bicep"}, "Bicep"),
        ({"hidden-link:/subscriptions/x": "Resource"}, "an Azure service"),
        ({"team": "terraformers", "charm": "yes", "managed-by": "alice"}, None),
    ],
)
def test_deployers_are_told_by_tags(tags: dict[str, str], who: str | None) -> None:
    found = notes(make(Spec(env={"DB": PASSWORD}, tags=tags)), "deployer")
    assert len(found) == (1 if who else 0)
    assert who is None or f"deployed by {who} " in found[0]


def test_uses_of_a_secret_are_told() -> None:
    rule = {"name": "queue", "custom": {"type": "x", "metadata": {}, "auth": [{"secretRef": "s"}]}}
    auth = {
        "properties": {
            "identityProviders": {"azureActiveDirectory": {"registration": {"clientSecretSettingName": "s"}}}
        }
    }
    volume = {"name": "files", "storageType": "Secret", "secrets": [{"secretRef": "s"}]}
    spec = Spec(inline={"s": PASSWORD}, template={"scale": {"rules": [rule]}, "volumes": [volume]}, auth=auth)
    found = notes(make(spec), "consumer")
    assert [text.split(" uses")[0] for text in found] == [
        "scale rule queue",
        "sign-in azureActiveDirectory",
        "volume files",
    ]


def revision(name: str, **env: str) -> Any:
    entries = [{"name": key, "value": value} for key, value in env.items()]
    return {"name": name, "properties": {"template": {"containers": [{"name": "main", "env": entries}]}}}


def test_rest_risk_names_each_place_where_a_value_still_lies() -> None:
    spec = Spec(
        env={"DB": PASSWORD},
        inline={"token": TOKEN},
        revisions=(
            revision("orders--old", DB=OTHER),
            revision("orders--copy", RENAMED=TOKEN),
            revision("orders--clean", LOG="info"),
        ),
    )
    where = [risk["where"].rpartition("/")[2] for risk in make(spec).rest_risk]
    assert where[:4] == ["orders--0000001", "orders--copy", "orders--old", "orders"]
    assert "deployments" in where
    assert "listSecrets" in where
    assert all(risk["what"] and risk["until"] for risk in make(spec).rest_risk)
    assert make(Spec()).rest_risk == ()


def test_an_app_that_may_scale_to_zero_is_told() -> None:
    assert notes(make(Spec(env={"DB": PASSWORD}, template={"scale": {"minReplicas": 0}})), "scale-to-zero")
    assert not notes(make(Spec(env={"DB": PASSWORD})), "scale-to-zero")


def test_what_to_look_up_in_the_vault_is_known_before() -> None:
    spec = Spec(env={"DB": PASSWORD})
    web = Spec("web", references={"db": (f"{VAULT_URI}/secrets/Team-DB", PASSWORD)})
    found = planner.wanted(estate(spec, web), spec.findings(), options(on_conflict="rename"), KEY)
    assert found == ("orders-db", f"orders-db-{KEY.of(PASSWORD)[3:9]}", "team-db")
    closed = estate(spec, vaults=(vault(publicNetworkAccess="Disabled"),))
    assert planner.wanted(closed, spec.findings(), options(), KEY) == ()


def test_the_estate_fingerprint_follows_what_matters_only() -> None:
    spec = Spec(env={"DB": PASSWORD})
    before = make(spec).estate
    assert before["key"] == KEY.key_id
    moved = Spec(env={"DB": PASSWORD}, properties={"runningStatus": "Running"}, document={"systemData": {"x": 1}})
    assert make(moved).estate == before
    assert make(spec, vaults=(vault(held("orders-db", PASSWORD)),)).estate != before
    assert make(Spec(env={"DB": PASSWORD, "LOG": "debug"}), findings=spec.findings()).estate != before
