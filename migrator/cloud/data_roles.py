"""Assignments in the role systems of services themselves: Cosmos DB for NoSQL, Azure Cache for Redis, Managed Redis.

A role of Azure opens their control plane only. Each has a collection of assignments below the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from migrator.cloud import writing
from migrator.cloud.session import Session
from migrator.errors import CloudError, NotFoundError
from migrator.model import DataRole, Json, ResourceId, same_id
from migrator.ports import WAITING, OnOperation

_UNKNOWN = 120.0
"""Seconds in which the directory may not have told a service of a new identity yet (FACTS, section 5)."""
_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class _System:
    path: str
    version: str
    body: Callable[[DataRole], Json]
    read: Callable[[Json], tuple[str, str, str]]
    """Properties -> role, principal and scope."""


def _cosmos(role: DataRole) -> Json:
    account = role.id.rpartition("/sqlRoleAssignments/")[0]
    definition = f"{account}/sqlRoleDefinitions/{role.role}"
    return {"roleDefinitionId": definition, "principalId": role.principal_id, "scope": role.scope}


_SYSTEMS: Mapping[str, _System] = {
    "cosmos": _System(
        "sqlRoleAssignments",
        "2024-11-15",
        _cosmos,
        lambda p: (str(p.get("roleDefinitionId")).rpartition("/")[2], str(p.get("principalId")), str(p.get("scope"))),
    ),
    "redis": _System(
        "accessPolicyAssignments",
        "2024-11-01",
        lambda role: {"accessPolicyName": role.role, "objectId": role.principal_id, "objectIdAlias": role.principal_id},
        lambda p: (str(p.get("accessPolicyName")), str(p.get("objectId")), ""),
    ),
    "managed-redis": _System(
        "databases/default/accessPolicyAssignments",
        "2025-07-01",
        lambda role: {"accessPolicyName": role.role, "user": {"objectId": role.principal_id}},
        lambda p: (str(p.get("accessPolicyName")), str((p.get("user") or {}).get("objectId")), ""),
    ),
}


def found(session: Session, system: str, resource: str) -> tuple[DataRole, ...]:
    """All assignments of a resource, in order of ids.

    Args:
        session: The cloud.
        system: `cosmos`, `redis` or `managed-redis`.
        resource: ARM id of the account, cache or cluster.
    """
    one = _SYSTEMS[system]
    doing = f"list who may use {ResourceId.parse(resource).name}"
    listed = session.pages(session.arm(), f"{resource}/{one.path}", doing, api_version=one.version)
    roles = []
    for entry in listed:
        role, principal, scope = one.read(entry.get("properties") or {})
        # Cosmos DB answers with the scope under the account's own spelling, or `/` for the account
        within = scope if same_id(scope, resource) or scope.lower().startswith(resource.lower()) else resource
        roles.append(DataRole(str(entry["id"]), role, principal.lower(), within))
    return tuple(sorted(roles, key=lambda role: role.id.lower()))


def named(system: str, resource: str, name: str) -> str:
    """ARM id of an assignment of some name."""
    return f"{resource}/{_SYSTEMS[system].path}/{name}"


def put(session: Session, system: str, role: DataRole, on_operation: OnOperation) -> None:
    """Make an assignment and wait until it is there; made again under its name, it stays as it is."""
    one = _SYSTEMS[system]
    doing = f"let an identity use {ResourceId.parse(role.id).names[0]}"
    end = session.clock.now() + _UNKNOWN
    while True:
        try:
            writing.put_and_wait(session, role.id, {"properties": one.body(role)}, doing, one.version, on_operation)
        except CloudError as error:
            # no request here says that the principal is a new one, as those of Azure's own roles do
            if "was not found in the AAD tenant" not in error.why:
                raise
            if session.clock.now() + _PAUSE > end:
                error.hint = (
                    f"see whether the directory has the identity: az ad sp show --id {role.principal_id}; "
                    "then run the command again"
                )
                raise
            WAITING.get()("the service to know the new identity")
            session.clock.sleep(_PAUSE)
        else:
            return


def delete(session: Session, system: str, identifier: str) -> None:
    """Take an assignment away; one that is gone is a success."""
    doing = "take an identity's right away"
    try:
        writing.delete_and_wait(session, identifier, doing, _SYSTEMS[system].version)
    except NotFoundError:
        return
