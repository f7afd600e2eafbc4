from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.cloud import vaults
from migrator.errors import CloudError, DeniedError, UsageError
from migrator.model import Vault
from scanners.model import Fingerprinter, Secret, reveal

from .world import GROUP, VAULT, World, estate, identity_id, running, vault

KEY = Fingerprinter(b"k" * 32)


def planted(name: str, value: str, **more: object) -> dict[str, object]:
    return {"vault": "kv-shop", "name": name, "value": value, **more}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    document = estate(
        vault(),
        vault("kv-policies", enableRbacAuthorization=False),
        {
            "id": identity_id("reader"),
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
            "location": "westeurope",
        },
        vaultSecrets=[
            planted("db", "first-value"),
            planted("off", "second-value", enabled=False),
            planted("gone", "third-value", deleted=True),
        ],
        roleAssignments=[{"principal": identity_id("reader"), "role": "Key Vault Reader", "scope": VAULT}],
    )
    with running(document, tmp_path) as made:
        yield made


@pytest.fixture
def shop(world: World) -> Vault:
    return vaults.find_vault(world.session, "KV-SHOP")


def test_a_vault_is_found_by_name_and_by_id(world: World, shop: Vault) -> None:
    assert shop.id.lower() == VAULT.lower()
    assert shop.rbac
    assert vaults.find_vault(world.session, VAULT).document == shop.document
    assert not vaults.find_vault(world.session, "kv-policies").rbac


def test_a_vault_that_is_not_there_names_near_matches(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        vaults.find_vault(world.session, "kv-shpo")
    assert "did you mean kv-shop" in caught.value.hint
    with pytest.raises(UsageError, match="not the id of a vault"):
        vaults.find_vault(world.session, f"{GROUP}/providers/Microsoft.App/containerApps/x")


def test_what_a_vault_holds_is_told_without_values(world: World, shop: Vault) -> None:
    read = vaults.read_vault_secrets(world.session, shop, ["free", "off", "db", "gone", "DB"], KEY)
    found = {secret.name: secret for secret in read.secrets}
    assert sorted(found) == ["db", "gone", "off"]
    assert found["db"].fingerprint == KEY.of("first-value")
    assert found["db"].enabled
    assert found["db"].version
    assert not found["off"].enabled
    assert found["off"].fingerprint is None
    assert found["gone"].deleted
    assert "value" not in repr(read.secrets)


def test_many_names_are_looked_up_by_listing(world: World, shop: Vault) -> None:
    names = [f"free-{number}" for number in range(50)]
    before = len(world.requests())
    read = vaults.read_vault_secrets(world.session, shop, [*names, "db", "gone", "off"], KEY)
    assert {s.name: (s.deleted, s.enabled) for s in read.secrets} == {
        "db": (False, True),
        "gone": (True, False),
        "off": (False, False),
    }
    assert len(world.requests()) - before < 10


def test_a_reader_learns_names_but_no_values(world: World, shop: Vault) -> None:
    with world.as_principal(identity_id("reader")) as cloud:
        read = vaults.read_vault_secrets(cloud._session, shop, ["db", "free"], KEY)
        with pytest.raises(DeniedError) as caught:
            cloud.get_secret(shop.uri, "db")
    assert [(s.name, s.fingerprint) for s in read.secrets] == [("db", None)]
    assert caught.value.code == "ForbiddenByRbac"
    assert "Key Vault Secrets Officer" in caught.value.hint


def test_versions_are_written_read_disabled(world: World, shop: Vault) -> None:
    cloud = world.cloud
    first = cloud.set_secret(shop.uri, "new", Secret("one"), {"keylift": "run-1"})
    second = cloud.set_secret(shop.uri, "new", Secret("two"), {"keylift": "run-1"})
    assert first != second
    newest, old = cloud.get_secret(shop.uri, "new"), cloud.get_secret(shop.uri, "new", first)
    assert newest is not None
    assert old is not None
    assert (reveal(newest[0]), newest[1].version, newest[1].ours) == ("two", second, True)
    assert reveal(old[0]) == "one"
    described = cloud.describe_secret(shop.uri, "new")
    assert described is not None
    assert described.version == second
    cloud.update_secret(shop.uri, "new", second, enabled=False, tags={"keylift": "rolled-back"})
    with pytest.raises(DeniedError) as caught:
        cloud.get_secret(shop.uri, "new")
    assert caught.value.code == "SecretDisabled"
    described = cloud.describe_secret(shop.uri, "new")
    assert described is not None
    assert (described.enabled, described.tags) == (False, {"keylift": "rolled-back"})


def test_a_write_whose_answer_was_lost_is_looked_up(world: World, shop: Vault) -> None:
    """Sent again, it would make a second version that nobody knows of."""
    assert world.cloud.get_secret(shop.uri, "db") is not None  # signed in: the challenge is answered
    lost = world.fault(plane="vault", method="PUT", path="^/secrets/lost", drop="after")
    version = world.cloud.set_secret(shop.uri, "lost", Secret("one"), {"keylift": "run-1"})
    assert lost.seen == 1
    assert [found.version for found in world.cloud.list_secret_versions(shop.uri, "lost")] == [version]
    # the next one is written over a version that only looks like it
    world.fault(plane="vault", method="PUT", path="^/secrets/lost", drop="before")
    again = world.cloud.set_secret(shop.uri, "lost", Secret("one"), {"keylift": "run-2"})
    assert {found.version for found in world.cloud.list_secret_versions(shop.uri, "lost")} == {version, again}


def test_a_free_name_is_none_and_a_deleted_one_is_not(world: World, shop: Vault) -> None:
    assert world.cloud.get_secret(shop.uri, "free") is None
    assert world.cloud.describe_secret(shop.uri, "free") is None
    gone = world.cloud.describe_secret(shop.uri, "gone")
    assert gone is not None
    assert gone.deleted
    with pytest.raises(CloudError) as caught:
        world.cloud.set_secret(shop.uri, "gone", Secret("x"), {})
    assert caught.value.code == "ObjectIsDeletedButRecoverable"
    assert "az keyvault secret recover" in caught.value.hint


def test_a_lost_answer_makes_no_second_version(world: World, shop: Vault) -> None:
    world.cloud.get_secret(shop.uri, "db")  # the vault's challenge is known
    fault = world.fault(method="PUT", path="/secrets/new", drop="after", times=1)
    version = world.cloud.set_secret(shop.uri, "new", Secret("one"), {"keylift": "run"})
    assert fault.seen == 1
    found = world.cloud.get_secret(shop.uri, "new")
    assert found is not None
    assert found[1].version == version


@pytest.mark.parametrize("rule", [{"drop": "before"}, {"status": 429}, {"status": 500}, {"truncate": True}])
def test_a_write_that_failed_is_done_once(world: World, shop: Vault, rule: dict[str, object]) -> None:
    world.cloud.get_secret(shop.uri, "db")
    world.fault(method="PUT", path="/secrets/new", times=1, **rule)
    world.cloud.set_secret(shop.uri, "new", Secret("one"), {"keylift": "run"})
    versions = world.session.secrets(shop.uri).list_properties_of_secret_versions("new")
    assert len(list(versions)) == 1


def test_an_access_policy_vault_says_so(world: World) -> None:
    policies = vaults.find_vault(world.session, "kv-policies")
    with pytest.raises(DeniedError) as caught:
        world.cloud.get_secret(policies.uri, "db")
    assert caught.value.code == "AccessDenied"
    assert "access policies" in caught.value.why
