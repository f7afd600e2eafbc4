"""Who gets through to a vault's data plane: first the network, then roles or access policies.

Texts and inner codes: azureossd.github.io 2024-08-27, a capture of June 2026 (ForbiddenByRbac), and
learn.microsoft.com/azure/key-vault/general/rest-error-codes. The outer code is always `Forbidden`: the inner one decides.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from migrator.simulator import memberships, rbac
from migrator.simulator.providers import vaults
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from collections.abc import Collection

    from migrator.simulator.azure import Azure

LOOPBACK = "127.0.0.1"
"""Where every request to the simulator comes from."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing done to a secret, in the words of both permission models."""

    policy: str
    """The secret permission of an access policy."""
    action: str
    """The data action of a role, below `Microsoft.KeyVault/vaults/secrets/`."""


GET = Operation("get", "getSecret/action")
SET = Operation("set", "setSecret/action")
LIST = Operation("list", "readMetadata/action")
UPDATE = Operation("set", "update/action")
DELETE = Operation("delete", "delete")
GET_DELETED = Operation("get", "readMetadata/action")
RECOVER = Operation("recover", "recover/action")
PURGE = Operation("purge", "purge/action")
BACKUP = Operation("backup", "backup/action")
RESTORE = Operation("restore", "restore/action")


def check(
    azure: Azure, principal: str, vault: Json, operation: Operation, secret: str = "", *, address: str = LOOPBACK
) -> None:
    """Let a signed-in caller through to `secret` (to the vault as a whole if empty).

    Raises:
        AzureError: 403 `Forbidden` with the inner code that says why.
    """
    _network(azure, principal, vault, address)
    _permission(azure, principal, vault, operation, secret)


def check_app(azure: Azure, principal: str, vault: Json, secret: str, *, subnet: str = "") -> None:
    """Let Container Apps fetch `secret` with an app's identity.

    Container Apps is not among the trusted services, so `bypass` does not help it (ACA#1287), and an environment has no
    fixed address that `ipRules` could name. What helps is the environment's network: `subnet`, its infrastructure
    subnet, named in `virtualNetworkRules`; or an approved private endpoint of the vault, which an environment in a
    network is taken to reach.

    Raises:
        AzureError: 403 `Forbidden` with the inner code that says why.
    """
    properties = vault["properties"]
    acls = properties.get("networkAcls") or {}
    private = any(
        ((connection.get("properties") or {}).get("privateLinkServiceConnectionState") or {}).get("status")
        == "Approved"
        for connection in properties.get("privateEndpointConnections") or []
    )
    named = subnet.lower() in {str(rule.get("id", "")).lower() for rule in acls.get("virtualNetworkRules") or []}
    if not (subnet and private) and not (subnet and named and not _closed(properties)):
        _network(azure, principal, vault, "")
    _permission(azure, principal, vault, GET, secret)


def _closed(properties: Json) -> bool:
    return str(properties.get("publicNetworkAccess") or "Enabled").lower() == "disabled"


def _network(azure: Azure, principal: str, vault: Json, address: str) -> None:
    properties = vault["properties"]
    if _closed(properties):
        raise _forbidden(
            "ForbiddenByConnection",
            "Public network access is disabled and request is not from a trusted service nor via an approved private "
            f"link.\r\n{_caller(azure, principal)}\r\n{_vault(vault)}",
        )
    acls = properties.get("networkAcls") or {}
    if str(acls.get("defaultAction") or "Allow").lower() == "deny" and not _listed(address, acls):
        shown = f"Client address: {address}\r\n" if address else ""
        raise _forbidden(
            "ForbiddenByFirewall",
            "Client address is not authorized and caller is not a trusted service.\r\n"
            f"{shown}{_caller(azure, principal)}\r\n{_vault(vault)}",
        )


def _listed(address: str, acls: Json) -> bool:
    return bool(address) and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(str(rule["value"]), strict=False)
        for rule in acls.get("ipRules") or []
    )


def _permission(azure: Azure, principal: str, vault: Json, operation: Operation, secret: str) -> None:
    if vault["properties"].get("enableRbacAuthorization"):
        scope = f"{vault['id']}/secrets/{secret}" if secret else str(vault["id"])
        action = f"Microsoft.KeyVault/vaults/secrets/{operation.action}"
        # what conditions ask about (preview, June 2026); a condition on the name leaves listing without an answer
        facts = {"microsoft.keyvault/vaults:name": str(vault["name"])}
        if secret:
            facts["microsoft.keyvault/vaults/secrets:name"] = secret
        if not rbac.allowed(azure, principal, action, scope, data=True, facts=facts):
            raise _forbidden(
                "ForbiddenByRbac",
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or "
                "role definitions were changed recently, please observe propagation time.\r\n"
                f"{_caller(azure, principal)}\r\nAction: '{action}'\r\nResource: '{scope.lower()}'\r\n"
                "Assignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\n"
                f"{_vault(vault)}\r\n",
            )
    elif not any(
        _gives(azure, policy, circle, operation.policy)
        for circle in [memberships.circle(azure, principal)]
        for policy in vault["properties"]["accessPolicies"]
    ):
        name, location = vault["name"], vault["location"]
        raise _forbidden(
            "AccessDenied",
            f"The user, group or application '{_caller(azure, principal).removeprefix('Caller: ')}' does not have "
            f"secrets {operation.policy} permission on key vault '{name};location={location}'. For help resolving this "
            "issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
        )


def _gives(azure: Azure, policy: Json, circle: Collection[str], permission: str) -> bool:
    # an entry with an applicationId is for that application on behalf of a user, never for a principal alone
    if policy.get("applicationId") or vaults.object_id(azure, str(policy["objectId"])) not in circle:
        return False
    held = {str(one).lower() for one in (policy.get("permissions") or {}).get("secrets") or []}
    return permission in held or ("all" in held and permission != "purge")


def _forbidden(inner: str, message: str) -> AzureError:
    return AzureError(403, "Forbidden", message, innererror={"code": inner})


def _caller(azure: Azure, principal: str) -> str:
    entry = azure.world.table("principals").get(principal, {})
    issuer = f"https://sts.windows.net/{azure.world.tenant}/"
    return f"Caller: appid={entry.get('clientId', principal)};oid={principal};iss={issuer}"


def _vault(vault: Json) -> str:
    return f"Vault: {vault['name']};location={vault['location']}"
