"""Each target service, as Azure has it: how its secrets look and resolve, its roles, what closes its keys.

Every expectation is written out from Azure's own pages and type definitions, row by row; none is computed from the table.
"""

from __future__ import annotations

import re

import pytest

from migrator.model import Resource
from migrator.passwordless.databases import SCRIPTS
from migrator.passwordless.decision import Decision, Outcome, Subject, decide
from migrator.passwordless.evidence import Code, Evidence, Sight
from migrator.passwordless.pointer import Pointer, point
from migrator.passwordless.rights import Asker, rights
from migrator.passwordless.services import by_host, common_failures, services
from scanners.model import Secret

from .projects import BUS, COSMOS, KEY, POSTGRES, REDIS, SIGNALR, SQL, STORAGE

GROUP = "/subscriptions/aaaaaaaa-1111-2222-3333-444444444444/resourceGroups/rg/providers"


def resource(kind: str, name: str, **properties: object) -> Resource:
    return Resource(f"{GROUP}/{kind}/{name}", {"properties": properties})


def told(value: str, *targets: Resource, name: str = "X", **env: str) -> Decision:
    pointer = point(Secret(value))
    return decide(Subject(name, pointer, Evidence({name: None, **env}), identity="id-app"), targets)


SERVICE_HOSTS = {
    ("Storage", "public"): ("acme.{kind}.core.windows.net", "storage-{kind}"),
    ("Storage", "china"): ("acme.{kind}.core.chinacloudapi.cn", "storage-{kind}"),
    ("Storage", "usgov"): ("acme.{kind}.core.usgovcloudapi.net", "storage-{kind}"),
    ("Storage", "france"): ("acme.{kind}.core.sovcloud-api.fr", "storage-{kind}"),
    ("Service Bus, Event Hubs, Relay", "public"): ("acme.servicebus.windows.net", "service-bus event-hubs relay"),
    ("Service Bus and Event Hubs", "china"): ("acme.servicebus.chinacloudapi.cn", "service-bus event-hubs"),
    ("Service Bus and Event Hubs", "usgov"): ("acme.servicebus.usgovcloudapi.net", "service-bus event-hubs"),
    ("Cosmos NoSQL", "public"): ("acme.documents.azure.com", "cosmos"),
    ("Cosmos NoSQL", "china"): ("acme.documents.azure.cn", "cosmos"),
    ("Cosmos NoSQL", "usgov"): ("acme.documents.azure.us", "cosmos"),
    ("Cosmos Mongo RU", "public"): ("acme.mongo.cosmos.azure.com", "cosmos-mongo"),
    ("Cosmos Mongo vCore", "public"): ("acme.mongocluster.cosmos.azure.com", "mongo-vcore"),
    ("Cosmos Table", "public"): ("acme.table.cosmos.azure.com", "cosmos-table"),
    ("Cosmos Gremlin", "public"): ("acme.gremlin.cosmos.azure.com", "cosmos-gremlin"),
    ("Cosmos Cassandra", "public"): ("acme.cassandra.cosmos.azure.com", "cosmos-cassandra"),
    ("Azure SQL", "public"): ("acme.database.windows.net", "sql"),
    ("Azure SQL", "china"): ("acme.database.chinacloudapi.cn", "sql"),
    ("Azure SQL", "usgov"): ("acme.database.usgovcloudapi.net", "sql"),
    ("Azure SQL", "france"): ("acme.database.sovcloud-api.fr", "sql"),
    ("PostgreSQL", "public"): ("acme.postgres.database.azure.com", "postgresql"),
    ("PostgreSQL", "china"): ("acme.postgres.database.chinacloudapi.cn", "postgresql"),
    ("PostgreSQL", "usgov"): ("acme.postgres.database.usgovcloudapi.net", "postgresql"),
    ("PostgreSQL", "france"): ("acme.postgres.database.sovcloud-api.fr", "postgresql"),
    ("MySQL", "public"): ("acme.mysql.database.azure.com", "mysql"),
    ("MySQL", "china"): ("acme.mysql.database.chinacloudapi.cn", "mysql"),
    ("MySQL", "usgov"): ("acme.mysql.database.usgovcloudapi.net", "mysql"),
    ("MySQL", "france"): ("acme.mysql.database.sovcloud-api.fr", "mysql"),
    ("Azure Cache for Redis", "public"): ("acme.redis.cache.windows.net", "redis"),
    ("Managed Redis", "public"): ("acme.westeurope.redis.azure.net", "managed-redis"),
    ("App Configuration", "public"): ("acme.azconfig.io", "app-configuration"),
    ("SignalR", "public"): ("acme.service.signalr.net", "signalr"),
    ("Web PubSub", "public"): ("acme.webpubsub.azure.com", "web-pubsub"),
    ("OpenAI", "public"): ("acme.openai.azure.com", "openai"),
    ("OpenAI in Foundry", "public"): ("acme.services.ai.azure.com", "openai"),
    ("AI services", "public"): ("acme.cognitiveservices.azure.com", "ai-services"),
    ("Search", "public"): ("acme.search.windows.net", "search"),
    ("Event Grid", "public"): ("acme.westeurope-1.eventgrid.azure.net", "event-grid"),
    ("IoT Hub", "public"): ("acme.azure-devices.net", "iot-hub"),
    ("ACR", "public"): ("acme.azurecr.io", "container-registry"),
    ("ACR", "china"): ("acme.azurecr.cn", "container-registry"),
    ("ACR", "usgov"): ("acme.azurecr.us", "container-registry"),
    ("Communication", "public"): ("acme.communication.azure.com", "communication"),
    ("Batch", "public"): ("acme.westeurope.batch.azure.com", "batch"),
}


