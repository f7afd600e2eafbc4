"""`identity-create`: a user-assigned identity for an app."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.errors import UnprovenError
from migrator.kinds import Kind
from migrator.model import ResourceId, Step
from migrator.ports import Outcome, StepContext

RUN_TAG = "keylift-run"
"""Says which run made a thing: after a crash, only this tells its own from somebody else's."""


class IdentityCreate(Kind):
    """Makes the identity, or adopts one that is there."""

    kind = "identity-create"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        return [("+", f"identity {step.change['name']} in {step.change['location']}")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        found = ctx.cloud.get_identity(step.target)
        ours = found is not None and (found.get("tags") or {}).get(RUN_TAG) == ctx.run
        if found is None:
            # noted before the call: without it there is nothing to look for when the step is undone
            ctx.record.note(asked=True)
        document = found or ctx.cloud.put_identity(
            step.target, step.change["location"], {**step.change["tags"], RUN_TAG: ctx.run}
        )
        properties = document["properties"]
        ctx.record.note(principalId=properties["principalId"], clientId=properties["clientId"])
        return Outcome(adopted=found is not None and not ours)

    def verify(self, step: Step, ctx: StepContext) -> None:
        found = ctx.cloud.get_identity(step.target)
        principal = (found or {}).get("properties", {}).get("principalId")
        if principal != ctx.record.facts.get("principalId"):
            raise UnprovenError(
                f"the identity {step.change['name']} is not the one that was made",
                why="it is gone" if found is None else "its principal is another",
                hint=f"see who else works on it, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        if not ctx.record.facts.get("asked"):
            return ""
        found = ctx.cloud.get_identity(step.target)
        if found is None:
            return ""
        if (found.get("tags") or {}).get(RUN_TAG) != ctx.run:
            return f"the identity {ResourceId.parse(step.target).name} was not made by this run"
        ctx.cloud.delete_identity(step.target)
        return ""


STEP = IdentityCreate()
