"""`part-prove`: the apps that load a changed Dapr component run with it; a sign-in waits for somebody who signs in."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import health, parts
from migrator.kinds import Kind
from migrator.model import ResourceId, Step
from migrator.ports import Outcome, StepContext
from migrator.veil import section


class PartProve(Kind):
    """Restarts what loads the part, because a sidecar reads components when it starts; changes nothing else."""

    kind = "part-prove"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        if step.change["form"] == parts.SIGN_IN:
            return [(" ", "unproven until somebody signs in without a session cookie")]
        names = ", ".join(ResourceId.parse(app).name for app in step.change["loaders"])
        return [(" ", f"restart {names}, and wait until their replicas run with the component")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        if step.change["form"] == parts.SIGN_IN:
            return Outcome(proven=False, text="unproven until somebody signs in without a session cookie")
        texts, proven = [], True
        for app in step.change["loaders"]:
            revision = str(section(ctx.cloud.get_app(app), "properties", "latestRevisionName") or "")
            ctx.cloud.revision_action(app, revision, "restart")
            found = health.wait(app, revision, ctx)
            proven = proven and found.state is health.State.RUNS
            texts.append(f"{ResourceId.parse(app).name}: {found.text}")
        return Outcome(proven=proven, text="; ".join(texts))

    def verify(self, step: Step, ctx: StepContext) -> None:
        """Looking was all there is to it."""

    def undo(self, step: Step, ctx: StepContext) -> str:
        """Have the apps load the component as it was; steps are undone newest first, so this is done by `part-switch`."""
        del step, ctx
        return ""


STEP = PartProve()
