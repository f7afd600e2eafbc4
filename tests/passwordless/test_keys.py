"""Keys listed and compared in memory: which key or policy a value is, and what that says of the rights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from migrator import api, rendering
from migrator.console import Console
from migrator.model import Json
from tests.e2e.promises import CANARY, Witness, witness
from tests.e2e.test_estates import app, estate, rid, vault

KEYS = {
    name: f"{CANARY}{name}vQ2xZ7mLw4pRsHb3nJ6yC8" for name in ("bus", "hub", "cosmos", "store", "find", "live", "iot")
}
KEYS |= {name: f"{CANARY}{name}vQ2xZ7mLw4pRsHb3nJ6yC8" for name in ("grid", "mail", "cache", "old", "pull")}
BUS, HUB = rid("Microsoft.ServiceBus/namespaces", "ns1"), rid("Microsoft.EventHub/namespaces", "ns2")
KINDS = {
    BUS: {"serviceBusEndpoint": "https://ns1.servicebus.windows.net:443/"},
    HUB: {"serviceBusEndpoint": "https://ns2.servicebus.windows.net:443/"},
    rid("Microsoft.DocumentDB/databaseAccounts", "c1"): {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    rid("Microsoft.AppConfiguration/configurationStores", "a1"): {"endpoint": "https://a1.azconfig.io"},
    rid("Microsoft.Search/searchServices", "f1"): {},
    rid("Microsoft.Devices/IotHubs", "h1"): {"hostName": "h1.azure-devices.net"},
    rid("Microsoft.Communication/communicationServices", "m1"): {"hostName": "m1.communication.azure.com"},
    rid("Microsoft.Cache/redisEnterprise", "r1"): {"hostName": "r1.westeurope.redis.azure.net"},
}


def policy(namespace: str, name: str, key: str, entity: str = "") -> str:
    end = f";EntityPath={entity}" if entity else ""
    return f"Endpoint=sb://{namespace}.servicebus.windows.net/;SharedAccessKeyName={name};SharedAccessKey={key}{end}"


VALUES = {
    "BUS": policy("ns1", "sends", KEYS["bus"], "orders"),
    "HUB": policy("ns2", "RootManageSharedAccessKey", KEYS["hub"]),
    "GONE": policy("ns1", "gone", KEYS["old"], "orders"),
    "OLD": policy("ns1", "sends", KEYS["pull"], "orders"),
    "COSMOS": f"AccountEndpoint=https://c1.documents.azure.com:443/;AccountKey={KEYS['cosmos']}",
    "STORE": f"Endpoint=https://a1.azconfig.io;Id=x;Secret={KEYS['store']}",
    "IOT": f"HostName=h1.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={KEYS['iot']}",
    "MAIL": f"endpoint=https://m1.communication.azure.com/;accesskey={KEYS['mail']}",
    "CACHE": f"rediss://:{KEYS['cache']}@r1.westeurope.redis.azure.net:10000",
}


FIND = f"Endpoint=https://f1.search.windows.net;Key={KEYS['find']}"


def listed(**more: Any) -> Json:
    kinds = {identifier.rpartition("/")[2]: identifier for identifier in KINDS}
    keys = [
        {"resource": f"{BUS}/queues/orders", "name": "sends", "value": KEYS["bus"], "rights": ["Send"]},
        {
            "resource": HUB,
            "name": "RootManageSharedAccessKey",
            "value": KEYS["hub"],
            "rights": ["Listen", "Send", "Manage"],
        },
        {"resource": kinds["c1"], "name": "secondaryReadonlyMasterKey", "value": KEYS["cosmos"]},
        {"resource": kinds["a1"], "name": "Primary Read Only", "value": KEYS["store"]},
        {"resource": kinds["f1"], "name": "shop", "value": KEYS["find"]},
        {"resource": kinds["h1"], "name": "service", "value": KEYS["iot"]},
        {"resource": kinds["m1"], "name": "secondaryKey", "value": KEYS["mail"]},
        {"resource": kinds["r1"], "name": "primaryKey", "value": KEYS["cache"]},
    ]
    resources = [{"id": one, "location": "westeurope", "properties": properties} for one, properties in KINDS.items()]
    return estate(vault(), *resources, app("api", VALUES, {"find": FIND}), serviceKeys=keys, **more)


OPERATOR = "Container Apps Operator"


def advice(seen: Witness, **options: Any) -> tuple[dict[str, Json], str]:
    """What a plan says of each variable, and the whole of it as people read it."""
    plan = api.make_plan(seen.place, api.Scope(), vault="kv-one", **options)
    assert CANARY not in plan.to_json()
    told = rendering.plan("human", plan, Console())
    assert CANARY not in told
    return {entry["names"][0]: entry for entry in plan.passwordless}, " ".join(told.split())


CODE = """
var bus = new ServiceBusClient(connectionString);
var data = new CosmosClient(connectionString);
builder.AddAzureAppConfiguration(connectionString);
"""


def test_which_key_or_policy_a_value_is(tmp_path: Path) -> None:
    (tmp_path / "A.cs").write_text(CODE)
    with witness(listed()) as seen:
        found, told = advice(seen, compare_keys=True, code=[str(tmp_path)])
    for name, says in {
        "BUS": "primaryKey of the policy sends of ns1",
        "HUB": "primaryKey of the policy rootmanagesharedaccesskey of ns2",
        "COSMOS": "secondaryReadonlyMasterKey of c1",
        "STORE": "Primary Read Only of a1",
        "find": "a query key shop of f1",
        "IOT": "primaryKey of the policy service of h1",
        "MAIL": "secondaryKey of m1",
        "CACHE": "primaryKey of r1",
    }.items():
        assert f"it is {says}, compared in memory" in found[name]["for"], (name, found[name])
        assert says in told, name
    assert "no shared access policy gone any more" in found["GONE"]["against"][0]
    assert "it is no key of ns1 as the service lists them now" in found["OLD"]["against"][0]
    # what the key itself may do bounds the role
    roles = {name: [role["role"] for role in found[name]["roles"]] for name in ("BUS", "COSMOS", "STORE")}
    assert roles == {
        "BUS": ["Azure Service Bus Data Sender"],
        "COSMOS": ["Cosmos DB Built-in Data Reader"],
        "STORE": ["App Configuration Data Reader"],
    }
    assert "rights: secondaryReadonlyMasterKey only reads" in found["COSMOS"]["for"]


def test_keys_that_may_not_be_listed_are_named() -> None:
    document = listed()
    document["operator"] = {
        "roles": [
            {"role": role, "scope": f"/subscriptions/{document['subscriptions'][0]}"} for role in ("Reader", OPERATOR)
        ]
    }
    with witness(document) as seen:
        found, told = advice(seen, compare_keys=True)
    assert "compared in memory" not in json.dumps(found)
    assert "its keys were not compared" in told
    assert found["COSMOS"]["resource"].endswith("/c1"), "which resource it is was told all the same"


def test_the_same_value_elsewhere_is_named_with_the_resource_that_it_opens() -> None:
    other = "99999999-2222-4333-8444-555555555555"
    job = app("nightly", {"QUEUE": VALUES["BUS"]}, subscription=other)
    document = listed()
    hidden = {
        "AWAY": policy("nowhere", "a", KEYS["pull"]),
        "OWN": "Endpoint=https://live.contoso.com;AccessKey=" + KEYS["live"],
    }
    document["resources"] += [job, app("web", hidden)]
    document["subscriptions"].append(other)
    with witness(document) as seen:
        found, told = advice(seen)
    assert [(one["app"].rpartition("/")[2], one["names"]) for one in found["BUS"]["consumers"]] == [
        ("nightly", ["QUEUE"])
    ]
    assert [(one["app"].rpartition("/")[2], one["names"]) for one in found["QUEUE"]["consumers"]] == [("api", ["BUS"])]
    assert found["COSMOS"]["consumers"] == []
    assert "Service Bus ns1 in rg-one" in told
    assert "no resource named nowhere that serves nowhere.servicebus.windows.net" in told
    assert "live.contoso.com is no host of Azure's own" in told


def test_a_key_that_names_nothing_is_found_by_the_keys_that_services_list() -> None:
    """Its checksum tells the service; which account it is, only a comparison does."""
    key, stranger = "a" * 76 + "+ASt5mnCaw==", "s" * 76
    account = rid("Microsoft.Storage/storageAccounts", "acme")
    blobs = {"primaryEndpoints": {"blob": "https://acme.blob.core.windows.net/"}}
    document = estate(
        vault(),
        {"id": account, "location": "westeurope", "properties": blobs},
        {"id": rid("Microsoft.Storage/storageAccounts", "other"), "location": "westeurope", "properties": {}},
        app("api", {}, {"store": key}),
        serviceKeys=[{"resource": account, "name": "key1", "value": key}],
    )
    with witness(document) as seen:
        found, told = advice(seen, compare_keys=True)
        assert found["store"]["resource"].lower() == account.lower()
        assert found["store"]["for"] == ["it is key1 of acme, compared in memory"]
        blind, told = advice(seen)
        assert blind["store"]["resource"] == ""
        assert "keylift plan --compare-keys" in told
    document["serviceKeys"][0]["value"] = stranger
    with witness(document) as seen:
        found, told = advice(seen, compare_keys=True)
    assert "it is no key of the 2 resources of Storage that were read" in told
    assert key not in json.dumps(found) + told
