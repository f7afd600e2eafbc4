"""The built-in role definitions that the simulated tenant knows; the data is in `roles.json` beside this file.

They are the ones that migrating container apps meets: the roles of Container Apps, Key Vault, registries, identities
and locks, the privileged roles, and the data roles of services that an app may be moved to. Permissions as listed in
learn.microsoft.com/azure/role-based-access-control/built-in-roles (August 2026).
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

PARTS = ("actions", "notActions", "dataActions", "notDataActions")
"""The four lists of a permission; one that a definition leaves out is empty."""


def complete(permissions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Permissions with all four lists present, as Azure writes them; a condition stays."""
    return [
        {**{part: list(entry.get(part) or []) for part in PARTS}, **{k: v for k, v in entry.items() if k not in PARTS}}
        for entry in permissions
    ]


def _load() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = json.loads(files(__package__ or "").joinpath("roles.json").read_text("utf-8"))
    return {guid: {"id": guid, **entry, "permissions": complete(entry["permissions"])} for guid, entry in table.items()}


ROLES: dict[str, dict[str, Any]] = _load()
"""Lower-case GUID -> {"id", "roleName", "description", "permissions": [{actions, notActions, ...}]}."""
