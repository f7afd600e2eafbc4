"""Who can read what in large estates: work grows with what there is, not with its square."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from migrator.access import access
from migrator.access_report import AccessReport
from migrator.effective import Effective
from migrator.model import App, AppSecret, Estate, Resource, RoleAssignment, RoleDefinition, Vault
from migrator.planning.roles import covers
from scanners.model import Secret

SUB = "/subscriptions/11111111-2222-3333-4444-555555555555"
GROUP = f"{SUB}/resourceGroups/rg"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv"
USER = "4633458b-17de-408a-b874-0445c86b69e6"
OWNER = RoleDefinition("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", ("*",))


def estate(count: int, *, shared: bool) -> Estate:
    """Apps that read two secrets each and hold a key of a storage account, with identities of their own or one of all."""
    apps, identities, targets = [], {}, []
    assignments = [RoleAssignment(f"{SUB}/owner", SUB, OWNER.id, "99999999-0000-0000-0000-000000000000", "User")]
    for number in range(count):
        name = 0 if shared else number
        identity = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-{name}"
        principal = f"00000000-0000-0000-0000-{name:012d}"
        identities[identity] = Resource(identity, {"properties": {"principalId": principal}})
        account = f"AccountName=acct{number};AccountKey={'abcdefgh' * 10}123456==;EndpointSuffix=core.windows.net"
        secrets = [AppSecret("storage", Secret(f"DefaultEndpointsProtocol=https;{account}"))]
        for letter in "ab":
            secret = f"app{number}-{letter}"
            scope = f"{VAULT}/secrets/{secret}"
            secrets.append(AppSecret(letter, None, f"https://kv.vault.azure.net/secrets/{secret}", identity))
            assignments.append(RoleAssignment(f"{scope}/{name}", scope, USER, principal))
        document = {
            "name": f"app-{number}",
            "identity": {"userAssignedIdentities": {identity: {"principalId": principal}}},
            "properties": {"configuration": {}, "template": {"containers": []}},
        }
        apps.append(App(f"{GROUP}/providers/Microsoft.App/containerApps/app-{number}", document, tuple(secrets)))
        targets.append(Resource(f"{GROUP}/providers/Microsoft.Storage/storageAccounts/acct{number}", {}))
    vault = {"properties": {"vaultUri": "https://kv.vault.azure.net", "enableRbacAuthorization": True}}
    return Estate(
        apps=tuple(apps),
        identities=tuple(identities.values()),
        vaults=(Vault(VAULT, vault),),
        assignments=tuple(assignments),
        roles=(OWNER,),
        targets=tuple(targets),
    )


def worked(count: int, *, shared: bool) -> tuple[AccessReport, int]:
    """The report, and how many calls it took."""
    given = estate(count, shared=shared)
    calls: Counter[str] = Counter()

    def seen(_frame: Any, event: str, _argument: Any) -> None:
        calls[event] += 1

    sys.setprofile(seen)
    try:
        report = access(given)
    finally:
        sys.setprofile(None)
    return report, calls["call"] + calls["c_call"]


@pytest.mark.parametrize("shared", [False, True])
def test_twice_the_apps_are_twice_the_work(shared: bool) -> None:
    worked(1, shared=shared)  # what is read once
    (half, little), (whole, much) = worked(150, shared=shared), worked(300, shared=shared)
    assert much / little < 2.2
    for report, count in ((half, 150), (whole, 300)):
        assert [one.readable for one in report.references] == [True] * 2 * count
        assert [[reader.way for reader in one.readers] for one in report.resources] == [["list-keys"]] * count
        assert not any(entry.excess for entry in report.principals)


def test_what_lies_around_a_resource() -> None:
    part = f"{VAULT}/secrets/one"
    beyond = "/providers/Microsoft.Management/managementGroups/top"
    scopes = ["/", beyond, SUB, SUB.upper() + "/", GROUP, GROUP + "2", VAULT, VAULT + "2", part, part + "2"]
    given = [RoleAssignment(f"{scope}/{n}", scope, USER, f"p{n % 3}") for n, scope in enumerate(scopes)]
    effective = Effective(Estate(assignments=tuple(given)))
    for resource in (SUB, GROUP, VAULT, part, f"{VAULT}2/secrets/one", VAULT.upper() + "/"):
        wanted = [a for a in effective.assignments if covers(a.scope, resource) or covers(resource, a.scope)]
        assert effective.around(resource) == wanted
