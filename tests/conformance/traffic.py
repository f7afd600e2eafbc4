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
from datetime import UTC, datetime
from typing import Any

from migrator.simulator import principals
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World
from tests.conformance import seeds
from tests.conformance.flows import Outcome, Report, Step
from tests.conformance.pace import pace

Json = dict[str, Any]

NOT_SIMULATED = re.compile(
    r"/(javaComponents|dotNetComponents|sourcecontrols|sessionPools|builders|httpRouteConfigs"
    r"|maintenanceConfigurations)(/|\?|$)|/connectedEnvironments/[^/]+(\?|$)"
    r"|/connectedEnvironmentOperation|Microsoft\.(Network|Storage|OperationalInsights)/",
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
_EXECUTION = re.compile(r"(?P<job>[a-z0-9-]+)-[a-z0-9]{7}")
_VERIFICATION = re.compile(r"[0-9A-F]{64}")
_OPAQUE = re.compile(
    r".*\.(createdBy|createdByType|lastModifiedBy|lastModifiedByType|token|customDomainVerificationId|containerId|version"
    r"|staticIp|thumbprint|subjectName|infrastructureResourceGroup|tenantId|customerId|updatedBy|createdOn|updatedOn)"
)
"""Facts of a caller, of a day or of a machine: the kind of value is compared, not the value."""
CENSUS = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
"""Members that are null here and not in an older recording came with later releases of the service."""


def replay(name: str, steps: list[Step], *, selected: bool = False) -> Report:
    """Replay a flow; one that has several sources is several replays.

    `selected`: only some headers were kept in the recording, so that one more here is no difference.
    """
    report = Report(name)
    for part in _parts(steps):
        report.outcomes += Replay(part, selected=selected).run()
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

    def __init__(self, steps: list[Step], *, selected: bool = False) -> None:
        self.steps = steps
        self.selected = selected
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
            pace(self.azure, self.steps, index)
            response = self._ask(step)
            self.bodies.append((step, copy.deepcopy(response.body)))
            outcomes.append(Outcome(step, list(self._compare(step, response))))
        return outcomes

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
            if name not in here or (name not in step.headers and not self.selected):
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
        if path.endswith((".id", ".name")) and self._same_execution(recorded, here):
            return True
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

    def _same_execution(self, recorded: str, here: str) -> bool:
        """Whether two names (or ids) are of executions of one job; their endings are made up on both sides."""
        theirs, mine = recorded.rpartition("/executions/"), here.rpartition("/executions/")
        one, other = _EXECUTION.fullmatch(theirs[2]), _EXECUTION.fullmatch(mine[2])
        if theirs[:2] != mine[:2] or one is None or other is None or one["job"] != other["job"]:
            return False
        return any(step.key.endswith(f"/jobs/{one['job']}/start") for step in self.steps) and self._learn(
            theirs[2], mine[2]
        )

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
