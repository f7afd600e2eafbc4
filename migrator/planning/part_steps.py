"""Steps that take keys out of Dapr components: rights for every app that loads one, a wait, the component, the proof.

They go with the first of the apps that load it, so that they are done and taken back in order; the others are restarted.
The rights belong to no app: components of other apps may need the same, and would be without it when one is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from migrator.fingerprints import app_fingerprint
from migrator.model import Estate, Json, Part, ResourceId, Step
from migrator.parts import DAPR
from migrator.passwordless import applying, dapr
from migrator.passwordless.rights import Grant
from migrator.planning import names, rest_risk
from migrator.planning.building import DATA_ROLES, own_role
from migrator.planning.denials import Denials
from migrator.planning.identities import SYSTEM
from migrator.planning.options import Options
from migrator.planning.roles import Need, Roles
from scanners.model import Fingerprinter

WRITE = "Microsoft.App/managedEnvironments/daprComponents/write"


@dataclass(frozen=True, slots=True)
class Components:
    """What a plan does about Dapr components."""

    steps: tuple[Step, ...] = ()
    notes: tuple[Json, ...] = ()
    """On those whose keys stay though an identity could replace them."""
    risks: tuple[Json, ...] = ()
    """Keys that their services still take."""
    moved: frozenset[tuple[str, str, str]] = frozenset()
    """Component, `metadata` or `secrets`, and name there of every key that gives way; lower case."""

    def take(self, finding: Json) -> bool:
        """Whether a finding, as the plan format shows it, is about a key that gives way."""
        place = finding.get("location") or {}
        kind = str(place.get("path") or "").removeprefix("properties.").partition("[")[0]
        return (str(place.get("resource") or "").lower(), kind, str(place.get("name") or "").lower()) in self.moved


def of_components(
    estate: Estate, labels: Mapping[str, str], fingerprinter: Fingerprinter, options: Options
) -> Components:
    """What becomes of all components.

    Args:
        estate: With parts, apps, targets and assignments.
        labels: Lower-case app id -> what its step ids begin with.
        fingerprinter: For what the steps depend on.
        options: Which keys an identity is to replace.
    """
    steps: list[Step] = []
    notes: list[Json] = []
    risks: list[Json] = []
    roles = Roles(estate)
    rights: dict[str, Step] = {}
    denials = Denials(estate)
    moved: set[tuple[str, str, str]] = set()
    for part in sorted(estate.parts, key=lambda part: part.id.lower()):
        mark = dapr.mark_of(part, fingerprinter)
        if not options.replaces(mark):
            continue
        found = answer(part, estate, denials)
        if isinstance(found, str):
            if not found and mark in options.choices.passwordless:
                found = "settings alone are not enough for an identity in its place"
            if found:
                notes.append(
                    {"app": "", "kind": "passwordless", "text": f"component {part.name} keeps its key: {found}"}
                )
            continue
        steps += _steps(found, roles, labels, fingerprinter, rights)
        moved |= _moved(found)
        for service, resource in found.opened:
            risks.append(rest_risk.key(service, resource, f"component {part.name}", kept=True))
    return Components(tuple(steps), tuple(notes), tuple(risks), frozenset(moved))


def answer(part: Part, estate: Estate, denials: Denials) -> dapr.Applied | str:
    """What is done about a component, or why its keys stay; empty where nothing was decided for it."""
    found = dapr.applied(part, estate)
    return found if isinstance(found, str) else _barred(found, denials) or found


def _barred(found: dapr.Applied, denials: Denials) -> str:
    """Which deny assignment keeps an app that loads a component from what it would need; empty where none does."""
    name = ResourceId.parse(found.identity).name if found.identity != SYSTEM else ""
    called = f"identity {name}" if name else "the system identity of an app that loads it"
    told = (denials.of_data(principal, called, grant) for principal in found.principals for grant in found.grants)
    return next(filter(None, told), "")


def _moved(found: dapr.Applied) -> set[tuple[str, str, str]]:
    """The places of a component whose values nothing takes any more."""
    gone = {name.lower() for name in found.drop}
    entries = (found.part.document.get("properties") or {}).get("metadata") or []
    kept = {str(entry.get("secretRef")).lower() for entry in entries if str(entry.get("name")).lower() not in gone}
    places = [("metadata", name) for name in gone]
    places += [
        ("secrets", str(entry["secretRef"]).lower())
        for entry in entries
        if str(entry.get("name")).lower() in gone and entry.get("secretRef")
    ]
    return {(found.part.id.lower(), kind, name) for kind, name in places if kind == "metadata" or name not in kept}


def _steps(
    found: dapr.Applied,
    roles: Roles,
    labels: Mapping[str, str],
    fingerprinter: Fingerprinter,
    rights: dict[str, Step],
) -> Iterable[Step]:
    part, host = found.part, found.apps[0]
    stem = f"{labels[host.id.lower()]}/dapr/{part.name.lower()}"
    home = part.id.partition("/daprComponents/")[0]
    after: list[str] = []
    new = False
    for principal in found.principals:
        for grant in found.grants:
            step, is_new = _right(found, grant, principal, roles)
            known = rights.get(step.id)
            if known is not None and known.change != step.change:  # equal names of identities or of parts
                step = replace(step, id=f"{step.id}/{names.digest(f'{principal}|{step.target}'.lower())}")
                known = rights.get(step.id)
            new = new or is_new
            after.append(step.id)
            if known is None:
                rights[step.id] = step
                yield step
    if new:
        wait = Step(
            id=f"{stem}/access-wait",
            kind="access-wait",
            target=part.id,
            app=host.id,
            change={"seconds": applying.SETTLE},
            undo={},
            why="nothing but the apps shows that a service honours a new role, and they would be without the key by then",
            permission="",
            after=tuple(after),
        )
        after.append(wait.id)
        yield wait
    change: Json = {
        "form": DAPR,
        "drop": list(found.drop),
        "put": dict(found.put),
        "identity": found.identity,
        "fingerprint": component_fingerprint(part, fingerprinter),
        "loaders": [app.id for app in found.apps],
        "lane": home,
    }
    loaders = ", ".join(app.name for app in found.apps)
    switch = Step(
        id=f"{stem}/part-switch",
        kind="part-switch",
        target=part.id,
        app=host.id,
        change=change,
        undo={"restore": True},
        why=f"{loaders} can sign in to {found.service.title} by themselves; a key that is left beside an identity wins",
        permission=WRITE,
        after=tuple(after),
    )
    yield switch
    yield Step(
        id=f"{stem}/part-prove",
        kind="part-prove",
        target=part.id,
        app=host.id,
        change={"form": DAPR, "loaders": change["loaders"]},
        undo={},
        why="a sidecar reads components when it starts: a running replica after a restart has loaded it",
        permission="Microsoft.App/containerApps/revisions/restart/action",
        after=(switch.id,),
    )


def _right(found: dapr.Applied, grant: Grant, principal: str, roles: Roles) -> tuple[Step, bool]:
    """One right, and whether it is new."""
    own = not grant.role.id
    need = Need(grant.role.id, grant.role.name, "", data=True)
    held = None if own else roles.held(principal, need, grant.scope)
    who: Json = {"identity": found.identity, "principal_id": principal}
    if own:
        change = own_role(found.service.id, grant) | who
    else:
        change = {
            "role": grant.role.id,
            "role_name": grant.role.name,
            "scope": grant.scope,
            "existing": held.adopted.id if held else None,
            "data": True,
        } | who
    name, kind = ResourceId.parse(grant.scope).name, "data-role" if own else "role-assignment"
    called = principal if found.identity == SYSTEM else ResourceId.parse(found.identity).name
    step = Step(
        id=f"shared/dapr/{kind}/{called}/{grant.role.name.replace(' ', '-').lower()}/{name.lower()}",
        kind=kind,
        target=grant.scope,
        app="",
        change=change,
        undo={} if held else {"delete": True},
        why=f"components do with {name} what the apps that load them may do, once their keys are gone",
        permission=DATA_ROLES[found.service.id]
        if own
        else f"Microsoft.Authorization/roleAssignments/{'read' if held else 'write'}",
    )
    return step, held is None


def component_fingerprint(part: Part, fingerprinter: Fingerprinter) -> str:
    """Of a component as it was read, its secrets included."""
    return app_fingerprint(part.document, part.secrets, fingerprinter)
