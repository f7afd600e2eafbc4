"""What a report of a run tells, from the journal alone: no cloud is asked, and no value is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from migrator import textswitch
from migrator.journal import AppEntry, Journal
from migrator.model import AppState, Json, Plan, Step, by_app, same_id
from migrator.timing import iso


@dataclass(frozen=True, slots=True)
class Done:
    """One step as it went."""

    step: Step
    state: str
    began: str
    """`08:15:23`, UTC; empty before it began."""
    seconds: float | None
    attempts: int
    text: str
    """What proved it, or what went wrong."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What an app has: how it gets its secrets, before the run or as the run left it."""

    app: str
    """Its name."""
    plain: tuple[str, ...] = ()
    """What lies in it in plain text."""
    identity: str = ""
    reads: tuple[str, ...] = ()
    """Vault secrets, `vault/name`, and registries it reads by identity."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run, whole."""

    described: Json
    """The object of the runs format."""
    plan: Plan
    seconds: float | None
    apps: tuple[tuple[AppEntry, tuple[Done, ...]], ...]
    shared: tuple[Done, ...]
    before: tuple[Picture, ...]
    after: tuple[Picture, ...]
    notes: tuple[str, ...] = field(default=())
    """What was left, as the events tell."""
    by: tuple[str, ...] = field(default=())
    """Who applied, resumed or took back, and when, in order."""


def of(run: str, journal: Journal) -> RunReport:
    """The report of a run.

    Raises:
        RunError: there is no such run.
    """
    plan, described = journal.plan(run), journal.describe(run)
    entries, timings = journal.steps(run), journal.timings(run)
    groups = by_app(plan.steps)

    def done(step: Step) -> Done:
        entry = entries[step.id]
        began, ended, attempts = timings[step.id]
        text = str(entry.facts.get("text") or "")
        if entry.error:
            text = f"{entry.error.get('what', '')}: {entry.error.get('why', '')}".strip(": ")
        seconds = ended - began if began is not None and ended is not None else None
        return Done(step, entry.state, _clock(began), seconds, attempts, text)

    apps = journal.apps(run)
    events = journal.events(run)
    moments = [moment for began, ended, _ in timings.values() for moment in (began, ended) if moment is not None]
    return RunReport(
        described,
        plan,
        max(moments) - min(moments) if moments else None,
        tuple((entry, tuple(map(done, groups[key]))) for key, entry in apps.items()),
        tuple(map(done, groups.get("", []))),
        tuple(_before(plan, entry) for entry in apps.values()),
        tuple(_after(plan, entry) for entry in apps.values()),
        tuple(e.text for e in events if e.kind in {"note", "app-rolled-back"} and e.text),
        tuple(f"{e.text}, {iso(e.at)}" for e in events if e.kind == "by"),
    )


def _clock(moment: float | None) -> str:
    from datetime import UTC, datetime

    return "" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def _before(plan: Plan, entry: AppEntry) -> Picture:
    plain: list[str] = []
    for step in _of(plan, entry, "app-switch"):
        plain += [f"env {env['env']}" for env in step.change["env"]]
        plain += [f"{check} {subject}" for check, subject, _ in textswitch.places(step.change)]
        plain += [f"secret {secret['name']}" for secret in step.change["secrets"] if secret["was"] == "inline"]
        plain += [f"password of {registry['server']}" for registry in step.change["registries"]]
        plain += [f"key {name}" for name in _given_up(step)]
    for step in _of(plan, entry, "secret-remove"):
        plain += [f"secret {secret['name']}" for secret in step.change["secrets"]]
    for step in _of(plan, entry, "revision-deactivate"):
        plain.append(f"active revision {step.change['revision']}")
    return Picture(_name(entry.app), tuple(dict.fromkeys(plain)))


def _after(plan: Plan, entry: AppEntry) -> Picture:
    """As the run left it; an app that was put back is as before."""
    before = _before(plan, entry)
    if entry.state != AppState.DONE:
        return before
    reads: list[str] = []
    identity = ""
    for step in _of(plan, entry, "app-switch"):
        for secret in step.change["secrets"]:
            uri, _, name = str(secret["key_vault_url"]).partition("/secrets/")
            identity = str(secret["identity"])
            reads.append(f"{_vault(plan, uri)}/{name}")
        for registry in step.change["registries"]:
            identity = str(registry["identity"])
            reads.append(str(registry["server"]))
        identity = str((step.change.get("swaps") or {}).get("identity") or identity)
    # a right that several apps need belongs to none of them
    needed = {name for step in plan.steps if same_id(step.app, entry.app) for name in step.after}
    reads += [
        _name(step.target)
        for step in plan.steps
        if step.change.get("data") and (same_id(step.app, entry.app) or (not step.app and step.id in needed))
    ]
    shown = "" if not identity else f"{before.app} (system)" if identity == "system" else _name(identity)
    return Picture(before.app, (), shown, tuple(dict.fromkeys(reads)))


def _given_up(step: Step) -> list[str]:
    """Variables and scale rules whose keys an identity replaces."""
    swaps = step.change.get("swaps") or {}
    found = [str(drop["env"]) for group in swaps.get("env", ()) for drop in group["drop"]]
    return [*found, *(f"of scale rule {rule['rule']}" for rule in swaps.get("rules", ()))]


def _of(plan: Plan, entry: AppEntry, kind: str) -> Iterable[Step]:
    return [step for step in plan.steps if step.kind == kind and same_id(step.app, entry.app)]


def _vault(plan: Plan, uri: str) -> str:
    for step in plan.steps:
        if step.kind == "vault-secret" and str(step.change["vault_uri"]) == uri:
            return _name(str(step.change["vault"]))
    return uri.removeprefix("https://").split(".")[0]


def _name(resource: str) -> str:
    return resource.rstrip("/").rsplit("/", 1)[-1]
