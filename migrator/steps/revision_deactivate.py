"""`revision-deactivate`: an old revision that still shows a migrated value stops running. It stays listed."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.appwrite import RECONTRACT, read, who
from migrator.errors import NotFoundError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import Json, ResourceId, Step
from migrator.ports import Outcome, StepContext
from migrator.veil import section

PATIENCE = 120.0
"""Seconds an action on a revision may take to show (it is synchronous; draining took 20 to 35 seconds)."""


class RevisionDeactivate(Kind):
    """One action on one revision; never on one that serves."""

    kind = "revision-deactivate"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        shown = ", ".join(step.change["shows"])
        return [("-", f"revision {step.change['revision']}: deactivated; it shows {shown} in plain text")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        try:
            live = read(step.app, ctx)
        except NotFoundError as error:
            raise StaleError(f"the app {_app(step)} is gone", why=error.why, hint=RECONTRACT) from error
        ctx.check(live.veiled, who(live.raw))
        mine = bool(ctx.record.facts.get("was_active"))
        try:
            found = ctx.cloud.get_revision(step.app, step.change["revision"])
        except NotFoundError:
            return Outcome(adopted=not mine, text="not listed any more")
        if not section(found, "properties", "active"):
            return Outcome(adopted=not mine, text=self._listed(step, ctx))
        reason = serves(live.raw, found)
        if reason:
            raise StaleError(
                f"revision {step.change['revision']} of {_app(step)} must not be deactivated",
                why=f"{reason}; {who(live.raw)}",
                hint=RECONTRACT,
            )
        # noted before the call: an inactive one is this run's own after a crash
        ctx.record.note(was_active=True)
        ctx.cloud.revision_action(step.app, step.change["revision"], "deactivate")
        return Outcome(text=self._listed(step, ctx))

    def _listed(self, step: Step, ctx: StepContext) -> str:
        names = {str(revision.get("name")) for revision in ctx.cloud.list_revisions(step.app)}
        if step.change["revision"] in names:
            return "inactive; a listing still shows it, and its values with it"
        return "not listed any more"

    def verify(self, step: Step, ctx: StepContext) -> None:
        if not self._wait(step, ctx, active=False):
            raise UnprovenError(
                f"revision {step.change['revision']} of {_app(step)} is still active",
                why="Azure took the change and does not show it, or somebody activated it again",
                hint=f"see who else works on the app, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        if not ctx.record.facts.get("was_active"):
            return ""
        name = step.change["revision"]
        try:
            found = ctx.cloud.get_revision(step.app, name)
        except NotFoundError:
            return f"revision {name} of {_app(step)} is not listed any more and cannot be activated again"
        if not section(found, "properties", "active"):
            ctx.cloud.revision_action(step.app, name, "activate")
            if not self._wait(step, ctx, active=True):
                return f"revision {name} of {_app(step)} was activated again and does not show it yet"
        return ""

    def _wait(self, step: Step, ctx: StepContext, *, active: bool) -> bool:
        """Whether the revision gets into a state; one that is not listed any more counts as inactive."""
        deadline = ctx.clock.now() + PATIENCE
        while True:
            try:
                found = ctx.cloud.get_revision(step.app, step.change["revision"])
            except NotFoundError:
                return not active
            if bool(section(found, "properties", "active")) is active:
                return True
            if ctx.clock.now() >= deadline:
                return False
            ctx.tell(f"revision {step.change['revision']} to be {'active' if active else 'inactive'}")
            ctx.clock.sleep(5.0)


def serves(app: Json, revision: Json) -> str:
    """Why a revision must stay active; empty when nothing depends on it.

    Args:
        app: The app's GET answer.
        revision: As listed.
    """
    name = str(revision.get("name"))
    for entry in section(app, "properties", "configuration", "ingress", "traffic") or []:
        if entry.get("revisionName") == name:
            if entry.get("weight"):
                return f"it has {entry['weight']} percent of the traffic"
            if entry.get("label"):
                return f"the label {entry['label']} leads to it"
    if section(revision, "properties", "trafficWeight"):
        return f"it has {section(revision, 'properties', 'trafficWeight')} percent of the traffic"
    if name == section(app, "properties", "latestRevisionName"):
        return "it is the latest revision"
    if name == section(app, "properties", "latestReadyRevisionName"):
        return "it is the latest revision that is ready"
    return ""


def _app(step: Step) -> str:
    return ResourceId.parse(step.app).name


STEP = RevisionDeactivate()
