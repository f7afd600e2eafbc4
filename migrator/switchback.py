"""Takes a switch back, in an order in which every revision that serves keeps what it needs.

First the template, registries and inline values, with the secrets that the switch added still there, but as values: a
write resolves every reference, and going back must not need the vault. Then, when the restored revision runs, traffic;
then the revision that the switch made, where several are active; last the secrets it added. A secret that an active
revision refers to cannot be deleted (FACTS, section 1.8).
"""

from __future__ import annotations

from migrator import health
from migrator.appwrite import Live, Missing, listed, read, write
from migrator.bindings import refers
from migrator.errors import CloudError, NotFoundError, UnprovenError
from migrator.model import AppSecret, Json, ResourceId, Step, same_id
from migrator.ports import StepContext
from migrator.swapping import prepared
from migrator.switching import patch_body, repinned, restored, switched, unshifted
from migrator.veil import section
from scanners.model import Secret

DRAINING = 120.0
"""Seconds a replaced revision may still count as active (recorded: 20 to 35)."""


def take_back(step: Step, ctx: StepContext) -> str:
    """Undo an `app-switch`; says what was left because somebody else changed it.

    Raises:
        OutsideChangeError: something else changed with a write.
        UnprovenError: traffic waits for a restored revision that does not run.
        CloudError: Azure refused, or a value is nowhere to be found.
    """
    before = ctx.record.facts.get("pre_image")
    if before is None:
        return ""
    name = ResourceId.parse(step.target).name
    try:
        live = read(step.target, ctx)
    except NotFoundError:
        return f"the app {name} is gone"
    work = _TakeBack(step, ctx, before, ctx.record.facts.get("latest") or "", live.environment)
    work.remember_own(live)
    live, changed = work.restore()
    moves = bool(step.change["traffic"]) and repinned(live.veiled, before, work.latest) != live.veiled
    if moves or (changed and step.change["revision"] != "none"):
        try:
            health.wait(step.target, live.latest, ctx)
        except UnprovenError as error:
            if moves or _serving(read(step.target, ctx)) == ctx.record.facts.get("revision"):
                raise  # what serves now is the switched revision: it must keep what it needs
            work.left.append(f"{name} is as before, and {error.what}: {error.why}")
    if moves:
        work.move_traffic()
    work.retire()
    work.drop_new()
    return listed(list(dict.fromkeys(work.left)))


