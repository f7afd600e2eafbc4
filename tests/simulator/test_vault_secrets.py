"""The data plane of Key Vault: shapes, states over time, both permission models, the firewall."""

from __future__ import annotations

import re
from typing import Any

import pytest

from migrator.simulator.providers import vault_secrets, vaults
from migrator.simulator.wire import AzureError, Request

from .inside import SUBSCRIPTION, VAULTS, Inside, code

KV = f"{VAULTS}/kv-shop"
ORIGIN = "https://kv-shop.vault.azure.net"
SUBNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/v/subnets/aca"
)


def cloud(**properties: Any) -> Inside:
    """One vault; the operator may do everything with its secrets."""
    inside = Inside()
    document = {"id": KV, "location": "westeurope", "properties": {"enableRbacAuthorization": True, **properties}}
    vaults.load(inside.azure, document)
    inside.grant(inside.operator, "Key Vault Administrator", KV)
    return inside


@pytest.fixture
def inside() -> Inside:
    return cloud()


def test_without_a_token_the_challenge_says_where_to_get_one(inside: Inside) -> None:
    answer = inside.azure.handle(f"vault:{KV.lower()}", Request.of("GET", f"{ORIGIN}/secrets?api-version=7.4"))
    assert answer.status == 401
    assert answer.body["error"]["code"] == "Unauthorized"
    assert answer.body["error"]["message"].startswith("AKV10000: Request is missing a Bearer or PoP token.")
    challenge = {name.lower(): value for name, value in answer.headers.items()}["www-authenticate"]
    assert re.fullmatch(r'Bearer authorization="[^"]*/[0-9a-f-]{36}", resource="https://vault.azure.net"', challenge)
    assert answer.headers["x-ms-keyvault-region"] == "westeurope"


def test_a_secret_has_versions(inside: Inside) -> None:
    first = inside.vault("kv-shop", "PUT", "/secrets/db-Password", {"value": "one"})
    assert first.status == 200
    assert re.fullmatch(ORIGIN + "/secrets/db-Password/[0-9a-f]{32}", first.body["id"])
    assert first.body["attributes"] == {
        "enabled": True,
        "created": 1_700_000_000,
        "updated": 1_700_000_000,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": 90,
    }
    assert "tags" not in first.body
    assert "contentType" not in first.body
    second = inside.vault("kv-shop", "PUT", "/secrets/DB-password", {"value": "two", "tags": {"a": "b"}})
    assert inside.vault("kv-shop", "GET", "/secrets/db-password").body == second.body
    old = first.body["id"].removeprefix(ORIGIN)
    assert inside.vault("kv-shop", "GET", old).body["value"] == "one"
    listed = inside.vault("kv-shop", "GET", "/secrets/db-password/versions").body
    assert listed["nextLink"] is None
    ids = [entry["id"] for entry in listed["value"]]
    assert ids == sorted([first.body["id"], second.body["id"]])
    assert all("value" not in entry for entry in listed["value"])


def test_missing_secrets_and_versions(inside: Inside) -> None:
    assert code(inside.vault("kv-shop", "GET", "/secrets/none")) == "SecretNotFound"
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    assert code(inside.vault("kv-shop", "GET", f"/secrets/a/{'0' * 32}")) == "SecretNotFound"
    assert code(inside.vault("kv-shop", "GET", "/deletedsecrets/a")) == "SecretNotFound"
    assert inside.vault("kv-shop", "GET", "/secrets/none/versions").body == {"value": [], "nextLink": None}


@pytest.mark.parametrize(
    ("version", "status"),
    [
        *((v, 200) for v in ("7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")),
        ("6.9", 400),
        (None, 400),
    ],
)
def test_versions(inside: Inside, version: str | None, status: int) -> None:
    answer = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"}, version=version)
    assert answer.status == status
    if status == 200:
        assert ("recoverableDays" in answer.body["attributes"]) is (version != "7.0")
    else:
        assert code(answer) == "BadParameter"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"value": None},
        {"value": 7},
        {"value": "x" * 25601},
        {"value": "é" * 12801},
        {"value": "1", "tags": {str(n): "x" for n in range(16)}},
        {"value": "1", "tags": {"a": "x" * 513}},
        {"value": "1", "tags": {"a" * 513: "x"}},
        {"value": "1", "contentType": "x" * 256},
        {"value": "1", "attributes": {"enabled": "yes"}},
        {"value": "1", "attributes": {"enabled": True, "strange": 1}},
        {"value": "1", "strange": 1},
    ],
)
def test_what_is_too_long_or_unknown_is_refused(inside: Inside, body: dict[str, Any]) -> None:
    assert code(inside.vault("kv-shop", "PUT", "/secrets/a", body)) == "BadParameter"
    assert inside.vault("kv-shop", "GET", "/secrets/a").status == 404


