"""Access decisions: properties that hold for any roles, scopes and actions."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.simulator import rbac
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.wire import AzureError
from migrator.simulator.world import World

from .inside import GROUP, VAULTS, Inside

Role = list[dict[str, Any]]
Held = list[tuple[Role, str]]

WORDS = ["App", "KeyVault", "apps", "vaults", "secrets", "read", "write", "action"]
PRINCIPAL = "11111111-0000-0000-0000-00000000000a"

words = st.sampled_from(WORDS)
actions = st.lists(words, min_size=1, max_size=4).map("/".join)
patterns = st.lists(st.sampled_from([*WORDS, "*"]), min_size=1, max_size=4).map("/".join)
names = st.text(string.ascii_lowercase, min_size=1, max_size=4)
scopes = st.lists(names, max_size=4).map(lambda parts: "".join(f"/{part}" for part in parts))
permissions = st.fixed_dictionaries(
    {}, optional={part: st.lists(patterns, max_size=3) for part in ("actions", "notActions", "dataActions")}
)
roles = st.lists(permissions, min_size=1, max_size=3)
assignments = st.lists(st.tuples(roles, scopes), max_size=3)

SHELL = Azure(World(), Clock(speed=0.0, start=0.0))


def cloud(held: Held) -> Azure:
    """A cloud whose one principal holds these roles of the tenant's own at these scopes."""
    SHELL.world = World()
    for number, (role, scope) in enumerate(held):
        guid = f"00000000-0000-0000-0000-{number:012d}"
        SHELL.world.table("role-definitions")[guid] = {"id": guid, "roleName": f"own {number}", "permissions": role}
        rbac.assign(SHELL, principal=PRINCIPAL, role=guid, scope=scope, settled=True)
    return SHELL


def deny(azure: Azure, scope: str, pattern: str, **more: Any) -> None:
    azure.world.table("deny-assignments")["one"] = {
        "id": "one",
        "name": "one",
        "scope": scope or "/",
        "denyAssignmentName": "one",
        "permissions": [{"actions": [pattern]}],
        "principals": [{"id": rbac.EVERYONE}],
        **more,
    }


@given(assignments, actions, scopes, st.lists(names, max_size=3))
def test_what_holds_above_holds_below(held: Held, action: str, scope: str, below: list[str]) -> None:
    azure = cloud(held)
    if rbac.allowed(azure, PRINCIPAL, action, scope):
        assert rbac.allowed(azure, PRINCIPAL, action, scope + "".join(f"/{part}" for part in below))


@given(assignments, roles, scopes, actions, scopes)
def test_a_role_more_takes_nothing_away(held: Held, role: Role, where: str, action: str, scope: str) -> None:
    before = rbac.allowed(cloud(held), PRINCIPAL, action, scope)
    after = rbac.allowed(cloud([*held, (role, where)]), PRINCIPAL, action, scope)
    assert after or not before


@given(permissions, actions, scopes)
def test_not_actions_win_within_a_permission(permission: dict[str, Any], action: str, scope: str) -> None:
    refusing = {**permission, "notActions": [*permission.get("notActions", []), action]}
    assert not rbac.allowed(cloud([([refusing], "")]), PRINCIPAL, action, scope)
    # but another role may give what this one takes out (they are no denials)
    assert rbac.allowed(cloud([([refusing], ""), ([{"actions": ["*"]}], "")]), PRINCIPAL, action, scope)


@given(assignments, actions, scopes, scopes)
def test_a_deny_assignment_wins_at_and_below_its_scope(held: Held, action: str, scope: str, denied: str) -> None:
    azure = cloud([*held, ([{"actions": ["*"]}], "")])
    deny(azure, denied, action)
    below = rbac.covers(denied, scope)
    assert rbac.allowed(azure, PRINCIPAL, action, scope) is not below
    deny(azure, denied, action, excludePrincipals=[{"id": PRINCIPAL}])
    assert rbac.allowed(azure, PRINCIPAL, action, scope)
    deny(azure, denied, action, doNotApplyToChildScopes=True)
    assert rbac.allowed(azure, PRINCIPAL, action, scope) is (scope != denied)


