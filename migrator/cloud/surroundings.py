"""What apps live among: environments, identities, vaults, registries, role assignments, role definitions, locks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from azure.core.pipeline.policies import ContentDecodePolicy

from migrator.cloud.clients import (
    APPS_VERSION,
    AUTHORIZATION_VERSION,
    LOCKS_VERSION,
    REGISTRIES_VERSION,
    VAULTS_VERSION,
)
from migrator.cloud.inventory import Row
from migrator.cloud.session import Session
from migrator.errors import CloudError, NotFoundError
from migrator.model import (
    Denial,
    Json,
    Lock,
    Permission,
    Resource,
    ResourceId,
    Rights,
    RoleAssignment,
    RoleDefinition,
)

OnError = Callable[[str, CloudError], None]
"""Told where something could not be read, and why."""


def raw(pipeline_response: Any, _model: object, _headers: object) -> Json:
    """For the SDK's `cls=`: the answer's document as it stands instead of a model of it."""
    document: Json = pipeline_response.context[ContentDecodePolicy.CONTEXT_NAME]
    return document


def covers(scope: str, target: str) -> bool:
    """Whether `scope` is at or above `target`; the root covers all."""
    upper, lower = scope.lower().rstrip("/"), target.lower().rstrip("/")
    return not upper or lower == upper or lower.startswith(upper + "/") or "/managementgroups/" in upper


class Kind(Protocol):
    """How one type of resource is read."""

    def listing(self, session: Session, subscription: str) -> list[Json]:
        """All of a subscription."""
        ...

    def one(self, session: Session, resource: str) -> Json:
        """One by its id."""
        ...


class Documents:
    """A type whose client takes raw requests."""

    def __init__(self, path: str, version: str, client: Callable[[Session, str], Any], plural: str) -> None:
        """Name the provider path, e.g. `Microsoft.KeyVault/vaults`."""
        self._path = path
        self._version = version
        self._client = client
        self._plural = plural

    def listing(self, session: Session, subscription: str) -> list[Json]:
        return session.pages(
            self._client(session, subscription),
            f"/subscriptions/{subscription}/providers/{self._path}",
            f"list the {self._plural} of subscription {subscription}",
            api_version=self._version,
        )

    def one(self, session: Session, resource: str) -> Json:
        subscription = ResourceId.parse(resource).subscription
        return session.get(self._client(session, subscription), resource, f"read {resource}", api_version=self._version)


class Identities:
    """User-assigned identities; their client has models only."""

    def listing(self, session: Session, subscription: str) -> list[Json]:
        client = session.identities(subscription)
        found: list[Any] = session.call(
            f"list the identities of subscription {subscription}",
            lambda: list(client.user_assigned_identities.list_by_subscription()),
        )
        return [identity.serialize(keep_readonly=True) for identity in found]

    def one(self, session: Session, resource: str) -> Json:
        parts = ResourceId.parse(resource)
        client = session.identities(parts.subscription)
        document: Json = session.call(
            f"read {resource}", lambda: client.user_assigned_identities.get(parts.group, parts.name, cls=raw)
        )
        return document


ENVIRONMENT = Documents("Microsoft.App/managedEnvironments", APPS_VERSION, Session.apps, "environments")
VAULT = Documents("Microsoft.KeyVault/vaults", VAULTS_VERSION, Session.vaults, "vaults")
REGISTRY = Documents("Microsoft.ContainerRegistry/registries", REGISTRIES_VERSION, Session.registries, "registries")
IDENTITY = Identities()


def read_kind(
    session: Session,
    kind: Kind,
    within: Sequence[str],
    rows: Sequence[Row] | None,
    referenced: Iterable[str],
    on_error: OnError,
    *,
    trusting: bool = False,
) -> tuple[Resource, ...]:
    """All resources of a type in some subscriptions, and those referred to from elsewhere, in order of ids.

    Args:
        session: The session.
        kind: How the type is read.
        within: Subscriptions to list.
        rows: The inventory's rows of the type. None: not known.
        referenced: Ids that must be among the result if they can be read at all.
        on_error: Told what could not be read.
        trusting: Do not list a subscription in which the inventory, which may be minutes behind, shows none.
    """
    found: dict[str, Resource] = {}

    def take(document: Json) -> None:
        found[str(document["id"]).lower()] = Resource(str(document["id"]), document)

    def listing(subscription: str) -> list[Json]:
        try:
            return kind.listing(session, subscription)
        except CloudError:
            # no right on the whole subscription: what the inventory shows is read one by one below
            return []

    shown = {row.subscription for row in rows or ()}
    listed = [s for s in within if s.lower() in shown] if trusting and rows is not None else list(within)
    for documents in session.map(listing, listed):
        for document in documents:
            take(document)
    wanted = {reference.lower(): reference for reference in referenced}
    wanted.update((row.id.lower(), row.id) for row in rows or () if row.subscription in {s.lower() for s in within})

    def one(resource: str) -> Json | CloudError:
        try:
            return kind.one(session, resource)
        except CloudError as error:
            return error

    missing = [reference for key, reference in sorted(wanted.items()) if key not in found]
    for resource, answer in zip(missing, session.map(one, missing), strict=True):
        if isinstance(answer, CloudError):
            # the inventory may be minutes behind: what is gone is no error
            if not isinstance(answer, NotFoundError):
                on_error(resource, answer)
        else:
            take(answer)
    return tuple(found[key] for key in sorted(found))


def assignment_of(model: Any) -> RoleAssignment:
    """Our form of the SDK's role assignment."""
    return RoleAssignment(
        id=str(model.id),
        scope=str(model.scope or "/"),
        role=str(model.role_definition_id).rsplit("/", 1)[-1].lower(),
        principal_id=str(model.principal_id).lower(),
        principal_type=str(model.principal_type or "Unknown"),
        condition=model.condition,
        created=f"{model.created_on:%Y-%m-%dT%H:%M:%SZ}" if model.created_on else "",
        created_by=str(model.created_by or ""),
    )


