"""Role systems of services whose data plane no role of Azure opens: Cosmos DB for NoSQL, Azure Cache for Redis, Managed Redis.

Table `data-roles`: lower-case id -> {"id", "name", "type", "properties", "ready": virtual moment it is there from}. Table
`data-role-operations`: name -> {"ready": its end, "error"?: how it fails}.

Shapes: learn.microsoft.com/rest/api/cosmos-db-resource-provider/sql-resources, .../redis/access-policy-assignment and
.../redis/redisenterprise/access-policy-assignment. Codes of refusals are those pages' own where they have some; which text
comes with them was not seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from migrator.simulator.azure import ARM, not_found
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migrator.simulator.azure import Azure, Call

_TAKES = 6.0
"""Seconds an assignment, or its end, takes."""
_RESOURCE = "/subscriptions/{subscription}/resourceGroups/{group}/providers"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class System:
    """One role system."""

    kind: str
    below: str
    """Path from the resource to the collection of assignments."""
    versions: Sequence[str]
    collection: str
    named: re.Pattern[str]
    keys: frozenset[str]
    """Properties that an assignment must have, and the only ones it may have."""
    policies: frozenset[str] = frozenset()
    """Names of the access policies that every cache has; those that somebody makes are not simulated."""


_SYSTEMS = (
    System(
        "Microsoft.DocumentDB/databaseAccounts", "", ("2024-11-15", "2026-03-15"), "sqlRoleAssignments", _GUID,
        frozenset({"roleDefinitionId", "principalId", "scope"}),
    ),
    System(
        "Microsoft.Cache/redis", "", ("2024-11-01",), "accessPolicyAssignments", re.compile(r"[A-Za-z0-9 -]{3,63}"),
        frozenset({"accessPolicyName", "objectId", "objectIdAlias"}),
        frozenset({"Data Owner", "Data Contributor", "Data Reader"}),
    ),
    System(
        "Microsoft.Cache/redisEnterprise", "/databases/default", ("2025-07-01",), "accessPolicyAssignments",
        re.compile(r"[A-Za-z0-9]{1,60}"), frozenset({"accessPolicyName", "user"}), frozenset({"default"}),
    ),
)  # fmt: skip


def register(azure: Azure) -> None:
    """Add the operations, and how an assignment ends."""
    azure.on("data-roles.end", _end)
    for system in _SYSTEMS:
        path = f"{_RESOURCE}/{system.kind}/{{name}}{system.below}/{system.collection}"
        middle = "/databases" if system.below else ""
        action = f"{system.kind}{middle}/{system.collection}"
        for method, end, handler, verb in (
            ("GET", "", _list, "read"),
            ("GET", "/{assignment}", _get, "read"),
            ("PUT", "/{assignment}", _put, "write"),
            ("DELETE", "/{assignment}", _delete, "delete"),
        ):
            azure.route(
                ARM, method, path + end, partial(handler, system=system), versions=system.versions,
                action=f"{action}/{verb}",
            )  # fmt: skip
    status = "/subscriptions/{subscription}/providers/{space}/locations/{place}/operationsStatus/{operation}"
    azure.route(ARM, "GET", status, _status)


def _owner(call: Call, system: System) -> str:
    group = f"/subscriptions/{call.params['subscription']}/resourceGroups/{call.params['group']}"
    resource = f"{group}/providers/{system.kind}/{call.params['name']}"
    if resource.lower() not in call.world.resources:
        raise not_found(system.kind, call.params["name"], call.params["group"])
    return resource


def _shown(entry: Json) -> Json:
    return {key: entry[key] for key in ("id", "name", "type", "properties")}


def _known(call: Call, system: System) -> dict[str, Json]:
    prefix = f"{_owner(call, system)}{system.below}/{system.collection}/".lower()
    return {key: one for key, one in call.world.table("data-roles").items() if key.startswith(prefix)}


def _list(call: Call, system: System) -> Response:
    return Response(200, {"value": [_shown(one) for one in _known(call, system).values() if one["ready"] <= call.now]})


def _find(call: Call, system: System) -> Json:
    path = f"{_owner(call, system)}{system.below}/{system.collection}/{call.params['assignment']}"
    entry = call.world.table("data-roles").get(path.lower())
    if entry is None or entry["ready"] > call.now:
        raise AzureError(404, "NotFound", f"The role assignment '{call.params['assignment']}' does not exist.")
    found: Json = entry
    return found


def _get(call: Call, system: System) -> Response:
    return Response(200, _shown(_find(call, system)))


def _bad(text: str) -> AzureError:
    return AzureError(400, "BadRequest", text)


def _put(call: Call, system: System) -> Response:
    owner, name = _owner(call, system), call.params["assignment"]
    properties = call.request.json().get("properties")
    if not system.named.fullmatch(name):
        raise _bad(f"'{name}' is not valid as the name of an assignment.")
    if not isinstance(properties, dict) or set(properties) != system.keys:
        raise _bad(f"The properties of an assignment are {', '.join(sorted(system.keys))}.")
    principal = (
        properties.get("principalId") or properties.get("objectId") or (properties.get("user") or {}).get("objectId")
    )
    known = call.world.table("principals").get(str(principal).lower())
    # whether a cache asks the directory for a principal at all was not seen
    if known is None or (known["known"] > call.now and system.collection == "sqlRoleAssignments"):
        raise _bad(f"The provided principal ID [{principal}] was not found in the AAD tenant(s) of the account.")
    _check(call, system, owner, properties)
    collection = f"{owner}{system.below}/{system.collection}"
    entry: Json = {
        "id": f"{collection}/{name}",
        "name": name,
        "type": f"{system.kind}{'/databases' if system.below else ''}/{system.collection}",
        "properties": properties,
        "ready": call.now + _TAKES,
    }
    table, key = call.world.table("data-roles"), entry["id"].lower()
    old = table.get(key)
    if old is None:
        table[key] = entry
    elif old["properties"] != properties:
        if system.collection == "sqlRoleAssignments":
            raise _bad("Updating the principal or the scope of a role assignment is not allowed.")
        old["properties"] = properties
    return _accepted(call, system, call.world.fresh_guid(), _shown(entry))


def _check(call: Call, system: System, owner: str, properties: Json) -> None:
    if system.collection != "sqlRoleAssignments":
        enabled: Json = call.world.resources[owner.lower()].get("properties") or {}
        if properties["accessPolicyName"] not in system.policies:
            raise _bad(f"The access policy [{properties['accessPolicyName']}] does not exist.")
        if system.below == "" and str((enabled.get("redisConfiguration") or {}).get("aad-enabled")).lower() != "true":
            raise _bad("Microsoft Entra Authentication is not enabled for the cache.")
        return
    definition = str(properties["roleDefinitionId"])
    if not re.fullmatch(
        re.escape(owner) + r"/sqlRoleDefinitions/0{8}-0{4}-0{4}-0{4}-0{11}[12]", definition, re.IGNORECASE
    ):
        raise _bad(f"The Role Definition [{definition}] does not exist.")
    if not re.fullmatch(re.escape(owner) + r"(/dbs/[^/]+(/colls/[^/]+)?)?", str(properties["scope"]), re.IGNORECASE):
        raise _bad(f"The scope [{properties['scope']}] is not within the account.")


def _accepted(call: Call, system: System, operation: str, shown: Json | None) -> Response:
    call.world.table("data-role-operations")[operation] = {"ready": call.now + _TAKES}
    space = system.kind.partition("/")[0]
    url = (
        f"{call.request.origin}/subscriptions/{call.params['subscription']}/providers/{space}/locations/westeurope"
        f"/operationsStatus/{operation}?api-version={call.version}"
    )
    return Response(202, shown, {"Azure-AsyncOperation": url, "Retry-After": "0"})


def _status(call: Call) -> Response:
    entry = call.world.table("data-role-operations").get(call.params["operation"])
    if entry is None:
        raise AzureError(404, "NotFound", "The operation is not known.")
    if entry["ready"] > call.now:
        return Response(200, {"status": "InProgress"})
    if entry.get("error"):
        return Response(200, {"status": "Failed", "error": entry["error"]})
    return Response(200, {"status": "Succeeded"})


def _delete(call: Call, system: System) -> Response:
    key = f"{_owner(call, system)}{system.below}/{system.collection}/{call.params['assignment']}".lower()
    if key not in call.world.table("data-roles"):
        return Response(204)
    operation = call.world.fresh_guid()
    call.world.schedule(call.now + _TAKES, "data-roles.end", key=key, operation=operation)
    return _accepted(call, system, operation, None)


def _end(azure: Azure, _due: float, arguments: dict[str, str]) -> None:
    if not azure.world.table("data-role-operations")[arguments["operation"]].get("error"):
        azure.world.table("data-roles").pop(arguments["key"], None)
