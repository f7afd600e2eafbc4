"""What each framework's evidence leads to, and what falsifies it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from migrator.passwordless.decision import Decision, Outcome, Subject, decide
from migrator.passwordless.evidence import Code, Evidence, Sight
from migrator.passwordless.pointer import point
from scanners.model import Secret

from .projects import BUS, COSMOS, KEY, PASSWORD, POSTGRES, REDIS, SIGNALR, SQL, STORAGE, TARGETS, csproj, judged

CONFIGURATION, CODE, VAULT = Outcome.CONFIGURATION, Outcome.CODE, Outcome.VAULT


class Project(NamedTuple):
    """One project and what must come of one of its secrets."""

    called: str
    files: dict[str, str]
    name: str
    value: str
    outcome: Outcome
    shows: str
    """A piece of what is said: of the changes, the evidence or the code."""


FUNCTION = (
    'public class F { [Function("f")] public void Run([ServiceBusTrigger("q", Connection = "Bus")] string m) {} }'
)
ASPIRE = 'builder.AddAzureServiceBusClient("bus");'
PROJECTS = (
    Project("functions-cs", {"F.cs": FUNCTION}, "Bus", BUS, CONFIGURATION, "Bus__fullyQualifiedNamespace"),
    Project(
        "functions-py",
        {"function_app.py": '@app.service_bus_queue_trigger(arg_name="m", queue_name="q", connection="Bus")\ndef f(m): ...'},
        "Bus", BUS, CONFIGURATION, "Bus__fullyQualifiedNamespace",
    ),
    Project(
        "functions-json",
        {"f/function.json": json.dumps({"bindings": [{"type": "queueTrigger", "queueName": "q", "connection": "Work"}]})},
        "Work", STORAGE, CONFIGURATION, "Work__queueServiceUri",
    ),
    Project(
        "functions-read-by-hand",
        {"F.cs": FUNCTION, "G.cs": 'var s = Environment.GetEnvironmentVariable("Bus");'},
        "Bus", BUS, VAULT, "by itself",
    ),
    Project(
        "functions-old-bundle",
        {"F.cs": FUNCTION, "host.json": '{"extensionBundle": {"version": "[2.*, 3.0.0)"}}'},
        "Bus", BUS, VAULT, "older than 3",
    ),
    Project("functions-no-binding", {"F.cs": "class F {}"}, "Bus", BUS, VAULT, "no binding was seen"),
    Project(
        "aspire",
        {"App.csproj": csproj("Aspire.Azure.Messaging.ServiceBus 9.1.0"), "Program.cs": ASPIRE},
        "ConnectionStrings__bus", BUS, CONFIGURATION, "AZURE_TOKEN_CREDENTIALS",
    ),
    Project(
        "aspire-by-hand",
        {
            "App.csproj": csproj("Aspire.Azure.Messaging.ServiceBus 9.1.0"),
            "Program.cs": f'{ASPIRE} var s = builder.Configuration.GetConnectionString("bus");',
        },
        "ConnectionStrings__bus", BUS, VAULT, "read by hand",
    ),
    Project(
        "aspire-hosting-only",
        {"App.csproj": csproj("Aspire.Hosting.Azure.ServiceBus 9.1.0"), "Program.cs": ASPIRE},
        "ConnectionStrings__bus", BUS, VAULT, "nothing shows",
    ),
    Project(
        "aspire-plain-npgsql",
        {"App.csproj": csproj("Aspire.Npgsql 9.1.0"), "Program.cs": 'builder.AddNpgsqlDataSource("db");'},
        "ConnectionStrings__db", POSTGRES, CODE, "UsePeriodicPasswordProvider",
    ),
    Project(
        "extensions-azure",
        {
            "App.csproj": csproj("Microsoft.Extensions.Azure 1.11.0"),
            "Program.cs": 'services.AddAzureClients(b => b.AddBlobServiceClient(config.GetSection("Files")));',
        },
        "Files", STORAGE, CONFIGURATION, "Files__serviceUri",
    ),
    Project(
        "sqlclient-6", {"App.csproj": csproj("Microsoft.Data.SqlClient 6.0.1")}, "Db", SQL, CONFIGURATION,
        "Authentication=Active Directory Managed Identity",
    ),
    Project("sqlclient-7", {"App.csproj": csproj("Microsoft.Data.SqlClient 7.0.0")}, "Db", SQL, VAULT, "Extensions.Azure"),
    Project(
        "sqlclient-7-with-it",
        {"App.csproj": csproj("Microsoft.Data.SqlClient 7.0.0", "Microsoft.Data.SqlClient.Extensions.Azure 1.0.0")},
        "Db", SQL, CONFIGURATION, "Authentication=",
    ),
    Project(
        "system-data-sqlclient",
        {"App.csproj": csproj("System.Data.SqlClient 4.9.0"), "Db.cs": "using System.Data.SqlClient;"},
        "Db", SQL, CODE, "Microsoft.Data.SqlClient",
    ),
    Project(
        "pyodbc",
        {"requirements.txt": "pyodbc==5.2.0\n", "app.py": 'import os, pyodbc\npyodbc.connect(os.environ["DB"])\n'},
        "DB", SQL, CONFIGURATION, "ActiveDirectoryMsi",
    ),
    Project(
        "pyodbc-in-parts",
        {"requirements.txt": "pyodbc==5.2.0\n", "app.py": "import pyodbc\n"},
        "DB", SQL, VAULT, "not seen",
    ),
    Project(
        "signalr",
        {"Program.cs": "builder.Services.AddSignalR().AddAzureSignalR();"},
        "Azure__SignalR__ConnectionString", SIGNALR, CONFIGURATION, "AuthType=azure.msi",
    ),
    Project(
        "spring",
        {"pom.xml": "<artifactId>spring-cloud-azure-starter-storage-blob</artifactId>"},
        "SPRING_CLOUD_AZURE_STORAGE_BLOB_CONNECTIONSTRING",
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net",
        CONFIGURATION, "SPRING_CLOUD_AZURE_STORAGE_BLOB_ACCOUNTNAME",
    ),
    Project(
        "spring-written-too",
        {
            "pom.xml": "<artifactId>spring-cloud-azure-starter-servicebus</artifactId>",
            "src/main/resources/application.yml": "spring:\n  cloud:\n    azure:\n      servicebus:\n        connection-string: abc\n",
        },
        "SPRING_CLOUD_AZURE_SERVICEBUS_CONNECTIONSTRING", BUS, VAULT, "written in configuration",
    ),
    Project(
        "spring-no-starter", {"pom.xml": "<artifactId>spring-boot-starter</artifactId>"},
        "SPRING_CLOUD_AZURE_SERVICEBUS_CONNECTIONSTRING", BUS, VAULT, "no spring-cloud-azure-starter",
    ),
    Project(
        "sdk-cs", {"B.cs": "var c = new ServiceBusClient(connectionString);"}, "BUS", BUS, CODE,
        'new ServiceBusClient("ns1.servicebus.windows.net", new DefaultAzureCredential())',
    ),
    Project(
        "sdk-py", {"b.py": "c = BlobServiceClient.from_connection_string(conn)"}, "FILES", STORAGE, CODE, "b.py",
    ),
    Project("sdk-js", {"b.ts": "const c = new CosmosClient(connectionString);"}, "DB", COSMOS, CODE, "aadCredentials"),
    Project(
        "sdk-java",
        {"B.java": 'var c = new ServiceBusClientBuilder()\n    .connectionString(System.getenv("BUS"))\n    .sender();'},
        "BUS", BUS, CODE, "fullyQualifiedNamespace",
    ),
    Project(
        "sdk-go", {"b.go": "client, err := azblob.NewClientFromConnectionString(conn, nil)"}, "FILES", STORAGE, CODE,
        "azblob.NewClient",
    ),
    Project("redis-py", {"b.py": "r = redis.Redis(host=h, password=p)"}, "REDIS", REDIS, CODE, "credential_provider"),
    Project(
        "binding-and-constructor",
        {"F.cs": FUNCTION, "B.cs": "var c = new ServiceBusClient(connectionString);"},
        "Bus", BUS, CODE, "B.cs",
    ),
    Project(
        "constructor-in-a-test-only",
        {"F.cs": FUNCTION, "tests/B.cs": "var c = new ServiceBusClient(connectionString);"},
        "Bus", BUS, CONFIGURATION, "Bus__fullyQualifiedNamespace",
    ),
    Project("nothing", {"readme.json": "{}"}, "BUS", BUS, VAULT, "nothing shows which client"),
)  # fmt: skip


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.called)
def test_a_framework(project: Project, tmp_path: Path) -> None:
    env: dict[str, str | None] = {project.name: None}
    if project.called.startswith(("functions", "binding", "constructor")):
        env["FUNCTIONS_WORKER_RUNTIME"] = "dotnet-isolated"
    decision = judged(tmp_path, project.files, project.name, project.value, env=env)
    told = json.dumps(decision.as_dict())
    assert decision.outcome is project.outcome, told
    assert json.dumps(project.shows)[1:-1] in told
    assert KEY not in told
    assert PASSWORD not in told
    if decision.outcome in {CONFIGURATION, CODE}:
        assert decision.grants or decision.scripts, "what the identity needs is said"


def of(name: str, value: str, **more: object) -> Decision:
    evidence = more.pop("evidence", Evidence({name: None}))
    return decide(Subject(name, point(Secret(value)), evidence, **more), TARGETS)  # type: ignore[arg-type]


def test_what_needs_no_code_to_be_known() -> None:
    """The Functions host reads its own storage by itself."""
    evidence = Evidence({"AzureWebJobsStorage": None, "FUNCTIONS_WORKER_RUNTIME": "node"})
    decision = of("AzureWebJobsStorage", STORAGE, evidence=evidence, identity="id-app")
    assert decision.outcome is CONFIGURATION
    assert [c.name for c in decision.changes][:2] == ["AzureWebJobsStorage", "AzureWebJobsStorage__accountName"]
    assert decision.grants[0].role.name == "Storage Blob Data Owner"


def test_without_code_a_key_stays() -> None:
    decision = of("BUS", BUS)
    assert decision.outcome is VAULT
    assert "--code" in decision.fails[0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("sk_live_abcdefghijklmnop", "nothing of Azure"),
        (BUS.replace("ns1", "other"), "no resource named other"),
        (STORAGE.replace("acme", "elsewhere"), "no resource named elsewhere"),
        (f"mongodb://m1:{KEY}@m1.mongo.cosmos.azure.com:10255/?ssl=true", "no driver"),
        (f"https://acme.blob.core.windows.net/c?sp=r&skoid=1&sig={KEY}", "of Entra already"),
    ],
)
def test_what_stays_a_secret(value: str, says: str) -> None:
    decision = of("X", value)
    assert decision.outcome in {VAULT, Outcome.CANNOT}
    assert says in decision.fails[0]


def test_another_use_keeps_it_a_secret() -> None:
    decision = of("BUS", BUS, others=("scale rule q",))
    assert decision.outcome is VAULT
    assert decision.fails == ("scale rule q takes the key itself",)


def test_a_host_that_several_services_share_is_asked_of_azure() -> None:
    """`servicebus.windows.net` serves Service Bus, Event Hubs and Relay: the resource's type decides."""
    pointer = point(Secret(BUS))
    assert pointer is not None
    assert pointer.services == ("service-bus", "event-hubs", "relay")
    assert of("BUS", BUS).service == "Service Bus"


