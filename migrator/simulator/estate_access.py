"""Who may do what in an estate document: groups, role definitions, assignments, denials, the operator's roles, locks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from migrator.simulator import memberships, principals, rbac, roles
from migrator.simulator.documents import items, known, mapping, mappings, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrator.simulator.azure import Azure
    from migrator.simulator.wire import Json

_SCOPE = re.compile(
    r"/|/subscriptions/[^/]+(/.*[^/])?|/providers/Microsoft\.Management/managementGroups/[^/]+", re.IGNORECASE
)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LEVELS = {"cannotdelete": "CanNotDelete", "readonly": "ReadOnly"}
_SETTLED = {"condition", "conditionVersion", "description"}


def load(azure: Azure, document: Mapping[str, Any]) -> None:
    """Take in `managementGroups`, `groups`, `roleDefinitions`, `roleAssignments`, `denyAssignments`, `operator`, `locks`; all are in effect.

    Raises:
        ValueError: a role nobody knows, a principal that is not there, a malformed scope; the place comes first.
    """
    _management_groups(azure, document)
    _groups(azure, document)
    _definitions(azure, document)
    for place, entry in mappings(document, "roleAssignments"):
        known(entry, {"principal", "role", "scope", "name", "principalType"} | _SETTLED, place)
        principal, kind = _principal(azure, text(entry, "principal", place), f"{place}.principal")
        more = {key: entry[key] for key in _SETTLED if entry.get(key)}
        _assign(azure, place, entry, principal, entry.get("principalType") or kind, name=entry.get("name"), **more)
    _denials(azure, document)
    _operator(azure, document)
    _locks(azure, document)


def _management_groups(azure: Azure, document: Mapping[str, Any]) -> None:
    table = azure.world.table("management-groups")
    for place, entry in mappings(document, "managementGroups"):
        known(entry, {"name", "subscriptions"}, place)
        identifier = f"/providers/microsoft.management/managementgroups/{text(entry, 'name', place)}".lower()
        table[identifier] = [str(one).lower() for _, one in items(entry, "subscriptions")]


def _groups(azure: Azure, document: Mapping[str, Any]) -> None:
    made = []
    for place, entry in mappings(document, "groups"):
        known(entry, {"id", "name", "members"}, place)
        name = entry.get("name") or text(entry, "id", place)
        given = str(entry.get("id") or "")
        if given and not _GUID.fullmatch(given):
            raise ValueError(f"{place}.id: an object id is a GUID, not {given!r}")
        principal = given or azure.world.guid("group", str(name))
        made.append((place, entry, str(memberships.create(azure, str(name), principal=principal)["id"])))
    # once all are there: a group may be in one that comes later
    names = {str(entry.get("name")): principal for _, entry, principal in made if entry.get("name")}
    for place, entry, principal in made:
        for below, member in items(entry, "members"):
            named = names.get(str(member)) or _principal(azure, str(member), f"{place}.{below}")[0]
            memberships.join(azure, principal, [named])


def _definitions(azure: Azure, document: Mapping[str, Any]) -> None:
    table = azure.world.table("role-definitions")
    for place, entry in mappings(document, "roleDefinitions"):
        inner = mapping(entry.get("properties", entry), place)
        title = inner.get("roleName") or entry.get("roleName") or entry.get("name")
        if not isinstance(title, str):
            raise ValueError(f"{place}.roleName: a string is needed")  # noqa: TRY004 - one error type for a bad file
        last = str(entry.get("id") or entry.get("name") or "").rpartition("/")[2].lower()
        guid = last if _GUID.fullmatch(last) else azure.world.guid("role", title)
        table[guid] = {
            "id": guid,
            "roleName": title,
            "description": str(inner.get("description") or ""),
            "permissions": _permissions(inner, place),
            "assignableScopes": list(inner.get("assignableScopes") or ["/"]),
        }


def _permissions(entry: Mapping[str, Any], place: str) -> list[Json]:
    permissions = [dict(part) for _, part in mappings(entry, "permissions")]
    if not permissions:
        raise ValueError(f"{place}.permissions: a list of {{actions, notActions, dataActions, notDataActions}}")
    for number, part in enumerate(permissions):
        known(part, {*roles.PARTS, "condition", "conditionVersion"}, f"{place}.permissions[{number}]")
    return roles.complete(permissions)


def _assign(azure: Azure, place: str, entry: Mapping[str, Any], principal: str, kind: str, **more: Any) -> None:
    role = text(entry, "role", place).rpartition("/")[2]
    if rbac.definition(azure, role) is None:
        raise ValueError(f"{place}.role: no role is called {role!r}")
    scope = _scope(entry, place)
    rbac.assign(azure, principal=principal, role=role, scope=scope, principal_type=kind, settled=True, **more)


def _scope(entry: Mapping[str, Any], place: str) -> str:
    scope = text(entry, "scope", place).rstrip("/") or "/"
    if not _SCOPE.fullmatch(scope):
        raise ValueError(f"{place}.scope: {scope!r} is no scope")
    return scope


def _principal(azure: Azure, named: str, place: str) -> tuple[str, str]:
    """Object id and type of a principal that the estate names."""
    if named.lower() == principals.OPERATOR:
        return str(principals.operator(azure)["id"]), "ServicePrincipal"
    if named.startswith("/"):
        found = principals.of_resource(azure, named)
        if found is None:
            there = named.lower().rstrip("/") in azure.world.resources
            why = "it has no system identity" if there else "it is not in the estate"
            raise ValueError(f"{place}: {named} is no principal: {why}")
        return str(found["id"]), "ServicePrincipal"
    entry = principals.by_client(azure, named)
    if entry is not None:
        kind = {"other": "User", memberships.KIND: "Group"}.get(entry["kind"], "ServicePrincipal")
        return str(entry["id"]), kind
    if not _GUID.fullmatch(named):
        raise ValueError(f"{place}: {named!r} is neither a resource id, nor 'operator', nor an object id")
    # somebody of the tenant whom the estate does not describe
    client = azure.world.guid("client", named.lower())
    entry = principals.create(azure, kind="other", name=named, principal=named, client=client, settled=True)
    return str(entry["id"]), "User"


def _denials(azure: Azure, document: Mapping[str, Any]) -> None:
    table = azure.world.table("deny-assignments")
    marker = "/providers/Microsoft.Authorization/denyAssignments/"
    for place, entry in mappings(document, "denyAssignments"):
        flags = {"doNotApplyToChildScopes", "isSystemProtected"}
        limits = {"condition", "conditionVersion"}
        known(
            entry,
            {"name", "scope", "denyAssignmentName", "description", "permissions", "principals", "excludePrincipals"}
            | flags
            | limits,
            place,
        )
        scope, title = _scope(entry, place), entry.get("denyAssignmentName") or text(entry, "name", place)
        given = str(entry.get("name") or "")
        name = given if _GUID.fullmatch(given) else azure.world.guid("denial", scope.lower(), str(title))
        identifier = f"{scope.rstrip('/')}{marker}{name}"
        table[identifier.lower()] = {
            "id": identifier,
            "name": name,
            "scope": scope,
            "denyAssignmentName": title,
            "description": str(entry.get("description") or ""),
            "permissions": _permissions(entry, place),
            "principals": _denied(azure, entry, "principals", place)
            or [{"id": rbac.EVERYONE, "type": "SystemDefined"}],
            "excludePrincipals": _denied(azure, entry, "excludePrincipals", place),
            **{flag: bool(entry[flag]) for flag in flags if flag in entry},
            **{key: str(entry[key]) for key in limits if entry.get(key)},
        }


def _denied(azure: Azure, entry: Mapping[str, Any], key: str, place: str) -> list[Json]:
    found = []
    for below, named in items(entry, key):
        identifier = named.get("id") if isinstance(named, dict) else named
        if not isinstance(identifier, str):
            raise ValueError(f"{place}.{below}: a principal, as in roleAssignments")  # noqa: TRY004 - a bad file
        if identifier == rbac.EVERYONE:
            found.append({"id": identifier, "type": "SystemDefined"})
        else:
            principal, kind = _principal(azure, identifier, f"{place}.{below}")
            found.append({"id": principal, "type": kind})
    return found


def _operator(azure: Azure, document: Mapping[str, Any]) -> None:
    operator = principals.operator(azure)
    given = document.get("operator")
    entries: list[tuple[str, Mapping[str, Any]]] = []
    if given is None:
        # an Owner alone may not read or write secrets
        entries += [
            ("operator", {"role": "Owner", "scope": f"/subscriptions/{entry['id']}"})
            for entry in azure.world.table("subscriptions").values()
        ]
        entries += [
            ("operator", {"role": "Key Vault Secrets Officer", "scope": vault["id"]})
            for vault in azure.world.of_type("Microsoft.KeyVault/vaults")
        ]
    else:
        known(mapping(given, "operator"), {"roles"}, "operator")
        for place, entry in mappings(given, "roles"):
            known(entry, {"role", "scope"}, f"operator.{place}")
            entries.append((f"operator.{place}", entry))
    for place, entry in entries:
        _assign(azure, place, entry, operator["id"], "ServicePrincipal")


def _locks(azure: Azure, document: Mapping[str, Any]) -> None:
    table = azure.world.table("locks")
    marker = "/providers/Microsoft.Authorization/locks/"
    for place, entry in mappings(document, "locks"):
        known(entry, {"id", "name", "type", "level", "notes", "scope", "properties"}, place)
        inner = {**mapping(entry.get("properties") or {}, f"{place}.properties"), **entry}
        level = _LEVELS.get(str(inner.get("level")).lower())
        if level is None:
            raise ValueError(f"{place}.level: CanNotDelete or ReadOnly, not {inner.get('level')!r}")
        found = re.fullmatch(rf"(.*){re.escape(marker)}([^/]+)", str(entry.get("id") or ""), re.IGNORECASE)
        scope = _scope({"scope": entry.get("scope") or (found[1] if found else None)}, place)
        name = entry.get("name") or (found[2] if found else f"lock-{len(table) + 1}")
        identifier = f"{scope.rstrip('/')}{marker}{name}"
        table[identifier.lower()] = {
            "id": identifier,
            "name": str(name),
            "scope": scope,
            "level": level,
            "notes": str(inner.get("notes") or ""),
        }
