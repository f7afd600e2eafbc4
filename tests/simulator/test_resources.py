"""Resource Manager's own surface, and what it refuses before a provider is asked."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.simulator import refusals
from migrator.simulator.wire import Request, Response

from .inside import ARM, GROUP, SUBSCRIPTION, VAULTS, Inside, code

SUB = f"/subscriptions/{SUBSCRIPTION}"
VERSION = "2021-04-01"
STORE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/shopdata"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"


@pytest.fixture
def inside() -> Inside:
    cloud = Inside()
    cloud.azure.origins |= {"arm": ARM, "entra": "https://login.microsoftonline.com"}
    store = {
        "id": STORE,
        "name": "shopdata",
        "type": "Microsoft.Storage/storageAccounts",
        "kind": "StorageV2",
        "location": "westeurope",
        "sku": {"name": "Standard_LRS"},
        "tags": {"team": "shop"},
        "properties": {"allowSharedKeyAccess": True},
    }
    cloud.azure.world.resources[STORE.lower()] = store
    return cloud


def get(inside: Inside, path: str, **query: str) -> Response:
    version = query.pop("version", VERSION)
    return inside.arm("GET", path, version=version, **query)


# Refusals


@pytest.mark.parametrize(
    ("method", "path", "version", "status", "refusal"),
    [
        ("GET", SUB, None, 400, "MissingApiVersionParameter"),
        ("GET", SUB, "1999-01-01", 400, "InvalidApiVersionParameter"),
        ("GET", f"{VAULTS}/kv-shop", "soon", 400, "InvalidApiVersionParameter"),
        ("GET", f"{VAULTS}/kv-shop", "1999-01-01", 400, "NoRegisteredProviderFound"),
        ("GET", f"{SUB}/providers/Microsoft.KeyVault/vaults", "1999-01-01", 400, "NoRegisteredProviderFound"),
        ("GET", f"{GROUP}/providers/Microsoft.Nothing/things/x", VERSION, 404, "InvalidResourceNamespace"),
        ("GET", f"{GROUP}/providers/Microsoft.KeyVault/things/x", VERSION, 404, "InvalidResourceType"),
        ("GET", "/somewhere/else", VERSION, 404, "NotFound"),
        ("DELETE", SUB, VERSION, 405, "MethodNotAllowed"),
        ("GET", f"/subscriptions/{'0' * 8}-0000-0000-0000-{'0' * 12}", VERSION, 404, "SubscriptionNotFound"),
        ("GET", "/subscriptions/mine/resourceGroups", VERSION, 400, "InvalidSubscriptionId"),
        ("GET", f"{SUB}/resourceGroups/none", VERSION, 404, "ResourceGroupNotFound"),
        (
            "GET",
            f"{SUB}/resourceGroups/none/providers/Microsoft.KeyVault/vaults/x",
            "2023-07-01",
            404,
            "ResourceGroupNotFound",
        ),
        ("GET", f"{VAULTS}/none", "2023-07-01", 404, "ResourceNotFound"),
        ("GET", STORE + "x", VERSION, 404, "ResourceNotFound"),
        ("PUT", STORE, VERSION, 404, "InvalidResourceType"),
    ],
)
def test_refusals(inside: Inside, method: str, path: str, version: str | None, status: int, refusal: str) -> None:
    answer = inside.arm(method, path, version=version)
    assert (answer.status, code(answer)) == (status, refusal)
    if refusal != "MethodNotAllowed":
        assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_a_wrong_version_names_location_version_type_and_what_there_is(inside: Inside) -> None:
    body = {"location": "West Europe", "properties": {"tenantId": "t", "sku": {"name": "standard", "family": "A"}}}
    assert inside.arm("PUT", f"{VAULTS}/kv-shop", body, version="2023-07-01").status in {200, 201}
    message = get(inside, f"{VAULTS}/kv-shop", version="2012-12-12").body["error"]["message"]
    assert message.startswith(
        "No registered resource provider found for location 'westeurope' and API version '2012-12-12' for type "
        "'vaults'. The supported api-versions are '"
    )
    assert "'. The supported locations are 'eastus, " in message
    own = get(inside, SUB, version="2012-12-12").body["error"]["message"]
    assert (
        own == f"The api-version '2012-12-12' is invalid. The supported versions are '{','.join(refusals.VERSIONS)}'."
    )


def test_an_unknown_type_and_namespace(inside: Inside) -> None:
    answer = get(inside, f"{GROUP}/providers/microsoft.keyvault/things/x")
    assert answer.body["error"]["message"] == (
        "The resource type could not be found in the namespace 'microsoft.keyvault' for api version '2021-04-01'."
    )
    answer = get(inside, f"{GROUP}/providers/Microsoft.Nothing/things/x")
    assert answer.body["error"]["message"] == "The resource namespace 'Microsoft.Nothing' is invalid."


def test_no_token_no_answer(inside: Inside) -> None:
    answer = inside.azure.handle("arm", Request.of("GET", f"{ARM}/nowhere"))
    assert answer.status == 401
    assert "WWW-Authenticate" in answer.headers


def test_who_may_not_learns_nothing_about_groups(inside: Inside) -> None:
    nobody = inside.identity("nobody")
    answer = inside.arm("GET", f"{SUB}/resourceGroups/none", version=VERSION, caller=nobody)
    assert (answer.status, code(answer)) == (403, "AuthorizationFailed")


# Endpoints, tenants, subscriptions


def test_endpoints_need_no_token(inside: Inside) -> None:
    def endpoints(version: str) -> Any:
        answer = inside.azure.handle("arm", Request.of("GET", f"{ARM}/metadata/endpoints?api-version={version}"))
        assert answer.status == 200
        return answer.body

    one = endpoints("2022-09-01")
    assert one["resourceManager"] == ARM
    assert one["authentication"]["loginEndpoint"] == "https://login.microsoftonline.com"
    assert one["authentication"]["audiences"][0] == f"{ARM}/"
    assert [entry["name"] for entry in endpoints("2019-05-01")] == ["simulator"]
    assert set(endpoints("2015-01-01")) == {"galleryEndpoint", "graphEndpoint", "portalEndpoint", "authentication"}
    # a client that asks for what is not simulated must not reach the real one
    real = [value for value in one["suffixes"].values() if not value.endswith(".invalid")]
    assert real == ["azurecr.io"]


def test_subscriptions_are_seen_by_those_who_hold_a_role_there(inside: Inside) -> None:
    other = "99999999-2222-3333-4444-555555555555"
    inside.azure.world.table("subscriptions")[other] = {"id": other, "displayName": "Other"}
    assert [one["subscriptionId"] for one in get(inside, "/subscriptions").body["value"]] == [SUBSCRIPTION]
    one = get(inside, SUB).body
    assert (one["displayName"], one["state"], one["tenantId"]) == ("Shop", "Enabled", inside.azure.world.tenant)
    inner = inside.identity("inner")
    inside.grant(inner, "Key Vault Secrets User", f"{VAULTS}/kv/secrets/x")
    seen = inside.arm("GET", "/subscriptions", version=VERSION, caller=inner)
    assert [entry["id"] for entry in seen.body["value"]] == [SUB]
    assert inside.arm("GET", f"/subscriptions/{other}", version=VERSION).status == 403
    assert [entry["tenantId"] for entry in get(inside, "/tenants").body["value"]] == [inside.azure.world.tenant]
    assert "westeurope" in {
        entry["name"] for entry in get(inside, f"{SUB}/locations", version="2022-12-01").body["value"]
    }


# Groups and providers


def test_groups(inside: Inside) -> None:
    path = f"{SUB}/resourceGroups/rg-New"
    assert inside.arm("HEAD", path, version=VERSION).status == 404
    made = inside.arm("PUT", path, {"location": "West Europe", "tags": {"team": "a"}}, version=VERSION)
    assert made.status == 201
    assert made.body == {
        "id": path,
        "name": "rg-New",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "tags": {"team": "a"},
        "properties": {"provisioningState": "Succeeded"},
    }
    assert inside.arm("HEAD", path.lower(), version=VERSION).status == 204
    assert inside.arm("PUT", path, {"location": "westeurope"}, version=VERSION).status == 200
    moved = inside.arm("PUT", path, {"location": "eastus"}, version=VERSION)
    assert (moved.status, code(moved)) == (409, "InvalidResourceGroupLocation")
    assert inside.arm("PATCH", path, {"tags": {"team": "b"}}, version=VERSION).body["tags"] == {"team": "b"}
    filtered = get(inside, f"{SUB}/resourceGroups", **{"$filter": "tagName eq 'team' and tagValue eq 'b'"})
    assert [one["name"] for one in filtered.body["value"]] == ["rg-New"]
    assert len(get(inside, f"{SUB}/resourcegroups").body["value"]) == 2
    for body, refusal in (
        ({}, "LocationRequired"),
        ({"location": "mars"}, "LocationNotAvailableForResourceGroup"),
        ({"location": "eastus", "colour": 1}, "InvalidRequestContent"),
    ):
        assert code(inside.arm("PUT", f"{SUB}/resourceGroups/other", body, version=VERSION)) == refusal
    bad = inside.arm("PUT", f"{SUB}/resourceGroups/ends.", {"location": "eastus"}, version=VERSION)
    assert code(bad) == "InvalidResourceGroupName"


def test_deleting_a_group_deletes_what_is_in_it(inside: Inside) -> None:
    inside.arm("PUT", IDENTITY, {"location": "westeurope"}, version="2023-01-31")
    inside.grant(inside.identity("x"), "Reader", STORE, name="gone-too")
    started = inside.arm("DELETE", GROUP, version=VERSION)
    assert started.status == 202
    assert get(inside, GROUP).body["properties"]["provisioningState"] == "Deleting"
    inside.wait(60)
    assert inside.arm("GET", started.headers["Location"], version=None).status == 200
    assert get(inside, GROUP).status == 404
    assert inside.azure.world.resources == {}
    assert "gone-too" not in {entry["name"] for entry in inside.azure.world.table("assignments").values()}


def test_providers_show_their_types_and_versions(inside: Inside) -> None:
    one = get(inside, f"{SUB}/providers/microsoft.keyvault").body
    assert one["namespace"] == "Microsoft.KeyVault"
    assert one["registrationState"] == "Registered"
    kinds = {entry["resourceType"]: entry for entry in one["resourceTypes"]}
    assert "2023-07-01" in kinds["vaults"]["apiVersions"]
    assert "West Europe" in kinds["vaults"]["locations"]
    assert all(entry["apiVersions"] for entry in kinds.values())
    graph = get(inside, "/providers/Microsoft.ResourceGraph").body
    assert [entry["resourceType"] for entry in graph["resourceTypes"]] == ["resources"]
    spaces = {entry["namespace"] for entry in get(inside, f"{SUB}/providers").body["value"]}
    assert spaces >= {"Microsoft.App", "Microsoft.Authorization", "Microsoft.KeyVault", "Microsoft.Storage"}
    registered = inside.arm("POST", f"{SUB}/providers/Microsoft.App/register", {}, version=VERSION)
    assert registered.body["registrationState"] == "Registered"
    assert code(get(inside, f"{SUB}/providers/Microsoft.Nothing")) == "InvalidResourceNamespace"
    reader = inside.identity("reader")
    inside.grant(reader, "Reader", SUB)
    refused = inside.arm("POST", f"{SUB}/providers/Microsoft.App/register", {}, version=VERSION, caller=reader)
    assert refused.status == 403


# Resources


def listed(inside: Inside, scope: str = SUB, **query: str) -> list[str]:
    answer = get(inside, f"{scope}/resources", **query)
    assert answer.status == 200, answer.body
    return [entry["name"] for entry in answer.body["value"]]


def test_resources_by_filter(inside: Inside) -> None:
    inside.arm("PUT", IDENTITY, {"location": "westeurope", "tags": {"env": "prod"}}, version="2023-01-31")
    inside.azure.world.resources[f"{STORE}/blobServices/default".lower()] = {
        "id": f"{STORE}/blobServices/default",
        "name": "default",
        "type": "Microsoft.Storage/storageAccounts/blobServices",
    }
    assert listed(inside) == ["id-shop", "shopdata"]
    assert listed(inside, GROUP) == ["id-shop", "shopdata"]
    for text, found in (
        ("resourceType eq 'microsoft.storage/STORAGEACCOUNTS'", ["shopdata"]),
        ("resourceType ne 'Microsoft.Storage/storageAccounts'", ["id-shop"]),
        ("resourceType eq 'a/b' or name eq 'id-shop'", ["id-shop"]),
        ("substringof('shop', name) and not_a_field eq 'x'", None),
        ("substringof('data', name)", ["shopdata"]),
        ("startswith(name, 'ID')", ["id-shop"]),
        ("tagName eq 'env' and tagValue eq 'prod'", ["id-shop"]),
        ("startswith(tagName, 'te')", ["shopdata"]),
        ("location eq 'West Europe' and resourceGroup eq 'RG-SHOP'", ["id-shop", "shopdata"]),
        ("(name eq 'shopdata' or name eq 'id-shop') and location eq 'eastus'", []),
        ("name eq shopdata", None),
        ("name gt 'a'", None),
    ):
        if found is None:
            refused = get(inside, f"{SUB}/resources", **{"$filter": text})
            assert (refused.status, code(refused)) == (400, "InvalidFilterInQueryString"), text
        else:
            assert listed(inside, **{"$filter": text}) == found, text
    first = get(inside, f"{SUB}/resources", **{"$top": "1", "$filter": "location eq 'West Europe'"})
    assert [entry["name"] for entry in first.body["value"]] == ["id-shop"]
    second = inside.arm("GET", first.body["nextLink"], version=None)
    assert [entry["name"] for entry in second.body["value"]] == ["shopdata"]
    assert "nextLink" not in second.body
    assert code(get(inside, f"{SUB}/resources", **{"$top": "0"})) == "InvalidTopInQueryString"


def test_resources_show_no_properties_and_only_what_may_be_read(inside: Inside) -> None:
    (entry,) = get(inside, f"{SUB}/resources").body["value"]
    assert list(entry) == ["id", "name", "type", "kind", "sku", "location", "tags"]
    caller = inside.identity("caller")
    inside.grant(caller, "Key Vault Reader", GROUP)
    assert inside.arm("GET", f"{SUB}/resources", version=VERSION, caller=caller).body["value"] == []


def test_a_resource_without_a_provider_is_shown_as_it_stands(inside: Inside) -> None:
    shown = get(inside, STORE.upper().replace("/SUBSCRIPTIONS/", "/subscriptions/"), version="2023-05-01")
    assert shown.status == 200
    assert shown.body["properties"] == {"allowSharedKeyAccess": True}
    assert inside.arm("HEAD", STORE, version="2023-05-01").status == 204
    caller = inside.identity("caller")
    refused = inside.arm("GET", STORE, version="2023-05-01", caller=caller)
    assert (refused.status, code(refused)) == (403, "AuthorizationFailed")
    assert "'Microsoft.Storage/storageAccounts/read'" in refused.body["error"]["message"]


# Locks


def test_locks(inside: Inside) -> None:
    base = "/providers/Microsoft.Authorization/locks"
    lock = {"properties": {"level": "cannotdelete", "notes": "keep"}}

    def put(scope: str, name: str, body: Any = lock) -> Response:
        return inside.arm("PUT", f"{scope}{base}/{name}", body, version="2016-09-01")

    made = put(GROUP, "keep")
    assert made.status == 201
    assert made.body == {
        "properties": {"level": "CanNotDelete", "notes": "keep"},
        "id": f"{GROUP}{base}/keep",
        "type": "Microsoft.Authorization/locks",
        "name": "keep",
    }
    assert put(GROUP, "keep").status == 200
    put(SUB, "above")
    put(STORE, "below")

    def found(scope: str, **query: str) -> set[str]:
        return {entry["name"] for entry in get(inside, scope + base, version="2020-05-01", **query).body["value"]}

    assert found(GROUP) == {"keep", "above", "below"}
    assert found(GROUP, **{"$filter": "atScope()"}) == {"keep", "above"}
    assert found(STORE) == {"keep", "above", "below"}
    assert (
        code(get(inside, GROUP + base, version="2020-05-01", **{"$filter": "x eq 'y'"})) == "InvalidFilterInQueryString"
    )
    assert code(get(inside, f"{GROUP}{base}/none", version="2020-05-01")) == "LockNotFound"
    bad: list[dict[str, Any]] = [
        {},
        {"properties": {}},
        {"properties": {"level": "Open"}},
        {"properties": {"level": "ReadOnly", "a": 1}},
    ]
    for body in bad:
        assert put(GROUP, "bad", body).status == 400
    contributor = inside.identity("contributor")
    inside.grant(contributor, "Contributor", SUB)
    refused = inside.arm("DELETE", f"{GROUP}{base}/keep", version="2016-09-01", caller=contributor)
    assert refused.status == 403
    inside.grant(contributor, "Locks Contributor", SUB)
    assert inside.arm("DELETE", f"{GROUP}{base}/keep", version="2016-09-01", caller=contributor).status == 200
    assert inside.arm("DELETE", f"{GROUP}{base}/keep", version="2016-09-01").status == 204


def test_the_directory_names_principals(inside: Inside) -> None:
    principal = inside.identity("id-shop")
    entry = inside.azure.world.table("principals")[principal]
    asked = inside.arm("POST", "/v1.0/directoryObjects/getByIds", {"ids": [principal]}, version=None)
    (found,) = asked.body["value"]
    assert (found["id"], found["displayName"], found["servicePrincipalType"]) == (
        principal,
        "id-shop",
        "ManagedIdentity",
    )
    text = f"servicePrincipalNames/any(c:c eq '{entry['clientId']}')"
    by_name = inside.arm("GET", "/v1.0/servicePrincipals", version=None, **{"$filter": text})
    assert [one["id"] for one in by_name.body["value"]] == [principal]
    assert inside.arm("GET", f"/v1.0/servicePrincipals/{principal}", version=None).status == 200
    inside.azure.switches.directory_readable = False
    refused = inside.arm("GET", "/v1.0/servicePrincipals", version=None)
    assert (refused.status, code(refused)) == (403, "Authorization_RequestDenied")
