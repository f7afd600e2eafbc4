"""Security groups of the tenant, and in which of them a principal is, through other groups too.

Table `security-groups`: object id -> {"id", "name", "members": [object ids, of groups too]}. A group is also in the table
`principals`, with kind `group`, so that roles can be assigned to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator import principals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migrator.simulator.azure import Azure
    from migrator.simulator.wire import Json

KIND = "group"


def create(azure: Azure, name: str, *, principal: str | None = None) -> Json:
    """Make a group without members; the role service knows it at once."""
    entry = principals.create(azure, kind=KIND, name=name, principal=principal, settled=True)
    group: Json = {"id": entry["id"], "name": name, "members": []}
    azure.world.table("security-groups")[group["id"]] = group
    return group


def join(azure: Azure, group: str, members: Iterable[str]) -> None:
    """Put principals, or groups, into a group."""
    listed: list[str] = azure.world.table("security-groups")[group]["members"]
    listed += [member.lower() for member in members if member.lower() not in listed]


def circle(azure: Azure, principal: str) -> tuple[str, ...]:
    """A principal, then every group it is in, transitively, in order of ids."""
    groups = azure.world.table("security-groups")
    if not groups:
        return (principal,)
    found: set[str] = set()
    looked = {principal}
    while looked:
        looked = {key for key, group in groups.items() if looked.intersection(group["members"])} - found
        found |= looked
    return (principal, *sorted(found - {principal}))