@given(assignments, actions, scopes)
def test_case_does_not_matter_and_data_is_apart(held: Held, action: str, scope: str) -> None:
    azure = cloud(held)
    plain = rbac.allowed(azure, PRINCIPAL, action, scope)
    assert rbac.allowed(azure, PRINCIPAL, action.upper(), scope.upper()) is plain
    only_data: Held = [([{"dataActions": one.get("dataActions", [])} for one in role], where) for role, where in held]
    assert not rbac.allowed(cloud(only_data), PRINCIPAL, action, scope)


@given(actions)
def test_nobody_else_gains_anything(action: str) -> None:
    azure = cloud([([{"actions": ["*"]}], "")])
    assert rbac.allowed(azure, PRINCIPAL, action, "/a")
    assert not rbac.allowed(azure, PRINCIPAL[:-1] + "b", action, "/a")


@pytest.mark.parametrize(
    ("granted", "action", "covers", "strictly"),
    [
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerApps/write", True, False),
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerApps/revisions/write", True, True),
        ("Microsoft.App/containerApps/*/write", "Microsoft.App/containerApps/read", False, False),
        # those two are known to work: Key Vault Reader, Managed Identity Operator
        ("Microsoft.KeyVault/vaults/*/read", "Microsoft.KeyVault/vaults/read", True, True),
        (
            "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            True,
            True,
        ),
        ("*/read", "Microsoft.App/containerApps/read", True, True),
        ("Microsoft.App/containerApps/*/action", "Microsoft.App/containerApps/listSecrets/action", True, True),
    ],
)
def test_the_disputed_wildcard(granted: str, action: str, *, covers: bool, strictly: bool) -> None:
    azure = cloud([([{"actions": [granted]}], "/s")])
    try:
        for switch, expected in ((True, covers), (False, strictly)):
            azure.switches.wildcard_covers_parent = switch
            assert rbac.allowed(azure, PRINCIPAL, action, "/s/x") is expected
    finally:
        azure.switches.wildcard_covers_parent = True


def test_scopes_end_at_slashes() -> None:
    azure = cloud([([{"actions": ["*"]}], "/s/vaults/kv")])
    assert rbac.allowed(azure, PRINCIPAL, "a/read", "/s/vaults/KV/secrets/x")
    assert not rbac.allowed(azure, PRINCIPAL, "a/read", "/s/vaults/kv-2")
    assert not rbac.allowed(azure, PRINCIPAL, "a/read", "/s/vaults")


def test_thousands_of_assignments_are_found_by_principal() -> None:
    inside = Inside()
    for number in range(50):
        inside.grant(inside.identity(f"id-{number}"), "Reader", f"{VAULTS}/kv/secrets/s{number}")
    last = inside.identity("last")
    assert rbac.held(inside.azure, last) == []
    made = inside.grant(last, "Reader", GROUP)
    assert [entry["id"] for entry in rbac.held(inside.azure, last)] == [made]
    rbac.revoke(inside.azure, made)
    assert rbac.held(inside.azure, last) == []


def test_who_may_not_is_told_what_is_missing() -> None:
    inside = Inside()
    nobody = inside.identity("nobody")
    with pytest.raises(AzureError) as caught:
        rbac.require(inside.azure, nobody, "Microsoft.App/containerApps/write", f"{GROUP}/providers/x/y/z/")
    assert caught.value.status == 403
    assert caught.value.code == "AuthorizationFailed"
    client = inside.azure.world.table("principals")[nobody]["clientId"]
    assert caught.value.message == (
        f"The client '{client}' with object id '{nobody}' does not have authorization to perform action "
        f"'Microsoft.App/containerApps/write' over scope '{GROUP}/providers/x/y/z' or the scope is invalid. If access "
        "was recently granted, please refresh your credentials."
    )