def test_limits_are_reached(inside: Inside) -> None:
    body = {
        "value": "x" * 25600,
        "tags": {f"{n:02}".ljust(512, "k"): "v" * 512 for n in range(15)},
        "contentType": "x" * 255,
    }
    assert inside.vault("kv-shop", "PUT", f"/secrets/{'a' * 127}", body).status == 200
    assert inside.vault("kv-shop", "PUT", "/secrets/empty", {"value": ""}).body["value"] == ""


@pytest.mark.parametrize("name", ["a_b", "a.b", "a" * 128, "é"])
def test_names(inside: Inside, name: str) -> None:
    assert code(inside.vault("kv-shop", "PUT", f"/secrets/{name}", {"value": "1"})) == "BadParameter"


def test_update_changes_what_it_names(inside: Inside) -> None:
    made = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1", "attributes": {"nbf": 5}}).body
    inside.wait(10)
    path = made["id"].removeprefix(ORIGIN)
    body = {"attributes": {"enabled": False, "exp": 9}, "contentType": "text/plain", "tags": {"x": "y"}}
    updated = inside.vault("kv-shop", "PATCH", path, body).body
    assert "value" not in updated
    assert updated["attributes"]["nbf"] == 5
    assert updated["attributes"]["exp"] == 9
    assert updated["attributes"]["updated"] == made["attributes"]["updated"] + 10
    assert code(inside.vault("kv-shop", "GET", "/secrets/a")) == "Forbidden/SecretDisabled"
    assert code(inside.vault("kv-shop", "PATCH", path, {"value": "2"})) == "BadParameter"
    # a window in the past or future does not keep anybody out
    inside.vault("kv-shop", "PATCH", "/secrets/a", {"attributes": {"enabled": True}})
    assert inside.vault("kv-shop", "GET", "/secrets/a").body["tags"] == {"x": "y"}


def test_lists_come_in_pages(inside: Inside) -> None:
    for number in range(7):
        inside.vault("kv-shop", "PUT", f"/secrets/s{number}", {"value": "v", "contentType": ""})
    names: list[str] = []
    page = inside.vault("kv-shop", "GET", "/secrets", maxresults="3").body
    while True:
        names += [entry["id"].rpartition("/")[2] for entry in page["value"]]
        if page["nextLink"] is None:
            break
        page = inside.vault("kv-shop", "GET", page["nextLink"]).body
    assert names == [f"s{number}" for number in range(7)]
    assert page["value"][0]["contentType"] == ""
    assert code(inside.vault("kv-shop", "GET", "/secrets", maxresults="26")) == "BadParameter"


def test_deleting_takes_a_while_and_keeps_the_name(inside: Inside) -> None:
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    gone = inside.vault("kv-shop", "DELETE", "/secrets/a")
    assert gone.status == 200
    assert gone.body["recoveryId"] == f"{ORIGIN}/deletedsecrets/a"
    assert gone.body["scheduledPurgeDate"] == gone.body["deletedDate"] + 90 * 86400
    assert inside.vault("kv-shop", "GET", "/secrets/a").status == 404
    assert inside.vault("kv-shop", "GET", "/deletedsecrets/a").status == 404
    assert code(inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"})) == "Conflict/ObjectIsBeingDeleted"
    inside.wait(30)
    assert inside.vault("kv-shop", "GET", "/deletedsecrets/A").status == 200
    blocked = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"})
    assert blocked.status == 409
    assert code(blocked) == "Conflict/ObjectIsDeletedButRecoverable"
    listed = inside.vault("kv-shop", "GET", "/deletedsecrets").body["value"]
    assert [entry["id"] for entry in listed] == [f"{ORIGIN}/secrets/a"]
    assert inside.vault("kv-shop", "GET", "/secrets").body["value"] == []


def test_recovering_takes_a_while_and_brings_every_version_back(inside: Inside) -> None:
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"})
    inside.vault("kv-shop", "DELETE", "/secrets/a")
    inside.wait(30)
    assert inside.vault("kv-shop", "POST", "/deletedsecrets/a/recover").status == 200
    assert inside.vault("kv-shop", "GET", "/secrets/a").status == 404
    busy = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "3"})
    assert code(busy) == "Conflict/ObjectIsBeingRecovered"
    inside.wait(30)
    assert inside.vault("kv-shop", "GET", "/secrets/a").body["value"] == "2"
    assert len(inside.vault("kv-shop", "GET", "/secrets/a/versions").body["value"]) == 2


