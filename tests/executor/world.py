"""A simulated cloud over TLS, a plan of its planted values, and an executor: time moves when somebody waits."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator import planner, private
from migrator.cloud import reading, vaults
from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.executor import Executor
from migrator.journal import Journal
from migrator.model import App, Estate, Json, Plan
from migrator.planning.options import Options
from migrator.ports import Event
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault
from migrator.simulator.server import Simulator
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter, Secret, Severity, preview

SUB = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-shop"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
REGISTRY = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries/acrshop"
KEY = Fingerprinter(b"k" * 32)
PLANTED = {
    "database": "Server=tcp:sql.example.net;Database=shop;User ID=app;Password=Canary1-Kq8vZr4tLw;",
    "client": "Zq18Q~Canary2.aGh3kLm9pQr7sTu5vWx1yZ0bCdEfG",
    "shared": "Canary3-shared-hJ7cV1xG9dK2pQ4w",
}


def app_id(name: str) -> str:
    return f"{GROUP}/providers/Microsoft.App/containerApps/{name}"


def app(
    name: str,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    *,
    init: Mapping[str, str] | None = None,
    mode: str = "Single",
    traffic: list[Json] | None = None,
    minimum: int = 1,
    environment: str = ENVIRONMENT,
    ingress: bool = True,
    **properties: Any,
) -> Json:
    """A container app; every env is plain, every secret inline."""

    def container(called: str, entries: Mapping[str, str]) -> Json:
        return {
            "name": called,
            "image": "mcr.microsoft.com/k8se/quickstart:latest",
            "resources": {"cpu": 0.5, "memory": "1Gi"},
            "env": [{"name": key, "value": value} for key, value in entries.items()],
        }

    template: Json = {
        "containers": [container("main", {"MODE": "live", **(env or {}), "LAST": "1"})],
        "scale": {"minReplicas": minimum, "maxReplicas": 3},
    }
    if init:
        template["initContainers"] = [container("prepare", init)]
    configuration: Json = {
        "activeRevisionsMode": mode,
        "secrets": [{"name": key, "value": value} for key, value in (secrets or {}).items()] or None,
    }
    if ingress:
        configuration["ingress"] = {
            "external": False,
            "targetPort": 80,
            "traffic": traffic or [{"latestRevision": True, "weight": 100}],
        }
    configuration |= properties.pop("configuration", {})
    return {
        "id": app_id(name),
        "name": name,
        "type": "Microsoft.App/containerApps",
        "location": "westeurope",
        "tags": {"team": "shop"},
        "properties": {
            "managedEnvironmentId": environment,
            "configuration": configuration,
            "template": template,
            **properties,
        },
    }


def two_apps() -> list[Json]:
    """Acceptance scenario one: an env value and an Easy Auth client secret, Single mode."""
    name = "microsoft-provider-authentication-secret"
    return [
        app("api", {"DB_CONNECTION": PLANTED["database"]}),
        app("web", {"API": "https://api.internal"}, {name: PLANTED["client"], "other": "stays-inline-as-it-is"}),
        {
            "id": f"{app_id('web')}/authConfigs/current",
            "name": "current",
            "type": "Microsoft.App/containerApps/authConfigs",
            "properties": {
                "platform": {"enabled": True},
                "identityProviders": {
                    "azureActiveDirectory": {
                        "registration": {
                            "clientId": "9f0c2a54-0b4e-4c8d-9a53-1d2f3e4b5c6d",
                            "clientSecretSettingName": name,
                        }
                    }
                },
            },
        },
    ]


def estate(*resources: Json, **more: Any) -> Json:
    vault = {
        "id": VAULT,
        "name": "kv-shop",
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {"enableRbacAuthorization": True},
    }
    return {"schema": 1, "subscriptions": [SUB], "resources": [vault, *resources], **more}


class Driven:
    """A clock that stands, and moves when a client waits; it may do something at each wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._clock.advance(seconds)


class Fast:
    """A clock for several processes: it runs `SPEED` times as fast as the wall's."""

    SPEED = 200.0

    def __init__(self) -> None:
        self._start = time.time()

    def now(self) -> float:
        return self._start + (time.time() - self._start) * self.SPEED

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / self.SPEED)


