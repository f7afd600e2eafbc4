"""Microsoft.Authorization: role assignments, definitions, deny assignments, permissions, conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.simulator import conditions, memberships, principals, rbac
from migrator.simulator.roles import ROLES

from .inside import GROUP, SUBSCRIPTION, VAULTS, Inside, code

VAULT = f"{VAULTS}/kv-shop"
SECRET = f"{VAULT}/secrets/db-password"
NAME = "88888888-0000-0000-0000-000000000001"
OTHER = "88888888-0000-0000-0000-000000000002"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
SECRETS_OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
GET_SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
CHECK_KEYS = ("properties", "id", "type", "name")


@pytest.fixture
def inside() -> Inside:
    cloud = Inside()
    cloud.azure.world.resources[VAULT.lower()] = {
        "id": VAULT,
        "name": "kv-shop",
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {},
    }
    return cloud


def definition(guid: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{guid}"


def wanted(principal: str, role: str = SECRETS_USER, **more: Any) -> dict[str, Any]:
    return {"properties": {"roleDefinitionId": definition(role), "principalId": principal, **more}}


def at(scope: str, name: str = "") -> str:
    return f"{scope}/providers/Microsoft.Authorization/roleAssignments" + (f"/{name}" if name else "")


def put(inside: Inside, scope: str, body: Any, name: str = NAME, version: str = "2022-04-01", **more: Any) -> Any:
    return inside.arm("PUT", at(scope, name), body, version=version, **more)


def names(response: Any) -> set[str]:
    return {entry["name"] for entry in response.body["value"]}


def test_an_assignment_answers_as_recorded(inside: Inside) -> None:
    principal = inside.identity("shop")
    made = put(inside, SECRET, wanted(principal, principalType="ServicePrincipal", description="plan 1"))
    assert made.status == 201
    assert tuple(made.body) == CHECK_KEYS
    assert list(made.body["properties"]) == [
        *("roleDefinitionId", "principalId", "principalType", "scope", "condition", "conditionVersion", "createdOn"),
        *("updatedOn", "createdBy", "updatedBy", "delegatedManagedIdentityResourceId", "description"),
    ]
    properties = made.body["properties"]
    assert properties["scope"] == SECRET
    assert properties["createdBy"] is None
    assert properties["updatedBy"] == inside.operator
    assert properties["createdOn"] < properties["updatedOn"]
    assert properties["createdOn"].endswith("Z")
    read = inside.arm("GET", at(SECRET, NAME), version="2022-04-01")
    assert read.status == 200
    assert read.body["properties"]["createdBy"] == inside.operator
    assert read.body["properties"]["description"] == "plan 1"
    old = inside.arm("GET", at(SECRET, NAME), version="2015-07-01").body["properties"]
    assert "condition" not in old
    assert "description" not in old


def test_an_assignment_takes_its_time_and_a_removal_too(inside: Inside) -> None:
    principal = inside.identity("shop")

    def may() -> bool:
        return rbac.allowed(inside.azure, principal, GET_SECRET, SECRET, data=True)

    assert put(inside, SECRET, wanted(principal)).status == 201
    assert not may()
    inside.wait(90)
    assert may()
    assert not rbac.allowed(inside.azure, principal, GET_SECRET, f"{VAULT}/secrets/other", data=True)
    removed = inside.arm("DELETE", at(SECRET, NAME), version="2022-04-01")
    assert removed.status == 200
    assert removed.body["name"] == NAME
    assert may()
    inside.wait(25)
    assert not may()
    assert inside.arm("DELETE", at(SECRET, NAME), version="2022-04-01").status == 204
    assert code(inside.arm("GET", at(SECRET, NAME), version="2022-04-01")) == "RoleAssignmentNotFound"


@pytest.mark.parametrize("told", [False, True])
def test_the_same_triple_exists_already(inside: Inside, *, told: bool) -> None:
    inside.azure.switches.role_assignment_exists_id = told
    principal = inside.identity("shop")
    put(inside, SECRET, wanted(principal))
    again = put(inside, SECRET.upper().replace("/SUBSCRIPTIONS", "/subscriptions"), wanted(principal), OTHER)
    assert again.status == 409
    assert code(again) == "RoleAssignmentExists"
    message = "The role assignment already exists."
    if told:
        message += " The ID of the existing role assignment is 88888888000000000000000000000001."
    assert again.body == {"error": {"code": "RoleAssignmentExists", "message": message}}


def test_a_name_is_taken_in_the_whole_tenant(inside: Inside) -> None:
    principal = inside.identity("shop")
    put(inside, SECRET, wanted(principal))
    for scope, body in (
        (VAULT, wanted(principal)),
        (SECRET, wanted(inside.identity("other"))),
        (SECRET, wanted(principal, SECRETS_OFFICER)),
    ):
        refused = put(inside, scope, body)
        assert refused.status == 400
        assert refused.body["error"] == {
            "code": "RoleAssignmentUpdateNotPermitted",
            "message": "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        }
    updated = put(inside, SECRET, wanted(principal, description="second"))
    assert (updated.status, updated.body["properties"]["description"]) == (200, "second")
    assert code(put(inside, SECRET, wanted(principal), version="2018-01-01-preview")) == "RoleAssignmentExists"


@pytest.mark.parametrize(
    ("body", "status", "refusal"),
    [
        ({}, 400, "BadRequestFormat"),
        ({"properties": {"roleDefinitionId": definition(SECRETS_USER)}}, 400, "InvalidPrincipalId"),
        (wanted("nobody"), 400, "InvalidPrincipalId"),
        ({"properties": {"roleDefinitionId": SECRETS_USER, "principalId": NAME}}, 400, "BadRequestFormat"),
        (wanted(NAME, "nonsense"), 400, "InvalidRoleDefinitionId"),
        (wanted(NAME, OTHER), 404, "RoleDefinitionDoesNotExist"),
        (wanted(NAME), 400, "PrincipalNotFound"),
        (wanted(NAME, principalType="ServicePrincipal"), 400, "PrincipalNotFound"),
        (wanted(NAME, principalType="Application"), 400, "PrincipalTypeNotSupported"),
        (wanted(NAME, colour="red"), 400, "BadRequestFormat"),
        (wanted(NAME, description="x" * 2049), 400, "BadRequestFormat"),
        (wanted(NAME, condition="true"), 400, "BadRequestFormat"),
    ],
)
def test_bodies_that_are_refused(inside: Inside, body: Any, status: int, refusal: str) -> None:
    answer = put(inside, SECRET, body)
    assert (answer.status, code(answer)) == (status, refusal)


def test_names_scopes_and_versions_that_are_refused(inside: Inside) -> None:
    principal = inside.identity("shop")
    bad = put(inside, SECRET, wanted(principal), "not-a-guid")
    assert bad.status == 400
    assert bad.body["error"] == {
        "code": "InvalidRoleAssignmentId",
        "message": "The role assignment ID must be a GUID.",
    }
    absent = put(inside, f"{VAULTS}/nowhere/secrets/x", wanted(principal))
    assert (absent.status, code(absent)) == (404, "ResourceNotFound")
    group = put(inside, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/none", wanted(principal))
    assert (group.status, code(group)) == (404, "ResourceGroupNotFound")
    version = put(inside, SECRET, wanted(principal), version="2018-06-01")
    assert (version.status, code(version)) == (404, "InvalidResourceType")
    assert version.body["error"]["message"].startswith(
        "The resource type 'roleAssignments' could not be found in the namespace 'Microsoft.Authorization' for api "
        "version '2018-06-01'. The supported api-versions are '2015-07-01,"
    )


def test_a_new_principal_is_unknown_for_a_while(inside: Inside) -> None:
    new = principals.create(inside.azure, kind="user-assigned", name="new")["id"]
    refused = put(inside, SECRET, wanted(new))
    assert (refused.status, code(refused)) == (400, "PrincipalNotFound")
    assert refused.body["error"]["message"].startswith(
        f"Principal {new.replace('-', '')} does not exist in the directory {inside.azure.world.tenant}. Check that "
    )
    assert put(inside, SECRET, wanted(new, principalType="ServicePrincipal")).status == 201
    inside.wait(20)
    wrong = put(inside, VAULT, wanted(new, principalType="User"), OTHER)
    assert (wrong.status, code(wrong)) == (400, "UnmatchedPrincipalType")
    assert put(inside, VAULT, wanted(new), OTHER).status == 201


def test_people_are_assigned_under_what_the_caller_calls_them(inside: Inside) -> None:
    person = principals.create(inside.azure, kind="other", name="ada@example.com", settled=True)["id"]
    inside.grant(person, "Reader", GROUP, principal_type="User")
    assert put(inside, SECRET, wanted(person)).body["properties"]["principalType"] == "User"
    group = put(inside, VAULT, wanted(person, principalType="Group"), OTHER)
    assert group.body["properties"]["principalType"] == "Group"
    users = inside.arm("GET", "/v1.0/users", version=None, **{"$filter": "userPrincipalName eq 'ada@example.com'"})
    assert [user["id"] for user in users.body["value"]] == [person]


def test_a_subscription_takes_so_many_and_no_more(inside: Inside) -> None:
    inside.azure.switches.role_assignment_limit = len(inside.azure.world.table("assignments")) + 1
    assert put(inside, SECRET, wanted(inside.identity("one"))).status == 201
    full = put(inside, SECRET, wanted(inside.identity("two")), OTHER)
    assert (full.status, code(full)) == (400, "RoleAssignmentLimitExceeded")


def test_lists_and_their_filters(inside: Inside) -> None:
    one, two = inside.identity("one"), inside.identity("two")
    inside.grant(one, "Key Vault Secrets User", SECRET, name="at-secret")
    inside.grant(one, "Key Vault Reader", VAULT, name="at-vault")
    inside.grant(two, "Reader", GROUP, name="at-group")

    def listed(scope: str, **query: str) -> set[str]:
        found = inside.arm("GET", at(scope), version="2022-04-01", **query)
        assert found.status == 200, found.body
        return names(found) & {"at-secret", "at-vault", "at-group"}

    assert listed(VAULT) == {"at-secret", "at-vault", "at-group"}
    assert listed(VAULT, **{"$filter": "atScope()"}) == {"at-vault", "at-group"}
    assert listed(SECRET, **{"$filter": "atScope()"}) == {"at-secret", "at-vault", "at-group"}
    assert listed(GROUP, **{"$filter": f"principalId eq '{one}'"}) == {"at-secret", "at-vault"}
    assert listed(VAULT, **{"$filter": f"assignedTo('{two}')"}) == {"at-group"}
    assert listed(VAULT, **{"$filter": f"atScope() and assignedTo('{one}')"}) == {"at-vault"}
    for text in (f"principalId eq {one}", f"atScope() and principalId eq '{one}'", "roleName eq 'x'", "atScope("):
        refused = inside.arm("GET", at(VAULT), version="2022-04-01", **{"$filter": text})
        assert (refused.status, code(refused)) == (400, "UnsupportedQuery")
        assert refused.body["error"]["message"].startswith(f"The filter '{text}' is not supported. ")


def test_who_may_assign(inside: Inside) -> None:
    target = inside.identity("shop")
    for role, may in (("Contributor", False), ("Reader", False), ("User Access Administrator", True)):
        caller = inside.identity(role)
        inside.grant(caller, role, GROUP)
        answer = put(inside, SECRET, wanted(target), caller=caller)
        assert answer.status == (201 if may else 403), role
        if not may:
            assert code(answer) == "AuthorizationFailed"
            assert answer.headers["x-ms-failure-cause"] == "gateway"
            assert (
                "does not have authorization or an ABAC condition not fulfilled to perform action "
                "'Microsoft.Authorization/roleAssignments/write' over scope"
            ) in answer.body["error"]["message"]


def test_a_condition_limits_which_roles_are_assigned(inside: Inside) -> None:
    caller, target = inside.identity("caller"), inside.identity("shop")
    inside.grant(caller, "Key Vault Data Access Administrator", GROUP)
    assert put(inside, SECRET, wanted(target, SECRETS_USER), caller=caller).status == 201
    refused = put(inside, SECRET, wanted(target, ACR_PULL), OTHER, caller=caller)
    assert (refused.status, code(refused)) == (403, "AuthorizationFailed")


def test_a_condition_of_an_assignment(inside: Inside) -> None:
    caller, target = inside.identity("caller"), inside.identity("shop")
    text = (
        "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR "
        "(@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals "
        f"{{{SECRETS_USER}}} AND @Request[Microsoft.Authorization/roleAssignments:PrincipalType] "
        "ForAnyOfAnyValues:StringEqualsIgnoreCase {'ServicePrincipal'}))"
    )
    role = "Role Based Access Control Administrator"
    inside.grant(caller, role, GROUP, condition=text, conditionVersion="2.0")
    assert put(inside, SECRET, wanted(target), caller=caller).status == 403
    kind = {"principalType": "ServicePrincipal"}
    assert put(inside, SECRET, wanted(target, SECRETS_OFFICER, **kind), caller=caller).status == 403
    assert put(inside, SECRET, wanted(target, **kind), caller=caller).status == 201
    # the permissions interface shows the role's actions, not the condition (FACTS 4.4)
    shown = inside.arm(
        "GET", f"{SECRET}/providers/Microsoft.Authorization/permissions", version="2022-04-01", caller=caller
    )
    assert [set(entry) for entry in shown.body["value"]] == [{"actions", "notActions", "dataActions", "notDataActions"}]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("@Request[a:b] StringEquals 'x'", True),
        ("NOT @Request[a:b] StringEquals 'x'", False),
        ("@Request[a:b] StringEquals 'X'", False),
        ("@Request[a:b] StringEqualsIgnoreCase 'X'", True),
        ("@Request[a:b] ForAnyOfAllValues:StringNotEquals {'y', 'z'}", True),
        ("@Request[a:b] ForAnyOfAllValues:StringNotEquals {'y', 'x'}", False),
        ("Exists @Request[a:b] && !(Exists @Request[a:c])", True),
        ("@Request[a:c] StringNotEquals 'x'", False),
        ("ActionMatches{'A/*'} AND @Request[a:b] StringLike '*'", True),
        ("@Request[a:b] StringEquals 'x' OR nonsense", False),
        ("@Request[a:b] NumericEquals '1'", False),
        ("(@Request[a:b] StringEquals 'x'", False),
        ("", False),
    ],
)
def test_conditions(text: str, *, holds: bool) -> None:
    assert conditions.holds(text, "a/write", {"a:b": "x"}) is holds


def test_role_definitions(inside: Inside) -> None:
    base = f"{VAULT}/providers/Microsoft.Authorization/roleDefinitions"
    one = inside.arm("GET", f"{base}/{SECRETS_USER.upper()}", version="2022-04-01")
    assert one.status == 200
    assert one.body["id"] == definition(SECRETS_USER)
    assert one.body["properties"]["type"] == "BuiltInRole"
    assert one.body["properties"]["permissions"][0]["dataActions"] == [
        "Microsoft.KeyVault/vaults/secrets/getSecret/action",
        "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
    ]
    absent = inside.arm("GET", f"{base}/{NAME}", version="2022-04-01")
    assert absent.status == 404
    assert absent.body["error"]["message"] == f"The specified role definition with ID '{NAME}' does not exist."
    by_name = inside.arm("GET", base, version="2018-01-01-preview", **{"$filter": "roleName eq 'acrpull'"})
    assert names(by_name) == {ACR_PULL}
    assert len(inside.arm("GET", base, version="2022-04-01").body["value"]) == len(ROLES)
    assert inside.arm("GET", base, version="2022-04-01", **{"$filter": "type eq 'CustomRole'"}).body["value"] == []
    refused = inside.arm("GET", base, version="2022-04-01", **{"$filter": "colour eq 'red'"})
    assert refused.status == 400
    tenant = inside.azure.world.table("role-definitions")
    tenant[NAME] = {
        "id": NAME,
        "roleName": "Secret Writer",
        "description": "",
        "permissions": [{"dataActions": ["Microsoft.KeyVault/vaults/secrets/setSecret/action"]}],
        "assignableScopes": [GROUP],
    }
    own = inside.arm("GET", base, version="2022-04-01", **{"$filter": "type eq 'CustomRole'"})
    assert [entry["properties"]["roleName"] for entry in own.body["value"]] == ["Secret Writer"]
    assert own.body["value"][0]["properties"]["permissions"][0]["actions"] == []


def test_deny_assignments_win(inside: Inside) -> None:
    name = "99999999-0000-0000-0000-000000000001"
    entry: dict[str, Any] = {
        "id": f"{GROUP}/providers/Microsoft.Authorization/denyAssignments/{name}",
        "name": name,
        "scope": GROUP,
        "denyAssignmentName": "Deny assignment 'stack' created by Deployment Stack 'shop'.",
        "description": "",
        "permissions": [{"actions": ["*/write"], "notActions": ["Microsoft.Authorization/locks/write"]}],
        "principals": [{"id": rbac.EVERYONE, "type": "SystemDefined"}],
        "excludePrincipals": [],
    }
    inside.azure.world.table("deny-assignments")[entry["id"].lower()] = entry
    refused = put(inside, SECRET, wanted(inside.identity("shop")))
    assert (refused.status, code(refused)) == (403, "DenyAssignmentAuthorizationFailed")
    assert "created by Deployment Stack 'shop'" in refused.body["error"]["message"]
    lock = {"properties": {"level": "CanNotDelete"}}
    path = f"{GROUP}/providers/Microsoft.Authorization/locks/keep"
    assert inside.arm("PUT", path, lock, version="2016-09-01").status == 201
    base = f"{VAULT}/providers/Microsoft.Authorization/denyAssignments"
    listed = inside.arm("GET", base, version="2022-04-01", **{"$filter": "atScope()"})
    assert names(listed) == {name}
    assert listed.body["value"][0]["properties"]["principals"] == entry["principals"]
    one = inside.arm("GET", entry["id"], version="2022-04-01")
    assert one.body["properties"]["isSystemProtected"] is True
    entry["excludePrincipals"] = [{"id": inside.operator, "type": "ServicePrincipal"}]
    assert put(inside, SECRET, wanted(inside.identity("shop"))).status == 201


def test_locks_stop_role_changes(inside: Inside) -> None:
    base = "providers/Microsoft.Authorization/locks"
    put(inside, SECRET, wanted(inside.identity("one")))
    keep = f"{VAULT}/{base}/keep"
    inside.arm("PUT", keep, {"properties": {"level": "CanNotDelete", "notes": "important"}}, version="2020-05-01")
    removal = inside.arm("DELETE", at(SECRET, NAME), version="2022-04-01")
    assert (removal.status, code(removal)) == (409, "ScopeLocked")
    assert removal.body["error"]["message"] == (
        f"The scope '{at(SECRET, NAME)}' cannot perform delete operation because following scope(s) are locked: "
        f"'{VAULT}'. Please remove the lock and try again."
    )
    assert put(inside, SECRET, wanted(inside.identity("two")), OTHER).status == 201
    inside.arm("PUT", keep, {"properties": {"level": "ReadOnly"}}, version="2020-05-01")
    assert code(put(inside, VAULT, wanted(inside.identity("three")), OTHER[:-1] + "3")) == "ScopeLocked"
    below = inside.arm("DELETE", GROUP, version="2021-04-01")
    assert (below.status, code(below)) == (409, "ScopeLocked")
    assert inside.arm("DELETE", keep, version="2020-05-01").status == 200
    assert inside.arm("DELETE", keep, version="2020-05-01").status == 204
    assert inside.arm("DELETE", at(SECRET, NAME), version="2022-04-01").status == 200


def test_recorded_shapes(inside: Inside) -> None:
    """The recorded answers have the members, in order, that the simulated ones have."""
    folder = Path(__file__).parents[2].parent / "shared/azure/recordings/microsoft.authorization"
    if not folder.is_dir():
        pytest.skip("the recordings are not beside the repository")
    recorded = json.loads(
        (folder / "0012-GET-200-Microsoft-Authorization-roleDefinitions-guid.json").read_text("utf-8")
    )["response_body"]
    guid = recorded["name"]
    shown = inside.arm("GET", definition(guid), version="2022-04-01").body
    assert list(shown) == list(recorded)
    assert shown["properties"] == recorded["properties"]
    permissions = json.loads((folder / "0078-GET-200-Microsoft-Authorization-permissions.json").read_text("utf-8"))
    own = inside.arm("GET", f"{GROUP}/providers/Microsoft.Authorization/permissions", version="2018-01-01-preview")
    assert own.body == permissions["response_body"]


def test_members_have_what_their_groups_hold(inside: Inside) -> None:
    """Through groups in groups; `assignedTo` lists it, `principalId eq` does not (CORRECTIONS 4.4)."""
    one, two = inside.identity("one"), inside.identity("two")
    inner, outer = (str(memberships.create(inside.azure, name)["id"]) for name in ("inner", "outer"))
    memberships.join(inside.azure, inner, [one])
    memberships.join(inside.azure, outer, [inner])
    memberships.join(inside.azure, inner, [outer])  # Entra refuses a circle; whoever asks must not hang on one
    inside.grant(outer, "Key Vault Secrets User", VAULT, name="of-outer")
    assert rbac.allowed(inside.azure, one, GET_SECRET, SECRET, data=True)
    assert not rbac.allowed(inside.azure, two, GET_SECRET, SECRET, data=True)

    def listed(text: str, kind: str = "roleAssignments") -> set[str]:
        path = f"{VAULT}/providers/Microsoft.Authorization/{kind}"
        return names(inside.arm("GET", path, version="2022-04-01", **{"$filter": text}))

    assert listed(f"assignedTo('{one}')") == {"of-outer"}
    assert listed(f"principalId eq '{one}'") == set()
    assert listed(f"assignedTo('{two}')") == set()
    inside.azure.world.table("deny-assignments")["d"] = {
        "id": f"{VAULT}/providers/Microsoft.Authorization/denyAssignments/d",
        "name": "d",
        "scope": VAULT,
        "denyAssignmentName": "d",
        "permissions": [{"dataActions": ["*"]}],
        "principals": [{"id": outer, "type": "Group"}],
    }
    assert listed(f"assignedTo('{one}')", "denyAssignments") == {"d"}
    assert listed(f"assignedTo('{two}')", "denyAssignments") == set()
    assert not rbac.allowed(inside.azure, one, GET_SECRET, SECRET, data=True)
    inside.azure.world.table("deny-assignments")["d"]["excludePrincipals"] = [{"id": inner, "type": "Group"}]
    assert rbac.allowed(inside.azure, one, GET_SECRET, SECRET, data=True)


def test_roles_are_given_to_groups(inside: Inside) -> None:
    group = str(memberships.create(inside.azure, "team")["id"])
    wrong = put(inside, SECRET, wanted(group, principalType="ServicePrincipal"))
    assert (wrong.status, code(wrong)) == (400, "UnmatchedPrincipalType")
    made = put(inside, SECRET, wanted(group))
    assert (made.status, made.body["properties"]["principalType"]) == (201, "Group")
