"""`access-wait`: let time pass between a right on another service and the change that stands on it.

Nothing but the app shows that a service honours a new role, and the app would run without its key by then. So the time that
Azure says it may take passes first (learn.microsoft.com/azure/role-based-access-control/troubleshooting: ten minutes).
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.kinds import Kind
from migrator.model import Step
from migrator.ports import Outcome, StepContext


class AccessWait(Kind):
    """Changes nothing; waits, from the last right that this run gave."""

    kind = "access-wait"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        minutes = step.change["seconds"] / 60
        return [(" ", f"{minutes:.0f} minutes pass, until the new rights may be taken to be in effect everywhere")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        # what was held before was given long ago, and notes no moment
        made = [float(facts["made"]) for facts in map(ctx.facts_of, step.after) if facts.get("made")]
        seconds, now = min(float(step.change["seconds"]), ctx.propagation), ctx.clock.now()
        # a moment that lies ahead was noted by a clock that went wrong: nothing takes longer than from now on
        until = min(max(made, default=0.0), now) + seconds
        while (rest := until - ctx.clock.now()) > 0:
            ctx.tell(f"the identity's rights to take effect everywhere ({rest / 60:.0f} more minutes)")
            ctx.clock.sleep(min(rest, 30.0))
        return Outcome()

    def verify(self, step: Step, ctx: StepContext) -> None:
        """Time has passed."""

    def undo(self, step: Step, ctx: StepContext) -> str:
        del step, ctx
        return ""


STEP = AccessWait()