@pytest.mark.parametrize("row", SERVICE_HOSTS, ids=" ".join)
def test_1_1_a_host_names_service_and_resource(row: tuple[str, str]) -> None:
    wanted = SERVICE_HOSTS[row]
    hosts = [wanted[0]]
    if "{kind}" in wanted[0]:
        hosts = [wanted[0].format(kind=kind) for kind in ("blob", "queue", "table", "file")]
    for host in hosts:
        at = by_host(host)
        assert at is not None, host
        assert (at.name, at.cloud) == ("acme", row[1])
        kind = host.split(".")[1]
        assert [one.id for one in at.services] == wanted[1].format(kind=kind).split()


SECRETS = {
    "Storage, account key": (STORAGE, "storage", "acme.blob.core.windows.net"),
    "Storage, account SAS": (
        f"BlobEndpoint=https://acme.blob.core.windows.net/;SharedAccessSignature=sv=1&ss=b&sp=rl&sig={KEY}",
        "storage-blob", "acme.blob.core.windows.net",
    ),
    "Cosmos Table, like storage": (
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};TableEndpoint=https://acme.table.cosmos.azure.com:443/;",
        "cosmos-table", "acme.table.cosmos.azure.com",
    ),
    "Service Bus": (BUS, "service-bus", "ns1.servicebus.windows.net"),
    "Kafka on Event Hubs": (
        f'org.apache.kafka.common.security.plain.PlainLoginModule required username="$ConnectionString" password="{BUS}";',
        "event-hubs", "ns1.servicebus.windows.net",
    ),
    "Cosmos NoSQL": (COSMOS, "cosmos", "c1.documents.azure.com"),
    "Cosmos Mongo RU": (
        f"mongodb://m1:{KEY.rstrip('=')}@m1.mongo.cosmos.azure.com:10255/?ssl=true", "cosmos-mongo", "m1.mongo.cosmos.azure.com",
    ),
    "Cosmos Mongo vCore": (
        "mongodb+srv://u:Canary1Kq8vZr4t@m1.mongocluster.cosmos.azure.com/?tls=true", "mongo-vcore",
        "m1.mongocluster.cosmos.azure.com",
    ),
    "Azure SQL, Password": (SQL, "sql", "sql1.database.windows.net"),
    "Azure SQL, PWD": (SQL.replace("Password=", "PWD="), "sql", "sql1.database.windows.net"),
    "Azure SQL, jdbc": ("jdbc:sqlserver://sql1.database.windows.net:1433;user=a;password=b", "sql", "sql1.database.windows.net"),
    "Azure SQL, URL": ("mssql://u:Canary1Kq8vZr4t@sql1.database.windows.net/shop", "sql", "sql1.database.windows.net"),
    "PostgreSQL, URL": (POSTGRES, "postgresql", "pg1.postgres.database.azure.com"),
    "PostgreSQL, keys": (
        "Host=pg1.postgres.database.azure.com;Username=a;Password=b", "postgresql", "pg1.postgres.database.azure.com",
    ),
    "MySQL, keys": ("Server=my1.mysql.database.azure.com;Uid=a;Pwd=b", "mysql", "my1.mysql.database.azure.com"),
    "Azure Cache for Redis, options": (REDIS, "redis", "r1.redis.cache.windows.net"),
    "Azure Cache for Redis, URL": (
        f"rediss://:{KEY.rstrip('=')}@r1.redis.cache.windows.net:6380", "redis", "r1.redis.cache.windows.net",
    ),
    "Managed Redis": (f"r1.eastus.redis.azure.net:10000,password={KEY},ssl=True", "managed-redis", "r1.eastus.redis.azure.net"),
    "App Configuration": (f"Endpoint=https://a1.azconfig.io;Id=x;Secret={KEY}", "app-configuration", "a1.azconfig.io"),
    "SignalR": (SIGNALR, "signalr", "s1.service.signalr.net"),
    "Web PubSub": (f"Endpoint=https://w1.webpubsub.azure.com;AccessKey={KEY};Version=1.0;", "web-pubsub", "w1.webpubsub.azure.com"),
    "OpenAI": (f"Endpoint=https://ai1.openai.azure.com/;Key={KEY}", "openai", "ai1.openai.azure.com"),
    "Search": (f"Endpoint=https://se1.search.windows.net/;Key={KEY}", "search", "se1.search.windows.net"),
    "IoT Hub": (f"HostName=h1.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={KEY}", "iot-hub", "h1.azure-devices.net"),
    "App Insights": (f"InstrumentationKey={KEY};IngestionEndpoint=https://x/;ApplicationId=y", "application-insights", ""),
    "Communication": (f"endpoint=https://c1.communication.azure.com/;accesskey={KEY}", "communication", "c1.communication.azure.com"),
}  # fmt: skip


