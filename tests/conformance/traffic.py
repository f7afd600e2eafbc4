"""Replays recorded flows against the simulated cloud and compares answer by answer.

A flow is a list of interactions in order; those of one source are one replay, in a cloud of their own whose clock
stands at the recorded Date. What a recording presupposes (environments, apps, identities) is taken from the recording
itself, and so is how long each operation and each start of a replica took: durations are facts of the day, not rules.
Ids that the service makes up are mapped from what was recorded to what is answered here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from migrator.simulator import principals
from migrator.simulator.apps import revisions
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World

Json = dict[str, Any]

NOT_SIMULATED = re.compile(
    r"/(jobs|daprComponents|storages|certificates|managedCertificates|resiliencyPolicies|javaComponents|dotNetComponents"
    r"|sourcecontrols|connectedEnvironments|sessionPools|builders|httpRouteConfigs|maintenanceConfigurations)(/|\?|$)"
    r"|/containerappsjobOperation|/connectedEnvironmentOperation|Microsoft\.(Network|Storage|OperationalInsights)/",
    re.IGNORECASE,
)
"""Kinds of resources that this simulator does not serve (yet)."""

NOT_COMPARED = re.compile(
    r"date|server|content-(length|type)|retry-after|x-ms-request-id|x-ms-correlation-request-id|x-ms-routing-request-id"
    r"|x-ms-ratelimit-remaining-subscription-reads|x-ms-served-by|client-request-id|x-ms-client-request-id|x-msedge-ref"
    r"|x-ms-original-request-ids|x-cache|connection|transfer-encoding|x-ms-failure-id|mise-correlation-id|x-aspnet-version"
)
"""Headers of the transport, and those that the recorder removed (traffic/README.md, header caveat)."""
SINCE_2025 = re.compile(r"x-ms-operation-identifier|x-ms-ratelimit-remaining-subscription-global-.*|vary")
"""Headers that Azure added while recordings were made: compared in those of 2025 only."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_DOMAIN = re.compile(r"[a-z]+-[0-9a-f]{8}\.[a-z0-9]+\.azurecontainerapps\.io")
_REVISION = re.compile(r"[a-z0-9-]+--[a-z0-9-]+")
_VERIFICATION = re.compile(r"[0-9A-F]{64}")
_OPAQUE = re.compile(
    r".*\.(createdBy|createdByType|lastModifiedBy|lastModifiedByType|token|customDomainVerificationId|containerId|version"
    r"|staticIp|thumbprint|subjectName|infrastructureResourceGroup|tenantId|customerId|updatedBy|createdOn|updatedOn)"
)
"""Facts of a caller, of a day or of a machine: the kind of value is compared, not the value."""
CENSUS = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""Members that are null here and not in an older recording came with later releases of the service."""
_FINAL = ("Succeeded", "Failed", "Canceled")


@dataclass(slots=True)
class Step:
    """One recorded interaction."""

    number: int
    method: str
    url: str
    status: int
    moment: float
    request: Any
    response: Any
    headers: dict[str, str]
    source: str

    @property
    def path(self) -> str:
        return self.url.split("?")[0].removeprefix("https://management.azure.com").rstrip("/")

    @property
    def key(self) -> str:
        return self.path.lower()

    @property
    def operation(self) -> str | None:
        """The guid of the operation that this interaction polls."""
        match = re.search(r"/(?:\w+)Operation(?:Statuses|Results)/([^/]+)$", self.path, re.IGNORECASE)
        return match[1] if match else None

    @property
    def started(self) -> str | None:
        """The guid of the operation that this interaction starts."""
        for name in ("azure-asyncoperation", "location"):
            match = re.search(r"/\w+Operation(?:Statuses|Results)/([^/?]+)", self.headers.get(name, ""), re.IGNORECASE)
            if match:
                return match[1]
        return None


@dataclass(slots=True)
class Outcome:
    """How one interaction came out."""

    step: Step
    mismatches: list[str]
    simulated: bool = True

    @property
    def matched(self) -> bool:
        return not self.mismatches


@dataclass(slots=True)
class Report:
    """How one flow came out."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def counted(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.simulated]

    @property
    def matched(self) -> int:
        return sum(1 for outcome in self.counted if outcome.matched)

    def lines(self) -> Iterator[str]:
        apart = len(self.outcomes) - len(self.counted)
        yield f"{self.name}: {self.matched}/{len(self.counted)}" + (
            f", {apart} of kinds not simulated" if apart else ""
        )
        for outcome in self.counted:
            if not outcome.matched:
                step = outcome.step
                yield f"   {step.number} {step.method} {step.status} {step.path[-90:]}"
                for mismatch in outcome.mismatches[:12]:
                    yield f"      {mismatch}"


