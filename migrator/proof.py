"""Proves a run again against the cloud as it is now: references, roles, running replicas, no plaintext left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from migrator import contract_proof, executions, health, parts, textswitch
from migrator.appwrite import listed, unlike, who
from migrator.diagnosis import READERS
from migrator.errors import CloudError, DeniedError, NotFoundError
from migrator.fingerprints import app_fingerprint
from migrator.journal import AppEntry, Journal
from migrator.model import AppSecret, AppState, Json, ResourceId, Step, by_app, is_job, same_id, settled
from migrator.ports import Cloud
from migrator.reach import Lying, Reach
from migrator.steps.identity_attach import attached
from migrator.steps.part_switch import named
from migrator.swapping import checks, marked
from migrator.switching import TRAFFIC, same_url, switched
from migrator.veil import Known, Values, comparable, section
from scanners.model import Fingerprinter


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    UNPROVEN = "unproven"
    """Nothing speaks against it, and nothing runs or may be read that could prove it."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """`reference`, `vault-secret`, `identity`, `role`, `env`, `scale-rule`, `command`, `part`, `registry`, `plaintext`,
    `traffic`, `revision`, `execution`, `app`; of a contract `inline-secret`, `old-revision`, `registry-admin`."""
    subject: str
    """What it was about: the secret, the env variable, the revision."""
    status: Status
    text: str = ""
    denied: bool = False
    """You may not look: nothing is known of it."""
    plain: bool = False
    """A reference has become an inline value."""
    keyless: bool = False
    """It is about a key that an identity replaced."""


@dataclass(frozen=True, slots=True)
class AppProof:
    """All checks of one app."""

    app: str
    state: str
    """What the run made of it: one of `AppState`."""
    checks: tuple[Check, ...]

    @property
    def name(self) -> str:
        return ResourceId.parse(self.app).name

    @property
    def status(self) -> Status:
        """The worst of the checks."""
        found = {check.status for check in self.checks}
        return next((status for status in (Status.FAILED, Status.UNPROVEN) if status in found), Status.OK)


@dataclass(frozen=True, slots=True)
class Proof:
    """A run as it stands now."""

    run: str
    plan: str
    apps: tuple[AppProof, ...]
    reaches: tuple[Reach, ...] = ()
    """What each identity can read before and after, where that was asked for."""
    lying: tuple[Lying, ...] = ()
    """Where moved values still lie in plain text."""
    notes: tuple[str, ...] = ()
    """What kept these two from being looked at."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed; what is unproven is said, not counted."""
        return all(app.status is not Status.FAILED for app in self.apps)

    @property
    def exit_code(self) -> int:
        """0, or 13: something is not as the run left it."""
        return 0 if self.ok else 13

    def as_dict(self) -> Json:
        """The JSON form."""
        return {
            "schema": 1,
            "run": self.run,
            "plan": self.plan,
            "ok": self.ok,
            "apps": [
                {
                    "app": app.app,
                    "state": app.state,
                    "status": str(app.status),
                    "checks": [
                        {"name": c.name, "subject": c.subject, "status": str(c.status), "text": c.text}
                        for c in app.checks
                    ],
                }
                for app in self.apps
            ],
            "access": [reach.as_dict() for reach in self.reaches],
            "plaintext": [entry.as_dict() for entry in self.lying],
            "notes": list(self.notes),
        }


def verify(run: str, cloud: Cloud, journal: Journal, fingerprinter: Fingerprinter) -> Proof:
    """Look at every app of a run again.

    Args:
        run: Its id.
        cloud: Where it was carried out.
        journal: Which knows what it did.
        fingerprinter: With the key the plan was made with.

    Raises:
        RunError: there is no such run.
    """
    plan = journal.plan(run)
    facts = {entry.step: entry.facts for entry in journal.steps(run).values()}
    entries = journal.apps(run)
    groups = by_app(plan.steps)
    shared = groups.get("", [])
    found: list[AppProof] = []
    for app, entry in entries.items():
        look = _App(groups[app], shared, facts, cloud, fingerprinter)
        if entry.state == AppState.DONE:
            checks = tuple(_guarded(look.checks, "app", look.name))
        elif entry.state in {AppState.ROLLED_BACK, AppState.STALE}:
            checks = tuple(_guarded(partial(look.as_before, entry), "app", look.name))
        else:
            text = f"the run left it '{entry.state}': keylift resume {run}"
            checks = (Check("app", look.name, Status.FAILED, text),)
        found.append(AppProof(groups[app][0].app, entry.state, checks))
    return Proof(run, plan.id, tuple(found))


