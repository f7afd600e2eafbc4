"""Dapr components and scale rules, row by row: what goes, what stays, what is told beside an identity, and which right.

Names as dapr/components-contrib (metadata.yaml, code) and kedacore/keda (scalers) have them.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from migrator.model import Resource
from migrator.passwordless.decision import Outcome, Subject, decide
from migrator.passwordless.evidence import Evidence
from migrator.passwordless.pointer import point
from scanners.model import Secret

from .projects import BUS, KEY, POSTGRES, REDIS, SQL, STORAGE, TARGETS
from .test_dapr import CANARY, advice, changes, component, resource

CLIENT = {"azureClientId": "<client id of id-shop>"}
BLOB = resource(
    "Microsoft.Storage/storageAccounts",
    "acct",
    primaryEndpoints={kind: f"https://acct.{kind}.core.windows.net/" for kind in ("blob", "queue", "table")},
)
OTHERS = {
    "cosmos": resource(
        "Microsoft.DocumentDB/databaseAccounts", "cos", documentEndpoint="https://cos.documents.azure.com:443/"
    ),
    "bus": resource("Microsoft.ServiceBus/namespaces", "bus", serviceBusEndpoint="https://bus.servicebus.windows.net/"),
    "hubs": resource("Microsoft.EventHub/namespaces", "hubs", serviceBusEndpoint="https://hubs.servicebus.windows.net/"),
    "settings": resource("Microsoft.AppConfiguration/configurationStores", "cfg", endpoint="https://cfg.azconfig.io"),
    "signalr": resource("Microsoft.SignalRService/signalR", "sig", hostName="sig.service.signalr.net"),
    "ai": resource(
        "Microsoft.CognitiveServices/accounts", "ai", endpoint="https://ai.openai.azure.com/", customSubDomainName="ai"
    ),
    "redis": resource(
        "Microsoft.Cache/redis", "red", hostName="red.redis.cache.windows.net", redisConfiguration={"aad-enabled": "true"}
    ),
    "pg": resource(
        "Microsoft.DBforPostgreSQL/flexibleServers", "pg", fullyQualifiedDomainName="pg.postgres.database.azure.com",
        authConfig={"activeDirectoryAuth": "Enabled"},
    ),
    "sql": resource("Microsoft.Sql/servers", "sql", fullyQualifiedDomainName="sql.database.windows.net", administrators={"a": 1}),
}  # fmt: skip


class Row(NamedTuple):
    """A component with its keys, and what becomes of it."""

    kind: str
    metadata: dict[str, str]
    keys: dict[str, str]
    becomes: dict[str, str | None]
    roles: set[str]
    below: str = ""


def sb(name: str) -> str:
    return f"Endpoint=sb://{name}.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={CANARY}"


BLOB_WRITER, BLOB_SCOPE = {"Storage Blob Data Contributor"}, "/blobServices/default/containers/c"
AT_ACCOUNT = {"accountName": "acct", "containerName": "c"}
BOTH_BUS = {"Azure Service Bus Data Receiver", "Azure Service Bus Data Sender"}
COMPONENTS = {
    **{
        f"{kind}.azure.blobstorage, {key}": Row(
            f"{kind}.azure.blobstorage", AT_ACCOUNT, {key: CANARY}, {key: None, "disableEntityManagement": "true", **CLIENT},
            BLOB_WRITER, BLOB_SCOPE,
        )
        for kind in ("state", "bindings")
        for key in ("accountKey", "accessKey", "storageAccountKey", "storageAccessKey")
    },
    "state.azure.blobstorage, connectionString": Row(
        "state.azure.blobstorage", {"containerName": "c"},
        {"connectionString": f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={CANARY};EndpointSuffix=core.windows.net"},
        {"connectionString": None, "accountName": "acct", "disableEntityManagement": "true", **CLIENT}, BLOB_WRITER, BLOB_SCOPE,
    ),
    "state.azure.cosmosdb": Row(
        "state.azure.cosmosdb", {"url": "https://cos.documents.azure.com:443/", "database": "d", "collection": "c"},
        {"masterKey": CANARY}, {"masterKey": None, **CLIENT}, {"Cosmos DB Built-in Data Contributor"}, "/dbs/d/colls/c",
    ),
    "state.azure.tablestorage": Row(
        "state.azure.tablestorage", {"accountName": "acct", "tableName": "t"}, {"accountKey": CANARY},
        {"accountKey": None, "skipCreateTable": "true", **CLIENT}, {"Storage Table Data Contributor"}, "/tableServices/default/tables/t",
    ),
    **{
        kind: Row(
            kind, {}, {"connectionString": sb("bus")},
            {"connectionString": None, "namespaceName": "bus.servicebus.windows.net", "disableEntityManagement": "true", **CLIENT},
            BOTH_BUS,
        )
        for kind in ("pubsub.azure.servicebus.topics", "pubsub.azure.servicebus.queues", "bindings.azure.servicebusqueues")
    },
    "bindings.azure.servicebusqueues at its queue": Row(
        "bindings.azure.servicebusqueues", {"queueName": "q", "disableEntityManagement": "true"}, {"connectionString": sb("bus")},
        {"connectionString": None, "namespaceName": "bus.servicebus.windows.net", **CLIENT}, BOTH_BUS, "/queues/q",
    ),
    "pubsub.azure.eventhubs": Row(
        "pubsub.azure.eventhubs", {"storageAccountName": "acct", "storageContainerName": "c"},
        {"connectionString": sb("hubs"), "storageAccountKey": CANARY},
        {"connectionString": None, "storageAccountKey": None, "eventHubNamespace": "hubs.servicebus.windows.net", **CLIENT},
        {"Azure Event Hubs Data Receiver", "Azure Event Hubs Data Sender", "Storage Blob Data Contributor"},
    ),
    "bindings.azure.eventhubs": Row(
        "bindings.azure.eventhubs", {"storageAccountName": "acct", "storageContainerName": "c", "eventHub": "h"},
        {"connectionString": sb("hubs"), "storageConnectionString": CANARY},
        {"connectionString": None, "storageConnectionString": None, "eventHubNamespace": "hubs.servicebus.windows.net", **CLIENT},
        {"Azure Event Hubs Data Receiver", "Azure Event Hubs Data Sender", "Storage Blob Data Contributor"},
    ),
    "bindings.azure.storagequeues": Row(
        "bindings.azure.storagequeues", {"accountName": "acct", "queueName": "q"}, {"accountKey": CANARY}, {"accountKey": None, **CLIENT},
        {"Storage Queue Data Contributor"}, "/queueServices/default/queues/q",
    ),
    "bindings.azure.signalr": Row(
        "bindings.azure.signalr", {"endpoint": "https://sig.service.signalr.net", "hub": "h"}, {"accessKey": CANARY},
        {"accessKey": None, **CLIENT}, {"SignalR REST API Owner"},
    ),
    "bindings.azure.openai": Row(
        "bindings.azure.openai", {"endpoint": "https://ai.openai.azure.com"}, {"apiKey": CANARY}, {"apiKey": None, **CLIENT},
        {"Cognitive Services OpenAI User"},
    ),
    "configuration.azure.appconfig": Row(
        "configuration.azure.appconfig", {}, {"connectionString": f"Endpoint=https://cfg.azconfig.io;Id=x;Secret={CANARY}"},
        {"connectionString": None, "host": "https://cfg.azconfig.io", **CLIENT}, {"App Configuration Data Reader"},
    ),
    "secretstores.azure.keyvault": Row(
        "secretstores.azure.keyvault", {"vaultName": "kv", "azureTenantId": "t"}, {"azureClientSecret": CANARY},
        {"azureClientSecret": None, "azureTenantId": None, **CLIENT}, set(),
    ),
    **{
        kind: Row(
            kind, {"redisHost": "red.redis.cache.windows.net:6380", "redisUsername": "default"}, {"redisPassword": CANARY},
            {"redisPassword": None, "redisUsername": None, "useEntraID": "true", "enableTLS": "true", **CLIENT}, {"Data Contributor"},
        )
        for kind in ("state.redis", "pubsub.redis", "lock.redis", "configuration.redis", "bindings.redis")
    },
    "state.postgresql": Row(
        "state.postgresql", {}, {"connectionString": f"postgres://a:{CANARY.rstrip('=')}@pg.postgres.database.azure.com:5432/d"},
        {
            "connectionString": "host=pg.postgres.database.azure.com user=id-shop port=5432 database=d sslmode=require",
            "useAzureAD": "true", **CLIENT,
        },
        set(),
    ),
    "state.sqlserver": Row(
        "state.sqlserver", {}, {"connectionString": "Server=sql.database.windows.net;User ID=a;Password=Canary1Kq8vZr4t;Database=d"},
        {"connectionString": "sqlserver://sql.database.windows.net:1433?database=d", "useAzureAD": "true", **CLIENT}, set(),
    ),
    "client credentials come first in the chain": Row(
        "pubsub.azure.servicebus.topics", {"azureTenantId": "t", "disableEntityManagement": "true", "namespaceName": "bus.servicebus.windows.net"},
        {"azureClientSecret": CANARY}, {"azureClientSecret": None, "azureTenantId": None, **CLIENT}, BOTH_BUS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", COMPONENTS)
def test_2_4_a_component(row: str) -> None:
    one = COMPONENTS[row]
    found = advice(component(one.kind, one.metadata, one.keys), targets=(BLOB, *OTHERS.values()))
    assert found["outcome"] == "configuration", found["against"]
    assert changes(found) == one.becomes
    assert {role["role"] for role in found["roles"]} == one.roles
    for role in found["roles"]:
        assert role["scope"].endswith(one.below) or f'--scope "{one.below}"' in role["command"]


def test_2_4_checkpoints_of_a_hub_are_written_at_their_container() -> None:
    row = COMPONENTS["bindings.azure.eventhubs"]
    found = advice(component(row.kind, row.metadata, row.keys), targets=(BLOB, *OTHERS.values()))
    assert {role["scope"].rpartition("/providers/")[2] for role in found["roles"]} == {
        "Microsoft.EventHub/namespaces/hubs/eventhubs/h",
        "Microsoft.Storage/storageAccounts/acct/blobServices/default/containers/c",
    }


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("bindings.azure.eventgrid", "sends the access key in a header"),
        ("bindings.azure.cosmosdb.gremlinapi", "needs masterKey"),
        ("state.mysql", "no identity profile"),
        ("pubsub.kafka", "OIDC with a client secret only"),
        ("bindings.kafka", "OIDC with a client secret only"),
    ],
)
def test_2_4_what_cannot(kind: str, why: str) -> None:
    found = advice(component(kind, {}, {"key": CANARY}))
    assert (found["outcome"], found["changes"], found["roles"]) == ("cannot", [], [])
    assert why in found["against"][0]


@pytest.mark.parametrize(
    ("suffix", "environment"),
    [("servicebus.chinacloudapi.cn", "AzureChinaCloud"), ("servicebus.usgovcloudapi.net", "AzureUSGovernmentCloud")],
)
def test_2_4_another_cloud_is_told_and_the_namespace_is_whole(suffix: str, environment: str) -> None:
    string = sb("far").replace("servicebus.windows.net", suffix)
    target = resource("Microsoft.ServiceBus/namespaces", "far", serviceBusEndpoint=f"https://far.{suffix}/")
    found = advice(component("pubsub.azure.servicebus.topics", {}, {"connectionString": string}), targets=(target,))
    assert found["outcome"] == "configuration"
    assert {"azureEnvironment": environment, "namespaceName": f"far.{suffix}"}.items() <= changes(found).items()


# Scale rules


def rule(kind: str, **metadata: str) -> dict[str, Any]:
    return {"type": kind, "metadata": metadata, "auth": [{"secretRef": "s", "triggerParameter": "connection"}]}


def scaled(body: dict[str, Any], value: str, *targets: Resource) -> dict[str, Any]:
    evidence = Evidence(rule=body)
    subject = Subject("scale rule r", point(Secret(value)), evidence, identity="id-app")
    found = decide(subject, (*TARGETS, BLOB, *OTHERS.values(), *targets))
    assert KEY not in json.dumps(found.as_dict())
    return {
        "outcome": found.outcome,
        "set": {c.key: c.value for c in found.changes if c.action == "set"},
        "gone": {c.key for c in found.changes if c.action == "remove"},
        "roles": {(grant.role.name, grant.scope.partition(found.resource)[2]) for grant in found.grants},
        "against": " ".join(found.fails),
    }


RULES: dict[str, tuple[dict[str, Any], str, dict[str, str], set[str], tuple[str, str]]] = {
    "azure-servicebus, queue": (
        rule("azure-servicebus", queueName="q", connectionFromEnv="B"), BUS, {"namespace": "ns1", "identity": "id-app"},
        {"auth", "connectionFromEnv"}, ("Azure Service Bus Data Owner", "/queues/q"),
    ),
    "azure-servicebus, subscription": (
        rule("azure-servicebus", topicName="t", subscriptionName="s"), BUS, {"namespace": "ns1", "identity": "id-app"}, {"auth"},
        ("Azure Service Bus Data Owner", "/topics/t"),
    ),
    "azure-queue": (
        rule("azure-queue", queueName="q", connectionFromEnv="B"), STORAGE, {"accountName": "acme", "identity": "id-app"},
        {"auth", "connectionFromEnv"}, ("Storage Queue Data Reader", "/queueServices/default/queues/q"),
    ),
    "azureQueue": (
        {"queueName": "q", "queueLength": 5, "auth": [{"secretRef": "s"}]}, STORAGE, {"accountName": "acme", "identity": "id-app"},
        {"auth"}, ("Storage Queue Data Reader", "/queueServices/default/queues/q"),
    ),
    "azure-eventhub": (
        {**rule("azure-eventhub", eventHubName="h", blobContainer="c"), "auth": [
            {"secretRef": "s", "triggerParameter": "connection"}, {"secretRef": "t", "triggerParameter": "storageConnection"},
        ]},
        sb("hubs"), {"eventHubNamespace": "hubs", "identity": "id-app"}, {"auth"},
        ("Azure Event Hubs Data Receiver", "/eventhubs/h"),
    ),
    "azure-blob": (
        rule("azure-blob", blobContainerName="c"), STORAGE, {"accountName": "acme", "identity": "id-app"}, {"auth"},
        ("Storage Blob Data Reader", "/blobServices/default/containers/c"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", RULES)
def test_2_5_a_scale_rule_that_takes_an_identity(row: str) -> None:
    body, value, sets, gone, role = RULES[row]
    found = scaled(body, value)
    assert found["outcome"] is Outcome.CONFIGURATION, found["against"]
    assert (found["set"], found["gone"], found["roles"]) == (sets, gone, {role})


@pytest.mark.parametrize(
    ("suffix", "cloud"),
    [("servicebus.chinacloudapi.cn", "AzureChinaCloud"), ("servicebus.usgovcloudapi.net", "AzureUSGovernmentCloud")],
)
def test_2_5_another_cloud_is_told(suffix: str, cloud: str) -> None:
    target = resource("Microsoft.ServiceBus/namespaces", "far", serviceBusEndpoint=f"https://far.{suffix}/")
    value = BUS.replace("ns1.servicebus.windows.net", f"far.{suffix}")
    found = scaled(rule("azure-servicebus", queueName="q"), value, target)
    assert found["set"] == {"namespace": "far", "cloud": cloud, "identity": "id-app"}


@pytest.mark.parametrize(
    ("body", "value", "why"),
    [
        (rule("azure-servicebus"), BUS, "no queueName or topicName"),
        (rule("azure-queue"), STORAGE, "no queueName"),
        (rule("azure-blob"), STORAGE, "no blobContainerName"),
        (rule("azure-eventhub", eventHubName="h", blobContainer="c"), BUS, "no storageAccountName"),
        (rule("azure-log-analytics", workspaceId="w"), "Canary~client-secret-of-an-app", "keylift looks for neither"),
        (rule("azure-monitor"), "Canary~client-secret-of-an-app", "keylift looks for neither"),
        (rule("azure-app-insights"), "Canary~client-secret-of-an-app", "keylift looks for neither"),
        (rule("azure-data-explorer"), "Canary~client-secret-of-an-app", "lets it is not known"),
        (rule("azure-pipelines"), "Canary~token-of-azure-devops", "lets it is not known"),
        (rule("mssql"), SQL, "takes no identity in Container Apps"),
        (rule("postgresql"), POSTGRES, "takes no identity in Container Apps"),
        (rule("rabbitmq"), "amqp://u:Canary1Kq8vZr4t@mq.internal/", "takes no identity in Container Apps"),
        (rule("redis"), REDIS, "takes no identity in Container Apps"),
        (rule("redis-streams"), REDIS, "takes no identity in Container Apps"),
        (rule("kafka"), BUS, "takes no identity in Container Apps"),
        (rule("external"), STORAGE, "takes no identity in Container Apps"),
        # a key of another service than the one that the scaler asks
        (rule("azure-servicebus", queueName="q"), STORAGE, "which the scaler azure-servicebus does not ask"),
    ],
    ids=lambda value: str(value.get("type")) if isinstance(value, dict) else "",
)
def test_2_5_a_scale_rule_that_keeps_its_secret(body: dict[str, Any], value: str, why: str) -> None:
    found = scaled(body, value)
    assert (found["outcome"], found["set"], found["gone"]) == (Outcome.VAULT, {}, set())
    assert why in found["against"]
