"""Who may do what: role definitions, assignments as they take effect in time, locks, tokens.

Tables: `principals` (object id -> {clientId, name, kind, resource, known}), `assignments` (lower-case assignment id ->
{id, name, scope, role, principalId, principalType, created, effective, ...}), `revoked` (assignments on their way
out), `locks` (lower-case id -> {id, name, scope, level, notes}), `tokens` (token -> {principal, audience, expires}).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from migrator.simulator.roles import ROLES
from migrator.simulator.wire import AzureError, Request

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure


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
            "The access token has been obtained for wrong audience or resource "
            f"'{issued['resource']}'.",
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


@lru_cache(maxsize=4096)
def _pattern(action: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in action.split("*")), re.IGNORECASE)


def _matches(azure: Azure, granted: str, action: str) -> bool:
    if _pattern(granted).fullmatch(action):
        return True
    # `a/*/write` against `a/write`: users disagree whether Azure reads the wildcard as nothing
    return (
        azure.switches.wildcard_covers_parent
        and "/*/" in granted
        and bool(_pattern(granted.replace("/*/", "/")).fullmatch(action))
    )


def effective(azure: Azure, principal: str) -> list[dict[str, Any]]:
    """Assignments that count for `principal` at this moment."""
    now = azure.clock.now()
    world = azure.world
    active = [a for a in world.table("assignments").values() if a["principalId"] == principal and a["effective"] <= now]
    leaving = [a for a in world.table("revoked").values() if a["principalId"] == principal and a["until"] > now]
    return active + leaving


def grants(azure: Azure, role: dict[str, Any], action: str, *, data: bool) -> bool:
    """Whether a role definition holds an action."""
    allow, deny = ("dataActions", "notDataActions") if data else ("actions", "notActions")
    for permission in role["permissions"]:
        if any(_matches(azure, g, action) for g in permission.get(allow) or []) and not any(
            _matches(azure, d, action) for d in permission.get(deny) or []
        ):
            return True
    return False


def allowed(azure: Azure, principal: str, action: str, scope: str, *, data: bool = False) -> bool:
    """Whether `principal` has `action` at `scope` now."""
    for assignment in effective(azure, principal):
        role = definition(azure, assignment["role"])
        if role and covers(assignment["scope"], scope) and grants(azure, role, action, data=data):
            return True
    return False


def require(azure: Azure, principal: str, action: str, scope: str, *, data: bool = False) -> None:
    """Raise 403 `AuthorizationFailed` with the action named unless `principal` has it."""
    if not allowed(azure, principal, action, scope, data=data):
        entry = azure.world.table("principals").get(principal, {})
        hint = " or an ABAC condition not fulfilled" if action.lower().endswith("roleassignments/write") else ""
        raise AzureError(
            403,
            "AuthorizationFailed",
            f"The client '{entry.get('clientId', principal)}' with object id '{principal}' does not have authorization"
            f"{hint} to perform action '{action}' over scope '{scope.rstrip('/')}' or the scope is invalid. If access "
            "was recently granted, please refresh your credentials.",
        )


def check_locks(azure: Azure, path: str, *, deleting: bool) -> None:
    """Raise 409 `ScopeLocked` if a lock at or above `path` forbids the operation."""
    for lock in azure.world.table("locks").values():
        if covers(lock["scope"], path) and (deleting or lock["level"].lower() == "readonly"):
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
    azure.world.table("assignments")[identifier.lower()] = entry
    return entry


def revoke(azure: Azure, identifier: str) -> dict[str, Any] | None:
    """Remove a role assignment by id; it still works for a few seconds (measured: up to 21)."""
    entry: dict[str, Any] | None = azure.world.table("assignments").pop(identifier.lower(), None)
    if entry is not None and entry["effective"] <= azure.clock.now():
        until = azure.clock.now() + azure.world.random.uniform(*azure.switches.role_revocation)
        azure.world.table("revoked")[identifier.lower() + f"#{until}"] = {**entry, "until": until}
    return entry
