"""Role assignments: what an identity needs, what it holds already, and what is wider than it needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from migrator.model import Estate, Rights, RoleAssignment, RoleDefinition


@dataclass(frozen=True, slots=True)
class Need:
    """A role that gives one right, the smallest that does."""

    role: str
    """GUID."""
    name: str
    right: str
    """The action the platform's fetch is checked against; empty: nothing but the role itself counts."""
    data: bool
    """Whether it is a data action."""


SECRETS_USER = Need(
    "4633458b-17de-408a-b874-0445c86b69e6",
    "Key Vault Secrets User",
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    data=True,
)
ACR_PULL = Need(
    "7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull", "Microsoft.ContainerRegistry/registries/pull/read", data=False
)
REPOSITORY_READER = Need(
    "b93aa761-3e63-49ed-ac28-beffa264f7ac",
    "Container Registry Repository Reader",
    "Microsoft.ContainerRegistry/registries/repositories/content/read",
    data=True,
)
"""On a registry in ABAC mode AcrPull and Owner, Contributor, Reader give no pull."""

_GET = SECRETS_USER.right
BUILT_IN = (
    RoleDefinition(SECRETS_USER.role, SECRETS_USER.name, data_actions=(_GET,)),
    RoleDefinition("b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "Key Vault Secrets Officer", data_actions=(_GET,)),
    RoleDefinition("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator", data_actions=(_GET,)),
    RoleDefinition("db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", "Key Vault Certificate User", data_actions=(_GET,)),
    RoleDefinition(ACR_PULL.role, ACR_PULL.name, actions=(ACR_PULL.right,)),
    RoleDefinition("8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush", actions=(ACR_PULL.right,)),
    RoleDefinition("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", actions=("*/read",)),
    RoleDefinition("b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor", actions=("*",)),
    RoleDefinition("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", actions=("*",)),
    RoleDefinition(REPOSITORY_READER.role, REPOSITORY_READER.name, data_actions=(REPOSITORY_READER.right,)),
    RoleDefinition(
        "2a1e307c-b015-4ebd-883e-5b7698a07328",
        "Container Registry Repository Writer",
        data_actions=(REPOSITORY_READER.right,),
    ),
    RoleDefinition(
        "2efddaa5-3f1f-4df3-97df-af3f13818f4c",
        "Container Registry Repository Contributor",
        data_actions=(REPOSITORY_READER.right,),
    ),
)
"""What an identity is likely to hold, for an estate whose role definitions could not be read."""


@lru_cache(maxsize=4096)
def _pattern(granted: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in granted.split("*")), re.IGNORECASE)


def matches(granted: str, action: str) -> bool:
    """Whether a granted action, wildcards included, is `action`."""
    return bool(_pattern(granted).fullmatch(action))


@lru_cache(maxsize=4096)
def meet(one: str, other: str) -> bool:
    """Whether some action is meant by both of two granted actions, wildcards on either side."""
    left, right = one.lower(), other.lower()
    # row i, column j: whether the first i characters of `left` and the first j of `right` can be one text
    row = [True, *(right[:j].strip("*") == "" for j in range(1, len(right) + 1))]
    for i, char in enumerate(left, 1):
        above, row = row, [left[:i].strip("*") == ""]
        for j, beside in enumerate(right, 1):
            if "*" in (char, beside):
                row.append(above[j] or row[j - 1] or above[j - 1])
            else:
                row.append(above[j - 1] and char == beside)
    return row[-1]


def grants(allow: Iterable[str], deny: Iterable[str], action: str) -> bool:
    """Whether one permission entry gives `action`: its own exceptions count, other entries' do not."""
    return any(matches(entry, action) for entry in allow) and not any(matches(entry, action) for entry in deny)


def holds(blocks: Iterable[Rights], action: str, *, data: bool) -> bool:
    """Whether one of some permission blocks gives `action`."""
    return any(
        grants(block.data_actions, block.not_data_actions, action)
        if data
        else grants(block.actions, block.not_actions, action)
        for block in blocks
    )


def covers(scope: str, target: str, within: Collection[str] = ()) -> bool:
    """Whether what is at `scope` reaches `target`: at it or above it.

    Args:
        scope: Where something was given.
        target: What is asked about.
        within: Subscriptions, in lower case, that it was listed in: a management group is above those, and above no other;
            empty where only one was asked, which is the target's.
    """
    upper, lower = scope.lower().rstrip("/"), target.lower().rstrip("/")
    if "/managementgroups/" in upper:
        return not within or any(one in within for one in lower.split("/")[2:3])
    return lower == upper or lower.startswith(upper + "/")


@dataclass(frozen=True, slots=True)
class Held:
    """Access that an identity has already."""

    adopted: RoleAssignment
    wider: tuple[tuple[RoleAssignment, str], ...]
    """Assignments that give more than the need, with the role's name: the adopted one may be among them."""


class Roles:
    """The estate's role assignments by principal."""

    def __init__(self, estate: Estate) -> None:
        """Index `estate`."""
        self._definitions = {role.id.lower(): role for role in (*BUILT_IN, *estate.roles)}
        self._by_principal: dict[str, list[RoleAssignment]] = {}
        for assignment in estate.assignments:
            self._by_principal.setdefault(assignment.principal_id.lower(), []).append(assignment)

    def of(self, principal: str) -> Sequence[RoleAssignment]:
        """Everything assigned to a principal directly."""
        return self._by_principal.get(principal.lower(), ())

    def held(self, principal: str | None, need: Need, scope: str) -> Held | None:
        """What gives `principal` the needed right at `scope`, the narrowest first; None when nothing does.

        An assignment with a condition does not count: whether the condition holds cannot be told from here.
        """
        if not principal:
            return None
        giving = [
            a
            for a in self.of(principal)
            if not a.condition and covers(a.scope, scope, a.within) and self._gives(a, need)
        ]
        if not giving:
            return None
        giving.sort(key=lambda a: (not _exact(a, need, scope), -len(a.scope.rstrip("/")), a.role != need.role, a.id))
        wider = tuple((a, self._name(a)) for a in giving if not _exact(a, need, scope))
        return Held(giving[0], wider)

    def _gives(self, assignment: RoleAssignment, need: Need) -> bool:
        if not need.right:
            return assignment.role.lower() == need.role.lower()
        role = self._definitions.get(assignment.role.lower())
        if role is None:
            return False
        return holds(role.blocks, need.right, data=need.data)

    def _name(self, assignment: RoleAssignment) -> str:
        role = self._definitions.get(assignment.role.lower())
        return role.name if role else assignment.role


def _exact(assignment: RoleAssignment, need: Need, scope: str) -> bool:
    return assignment.role.lower() == need.role and assignment.scope.lower().rstrip("/") == scope.lower().rstrip("/")