@pytest.mark.parametrize("row", SECRETS)
def test_1_1_a_secret_points_at_its_service(row: str) -> None:
    value, service, host = SECRETS[row]
    found = point(Secret(value))
    assert found is not None
    assert (found.services[0], found.host) == (service, host)


def test_1_1_the_readable_copy_of_an_account_is_the_account() -> None:
    account = resource(
        "Microsoft.Storage/storageAccounts", "acme", primaryEndpoints={"blob": "https://acme.blob.core.windows.net/"}
    )
    copy = told("https://acme-secondary.blob.core.windows.net/c?sp=r&sig=x", account)
    assert copy.resource == account.id


def test_1_1_an_ai_account_goes_by_the_domain_that_it_was_given() -> None:
    account = resource(
        "Microsoft.CognitiveServices/accounts", "ai-prod",
        customSubDomainName="shop-ai", endpoint="https://shop-ai.openai.azure.com/",
    )  # fmt: skip
    assert told(f"Endpoint=https://shop-ai.openai.azure.com/;Key={KEY}", account).resource == account.id
    assert told(f"Endpoint=https://ai-prod.openai.azure.com/;Key={KEY}", account).resource == ""


UNRESOLVED = {
    "AI services, regional host": f"Endpoint=https://westeurope.api.cognitive.microsoft.com/;Key={KEY}",
    "another resource group's name, another endpoint": COSMOS,
    "not in what was read": BUS.replace("ns1", "elsewhere"),
    "managed instance of SQL": "Server=mi1.0a1b2c.database.windows.net;User ID=a;Password=Canary1Kq8vZr4t;",
}


@pytest.mark.parametrize("row", UNRESOLVED)
def test_1_1_what_names_no_resource_stays_with_its_reason(row: str) -> None:
    elsewhere = resource(
        "Microsoft.DocumentDB/databaseAccounts", "c1", documentEndpoint="https://c1.documents.azure.cn:443/"
    )
    found = told(UNRESOLVED[row], elsewhere)
    assert (found.outcome, found.resource) == (Outcome.VAULT, "")
    assert "unresolved: " in found.fails[0]


