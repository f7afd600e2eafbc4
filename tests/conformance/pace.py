"""How long things took in a recording: operations, and the start of replicas, between what says not yet and what says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import revisions

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure
    from tests.conformance.flows import Step

Json = dict[str, Any]

_FINAL = ("Succeeded", "Failed", "Canceled")


def pace(azure: Azure, steps: list[Step], index: int) -> None:
    """Set the durations of what this interaction starts to what the recording shows."""
    switches, step = azure.switches, steps[index]
    if step.method == "POST":
        switches.replica_start = 4.0
    if step.method == "GET" or step.started is None:
        return
    lasting = _lasted(steps, index)
    switches.app_operation = switches.environment_operation = lasting
    ready = _ready_after(steps, index, lasting)
    switches.replica_start = max((ready or 30.0) - lasting * revisions.CREATED, 0.5)
    if step.key not in azure.world.table("needs") and _crashes(steps, index):
        azure.world.table("needs")[step.key] = [{"env": "WHAT_THE_RECORDED_IMAGE_LACKED", "value": None}]


def _lasted(steps: list[Step], index: int) -> float:
    step = steps[index]
    still, done = 0.0, None
    for later in steps[index + 1 :]:
        age = later.moment - step.moment
        if later.operation == step.started:
            running = later.status == 202 or (later.response or {}).get("status") == "InProgress"
        elif later.key == step.key and later.method in {"PUT", "PATCH", "DELETE"}:
            running = later.status == 409
        elif later.key == step.key and later.method == "GET" and isinstance(later.response, dict):
            state = (later.response.get("properties") or {}).get("provisioningState")
            running = later.status == 200 and state not in _FINAL
        else:
            continue
        if running:
            still = age
        else:
            done = age
            break
    if done is None:
        return still + 30.0
    return max((still + done) / 2, 0.1) if done > still else still + 0.4


def _ready_after(steps: list[Step], index: int, lasting: float) -> float | None:
    """Seconds from a write until its revision was ready, between what says not yet and what says so."""
    step = steps[index]
    app = step.key
    made: str | None = None
    before = _latest(reversed(steps[:index]), app)
    still, waiting, ready = 0.0, 0.0, None
    for later in steps[index + 1 :]:
        age = later.moment - step.moment
        if later.method in {"PUT", "PATCH", "DELETE"} and later.key == app:
            break
        properties = _properties(later, app)
        if properties is None:
            if "/replicas" in later.key and later.key.startswith(app) and ready is None:
                if _starting(later):  # its containers run and are not ready yet: a part of the way
                    made_at = lasting * revisions.CREATED
                    return made_at + ((waiting + age) / 2 - made_at) / revisions.STARTED
                waiting = age
            for name, entry in _revisions(later, app):
                if name == made and entry.get("runningState") in {"Running", "RunningAtMaxScale"}:
                    ready = ready or age
                elif name == made and ready is None:
                    still = age
            continue
        made = properties.get("latestRevisionName") or made
        if made is None or made == before:
            continue
        if properties.get("latestReadyRevisionName") == made and before is not None:
            ready = ready or age
        elif ready is None:
            still = age
    if ready is None:
        return still + 15.0 if still else None
    return (max(still, 0.0) + ready) / 2


def _crashes(steps: list[Step], index: int) -> bool:
    """Whether the recording shows that this app's revisions do not start: none is ready a minute after its write."""
    step = steps[index]
    app = step.key
    named = {p["latestReadyRevisionName"] for s in steps if (p := _properties(s, app)) and _named(p)}
    for number, earlier in enumerate(steps[index:], index):
        if earlier.key != app or earlier.method not in {"PUT", "PATCH"}:
            continue
        made = _latest(iter(steps[number:]), app)
        last = max((s.moment for s in steps if _properties(s, app)), default=0.0)
        known = _latest(reversed(steps[:number]), app)
        if made not in (None, known) and known is not None and made not in named and last - earlier.moment > 45:
            return True
    return False


def _latest(steps: Iterator[Step], app: str) -> str | None:
    for step in steps:
        properties = _properties(step, app)
        if properties and properties.get("latestRevisionName"):
            return str(properties["latestRevisionName"])
    return None


def _starting(step: Step) -> bool:
    """Whether an answer shows replicas whose containers have started and are not ready."""
    entries = (step.response or {}).get("value") or []
    inner = [c for entry in entries for c in (entry.get("properties") or {}).get("containers") or []]
    return bool(inner) and all(c.get("started") and not c.get("ready") for c in inner)


def _named(properties: Json) -> bool:
    return bool(properties.get("latestReadyRevisionName"))


def _properties(step: Step, app: str) -> Json | None:
    """The properties of an app in an answer that shows it settled."""
    if step.method != "GET" or step.status != 200 or not isinstance(step.response, dict):
        return None
    if step.key == app or (step.operation and str(step.response.get("id", "")).lower() == app):
        found: Json = step.response.get("properties") or {}
        return found
    return None


def _revisions(step: Step, app: str) -> list[tuple[str, Json]]:
    """Names and properties of the revisions in an answer."""
    if step.method != "GET" or not isinstance(step.response, dict) or not step.key.startswith(f"{app}/revisions"):
        return []
    entries = step.response.get("value") if step.key == f"{app}/revisions" else [step.response]
    return [
        (str(entry["name"]), entry["properties"]) for entry in entries or [] if "active" in entry.get("properties", {})
    ]
