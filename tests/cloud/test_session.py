from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.cloud import inventory, vaults
from migrator.cloud.pipeline import LOW, Pace
from migrator.cloud.profiles import PUBLIC, load_profile
from migrator.cloud.session import Session
from migrator.errors import CloudError, DeniedError, SignInError
from migrator.simulator.clock import Clock
from scanners.model import Secret

from .world import GROUP, SUB, VAULT, Driven, World, estate, running, vault

CANARY = "planted-canary-value"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(estate(vault()), tmp_path) as made:
        yield made


# Signing in


def test_one_token_serves_all_clients(world: World) -> None:
    world.session.sign_in()
    inventory.subscriptions(world.session)
    world.session.vaults(SUB)
    vaults.find_vault(world.session, VAULT)
    tokens = [line for line in world.log.read_text().splitlines() if "oauth2" in line]
    assert len(tokens) == 1


def test_a_refused_token_is_asked_for_again(world: World) -> None:
    inventory.subscriptions(world.session)
    world.simulator.world.table("tokens").clear()
    assert inventory.subscriptions(world.session)


def test_a_wrong_password_is_one_readable_error(world: World) -> None:
    document = json.loads(world.simulator.profile_path.read_text())
    document["credential"]["client_secret"] = "planted-wrong-password"
    path = world.log.parent / "wrong.json"
    path.write_text(json.dumps(document))
    with Session(load_profile(str(path)), clock=world.clock) as session, pytest.raises(SignInError) as caught:
        inventory.subscriptions(session)
    error = caught.value
    assert "simulator" in error.what
    assert "tried" in error.why
    assert error.hint
    assert "planted-wrong-password" not in "".join(traceback.format_exception(error)) + error.why
    assert error.__context__ is None


def test_without_any_credential_every_one_that_was_tried_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID", "AZURE_TOKEN_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    # the libraries' chain without the members that would reach for the network
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    with Session(PUBLIC) as session, pytest.raises(SignInError) as caught:
        session.sign_in()
    assert "AzureCliCredential: " in caught.value.why
    assert "AzurePowerShellCredential: " in caught.value.why
    assert caught.value.why.count("\n") == 0
    assert caught.value.hint == "az login"


def test_auth_environment_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    with Session(PUBLIC, auth="environment") as session, pytest.raises(SignInError) as caught:
        session.sign_in()
    assert caught.value.why.startswith("tried EnvironmentCredential: ")
    assert "AZURE_CLIENT_SECRET" in caught.value.hint


def test_the_environment_signs_in_where_a_profile_has_no_credential(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(world.simulator.profile_path.read_text())
    credential = document.pop("credential")
    path = world.log.parent / "bare.json"
    path.write_text(json.dumps(document))
    monkeypatch.setenv("AZURE_TENANT_ID", credential["tenant_id"])
    monkeypatch.setenv("AZURE_CLIENT_ID", credential["client_id"])
    monkeypatch.setenv("AZURE_CLIENT_SECRET", credential["client_secret"])
    with Session(load_profile(str(path)), auth="environment") as session:
        assert inventory.subscriptions(session)


# Retries


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_what_passes_by_itself_is_tried_again(world: World, status: int) -> None:
    fault = world.fault(path="/subscriptions$", status=status, times=3, code=str(status))
    assert inventory.subscriptions(world.session)
    assert fault.seen == 4
    assert len(set(world.clock.slept)) > 1, "waits carry jitter"


def test_retry_after_is_obeyed(world: World) -> None:
    world.fault(path="/subscriptions$", status=429, times=1, headers={"Retry-After": "17"})
    inventory.subscriptions(world.session)
    assert 17 <= max(world.clock.slept) <= 18


def test_more_patience_than_there_is_becomes_an_error(world: World) -> None:
    world.fault(path="/subscriptions$", status=429, times=99, headers={"Retry-After": "86400"})
    with pytest.raises(CloudError) as caught:
        inventory.subscriptions(world.session)
    assert caught.value.status == 429
    assert caught.value.transient
    assert sum(world.clock.slept) < 3600


def test_what_does_not_pass_ends_as_a_passing_error(world: World) -> None:
    world.fault(path="/subscriptions$", status=503, times=99)
    with pytest.raises(CloudError) as caught:
        inventory.subscriptions(world.session)
    assert caught.value.transient
    assert caught.value.hint


@pytest.mark.parametrize("drop", ["before", "after"])
def test_dropped_connections_are_tried_again(world: World, drop: str) -> None:
    world.fault(path="/subscriptions$", drop=drop, times=2)
    assert inventory.subscriptions(world.session)


def test_an_answer_that_breaks_off_is_asked_for_again(world: World) -> None:
    world.fault(path="/subscriptions$", truncate=True, times=2)
    assert inventory.subscriptions(world.session)


def test_a_missing_right_is_not_tried_again(world: World) -> None:
    fault = world.fault(path="/subscriptions$", status=403, code="AuthorizationFailed", times=9)
    with pytest.raises(DeniedError):
        inventory.subscriptions(world.session)
    assert fault.seen == 1


def test_no_provider_is_registered_by_itself(world: World) -> None:
    message = "The subscription is not registered to use namespace 'Microsoft.KeyVault'."
    world.fault(path="vaults/kv-shop$", status=409, code="MissingSubscriptionRegistration", message=message, times=9)
    with pytest.raises(CloudError) as caught:
        vaults.find_vault(world.session, VAULT)
    assert "az provider register" in caught.value.hint
    assert not any("register" in request for request in world.requests())


# What leaves the process


def test_keylift_names_itself(world: World) -> None:
    seen: list[str] = []
    inner = world.session.transport._inner
    send = inner.send

    def watching(request: object, **options: object) -> object:
        seen.append(request.headers.get("User-Agent", ""))  # type: ignore[attr-defined] # any of the two request types
        return send(request, **options)

    inner.send = watching  # type: ignore[method-assign] # watches the wire, changes nothing
    inventory.subscriptions(world.session)
    vaults.get_secret(world.session, world.simulator.azure.origin(f"vault:{VAULT.lower()}"), "none")
    assert seen[-1].startswith("keylift/")
    assert any(agent.startswith("keylift/") for agent in seen[:-1])


def test_a_link_to_another_host_gets_no_token(world: World) -> None:
    with pytest.raises(CloudError, match=r"will not send a request to evil\.example"):
        world.session.pages(world.session.arm(), "https://evil.example/subscriptions", "list", api_version="2022-12-01")


def test_libraries_log_nothing_even_at_debug(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        uri = world.simulator.azure.origin(f"vault:{VAULT.lower()}")
        vaults.set_secret(world.session, uri, "db", Secret(CANARY), {})
        vaults.get_secret(world.session, uri, "db")
    assert CANARY not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("azure", "msal", "urllib3"))]


