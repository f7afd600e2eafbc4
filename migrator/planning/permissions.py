"""What the operator needs to apply a plan and to take it back, and whether they hold it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.model import Estate, Json, Permission, Step, Vault
from migrator.planning.building import APP_WRITE, DATA_ROLES, JOB_WRITE, AppPlan, own_roles
from migrator.planning.denials import Denials, look
from migrator.planning.identities import SYSTEM
from migrator.planning.roles import grants

_APPS = "Container Apps Contributor"
_JOBS = "Container Apps Jobs Contributor"
_OFFICER = "Key Vault Secrets Officer"
_GRANTER = "Key Vault Data Access Administrator"
_DATA_ADMINS = {
    "cosmos": "DocumentDB Account Contributor",
    "redis": "Redis Cache Contributor",
    "managed-redis": "Redis Cache Contributor",
}
_ADMINISTRATOR = "Role Based Access Control Administrator"
_SECRETS = "Microsoft.KeyVault/vaults/secrets"
_IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"


@dataclass(frozen=True, slots=True, order=True)
class _Right:
    scope: str
    action: str
    role: str
    """The smallest built-in role that has the action."""
    data: bool = False


class Permissions:
    """What was read of the operator's permissions, by scope."""

    def __init__(self, estate: Estate) -> None:
        """Index `estate`."""
        self._at: dict[str, list[Permission]] = {}
        for permission in estate.permissions:
            self._at.setdefault(permission.scope.lower().rstrip("/"), []).append(permission)

    def held(self, scope: str, action: str, *, data: bool = False) -> bool | None:
        """Whether the operator has `action` at `scope`.

        True where it is granted there or above. False where permissions at the scope itself were read and none grants
        it. None where only permissions above it are known, or the only grant is `a/*/write` for `a/write`, of which
        users disagree whether it counts.
        """
        entries = [entry for part in _upwards(scope) for entry in self._at.get(part, ())]
        if any(_grants(entry, action, data=data) for entry in entries):
            return True
        if any(_grants(entry, _below(action), data=data) for entry in entries):
            return None
        return False if scope.lower().rstrip("/") in self._at else None


def _upwards(scope: str) -> list[str]:
    parts = scope.lower().strip("/").split("/")
    return ["/" + "/".join(parts[:count]) for count in range(len(parts), 0, -1)] + [""]


def _grants(entry: Permission, action: str, *, data: bool) -> bool:
    if data:
        return grants(entry.data_actions, entry.not_data_actions, action)
    return grants(entry.actions, entry.not_actions, action)


def _below(action: str) -> str:
    """`a/x/write` for `a/write`: matched by the disputed wildcard and by no other grant that `a/write` lacks."""
    head, _, verb = action.rpartition("/")
    return f"{head}//{verb}"


def needed(plans: Iterable[AppPlan], estate: Estate, vault: Vault, parts: Iterable[Step] = ()) -> list[Json]:
    """`{"scope", "action", "role", "held"}` each, by scope and action.

    One that a deny assignment takes away is not held, and has under `denied` which one it is: no role helps there.
    """
    rights: set[_Right] = set()
    for plan in plans:
        rights |= _of_app(plan, vault)
    for step in parts:
        rights |= _of_part(step)
    known, denials = Permissions(estate), Denials(estate)
    found = []
    for right in sorted(rights, key=lambda right: (right.scope.lower(), right.action)):
        # what is done to a vault's secrets is done below it, where a denial of the vault alone does not reach
        below = right.data or (right.scope == vault.id and right.action.startswith(_ASSIGNMENTS))
        where = f"{right.scope}/secrets/*" if below else right.scope
        denial = denials.of_operator(where, right.action, data=right.data)
        entry: Json = {
            "scope": right.scope,
            "action": right.action,
            "role": right.role,
            "held": False if denial else known.held(right.scope, right.action, data=right.data),
        }
        if denial:
            entry["denied"] = {"name": denial.name, "scope": denial.scope, "look": look(denial)}
        found.append(entry)
    return found


