"""`traffic-shift`: the traffic of the old revision goes to the proven new one (Multiple mode)."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.appwrite import REPLAN, Live, Missing, begin, compare, read, unlike, write
from migrator.errors import NotFoundError, ReferenceRefusedError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import Json, ResourceId, Step, same_id
from migrator.ports import Outcome, StepContext
from migrator.switching import FOLLOWING, TRAFFIC, shifted, with_traffic
from migrator.veil import section


class TrafficShift(Kind):
    """One PATCH of `ingress.traffic`."""

    kind = "traffic-shift"
    writes_app = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        if step.change.get("restore_latest"):
            return [("~", "traffic: follows the latest revision again, which is the proven new one")]
        return [("~", f"traffic: the share of {step.change['from']} goes to the new revision")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        environment = read(step.target, ctx).environment
        with ctx.lane(environment):
            live = begin(step, ctx)
            wanted = _wanted(step, ctx, live)
            body = _body(section(wanted, *TRAFFIC))
            write(step, ctx, live, body, wanted, Missing(step, ctx))
        return Outcome()

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return False
        live = read(step.target, ctx)
        wanted = _wanted(step, ctx, Live(live.raw, before, live.values))
        if unlike(_only(wanted), _only(live.veiled)):
            return False
        compare(step, ctx, live, wanted)
        return True

    def verify(self, step: Step, ctx: StepContext) -> None:
        live = read(step.target, ctx)
        after = ctx.record.facts.get("after") or {}
        if unlike(_only(after), _only(live.veiled)):
            raise UnprovenError(
                f"the traffic of {ResourceId.parse(step.target).name} is not as it was set",
                why="somebody changed it",
                hint=f"see who else writes to the app, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return ""
        try:
            environment = read(step.target, ctx).environment
        except NotFoundError:
            return f"the app {ResourceId.parse(step.target).name} is gone"
        with ctx.lane(environment):
            live = read(step.target, ctx)
            if not unlike(_only(before), _only(live.veiled)):
                return ""
            if unlike(_only(_wanted(step, ctx, Live(live.raw, before, live.values))), _only(live.veiled)):
                return "the traffic was changed by somebody else and is left as it is"
            wanted = with_traffic(live.veiled, section(before, *TRAFFIC))
            try:
                write(step, ctx, live, _body(section(before, *TRAFFIC)), wanted, Missing(step, ctx))
            except ReferenceRefusedError:
                # every write resolves the references anew, and the vault gives nothing now: the switch is taken back
                # next, with values in their place, and the traffic in the same write (`switchback`)
                return ""
        return ""


def _wanted(step: Step, ctx: StepContext, live: Live) -> Json:
    facts = _switch_facts(step, ctx)
    wanted = shifted(live.veiled, step.change, facts.get("pre_image") or {}, str(facts.get("revision") or ""))
    if wanted is None:
        raise StaleError(
            f"the traffic of {ResourceId.parse(step.target).name} does not name {step.change['from']} any more",
            why="somebody changed it",
            hint=REPLAN,
        )
    return wanted


def _switch_facts(step: Step, ctx: StepContext) -> Json:
    for other in ctx.steps.values():
        if other.kind == "app-switch" and same_id(other.target, step.target):
            return ctx.facts_of(other.id)
    return {}


def _body(traffic: list[Json] | None) -> Json:
    return {"properties": {"configuration": {"ingress": {"traffic": traffic or FOLLOWING}}}}


def _only(document: Json) -> Json:
    return {"traffic": section(document, *TRAFFIC)}


STEP = TrafficShift()
