"""Container apps: writes, secrets and vault references, identities, what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.simulator.providers import vault_secrets, vaults
from tests.simulator.apps import APP, ENVIRONMENT, IDENTITIES, VERSION, Apps
from tests.simulator.inside import GROUP, SUBSCRIPTION, VAULTS, code

KV = f"{VAULTS}/kv-shop"
URL = "https://kv-shop.vault.azure.net/secrets/db"
INLINE: Any = {"secrets": [{"name": "db", "value": "hunter2"}]}
USER = "Key Vault Secrets User"


@pytest.fixture
def apps() -> Apps:
    return Apps()


@pytest.fixture
def vaulted() -> Apps:
    """A cloud with a vault that holds `db`, and an identity that may read it."""
    apps = Apps()
    vaults.load(apps.azure, {"id": KV, "location": "westeurope", "properties": {"enableRbacAuthorization": True}})
    vault_secrets.plant(apps.azure, KV, "db", "from the vault")
    reader = apps.user_identity("reader")
    apps.grant(apps.principal(reader), USER, f"{KV}/secrets/db")
    return apps


def reference(identity: str, name: str = "db", url: str = URL) -> dict[str, str]:
    return {"name": name, "keyVaultUrl": url, "identity": identity}


def attached(*ids: str) -> dict[str, Any]:
    return {"type": "UserAssigned", "userAssignedIdentities": {identifier: {} for identifier in ids}}


def with_env(*env: dict[str, str], **scale: Any) -> dict[str, Any]:
    return {
        "containers": [{"name": "main", "image": "nginx", "env": list(env)}],
        "scale": {"minReplicas": 1, **scale},
    }


# Operations


def test_a_put_is_answered_201_each_time_and_ends_succeeded(apps: Apps) -> None:
    made = apps.put()
    assert made.status == 201
    assert made.body["properties"]["provisioningState"] == "InProgress"
    assert "latestRevisionName" not in made.body["properties"]
    assert "location" not in {name.lower() for name in made.headers}
    assert made.headers["retry-after"] == "0"
    poll = made.headers["azure-asyncoperation"]
    first = apps.arm("GET", poll, version=None)
    assert first.body["status"] == "InProgress"
    assert set(first.body) == {"id", "name", "status", "startTime"}
    apps.wait(20)
    assert apps.arm("GET", poll, version=None).body["status"] == "Succeeded"
    assert apps.put().status == 201


def test_a_patch_is_answered_202_with_both_headers_and_a_delete_with_location(apps: Apps) -> None:
    apps.create()
    patched = apps.patch({"tags": {"a": "b"}})
    assert patched.status == 202
    assert patched.body is None
    assert {"azure-asyncoperation", "location"} <= set(patched.headers)
    first = apps.arm("GET", patched.headers["location"], version=None)
    assert first.status == 202
    assert first.headers["location"] != patched.headers["location"]
    apps.wait(20)
    done = apps.arm("GET", patched.headers["location"], version=None)
    assert (done.status, done.body["tags"]) == (200, {"a": "b"})
    gone = apps.arm("DELETE", APP, version=VERSION)
    assert gone.status == 202
    assert "azure-asyncoperation" not in gone.headers
    apps.wait(20)
    assert apps.arm("GET", gone.headers["location"], version=None).status == 204
    assert code(apps.arm("GET", APP, version=VERSION)) == "ResourceNotFound"
    assert apps.arm("DELETE", APP, version=VERSION).status == 204


def test_a_write_while_another_runs_is_refused(apps: Apps) -> None:
    apps.put()
    refused = apps.put()
    assert refused.status == 409
    assert code(refused) == "ContainerAppOperationInProgress"
    assert "active provisioning operation in progress. OperationId: '" in refused.body["error"]["message"]


def test_a_patch_follows_rfc_7396(apps: Apps) -> None:
    apps.create(
        tags={"keep": "1", "drop": "2"},
        configuration={"ingress": {"external": True, "targetPort": 80, "corsPolicy": {"allowedOrigins": ["*"]}}},
    )
    ingress = {"targetPort": "81", "corsPolicy": None}
    changed = apps.change({"tags": {"drop": None, "new": "3"}, "properties": {"configuration": {"ingress": ingress}}})
    assert changed["tags"] == {"keep": "1", "new": "3"}
    assert changed["properties"]["configuration"]["ingress"]["targetPort"] == 81
    assert changed["properties"]["configuration"]["ingress"]["external"] is True
    assert changed["properties"]["configuration"]["ingress"]["corsPolicy"] is None
    assert apps.latest() == changed["properties"]["latestReadyRevisionName"]


def test_a_patch_with_the_body_of_a_get_is_accepted(apps: Apps) -> None:
    before = apps.create()
    sent = apps.get(version=VERSION)
    after = apps.change(sent)
    for body in (before, after):
        del body["systemData"]
    assert after == before


def test_unknown_properties_are_refused_by_version(apps: Apps) -> None:
    refused = apps.put(configuration={"foo": 1})
    assert refused.status == 400
    assert "Unknown properties foo in Microsoft.ContainerApps.WebApi.Views.Version20260701." in str(refused.body)
    old = apps.arm("PUT", APP, apps.body(configuration={"identitySettings": []}), version="2023-05-01")
    assert "identitySettings" in str(old.body["errors"])
    assert apps.arm("PUT", APP, {**apps.body(), "resourceGroup": "x"}, version=VERSION).status == 400


def test_answers_hold_what_their_version_knows(apps: Apps) -> None:
    apps.create()
    assert "patchingMode" in apps.get(version="2025-02-02-preview")["properties"]
    assert "patchingMode" not in apps.get(version="2025-07-01")["properties"]
    assert "identitySettings" not in apps.get(version="2024-03-01")["properties"]["configuration"]


def test_listings_are_paged(apps: Apps) -> None:
    apps.azure.switches.page_size = 2
    for number in range(5):
        apps.put(f"{APP}{number}")
    url: str | None = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.App/containerApps"
    pages = []
    while url:
        page = apps.arm("GET", url, version=VERSION if url.startswith("/") else None).body
        pages.append([entry["name"] for entry in page["value"]])
        url = page.get("nextLink")
    assert pages == [["web0", "web1"], ["web2", "web3"], ["web4"]]
    grouped = apps.arm("GET", f"{GROUP}/providers/Microsoft.App/containerApps", version=VERSION).body["value"]
    assert len(grouped) == 2


# Secrets


def test_values_are_listed_and_never_shown(apps: Apps) -> None:
    shown = apps.create(configuration=INLINE)
    assert shown["properties"]["configuration"]["secrets"] == [{"name": "db"}]
    assert apps.arm("POST", f"{APP}/listSecrets", version=VERSION).body == {
        "value": [{"name": "db", "value": "hunter2"}]
    }
    assert "hunter2" not in str(apps.azure.world.resources)


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ([{"name": "db"}], "ContainerAppSecretInvalid"),
        ([{"name": "db", "value": ""}], "ContainerAppSecretInvalid"),
        ([{"name": "db", "keyVaultUrl": URL}], "ContainerAppSecretInvalid"),
        ([{"name": "DB_", "value": "x"}], "ContainerAppInvalidSecretName"),
        (
            [{"name": "db", "keyVaultUrl": "http://x/secrets/y", "identity": "system"}],
            "ContainerAppSecretKeyVaultUrlInvalid",
        ),
        (
            [{"name": "db", "keyVaultUrl": "@Microsoft.KeyVault(SecretUri=x)", "identity": "system"}],
            "ContainerAppSecretKeyVaultUrlInvalid",
        ),
        ([{"name": "db", "keyVaultUrl": URL, "identity": "system"}], "InvalidParameterValueInContainerTemplate"),
    ],
)
def test_bad_secrets_are_refused(apps: Apps, secrets: list[Any], expected: str) -> None:
    refused = apps.put(configuration={"secrets": secrets})
    assert (refused.status, code(refused)) == (400, expected)
    assert code(apps.arm("GET", APP, version=VERSION)) == "ResourceNotFound"


def test_an_empty_string_counts_as_absent(apps: Apps) -> None:
    secret = {"name": "db", "value": "x", "keyVaultUrl": "", "identity": ""}
    apps.create(configuration={"secrets": [secret]})
    assert apps.secrets() == {"db": "x"}


def test_a_patch_without_secrets_keeps_them_and_one_with_them_replaces_all(apps: Apps) -> None:
    apps.create(configuration={"secrets": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]})
    apps.change({"properties": {"configuration": {"maxInactiveRevisions": 5}}})
    assert apps.secrets() == {"a": "1", "b": "2"}
    refused = apps.patch({"properties": {"configuration": {"secrets": [{"name": "a"}]}}})
    assert code(refused) == "ContainerAppSecretInvalid"
    apps.change({"properties": {"configuration": {"secrets": [{"name": "a", "value": "3"}]}}})
    assert apps.secrets() == {"a": "3"}
    emptied = apps.change({"properties": {"configuration": {"secrets": []}}})
    assert emptied["properties"]["configuration"]["secrets"] is None


def test_an_empty_stored_value_blocks_every_later_write(apps: Apps) -> None:
    document = apps.body(configuration={"secrets": [{"name": "db", "value": ""}]}) | {"id": APP}
    apps.load("Microsoft.App/containerApps", document)
    assert code(apps.patch({"tags": {"a": "b"}})) == "ContainerAppSecretInvalid"


def test_unknown_names_are_refused_where_azure_checks_and_only_there(apps: Apps) -> None:
    refused = apps.put(template=with_env({"name": "A", "secretRef": "nope"}))
    assert code(refused) == "ContainerAppSecretRefNotFound"
    assert refused.body["error"]["message"] == "SecretRef 'nope' defined for container 'main' not found."
    registry = {"server": "x.azurecr.io", "username": "u", "passwordSecretRef": "nope"}
    refused = apps.put(configuration={"registries": [registry]})
    assert code(refused) == "ContainerAppRegistriesPasswordSecretRefNotFound"
    rule = {
        "name": "q",
        "custom": {"type": "x", "metadata": {}, "auth": [{"secretRef": "nope", "triggerParameter": "t"}]},
    }
    assert apps.put(template=with_env(rules=[rule])).status == 201


def test_a_secret_in_use_by_an_active_revision_stays(apps: Apps) -> None:
    apps.create(
        configuration={**INLINE, "activeRevisionsMode": "Multiple"},
        template=with_env({"name": "DB", "secretRef": "db"}),
    )
    apps.change({"properties": {"template": with_env({"name": "DB", "value": "plain"})}})
    refused = apps.patch({"properties": {"configuration": {"secrets": []}}})
    assert code(refused) == "InvalidParameterValueInContainerTemplate"
    old = min(apps.revisions(), key=lambda name: apps.revisions()[name]["createdTime"])
    assert apps.arm("POST", f"{APP}/revisions/{old}/deactivate", version=VERSION).body == "Deactivate succeeded"
    apps.change({"properties": {"configuration": {"secrets": []}}})
    assert apps.secrets() == {}


# Vault references


def test_a_reference_is_resolved_when_it_is_written(vaulted: Apps) -> None:
    reader = f"{IDENTITIES}/reader"
    shown = vaulted.create(identity=attached(reader), configuration={"secrets": [reference(reader)]})
    assert shown["properties"]["configuration"]["secrets"] == [{"name": "db", "identity": reader, "keyVaultUrl": URL}]
    listed = vaulted.arm("POST", f"{APP}/listSecrets", version=VERSION).body["value"]
    assert listed == [{"name": "db", "identity": reader, "keyVaultUrl": URL, "value": "from the vault"}]


@pytest.mark.parametrize("trouble", ["role", "name", "empty", "disabled", "identity", "model"])
def test_every_trouble_with_a_reference_gives_one_vague_answer(vaulted: Apps, trouble: str) -> None:
    identity = vaulted.user_identity("other")
    if trouble != "role":
        vaulted.grant(vaulted.principal(identity), USER, KV)
    url = URL
    if trouble == "name":
        url = "https://kv-shop.vault.azure.net/secrets/absent"
    elif trouble == "empty":
        vault_secrets.plant(vaulted.azure, KV, "db", "")
    elif trouble == "disabled":
        vault_secrets.plant(vaulted.azure, KV, "db", "x", enabled=False)
    elif trouble == "model":
        vaulted.azure.world.resources[KV.lower()]["properties"]["enableRbacAuthorization"] = False
    body: dict[str, Any] = {"configuration": {"secrets": [{"name": "ok", "value": "1"}, reference(identity, url=url)]}}
    if trouble != "identity":
        body["identity"] = attached(identity)
    refused = vaulted.put(**body)
    assert (refused.status, code(refused)) == (400, "InvalidParameterValueInContainerTemplate")
    assert refused.body["error"]["message"] == (
        "The following field(s) are either invalid or missing. Field 'configuration.secrets' is invalid with details: "
        f'\'Invalid value: "db": Unable to get value using Managed identity {identity} for secret db. Error: unable to '
        f"fetch secret 'db' using Managed identity '{identity}''.;"
    )


def test_one_broken_reference_blocks_all_changes(vaulted: Apps) -> None:
    app = _referring(vaulted)
    vaulted.azure.world.table("assignments").clear()
    vaulted.grant(vaulted.operator, "Owner", f"/subscriptions/{SUBSCRIPTION}")
    assert code(vaulted.patch({"tags": {"a": "b"}})) == "InvalidParameterValueInContainerTemplate"
    assert vaulted.get() == app
    assert vaulted.secrets() == {"db": "from the vault"}


def _referring(apps: Apps) -> Any:
    reader = f"{IDENTITIES}/reader"
    return apps.create(
        identity=attached(reader),
        configuration={"secrets": [reference(reader)]},
        template=with_env({"name": "DB", "secretRef": "db"}),
    )


def test_inline_to_reference_with_the_same_value_touches_no_replica(vaulted: Apps) -> None:
    reader = f"{IDENTITIES}/reader"
    vaulted.create(
        identity=attached(reader),
        configuration={"secrets": [{"name": "db", "value": "from the vault"}]},
        template=with_env({"name": "DB", "secretRef": "db"}),
    )
    before = _replica_names(vaulted)
    revision = vaulted.latest()
    vaulted.change({"properties": {"configuration": {"secrets": [reference(reader)]}}})
    assert vaulted.latest() == revision
    assert _replica_names(vaulted) == before


def test_inline_to_reference_with_another_value_replaces_the_replicas(vaulted: Apps) -> None:
    reader = f"{IDENTITIES}/reader"
    vaulted.create(
        identity=attached(reader), configuration=INLINE, template=with_env({"name": "DB", "secretRef": "db"})
    )
    before = _replica_names(vaulted)
    vaulted.change({"properties": {"configuration": {"secrets": [reference(reader)]}}})
    vaulted.wait(60)
    assert not before & _replica_names(vaulted)
    assert [line["reason"] for line in vaulted.azure.world.table("system-log").values()] == [
        "RevisionRestartWithNewSecrets"
    ]


def _replica_names(apps: Apps) -> set[str]:
    listed = apps.arm("GET", f"{APP}/revisions/{apps.latest()}/replicas", version=VERSION).body["value"]
    return {entry["name"] for entry in listed}


def test_apps_fetch_again_on_a_common_tick_and_restart_only_for_a_change(vaulted: Apps) -> None:
    _referring(vaulted)
    before = _replica_names(vaulted)
    vaulted.wait(1800)
    assert _replica_names(vaulted) == before
    vault_secrets.plant(vaulted.azure, KV, "db", "rotated")
    revision = vaulted.latest()
    restarted = vaulted.arm("POST", f"{APP}/revisions/{revision}/restart", version=VERSION)
    assert restarted.body == "Restart succeeded"
    vaulted.wait(60)
    assert vaulted.secrets() == {"db": "from the vault"}  # a restart fetches nothing
    before = _replica_names(vaulted)
    vaulted.wait(1800)
    assert vaulted.secrets() == {"db": "rotated"}
    vaulted.wait(60)
    assert not before & _replica_names(vaulted)
    assert vaulted.latest() == revision


def test_writing_the_reference_again_forces_the_fetch(vaulted: Apps) -> None:
    shown = _referring(vaulted)
    vault_secrets.plant(vaulted.azure, KV, "db", "rotated")
    vaulted.change({"properties": {"configuration": {"secrets": shown["properties"]["configuration"]["secrets"]}}})
    assert vaulted.secrets() == {"db": "rotated"}


def test_an_app_that_lost_its_role_keeps_the_value(vaulted: Apps) -> None:
    _referring(vaulted)
    vault_secrets.plant(vaulted.azure, KV, "db", "rotated")
    assignments = vaulted.azure.world.table("assignments")
    for key in [key for key, entry in assignments.items() if "/secrets/db" in entry["scope"]]:
        del assignments[key]
    vaulted.wait(4000)
    assert vaulted.secrets() == {"db": "from the vault"}


def test_a_versioned_reference_is_pinned(vaulted: Apps) -> None:
    reader = f"{IDENTITIES}/reader"
    vaulted.grant(vaulted.operator, "Key Vault Administrator", KV)
    current = vaulted.vault("kv-shop", "GET", "/secrets/db").body["id"].rpartition("/")[2]
    vaulted.create(identity=attached(reader), configuration={"secrets": [reference(reader, url=f"{URL}/{current}")]})
    vault_secrets.plant(vaulted.azure, KV, "db", "rotated")
    vaulted.wait(4000)
    assert vaulted.secrets() == {"db": "from the vault"}


def test_references_of_a_loaded_app_are_resolved_leniently(vaulted: Apps) -> None:
    reader = f"{IDENTITIES}/reader"
    document = vaulted.body(
        identity=attached(reader),
        configuration={
            "secrets": [reference(reader), reference(reader, "gone", "https://no.vault.azure.net/secrets/x")]
        },
    )
    vaulted.load("Microsoft.App/containerApps", document | {"id": APP})
    assert vaulted.secrets() == {"db": "from the vault", "gone": None}


def test_without_resolving_on_write_anything_is_accepted(vaulted: Apps) -> None:
    vaulted.azure.switches.resolve_on_write = False
    other = vaulted.user_identity("other")
    vaulted.create(identity=attached(other), configuration={"secrets": [reference(other)]})
    assert vaulted.secrets() == {"db": None}


# Rights


def test_a_write_needs_the_right_to_join_the_environment(apps: Apps) -> None:
    deployer = apps.identity("deployer")
    apps.grant(deployer, "Contributor", APP)
    refused = apps.put(caller=deployer)
    assert (refused.status, code(refused)) == (403, "LinkedAuthorizationFailed")
    assert "Microsoft.App/managedEnvironments/join/action" in refused.body["error"]["message"]
    assert ENVIRONMENT in refused.body["error"]["message"]
    apps.grant(deployer, "Contributor", ENVIRONMENT)
    assert apps.put(caller=deployer).status == 201


def test_attaching_an_identity_needs_the_right_to_assign_it(apps: Apps) -> None:
    apps.create()
    deployer = apps.identity("deployer")
    for scope in (APP, ENVIRONMENT):
        apps.grant(deployer, "Contributor", scope)
    mine = apps.user_identity("mine")
    refused = apps.patch({"identity": attached(mine)}, caller=deployer)
    assert code(refused) == "LinkedAuthorizationFailed"
    assert "userAssignedIdentities/assign/action" in refused.body["error"]["message"]
    apps.grant(deployer, "Managed Identity Operator", mine)
    assert apps.patch({"identity": attached(mine)}, caller=deployer).status == 202
    apps.wait(20)
    # one that is attached already is not checked again
    other = apps.identity("other")
    for scope in (APP, ENVIRONMENT):
        apps.grant(other, "Contributor", scope)
    assert apps.patch({"identity": attached(mine)}, caller=other).status == 202


def test_a_reader_sees_the_app_and_not_its_secrets(apps: Apps) -> None:
    apps.create(configuration=INLINE)
    reader = apps.identity("reader")
    apps.grant(reader, "Reader", GROUP)
    assert apps.arm("GET", APP, version=VERSION, caller=reader).status == 200
    refused = apps.arm("POST", f"{APP}/listSecrets", version=VERSION, caller=reader)
    assert (refused.status, code(refused)) == (403, "AuthorizationFailed")
    assert "Microsoft.App/containerApps/listSecrets/action" in refused.body["error"]["message"]


@pytest.mark.parametrize("blocks", [True, False])
def test_a_read_only_lock_stops_writes_and_perhaps_list_secrets(apps: Apps, blocks: bool) -> None:
    apps.azure.switches.readonly_lock_blocks_list_secrets = blocks
    apps.create(configuration=INLINE)
    apps.azure.world.table("locks")["l"] = {"id": "l", "name": "l", "scope": GROUP, "level": "ReadOnly", "notes": ""}
    assert code(apps.patch({"tags": {}})) == "ScopeLocked"
    assert apps.arm("POST", f"{APP}/listSecrets", version=VERSION).status == (409 if blocks else 200)


# Identities


def test_a_system_identity_comes_and_goes_with_its_principal(apps: Apps) -> None:
    apps.create()
    first = apps.change({"identity": {"type": "SystemAssigned"}})["identity"]
    assert first["type"] == "SystemAssigned"
    assert first["principalId"] in apps.azure.world.table("principals")
    mine = apps.user_identity("mine")
    both = apps.change({"identity": {"type": "SystemAssigned,UserAssigned", "userAssignedIdentities": {mine: {}}}})
    assert both["identity"]["type"] == "SystemAssigned, UserAssigned"
    assert both["identity"]["principalId"] == first["principalId"]
    assert list(both["identity"]["userAssignedIdentities"]) == [mine.replace("resourceGroups", "resourcegroups")]
    none = apps.change({"identity": None})["identity"]
    assert none == {"type": "None"}
    assert first["principalId"] not in apps.azure.world.table("principals")
    again = apps.change({"identity": {"type": "SystemAssigned"}})["identity"]
    assert again["principalId"] != first["principalId"]


@pytest.mark.parametrize(("mode", "left"), [("merge", ["two"]), ("replace", None)])
def test_a_null_in_the_identity_map_of_a_patch(apps: Apps, mode: str, left: list[str] | None) -> None:
    apps.azure.switches.identity_map = mode
    one, two = apps.user_identity("one"), apps.user_identity("two")
    apps.create(identity=attached(one, two))
    response = apps.patch({"identity": {"type": "UserAssigned", "userAssignedIdentities": {one: None}}})
    if left is None:
        assert response.status == 400
        return
    apps.wait(20)
    assert [key.rpartition("/")[2] for key in apps.get()["identity"]["userAssignedIdentities"]] == left


@pytest.mark.parametrize(("mode", "names"), [("merge", ["one", "two"]), ("replace", ["two"])])
def test_the_identity_map_of_a_patch_is_merged_or_replaces(apps: Apps, mode: str, names: list[str]) -> None:
    apps.azure.switches.identity_map = mode
    one, two = apps.user_identity("one"), apps.user_identity("two")
    apps.create(identity=attached(one))
    apps.change({"identity": attached(two)})
    shown = apps.get()["identity"]["userAssignedIdentities"]
    assert sorted(key.rpartition("/")[2] for key in shown) == names


def test_a_put_replaces_the_identity_and_without_the_key_the_switch_decides(apps: Apps) -> None:
    one, two = apps.user_identity("one"), apps.user_identity("two")
    apps.create(identity=attached(one))
    apps.create(identity=attached(two))
    assert [key.rpartition("/")[2] for key in apps.get()["identity"]["userAssignedIdentities"]] == ["two"]
    apps.azure.switches.put_without_identity = "keeps"
    assert apps.create()["identity"]["type"] == "UserAssigned"
    apps.azure.switches.put_without_identity = "removes"
    assert apps.create()["identity"] == {"type": "None"}


def test_ids_missing_or_unknown_are_refused(apps: Apps) -> None:
    assert code(apps.put(identity={"type": "UserAssigned"})) == "MissingIdentityIds"
    absent = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/absent"
    assert code(apps.put(identity=attached(absent))) == "FailedIdentityOperation"


def test_changing_the_identity_makes_no_revision(apps: Apps) -> None:
    apps.create()
    before = apps.latest()
    apps.change({"identity": {"type": "SystemAssigned"}})
    assert apps.latest() == before


def test_a_registry_with_an_identity_made_in_the_same_write_hangs_and_fails(apps: Apps) -> None:
    apps.create()
    registry = {"server": "x.azurecr.io", "identity": "system"}
    apps.patch({"identity": {"type": "SystemAssigned"}, "properties": {"configuration": {"registries": [registry]}}})
    apps.wait(1100)
    assert apps.get()["properties"]["provisioningState"] == "InProgress"
    apps.wait(120)
    properties = apps.get()["properties"]
    assert (properties["provisioningState"], properties["deploymentErrors"]) == ("Failed", "Operation expired")
    assert properties["configuration"]["registries"] == [
        {"server": "x.azurecr.io", "username": "", "passwordSecretRef": "", "identity": "system"}
    ]


# Environments and authConfigs


def test_an_environment_is_made_changed_and_deleted(apps: Apps) -> None:
    path = f"{ENVIRONMENT}-two"
    made = apps.arm("PUT", path, {"location": "westeurope", "properties": {}}, version=VERSION)
    assert (made.status, made.body["properties"]["provisioningState"]) == (201, "Waiting")
    assert "identity" not in made.body
    assert code(apps.put(properties={"environmentId": path})) == "ManagedEnvironmentNotProvisioned"
    apps.wait(100)
    assert apps.get(path)["properties"]["provisioningState"] == "Succeeded"
    assert apps.arm("PATCH", path, {"location": "westeurope"}, version=VERSION).status == 200
    one, two = apps.user_identity("one"), apps.user_identity("two")
    for identity in (attached(one, two), {"type": "UserAssigned", "userAssignedIdentities": {one: None}}):
        changed = apps.arm("PATCH", path, {"identity": identity}, version=VERSION)
        assert changed.status == 202
        assert "azure-asyncoperation" not in changed.headers
        apps.wait(100)
    assert [key.rpartition("/")[2] for key in apps.get(path)["identity"]["userAssignedIdentities"]] == ["two"]
    gone = apps.arm("DELETE", path, version=VERSION)
    apps.wait(100)
    assert apps.arm("GET", gone.headers["location"], version=None).status == 204


def test_auth_settings_name_secrets_that_exist(apps: Apps) -> None:
    apps.create(configuration=INLINE)
    path = f"{APP}/authConfigs/current"
    assert code(apps.arm("GET", path, version=VERSION)) == "AuthConfigNotFound"
    registration = {"clientId": "c", "clientSecretSettingName": "db"}
    providers = {"azureActiveDirectory": {"registration": registration}}
    body = {"properties": {"platform": {"enabled": True}, "login": {}, "identityProviders": providers}}
    made = apps.arm("PUT", path, body, version=VERSION)
    assert made.status == 200
    entra = made.body["properties"]["identityProviders"]["azureActiveDirectory"]
    assert entra["isAutoProvisioned"] is False
    assert entra["validation"] == {"defaultAuthorizationPolicy": {"allowedApplications": []}}
    registration["clientSecretSettingName"] = "absent"
    assert code(apps.arm("PUT", path, body, version=VERSION)) == "AuthConfigSecretRefNotFound"
    assert len(apps.arm("GET", f"{APP}/authConfigs", version=VERSION).body["value"]) == 1
    assert apps.arm("DELETE", path, version=VERSION).status == 204
