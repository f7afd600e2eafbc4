"""What role and deny assignments come to: who holds one, directly or through a group, and what it gives where.

Pure. Of a group only those members are known that `Estate.groups` names; conditions are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from migrator.access_report import Grant
from migrator.model import Denial, Estate, Rights, RoleAssignment, RoleDefinition, same_id
from migrator.planning.roles import BUILT_IN, covers, matches, meet

EVERYBODY = "00000000-0000-0000-0000-000000000000"
"""The principal of a deny assignment that means all of them."""


_READING = frozenset(f"microsoft.keyvault/vaults/secrets/{action}/action" for action in ("getsecret", "readmetadata"))
_OF_SECRETS = re.compile(r"Microsoft\.KeyVault/vaults/secrets/", re.IGNORECASE)
_USUAL = re.compile(
    r"Microsoft\.(?:KeyVault/.*read|Authorization/.*read|Insights/alertRules/|Resources/(?:deployments/|subscriptions/.*read)"
    r"|Support/|KeyVault/checkNameAvailability/read)",
    re.IGNORECASE,
)


class Effective:
    """The assignments of an estate."""

    def __init__(self, estate: Estate, *, certain: bool = False) -> None:
        """Index `estate`; if `certain`, without denials that have a condition, of which nobody here knows whether it holds."""
        self.roles = {role.id.lower(): role for role in (*BUILT_IN, *estate.roles)}
        self._denials = tuple(one for one in estate.denials if not (certain and one.condition))
        self.assignments = sorted(estate.assignments, key=lambda a: (a.principal_id.lower(), a.id.lower()))
        """In order of principals and ids."""
        self._members = {group.id: tuple(sorted(group.members)) for group in estate.groups}
        self._circles: dict[str, set[str]] = {}
        for group in estate.groups:
            for member in group.members:
                self._circles.setdefault(member, set()).add(group.id)

    def circle(self, principal: str) -> frozenset[str]:
        """A principal, and the groups it is known to be in; object ids in lower case."""
        key = principal.lower()
        return frozenset({key, *self._circles.get(key, ())})

    def holders(self, principal: str) -> tuple[str, ...]:
        """Who holds what is given to a principal: itself, and the known members of a group."""
        key = principal.lower()
        return (key, *self._members.get(key, ()))

    def known(self, group: str) -> bool:
        """Whether a group's members among the estate's identities are known."""
        return group.lower() in self._members

    @cached_property
    def _places(self) -> tuple[dict[str, list[int]], dict[str, list[int]], list[int]]:
        """Numbers of assignments by their scope, by what lies above their scope, and of management groups."""
        at: dict[str, list[int]] = {}
        below: dict[str, list[int]] = {}
        beyond: list[int] = []
        for number, assignment in enumerate(self.assignments):
            scope = assignment.scope.lower().rstrip("/")
            if "/managementgroups/" in scope:
                beyond.append(number)
            at.setdefault(scope, []).append(number)
            for upper in _above(scope):
                below.setdefault(upper, []).append(number)
        return at, below, beyond

    def around(self, resource: str) -> list[RoleAssignment]:
        """The assignments at a resource, above it and below it, in order of principals and ids."""
        at, below, beyond = self._places
        place = resource.lower().rstrip("/")
        numbers = {*beyond, *below.get(place, ())}
        for scope in (place, *_above(place)):
            numbers.update(at.get(scope, ()))
        return [self.assignments[number] for number in sorted(numbers)]

    def gives(self, assignment: RoleAssignment, actions: Iterable[str], *, data: bool) -> bool:
        """Whether an assignment's role holds one of `actions`."""
        role = self.roles.get(assignment.role.lower())
        return role is not None and any(self.holds(role.blocks, action, data=data) for action in actions)

    def role_of(self, grant: Grant) -> RoleDefinition | None:
        """The role that a grant gives; None of an access policy, and where the role could not be read."""
        assignment = self._by_id.get(grant.id.lower()) if grant.kind == "role" else None
        return self.roles.get(assignment.role.lower()) if assignment is not None else None

    @cached_property
    def _by_id(self) -> dict[str, RoleAssignment]:
        return {assignment.id.lower(): assignment for assignment in self.assignments}

    @staticmethod
    def only_reads(role: RoleDefinition) -> bool:
        """Whether a role reads vault secrets, and does nothing else with data."""
        held = {action.lower() for block in role.blocks for action in block.data_actions}
        return held <= _READING and not any(block.actions for block in role.blocks)

    @staticmethod
    def beyond_secrets(role: RoleDefinition) -> tuple[str, ...]:
        """What a role gives beside vault secrets; what every role of vaults comes with does not count."""
        data = [action for block in role.blocks for action in block.data_actions if not _OF_SECRETS.match(action)]
        return (*data, *(action for block in role.blocks for action in block.actions if not _USUAL.match(action)))

    def also_given(self, grant: Grant) -> int:
        """How much else is assigned to the group that a grant goes through."""
        group = grant.through.lower()
        return sum(1 for one in self.assignments if one.principal_id.lower() == group and one.id != grant.id)

    def denial(self, principal: str, action: str, scope: str, *, data: bool) -> Denial | None:
        """The deny assignment that keeps a principal from an action at a scope, whatever its roles; None: none does."""
        circle = self.circle(principal)
        return next(
            (
                denial
                for denial in self._denials
                if denial.principals & {*circle, EVERYBODY}
                and not circle & denial.spared
                and covers(denial.scope, scope, denial.within)
                and (denial.below or same_id(denial.scope, scope))
                and self.holds(denial.blocks, action, data=data)
            ),
            None,
        )

    def hampering(self, principal: str, actions: Iterable[str], scope: str) -> Denial | None:
        """The deny assignment that takes some data action from a principal at a scope, or at a part of it.

        Args:
            principal: Object id; empty for one that is yet to be made.
            actions: Data actions, wildcards included; none means that all of the resource's may be meant.
            scope: Where they are needed.
        """
        circle = self.circle(principal)
        wanted = tuple(actions) or (f"{scope.partition('/providers/')[2].partition('/')[0]}/*",)
        return next(
            (
                denial
                for denial in self._denials
                if denial.principals & {*circle, EVERYBODY}
                and not circle & denial.spared
                and (covers(scope, denial.scope) or (denial.below and covers(denial.scope, scope)))
                and any(_takes(block, action) for block in denial.blocks for action in wanted)
            ),
            None,
        )

    def grant(self, assignment: RoleAssignment, holder: str) -> Grant:
        """An assignment as what gives an access to one of its holders."""
        role, given = self.roles[assignment.role.lower()], assignment.principal_id.lower()
        through = "" if given == holder else given
        return Grant("role", role.name, assignment.scope, assignment.id, bool(assignment.condition), through)

    @staticmethod
    def holds(blocks: Iterable[Rights], action: str, *, data: bool) -> bool:
        """Whether one of some permission blocks has an action."""
        return any(
            any(_means_action(one, action) for one in (block.data_actions if data else block.actions))
            and not any(_means_action(one, action) for one in (block.not_data_actions if data else block.not_actions))
            for block in blocks
        )


def _above(scope: str) -> Iterator[str]:
    """Every scope above one, the tenant's, which is empty, too."""
    while scope:
        scope = scope.rpartition("/")[0]
        yield scope


def _takes(denied: Rights, action: str) -> bool:
    """Whether a block of a deny assignment takes something of a data action, wildcards included."""
    return any(meet(taken, action) for taken in denied.data_actions) and not any(
        matches(spared, action) for spared in denied.not_data_actions
    )


def _means_action(granted: str, action: str) -> bool:
    # a wildcard between slashes may stand for nothing: `vaults/*/read` reads vaults
    return matches(granted, action) or ("/*/" in granted and matches(granted.replace("/*/", "/"), action))
