"""Role assignments found by principal, scope and name without looking through all of them.

The table `assignments` of a world is what counts; the index beside it is made from it and kept in step, so that clouds
with thousands of assignments answer as fast as small ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from migrator.simulator.wire import Json
    from migrator.simulator.world import World

_INDEXES: WeakKeyDictionary[World, Index] = WeakKeyDictionary()


class Index:
    """Assignments by principal, scope and name. Entries are the table's own; ids are lower case."""

    def __init__(self, table: dict[str, Json]) -> None:
        """Take in a whole table."""
        self.table = table
        self.size = 0
        self._principals: dict[str, dict[str, Json]] = {}
        self._scopes: dict[str, dict[str, Json]] = {}
        self._names: dict[str, Json] = {}
        self._subscriptions: Counter[str] = Counter()
        for entry in table.values():
            self.add(entry)

    def add(self, entry: Json) -> None:
        """Take in one entry that was put into the table."""
        identifier, scope = entry["id"].lower(), _key(entry["scope"])
        self._principals.setdefault(entry["principalId"], {})[identifier] = entry
        self._scopes.setdefault(scope, {})[identifier] = entry
        self._names[entry["name"].lower()] = entry
        self._subscriptions[subscription(scope)] += 1
        self.size += 1

    def remove(self, entry: Json) -> None:
        """Forget one entry that was taken out of the table."""
        identifier, scope = entry["id"].lower(), _key(entry["scope"])
        self._principals[entry["principalId"]].pop(identifier)
        at_scope = self._scopes[scope]
        at_scope.pop(identifier)
        if not at_scope:
            del self._scopes[scope]
        if self._names.get(entry["name"].lower()) is entry:
            del self._names[entry["name"].lower()]
        self._subscriptions[subscription(scope)] -= 1
        self.size -= 1

    def of_principal(self, principal: str) -> list[Json]:
        """Assignments made to a principal, in effect or not yet."""
        return list(self._principals.get(principal, {}).values())

    def named(self, name: str) -> Json | None:
        """The assignment of a name, which is unique in the tenant."""
        return self._names.get(name.lower())

    def at_or_above(self, scope: str) -> Iterator[Json]:
        """Assignments that reach a scope."""
        key = _key(scope)
        while True:
            yield from self._scopes.get(key, {}).values()
            if not key:
                return
            key = key.rpartition("/")[0]

    def at(self, scope: str) -> Iterator[Json]:
        """Assignments at just this scope."""
        yield from self._scopes.get(_key(scope), {}).values()

    def below(self, scope: str) -> Iterator[Json]:
        """Assignments at scopes inside a scope."""
        prefix = _key(scope) + "/"
        for key, entries in self._scopes.items():
            if key.startswith(prefix):
                yield from entries.values()

    def count(self, scope: str) -> int:
        """How many assignments a scope's subscription has."""
        return self._subscriptions[subscription(_key(scope))]


def _key(scope: str) -> str:
    return scope.lower().rstrip("/")


def subscription(scope: str) -> str:
    """The subscription that a scope lies in, as `/subscriptions/x` in lower case; empty above subscriptions."""
    parts = scope.lower().split("/")
    return "/".join(parts[:3]) if len(parts) > 2 and parts[1] == "subscriptions" else ""


def groups_above(world: World, scope: str) -> list[str]:
    """Ids, in lower case, of the management groups above the subscription that a scope lies in."""
    below = subscription(scope).rpartition("/")[2]
    table: dict[str, list[str]] = world.table("management-groups")
    return [group for group, subscriptions in table.items() if below in subscriptions] if below and table else []


def index(world: World) -> Index:
    """The index of a world's assignments, made anew if the table was changed by other hands."""
    table = world.table("assignments")
    found = _INDEXES.get(world)
    if found is None or found.table is not table or found.size != len(table):
        found = _INDEXES[world] = Index(table)
    return found
