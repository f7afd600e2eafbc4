"""What has become of runs since they ended: plaintext that came back, references, roles and identities that changed.

Every done run of the journal is proven again; where two runs speak of one thing, the newer one is right. On top of that,
what proof does not ask: whether an identity is still the one that was made, and whether somebody gave it more to read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from migrator import proof, textswitch
from migrator.access import access
from migrator.access_report import ALL
from migrator.errors import MADE_ELSEWHERE, CloudError, KeyliftError, NotFoundError
from migrator.journal import Journal
from migrator.model import AppState, Estate, Json, Plan, ResourceId, RunState, Step, same_id
from migrator.ports import Cloud
from migrator.proof import AppProof, Check, Status
from migrator.timing import iso, moment
from scanners.model import Fingerprinter

SCHEMA = 1
_DAY = 86_400.0
KINDS = {
    "plaintext": ("A moved value is back in plain text", "critical"),
    "reference": ("A reference to the vault is broken", "high"),
    "sign-in": ("A key is in use again where an identity had replaced it", "high"),
    "role-lost": ("A role that an app needs is gone", "high"),
    "role-widened": ("An identity can read more than the run gave it", "high"),
    "identity": ("An identity is gone or another one", "high"),
    "registry": ("A registry's password is in use again", "high"),
    "revision": ("An app's latest revision does not run", "medium"),
    "app": ("An app is gone", "medium"),
}
"""Kind -> what it means, and how bad it is."""
_OF_CHECK = {
    "reference": "reference",
    "vault-secret": "reference",
    "identity": "identity",
    "role": "role-lost",
    "env": "reference",
    "scale-rule": "reference",
    "command": "reference",
    "part": "sign-in",
    "execution": "revision",
    "registry": "registry",
    "plaintext": "plaintext",
    "traffic": "plaintext",
    "revision": "revision",
    "app": "app",
    "inline-secret": "plaintext",
    "old-revision": "plaintext",
    "registry-admin": "registry",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is not as a run left it. Holds no value."""

    kind: str
    """One of `KINDS`."""
    run: str
    app: str
    """ARM id."""
    resource: str
    """ARM id of what drifted; the app's, where it is part of the app."""
    path: str
    """Where in the resource, as far as that is known."""
    subject: str
    text: str
    by: str = ""
    """Who changed the resource last, as Azure says; empty where it does not say."""
    by_type: str = ""
    at: str = ""
    gone: str = ""
    """ARM id of what is not there any more, where that is something else than `resource`."""

    @property
    def title(self) -> str:
        return KINDS[self.kind][0]

    @property
    def severity(self) -> str:
        return KINDS[self.kind][1]

    def as_dict(self) -> Json:
        """The object of the JSON format."""
        return {
            "kind": self.kind,
            "title": self.title,
            "severity": self.severity,
            "run": self.run,
            "app": self.app,
            "resource": self.resource,
            "path": self.path,
            "subject": self.subject,
            "text": self.text,
            "changed": {"by": self.by, "type": self.by_type, "at": self.at} if self.by or self.at else None,
        }


@dataclass(slots=True)
class Drift:
    """What a look at all runs gave."""

    runs: list[str] = field(default_factory=list)
    apps: set[str] = field(default_factory=set)
    checks: int = 0
    items: list[Item] = field(default_factory=list)
    unchecked: list[Json] = field(default_factory=list)
    """`{"where", "what", "hint"}`: what could not be looked at, so that nothing is known of it."""

    def as_dict(self) -> Json:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "runs": self.runs,
            "apps": sorted(self.apps),
            "checks": self.checks,
            "drift": [item.as_dict() for item in self.items],
            "unchecked": self.unchecked,
        }