def read(path: Path) -> list[Step]:
    """The interactions of a flow file."""
    return [
        Step(
            number,
            entry["method"],
            entry["url"],
            entry["status"],
            parsedate_to_datetime(entry["recorded"]).timestamp(),
            entry["request_body"],
            entry["response_body"],
            {name.lower(): value for name, value in entry["response_headers"].items()},
            f"{entry['source']['repo']} {entry['source']['path']}",
        )
        for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8")))
    ]


def replay(name: str, steps: list[Step]) -> Report:
    """Replay a flow; one that has several sources is several replays."""
    report = Report(name)
    for part in _parts(steps):
        report.outcomes += Replay(part).run()
    return report


def answers(steps: list[Step]) -> Iterator[tuple[Step, Any]]:
    """The bodies that a flow's requests are answered with here."""
    for part in _parts(steps):
        run = Replay(part)
        run.run()
        yield from run.bodies


def _parts(steps: list[Step]) -> Iterator[list[Step]]:
    """A flow by its sources; where time runs back, another cloud begins."""
    part: list[Step] = []
    for step in steps:
        if part and (step.source != part[-1].source or step.moment < part[-1].moment):
            yield part
            part = []
        part.append(step)
    if part:
        yield part


class Replay:
    """One cloud, one recording."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.azure = Azure(
            World(1), Clock(speed=0.0, start=steps[0].moment - 60), origins={"arm": "https://management.azure.com"}
        )
        self.recent = True
        self.bodies: list[tuple[Step, Any]] = []
        self.names: dict[str, str] = {}
        """What was recorded -> what is answered here."""
        self.azure.world.table("tenant")["id"] = "72f988bf-86f1-41af-91ab-2d7cd011db47"
        self.caller = principals.operator(self.azure)["id"]
        self.azure.world.table("tokens")["t"] = {
            "principal": self.caller,
            "audience": "management",
            "resource": "",
            "expires": 9e9,
        }
        # imported here: the seeds read steps, the steps are defined above
        from tests.conformance import seeds

        seeds.plant(self.azure, steps, self.caller)
        self.azure.settle()

    def run(self) -> list[Outcome]:
        """Replay all interactions."""
        outcomes = []
        for index, step in enumerate(self.steps):
            if NOT_SIMULATED.search(step.url):
                outcomes.append(Outcome(step, [], simulated=False))
                continue
            self.azure.clock.advance(max(step.moment - self.azure.clock.now(), 0.0))
            self._pace(index, step)
            response = self._ask(step)
            self.bodies.append((step, copy.deepcopy(response.body)))
            outcomes.append(Outcome(step, list(self._compare(step, response))))
        return outcomes

    # How long things took

    def _pace(self, index: int, step: Step) -> None:
        """Set the durations of what this interaction starts to what the recording shows."""
        switches = self.azure.switches
        if step.method == "POST":
            switches.replica_start = 4.0
        if step.method == "GET" or step.started is None:
            return
        lasting = self._lasted(index, step)
        switches.app_operation = switches.environment_operation = lasting
        ready = self._ready_after(index, step, lasting)
        switches.replica_start = max((ready or 30.0) - lasting * revisions.CREATED, 0.5)
        if step.key not in self.azure.world.table("needs") and self._crashes(index, step):
            self.azure.world.table("needs")[step.key] = [{"env": "WHAT_THE_RECORDED_IMAGE_LACKED", "value": None}]

    def _lasted(self, index: int, step: Step) -> float:
        still, done = 0.0, None
        for later in self.steps[index + 1 :]:
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

    def _ready_after(self, index: int, step: Step, lasting: float) -> float | None:
        """Seconds from a write until its revision was ready, between what says not yet and what says so."""
        app = step.key
        made: str | None = None
        before = self._latest(reversed(self.steps[:index]), app)
        still, waiting, ready = 0.0, 0.0, None
        for later in self.steps[index + 1 :]:
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

    def _crashes(self, index: int, step: Step) -> bool:
        """Whether the recording shows that this app's revisions do not start: none is ready a minute after its write."""
        app = step.key
        named = {p["latestReadyRevisionName"] for s in self.steps if (p := _properties(s, app)) and _named(p)}
        for number, earlier in enumerate(self.steps[index:], index):
            if earlier.key != app or earlier.method not in {"PUT", "PATCH"}:
                continue
            made = self._latest(iter(self.steps[number:]), app)
            last = max((s.moment for s in self.steps if _properties(s, app)), default=0.0)
            known = self._latest(reversed(self.steps[:number]), app)
            if made not in (None, known) and known is not None and made not in named and last - earlier.moment > 45:
                return True
        return False

    def _latest(self, steps: Iterator[Step] | Any, app: str) -> str | None:
        for step in steps:
            properties = _properties(step, app)
            if properties and properties.get("latestRevisionName"):
                return str(properties["latestRevisionName"])
        return None

    # Asking

    def _ask(self, step: Step) -> Response:
        if step.status in {412, 429}:
            # a fault of the day; the simulator gives it on request
            error = (step.response or {}).get("error", {})
            self.azure.faults.rules.append(
                Fault(status=step.status, code=error.get("code", ""), message=error.get("message", ""))
            )
        headers = {"authorization": "Bearer t", "content-type": "application/json"}
        body = b"" if step.request is None else self._here(json.dumps(step.request)).encode()
        return self.azure.handle("arm", Request.of(step.method, self._here(step.url), headers, body))

    def _here(self, text: str) -> str:
        """A recorded text with the names of this cloud."""
        for recorded, answered in sorted(self.names.items(), key=lambda item: -len(item[0])):
            text = text.replace(recorded, answered)
        return text

    def _there(self, text: str) -> str:
        """A text of this cloud with the recorded names."""
        for recorded, answered in sorted(self.names.items(), key=lambda item: -len(item[1])):
            text = text.replace(answered, recorded)
        return text

    # Comparing

    def _compare(self, step: Step, response: Response) -> Iterator[str]:
        if response.status != step.status:
            yield f"status: recorded {step.status}, here {response.status} {str(response.body)[:300]}"
            return
        if step.status in {412, 429}:
            return
        yield from self._compare_headers(step, response)
        self.recent = step.moment >= CENSUS
        yield from self._body(step.response, response.body, "")

    def _compare_headers(self, step: Step, response: Response) -> Iterator[str]:
        recent = step.moment >= CENSUS
        here = {name.lower(): value for name, value in response.headers.items()}
        if step.started is not None:
            for name in ("azure-asyncoperation", "location"):
                match = re.search(r"/\w+Operation(?:Statuses|Results)/([^/?]+)", here.get(name, ""), re.IGNORECASE)
                if match:
                    self.names[step.started] = match[1]
        for name in sorted(set(here) | set(step.headers)):
            if NOT_COMPARED.fullmatch(name) or (SINCE_2025.fullmatch(name) and not recent):
                continue
            if (name in here) != (name in step.headers):
                yield f"header {name}: " + ("missing here" if name in step.headers else "not recorded")

    def _body(self, recorded: Any, here: Any, path: str) -> Iterator[str]:
        if isinstance(recorded, dict) and isinstance(here, dict):
            yield from self._objects(recorded, here, path)
        elif isinstance(recorded, list) and isinstance(here, list):
            yield from self._lists(recorded, here, path)
        elif isinstance(recorded, str) and isinstance(here, str):
            if not self._same_text(recorded, here, path):
                yield f"{path}: recorded {recorded[:120]!r}, here {here[:120]!r}"
        elif recorded != here or isinstance(recorded, bool) != isinstance(here, bool):
            yield f"{path}: recorded {str(recorded)[:120]}, here {str(here)[:120]}"

    def _objects(self, recorded: Json, here: Json, path: str) -> Iterator[str]:
        known = {self._there(key): key for key in here}
        for key, value in recorded.items():
            if key not in known:
                yield f"{path}.{key}: missing here, recorded {json.dumps(value)[:120]}"
            else:
                yield from self._body(value, here[known[key]], f"{path}.{key}")
        for key, original in known.items():
            if key not in recorded and not (here[original] is None and not self.recent):
                yield f"{path}.{key}: not recorded, here {json.dumps(here[original])[:120]}"

    def _lists(self, recorded: list[Any], here: list[Any], path: str) -> Iterator[str]:
        if path.endswith("outboundIpAddresses"):
            if not all(_ADDRESS.fullmatch(str(item)) for item in here) or bool(recorded) != bool(here):
                yield f"{path}: recorded addresses, here {here}"
            return
        if path == ".value" and all(isinstance(item, dict) and set(item) <= {"name", "value"} for item in recorded):
            # the order of listSecrets changes from one recorded answer to the next
            recorded = sorted(recorded, key=lambda item: str(item["name"]))
            here = sorted(here, key=lambda item: str(item.get("name")))
        if len(recorded) != len(here):
            yield f"{path}: recorded {len(recorded)} items, here {len(here)}"
            return
        for index, (one, other) in enumerate(zip(recorded, here, strict=True)):
            yield from self._body(one, other, f"{path}[{index}]")

    def _same_text(self, recorded: str, here: str, path: str) -> bool:
        if recorded == here or recorded == self._there(here):
            return True
        for pattern in (_GUID, _DOMAIN):
            if pattern.fullmatch(recorded) and pattern.fullmatch(here):
                self.names.setdefault(recorded, here)
                return True
        if path.endswith(("evisionName", ".name")) and _REVISION.fullmatch(recorded) and _REVISION.fullmatch(here):
            if recorded.split("--", maxsplit=1)[0] != here.split("--", maxsplit=1)[0]:
                return False
            return self._learn(recorded, here)
        if path.endswith(".id") and "--" in recorded and "--" in here:
            return self._learn_id(recorded, here)
        if _STAMP.fullmatch(recorded) and (match := _STAMP.fullmatch(here)):
            return (match[2] or "") == ((_STAMP.fullmatch(recorded) or match)[2] or "")
        if _OPAQUE.fullmatch(path) or (_VERIFICATION.fullmatch(recorded) and _VERIFICATION.fullmatch(here)):
            return True
        if found := _DOMAIN.search(recorded):
            mine = _DOMAIN.search(here)
            if mine and found[0] not in self.names:
                self.names[found[0]] = mine[0]
            return recorded == self._there(here)
        if path.endswith("runningStateDetails") and recorded.startswith("Container started at"):
            return here.startswith("Container started at")
        return set(recorded) <= {"*", "x"} and bool(recorded)  # masked by the recorder

    def _learn(self, recorded: str, here: str) -> bool:
        if recorded in self.names or here in self.names.values():
            return self.names.get(recorded) == here
        self.names[recorded] = here
        return True

    def _learn_id(self, recorded: str, here: str) -> bool:
        theirs, mine = recorded.split("/"), here.split("/")
        if len(theirs) != len(mine):
            return False
        for one, other in zip(theirs, mine, strict=True):
            if one != other and self._there(other) != one and not ("--" in one and self._learn(one, other)):
                return False
        return True


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