def test_purging_frees_the_name_after_a_while(inside: Inside) -> None:
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    inside.vault("kv-shop", "DELETE", "/secrets/a")
    inside.wait(30)
    purged = inside.vault("kv-shop", "DELETE", "/deletedsecrets/a")
    assert (purged.status, purged.body) == (204, None)
    assert inside.vault("kv-shop", "GET", "/deletedsecrets/a").status == 404
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"}).status == 409
    inside.wait(30)
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"}).status == 200


def test_what_was_deleted_long_ago_is_gone() -> None:
    inside = cloud(softDeleteRetentionInDays=7)
    made = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"}).body
    assert made["attributes"]["recoveryLevel"] == "CustomizedRecoverable+Purgeable"
    inside.vault("kv-shop", "DELETE", "/secrets/a")
    inside.wait(8 * 86400)
    assert inside.vault("kv-shop", "GET", "/deletedsecrets/a").status == 404
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"}).status == 200


def test_purge_protection() -> None:
    inside = cloud(enablePurgeProtection=True)
    made = inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"}).body
    assert made["attributes"]["recoveryLevel"] == "Recoverable"
    inside.vault("kv-shop", "DELETE", "/secrets/a")
    inside.wait(30)
    assert inside.vault("kv-shop", "DELETE", "/deletedsecrets/a").status == 403


def test_backup_says_that_it_is_not_there(inside: Inside) -> None:
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    assert inside.vault("kv-shop", "POST", "/secrets/a/backup").status == 501
    assert inside.vault("kv-shop", "POST", "/secrets/restore", {"value": "x"}).status == 501


# Roles


def test_a_role_at_one_secret_opens_that_secret_only(inside: Inside) -> None:
    for name in ("a", "b"):
        inside.vault("kv-shop", "PUT", f"/secrets/{name}", {"value": name})
    app = inside.identity("id-app")
    inside.grant(app, "Key Vault Secrets User", f"{KV}/secrets/A")
    assert inside.vault("kv-shop", "GET", "/secrets/a", caller=app).body["value"] == "a"
    refused = inside.vault("kv-shop", "GET", "/secrets/b", caller=app)
    assert code(refused) == "Forbidden/ForbiddenByRbac"
    text = refused.body["error"]["message"]
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n" in text
    assert f"Resource: '{KV.lower()}/secrets/b'\r\nAssignment: (not found)\r\n" in text
    assert f"oid={app};iss=https://sts.windows.net/" in text
    assert text.endswith("DecisionReason: null \r\nVault: kv-shop;location=westeurope\r\n")
    assert code(inside.vault("kv-shop", "GET", "/secrets", caller=app)) == "Forbidden/ForbiddenByRbac"
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "x"}, caller=app).status == 403
    assert inside.vault("kv-shop", "DELETE", "/secrets/a", caller=app).status == 403


def test_an_owner_alone_reads_no_secret(inside: Inside) -> None:
    owner = inside.identity("owner")
    inside.grant(owner, "Owner", f"/subscriptions/{SUBSCRIPTION}")
    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    assert inside.vault("kv-shop", "GET", "/secrets/a", caller=owner).status == 403
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "2"}, caller=owner).status == 403


def test_a_condition_names_secrets_and_leaves_listing_closed(inside: Inside) -> None:
    for name in ("a", "b"):
        inside.vault("kv-shop", "PUT", f"/secrets/{name}", {"value": name})
    app = inside.identity("id-app")
    condition = "@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 'a'"
    inside.grant(app, "Key Vault Secrets User", KV, condition=condition)
    assert inside.vault("kv-shop", "GET", "/secrets/a", caller=app).status == 200
    assert inside.vault("kv-shop", "GET", "/secrets/b", caller=app).status == 403
    assert inside.vault("kv-shop", "GET", "/secrets", caller=app).status == 403


