"""One estate with every place of the surface and a key of each kind of service, through a whole life from the shell."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from migrator.model import settled
from scanners.surface import APP, JOB, POOL, REVISION, ROWS, Does
from tests import surfaces
from tests.executor.test_surface import estate as every_place
from tests.executor.texts import CANARIES as IN_TEXTS
from tests.executor.texts import worker

from .loopback import Azure, Shell, simulator

PROVIDERS = f"{surfaces.GROUP}/providers"
SERVICES = f"{surfaces.APPS}/containerApps/services"
SIBLING = f"{surfaces.APPS}/containerApps/sibling"
WORKER = f"{surfaces.APPS}/containerApps/worker"
VERSION = "2026-07-01"
"""Of everything of Microsoft.App: the one that shows all places."""


def key(name: str, length: int = 64) -> str:
    """A key that belongs to nobody, in base64 as services give them."""
    found = b""
    while len(found) < length:
        found += hashlib.sha256(f"{name}{len(found)}".encode()).digest()
    return base64.b64encode(found[:length]).decode()


def word(name: str) -> str:
    return "Wq" + hashlib.sha256(name.encode()).hexdigest()[:24] + "Zx"


KINDS = {
    "storage": (
        "Microsoft.Storage/storageAccounts",
        "acme",
        f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={key('storage')};EndpointSuffix=core.windows.net",
    ),
    "service-bus": (
        "Microsoft.ServiceBus/namespaces",
        "bus1",
        f"Endpoint=sb://bus1.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={key('bus', 32)}",
    ),
    "event-hubs": (
        "Microsoft.EventHub/namespaces",
        "hub1",
        f"Endpoint=sb://hub1.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={key('hub', 32)};EntityPath=h",
    ),
    "cosmos": (
        "Microsoft.DocumentDB/databaseAccounts",
        "cosmos1",
        f"AccountEndpoint=https://cosmos1.documents.azure.com:443/;AccountKey={key('cosmos')};",
    ),
    "sql": (
        "Microsoft.Sql/servers",
        "sql1",
        f"Server=tcp:sql1.database.windows.net,1433;Database=d;User ID=app;Password={word('sql')};",
    ),
    "postgresql": (
        "Microsoft.DBforPostgreSQL/flexibleServers",
        "pg1",
        f"postgresql://app:{word('pg')}@pg1.postgres.database.azure.com:5432/d",
    ),
    "mysql": (
        "Microsoft.DBforMySQL/flexibleServers",
        "my1",
        f"Server=my1.mysql.database.azure.com;Database=d;Uid=app;Pwd={word('mysql')};",
    ),
    "redis": (
        "Microsoft.Cache/redis",
        "redis1",
        f"redis1.redis.cache.windows.net:6380,password={key('redis', 32)},ssl=True,abortConnect=False",
    ),
    "app-configuration": (
        "Microsoft.AppConfiguration/configurationStores",
        "ac1",
        f"Endpoint=https://ac1.azconfig.io;Id=abcd-l0-s0:{word('id')[:20]};Secret={key('ac', 32)}",
    ),
    "signalr": (
        "Microsoft.SignalRService/signalR",
        "sig1",
        f"Endpoint=https://sig1.service.signalr.net;AccessKey={key('sig', 32)};Version=1.0;",
    ),
    "web-pubsub": (
        "Microsoft.SignalRService/webPubSub",
        "wps1",
        f"Endpoint=https://wps1.webpubsub.azure.com;AccessKey={key('wps', 32)};Version=1.0;",
    ),
    "communication": (
        "Microsoft.Communication/communicationServices",
        "com1",
        f"endpoint=https://com1.communication.azure.com/;accesskey={key('com')}",
    ),
    "iot-hub": (
        "Microsoft.Devices/IotHubs",
        "iot1",
        f"HostName=iot1.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey={key('iot', 32)}",
    ),
}
"""ARM type, name and connection string of each kind of service."""
SECRET_PARTS = [
    match[1]
    for _, _, value in KINDS.values()
    if (match := re.search(r"(?:Key|password|Pwd|Secret|accesskey)=([A-Za-z0-9+/]{16,})", value, re.IGNORECASE))
] + [word("pg")]


def app(name: str, env: dict[str, str]) -> dict[str, Any]:
    return {
        "id": f"{surfaces.APPS}/containerApps/{name}",
        "type": "Microsoft.App/containerApps",
        "location": "westeurope",
        "properties": {
            "environmentId": surfaces.HOME,
            "configuration": {},
            "template": {
                "containers": [
                    {
                        "name": "main",
                        "image": "mcr.microsoft.com/k8se/quickstart:latest",
                        "env": [{"name": n, "value": v} for n, v in env.items()],
                    }
                ],
                "scale": {"minReplicas": 1},
            },
        },
    }


def estate() -> dict[str, Any]:
    made = every_place()
    env = {f"{kind.replace('-', '_').upper()}_CONNECTION": value for kind, (_, _, value) in KINDS.items()}
    texts = json.loads(json.dumps(worker()))
    texts["id"] = WORKER
    texts["properties"]["managedEnvironmentId"] = surfaces.HOME
    made["resources"] += [
        *(
            {"id": f"{PROVIDERS}/{kind}/{name}", "type": kind, "location": "westeurope", "properties": {}}
            for kind, name, _ in KINDS.values()
        ),
        app("services", env),
        app("sibling", {"STORAGE": KINDS["storage"][2]}),
        texts,
    ]
    made["switches"] |= {"token_lifetime": 1e7}
    made["needs"] = [{"app": SERVICES, "env": name} for name in env]
    return made


def world(azure: Azure) -> dict[str, Any]:
    """Everything of the estate as anybody sees it: documents, values of secrets, identities, roles, the vault."""
    found: dict[str, Any] = {}
    for kind, at in {**surfaces.IDS, "services": SERVICES, "sibling": SIBLING, "worker": WORKER}.items():
        answer = azure.arm("GET", at, version=VERSION)
        assert answer.status == 200, (kind, answer.text)
        found[at] = settled(answer.body)
        if kind in {APP, JOB, "services", "sibling", "worker"} or "daprcomponents" in kind:
            listed = azure.arm("POST", f"{at}/listSecrets", {}, version=VERSION).body["value"]
            found[f"{at}#secrets"] = sorted((one["name"], one.get("value"), one.get("keyVaultUrl")) for one in listed)
    root = f"/subscriptions/{surfaces.SUB}"
    for path, version in (
        (f"{root}/providers/Microsoft.Authorization/roleAssignments", "2022-04-01"),
        (f"{root}/resources", "2021-04-01"),
    ):
        found[path] = sorted(str(one["id"]).lower() for one in azure.arm("GET", path, version=version).body["value"])
    return found


def untouched(found: dict[str, Any]) -> dict[str, Any]:
    """What no plan may change: every resource but the apps and jobs, and what of the past is kept."""
    workloads = (surfaces.IDS[APP], surfaces.IDS[JOB], SERVICES, SIBLING, WORKER)
    return {
        at: document
        for at, document in found.items()
        if "/providers/Microsoft.App/" in at and at.partition("#")[0] not in workloads
    }


@pytest.fixture(scope="module")
def canaries() -> list[str]:
    return [
        *(surfaces.canary(row, kind) for row, kind, _ in surfaces.planted()),
        *IN_TEXTS[:3],
        *SECRET_PARTS,
    ]


def test_a_whole_life(tmp_path: Path, canaries: list[str]) -> None:
    assert len(SECRET_PARTS) == len(KINDS)
    with simulator(tmp_path, estate(), "--speed", "600") as azure:
        shell = Shell(tmp_path, azure.profile_path)
        before = world(azure)

        scanned = json.loads(shell.keylift("scan", "azure", "--revisions", "--format", "json", expect=10).stdout)
        places = {(f["location"]["resource"].lower(), f["location"]["path"]) for f in scanned["findings"]}
        for row, kind, path in surfaces.planted():
            if kind == REVISION and ".http.metadata" in path:
                continue  # of an http rule a revision shows the number of requests only
            if kind in {APP, JOB} and path.endswith(".image"):
                continue  # that one would not be pulled; revisions and executions show it
            assert (surfaces.IDS[kind].lower(), path) in places, (row.number, kind, path)
        for row in ROWS:
            if row.does is Does.NAMES and POOL in row.kinds:
                assert any(surfaces.IDS[POOL].lower() == resource for resource, _ in places), row.number
        for form in ("html", "csv", "markdown"):
            shell.keylift("scan", "azure", "--format", form, "--output", f"scan.{form}", expect=10)
        shell.keylift("scan", "azure", "--format", "sarif", "--output", "scan.sarif")
        saved = ("--save-estate", "saved.json")
        shell.keylift("scan", "azure", "--format", "human", "--output", "scan.human", *saved, expect=10)

        plan = ("plan", "--vault", "kv-shop", "--passwordless", "suggest", "-o")
        shell.keylift(*plan, "plan.json")
        shell.keylift(*plan, "again.json")
        assert (tmp_path / "plan.json").read_bytes() == (tmp_path / "again.json").read_bytes()
        planned = json.loads((tmp_path / "plan.json").read_text())
        advised = {
            advice["names"][0] for advice in planned["passwordless"] if advice["app"].lower() == SERVICES.lower()
        }
        assert len(advised) == len(KINDS)
        assert len({advice["service"] for advice in planned["passwordless"]}) >= 12
        for form in ("human", "markdown", "json"):
            shell.keylift("show", "plan.json", "--format", form, cloud=False)
        shell.keylift("rehearse", "plan.json")

        shell.keylift("apply", "plan.json", "--auto-approve")
        after = world(azure)
        assert untouched(after) == untouched(before)
        shown = json.dumps([after[at]["properties"]["template"] for at in (SERVICES, SIBLING, WORKER)])
        assert not any(value in shown for value in (*SECRET_PARTS, *IN_TEXTS[:3]))
        for name, value, url in after[f"{SERVICES}#secrets"]:
            assert url, f"{name} is a reference"
            assert value in {text for _, _, text in KINDS.values()}
        shell.keylift("verify", "latest")
        for form in ("human", "json", "html", "markdown"):
            shell.keylift("status", "latest", "--format", form, cloud=False)
        shell.keylift("access")
        shell.keylift("drift")

        shell.keylift("rollback", "latest", "--auto-approve")
        assert world(azure) == before
        shell.keylift("rollback", "latest", "--auto-approve")
        assert world(azure) == before

    written = "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "estate.json"
    )
    for value in canaries:
        assert value not in shell.printed, value[:6]
        assert value not in written, value[:6]