def _guarded(look: Callable[[], Iterable[Check]], name: str, subject: str) -> Iterator[Check]:
    """Checks, and what kept further ones from being made."""
    try:
        yield from look()
    except NotFoundError as error:
        yield Check(name, subject, Status.FAILED, f"it is gone: {error.what}")
    except DeniedError as error:
        yield Check(name, subject, Status.UNPROVEN, f"you may not look: {error.what}: {error.why}", denied=True)
    except CloudError as error:
        yield Check(name, subject, Status.FAILED, f"{error.what}: {error.why}")


_STATUS = {
    health.State.RUNS: Status.OK,
    health.State.AT_ZERO: Status.UNPROVEN,
    health.State.STARTING: Status.UNPROVEN,
    health.State.FAILED: Status.FAILED,
}


@dataclass(slots=True)
class _App:
    """One app under examination."""

    steps: list[Step]
    shared: list[Step]
    """Those of the plan that belong to several apps."""
    facts: Mapping[str, Json]
    cloud: Cloud
    fingerprinter: Fingerprinter
    known: Known = field(default_factory=Known)

    @property
    def id(self) -> str:
        return self.steps[0].app

    @property
    def name(self) -> str:
        return ResourceId.parse(self.id).name

    def all_steps(self) -> list[Step]:
        """The shared steps that the app's wait for, and the app's."""
        needed = {name for step in self.steps for name in step.after}
        return [*(step for step in self.shared if step.id in needed), *self.steps]

    def as_before(self, entry: AppEntry) -> Iterator[Check]:
        """An app that was put back must be as it was read before the plan."""
        document = self.cloud.get_app(self.id)
        if entry.initial is not None:
            veiled = Values(self.fingerprinter).veil(settled(document))
            changed = unlike(entry.initial, veiled)
            if not changed:
                yield Check("app", self.name, Status.OK, "it is as before the plan")
                return
            text = f"it differs from before the plan in {listed(changed)}; {who(document)}"
        else:
            planned = [step.expects[self.id.lower()] for step in self.steps if self.id.lower() in step.expects]
            if planned[:1] == [app_fingerprint(document, self.cloud.get_app_secrets(self.id), self.fingerprinter)]:
                yield Check("app", self.name, Status.OK, "it is as when the plan was made")
                return
            text = f"it was not touched, and is not what the plan was made from; {who(document)}"
        yield Check("app", self.name, Status.UNPROVEN, text)

    def checks(self) -> Iterator[Check]:
        document = self.cloud.get_app(self.id)
        secrets = self.cloud.get_app_secrets(self.id)
        for secret in secrets:
            if secret.value is not None:
                self.known.see(secret.value)
        for step in self.all_steps():
            if step.kind == "identity-attach":
                yield self._identity(document, step.change["identity"])
            elif step.kind == "role-assignment":
                yield from _guarded(partial(self._role, step), "role", ResourceId.parse(step.target).name)
            elif step.kind == "data-role":
                yield from _guarded(partial(self._data_role, step), "role", ResourceId.parse(step.target).name)
            elif step.kind == "part-switch":
                yield from _guarded(partial(self._part, step), "part", ResourceId.parse(step.target).name)
            elif step.kind == "app-switch":
                yield from self._switch(step, document, secrets)
            elif step.kind == "traffic-shift":
                yield from _guarded(partial(self._traffic, step, document), "traffic", self.name)
            for name, subject, good, text in contract_proof.found(step, self.cloud, document):
                yield Check(name, subject, Status.OK if good else Status.FAILED, text)
        yield from self._plaintext(document)
        yield from self._inline(document, secrets)
        yield from self._revision(document)

    def _identity(self, document: Json, identity: str) -> Check:
        there = attached(document, identity)
        return Check(
            "identity",
            identity.rsplit("/", 1)[-1],
            Status.OK if there else Status.FAILED,
            "attached" if there else f"not attached any more; {who(document)}",
        )

    def _role(self, step: Step) -> Iterator[Check]:
        facts = self.facts.get(step.id, {})
        principal = facts.get("principal")
        held = self.cloud.list_assignments(step.change["scope"], principal, groups=True)
        subject = f"{step.change['role_name']} at {ResourceId.parse(step.change['scope']).name}"
        if any(same_id(assignment.id, facts.get("assignment")) for assignment in held):
            yield Check("role", subject, Status.OK, "assigned")
            return
        # each of the roles that read a vault does for the others; none of them does for a queue or a registry
        good = {*READERS, step.change["role"]} if step.change["role"] in READERS else {step.change["role"]}
        other = next((a for a in held if a.role in good), None)
        if other is not None:
            through = "" if same_id(other.principal_id, principal) else f", through group {other.principal_id}"
            yield Check("role", subject, Status.OK, f"held by assignment {other.id}{through}")
            return
        lost = "the app is not let in any more" if step.change.get("data") else "the app's next refresh will fail"
        yield Check("role", subject, Status.FAILED, f"the assignment is gone: {lost}")

    def _part(self, step: Step) -> Iterator[Check]:
        facts = self.facts.get(step.id, {})
        document = self.cloud.get_part(step.target)
        values = Values(self.fingerprinter)
        veiled = named(values.veil(settled(document)), document)
        put = parts.texts(step.change, str(facts.get("clientId") or ""), self.fingerprinter.of_secret)
        wanted = parts.switched(facts["pre_image"], step.change, put)
        changed = unlike(
            {"properties": comparable(wanted["properties"])}, {"properties": comparable(veiled["properties"])}
        )
        text = f"it differs in {listed(changed)}; {who(document)}" if changed else "signs in with the identity"
        subject = ResourceId.parse(step.target).name
        yield Check("part", subject, Status.FAILED if changed else Status.OK, text, keyless=True)

    def _data_role(self, step: Step) -> Iterator[Check]:
        change = step.change
        held = self.cloud.list_data_roles(change["system"], step.target)
        assignment = self.facts.get(step.id, {}).get("assignment")
        there = any(same_id(role.id, assignment) for role in held)
        text = "assigned" if there else "the assignment is gone: the app is not let in any more"
        subject = f"{change['role_name']} at {ResourceId.parse(step.target).name}"
        yield Check("role", subject, Status.OK if there else Status.FAILED, text)

    def _switch(self, step: Step, document: Json, secrets: tuple[AppSecret, ...]) -> Iterator[Check]:
        change = step.change
        shown = {secret.name: secret for secret in secrets}
        for wanted in change["secrets"]:
            yield self._reference(wanted, shown.get(wanted["name"]), document)
            yield from _guarded(
                partial(self._vault_value, wanted, shown.get(wanted["name"])),
                "vault-secret",
                str(wanted["key_vault_url"]).rsplit("/", 1)[-1],
            )
        veiled = Values(self.fingerprinter).veil(settled(document))
        client = str(self.facts.get(step.id, {}).get("clientId") or "")
        change = marked(change, client, self.fingerprinter.of_secret)
        for name, subject, good, text in checks(veiled, change):
            status = Status.OK if good else Status.FAILED
            yield Check(name, subject, status, text if good else f"{text}; {who(document)}", keyless=True)
        _, odd = switched(veiled, change | {"secrets": [], "traffic": None}, "")
        for env in change["env"]:
            problem = next((text for text in odd if text.startswith(env["path"])), "")
            plain = self._is_plain(veiled, env)
            status = Status.FAILED if problem or plain else Status.OK
            yield Check("env", env["env"], status, problem or ("plaintext again" if plain else "refers to the secret"))
        for name, subject, wanted in textswitch.places(change):
            problem = next((text for text in odd if text.startswith(wanted["path"])), "")
            plain = textswitch.plain(veiled, wanted)
            status = Status.FAILED if problem or plain else Status.OK
            yield Check(name, subject, status, problem or ("plaintext again" if plain else "refers to the secret"))
        entries = section(document, "properties", "configuration", "registries") or []
        for registry in change["registries"]:
            server = str(registry["server"]).lower()
            entry: Json = next((e for e in entries if str(e.get("server")).lower() == server), {})
            good = same_id(entry.get("identity"), registry["identity"])
            text = "pulled from with the identity" if good else f"not pulled from with the identity; {who(document)}"
            yield Check("registry", registry["server"], Status.OK if good else Status.FAILED, text)

    def _reference(self, wanted: Json, shown: AppSecret | None, document: Json) -> Check:
        if shown is None:
            return Check("reference", wanted["name"], Status.FAILED, f"the secret is gone; {who(document)}")
        if not same_url(shown.key_vault_url, wanted["key_vault_url"]):
            pinned = (shown.key_vault_url or "").lower().startswith(wanted["key_vault_url"].lower() + "/")
            text = "it is pinned to one version" if pinned else "it does not refer to the vault secret any more"
            plain = not shown.key_vault_url
            text = "it is an inline value again" if plain else text
            return Check("reference", wanted["name"], Status.FAILED, f"{text}; {who(document)}", plain=plain)
        return Check("reference", wanted["name"], Status.OK, "refers to the vault, without a version")

    def _vault_value(self, wanted: Json, shown: AppSecret | None) -> Iterator[Check]:
        uri, _, name = wanted["key_vault_url"].partition("/secrets/")
        try:
            found = self.cloud.get_secret(uri, name)
        except DeniedError:
            described = self.cloud.describe_secret(uri, name)
            if described is None or described.enabled:
                raise
            yield Check("vault-secret", name, Status.FAILED, "it is disabled: the app's next refresh will fail")
            return
        if found is None:
            yield Check("vault-secret", name, Status.FAILED, "the vault has no such secret")
            return
        self.known.see(found[0])
        if shown is None or shown.value is None:
            yield Check("vault-secret", name, Status.UNPROVEN, "Azure does not give the value the app has")
        elif self.fingerprinter.of_secret(found[0]) == self.fingerprinter.of_secret(shown.value):
            yield Check("vault-secret", name, Status.OK, "the app has the vault's value")
        else:
            # rotated: the app follows within half an hour (FACTS, section 1.3)
            yield Check("vault-secret", name, Status.UNPROVEN, "the vault has a newer value than the app, for now")

    def _is_plain(self, veiled: Json, env: Json) -> bool:
        kind = "initContainers" if env["init"] else "containers"
        for container in section(veiled, "properties", "template", kind) or []:
            if container.get("name") == env["container"]:
                return any(e.get("name") == env["env"] and "value" in e for e in container.get("env") or [])
        return False

    def _plaintext(self, document: Json) -> Iterator[Check]:
        rules = section(document, "properties", "configuration", "eventTriggerConfig")
        shown = json.dumps(Values(self.fingerprinter).veil([section(document, "properties", "template"), rules]))
        again = any(mark in shown for mark in self._moved())
        text = f"a value that was moved is in the template again; {who(document)}" if again else "none in the template"
        yield Check("plaintext", self.name, Status.FAILED if again else Status.OK, text)

    def _inline(self, document: Json, secrets: tuple[AppSecret, ...]) -> Iterator[Check]:
        """Inline secrets that came after the run; what it left inline by itself is not theirs."""
        after = [self.facts.get(step.id, {}).get("after") for step in self.steps]
        left = {
            str(e["name"]) for one in after if one for e in section(one, "properties", "configuration", "secrets") or []
        }
        for secret in secrets:
            if secret.value is None or secret.key_vault_url or secret.name in left or not any(after):
                continue
            if self.fingerprinter.of_secret(secret.value) in self._moved():
                text = f"a value that was moved is an inline secret again; {who(document)}"
                yield Check("inline-secret", secret.name, Status.FAILED, text)

    def _traffic(self, step: Step, document: Json) -> Iterator[Check]:
        """An old revision keeps its values as long as it is listed; what the run took from it, it must not have again."""
        after = self.facts.get(step.id, {}).get("after") or {}
        left = {str(e.get("revisionName")): e.get("weight") or 0 for e in section(after, *TRAFFIC) or []}
        again = []
        for entry in section(document, *TRAFFIC) or []:
            name, weight = str(entry.get("revisionName") or ""), entry.get("weight") or 0
            if name and weight > left.get(name, 0):
                revision = self.cloud.get_revision(self.id, name)
                shown = json.dumps(Values(self.fingerprinter).veil(section(revision, "properties", "template")))
                if any(mark in shown for mark in self._moved()):
                    again.append(f"{name} has {weight} % of the traffic and shows a value that was moved")
        text = f"{listed(again)}; {who(document)}" if again else "no revision serves that shows a moved value"
        yield Check("traffic", self.name, Status.FAILED if again else Status.OK, text)

    def _moved(self) -> set[str]:
        return {str(step.change["fingerprint"]) for step in self.all_steps() if step.kind == "vault-secret"}

    def _revision(self, document: Json) -> Iterator[Check]:
        if is_job(self.id):
            found = executions.look(document, self.cloud.list_revisions(self.id))
            yield Check("execution", self.name, _STATUS[found.state], self.known.redact(found.text))
            return
        name = str(section(document, "properties", "latestRevisionName") or "")
        if not name:
            yield Check("revision", self.name, Status.FAILED, "the app has no revision")
            return
        revision = self.cloud.get_revision(self.id, name)
        found = health.look(document, revision, self.cloud.list_replicas(self.id, name))
        yield Check("revision", name, _STATUS[found.state], self.known.redact(found.text))