@dataclass
class World:
    """What a test works with."""

    simulator: Simulator
    session: Session
    clock: Driven | Fast
    folder: Path
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cloud = AzureCloud(self.session)
        self.journal = Journal.open(self.folder / "keylift.db")

    def executor(self, **options: Any) -> Executor:
        given = {"workers": 4, "on_event": self.events.append, **options}
        cloud = given.pop("cloud", self.cloud)
        return Executor(cloud, self.journal, self.clock, KEY, **given)

    def plan(self, *, estate: Estate | None = None, planted: Collection[str] = (), **options: Any) -> Plan:
        """A plan of every planted value, `planted` among them."""
        found = estate or self.read()
        chosen = Options(vault=VAULT, **options)
        findings = list(find(found, planted))
        names = planner.wanted(found, findings, chosen, KEY)
        (vault,) = found.vaults
        found = found.with_vault(vaults.read_vault_secrets(self.session, vault, names, KEY))
        made = planner.plan(found, findings, chosen, KEY)
        return Plan.from_json(made.to_json())

    def read(self) -> Estate:
        return reading.read_estate(
            self.session, reading.Scope(), with_revisions=True, with_auth=True, with_access=True, vault=VAULT
        )

    def app(self, name: str) -> Json:
        return self.cloud.get_app(app_id(name))

    def values(self, name: str) -> dict[str, Secret | None]:
        return {secret.name: secret.value for secret in self.cloud.get_app_secrets(app_id(name))}

    def fault(self, **rule: Any) -> Fault:
        made = Fault(**rule)
        self.simulator.azure.faults.rules.append(made)
        return made

    def patch(self, name: str, body: Json) -> None:
        """Somebody else changes an app."""
        self.cloud.patch_app(app_id(name), body, lambda _url: None)

    def resources(self) -> set[str]:
        """Ids of everything that is there, with role assignments and vault secrets' current state."""
        world = self.simulator.azure.world
        return set(world.resources) | set(world.table("assignments"))


def find(found: Estate, more: Collection[str] = ()) -> Iterator[Finding]:
    """Every planted value, wherever it lies."""
    planted = {*PLANTED.values(), *more}

    def one(app_: App, path: str, name: str, value: str, rule: str) -> Finding:
        return Finding(
            rule=rule,
            title="planted",
            severity=Severity.HIGH,
            confidence=Confidence.HIGH,
            location=AzureLocation(app_.id, path, name),
            fingerprint=KEY.of(value),
            preview=preview(Secret(value)),
        )

    for app_ in found.workloads:
        template = app_.document["properties"]["template"]
        for kind in ("containers", "initContainers"):
            for index, container in enumerate(template.get(kind) or []):
                for entry, env in enumerate(container.get("env") or []):
                    if env.get("value") in planted:
                        path = f"properties.template.{kind}[{index}].env[{entry}].value"
                        yield one(app_, path, env["name"], env["value"], "planted")
        for number, registry in enumerate(app_.document["properties"]["configuration"].get("registries") or []):
            for secret in app_.secrets:
                if secret.value and secret.name == registry.get("passwordSecretRef"):
                    path = f"properties.configuration.registries[{number}].passwordSecretRef"
                    yield one(app_, path, registry["server"], "the registry's password", "registry-password")
        for number, secret in enumerate(app_.secrets):
            for value in planted:
                if secret.value == Secret(value) and not secret.key_vault_url:
                    path = f"properties.configuration.secrets[{number}].value"
                    yield one(app_, path, secret.name, value, "inline-secret")


@contextmanager
def inside(document: Json, folder: Path, **options: Any) -> Iterator[World]:
    """As `running`, and without sockets: for many short cases."""
    clock = Clock(speed=0.0, start=time.time())
    with Simulator(document, directory=folder / "simulator", clock=clock, listening=False, **options) as simulator:
        driven = Driven(clock)
        with private.session(simulator, driven, seed=1) as session:
            world = World(simulator, session, driven, folder)
            try:
                yield world
            finally:
                world.journal.close()


@contextmanager
def running(document: Json, folder: Path, *, fast: bool = False, **options: Any) -> Iterator[World]:
    """A simulator of an estate, a session with it, and a journal in `folder`.

    Args:
        document: The estate.
        folder: For the journal and the simulator's files.
        fast: Time flows by itself, so that another process can wait for it, too.
        options: Of the simulator.
    """
    clock = Clock(speed=Fast.SPEED if fast else 0.0, start=time.time())
    with Simulator(document, directory=folder / "simulator", clock=clock, **options) as simulator:
        driven = Fast() if fast else Driven(clock)
        with Session(load_profile(str(simulator.profile_path)), clock=driven, seed=1) as session:
            world = World(simulator, session, driven, folder)
            try:
                yield world
            finally:
                world.journal.close()


def no_values(folder: Path, *texts: str) -> None:
    """Nothing that keylift wrote or said holds a planted value."""
    written = [*texts, *(path.read_bytes().decode("utf-8", "replace") for path in folder.glob("keylift.db*"))]
    for value in PLANTED.values():
        for form in (value, json.dumps(value)[1:-1]):
            assert not any(form in text for text in written)


def copied(document: Json) -> Json:
    return copy.deepcopy(document)
