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
from migrator.planning.identities import SYSTEM
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


def of_components(estate: Estate, labels: Mapping[str, str], fingerprinter: Fingerprinter) -> Components:
    """What becomes of all components.

    Args:
        estate: With parts, apps, targets and assignments.
        labels: Lower-case app id -> what its step ids begin with.
        fingerprinter: For what the steps depend on.
    """
    steps: list[Step] = []
    notes: list[Json] = []
    risks: list[Json] = []
    roles = Roles(estate)
    rights: dict[str, Step] = {}
    for part in sorted(estate.parts, key=lambda part: part.id.lower()):
        found = dapr.applied(part, estate)
        if isinstance(found, str):
            if found:
                notes.append(
                    {"app": "", "kind": "passwordless", "text": f"component {part.name} keeps its key: {found}"}
                )
            continue
        steps += _steps(found, roles, labels, fingerprinter, rights)
        resource = found.grants[0].scope
        risks.append(
            rest_risk.key(found.service, "/".join(resource.split("/")[:9]), f"component {part.name}", kept=True)
        )
    return Components(tuple(steps), tuple(notes), tuple(risks))


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
