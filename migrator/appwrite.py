"""Reading and writing one app: settle, check, PATCH, compare the whole of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from migrator.errors import CloudError, DeniedError, NotFoundError, OutsideChangeError, StaleError
from migrator.model import Json, ResourceId, Step, VaultSecret, differences, is_job, settled
from migrator.ports import StepContext
from migrator.veil import Values, comparable, section
from migrator.wording import unedited
from scanners.model import Secret, reveal

BUSY_STATES = frozenset({"inprogress", "updating", "creating"})
"""`provisioningState` while somebody's operation is at work."""


REPLAN = "make a new plan: keylift plan --vault NAME -o PLAN.json"
"""The way out of a stale plan."""
RECONTRACT = "make a new plan: keylift finalize RUN -o PLAN.json"
"""The way out of a stale contract plan."""


FRESH = 0.4
"""Seconds for which a reading may stand before a write: no operation of somebody else begins and ends in them."""


@dataclass(frozen=True, slots=True)
class Live:
    """An app as it stands now."""

    raw: Json
    """The GET answer, values included: memory only."""
    veiled: Json
    """Settled, with fingerprints in place of values: may be written down."""
    values: Values
    """What the fingerprints of `veiled` stand for."""
    at: float = 0.0
    """When it was read."""

    @property
    def environment(self) -> str:
        """Id of the app's environment."""
        properties = self.raw.get("properties") or {}
        return str(properties.get("managedEnvironmentId") or properties.get("environmentId") or "")

    @property
    def latest(self) -> str:
        """Name of the latest revision."""
        return str(section(self.raw, "properties", "latestRevisionName") or "")

    @property
    def multiple(self) -> bool:
        """Whether several revisions are active at a time; a job has none."""
        if is_job(str(self.raw.get("id") or "")):
            return False
        return str(section(self.raw, "properties", "configuration", "activeRevisionsMode") or "").lower() != "single"


def observe(raw: Json, ctx: StepContext) -> Live:
    """An app's GET answer as `Live`."""
    values = Values(ctx.fingerprinter)
    return Live(raw, values.veil(settled(raw)), values, ctx.clock.now())


def read(app: str, ctx: StepContext) -> Live:
    """The app once no operation is at work on it.

    Raises:
        NotFoundError: the app is gone.
        CloudError: somebody's operation does not end.
    """
    deadline, pause = ctx.clock.now() + ctx.proof, 1.0
    while True:
        raw = ctx.cloud.get_app(app)
        if str(section(raw, "properties", "provisioningState") or "").lower() not in BUSY_STATES:
            return observe(raw, ctx)
        if ctx.clock.now() >= deadline:
            raise CloudError(
                f"an operation on {ResourceId.parse(app).name} does not end",
                why=f"it has been {section(raw, 'properties', 'provisioningState')} for {ctx.proof:.0f} seconds; {who(raw)}",
                hint=f"see how it ends: az resource show --ids {app} --query properties.provisioningState; then run the "
                "command again",
                transient=True,
            )
        ctx.tell("another operation on the app to end")
        ctx.clock.sleep(pause)
        pause = min(pause * 1.5, 15.0)


def begin(step: Step, ctx: StepContext) -> Live:
    """The app as it stands right before a step writes it: checked against what the run expects, and noted.

    The first try of a step notes the app as its pre-image; a later one leaves that alone.

    Raises:
        StaleError: it changed, or it is gone.
    """
    try:
        live = read(step.target, ctx)
    except NotFoundError as error:
        raise StaleError(f"the app {ResourceId.parse(step.target).name} is gone", why=error.why, hint=REPLAN) from error
    ctx.check(live.veiled, who(live.raw))
    if "pre_image" not in ctx.record.facts:
        ctx.record.note(pre_image=live.veiled)
    return live


