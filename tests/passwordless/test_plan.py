"""Advice in a plan: from a live estate, with the app's code, to what people and programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from migrator import api, rendering
from migrator.console import Console
from tests.e2e.promises import CANARY, witness
from tests.e2e.test_estates import app, estate, rid, vault

BUS = (
    f"Endpoint=sb://ns1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={CANARY}kT9vQ2xZ7mLw4pRsHb3nJ6=="
)


def with_namespace(kind: str = "Microsoft.ServiceBus/namespaces") -> dict[str, Any]:
    namespace = {
        "id": rid(kind, "ns1"),
        "location": "westeurope",
        "properties": {"serviceBusEndpoint": "https://ns1.servicebus.windows.net:443/"},
    }
    return estate(vault(), namespace, app("func", {"Bus": BUS, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"}))


def test_a_plan_says_what_could_do_without(tmp_path: Path) -> None:
    (tmp_path / "F.cs").write_text('void Run([EventHubTrigger("h", Connection = "Bus")] string[] m) {}')
    with witness(with_namespace("Microsoft.EventHub/namespaces")) as seen:
        plan = api.make_plan(seen.place, api.Scope(), vault="kv-one", code=[f"func={tmp_path}"])
        (advice,) = plan.passwordless
        assert (advice["outcome"], advice["service"]) == ("configuration", "Event Hubs")
        assert [role["role"] for role in advice["roles"]] == ["Azure Event Hubs Data Receiver"]
        assert {"action": "remove", "name": "Bus"} in advice["changes"]
        for form in ("human", "markdown", "json"):
            text = rendering.plan(form, plan, Console())
            assert CANARY not in text
            assert "Bus__fullyQualifiedNamespace" in text.replace("\\", "")
        assert type(plan).from_json(plan.to_json()) == plan
        # without the code nothing is proposed, and what is missing is said
        (blind,) = api.make_plan(seen.place, api.Scope(), vault="kv-one").passwordless
        assert blind["outcome"] == "vault-reference"
        assert not api.make_plan(seen.place, api.Scope(), vault="kv-one", passwordless="never").passwordless


def test_advice_is_the_same_bytes_each_time_and_stops_nothing() -> None:
    with witness(with_namespace()) as seen:
        first, second = (api.make_plan(seen.place, api.Scope(), vault="kv-one").to_json() for _ in range(2))
        assert first == second
        assert json.loads(first)["passwordless"]
        assert seen.apply(type(seen.plan()).from_json(first)).exit_code == 0


STORAGE = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={CANARY}9vQ2xZ7mLw4pRsHb3nJ6yC8==;EndpointSuffix=core.windows.net"


def with_account(**more: Any) -> dict[str, Any]:
    account = {"id": rid("Microsoft.Storage/storageAccounts", "acme"), "location": "westeurope", "properties": {}}
    env = {"AzureWebJobsStorage": STORAGE, "FUNCTIONS_WORKER_RUNTIME": "node"}
    return estate(vault(), account, app("func", env), **more)


def test_which_key_it_is_is_told_by_the_service() -> None:
    key = STORAGE.split("AccountKey=")[1].split(";", maxsplit=1)[0]
    keys = [{"resource": rid("Microsoft.Storage/storageAccounts", "acme"), "name": "key2", "value": key}]
    with witness(with_account(serviceKeys=keys)) as seen:
        (advice,) = api.make_plan(seen.place, api.Scope(), vault="kv-one", compare_keys=True).passwordless
        assert advice["outcome"] == "configuration"
        assert advice["for"][0] == "it is key2 of acme, compared in memory"
        (unasked,) = api.make_plan(seen.place, api.Scope(), vault="kv-one").passwordless
        assert "compared" not in json.dumps(unasked)
        assert CANARY not in json.dumps(advice)


def test_a_key_that_the_service_does_not_know_stays() -> None:
    with witness(with_account()) as seen:
        (advice,) = api.make_plan(seen.place, api.Scope(), vault="kv-one", compare_keys=True).passwordless
        assert advice["outcome"] == "vault-reference"
        assert "no key of acme" in advice["against"][0]


def test_a_policy_gives_no_more_than_it_allowed(tmp_path: Path) -> None:
    """Send at one queue becomes the sender's role at that queue."""
    (tmp_path / "F.cs").write_text('[ServiceBusOutput("orders", Connection = "Bus")] public string Run() => "";')
    document = with_namespace()
    queue = rid("Microsoft.ServiceBus/namespaces", "ns1") + "/queues/orders"
    document["serviceKeys"] = [{"resource": queue, "name": "a", "value": "x" * 44, "rights": ["Send"]}]
    bus = f"{BUS};EntityPath=orders"
    document["resources"][-1]["properties"]["template"]["containers"][0]["env"][0]["value"] = bus
    with witness(document) as seen:
        (advice,) = api.make_plan(seen.place, api.Scope(), vault="kv-one", code=[str(tmp_path)]).passwordless
        (role,) = advice["roles"]
        assert (role["role"], role["scope"]) == ("Azure Service Bus Data Sender", queue)
        assert "rights: the policy a allows Send" in advice["for"]