NEVER = {
    "Cosmos Mongo RU": (SECRETS["Cosmos Mongo RU"][0], Outcome.CANNOT, "no driver"),
    "Cosmos Table": (SECRETS["Cosmos Table, like storage"][0], Outcome.CANNOT, "no client is known"),
    "Azure Files": (f"https://acme.file.core.windows.net/s?sp=r&sig={KEY}", Outcome.CANNOT, "account key only"),
    "Relay": (BUS, Outcome.CANNOT, "Relay were not checked"),
    "Kafka without OAUTHBEARER": (SECRETS["Kafka on Event Hubs"][0], Outcome.VAULT, "OAUTHBEARER"),
    "device key": (f"HostName=h1.azure-devices.net;DeviceId=d;SharedAccessKey={KEY}", Outcome.VAULT, "device signs in"),
    "user delegation SAS": (
        f"https://acme.blob.core.windows.net/c?sp=r&skoid=1&sig={KEY}",
        Outcome.VAULT,
        "of Entra already",
    ),
    "third party": ("sk_live_abcdefghijklmnop", Outcome.VAULT, "nothing of Azure"),
    "private key": (
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
        Outcome.VAULT,
        "nothing of Azure",
    ),
    "SMTP": ("smtp://u:Canary1Kq8vZr4t@smtp.example.net:587", Outcome.VAULT, "nothing of Azure"),
    "non-Azure host": ("postgres://u:Canary1Kq8vZr4t@db.internal/x", Outcome.VAULT, "nothing of Azure"),
    "signing key": ("c2lnbmluZy1rZXktb2Ytbm9ib2R5LWluLXBhcnRpY3VsYXI=", Outcome.VAULT, "nothing of Azure"),
}


@pytest.mark.parametrize("row", NEVER)
def test_5_step_0_what_never_gives_way_says_why(row: str) -> None:
    value, outcome, why = NEVER[row]
    targets = [resource("Microsoft.Relay/namespaces", "ns1")] if row == "Relay" else []
    # whatever the code shows
    code = Code(names={"connection:x": (Sight("f.cs", 1, "connection"),)})
    evidence = Evidence({"X": None, "FUNCTIONS_WORKER_RUNTIME": "node"}, code=code)
    found = decide(Subject("X", point(Secret(value)), evidence), targets)
    assert (found.outcome, found.changes) == (outcome, ())
    assert why in found.fails[0]


# Section 1.2

ROLES = {
    "Blob": (
        "storage-blob",
        {
            "read": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
            "write": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
            "manage": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
            "mint": "db58b8e5-c6ad-4a2a-8342-4190687cbf4a",
        },
    ),
    "Queue": (
        "storage-queue",
        {
            "read": "19e7f393-937e-4f77-808e-94535e297925",
            "write": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
            "send": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
            "receive": "8a0f0c08-91a1-4084-bc3d-661d67233fed",
            "mint": "7ee386e9-84f0-448e-80a6-f185f6533131",
        },
    ),
    "Table": (
        "storage-table",
        {
            "read": "76199698-9eea-4c19-bc75-cec21354c6b6",
            "write": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
            "mint": "965033a5-c8eb-4f35-b82f-fef460a3606d",
        },
    ),
    "Service Bus": (
        "service-bus",
        {
            "send": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
            "receive": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
            "manage": "090c5cfd-751d-490a-894a-3ce6f1109419",
        },
    ),
    "Event Hubs": (
        "event-hubs",
        {
            "send": "2b629674-e913-4c01-ae53-ef4638d8f975",
            "receive": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
            "manage": "f526a384-b230-433a-b45c-95f59c4a2dec",
        },
    ),
    "App Configuration": (
        "app-configuration",
        {"read": "516239f1-63e1-4d78-a4de-a74fb236a071", "write": "5ae67dd6-50cb-40e7-96ff-dc2bfa4b606b"},
    ),
    "SignalR": (
        "signalr",
        {
            "read": "ddde6b66-c0df-4114-a159-3618637b3035",
            "write": "420fcaa2-552c-430f-98ca-3264be4806c7",
            "manage": "fd53cd77-2268-407a-8f46-7e7863d0f521",
        },
    ),
    "Web PubSub": (
        "web-pubsub",
        {"read": "bfb1c7d2-fb1a-466b-b2ba-aee63b92deaf", "write": "12cf5a90-567b-43ae-8102-96cf46c7d9b4"},
    ),
    "OpenAI": (
        "openai",
        {
            "read": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
            "write": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
            "manage": "a001fd3d-188f-4b5d-821b-7da978bf7442",
        },
    ),
    "AI Search": (
        "search",
        {"read": "1407120a-92aa-4202-b7e9-c0e197c71c8f", "write": "8ebe5a00-799e-43f5-93ac-243d3dce84a7"},
    ),
    "Event Grid": (
        "event-grid",
        {"send": "d5a91429-5739-47e2-a06b-3470a27159e7", "write": "d5a91429-5739-47e2-a06b-3470a27159e7"},
    ),
    "IoT Hub": (
        "iot-hub",
        {
            "read": "b447c946-2db7-41ec-983d-d8bf3b1c77e3",
            "write": "4fc6c259-987e-4a07-842e-c321cc9d413f",
            "manage": "4ea46cd5-c1b2-4a8e-910b-273211f9ce47",
        },
    ),
    "App Insights": (
        "application-insights",
        {"send": "3913510d-42f4-4e42-8a64-420c390055eb", "write": "3913510d-42f4-4e42-8a64-420c390055eb"},
    ),
    "ACR": (
        "container-registry",
        {"read": "7f951dda-4ed3-4680-a7ca-43fe172d538d", "write": "8311e382-0749-4cb8-b61a-304f252e45ec"},
    ),
    "Communication": ("communication", {"write": "09976791-48a7-449e-bb21-39d1a415f350"}),
    "Maps": ("maps", {"read": "423170ca-a8f6-4b0f-8487-9e4eb8f49bfa"}),
    "Batch": ("batch", {"write": "48e5e92e-a480-4e71-aa9c-2778f4c13781"}),
    "Relay": ("relay", {}),
    "AI services: by their kind, which the host does not tell": ("ai-services", {}),
    "Files: only REST, and a mount keeps the key": ("storage-file", {}),
}


