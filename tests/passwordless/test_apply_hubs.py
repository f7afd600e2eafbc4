"""Event Hubs, whose readers keep checkpoints in an account: both keys give way together, or neither does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.proof import verify
from migrator.rehearsal import rehearse
from migrator.rehearsal_stage import Source
from scanners.model import Secret
from tests.e2e.promises import as_people_see_it
from tests.executor import world

from .test_apply import GROUP, planned, steps
from .test_apply_dapr import ENVIRONMENT, component, loader, shown

HUB_KEY, STORE_KEY = "Canary8kT9vQ2xZ7mLw4pRsHb3nJ6yC8h4==", "Canary9kT9vQ2xZ7mLw4pRsHb3nJ6yC8s5=="
HUB = f"Endpoint=sb://eh1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={HUB_KEY}"
STORE = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={STORE_KEY};EndpointSuffix=core.windows.net"
NAMESPACE = f"{GROUP}/providers/Microsoft.EventHub/namespaces/eh1"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acme"
METADATA = {
    "eventHubName": "clicks",
    "consumerGroup": "$Default",
    "blobContainer": "marks",
    "checkpointStrategy": "blobMetadata",
}
AUTH = [
    {"secretRef": "hub", "triggerParameter": "connection"},
    {"secretRef": "store", "triggerParameter": "storageConnection"},
]


def services() -> list[dict[str, Any]]:
    endpoints = {kind: f"https://acme.{kind}.core.windows.net/" for kind in ("blob", "queue", "table")}
    return [
        {
            "id": NAMESPACE,
            "location": "westeurope",
            "properties": {"serviceBusEndpoint": "https://eh1.servicebus.windows.net:443/"},
        },
        {"id": ACCOUNT, "location": "westeurope", "properties": {"primaryEndpoints": endpoints}},
    ]


def reader(metadata: dict[str, str] | None = None, auth: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """An app that scales by a hub, and does not read it itself."""
    found = world.app("worker", secrets={"hub": HUB, "store": STORE})
    body = {"type": "azure-eventhub", "metadata": metadata or METADATA, "auth": auth or AUTH}
    found["properties"]["template"]["scale"]["rules"] = [{"name": "clicks", "custom": body}]
    return found


def test_a_rule_with_checkpoints_signs_in_to_both_and_goes_back(tmp_path: Path) -> None:
    with world.inside(world.estate(reader(), *services()), tmp_path) as live:
        before, things = live.app("worker"), live.resources()
        plan = planned(live, tmp_path, {}, planted=[HUB, STORE])
        assert "vault-secret" not in steps(plan)
        assert HUB_KEY not in plan.to_json()
        assert STORE_KEY not in plan.to_json()
        # the least of both, where the rule looks
        assert {(s.change["role_name"], s.target) for s in plan.steps if s.kind == "role-assignment"} == {
            ("Azure Event Hubs Data Receiver", f"{NAMESPACE}/eventhubs/clicks"),
            ("Storage Blob Data Reader", f"{ACCOUNT}/blobServices/default/containers/marks"),
        }
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        (rule,) = live.app("worker")["properties"]["template"]["scale"]["rules"]
        assert rule["custom"]["identity"].lower().endswith("/id-worker")
        assert not rule["custom"].get("auth")
        # the bare name; without the account's the scaler would go on asking for the connection
        assert rule["custom"]["metadata"] == {**METADATA, "eventHubNamespace": "eh1", "storageAccountName": "acme"}
        (proven,) = verify(result.run, live.cloud, live.journal, world.KEY).apps
        assert proven.status == "ok", proven.checks
        # both keys stay valid, and the plan says how each ends
        assert {risk["where"] for risk in plan.rest_risk} >= {NAMESPACE, ACCOUNT}
        assert executor.rollback(result.run).exit_code == 0
        assert as_people_see_it(live.app("worker")) == as_people_see_it(before)
        assert {n: v for n, v in live.values("worker").items() if v} == {"hub": Secret(HUB), "store": Secret(STORE)}
        assert live.resources() == things


def test_a_rehearsal_meets_every_fault(tmp_path: Path) -> None:
    with world.inside(world.estate(reader(), *services()), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[HUB, STORE])
        held = rehearse(Source(plan, live.read(), world.KEY))
        assert held.ok, (held.problems, [trial for trial in held.trials if not trial.survived])


def _used_besides() -> dict[str, Any]:
    app = reader()
    app["properties"]["template"]["containers"][0]["env"].append({"name": "FILES", "secretRef": "store"})
    return app


@pytest.mark.parametrize(
    ("app", "there", "why"),
    [
        (_used_besides(), services(), "is given another secret, too, which stays (store)"),
        (reader(), services()[:1], "is given another secret, too, which stays (store)"),
        (reader(), services()[1:], "is given another secret, too, which stays (hub)"),
        (reader({**METADATA, "storageAccountName": "other"}), services(), "is given another secret, too, which stays (store)"),
        (
            reader({**METADATA, "storageAccountName": "acme"}, AUTH[:1]),
            services(),
            "whose account no secret of the rule names",
        ),
        (reader({"eventHubName": "clicks"}), services(), ""),
        (reader(METADATA, AUTH[:1]), services(), ""),
    ],
    ids=["used besides", "no account", "no namespace", "another account", "no key of it", "no container", "no account named"],
)  # fmt: skip
def test_neither_key_goes_where_one_stays(
    tmp_path: Path, app: dict[str, Any], there: list[dict[str, Any]], why: str
) -> None:
    with world.inside(world.estate(app, *there), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[HUB, STORE])
        assert not any(step.change.get("swaps") for step in plan.steps)
        assert steps(plan).count("vault-secret") == 2
        assert why in "\n".join(note["text"] for note in plan.notes if note["kind"] == "passwordless")


PUBSUB = [
    {"name": "connectionString", "value": HUB},
    {"name": "storageConnectionString", "value": STORE},
    {"name": "storageAccountName", "value": "acme"},
    {"name": "storageContainerName", "value": "marks"},
]


def loaded(metadata: list[dict[str, Any]], kind: str = "pubsub.azure.eventhubs") -> list[dict[str, Any]]:
    return [ENVIRONMENT, loader("one"), loader("two"), *services(), component(metadata, kind)]


@pytest.mark.parametrize("first", [0, 1])
def test_a_component_with_checkpoints_loses_both_keys_and_gets_them_back(tmp_path: Path, first: int) -> None:
    metadata = [PUBSUB[first], PUBSUB[1 - first], *PUBSUB[2:]]  # whichever comes first is not taken for the hub's
    with world.inside(world.estate(*loaded(metadata)), tmp_path) as live:
        before, things = shown(live), live.resources()
        plan = planned(live, tmp_path, {}, planted=[])
        assert steps(plan) == ["role-assignment"] * 3 + ["access-wait", "part-switch", "part-prove"]
        assert HUB_KEY not in plan.to_json()
        assert STORE_KEY not in plan.to_json()
        assert {(s.change["role_name"], s.target) for s in plan.steps if s.kind == "role-assignment"} == {
            ("Azure Event Hubs Data Receiver", NAMESPACE),
            ("Azure Event Hubs Data Sender", NAMESPACE),
            ("Storage Blob Data Contributor", f"{ACCOUNT}/blobServices/default/containers/marks"),
        }
        assert {risk["where"] for risk in plan.rest_risk} >= {NAMESPACE, ACCOUNT}
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        after = shown(live)
        assert {"connectionString", "storageConnectionString"} & set(after) == set()
        assert after["eventHubNamespace"] == "eh1.servicebus.windows.net"
        assert (after["storageAccountName"], after["storageContainerName"]) == ("acme", "marks")
        assert executor.rollback(result.run).exit_code == 0
        assert shown(live) == before
        assert live.resources() == things


BINDING = "bindings.azure.eventhubs"


@pytest.mark.parametrize(
    ("metadata", "hub"),
    [
        ([*PUBSUB, {"name": "eventHub", "value": "clicks"}], "clicks"),
        # the string named the hub, and it goes
        ([{"name": "connectionString", "value": f"{HUB};EntityPath=clicks"}, *PUBSUB[1:]], "clicks"),
        (PUBSUB, ""),
        (PUBSUB[:3], ""),
        ([PUBSUB[0], PUBSUB[1], PUBSUB[3]], ""),
        ([*PUBSUB[:2], {"name": "storageAccountName", "value": "gone"}, PUBSUB[3], {"name": "eventHub", "value": "h"}], ""),
    ],
    ids=["named", "by the string", "no hub", "no container", "no account", "no such account"],
)  # fmt: skip
def test_a_binding_knows_its_hub_and_its_account(tmp_path: Path, metadata: list[dict[str, Any]], hub: str) -> None:
    with world.inside(world.estate(*loaded(metadata, BINDING)), tmp_path) as live:
        plan = planned(live, tmp_path, {}, planted=[])
        assert ("part-switch" in steps(plan)) is bool(hub)
        if hub:
            assert live.executor().apply(plan).exit_code == 0
            assert shown(live)["eventHub"] == hub
            targets = {step.target for step in plan.steps if step.kind == "role-assignment"}
            assert f"{NAMESPACE}/eventhubs/{hub}" in targets
