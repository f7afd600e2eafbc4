"""Who gets at what secrets open: data of storage accounts, namespaces, vaults of configuration, and the keys themselves.

A secret that is a key of a resource is one way in; the roles on that resource are others, and whoever may list its keys
has the secret without reading it anywhere. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from migrator.access_report import DATA_ROLE, LISTS_KEYS, NamedResource, ResourceReader
from migrator.effective import Effective
from migrator.model import App, Estate, Resource, ResourceId, RoleDefinition
from migrator.passwordless.pointer import point
from migrator.passwordless.services import services
from migrator.planning.places import AppView
from migrator.planning.roles import covers
from migrator.vault_readers import VaultReaders

_KEYS = {
    "microsoft.storage/storageaccounts": ("listKeys", "listAccountSas", "listServiceSas"),
    "microsoft.documentdb/databaseaccounts": ("listKeys", "listConnectionStrings"),
    "microsoft.search/searchservices": ("listAdminKeys", "listQueryKeys"),
    "microsoft.servicebus/namespaces": ("authorizationRules/listKeys",),
    "microsoft.eventhub/namespaces": ("authorizationRules/listKeys",),
    "microsoft.cache/redisenterprise": ("databases/listKeys",),
}
"""By type: actions that give keys (learn.microsoft.com/azure/role-based-access-control/resource-provider-operations);
every other type is asked for `listKeys`."""


def named_resources(estate: Estate, look: VaultReaders, apps: Iterable[App]) -> tuple[NamedResource, ...]:
    """The resources that secrets of apps open, with who else gets at them, in order of ids.

    Args:
        estate: With `targets`.
        look: The same estate, indexed.
        apps: Whose secrets count.
    """
    named = _named(estate, apps)
    found = []
    for target in sorted(estate.targets, key=lambda one: one.id.lower()):
        by = named.get(target.id.lower())
        if by:
            readers = tuple(_readers(look, target))
            found.append(NamedResource(target.id, tuple(sorted(by)), readers, _own_roles(target)))
    return tuple(found)


def _named(estate: Estate, apps: Iterable[App]) -> dict[str, set[tuple[str, str]]]:
    """Target -> (app, name) of the secrets and env values that open it."""
    targets: dict[str, list[Resource]] = {}
    for target in estate.targets:
        targets.setdefault(target.name.lower(), []).append(target)
    found: dict[str, set[tuple[str, str]]] = {}
    for app in apps:
        view = AppView(app)
        values = [(f"env {name}", value) for name, value in view.plain_env()]
        values += [(name, secret.value) for name, secret in view.secrets.items() if secret.value is not None]
        for name, value in values:
            pointer = point(value)
            if pointer is None or pointer.name.lower() not in targets:
                continue
            types = {kind.lower() for one in pointer.services for kind in services()[one].types}
            for target in targets[pointer.name.lower()]:
                if _kind(target) in types:
                    found.setdefault(target.id.lower(), set()).add((app.id, name))
    return found


def _readers(look: VaultReaders, target: Resource) -> Iterator[ResourceReader]:
    effective, kind = look.effective, _kind(target)
    namespace = kind.partition("/")[0]
    keys = tuple(f"{kind}/{action}/action" for action in _KEYS.get(kind, ("listKeys",)))

    @cache
    def given(role: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        definition = effective.roles.get(role)
        if definition is None:
            return (), ()
        listing = tuple(action for action in keys if effective.holds(definition.blocks, action, data=False))
        return listing, tuple(_data_actions(definition, namespace))

    for assignment in effective.around(target.id):
        below = covers(target.id, assignment.scope)
        above = covers(assignment.scope, target.id, assignment.within)
        if not below and not above:
            continue
        listing, data = given(assignment.role.lower())
        # keys are the whole resource's: an assignment of a part of it gives none
        for way, actions in (
            (LISTS_KEYS, listing if above else ()),
            (DATA_ROLE, data),
        ):
            scope = assignment.scope if below else target.id
            for holder in effective.holders(assignment.principal_id) if actions else ():
                if any(effective.denial(holder, one, scope, data=way == DATA_ROLE) is None for one in actions):
                    name = look.people[holder].name
                    yield ResourceReader(holder, name, way, effective.grant(assignment, holder))


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
