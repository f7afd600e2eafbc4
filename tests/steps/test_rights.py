"""A right that somebody else gives while a run is between its note and its call is theirs, and stays."""

from __future__ import annotations

from typing import Any, cast

import pytest

from migrator.model import DataRole, RoleAssignment, Step
from migrator.ports import Cloud, Record, StepContext
from migrator.steps import data_role, role_assignment
from scanners.model import Fingerprinter

ACCOUNT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts/c1"
CHANGE = {
    "role": "r",
    "role_name": "Reader",
    "scope": ACCOUNT,
    "identity": "system",
    "principal_id": "p",
    "existing": None,
    "data": True,
}


class Page:
    """A page of the journal."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def note(self, **facts: object) -> None:
        self.facts |= facts

    def operation(self, url: str) -> None:
        pass


class Refusing:
    """A cloud that refuses to assign, and keeps what others assigned."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def now(self) -> float:
        return 0.0

    def list_data_roles(self, _system: str, _resource: str) -> tuple[DataRole, ...]:
        return tuple(self.held)

    def data_role_id(self, _system: str, resource: str, name: str) -> str:
        return f"{resource}/sqlRoleAssignments/{name}"

    def list_assignments(self, _scope: str, _principal: str) -> tuple[RoleAssignment, ...]:
        return tuple(self.held)

    def put_data_role(self, *_given: object) -> None:
        raise ConnectionError

    def put_assignment(self, *_given: object) -> None:
        raise ConnectionError

    def delete_data_role(self, _system: str, assignment: str) -> None:
        self.held = [one for one in self.held if one.id != assignment]

    def delete_assignment(self, assignment: str) -> None:
        self.held = [one for one in self.held if one.id != assignment]


@pytest.mark.parametrize(
    ("kind", "change", "theirs"),
    [
        (data_role.STEP, {"system": "cosmos", "plain": False}, DataRole(f"{ACCOUNT}/x/theirs", "r", "p", ACCOUNT)),
        (role_assignment.STEP, {}, RoleAssignment(f"{ACCOUNT}/x/theirs", ACCOUNT, "r", "p")),
    ],
    ids=["data-role", "role-assignment"],
)
def test_what_others_gave_meanwhile_is_adopted_and_stays(kind: Any, change: dict[str, Any], theirs: Any) -> None:
    cloud, page = Refusing(), Page()
    step = Step("a/right", kind.kind, ACCOUNT, "", CHANGE | change, {"delete": True}, "", "")
    ctx = StepContext(
        cast("Cloud", cloud),
        cast("Any", cloud),
        Fingerprinter(b"k" * 32),
        cast("Record", page),
        print,
        "run",
        "plan",
        lambda _step: {},
    )
    with pytest.raises(ConnectionError):
        kind.do(step, ctx)
    cloud.held.append(theirs)
    assert kind.do(step, ctx).adopted
    kind.undo(step, ctx)
    assert cloud.held == [theirs]