def drift(runs: Sequence[str], estate: Estate, cloud: Cloud, journal: Journal, fingerprinter: Fingerprinter) -> Drift:
    """Look at runs again.

    Args:
        runs: Ids, newest first.
        estate: Read with access: vaults, identities, role assignments and definitions.
        cloud: Where the runs were carried out.
        journal: Knows what they did.
        fingerprinter: With the key their plans were made with.
    """
    found = Drift(unchecked=[dict(error) for error in estate.errors])
    judged: set[tuple[str, str, str]] = set()
    for run in runs:
        try:
            plan = _plan(run, journal, fingerprinter)
            proven = proof.verify(run, cloud, journal, fingerprinter)
        except CloudError as error:
            found.unchecked.append({"where": f"run {run}", "what": f"{error.what}: {error.why}", "hint": error.hint})
            continue
        except KeyliftError as error:
            found.unchecked.append({"where": f"run {run}", "what": error.what, "hint": error.hint})
            continue
        found.runs.append(run)
        facts = {entry.step: entry.facts for entry in journal.steps(run).values()}
        for app in proven.apps:
            if app.state == AppState.DONE:
                found.apps.add(app.app)
                _app(found, judged, run, plan, app, cloud, facts)
        _identities(found, judged, run, plan, journal, cloud)
    _widened(found, found.runs, estate, cloud, journal)
    since = {run: moment(str(journal.describe(run)["started"])) - _DAY for run in found.runs}
    found.items = [_told(item, cloud, since[item.run]) for item in found.items]
    found.items.sort(key=lambda item: (list(KINDS).index(item.kind), item.app.lower(), item.subject, item.text))
    return found


def _plan(run: str, journal: Journal, fingerprinter: Fingerprinter) -> Plan:
    plan = journal.plan(run)
    if plan.estate.get("key") not in {None, fingerprinter.key_id}:
        raise KeyliftError(
            f"run {run} was made with another fingerprint key",
            hint=MADE_ELSEWHERE,
        )
    return plan


def candidates(journal: Journal, cloud: str) -> list[str]:
    """Runs whose result must still stand, newest first."""
    states = {RunState.DONE, RunState.PARTLY}
    return [str(run["id"]) for run in journal.runs() if run["state"] in states and run["cloud"] == cloud]


def _app(
    found: Drift,
    judged: set[tuple[str, str, str]],
    run: str,
    plan: Plan,
    app: AppProof,
    cloud: Cloud,
    facts: Mapping[str, Json],
) -> None:
    data: Json = {}
    for check in app.checks:
        key = (app.app.lower(), check.name, check.subject.lower())
        if key in judged:
            continue
        judged.add(key)
        found.checks += 1
        if check.denied:
            found.unchecked.append(
                {"where": app.app, "what": f"{check.name} {check.subject}: {check.text}", "hint": "ask for the right"}
            )
        if check.status is not Status.FAILED:
            continue
        if not data:
            data = _changed(cloud, app.app)
        kind = _kind(check)
        resource, path = _place(plan, app.app, check)
        of_app = same_id(resource, app.app)
        role = _role(plan, app.app, check)
        assigned = str(facts.get(role.id, {}).get("assignment") or "") if role is not None else ""
        found.items.append(
            Item(
                kind,
                run,
                app.app,
                resource,
                path,
                check.subject,
                check.text,
                str(data.get("lastModifiedBy") or "") if of_app else "",
                str(data.get("lastModifiedByType") or "") if of_app else "",
                str(data.get("lastModifiedAt") or "") if of_app else "",
                assigned,
            )
        )


def _role(plan: Plan, app: str, check: Check) -> Step | None:
    """The step whose assignment a check of a role missed: the app's own, or one that several share."""
    for step in plan.steps if check.name == "role" else ():
        if step.kind in {"role-assignment", "data-role"} and (not step.app or same_id(step.app, app)):
            at = str(step.change["scope"]) if step.kind == "role-assignment" else step.target
            name = ResourceId.parse(at).name
            if check.subject in {f"{step.change['role_name']} at {name}", name}:
                return step
    return None


def _changed(cloud: Cloud, app: str) -> Json:
    try:
        return {"lastModifiedAt": "", **(cloud.get_app(app).get("systemData") or {})}
    except CloudError:
        return {"lastModifiedAt": ""}


