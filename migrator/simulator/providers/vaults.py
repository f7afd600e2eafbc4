"""Microsoft.KeyVault/vaults on the management plane.

Tables: `vault-names` (lower-case name -> lower-case id; names are unique in the world, deleted vaults included),
`deleted-vaults` (lower-case name -> {document, deleted, purges}). Beside this module: `vault_children` (access policies, secrets without values), `deleted_vaults`, and
`vault_secrets`, the data plane.

Shapes: recordings of 2021 to 2024 and Key Vault types 2022-07-01 to 2026-05-15. Defaults:
learn.microsoft.com/azure/key-vault/general/access-control-default.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals
from migrator.simulator.azure import ARM, not_found
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrator.simulator.azure import Azure, Call

KIND = "Microsoft.KeyVault/vaults"
VERSIONS = (
    "2019-09-01",
    "2021-10-01",
    "2022-07-01",
    "2022-11-01",
    "2023-02-01",
    "2023-07-01",
    "2024-11-01",
    "2025-05-01",
    "2026-02-01",
    "2026-03-01-preview",
    "2026-05-15",
)
RBAC_DEFAULT_SINCE = "2026-02-01"
"""From this api-version on a new vault that does not say otherwise takes roles; before, access policies."""
MODERN = "2021-10-01"
"""From this api-version on answers carry systemData, publicNetworkAccess and the retention."""
RETENTION = 90
"""Days a deleted vault or secret is kept unless the vault says otherwise."""
DAY = 86400.0
HEADERS = {"x-ms-keyvault-service-version": "1.5.1361.0"}
MAX_POLICIES = 1024

_FLAGS = ("enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment", "enableSoftDelete")
_WRITABLE = {
    *_FLAGS,
    "tenantId",
    "sku",
    "accessPolicies",
    "softDeleteRetentionInDays",
    "enableRbacAuthorization",
    "createMode",
    "enablePurgeProtection",
    "networkAcls",
    "publicNetworkAccess",
}
_READ_ONLY = {"vaultUri", "hsmPoolResourceId", "provisioningState", "privateEndpointConnections"}
_NETWORK = {"bypass", "defaultAction", "ipRules", "virtualNetworkRules"}
_TOP = {"id", "name", "type", "location", "tags", "systemData", "properties"}
IN_USE = (
    "The vault name '{0}' is already in use. Vault names are globaly unique so it is possible that the name is already "
    "taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was "
    "recently deleted but not purged after being placed in a recoverable state. If the vault is in a recoverable state "
    "then the vault will need to be purged before reusing the name. For more information on soft delete and purging a "
    "vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740."
)

GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
SPACE = "/providers/Microsoft.KeyVault"
VAULT = f"{GROUP}{SPACE}/vaults/{{vault}}"


def register(azure: Azure) -> None:
    """Add the operations of vaults."""

    def route(method: str, template: str, handler: Any, action: str, **more: Any) -> None:
        azure.route(ARM, method, template, handler, versions=VERSIONS, action=f"Microsoft.KeyVault/{action}", **more)

    route("GET", VAULT, _get, "vaults/read")
    route("PUT", VAULT, _put, "vaults/write")
    route("PATCH", VAULT, _patch, "vaults/write")
    route("DELETE", VAULT, _delete, "vaults/delete")
    route("GET", f"{GROUP}{SPACE}/vaults", _list, "vaults/read")
    route("GET", f"/subscriptions/{{subscription}}{SPACE}/vaults", _list, "vaults/read")
    azure.loader(KIND, load)
    azure.on("vault-registered", _registered)


# For the other providers


def find(azure: Azure, vault: str) -> Json | None:
    """The stored document of a vault by ARM id or by name, without case."""
    key = vault.lower().rstrip("/")
    if not key.startswith("/"):
        key = azure.world.table("vault-names").get(key, "")
    found: Json | None = azure.world.resources.get(key)
    return found


def origin(azure: Azure, vault: Json) -> str:
    """Where a vault's data plane listens, without a trailing slash; its public name when nothing listens."""
    return azure.origin("vault:" + str(vault["id"]).lower().rstrip("/"))


