"""The contract plan: what a proven run left for rollback is taken away. Pure, as the planner is.

Reversible before irreversible in each app: old revisions that show values are deactivated, the registry's admin user is
turned off, and last inline secrets that nothing uses are removed, which is the point of no return.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrator.about import tool
from migrator.appwrite import listed
from migrator.bindings import refers, uses
from migrator.fingerprints import app_fingerprint, app_parts
from migrator.model import App, Estate, Json, Plan, Resource, ResourceId, Step, by_app, canonical, same_id
from migrator.planning.building import APP_WRITE, JOB_WRITE, labels, write_action
from migrator.planning.permissions import Permissions
from migrator.planning.places import AppView, child
from migrator.planning.rest_risk import ROTATED
from migrator.steps.registry_admin_off import registry_fingerprint
from migrator.steps.revision_deactivate import serves
from migrator.swapping import needed_back, swapped_values
from scanners.model import Fingerprinter

DEACTIVATE = "Microsoft.App/containerApps/revisions/deactivate/action"
REGISTRY_WRITE = "Microsoft.ContainerRegistry/registries/write"
REGISTRY_READ = "Microsoft.ContainerRegistry/registries/read"
_ROLES = {
    APP_WRITE: "Container Apps Contributor",
    JOB_WRITE: "Container Apps Jobs Contributor",
    DEACTIVATE: "Container Apps Contributor",
    REGISTRY_WRITE: "Contributor",
    REGISTRY_READ: "Contributor",
}
NO_RETURN = "point-of-no-return"
"""Kind of the note that marks the plan."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is to be finalized, and what was asked about it."""

    run: str
    plan: Plan
    unready: Mapping[str, str] = field(default_factory=dict)
    """Lower-case app id -> why nothing may be taken away from it yet; an app that is missing is ready."""
    pullers: Mapping[str, Sequence[str] | str] = field(default_factory=dict)
    """Lower-case registry id -> apps and jobs that pull with its admin user, or why nobody knows."""


def registries(plan: Plan, estate: Estate) -> list[tuple[Resource, str]]:
    """Registries whose admin user is on and which the plan's apps stopped pulling from with a password, and the server."""
    servers = {
        str(entry["server"]).lower(): str(entry["server"])
        for step in plan.steps
        if step.kind == "app-switch"
        for entry in step.change["registries"]
    }
    found = []
    for registry in estate.registries:
        server = str(child(registry.document, "properties", "loginServer") or "").lower()
        if server in servers and child(registry.document, "properties", "adminUserEnabled") is True:
            found.append((registry, server))
    return found


def contract(finished: Finished, estate: Estate, fingerprinter: Fingerprinter) -> Plan:
    """What may be taken away after a run, as a plan of its own.

    Args:
        finished: The run.
        estate: Read whole: every subscription, with revisions, sign-in settings, registries and permissions.
        fingerprinter: With the key of the run's plan.
    """
    work = _Contract(finished, estate, fingerprinter)
    return work.plan()


