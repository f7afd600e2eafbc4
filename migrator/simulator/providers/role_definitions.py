"""Microsoft.Authorization: role definitions, deny assignments and the caller's own permissions, at every scope.

Shapes are those recorded (recordings/microsoft.authorization 0012, 0078, 0081); deny assignments follow
learn.microsoft.com/rest/api/authorization/deny-assignments. Custom roles and deny assignments come with the estate.
"""

from __future__ import annotations

import re
from typing import Any

from migrator.simulator import odata, rbac
from migrator.simulator.azure import ARM, Azure, Call
from migrator.simulator.providers.authorization import around, filtered, no_definition
from migrator.simulator.roles import PARTS, ROLES, complete
from migrator.simulator.wire import AzureError, Json, Response

DEFINITIONS = ("2015-07-01", "2018-01-01-preview", "2018-07-01", "2022-04-01", "2022-05-01-preview")
PERMISSIONS = ("2015-07-01", "2018-01-01-preview", "2018-07-01", "2022-04-01", "2022-05-01-preview")
DENIALS = ("2018-07-01-preview", "2022-04-01", "2024-07-01-preview")


def register(azure: Azure) -> None:
    """Add the operations."""
    base, action = "{scope:path}/providers/Microsoft.Authorization", "Microsoft.Authorization"
    for path, handler, versions in (
        ("roleDefinitions", _list_definitions, DEFINITIONS),
        ("roleDefinitions/{name}", _get_definition, DEFINITIONS),
        ("denyAssignments", _list_denials, DENIALS),
        ("denyAssignments/{name}", _get_denial, DENIALS),
        ("permissions", _permissions, PERMISSIONS),
    ):
        azure.route(
            ARM,
            "GET",
            f"{base}/{path}",
            handler,
            versions=versions,
            action=f"{action}/{path.partition('/')[0]}/read",
            scope="{scope}",
        )


def _definition(call: Call, guid: str, entry: Json) -> Json:
    found = re.match(r"/subscriptions/[^/]+", call.params["scope"], re.IGNORECASE)
    built_in = guid in ROLES
    bare = [{part: permission[part] for part in PARTS} for permission in complete(entry["permissions"])]
    if call.version >= "2022":
        for shown, kept in zip(bare, entry["permissions"], strict=True):
            shown |= {key: kept[key] for key in ("condition", "conditionVersion") if key in kept}
    return {
        "properties": {
            "roleName": entry["roleName"],
            "type": "BuiltInRole" if built_in else "CustomRole",
            "description": entry.get("description", ""),
            "assignableScopes": entry.get("assignableScopes") or ["/"],
            "permissions": bare,
            "createdOn": "2015-02-02T21:55:09.8806423Z",
            "updatedOn": "2021-11-11T20:13:45.8978856Z",
            "createdBy": None,
            "updatedBy": None,
        },
        "id": f"{found[0] if found else ''}/providers/Microsoft.Authorization/roleDefinitions/{guid}",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": guid,
    }


def _reaches(entry: Json, scope: str) -> bool:
    """Whether a definition may be used at a scope."""
    wanted = entry.get("assignableScopes") or ["/"]
    return any(one == "/" or rbac.covers(one, scope) or rbac.covers(scope, one) for one in wanted)


def _definitions(call: Call) -> dict[str, Json]:
    own: dict[str, Any] = call.world.table("role-definitions")
    return {
        **ROLES,
        **{str(entry["id"]).lower(): entry for entry in own.values() if _reaches(entry, call.params["scope"])},
    }


def _get_definition(call: Call) -> Response:
    guid = call.params["name"].lower()
    entry = _definitions(call).get(guid)
    if entry is None:
        raise no_definition(call.params["name"])
    return Response(200, _definition(call, guid, entry))


def _list_definitions(call: Call) -> Response:
    text = call.request.query.get("$filter", "").strip()
    try:
        leaves = odata.conjunction(text) if text else []
    except ValueError as error:
        raise _bad_filter(text) from error
    values = [_definition(call, guid, entry) for guid, entry in _definitions(call).items()]
    for leaf in leaves:
        name = leaf.name.lower()
        if name == "atscopeandbelow" and leaf.operator == "call" and not leaf.values:
            continue
        key = {"rolename": "roleName", "type": "type"}.get(name)
        if key is None or leaf.operator != "eq":
            raise _bad_filter(text)
        values = [one for one in values if one["properties"][key].lower() == leaf.values[0].lower()]
    return Response(200, {"value": values})


def _bad_filter(text: str) -> AzureError:
    return AzureError(400, "UnsupportedQuery", f"The filter '{text}' is not supported.")


def _denial(entry: Json) -> Json:
    return {
        "properties": {
            "denyAssignmentName": entry["denyAssignmentName"],
            "description": entry.get("description"),
            "permissions": [
                {part: permission[part] for part in PARTS} for permission in complete(entry["permissions"])
            ],
            "scope": entry["scope"],
            "doNotApplyToChildScopes": bool(entry.get("doNotApplyToChildScopes")),
            "principals": entry.get("principals", []),
            "excludePrincipals": entry.get("excludePrincipals") or [],
            "isSystemProtected": bool(entry.get("isSystemProtected", True)),
        },
        "id": entry["id"],
        "type": "Microsoft.Authorization/denyAssignments",
        "name": entry["name"],
    }


def _list_denials(call: Call) -> Response:
    table = call.world.table("deny-assignments")
    entries = filtered(
        call, table.values(), lambda entry: {str(one["id"]).lower() for one in entry.get("principals", [])}
    )
    return Response(200, {"value": [_denial(entry) for entry in around(call, entries, call.params["scope"])]})


def _get_denial(call: Call) -> Response:
    identifier = f"{call.params['scope'].rstrip('/')}/providers/microsoft.authorization/denyassignments/"
    entry = call.world.table("deny-assignments").get((identifier + call.params["name"]).lower())
    if entry is None:
        raise AzureError(404, "DenyAssignmentNotFound", f"The deny assignment '{call.params['name']}' is not found.")
    return Response(200, _denial(entry))


def _permissions(call: Call) -> Response:
    """What the caller's assignments grant at a scope; conditions are not shown (recording 0078, SDK 2022-04-01)."""
    value = []
    for entry in rbac.effective(call.azure, call.principal):
        role = rbac.definition(call.azure, entry["role"])
        if role is not None and rbac.reaches(call.azure, entry["scope"], call.params["scope"]):
            value += [{part: one[part] for part in PARTS} for one in complete(role["permissions"])]
    return Response(200, {"value": value})
