"""Dapr components: what their keys could be replaced with, and keys that make an identity useless.

A component signs in with the identity of each app that loads it: those in its scopes, or every app of the environment with
Dapr on. `azureClientId` names one identity for all of them, and without it each uses its system identity. A key that is
left beside identity metadata wins without a word (dapr/components-contrib).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.model import App, Estate, Json, Part, Resource, ResourceId, same_id
from migrator.passwordless.cases import CLIENT_ID, CLOUDS, Change
from migrator.passwordless.components import SPARE, Component, Look, table
from migrator.passwordless.decision import Decision, Outcome, target_of, title_of
from migrator.passwordless.pointer import Pointer
from migrator.passwordless.rights import Asker, Grant, rights
from migrator.passwordless.services import Service, services
from migrator.planning.identities import attached_to
from migrator.planning.places import AppView, child
from scanners.model import Fingerprinter

CLIENT = ("azureClientId", "spnClientId", "clientId")
"""What names a user-assigned identity, in the order in which it is read."""
_STRINGS = frozenset({"postgres", "sqlserver"})
"""Forms that stay connection strings, without a password."""
_HUB = "eventHub"


def is_component(part: Part) -> bool:
    """Whether a part of the estate is a component of a managed environment."""
    return part.kind == "microsoft.app/managedenvironments/daprcomponents"


def pointers(part: Part) -> Iterator[Pointer]:
    """Where the keys and addresses of a component point."""
    look = Look(part)
    for found in (look.pointer, look.second):
        if found is not None and found.name:
            yield found


def suggestions(estate: Estate, fingerprinter: Fingerprinter) -> tuple[Json, ...]:
    """What each key of a component could end as.

    Args:
        estate: With parts, workloads, environments, identities and `targets`.
        fingerprinter: For the values.

    Returns:
        `{"app": component id, "names", "fingerprint", ...Decision}` each, in order of ids.
    """
    found = []
    for part in estate.parts:
        look = Look(part) if is_component(part) else None
        if look is None or not look.keys:
            continue
        head = {"app": part.id, "names": list(look.keys), "fingerprint": mark_of(part, fingerprinter)}
        found.append({**head, **decide(look, estate).as_dict()})
    return tuple(found)


def mark_of(part: Part, fingerprinter: Fingerprinter) -> str:
    """Fingerprint of the first key of a component; empty where there is none, or it is not known."""
    look = Look(part) if is_component(part) else None
    value = look.value(look.keys[0]) if look is not None and look.keys else None
    return fingerprinter.of_secret(value) if value is not None else ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What keylift does about a component that needs nothing but configuration."""

    part: Part
    apps: tuple[App, ...]
    """Those that load it, in order of ids."""
    identity: str
    """ARM id of the one user-assigned identity that all of them have; `system` where each uses its own."""
    principals: tuple[str, ...]
    """Object ids of the identities, each once."""
    grants: tuple[Grant, ...]
    """What each of them needs."""
    service: Service
    drop: tuple[str, ...]
    put: Mapping[str, str]
    names: tuple[str, ...]
    """Of the metadata that holds keys."""
    opened: tuple[tuple[Service, str], ...]
    """What the keys open, with ARM ids: each stays valid."""


def applied(part: Part, estate: Estate) -> Applied | str:
    """What is done about a component, or why its keys stay; empty where nothing was decided for it."""
    look = Look(part) if is_component(part) else None
    if look is None or not look.keys or look.component is None:
        return ""
    decision, component = decide(look, estate), look.component
    if decision.outcome is not Outcome.CONFIGURATION:
        return ""
    service, pointer = services().get(component.service), look.pointer
    if decision.before:
        return f"first, and for a person to decide: {decision.before[0]['what']} ({decision.before[0]['command']})"
    if service is None or pointer is None:
        return component.warns or "which rights its apps need is not known"
    if decision.scripts:
        return "a principal of the database must be made first, by its administrator: the script lies beside the plan"
    target = target_of(pointer, [service], estate.targets)
    apps, _ = loaders(part, look.scopes, estate)
    name, _ = _identity(apps)
    shared = next((ref for ref in attached_to(AppView(apps[0])) if ResourceId.parse(ref).name == name), "")
    principals = {_object_id(app, shared) if shared else _own_principal(app) for app in apps}
    if not target or not all(principals) or (name and not shared):
        return "the identity of an app that loads it is not known"
    asked = tuple(_needed(look, service, target, estate, Asker(name, "")))
    if not asked:
        return "which rights its apps need is not known"
    changes = [change for change in decision.changes if change.action == "set"]
    return Applied(
        part,
        tuple(sorted(apps, key=lambda app: app.id.lower())),
        shared or "system",
        tuple(sorted(principals)),
        asked,
        service,
        tuple(change.name for change in decision.changes if change.action == "remove"),
        {change.name: change.value for change in changes},
        tuple(look.keys),
        tuple(_opened(look, service, asked)),
    )


