"""Microsoft.KeyVault/vaults: shapes by version, defaults, soft delete, access policies."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.simulator.providers import vaults

from .inside import GROUP, SUBSCRIPTION, VAULTS, Inside, code

NEW: dict[str, Any] = {
    "location": "West Europe",
    "properties": {"tenantId": "t", "sku": {"family": "A", "name": "standard"}, "accessPolicies": []},
}
SPACE = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault"


@pytest.fixture
def inside() -> Inside:
    return Inside()


def test_a_new_vault_registers_its_name_first(inside: Inside) -> None:
    made = inside.arm("PUT", f"{VAULTS}/kv-Shop", NEW)
    assert made.status == 200
    assert made.body["location"] == "westeurope"
    assert made.body["properties"]["provisioningState"] == "RegisteringDns"
    assert made.body["properties"]["vaultUri"] == "https://kv-shop.vault.azure.net"
    assert made.headers["Retry-After"] == "5"
    inside.wait(10)
    read = inside.arm("GET", f"{VAULTS}/KV-SHOP")
    assert read.body["name"] == "kv-Shop"
    assert read.body["properties"]["provisioningState"] == "Succeeded"
    assert read.body["properties"]["vaultUri"] == "https://kv-shop.vault.azure.net/"
    assert read.body["properties"]["softDeleteRetentionInDays"] == 90
    assert read.body["systemData"]["createdByType"] == "User"
    assert "Retry-After" not in read.headers


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2022-07-01", None), ("2025-05-01", None), ("2026-02-01", True), ("2026-05-15", True)],
)
def test_the_permission_model_of_a_new_vault_depends_on_the_version(
    inside: Inside, version: str, expected: bool | None
) -> None:
    made = inside.arm("PUT", f"{VAULTS}/kv-shop", NEW, version=version)
    assert made.body["properties"].get("enableRbacAuthorization") is expected
    # an existing vault keeps its model, whatever version speaks
    again = inside.arm("PUT", f"{VAULTS}/kv-shop", NEW, version="2026-05-15")
    assert again.body["properties"].get("enableRbacAuthorization") is expected


def test_what_is_unknown_or_malformed_is_refused(inside: Inside) -> None:
    strange = {**NEW, "properties": {**NEW["properties"], "enableRbac": True}}
    assert code(inside.arm("PUT", f"{VAULTS}/kv-shop", strange)) == "BadRequest"
    assert code(inside.arm("PUT", f"{VAULTS}/kv--shop", NEW)) == "VaultNameNotValid"
    assert code(inside.arm("PUT", f"{VAULTS}/kv-shop", {**NEW, "properties": {}})) == "BadRequest"
    assert code(inside.arm("GET", f"{VAULTS}/kv-shop")) == "ResourceNotFound"
    assert inside.arm("GET", f"{VAULTS}/kv-shop", version="2026-07-01").status in {400, 404}
    assert inside.arm("GET", f"{VAULTS}/kv-shop", version=None).status == 400


def test_read_only_properties_are_ignored(inside: Inside) -> None:
    body = {**NEW, "properties": {**NEW["properties"], "provisioningState": "Failed", "vaultUri": "https://x"}}
    made = inside.arm("PUT", f"{VAULTS}/kv-shop", body)
    assert made.body["properties"]["provisioningState"] == "RegisteringDns"


def test_protection_cannot_be_taken_away(inside: Inside) -> None:
    inside.arm("PUT", f"{VAULTS}/kv-shop", NEW)
    patch = {"properties": {"enablePurgeProtection": True}}
    assert inside.arm("PATCH", f"{VAULTS}/kv-shop", patch).body["properties"]["enablePurgeProtection"] is True
    refused = inside.arm("PATCH", f"{VAULTS}/kv-shop", {"properties": {"enablePurgeProtection": False}})
    assert code(refused) == "BadRequest"
    assert "irreversible" in refused.body["error"]["message"]
    assert inside.arm("PATCH", f"{VAULTS}/kv-shop", {"properties": {"softDeleteRetentionInDays": 7}}).status == 400


def test_patch_merges_and_fills_the_firewall(inside: Inside) -> None:
    inside.arm("PUT", f"{VAULTS}/kv-shop", {**NEW, "tags": {"a": "1"}})
    patched = inside.arm("PATCH", f"{VAULTS}/kv-shop", {"properties": {"networkAcls": {"defaultAction": "Deny"}}})
    assert patched.body["properties"]["networkAcls"] == {
        "bypass": "AzureServices",
        "defaultAction": "Deny",
        "ipRules": [],
        "virtualNetworkRules": [],
    }
    assert patched.body["tags"] == {"a": "1"}
    assert inside.arm("PATCH", f"{VAULTS}/kv-shop", {"tags": {}}).body["tags"] == {}


def test_listing_pages_and_ends_with_an_empty_page(inside: Inside) -> None:
    for name in ("kv-a1", "kv-b2", "kv-c3"):
        inside.arm("PUT", f"{VAULTS}/{name}", NEW)
    for path in (f"{SPACE}/vaults", VAULTS):
        names: list[str] = []
        page = inside.arm("GET", path, **{"$top": "2"})
        while True:
            names += [vault["name"] for vault in page.body["value"]]
            if "nextLink" not in page.body:
                break
            page = inside.arm("GET", page.body["nextLink"])
        assert names == ["kv-a1", "kv-b2", "kv-c3"]
        assert page.body == {"value": []}


def test_rights_are_checked(inside: Inside) -> None:
    somebody = inside.identity("somebody")
    inside.arm("PUT", f"{VAULTS}/kv-shop", NEW)
    refused = inside.arm("GET", f"{VAULTS}/kv-shop", caller=somebody)
    assert refused.status == 403
    assert "Microsoft.KeyVault/vaults/read" in refused.body["error"]["message"]
    inside.grant(somebody, "Key Vault Reader", f"{VAULTS}/kv-shop")
    assert inside.arm("GET", f"{VAULTS}/kv-shop", caller=somebody).status == 200
    assert inside.arm("PATCH", f"{VAULTS}/kv-shop", {"tags": {}}, caller=somebody).status == 403


def test_deleted_vaults_occupy_their_names_until_purged(inside: Inside) -> None:
    inside.arm("PUT", f"{VAULTS}/kv-shop", {**NEW, "tags": {"a": "1"}})
    assert inside.arm("DELETE", f"{VAULTS}/kv-shop").status == 200
    assert inside.arm("DELETE", f"{VAULTS}/kv-shop").status == 204
    assert code(inside.arm("PUT", f"{VAULTS}/kv-shop", NEW)) == "ConflictError"
    available = inside.arm("POST", f"{SPACE}/checkNameAvailability", {"name": "KV-shop", "type": vaults.KIND})
    assert available.body["nameAvailable"] is False
    assert available.body["reason"] == "AlreadyExists"
    deleted = f"{SPACE}/locations/westeurope/deletedVaults/kv-shop"
    shown = inside.arm("GET", deleted).body
    assert shown["properties"]["vaultId"] == f"{VAULTS}/kv-shop"
    assert shown["properties"]["scheduledPurgeDate"] == "2024-02-12T22:13:20Z"
    assert [v["name"] for v in inside.arm("GET", f"{SPACE}/deletedVaults").body["value"]] == ["kv-shop"]

    started = inside.arm("POST", f"{deleted}/purge")
    assert started.status == 202
    running = inside.arm("GET", started.headers["Location"])
    assert (running.status, running.body["status"]) == (202, "NotStarted")
    inside.wait(60)
    done = inside.arm("GET", started.headers["Location"])
    assert (done.status, done.body["status"]) == (200, "Succeeded")
    assert inside.arm("GET", deleted).status == 404
    assert inside.arm("PUT", f"{VAULTS}/kv-shop", NEW).status == 200


def test_a_deleted_vault_can_be_recovered_and_expires(inside: Inside) -> None:
    inside.arm("PUT", f"{VAULTS}/kv-shop", {**NEW, "tags": {"a": "1"}})
    inside.arm("DELETE", f"{VAULTS}/kv-shop")
    recovered = inside.arm(
        "PUT", f"{VAULTS}/kv-shop", {"location": "westeurope", "properties": {"createMode": "recover"}}
    )
    assert recovered.status == 200
    assert recovered.body["tags"] == {"a": "1"}
    inside.arm("DELETE", f"{VAULTS}/kv-shop")
    inside.wait(91 * 86400)
    assert inside.arm("GET", f"{SPACE}/deletedVaults").body == {"value": []}


def test_purge_protection_forbids_purging(inside: Inside) -> None:
    protected = {**NEW, "properties": {**NEW["properties"], "enablePurgeProtection": True}}
    inside.arm("PUT", f"{VAULTS}/kv-shop", protected)
    inside.arm("DELETE", f"{VAULTS}/kv-shop")
    inside.grant(inside.operator, "Key Vault Purge Operator", f"/subscriptions/{SUBSCRIPTION}")
    refused = inside.arm("POST", f"{SPACE}/locations/westeurope/deletedVaults/kv-shop/purge")
    assert code(refused) == "MethodNotAllowed"


def policy(principal: str, *permissions: str) -> dict[str, Any]:
    entry = {"tenantId": "t", "objectId": principal, "permissions": {"secrets": list(permissions)}}
    return {"properties": {"accessPolicies": [entry]}}


def test_access_policies_add_replace_remove(inside: Inside) -> None:
    inside.arm("PUT", f"{VAULTS}/kv-shop", NEW)
    path = f"{VAULTS}/kv-shop/accessPolicies"
    inside.arm("PUT", f"{path}/add", policy("aaaa", "get"))
    added = inside.arm("PUT", f"{path}/add", policy("AAAA", "Get", "list"))
    assert added.status == 200
    assert added.body["id"] == f"{path}/"
    assert added.body["properties"]["accessPolicies"][0]["permissions"]["secrets"] == ["get", "list"]
    inside.arm("PUT", f"{path}/replace", policy("aaaa", "set"))
    inside.arm("PUT", f"{path}/add", policy("bbbb", "get"))
    held = inside.arm("GET", f"{VAULTS}/kv-shop").body["properties"]["accessPolicies"]
    assert [(p["objectId"], p["permissions"]["secrets"]) for p in held] == [("aaaa", ["set"]), ("bbbb", ["get"])]
    inside.arm("PUT", f"{path}/remove", policy("aaaa", "set"))
    held = inside.arm("GET", f"{VAULTS}/kv-shop").body["properties"]["accessPolicies"]
    assert [p["objectId"] for p in held] == ["bbbb"]
    assert inside.arm("PUT", f"{path}/swap", policy("aaaa", "set")).status == 404
    assert inside.arm("PUT", f"{path}/add", {"properties": {"accessPolicies": [{}]}}).status == 400


@pytest.mark.parametrize(
    ("properties", "rbac"),
    [
        ({}, True),
        ({"sku": {"family": "A", "name": "standard"}}, True),
        ({"enableRbacAuthorization": None}, None),
        ({"accessPolicies": []}, None),
        ({"enableRbacAuthorization": True, "accessPolicies": []}, True),
    ],
)
def test_estates_of_others_load(inside: Inside, properties: dict[str, Any], rbac: bool | None) -> None:
    vaults.load(inside.azure, {"id": f"{VAULTS}/kv-estate", "location": "westeurope", "properties": properties})
    shown = inside.arm("GET", f"{VAULTS}/kv-estate").body
    assert shown["properties"].get("enableRbacAuthorization") is rbac
    assert shown["properties"]["vaultUri"] == "https://kv-estate.vault.azure.net/"
    assert shown["properties"]["provisioningState"] == "Succeeded"


def test_policies_of_an_estate_may_name_the_operator_and_identities(inside: Inside) -> None:
    document = {
        "id": f"{VAULTS}/kv-estate",
        "properties": {"accessPolicies": policy("operator", "get", "set")["properties"]["accessPolicies"]},
    }
    vaults.load(inside.azure, document)
    assert inside.vault("kv-estate", "PUT", "/secrets/a", {"value": "1"}).status == 200
    shown = inside.arm("GET", f"{VAULTS}/kv-estate").body
    assert shown["properties"]["accessPolicies"][0]["objectId"] == inside.operator


def test_secrets_are_resources_without_values(inside: Inside) -> None:
    vaults.load(inside.azure, {"id": f"{VAULTS}/kv-estate", "location": "westeurope"})
    inside.grant(inside.operator, "Key Vault Secrets Officer", f"{VAULTS}/kv-estate")
    made = inside.vault("kv-estate", "PUT", "/secrets/db-Password", {"value": "hunter2hunter2"}).body
    one = inside.arm("GET", f"{VAULTS}/kv-estate/secrets/db-password").body
    assert one["properties"]["secretUriWithVersion"] == made["id"]
    assert "hunter2hunter2" not in str(one)
    listed = inside.arm("GET", f"{VAULTS}/kv-estate/secrets").body["value"]
    assert [entry["name"] for entry in listed] == ["db-Password"]
    assert inside.arm("GET", f"{VAULTS}/kv-estate/secrets/other").status == 404


def test_locks_stop_writes_and_deletion_but_not_the_data_plane(inside: Inside) -> None:
    vaults.load(inside.azure, {"id": f"{VAULTS}/kv-estate", "location": "westeurope"})
    inside.grant(inside.operator, "Key Vault Secrets Officer", f"{VAULTS}/kv-estate")
    inside.azure.world.table("locks")["x"] = {"id": "x", "name": "x", "scope": GROUP, "level": "ReadOnly", "notes": ""}
    assert code(inside.arm("PATCH", f"{VAULTS}/kv-estate", {"tags": {}})) == "ScopeLocked"
    assert inside.vault("kv-estate", "PUT", "/secrets/a", {"value": "1"}).status == 200
    assert inside.vault("kv-estate", "DELETE", "/secrets/a").status == 200
