"""Key Vault and registries through the official clients, over TLS."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.keyvault import KeyVaultManagementClient

from migrator.simulator.server import Simulator

from .inside import REGISTRIES, SUBSCRIPTION, VAULTS

GROUP = "rg-shop"
ESTATE: dict[str, Any] = {
    "schema": 1,
    "subscriptions": [SUBSCRIPTION],
    "resources": [
        {"id": f"{VAULTS}/kv-shop", "location": "westeurope", "properties": {"enableRbacAuthorization": True}},
        {
            "id": f"{VAULTS}/kv-old",
            "location": "westeurope",
            "properties": {
                "enableRbacAuthorization": False,
                "accessPolicies": [{"tenantId": "t", "objectId": "operator", "permissions": {"secrets": ["list"]}}],
            },
        },
        {"id": f"{REGISTRIES}/acrshop", "location": "westeurope", "properties": {"adminUserEnabled": True}},
    ],
    "vaultSecrets": [
        {"vault": "kv-shop", "name": "db", "value": "planted"},
        {"vault": "kv-old", "name": "api", "value": "planted"},
    ],
    "operator": {
        "roles": [
            {"role": "Owner", "scope": f"/subscriptions/{SUBSCRIPTION}"},
            {"role": "Key Vault Administrator", "scope": f"/subscriptions/{SUBSCRIPTION}"},
        ]
    },
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Simulator]:
    with Simulator(copy.deepcopy(ESTATE), speed=600.0) as running:
        yield running


def _credential(cloud: Simulator) -> ClientSecretCredential:
    parts = cloud.profile()["credential"]
    return ClientSecretCredential(
        parts["tenant_id"],
        parts["client_id"],
        parts["client_secret"],
        authority=cloud.arm,
        disable_instance_discovery=True,
        connection_verify=str(cloud.ca_file),
    )


def _secrets(cloud: Simulator, vault: str) -> SecretClient:
    return SecretClient(
        _manager(cloud).vaults.get(GROUP, vault).properties.vault_uri,
        _credential(cloud),
        verify_challenge_resource=False,
        connection_verify=str(cloud.ca_file),
    )


def _manager(cloud: Simulator) -> Any:
    return KeyVaultManagementClient(
        _credential(cloud),
        SUBSCRIPTION,
        base_url=cloud.arm,
        credential_scopes=[f"{cloud.arm}/.default"],
        connection_verify=str(cloud.ca_file),
    )


def test_a_secrets_life(cloud: Simulator) -> None:
    client = _secrets(cloud, "kv-shop")
    assert client.get_secret("db").value == "planted"
    made = client.set_secret("token", "one", tags={"app": "shop"}, content_type="text/plain")
    again = client.set_secret("token", "two")
    assert client.get_secret("token", made.properties.version).value == "one"
    assert client.get_secret("token").properties.version == again.properties.version
    assert {p.version for p in client.list_properties_of_secret_versions("token")} == {
        made.properties.version,
        again.properties.version,
    }
    assert [p.name for p in client.list_properties_of_secrets(max_page_size=1)] == ["db", "token"]
    client.update_secret_properties("token", again.properties.version, enabled=False)
    with pytest.raises(HttpResponseError) as disabled:
        client.get_secret("token")
    assert disabled.value.error is not None
    assert disabled.value.error.code == "Forbidden"
    assert disabled.value.error.innererror == {"code": "SecretDisabled"}

    deletion = client.begin_delete_secret("token", _polling_interval=0)
    assert deletion.result().name == "token"
    deletion.wait(timeout=30)
    assert [secret.name for secret in client.list_deleted_secrets()] == ["token"]
    with pytest.raises(ResourceExistsError):
        client.set_secret("token", "three")
    client.begin_recover_deleted_secret("token", _polling_interval=0).wait(timeout=30)
    cloud.clock.advance(60)
    client.set_secret("token", "three")
    assert client.get_secret("token").value == "three"
    client.begin_delete_secret("token", _polling_interval=0).wait(timeout=30)
    cloud.clock.advance(60)
    client.purge_deleted_secret("token")
    with pytest.raises(ResourceNotFoundError):
        client.get_deleted_secret("token")


def test_an_access_policy_vault_refuses_by_its_own_name(cloud: Simulator) -> None:
    client = _secrets(cloud, "kv-old")
    assert [p.name for p in client.list_properties_of_secrets()] == ["api"]
    with pytest.raises(HttpResponseError) as denied:
        client.get_secret("api")
    assert denied.value.error is not None
    assert denied.value.error.innererror == {"code": "AccessDenied"}


def test_a_vault_made_now_listens_when_its_name_is_known(cloud: Simulator) -> None:
    manager = _manager(cloud)
    body = {
        "location": "westeurope",
        "properties": {"tenantId": "t", "sku": {"family": "A", "name": "standard"}},
    }
    made = manager.vaults.begin_create_or_update(GROUP, "kv-new", body).result()
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.enable_rbac_authorization is True
    client = _secrets(cloud, "kv-new")
    assert (
        client.set_secret("a", "1").id
        == f"{made.properties.vault_uri}secrets/a/{client.get_secret('a').properties.version}"
    )
    assert [vault.name for vault in manager.vaults.list_by_subscription()] == ["kv-new", "kv-old", "kv-shop"]
    manager.vaults.update(GROUP, "kv-new", {"properties": {"publicNetworkAccess": "Disabled"}})
    with pytest.raises(HttpResponseError) as closed:
        client.get_secret("a")
    assert closed.value.error is not None
    assert closed.value.error.innererror == {"code": "ForbiddenByConnection"}
    manager.vaults.delete(GROUP, "kv-new")
    assert [vault.name for vault in manager.vaults.list_deleted()] == ["kv-new"]
    manager.vaults.begin_purge_deleted("kv-new", "westeurope").result()
    assert list(manager.vaults.list_deleted()) == []


def test_registries(cloud: Simulator) -> None:
    manager: Any = ContainerRegistryManagementClient(
        _credential(cloud),
        SUBSCRIPTION,
        base_url=cloud.arm,
        credential_scopes=[f"{cloud.arm}/.default"],
        connection_verify=str(cloud.ca_file),
    )
    (registry,) = manager.registries.list()
    assert registry.properties.login_server == "acrshop.azurecr.io"
    held = manager.registries.list_credentials(GROUP, "acrshop")
    assert [password.name for password in held.passwords] == ["password", "password2"]
    changed = manager.registries.begin_update(GROUP, "acrshop", {"properties": {"adminUserEnabled": False}}).result()
    assert changed.properties.admin_user_enabled is False
    with pytest.raises(HttpResponseError):
        manager.registries.list_credentials(GROUP, "acrshop")
