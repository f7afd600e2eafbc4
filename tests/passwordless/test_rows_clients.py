"""Each framework and service: what configuration takes, word by word, and what shows that configuration is not enough.

Every expectation is written out from the frameworks' own documentation and source, row by row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from migrator.model import Resource
from migrator.passwordless.code import read_code
from migrator.passwordless.decision import Decision, Outcome, Subject, decide
from migrator.passwordless.evidence import Evidence
from migrator.passwordless.pointer import point
from migrator.passwordless.suggesting import beside
from scanners.model import Secret

from .projects import BUS, COSMOS, KEY, PASSWORD, POSTGRES, REDIS, SIGNALR, SQL, STORAGE, TARGETS, csproj

CONFIGURATION, CODE, VAULT = Outcome.CONFIGURATION, Outcome.CODE, Outcome.VAULT
GROUP = "/subscriptions/aaaaaaaa-1111-2222-3333-444444444444/resourceGroups/rg/providers"
CLIENT = "<client id of id-app>"
PIN = {"AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", "AZURE_CLIENT_ID": CLIENT}


def resource(kind: str, name: str, **properties: object) -> Resource:
    return Resource(f"{GROUP}/{kind}/{name}", {"properties": properties})


HUB = f"Endpoint=sb://eh1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={KEY}"
SEARCH = f"Endpoint=https://se1.search.windows.net/;Key={KEY}"
OPENAI = f"Endpoint=https://ai1.openai.azure.com/;Key={KEY}"
SETTINGS = f"Endpoint=https://cfg1.azconfig.io;Id=abc;Secret={KEY}"
PUBSUB = f"Endpoint=https://wps1.webpubsub.azure.com;AccessKey={KEY};Version=1.0;"
MANAGED_REDIS = f"mr1.westeurope.redis.azure.net:10000,password={KEY},ssl=True"
CHINA = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.chinacloudapi.cn"
MORE = (
    *TARGETS,
    resource("Microsoft.EventHub/namespaces", "eh1", serviceBusEndpoint="https://eh1.servicebus.windows.net:443/"),
    resource("Microsoft.Search/searchServices", "se1", authOptions={"aadOrApiKey": {}}),
    resource(
        "Microsoft.CognitiveServices/accounts",
        "ai1",
        customSubDomainName="ai1",
        endpoint="https://ai1.openai.azure.com/",
    ),
    resource("Microsoft.AppConfiguration/configurationStores", "cfg1", endpoint="https://cfg1.azconfig.io"),
    resource("Microsoft.SignalRService/webPubSub", "wps1", hostName="wps1.webpubsub.azure.com"),
    resource("Microsoft.Cache/redisEnterprise", "mr1", hostName="mr1.westeurope.redis.azure.net"),
    resource("Microsoft.Batch/batchAccounts", "b1", accountEndpoint="b1.westeurope.batch.azure.com"),
    resource("Microsoft.DBforMySQL/flexibleServers", "my1", fullyQualifiedDomainName="my1.mysql.database.azure.com"),
)


class Row(NamedTuple):
    """A variable, the code beside it, and what becomes of it: changes by name (None: it goes), or what is said."""

    name: str
    value: str
    files: dict[str, str]
    becomes: dict[str, str | None] | str
    outcome: Outcome = CONFIGURATION
    identity: str = "id-app"
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    roles: set[str] | None = None


def decided(folder: Path, row: Row) -> Decision:
    for path, text in row.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    env: dict[str, str | None] = {row.name: None, **row.env}
    evidence = Evidence(env, code=read_code(folder))
    pointer = beside(row.name, point(Secret(row.value)), evidence)
    targets: tuple[Resource, ...] = MORE
    if ".cn" in row.value:
        targets = (
            resource(
                "Microsoft.Storage/storageAccounts",
                "acme",
                primaryEndpoints={"blob": "https://acme.blob.core.chinacloudapi.cn/"},
            ),
        )
    return decide(Subject(row.name, pointer, evidence, identity=row.identity), targets)


def aspire(package: str, call: str, more: str = "") -> dict[str, str]:
    return {"app.csproj": csproj(f"{package} 9.1.0"), "Program.cs": f'builder.{call}("x"){more};'}


X = "ConnectionStrings__x"
FUNCTIONS = {"FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"}
SECTION = {"app.csproj": csproj("Microsoft.Extensions.Azure 1.11.0")}
REDIS_BUILDER = "AddRedisClientBuilder"
AZURE_REDIS = "Aspire.Microsoft.Azure.StackExchangeRedis"

NET = {
    "2.1 plain SDK": Row("X", BUS, {"a.cs": "new ServiceBusClient(connectionString)"}, "a.cs", CODE),
    "2.1 Extensions.Azure, blobs": Row(
        "S__connectionString", STORAGE, {**SECTION, "a.cs": 'b.AddBlobServiceClient(config.GetSection("S"))'},
        {
            "S__connectionString": None, "S__serviceUri": "https://acme.blob.core.windows.net",
            "S__credential": "managedidentity", "S__managedIdentityClientId": CLIENT,
        },
    ),
    "2.1 Extensions.Azure, Service Bus, system identity": Row(
        "S", BUS, {**SECTION, "a.cs": 'b.AddServiceBusClient(config.GetSection("S"))'},
        {"S": None, "S__fullyQualifiedNamespace": "ns1.servicebus.windows.net", "S__credential": "managedidentity"},
        identity="",
    ),
    "2.1 Extensions.Azure, by string": Row(
        "S", BUS, {**SECTION, "a.cs": 'b.AddServiceBusClient(config["S"])'}, "nothing shows", VAULT,
    ),
    "2.1 Aspire blobs": Row(
        X, STORAGE, aspire("Aspire.Azure.Storage.Blobs", "AddAzureBlobServiceClient"),
        {X: "https://acme.blob.core.windows.net/", **PIN},
    ),
    "2.1 Aspire blobs, container": Row(
        X, f"{STORAGE};ContainerName=pictures", aspire("Aspire.Azure.Storage.Blobs", "AddAzureBlobContainerClient"),
        {X: "Endpoint=https://acme.blob.core.windows.net/;ContainerName=pictures", **PIN},
        roles={"/blobServices/default/containers/pictures"},
    ),
    "2.1 Aspire queues": Row(
        X, STORAGE, aspire("Aspire.Azure.Storage.Queues", "AddAzureQueueServiceClient"),
        {X: "https://acme.queue.core.windows.net/", **PIN},
    ),
    "2.1 Aspire tables": Row(
        X, STORAGE, aspire("Aspire.Azure.Data.Tables", "AddAzureTableServiceClient"),
        {X: "https://acme.table.core.windows.net/", **PIN},
    ),
    "2.1 Aspire Service Bus": Row(
        X, BUS, aspire("Aspire.Azure.Messaging.ServiceBus", "AddAzureServiceBusClient"), {X: "ns1.servicebus.windows.net", **PIN},
    ),
    "2.1 Aspire Service Bus, entity": Row(
        X, f"{BUS};EntityPath=t/Subscriptions/s", aspire("Aspire.Azure.Messaging.ServiceBus", "AddAzureServiceBusClient"),
        {X: "Endpoint=sb://ns1.servicebus.windows.net/;EntityPath=t/Subscriptions/s", **PIN},
    ),
    "2.1 Aspire Event Hubs, consumer group": Row(
        X, f"{HUB};EntityPath=h;ConsumerGroup=g", aspire("Aspire.Azure.Messaging.EventHubs", "AddAzureEventHubConsumerClient"),
        {X: "Endpoint=sb://eh1.servicebus.windows.net/;EntityPath=h;ConsumerGroup=g", **PIN},
        roles={"Azure Event Hubs Data Receiver", "Azure Event Hubs Data Sender"},
    ),
    "2.1 Aspire Cosmos": Row(
        X, COSMOS, aspire("Aspire.Microsoft.Azure.Cosmos", "AddAzureCosmosClient"),
        {X: "AccountEndpoint=https://c1.documents.azure.com/", **PIN},
    ),
    "2.1 Aspire Cosmos, container": Row(
        X, f"{COSMOS}Database=d;Container=c", aspire("Aspire.Microsoft.Azure.Cosmos", "AddAzureCosmosContainer"),
        {X: "AccountEndpoint=https://c1.documents.azure.com/;Database=d;Container=c", **PIN},
    ),
    "2.1 Aspire Search": Row(
        X, SEARCH, aspire("Aspire.Azure.Search.Documents", "AddAzureSearchClient"),
        {X: "Endpoint=https://se1.search.windows.net/", **PIN},
    ),
    "2.1 Aspire OpenAI": Row(
        X, f"{OPENAI};Deployment=gpt", aspire("Aspire.Azure.AI.OpenAI", "AddAzureOpenAIClient"),
        {X: "Endpoint=https://ai1.openai.azure.com/;Deployment=gpt", **PIN},
    ),
    "2.1 Aspire App Configuration": Row(
        X, SETTINGS, aspire("Aspire.Microsoft.Extensions.Configuration.AzureAppConfiguration", "AddAzureAppConfiguration"),
        {X: "https://cfg1.azconfig.io/", **PIN},
    ),
    "2.1 Aspire Web PubSub": Row(
        X, PUBSUB, aspire("Aspire.Azure.Messaging.WebPubSub", "AddAzureWebPubSubServiceClient"),
        {X: "https://wps1.webpubsub.azure.com/", **PIN},
    ),
    "2.1 Aspire Web PubSub, hub": Row(
        X, f"{PUBSUB}Hub=chat", aspire("Aspire.Azure.Messaging.WebPubSub", "AddAzureWebPubSubServiceClient"),
        {X: "Endpoint=https://wps1.webpubsub.azure.com/;Hub=chat", **PIN},
    ),
    "2.1 Aspire Npgsql, user-assigned": Row(
        X, POSTGRES, aspire("Aspire.Azure.Npgsql", "AddAzureNpgsqlDataSource"),
        {X: "Host=pg1.postgres.database.azure.com;Database=shop;Ssl Mode=Require", **PIN},
    ),
    "2.1 Aspire Npgsql, system identity": Row(
        X, POSTGRES, aspire("Aspire.Azure.Npgsql", "AddAzureNpgsqlDataSource"),
        {
            X: "Host=pg1.postgres.database.azure.com;Database=shop;Username=the-app;Ssl Mode=Require",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        },
        identity="",
    ),
    "2.1 Aspire Redis, with the call": Row(
        X, REDIS, aspire(AZURE_REDIS, REDIS_BUILDER, ".WithAzureAuthentication()"),
        {X: "r1.redis.cache.windows.net,ssl=true", **PIN}, roles={""},
    ),
    "2.1 Aspire Managed Redis, with the call": Row(
        X, MANAGED_REDIS, aspire(AZURE_REDIS, REDIS_BUILDER, ".WithAzureAuthentication()"),
        {X: "mr1.westeurope.redis.azure.net:10000,ssl=true", **PIN},
    ),
    "2.1 Aspire Redis, without the call": Row(
        X, REDIS, aspire(AZURE_REDIS, REDIS_BUILDER), "no WithAzureAuthentication()", VAULT,
    ),
    "2.1 Aspire plain Redis": Row(
        X, REDIS, aspire("Aspire.StackExchange.Redis", "AddRedisClient"), "which takes a password", VAULT,
    ),
    "2.1 SqlClient, user-assigned": Row(
        "X", SQL, {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0")},
        {"X": f"Server=tcp:sql1.database.windows.net,1433;Database=shop;Encrypt=True;Authentication=Active Directory Managed Identity;User Id={CLIENT}"},
    ),
    "2.1 SqlClient, system identity": Row(
        "X", SQL, {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0")},
        {"X": "Server=tcp:sql1.database.windows.net,1433;Database=shop;Encrypt=True;Authentication=Active Directory Managed Identity"},
        identity="",
    ),
    "2.1 SqlClient with a credential of its own": Row(
        "X", SQL, {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0"), "a.cs": "new SqlConnection(s, new SqlCredential(u, p))"},
        "makes its connection of parts", VAULT,
    ),
    "2.1 SqlClient with a password that code puts in": Row(
        "X", SQL, {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0"), "a.cs": "var b = new SqlConnectionStringBuilder(s);"},
        "makes its connection of parts", VAULT,
    ),
    "2.1 SignalR, user-assigned": Row(
        "Azure__SignalR__ConnectionString", SIGNALR, {"a.cs": "s.AddSignalR().AddAzureSignalR();"},
        {"Azure__SignalR__ConnectionString": f"Endpoint=https://s1.service.signalr.net;AuthType=azure.msi;ClientId={CLIENT};Version=1.0;"},
    ),
    "2.1 SignalR, system identity": Row(
        "Azure__SignalR__ConnectionString", SIGNALR, {"a.cs": "s.AddSignalR().AddAzureSignalR();"},
        {"Azure__SignalR__ConnectionString": "Endpoint=https://s1.service.signalr.net;AuthType=azure.msi;Version=1.0;"},
        identity="",
    ),
    "2.1 StackExchange.Redis": Row(
        "X", REDIS, {"a.cs": "ConnectionMultiplexer.Connect(s)"}, "Microsoft.Azure.StackExchangeRedis", CODE,
    ),
    "2.1 MySqlConnector": Row(
        "X", f"Server=my1.mysql.database.azure.com;Uid=a;Pwd={PASSWORD}", {"a.cs": "new MySqlConnection(s)"},
        "ProvidePasswordCallback", CODE,
    ),
    "2.1 App Configuration provider": Row(
        "X", SETTINGS, {"a.cs": "options.Connect(connectionString)"}, 'options.Connect(new Uri(\\"https://cfg1.azconfig.io\\")', CODE,
    ),
    "2.1 App Insights": Row("X", f"InstrumentationKey={KEY}", {"a.cs": "x"}, "nothing shows", VAULT),
}  # fmt: skip


def bound(attribute: str) -> dict[str, str]:
    return {"f.cs": f'void Run([{attribute}, Connection = "C")] string m) {{}}'}


DURABLE = {
    "extension": {"app.csproj": csproj("Microsoft.Azure.WebJobs.Extensions.DurableTask 2.13.5")},
    "worker": {"app.csproj": csproj("Microsoft.Azure.Functions.Worker.Extensions.DurableTask 1.1.1")},
    "bundle": {"host.json": '{"extensionBundle": {"version": "[4.*, 5.0.0)"}}'},
}
FUNCTION = {
    "2.2 blob input": Row(
        "C", STORAGE, bound('BlobInput("in/x"'), {"C": None, "C__blobServiceUri": "https://acme.blob.core.windows.net",
        "C__queueServiceUri": "https://acme.queue.core.windows.net", "C__credential": "managedidentity", "C__clientId": CLIENT},
        roles={"Storage Blob Data Reader"},
    ),
    "2.2 blob output": Row(
        "C", STORAGE, bound('BlobOutput("out/x"'), "Storage Blob Data Owner", roles={"Storage Blob Data Owner"},
    ),
    "2.2 blob trigger": Row(
        "C", STORAGE, bound('BlobTrigger("in/x"'), "C__queueServiceUri",
        roles={"Storage Blob Data Owner", "Storage Queue Data Contributor"},
    ),
    "2.2 queue": Row(
        "C", STORAGE, bound('QueueTrigger("q"'),
        {"C": None, "C__queueServiceUri": "https://acme.queue.core.windows.net", "C__credential": "managedidentity", "C__clientId": CLIENT},
    ),
    "2.2 table": Row(
        "C", STORAGE, bound('TableInput("t"'),
        {"C": None, "C__tableServiceUri": "https://acme.table.core.windows.net", "C__credential": "managedidentity", "C__clientId": CLIENT},
    ),
    "2.2 Service Bus, system identity": Row(
        "C", BUS, bound('ServiceBusTrigger("q"'), {"C": None, "C__fullyQualifiedNamespace": "ns1.servicebus.windows.net"},
        identity="", roles={"Azure Service Bus Data Receiver"},
    ),
    "2.2 Service Bus, under the host's own prefix": Row(
        "AzureWebJobsC", BUS, bound('ServiceBusTrigger("q"'),
        {"AzureWebJobsC": None, "C__fullyQualifiedNamespace": "ns1.servicebus.windows.net", "C__credential": "managedidentity", "C__clientId": CLIENT},
    ),
    "2.2 Event Hubs": Row(
        "C", HUB, bound('EventHubTrigger("h"'), "C__fullyQualifiedNamespace", roles={"Azure Event Hubs Data Receiver"},
    ),
    "2.2 Cosmos": Row(
        "C", COSMOS, bound('CosmosDBTrigger("d", "c"'), {"C": None, "C__accountEndpoint": "https://c1.documents.azure.com",
        "C__credential": "managedidentity", "C__clientId": CLIENT},
    ),
    "2.2 SignalR": Row("C", SIGNALR, bound('SignalROutput(HubName = "h"'), "C__serviceUri"),
    "2.2 host, public cloud": Row(
        "AzureWebJobsStorage", STORAGE, {"f.cs": "[TimerTrigger]"},
        {"AzureWebJobsStorage": None, "AzureWebJobsStorage__accountName": "acme", "AzureWebJobsStorage__credential": "managedidentity",
         "AzureWebJobsStorage__clientId": CLIENT},
        roles={"Storage Blob Data Owner"},
    ),
    "2.2 host, another cloud": Row(
        "AzureWebJobsStorage", CHINA, {"f.cs": "[TimerTrigger]"},
        {
            "AzureWebJobsStorage": None,
            **{f"AzureWebJobsStorage__{kind}ServiceUri": f"https://acme.{kind}.core.chinacloudapi.cn" for kind in ("blob", "queue", "table")},
            "AzureWebJobsStorage__credential": "managedidentity", "AzureWebJobsStorage__clientId": CLIENT,
        },
    ),
    **{
        f"2.2 host, Durable Functions, {called}": Row(
            "AzureWebJobsStorage", STORAGE, {"f.cs": "[DurableClient] IDurableClient c", **files}, "AzureWebJobsStorage__accountName",
            roles={"Storage Blob Data Owner", "Storage Queue Data Contributor", "Storage Table Data Contributor"},
        )
        for called, files in DURABLE.items()
    },
    "2.2 old extension, Service Bus": Row(
        "C", BUS, {**bound('ServiceBusTrigger("q"'), "app.csproj": csproj("Microsoft.Azure.WebJobs.Extensions.ServiceBus 4.3.1")},
        "is older than 5", VAULT,
    ),
    "2.2 old extension, Cosmos": Row(
        "C", COSMOS, {**bound('CosmosDBTrigger("d", "c"'), "app.csproj": csproj("Microsoft.Azure.Functions.Worker.Extensions.CosmosDB 3.0.9")},
        "is older than 4", VAULT,
    ),
    "2.2 old extension of another service": Row(
        "C", BUS, {**bound('ServiceBusTrigger("q"'), "app.csproj": csproj("Microsoft.Azure.WebJobs.Extensions.CosmosDB 3.0.9")},
        "C__fullyQualifiedNamespace",
    ),
    "2.2 old bundle, host": Row(
        "AzureWebJobsStorage", STORAGE, {"f.cs": "[TimerTrigger]", "host.json": '{"extensionBundle": {"version": "[2.*, 3.0.0)"}}'},
        "older than 3", VAULT,
    ),
    "2.2 Web PubSub": Row("C", PUBSUB, bound('WebPubSubTrigger("h"'), "no binding was seen", VAULT),
    "2.2 SQL": Row(
        "C", SQL, {"f.cs": '[SqlInput("select 1", ConnectionStringSetting = "C")]', "app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0")},
        "Authentication=Active Directory Managed Identity",
    ),
}  # fmt: skip


def pom(*artifacts: str) -> dict[str, str]:
    return {"pom.xml": "".join(f"<artifactId>{a}</artifactId>" for a in artifacts)}


SPRING_CREDENTIAL = {
    "SPRING_CLOUD_AZURE_CREDENTIAL_MANAGEDIDENTITYENABLED": "true",
    "SPRING_CLOUD_AZURE_CREDENTIAL_CLIENTID": CLIENT,
}
AZ = "SPRING_CLOUD_AZURE"
SPRING = {
    "2.3 blob": Row(
        f"{AZ}_STORAGE_BLOB_CONNECTIONSTRING", STORAGE, pom("spring-cloud-azure-starter-storage-blob"),
        {f"{AZ}_STORAGE_BLOB_CONNECTIONSTRING": None, f"{AZ}_STORAGE_BLOB_ACCOUNTNAME": "acme", **SPRING_CREDENTIAL},
    ),
    "2.3 Service Bus, bare name": Row(
        f"{AZ}_SERVICEBUS_CONNECTIONSTRING", BUS, pom("spring-cloud-azure-starter-servicebus"),
        {f"{AZ}_SERVICEBUS_CONNECTIONSTRING": None, f"{AZ}_SERVICEBUS_NAMESPACE": "ns1", **SPRING_CREDENTIAL},
    ),
    "2.3 Event Hubs, bare name, system identity": Row(
        f"{AZ}_EVENTHUBS_CONNECTIONSTRING", HUB, pom("spring-cloud-azure-starter-eventhubs"),
        {f"{AZ}_EVENTHUBS_CONNECTIONSTRING": None, f"{AZ}_EVENTHUBS_NAMESPACE": "eh1",
         "SPRING_CLOUD_AZURE_CREDENTIAL_MANAGEDIDENTITYENABLED": "true"},
        identity="",
    ),
    "2.3 Cosmos": Row(
        f"{AZ}_COSMOS_KEY", KEY, pom("spring-cloud-azure-starter-cosmos"),
        {f"{AZ}_COSMOS_KEY": None, f"{AZ}_COSMOS_ENDPOINT": "https://c1.documents.azure.com:443/", **SPRING_CREDENTIAL},
        env={f"{AZ}_COSMOS_ENDPOINT": "https://c1.documents.azure.com:443/"},
    ),
    "2.3 Service Bus JMS": Row(
        "SPRING_JMS_SERVICEBUS_CONNECTIONSTRING", BUS, pom("spring-cloud-azure-starter-servicebus-jms"),
        {"SPRING_JMS_SERVICEBUS_CONNECTIONSTRING": None, "SPRING_JMS_SERVICEBUS_NAMESPACE": "ns1",
         "SPRING_JMS_SERVICEBUS_PASSWORDLESSENABLED": "true", **SPRING_CREDENTIAL},
    ),
    "2.3 JDBC PostgreSQL": Row(
        "SPRING_DATASOURCE_PASSWORD", PASSWORD, pom("spring-cloud-azure-starter-jdbc-postgresql"),
        {"SPRING_DATASOURCE_PASSWORD": None, "SPRING_DATASOURCE_AZURE_PASSWORDLESSENABLED": "true", **SPRING_CREDENTIAL},
        env={"SPRING_DATASOURCE_URL": "jdbc:postgresql://pg1.postgres.database.azure.com/shop"},
    ),
    "2.3 JDBC, the starter of another database": Row(
        "SPRING_DATASOURCE_PASSWORD", PASSWORD, pom("spring-cloud-azure-starter-jdbc-mysql"),
        "no spring-cloud-azure-starter-jdbc-postgresql", VAULT,
        env={"SPRING_DATASOURCE_URL": "jdbc:postgresql://pg1.postgres.database.azure.com/shop"},
    ),
    "2.3 JDBC SQL Server": Row(
        "SPRING_DATASOURCE_PASSWORD", PASSWORD, pom("azure-identity"),
        {"SPRING_DATASOURCE_PASSWORD": None, "SPRING_DATASOURCE_USERNAME": None,
         "SPRING_DATASOURCE_URL": f"jdbc:sqlserver://sql1.database.windows.net:1433;database=shop;authentication=ActiveDirectoryMSI;msiClientId={CLIENT};"},
        env={"SPRING_DATASOURCE_URL": "jdbc:sqlserver://sql1.database.windows.net:1433;database=shop;"},
    ),
    "2.3 JDBC SQL Server without azure-identity": Row(
        "SPRING_DATASOURCE_PASSWORD", PASSWORD, pom("spring-cloud-azure-starter-jdbc-mysql"), "no azure-identity", VAULT,
        env={"SPRING_DATASOURCE_URL": "jdbc:sqlserver://sql1.database.windows.net:1433;database=shop"},
    ),
    "2.3 Redis": Row(
        "SPRING_DATA_REDIS_PASSWORD", KEY, pom("spring-cloud-azure-starter-data-redis-lettuce"), "SPRING_DATA_REDIS_AZURE_PASSWORDLESSENABLED",
        env={"SPRING_DATA_REDIS_HOST": "r1.redis.cache.windows.net"},
    ),
    "2.3 Redis under the names of Boot 2": Row(
        "SPRING_REDIS_PASSWORD", KEY, pom("spring-cloud-azure-starter-data-redis-lettuce"), "nothing shows", VAULT,
        env={"SPRING_REDIS_HOST": "r1.redis.cache.windows.net"},
    ),
    "2.3 starters of Boot 2": Row(
        f"{AZ}_SERVICEBUS_CONNECTIONSTRING", BUS,
        {"pom.xml": "<artifactId>spring-cloud-azure-starter-servicebus</artifactId><version>4.20.0</version>"}, "Spring Boot 2", VAULT,
    ),
    "2.3 a bean that builds the client": Row(
        f"{AZ}_SERVICEBUS_CONNECTIONSTRING", BUS,
        {**pom("spring-cloud-azure-starter-servicebus"), "B.java": "new ServiceBusClientBuilder().connectionString(s)"}, "B.java", CODE,
    ),
    "2.3 plain JDBC": Row(
        "X", POSTGRES, pom("postgresql"), "nothing shows", VAULT,
    ),
}  # fmt: skip


OTHERS = {
    "2.6 blobs, Python": Row("X", STORAGE, {"a.py": "BlobServiceClient.from_connection_string(s)"}, "a.py", CODE),
    "2.6 blobs, JavaScript": Row("X", STORAGE, {"a.js": "BlobServiceClient.fromConnectionString(s)"}, "a.js", CODE),
    "2.6 blobs, Java": Row("X", STORAGE, {"a.java": "new BlobServiceClientBuilder().connectionString(s)"}, "a.java", CODE),
    "2.6 blobs, Go": Row("X", STORAGE, {"a.go": "azblob.NewClientFromConnectionString(s, nil)"}, "a.go", CODE),
    "2.6 pyodbc": Row(
        "DB", SQL, {"requirements.txt": "pyodbc==5.2.0\n", "a.py": 'pyodbc.connect(os.environ["DB"])'},
        {"DB": "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql1.database.windows.net,1433;Database=shop;Encrypt=yes;"
               f"UID={CLIENT};Authentication=ActiveDirectoryMsi"},
    ),
    "2.6 pyodbc, system identity": Row(
        "DB", SQL, {"requirements.txt": "pyodbc==5.2.0\n", "a.py": 'pyodbc.connect(os.environ["DB"])'},
        {"DB": "Driver={ODBC Driver 18 for SQL Server};Server=tcp:sql1.database.windows.net,1433;Database=shop;Encrypt=yes;"
               "Authentication=ActiveDirectoryMsi"},
        identity="",
    ),
    "2.6 SQLAlchemy with pymssql": Row(
        "DB", SQL, {"requirements.txt": "pyodbc==5.2.0\n", "a.py": 'create_engine(f"mssql+pymssql://{os.environ["DB"]}")'},
        "connection of parts", VAULT,
    ),
    "2.6 Node mssql": Row("DB", SQL, {"a.js": "new Connection({ authentication: { type: 'default' } })"}, "azure-active-directory-default", CODE),
    "2.6 Go mssqldb": Row("DB", SQL, {"a.go": 'sql.Open("sqlserver", s)'}, "fedauth=ActiveDirectoryMSI", CODE),
    "2.6 psycopg": Row("DB", POSTGRES, {"a.py": "psycopg.connect(s)"}, "https://ossrdbms-aad.database.windows.net/.default", CODE),
    "2.6 pg, JavaScript": Row("DB", POSTGRES, {"a.js": "new pg.Pool(s)"}, "password: async () =>", CODE),
    "2.6 pgx, Go": Row("DB", POSTGRES, {"a.go": "pgxpool.New(ctx, s)"}, "BeforeConnect", CODE),
    "2.6 SQLAlchemy": Row("DB", POSTGRES, {"a.py": "create_engine(s)"}, "do_connect", CODE),
    "2.6 redis-py": Row("X", REDIS, {"a.py": "redis.Redis(host=h)"}, "credential_provider", CODE),
    "2.6 ioredis": Row("X", REDIS, {"a.ts": "new Redis(s)"}, "https://redis.azure.com/.default", CODE),
    "2.6 OpenAI, Python": Row("X", OPENAI, {"a.py": "AzureOpenAI(api_key=k)"}, "https://cognitiveservices.azure.com/.default", CODE),
    "2.6 OpenAI, JavaScript": Row("X", OPENAI, {"a.js": "new AzureOpenAI({ apiKey })"}, "azureADTokenProvider", CODE),
    "2.6 regional host of AI services": Row(
        "X", f"Endpoint=https://westeurope.api.cognitive.microsoft.com/;Key={KEY}", {"a.py": "x"}, "unresolved: ", VAULT,
    ),
    "2.6 a password of PostgreSQL in parts": Row(
        "PGPASSWORD", PASSWORD, {"a.py": "psycopg2.connect()"}, "pg1", CODE, env={"PGHOST": "pg1.postgres.database.azure.com"},
    ),
    "2.6 Batch": Row(
        "BATCH_KEY", KEY, {"a.py": "x"}, "token credential", CODE, env={"BATCH_URL": "https://b1.westeurope.batch.azure.com"},
    ),
    "2.6 Maps": Row("MAPS_KEY", "k" * 20, {"a.py": "x"}, "unresolved: atlas.microsoft.com", VAULT, env={"MAPS_URL": "https://atlas.microsoft.com"}),
    "5 a generated file is no evidence": Row("X", BUS, {"obj/a.cs": "new ServiceBusClient(connectionString)"}, "nothing shows", VAULT),
    "5 a vendored file is no evidence": Row("X", BUS, {"vendor/a.go": "azservicebus.NewClientFromConnectionString(s)"}, "nothing shows", VAULT),
}  # fmt: skip
ROWS = {**NET, **FUNCTION, **SPRING, **OTHERS}


@pytest.mark.parametrize("called", DURABLE)
def test_2_2_durable_functions_give_way_where_their_extension_takes_an_identity(called: str, tmp_path: Path) -> None:
    row = FUNCTION[f"2.2 host, Durable Functions, {called}"]._replace(env=FUNCTIONS)
    found = decided(tmp_path, row)
    assert found.stays == ()
    # its state is wherever the host makes it: at the account
    assert {grant.scope for grant in found.grants} == {found.resource}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"app.csproj": csproj("Microsoft.Azure.WebJobs.Extensions.DurableTask 2.6.1")}, "extension 2.7 on"),
        ({"app.csproj": csproj("Microsoft.Azure.WebJobs.Extensions.DurableTask 1.8.0")}, "extension 2.7 on"),
        ({"a.json": "{}"}, "which there is was not seen"),
        ({**DURABLE["bundle"], "g.cs": '[BlobTrigger("in/x")]'}, "Storage Account Contributor"),
    ],
)
def test_2_2_a_host_that_needs_more_keeps_its_key(files: dict[str, str], why: str, tmp_path: Path) -> None:
    code = {"f.cs": "[DurableClient] IDurableClient c", **files}
    found = decided(tmp_path, Row("AzureWebJobsStorage", STORAGE, code, "", env=FUNCTIONS))
    assert found.outcome is CONFIGURATION
    assert [why in text for text in found.stays] == [True]


@pytest.mark.parametrize("called", ROWS)
def test_a_row(called: str, tmp_path: Path) -> None:
    row = ROWS[called]
    row = row._replace(env={**FUNCTIONS, **row.env}) if called.startswith("2.2") else row
    found = decided(tmp_path, row)
    told = json.dumps(found.as_dict())
    assert found.outcome is row.outcome, told
    assert KEY not in told
    assert PASSWORD not in told
    if isinstance(row.becomes, str):
        assert row.becomes in told
    else:
        assert {c.name: c.value if c.action == "set" else None for c in found.changes} == row.becomes
    if called.startswith("2.2") and row.outcome is CONFIGURATION:
        # it would be the identity of every connection of the host
        assert "AZURE_CLIENT_ID" not in {change.name for change in found.changes}
    if row.roles is not None:
        said = {grant.role.name for grant in found.grants} | {
            g.scope.partition(found.resource)[2] for g in found.grants
        }
        assert row.roles <= said
        assert len(found.grants) == len(row.roles)