def write(step: Step, ctx: StepContext, live: Live, body: Json, wanted: Json, missing: Missing) -> Live:
    """PATCH the app, wait, read it back, and compare the whole of it with what was wanted.

    Args:
        step: Whose change it is.
        ctx: The step's surroundings.
        live: The app as it was read a moment ago.
        body: The PATCH, with fingerprints in place of values.
        wanted: The app as it must be afterwards, veiled.
        missing: Finds values of fingerprints that the app no longer shows.

    Raises:
        OutsideChangeError: the app differs from what was wanted; the message names paths and who changed it.
        StaleError: it was deleted meanwhile.
        CloudError: Azure refused or failed.
    """
    filled = without_read_only(live.values.fill(body, missing))
    # no patience: after somebody else's operation the app must be looked at again, see `Walk`
    try:
        if ctx.clock.now() - live.at > FRESH:
            _still(step, ctx, live)
        after = observe(ctx.cloud.patch_app(step.target, filled, ctx.record.operation, patience=0.0), ctx)
    except NotFoundError as error:
        raise StaleError(f"the app {ResourceId.parse(step.target).name} is gone", why=error.why, hint=REPLAN) from error
    compare(step, ctx, after, wanted)
    return after


def _still(step: Step, ctx: StepContext, live: Live) -> None:
    """See that nobody changed the app since it was read: a PATCH replaces arrays whole, theirs in them.

    Raises:
        CloudError: somebody did; the step is to look again.
    """
    now = observe(ctx.cloud.get_app(step.target), ctx)
    changed = unlike(live.veiled, now.veiled)
    if changed:
        raise CloudError(
            f"{ResourceId.parse(step.target).name} changed while its write was prepared",
            why=f"changed: {listed(changed)}; {who(now.raw)}",
            hint=f"see who else writes to it, then: keylift resume {ctx.run}",
            transient=True,
        )


def compare(step: Step, ctx: StepContext, live: Live, wanted: Json) -> None:
    """Check the whole app against what was wanted, and note it as what the next step expects.

    Raises:
        OutsideChangeError: it differs.
    """
    changed = unlike(wanted, live.veiled)
    if changed:
        raise OutsideChangeError(
            f"{ResourceId.parse(step.target).name} is not as step {step.id} wanted it",
            why=f"it differs in {listed(changed)}; {who(live.raw)}",
            hint=f"see who else writes to the app, then: keylift rollback {ctx.run}",
        )
    ctx.record.note(after=live.veiled)


def unlike(wanted: Json, found: Json) -> list[str]:
    """Paths at which two veiled documents differ, apart from spelling and from the principal of a system identity."""
    return differences(_without_principal(comparable(wanted)), _without_principal(comparable(found)))


def _without_principal(document: Json) -> Json:
    identity = document.get("identity")
    if not isinstance(identity, dict):
        return document
    return {**document, "identity": {k: v for k, v in identity.items() if k not in {"principalId", "tenantId"}}}


