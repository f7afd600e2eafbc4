"""Roles in a service's own system: Azure carries them out after it answered, and may fail to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.errors import CloudError
from migrator.model import DataRole

from .world import GROUP, World, estate, identity_id, running

ACCOUNT = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/c1"
CACHE = f"{GROUP}/providers/Microsoft.Cache/redis/r1"
READER = "00000000-0000-0000-0000-000000000001"
NAME = "aaaaaaaa-0000-0000-0000-000000000001"
BOTH = pytest.mark.parametrize(
    ("system", "resource", "role"), [("cosmos", ACCOUNT, READER), ("redis", CACHE, "Data Reader")]
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cache = {"redisConfiguration": {"aad-enabled": "true"}}
    resources = [
        {"id": ACCOUNT, "location": "westeurope", "properties": {}},
        {"id": CACHE, "location": "westeurope", "properties": cache},
    ]
    with running(estate(*resources, switches={"principal_replication": [20.0, 20.0]}), tmp_path) as made:
        yield made


def assigned(world: World, system: str, resource: str, role: str) -> DataRole:
    made = world.cloud.put_identity(identity_id("new"), "westeurope", {})
    wanted = DataRole(
        world.cloud.data_role_id(system, resource, NAME), role, made["properties"]["principalId"].lower(), resource
    )
    world.cloud.put_data_role(system, wanted, lambda _url: None)
    return wanted


@BOTH
def test_an_identity_that_the_service_does_not_know_yet(world: World, system: str, resource: str, role: str) -> None:
    wanted = assigned(world, system, resource, role)
    assert world.cloud.list_data_roles(system, resource) == (wanted,)
    world.cloud.delete_data_role(system, wanted.id)
    assert world.cloud.list_data_roles(system, resource) == ()
    world.cloud.delete_data_role(system, wanted.id)


def test_an_identity_that_is_not_there(world: World) -> None:
    nobody = DataRole(world.cloud.data_role_id("cosmos", ACCOUNT, NAME), READER, NAME, ACCOUNT)
    began = world.session.clock.now()
    with pytest.raises(CloudError, match="let an identity use c1"):
        world.cloud.put_data_role("cosmos", nobody, lambda _url: None)
    assert 60 < world.session.clock.now() - began < 180


@BOTH
def test_an_end_that_fails_is_no_success(world: World, system: str, resource: str, role: str) -> None:
    wanted = assigned(world, system, resource, role)
    operations = world.simulator.world.table("data-role-operations")

    def fail(*_: object) -> None:
        operations[next(reversed(operations))]["error"] = {"code": "ServiceUnavailable", "message": "try again"}

    world.simulator.azure.after_write.append(fail)
    with pytest.raises(CloudError, match="take an identity's right away"):
        world.cloud.delete_data_role(system, wanted.id)
    assert world.cloud.list_data_roles(system, resource) == (wanted,)


def test_a_policy_that_the_cache_does_not_have(world: World) -> None:
    with pytest.raises(CloudError) as caught:
        assigned(world, "redis", CACHE, "Cosmos DB Built-in Data Reader")
    assert "does not exist" in caught.value.why