# Access policies


def test_policies_decide_where_roles_do_not() -> None:
    inside = cloud(enableRbacAuthorization=None)
    app = inside.identity("id-app")
    inside.grant(app, "Key Vault Secrets User", KV)
    vault_secrets.plant(inside.azure, "kv-shop", "a", "1")
    refused = inside.vault("kv-shop", "GET", "/secrets/a", caller=app)
    assert code(refused) == "Forbidden/AccessDenied"
    assert "does not have secrets get permission on key vault 'kv-shop;location=westeurope'" in str(refused.body)
    entry = {"tenantId": "t", "objectId": app.upper(), "permissions": {"secrets": ["Get"]}}
    inside.arm("PUT", f"{KV}/accessPolicies/add", {"properties": {"accessPolicies": [entry]}})
    assert inside.vault("kv-shop", "GET", "/secrets/a", caller=app).status == 200
    assert code(inside.vault("kv-shop", "GET", "/secrets", caller=app)) == "Forbidden/AccessDenied"


def test_all_permissions_but_purge() -> None:
    inside = cloud(enableRbacAuthorization=False)
    app = inside.identity("id-app")
    entry = {"tenantId": "t", "objectId": app, "permissions": {"secrets": ["all"]}}
    inside.arm("PUT", f"{KV}/accessPolicies/add", {"properties": {"accessPolicies": [entry]}})
    assert inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"}, caller=app).status == 200
    assert inside.vault("kv-shop", "DELETE", "/secrets/a", caller=app).status == 200
    inside.wait(30)
    assert inside.vault("kv-shop", "DELETE", "/deletedsecrets/a", caller=app).status == 403
    assert inside.vault("kv-shop", "POST", "/deletedsecrets/a/recover", caller=app).status == 200


# The network


@pytest.mark.parametrize(
    ("properties", "operator", "app", "app_in_subnet"),
    [
        ({}, "", "", ""),
        ({"networkAcls": {"defaultAction": "Allow", "ipRules": []}}, "", "", ""),
        (
            {"networkAcls": {"defaultAction": "Deny"}},
            "ForbiddenByFirewall",
            "ForbiddenByFirewall",
            "ForbiddenByFirewall",
        ),
        (
            {"networkAcls": {"defaultAction": "Deny", "bypass": "AzureServices", "ipRules": [{"value": "127.0.0.1"}]}},
            "",
            "ForbiddenByFirewall",
            "ForbiddenByFirewall",
        ),
        (
            {"networkAcls": {"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.0/8"}]}},
            "",
            *["ForbiddenByFirewall"] * 2,
        ),
        (
            {"networkAcls": {"defaultAction": "Deny", "virtualNetworkRules": [{"id": SUBNET.upper()}]}},
            "ForbiddenByFirewall",
            "ForbiddenByFirewall",
            "",
        ),
        ({"publicNetworkAccess": "Disabled"}, *["ForbiddenByConnection"] * 3),
        (
            {
                "publicNetworkAccess": "disabled",
                "networkAcls": {"defaultAction": "Deny", "virtualNetworkRules": [{"id": SUBNET}]},
            },
            *["ForbiddenByConnection"] * 3,
        ),
        (
            {
                "publicNetworkAccess": "Disabled",
                "privateEndpointConnections": [
                    {"properties": {"privateLinkServiceConnectionState": {"status": "Approved"}}}
                ],
            },
            "ForbiddenByConnection",
            "ForbiddenByConnection",
            "",
        ),
    ],
)
def test_the_firewall(properties: dict[str, Any], operator: str, app: str, app_in_subnet: str) -> None:
    inside = cloud(**properties)
    identity = inside.identity("id-app")
    inside.grant(identity, "Key Vault Secrets User", KV)
    vault_secrets.plant(inside.azure, KV, "a", "1")

    def reason(subnet: str) -> str:
        try:
            assert vault_secrets.fetch(inside.azure, identity, f"{ORIGIN}/secrets/a", subnet=subnet) == "1"
        except AzureError as error:
            return str(error.extra["innererror"]["code"])
        return ""

    answer = inside.vault("kv-shop", "GET", "/secrets/a")
    assert (answer.status == 200) if not operator else (code(answer) == f"Forbidden/{operator}")
    assert (reason(""), reason(SUBNET)) == (app, app_in_subnet)


