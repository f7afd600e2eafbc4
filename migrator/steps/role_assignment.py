"""`role-assignment`: let an identity read one secret, pull from one registry, or use one part of a service."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from migrator.appwrite import REPLAN
from migrator.errors import DeniedError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import ResourceId, RoleAssignment, Step, same_id
from migrator.ports import Outcome, StepContext
from migrator.veil import section


class RoleAssignmentStep(Kind):
    """Assigns at the scope of the plan; one that is there is adopted and never taken away."""

    kind = "role-assignment"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        change = step.change
        text = f"role {change['role_name']} at {ResourceId.parse(change['scope']).name}"
        return [(" ", f"{text} is held already")] if change["existing"] else [("+", text)]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        change = step.change
        principal = principal_of(step, ctx)
        held = ctx.cloud.list_assignments(change["scope"], principal)
        if change["existing"]:
            found = next((a for a in held if same_id(a.id, change["existing"])), None)
            if found is None:
                raise StaleError(
                    f"the role {change['role_name']} that the plan relies on is not held any more",
                    why=f"assignment {change['existing']} is gone",
                    hint=REPLAN,
                )
            ctx.record.note(assignment=found.id, principal=principal)
            return Outcome(adopted=True)
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, "|".join((change["scope"].lower(), principal, change["role"]))))
        ours = f"{change['scope']}/providers/Microsoft.Authorization/roleAssignments/{name}"
        found = _exact(held, change["scope"], change["role"])
        if found is not None and not (ctx.record.facts.get("absent") and same_id(found.id, ours)):
            # `absent` may be noted though the call never came through, and somebody else made this one since
            ctx.record.note(absent=False, assignment=found.id, principal=principal)
            return Outcome(adopted=True)
        if found is None:
            # noted before the call: one that is there after a crash under this name is this run's own
            ctx.record.note(absent=True, assignment=ours, principal=principal, made=ctx.clock.now())
            found, made = ctx.cloud.put_assignment(
                change["scope"], name, change["role"], principal, f"keylift plan {ctx.plan}, run {ctx.run}"
            )
            if not made and not same_id(found.id, ours):
                ctx.record.note(absent=False, assignment=found.id)
                return Outcome(adopted=True)
        # by Azure's clock: what it says of later assignments compares with nothing else
        ctx.record.note(assignment=found.id, created=found.created)
        return Outcome()

    def verify(self, step: Step, ctx: StepContext) -> None:
        change, facts = step.change, ctx.record.facts
        held = ctx.cloud.list_assignments(change["scope"], facts["principal"])
        if not any(same_id(assignment.id, facts["assignment"]) for assignment in held):
            raise UnprovenError(
                f"the role {change['role_name']} is not held at {ResourceId.parse(change['scope']).name}",
                why="somebody took the assignment away",
                hint=f"see who else assigns roles there, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        if step.change["existing"] or not ctx.record.facts.get("absent"):
            return ""
        facts = ctx.record.facts
        try:
            ctx.cloud.delete_assignment(facts["assignment"])
        except DeniedError:
            # who may not assign may not remove either: a refused assignment leaves nothing to take away
            held = ctx.cloud.list_assignments(step.change["scope"], facts["principal"])
            if any(same_id(assignment.id, facts["assignment"]) for assignment in held):
                raise
        return ""


def principal_of(step: Step, ctx: StepContext) -> str:
    """Object id of the identity that a step names, from the plan, the run, or Azure.

    Raises:
        StaleError: the identity is gone.
    """
    known = step.change.get("principal_id")
    if known:
        return str(known)
    identity = step.change["identity"]
    for other in ctx.steps.values():
        if identity == "system":
            if other.kind == "identity-attach" and same_id(other.target, step.app):
                known = ctx.facts_of(other.id).get("systemPrincipalId")
        elif other.kind == "identity-create" and same_id(other.target, identity):
            known = ctx.facts_of(other.id).get("principalId")
        if known:
            return str(known)
    document = ctx.cloud.get_app(step.app) if identity == "system" else ctx.cloud.get_identity(identity)
    part = "identity" if identity == "system" else "properties"
    known = section(document or {}, part, "principalId")
    if not known:
        raise StaleError("the identity of the plan is gone", why=f"{identity} has no principal", hint=REPLAN)
    return str(known)


def _exact(held: Sequence[RoleAssignment], scope: str, role: str) -> RoleAssignment | None:
    return next((a for a in held if same_id(a.scope, scope) and a.role == role and not a.condition), None)


STEP = RoleAssignmentStep()