class _TakeBack:
    """The phases of one undo. Each looks first, so that it can be repeated."""

    def __init__(self, step: Step, ctx: StepContext, before: Json, latest: str, environment: str) -> None:
        self.step = step
        self.ctx = ctx
        self.before = before
        self.change = prepared(step, ctx)
        self.latest = latest
        """The revision that was the latest before the switch."""
        self.left: list[str] = []
        self._environment = environment
        self._missing = Missing(step, ctx)

    def remember_own(self, live: Live) -> None:
        """Note the revision that the switch made, if the process died before it could."""
        if self.ctx.record.facts.get("revision") or live.latest == self.latest:
            return
        reached, odd = switched(live.veiled, self.change, self.latest)
        if odd or reached != live.veiled:
            return
        own = live.latest
        if live.multiple:
            # somebody may have deployed on top of the switch: it is the first one after what was the latest
            revisions = {str(r.get("name")): _created(r) for r in self.ctx.cloud.list_revisions(self.step.target)}
            later = [name for name, made in revisions.items() if made > revisions.get(self.latest, "")]
            own = min(later, key=lambda name: (revisions[name], name), default=own)
        self.ctx.record.note(revision=own)

    def restore(self) -> tuple[Live, bool]:
        """Everything but traffic and the added secrets, in one PATCH; whether one was needed."""
        ctx, change = self.ctx, self.change
        with ctx.lane(self._environment):
            live = read(self.step.target, ctx)
            inlined, held = self._inlined(), self._holders(live)
            wanted, odd = restored(live.veiled, change, self.before, keep_new=True, inlined=inlined, held=held)
            self.left += odd
            if wanted == live.veiled:
                return live, False
            wanted = self._unshifted(wanted)
            inlined |= {
                str(entry["name"])
                for entry in section(wanted, "properties", "configuration", "secrets") or []
                if "value" in entry and entry["name"] in self._added()
            }
            # noted before the call: an inline secret of that name is this run's own, and goes in the end
            ctx.record.note(inlined=sorted(inlined))
            body = self._body(live, wanted)
            if change["revision"] == "suffix":
                body["properties"].setdefault("template", {})["revisionSuffix"] = None
            return write(self.step, ctx, live, body, wanted, self._missing), True

    def _unshifted(self, wanted: Json) -> Json:
        """With the traffic as it was pinned, where its own step could not move it back without the vault."""
        for other in self.ctx.steps.values():
            if other.kind == "traffic-shift" and same_id(other.target, self.step.target):
                shift = self.ctx.facts_of(other.id).get("pre_image")
                if shift is not None:
                    own = str(self.ctx.record.facts.get("revision") or "")
                    return unshifted(wanted, other.change, shift, self.before, own)
        return wanted

    def move_traffic(self) -> None:
        """Traffic as before the switch."""
        with self.ctx.lane(self._environment):
            live = read(self.step.target, self.ctx)
            wanted = repinned(live.veiled, self.before, self.latest)
            if wanted != live.veiled:
                write(self.step, self.ctx, live, self._body(live, wanted), wanted, self._missing)

    def retire(self) -> None:
        """Deactivate the revision that the switch made, if nobody else does: Multiple mode, or it never got ready."""
        own = self.ctx.record.facts.get("revision")
        if not own or own == self.latest:
            return
        live = read(self.step.target, self.ctx)
        try:
            revision = self.ctx.cloud.get_revision(self.step.target, own)
        except NotFoundError:
            return
        properties = revision.get("properties") or {}
        draining = str(properties.get("runningState") or "").lower() == "deprovisioning"
        if own in {live.latest, _serving(live)} or draining or not properties.get("active"):
            return
        if live.multiple and properties.get("trafficWeight"):
            self.left.append(f"revision {own} has traffic and stays active")
            return
        self.ctx.cloud.revision_action(self.step.target, own, "deactivate")

    def drop_new(self) -> None:
        """Take the added secrets away, unless something that serves still needs them."""
        deadline = self.ctx.clock.now() + DRAINING
        while True:
            try:
                with self.ctx.lane(self._environment):
                    self._drop_new()
            except CloudError as error:
                if error.status != 400 or self.ctx.clock.now() >= deadline:
                    raise
                self.ctx.tell("the replaced revision to drain")
                self.ctx.clock.sleep(5.0)
            else:
                return

    def _drop_new(self) -> None:
        live = read(self.step.target, self.ctx)
        wanted, odd = restored(live.veiled, self.change, self.before, inlined=self._inlined())
        self.left += odd
        if wanted == live.veiled:
            return
        holders = self._holders(live, live.latest)
        if holders:
            revisions = sorted({name for names in holders.values() for name in names})
            self.left.append(
                f"secrets {listed(self._added())} stay: {listed(revisions)}, not made by this run, needs them"
            )
            return
        write(self.step, self.ctx, live, self._body(live, wanted), wanted, self._missing)

    def _added(self) -> list[str]:
        return [str(entry["name"]) for entry in self.step.change["secrets"] if entry["was"] == "new"]

    def _inlined(self) -> set[str]:
        """Added secrets that `restore` made inline, in this process or in one that died."""
        return set(self.ctx.record.facts.get("inlined") or ())

    def _holders(self, live: Live, *also_ours: str) -> dict[str, list[str]]:
        """Added secret -> other active revisions that refer to it: somebody deployed on top of the switch."""
        added = self._added()
        if not live.multiple or not added:
            return {}
        own = self.ctx.record.facts.get("revision")
        revisions = self.ctx.cloud.list_revisions(self.step.target)
        # what is older than the switch cannot refer to what it added, whatever it shows
        since = next((_created(revision) for revision in revisions if revision.get("name") == own), "")
        others = [
            revision
            for revision in revisions
            if section(revision, "properties", "active")
            and revision.get("name") not in {own, self.latest, *also_ours}
            and _created(revision) >= since
        ]
        names = {str(entry["name"]) for entry in section(live.veiled, "properties", "configuration", "secrets") or []}
        found = {name: [str(r.get("name")) for r in others if _refers(r, name, names)] for name in added}
        return {name: revisions for name, revisions in found.items() if revisions}

    def _body(self, live: Live, wanted: Json) -> Json:
        secrets: tuple[AppSecret, ...] = ()
        if section(live.veiled, "properties", "configuration", "secrets"):
            secrets = self.ctx.cloud.get_app_secrets(self.step.target)
        for secret in secrets:
            if secret.value is not None:
                self.ctx.see(secret.value)
                live.values.add(secret.value)
        for rule in (self.change.get("swaps") or {}).get("rules", ()):
            for name in rule["names"]:
                live.values.add(Secret(str(name)))
        return patch_body(live.veiled, wanted, secrets, live.values)


def _serving(live: Live) -> str:
    """The revision that serves in Single mode; in Multiple mode traffic says it."""
    return "" if live.multiple else str(section(live.raw, "properties", "latestReadyRevisionName") or "")


def _created(revision: Json) -> str:
    return str(section(revision, "properties", "createdTime") or "")


def _refers(revision: Json, name: str, names: set[str]) -> bool:
    """Whether a revision's template uses a secret, or shows a name that stands for nobody knows which (ACA#1705)."""
    for kind in ("containers", "initContainers"):
        for container in section(revision, "properties", "template", kind) or []:
            for entry in container.get("env") or []:
                shown = str(entry.get("secretRef") or "")
                if shown == name or (shown and shown not in names):
                    return True
    # a rule may name a secret that does not exist
    return refers(section(revision, "properties", "template") or {}, name)