def test_the_firewall_speaks_before_the_roles() -> None:
    inside = cloud(networkAcls={"defaultAction": "Deny"})
    stranger = inside.identity("stranger")
    assert code(inside.vault("kv-shop", "GET", "/secrets/a", caller=stranger)) == "Forbidden/ForbiddenByFirewall"


# What other providers use


def test_plant_and_fetch(inside: Inside) -> None:
    app = inside.identity("id-app")
    inside.grant(app, "Key Vault Secrets User", KV)
    vault_secrets.plant(inside.azure, "KV-shop", "a", "1", tags={"x": "y"})
    vault_secrets.plant(inside.azure, KV, "a", "2")
    vault_secrets.plant(inside.azure, KV, "off", "3", enabled=False)
    vault_secrets.plant(inside.azure, KV, "gone", "4", deleted=True)
    vault_secrets.plant(inside.azure, KV, "empty", "")

    def fetched(url: str) -> str:
        return vault_secrets.fetch(inside.azure, app, url)

    assert fetched(f"{ORIGIN}/secrets/a") == "2"
    assert fetched("https://KV-SHOP.vault.azure.cn/secrets/A/") == "2"
    assert fetched(f"{ORIGIN}/secrets/empty") == ""
    for url, expected in (
        (f"{ORIGIN}/secrets/off", "Forbidden"),
        (f"{ORIGIN}/secrets/gone", "SecretNotFound"),
        (f"{ORIGIN}/secrets/a/{'0' * 32}", "SecretNotFound"),
        ("https://kv-other.vault.azure.net/secrets/a", "VaultNotFound"),
    ):
        with pytest.raises(AzureError) as raised:
            fetched(url)
        assert raised.value.code == expected
    with pytest.raises(AzureError) as raised:
        vault_secrets.fetch(inside.azure, inside.identity("other"), f"{ORIGIN}/secrets/a")
    assert raised.value.extra == {"innererror": {"code": "ForbiddenByRbac"}}
    with pytest.raises(ValueError, match="no vault"):
        vault_secrets.plant(inside.azure, "kv-none", "a", "1")
    with pytest.raises(ValueError, match="no name"):
        vault_secrets.plant(inside.azure, KV, "a_b", "1")


def test_locate_knows_every_address_of_a_vault(inside: Inside) -> None:
    inside.azure.origins[f"vault:{KV.lower()}"] = "https://127.0.0.1:4711"
    found = (KV.lower(), "a", None)
    for url in (
        "https://127.0.0.1:4711/secrets/a",
        f"{ORIGIN}/secrets/a",
        "https://kv-shop.vault.azure.net:443/secrets/a",
    ):
        assert vault_secrets.locate(inside.azure, url) == found
    version = "f" * 32
    assert vault_secrets.locate(inside.azure, f"{ORIGIN}/secrets/a/{version}") == (KV.lower(), "a", version)
    for url in (
        "",
        "nonsense",
        "http://kv-shop.vault.azure.net/secrets/a",
        f"{ORIGIN}/keys/a",
        "https://[::1/secrets/a",
    ):
        assert vault_secrets.locate(inside.azure, url) is None
    inside.arm("DELETE", KV)
    assert vault_secrets.locate(inside.azure, f"{ORIGIN}/secrets/a") is None
    assert inside.vault("kv-shop", "GET", "/secrets").status == 404


def test_the_world_goes_to_a_file_and_back(inside: Inside, tmp_path: Any) -> None:
    from migrator.simulator.azure import Azure
    from migrator.simulator.world import World

    inside.vault("kv-shop", "PUT", "/secrets/a", {"value": "1"})
    inside.vault("kv-shop", "DELETE", "/secrets/a")
    inside.azure.world.save(tmp_path / "world", moment=inside.azure.clock.now())
    world, _ = World.load(tmp_path / "world")
    inside.azure = Azure(world, inside.azure.clock)
    inside.wait(30)
    assert inside.vault("kv-shop", "GET", "/deletedsecrets/a").status == 200
