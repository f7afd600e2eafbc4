"""Whether a changed job works: by an execution that began after the change, not by what the job says of itself.

A job has no replica between its executions, so there may be nothing to look at for a day: that is unproven, never good.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from migrator.errors import UnprovenError
from migrator.health import Health, State
from migrator.model import Json
from migrator.ports import StepContext
from migrator.veil import section

SUCCEEDED, RUNNING = "succeeded", frozenset({"running", "processing"})
FAILED = frozenset({"failed", "degraded"})
"""`status` of an execution; one that was stopped shows nothing either way."""


def look(job: Json, executions: Sequence[Json]) -> Health:
    """Judge a job by its executions since its last change, newest first.

    One that failed counts only where the last one before the change did not fail too.
    """
    changed = _moment(section(job, "systemData", "lastModifiedAt"))
    since = [e for e in executions if changed is None or (_started(e) or changed) >= changed]
    before = [e for e in executions if e not in since]
    for execution in since:
        status, name = _status(execution), str(execution.get("name"))
        if status == SUCCEEDED:
            return Health(State.RUNS, f"execution {name} succeeded after the change", (name,))
        if status in RUNNING:
            return Health(State.STARTING, f"execution {name} is running")
        if status in FAILED:
            last = next((_status(e) for e in before if _status(e) in {SUCCEEDED, *FAILED}), "")
            if last in FAILED:
                return Health(State.AT_ZERO, f"execution {name} failed, as the last one before the change did")
            return Health(State.FAILED, f"execution {name} failed after the change")
    return Health(State.AT_ZERO, "no execution has run since the change")


def wait(job: str, ctx: StepContext) -> Health:
    """Look until the executions that run now have ended; not for one that somebody may start some day.

    Raises:
        UnprovenError: one failed that would have succeeded before.
    """
    began, pause = ctx.clock.now(), 1.0
    while True:
        health = look(ctx.cloud.get_app(job), ctx.cloud.list_revisions(job))
        if health.state is State.FAILED:
            raise UnprovenError(
                "the job fails since it was changed",
                why=health.text,
                hint=f"see its log: az containerapp job logs show --ids {job} --container NAME",
            )
        if health.state is not State.STARTING:
            return health
        if ctx.clock.now() - began >= ctx.proof:
            return Health(State.AT_ZERO, f"{health.text} still, after {ctx.proof / 60:.0f} minutes")
        ctx.tell(health.text)
        ctx.clock.sleep(pause)
        pause = min(pause * 1.5, 15.0)


def _status(execution: Json) -> str:
    return str(section(execution, "properties", "status") or "").lower()


def _started(execution: Json) -> datetime | None:
    return _moment(section(execution, "properties", "startTime"))


def _moment(text: object) -> datetime | None:
    """A time of Azure's to the second: it writes UTC with `Z`, with an offset of zero, or without either."""
    try:
        return datetime.fromisoformat(str(text)[:19]).replace(tzinfo=UTC)
    except ValueError:
        return None
