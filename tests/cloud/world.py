"""A simulated cloud over TLS for one test: a standing clock that moves when a client waits, and an estate to fill."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator.cloud.cloud import AzureCloud
from migrator.cloud.profiles import CloudProfile, load_profile
from migrator.cloud.session import Session
from migrator.model import Json
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Fault
from migrator.simulator.server import Simulator

SUB = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-shop"
ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def app_id(name: str, group: str = GROUP) -> str:
    return f"{group}/providers/Microsoft.App/containerApps/{name}"


def identity_id(name: str, group: str = GROUP) -> str:
    return f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"


def app(
    name: str,
    *,
    secrets: dict[str, str] | None = None,
    env: list[Json] | None = None,
    group: str = GROUP,
    references: dict[str, str] | None = None,
    identity: str | None = None,
    **configuration: Any,
) -> Json:
    """A container app of one container."""
    listed: list[Json] = [{"name": key, "value": value} for key, value in (secrets or {}).items()]
    listed += [{"name": key, "keyVaultUrl": url, "identity": identity} for key, url in (references or {}).items()]
    document: Json = {
        "id": app_id(name, group),
        "type": "Microsoft.App/containerApps",
        "location": "westeurope",
        "properties": {
            "environmentId": ENVIRONMENT,
            "configuration": {"activeRevisionsMode": "Single", "secrets": listed or None, **configuration},
            "template": {"containers": [{"name": "main", "image": "nginx:1", "env": env or []}]},
        },
    }
    if identity:
        document["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    return document


def vault(name: str = "kv-shop", **properties: Any) -> Json:
    return {
        "id": f"{GROUP}/providers/Microsoft.KeyVault/vaults/{name}",
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {"enableRbacAuthorization": True, **properties},
    }


def estate(*resources: Json, **more: Any) -> Json:
    return {"schema": 1, "subscriptions": [SUB], "resources": list(resources), **more}


class Driven:
    """The session's clock: reads the simulator's, and moves it instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._clock.advance(seconds)


@dataclass
class World:
    """The simulator, a session with it, and what tests ask of both."""

    simulator: Simulator
    session: Session
    clock: Driven
    log: Path
    cloud: AzureCloud = field(init=False)

    def __post_init__(self) -> None:
        self.cloud = AzureCloud(self.session)

    @property
    def profile(self) -> CloudProfile:
        return self.session.profile

    def fault(self, **rule: Any) -> Fault:
        """Bend the requests that follow."""
        made = Fault(**rule)
        self.simulator.azure.faults.rules.append(made)
        return made

    def requests(self) -> list[str]:
        """Method and path of every request so far, those of signing in left out."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        asked = [f"{line['method']} {line['path'].partition('?')[0]}" for line in lines]
        return [request for request in asked if "/oauth2/" not in request and "/.well-known/" not in request]

    @contextmanager
    def as_principal(self, principal: str) -> Iterator[AzureCloud]:
        """The cloud as another principal sees it."""
        path = self.simulator.directory / "other.json"
        path.write_text(json.dumps(self.simulator.profile(principal)))
        with Session(load_profile(str(path)), clock=self.clock, seed=1) as session:
            yield AzureCloud(session)


@contextmanager
def running(document: Json, folder: Path, **options: Any) -> Iterator[World]:
    """A simulator of an estate, and a session with it."""
    clock = Clock(speed=0.0, start=time.time())
    log = folder / "requests.jsonl"
    with Simulator(document, directory=folder / "simulator", clock=clock, request_log=log, **options) as simulator:
        driven = Driven(clock)
        with Session(load_profile(str(simulator.profile_path)), clock=driven, seed=1) as session:
            yield World(simulator, session, driven, log)
