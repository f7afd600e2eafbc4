"""Who may do what: role definitions, assignments as they take effect in time, locks, tokens.

Tables: `principals` (object id -> {clientId, name, kind, resource, known}), `assignments` (lower-case assignment id ->
{id, name, scope, role, principalId, principalType, created, effective, ...}), `revoked` (assignments on their way
out), `locks` (lower-case id -> {id, name, scope, level, notes}), `tokens` (token -> {principal, audience, expires}),
`role-definitions` (lower-case GUID -> {id, roleName, description, permissions, assignableScopes}: the tenant's own),
`deny-assignments` (lower-case id -> {id, name, scope, denyAssignmentName, description, permissions, principals,
excludePrincipals, doNotApplyToChildScopes, isSystemProtected}), `management-groups` (lower-case id -> lower-case ids of
the subscriptions below it).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from migrator.simulator import assignments, conditions, memberships
from migrator.simulator.roles import ROLES
from migrator.simulator.wire import AzureError, Request

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure
    from migrator.simulator.conditions import Facts

EVERYONE = "00000000-0000-0000-0000-000000000000"
"""The principal of a deny assignment that means all of them."""


def authenticate(azure: Azure, plane: str, request: Request) -> str:
    """The caller's object id.

    Raises:
        AzureError: 401 with the plane's own challenge: no token, unknown, expired, or for another audience.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    issued = azure.world.table("tokens").get(token.strip()) if scheme.lower() == "bearer" else None
    expected = "vault" if plane.startswith("vault") else "registry" if plane.startswith("registry") else "management"
    if not token:
        raise _challenge(
            azure,
            expected,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
    if issued is None:
        raise _challenge(azure, expected, "InvalidAuthenticationToken", "The access token is invalid.")
    if issued["expires"] <= azure.clock.now():
        raise _challenge(azure, expected, "ExpiredAuthenticationToken", "The access token expiry has passed.")
    if issued["audience"] != expected:
        raise _challenge(
            azure,
            expected,
            "InvalidAuthenticationTokenAudience",
            f"The access token has been obtained for wrong audience or resource '{issued['resource']}'.",
        )
    return str(issued["principal"])


def _challenge(azure: Azure, expected: str, code: str, message: str) -> AzureError:
    authority = f"{azure.origins.get('entra', '')}/{azure.world.tenant}"
    if expected == "vault":
        return AzureError(
            401,
            "Unauthorized",
            "AKV10000: Request is missing a Bearer or PoP token."
            if code == "AuthenticationFailed"
            else f"[TokenExpired] Error validating token: '{message}'.",
            headers={"WWW-Authenticate": f'Bearer authorization="{authority}", resource="https://vault.azure.net"'},
        )
    return AzureError(
        401,
        code,
        message,
        headers={
            "WWW-Authenticate": f'Bearer authorization_uri="{authority}", error="invalid_token", '
            f'error_description="{message}"'
        },
    )


def definition(azure: Azure, role: str) -> dict[str, Any] | None:
    """A role definition by GUID or by name, custom ones of the estate included."""
    custom: dict[str, Any] = azure.world.table("role-definitions")
    for table in (ROLES, custom):
        if role.lower() in table:
            found: dict[str, Any] = table[role.lower()]
            return found
        for entry in table.values():
            if entry["roleName"].lower() == role.lower():
                return dict(entry)
    return None


def covers(scope: str, target: str) -> bool:
    """Whether an assignment at `scope` reaches `target`: at it or above it, without case."""
    upper, lower = scope.lower().rstrip("/"), target.lower().rstrip("/")
    return not upper or lower == upper or lower.startswith(upper + "/")


def reaches(azure: Azure, scope: str, target: str) -> bool:
    """Whether what is at `scope` counts at `target`: as `covers`, and from a management group down to its subscriptions."""
    return covers(scope, target) or scope.lower().rstrip("/") in assignments.groups_above(azure.world, target)


@lru_cache(maxsize=4096)
def _pattern(action: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in action.split("*")), re.IGNORECASE)


