"""Principals of the tenant: the operator, user-assigned and system identities, groups.

Table `principals`: object id -> {"id", "clientId", "name", "kind": "operator" | "user-assigned" | "system" | "group" |
"other", "resource": ARM id or "", "known": virtual moment from which the role service knows it}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

OPERATOR = "operator"


def create(
    azure: Azure,
    *,
    kind: str,
    name: str,
    resource: str = "",
    principal: str | None = None,
    client: str | None = None,
    settled: bool = False,
) -> Json:
    """Make a principal; one made now is unknown to the role service for a while unless `settled`."""
    world = azure.world
    low, high = azure.switches.principal_replication
    entry: Json = {
        "id": (principal or world.fresh_guid()).lower(),
        "clientId": (client or world.fresh_guid()).lower(),
        "name": name,
        "kind": kind,
        "resource": resource,
        "known": 0.0 if settled else azure.clock.now() + world.random.uniform(low, high),
    }
    world.table("principals")[entry["id"]] = entry
    return entry


def of_resource(azure: Azure, resource: str) -> Json | None:
    """The principal of an identity resource (user-assigned), or the system identity of a resource; without case."""
    wanted = resource.lower().rstrip("/")
    for entry in azure.world.table("principals").values():
        if entry["resource"].lower() == wanted:
            found: Json = entry
            return found
    return None


def remove(azure: Azure, principal: str) -> None:
    """Delete a principal; its role assignments stay behind as orphans, as in Azure."""
    azure.world.table("principals").pop(principal, None)


def operator(azure: Azure) -> Json:
    """The person or pipeline that runs keylift, made on first use."""
    for entry in azure.world.table("principals").values():
        if entry["kind"] == OPERATOR:
            found: Json = entry
            return found
    return create(
        azure,
        kind=OPERATOR,
        name="operator",
        principal=azure.world.guid("operator", "object"),
        client=azure.world.guid("operator", "client"),
        settled=True,
    )


def by_client(azure: Azure, client: str) -> Json | None:
    """The principal of a client id (or of an object id)."""
    wanted = client.lower()
    for entry in azure.world.table("principals").values():
        if wanted in {entry["clientId"], entry["id"]}:
            found: Json = entry
            return found
    return None
