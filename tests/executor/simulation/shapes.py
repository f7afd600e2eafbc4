"""Estates that worlds are made of, each with its plan: small ones, which together have every kind of step."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import Json, Plan
from migrator.passwordless.evidence import Code, Sight
from migrator.proposing import with_targets

from ..contracts import PASSWORD, SERVER, finalize, registry, shop
from ..jobs import job
from ..texts import CANARIES as IN_TEXTS
from ..texts import SCRIPT, scanned, worker
from ..world import ENVIRONMENT, GROUP, KEY, PLANTED, VAULT, World, app, app_id, estate, two_apps
from . import disk
from .facts import Facts, facts
from .inside import Inside, Standing

BUS = "Endpoint=sb://ns1.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey=Canary4kT9vQ2xZ7mLw4pRsHb3nJ6yC8="
COSMOS = (
    "AccountEndpoint=https://c1.documents.azure.com:443/;AccountKey=Canary5kT9vQ2xZ7mLw4pRsHb3nJ6yC8==;Database=shop"
)
SERVICES: list[Json] = [
    {
        "id": f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/ns1",
        "location": "westeurope",
        "properties": {"serviceBusEndpoint": "https://ns1.servicebus.windows.net:443/"},
    },
    {
        "id": f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/c1",
        "location": "westeurope",
        "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    },
]
CODE = Code(
    names={
        f"{call}:{name}": (Sight("f.cs", 1, call),)
        for call, name in (("connection", "bus"), ("receives", "bus"), ("connection", "db"))
    }
)
"""What a Functions app shows that receives from a queue and asks a database."""
KEYLESS: dict[str, Any] = {"passwordless": "apply", "code": {"": CODE}, "planted": [BUS, COSMOS]}


def _functions() -> Json:
    """One key in an inline secret that a scale rule takes, too, and one in plain text."""
    found = app("api", {"FUNCTIONS_WORKER_RUNTIME": "node", "Db": COSMOS}, {"bus": BUS})
    template = found["properties"]["template"]
    template["containers"][0]["env"].append({"name": "Bus", "secretRef": "bus"})
    metadata = {"queueName": "orders", "messageCount": "5"}
    auth = [{"secretRef": "bus", "triggerParameter": "connection"}]
    rule = {"type": "azure-servicebus", "metadata": metadata, "auth": auth}
    template["scale"]["rules"] = [{"name": "queue", "custom": rule}]
    return found


def _loaders() -> list[Json]:
    """Two apps that load a Dapr component with a key."""
    apps = []
    for name in ("one", "two"):
        found = app(name, configuration={"dapr": {"enabled": True, "appId": name, "appPort": 80}})
        found["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {SHARED_IDENTITY: {}}}
        apps.append(found)
    metadata = [{"name": "connectionString", "value": BUS}, {"name": "consumerID", "value": "orders"}]
    component = {
        "id": f"{ENVIRONMENT}/daprComponents/orders",
        "properties": {
            "componentType": "pubsub.azure.servicebus.topics",
            "version": "v1",
            "metadata": metadata,
            "scopes": ["one", "two"],
        },
    }
    return [_IDENTITY, *apps, component]


CACHE_KEY = "Canary7kT9vQ2xZ7mLw4pRsHb3nJ6yC8h4="
STORE = (
    "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=Canary8kT9vQ2xZ7mLw4pRsHb3nJ6yC8s5==;"
    "EndpointSuffix=core.windows.net"
)
HUB = "Endpoint=sb://eh1.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=Canary9kT9vQ2xZ7mLw4pRsHb3nJ6yC8h4="


def _cached() -> list[Json]:
    """Two apps that load a Dapr component whose key is a secret of its own, and whose service has roles of its own."""
    identity, one, two, component = _loaders()
    component["id"] = f"{ENVIRONMENT}/daprComponents/cache"
    metadata = [
        {"name": "redisHost", "value": "r1.redis.cache.windows.net:6380"},
        {"name": "redisPassword", "secretRef": "key"},
        {"name": "redisUsername", "value": "default"},
    ]
    component["properties"] |= {
        "componentType": "state.redis",
        "metadata": metadata,
        "secrets": [{"name": "key", "value": CACHE_KEY}],
    }
    cache = {
        "id": f"{GROUP}/providers/Microsoft.Cache/redis/r1",
        "location": "westeurope",
        "properties": {"hostName": "r1.redis.cache.windows.net", "redisConfiguration": {"aad-enabled": "true"}},
    }
    home = {"id": ENVIRONMENT, "location": "westeurope", "properties": {"daprConfiguration": {"version": "1.14.4"}}}
    return [home, identity, one, two, cache, component]


MANAGED = "mr1.westeurope.redis.azure.net:10000,password=CanaryAkT9vQ2xZ7mLw4pRsHb3nJ6yC8h4=,ssl=True"
ASPIRE = Code(
    packages={"aspire.microsoft.azure.stackexchangeredis": "9.4.0"},
    names={
        f"{call}:{name}": (Sight("p.cs", 1, call),)
        for call, name in (("add-azure-client-redis", "x"), ("withazureauthentication", "withazureauthentication"))
    },
)


def _managed() -> list[Json]:
    """An app whose cache knows one access policy."""
    cluster = {
        "id": f"{GROUP}/providers/Microsoft.Cache/redisEnterprise/mr1",
        "location": "westeurope",
        "properties": {"hostName": "mr1.westeurope.redis.azure.net"},
    }
    return [cluster, app("api", {"ConnectionStrings__x": MANAGED})]


def _hubs() -> list[Json]:
    """An app in Multiple mode whose scale rule is given two keys, of a hub and of the account with its checkpoints."""
    found = app("worker", {}, {"hub": HUB, "store": STORE}, mode="Multiple")
    auth = [
        {"secretRef": "hub", "triggerParameter": "connection"},
        {"secretRef": "store", "triggerParameter": "storageConnection"},
    ]
    rule = {"type": "azure-eventhub", "metadata": {"eventHubName": "h", "blobContainer": "marks"}, "auth": auth}
    found["properties"]["template"]["scale"]["rules"] = [{"name": "hub", "custom": rule}]
    namespace = {
        "id": f"{GROUP}/providers/Microsoft.EventHub/namespaces/eh1",
        "location": "westeurope",
        "properties": {"serviceBusEndpoint": "https://eh1.servicebus.windows.net:443/"},
    }
    return [namespace, _sign_in()[0], found]


def _keyless_job() -> Json:
    """A job with one key: in plain text, and in a secret that its event rule takes."""
    template = app("x", {"FUNCTIONS_WORKER_RUNTIME": "node", "Bus": BUS})["properties"]["template"]
    auth = [{"secretRef": "bus", "triggerParameter": "connection"}]
    rule = {"name": "queue", "type": "azure-servicebus", "metadata": {"queueName": "orders"}, "auth": auth}
    return job(
        eventTriggerConfig={"scale": {"rules": [rule]}},
        secrets=[{"name": "bus", "value": BUS}],
        template={"containers": template["containers"], "initContainers": None},
    )


def _read_by_a_shell() -> tuple[list[Json], Json]:
    """An app with keys in a rule's metadata and in scripts, and what it needs to be told there."""
    needs = [{"app": app_id("worker"), "argument": f"--password={SCRIPT} --url 'amqp://app:{SCRIPT}@mq/'"}]
    return [worker()], {"needs": needs}