def read_assignments(session: Session, within: Sequence[str], on_error: OnError) -> tuple[RoleAssignment, ...]:
    """Every role assignment that counts in some subscriptions: at them, above them, and down to single secrets."""

    def listing(subscription: str) -> list[RoleAssignment] | CloudError:
        client = session.authorization(subscription)
        try:
            models = session.call(
                f"list the role assignments of subscription {subscription}",
                lambda: list(client.role_assignments.list_for_subscription()),
            )
        except CloudError as error:
            return error
        return [assignment_of(model) for model in models]

    found: dict[str, RoleAssignment] = {}
    for subscription, answer in zip(within, session.map(listing, within), strict=True):
        if isinstance(answer, CloudError):
            on_error(f"/subscriptions/{subscription}", answer)
            continue
        for one in answer:
            known = found.setdefault(one.id.lower(), one)
            found[one.id.lower()] = replace(known, within=known.within | {subscription.lower()})
    return tuple(found[key] for key in sorted(found))


def read_roles(
    session: Session, within: Sequence[str], assignments: Iterable[RoleAssignment], on_error: OnError
) -> tuple[RoleDefinition, ...]:
    """The definitions of the roles that are assigned: one listing, then those it lacks one by one."""
    used: dict[str, str] = {}
    for assignment in assignments:
        used.setdefault(assignment.role, _subscription(assignment.scope) or within[0])
    if not used:
        return ()
    home = within[0]
    try:
        models = session.call(
            "list the role definitions",
            lambda: list(session.authorization(home).role_definitions.list(f"/subscriptions/{home}")),
        )
    except CloudError:
        models = []
    found = {role.id: role for role in map(role_of, models) if role.id in used}

    def one(role: str) -> RoleDefinition | CloudError:
        client = session.authorization(used[role])
        path = f"/subscriptions/{used[role]}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        try:
            return role_of(
                session.call(f"read the role definition {role}", lambda: client.role_definitions.get_by_id(path))
            )
        except CloudError as error:
            return error

    missing = sorted(set(used) - set(found))
    for role, answer in zip(missing, session.map(one, missing), strict=True):
        if isinstance(answer, RoleDefinition):
            found[answer.id] = answer
        elif not isinstance(answer, NotFoundError):
            on_error(f"role {role}", answer)
    return tuple(found[key] for key in sorted(found))


def role_of(model: Any) -> RoleDefinition:
    """Our form of the SDK's role definition."""
    first, *more = [
        Rights(
            tuple(block.actions or ()),
            tuple(block.not_actions or ()),
            tuple(block.data_actions or ()),
            tuple(block.not_data_actions or ()),
        )
        for block in model.permissions or []
    ] or [Rights()]
    return RoleDefinition(
        str(model.id).rsplit("/", 1)[-1].lower(),
        str(model.role_name or ""),
        first.actions,
        first.not_actions,
        first.data_actions,
        first.not_data_actions,
        tuple(more),
    )


