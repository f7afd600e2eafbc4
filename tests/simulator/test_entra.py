"""Sign-in: discovery, client credentials, managed identities, and what Entra says of those who get it wrong."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from migrator.simulator import principals
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.providers import entra
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World

BASE = "https://127.0.0.1:1"
APP = "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/shop"
IDENTITY = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
OTHER = IDENTITY + "-other"


@pytest.fixture
def azure() -> Azure:
    cloud = Azure(World(), Clock(0.0, 1_000_000.0), origins={"arm": BASE, "entra": BASE})
    principals.operator(cloud)
    for identifier in (IDENTITY, OTHER):
        name = identifier.rpartition("/")[2]
        principals.create(cloud, kind="user-assigned", name=name, resource=identifier, settled=True)
    cloud.world.resources[APP.lower()] = {
        "id": APP,
        "type": "Microsoft.App/containerApps",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
    }
    return cloud


def client_of(azure: Azure, resource: str = "") -> str:
    entry = principals.of_resource(azure, resource) if resource else principals.operator(azure)
    assert entry is not None
    return str(entry["clientId"])


def ask(
    azure: Azure, version: str = "/v2.0", tenant: str = "", headers: dict[str, str] | None = None, **form: str
) -> Response:
    known = {
        "grant_type": "client_credentials",
        "client_id": client_of(azure),
        "client_secret": entra.client_secret(azure),
        "scope": "https://management.azure.com/.default",
    }
    body = urlencode({k: v for k, v in {**known, **form}.items() if v}).encode()
    url = f"{BASE}/{tenant or azure.world.tenant}/oauth2{version}/token"
    return azure.handle("entra", Request.of("POST", url, headers, body))


def claims(answer: Response) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    head, body, signature = answer.body["access_token"].split(".")
    assert len(signature) == 43
    assert json.loads(base64.urlsafe_b64decode(head + "=="))["typ"] == "JWT"
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=="))
    return found


def refused(answer: Response) -> tuple[int, str, int]:
    body = answer.body
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status, body["error"], body["error_codes"][0]


def test_every_principal_signs_in_with_the_one_secret(azure: Azure) -> None:
    for resource in ("", IDENTITY, OTHER):
        entry = principals.by_client(azure, client_of(azure, resource))
        assert entry is not None
        told = claims(ask(azure, client_id=client_of(azure, resource)))
        assert (told["oid"], told["sub"], told["appid"]) == (entry["id"], entry["id"], entry["clientId"])
        assert told["tid"] == azure.world.tenant
        assert told["aud"] == "https://management.azure.com"
        assert told["exp"] > told["iat"]


@pytest.mark.parametrize(
    ("scope", "audience"),
    [
        ("https://management.azure.com/.default", "management"),
        ("https://management.core.windows.net//.default", "management"),
        ("https://management.usgovcloudapi.net/.default", "management"),
        (f"{BASE}/.default", "management"),
        ("https://vault.azure.net/.default", "vault"),
        ("https://vault.azure.cn/.default", "vault"),
        ("https://vault.usgovcloudapi.net/.default", "vault"),
        ("https://containerregistry.azure.net/.default", "registry"),
        ("https://graph.microsoft.com/.default", "other"),
    ],
)
def test_audience_follows_the_scope(azure: Azure, scope: str, audience: str) -> None:
    token = ask(azure, scope=scope).body["access_token"]
    assert azure.world.table("tokens")[token]["audience"] == audience


def test_token_for_one_plane_does_not_open_another(azure: Azure) -> None:
    token = ask(azure, scope="https://vault.azure.net/.default").body["access_token"]
    url = f"{BASE}{IDENTITY}?api-version=2023-01-31"
    answer = azure.handle("arm", Request.of("GET", url, {"Authorization": f"Bearer {token}"}))
    assert (answer.status, answer.body["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")


def test_old_endpoint_takes_a_resource_and_writes_numbers_as_strings(azure: Azure) -> None:
    answer = ask(azure, "", scope="", resource="https://vault.azure.net")
    assert answer.body["resource"] == "https://vault.azure.net"
    assert answer.body["expires_in"].isdigit()


def test_secret_may_come_in_a_header(azure: Azure) -> None:
    pair = f"{client_of(azure)}:{entra.client_secret(azure)}".encode()
    headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    assert claims(ask(azure, headers=headers, client_id="", client_secret=""))["appid"] == client_of(azure)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": ""}, (401, "invalid_client", 7000216)),
        ({"client_secret": "", "client_assertion": "a.b.c"}, (401, "invalid_client", 700213)),
        ({"client_id": "00000000-0000-0000-0000-00000000dead"}, (400, "unauthorized_client", 700016)),
        ({"client_id": ""}, (400, "invalid_request", 900144)),
        ({"tenant": "00000000-0000-0000-0000-00000000dead"}, (400, "invalid_request", 90002)),
        ({"grant_type": ""}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"scope": "https://vault.azure.net"}, (400, "invalid_scope", 1002012)),
        ({"scope": ""}, (400, "invalid_request", 900144)),
    ],
)
def test_errors(azure: Azure, form: dict[str, Any], expected: tuple[int, str, int]) -> None:
    answer = ask(azure, **form)
    assert refused(answer) == expected
    assert entra.client_secret(azure) not in json.dumps(answer.body)


def test_object_id_is_no_client_id(azure: Azure) -> None:
    answer = ask(azure, client_id=str(principals.operator(azure)["id"]))
    assert refused(answer)[2] == 700016


def test_expired_tokens_are_forgotten(azure: Azure) -> None:
    ask(azure)
    azure.clock.advance(azure.switches.token_lifetime)
    ask(azure)
    assert len(azure.world.table("tokens")) == 1


def test_discovery_stays_on_the_asked_origin(azure: Azure) -> None:
    for path, version in (("/v2.0", "/v2.0"), ("", "")):
        url = f"{BASE}/{azure.world.tenant}{path}/.well-known/openid-configuration"
        found = azure.handle("entra", Request.of("GET", url)).body
        assert found["token_endpoint"] == f"{BASE}/{azure.world.tenant}/oauth2{version}/token"
        assert found["issuer"].startswith(BASE)
        keys = azure.handle("entra", Request.of("GET", found["jwks_uri"]))
        assert (keys.status, keys.body) == (200, {"keys": []})
    url = f"{BASE}/common/discovery/instance?api-version=1.1&authorization_endpoint={BASE}/{azure.world.tenant}/x"
    found = azure.handle("entra", Request.of("GET", url)).body
    assert found["tenant_discovery_endpoint"].startswith(f"{BASE}/{azure.world.tenant}/v2.0/")
    assert found["metadata"][0]["preferred_network"] == "127.0.0.1:1"


def test_unknown_tenant_has_no_configuration(azure: Azure) -> None:
    answer = azure.handle("entra", Request.of("GET", f"{BASE}/nowhere/v2.0/.well-known/openid-configuration"))
    assert refused(answer) == (400, "invalid_tenant", 90002)


# Managed identities


def imds(azure: Azure, query: dict[str, str], **headers: str) -> Response:
    url = f"{BASE}/metadata/identity/oauth2/token?{urlencode({'api-version': '2018-02-01', **query})}"
    return azure.handle("entra", Request.of("GET", url, {"Metadata": "true", **headers}))


@pytest.mark.parametrize("key", ["client_id", "object_id", "mi_res_id", "msi_res_id"])
def test_machine_asks_for_an_identity_by_any_of_its_names(azure: Azure, key: str) -> None:
    entry = principals.of_resource(azure, IDENTITY)
    assert entry is not None
    value = {"client_id": entry["clientId"], "object_id": entry["id"]}.get(key, IDENTITY.upper())
    answer = imds(azure, {"resource": "https://vault.azure.net", key: value})
    assert claims(answer)["oid"] == entry["id"]
    assert answer.body["expires_on"].isdigit()


def test_machine_is_refused(azure: Azure) -> None:
    resource = {"resource": "https://vault.azure.net"}
    assert imds(azure, resource, Metadata="false").body["error_description"] == "Required metadata header not specified"
    assert imds(azure, {"mi_res_id": IDENTITY}).status == 400
    assert "Multiple user assigned" in imds(azure, resource).body["error_description"]
    assert imds(azure, {**resource, "client_id": client_of(azure)}).body["error_description"] == "Identity not found"


def container(azure: Azure, header: str = "", **query: str) -> Response:
    asked = {"resource": "https://vault.azure.net", "api-version": "2019-08-01", **query}
    headers = {"X-IDENTITY-HEADER": header or entra.identity_header(azure, APP)}
    return azure.handle("entra", Request.of("GET", f"{BASE}/msi/token?{urlencode(asked)}", headers))


def test_container_gets_tokens_of_its_own_identities_only(azure: Azure) -> None:
    assert claims(container(azure, client_id=client_of(azure, IDENTITY)))["appid"] == client_of(azure, IDENTITY)
    other = container(azure, client_id=client_of(azure, OTHER))
    assert (other.status, other.body["message"][:40]) == (400, "No User Assigned or Delegated Managed Id")
    assert container(azure, header="guessed").status == 401
    assert container(azure, resource="").status == 400


def test_container_that_names_none_means_the_system_identity(azure: Azure) -> None:
    answer = container(azure)
    assert (answer.status, answer.body["message"]) == (400, "Unable to load the proper Managed Identity.")
    system = principals.create(azure, kind="system", name="shop", resource=APP, settled=True)
    assert claims(container(azure))["oid"] == system["id"]


def test_identity_header_is_one_a_resource(azure: Azure) -> None:
    assert entra.identity_header(azure, APP) == entra.identity_header(azure, APP.upper())
    assert entra.identity_header(azure, APP) != entra.identity_header(azure, APP + "2")
