"""Microsoft.ManagedIdentity against its recordings and types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.simulator import principals, rbac
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import entra, identity
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World

BASE = "https://127.0.0.1:1"
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/Shop"
ALL = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
ONE = f"{GROUP}{ALL}/id-Shop"
FEDERATED = f"{ONE}/federatedIdentityCredentials"
VERSION = "2023-01-31"


class Cloud:
    def __init__(self, role: str = "Owner") -> None:
        self.azure = Azure(World(), Clock(0.0, 1_000_000.0), origins={"arm": BASE, "entra": BASE})
        world = self.azure.world
        world.table("subscriptions")[SUBSCRIPTION.rpartition("/")[2]] = {"id": SUBSCRIPTION.rpartition("/")[2]}
        world.table("groups")[GROUP.lower()] = {"id": GROUP, "name": "Shop", "location": "westeurope", "tags": {}}
        operator = principals.operator(self.azure)
        rbac.assign(self.azure, principal=operator["id"], role=role, scope=SUBSCRIPTION, settled=True)
        self.token = entra.issue(self.azure, operator, BASE)[0]

    def __call__(self, method: str, path: str, body: Any = None, version: str = VERSION) -> Response:
        url = f"{BASE}{path}?api-version={version}"
        content = b"" if body is None else json.dumps(body).encode()
        return self.azure.handle("arm", Request.of(method, url, {"Authorization": f"Bearer {self.token}"}, content))


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def code(answer: Response) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


def test_new_identity_looks_as_recorded(cloud: Cloud, shared_dir: Path) -> None:
    folder = shared_dir / "azure/traffic/recordings/app-create-yaml-scale-tags-secrets"
    recorded = json.loads(next(folder.glob("0012-*")).read_text())
    answer = cloud("PUT", ONE, recorded["request_body"])
    assert answer.status == recorded["status"]
    document, expected = answer.body, recorded["response_body"]
    assert list(document) == list(expected)
    assert list(document["properties"]) == list(expected["properties"])
    assert (document["tags"], document["type"]) == (expected["tags"], expected["type"])
    assert document["id"] == f"{SUBSCRIPTION}/resourcegroups/Shop{ALL}/id-Shop"
    assert answer.headers["Location"] == document["id"]
    missing = set(recorded["response_headers"]) - {name.lower() for name in answer.headers}
    assert missing == {"content-length", "content-type"}  # the web server's own


def test_read_back_by_any_case_and_list(cloud: Cloud) -> None:
    made = cloud("PUT", ONE, {"location": "westeurope", "tags": {"a": "b"}}).body
    assert cloud("GET", ONE.upper()).body == made
    assert cloud("GET", f"{GROUP}{ALL}").body == {"value": [made]}
    assert cloud("GET", f"{SUBSCRIPTION}{ALL}").body == {"value": [made]}


def test_second_put_keeps_the_principal_and_answers_200(cloud: Cloud) -> None:
    first = json.loads(json.dumps(cloud("PUT", ONE, {"location": "westeurope"}).body))
    again = cloud("PUT", ONE, {**first, "tags": {"x": "y"}})
    assert (again.status, again.body) == (200, {**first, "tags": {"x": "y"}})
    assert code(cloud("PUT", ONE, {"location": "eastus"})) == (409, "InvalidResourceLocation")


def test_patch_changes_tags_only_when_they_are_sent(cloud: Cloud) -> None:
    cloud("PUT", ONE, {"location": "westeurope", "tags": {"a": "b"}})
    assert cloud("PATCH", ONE, {}).body["tags"] == {"a": "b"}
    assert cloud("PATCH", ONE, {"tags": {"c": "d"}}).body["tags"] == {"c": "d"}
    assert code(cloud("PATCH", ONE + "2", {})) == (404, "ResourceNotFound")


def test_deleted_identity_is_gone_with_all_it_had(cloud: Cloud) -> None:
    principal = cloud("PUT", ONE, {"location": "westeurope"}).body["properties"]["principalId"]
    cloud("PUT", f"{FEDERATED}/github", credential())
    assert cloud("DELETE", ONE).status == 200
    assert cloud("DELETE", ONE).status == 204
    assert code(cloud("GET", ONE)) == (404, "ResourceNotFound")
    assert principal not in cloud.azure.world.table("principals")
    assert not cloud.azure.world.resources


def test_new_principal_is_unknown_for_a_while(cloud: Cloud) -> None:
    principal = cloud("PUT", ONE, {"location": "westeurope"}).body["properties"]["principalId"]
    low, high = cloud.azure.switches.principal_replication
    assert low <= cloud.azure.world.table("principals")[principal]["known"] - cloud.azure.clock.now() <= high


@pytest.mark.parametrize(
    ("body", "version", "expected"),
    [
        ({}, VERSION, "LocationRequired"),
        ({"location": "westeurope", "sku": {}}, VERSION, "InvalidRequestContent"),
        ({"location": "westeurope", "properties": {"isolationScope": "Regional"}}, VERSION, "InvalidRequestContent"),
        ({"location": "westeurope", "properties": {"isolationScope": "No"}}, "2024-11-30", "InvalidRequestContent"),
        ({"location": "westeurope", "tags": {"a": 1}}, VERSION, "InvalidRequestContent"),
        ({"location": 1}, VERSION, "InvalidRequestContent"),
        ([], VERSION, "InvalidRequestContent"),
        ({"location": "westeurope"}, "2020-01-01", "NoRegisteredProviderFound"),
    ],
)
def test_refused_bodies(cloud: Cloud, body: Any, version: str, expected: str) -> None:
    assert code(cloud("PUT", ONE, body, version)) == (400, expected)
    assert not cloud.azure.world.resources


def test_newer_versions_know_more(cloud: Cloud) -> None:
    more = {"isolationScope": "Regional", "assignmentRestrictions": {"providers": ["Microsoft.App"]}}
    answer = cloud("PUT", ONE, {"location": "westeurope", "properties": more}, "2025-05-31-preview")
    assert answer.status == 201
    assert more.items() <= answer.body["properties"].items()


@pytest.mark.parametrize("name", ["ab", "-abc", "a" * 129, "a.b.c"])
def test_bad_names(cloud: Cloud, name: str) -> None:
    assert code(cloud("PUT", f"{GROUP}{ALL}/{name}", {"location": "westeurope"})) == (400, "BadRequest")


def test_group_must_exist(cloud: Cloud) -> None:
    path = ONE.replace("Shop/", "Other/")
    assert code(cloud("PUT", path, {"location": "westeurope"})) == (404, "ResourceGroupNotFound")


def test_reader_may_read_only() -> None:
    cloud = Cloud("Reader")
    assert cloud("GET", f"{GROUP}{ALL}").status == 200
    answer = cloud("PUT", ONE, {"location": "westeurope"})
    assert code(answer) == (403, "AuthorizationFailed")
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/write" in answer.body["error"]["message"]


def test_long_lists_come_in_pages(cloud: Cloud) -> None:
    for number in range(101):
        identity.load(cloud.azure, {"id": f"{GROUP}{ALL}/id-{number:03}", "location": "westeurope"})
    first = cloud("GET", f"{GROUP}{ALL}").body
    rest = cloud.azure.handle(
        "arm", Request.of("GET", first["nextLink"], {"Authorization": f"Bearer {cloud.token}"})
    ).body
    assert len(first["value"]) == 100
    assert [entry["name"] for entry in rest["value"]] == ["id-100"]
    assert "nextLink" not in rest


def test_loaded_identity_keeps_the_ids_that_are_its_own(cloud: Cloud) -> None:
    own = {"principalId": "11111111-1111-1111-1111-111111111111", "clientId": "22222222-2222-2222-2222-222222222222"}
    for name in ("id-a", "id-b"):
        identity.load(cloud.azure, {"id": f"{GROUP}{ALL}/{name}", "properties": own})
    identity.load(cloud.azure, {"id": f"{GROUP}{ALL}/id-c", "properties": {"principalId": "<object-id>"}})
    found = [cloud("GET", f"{GROUP}{ALL}/{name}").body["properties"] for name in ("id-a", "id-b", "id-c")]
    assert own.items() <= found[0].items()
    assert len({entry["principalId"] for entry in found}) == 3
    assert len({entry["clientId"] for entry in found}) == 3


# Federated credentials


def credential(**changed: Any) -> dict[str, Any]:
    properties = {"issuer": "https://issuer", "subject": "repo:a/b", "audiences": ["api://AzureADTokenExchange"]}
    return {"properties": {k: v for k, v in {**properties, **changed}.items() if v is not None}}


def test_federated_credentials(cloud: Cloud) -> None:
    assert code(cloud("PUT", f"{FEDERATED}/github", credential())) == (404, "ResourceNotFound")
    cloud("PUT", ONE, {"location": "westeurope"})
    made = cloud("PUT", f"{FEDERATED}/github", credential())
    assert made.status == 201
    assert made.body["type"] == "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    assert cloud("PUT", f"{FEDERATED}/github", credential(subject="repo:a/c")).status == 200
    assert cloud("GET", f"{FEDERATED}/github").body["properties"]["subject"] == "repo:a/c"
    assert len(cloud("GET", FEDERATED).body["value"]) == 1
    assert cloud("GET", f"{GROUP}{ALL}").body["value"][0]["name"] == "id-Shop"
    assert cloud("DELETE", f"{FEDERATED}/github").status == 200
    assert cloud("DELETE", f"{FEDERATED}/github").status == 204
    assert code(cloud("GET", f"{FEDERATED}/github")) == (404, "ResourceNotFound")


@pytest.mark.parametrize("changed", [{"subject": None}, {"issuer": None}, {"audiences": []}, {"kind": "x"}])
def test_refused_credentials(cloud: Cloud, changed: dict[str, Any]) -> None:
    cloud("PUT", ONE, {"location": "westeurope"})
    assert code(cloud("PUT", f"{FEDERATED}/github", credential(**changed))) == (400, "InvalidRequestContent")


def test_twenty_credentials_are_the_most(cloud: Cloud) -> None:
    cloud("PUT", ONE, {"location": "westeurope"})
    answers = [cloud("PUT", f"{FEDERATED}/c{number}", credential()).status for number in range(21)]
    assert answers == [201] * 20 + [400]


# System identities


def test_system_identity_by_scope(cloud: Cloud) -> None:
    app = f"{GROUP}/providers/Microsoft.App/containerApps/shop"
    path = f"{app}/providers/Microsoft.ManagedIdentity/identities/default"
    assert code(cloud("GET", path)) == (404, "ResourceNotFound")
    entry = principals.create(cloud.azure, kind="system", name="shop", resource=app, settled=True)
    assert cloud("GET", path).body["properties"]["principalId"] == entry["id"]