class Missing:
    """Finds values for a PATCH that the app itself no longer shows, cheapest source first; never only the vault.

    What this process has seen, the app's own secrets (Azure gives the resolved value of references too, FACTS 1.4),
    templates of kept revisions, then the vault version that this run wrote.
    """

    def __init__(self, step: Step, ctx: StepContext) -> None:
        """Look for values of `step`'s app."""
        self._step = step
        self._ctx = ctx
        self._values = Values(ctx.fingerprinter)
        self._recover = ""
        self._reasons: list[str] = []
        self._sources = [self._from_memory, self._from_secrets, self._from_revisions]

    def __call__(self, mark: str) -> Secret:
        """The value of a fingerprint.

        Raises:
            CloudError: no source has it any more.
        """
        while (found := self._values.get(mark)) is None and self._sources:
            try:
                self._sources.pop(0)()
            except CloudError as error:
                self._reasons.append(error.what)
        reasons = list(self._reasons)
        # asked for each value: the others read all that they have at once
        for source in (self._from_words, self._from_vault):
            if found is not None:
                break
            try:
                source(mark)
            except CloudError as error:
                reasons.append(error.what)
            found = self._values.get(mark)
        if found is None:
            raise CloudError(
                f"the value with fingerprint {mark} is in none of the places it was in",
                why="looked in the app's secrets, its kept revisions and the vault"
                + (f"; {'; '.join(reasons)}" if reasons else "")
                + ("; somebody deleted the vault secret that has it, which can be recovered" if self._recover else ""),
                hint=f"{self._recover or 'set it by hand'}, then go on: keylift rollback {self._ctx.run}",
            )
        self._ctx.see(found)
        return found

    def _from_memory(self) -> None:
        for secret in self._ctx.seen():
            self._values.add(secret)

    def _from_secrets(self) -> None:
        for secret in self._ctx.cloud.get_app_secrets(self._step.target):
            if secret.value is not None:
                self._ctx.see(secret.value)
                self._values.add(secret.value)

    def _from_revisions(self) -> None:
        for revision in self._ctx.cloud.list_revisions(self._step.target):
            self._values.veil(section(revision, "properties", "template"))

    def _from_words(self, mark: str) -> None:
        """A command's word as it was: the one that stands there now, with the values back in it."""
        for wanted in self._step.change.get("commands", ()):
            if wanted["was"] != mark:
                continue
            self._values.veil(section(self._ctx.cloud.get_app(self._step.target), "properties", "template"))
            now = self._values.get(wanted["becomes"])
            if now is not None:
                self._values.add(Secret(unedited(reveal(now), wanted["edits"], self._part)))

    def _part(self, mark: str) -> Secret:
        if self._values.get(mark) is None:
            self._from_vault(mark)
        found = self._values.get(mark)
        if found is None:
            raise CloudError(
                f"the value with fingerprint {mark} is in none of the places it was in",
                hint=f"set it by hand, then go on: keylift rollback {self._ctx.run}",
            )
        self._ctx.see(found)
        return found

    def _from_vault(self, mark: str) -> None:
        for step in self._ctx.steps.values():
            if step.kind == "vault-secret" and step.change["fingerprint"] == mark:
                facts = self._ctx.facts_of(step.id)
                uri, name, version = step.change["vault_uri"], step.change["name"], facts.get("version")
                try:
                    found = self._ctx.cloud.get_secret(uri, name, version)
                except DeniedError as error:
                    if error.code != "SecretDisabled" or not version or "previous" not in facts:
                        raise
                    found = self._enabled_for_a_moment(step, version)
                if found is not None:
                    self._values.add(found[0])
                elif (gone := self._ctx.cloud.describe_secret(uri, name)) is not None and gone.deleted:
                    vault = ResourceId.parse(step.change["vault"]).name
                    self._recover = f"az keyvault secret recover --vault-name {vault} --name {name}"

    def _enabled_for_a_moment(self, step: Step, version: str) -> tuple[Secret, VaultSecret] | None:
        """This run's own version, which somebody disabled; it is disabled again at once.

        The last place of the value, where the platform took a reference that never resolved.
        """
        uri, name, cloud = step.change["vault_uri"], step.change["name"], self._ctx.cloud
        cloud.update_secret(uri, name, version, enabled=True)
        try:
            return cloud.get_secret(uri, name, version)
        finally:
            cloud.update_secret(uri, name, version, enabled=False)


def without_read_only(body: Any) -> Any:
    """The body without what Azure shows but does not take: `resources.ephemeralStorage` follows the cpu."""
    if isinstance(body, dict):
        return {name: without_read_only(item) for name, item in body.items() if name != "ephemeralStorage"}
    if isinstance(body, list):
        return [without_read_only(item) for item in body]
    return body


def who(raw: Json) -> str:
    """Who changed the app last, as Azure says."""
    data = raw.get("systemData") or {}
    by = data.get("lastModifiedBy") or "unknown"
    kind = data.get("lastModifiedByType")
    return f"last changed by {by}{f' ({kind})' if kind else ''} at {data.get('lastModifiedAt') or 'an unknown time'}"


def listed(paths: list[str], most: int = 8) -> str:
    """Some paths in a sentence."""
    shown = ", ".join(paths[:most])
    return shown + (f" and {len(paths) - most} more" if len(paths) > most else "")
