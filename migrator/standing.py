"""Where one stands in a cloud: who is signed in, what there is, and what one may do there. Read only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator import api
from migrator.model import Estate

if TYPE_CHECKING:
    from migrator.cloud.account import Account
    from migrator.cloud.inventory import Row

ABILITIES = (
    ("see apps", "Microsoft.App/containerApps/read", False),
    ("see inline secrets", "Microsoft.App/containerApps/listSecrets/action", False),
    ("change apps", "Microsoft.App/containerApps/write", False),
    ("make identities", "Microsoft.ManagedIdentity/userAssignedIdentities/write", False),
    ("assign roles", "Microsoft.Authorization/roleAssignments/write", False),
    ("write vault secrets", "Microsoft.KeyVault/vaults/secrets/setSecret/action", True),
)
"""`(words, action, whether it is a data action)`: what the whole job needs, in its order."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An app or a vault of the inventory."""

    id: str
    name: str
    subscription: str
    group: str


@dataclass(frozen=True, slots=True)
class Place:
    """One subscription, and what the operator may do at the whole of it."""

    id: str
    name: str
    abilities: tuple[tuple[str, bool | None], ...] = ()
    """`(words, held)`; None where Azure does not say. Rights may be held further down all the same."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What `look_around` saw."""

    cloud: str
    account: Account
    places: tuple[Place, ...]
    apps: tuple[Thing, ...]
    vaults: tuple[Thing, ...]
    notes: tuple[str, ...] = field(default=())
    """What could not be looked at."""


def look_around(place: api.Workplace, *, tell: api.Tell = lambda _text: None) -> Standing:
    """Sign in and look around: subscriptions, apps and vaults of the inventory, rights at each subscription.

    Raises:
        SignInError: no credential works.
        UsageError: the cloud is unknown, or the account sees no subscription.
        CloudError: neither subscriptions nor the inventory could be read.
    """
    from migrator.cloud import account, inventory, surroundings
    from migrator.planning.permissions import Permissions

    notes: list[str] = []
    with api.session(place, tell) as opened:
        who = account.account(opened)
        seen = inventory.subscriptions(opened)
        tell(f"{len(seen)} subscriptions")
        rows = inventory.inventory(opened, seen, (inventory.APPS, inventory.VAULTS))
        scopes = [f"/subscriptions/{one.id}" for one in seen]
        held = surroundings.read_permissions(
            opened, scopes, lambda where, error: notes.append(f"{where}: {error.what}")
        )
        known = Permissions(Estate(permissions=held))
        return Standing(
            opened.profile.name,
            who,
            tuple(
                Place(
                    one.id,
                    one.name or one.id,
                    tuple(
                        (words, known.held(f"/subscriptions/{one.id}", action, data=data))
                        for words, action, data in ABILITIES
                    ),
                )
                for one in seen
            ),
            _things(rows, inventory.APPS),
            _things(rows, inventory.VAULTS),
            tuple(notes),
        )


def _things(rows: Sequence[Row], kind: str) -> tuple[Thing, ...]:
    return tuple(Thing(row.id, row.name, row.subscription, row.group) for row in rows if row.kind == kind)
