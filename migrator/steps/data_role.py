"""`data-role`: let an identity use a service by the service's own role system (Cosmos DB, Redis)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from migrator.appwrite import REPLAN
from migrator.errors import DeniedError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import DataRole, ResourceId, Step, same_id
from migrator.ports import Outcome, StepContext
from migrator.steps.role_assignment import principal_of


class DataRoleStep(Kind):
    """Assigns in the service's own system; one that is there is adopted and never taken away."""

    kind = "data-role"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        change = step.change
        text = f"{change['role_name']} on {ResourceId.parse(step.target).name}, by the service's own roles"
        return [(" ", f"{text}, is held already")] if change["existing"] else [("+", text)]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        change = step.change
        principal = principal_of(step, ctx).lower()
        held = ctx.cloud.list_data_roles(change["system"], step.target)
        if change["existing"]:
            if not any(same_id(role.id, change["existing"]) for role in held):
                raise StaleError(
                    f"the role {change['role_name']} that the plan relies on is not held any more",
                    why=f"{change['existing']} is gone",
                    hint=REPLAN,
                )
            ctx.record.note(assignment=change["existing"], principal=principal)
            return Outcome(adopted=True)
        seed = "|".join((change["scope"].lower(), principal, change["role"]))
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, seed))
        ours = ctx.cloud.data_role_id(change["system"], step.target, name.replace("-", "") if change["plain"] else name)
        wanted = DataRole(ours, change["role"], principal, change["scope"])
        if ctx.record.facts.get("absent") and any(same_id(role.id, ours) for role in held):
            return Outcome()
        found = next((role for role in held if gives(role, wanted)), None)
        if found is not None:
            # `absent` may be noted though the call never came through, and somebody else made this one since
            ctx.record.note(absent=False, assignment=found.id, principal=principal)
            return Outcome(adopted=True)
        # noted before the call: one that is there after a crash under this name is this run's own
        ctx.record.note(absent=True, assignment=ours, principal=principal, made=ctx.clock.now())
        ctx.cloud.put_data_role(change["system"], wanted, ctx.record.operation)
        return Outcome()

    def verify(self, step: Step, ctx: StepContext) -> None:
        change, facts = step.change, ctx.record.facts
        held = ctx.cloud.list_data_roles(change["system"], step.target)
        if not any(same_id(role.id, facts["assignment"]) for role in held):
            raise UnprovenError(
                f"the role {change['role_name']} is not held on {ResourceId.parse(step.target).name}",
                why="somebody took the assignment away",
                hint=f"see who else assigns roles there, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        if step.change["existing"] or not ctx.record.facts.get("absent"):
            return ""
        facts = ctx.record.facts
        try:
            ctx.cloud.delete_data_role(step.change["system"], facts["assignment"])
        except DeniedError:
            # who may not assign may not remove either: a refused assignment leaves nothing to take away
            held = ctx.cloud.list_data_roles(step.change["system"], step.target)
            if any(same_id(role.id, facts["assignment"]) for role in held):
                raise
        return ""


def gives(held: DataRole, wanted: DataRole) -> bool:
    """Whether an assignment is the wanted one, there or above it."""
    scope = held.scope.lower().rstrip("/")
    reaches = wanted.scope.lower() == scope or wanted.scope.lower().startswith(scope + "/")
    return held.role.lower() == wanted.role.lower() and held.principal_id == wanted.principal_id and reaches


STEP = DataRoleStep()
