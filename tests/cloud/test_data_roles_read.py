"""Who holds roles of a service's own system at what secrets open."""

from __future__ import annotations

from migrator import proposing
from migrator.access import access
from migrator.cloud import data_roles, reading
from migrator.cloud.session import Session
from migrator.model import DataRole
from migrator.simulator.clock import Clock

from .inprocess import inside
from .world import GROUP, Driven, app, estate, identity_id

CACHE = f"{GROUP}/providers/Microsoft.Cache/redis/r1"
DATA = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/c1"
SQL = f"{GROUP}/providers/Microsoft.Sql/servers/s1"
KEY = "Q0FOQVJZMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI="
VALUES = {
    "data": f"AccountEndpoint=https://c1.documents.azure.com:443/;AccountKey={KEY};Database=shop",
    "cache": f"r1.redis.cache.windows.net:6380,password={KEY},ssl=True",
    "sql": f"Server=tcp:s1.database.windows.net;User ID=u;Password={KEY};Database=d",
}


def test_roles_of_cosmos_and_redis_are_shown_with_their_scope() -> None:
    clock = Clock(speed=0.0, start=2_000_000_000.0)
    resources = [
        {
            "id": CACHE,
            "location": "westeurope",
            "properties": {"hostName": "r1.redis.cache.windows.net", "redisConfiguration": {"aad-enabled": "true"}},
        },
        {
            "id": DATA,
            "location": "westeurope",
            "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
        },
        {"id": SQL, "location": "westeurope", "properties": {"fullyQualifiedDomainName": "s1.database.windows.net"}},
    ]
    document = estate(*resources, app("api", secrets=VALUES, identity=identity_id("id-shop")))
    _, profile, transport = inside(document, clock)
    with Session(profile, clock=Driven(clock), transport_factory=lambda: transport, in_flight=1, seed=1) as session:
        found = reading.read_estate(session, reading.Scope(), with_secrets=True, with_access=True)
        who = str(found.identities[0].document["properties"]["principalId"])
        role = DataRole(
            f"{DATA}/sqlRoleAssignments/{'1' * 8}-1111-1111-1111-{'1' * 12}",
            f"{'0' * 8}-0000-0000-0000-{'0' * 11}1",
            who,
            f"{DATA}/dbs/shop",
        )
        data_roles.put(session, "cosmos", role, lambda _operation: None)
        policy = DataRole(f"{CACHE}/accessPolicyAssignments/shop", "Data Contributor", who, CACHE)
        data_roles.put(session, "redis", policy, lambda _operation: None)
        whole = proposing.with_own_roles(session, proposing.with_targets(session, found))
    named = {one.resource: one for one in access(whole).resources}
    assert not whole.errors
    told = {
        key: [(r.name, r.grant.name, r.grant.scope) for r in one.readers if r.principal == who.lower()]
        for key, one in named.items()
    }
    assert told == {
        DATA: [("id-shop", "Cosmos DB Built-in Data Reader", f"{DATA}/dbs/shop")],
        CACHE: [("id-shop", "Data Contributor", CACHE)],
        SQL: [],
    }
    assert {key: one.own_roles for key, one in named.items()} == {DATA: False, CACHE: False, SQL: True}
    (shop,) = (entry for entry in access(whole).principals if entry.name == "id-shop")
    assert shop.excess == (), "a role at the resource, or a part of it, is narrow"
