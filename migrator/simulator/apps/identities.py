"""The identity of an app or an environment: what a request asks for, what the resource has afterwards, how it is shown.

A resource's stored identity is `{"type", "principalId"?, "tenantId"?, "userAssignedIdentities"?: {id: {principalId,
clientId}}}`; `None` without any.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals
from migrator.simulator.azure import GATEWAY
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

ASSIGN = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
SYSTEM, USER = "SystemAssigned", "UserAssigned"

_IDENTIFIER = re.compile(
    r"/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/([^/]+)/?",
    re.IGNORECASE,
)


def canonical(identifier: str) -> str:
    """The id of a user-assigned identity as answers of Microsoft.App spell it (traffic, section 3).

    Raises:
        AzureError: 400, it is no such id.
    """
    match = _IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise AzureError(
            400,
            "InvalidIdentityValues",
            f"The identity id '{identifier}' is no resource id of a user-assigned identity.",
            headers=dict(GATEWAY),
        )
    return (
        f"/subscriptions/{match[1]}/resourcegroups/{match[2]}/providers/Microsoft.ManagedIdentity/"
        f"userAssignedIdentities/{match[3]}"
    )


def kinds(identity: Json | None) -> set[str]:
    """The types of an identity: any of `SystemAssigned` and `UserAssigned`, whatever case and blanks it was sent with."""
    words = {word.strip().lower() for word in str((identity or {}).get("type") or "None").split(",")}
    found = {name for name in (SYSTEM, USER) if name.lower() in words}
    if words - {"systemassigned", "userassigned", "none", ""}:
        raise AzureError(
            400,
            "InvalidIdentityType",
            f"The identity type '{(identity or {}).get('type')}' is invalid. Supported types are 'None', "
            "'SystemAssigned', 'UserAssigned' and 'SystemAssigned,UserAssigned'.",
            headers=dict(GATEWAY),
        )
    return found


def wanted(azure: Azure, body: Json, old: Json | None, *, patch: bool, replaces: bool) -> Json | None:
    """The identity that a write asks for: `{"kinds", "ids"}`, or None if it leaves the identity alone.

    Args:
        azure: The simulated cloud.
        body: The request.
        old: The stored identity.
        patch: Whether it is a PATCH: what it does not name stays.
        replaces: In a PATCH, whether the sent map is the whole map; otherwise it is merged and null removes.

    Raises:
        AzureError: 400, an id is malformed, unknown or null where null is refused, or the ids are missing.
    """
    if "identity" not in body and (patch or azure.switches.put_without_identity == "keeps"):
        return None
    sent: Json = body.get("identity") or ({"type": "None"} if "identity" in body else {})
    ids = set(old_ids(old)) if patch else set()
    types = kinds(sent) if sent.get("type") or not patch else kinds(old)
    given: Any = sent.get("userAssignedIdentities")
    if given is not None:
        if not patch or replaces:
            ids = set()
        for identifier, value in given.items():
            known = canonical(identifier)
            if value is not None:
                ids.add(known)
            elif patch and not replaces:
                ids = {item for item in ids if item.lower() != known.lower()}
            else:
                raise AzureError(
                    400,
                    "InvalidIdentityValues",
                    f"The value of the user assigned identity '{identifier}' must not be null.",
                    headers=dict(GATEWAY),
                )
    if USER in types and not ids:
        # azapi#941 names the code for environments
        raise AzureError(
            400,
            "MissingIdentityIds",
            "The identity ids must not be null or empty for 'UserAssigned' identity type.",
            headers=dict(GATEWAY),
        )
    unique = {item.lower(): item for item in ids} if USER in types else {}
    had = {key.lower(): value for key, value in old_ids(old).items()}
    return {"kinds": types, "ids": {key: _resolved(azure, item, had.get(key)) for key, item in unique.items()}}


def old_ids(identity: Json | None) -> dict[str, Json]:
    """The user-assigned identities of a stored identity."""
    found: dict[str, Json] = (identity or {}).get("userAssignedIdentities") or {}
    return found


def _resolved(azure: Azure, identifier: str, had: Json | None) -> Json:
    """Id, principal and client id of a user-assigned identity; one that the resource had may be gone meanwhile.

    Raises:
        AzureError: 400 `FailedIdentityOperation`, there is no such identity.
    """
    document = azure.world.resources.get(identifier.lower())
    if document is not None:
        properties = document["properties"]
        # the identity's own spelling of its name, ARM's of the rest
        return {
            "id": canonical(document["id"]),
            "principalId": properties["principalId"],
            "clientId": properties["clientId"],
        }
    if had is not None:
        return {"id": identifier, **had}
    raise AzureError(
        400,
        "FailedIdentityOperation",
        "Identity operation for resource failed with error 'Failed to perform resource identity operation. Status: "
        f"'NotFound'. Response: 'Resource '{identifier}' was not found.'.'.",
        headers=dict(GATEWAY),
    )


def shown(azure: Azure, identity: Json | None) -> Json | None:
    """A stored identity with the ids that its user-assigned identities have now."""
    if not identity or "userAssignedIdentities" not in identity:
        return identity
    found = {}
    for identifier, value in old_ids(identity).items():
        document = azure.world.resources.get(identifier.lower())
        properties = document["properties"] if document is not None else value or {}
        spelled = identifier.swapcase() if azure.switches.identity_keys == "recased" else identifier
        found[spelled] = {name: properties[name] for name in ("principalId", "clientId") if name in properties}
    return {**identity, "userAssignedIdentities": found}


def newly_attached(want: Json | None, old: Json | None) -> list[str]:
    """Ids of identities that a write attaches and the resource did not have."""
    had = {key.lower() for key in old_ids(old)}
    return [entry["id"] for key, entry in (want or {"ids": {}})["ids"].items() if key not in had]


def principal_for(reference: str, resource: str, want: Json | None, old: Json | None, azure: Azure) -> str | None:
    """The object id behind `system` or an identity's id, if the resource has it after the write; else None."""
    types = want["kinds"] if want is not None else kinds(old)
    if reference.lower() == "system":
        entry = principals.of_resource(azure, resource) if SYSTEM in types else None
        return str(entry["id"]) if entry else None
    try:
        key = canonical(reference).lower()
    except AzureError:
        return None
    if want is not None:
        entry = want["ids"].get(key)
        return str(entry["principalId"]) if entry else None
    for identifier, value in old_ids(shown(azure, old)).items():
        if identifier.lower() == key:
            return str(value["principalId"]) if "principalId" in value else None
    return None


def apply(azure: Azure, resource: str, want: Json, old: Json | None) -> Json:
    """Make the identity so: create or remove the system principal; answers with the identity to store."""
    result: Json = {"type": ", ".join(name for name in (SYSTEM, USER) if name in want["kinds"]) or "None"}
    entry = principals.of_resource(azure, resource)
    if SYSTEM in want["kinds"]:
        # a captured app stays in its own tenant
        tenant = (old or {}).get("tenantId") if entry else None
        if entry is None:
            name = resource.rpartition("/")[2]
            entry = principals.create(azure, kind="system", name=name, resource=resource)
        result["principalId"] = entry["id"]
        result["tenantId"] = tenant or azure.world.tenant
    elif entry is not None and entry["kind"] == "system":
        principals.remove(azure, entry["id"])
    if USER in want["kinds"]:
        spelling = {key.lower(): key for key in old_ids(old)}
        result["userAssignedIdentities"] = {
            spelling.get(key, item["id"]): {"principalId": item["principalId"], "clientId": item["clientId"]}
            for key, item in want["ids"].items()
        }
    return result
