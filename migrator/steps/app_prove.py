"""`app-prove`: a replica of the right revision runs, and every reference gives the planned value."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import executions, health, signins
from migrator.appwrite import REPLAN, listed, read, unlike, who
from migrator.errors import StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import ResourceId, Step, is_job, same_id
from migrator.ports import Outcome, StepContext
from migrator.swapping import prepared
from migrator.switching import switched
from migrator.veil import section

ROLE = "role-assignment"


class AppProve(Kind):
    """Changes nothing; waits and looks."""

    kind = "app-prove"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        if is_job(step.target):
            return [
                (" ", "compare the resolved values; executions that run since the change prove it, else it is unproven")
            ]
        what = "the latest revision" if step.change["revision"] == "none" else "the new revision"
        return [(" ", f"wait until a replica of {what} runs, and compare the resolved values")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        self._still(step, ctx)
        self._values(step, ctx)
        if is_job(step.target):
            return self._job(step, ctx)
        document = ctx.cloud.get_app(step.target)
        revision = str(section(document, "properties", "latestRevisionName") or "")
        found = health.wait(step.target, revision, ctx, pulls=self._pulls(step, ctx))
        proven, told = True, ""
        if found.state is health.State.RUNS:
            proven, told = self._signed_in(step, revision, ctx)
        self._still(step, ctx)
        ctx.record.note(revision=revision, replicas=list(found.replicas))
        if found.state is health.State.AT_ZERO:
            return Outcome(
                proven=False, text=f"unproven: {found.text}, no replica of {revision} runs that could prove it"
            )
        return Outcome(proven=proven, text=f"{revision}: {found.text}{f'; {told}' if told else ''}")

    def _pulls(self, step: Step, ctx: StepContext) -> str:
        """Where registries went over to an identity, the command that shows its right to pull."""
        for other in ctx.steps.values():
            if other.kind == "app-switch" and same_id(other.target, step.target) and other.change["registries"]:
                roles = [role for role in map(ctx.steps.get, other.after) if role is not None and role.kind == ROLE]
                scope = next((r.change["scope"] for r in roles if "/registries/" in r.change["scope"].lower()), "")
                given = next((ctx.facts_of(r.id).get("principal") for r in roles if r.change["scope"] == scope), None)
                return f"az role assignment list --assignee {given or 'IDENTITY'} --scope {scope or 'REGISTRY'}"
        return ""

    def _signed_in(self, step: Step, revision: str, ctx: StepContext) -> tuple[bool, str]:
        for other in ctx.steps.values():
            if other.kind == "app-switch" and same_id(other.target, step.target) and other.change.get("swaps"):
                return signins.wait(other, revision, ctx)
        return True, ""

    def _job(self, step: Step, ctx: StepContext) -> Outcome:
        found = executions.wait(step.target, ctx)
        if found.state is health.State.RUNS:
            return Outcome(text=found.text)
        start = f"az containerapp job start --ids {step.target}"
        return Outcome(proven=False, text=f"unproven until the next execution ({start}): {found.text}")

    def _still(self, step: Step, ctx: StepContext) -> None:
        """See that nobody deployed over the switch: what runs then proves nothing.

        Raises:
            StaleError: the app does not show its references any more.
        """
        for other in ctx.steps.values():
            if other.kind != "app-switch" or not same_id(other.target, step.target):
                continue
            live = read(step.target, ctx)
            reached, odd = switched(live.veiled, prepared(other, ctx) | {"traffic": None}, "")
            if odd or unlike(reached, live.veiled):
                raise StaleError(
                    f"somebody deployed over {ResourceId.parse(step.target).name} while the run was at work",
                    why=f"{listed(odd) or 'it does not show its references any more'}; {who(live.raw)}",
                    hint=REPLAN,
                )

    def _values(self, step: Step, ctx: StepContext) -> None:
        planned = {
            secret["name"]: secret["fingerprint"]
            for other in ctx.steps.values()
            if other.kind == "app-switch" and same_id(other.target, step.target)
            for secret in other.change["secrets"]
        }
        if not planned:
            return
        wrong = []
        for secret in ctx.cloud.get_app_secrets(step.target):
            if secret.name in planned:
                if secret.value is not None:
                    ctx.see(secret.value)
                if secret.value is None or ctx.fingerprinter.of_secret(secret.value) != planned.pop(secret.name):
                    wrong.append(secret.name)
        if wrong or planned:
            raise UnprovenError(
                f"references of {ResourceId.parse(step.target).name} do not give the planned values",
                why=f"look at {listed(sorted({*wrong, *planned}))}",
                hint=f"see who else writes to the vault, then: keylift rollback {ctx.run}",
            )

    def verify(self, step: Step, ctx: StepContext) -> None:
        """Looking was all there is to it."""

    def undo(self, step: Step, ctx: StepContext) -> str:
        del step, ctx
        return ""


STEP = AppProve()