def later(call: Call, seconds: float) -> dict[str, str]:
    """`Retry-After` for something that takes virtual `seconds`: never 0, which azure-core 1.41 takes for 30 seconds."""
    return {"Retry-After": str(max(1, round(call.azure.clock.to_wall(seconds))))}


def retention(vault: Json) -> int:
    """Days that deleted things of this vault stay recoverable."""
    return int(vault["properties"].get("softDeleteRetentionInDays") or RETENTION)


def object_id(azure: Azure, written: str) -> str:
    """The object id that an access policy means; estates may name `operator` or the id of an identity resource."""
    if written.lower() == principals.OPERATOR:
        return str(principals.operator(azure)["id"])
    if written.startswith("/"):
        entry = principals.of_resource(azure, written)
        return str(entry["id"]) if entry else written.lower()
    return written.lower()


def load(azure: Azure, document: Json) -> None:
    """Take in a vault of an estate; what the document leaves out is what Azure would fill in.

    A document that names `enableRbacAuthorization` (null means access policies) or has `accessPolicies` is taken at its
    word, as one that Azure gave; one with neither is a vault as it is made today, with roles.
    """
    stored = copied(document)
    given = stored.get("properties") or {}
    properties: Json = {k: v for k, v in given.items() if v is not None and k not in {"vaultUri", "provisioningState"}}
    properties.setdefault("sku", {"family": "A", "name": "standard"})
    properties.setdefault("tenantId", azure.world.tenant)
    if "enableRbacAuthorization" not in given and "accessPolicies" not in given:
        properties["enableRbacAuthorization"] = True
    properties.setdefault("accessPolicies", [])
    _network(properties)
    properties["provisioningState"] = "Succeeded"
    stored["properties"] = properties
    stored["type"] = KIND
    stored.setdefault("name", str(stored["id"]).rstrip("/").rpartition("/")[2])
    stored.setdefault("location", "westeurope")
    stored["tags"] = stored.get("tags") or {}
    moment = iso(azure.clock.now(), digits=3)
    stored.setdefault("systemData", {"createdAt": moment, "lastModifiedAt": moment})
    key = str(stored["id"]).lower().rstrip("/")
    azure.world.resources[key] = stored
    azure.world.table("vault-names")[str(stored["name"]).lower()] = key
    properties["vaultUri"] = origin(azure, stored) + "/"


def render(azure: Azure, vault: Json, version: str) -> Json:
    """A vault as GET shows it at an api-version."""
    document: Json = {key: vault[key] for key in ("id", "name", "type", "location", "tags")}
    properties: Json = copied(vault["properties"])
    for policy in properties.get("accessPolicies", []):
        policy["objectId"] = object_id(azure, policy["objectId"])
    # a vault whose name is not yet in DNS shows its address without the slash (recorded 2021)
    slash = "" if properties["provisioningState"] == "RegisteringDns" else "/"
    properties["vaultUri"] = vault["properties"]["vaultUri"] = origin(azure, vault) + slash
    if version >= MODERN:
        if "systemData" in vault:
            document["systemData"] = vault["systemData"]
        properties.setdefault("enableSoftDelete", True)
        properties.setdefault("softDeleteRetentionInDays", RETENTION)
        properties.setdefault("publicNetworkAccess", "Enabled")
    else:
        properties.pop("publicNetworkAccess", None)
    if version < "2026-03-01-preview" or version >= "2026-05-15":
        properties.pop("tokenBindingParameters", None)
    document["properties"] = properties
    return document


# Vaults


def named(call: Call) -> Json:
    """The vault that the path names, or 404."""
    group, name = call.params["group"], call.params["vault"]
    found = find(call.azure, _key(call))
    if found is None:
        raise not_found(KIND, name, group)
    return found


def _key(call: Call) -> str:
    return VAULT.format(**call.params).lower()


def _get(call: Call) -> Response:
    vault = named(call)
    pending = vault["properties"]["provisioningState"] != "Succeeded"
    headers = {**HEADERS, **later(call, call.azure.switches.vault_registration)} if pending else dict(HEADERS)
    return Response(200, render(call.azure, vault, call.version), headers)


def _list(call: Call) -> Response:
    under = f"/subscriptions/{call.params['subscription']}"
    if "group" in call.params:
        under += f"/resourceGroups/{call.params['group']}"
    vaults = call.world.of_type(KIND, under)
    return page(call, [render(call.azure, vault, call.version) for vault in vaults], size=100)


