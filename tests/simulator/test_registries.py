"""Microsoft.ContainerRegistry: shapes by version, credentials, and who may pull."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from migrator.simulator.providers import registries, vault_secrets, vaults
from migrator.simulator.registry_shapes import ABAC
from scanners.checksums import marvin32, seed_of

from .inside import GROUP, REGISTRIES, SUBSCRIPTION, VAULTS, Inside, code

ACR = f"{REGISTRIES}/acrShop"
SERVER = "acrshop.azurecr.io"
IMAGE = f"{SERVER}/team/web:1.2"
NEW: dict[str, Any] = {"location": "westeurope", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": False}}


@pytest.fixture
def inside() -> Inside:
    return Inside()


def test_a_new_registry(inside: Inside) -> None:
    made = inside.arm("PUT", ACR, NEW, version="2025-11-01")
    assert made.status == 200
    properties = made.body["properties"]
    assert properties["loginServer"] == SERVER
    assert properties["roleAssignmentMode"] == "LegacyRegistryPermissions"
    assert properties["policies"]["azureADAuthenticationAsArmPolicy"] == {"status": "enabled"}
    assert made.body["sku"] == {"name": "Basic", "tier": "Basic"}
    assert inside.arm("GET", ACR.lower(), version="2025-11-01").body == made.body


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ("2019-05-01", False),
        ("2023-07-01", False),
        ("2025-04-01", False),
        ("2025-05-01-preview", True),
        ("2025-11-01", True),
    ],
)
def test_older_versions_show_less(inside: Inside, version: str, mode: bool) -> None:
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    shown = inside.arm("GET", ACR, version=version).body
    assert ("roleAssignmentMode" in shown["properties"]) is mode
    assert ("systemData" in shown) is (version > "2020")
    listed = inside.arm("GET", REGISTRIES, version=version).body["value"]
    assert listed == [shown]
    everywhere = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/registries"
    assert inside.arm("GET", everywhere, version=version).body["value"] == [shown]


def test_what_is_wrong_is_refused(inside: Inside) -> None:
    classic = inside.arm("PUT", ACR, {**NEW, "sku": {"name": "Classic"}}, version="2025-11-01")
    assert code(classic) == "ClassicSkuDeprecated"
    assert classic.body["status"] == "Failed"
    strange = {**NEW, "properties": {"adminEnabled": True}}
    assert inside.arm("PUT", ACR, strange, version="2025-11-01").status == 400
    assert inside.arm("PUT", f"{REGISTRIES}/a-b", NEW, version="2025-11-01").status == 400
    assert code(inside.arm("GET", ACR, version="2025-11-01")) == "ResourceNotFound"
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    mode = {"properties": {"roleAssignmentMode": "Abac"}}
    assert inside.arm("PATCH", ACR, mode, version="2025-11-01").status == 400


def test_patch_merges(inside: Inside) -> None:
    inside.arm("PUT", ACR, {**NEW, "tags": {"a": "1"}}, version="2025-11-01")
    policies = {"azureADAuthenticationAsArmPolicy": {"status": "disabled"}}
    body = {"properties": {"adminUserEnabled": True, "policies": policies}}
    patched = inside.arm("PATCH", ACR, body, version="2025-11-01").body
    assert patched["properties"]["adminUserEnabled"] is True
    assert patched["properties"]["policies"]["azureADAuthenticationAsArmPolicy"] == {"status": "disabled"}
    assert patched["properties"]["policies"]["exportPolicy"] == {"status": "enabled"}
    assert patched["tags"] == {"a": "1"}


def test_names_are_unique_and_deletion_frees_them(inside: Inside) -> None:
    space = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerRegistry/checkNameAvailability"
    question = {"name": "acrShop", "type": registries.KIND}
    assert inside.arm("POST", space, question, version="2025-11-01").body == {"nameAvailable": True}
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    assert inside.arm("POST", space, question, version="2025-11-01").body["reason"] == "AlreadyExists"
    other = ACR.replace("rg-shop", "rg-other")
    inside.azure.world.table("groups")[GROUP.lower().replace("rg-shop", "rg-other")] = {
        "id": GROUP.replace("rg-shop", "rg-other"),
        "name": "rg-other",
        "location": "westeurope",
        "tags": {},
    }
    assert code(inside.arm("PUT", other, NEW, version="2025-11-01")) == "AlreadyInUse"
    assert inside.arm("DELETE", ACR, version="2025-11-01").status == 200
    assert inside.arm("DELETE", ACR, version="2025-11-01").status == 204
    assert inside.arm("PUT", other, NEW, version="2025-11-01").status == 200


def test_credentials(inside: Inside) -> None:
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    refused = inside.arm("POST", f"{ACR}/listCredentials", version="2025-11-01")
    assert code(refused) == "UnAuthorizedForCredentialOperations"
    inside.arm("PATCH", ACR, {"properties": {"adminUserEnabled": True}}, version="2025-11-01")
    held = inside.arm("POST", f"{ACR}/listCredentials", version="2025-11-01").body
    assert held["username"] == "acrShop"
    first, second = (entry["value"] for entry in held["passwords"])
    assert len(first) == len(second) == 52
    assert first[42:46] == "+ACR"
    assert registries.may_pull(inside.azure, SERVER, username="acrshop", password=first) is None
    again = inside.arm("POST", f"{ACR}/regenerateCredential", {"name": "password"}, version="2025-11-01").body
    assert again["passwords"][0]["value"] != first
    assert again["passwords"][1]["value"] == second
    assert "UNAUTHORIZED" in str(registries.may_pull(inside.azure, SERVER, username="acrshop", password=first))
    assert inside.arm("POST", f"{ACR}/regenerateCredential", {"name": "third"}, version="2025-11-01").status == 400
    reader = inside.identity("reader")
    inside.grant(reader, "Reader", ACR)
    assert inside.arm("POST", f"{ACR}/listCredentials", version="2025-11-01", caller=reader).status == 403


def test_passwords_verify_offline(inside: Inside) -> None:
    inside.arm("PUT", ACR, {**NEW, "properties": {"adminUserEnabled": True}}, version="2025-11-01")
    for entry in inside.arm("POST", f"{ACR}/listCredentials", version="2025-11-01").body["passwords"]:
        data = base64.b64decode(entry["value"])
        assert int.from_bytes(data[-4:], "little") == marvin32(data[:-4], seed_of("ACRDflt0"))


def test_identities_pull_by_the_registrys_mode(inside: Inside) -> None:
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    pull, repository = inside.identity("pull"), inside.identity("repository")
    inside.grant(pull, "AcrPull", ACR)
    inside.grant(repository, "Container Registry Repository Reader", ACR)

    def allowed(principal: str) -> bool:
        return registries.may_pull(inside.azure, SERVER.upper(), principal=principal, image=IMAGE) is None

    assert (allowed(pull), allowed(repository)) == (True, False)
    inside.arm("PATCH", ACR, {"properties": {"roleAssignmentMode": ABAC}}, version="2025-11-01")
    assert (allowed(pull), allowed(repository)) == (False, True)
    body = {"properties": {"policies": {"azureADAuthenticationAsArmPolicy": {"status": "disabled"}}}}
    inside.arm("PATCH", ACR, body, version="2025-11-01")
    assert (allowed(pull), allowed(repository)) == (False, False)


def test_a_condition_names_repositories(inside: Inside) -> None:
    body = {**NEW, "properties": {"roleAssignmentMode": ABAC}}
    inside.arm("PUT", ACR, body, version="2025-11-01")
    app = inside.identity("app")
    condition = "@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringEqualsIgnoreCase 'team/web'"
    inside.grant(app, "Container Registry Repository Reader", ACR, condition=condition)
    assert registries.may_pull(inside.azure, SERVER, principal=app, image=IMAGE) is None
    assert registries.may_pull(inside.azure, SERVER, principal=app, image=f"{SERVER}/team/api@sha256:00") is not None


def test_who_shows_nothing(inside: Inside) -> None:
    inside.arm("PUT", ACR, NEW, version="2025-11-01")
    assert registries.may_pull(inside.azure, "mcr.microsoft.com") is None
    assert registries.may_pull(inside.azure, f"https://{SERVER}:443/") is not None
    assert registries.may_pull(inside.azure, "docker.io", username="x", password="y") is None
    assert "authentication required" in str(registries.may_pull(inside.azure, SERVER))
    inside.arm("PATCH", ACR, {"properties": {"anonymousPullEnabled": True}}, version="2025-11-01")
    assert registries.may_pull(inside.azure, SERVER) is None


def app_document(name: str, user: str, secret: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{GROUP}/providers/Microsoft.App/containerApps/{name}",
        "type": "Microsoft.App/containerApps",
        "properties": {
            "configuration": {
                "secrets": [{"name": "pw", **secret}],
                "registries": [{"server": SERVER, "username": user, "passwordSecretRef": "pw"}],
            }
        },
    }


def test_a_loaded_registry_knows_the_passwords_of_the_estate(inside: Inside) -> None:
    registries.load(inside.azure, {"id": ACR, "properties": {"adminUserEnabled": True}})
    vaults.load(inside.azure, {"id": f"{VAULTS}/kv-shop"})
    vault_secrets.plant(inside.azure, "kv-shop", "pw", "in-the-vault")
    for document in (
        app_document("one", "acrShop", {"value": "first"}),
        app_document("two", "acrshop", {"keyVaultUrl": "https://kv-shop.vault.azure.net/secrets/pw", "identity": "x"}),
        app_document("three", "token-7", {"value": "of-a-token"}),
        app_document("four", "acrshop", {"value": "stale"}),
    ):
        inside.azure.world.resources[document["id"].lower()] = document
    # where Microsoft.App keeps values, its documents hold names only
    kept = inside.azure.world.table("app-secrets")
    (first,) = (d for d in inside.azure.world.resources.values() if d["id"].endswith("/one"))
    kept[first["id"].lower()] = {"pw": {"value": first["properties"]["configuration"]["secrets"][0].pop("value")}}
    inside.azure.settle()
    for user, password, works in (
        ("acrShop", "stale", True),
        ("acrShop", "first", True),
        ("acrShop", "in-the-vault", False),
        ("token-7", "of-a-token", True),
        ("token-7", "first", False),
        ("other", "first", False),
    ):
        assert (registries.may_pull(inside.azure, SERVER, username=user, password=password) is None) is works


def test_an_estate_may_say_the_credentials(inside: Inside) -> None:
    credentials = {"password": "p1", "password2": "p2"}
    registries.load(inside.azure, {"id": ACR, "properties": {"adminUserEnabled": False, "credentials": credentials}})
    inside.azure.settle()
    assert "credentials" not in inside.arm("GET", ACR, version="2025-11-01").body["properties"]
    assert registries.may_pull(inside.azure, SERVER, username="acrshop", password="p2") is not None
    inside.arm("PATCH", ACR, {"properties": {"adminUserEnabled": True}}, version="2025-11-01")
    assert registries.may_pull(inside.azure, SERVER, username="acrshop", password="p2") is None