def _matches(azure: Azure, granted: str, action: str) -> bool:
    if _pattern(granted).fullmatch(action):
        return True
    # Key Vault Reader reads vaults by `vaults/*/read`, Managed Identity Operator assigns by `*/assign/action`: a
    # wildcard between slashes may stand for nothing. Of `containerApps/*/write` users disagree (CORRECTIONS, 4.5).
    if "/*/" not in granted or (granted.lower().endswith("/*/write") and not azure.switches.wildcard_covers_parent):
        return False
    return bool(_pattern(granted.replace("/*/", "/")).fullmatch(action))


def held(azure: Azure, principal: str) -> list[dict[str, Any]]:
    """Assignments made to `principal`, in effect or not yet."""
    return assignments.index(azure.world).of_principal(principal)


def effective(azure: Azure, principal: str) -> list[dict[str, Any]]:
    """Assignments that count for `principal` at this moment, those of its groups too."""
    now = azure.clock.now()
    circle = memberships.circle(azure, principal)
    revoked = azure.world.table("revoked")
    for key in [key for key, entry in revoked.items() if entry["until"] <= now]:
        del revoked[key]
    leaving = [entry for entry in revoked.values() if entry["principalId"] in circle]
    return [entry for one in circle for entry in held(azure, one) if entry["effective"] <= now] + leaving


def grants(
    azure: Azure, role: dict[str, Any], action: str, *, data: bool, facts: Facts | None = None, strict: bool = True
) -> bool:
    """Whether a role definition holds an action, its own conditions fulfilled by `facts` unless not `strict`."""
    allow, deny = ("dataActions", "notDataActions") if data else ("actions", "notActions")
    for permission in role["permissions"]:
        if (
            any(_matches(azure, g, action) for g in permission.get(allow) or [])
            and not any(_matches(azure, d, action) for d in permission.get(deny) or [])
            and (not strict or _fulfilled(permission, action, facts))
        ):
            return True
    return False


def _fulfilled(conditional: dict[str, Any], action: str, facts: Facts | None) -> bool:
    condition = conditional.get("condition")
    return not condition or conditions.holds(condition, action, facts or {})


def granted(
    azure: Azure, principal: str, action: str, scope: str, *, data: bool = False, facts: Facts | None = None
) -> bool:
    """Whether a role assignment in effect gives `principal` the action at `scope`; deny assignments are not asked."""
    for assignment in effective(azure, principal):
        if reaches(azure, assignment["scope"], scope) and _fulfilled(assignment, action, facts):
            role = definition(azure, assignment["role"])
            if role and grants(azure, role, action, data=data, facts=facts):
                return True
    return False


def denial(
    azure: Azure, principal: str, action: str, scope: str, *, data: bool = False, facts: Facts | None = None
) -> dict[str, Any] | None:
    """The deny assignment that keeps `principal` from the action at `scope`, or None.

    Deny assignments win over every role, and name principals and groups one by one or all of them by the empty GUID
    (learn.microsoft.com/azure/role-based-access-control/deny-assignments).
    """
    circle = {*memberships.circle(azure, principal)}
    for entry in azure.world.table("deny-assignments").values():
        named = {str(one["id"]).lower() for one in entry.get("principals", [])}
        spared = {str(one["id"]).lower() for one in entry.get("excludePrincipals") or []}
        at_scope = entry["scope"].lower().rstrip("/") == scope.lower().rstrip("/")
        if (
            ((circle | {EVERYONE}) & named)
            and not circle & spared
            and reaches(azure, entry["scope"], scope)
            and (at_scope or not entry.get("doNotApplyToChildScopes"))
            and grants(azure, entry, action, data=data, strict=False)
            and _fulfilled(entry, action, facts)
        ):
            found: dict[str, Any] = entry
            return found
    return None


def allowed(
    azure: Azure, principal: str, action: str, scope: str, *, data: bool = False, facts: Facts | None = None
) -> bool:
    """Whether `principal` has `action` at `scope` now; `facts` are the attributes that conditions may ask about."""
    return (
        granted(azure, principal, action, scope, data=data, facts=facts)
        and denial(azure, principal, action, scope, data=data, facts=facts) is None
    )