def _of_part(step: Step) -> set[_Right]:
    """What a step on a Dapr component, or on a service for its sake, needs."""
    if step.kind == "part-switch":
        return {
            _Right(step.target, f"{step.permission.removesuffix('write')}{verb}", _APPS)
            for verb in ("read", "write", "listSecrets/action")
        }
    if step.kind == "part-prove":
        return {_Right(app, step.permission, _APPS) for app in step.change["loaders"]}
    if step.kind == "data-role":
        least = _DATA_ADMINS[step.change["system"]]
        return {
            _Right(step.target, f"{step.permission.removesuffix('write')}{verb}", least)
            for verb in ("read", "write", "delete")
        }
    if step.kind == "role-assignment" and not step.change["existing"]:
        return {_Right(step.target, f"{_ASSIGNMENTS}/{verb}", _ADMINISTRATOR) for verb in ("write", "delete")}
    return set()


def _of_app(plan: AppPlan, vault: Vault) -> set[_Right]:
    view, chosen = plan.view, plan.identity
    rights = {
        _Right(view.id, APP_WRITE, _APPS),
        _Right(view.id, "Microsoft.App/containerApps/listSecrets/action", _APPS),
        _Right(view.id, "Microsoft.App/containerApps/revisions/read", _APPS),
    }
    if view.job:
        rights = {
            _Right(view.id, JOB_WRITE, _JOBS),
            _Right(view.id, "Microsoft.App/jobs/listSecrets/action", _JOBS),
            _Right(view.id, "Microsoft.App/jobs/executions/read", _JOBS),
        }
    if view.environment:
        # every write of an app is checked against its environment, which is often in another group
        rights.add(_Right(view.environment, "Microsoft.App/managedEnvironments/join/action", _APPS))
    if chosen and chosen.ref != SYSTEM:
        group = f"/subscriptions/{view.parts.subscription}/resourceGroups/{view.parts.group}"
        new = chosen.create is not None
        rights.add(_Right(group if new else chosen.ref, f"{_IDENTITIES}/*/assign/action", "Managed Identity Operator"))
        if new:
            rights |= {
                _Right(group, f"{_IDENTITIES}/{verb}", "Managed Identity Contributor")
                for verb in ("read", "write", "delete")
            }
    for one in plan.vault_items.values():
        verbs = ("getSecret",) if one.action == "adopt" else ("getSecret", "readMetadata", "setSecret", "update")
        rights |= {_Right(vault.id, f"{_SECRETS}/{verb}/action", _OFFICER, data=True) for verb in verbs}
    if plan.vault_items:
        rights |= {_Right(vault.id, f"{_ASSIGNMENTS}/{verb}", _GRANTER) for verb in ("write", "delete")}
    for system, grant in own_roles(plan):
        write, least = DATA_ROLES[system], _DATA_ADMINS[system]
        rights |= {
            _Right(grant.scope, f"{write.removesuffix('write')}{verb}", least) for verb in ("read", "write", "delete")
        }
    if any(one.store for one in plan.draft.swaps):
        rights |= {
            _Right(view.id, f"Microsoft.App/containerApps/authConfigs/{verb}", _APPS) for verb in ("read", "write")
        }
    if any(one.in_app for one in plan.draft.swaps) and not view.job:
        rights.add(_Right(view.id, "Microsoft.App/containerApps/getAuthToken/action", _APPS))
    for scope in {grant.scope for one in plan.draft.swaps for grant in one.grants if grant.role.id}:
        rights |= {_Right(scope, f"{_ASSIGNMENTS}/{verb}", _ADMINISTRATOR) for verb in ("write", "delete")}
    for switch in plan.draft.switches:
        rights |= {_Right(switch.registry.id, f"{_ASSIGNMENTS}/{verb}", _ADMINISTRATOR) for verb in ("write", "delete")}
    return rights
