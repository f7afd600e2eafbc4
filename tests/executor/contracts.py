"""Estates with something to finalize: registry passwords, an admin user that is on, old revisions that show values."""

from __future__ import annotations

from typing import Any

from migrator import finalizing
from migrator.cloud import reading, surroundings
from migrator.model import Json, Plan

from .world import GROUP, KEY, PLANTED, REGISTRY, World, app

PASSWORD = "Canary4-registry-password-1234567890"
SERVER = "acrshop.azurecr.io"
QUICK = {"role_propagation": [1.0, 3.0]}


def registry() -> Json:
    return {
        "id": REGISTRY,
        "name": "acrshop",
        "type": "Microsoft.ContainerRegistry/registries",
        "location": "westeurope",
        "sku": {"name": "Basic"},
        "properties": {"loginServer": SERVER, "adminUserEnabled": True},
    }


def pulling(name: str, env: dict[str, str] | None = None, **more: Any) -> Json:
    """An app whose image comes from the registry, by password."""
    secrets = {"acr-password": PASSWORD, **more.pop("secrets", {})}
    entries = [{"server": SERVER, "username": "acrshop", "passwordSecretRef": "acr-password"}]
    configuration = {"registries": entries, **more.pop("configuration", {})}
    document = app(name, env, secrets, configuration=configuration, **more)
    document["properties"]["template"]["containers"][0]["image"] = f"{SERVER}/{name}:1"
    return document


def shop(*more: Json) -> list[Json]:
    """Two apps on one registry; one of them in Multiple mode, so that its old revision stays active."""
    return [
        registry(),
        pulling("api", {"DB": PLANTED["database"]}, mode="Multiple"),
        pulling(
            "web", {"API": "https://api.internal"}, secrets={"client": PLANTED["client"], "unused": "nobody-reads-it"}
        ),
        *more,
    ]


def finalize(world: World, run: str) -> Plan:
    """The contract of a run, as `keylift finalize` makes it."""
    finalizing.check(run, world.journal, world.cloud, KEY)
    estate = reading.read_estate(world.session, reading.Scope(), with_revisions=True, with_auth=True)
    finished = finalizing.finished(run, world.journal, world.cloud, KEY, estate)
    made = finalizing.contract(finished, estate, KEY)
    scopes = sorted({str(entry["scope"]) for entry in made.operator["permissions"]})
    assert not scopes or surroundings.read_permissions(world.session, scopes, lambda _where, _error: None)
    return Plan.from_json(made.to_json())


def job(name: str) -> Json:
    """A job that pulls from the registry with the password."""
    return {
        "id": f"{GROUP}/providers/Microsoft.App/jobs/{name}",
        "name": name,
        "type": "Microsoft.App/jobs",
        "location": "westeurope",
        "properties": {
            "configuration": {
                "registries": [{"server": SERVER, "username": "acrshop", "passwordSecretRef": "pw"}],
                "secrets": [{"name": "pw"}],
            }
        },
    }