@pytest.mark.parametrize("row", ROLES)
def test_1_2_the_role_of_each_need(row: str) -> None:
    service, wanted = ROLES[row]
    assert {need: role.id for need, role in services()[service].roles.items()} == wanted


HANDLED = {
    *("storage", "storage-blob", "storage-queue", "storage-table", "service-bus", "event-hubs", "cosmos", "redis", "managed-redis"),
    *("app-configuration", "signalr", "web-pubsub", "openai", "search", "container-registry", "sql", "postgresql"),
}  # fmt: skip


def test_every_service_is_handled_or_says_why_not() -> None:
    """What has no client that settings alone turn over is never silent about it."""
    silent = {
        one.id for one in services().values() if not (one.cannot or one.code or one.alone) and one.id not in HANDLED
    }
    assert silent == set()
    assert not {one.id for one in services().values() if one.cannot or one.code or one.alone} & HANDLED


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (SECRETS["IoT Hub"][0], "its service SDKs are built from the string or with a credential"),
        (SECRETS["Communication"][0], "its SDKs are built from the string or with a credential"),
        (SECRETS["App Insights"][0], "opens nothing to read"),
        (SECRETS["MySQL, keys"][0], "a token is the password of each connection"),
    ],
)
def test_a_reason_names_the_limit_of_the_platform(value: str, why: str) -> None:
    targets = (
        resource("Microsoft.Devices/IotHubs", "h1"),
        resource("Microsoft.Communication/communicationServices", "c1"),
        resource("Microsoft.DBforMySQL/flexibleServers", "my1"),
    )
    found = told(value, *targets)
    assert found.outcome is Outcome.VAULT
    assert any(why in text for text in found.fails), found.fails