SAS = "https://acme.blob.core.windows.net/tokens?sv=2022-11-02&sr=c&sp=rwd&se=2030-01-01T00:00:00Z&sig=Canary6kT9vQ2xZ7mLw"


def _sign_in() -> list[Json]:
    """An app whose sign-in keeps its tokens in a blob container, by a signature."""
    account = {
        "id": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acme",
        "location": "westeurope",
        "properties": {
            "primaryEndpoints": {kind: f"https://acme.{kind}.core.windows.net/" for kind in ("blob", "queue", "table")}
        },
    }
    found = app("web", secrets={"token-store": SAS})
    auth = {
        "id": f"{found['id']}/authConfigs/current",
        "name": "current",
        "type": "Microsoft.App/containerApps/authConfigs",
        "properties": {
            "platform": {"enabled": True},
            "identityProviders": {
                "azureActiveDirectory": {"registration": {"clientId": "9f0c2a54-0b4e-4c8d-9a53-1d2f3e4b5c6d"}}
            },
            "login": {"tokenStore": {"enabled": True, "azureBlobStorage": {"sasUrlSettingName": "token-store"}}},
        },
    }
    return [account, found, auth]


QUICK = {"role_propagation": [1.0, 3.0], "app_operation": 1.0, "job_execution": 5.0}
SHARED_IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-own"
VALUES = (
    *PLANTED.values(), *IN_TEXTS, PASSWORD, BUS, COSMOS, SAS, CACHE_KEY, STORE, HUB, MANAGED, "stays-inline-as-it-is", "nobody-reads-it",
)  # fmt: skip
"""Every value planted in any shape: none of them may be written anywhere."""


