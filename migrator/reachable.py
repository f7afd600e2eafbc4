"""How many secrets each identity can read, before a plan and after it: least privilege as a number. Pure.

Counted is what an identity's rights give, by whatever way: vault secrets by roles, groups and access policies, and the
secrets of apps by the right to list them (what such a secret refers to counts once). What the code of its own app gets
from its environment is no right of the identity, and is not counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from migrator.access_report import ALL, CAN_LIST
from migrator.model import Estate, Json, ResourceId
from migrator.value_readers import holders_of_values, value_readers
from migrator.vault_readers import VaultReaders


@dataclass(frozen=True, slots=True)
class Count:
    """What an identity can read at one moment."""

    secrets: int = 0
    """Those that are known to be there."""
    vaults: tuple[str, ...] = ()
    """Names of vaults that it can read whole, with what will be put into them."""

    def as_dict(self) -> Json:
        """The object of the plan."""
        return {"secrets": self.secrets, "vaults": list(self.vaults)}


@dataclass(frozen=True, slots=True)
class Reachable:
    """One identity."""

    identity: str
    """ARM id; of a system identity, the id of its app."""
    before: Count
    after: Count

    def as_dict(self) -> Json:
        """The object of the plan."""
        return {"identity": self.identity, "before": self.before.as_dict(), "after": self.after.as_dict()}


def reachable(before: Estate, after: Estate) -> tuple[Reachable, ...]:
    """The identities that can read something before or after, in order of ids.

    Args:
        before: An estate as read.
        after: As `migrator.foreseen` makes it of the same one.
    """
    old, new = _counts(before), _counts(after)
    return tuple(
        Reachable(key, old.get(key, Count()), new.get(key, Count()))
        for key in sorted({*old, *new}, key=lambda one: (one.lower(), one))
    )


def _counts(estate: Estate) -> dict[str, Count]:
    look = VaultReaders(estate)
    identities = {one.id: one.resource for one in look.people.values() if one.resource}
    held: dict[str, set[tuple[str, str]]] = {}
    whole: dict[str, set[str]] = {}
    for principal, readings in look.readings.items():
        if principal not in identities:
            continue
        for vault, name in readings:
            mine = held.setdefault(principal, set())
            if name != ALL:
                mine.add((vault.lower(), name.lower()))
                continue
            closed = look.except_for.get((principal, vault), ())
            mine |= {(vault.lower(), known) for known in look.names[vault] if known not in closed}
            whole.setdefault(principal, set()).add(ResourceId.parse(vault).name)
    kept = _kept(look)
    for reader in value_readers(look, holders_of_values(estate.workloads, ()), (CAN_LIST,), only={*identities}):
        held.setdefault(reader.principal, set()).update(*(kept[app.lower()] for app in reader.apps))
    return {
        identities[principal]: Count(len(secrets), tuple(sorted(whole.get(principal, ()))))
        for principal, secrets in held.items()
        if secrets or principal in whole
    }


def _kept(look: VaultReaders) -> dict[str, set[tuple[str, str]]]:
    """App -> what whoever lists its secrets gets: vault secrets they refer to, else the app's own."""
    refers = {(r.app.lower(), r.name): (r.vault.lower(), r.secret.lower()) for r in look.references}
    found: dict[str, set[tuple[str, str]]] = {}
    for app in look.estate.workloads:
        key = app.id.lower()
        found[key] = {refers.get((key, secret.name), (key, secret.name)) for secret in app.secrets}
    return found


def summary(counts: Iterable[Json]) -> str:
    """A plan's numbers in a sentence; empty when no identity reads anything."""
    found = list(counts)
    if not found:
        return ""
    old, new = (sorted(int(one[when]["secrets"]) for one in found) for when in ("before", "after"))
    whole = sum(1 for one in found if one["after"]["vaults"])
    text = f"secrets reachable per identity: {_span(old)} before, {_span(new)} after"
    text += f" ({len(found)} {'identity' if len(found) == 1 else 'identities'}"
    return text + (f"; {whole} can read a whole vault)" if whole else ")")


def _span(numbers: list[int]) -> str:
    return str(numbers[0]) if numbers[0] == numbers[-1] else f"{numbers[0]} to {numbers[-1]}"
