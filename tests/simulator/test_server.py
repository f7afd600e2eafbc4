"""The simulated cloud over TLS, with the clients that keylift uses, and as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPSConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.msi import ManagedServiceIdentityClient

from migrator.simulator.clock import Clock
from migrator.simulator.kept import Kept
from migrator.simulator.server import Simulator
from migrator.simulator.world import World

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
PLANTED = "planted-Value-0123456789"

ESTATE: dict[str, Any] = {
    "schema": 1,
    "subscriptions": [SUBSCRIPTION],
    "resources": [
        {"id": IDENTITY, "location": "westeurope"},
        {"id": VAULT, "location": "westeurope", "properties": {"enableRbacAuthorization": True}},
    ],
    "vaultSecrets": [{"vault": "kv-shop", "name": "db", "value": PLANTED}],
    "roleAssignments": [{"principal": IDENTITY, "role": "Key Vault Secrets User", "scope": f"{VAULT}/secrets/db"}],
}

Start = Callable[..., Simulator]


def credential(sim: Simulator, principal: str = "operator", **changed: str) -> ClientSecretCredential:
    parts = sim.profile(principal)["credential"] | changed
    return ClientSecretCredential(
        parts["tenant_id"],
        parts["client_id"],
        parts["client_secret"],
        authority=sim.arm,
        disable_instance_discovery=True,
        connection_verify=str(sim.ca_file),
    )


def msi(sim: Simulator, signed: ClientSecretCredential) -> ManagedServiceIdentityClient:
    return ManagedServiceIdentityClient(
        signed,
        SUBSCRIPTION,
        base_url=sim.arm,
        credential_scopes=[f"{sim.arm}/.default"],
        connection_verify=str(sim.ca_file),
    )


def vault_url(sim: Simulator) -> str:
    return sim.azure.origins[f"vault:{VAULT.lower()}"]


def get(
    sim: Simulator, url: str, headers: dict[str, str] | None = None, data: bytes | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], Any]:
    request = urllib.request.Request(url, headers=headers or {}, data=data, method=method)
    context = ssl.create_default_context(cafile=str(sim.ca_file))
    try:
        with urllib.request.urlopen(request, context=context, timeout=20) as answer:
            return (
                answer.status,
                {k.lower(): v for k, v in answer.headers.items()},
                json.loads(answer.read() or b"null"),
            )
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, json.loads(error.read() or b"null")


def sign_in(sim: Simulator, principal: str = "operator", scope: str | None = None) -> str:
    parts = sim.profile(principal)["credential"]
    form = {
        "grant_type": "client_credentials",
        "client_id": parts["client_id"],
        "client_secret": parts["client_secret"],
        "scope": scope or f"{sim.arm}/.default",
    }
    status, _, body = get(
        sim,
        f"{sim.arm}/{parts['tenant_id']}/oauth2/v2.0/token",
        {"Content-Type": "application/x-www-form-urlencoded"},
        urlencode(form).encode(),
        "POST",
    )
    assert status == 200, body
    return str(body["access_token"])


def bearer(sim: Simulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(sim)}"}


def test_real_clients_manage_identities_over_tls(simulator: Start) -> None:
    sim = simulator(ESTATE)
    with credential(sim) as signed, msi(sim, signed) as client:
        found = client.user_assigned_identities.get("shop", "id-shop")
        made = client.user_assigned_identities.create_or_update("shop", "id-new", {"location": "westeurope"})
        names = [entry.name for entry in client.user_assigned_identities.list_by_subscription()]
        with pytest.raises(ResourceNotFoundError) as missing:
            client.user_assigned_identities.get("nowhere", "id-shop")
    assert found.client_id == sim.profile(IDENTITY)["credential"]["client_id"]
    assert made.principal_id in sim.world.table("principals")
    assert names == ["id-new", "id-shop"]
    assert missing.value.error is not None
    assert missing.value.error.code == "ResourceGroupNotFound"


def test_identity_reads_its_secret_and_nothing_else(simulator: Start) -> None:
    sim = simulator({**ESTATE, "vaultSecrets": [*ESTATE["vaultSecrets"], {"vault": VAULT, "name": "x", "value": "y"}]})
    with (
        credential(sim, IDENTITY) as signed,
        SecretClient(
            vault_url(sim), signed, verify_challenge_resource=False, connection_verify=str(sim.ca_file)
        ) as client,
    ):
        assert client.get_secret("db").value == PLANTED
        with pytest.raises(HttpResponseError) as refused:
            client.get_secret("x")
    assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"client_secret": "wrong"}, "AADSTS7000215"),
        ({"client_id": "11111111-1111-1111-1111-111111111111"}, "AADSTS700016"),
    ],
)
def test_sdk_tells_why_sign_in_fails(simulator: Start, changed: dict[str, str], code: str) -> None:
    sim = simulator(ESTATE)
    with credential(sim, **changed) as signed, pytest.raises(ClientAuthenticationError, match=code):
        signed.get_token(f"{sim.arm}/.default")


def test_expiry_is_told_in_wall_seconds(simulator: Start) -> None:
    sim = simulator(ESTATE, speed=100.0, switches={"token_lifetime": 100_000})
    parts = sim.profile()["credential"]
    form = {"grant_type": "client_credentials", **parts, "scope": f"{sim.arm}/.default"}
    _, _, body = get(
        sim, f"{sim.arm}/{parts['tenant_id']}/oauth2/v2.0/token", data=urlencode(form).encode(), method="POST"
    )
    assert body["expires_in"] == 1000


def test_token_expires_on_the_virtual_clock(simulator: Start) -> None:
    sim = simulator(ESTATE)
    headers = bearer(sim)
    url = f"{sim.arm}{IDENTITY}?api-version=2023-01-31"
    assert get(sim, url, headers)[0] == 200
    sim.clock.advance(sim.azure.switches.token_lifetime)
    status, _, body = get(sim, url, headers)
    assert (status, body["error"]["code"]) == (401, "ExpiredAuthenticationToken")


def test_answers_carry_the_headers_of_resource_manager(simulator: Start) -> None:
    sim = simulator(ESTATE)
    signed = bearer(sim)
    _, given, _ = get(sim, f"{sim.arm}{IDENTITY}?api-version=2023-01-31", signed)
    assert given["x-ms-ratelimit-remaining-subscription-reads"] == "1099"
    assert given["content-type"] == "application/json; charset=utf-8"
    assert {"x-ms-request-id", "x-ms-correlation-request-id", "x-ms-routing-request-id", "date"} <= set(given)
    assert not {"server", "x-powered-by", "x-ms-failure-cause"} & set(given)
    _, refused, _ = get(sim, f"{sim.arm}{GROUP}-no/providers/Microsoft.App/jobs/x?api-version=2025-07-01", signed)
    assert refused["x-ms-failure-cause"] == "gateway"
    assert not any(name.startswith("x-ms-ratelimit") for name in refused)


def test_dropped_before_acting_nothing_happens_and_after_it_all_did(simulator: Start) -> None:
    rules = [
        {"method": "PUT", "path": "/id-before$", "drop": "before"},
        {"method": "PUT", "path": "/id-after$", "drop": "after"},
    ]
    sim = simulator(ESTATE, faults=rules)
    headers = {**bearer(sim), "Content-Type": "application/json"}
    context = ssl.create_default_context(cafile=str(sim.ca_file))
    for name in ("id-before", "id-after"):
        connection = HTTPSConnection(urlsplit(sim.arm).netloc, context=context, timeout=20)
        path = IDENTITY.replace("id-shop", name) + "?api-version=2023-01-31"
        connection.request("PUT", path, json.dumps({"location": "westeurope"}), headers)
        with pytest.raises((RemoteDisconnected, ConnectionResetError, ssl.SSLError)):
            connection.getresponse()
        connection.close()
    assert [e["name"] for e in sim.world.table("principals").values() if e["name"].startswith("id-")] == [
        "id-shop",
        "id-after",
    ]


def test_truncated_answer_ends_in_the_middle(simulator: Start) -> None:
    sim = simulator(ESTATE, faults=[{"method": "GET", "path": "/id-shop$", "truncate": True}])
    headers = bearer(sim)
    with pytest.raises(IncompleteRead):
        get(sim, f"{sim.arm}{IDENTITY}?api-version=2023-01-31", headers)
    assert get(sim, f"{sim.arm}{IDENTITY}?api-version=2023-01-31", headers)[0] == 200


def test_connection_is_kept_alive_and_used_from_many_threads(simulator: Start) -> None:
    sim = simulator(ESTATE)
    headers = bearer(sim)
    context = ssl.create_default_context(cafile=str(sim.ca_file))
    statuses: list[int] = []

    def ask() -> None:
        connection = HTTPSConnection(urlsplit(sim.arm).netloc, context=context, timeout=20)
        connection.connect()
        first = connection.sock
        for _ in range(20):
            connection.request("GET", f"{IDENTITY}?api-version=2023-01-31", headers=headers)
            answer = connection.getresponse()
            answer.read()
            assert connection.sock is first
            statuses.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80


def test_idle_connection_does_not_hold_up_the_stop() -> None:
    with Simulator(ESTATE) as sim:
        context = ssl.create_default_context(cafile=str(sim.ca_file))
        connection = HTTPSConnection(urlsplit(sim.arm).netloc, context=context, timeout=20)
        connection.request("GET", "/common/discovery/instance")
        connection.getresponse().read()
        directory = sim.directory
    connection.close()
    assert not directory.exists()


def test_vault_made_at_run_time_gets_a_listener(simulator: Start) -> None:
    sim = simulator(ESTATE)
    body = {
        "location": "westeurope",
        "properties": {"tenantId": sim.world.tenant, "sku": {"family": "A", "name": "standard"}, "accessPolicies": []},
    }
    headers = {**bearer(sim), "Content-Type": "application/json"}
    url = f"{sim.arm}{VAULT.replace('kv-shop', 'kv-second')}?api-version=2023-07-01"
    status, _, made = get(sim, url, headers, json.dumps(body).encode(), "PUT")
    assert status == 200, made
    origin = sim.azure.origins[f"vault:{VAULT.lower().replace('kv-shop', 'kv-second')}"]
    status, answer, _ = get(sim, f"{origin}/secrets/none?api-version=7.5")
    assert status == 401
    assert f'authorization="{sim.arm}/{sim.world.tenant}"' in answer["www-authenticate"]


def test_profiles_and_authority_are_the_owners_only(simulator: Start, tmp_path: Path) -> None:
    sim = simulator(ESTATE, directory=tmp_path / "cloud")
    profile = json.loads(sim.profile_path.read_text())
    assert set(profile) == {
        *("name", "resource_manager", "audience", "authority", "vault_suffix", "registry_suffix", "ca_file"),
        "credential",
    }
    assert json.loads((tmp_path / "cloud/profiles/id-shop.json").read_text()) == sim.profile(IDENTITY)
    for path in (tmp_path / "cloud").rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_world_survives_a_restart_with_its_ports_tokens_and_secret(tmp_path: Path) -> None:
    options: dict[str, Any] = {"world": tmp_path / "world.json", "directory": tmp_path / "cloud"}
    with Simulator(ESTATE, **options) as first:
        headers, origins, profile = bearer(first), dict(first.azure.origins), first.profile()
        moment = first.clock.now()
    with Simulator(None, **options) as second:
        assert second.azure.origins == origins
        assert second.profile() == profile
        assert second.clock.now() >= moment
        assert get(second, f"{second.arm}{IDENTITY}?api-version=2023-01-31", headers)[0] == 200
    assert stat.S_IMODE((tmp_path / "world.json").stat().st_mode) == 0o600


def put_identity(sim: Simulator, name: str) -> None:
    path = IDENTITY.replace("id-shop", name)
    headers = {**bearer(sim), "Content-Type": "application/json"}
    url = f"{sim.arm}{path}?api-version=2023-01-31"
    assert get(sim, url, headers, b'{"location": "westeurope"}', "PUT")[0] == 201


def same(file: Path, world: World) -> bool:
    """Whether the files hold a world, its chances to come included."""
    loaded, _ = Kept(file).load()
    live = json.loads(json.dumps({name: table for name, table in world.tables.items() if table}))
    return {
        name: table for name, table in loaded.tables.items() if table
    } == live and loaded.random.getstate() == world.random.getstate()


def test_write_is_on_disk_before_it_is_acknowledged(simulator: Start, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    sim = simulator(ESTATE, world=file)
    before = file.stat().st_mtime_ns
    for number in range(3):
        put_identity(sim, f"id-{number}")
        assert same(file, sim.world)
    headers = bearer(sim)
    path = f"{sim.arm}{IDENTITY.replace('id-shop', 'id-1')}?api-version=2023-01-31"
    assert get(sim, path, headers, None, "DELETE")[0] in {200, 204}
    assert same(file, sim.world)
    assert file.stat().st_mtime_ns == before, "the whole world is not written again"
    assert stat.S_IMODE((tmp_path / "world.json.log").stat().st_mode) == 0o600


def test_log_that_is_torn_or_of_an_older_world_is_read_as_far_as_it_counts(simulator: Start, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    sim = simulator(ESTATE, world=file)
    put_identity(sim, "id-first")
    kept = Kept(file)
    whole, _ = kept.load()
    with kept.log.open("ab") as stream:
        stream.write(b'{"mark": "00", "set": {"resou')
    assert kept.load()[0].tables == whole.tables, "the last entry was being written when the process died"
    old = kept.log.read_bytes()
    sim.stop()
    saved, _ = kept.load()
    kept.log.write_bytes(old)
    assert kept.load()[0].tables == saved.tables, "the process died before it emptied the log"


def test_log_that_grew_long_becomes_a_new_world(
    simulator: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrator.simulator.kept.LEAST", 20_000)
    file = tmp_path / "world.json"
    sim = simulator(ESTATE, world=file)
    sizes = []
    for number in range(12):
        put_identity(sim, f"id-{number}")
        sizes.append((tmp_path / "world.json.log").stat().st_size)
        assert same(file, sim.world)
    assert sizes != sorted(sizes)
    assert max(sizes) <= max(20_000, file.stat().st_size)


def test_what_a_fault_does_with_a_request_that_reads_is_on_the_disk(simulator: Start, tmp_path: Path) -> None:
    file = tmp_path / "world.json"
    edit = {
        "method": "GET",
        "path": "userAssignedIdentities",
        "mishap": "lock",
        "arguments": {"level": "ReadOnly", "scope": IDENTITY},
    }
    sim = simulator(ESTATE, world=file, faults=[edit])
    headers = bearer(sim)
    assert get(sim, f"{sim.arm}{IDENTITY}?api-version=2023-01-31", headers)[0] == 200
    assert Kept(file).load()[0].table("locks")
    assert same(file, sim.world)


def test_taken_port_is_replaced_and_the_old_address_stays_known(tmp_path: Path) -> None:
    with Simulator(ESTATE, world=tmp_path / "world.json") as first:
        old = urlsplit(vault_url(first)).netloc
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", int(old.rpartition(":")[2])))
        squatter.listen()
        with Simulator(None, world=tmp_path / "world.json") as second:
            assert urlsplit(vault_url(second)).netloc != old
            assert second.azure.plane_at(f"https://{old}/secrets/db") == f"vault:{VAULT.lower()}"
            assert second.azure.plane_at("KV-Shop.vault.azure.net") == f"vault:{VAULT.lower()}"
            assert second.azure.plane_at("other.vault.azure.net") is None


def test_refused_estate_leaves_no_world_behind(tmp_path: Path) -> None:
    broken = {**ESTATE, "roleAssignments": [{"principal": "operator", "role": "King", "scope": VAULT}]}
    with pytest.raises(ValueError, match=r"roleAssignments\[0\]\.role"):
        Simulator(broken, world=tmp_path / "world.json").start()
    assert not (tmp_path / "world.json").exists()


def test_port_that_was_asked_for_and_is_taken_is_an_error(simulator: Start) -> None:
    sim = simulator(ESTATE)
    with pytest.raises(OSError, match="port"):
        Simulator(ESTATE, port=int(sim.arm.rpartition(":")[2])).start()


def test_faults_of_the_estate_go_on_counting_after_a_restart(tmp_path: Path) -> None:
    estate = {**ESTATE, "faults": [{"path": "/id-shop$", "status": 429, "code": "429"}]}
    statuses = []
    for document in (estate, None):
        with Simulator(document, world=tmp_path / "world.json") as sim:
            url = f"{sim.arm}{IDENTITY}?api-version=2023-01-31"
            statuses.append([get(sim, url, bearer(sim))[0] for _ in range(2)])
    assert statuses == [[429, 200], [200, 200]]


def test_log_has_every_request_and_no_value(simulator: Start, tmp_path: Path) -> None:
    log = tmp_path / "requests.log"
    sim = simulator(ESTATE, request_log=log)
    token = sign_in(sim, scope="https://vault.azure.net/.default")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = f"{vault_url(sim)}/secrets/new?api-version=7.5"
    body = {"value": "fresh-Value-42", "tags": {"k": "tagged-Value"}, "attributes": {"enabled": True}}
    assert get(sim, url, headers, json.dumps(body).encode(), "PUT")[0] == 200
    assert get(sim, f"{vault_url(sim)}/secrets/db?api-version=7.5", headers)[2]["value"] == PLANTED
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(e["method"], e["status"], e["client"]) for e in lines] == [
        ("POST", 200, "operator"),
        ("PUT", 200, "operator"),
        ("GET", 200, "operator"),
    ]
    assert lines[0]["body"]["grant_type"] == "client_credentials"
    assert lines[1]["body"] == {"value": "***", "tags": {"k": "***"}, "attributes": {"enabled": True}}
    assert lines[1]["path"] == "/secrets/new"
    secret = sim.profile()["credential"]["client_secret"]
    for value in (PLANTED, "fresh-Value-42", "tagged-Value", token, secret):
        assert value not in text


def test_defect_of_a_provider_is_told_without_values(simulator: Start, capsys: pytest.CaptureFixture[str]) -> None:
    sim = simulator(ESTATE)

    def broken(_call: Any) -> Any:
        raise KeyError(PLANTED)

    sim.azure.route("arm", "GET", "/broken", broken, public=True)
    status, _, body = get(sim, f"{sim.arm}/broken")
    assert (status, body["error"]["code"]) == (500, "InternalServerError")
    told = capsys.readouterr().err
    assert "KeyError while answering GET /broken" in told
    assert PLANTED not in told


def test_clock_of_the_callers_own(simulator: Start) -> None:
    clock = Clock(0.0, 1_000_000.0)
    sim = simulator(ESTATE, clock=clock)
    assert sim.azure.clock is clock
    assert sim.clock.now() == 1_000_000.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_tells_its_profile_serves_and_ends_with_zero(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "estate.json").write_text(json.dumps(ESTATE))
    code = (
        "import sys; from pathlib import Path; from migrator.simulator.run import serve;"
        "sys.exit(serve(Path(sys.argv[1]), state_dir=Path(sys.argv[2]), world=Path(sys.argv[3]), speed=10.0))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *(str(tmp_path / name) for name in ("estate.json", "state", "world.json"))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        assert line["pid"] == process.pid
        profile = json.loads(Path(line["profile"]).read_text())
        assert profile["resource_manager"] == line["arm"]
        context = ssl.create_default_context(cafile=profile["ca_file"])
        with urllib.request.urlopen(f"{line['arm']}/common/discovery/instance", context=context, timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(number)
        rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest) == (0, "")
    assert (tmp_path / "world.json").exists()