def _bystander() -> Json:
    return app("bystander", {"TOKEN": "stays-plain"}, {"kept": "stays-inline-as-it-is"})


def _pulls() -> list[Json]:
    return [entry for entry in shop() if entry["name"] != "api"]


def _pulling_job() -> list[Json]:
    """A manual job whose image comes from the registry by password."""
    pulls = job(
        triggerType="Manual",
        eventTriggerConfig=None,
        manualTriggerConfig={"parallelism": 1, "replicaCompletionCount": 1},
        registries=[{"server": SERVER, "username": "acrshop", "passwordSecretRef": "acr-password"}],
        secrets=[{"name": "acr-password", "value": PASSWORD}, {"name": "other", "value": "stays-inline-as-it-is"}],
        template={
            "containers": [
                {"name": "main", "image": f"{SERVER}/app:1", "env": [{"name": "DB", "value": PLANTED["database"]}]}
            ],
            "initContainers": None,
        },
    )
    return [registry(), pulls]


def _canary(**more: Any) -> Json:
    traffic = [{"latestRevision": True, "weight": 100, "label": "live"}]
    return app("canary", {"TOKEN": PLANTED["shared"]}, mode="Multiple", traffic=traffic, **more)


def _held(value: str) -> list[Json]:
    return [{"vault": "kv-shop", "name": "api-db", "value": value, "tags": {"owner": "somebody"}}]


def _named() -> Json:
    """Traffic goes to a revision by its name, not to the latest one."""
    found = app(
        "canary",
        {"TOKEN": PLANTED["shared"]},
        mode="Multiple",
        traffic=[{"revisionName": "canary--first", "weight": 100, "label": "live"}],
    )
    found["properties"]["template"]["revisionSuffix"] = "first"
    return found


