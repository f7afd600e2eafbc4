"""Small projects of every framework, as people write them, and the resources that their secrets open."""

from __future__ import annotations

from pathlib import Path

from migrator.model import Resource
from migrator.passwordless.code import read_code
from migrator.passwordless.decision import Decision, Subject, decide
from migrator.passwordless.evidence import Evidence
from migrator.passwordless.pointer import point
from scanners.model import Secret

KEY = "Q0FOQVJZMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
PASSWORD = "CanaryP4ss-Kq8vZr4tLw"
BUS = f"Endpoint=sb://ns1.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={KEY}"
STORAGE = f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={KEY};EndpointSuffix=core.windows.net"
COSMOS = f"AccountEndpoint=https://c1.documents.azure.com:443/;AccountKey={KEY};"
SQL = f"Server=tcp:sql1.database.windows.net,1433;Database=shop;User ID=app;Password={PASSWORD};"
POSTGRES = f"postgres://app:{PASSWORD}@pg1.postgres.database.azure.com:5432/shop?sslmode=require"
REDIS = f"r1.redis.cache.windows.net:6380,password={KEY},ssl=True"
SIGNALR = f"Endpoint=https://s1.service.signalr.net;AccessKey={KEY};Version=1.0;"

_RG = "/subscriptions/aaaaaaaa-1111-2222-3333-444444444444/resourceGroups/rg/providers"


def _resource(kind: str, name: str, **properties: object) -> Resource:
    return Resource(f"{_RG}/{kind}/{name}", {"properties": properties})


TARGETS = (
    _resource("Microsoft.ServiceBus/namespaces", "ns1", serviceBusEndpoint="https://ns1.servicebus.windows.net:443/"),
    _resource(
        "Microsoft.Storage/storageAccounts", "acme", primaryEndpoints={"blob": "https://acme.blob.core.windows.net/"}
    ),
    _resource("Microsoft.DocumentDB/databaseAccounts", "c1", documentEndpoint="https://c1.documents.azure.com:443/"),
    _resource(
        "Microsoft.Sql/servers", "sql1", fullyQualifiedDomainName="sql1.database.windows.net", administrators={"sid": 1}
    ),
    _resource(
        "Microsoft.DBforPostgreSQL/flexibleServers",
        "pg1",
        fullyQualifiedDomainName="pg1.postgres.database.azure.com",
        authConfig={"activeDirectoryAuth": "Enabled"},
    ),
    _resource(
        "Microsoft.Cache/redis", "r1", hostName="r1.redis.cache.windows.net", redisConfiguration={"aad-enabled": "true"}
    ),
    _resource("Microsoft.AppConfiguration/configurationStores", "a1", endpoint="https://a1.azconfig.io"),
    _resource("Microsoft.SignalRService/signalR", "s1", hostName="s1.service.signalr.net"),
)


def judged(
    folder: Path, files: dict[str, str], name: str, value: str, *, env: dict[str, str | None] | None = None
) -> Decision:
    """What becomes of variable `name` in an app whose code is `files`."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    evidence = Evidence(env or {name: None}, code=read_code(folder))
    return decide(Subject(name, point(Secret(value)), evidence, identity="id-app"), TARGETS)


def csproj(*packages: str) -> str:
    """A project file with packages, `name version` each."""
    references = "".join(f'<PackageReference Include="{p.split()[0]}" Version="{p.split()[1]}" />' for p in packages)
    return f'<Project Sdk="Microsoft.NET.Sdk"><ItemGroup>{references}</ItemGroup></Project>'