def test_a_resource_of_that_name_with_another_endpoint_is_not_it() -> None:
    (target,) = (t for t in TARGETS if t.name == "c1")
    moved = type(target)(target.id, {"properties": {"documentEndpoint": "https://c1.documents.azure.cn:443/"}})
    decision = decide(Subject("DB", point(Secret(COSMOS)), Evidence()), (moved,))
    assert decision.resource == ""
    assert "no resource named c1" in decision.fails[0]


def test_what_is_missing_to_tell_the_resource_is_said() -> None:
    hidden = Subject("BUS", None, Evidence(), elsewhere="bus.contoso.com")
    assert "unresolved: bus.contoso.com is no host of Azure's own" in decide(hidden, TARGETS).fails[0]
    (away,) = decide(Subject("DB", point(Secret(COSMOS)), Evidence()), ()).fails
    assert "another subscription (--subscription), or in another tenant" in away


def test_a_private_endpoint_is_the_resource_beside_its_own_name() -> None:
    private = COSMOS.replace("c1.", "c1.privatelink.")
    assert private != COSMOS
    assert of("DB", private).resource == of("DB", COSMOS).resource != ""


def test_what_the_resource_lacks_comes_first() -> None:
    code = Code(packages={"microsoft.data.sqlclient": "6.0.0"})
    (server,) = (t for t in TARGETS if t.name == "sql1")
    bare = type(server)(server.id, {"properties": {"fullyQualifiedDomainName": "sql1.database.windows.net"}})
    decision = decide(Subject("DB", point(Secret(SQL)), Evidence(code=code)), (bare,))
    assert decision.outcome is CONFIGURATION
    assert decision.before[0]["command"].startswith("az sql server ad-admin create --server-name sql1 -g rg")