def test_an_error_carries_no_body_of_the_request(world: World) -> None:
    world.fault(method="PUT", path="/secrets/db", status=400, code="BadParameter", message=f"no: {CANARY}", times=9)
    uri = world.simulator.azure.origin(f"vault:{VAULT.lower()}")
    with pytest.raises(CloudError) as caught:
        vaults.set_secret(world.session, uri, "db", Secret(CANARY), {})
    error = caught.value
    assert "<secret>" in error.why
    assert error.__cause__ is None
    assert error.__context__ is None
    assert CANARY not in "".join(traceback.format_exception(error)) + error.why + error.hint


# Pace


def test_a_bucket_that_runs_low_slows_down_and_recovers() -> None:
    clock = Driven(Clock(speed=0.0, start=1000.0))
    pace = Pace(clock)
    bucket = Pace.bucket("GET", f"https://arm{GROUP}")
    assert bucket == ("arm", SUB, "reads")
    pace.learn(bucket, 200, {"x-ms-ratelimit-remaining-subscription-reads": str(LOW)})
    pace.wait(bucket)
    assert clock.slept == []
    pace.learn(bucket, 200, {"X-Ms-Ratelimit-Remaining-Subscription-Reads": "1", "x-ms-ratelimit-remaining-x": "900"})
    pace.wait(bucket)
    pace.wait(bucket)
    assert clock.slept == [1.0, 1.0]
    other = Pace.bucket("POST", f"https://arm{GROUP}/listSecrets")
    assert other[2] == "writes"
    pace.wait(other)
    assert len(clock.slept) == 2, "another bucket is free"
    pace.learn(bucket, 200, {"x-ms-ratelimit-remaining-subscription-reads": "500"})
    pace.wait(bucket)
    assert len(clock.slept) == 2


def test_throttling_holds_all_threads_back_and_graph_tells_its_own_way() -> None:
    clock = Driven(Clock(speed=0.0, start=1000.0))
    pace = Pace(clock)
    bucket = ("arm", SUB, "reads")
    pace.learn(bucket, 429, {"Retry-After": "9"})
    pace.learn(bucket, 200, {})  # an answer to a request that was under way
    pace.wait(bucket)
    assert clock.slept == [9.0]
    graph = ("arm", "", "writes")
    pace.learn(graph, 200, {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:05"})
    pace.wait(graph)
    assert clock.slept == [9.0, 5.0]


def test_a_certificate_that_is_not_trusted_is_told_at_once(world: World) -> None:
    document = json.loads(world.simulator.profile_path.read_text())
    document["ca_file"] = None
    path = world.log.parent / "untrusting.json"
    path.write_text(json.dumps(document))
    with Session(load_profile(str(path)), clock=world.clock) as session, pytest.raises(SignInError) as caught:
        inventory.subscriptions(session)
    assert "certificate" in caught.value.why.lower()


def test_a_vault_of_another_domain_gets_no_token(world: World) -> None:
    # with a profile that is not on this machine, the challenge's resource must be the vault's own domain
    uri = world.simulator.azure.origin(f"vault:{VAULT.lower()}")
    world.session.profile = replace(world.session.profile, authority="https://login.example")
    with pytest.raises(DeniedError) as caught:
        vaults.get_secret(world.session, uri, "db")
    assert caught.value.code == "ForeignChallenge"


def test_verbose_shows_paths_and_nothing_else(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="migrator"):
        inventory.subscriptions(world.session)
        vaults.get_secret(world.session, world.simulator.azure.origin(f"vault:{VAULT.lower()}"), "db")
    lines = [record.getMessage() for record in caplog.records]
    assert any(re.fullmatch(r"GET https://127\.0\.0\.1:\d+/subscriptions: 200, \d+ ms", line) for line in lines)
    assert not any("?" in line or "Bearer" in line for line in lines)
