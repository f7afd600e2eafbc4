"""The least that an identity needs of what a secret opens, read from the secret and its use.

What nobody knows is said: then sending and receiving, or writing, is proposed with a doubt beside it; never an owner's
role, and never a role of Azure's control plane.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from migrator.model import Json, Resource, ResourceId
from migrator.passwordless import databases
from migrator.passwordless.pointer import Pointer
from migrator.passwordless.services import Role, Service


@dataclass(frozen=True, slots=True)
class Grant:
    """A right that the identity needs, at the narrowest scope known."""

    role: Role
    scope: str
    """ARM id; empty when the resource was not found."""
    need: str
    command: str
    within: str = ""
    """Part of the resource in the service's own role system, `/dbs/shop`; empty for all of it."""

    def as_dict(self) -> Json:
        """The object of the plan format."""
        return {
            "role": self.role.name,
            "role_id": self.role.id,
            "scope": self.scope,
            "need": self.need,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Asker:
    """Who needs the rights."""

    identity: str
    """Name of a user-assigned identity; empty for the system one."""
    principal: str
    """Object id; empty while the identity does not exist."""

    @property
    def called(self) -> str:
        """The identity in a sentence, and as a database user."""
        return self.identity or "the-app"

    @property
    def object_id(self) -> str:
        """The object id, or what stands for it until it is known."""
        return self.principal or f"<principal id of {self.called}>"


@dataclass(frozen=True, slots=True)
class Rights:
    """What to give, and how well that is known."""

    grants: tuple[Grant, ...] = ()
    scripts: tuple[str, ...] = ()
    """Statements for a database administrator; nothing of keylift runs them."""
    holds: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def rights(pointer: Pointer, service: Service, target: Resource | None, told: Sequence[str], asker: Asker) -> Rights:
    """What `asker` needs in place of the secret.

    Args:
        pointer: What the secret says of itself; its own rights count most.
        service: The one service in use.
        target: The resource, where it was found.
        told: Needs that the way of use, or code, tells (`services.NEEDS`).
        asker: The identity.
    """
    if service.system in databases.SCRIPTS:
        database = pointer.parts.get("database", "")
        return Rights(scripts=databases.SCRIPTS[service.system](asker.called, asker.object_id, database))
    kind = str(target.document.get("kind") or "").lower() if target is not None else ""
    if kind in service.kinds:
        service = replace(service, roles={"read": service.kinds[kind]}, unclear="")
        told = ("read",)
    if not service.roles:
        return Rights(doubts=(service.unclear,) if service.unclear else ())
    needs, doubts = sorted(_least(pointer.rights, told, service)), []
    if not needs:
        needs = ["receive", "send"] if {"send", "receive"} <= service.roles.keys() else ["write"]
        if pointer.kind == "sas" and pointer.policy:
            doubts.append(f"the stored policy {pointer.policy} of what it signs tells what it may do, and was not read")
        owner = next(
            (service.roles[need].name for need in needs if need in service.roles and service.roles[need].owns), ""
        )
        if owner:  # nobody becomes one because nobody knows better
            needs, read = [], service.roles.get("read")
            less = f", {read.name} if it only reads" if read else ""
            doubts.append(f"a key tells no need, and a person must: {owner} if the app writes{less}")
        else:
            doubts.append(f"a key tells no need: give less than {' and '.join(needs)} if the app does less")
    doubts += [service.also] if service.also else []
    pointer, wide = _narrow(pointer, service)
    doubts += wide
    holds = (f"rights: {pointer.told_by}",) if pointer.told_by else ()
    grants = tuple(_grant(pointer, service, target, need, asker) for need in needs if need in service.roles)
    return Rights(grants, holds=holds, doubts=tuple(doubts))


_WIDER = {"write": frozenset({"read"}), "manage": frozenset({"read", "write", "send", "receive"})}
_OF_QUEUES = {**_WIDER, "write": frozenset({"read", "send", "receive"})}
_WIDER_OF = {
    "storage-queue": _OF_QUEUES,
    "signalr": {},  # its roles are for different programs, and none holds another
    "iot-hub": {"write": frozenset({"read"})},
}
"""Need -> needs that its role covers as well, service by service (the roles' data actions)."""


def _least(allowed: Collection[str], told: Collection[str], service: Service) -> set[str]:
    """What the use needs, as far as the secret itself allows it; what is known alone, where one of the two is not known.

    A need that the role of another one covers is left out.
    """
    wider = _WIDER_OF.get(service.id, _WIDER)

    def covered(need: str, by: Collection[str]) -> bool:
        return any(need in wider.get(one, ()) for one in by)

    both = {need for need in told if need in allowed or covered(need, allowed)}
    needs = both or {*(allowed or told)}
    return {need for need in needs if not covered(need, needs - {need})}


def _narrow(pointer: Pointer, service: Service) -> tuple[Pointer, list[str]]:
    """The pointer with its entity as the part of the resource that it is, and what is said where that is not known."""
    entity = pointer.parts.get("entity")
    if not entity or not service.scope:
        return pointer, []
    choices = {part: path for part, path in service.scope.items() if part != "subscription"}
    if any(pointer.parts.get(part) == entity for part in choices):
        return pointer, []
    if len(choices) == 1:
        (part,) = choices
        return replace(pointer, parts={part: entity}), []
    ways = " or ".join(path.format(**{part: entity}) for part, path in choices.items())
    return pointer, [f"the string names the entity {entity}: narrow the scope to {ways}, whichever it is"]


def _grant(pointer: Pointer, service: Service, target: Resource | None, need: str, asker: Asker) -> Grant:
    role = service.roles[need]
    scope = target.id if target else ""
    paths = [
        path.format(**pointer.parts)
        for part, path in service.scope.items()
        if part in pointer.parts and (part != "subscription" or (need == "receive" and "topic" in pointer.parts))
    ]
    if scope and paths:
        scope = f"{scope}/{paths[-1]}"
    within = ""
    if service.command and target is not None:
        parsed = ResourceId.parse(target.id)
        database, collection = pointer.parts.get("database"), pointer.parts.get("collection")
        if service.system == "cosmos" and database:
            within = f"/dbs/{database}" + (f"/colls/{collection}" if collection else "")
        command = service.command.format(
            name=parsed.name,
            group=parsed.group,
            role=role.name,
            principal=asker.object_id,
            within=within or "/",
            identity=asker.called,
        )
    else:
        command = (
            f"az role assignment create --role {role.id} --assignee-object-id {asker.object_id} "
            f"--assignee-principal-type ServicePrincipal --scope {scope or 'RESOURCE_ID'}"
        )
    return Grant(role, scope, need, command, within)