class _Contract:
    def __init__(self, finished: Finished, estate: Estate, fingerprinter: Fingerprinter) -> None:
        self._finished = finished
        self._estate = estate
        self._fingerprinter = fingerprinter
        self._steps: list[Step] = []
        self._skipped: list[Json] = []
        self._risks: list[Json] = []
        self._fingerprints: dict[str, str] = {}

    def plan(self) -> Plan:
        views = []
        for key, steps in sorted(by_app(self._finished.plan.steps).items()):
            app = self._ready(steps[0].app) if key else None
            if app is not None:
                views.append((AppView(app), steps))
        named = labels(view for view, _ in views)
        hosts = self._hosts([view for view, _ in views])
        for view, steps in views:
            self._app(view, steps, named[view.key], hosts.get(view.key, []))
        original = [
            entry for entry in self._finished.plan.rest_risk if "/revisions/" not in str(entry["where"]).lower()
        ]
        final = [step for step in self._steps if step.undo.get("irreversible")]
        return Plan(
            tool=tool(),
            cloud=self._estate.cloud,
            scope={},
            options={
                "finalize": self._finished.run,
                "plan": self._finished.plan.id,
                "point_of_no_return": [step.id for step in final],
            },
            estate={
                "fingerprint": self._fingerprinter.of(canonical(dict(sorted(self._fingerprints.items())))),
                "key": self._fingerprinter.key_id,
            },
            steps=tuple(self._steps),
            skipped=tuple(self._skipped),
            rest_risk=(*self._risks, *original),
            operator={"permissions": self._permissions()},
            notes=tuple(self._notes(final)),
        )

    def _ready(self, resource: str) -> App | None:
        app = self._estate.app(resource)
        errors = [e for e in self._estate.errors if same_id(str(e.get("where")), resource)]
        if app is None:
            self._skip(resource, "it is not among what you may read, or it is gone", "see it: keylift verify RUN")
        elif resource.lower() in self._finished.unready:
            why = self._finished.unready[resource.lower()]
            self._skip(resource, why, f"see why: keylift verify {self._finished.run}; then finalize again")
            app = None
        elif errors or not app.secrets_read:
            what = str(errors[0].get("what")) if errors else "its secrets could not be listed"
            self._skip(resource, f"it could not be read whole: {what}", "ask for the right, then finalize again")
            app = None
        return app

    def _hosts(self, views: Sequence[AppView]) -> dict[str, list[tuple[Resource, str]]]:
        """Which app carries the step that turns a registry's admin user off: the last that was moved off it."""
        found: dict[str, list[tuple[Resource, str]]] = {}
        for registry, server in registries(self._finished.plan, self._estate):
            users = self._finished.pullers.get(registry.id.lower(), "it was not asked who pulls from it")
            moved = [
                view
                for view in views
                if any(_host(place.server) == server and place.identity for place in view.registries)
            ]
            if isinstance(users, str):
                self._skip(registry.id, f"who pulls with its admin user is not known: {users}", "finalize again later")
            elif users:
                names = listed([ResourceId.parse(user).name for user in users])
                hint = "move them too: keylift plan --vault NAME -o plan.json; then finalize again"
                self._skip(registry.id, f"its admin user is in use: {names} pull with its password", hint)
            elif moved:
                found.setdefault(moved[-1].key, []).append((registry, server))
        return found

    def _app(self, view: AppView, steps: Sequence[Step], label: str, hosted: Sequence[tuple[Resource, str]]) -> None:
        fingerprint = app_fingerprint(view.app.document, view.app.secrets, self._fingerprinter)
        made = list(self._revisions(view, steps, label))
        gone = {step.change["revision"] for step in made}
        made += [self._registry(view, registry, server, label) for registry, server in hosted]
        removal = self._secrets(view, steps, label, gone)
        if removal is not None:
            made.append(removal)
        before: tuple[str, ...] = ()
        parts = app_parts(view.app.document, view.app.secrets, self._fingerprinter)
        for step in made:
            expects = {view.key: fingerprint, **({} if before else parts), **step.expects}
            self._steps.append(
                Step(
                    id=step.id,
                    kind=step.kind,
                    target=step.target,
                    app=step.app,
                    change=step.change,
                    undo=step.undo,
                    why=step.why,
                    permission=step.permission,
                    after=before,
                    expects=expects,
                )
            )
            before = (*before, step.id)
        if made:
            self._fingerprints[view.key] = fingerprint

    # Revisions

    def _revisions(self, view: AppView, steps: Sequence[Step], label: str) -> Iterator[Step]:
        switches = [step for step in steps if step.kind == "app-switch"]
        names = {str(entry["env"]) for step in switches for entry in step.change["env"]}
        values = {str(e["fingerprint"]) for step in switches for e in (*step.change["env"], *step.change["secrets"])}
        values |= {mark for step in switches for mark in swapped_values(step.change)}
        words = values | {str(e["was"]) for step in switches for e in step.change.get("commands", ())}
        for revision in () if view.job else view.app.revisions:
            template = child(revision, "properties", "template") or {}
            shown = sorted(
                {
                    name
                    for name, value in view.plain_env(template)
                    if name in names or self._fingerprinter.of_secret(value) in values
                }
                | {name for name, text in view.plain_words(template) if self._fingerprinter.of_secret(text) in words}
            )
            if not shown:
                continue
            name = str(revision.get("name"))
            where = f"{view.id}/revisions/{name}"
            active = bool(child(revision, "properties", "active"))
            reason = serves(view.app.document, revision) if active else ""
            if reason:
                hint = f"move its traffic first: az containerapp ingress traffic set {view.at} --revision-weight latest=100"
                self._skip(where, f"it shows {', '.join(shown)} in plain text, and {reason}", hint)
            state = "inactive" if not active else "active, because " + reason if reason else "inactive after this plan"
            self._risks.append(
                {
                    "where": where,
                    "what": f"shows {', '.join(shown)} in plain text to every Reader; it is {state}, and listed",
                    "until": "a listing does not show it any more (Azure purges inactive revisions beyond "
                    f"maxInactiveRevisions in its own time; see: az containerapp revision list --all {view.at}), or {ROTATED}",
                }
            )
            if active and not reason:
                yield Step(
                    id=f"{label}/revision-deactivate/{name}",
                    kind="revision-deactivate",
                    target=where,
                    app=view.id,
                    change={
                        "revision": name,
                        "shows": shown,
                        "lost": f"traffic cannot go back to {name} until it is activated again",
                    },
                    undo={"activate": True},
                    why=f"{name} runs without traffic and shows {', '.join(shown)} in plain text",
                    permission=DEACTIVATE,
                )

    # Registries

    def _registry(self, view: AppView, registry: Resource, server: str, label: str) -> Step:
        return Step(
            id=f"{label}/registry-admin-off/{registry.name.lower()}",
            kind="registry-admin-off",
            target=registry.id,
            app=view.id,
            change={
                "server": server,
                "username": registry.name,
                "lost": "whatever signs in with the admin user from outside Container Apps (pipelines, docker login, "
                "other platforms) is refused from then on; keylift cannot see it",
            },
            undo={"enable": True},
            why=f"no app and no job of any subscription you can see pulls from {server} with its password any more",
            permission=REGISTRY_WRITE,
            expects={registry.id.lower(): registry_fingerprint(registry.document, self._fingerprinter)},
        )

    # Secrets

    def _secrets(self, view: AppView, steps: Sequence[Step], label: str, gone: set[str]) -> Step | None:
        switches = [step for step in steps if step.kind == "app-switch"]
        kept = {
            str(entry["was"]["secret"]): f"the password of {entry['server']}"
            for step in switches
            for entry in step.change["registries"]
        }
        for step in steps:
            kept |= needed_back(step.change)
        # what this plan deactivates first uses nothing any more when the removal comes
        revisions = [r for r in view.app.revisions if str(r.get("name")) not in gone]
        unused = []
        for name, secret in view.secrets.items():
            if secret.key_vault_url or secret.value is None:
                continue
            found = uses(name, view.secrets, view.app.document, view.app.auth, revisions)
            if found:
                if name in kept:
                    self._skip(view.id, f"secret {name} is still used by {listed(found)}", "take that use away first")
                continue
            because = f"{kept[name]}, kept for rollback" if name in kept else "nothing in the app uses it"
            unused.append(
                {"name": name, "fingerprint": self._fingerprinter.of_secret(secret.value), "because": because}
            )
        if not unused:
            return None
        names = listed([entry["name"] for entry in unused])
        idle = sorted(
            str(revision.get("name"))
            for revision in view.app.revisions
            for entry in unused
            if refers(child(revision, "properties", "template") or {}, str(entry["name"]))
        )
        lost = [f"the value of {names} in the app: nobody can read it back from Container Apps"]
        if idle:
            lost.append(f"{listed(list(dict.fromkeys(idle)))} can never be activated again, because they refer to it")
        if any(entry["name"] in kept for entry in unused):
            lost.append(f"keylift rollback {self._finished.run} cannot take {view.name} back any more")
        return Step(
            id=f"{label}/secret-remove",
            kind="secret-remove",
            target=view.id,
            app=view.id,
            change={"secrets": unused, "lost": "; ".join(lost)},
            undo={"irreversible": f"the inline value of {names}"},
            why=f"{names} lies in {view.name} in plain text for whoever may list its secrets, and nothing uses it",
            permission=write_action(view),
        )

    # The rest

    def _notes(self, final: Sequence[Step]) -> Iterator[Json]:
        if final:
            apps = listed([ResourceId.parse(step.app).name for step in final])
            yield {
                "app": "",
                "kind": NO_RETURN,
                "text": f"{len(final)} of {len(self._steps)} steps cannot be taken back, in {apps}: they are the last of "
                "each app, and apply asks for them by themselves (--point-of-no-return)",
            }
        yield {
            "app": "",
            "kind": "rotation",
            "text": "taking copies away does not make a value secret again: rotate every value that has been in plain text",
        }

    def _permissions(self) -> list[Json]:
        known = Permissions(self._estate)
        rights: set[tuple[str, str]] = set()
        for step in self._steps:
            if step.kind == "registry-admin-off":
                rights |= {(step.target, REGISTRY_READ), (step.target, REGISTRY_WRITE)}
            else:
                rights.add((step.app, step.permission))
        return [
            {"scope": scope, "action": action, "role": _ROLES[action], "held": known.held(scope, action)}
            for scope, action in sorted(rights, key=lambda right: (right[0].lower(), right[1]))
        ]

    def _skip(self, resource: str, reason: str, hint: str) -> None:
        self._skipped.append({"finding": {"resource": resource}, "code": "finalize", "reason": reason, "hint": hint})


def _host(server: str) -> str:
    return server.lower().removeprefix("https://").rstrip("/")
