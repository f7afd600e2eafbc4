"""A plan in words: what each step changes, how it is undone, what is told beside the steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.kinds import find
from migrator.model import Json, Plan, ResourceId, Step, called, same_id
from migrator.output._words import clean, count, joined, short
from migrator.reachable import summary as summary_of_access

SHARED = "shared by several apps"

_UNDO = {
    "delete": "delete it",
    "detach": "detach it",
    "disable": "disable this version; the name stays taken, and nothing is deleted",
    "restore": "put back what was there before",
}
_UNDO_OF = {
    ("vault-secret", "restore"): "write the older value again, as the newest version",
    ("app-switch", "restore"): "one change back to what was read before; needs no vault",
    ("traffic-shift", "restore"): "traffic as it was before this step",
    ("role-assignment", "delete"): "delete the assignment",
    ("data-role", "delete"): "delete the assignment",
    ("revision-deactivate", "activate"): "activate it again, as long as Azure keeps it",
    ("registry-admin-off", "enable"): "turn it on again; Azure does not promise the same passwords",
}


@dataclass(frozen=True, slots=True)
class Group:
    """The steps of one app, or those that several share."""

    title: str
    where: str
    """Resource group; empty for shared steps."""
    steps: tuple[Step, ...]
    notes: tuple[Json, ...]


def lines(step: Step) -> list[tuple[str, str]]:
    """`(sign, text)` of what a step changes, as its kind describes it; a kind unknown here is named."""
    kind = find().get(step.kind)
    described = kind.describe(step) if kind else [("~", f"{step.kind}: {short(step.target)}")]
    return [(sign if sign in {"+", "~", "-"} else " ", clean(text)) for sign, text in described]


def undo(step: Step) -> str:
    """How a step is taken back."""
    if step.undo.get("irreversible"):
        return f"POINT OF NO RETURN: nothing brings back {clean(step.undo['irreversible'])}"
    ways = [_UNDO_OF.get((step.kind, key)) or _UNDO.get(key, key) for key, value in step.undo.items() if value]
    if ways:
        return joined(ways)
    return "nothing to undo: it changes nothing" if _changes_nothing(step) else "nothing to undo"


def lost(step: Step) -> str:
    """What is lost with a step of a contract; empty for others."""
    return clean(step.change.get("lost") or "")


def no_return(plan: Plan) -> list[str]:
    """Lines on what a plan does that cannot be taken back; none for a plan without such steps."""
    final = plan.irreversible
    if not final:
        return []
    head = f"POINT OF NO RETURN: {count(len(final), 'step')} of {len(plan.steps)} cannot be taken back"
    return [head, *(f"  {clean(step.id)}: {lost(step)}" for step in final)]


def _changes_nothing(step: Step) -> bool:
    return (
        step.kind in {"app-prove", "access-wait"}
        or step.change.get("action") == "adopt"
        or bool(step.change.get("existing"))
    )


def groups(plan: Plan) -> list[Group]:
    """The plan's steps by app, shared ones first, in the plan's order."""
    by: dict[str, list[Step]] = {}
    for step in plan.steps:
        by.setdefault(step.app.lower(), []).append(step)
    found = []
    for key, steps in by.items():
        notes = tuple(note for note in plan.notes if key and same_id(str(note["app"]), key))
        title, where = (SHARED, "") if not key else _title(steps[0].app)
        found.append(Group(title, where, tuple(steps), notes))
    return found


def loose_notes(plan: Plan) -> list[Json]:
    """Notes that belong to no app with steps."""
    apps = {step.app.lower() for step in plan.steps if step.app}
    return [note for note in plan.notes if str(note["app"]).lower() not in apps]


def _title(app: str) -> tuple[str, str]:
    try:
        parts = ResourceId.parse(app)
    except ValueError:
        return clean(app), ""
    return clean(parts.name), clean(parts.group)


def summary(plan: Plan) -> str:
    """The plan's numbers in one sentence."""
    steps = plan.steps
    apps = {step.app.lower() for step in steps if step.app}
    written = [s for s in steps if s.kind == "vault-secret" and s.change.get("action") != "adopt"]
    switches = [step for step in steps if step.kind == "app-switch"]
    parts = [
        (len(apps), "app", ""),
        (sum(len(s.change["env"]) for s in switches), "env value", ""),
        (sum(len(s.change.get("rules", ())) for s in switches), "key of a scale rule", "keys of scale rules"),
        (sum(len(s.change.get("commands", ())) for s in switches), "script in a command", "scripts in commands"),
        (sum(1 for s in switches for one in s.change["secrets"] if one["was"] == "inline"), "inline secret", ""),
        (sum(len(s.change["registries"]) for s in switches), "registry password", ""),
        (
            sum(len((s.change.get("swaps") or {}).get("values", ())) for s in switches),
            "key to give up",
            "keys to give up",
        ),
        (len(written), "vault secret to write", "vault secrets to write"),
        (sum(1 for s in steps if s.kind == "identity-create"), "identity to make", "identities to make"),
        (
            sum(1 for s in steps if s.kind in {"role-assignment", "data-role"} and not s.change.get("existing")),
            "role assignment",
            "",
        ),
        (sum(1 for s in switches if s.change["revision"] != "none"), "new revision", ""),
        (sum(1 for s in steps if s.kind == "traffic-shift"), "traffic shift", ""),
        (
            sum(1 for s in steps if s.kind == "revision-deactivate"),
            "revision to deactivate",
            "revisions to deactivate",
        ),
        (
            sum(1 for s in steps if s.kind == "registry-admin-off"),
            "registry admin user to turn off",
            "registry admin users to turn off",
        ),
        (
            sum(len(s.change["secrets"]) for s in steps if s.kind == "secret-remove"),
            "inline secret to remove for good",
            "inline secrets to remove for good",
        ),
    ]
    told = [count(number, one, many) for number, one, many in parts if number]
    if not told:
        told = ["nothing to do"]
    if plan.skipped:
        told.append(f"{count(len(plan.skipped), 'finding' if not plan.finalizes else 'thing')} skipped")
    return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Findings that are left for one and the same reason."""

    reason: str
    hint: str
    places: tuple[str, ...]


def skipped(plan: Plan) -> list[Skipped]:
    """What is skipped, grouped by reason, in the plan's order."""
    by: dict[tuple[str, str], list[str]] = {}
    for entry in plan.skipped:
        by.setdefault((clean(entry["reason"]), clean(entry.get("hint", ""))), []).append(_place(entry.get("finding")))
    return [Skipped(reason, hint, tuple(dict.fromkeys(places))) for (reason, hint), places in by.items()]


