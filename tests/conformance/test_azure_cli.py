"""The independent client: azure-cli 2.91 against the simulator, with the results Azure would give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.simulator.server import Simulator

from .azure_cli import PROGRAM, Az

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(),
    reason="azure-cli is not installed: make azure-cli",
)

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env-shop"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
HERE = ("-g", "rg-shop")


def app(name: str) -> dict[str, Any]:
    return {
        "id": f"{GROUP}/providers/Microsoft.App/containerApps/{name}",
        "name": name,
        "type": "Microsoft.App/containerApps",
        "location": "West Europe",
        "properties": {
            "managedEnvironmentId": ENVIRONMENT,
            "configuration": {
                "activeRevisionsMode": "Multiple",
                "secrets": [{"name": "db-password", "value": "planted-db-password"}],
                "ingress": {"external": True, "targetPort": 80},
            },
            "template": {
                "containers": [
                    {
                        "name": "main",
                        "image": "mcr.microsoft.com/k8se/quickstart:latest",
                        "env": [{"name": "MODE", "value": "blue"}, {"name": "DB", "secretRef": "db-password"}],
                    }
                ],
                "scale": {"minReplicas": 1},
            },
        },
    }


ESTATE: dict[str, Any] = {
    "schema": 1,
    "subscriptions": [{"id": SUBSCRIPTION, "displayName": "Shop"}],
    "resources": [
        {
            "id": ENVIRONMENT,
            "name": "env-shop",
            "type": "Microsoft.App/managedEnvironments",
            "location": "West Europe",
            "properties": {},
        },
        {
            "id": VAULT,
            "name": "kv-shop",
            "type": "Microsoft.KeyVault/vaults",
            "location": "westeurope",
            "properties": {"enableRbacAuthorization": True},
        },
        app("shop"),
        app("cart"),
    ],
    "vaultSecrets": [{"vault": "kv-shop", "name": "api-key", "value": "planted-api-key"}],
}


def account_and_resources(az: Az) -> None:
    (account,) = az.account
    assert account["id"] == SUBSCRIPTION
    assert account["name"] == "Shop"
    assert account["state"] == "Enabled"
    assert account["tenantId"] == az.simulator.world.tenant
    listed = az("resource", "list", "--resource-type", "Microsoft.App/containerApps")
    assert {entry["name"]: entry["type"] for entry in listed} == {
        "cart": "Microsoft.App/containerApps",
        "shop": "Microsoft.App/containerApps",
    }
    assert az("provider", "show", "--namespace", "Microsoft.App", "--query", "registrationState") == "Registered"


def identities_and_roles(az: Az) -> None:
    made = az("identity", "create", *HERE, "-n", "id-shop")
    assert made["id"].startswith(f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg-shop/providers/")
    assert "id-shop" in [identity["name"] for identity in az("identity", "list", *HERE)]
    scope = f"{VAULT}/secrets/api-key"
    create = ("role", "assignment", "create", "--role", "Key Vault Secrets User", "--scope", scope)
    principal = ("--assignee-object-id", made["principalId"], "--assignee-principal-type", "ServicePrincipal")
    first = az(*create, *principal)
    assert first["scope"] == scope
    assert first["principalId"] == made["principalId"]
    assert first["roleDefinitionId"].endswith("/4633458b-17de-408a-b874-0445c86b69e6")
    again = az(*create, *principal)
    assert again["name"] == first["name"]  # az reads RoleAssignmentExists as success
    (listed,) = az("role", "assignment", "list", "--scope", scope)
    assert listed["roleDefinitionName"] == "Key Vault Secrets User"
    assert listed["principalName"] == made["clientId"]  # az names service principals so
    assert listed["principalType"] == "ServicePrincipal"
    everywhere = az("role", "assignment", "list", "--all", "--assignee", made["clientId"])
    assert [entry["id"] for entry in everywhere] == [first["id"]]
    refused = az.refused(*create[:-1], f"{GROUP}/providers/Microsoft.KeyVault/vaults/nowhere", *principal)
    assert "ResourceNotFound" in refused


def vault_and_secrets(az: Az) -> None:
    (vault,) = az("keyvault", "list")
    assert (vault["name"], vault["id"].lower()) == ("kv-shop", VAULT.lower())
    address = az("keyvault", "show", "-n", "kv-shop", "--query", "properties.vaultUri")
    name = ("--vault-name", az.use_vault(address))
    first = az("keyvault", "secret", "set", *name, "-n", "colour", "--value", "red")
    assert first["value"] == "red"
    second = az("keyvault", "secret", "set", *name, "-n", "colour", "--value", "green")
    assert second["id"] != first["id"]
    assert az("keyvault", "secret", "show", *name, "-n", "colour", "--query", "value") == "green"
    listed = az("keyvault", "secret", "list", *name)
    assert {entry["name"] for entry in listed} == {"api-key", "colour"}
    assert all("value" not in entry for entry in listed)
    assert "SecretNotFound" in az.refused("keyvault", "secret", "show", *name, "-n", "none")


def container_apps(az: Az) -> None:
    assert {entry["name"] for entry in az("containerapp", "list", *HERE)} == {"shop", "cart"}
    this = (*HERE, "-n", "shop")
    before = az("containerapp", "show", *this)
    assert before["properties"]["configuration"]["secrets"] == [{"name": "db-password"}]
    updated = az("containerapp", "update", *this, "--set-env-vars", "MODE=red", "KEY=secretref:db-password")
    assert updated["properties"]["provisioningState"] == "Succeeded"
    revisions = az("containerapp", "revision", "list", *this, "--all")
    assert len(revisions) == 2
    latest = updated["properties"]["latestRevisionName"]
    assert latest != before["properties"]["latestRevisionName"]
    assert latest in {revision["name"] for revision in revisions}
    az("containerapp", "secret", "set", *this, "--secrets", "api-key=planted-second")
    shown = az("containerapp", "secret", "list", *this, "--show-values")
    assert {entry["name"]: entry["value"] for entry in shown} == {
        "db-password": "planted-db-password",
        "api-key": "planted-second",
    }
    after = az("containerapp", "show", *this)["properties"]
    assert after["latestRevisionName"] == latest  # secrets make no revision (traffic, section 6)
    environment = after["template"]["containers"][0]["env"]
    found = {entry["name"]: entry.get("secretRef") or entry["value"] for entry in environment}
    assert found == {"MODE": "red", "DB": "db-password", "KEY": "db-password"}


def an_app_reads_the_vault_through_its_identity(az: Az) -> None:
    this = (*HERE, "-n", "cart")
    identity = az("identity", "create", *HERE, "-n", "id-cart")
    assigned = az("containerapp", "identity", "assign", *this, "--user-assigned", identity["id"])
    assert assigned["type"] == "UserAssigned"
    assert {key.lower() for key in assigned["userAssignedIdentities"]} == {identity["id"].lower()}
    address = az.simulator.azure.origins[f"vault:{VAULT.lower()}"]
    reference = f"api-key=keyvaultref:{address}/secrets/api-key,identityref:{identity['id']}"
    refused = az.refused("containerapp", "secret", "set", *this, "--secrets", reference)
    assert "Unable to get value using Managed identity" in refused
    principal = ("--assignee-object-id", identity["principalId"], "--assignee-principal-type", "ServicePrincipal")
    scope = ("--scope", f"{VAULT}/secrets/api-key")
    az("role", "assignment", "create", "--role", "Key Vault Secrets User", *principal, *scope)
    az.simulator.clock.advance(120)
    az("containerapp", "secret", "set", *this, "--secrets", reference)
    shown = {entry["name"]: entry for entry in az("containerapp", "secret", "list", *this, "--show-values")}
    assert shown["api-key"]["keyVaultUrl"] == f"{address}/secrets/api-key"
    assert shown["api-key"]["value"] == "planted-api-key"


def requests_of_ones_own(az: Az, tmp_path: Path) -> None:
    path = f"{GROUP}/providers/Microsoft.App/containerApps/shop"
    shown = az("rest", "--method", "get", "--url", f"{path}?api-version=2025-07-01")
    assert shown["id"].lower() == path.lower()
    secrets = az("rest", "--method", "post", "--url", f"{path}/listSecrets?api-version=2025-07-01")
    assert "planted-db-password" in {entry["value"] for entry in secrets["value"]}
    query = tmp_path / "query.json"
    text = "Resources | where type =~ 'microsoft.app/containerapps' | project id, name | order by name asc"
    query.write_text(json.dumps({"query": text, "subscriptions": [SUBSCRIPTION]}))
    url = "/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01"
    found = az("rest", "--method", "post", "--url", url, "--body", f"@{query}")
    assert [row["name"] for row in found["data"]] == ["cart", "shop"]
    unknown = az.refused("rest", "--method", "get", "--url", f"{path}?api-version=2019-01-01")
    assert "NoRegisteredProviderFound" in unknown


def test_the_azure_command_line_works_as_on_azure(tmp_path: Path) -> None:
    # one test, because az takes a second of a whole core for each command
    with Simulator(ESTATE, speed=120) as simulator:
        az = Az(simulator, tmp_path)
        account_and_resources(az)
        identities_and_roles(az)
        vault_and_secrets(az)
        container_apps(az)
        an_app_reads_the_vault_through_its_identity(az)
        requests_of_ones_own(az, tmp_path)
