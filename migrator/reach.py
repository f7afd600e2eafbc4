"""What `verify` tells beside the checks: what each identity can read before and after, and where values still lie.

"Before" is today's estate without what the run assigned: so it shows what the run changed, and nothing that somebody else
changed since. Roles count at every scope, access policies, and deny assignments (`migrator.access`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrator.access import access
from migrator.foreseen import unmade
from migrator.journal import Journal
from migrator.model import AppState, Estate, Json, Plan, StepState, called
from migrator.planning.places import AppView, child
from scanners.model import Fingerprinter


@dataclass(frozen=True, slots=True)
class Reach:
    """What one identity can read, as `vault/secret`, or `vault/*` for every one."""

    identity: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {"identity": self.identity, "before": list(self.before), "after": list(self.after)}


@dataclass(frozen=True, slots=True)
class Lying:
    """A moved value that still lies in plain text, by the name of its vault secret."""

    secret: str
    places: tuple[str, ...]

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {"secret": self.secret, "places": list(self.places)}


def before_run(run: str, estate: Estate, journal: Journal) -> Estate:
    """Today's estate without what a run made of it: what it assigned, and the references of the apps that are done.

    Args:
        run: Its id.
        estate: Read with access.
        journal: Knows what the run did.
    """
    own = {
        str(entry.facts["assignment"]).lower()
        for entry in journal.steps(run).values()
        if entry.facts.get("assignment") and entry.facts.get("absent") and entry.state == StepState.DONE
    }
    apps = journal.apps(run)
    done = [step for step in journal.plan(run).steps if step.app and apps[step.app.lower()].state == AppState.DONE]
    return unmade(estate, done, frozenset(own))


def reaches(run: str, estate: Estate, journal: Journal) -> tuple[Reach, ...]:
    """What the identities of a run can read, before and after, in order of names.

    Args:
        run: Its id.
        estate: Read with access.
        journal: Knows what the run assigned.
    """
    principals: set[str] = set()
    for entry in journal.steps(run).values():
        principals |= {str(entry.facts[key]).lower() for key in ("principal", "principalId") if entry.facts.get(key)}
    now = access(estate)
    before, after = access(before_run(run, estate, journal)).reads(), now.reads()
    known = [principal for principal in now.principals if principal.id in principals]
    labels = called(principal.resource for principal in known if principal.resource)
    names = {
        principal.id: labels.get(principal.resource, principal.name)
        + (" (system)" if principal.kind == "system" and principal.resource in labels else "")
        for principal in known
    }
    found = [Reach(names.get(one, one), before.get(one, ()), after.get(one, ())) for one in principals]
    return tuple(sorted(found, key=lambda reach: reach.identity.lower()))


def lying(plan: Plan, estate: Estate, fingerprinter: Fingerprinter) -> tuple[Lying, ...]:
    """Where the values that a plan moved still lie in plain text: templates, kept revisions, inline secrets.

    Args:
        plan: What was moved.
        estate: Read with secrets and revisions.
        fingerprinter: With the key of the plan.
    """
    moved = {
        str(step.change["fingerprint"]): str(step.change["name"]) for step in plan.steps if step.kind == "vault-secret"
    }
    places: dict[str, list[str]] = {}
    views = [AppView(app) for app in estate.workloads]
    names = called(view.id for view in views)
    for view in views:
        for mark, place in _plain(view, fingerprinter):
            if mark in moved:
                places.setdefault(moved[mark], []).append(f"{names[view.id]}: {place}")
    return tuple(Lying(name, tuple(dict.fromkeys(places[name]))) for name in sorted(places))


def _plain(view: AppView, fingerprinter: Fingerprinter) -> Iterator[tuple[str, str]]:
    of = fingerprinter.of_secret
    for name, value in view.plain_env():
        yield of(value), f"env {name}"
    for name, text in view.plain_words():
        yield of(text), name
    for name, secret in view.secrets.items():
        if secret.value is not None and not secret.key_vault_url:
            yield of(secret.value), f"inline secret {name}"
    for revision in view.app.revisions:
        state = "active" if child(revision, "properties", "active") else "inactive"
        for name, value in view.plain_env(child(revision, "properties", "template") or {}):
            yield of(value), f"env {name} of {state} revision {revision.get('name')}"
