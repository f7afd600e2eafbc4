"""The faults of a rehearsal, each given once to the first step of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from migrator.model import Step
from migrator.ports import Event
from migrator.simulator.faults import Fault
from migrator.simulator.server import Simulator

LATE_ROLE = "a role takes twenty minutes to take effect"
DEATH = "the process dies after each change"
REFUSED = "Azure refuses for good"
EDIT = "somebody changes the app meanwhile"

_APP = r"containerApps/[^/]+/?$"
_WRITES = {
    "identity-create": {"method": "PUT", "path": "userAssignedIdentities/"},
    "identity-attach": {"method": "PATCH", "path": _APP},
    "vault-secret": {"method": "PUT", "path": "^/secrets/", "plane": "vault"},
    "role-assignment": {"method": "PUT", "path": "roleAssignments/"},
    "data-role": {"method": "PUT", "path": "(sqlRole|accessPolicy)Assignments/"},
    "app-switch": {"method": "PATCH", "path": _APP},
    "part-switch": {"method": "PUT", "path": "(daprComponents|authConfigs)/"},
    "part-prove": {"method": "POST", "path": "/restart"},
    "traffic-shift": {"method": "PATCH", "path": _APP},
    "revision-deactivate": {"method": "POST", "path": "/deactivate"},
    "registry-admin-off": {"method": "PATCH", "path": "registries/"},
    "secret-remove": {"method": "PATCH", "path": _APP},
}
"""Kind of step -> the request that makes its change; a kind that is not here only reads, as far as faults go."""
CHANGES = frozenset(
    {
        "patch_app",
        "put_identity",
        "delete_identity",
        "put_assignment",
        "delete_assignment",
        "put_data_role",
        "put_part",
        "delete_data_role",
        "set_secret",
        "update_secret",
        "revision_action",
        "set_registry_admin",
    }
)
"""Verbs of the cloud that change it."""


def writes(kind: str) -> bool:
    """Whether a kind of step is known to send a change."""
    return kind in _WRITES


def fault_of(kind: str, **bent: Any) -> Fault | None:
    """A fault on the change of a kind of step; None for a kind that makes none."""
    return Fault(**{**_WRITES[kind], **bent}) if kind in _WRITES else None


@dataclass(frozen=True, slots=True)
class Passing:
    """A fault that passes: the plan must be carried through."""

    name: str
    make: Callable[[str], Fault | None]


def _of_write(**bent: Any) -> Callable[[str], Fault | None]:
    return lambda kind: fault_of(kind, **bent)


def _of_app(**bent: Any) -> Callable[[str], Fault | None]:
    return lambda kind: fault_of(kind, **bent) if _WRITES.get(kind, {}).get("path") == _APP else None


def _of_read(**bent: Any) -> Callable[[str], Fault | None]:
    return lambda _kind: Fault(method="GET", **bent)


PASSING = (
    Passing("the answer to a change is lost", _of_write(drop="after")),
    Passing("the connection breaks before a change", _of_write(drop="before", times=2)),
    Passing("too many requests", _of_write(status=429, code="TooManyRequests", headers={"Retry-After": "5"}, times=2)),
    Passing("service unavailable", _of_write(status=503, code="ServerBusy", times=2)),
    Passing("another operation is in progress", _of_app(status=409, code="ContainerAppOperationInProgress", times=3)),
    Passing("an answer breaks off", _of_read(truncate=True, times=2)),
    Passing("reading fails for a while", _of_read(status=500, times=3)),
)


EVERY = "one passing fault after the other, at every step"


def all_of(kind: str) -> list[Fault]:
    """Every passing fault that fits a kind of step, once each, in an order in which each comes up."""
    bent: list[dict[str, Any]] = [
        {"drop": "before"},
        {"status": 429, "code": "TooManyRequests", "headers": {"Retry-After": "1"}},
        {"status": 503, "code": "ServerBusy"},
    ]
    if _WRITES.get(kind, {}).get("path") == _APP:
        bent.append({"status": 409, "code": "ContainerAppOperationInProgress"})
    made = [fault_of(kind, **one, skip=number) for number, one in enumerate((*bent, {"drop": "after"}))]
    reads = [Fault(method="GET", truncate=True), Fault(method="GET", skip=1, status=500)]
    return [*(fault for fault in made if fault is not None), *reads]


class AtEvery:
    """Listens to a run of one worker, and gives each step every passing fault."""

    def __init__(self, simulator: Simulator, steps: Iterable[Step]) -> None:
        """Give them to `steps`."""
        self._rules = simulator.azure.faults.rules
        self._steps = {step.id: step.kind for step in steps}
        self._now: list[Fault] = []
        self.met = 0
        """How many faults came up."""
        self.steps = 0
        """At how many steps."""

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        if event.kind == "step-started" and event.step in self._steps:
            self.disarm()
            self.steps += 1
            self._now = all_of(self._steps[event.step])
            self._rules.extend(self._now)
        elif event.kind in {"step-done", "step-adopted", "step-failed"}:
            self.disarm()

    def disarm(self) -> None:
        """Bend nothing more."""
        self.met += sum(fault.seen > fault.skip for fault in self._now)
        self._rules[:] = [rule for rule in self._rules if not any(rule is fault for fault in self._now)]
        self._now = []


class Armed:
    """Listens to a run, and bends requests while the chosen step of a kind is at work."""

    def __init__(self, simulator: Simulator, make: Callable[[str], Fault | None], steps: Iterable[Step]) -> None:
        """Give each of `steps` the fault that `make` gives for its kind, where it gives one."""
        self._rules = simulator.azure.faults.rules
        self._steps = {step.id: step.kind for step in steps}
        self._faults: dict[str, Fault] = {}
        self._now: Fault | None = None
        self._make = make
        self.offered: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        if event.kind == "step-started":
            self.disarm()
            kind = self._steps.get(event.step)
            if kind is not None and kind not in self._faults:
                made = self._make(kind)
                if made is not None:
                    self.offered.add(kind)
                    self._faults[kind] = self._now = made
                    self._rules.append(made)
        elif event.kind in {"step-done", "step-adopted", "step-failed"}:
            self.disarm()

    def disarm(self) -> None:
        """Bend nothing more."""
        if self._now is not None and self._now in self._rules:
            self._rules.remove(self._now)
        self._now = None

    def met(self) -> set[str]:
        """Kinds whose fault came up."""
        return {kind for kind, fault in self._faults.items() if fault.seen > fault.skip}


class DiedError(BaseException):
    """What a killed process would have no time to catch."""


class Dying:
    """The cloud, in a process that dies after each change it makes, before anybody can note the answer.

    Each change kills once: one that is made again because of that goes through.
    """

    def __init__(self, cloud: Any) -> None:
        """Stand before `cloud`."""
        self._cloud = cloud
        self._made: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._cloud, name)
        if name not in CHANGES:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            answer = found(*arguments, **options)
            change = repr((name, [one for one in arguments if not callable(one)], sorted(options)))
            if change in self._made:
                return answer
            self._made.add(change)
            raise DiedError

        return call
