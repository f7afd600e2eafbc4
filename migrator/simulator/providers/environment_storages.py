"""Microsoft.App/managedEnvironments/storages: file shares of an environment (flows env-storage*); keys are never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, environments, schema, secrets
from migrator.simulator.apps.validation import refused
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

schema.define(
    """
-EnvironmentStorage: id name type location properties:EnvironmentStorageProperties
-EnvironmentStorageProperties: azureFile:AzureFile nfsAzureFile:NfsAzureFile@2025-01-01~2023-08-01 smb:Smb~2024-02-02
-AzureFile: accountName accountKey accountKeyVaultProperties:KeyVaultProperties@2026-07-01~2024-08-02 shareName accessMode
-NfsAzureFile: server accessMode shareName
-Smb: host shareName username domain password accessMode
-KeyVaultProperties: identity keyVaultUrl
"""
)


def _check(call: Call, properties: Json) -> None:
    share = properties.get("azureFile")
    if isinstance(share, dict):
        check_reference(call, share.get("accountKeyVaultProperties"), "azureFile.accountKeyVaultProperties")
        if not share.get("accountKey") and not share.get("accountKeyVaultProperties"):
            # the refusal is known, its code and words are not
            raise refused(
                "ManagedEnvironmentStorageInvalid", "azureFile needs accountKey or accountKeyVaultProperties."
            )
    elif not properties.get("nfsAzureFile") and not properties.get("smb"):
        raise refused("ManagedEnvironmentStorageInvalid", "One of azureFile, nfsAzureFile and smb must be given.")


def check_reference(call: Call, reference: Json | None, field: str) -> None:
    """Refuse a vault reference that the environment's own identity cannot resolve; the apps' identities count nothing.

    Raises:
        AzureError: 400; that it is refused at the write is an inference from app secrets (FACTS 7.5 names whose identity).
    """
    if not reference or not call.azure.switches.resolve_on_write:
        return
    environment = call.world.resources["/".join(call.request.path.lower().split("/")[:9])]
    who = secrets.Reader(environment["id"], None, environment.get("identity"), environment)
    url = str(reference.get("keyVaultUrl") or "").replace("/certificates/", "/secrets/")
    found = {"identity": reference.get("identity") or "", "keyVaultUrl": url}
    if secrets.fetch(call.azure, who, found) is None:
        raise refused(
            "ManagedEnvironmentKeyVaultReferenceInvalid",
            f"Unable to get value of '{field}' using Managed identity {reference.get('identity')} of the environment.",
        )


def _fill(_azure: Azure, document: Json) -> None:
    document.pop("location", None)


STORAGE = children.Kind(
    type=f"{environments.KIND}/storages",
    schema="EnvironmentStorage",
    shown="Microsoft.App/managedenvironments/storages",
    missing=("ManagedEnvironmentStorageNotFound", "ManagedEnvironment Storage '{name}' was not found."),
    hidden=("azureFile.accountKey", "smb.password"),
    delete_status=200,
    check=_check,
    fill=_fill,
)


def register(azure: Azure) -> None:
    """Add the operations and the loader of the provider."""
    children.register(azure, STORAGE)
