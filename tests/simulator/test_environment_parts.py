"""What lies below an environment: components, storages, certificates; and what is read only."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.simulator.providers import vault_secrets
from tests.simulator.apps import APP, ENVIRONMENT, VERSION, Apps
from tests.simulator.inside import GROUP, VAULTS, code

KV = f"{VAULTS}/kv-shop"
COMPONENT = f"{ENVIRONMENT}/daprComponents/pubsub"
STORAGE = f"{ENVIRONMENT}/storages/files"
CERTIFICATE = f"{ENVIRONMENT}/certificates/site"
CANARY = "c4n4ry-Value-77"


class Parts(Apps):
    def ask(self, method: str, path: str, properties: Any = None, **more: Any) -> Any:
        body = None if properties is None else {"properties": properties}
        return self.arm(method, path, body, version=VERSION, **more)

    def env_identity(self) -> str:
        identity = self.user_identity("id-env")
        body = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}}
        assert self.arm("PATCH", ENVIRONMENT, body, version=VERSION).status == 202
        self.wait(300)
        return identity


@pytest.fixture
def parts() -> Parts:
    found = Parts()
    found.load("Microsoft.KeyVault/vaults", {"id": KV, "location": "westeurope", "properties": {}})
    vault_secrets.plant(found.azure, KV, "storage-key", CANARY)
    return found


def reference(parts: Parts, identity: str) -> Any:
    return {"identity": identity, "keyVaultUrl": f"{parts.azure.origin('vault:' + KV.lower())}/secrets/storage-key"}


def test_a_component_shows_metadata_in_clear_and_secrets_by_name(parts: Parts) -> None:
    properties = {
        "componentType": "pubsub.azure.servicebus.topics",
        "version": "v1",
        "secrets": [{"name": "conn", "value": CANARY}],
        "metadata": [{"name": "connectionString", "secretRef": "conn"}, {"name": "redisPassword", "value": "clear"}],
        "scopes": ["web"],
    }
    assert parts.ask("PUT", COMPONENT, properties).status == 200
    shown = parts.ask("GET", COMPONENT).body["properties"]
    assert shown["secrets"] == [{"name": "conn"}]
    assert shown["metadata"][1] == {"name": "redisPassword", "value": "clear"}
    assert parts.ask("POST", f"{COMPONENT}/listSecrets").body == {"value": [{"name": "conn", "value": CANARY}]}
    reader = parts.identity("reader")
    parts.grant(reader, "Reader", ENVIRONMENT)
    assert parts.ask("GET", COMPONENT, caller=reader).status == 200
    assert code(parts.ask("POST", f"{COMPONENT}/listSecrets", caller=reader)) == "AuthorizationFailed"


def test_a_component_refuses_vault_references(parts: Parts) -> None:
    identity = parts.env_identity()
    parts.grant(parts.principal(identity), "Key Vault Secrets User", KV)
    secret = {"name": "conn", **reference(parts, identity)}
    refused = parts.ask("PUT", COMPONENT, {"componentType": "state.redis", "version": "v1", "secrets": [secret]})
    assert refused.status == 400
    assert refused.body["error"]["message"] == "Secret with name 'conn' cannot have a null value."


def test_a_storage_never_shows_its_key(parts: Parts) -> None:
    share = {"accountName": "shop", "accountKey": CANARY, "shareName": "s", "accessMode": "ReadOnly"}
    written = parts.ask("PUT", STORAGE, {"azureFile": share})
    assert written.status == 200
    assert CANARY not in str(written.body)
    assert "accountKey" not in parts.ask("GET", STORAGE).body["properties"]["azureFile"]
    assert code(parts.ask("GET", f"{ENVIRONMENT}/storages/no")) == "ManagedEnvironmentStorageNotFound"
    assert parts.ask("DELETE", STORAGE).status == 200
    assert parts.ask("GET", f"{ENVIRONMENT}/storages").body == {"value": []}


@pytest.mark.parametrize("place", ["storage", "certificate"])
def test_a_reference_needs_the_identity_of_the_environment(parts: Parts, place: str) -> None:
    app_identity = parts.user_identity("id-app")
    parts.grant(parts.principal(app_identity), "Key Vault Secrets User", KV)
    parts.create(identity={"type": "UserAssigned", "userAssignedIdentities": {app_identity: {}}})

    def put(identity: str) -> Any:
        found = reference(parts, identity)
        if place == "certificate":
            return parts.arm(
                "PUT",
                CERTIFICATE,
                {"location": "westeurope", "properties": {"certificateKeyVaultProperties": found}},
                version=VERSION,
            )
        share = {"accountName": "shop", "shareName": "s", "accessMode": "ReadOnly", "accountKeyVaultProperties": found}
        return parts.ask("PUT", STORAGE, {"azureFile": share})

    assert put(app_identity).status == 400, "an app of the environment has it, the environment does not"
    identity = parts.env_identity()
    assert put(identity).status == 400, "the environment's identity may not read the vault"
    parts.grant(parts.principal(identity), "Key Vault Secrets User", f"{KV}/secrets/storage-key")
    assert put(identity).status == 200


def test_a_certificate_shows_no_bytes_and_is_kept_while_in_use(parts: Parts) -> None:
    body = {"location": "westeurope", "properties": {"value": CANARY, "password": CANARY}}
    assert parts.arm("PUT", CERTIFICATE, body, version=VERSION).status == 200
    assert CANARY not in str(parts.ask("GET", CERTIFICATE).body)
    domains = [{"name": "shop.example", "certificateId": CERTIFICATE, "bindingType": "SniEnabled"}]
    parts.create(configuration={"ingress": {"targetPort": 80, "customDomains": domains}})
    assert code(parts.ask("DELETE", CERTIFICATE)) == "CertificateInUse"
    patch: Any = {"properties": {"configuration": {"ingress": {"customDomains": []}}}}
    assert parts.arm("PATCH", APP, patch, version=VERSION).status == 202
    parts.wait(60)
    assert parts.ask("DELETE", CERTIFICATE).status == 200
    assert code(parts.ask("GET", CERTIFICATE)) == "CertificateNotFound"


@pytest.mark.parametrize(
    ("path", "properties", "seen"),
    [
        (f"{ENVIRONMENT}/javaComponents/config", {"configurations": [{"propertyName": "p", "value": CANARY}]}, True),
        (f"{ENVIRONMENT}/dotNetComponents/aspire", {"configurations": [{"propertyName": "p", "value": CANARY}]}, True),
        (f"{APP}/sourcecontrols/current", {"githubActionConfiguration": {"githubPersonalAccessToken": CANARY}}, False),
        (f"{GROUP}/providers/Microsoft.App/sessionPools/pool", {"secrets": [{"name": "s", "value": CANARY}]}, False),
        (f"{GROUP}/providers/Microsoft.App/connectedEnvironments/k8s", {"daprAIConnectionString": CANARY}, True),
    ],
)
def test_what_is_read_only_is_shown_as_its_schema_says(parts: Parts, path: str, properties: Any, seen: bool) -> None:
    parts.create()
    kind = "/".join(["Microsoft.App", *path.partition("/Microsoft.App/")[2].split("/")[::2]])
    parts.load(kind, {"id": path, "location": "westeurope", "properties": properties})
    shown = parts.ask("GET", path)
    assert shown.status == 200
    assert (CANARY in str(shown.body)) is seen
    listed = parts.ask("GET", path.rpartition("/")[0])
    assert [entry["id"] for entry in listed.body["value"]] == [path]
    assert parts.ask("PUT", path, properties).status == 405


def test_what_is_below_a_deleted_environment_is_gone(parts: Parts) -> None:
    share = {"accountName": "shop", "accountKey": CANARY, "shareName": "s", "accessMode": "ReadOnly"}
    parts.ask("PUT", STORAGE, {"azureFile": share})
    assert parts.ask("DELETE", ENVIRONMENT).status == 202
    parts.wait(300)
    assert code(parts.ask("GET", STORAGE)) == "ParentResourceNotFound"
    assert not parts.azure.world.table("children")