def page(call: Call, items: Sequence[Json], *, size: int) -> Response:
    """A page as this provider gives it: a next link behind every page that holds something (recorded 2021, 2022)."""
    query = {key.lower(): value for key, value in call.request.query.items()}
    size = int(query["$top"]) if query.get("$top", "").isdigit() else size
    token = query.get("$skiptoken", "")
    try:
        start = int(base64.urlsafe_b64decode(token)) if token else 0
    except ValueError as error:
        raise AzureError(400, "BadRequest", "The skip token is invalid.") from error
    answer: Json = {"value": list(items[start : start + size])}
    if answer["value"]:
        following = base64.urlsafe_b64encode(str(start + size).encode()).decode()
        kept = "&".join(f"{k}={v}" for k, v in call.request.query.items() if k.lower() != "$skiptoken")
        answer["nextLink"] = f"{call.request.origin}{call.request.path}?{kept}&$skiptoken={following}"
    return Response(200, answer, dict(HEADERS))


def _put(call: Call) -> Response:
    body = call.request.json()
    key, name = _key(call), call.params["vault"]
    existing = find(call.azure, key)
    properties = _checked(body, call.version, existing, patch=False)
    recover = properties.pop("createMode", "default") == "recover"
    if existing is None:
        _check_free(call, name, key, recover=recover)
    if recover and existing is None:
        vault = _recovered(call, name)
    else:
        for field in ("tenantId", "sku"):
            if field not in properties:
                raise bad(f"The parameter properties.{field} is not specified.")
        if not body.get("location"):
            raise AzureError(400, "LocationRequired", "The location property is required for this definition.")
        vault = existing or {
            "id": VAULT.format(**call.params),
            "name": name,
            "type": KIND,
            "location": str(body["location"]).replace(" ", "").lower(),
            "tags": {},
            "properties": {"enableSoftDelete": True, "provisioningState": "RegisteringDns"},
        }
        if existing is None and call.version >= RBAC_DEFAULT_SINCE:
            vault["properties"]["enableRbacAuthorization"] = True
        properties.setdefault("accessPolicies", [])  # a PUT replaces the policies, also by none
        vault["tags"] = body.get("tags") or {}
    vault["properties"].update(properties)
    _network(vault["properties"])
    stamp(call, vault)
    call.world.resources[key] = vault
    call.world.table("vault-names")[name.lower()] = key
    headers = dict(HEADERS)
    if vault["properties"]["provisioningState"] == "RegisteringDns":
        call.world.schedule(call.now + call.azure.switches.vault_registration, "vault-registered", vault=key)
        headers |= later(call, call.azure.switches.vault_registration)
    return Response(200, render(call.azure, vault, call.version), headers)


def _registered(azure: Azure, _due: float, arguments: Json) -> None:
    if (vault := find(azure, arguments["vault"])) is not None:
        vault["properties"]["provisioningState"] = "Succeeded"


def _check_free(call: Call, name: str, key: str, *, recover: bool) -> None:
    if not re.fullmatch(r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]", name):
        raise AzureError(
            400,
            "VaultNameNotValid",
            f"The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name "
            "must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this "
            "link for more information: https://go.microsoft.com/fwlink/?linkid=2147742",
        )
    if name.lower() in call.world.table("deleted-vaults") and not recover:
        raise AzureError(
            409,
            "ConflictError",
            "A vault with the same name already exists in deleted state. You need to either recover or purge existing "
            "key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft "
            "delete.",
        )
    if call.world.table("vault-names").get(name.lower(), key) != key:
        raise AzureError(409, "VaultAlreadyExists", IN_USE.format(name))


def _recovered(call: Call, name: str) -> Json:
    entry = call.world.table("deleted-vaults").pop(name.lower(), None)
    if entry is None:
        raise AzureError(404, "NotFound", f"No deleted vault with the name '{name}' can be recovered.")
    vault: Json = entry["document"]
    return vault


