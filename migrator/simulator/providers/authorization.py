"""Microsoft.Authorization/roleAssignments.

Every operation exists at every scope, from the tenant down to one secret of a vault. Behaviour follows FACTS 4.4 with
CORRECTIONS; shapes are those recorded (recordings/microsoft.authorization, traffic 0036 and 0039). A written assignment
answers without `createdBy`, and reads show it, as recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from migrator.simulator import assignments, memberships, odata, rbac
from migrator.simulator.azure import ARM, Azure, Call, not_found
from migrator.simulator.clock import iso
from migrator.simulator.wire import AzureError, Json, Request, Response

if TYPE_CHECKING:
    from migrator.simulator.odata import Leaf

VERSIONS = (
    "2015-07-01",
    "2017-10-01-preview",
    "2018-01-01-preview",
    "2018-07-01",
    "2018-09-01-preview",
    "2020-03-01-preview",
    "2020-04-01-preview",
    "2020-08-01-preview",
    "2020-10-01-preview",
    "2022-04-01",
)

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DEFINITION_ID = re.compile(r".*/providers/Microsoft\.Authorization/roleDefinitions/([^/]+)", re.IGNORECASE)
_RESOURCE = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/([^/]+)/providers/([^/]+/[^/]+)/([^/]+)(/.*)?", re.IGNORECASE
)
_WRITABLE = {
    "roleDefinitionId",
    "principalId",
    "principalType",
    "description",
    "condition",
    "conditionVersion",
    "canDelegate",
    "delegatedManagedIdentityResourceId",
}
_READ_ONLY = {"scope", "createdOn", "updatedOn", "createdBy", "updatedBy"}
_TYPES = {"User", "Group", "ServicePrincipal", "ForeignGroup", "Device"}
_MOST = {"description": 2048, "condition": 8192}
"""Longest texts (includes/role-based-access-control/limits.md)."""

_SETTLING = 0.215
"""Seconds between `createdOn` and `updatedOn` of a new assignment (traffic 0036)."""


def register(azure: Azure) -> None:
    """Add the operations."""
    base = "{scope:path}/providers/Microsoft.Authorization/roleAssignments"
    action = "Microsoft.Authorization/roleAssignments"
    for method, path, handler, verb in (
        ("GET", "", _list, "read"),
        ("GET", "/{name}", _get, "read"),
        ("PUT", "/{name}", _put, "write"),
        ("DELETE", "/{name}", _delete, "delete"),
    ):
        azure.route(
            ARM,
            method,
            base + path,
            handler,
            versions=VERSIONS,
            action=f"{action}/{verb}",
            scope="{scope}",
            facts=_facts if method == "PUT" else None,
        )


def _facts(request: Request) -> dict[str, str]:
    """What a condition may ask about a requested assignment; nothing for a body that will be refused anyway."""
    prefix = "microsoft.authorization/roleassignments:"
    try:
        properties = request.json().get("properties")
    except AzureError:
        return {}
    if not isinstance(properties, dict):
        return {}
    facts = {
        prefix + name.lower(): value
        for name in ("principalId", "principalType")
        if isinstance(value := properties.get(name), str)
    }
    if found := _DEFINITION_ID.fullmatch(str(properties.get("roleDefinitionId"))):
        facts[prefix + "roledefinitionid"] = found[1]
    return facts


def _document(call: Call, entry: Json, *, new: bool = False) -> Json:
    """An assignment as Azure writes it."""
    scope = entry["scope"]
    found = re.match(r"/subscriptions/[^/]+", scope, re.IGNORECASE)
    properties: Json = {
        "roleDefinitionId": (
            f"{found[0] if found else ''}/providers/Microsoft.Authorization/roleDefinitions/{entry['role']}"
        ),
        "principalId": entry["principalId"],
        "principalType": entry["principalType"],
        "scope": scope,
    }
    conditional = call.version >= "2020"
    if conditional:
        properties |= {"condition": entry.get("condition"), "conditionVersion": entry.get("conditionVersion")}
    properties |= {
        "createdOn": iso(entry["created"]),
        "updatedOn": iso(float(entry.get("updated") or entry["created"])),
        "createdBy": None if new else entry.get("createdBy"),
        "updatedBy": entry.get("updatedBy"),
    }
    if conditional:
        properties |= {
            "delegatedManagedIdentityResourceId": entry.get("delegatedManagedIdentityResourceId"),
            "description": entry.get("description"),
        }
    return {
        "properties": properties,
        "id": entry["id"],
        "type": "Microsoft.Authorization/roleAssignments",
        "name": entry["name"],
    }


def _find(call: Call) -> Json | None:
    identifier = f"{call.params['scope'].rstrip('/')}/providers/microsoft.authorization/roleassignments/"
    found: Json | None = call.world.table("assignments").get((identifier + call.params["name"]).lower())
    return found


def _get(call: Call) -> Response:
    entry = _find(call)
    if entry is None:
        raise AzureError(404, "RoleAssignmentNotFound", f"The role assignment '{call.params['name']}' is not found.")
    return Response(200, _document(call, entry))


def _list(call: Call) -> Response:
    scope, index = call.params["scope"], assignments.index(call.world)
    text = call.request.query.get("$filter", "").strip().lower()
    beyond = [one for group in assignments.groups_above(call.world, scope) for one in index.at(group)]
    candidates = index.at_or_above(scope) if text.startswith("atscope()") else _all(index, scope)
    entries = filtered(call, [*beyond, *candidates], lambda entry: {entry["principalId"]})
    return Response(200, {"value": [_document(call, entry) for entry in around(call, entries, scope)]})


def _all(index: assignments.Index, scope: str) -> Iterator[Json]:
    yield from index.at_or_above(scope)
    yield from index.below(scope)


def around(call: Call, entries: Iterable[Json], scope: str) -> list[Json]:
    """What lies at, above or below a scope, in the order of making."""
    found = [
        one for one in entries if rbac.reaches(call.azure, one["scope"], scope) or rbac.covers(scope, one["scope"])
    ]
    return sorted(found, key=lambda one: (one.get("created", 0.0), one["id"].lower()))


def filtered(call: Call, entries: Iterable[Json], principals: Callable[[Json], set[str]]) -> list[Json]:
    """What the `$filter` of a listing leaves: `atScope()`, `assignedTo('')`, `principalId eq ''` and their allowed joins.

    Raises:
        AzureError: 400 `UnsupportedQuery` (text of azure-rest-api-specs#28255; that code is not recorded).
    """
    text = call.request.query.get("$filter", "").strip()
    if not text:
        return list(entries)
    refused = AzureError(
        400,
        "UnsupportedQuery",
        f"The filter '{text}' is not supported. Supported filters are either 'atScope()' or "
        "'principalId eq '{value}' or assignedTo('{value}')'.",
    )
    try:
        leaves = odata.conjunction(text)
    except ValueError as error:
        raise refused from error
    names = [f"{leaf.name.lower()} {leaf.operator}" for leaf in leaves]
    # `atScope()` and `principalId eq` exclude each other (CLI role/custom.py, azure-powershell#20384)
    if sorted(names) not in (
        ["atscope call"],
        ["assignedto call"],
        ["principalid eq"],
        ["assignedto call", "atscope call"],
        ["denyassignmentname eq"],
    ):
        raise refused
    return [entry for entry in entries if all(_keeps(call, leaf, entry, principals(entry), refused) for leaf in leaves)]


def _keeps(call: Call, leaf: Leaf, entry: Json, principals: set[str], refused: AzureError) -> bool:
    name = leaf.name.lower()
    if name == "atscope":
        if leaf.values:
            raise refused
        return rbac.reaches(call.azure, entry["scope"], call.params["scope"])
    if len(leaf.values) != 1 or not leaf.values[0]:
        raise refused
    if name == "denyassignmentname":
        if "denyAssignmentName" not in entry:
            raise refused
        return bool(entry["denyAssignmentName"] == leaf.values[0])
    principal = leaf.values[0].lower()
    if name == "assignedto":  # what its groups hold too (CORRECTIONS 4.4)
        return not principals.isdisjoint(memberships.circle(call.azure, principal))
    return principal in principals


def _bad_format() -> AzureError:
    """The role service's answer to any body it cannot read (Azure/azure-cli#2458)."""
    return AzureError(400, "BadRequestFormat", "The request was incorrectly formatted.")


def _properties(request: Request) -> Json:
    """The checked properties of a requested assignment."""
    body = request.json()
    properties = body.get("properties")
    if not isinstance(properties, dict) or set(body) - {"properties", "id", "name", "type"}:
        raise _bad_format()
    given = {name: value for name, value in properties.items() if name not in _READ_ONLY and value is not None}
    if set(given) - _WRITABLE or any(
        not isinstance(value, str) for key, value in given.items() if key != "canDelegate"
    ):
        raise _bad_format()
    if not _GUID.fullmatch(given.get("principalId", "")):
        raise AzureError(
            400,
            "InvalidPrincipalId",
            f"The Principal ID '{given.get('principalId', '')}' is not valid. Principal ID must be a GUID.",
        )
    if any(len(given.get(name, "")) > most for name, most in _MOST.items()):
        raise _bad_format()
    if given.get("condition") and given.get("conditionVersion") != "2.0":
        raise _bad_format()
    return given


def _role_of(call: Call, identifier: str) -> Json:
    found = _DEFINITION_ID.fullmatch(identifier)
    if found is None:
        raise _bad_format()
    if not _GUID.fullmatch(found[1]):
        raise AzureError(400, "InvalidRoleDefinitionId", f"The role definition ID '{found[1]}' is not valid.")
    role = rbac.definition(call.azure, found[1])
    if role is None:
        raise no_definition(found[1])
    return role


def no_definition(name: str) -> AzureError:
    """The role service's 404 for a definition (recording 0077)."""
    return AzureError(
        404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{name}' does not exist."
    )


def _check_scope(call: Call) -> None:
    """Refuse a scope whose resource is not there; what lies inside a resource (a secret) is not looked up."""
    found = _RESOURCE.fullmatch(call.params["scope"].rstrip("/"))
    if found is None:
        return
    inner = found[4] or ""
    resource = call.params["scope"].rstrip("/").removesuffix(inner).lower()
    if resource not in call.world.resources:
        raise not_found(found[2], found[3], found[1])


def _principal_type(call: Call, principal: str, claimed: str | None) -> str:
    """The type of a principal as the role service sees it now.

    Raises:
        AzureError: 400 `PrincipalTypeNotSupported`, `PrincipalNotFound` (unknown, or made so recently that only a
            claimed type lets the service go on) or `UnmatchedPrincipalType`.
    """
    if claimed is not None and claimed not in _TYPES:
        raise AzureError(
            400,
            "PrincipalTypeNotSupported",
            f"Principals of type {claimed} cannot validly be used in role assignments.",
        )
    entry = call.world.table("principals").get(principal)
    helped = claimed is not None and call.azure.switches.principal_type_helps
    if entry is None or (entry["known"] > call.now and not helped):
        raise AzureError(
            400,
            "PrincipalNotFound",
            f"Principal {principal.replace('-', '')} does not exist in the directory {call.world.tenant}. Check that "
            "you have the correct principal ID. If you are creating this principal and then immediately assigning a "
            "role, this error might be related to a replication delay. In this case, set the role assignment "
            "principalType property to a value, such as ServicePrincipal, User, or Group.  See "
            "https://aka.ms/docs-principaltype",
        )
    if entry["kind"] == "other":  # whom the estate only names: its assignments say what they are
        shown = [one["principalType"] for one in rbac.held(call.azure, principal)]
        return claimed or next(iter(shown), "ServicePrincipal")
    real = "Group" if entry["kind"] == memberships.KIND else "ServicePrincipal"
    if claimed not in {None, real} and entry["known"] <= call.now:
        raise AzureError(
            400,
            "UnmatchedPrincipalType",
            f"The PrincipalId '{principal.replace('-', '')}' has type '{real}' , which is different from specified "
            f"PrinciaplType '{claimed}'.",
        )
    return claimed or real


def _put(call: Call) -> Response:
    name, scope = call.params["name"], call.params["scope"].rstrip("/")
    if not _GUID.fullmatch(name):
        raise AzureError(400, "InvalidRoleAssignmentId", "The role assignment ID must be a GUID.")
    given = _properties(call.request)
    role = _role_of(call, given.get("roleDefinitionId", ""))
    _check_scope(call)
    principal = given["principalId"].lower()
    same = {"role": role["id"], "principalId": principal, "scope": scope.lower() or "/"}
    texts: Json = {key: given.get(key) for key in ("description", "condition", "conditionVersion")}

    if taken := assignments.index(call.world).named(name):
        return _rewrite(call, taken, same, texts)
    for entry in rbac.held(call.azure, principal):
        if _identity(entry) == same:
            raise _exists(call, entry)
    kind = _principal_type(call, principal, given.get("principalType"))
    _check_limit(call, scope)
    entry = rbac.assign(
        call.azure,
        principal=principal,
        role=role["id"],
        scope=scope,
        name=name,
        principal_type=kind,
        updated=call.now + _SETTLING,
        createdBy=call.principal,
        updatedBy=call.principal,
        delegatedManagedIdentityResourceId=given.get("delegatedManagedIdentityResourceId"),
        **texts,
    )
    return Response(201, _document(call, entry, new=True))


def _identity(entry: Json) -> Json:
    return {"role": entry["role"], "principalId": entry["principalId"], "scope": entry["scope"].lower()}


def _rewrite(call: Call, entry: Json, same: Json, texts: Json) -> Response:
    """A PUT under a name that is in use, anywhere in the tenant: only its texts may change."""
    if _identity(entry) != same:
        raise AzureError(
            400,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )
    if call.version < "2020":
        raise _exists(call, entry)
    entry |= {**texts, "updated": call.now, "updatedBy": call.principal}
    return Response(200, _document(call, entry))


def _exists(call: Call, entry: Json) -> AzureError:
    message = "The role assignment already exists."
    if call.azure.switches.role_assignment_exists_id:
        message += f" The ID of the existing role assignment is {entry['name'].replace('-', '')}."
    return AzureError(409, "RoleAssignmentExists", message)


def _check_limit(call: Call, scope: str) -> None:
    used = assignments.index(call.world).count(scope)
    if assignments.subscription(scope) and used >= call.azure.switches.role_assignment_limit:
        raise AzureError(400, "RoleAssignmentLimitExceeded", "No more role assignments can be created.")


def _delete(call: Call) -> Response:
    entry = _find(call)
    if entry is None:
        return Response(204)
    rbac.revoke(call.azure, entry["id"])
    return Response(200, _document(call, entry))