def test_signing_sas_is_said() -> None:
    code = Code(constructors=(Sight("a.cs", 1, "blob-connection-string"),), mints=(Sight("a.cs", 9, "sas"),))
    decision = of("FILES", STORAGE, evidence=Evidence(code=code))
    assert any("user delegation key" in text for text in decision.fails)


RULE = {
    "type": "azure-servicebus",
    "metadata": {"queueName": "q"},
    "auth": [{"secretRef": "bus", "triggerParameter": "connection"}],
}


@pytest.mark.parametrize(
    ("rule", "value", "outcome", "says"),
    [
        (RULE, BUS, CONFIGURATION, "lifecycle None"),
        ({**RULE, "metadata": {}}, BUS, VAULT, "no queueName or topicName"),
        ({**RULE, "type": "redis"}, REDIS, VAULT, "takes no identity in Container Apps"),
        ({**RULE, "type": "postgresql"}, POSTGRES, VAULT, "takes no identity in Container Apps"),
        (
            {"queueName": "q", "queueLength": 5, "auth": [{"secretRef": "s"}]},
            STORAGE,
            CONFIGURATION,
            "Queue Data Reader",
        ),
        (
            {"type": "azure-eventhub", "metadata": {"eventHubName": "h"}, "auth": [{}]},
            BUS,
            VAULT,
            "no storageAccountName",
        ),
        ({**RULE, "auth": [{}, {}]}, BUS, VAULT, "several secrets"),
    ],
)
def test_a_scale_rule(rule: dict[str, object], value: str, outcome: Outcome, says: str) -> None:
    decision = of("scale rule r", value, evidence=Evidence(rule=rule), identity="id-app")
    told = json.dumps(decision.as_dict())
    assert decision.outcome is outcome, told
    assert says in told


def test_a_namespace_goes_to_keda_by_its_bare_name() -> None:
    """KEDA appends the suffix itself: a full name would double it."""
    decision = of("scale rule r", BUS, evidence=Evidence(rule=RULE), identity="id-app")
    assert ("set", "scale rule r: metadata.namespace", "ns1") in {(c.action, c.name, c.value) for c in decision.changes}
    assert any(c.name == "scale rule r: auth" and c.action == "remove" for c in decision.changes)
