"""Estate documents: what they become, what is filled in, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.demo_estate import estate as demo_estate
from migrator.simulator import estate, principals, rbac
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import entra
from migrator.simulator.wire import Request
from migrator.simulator.world import World

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/shop"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
APP = f"{GROUP}/providers/Microsoft.App/containerApps/shop"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env"


def app(**changed: Any) -> dict[str, Any]:
    return {
        "id": APP,
        "type": "Microsoft.App/containerApps",
        "location": "West Europe",
        "identity": {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {
            "environmentId": ENVIRONMENT,
            "configuration": {
                "secrets": [
                    {"name": "inline", "value": "inline-value"},
                    {"name": "kv", "keyVaultUrl": "https://kv-shop.vault.azure.net/secrets/db", "identity": IDENTITY},
                ]
            },
            "template": {
                "containers": [
                    {
                        "name": "c",
                        "image": "nginx",
                        "env": [
                            {"name": "PLAIN", "value": "plain-value"},
                            {"name": "INLINE", "secretRef": "inline"},
                            {"name": "KV", "secretRef": "kv"},
                            {"name": "EMPTY"},
                        ],
                    }
                ]
            },
        },
        **changed,
    }


def whole(**changed: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION.rpartition("/")[2]],
        "resources": [app(), {"id": VAULT, "properties": {"enableRbacAuthorization": True}}],
        "vaultSecrets": [{"vault": "kv-shop", "name": "db", "value": "vault-value"}],
        "roleAssignments": [{"principal": IDENTITY, "role": "Key Vault Secrets User", "scope": f"{VAULT}/secrets/db"}],
        **changed,
    }


def load(document: dict[str, Any]) -> Azure:
    azure = Azure(World(), Clock(0.0, 1_700_000_000.0), origins={"arm": "https://arm", "entra": "https://arm"})
    estate.load(azure, document)
    azure.settle()
    return azure


def get(azure: Azure, path: str, version: str, principal: str = "operator") -> Any:
    entry = principals.operator(azure) if principal == "operator" else principals.of_resource(azure, principal)
    assert entry is not None
    token, _ = entra.issue(azure, entry, "https://arm")
    url = f"https://arm{path}?api-version={version}"
    return azure.handle("arm", Request.of("GET", url, {"Authorization": f"Bearer {token}"}))


def test_what_an_app_names_is_made() -> None:
    azure = load(whole())
    assert principals.of_resource(azure, IDENTITY) is not None
    assert principals.of_resource(azure, APP) is not None
    assert ENVIRONMENT.lower() in azure.world.resources
    group = azure.world.table("groups")[GROUP.lower()]
    assert group == {"id": GROUP, "name": "shop", "location": "westeurope", "tags": {}}
    answer = get(azure, APP, "2025-07-01")
    assert answer.status == 200
    assert answer.body["name"] == "shop"


def test_operator_owns_everything_and_may_touch_secrets_by_default() -> None:
    azure = load(whole())
    operator = principals.operator(azure)["id"]
    assert rbac.allowed(azure, operator, "Microsoft.App/containerApps/write", APP)
    secrets = "Microsoft.KeyVault/vaults/secrets/setSecret/action"
    assert rbac.allowed(azure, operator, secrets, f"{VAULT}/secrets/x", data=True)


def test_operator_has_the_roles_that_are_given_and_no_others() -> None:
    azure = load(whole(operator={"roles": [{"role": "Reader", "scope": GROUP}]}))
    operator = principals.operator(azure)["id"]
    assert rbac.allowed(azure, operator, "Microsoft.App/containerApps/read", APP)
    assert not rbac.allowed(azure, operator, "Microsoft.App/containerApps/write", APP)
    assert len(azure.world.table("assignments")) == 2


def test_assignments_are_in_effect_from_the_start_for_every_kind_of_principal() -> None:
    somebody = "99999999-9999-9999-9999-999999999999"
    given = [
        {"principal": principal, "role": role, "scope": VAULT}
        for principal, role in (
            (IDENTITY.upper().replace("/SUBSCRIPTIONS", "/subscriptions"), "Key Vault Reader"),
            (APP, "4633458b-17de-408a-b874-0445c86b69e6"),
            ("operator", "Reader"),
            (somebody, f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{rbac_id('Contributor')}"),
        )
    ]
    azure = load(
        whole(resources=[*whole()["resources"], {"id": IDENTITY}], roleAssignments=given, operator={"roles": []})
    )
    system = principals.of_resource(azure, APP)
    assert system is not None
    reading = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
    assert rbac.allowed(azure, system["id"], reading, f"{VAULT}/secrets/db", data=True)
    assert rbac.allowed(azure, somebody, "Microsoft.KeyVault/vaults/write", VAULT)
    kinds = {entry["principalId"]: entry["principalType"] for entry in azure.world.table("assignments").values()}
    assert kinds[somebody] == "User"
    assert kinds[system["id"]] == "ServicePrincipal"


def rbac_id(name: str) -> str:
    found = rbac.definition(Azure(World(), Clock(0.0)), name)
    assert found is not None
    return str(found["id"])


def test_custom_role_is_known_by_name_in_the_same_document() -> None:
    role = {"roleName": "Watcher", "permissions": [{"actions": ["Microsoft.App/*/read"]}]}
    given = [{"principal": IDENTITY, "role": "Watcher", "scope": GROUP}]
    azure = load(whole(roleDefinitions=[role], roleAssignments=given))
    assert get(azure, APP, "2025-07-01", IDENTITY).status == 200
    assert get(azure, VAULT, "2023-07-01", IDENTITY).status == 403


def test_denial_wins_over_ownership() -> None:
    denial = {
        "denyAssignmentName": "stack",
        "scope": APP,
        "permissions": [{"actions": ["*/write"]}],
        "principals": ["operator"],
    }
    azure = load(whole(denyAssignments=[denial]))
    operator = principals.operator(azure)["id"]
    assert not rbac.allowed(azure, operator, "Microsoft.App/containerApps/write", APP)
    assert rbac.allowed(azure, operator, "Microsoft.App/containerApps/read", APP)


@pytest.mark.parametrize(
    "given",
    [
        {"scope": APP, "level": "readonly", "name": "freeze"},
        {"id": f"{APP}/providers/Microsoft.Authorization/locks/freeze", "level": "ReadOnly"},
        {"id": f"{APP}/providers/Microsoft.Authorization/locks/freeze", "properties": {"level": "ReadOnly"}},
    ],
)
def test_locks_in_either_form(given: dict[str, Any]) -> None:
    locks = list(load(whole(locks=[given])).world.table("locks").values())
    identifier = f"{APP}/providers/Microsoft.Authorization/locks/freeze"
    assert locks == [{"id": identifier, "name": "freeze", "scope": APP, "level": "ReadOnly", "notes": ""}]


@pytest.mark.parametrize(
    ("env", "value"), [("PLAIN", "plain-value"), ("INLINE", "inline-value"), ("KV", "vault-value")]
)
def test_needed_value_is_the_one_at_the_start(env: str, value: str) -> None:
    azure = load(whole(needs=[{"app": APP.upper(), "env": env}]))
    assert azure.world.table("needs") == {APP.lower(): [{"env": env, "value": value}]}


def test_needed_value_may_be_given_or_any() -> None:
    azure = load(whole(needs=[{"app": APP, "env": "A", "equals": "x"}, {"app": APP, "env": "B", "present": True}]))
    assert azure.world.table("needs")[APP.lower()] == [{"env": "A", "value": "x"}, {"env": "B", "value": None}]


def test_switches_and_faults_of_the_document_are_in_force() -> None:
    azure = load(whole(switches={"identity_map": "replace"}, faults=[{"path": "/x", "status": 503}]))
    assert azure.switches.identity_map == "replace"
    assert [rule.status for rule in azure.faults.rules] == [503]


def test_children_and_groups_come_in_any_order() -> None:
    auth = {"id": f"{APP}/authConfigs/current", "properties": {}}
    group = {"id": GROUP, "type": "Microsoft.Resources/resourceGroups", "location": "eastus", "tags": {"a": "b"}}
    azure = load(whole(resources=[auth, *whole()["resources"], group]))
    assert get(azure, f"{APP}/authConfigs/current", "2025-07-01").status == 200
    assert azure.world.table("groups")[GROUP.lower()]["tags"] == {"a": "b"}
    assert GROUP.lower() not in azure.world.resources


def test_type_without_a_provider_is_kept_as_it_stands() -> None:
    thing = {"id": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/st", "location": "westeurope", "kind": "x"}
    azure = load(whole(resources=[thing], vaultSecrets=[]))
    assert azure.world.resources[thing["id"].lower()]["kind"] == "x"


def test_same_document_gives_the_same_world() -> None:
    first, second = (json.dumps(load(whole()).world.tables, sort_keys=True) for _ in range(2))
    assert first == second


def test_demo_estate_loads() -> None:
    azure = load(demo_estate())
    assert len(azure.world.of_type("Microsoft.App/containerApps")) >= 12


def test_every_captured_app_loads(shared_dir: Path) -> None:
    count = 0
    for path in sorted((shared_dir / "azure/recordings/live-captures").glob("*/*.json")):
        try:
            document = json.loads(path.read_text())
        except ValueError:
            continue
        if not isinstance(document, dict) or str(document.get("type", "")).lower() != "microsoft.app/containerapps":
            continue
        azure = load({"schema": 1, "subscriptions": [], "resources": [document]})
        assert get(azure, document["id"], "2025-07-01").status == 200, path
        count += 1
    assert count >= 4


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": True}, "schema"),
        ({"secrets": []}, "estate: unknown key 'secrets'"),
        ({"resources": {}}, "resources: a list"),
        ({"resources": ["x"]}, r"resources\[0\]: an object"),
        ({"resources": [{"type": "Microsoft.App/containerApps"}]}, r"resources\[0\]\.id"),
        ({"resources": [{"id": "shop"}]}, r"resources\[0\]\.id"),
        ({"resources": [{"id": f"{GROUP}/providers/Microsoft.App"}]}, r"resources\[0\]\.id"),
        ({"resources": [{"id": APP, "type": "Microsoft.App/jobs"}]}, r"resources\[0\]\.type"),
        ({"resources": [app(), app(id=APP.upper().replace("SUBSCRIPTIONS", "subscriptions"))]}, r"resources\[1\]\.id"),
        ({"resources": [app(properties=[1])]}, r"resources\[0\]\.properties"),
        (
            {"resources": [app(properties={"environmentId": ENVIRONMENT, "template": "x"})], "vaultSecrets": []},
            r"resources\[0\]",
        ),
        ({"subscriptions": [{"name": "x"}]}, r"subscriptions\[0\]"),
        ({"subscriptions": [""]}, r"subscriptions\[0\]"),
        ({"vaultSecrets": [{"vault": "kv-none", "name": "db", "value": "x"}]}, r"vaultSecrets\[0\].*kv-none"),
        ({"vaultSecrets": [{"vault": "kv-shop", "name": "d_b", "value": "x"}]}, r"vaultSecrets\[0\].*d_b"),
        ({"vaultSecrets": [{"vault": "kv-shop", "name": "db", "value": 7}]}, r"vaultSecrets\[0\]\.value"),
        ({"vaultSecrets": [{"vault": "kv-shop", "name": "db", "value": "x", "enabled": 1}]}, r"\.enabled"),
        ({"roleAssignments": [{"principal": IDENTITY, "role": "King", "scope": VAULT}]}, r"roleAssignments\[0\]\.role"),
        ({"roleAssignments": [{"principal": IDENTITY, "role": "Reader", "scope": "x"}]}, r"\[0\]\.scope"),
        ({"roleAssignments": [{"principal": VAULT, "role": "Reader", "scope": VAULT}]}, r"\[0\]\.principal.*no system"),
        ({"roleAssignments": [{"principal": f"{APP}2", "role": "Reader", "scope": VAULT}]}, "not in the estate"),
        ({"roleAssignments": [{"principal": "bob", "role": "Reader", "scope": VAULT}]}, "neither"),
        ({"roleAssignments": [{"who": "bob"}]}, r"roleAssignments\[0\]: unknown key 'who'"),
        ({"roleDefinitions": [{"roleName": "X"}]}, r"roleDefinitions\[0\]"),
        ({"locks": [{"scope": APP, "level": "Never"}]}, r"locks\[0\]\.level"),
        ({"locks": [{"level": "ReadOnly"}]}, r"locks\[0\]\.scope"),
        ({"operator": {"role": "Owner"}}, "operator: unknown key 'role'"),
        ({"operator": {"roles": [{"role": "Owner"}]}}, r"operator\.roles\[0\]\.scope"),
        ({"needs": [{"app": f"{APP}2", "env": "A"}]}, r"needs\[0\]\.app"),
        ({"needs": [{"app": APP, "env": "EMPTY"}]}, r"needs\[0\]\.env"),
        ({"needs": [{"app": APP, "env": "A", "equals": "x", "present": True}]}, r"needs\[0\]"),
        ({"switches": {"nothing": 1}}, "switches: unknown switch"),
        ({"faults": [{"colour": "red"}]}, "faults: "),
    ],
)
def test_nonsense_is_refused_with_its_place(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(ValueError, match=place):
        load(whole(**changed))


def test_refusal_tells_no_value() -> None:
    broken = app()
    broken["properties"]["configuration"] = {"secrets": ["planted-value"]}
    with pytest.raises(ValueError, match="resources") as refused:
        load(whole(resources=[broken], vaultSecrets=[]))
    assert "planted-value" not in str(refused.value)