def _place(finding: Json | None) -> str:
    finding = finding or {}
    if "resource" in finding:
        return clean(short(str(finding["resource"])))
    place = finding.get("location") or {}
    if place.get("kind") == "azure":
        return clean(f"{short(str(place['resource']))}: {place['name']}")
    return clean(place.get("path") or place.get("image") or "")


@dataclass(frozen=True, slots=True)
class Advice:
    """A secret that an identity could replace."""

    place: str
    head: str
    """What would do instead, in a sentence."""
    lines: tuple[str, ...]
    """Evidence, roles, changes and commands, each with its word before it."""


def advice(plan: Plan) -> list[Advice]:
    """Secrets that an identity could replace, in the plan's order."""
    found = []
    for entry in plan.passwordless:
        if entry["outcome"] not in _COULD:
            continue
        place = f"{short(str(entry['app']))}: {joined(entry['names'])}"
        could = "an identity replaces it" if entry.get("replaced") else _COULD[entry["outcome"]]
        head = f"{_opened(entry)}: {could}" + (f" ({entry['client']})" if entry["client"] else "")
        found.append(Advice(clean(place), clean(head), tuple(evidence(entry))))
    return found


_COULD = {
    "configuration": "an identity can replace it by configuration alone",
    "code": "an identity can replace it, with a change of code",
}


def evidence(entry: Json) -> list[str]:
    """What a plan knows of one secret that an identity could replace: each line has its word before it."""
    return [clean(line) for line in _advised(entry)]