@pytest.mark.parametrize(
    ("kind", "role"),
    [
        ("SpeechServices", "f2dc8367-1007-4938-bd23-fe263f013447"),
        ("Face", "9894cab4-e18a-44aa-828b-cb588cd6f2d7"),
        ("TextAnalytics", "7628b7b8-a8b2-4cdc-b46f-e9b35248918e"),
        ("CognitiveServices", ""),
        ("", ""),
    ],
)
def test_1_2_the_role_of_an_ai_account_depends_on_its_kind(kind: str, role: str) -> None:
    account = resource("Microsoft.CognitiveServices/accounts", "a1", customSubDomainName="a1", endpoint="")
    account = Resource(account.id, {**account.document, "kind": kind})
    code = Code(constructors=(Sight("a.py", 1, "openai-key"),))
    pointer = point(Secret(f"Endpoint=https://a1.cognitiveservices.azure.com/;Key={KEY}"))
    found = decide(Subject("X", pointer, Evidence({"X": None}, code=code), identity="id-app"), (account,))
    assert found.outcome is Outcome.CODE
    assert [grant.role.id for grant in found.grants] == ([role] if role else [])
    # where the kind does not tell, none that lists keys is proposed instead
    assert any("lists the keys" in text for text in found.fails) is not bool(role)


def test_1_2_every_service_has_a_row() -> None:
    own = {"cosmos", "redis", "managed-redis", "sql", "postgresql", "mysql"}
    without = {"storage", "cosmos-mongo", "cosmos-table", "cosmos-gremlin", "cosmos-cassandra", "mongo-vcore"}
    assert {service for service, _ in ROLES.values()} | own | without == set(services())


@pytest.mark.parametrize("service", ["cosmos", "redis", "managed-redis", "sql", "postgresql", "mysql"])
def test_1_2_no_role_of_azure_where_it_opens_the_control_plane_only(service: str) -> None:
    pointer = Pointer((service,), "account-key", name="r1", parts={"database": "shop"})
    target = resource(services()[service].types[0], "r1")
    asked = rights(pointer, services()[service], target, ("read", "write"), Asker("id-app", "oid"))
    assert asked.grants or asked.scripts
    assert not any(grant.role.id for grant in asked.grants)
    assert not any("az role assignment" in grant.command for grant in asked.grants)


def test_1_2_what_lists_keys_or_manages_a_resource_is_never_proposed() -> None:
    listing = {
        "04165923-9d83-45d5-8227-78b77b0a687e",  # SignalR AccessKey Reader
        "a97b65f3-24c7-4388-baec-2e87135dc908",  # Cognitive Services User
        "7ca78c08-252a-4471-8644-bb5ff32d4ba0",  # Search Service Contributor
        "7e4f1700-ea5a-4f59-8f37-079cfe29dce3",  # SignalR Service Owner
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",  # Owner
        "b24988ac-6180-42a0-ab88-20f7382dd24c",  # Contributor
        "17d1049b-9a84-46fb-8f53-869881c3d3ab",  # Storage Account Contributor
        "5bd9cd88-fe45-4216-938b-f97437e15450",  # DocumentDB Account Contributor
        "e0f68234-74aa-48ed-b826-c38b57376e17",  # Redis Cache Contributor
    }
    assert not listing & {role.id for service in services().values() for role in service.roles.values()}