def _kind(check: Check) -> str:
    if check.keyless:
        return "sign-in"
    if check.name in {"env", "scale-rule", "command"} and "plaintext again" in check.text:
        return "plaintext"
    if check.name == "reference" and check.plain:
        return "plaintext"
    return _OF_CHECK[check.name]


def _place(plan: Plan, app: str, check: Check) -> tuple[str, str]:
    """What a check was about: the resource, and where in it."""
    role = _role(plan, app, check)
    if role is not None:
        return (str(role.change["scope"]) if role.kind == "role-assignment" else role.target), ""
    for step in plan.steps:
        if step.kind == "part-switch" and check.name == "part" and ResourceId.parse(step.target).name == check.subject:
            return step.target, "properties"
        if step.kind == "app-switch" and same_id(step.target, app):
            if check.name == "env":
                for env in step.change["env"]:
                    if env["env"] == check.subject:
                        return app, str(env["path"])
            for name, subject, wanted in textswitch.places(step.change):
                if (name, subject) == (check.name, check.subject):
                    return app, str(wanted["path"])
            if check.name == "registry":
                return app, "properties.configuration.registries"
        if step.kind == "vault-secret" and check.name == "vault-secret" and step.change["name"] == check.subject:
            return step.target, ""
        if step.kind == "registry-admin-off" and check.name == "registry-admin" and same_id(step.app, app):
            return step.target, "properties.adminUserEnabled"
    paths = {
        "old-revision": f"revisions/{check.subject}",
        "reference": "properties.configuration.secrets",
        "inline-secret": "properties.configuration.secrets",
        "identity": "identity",
        "plaintext": "properties.template",
        "traffic": "properties.configuration.ingress.traffic",
    }
    return app, paths.get(check.name, "")


def _identities(
    found: Drift, judged: set[tuple[str, str, str]], run: str, plan: Plan, journal: Journal, cloud: Cloud
) -> None:
    """Identities that are gone, or were made anew under the same name: then every role of theirs is void."""
    facts = {entry.step: entry for entry in journal.steps(run).values()}
    apps = journal.apps(run)
    for step in plan.steps:
        wanted = _identity_of(step)
        if not wanted or (step.app and apps[step.app.lower()].state != AppState.DONE):
            continue
        key = (wanted.lower(), "identity", "resource")
        if key in judged:
            continue
        judged.add(key)
        found.checks += 1
        try:
            live = cloud.get_identity(wanted)
        except NotFoundError:
            live = None
        except CloudError as error:
            found.unchecked.append({"where": wanted, "what": error.what, "hint": error.hint})
            continue
        name = ResourceId.parse(wanted).name
        principal = facts[step.id].facts.get("principalId") or facts[step.id].facts.get("principal")
        if live is None:
            text = "the identity is gone: no app can read with it any more"
        elif principal and str((live.get("properties") or {}).get("principalId")).lower() != str(principal).lower():
            text = "the identity was made anew: it has another principal, and none of the roles"
        else:
            continue
        data = (live or {}).get("systemData") or {}
        found.items.append(
            Item(
                "identity",
                run,
                step.app,
                wanted,
                "",
                name,
                text,
                str(data.get("lastModifiedBy") or data.get("createdBy") or ""),
                str(data.get("lastModifiedByType") or data.get("createdByType") or ""),
                str(data.get("lastModifiedAt") or data.get("createdAt") or ""),
            )
        )


def _identity_of(step: Step) -> str:
    if step.kind == "identity-create":
        return step.target
    if step.kind == "role-assignment" and step.change["identity"] != "system":
        return str(step.change["identity"])
    return ""


def _told(item: Item, cloud: Cloud, since: float) -> Item:
    """With who did it from the Activity Log, where the resource itself does not tell: what is gone tells nothing."""
    if item.by or item.kind == "role-widened":
        return item  # who joined a group is in no log of the identity, and whoever changed the identity did not do it
    event = cloud.last_change(item.gone or item.resource, since)
    if event is None:
        return item
    return replace(item, by=str(event["by"]), by_type="", at=str(event["at"]))