def _opened(look: Look, service: Service, asked: Sequence[Grant]) -> Iterator[tuple[Service, str]]:
    resources = list(dict.fromkeys("/".join(grant.scope.split("/")[:9]) for grant in asked))
    besides = look.component.second if look.component else {}
    keys = [name.lower() for name in look.keys]
    if not besides or any(not name.startswith("storage") for name in keys):
        yield service, resources[0]
    if besides and any(name.startswith("storage") for name in keys):
        yield services()[besides["service"]], resources[-1]


def _own_principal(app: App) -> str:
    return str(child(app.document, "identity", "principalId") or "")


def decide(look: Look, estate: Estate) -> Decision:
    """What becomes of the keys of one component."""
    component = look.component
    if component is None:
        return Decision(Outcome.CANNOT, "Dapr", client=f"Dapr {look.kind}", fails=(table()[1][look.kind],))
    service = services().get(component.service)
    base = Decision(Outcome.VAULT, service.title if service else "Key Vault", client=f"Dapr {look.kind}")
    pointer = look.pointer
    target: Resource | None = None
    if service is not None and pointer is not None:
        target = target_of(pointer, [service], estate.targets)
        base = replace(base, service=title_of([service], target), resource=target.id if target else "")
    fails = [*_lacks(look, component), *_too_old(look, component, estate)]
    if service is not None and pointer is None:
        fails.append("neither its key nor its metadata says which resource it opens")
    elif service is not None and target is None and component.form != "keep":
        fails.append(f"no resource named {pointer.name if pointer else ''} is in the subscriptions that were read")
    second = look.second
    if second is not None and target_of(second, [services()[component.second["service"]]], estate.targets) is None:
        fails.append(f"no account named {second.name} is in the subscriptions that were read")
    if component.part.get("hub") and look.kind.startswith("bindings.") and not _hub(look, pointer):
        fails.append(f"it has no {_HUB}, which it needs beside an identity")
    apps, open_to_all = loaders(look.part, look.scopes, estate)
    identity, apart = _identity(apps)
    fails += apart
    known = {_dapr_id(app) for app in apps}
    fails += [
        f"{scope} is in its scopes and is no app that was read" for scope in look.scopes if scope.lower() not in known
    ]
    warns = [component.warns] if component.warns else []
    if component.managed and look.text(component.managed).lower() != "true":
        warns.append(f"with {component.managed} it makes nothing by itself: what it uses must exist")
    if open_to_all:
        fails.append(
            f"it has no scopes: every app with Dapr on loads it ({', '.join(app.name for app in apps)}), and so would any that "
            "comes later, with an identity that nobody gave a right"
        )
    if pointer is not None and pointer.cloud not in CLOUDS:
        fails.append(f"no azureEnvironment is known for {pointer.host}")
    used = [name for name in CLIENT if look.text(name)]
    if used:
        warns.append(f"{used[0]} is set, and does nothing: a key that is left beside it wins")
    holds = (f"{look.kind} signs in with the identities of the apps that load it",)
    if fails:
        return replace(base, holds=holds, fails=(*fails, *warns))
    return replace(
        base,
        outcome=Outcome.CONFIGURATION,
        holds=holds,
        fails=tuple(warns),
        changes=tuple(_changes(look, component, pointer, identity)),
        grants=tuple(
            grant
            for asker in _askers(apps)
            if service is not None and pointer is not None
            for grant in _needed(look, service, target, estate, asker)
        ),
        scripts=tuple(_scripts(component, service, target, pointer, apps)),
        before=tuple(_before(apps)),
        after={"close": service.close, "breaks": service.breaks} if service and service.close else {},
    )


def _lacks(look: Look, component: Component) -> Iterator[str]:
    for choice in component.requires:
        if not look.text(*choice):
            yield f"it has no {' or '.join(choice)}, which it needs beside an identity"


def _too_old(look: Look, component: Component, estate: Estate) -> Iterator[str]:
    if not component.version:
        return
    home = look.part.id.lower().partition("/daprcomponents/")[0]
    environment = next((one for one in estate.environments if same_id(one.id, home)), None)
    runs = str(child(environment.document, "properties", "daprConfiguration", "version") or "") if environment else ""
    if not runs:
        yield f"it takes an identity from Dapr {component.version} on, and which version runs is not known"
    elif _version(runs) < _version(component.version):
        yield f"it takes an identity from Dapr {component.version} on, and the environment runs {runs}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.partition("-")[0].split(".") if part.isdigit())


def loaders(part: Part, scopes: Sequence[str], estate: Estate) -> tuple[tuple[App, ...], bool]:
    """The apps that load a component, and whether that is because it has no scopes. Scopes are Dapr app ids."""
    home = part.id.lower().partition("/daprcomponents/")[0]
    inside = [
        app
        for app in estate.apps
        if same_id(AppView(app).environment, home)
        and child(app.document, "properties", "configuration", "dapr", "enabled")
    ]
    if not scopes:
        return tuple(inside), True
    wanted = {scope.lower() for scope in scopes}
    return tuple(app for app in inside if _dapr_id(app) in wanted), False


