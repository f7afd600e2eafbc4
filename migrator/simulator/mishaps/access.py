"""Mishaps of access: locks, roles that go or come late, principals that are known late."""

from __future__ import annotations

from migrator.simulator import assignments, principals, rbac
from migrator.simulator.mishap import Occasion, named
from migrator.simulator.providers.locks import LEVELS
from migrator.simulator.wire import Json

LOCK = "mishap"
"""The name of the lock that appears."""


@named("lock")
def lock(occasion: Occasion, level: str, scope: str = "") -> None:
    """A `ReadOnly` or `CanNotDelete` lock appears at `scope` (by default the app that is asked for)."""
    if level.lower() not in LEVELS:
        raise ValueError(f"a lock is one of {', '.join(LEVELS.values())}, not {level!r}")
    scope = (scope or str(occasion.app()["id"])).rstrip("/")
    identifier = f"{scope}/providers/Microsoft.Authorization/locks/{LOCK}"
    entry: Json = {"id": identifier, "name": LOCK, "scope": scope, "level": LEVELS[level.lower()], "notes": ""}
    occasion.azure.world.table("locks")[identifier.lower()] = entry


@named("unlock")
def unlock(occasion: Occasion) -> None:
    """The locks that appeared go again."""
    table = occasion.azure.world.table("locks")
    for key in [key for key, entry in table.items() if entry["name"] == LOCK]:
        del table[key]


@named("role-removed")
def role_removed(occasion: Occasion, principal: str = "", role: str = "", scope: str = "") -> None:
    """Role assignments go, at once.

    They are those of `principal` (identity id or name, object id, `operator`; by default every identity of the app that
    is asked for), narrowed by `role` and by the beginning of `scope`.
    """
    azure = occasion.azure
    wanted = {principal.lower()} if principal else _of_app(occasion)
    found = rbac.definition(azure, role) if role else None
    table, index = azure.world.table("assignments"), assignments.index(azure.world)
    for key, entry in list(table.items()):
        holder = azure.world.table("principals").get(entry["principalId"], {})
        names = {
            entry["principalId"],
            holder.get("kind"),
            *(str(holder.get(n, "")).lower() for n in ("name", "resource")),
        }
        fits = bool(wanted & names) and entry["scope"].lower().startswith(scope.lower())
        if fits and (not role or (found or {}).get("id") == entry["role"]):
            index.remove(table.pop(key))


def _of_app(occasion: Occasion) -> set[str]:
    document = occasion.app()
    ids = (document.get("identity") or {}).get("userAssignedIdentities") or {}
    own = [*ids, str(document["id"])]
    found = (principals.of_resource(occasion.azure, one) for one in own)
    return {entry["id"] for entry in found if entry is not None}


@named("role-slow")
def role_slow(occasion: Occasion, seconds: float = 1200.0) -> None:
    """Roles that are assigned from now on take effect after `seconds` only."""
    occasion.azure.switches.role_propagation = (seconds, seconds)


@named("identity-slow")
def identity_slow(occasion: Occasion, seconds: float = 120.0) -> None:
    """Identities that are made from now on are unknown to the role service for `seconds`, whatever type is claimed."""
    azure = occasion.azure
    azure.switches.principal_replication = (seconds, seconds)
    azure.switches.principal_type_helps = False