def require(
    azure: Azure, principal: str, action: str, scope: str, *, data: bool = False, facts: Facts | None = None
) -> None:
    """Refuse unless `principal` has the action.

    Raises:
        AzureError: 403 `AuthorizationFailed` with the action named, or 403 `DenyAssignmentAuthorizationFailed`.
    """
    entry = azure.world.table("principals").get(principal, {})
    client, where = entry.get("clientId", principal), scope.rstrip("/") or "/"
    if not granted(azure, principal, action, scope, data=data, facts=facts):
        hint = " or an ABAC condition not fulfilled" if action.lower().endswith("roleassignments/write") else ""
        raise AzureError(
            403,
            "AuthorizationFailed",
            f"The client '{client}' with object id '{principal}' does not have authorization"
            f"{hint} to perform action '{action}' over scope '{where}' or the scope is invalid. If access "
            "was recently granted, please refresh your credentials.",
            headers={"x-ms-failure-cause": "gateway"},
        )
    if denied := denial(azure, principal, action, scope, data=data):
        raise AzureError(
            403,
            "DenyAssignmentAuthorizationFailed",
            f"The client '{client}' with object id '{principal}' has permission to perform action '{action}' on scope "
            f"'{where}'; however, the access is denied because of the deny assignment with name "
            f"'{denied['denyAssignmentName']}' and Id '{denied['name']}' at scope '{denied['scope']}'.",
            headers={"x-ms-failure-cause": "gateway"},
        )


def check_locks(azure: Azure, path: str, *, deleting: bool) -> None:
    """Raise 409 `ScopeLocked` if a lock at or above `path` forbids the operation, or one below it a deletion.

    Locks themselves stay writable (learn.microsoft.com/azure/azure-resource-manager/management/lock-resources).
    """
    if re.search(r"/providers/Microsoft\.Authorization/locks(/[^/]+)?/?$", path, re.IGNORECASE):
        return
    for lock in azure.world.table("locks").values():
        if lock["level"].lower() not in {"readonly", "cannotdelete"}:
            continue
        reached = covers(lock["scope"], path) and (deleting or lock["level"].lower() == "readonly")
        if reached or (deleting and covers(path, lock["scope"])):
            verb = "delete" if deleting else "write"
            raise AzureError(
                409,
                "ScopeLocked",
                f"The scope '{path}' cannot perform {verb} operation because following scope(s) are locked: "
                f"'{lock['scope']}'. Please remove the lock and try again.",
            )


def assign(
    azure: Azure,
    *,
    principal: str,
    role: str,
    scope: str,
    name: str | None = None,
    principal_type: str = "ServicePrincipal",
    settled: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """Write a role assignment; it is honoured after the propagation delay, at once if `settled`.

    Raises:
        ValueError: the role is neither a built-in one nor one of the estate's own.
    """
    found = definition(azure, role)
    if found is None:
        raise ValueError(f"unknown role '{role}'")
    now = azure.clock.now()
    name = name or azure.world.guid("assignment", scope.lower(), principal, str(found["id"]))
    identifier = f"{scope.rstrip('/')}/providers/Microsoft.Authorization/roleAssignments/{name}"
    entry: dict[str, Any] = {
        "id": identifier,
        "name": name,
        "scope": scope.rstrip("/") or "/",
        "role": found["id"],
        "principalId": principal,
        "principalType": principal_type,
        "created": now,
        "effective": 0.0 if settled else now + azure.world.random.uniform(*azure.switches.role_propagation),
        **more,
    }
    table, index = azure.world.table("assignments"), assignments.index(azure.world)
    if old := table.pop(identifier.lower(), None):
        index.remove(old)
    table[identifier.lower()] = entry
    index.add(entry)
    return entry


def revoke(azure: Azure, identifier: str) -> dict[str, Any] | None:
    """Remove a role assignment by id; it still works for a few seconds (measured: up to 21)."""
    index = assignments.index(azure.world)
    entry: dict[str, Any] | None = azure.world.table("assignments").pop(identifier.lower(), None)
    if entry is not None:
        index.remove(entry)
    if entry is not None and entry["effective"] <= azure.clock.now():
        until = azure.clock.now() + azure.world.random.uniform(*azure.switches.role_revocation)
        azure.world.table("revoked")[identifier.lower() + f"#{until}"] = {**entry, "until": until}
    return entry
