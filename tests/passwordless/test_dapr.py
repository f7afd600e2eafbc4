"""Dapr components: when an identity can do what their key does, what stands against it, and what a key beside it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migrator.model import App, AppSecret, Estate, Part, Resource
from migrator.passwordless import dapr
from scanners.model import Fingerprinter, Secret

GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop"
HOME = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"
OTHER = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-other"
KEY = Fingerprinter(b"k" * 32)
CANARY = "c4n4ryKqZr7tLw9pRsHb3nJ6yC8vQ2xZ7mLw4pRsHb3="
BUS = f"Endpoint=sb://shopbus.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={CANARY}"


def resource(kind: str, name: str, **properties: Any) -> Resource:
    return Resource(f"{GROUP}/providers/{kind}/{name}", {"properties": properties})


BUS_TARGET = resource(
    "Microsoft.ServiceBus/namespaces", "shopbus", serviceBusEndpoint="https://shopbus.servicebus.windows.net:443/"
)
STORAGE_TARGET = resource(
    "Microsoft.Storage/storageAccounts",
    "shopdata",
    primaryEndpoints={"blob": "https://shopdata.blob.core.windows.net/"},
)


def app(name: str, *identities: str, system: bool = False, enabled: bool = True, home: str = HOME) -> App:
    attached = {ref: {"principalId": f"oid-{ref.rpartition('/')[2]}"} for ref in identities}
    kinds = [*(["SystemAssigned"] if system else []), *(["UserAssigned"] if identities else [])]
    identity: dict[str, Any] = {"type": ",".join(kinds) or "None"}
    identity |= {"userAssignedIdentities": attached} if attached else {}
    identity |= {"principalId": f"oid-{name}"} if system else {}
    properties = {"environmentId": home, "configuration": {"dapr": {"enabled": enabled, "appId": f"{name}-dapr"}}}
    return App(
        f"{GROUP}/providers/Microsoft.App/containerApps/{name}",
        {"name": name, "identity": identity, "properties": properties},
    )


def component(kind: str, metadata: dict[str, str], secrets: dict[str, str], scopes: list[str] | None = None) -> Part:
    """Metadata with values, and metadata whose value is a secret of the component."""
    entries: list[dict[str, str]] = [{"name": name, "value": value} for name, value in metadata.items()]
    entries += [{"name": name, "secretRef": name.lower()} for name in secrets]
    properties = {
        "componentType": kind,
        "metadata": entries,
        "secrets": [{"name": name.lower()} for name in secrets],
        "scopes": scopes if scopes is not None else ["web-dapr"],
    }
    held = tuple(AppSecret(name.lower(), Secret(value)) for name, value in secrets.items())
    return Part(f"{HOME}/daprComponents/part", {"properties": properties}, held)


def estate(part: Part, *apps: App, **more: Any) -> Estate:
    environment = Resource(HOME, {"properties": {"daprConfiguration": {"version": more.pop("dapr", "1.14.4-msft.1")}}})
    given = {"targets": (BUS_TARGET, STORAGE_TARGET), "environments": (environment,), **more}
    return Estate(apps=apps or (app("web", IDENTITY),), parts=(part,), **given)


def advice(part: Part, *apps: App, **more: Any) -> dict[str, Any]:
    (found,) = dapr.suggestions(estate(part, *apps, **more), KEY)
    assert CANARY not in str(found)
    return found


def changes(found: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in found["changes"]}


PUBSUB = component("pubsub.azure.servicebus.topics", {"consumerID": "web"}, {"connectionString": BUS})


def test_a_connection_string_becomes_a_namespace_and_an_identity() -> None:
    found = advice(PUBSUB)
    assert found["outcome"] == "configuration"
    assert found["resource"] == BUS_TARGET.id
    assert changes(found) == {
        "connectionString": None,
        # Dapr wants the full host, where KEDA wants the bare name
        "namespaceName": "shopbus.servicebus.windows.net",
        "disableEntityManagement": "true",
        "azureClientId": "<client id of id-shop>",
    }
    assert [role["role"] for role in found["roles"]] == [
        "Azure Service Bus Data Receiver",
        "Azure Service Bus Data Sender",
    ]
    assert all("oid-id-shop" in role["command"] for role in found["roles"])
    assert found["fingerprint"] == KEY.of(BUS)
    assert any("must exist" in text for text in found["against"])


def test_an_account_is_named_bare_and_the_scope_is_its_container() -> None:
    part = component(
        "state.azure.blobstorage", {"accountName": "shopdata", "containerName": "state"}, {"accountKey": CANARY}
    )
    found = advice(part)
    assert found["outcome"] == "configuration"
    assert changes(found) == {
        "accountKey": None,
        "disableEntityManagement": "true",
        "azureClientId": "<client id of id-shop>",
    }
    (role,) = found["roles"]
    assert role["role"] == "Storage Blob Data Contributor"
    assert role["scope"] == f"{STORAGE_TARGET.id}/blobServices/default/containers/state"


def test_a_key_that_is_left_beside_an_identity_wins() -> None:
    metadata = {"accountName": "shopdata", "containerName": "state", "azureClientId": "9f0c2a54"}
    found = advice(component("state.azure.blobstorage", metadata, {"accountKey": CANARY}))
    assert any(
        text == "azureClientId is set, and does nothing: a key that is left beside it wins" for text in found["against"]
    )
    assert "accountKey" in changes(found)
    clean = component("state.azure.blobstorage", metadata, {})
    assert dapr.suggestions(estate(clean), KEY) == (), "no key, nothing to say"


def test_client_credentials_come_first_in_the_chain_and_go() -> None:
    metadata = {"vaultName": "kv-shop", "azureTenantId": "t", "azureClientId": "a"}
    found = advice(component("secretstores.azure.keyvault", metadata, {"azureClientSecret": CANARY}))
    assert found["outcome"] == "configuration"
    assert {"azureClientSecret", "azureTenantId"} <= set(changes(found))


@pytest.mark.parametrize(
    ("dapr_version", "outcome"),
    [("1.13.6-msft.6", "vault-reference"), ("1.14.0", "configuration"), ("", "vault-reference")],
)
def test_redis_needs_a_dapr_that_knows_entra(dapr_version: str, outcome: str) -> None:
    metadata = {"redisHost": "shop.redis.cache.windows.net:6380", "redisUsername": "default"}
    target = resource("Microsoft.Cache/redis", "shop", hostName="shop.redis.cache.windows.net")
    found = advice(component("state.redis", metadata, {"redisPassword": CANARY}), dapr=dapr_version, targets=(target,))
    assert found["outcome"] == outcome
    if outcome == "configuration":
        # one that is left is an error there
        assert {
            "redisPassword": None,
            "redisUsername": None,
            "useEntraID": "true",
            "enableTLS": "true",
        }.items() <= changes(found).items()
    else:
        assert any("1.14" in text for text in found["against"])


@pytest.mark.parametrize(
    "kind", ["bindings.azure.eventgrid", "bindings.azure.cosmosdb.gremlinapi", "state.mysql", "pubsub.kafka"]
)
def test_what_knows_no_identity_cannot(kind: str) -> None:
    found = advice(component(kind, {}, {"accessKey": CANARY}))
    assert (found["outcome"], found["changes"]) == ("cannot", [])
    assert found["against"]


def test_every_app_that_loads_it_needs_the_identity() -> None:
    scoped = component("pubsub.azure.servicebus.topics", {}, {"connectionString": BUS}, scopes=["web-dapr", "api-dapr"])
    elsewhere = app("far", IDENTITY, home=f"{HOME}2")
    found = advice(scoped, app("web", IDENTITY), app("api", IDENTITY), app("quiet", OTHER, enabled=False), elsewhere)
    assert found["outcome"] == "configuration"
    mixed = advice(scoped, app("web", IDENTITY), app("api", OTHER))
    assert mixed["outcome"] == "vault-reference"
    assert any("none in common" in text for text in mixed["against"])
    own = advice(scoped, app("web", system=True), app("api", system=True))
    assert own["outcome"] == "configuration"
    assert "azureClientId" not in changes(own), "each signs in with its own system identity"
    assert {"oid-web", "oid-api"} <= {word for role in own["roles"] for word in role["command"].split()}


def test_a_component_without_scopes_keeps_its_key() -> None:
    """Every app with Dapr on would need the right, and so would one that nobody has deployed yet."""
    unscoped = component("pubsub.azure.servicebus.topics", {}, {"connectionString": BUS}, scopes=[])
    found = advice(unscoped, app("web", IDENTITY), app("api", IDENTITY))
    assert (found["outcome"], found["changes"]) == ("vault-reference", [])
    assert any("it has no scopes: every app with Dapr on loads it (web, api)" in text for text in found["against"])


def test_an_app_without_identity_is_given_one_first() -> None:
    found = advice(PUBSUB, app("web"))
    (first,) = found["before"]
    assert first["command"] == "az containerapp identity assign -n web -g rg-shop --system-assigned"


@pytest.mark.parametrize(
    ("part", "more", "why"),
    [
        (PUBSUB, {"targets": ()}, "no resource named shopbus"),
        (
            component("pubsub.azure.servicebus.topics", {}, {"connectionString": BUS}, ["gone"]),
            {},
            "gone is in its scopes",
        ),
        (component("state.azure.blobstorage", {}, {"accountKey": CANARY}), {}, "containerName"),
        (component("bindings.azure.openai", {}, {"apiKey": CANARY}), {}, "neither its key nor its metadata"),
    ],
)
def test_what_is_not_known_stays_a_secret(part: Part, more: dict[str, Any], why: str) -> None:
    found = advice(part, **more)
    assert (found["outcome"], found["changes"]) == ("vault-reference", [])
    assert any(why in text for text in found["against"]), found["against"]


def test_a_database_gets_a_string_without_a_password_and_a_script() -> None:
    url = f"postgres://admin:{CANARY.rstrip('=')}@shopdb.postgres.database.azure.com:5432/orders?sslmode=require"
    target = resource(
        "Microsoft.DBforPostgreSQL/flexibleServers",
        "shopdb",
        fullyQualifiedDomainName="shopdb.postgres.database.azure.com",
        authConfig={"activeDirectoryAuth": "Enabled"},
    )
    found = advice(component("state.postgresql", {}, {"connectionString": url}), targets=(target,))
    assert found["outcome"] == "configuration"
    assert changes(found)["connectionString"] == (
        "host=shopdb.postgres.database.azure.com user=id-shop port=5432 database=orders sslmode=require"
    )
    assert changes(found)["useAzureAD"] == "true"
    assert found["roles"] == []
    assert "id-shop" in " ".join(found["scripts"])


def test_components_of_others_say_nothing() -> None:
    assert dapr.suggestions(estate(component("state.mongodb", {}, {"connectionString": CANARY})), KEY) == ()
    storage = replace(PUBSUB, id=f"{HOME}/storages/files")
    assert dapr.suggestions(estate(storage), KEY) == ()
