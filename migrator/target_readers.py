"""Who gets at what secrets open: data of storage accounts, namespaces, vaults of configuration, and the keys themselves.

A secret that is a key of a resource is one way in; the roles on that resource are others, and whoever may list its keys
has the secret without reading it anywhere. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from migrator.access_report import DATA_ROLE, LISTS_KEYS, Grant, NamedResource, ResourceReader
from migrator.effective import Effective
from migrator.model import App, Estate, Json, Part, Resource, ResourceId, RoleDefinition
from migrator.passwordless import dapr
from migrator.passwordless.decision import target_of
from migrator.passwordless.pointer import Pointer, point
from migrator.passwordless.services import services
from migrator.passwordless.suggesting import beside, evidence_of
from migrator.planning.places import AppView
from migrator.planning.roles import covers
from migrator.vault_readers import VaultReaders
from scanners.model import Secret

_KEYS = {
    "microsoft.storage/storageaccounts": ("listKeys/action", "listAccountSas/action", "listServiceSas/action"),
    "microsoft.documentdb/databaseaccounts": (
        *("listKeys/action", "listConnectionStrings/action", "readonlykeys/action"),
        # a GET: every Reader has the keys that only read
        "readonlykeys/read",
    ),
    "microsoft.documentdb/mongoclusters": ("listConnectionStrings/action",),
    "microsoft.search/searchservices": ("listAdminKeys/action", "listQueryKeys/action"),
    "microsoft.servicebus/namespaces": ("authorizationRules/listKeys/action",),
    "microsoft.eventhub/namespaces": ("authorizationRules/listKeys/action",),
    "microsoft.relay/namespaces": ("authorizationRules/listKeys/action",),
    "microsoft.cache/redisenterprise": ("databases/listKeys/action",),
    "microsoft.devices/iothubs": ("listkeys/action", "iotHubKeys/listkeys/action"),
    "microsoft.containerregistry/registries": ("listCredentials/action",),
    # passwords that nobody can list, and a connection string that is no secret
    **dict.fromkeys(
        (
            *("microsoft.sql/servers", "microsoft.sql/managedinstances", "microsoft.insights/components"),
            *("microsoft.dbforpostgresql/flexibleservers", "microsoft.dbforpostgresql/servers"),
            *("microsoft.dbformysql/flexibleservers", "microsoft.dbformysql/servers"),
        ),
        (),
    ),
}
"""By type: actions that give keys (learn.microsoft.com/azure/role-based-access-control/resource-provider-operations);
every other type is asked for `listKeys`."""
_KEYLIKE = re.compile(r"key|secret|password|pwd|token|sas", re.IGNORECASE)
_PARTS = {
    "microsoft.servicebus/namespaces": ("queues", "topics"),
    "microsoft.eventhub/namespaces": ("eventhubs",),
    "microsoft.relay/namespaces": ("hybridConnections", "wcfRelays"),
}
"""By type: parts that have shared access policies, and so keys, of their own."""


def named_resources(
    estate: Estate, look: VaultReaders, apps: Iterable[App], parts: Iterable[Part]
) -> tuple[NamedResource, ...]:
    """The resources that secrets of apps and components open, with who else gets at them, in order of ids.

    Args:
        estate: With `targets`.
        look: The same estate, indexed.
        apps: Whose secrets count.
        parts: Likewise, of Dapr components.
    """
    named = _named(estate, apps, parts)
    found = []
    for target in sorted(estate.targets, key=lambda one: one.id.lower()):
        by = named.get(target.id.lower())
        if by:
            readers = (*_readers(look, target), *_by_own_roles(look, target))
            unseen = _own_roles(target) and "dataRoles" not in target.document
            found.append(NamedResource(target.id, tuple(sorted(by)), readers, unseen))
    return tuple(found)


def _named(estate: Estate, apps: Iterable[App], parts: Iterable[Part]) -> dict[str, set[tuple[str, str]]]:
    """Target -> (app or component, name) of the secrets and env values that open it."""
    targets: dict[str, list[Resource]] = {}
    for target in estate.targets:
        domain = str((target.document.get("properties") or {}).get("customSubDomainName") or "").lower()
        for name in {target.name.lower(), domain} - {""}:
            targets.setdefault(name, []).append(target)
    found: dict[str, set[tuple[str, str]]] = {}

    def note(holder: str, name: str, pointer: Pointer | None) -> None:
        near = targets.get(pointer.name.lower(), ()) if pointer is not None else ()
        if pointer is not None and near:
            target = target_of(pointer, [services()[one] for one in pointer.services], near)
            if target is not None:
                found.setdefault(target.id.lower(), set()).add((holder, name))

    for app in apps:
        view = AppView(app)
        for name, secret in view.secrets.items():
            note(app.id, name, point(secret.value) if secret.value is not None else None)
        for _, _, container in view.containers():
            evidence = evidence_of(view, container)
            for entry in container.get("env") or []:
                held = view.secrets.get(str(entry.get("secretRef")))
                value = (
                    Secret(str(entry["value"])) if entry.get("value") and held is None else held.value if held else None
                )
                pointer = point(value) if value is not None else None
                if value is not None and (pointer is None or not pointer.name):
                    pointer = beside(str(entry.get("name")), pointer, evidence) if _secret(entry) else pointer
                if pointer is not None:
                    note(app.id, held.name if held else f"env {entry.get('name')}", pointer)
    for part in parts:
        for pointer in dapr.pointers(part) if dapr.is_component(part) else ():
            note(part.id, "metadata", pointer)
    return found


def _secret(entry: Json) -> bool:
    """Whether an env entry without a host of its own may be a key of what stands beside it."""
    return bool(entry.get("secretRef") or _KEYLIKE.search(str(entry.get("name"))))


def _readers(look: VaultReaders, target: Resource) -> Iterator[ResourceReader]:
    effective, kind = look.effective, _kind(target)
    namespace = kind.partition("/")[0]
    keys = tuple(f"{kind}/{action}" for action in _KEYS.get(kind, ("listKeys/action",)))
    below_keys = {part: f"{kind}/{part}/authorizationRules/listKeys/action" for part in _PARTS.get(kind, ())}

    @cache
    def given(role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        definition = effective.roles.get(role)
        if definition is None:
            return (), ()
        every = (*keys, *below_keys.values())
        listing = tuple(action for action in every if effective.holds(definition.blocks, action, data=False))
        return listing, tuple(_data_actions(definition, namespace))

    for assignment in effective.around(target.id):
        below = covers(target.id, assignment.scope)
        above = covers(assignment.scope, target.id, assignment.within)
        if not below and not above:
            continue
        listing, data = given(assignment.role.lower())
        # keys are the whole resource's, but for parts with policies of their own
        mine = (
            ()
            if above
            else tuple(one for one in _of_part(target, assignment.scope, keys, below_keys) if one in listing)
        )
        for way, actions in (
            (LISTS_KEYS, listing if above else mine),
            (DATA_ROLE, data),
        ):
            scope = assignment.scope if below else target.id
            for holder in effective.holders(assignment.principal_id) if actions else ():
                if any(effective.denial(holder, one, scope, data=way == DATA_ROLE) is None for one in actions):
                    name = look.people[holder].name
                    yield ResourceReader(holder, name, way, effective.grant(assignment, holder))


def _by_own_roles(look: VaultReaders, target: Resource) -> Iterator[ResourceReader]:
    for role in target.document.get("dataRoles") or []:
        given = str(role["principal"]).lower()
        for holder in look.effective.holders(given):
            grant = Grant("role", role["name"], role["scope"], role["id"], through="" if holder == given else given)
            name = look.people[holder].name if holder in look.people else holder
            yield ResourceReader(holder, name, DATA_ROLE, grant)


def _of_part(target: Resource, scope: str, keys: tuple[str, ...], below: Mapping[str, str]) -> tuple[str, ...]:
    """Actions that list keys at a scope below a resource: of one entity's policies, or of one policy."""
    path = scope[len(target.id) :].strip("/").lower().split("/")
    if path[0] == "authorizationrules":
        return keys
    if len(path) > 2 and path[2] != "authorizationrules":
        return ()
    return tuple(action for name, action in below.items() if name.lower() == path[0])


def _data_actions(role: RoleDefinition, namespace: str) -> Iterator[str]:
    """Data actions of a role on a provider, wildcards as they stand."""
    for block in role.blocks:
        for action in block.data_actions:
            low = action.lower()
            ours = low == "*" or low.startswith(("*/", f"{namespace}/"))
            if ours and Effective.holds((block,), action, data=True):
                yield action


def _own_roles(target: Resource) -> bool:
    """Whether the service has roles of its own beside Azure's, which are not looked at here."""
    kind = _kind(target)
    return any(
        one.system not in {"arm", "code"} for one in services().values() if kind in {t.lower() for t in one.types}
    )


def _kind(target: Resource) -> str:
    parts = ResourceId.parse(target.id)
    return f"{parts.namespace}/{parts.kind.partition('/')[0]}".lower()
