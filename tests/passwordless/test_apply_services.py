"""Every service whose key configuration alone replaces: its role, what the app is told, the whole way there and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from migrator.proof import verify
from migrator.veil import comparable
from tests.e2e.promises import as_people_see_it
from tests.executor import world

from .projects import csproj
from .test_apply import GROUP, KEY, env_of, planned, steps

STORAGE = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
ACCOUNT = {
    "id": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acme",
    "location": "westeurope",
    "properties": {"primaryEndpoints": {k: f"https://acme.{k}.core.windows.net/" for k in ("blob", "queue", "table")}},
}
CLIENT = "CLIENT"
"""Stands for the client id of the app's identity."""


@dataclass(frozen=True)
class Case:
    """One connection, and what becomes of it."""

    name: str
    value: str
    resource: dict[str, Any]
    code: dict[str, str]
    roles: set[str]
    env: dict[str, str]
    more: dict[str, str] = field(default_factory=dict)


def of(kind: str, name: str, **properties: Any) -> dict[str, Any]:
    return {"id": f"{GROUP}/providers/{kind}/{name}", "location": "westeurope", "properties": properties}


FUNCTIONS = {"FUNCTIONS_WORKER_RUNTIME": "node"}
ASPIRE_REDIS = {
    "app.csproj": csproj("Aspire.Microsoft.Azure.StackExchangeRedis 9.4.0"),
    "p.cs": 'builder.AddRedisClientBuilder("cache").WithAzureAuthentication();',
}
CASES = {
    "storage queue, Functions": Case(
        "Jobs", STORAGE, ACCOUNT,
        {"f.cs": 'void Run([QueueTrigger("in", Connection = "Jobs")] string m) {}'},
        {"Storage Queue Data Message Processor", "Storage Queue Data Reader"},
        {"Jobs__queueServiceUri": "https://acme.queue.core.windows.net", "Jobs__credential": "managedidentity", "Jobs__clientId": CLIENT},
        FUNCTIONS,
    ),
    "storage host, Functions": Case(
        "AzureWebJobsStorage", STORAGE, ACCOUNT, {"f.cs": 'void Run([TimerTrigger("0 0 * * * *")] object t) {}'},
        {"Storage Blob Data Owner"},
        {
            "AzureWebJobsStorage__accountName": "acme",
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": CLIENT,
        },
        FUNCTIONS,
    ),
    "storage host, Durable Functions": Case(
        "AzureWebJobsStorage", STORAGE, ACCOUNT,
        {"f.cs": "[DurableClient] IDurableClient c", "host.json": '{"extensionBundle": {"version": "[4.*, 5.0.0)"}}'},
        {"Storage Blob Data Owner", "Storage Queue Data Contributor", "Storage Table Data Contributor"},
        {
            "AzureWebJobsStorage__accountName": "acme",
            "AzureWebJobsStorage__credential": "managedidentity",
            "AzureWebJobsStorage__clientId": CLIENT,
        },
        FUNCTIONS,
    ),
    "event hubs, Functions": Case(
        "Hub", f"Endpoint=sb://eh1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={KEY};EntityPath=clicks",
        of("Microsoft.EventHub/namespaces", "eh1", serviceBusEndpoint="https://eh1.servicebus.windows.net:443/"),
        {"f.cs": 'void Run([EventHubTrigger("clicks", Connection = "Hub")] string[] m) {}'},
        {"Azure Event Hubs Data Receiver"},
        {"Hub__fullyQualifiedNamespace": "eh1.servicebus.windows.net", "Hub__credential": "managedidentity", "Hub__clientId": CLIENT},
        FUNCTIONS,
    ),
    "app configuration, Aspire": Case(
        "ConnectionStrings__settings", f"Endpoint=https://cfg1.azconfig.io;Id=abc;Secret={KEY}",
        of("Microsoft.AppConfiguration/configurationStores", "cfg1", endpoint="https://cfg1.azconfig.io"),
        {
            "app.csproj": csproj("Aspire.Microsoft.Extensions.Configuration.AzureAppConfiguration 9.0.0", "Aspire.Azure.Search.Documents 9.0.0"),
            "p.cs": 'builder.AddAzureAppConfiguration("settings");',
        },
        {"App Configuration Data Reader"},
        {
            "ConnectionStrings__settings": "https://cfg1.azconfig.io/",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "AZURE_CLIENT_ID": CLIENT,
        },
    ),
    "signalr, ASP.NET Core": Case(
        "Azure__SignalR__ConnectionString", f"Endpoint=https://s1.service.signalr.net;AccessKey={KEY};Version=1.0;",
        of("Microsoft.SignalRService/signalR", "s1", hostName="s1.service.signalr.net"),
        {"p.cs": "builder.Services.AddSignalR().AddAzureSignalR();"},
        {"SignalR App Server"},
        {"Azure__SignalR__ConnectionString": f"Endpoint=https://s1.service.signalr.net;AuthType=azure.msi;ClientId={CLIENT};Version=1.0;"},
    ),
    "openai, Aspire": Case(
        "ConnectionStrings__ai", f"Endpoint=https://ai1.openai.azure.com/;Key={KEY}",
        of("Microsoft.CognitiveServices/accounts", "ai1", endpoint="https://ai1.openai.azure.com/", customSubDomainName="ai1"),
        {"app.csproj": csproj("Aspire.Azure.AI.OpenAI 9.0.0"), "p.cs": 'builder.AddAzureOpenAIClient("ai");'},
        {"Cognitive Services OpenAI User"},
        {
            "ConnectionStrings__ai": "Endpoint=https://ai1.openai.azure.com/",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
            "AZURE_CLIENT_ID": CLIENT,
        },
    ),
    "redis, Aspire": Case(
        "ConnectionStrings__cache", f"r1.redis.cache.windows.net:6380,password={KEY},ssl=True,abortConnect=False",
        of("Microsoft.Cache/redis", "r1", hostName="r1.redis.cache.windows.net", redisConfiguration={"aad-enabled": "true"}),
        ASPIRE_REDIS,
        {"Data Contributor"},
        {"ConnectionStrings__cache": "r1.redis.cache.windows.net,ssl=true", "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", "AZURE_CLIENT_ID": CLIENT},
    ),
    "managed redis, Aspire": Case(
        "ConnectionStrings__cache", f"mr1.westeurope.redis.azure.net:10000,password={KEY},ssl=True",
        of("Microsoft.Cache/redisEnterprise", "mr1", hostName="mr1.westeurope.redis.azure.net"),
        ASPIRE_REDIS,
        {"default"},
        {"ConnectionStrings__cache": "mr1.westeurope.redis.azure.net:10000,ssl=true", "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential", "AZURE_CLIENT_ID": CLIENT},
    ),
    "storage, Microsoft.Extensions.Azure": Case(
        "Files__connectionString", STORAGE, ACCOUNT,
        {
            "app.csproj": csproj("Microsoft.Extensions.Azure 1.7.0"),
            "p.cs": 'c.AddBlobServiceClient(config.GetSection("Files"));',
        },
        {"Storage Blob Data Contributor"},
        {"Files__serviceUri": "https://acme.blob.core.windows.net", "Files__credential": "managedidentity", "Files__managedIdentityClientId": CLIENT},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    app_ = world.app("api", {case.name: case.value, **case.more})
    with world.inside(world.estate(app_, case.resource), tmp_path) as live:
        before, things = live.app("api"), live.resources()
        plan = planned(live, tmp_path, case.code, planted=[case.value])
        assert "vault-secret" not in steps(plan), plan.passwordless
        assert {
            step.change["role_name"] for step in plan.steps if step.kind in {"role-assignment", "data-role"}
        } == case.roles
        assert KEY not in plan.to_json()
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        identity = live.cloud.get_identity(f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-api")
        assert identity is not None
        client = str(identity["properties"]["clientId"])
        wanted = {key: value.replace(CLIENT, client) for key, value in case.env.items()}
        assert env_of(live.app("api")) == {"MODE": "live", "LAST": "1", **case.more, **wanted}
        (proven,) = verify(result.run, live.cloud, live.journal, world.KEY).apps
        assert proven.status == "ok", proven.checks
        assert executor.rollback(result.run).exit_code == 0
        assert as_people_see_it(live.app("api")) == as_people_see_it(before)
        assert live.resources() == things


SAS = f"https://acme.blob.core.windows.net/tokens?sv=2022-11-02&sr=c&sp=rwd&se=2030-01-01T00:00:00Z&sig={KEY.replace('=', '%3D')}"


def test_the_token_store_of_sign_in_writes_with_the_identity(tmp_path: Path) -> None:
    name = world.app_id("web")
    store = {"sasUrlSettingName": "token-store"}
    auth = {
        "id": f"{name}/authConfigs/current",
        "name": "current",
        "properties": {
            "platform": {"enabled": True},
            "identityProviders": {
                "azureActiveDirectory": {"registration": {"clientId": "9f0c2a54-0b4e-4c8d-9a53-1d2f3e4b5c6d"}}
            },
            "login": {"tokenStore": {"enabled": True, "azureBlobStorage": store}},
        },
    }
    app_ = world.app("web", secrets={"token-store": SAS})
    with world.inside(world.estate(app_, ACCOUNT, auth), tmp_path) as live:
        before, document = live.cloud.get_auth(name), live.app("web")
        plan = planned(live, tmp_path, {}, planted=[SAS])
        assert steps(plan) == [
            "identity-create",
            "identity-attach",
            "role-assignment",
            "access-wait",
            "part-switch",
            "part-prove",
        ]
        executor = live.executor()
        result = executor.apply(plan)
        assert (result.exit_code, [one.proven for one in result.apps]) == (0, [False])
        found = live.cloud.get_auth(name)
        assert found is not None
        now = found["properties"]["login"]["tokenStore"]["azureBlobStorage"]
        assert now["blobContainerUri"] == "https://acme.blob.core.windows.net/tokens"
        assert now["managedIdentityResourceId"].endswith("/id-web")
        assert not now.get("sasUrlSettingName")
        assert executor.rollback(result.run).exit_code == 0
        # but for what the platform fills in at each write
        assert comparable(live.cloud.get_auth(name)) == comparable(before)
        assert as_people_see_it(live.app("web")) == as_people_see_it(document)
