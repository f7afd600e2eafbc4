"""Whether a revision runs: by its replicas, not by what the app says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from migrator.errors import NotFoundError, UnprovenError
from migrator.model import Json
from migrator.ports import StepContext
from migrator.veil import section

RUNNING = frozenset({"running", "runningatmaxscale"})
FAILED = frozenset({"failed", "degraded"})
AT_ZERO = frozenset({"scaledtozero", "stopped"})
"""`runningState` of a revision. The SDK's list is incomplete: what is in none of these sets is waited for
(CORRECTIONS, section 2.6; traffic, section 6)."""
GRACE = 20.0
"""Seconds a revision that may scale to zero is given to show a replica."""


class State(StrEnum):
    """What is known of a revision."""

    RUNS = "runs"
    AT_ZERO = "scaled to zero"
    """Nothing runs, and nothing has to: neither good nor bad is shown."""
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Health:
    """One look at a revision."""

    state: State
    text: str
    replicas: tuple[str, ...] = ()
    """Names of those that are ready."""


def look(app: Json, revision: Json, replicas: tuple[Json, ...]) -> Health:
    """Judge what was read of an app, one of its revisions, and the replicas of that."""
    properties = revision.get("properties") or {}
    running = str(properties.get("runningState") or "").replace(" ", "").lower()
    provisioning = str(properties.get("provisioningState") or "").lower()
    if running in FAILED or provisioning == "failed":
        details = [
            properties.get("provisioningError"),
            properties.get("runningStateDetails"),
            *(_details(replica) for replica in replicas),
        ]
        told = "; ".join(dict.fromkeys(str(text) for text in details if text))
        return Health(State.FAILED, f"{running or provisioning}{f': {told}' if told else ''}")
    ready = tuple(str(replica.get("name")) for replica in replicas if _ready(replica))
    if running in RUNNING and ready and provisioning in {"", "provisioned"}:
        name = str(revision.get("name"))
        single = str(section(app, "properties", "configuration", "activeRevisionsMode") or "").lower() == "single"
        took = section(app, "properties", "latestReadyRevisionName")
        if single and name == section(app, "properties", "latestRevisionName") and took != name:
            return Health(State.STARTING, f"{name} runs and has not taken over yet", ready)
        return Health(State.RUNS, f"{len(ready)} of {len(replicas)} replicas ready", ready)
    stopped = str(section(app, "properties", "runningStatus") or "").lower() == "stopped"
    if not replicas and (stopped or (running in AT_ZERO | RUNNING and minimum(app) == 0)):
        return Health(State.AT_ZERO, "the app is stopped" if stopped else "scaled to zero")
    return Health(State.STARTING, f"{running or 'state unknown'}, {len(ready)} of {len(replicas)} replicas ready")


def minimum(app: Json) -> int:
    """The fewest replicas an app may have; unset means none."""
    return int(section(app, "properties", "template", "scale", "minReplicas") or 0)


def observe(app: str, revision: str, ctx: StepContext) -> Health:
    """Look at a revision now.

    Raises:
        CloudError: Azure does not answer.
    """
    document = ctx.cloud.get_app(app)
    try:
        found = ctx.cloud.get_revision(app, revision)
    except NotFoundError:
        return Health(State.STARTING, f"revision {revision} is not listed yet")
    return look(document, found, ctx.cloud.list_replicas(app, revision))


def wait(app: str, revision: str, ctx: StepContext, *, pulls: str = "") -> Health:
    """Look until the revision runs, has failed, or rests at zero.

    Args:
        app: ARM id.
        revision: Its name.
        ctx: The step's surroundings.
        pulls: Where the revision pulls with an identity whose role may not be in effect yet, the command that shows the
            role: the platform tries a refused pull again, so inside the propagation window a refusal is waited out.

    Raises:
        UnprovenError: it failed, or did not start in time; the message carries what Azure says, without values.
    """
    began, pause = ctx.clock.now(), 0.5
    while True:
        health = observe(app, revision, ctx)
        waited = ctx.clock.now() - began
        if health.state is State.RUNS:
            return health
        if health.state is State.AT_ZERO and waited >= GRACE:
            return health
        late = bool(pulls) and health.state is State.FAILED and "unauthorized" in health.text.lower()
        if late and waited >= ctx.propagation:
            raise UnprovenError(
                f"revision {revision} may not pull its image",
                why=f"the identity's right has not taken effect in {waited / 60:.0f} minutes, or is not enough: "
                f"{ctx.redact(health.text)}",
                hint=f"see whether it is there: {pulls}; then the log: az containerapp logs show --ids {app} --revision "
                f"{revision} --type system",
            )
        if health.state is State.FAILED and not late:
            raise UnprovenError(
                f"revision {revision} does not run",
                why=ctx.redact(health.text),
                hint=f"see its log: az containerapp logs show --ids {app} --revision {revision} --type system",
            )
        if waited >= ctx.proof and not late:
            raise UnprovenError(
                f"revision {revision} has not started within {ctx.proof:.0f} seconds",
                why=ctx.redact(health.text),
                hint=f"see its log: az containerapp logs show --ids {app} --revision {revision} --type system",
            )
        ctx.tell(
            "the identity's right to pull to take effect" if late else f"revision {revision}: {ctx.redact(health.text)}"
        )
        ctx.clock.sleep(pause)
        pause = min(pause * 1.5, 10.0)


def _ready(replica: Json) -> bool:
    properties = replica.get("properties") or {}
    containers = properties.get("containers") or []
    running = str(properties.get("runningState") or "running").lower() == "running"
    return running and bool(containers) and all(container.get("ready") is True for container in containers)


def _details(replica: Json) -> str:
    properties = replica.get("properties") or {}
    texts = [properties.get("runningStateDetails")]
    for kind in ("initContainers", "containers"):
        texts += [container.get("runningStateDetails") for container in properties.get(kind) or []]
    return "; ".join(str(text) for text in texts if text)