def denial_of(document: Json) -> Denial:
    """Our form of a deny assignment's document."""
    properties = document.get("properties") or {}

    def ids(key: str, kind: str = "") -> frozenset[str]:
        named = properties.get(key) or []
        return frozenset(
            str(one.get("id")).lower() for one in named if not kind or str(one.get("type")).lower() == kind
        )

    return Denial(
        id=str(document["id"]),
        name=str(properties.get("denyAssignmentName") or document.get("name") or ""),
        scope=str(properties.get("scope") or "/"),
        blocks=tuple(
            Rights(
                tuple(block.get("actions") or ()),
                tuple(block.get("notActions") or ()),
                tuple(block.get("dataActions") or ()),
                tuple(block.get("notDataActions") or ()),
            )
            for block in properties.get("permissions") or []
        ),
        principals=ids("principals"),
        spared=ids("excludePrincipals"),
        below=not properties.get("doNotApplyToChildScopes"),
        groups=ids("principals", "group") | ids("excludePrincipals", "group"),
        condition=str(properties.get("condition") or ""),
    )


def read_denials(session: Session, within: Sequence[str], on_error: OnError) -> tuple[Denial, ...]:
    """Every deny assignment that counts in some subscriptions (they come from managed applications and stacks)."""

    def listing(subscription: str) -> list[Json] | CloudError:
        try:
            return session.pages(
                session.arm(),
                f"/subscriptions/{subscription}/providers/Microsoft.Authorization/denyAssignments",
                f"list the deny assignments of subscription {subscription}",
                api_version=AUTHORIZATION_VERSION,
            )
        except CloudError as error:
            return error

    found: dict[str, Denial] = {}
    for subscription, answer in zip(within, session.map(listing, within), strict=True):
        if isinstance(answer, CloudError):
            on_error(f"/subscriptions/{subscription}", answer)
            continue
        for one in map(denial_of, answer):
            known = found.setdefault(one.id.lower(), one)
            found[one.id.lower()] = replace(known, within=known.within | {subscription.lower()})
    return tuple(found[key] for key in sorted(found))


def lock_of(document: Json) -> Lock:
    """Our form of a lock's document; its scope is what its id hangs from."""
    scope = re.split(r"/providers/Microsoft\.Authorization/locks/", str(document["id"]), flags=re.IGNORECASE)[0]
    return Lock(str(document["id"]), scope, str((document.get("properties") or {}).get("level") or ""))


def read_locks(session: Session, within: Sequence[str], on_error: OnError) -> tuple[Lock, ...]:
    """Every lock in some subscriptions."""

    def listing(subscription: str) -> list[Json] | CloudError:
        try:
            return session.pages(
                session.arm(),
                f"/subscriptions/{subscription}/providers/Microsoft.Authorization/locks",
                f"list the locks of subscription {subscription}",
                api_version=LOCKS_VERSION,
            )
        except CloudError as error:
            return error

    found: dict[str, Lock] = {}
    for subscription, answer in zip(within, session.map(listing, within), strict=True):
        if isinstance(answer, CloudError):
            on_error(f"/subscriptions/{subscription}", answer)
        else:
            found.update((lock.id.lower(), lock) for lock in map(lock_of, answer))
    return tuple(found[key] for key in sorted(found))


def read_permissions(session: Session, scopes: Sequence[str], on_error: OnError) -> tuple[Permission, ...]:
    """What the operator may do at each of some scopes (conditions are not shown there, FACTS 4.4)."""

    def at(scope: str) -> tuple[Permission, ...] | CloudError:
        try:
            return permissions_at(session, scope)
        except CloudError as error:
            return error

    chosen = sorted({scope.rstrip("/").lower(): scope.rstrip("/") for scope in scopes}.values(), key=str.lower)
    found: list[Permission] = []
    for scope, answer in zip(chosen, session.map(at, chosen), strict=True):
        if isinstance(answer, CloudError):
            on_error(scope, answer)
        else:
            found += answer
    return tuple(found)


def permissions_at(session: Session, scope: str) -> tuple[Permission, ...]:
    """What the operator may do at one scope.

    Raises:
        CloudError: it could not be read.
    """
    blocks = session.pages(
        session.arm(),
        f"{scope.rstrip('/')}/providers/Microsoft.Authorization/permissions",
        f"read your permissions at {scope}",
        api_version=AUTHORIZATION_VERSION,
    )
    return tuple(
        Permission(
            scope.rstrip("/"),
            tuple(block.get("actions") or ()),
            tuple(block.get("notActions") or ()),
            tuple(block.get("dataActions") or ()),
            tuple(block.get("notDataActions") or ()),
        )
        for block in blocks
    )


def _subscription(scope: str) -> str | None:
    found = re.match(r"/subscriptions/([^/]+)", scope, re.IGNORECASE)
    return found[1].lower() if found else None