def _advised(entry: Json) -> Iterable[str]:
    yield from (f"for: {text}" for text in entry["for"])
    yield from (f"but: {text}" for text in entry["against"])
    if entry.get("stays"):
        yield f"stays: {entry['stays']}"
    if entry.get("consumers"):
        others = "; ".join(f"{short(str(one['app']))}: {joined(one['names'])}" for one in entry["consumers"])
        yield f"shared: the same value is in {others}; the key stays in use until all of them do without it"
    yield from (f"first: {one['what']}: {one['command']}" for one in entry["before"])
    yield from (f"role: {one['role']} → {one['command']}" for one in entry["roles"])
    yield from (f"database: {text}" for text in entry["scripts"])
    for change in entry["changes"]:
        yield f"set: {change['name']}={change['value']}" if change["action"] == "set" else f"remove: {change['name']}"
    yield from (f"code: {one['path']}:{one['line']} → {one['instead']}" for one in entry["code"])
    if entry["after"]:
        yield f"later: {entry['after']['close']} closes key access; it also breaks {entry['after']['breaks']}"


def _opened(entry: Json) -> str:
    """What a secret opens: the service, and the resource by its name."""
    return " ".join(part for part in (entry["service"], short(str(entry["resource"]))) if part)


def stay_secret(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    """`(reason, places)` of Azure secrets that stay secrets, equal reasons together."""
    by: dict[str, list[str]] = {}
    for entry in plan.passwordless:
        unresolved = any("unresolved: " in text for text in entry["against"])
        if entry["outcome"] not in _COULD and entry["against"] and (entry["service"] or unresolved):
            opened = _opened(entry)
            why = clean((f"{opened}: " if opened else "") + "; ".join((*entry["against"], *entry["for"])))
            by.setdefault(why, []).append(clean(f"{short(str(entry['app']))}: {joined(entry['names'])}"))
    return [(why, tuple(places)) for why, places in by.items()]


@dataclass(frozen=True, slots=True)
class Risk:
    """Places where values lie in one and the same way."""

    places: tuple[str, ...]
    what: str
    until: str


def risks(plan: Plan) -> list[Risk]:
    """The plan's rest risk, equal texts together, in the plan's order."""
    by: dict[tuple[str, str], list[str]] = {}
    for risk in plan.rest_risk:
        by.setdefault((clean(risk["what"]), clean(risk["until"])), []).append(clean(short(str(risk["where"]))))
    return [Risk(tuple(dict.fromkeys(places)), what, until) for (what, until), places in by.items()]


def reachable(plan: Plan) -> str:
    """How many secrets each identity can read before and after, in a sentence; empty where the plan does not say."""
    return summary_of_access(plan.estate.get("access") or ())


def reach_rows(plan: Plan) -> list[tuple[str, str, str]]:
    """`(identity, before, after)` of each identity whose access the plan tells, those that can read most first."""
    told = sorted(plan.estate.get("access") or (), key=lambda one: -int(one["after"]["secrets"]))
    names = called(str(one["identity"]) for one in told)
    return [
        (clean(_identity(str(one["identity"]), names)), _count(one["before"]), _count(one["after"])) for one in told
    ]


def _identity(resource: str, names: dict[str, str]) -> str:
    return names[resource] if "/userassignedidentities/" in resource.lower() else f"{names[resource]} (system)"


def _count(told: Json) -> str:
    known = count(int(told["secrets"]), "secret")
    return f"{known}, and whatever is in {joined(map(clean, told['vaults']))}" if told["vaults"] else known


def missing_rights(plan: Plan) -> list[Json]:
    """Rights the operator is known to lack."""
    return [right for right in _rights(plan) if right.get("held") is False]


def unknown_rights(plan: Plan) -> list[Json]:
    """Rights of which it is not known whether the operator has them."""
    return [right for right in _rights(plan) if right.get("held") is None]


def _rights(plan: Plan) -> Iterable[Json]:
    found: list[Json] = plan.operator.get("permissions", [])
    return found


def grant(right: Json) -> str:
    """The command that gives a right by its smallest built-in role; of a denied one, what denies it and how to look."""
    denied = right.get("denied")
    if denied:
        return clean(
            f"{denied['look']}  # '{denied['name']}' denies it, whatever your roles: its owner must leave you out"
        )
    return clean(f"az role assignment create --role '{right['role']}' --scope {right['scope']} --assignee YOU")


def grants(rights: Iterable[Json]) -> list[tuple[str, list[str]]]:
    """`(command, actions)`: one command gives several rights at a scope."""
    by: dict[str, list[str]] = {}
    for right in rights:
        by.setdefault(grant(right), []).append(clean(right["action"]))
    return list(by.items())