def _widened(found: Drift, runs: Sequence[str], estate: Estate, cloud: Cloud, journal: Journal) -> None:
    """Assignments that came after the run and let its identities read secrets."""
    principals: dict[str, tuple[str, str, str]] = {}
    """Principal -> run, app, from when on an assignment is somebody's addition, by Azure's clock."""
    known: set[str] = set()
    told = ""
    assignments = {assignment.id.lower(): assignment for assignment in estate.assignments}
    plans = {run: journal.plan(run) for run in runs}
    for run, plan in plans.items():
        began = moment(str(journal.describe(run)["started"])) + cloud.ahead()
        told += " ".join(str(note["text"]).lower() for note in plan.notes)
        by_id = {step.id: step for step in plan.steps}
        own: dict[str, set[str]] = {}
        for entry in journal.steps(run).values():
            facts = entry.facts
            holder = str(facts.get("principal") or facts.get("principalId") or "").lower()
            if facts.get("assignment"):
                key = str(facts["assignment"]).lower()
                known.add(key)
                if facts.get("absent"):
                    made = str(facts.get("created") or (assignments[key].created if key in assignments else ""))
                    own.setdefault(holder, set()).update({made} - {""})
            if holder:
                # the oldest run is the measure: what came after it is somebody's addition
                principals[holder] = (run, by_id[entry.step].app, iso(began))
        for holder, moments in own.items():
            # what the run itself assigned bears Azure's time, which needs no clock of ours
            if moments:
                principals[holder] = (*principals[holder][:2], min(moments))
    if not principals:
        return
    for principal in access(estate).principals:
        if principal.id not in principals:
            continue
        run, app, since = principals[principal.id]
        foreseen = _foreseen(plans[run], principal.resource)
        found.checks += 1
        opened: dict[str, list[str]] = {}
        groups: dict[str, str] = {}
        joined: set[str] = set()
        for reading in principal.readings:
            what = "every secret" if reading.secret == ALL else reading.secret
            for grant in reading.grants:
                if grant.kind == "role" and grant.id.lower() not in known and grant.id.lower() not in told:
                    opened.setdefault(grant.id.lower(), []).append(f"{what} of {ResourceId.parse(reading.vault).name}")
                    if grant.through:
                        groups[grant.id.lower()] = grant.through
                        # no time tells when somebody joined a group: what the plan foresaw does
                        if foreseen is not None and reading.secret == ALL and reading.vault.lower() == foreseen[0]:
                            joined |= {grant.id.lower()} if not foreseen[1] else set()
        for key, readable in sorted(opened.items()):
            assignment = assignments.get(key)
            if assignment is None or (assignment.created and assignment.created < since and key not in joined):
                continue
            grant_text = ", ".join(readable[:8])
            role = next((r.name for r in estate.roles if r.id == assignment.role), assignment.role)
            text = f"{principal.name} can read {grant_text}: {role} at {assignment.scope} (assignment {assignment.id})"
            text += f", through group {groups[key]}" if key in groups else ""
            found.items.append(
                Item(
                    "role-widened",
                    run,
                    app,
                    principal.resource,
                    "",
                    principal.name,
                    text,
                    "" if key in joined else assignment.created_by,
                    "",
                    "" if key in joined else assignment.created,
                )
            )


def _foreseen(plan: Plan, identity: str) -> tuple[str, bool] | None:
    """The plan's vault, and whether an identity was to read it whole; None where the plan does not say."""
    told = plan.estate.get("access")
    if told is None:
        return None
    vault = str(plan.options.get("vault") or "").lower()
    entry = next((one for one in told if same_id(one["identity"], identity)), None)
    return vault, entry is not None and vault.rpartition("/")[2] in {str(n).lower() for n in entry["after"]["vaults"]}
