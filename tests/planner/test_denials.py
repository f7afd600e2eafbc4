"""Deny assignments win over every role: a plan says so instead of running into them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from migrator import planner
from migrator.model import Denial, Group, Permission, Rights
from migrator.output import _changes
from migrator.planning.options import Options

from .estates import (
    GROUP,
    KEY,
    PASSWORD,
    SUBSCRIPTION,
    TOKEN,
    VAULT_ID,
    Spec,
    codes,
    entry,
    estate,
    identity,
    make,
    notes,
    registry,
    step,
    with_identities,
)

READ = Rights(data_actions=("Microsoft.KeyVault/vaults/secrets/getSecret/action",))
EVERYBODY = frozenset({"00000000-0000-0000-0000-000000000000"})
OWN = "11111111-aaaa-4aaa-8aaa-111111111111"
ME = "22222222-aaaa-4aaa-8aaa-222222222222"
HOME = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"


def denial(scope: str, *blocks: Rights, principals: frozenset[str] = EVERYBODY, **more: Any) -> Denial:
    identifier = f"{scope}/providers/Microsoft.Authorization/denyAssignments/d"
    return replace(Denial(identifier, "stack-deny", scope, blocks or (READ,), principals), **more)


def two() -> tuple[Spec, Spec]:
    return (
        Spec(name="orders", inline={"db": PASSWORD}, identity=with_identities("id-orders")),
        Spec(name="web", inline={"token": TOKEN}),
    )


def test_what_the_identity_may_never_read_is_not_planned() -> None:
    denied = denial(HOME, principals=frozenset({OWN}))
    plan = make(*two(), identities=(identity("id-orders", OWN),), denials=(denied,))
    assert codes(plan) == ["deny-assignment"]
    (skipped,) = plan.skipped
    assert "stack-deny" in skipped["reason"]
    assert "id-orders" in skipped["reason"]
    assert OWN in skipped["hint"]
    assert {one.app.rpartition("/")[2] for one in plan.steps} == {"web"}, "the other app is none of its business"


def test_an_identity_that_is_yet_to_be_made_is_meant_by_everybody() -> None:
    plan = make(*two(), denials=(denial(VAULT_ID),))
    assert codes(plan) == ["deny-assignment"] * 2
    assert plan.steps == ()
    spared = denial(VAULT_ID, spared=frozenset({OWN}))
    plan = make(*two(), identities=(identity("id-orders", OWN),), denials=(spared,))
    assert {one.app.rpartition("/")[2] for one in plan.steps} == {"orders"}


def test_one_secret_a_group_and_a_scope_that_ends() -> None:
    one = denial(f"{VAULT_ID}/secrets/ORDERS-DB")
    assert codes(make(*two(), denials=(one,))) == ["deny-assignment"]
    grouped = denial(HOME, principals=frozenset({"team"}), groups=frozenset({"team"}))
    parts: dict[str, Any] = {"identities": (identity("id-orders", OWN),), "denials": (grouped,)}
    assert codes(make(*two(), **parts, groups=(Group("team", frozenset({OWN})),))) == ["deny-assignment"]
    assert codes(make(*two(), **parts)) == []
    assert codes(make(*two(), denials=(denial(VAULT_ID, below=False),))) == [], "secrets are below the vault"


def test_a_registry_that_the_identity_may_not_pull_from_keeps_its_password() -> None:
    spec = Spec(inline={"acr-password": PASSWORD}, registries=[entry()])
    pull = Rights(actions=("Microsoft.ContainerRegistry/registries/pull/read",))
    plan = make(spec, registries=(registry(),), denials=(denial(HOME, pull),))
    change = step(plan, "app-switch").change
    assert change["registries"] == []
    assert [secret["name"] for secret in change["secrets"]] == ["acr-password"]
    assert any("keeps its password" in text and "stack-deny" in text for text in notes(plan, "registry"))


def test_what_is_denied_to_the_operator_is_lacked_whatever_the_roles() -> None:
    write = Rights(actions=("Microsoft.App/containerApps/write",))
    everything = Permission(f"/subscriptions/{SUBSCRIPTION}", ("*",), (), ("*",), ())
    parts: dict[str, Any] = {"permissions": (everything,), "operator": ME}
    assert _changes.missing_rights(make(*two(), **parts)) == []
    plan = make(*two(), **parts, denials=(denial(HOME, write, principals=frozenset({ME})),))
    lacked = _changes.missing_rights(plan)
    assert {right["action"] for right in lacked} == {"Microsoft.App/containerApps/write"}
    assert {right["denied"]["name"] for right in lacked} == {"stack-deny"}
    assert all("az rest" in command and "stack-deny" in command for command, _ in _changes.grants(lacked))
    secrets = denial(VAULT_ID, Rights(data_actions=("*",), actions=("*",)), principals=frozenset({ME}), below=False)
    assert not any(
        right["scope"] == VAULT_ID for right in _changes.missing_rights(make(*two(), **parts, denials=(secrets,)))
    )


def test_the_wizard_sees_it_where_it_sees_names() -> None:
    specs = two()
    findings = [finding for spec in specs for finding in spec.findings()]
    whole = estate(*specs, denials=(denial(f"{VAULT_ID}/secrets/orders-db"),))
    found = {slot.name: slot.reason for slot in planner.slots(whole, findings, Options("kv-shop"), KEY)}
    assert "stack-deny" in found["orders-db"]
    assert found["web-token"] == ""