def _patch(call: Call) -> Response:
    vault = named(call)
    body = call.request.json()
    properties = _checked(body, call.version, vault, patch=True)
    properties.pop("createMode", None)
    if isinstance(body.get("tags"), dict):
        vault["tags"] = body["tags"]
    if "networkAcls" in properties:
        properties["networkAcls"] = {**vault["properties"].get("networkAcls", {}), **properties["networkAcls"]}
    vault["properties"].update(properties)
    _network(vault["properties"])
    stamp(call, vault)
    return Response(200, render(call.azure, vault, call.version), dict(HEADERS))


def _network(properties: Json) -> None:
    if properties.get("networkAcls"):
        filled: Json = {"bypass": "AzureServices", "defaultAction": "Allow", "ipRules": [], "virtualNetworkRules": []}
        filled.update({k: v for k, v in properties["networkAcls"].items() if v is not None})
        properties["networkAcls"] = filled


def bad(message: str) -> AzureError:
    """400 as this provider gives it."""
    return AzureError(400, "BadRequest", message)


def _checked(body: Json, version: str, existing: Json | None, *, patch: bool) -> Json:
    """The properties a body sets; nulls and read-only ones mean nothing, unknown ones are refused."""
    given = body.get("properties")
    if given is None and not patch:
        raise bad("The parameter properties is not specified.")
    given = given or {}
    writable = _WRITABLE | ({"tokenBindingParameters"} if version == "2026-03-01-preview" else set())
    for name in [*({*body} - _TOP), *({*given} - writable - _READ_ONLY)]:
        raise bad(f"The property '{name}' is not known to Microsoft.KeyVault/vaults at api-version '{version}'.")
    set_now: Json = {k: copied(v) for k, v in given.items() if k in writable and v is not None}
    for name in {*set_now.get("networkAcls", {})} - _NETWORK:
        raise bad(f"The property 'networkAcls.{name}' is not known.")
    before = existing["properties"] if existing else {}
    for flag, action in (("enablePurgeProtection", "purge protection"), ("enableSoftDelete", "soft delete")):
        if set_now.get(flag) is False and (before.get(flag) or flag == "enableSoftDelete"):
            raise bad(
                f'The property "{flag}" cannot be set to false. Enabling the {action} for a vault is an irreversible '
                "action."
            )
    days = set_now.get("softDeleteRetentionInDays")
    if days is not None:
        if not isinstance(days, int) or not 7 <= days <= 90:
            raise bad("The property 'softDeleteRetentionInDays' must be between 7 and 90 days.")
        if existing and days != retention(existing):
            raise bad('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.')
    for policy in set_now.get("accessPolicies", []):
        check_policy(policy)
    if len(set_now.get("accessPolicies", [])) > MAX_POLICIES:
        raise bad(f"A vault holds at most {MAX_POLICIES} access policies.")
    return set_now


def stamp(call: Call, vault: Json) -> None:
    """Note who changed a vault and when."""
    caller = call.world.table("principals").get(call.principal, {})
    moment = iso(call.now, digits=3)
    kind = "User" if caller.get("kind") == principals.OPERATOR else "Application"
    who = str(caller.get("name") if kind == "User" else caller.get("clientId", call.principal))
    before = vault.get("systemData") or {"createdBy": who, "createdByType": kind, "createdAt": moment}
    changed = {"lastModifiedBy": who, "lastModifiedByType": kind, "lastModifiedAt": moment}
    vault["systemData"] = {**before, **changed}


def _delete(call: Call) -> Response:
    vault = find(call.azure, _key(call))
    if vault is None:
        return Response(204)
    del call.world.resources[_key(call)]
    call.world.table("deleted-vaults")[str(vault["name"]).lower()] = {
        "document": vault,
        "deleted": call.now,
        "purges": call.now + retention(vault) * DAY,
    }
    return Response(200, None, dict(HEADERS))


def check_policy(policy: Any) -> None:
    """Refuse a misshapen access policy."""
    if not isinstance(policy, dict) or {*policy} - {"tenantId", "objectId", "applicationId", "permissions"}:
        raise bad("An access policy holds tenantId, objectId, applicationId and permissions.")
    for field in ("tenantId", "objectId", "permissions"):
        if not policy.get(field):
            raise bad(f"An access policy entry needs '{field}'.")
    if {*policy["permissions"]} - {"keys", "secrets", "certificates", "storage"}:
        raise bad("The permissions of an access policy are keys, secrets, certificates and storage.")
