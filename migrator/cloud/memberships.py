"""Which identities are in groups that hold roles: what Resource Manager tells of that, so that no Graph right is needed.

`assignedTo('{object id}')` lists what is assigned to a principal and to every group it is in, other groups between them
included (learn.microsoft.com/azure/role-based-access-control/role-assignments-list-rest). So a group's members among
some principals are known wherever an assignment of the group is listed. One request a principal, and none at all where
no group holds a role; who else is in a group, and groups that only an access policy names, stay unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from migrator.cloud import surroundings
from migrator.cloud.clients import AUTHORIZATION_VERSION
from migrator.cloud.session import Session
from migrator.errors import CloudError
from migrator.model import Denial, Group, RoleAssignment

OnError = Callable[[str, CloudError], None]


def read(
    session: Session,
    within: Sequence[str],
    principals: Sequence[str],
    assignments: Sequence[RoleAssignment],
    denials: Sequence[Denial],
    operator: str,
    on_error: OnError,
) -> tuple[tuple[Group, ...], tuple[Denial, ...]]:
    """The groups that hold roles with their members among `principals`, and deny assignments with whom they reach.

    Args:
        session: The cloud.
        within: Subscriptions in which the assignments were listed.
        principals: Object ids in lower case.
        assignments: All that count there.
        denials: Likewise. One that names a group gets those of `principals` that are in it, and the operator.
        operator: Object id of whoever is signed in.
        on_error: Told what could not be read; a group whose members are not known is left out.
    """
    groups: list[Group] = []
    for subscription, wanted in sorted(_places(within, assignments).items()):
        answers = _ask(session, subscription, principals, _assigned, on_error)
        if answers is not None:
            groups += members(wanted, answers)
    found = []
    # of a known group the operator may be a member all the same
    unknown = [denial for denial in denials if denial.groups]
    reached: dict[str, set[str]] = {}
    for subscription in sorted({_subscription(one.scope) or min(one.within or within) for one in unknown}):
        whom = sorted({*principals, operator} - {""})
        reaching = _ask(session, subscription, whom, _denied, on_error) or {}
        for principal, ids in reaching.items():
            for one in ids:
                reached.setdefault(one, set()).add(principal)
    for denial in denials:
        also = reached.get(denial.id.lower(), set())
        found.append(replace(denial, principals=denial.principals | also) if also else denial)
    return tuple(sorted(groups, key=lambda group: group.id)), tuple(found)


def members(groups: Iterable[str], answers: Mapping[str, Iterable[str]]) -> tuple[Group, ...]:
    """Groups with their members.

    Args:
        groups: Object ids of groups with an assignment where the answers come from.
        answers: Principal -> whom what is assigned to it is made out to: itself, and groups.
    """
    return tuple(
        Group(group, frozenset(principal for principal, held in answers.items() if group in held))
        for group in sorted(set(groups))
    )


def _places(within: Sequence[str], assignments: Iterable[RoleAssignment]) -> dict[str, set[str]]:
    """Few subscriptions, and the groups that assignments listed there name; each group once."""
    listed: dict[str, set[str]] = {}
    for assignment in assignments:
        if assignment.principal_type.lower() == "group":
            own = _subscription(assignment.scope)
            listed.setdefault(assignment.principal_id, set()).update([own] if own else assignment.within or within)
    found: dict[str, set[str]] = {}
    # those with the fewest places first: the others may be among them
    for group, places in sorted(listed.items(), key=lambda item: (len(item[1]), item[0])):
        place = next((one for one in sorted(places) if one in found), min(places))
        found.setdefault(place, set()).add(group)
    return found


def _ask(
    session: Session,
    subscription: str,
    principals: Sequence[str],
    question: Callable[[Session, str, str], set[str]],
    on_error: OnError,
) -> dict[str, set[str]] | None:
    """The answers by principal; None when one could not be had, because then nobody is known not to be a member."""

    def one(principal: str) -> set[str] | CloudError:
        try:
            return question(session, subscription, principal)
        except CloudError as error:
            return error

    found = {}
    for principal, answer in zip(principals, session.map(one, principals), strict=True):
        if isinstance(answer, CloudError):
            on_error(f"/subscriptions/{subscription}", answer)
            return None
        found[principal] = answer
    return found


def _assigned(session: Session, subscription: str, principal: str) -> set[str]:
    client = session.authorization(subscription)
    models = session.call(
        f"list what is assigned to principal {principal} and its groups",
        lambda: list(client.role_assignments.list_for_subscription(filter=f"assignedTo('{principal}')")),
    )
    return {str(model.principal_id).lower() for model in models}


def _denied(session: Session, subscription: str, principal: str) -> set[str]:
    documents = session.pages(
        session.arm(),
        f"/subscriptions/{subscription}/providers/Microsoft.Authorization/denyAssignments",
        f"list what is denied to principal {principal} and its groups",
        api_version=AUTHORIZATION_VERSION,
        only=f"assignedTo('{principal}')",
    )
    return {surroundings.denial_of(document).id.lower() for document in documents}


def _subscription(scope: str) -> str | None:
    parts = scope.lower().split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "subscriptions" else None