def _dapr_id(app: App) -> str:
    return str(child(app.document, "properties", "configuration", "dapr", "appId") or app.name).lower()


def _identity(apps: Sequence[App]) -> tuple[str, list[str]]:
    """Name of the one user-assigned identity that all apps have, and what stands against it.

    An empty name means that each signs in with its own system identity.
    """
    if not apps:
        return "", ["no app in scope loads it, so nobody is known whose identity would sign in"]
    common = set.intersection(*({ref.lower() for ref in attached_to(AppView(app))} for app in apps))
    if common:
        return ResourceId.parse(min(common)).name, []
    if any(attached_to(AppView(app)) for app in apps) and len(apps) > 1:
        return "", [
            "azureClientId names one identity, and the apps that load it have none in common: attach one to all of them"
        ]
    return "", []


def _before(apps: Sequence[App]) -> Iterator[Json]:
    for app in apps:
        kind = str(child(app.document, "identity", "type") or "None")
        if kind == "None":
            parts = ResourceId.parse(app.id)
            yield {
                "what": f"{app.name} loads it and has no identity",
                "command": f"az containerapp identity assign -n {app.name} -g {parts.group} --system-assigned",
            }


def _changes(look: Look, component: Component, pointer: Pointer | None, identity: str) -> Iterator[Change]:
    own = {name.lower(): name for name in look.metadata}
    gone = {name.lower() for name in (*component.drops, *SPARE)}
    for lower, name in own.items():
        if lower in gone and not (lower == component.name.lower() and component.form in _STRINGS):
            yield Change("remove", name)
    if pointer is not None and component.form != "keep":
        value = _formed(component.form, pointer, identity)
        told = look.text(component.name).lower().split("//")[-1].split("/")[0].split(":")[0]
        if told != value.split("//")[-1]:
            yield Change("set", component.name, value)
    for name, value in component.adds.items():
        yield Change("set", name, value)
    if component.part.get("hub") and look.kind.startswith("bindings.") and not look.text(_HUB):
        yield Change("set", _HUB, _hub(look, pointer))
    if component.managed and look.text(component.managed).lower() != "true":
        yield Change("set", component.managed, "true")
    cloud = CLOUDS.get(pointer.cloud, "") if pointer is not None else ""
    if cloud and look.text("azureEnvironment") != cloud:
        yield Change("set", "azureEnvironment", cloud)
    if identity:
        yield Change("set", CLIENT[0], CLIENT_ID.format(identity=identity))


def _formed(form: str, pointer: Pointer, identity: str) -> str:
    database = pointer.parts.get("database", "DATABASE")
    return {
        "name": pointer.name,
        "host": pointer.host,
        "url": f"https://{pointer.host}",
        "postgres": f"host={pointer.host} user={identity or 'APP'} port=5432 database={database} sslmode=require",
        "sqlserver": f"sqlserver://{pointer.host}:1433?database={database}",
    }[form]


def _hub(look: Look, pointer: Pointer | None) -> str:
    """The hub of a binding: as its metadata names it, else as its connection string does."""
    return look.text(_HUB) or (pointer.parts.get("entity", "") if pointer is not None else "")


def _needed(look: Look, service: Service, target: Resource | None, estate: Estate, asker: Asker) -> Iterator[Grant]:
    """What an app that loads a component needs of each service that it opens."""
    component, pointer, second = look.component, look.pointer, look.second
    if component is None or pointer is None:
        return
    yield from rights(replace(pointer, rights=frozenset()), service, target, component.needs, asker).grants
    if second is not None:
        other = services()[component.second["service"]]
        at = target_of(second, [other], estate.targets)
        yield from rights(second, other, at, (component.second["need"],), asker).grants


def _scripts(
    component: Component,
    service: Service | None,
    target: Resource | None,
    pointer: Pointer | None,
    apps: Sequence[App],
) -> Iterator[str]:
    if service is None or pointer is None:
        return
    for asker in _askers(apps):
        yield from rights(pointer, service, target, component.needs, asker).scripts


def _askers(apps: Sequence[App]) -> Iterator[Asker]:
    for app in apps:
        view = AppView(app)
        attached = attached_to(view)
        name = ResourceId.parse(attached[0]).name if attached else ""
        principal = (
            str(child(app.document, "identity", "principalId") or "") if not attached else _object_id(app, attached[0])
        )
        yield Asker(name or f"{app.name} (system)", principal)


def _object_id(app: App, ref: str) -> str:
    entries: Mapping[str, Json] = child(app.document, "identity", "userAssignedIdentities") or {}
    return next((str((v or {}).get("principalId") or "") for k, v in entries.items() if same_id(k, ref)), "")