@pytest.mark.parametrize(
    ("service", "parts", "need", "below"),
    [
        ("storage-blob", {"container": "c"}, "read", "/blobServices/default/containers/c"),
        ("storage-queue", {"queue": "q"}, "send", "/queueServices/default/queues/q"),
        ("storage-table", {"table": "t"}, "write", "/tableServices/default/tables/t"),
        ("service-bus", {"queue": "q"}, "receive", "/queues/q"),
        ("service-bus", {"topic": "t"}, "send", "/topics/t"),
        ("service-bus", {"topic": "t", "subscription": "s"}, "receive", "/topics/t/subscriptions/s"),
        # one sends to a topic and not to a subscription
        ("service-bus", {"topic": "t", "subscription": "s"}, "send", "/topics/t"),
        ("event-hubs", {"hub": "h"}, "receive", "/eventhubs/h"),
        ("app-configuration", {}, "read", ""),
        ("signalr", {}, "write", ""),
        ("web-pubsub", {"hub": "h"}, "write", ""),
        ("openai", {"deployment": "d"}, "read", ""),
        ("search", {}, "read", ""),
        ("event-grid", {}, "send", ""),
        ("iot-hub", {}, "read", ""),
        ("communication", {}, "write", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_1_2_the_narrowest_scope(service: str, parts: dict[str, str], need: str, below: str) -> None:
    target = resource(services()[service].types[0], "r1")
    pointer = Pointer((service,), "account-key", name="r1", parts=parts)
    (grant,) = rights(pointer, services()[service], target, (need,), Asker("id-app", "oid")).grants
    assert grant.scope == target.id + below


def test_1_2_unknown_needs_are_no_owner() -> None:
    for service in services().values():
        if service.roles:
            pointer = Pointer((service.id,), "account-key", name="r1")
            asked = rights(pointer, service, resource(service.types[0], "r1"), (), Asker("id-app", "oid"))
            assert {grant.need for grant in asked.grants} <= {"send", "receive", "write"}
            assert any("a key tells no need" in doubt for doubt in asked.doubts)


# Section 1.3


@pytest.mark.parametrize(
    ("parts", "role", "within"),
    [
        ({}, "Cosmos DB Built-in Data Contributor", "/"),
        ({"database": "d"}, "Cosmos DB Built-in Data Contributor", "/dbs/d"),
        ({"database": "d", "collection": "c"}, "Cosmos DB Built-in Data Contributor", "/dbs/d/colls/c"),
    ],
)
def test_1_3_cosmos_assigns_in_its_own_system(parts: dict[str, str], role: str, within: str) -> None:
    account = resource("Microsoft.DocumentDB/databaseAccounts", "c1")
    pointer = Pointer(("cosmos",), "account-key", name="c1", parts=parts)
    (grant,) = rights(pointer, services()["cosmos"], account, ("write",), Asker("id-app", "oid")).grants
    assert (grant.role.name, grant.role.id, grant.scope) == (role, "", account.id)
    assert grant.command.startswith("az cosmosdb sql role assignment create --account-name c1 -g rg")
    assert f'--scope "{within}"' in grant.command


def test_1_3_managed_redis_has_one_policy_with_the_power_of_the_key() -> None:
    classic, managed = services()["redis"], services()["managed-redis"]
    assert {need: role.name for need, role in classic.roles.items()} == {
        "read": "Data Reader",
        "write": "Data Contributor",
    }
    assert {role.name for role in managed.roles.values()} == {"default"}
    assert "no privilege is lessened" in managed.also


def script(system: str, database: str = "shop") -> str:
    return "\n".join(SCRIPTS[system]("id-app", "11111111-oid", database))


DATABASES = {
    "SQL: the SID is made of the client id": ("sql", r"CAST\('<client id of id-app>' AS UNIQUEIDENTIFIER\)", True),
    "SQL: without the directory": ("sql", r"TYPE = E|WITH SID", True),
    "SQL: no lookup by the server": ("sql", "FROM EXTERNAL PROVIDER", False),
    "SQL: least roles": ("sql", r"ALTER ROLE db_datareader ADD MEMBER \[id-app\]; ALTER ROLE db_datawriter", True),
    "SQL: never the owner": ("sql", "db_owner|CONTROL ON DATABASE", False),
    "SQL: procedures on demand": ("sql", r"(?m)^-- .*GRANT EXECUTE ON SCHEMA::dbo TO \[id-app\]", True),
    "SQL: verify": ("sql", r"-- verify: .*sys\.database_principals", True),
    "SQL: undo": ("sql", r"-- undo: DROP USER \[id-app\];", True),
    "PostgreSQL: by object id": (
        "postgresql",
        r"pgaadauth_create_principal_with_oid\('id-app', '11111111-oid', 'service', false, false\)",
        True,
    ),
    "PostgreSQL: connects to its database": ("postgresql", r'GRANT CONNECT ON DATABASE "shop" TO "id-app"', True),
    "PostgreSQL: rows": ("postgresql", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public", True),
    "PostgreSQL: sequences": ("postgresql", "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public", True),
    "PostgreSQL: tables to come": ("postgresql", "ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA public", True),
    "PostgreSQL: never everything": ("postgresql", "ALL PRIVILEGES|azure_pg_admin", False),
    "MySQL: the server's own prerequisites": ("mysql", "(?m)^-- first: .*Entra administrator", True),
    "MySQL: by client id": ("mysql", "CREATE AADUSER 'id-app' IDENTIFIED BY '<client id of id-app>'", True),
    "MySQL: no check in the tenant": ("mysql", "SET aad_auth_validate_oids_in_tenant = OFF", True),
    "MySQL: rows": ("mysql", r"GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`\.\* TO 'id-app'@'%'", True),
    "MySQL: nobody is dropped first": ("mysql", "(?m)^DROP USER", False),
    "MySQL: never everything": ("mysql", "ALL PRIVILEGES", False),
}


@pytest.mark.parametrize("row", DATABASES)
def test_1_3_statements_of_databases(row: str) -> None:
    system, pattern, there = DATABASES[row]
    assert bool(re.search(pattern, script(system))) is there, script(system)


# Section 1.4

CLOSES = {
    "storage-blob": "allowSharedKeyAccess=false",
    "storage-queue": "allowSharedKeyAccess=false",
    "storage-table": "allowSharedKeyAccess=false",
    "storage": "allowSharedKeyAccess=false",
    "service-bus": "disableLocalAuth=true",
    "event-hubs": "disableLocalAuth=true",
    "cosmos": "disableLocalAuth=true",
    "redis": "disableAccessKeyAuthentication=true",
    "managed-redis": "accessKeysAuthentication=Disabled",
    "app-configuration": "disableLocalAuth=true",
    "signalr": "disableLocalAuth=true",
    "web-pubsub": "disableLocalAuth=true",
    "openai": "disableLocalAuth=true",
    "ai-services": "disableLocalAuth=true",
    "search": "disableLocalAuth=true",
    "event-grid": "disableLocalAuth=true",
    "iot-hub": "disableLocalAuth=true",
    "application-insights": "DisableLocalAuth=true",
    "container-registry": "adminUserEnabled=false",
    "sql": "azureADOnlyAuthentication=true",
    "postgresql": "authConfig.passwordAuth=Disabled",
    "mysql": "aad_auth_only=ON",
    "communication": "disableLocalAuth=true",
    "maps": "disableLocalAuth=true",
    "batch": "allowedAuthenticationModes without SharedKey",
    # what stays with its key has nothing that closes it
    "storage-file": "",
    "relay": "",
    "cosmos-mongo": "",
    "cosmos-table": "",
    "cosmos-gremlin": "",
    "cosmos-cassandra": "",
    "mongo-vcore": "",
}
BREAKS = {
    "storage": "Azure Files mounts",
    "service-bus": "KEDA rules",
    "event-hubs": "$ConnectionString",
    "cosmos": "Service Connector",
    "redis": "drops all connections, those by token, too",
    "managed-redis": "drops all connections, those by token, too",
    "app-configuration": "Bicep",
    "signalr": "negotiate",
    "search": "query keys in browsers",
    "event-grid": "Dapr's Event Grid output",
    "container-registry": "admin password",
    "sql": "every SQL login",
    "application-insights": "browser SDK",
}


@pytest.mark.parametrize("service", sorted(CLOSES))
def test_1_4_what_closes_keys_and_who_else_breaks(service: str) -> None:
    assert set(CLOSES) == set(services())
    assert services()[service].close == CLOSES[service]
    assert BREAKS.get(service, "") in services()[service].breaks
    # nobody is told to close what does not say who breaks
    assert bool(services()[service].close) is bool(services()[service].breaks)


# Section 5, tests of the new revision


@pytest.mark.parametrize(
    ("service", "line"),
    [
        ("", "Azure.Identity.CredentialUnavailableException: no"),
        ("", "ManagedIdentityCredential authentication failed: x"),
        ("", "ManagedIdentityCredential authentication unavailable. The requested identity has not been assigned"),
        ("storage-blob", "ErrorCode: AuthorizationPermissionMismatch"),
        ("storage-queue", "ErrorCode: AuthorizationFailure"),
        ("service-bus", "40103: Invalid authorization token signature"),
        ("service-bus", "Unauthorized access. 'Listen' claim(s) are required"),
        ("event-hubs", "Unauthorized access. 'Listen' claim(s) are required"),
        ("sql", "Error Number:18456,State:1,Class:14"),
        ("postgresql", "FATAL: 28P01: password authentication failed"),
        ("redis", "WRONGPASS invalid username-password pair"),
        ("managed-redis", "WRONGPASS invalid username-password pair"),
        ("openai", '{"error":{"code":"PermissionDenied"}}'),
    ],
)
def test_5_the_log_that_fails_the_proof(service: str, line: str) -> None:
    texts = services()[service].failures if service else common_failures()
    assert any(text in line for text in texts)
