"""Deny assignments that would keep an identity from data: the key stays, in the vault, and the plan says which and where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from migrator.model import Denial, Estate, Plan, Rights
from migrator.passwordless.code import read_code
from migrator.passwordless.evidence import Code
from migrator.passwordless.services import Service, services
from migrator.planning.roles import matches, meet
from migrator.proposing import with_targets
from tests.executor import world

from .test_apply import ACCOUNT, BUS, COSMOS, GROUP, QUEUE, TRIGGER, bus, functions, steps
from .test_apply_dapr import OWN, PLAIN, apps, component

EVERYBODY = "00000000-0000-0000-0000-000000000000"
RECEIVE = "Microsoft.ServiceBus/namespaces/messages/receive/action"
SEND = "Microsoft.ServiceBus/namespaces/messages/send/action"


def denial(scope: str, *actions: str, principals: tuple[str, ...] = (EVERYBODY,), **more: Any) -> Denial:
    identifier = f"{scope}/providers/Microsoft.Authorization/denyAssignments/d"
    rights = more.pop("rights", Rights(data_actions=actions))
    return Denial(identifier, "stack-deny", scope, (rights,), frozenset(principals), **more)


@contextmanager
def of(folder: Path, *resources: dict[str, Any]) -> Iterator[tuple[world.World, Estate]]:
    """A simulated cloud, and its estate with what its secrets point at."""
    with world.inside(world.estate(*resources), folder) as live:
        yield live, with_targets(live.session, live.read(), None)


def code(folder: Path, text: str = TRIGGER["f.cs"]) -> dict[str, Code]:
    (folder / "code").mkdir()
    (folder / "code" / "f.cs").write_text(text)
    return {"": read_code(folder / "code")}


def keyless(plan: Plan) -> bool:
    return any(step.change.get("swaps") for step in plan.steps)


def notes(plan: Plan) -> str:
    return "\n".join(note["text"] for note in plan.notes if note["kind"] == "passwordless")


def only_a_trigger() -> dict[str, Any]:
    found = functions()
    found["properties"]["template"]["scale"].pop("rules")
    return found


@pytest.fixture(scope="module")
def one_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[world.World, Estate, dict[str, Any]]]:
    """An app whose key gives way where nothing is denied, with what its plan is made of."""
    folder = tmp_path_factory.mktemp("denials")
    with of(folder, only_a_trigger(), bus()) as (live, found):
        given = {"passwordless": "apply", "planted": [BUS], "code": code(folder)}
        assert keyless(live.plan(estate=found, **given))
        yield live, found, given


NAMESPACE = QUEUE.partition("/queues/")[0]


@pytest.mark.parametrize(
    ("denied", "stays"),
    [
        (denial(GROUP, RECEIVE), True),
        (denial(GROUP, "*/receive/action"), True),
        (denial(GROUP, "Microsoft.ServiceBus/*"), True),
        (denial(QUEUE, "*/receive/action"), True),
        (denial(NAMESPACE, RECEIVE, below=False), False),
        (denial(QUEUE, RECEIVE, below=False), True),
        # another part, another action, another plane, another service, other identities
        (denial(f"{NAMESPACE}/queues/other", RECEIVE), False),
        (denial(GROUP, SEND), False),
        (denial(GROUP, rights=Rights(actions=("*",))), False),
        (denial(GROUP, "Microsoft.Storage/*"), False),
        (denial(GROUP, RECEIVE, principals=("somebody",)), False),
        (denial(GROUP, rights=Rights(data_actions=("*",), not_data_actions=("Microsoft.ServiceBus/*",))), False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else f"{value.scope.rpartition('/')[2]} {value.blocks[0]}",
)
def test_what_the_identity_may_never_do_keeps_the_key_in_the_vault(tmp_path: Path, denied: Denial, stays: bool) -> None:
    with of(tmp_path, only_a_trigger(), bus()) as (live, found):
        given = {"passwordless": "apply", "planted": [BUS], "code": code(tmp_path)}
        assert keyless(live.plan(estate=found, **given))
        plan = live.plan(estate=replace(found, denials=(denied,)), **given)
        assert keyless(plan) is not stays
        assert ("vault-secret" in steps(plan)) is stays
        told = notes(plan)
        assert (f"deny assignment 'stack-deny' at {denied.scope}" in told) is stays
        assert ("Azure Service Bus Data Receiver at ns1.orders" in told) is stays


def test_a_denial_of_a_part_counts_where_the_role_is_at_the_whole(tmp_path: Path) -> None:
    """The key opened the part, too: an identity that may not would be less than the key."""
    twice = '[ServiceBusTrigger("a", Connection = "Bus")]\n[ServiceBusTrigger("b", Connection = "Bus")]'
    with of(tmp_path, only_a_trigger(), bus()) as (live, found):
        given = {"passwordless": "apply", "planted": [BUS], "code": code(tmp_path, twice)}
        assert keyless(live.plan(estate=found, **given))
        part = denial(f"{NAMESPACE}/queues/a", RECEIVE, below=False)
        assert not keyless(live.plan(estate=replace(found, denials=(part,)), **given))


def test_a_spared_identity_and_one_that_is_meant(tmp_path: Path) -> None:
    own = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/own"
    app = only_a_trigger()
    app["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {own: {}}}
    with of(tmp_path, app, bus()) as (live, found):
        given = {"passwordless": "apply", "planted": [BUS], "code": code(tmp_path)}
        (identity,) = found.identities
        principal = str(identity.document["properties"]["principalId"]).lower()
        meant = denial(GROUP, RECEIVE, principals=(principal,))
        assert not keyless(live.plan(estate=replace(found, denials=(meant,)), **given))
        spared = denial(GROUP, RECEIVE, spared=frozenset({principal}))
        assert keyless(live.plan(estate=replace(found, denials=(spared,)), **given))


@pytest.mark.parametrize("service", [one for one in services().values() if one.system == "arm"], ids=lambda s: s.id)
def test_what_a_role_opens_is_what_azure_says_of_it(service: Service) -> None:
    """A data action that the table lacks would be one whose denial is passed over."""
    known = json.loads(files("migrator.simulator").joinpath("roles.json").read_text())
    for role in (*service.roles.values(), *service.kinds.values()):
        opened = [action for block in known[role.id]["permissions"] for action in block.get("dataActions", [])]
        assert all(any(matches(ours, action) for ours in role.data) for action in opened), role.name
        assert all(any(meet(ours, action) for action in opened) for ours in role.data), role.name


def test_a_service_with_roles_of_its_own_asks_no_deny_assignment(tmp_path: Path) -> None:
    account = {
        "id": ACCOUNT,
        "location": "westeurope",
        "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    }
    app = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node", "Db": COSMOS})
    text = 'void Run([CosmosDBTrigger("shop", "orders", Connection = "Db")] string[] rows) {}'
    with of(tmp_path, app, account) as (live, found):
        denied = replace(found, denials=(denial(GROUP, "*"),))
        assert keyless(live.plan(estate=denied, passwordless="apply", planted=[COSMOS], code=code(tmp_path, text)))


def test_a_component_whose_apps_may_not_keeps_its_key(tmp_path: Path) -> None:
    with of(tmp_path, *apps(), component(PLAIN)) as (live, found):
        (identity,) = [one for one in found.identities if one.id.lower() == OWN.lower()]
        principal = str(identity.document["properties"]["principalId"]).lower()
        plan = live.plan(estate=found, passwordless="apply")
        assert "part-switch" in steps(plan)
        denied = replace(found, denials=(denial(GROUP, SEND, principals=(principal,)),))
        plan = live.plan(estate=denied, passwordless="apply")
        assert steps(plan) == []
        assert "component orders keeps its key: deny assignment 'stack-deny'" in notes(plan)
        assert "identity shared" in notes(plan)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a/b/read", "A/B/Read", True),
        ("a/*", "a/b/c", True),
        ("*/read", "a/*", True),
        ("a/*/send/action", "a/b/*", True),
        ("*", "", True),
        ("a/*", "b/*", False),
        ("*/read", "*/write", False),
        ("a/b", "a/b/c", False),
        ("", "a", False),
    ],
)
def test_two_wildcards_meet_where_some_action_is_meant_by_both(one: str, other: str, same: bool) -> None:
    assert meet(one, other) is same
    assert meet(other, one) is same