_ENV = {"DB": PLANTED["database"]}
_IDENTITY = {
    "id": SHARED_IDENTITY,
    "name": "id-own",
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "location": "westeurope",
}
ESTATES: dict[str, tuple[Callable[[], list[Json]], dict[str, Any], dict[str, Any]]] = {
    "env": (lambda: [app("api", _ENV)], {}, {}),
    "inline": (lambda: two_apps()[1:], {}, {}),
    "two": (two_apps, {}, {}),
    "multiple": (lambda: [_canary()], {}, {}),
    "named": (lambda: [_named()], {}, {}),
    "shared": (
        lambda: [app("left", {"KEY": PLANTED["shared"]}), app("right", {}, {"key": PLANTED["shared"]})],
        {},
        {},
    ),
    "registry": (_pulls, {}, {}),
    "init": (lambda: [app("api", _ENV, init={"SEED": PLANTED["shared"]})], {}, {}),
    "zero": (lambda: [app("api", _ENV, minimum=0)], {}, {}),
    "adopt": (lambda: [app("api", _ENV)], {}, {"vaultSecrets": _held(PLANTED["database"])}),
    "new-version": (
        lambda: [app("api", _ENV)],
        {"on_conflict": "new-version"},
        {"vaultSecrets": _held("another-value-of-somebody")},
    ),
    "one-identity": (lambda: [_IDENTITY, *two_apps()], {"identity": SHARED_IDENTITY}, {}),
    "held": (
        lambda: [_IDENTITY, app("api", _ENV)],
        {"identity": SHARED_IDENTITY},
        {"roleAssignments": [{"principal": SHARED_IDENTITY, "role": "Key Vault Secrets User", "scope": VAULT}]},
    ),
    "system": (lambda: two_apps()[1:], {"identity": "system"}, {}),
    "mixed": (lambda: [app("api", _ENV), _canary()], {}, {}),
    "job": (lambda: [job()], {}, {}),
    "job-pulls": (_pulling_job, {}, {}),
    "job-system": (lambda: [job()], {"identity": "system"}, {}),
    "job-and-app": (lambda: [_IDENTITY, job(), app("api", _ENV)], {"identity": SHARED_IDENTITY}, {}),
    "contract": (shop, {}, {}),
    "sign-in": (_sign_in, {"passwordless": "apply", "code": {}, "planted": [SAS]}, {}),
    "keyless": (lambda: [_functions(), *SERVICES], KEYLESS, {}),
    "component": (lambda: [*_loaders(), *SERVICES], KEYLESS, {}),
    "cache": (_cached, {"passwordless": "apply", "code": {}}, {}),
    "hubs": (_hubs, {"passwordless": "apply", "code": {}, "planted": [HUB, STORE]}, {}),
    "managed": (_managed, {"passwordless": "apply", "code": {"": ASPIRE}, "planted": [MANAGED]}, {}),
    "job-keyless": (lambda: [_keyless_job(), *SERVICES], KEYLESS, {}),
    "texts": (lambda: _read_by_a_shell()[0], {"scan": True}, _read_by_a_shell()[1]),
}
"""Name -> resources, options of the plan, more of the estate. `contract` is the second plan of a run that is done."""


@dataclass(slots=True)
class Shape:
    """One estate, simulated, with the plan to carry out."""

    name: str
    inside: Inside
    plan: Plan
    journal: bytes
    """The journal that each world begins with."""
    before: Facts
    after: Facts
    """As an undisturbed run leaves it."""
    instants: dict[str, int]
    """Instants of an undisturbed `apply` and of its `rollback`."""


class _Hosted(World):
    """What the helpers of the other tests work with, over a cloud of this process."""

    def __init__(self, inside: Inside, folder: Path) -> None:
        self.cloud, self.session, self.folder = inside.cloud, inside.session, folder
        self.journal = Journal.open(folder / "keylift.db")
        self.events = []
        self.clock = Standing(inside.clock)  # type: ignore[assignment]


@functools.cache
def shape(name: str) -> Shape:
    """A shape, made once for each process."""
    from .world import Scenario, measure

    resources, options, more = ESTATES[name]
    inside = Inside(estate(*resources(), _bystander(), switches=QUICK, **more))
    with tempfile.TemporaryDirectory() as folder:
        world = _Hosted(inside, Path(folder))
        with world.journal:
            if options.get("passwordless"):
                options = {**options, "estate": with_targets(world.session, world.read(), None)}
            plan = scanned(world, "bystander") if options.get("scan") else world.plan(**options)
            if name == "contract":
                executor = Executor(inside.cloud, world.journal, world.clock, KEY, workers=1, token=lambda: "first")
                run = executor.apply(plan).run
                inside.clock.advance(3600.0)
                plan = finalize(world, run)
        journal = disk.closed(Path(folder) / "keylift.db")
    inside.azure.settle()
    inside.keep()
    made = Shape(name, inside, plan, journal, facts(inside), Facts(), {})
    applied, made.instants["apply"] = measure(made, Scenario(0, name))
    made.after = applied
    _, both = measure(made, Scenario(0, name, ways=["rollback"]))
    made.instants["rollback"] = both - made.instants["apply"]
    return made


__all__ = ["ESTATES", "VALUES", "VAULT", "Shape", "registry", "shape"]
