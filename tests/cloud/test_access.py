"""Identities, role assignments, locks and permissions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.access import access
from migrator.cloud import reading
from migrator.errors import CloudError, DeniedError
from migrator.model import Json, RoleAssignment
from migrator.planning.denials import Denials
from migrator.simulator import principals
from migrator.snapshot import estate_document
from scanners.model import Fingerprinter

from .world import GROUP, SECRETS_USER, SUB, VAULT, World, estate, identity_id, running, vault

KEY = Fingerprinter(b"key" * 11)

SCOPE = f"{VAULT}/secrets/db"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(estate(vault()), tmp_path) as made:
        yield made


@pytest.fixture
def identity(world: World) -> Json:
    return world.cloud.put_identity(identity_id("id-shop"), "westeurope", {"keylift": "run"})


def principal(identity: Json) -> str:
    return str(identity["properties"]["principalId"])


def assert_same(put: RoleAssignment, read: RoleAssignment) -> None:
    """Apart from who made it: a PUT answers without that, as recorded, and a reading names them."""
    assert put.created_by == ""
    assert read.created_by
    assert read == replace(put, created_by=read.created_by)


def test_an_identity_is_made_read_and_deleted(world: World, identity: Json) -> None:
    assert principal(identity)
    assert identity["tags"] == {"keylift": "run"}
    read = world.cloud.get_identity(identity_id("ID-SHOP"))
    assert read is not None
    assert read["properties"] == identity["properties"]
    world.cloud.delete_identity(identity_id("id-shop"))
    assert world.cloud.get_identity(identity_id("id-shop")) is None
    world.cloud.delete_identity(identity_id("id-shop"))


def test_a_new_principal_is_waited_for(tmp_path: Path) -> None:
    with running(estate(vault()), tmp_path, switches={"principal_replication": [30.0, 40.0]}) as world:
        made = world.cloud.put_identity(identity_id("id-shop"), "westeurope", {})
        assigned, ours = world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, principal(made), "run 1")
        assert ours
        assert assigned.scope.lower() == SCOPE.lower()


def test_a_principal_that_never_comes_is_a_passing_error(world: World) -> None:
    world.fault(method="PUT", path="roleAssignments", status=400, code="PrincipalNotFound", times=999)
    with pytest.raises(CloudError) as caught:
        world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, str(uuid.uuid4()), "run 1")
    assert caught.value.transient
    assert sum(world.clock.slept) < 600


def test_an_assignment_is_ours_also_when_its_answer_was_lost(world: World, identity: Json) -> None:
    world.clock.sleep(60)
    world.fault(method="PUT", path="roleAssignments", drop="after", times=1)
    name = str(uuid.uuid4())
    assigned, ours = world.cloud.put_assignment(SCOPE, name, SECRETS_USER, principal(identity), "run 1")
    assert ours
    assert assigned.id.endswith(name)
    assert (assigned.role, assigned.principal_id, assigned.principal_type) == (
        SECRETS_USER,
        principal(identity),
        "ServicePrincipal",
    )


@pytest.mark.parametrize("told", [True, False])
def test_one_that_is_there_is_adopted(world: World, identity: Json, told: bool) -> None:
    world.clock.sleep(60)
    theirs, _ = world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, principal(identity), "somebody")
    if not told:  # Azure does not always name the id (TRAFFIC, section 7)
        world.fault(method="PUT", path="roleAssignments", status=409, code="RoleAssignmentExists", message="It exists.")
    assigned, ours = world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, principal(identity), "run 1")
    assert not ours
    assert_same(theirs, assigned)


def test_a_name_that_another_principal_holds_gives_way(world: World, identity: Json) -> None:
    other = world.cloud.put_identity(identity_id("id-other"), "westeurope", {})
    world.clock.sleep(60)
    name = str(uuid.uuid4())
    world.cloud.put_assignment(SCOPE, name, SECRETS_USER, principal(other), "run 1")
    assigned, ours = world.cloud.put_assignment(SCOPE, name, SECRETS_USER, principal(identity), "run 2")
    assert ours
    assert not assigned.id.endswith(name)
    assert assigned.principal_id == principal(identity)


def test_assignments_are_listed_at_and_above_only(world: World, identity: Json) -> None:
    world.clock.sleep(60)
    below, _ = world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, principal(identity), "run")
    at, _ = world.cloud.put_assignment(VAULT, str(uuid.uuid4()), SECRETS_USER, principal(identity), "run")
    (found,) = world.cloud.list_assignments(VAULT, principal(identity))
    assert_same(at, found)
    assert {one.id for one in world.cloud.list_assignments(SCOPE, principal(identity))} == {at.id, below.id}
    everybody = world.cloud.list_assignments(VAULT)
    assert found in everybody
    assert below.id not in {one.id for one in everybody}
    assert any(a.scope == f"/subscriptions/{SUB}" for a in everybody), "the operator's, inherited"
    world.cloud.delete_assignment(below.id)
    world.cloud.delete_assignment(below.id)
    assert world.cloud.list_assignments(SCOPE, principal(identity)) == (found,)


def test_assigning_above_a_subscription_is_not_possible(world: World) -> None:
    with pytest.raises(CloudError) as caught:
        world.cloud.put_assignment("/", str(uuid.uuid4()), SECRETS_USER, str(uuid.uuid4()), "run")
    assert caught.value.code == "ScopeTooWide"


def test_without_the_right_the_role_to_ask_for_is_named(tmp_path: Path) -> None:
    document = estate(vault(), operator={"roles": [{"role": "Contributor", "scope": f"/subscriptions/{SUB}"}]})
    with running(document, tmp_path) as world:
        made = world.cloud.put_identity(identity_id("id-shop"), "westeurope", {})
        with pytest.raises(DeniedError) as caught:
            world.cloud.put_assignment(SCOPE, str(uuid.uuid4()), SECRETS_USER, principal(made), "run")
    assert "Role Based Access Control Administrator" in caught.value.hint
    assert SCOPE in caught.value.hint


LOCKS: list[dict[str, Any]] = [
    {"id": f"/subscriptions/{SUB}/providers/Microsoft.Authorization/locks/all", "level": "CanNotDelete"},
    {"id": f"{VAULT}/providers/Microsoft.Authorization/locks/vault", "level": "ReadOnly"},
]


@pytest.mark.parametrize("reader", [False, True])
def test_locks_at_and_above(tmp_path: Path, reader: bool) -> None:
    rights = [{"role": "Reader", "scope": GROUP if reader else f"/subscriptions/{SUB}"}]
    with running(estate(vault(), locks=LOCKS, operator={"roles": rights}), tmp_path) as world:
        found = {lock.id.rsplit("/", 1)[-1]: lock for lock in world.cloud.locks(VAULT)}
        assert found["vault"].level == "ReadOnly"
        assert found["vault"].scope.lower() == VAULT.lower()
        assert {lock.id.rsplit("/", 1)[-1] for lock in world.cloud.locks(GROUP)} <= {"all"}


def test_permissions_are_told_as_they_stand(tmp_path: Path) -> None:
    rights = [{"role": "Key Vault Secrets Officer", "scope": VAULT}, {"role": "Reader", "scope": GROUP}]
    with running(estate(vault(), operator={"roles": rights}), tmp_path) as world:
        blocks = world.cloud.permissions(VAULT)
    assert all(block.scope == VAULT for block in blocks)
    assert any("*/read" in block.actions for block in blocks)
    assert any("Microsoft.KeyVault/vaults/secrets/*" in block.data_actions for block in blocks)


TEAM, ALL = "aaaaaaaa-9999-0000-0000-000000000001", "aaaaaaaa-9999-0000-0000-000000000002"


def grouped(**more: Any) -> Json:
    """Two identities, the first in a team, which is in a larger one that may read the vault."""
    shop, other = identity_id("id-shop"), identity_id("id-other")
    resources = [{"id": one, "type": "Microsoft.ManagedIdentity/userAssignedIdentities"} for one in (shop, other)]
    return estate(
        vault(),
        *resources,
        groups=[{"id": TEAM, "members": [shop]}, {"id": ALL, "name": "all", "members": [TEAM]}],
        roleAssignments=[{"principal": ALL, "role": SECRETS_USER, "scope": VAULT}],
        **more,
    )


def test_who_is_in_groups_is_asked_of_resource_manager(tmp_path: Path) -> None:
    with running(grouped(), tmp_path) as world:
        found = reading.read_estate(world.session, reading.Scope(), with_access=True)
        shop, other = (principal(one.document) for one in sorted(found.identities, key=lambda i: i.name, reverse=True))
        assert [(group.id, group.members) for group in found.groups] == [(ALL, frozenset({shop}))]
        report = access(found)
        assert report.can_read(shop, VAULT, "db") is True
        assert report.can_read(other, VAULT, "db") is False
        (held,) = world.cloud.list_assignments(SCOPE, shop, groups=True)
        assert held.principal_id == ALL
        assert world.cloud.list_assignments(SCOPE, shop) == ()
        assert not any("graph.microsoft" in one or "/v1.0/" in one for one in world.requests())
    saved = estate_document(found, KEY)

    (tmp_path / "again").mkdir()
    with running(saved, tmp_path / "again") as world:
        rebuilt = reading.read_estate(world.session, reading.Scope(), with_access=True)
    assert rebuilt.groups == found.groups, "a rehearsal knows the groups"


def test_where_no_group_holds_a_role_nobody_is_asked_for(world: World, identity: Json) -> None:
    reading.read_estate(world.session, reading.Scope(), with_access=True)
    assert sum(one.endswith("/roleAssignments") for one in world.requests()) == 1


def test_a_group_whose_members_cannot_be_seen_is_named(tmp_path: Path) -> None:
    with running(grouped(), tmp_path) as world:
        world.fault(method="GET", path="roleAssignments", skip=1, status=403, times=99)
        found = reading.read_estate(world.session, reading.Scope(), with_access=True)
    assert found.groups == ()
    assert found.errors
    assert any(ALL in note and "could not be seen" in note for note in access(found).notes)


def test_a_denial_of_a_group_reaches_its_members(tmp_path: Path) -> None:
    denial = {
        "name": "stack",
        "scope": VAULT,
        "permissions": [{"dataActions": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"]}],
        "principals": [TEAM],
    }
    with running(grouped(denyAssignments=[denial]), tmp_path) as world:
        found = reading.read_estate(world.session, reading.Scope(), with_access=True)
    shop = next(principal(one.document) for one in found.identities if one.name == "id-shop")
    assert shop in found.denials[0].principals
    assert access(found).can_read(shop, VAULT, "db") is False


def test_a_denial_of_a_group_reaches_the_operator_in_it(tmp_path: Path) -> None:
    """A plan must know what its own steps will be refused; the permissions API is not said to tell."""
    denial = {"name": "stack", "scope": VAULT, "permissions": [{"actions": ["*/write"]}], "principals": [TEAM]}
    document = estate(vault(), groups=[{"id": TEAM, "members": ["operator"]}], denyAssignments=[denial])
    with running(document, tmp_path) as world:
        found = reading.read_estate(world.session, reading.Scope(), with_access=True)
        assert found.operator == principals.operator(world.simulator.azure)["id"]
    action = "Microsoft.Authorization/roleAssignments/write"
    denied = Denials(found).of_operator(f"{VAULT}/secrets/*", action, data=False)
    assert denied is not None
    assert denied.name == "stack"
    assert Denials(found).of_operator(GROUP, action, data=False) is None
