"""The token store of an app's sign-in: a SAS URL of a blob container, which a user-assigned identity can replace.

`blobContainerUri` with `managedIdentityResourceId` stands for `sasUrlSettingName` (recorded: flow app-auth-token-store-msi);
the platform takes no system identity there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from migrator.model import Json, Resource
from migrator.passwordless.cases import Change
from migrator.passwordless.decision import Decision, Outcome, target_of
from migrator.passwordless.pointer import point
from migrator.passwordless.rights import Asker, rights
from migrator.passwordless.services import services
from migrator.planning.places import AppView, child
from scanners.model import Secret

_STORE = "authConfigs/current login.tokenStore.azureBlobStorage"


def takes(view: AppView, names: Collection[str]) -> bool:
    """Whether the token store is given one of some app secrets."""
    store: Json = child(view.app.auth, "properties", "login", "tokenStore", "azureBlobStorage") or {}
    name = str(store.get("sasUrlSettingName") or "")
    return bool(name) and name in names


def decide(
    value: Secret | None, identity: str, reference: str, principal: str, targets: Iterable[Resource]
) -> Decision:
    """What becomes of the SAS URL of a token store that nothing else uses.

    Args:
        value: The secret.
        identity: Name of the app's user-assigned identity; empty for the system one.
        reference: ARM id of that identity.
        principal: Its object id; empty while it does not exist.
        targets: Resources that secrets of the estate may point at.
    """
    service = services()["storage-blob"]
    base = Decision(Outcome.VAULT, service.title, client="Easy Auth token store")
    pointer = point(value) if value is not None else None
    if pointer is None or "container" not in pointer.parts or "storage-blob" not in pointer.services:
        return replace(base, fails=("it is no SAS URL of a blob container",))
    target = target_of(pointer, [service], tuple(targets))
    if target is None:
        return replace(base, fails=(f"no resource named {pointer.name} is in the subscriptions that were read",))
    base = replace(base, resource=target.id)
    if not identity:
        return replace(base, fails=("the token store takes a user-assigned identity only",))
    # it reads, writes and deletes tokens (container-apps/token-store)
    asked = rights(replace(pointer, rights=frozenset()), service, target, ("write",), Asker(identity, principal))
    return replace(
        base,
        outcome=Outcome.CONFIGURATION,
        holds=("the token store signs in with a user-assigned identity where blobContainerUri names the container",),
        fails=(
            "the settings came with api-version 2026-07-01: older tools drop them when they write the sign-in settings",
        ),
        grants=asked.grants,
        changes=(
            Change("remove", f"{_STORE}.sasUrlSettingName", "", "sign-in", "sasUrlSettingName"),
            Change(
                "set",
                f"{_STORE}.blobContainerUri",
                f"https://{pointer.host}/{pointer.parts['container']}",
                "sign-in",
                "blobContainerUri",
            ),
            Change("set", f"{_STORE}.managedIdentityResourceId", reference, "sign-in", "managedIdentityResourceId"),
        ),
        after={"close": service.close, "breaks": service.breaks},
        service_id=service.id,
    )
