"""Mishaps of vaults: the network closes, and secrets are disabled, deleted, recovered or written by somebody."""

from __future__ import annotations

from migrator.simulator import vault_store
from migrator.simulator.mishap import Occasion, named
from migrator.simulator.mishaps.somebody import send
from migrator.simulator.providers import vaults
from migrator.simulator.wire import Json


@named("vault-closed")
def vault_closed(occasion: Occasion, vault: str = "", by: str = "firewall") -> None:
    """The vault closes: `by` its `firewall` (denies by default), or by `connection` (public access is off)."""
    properties = occasion.vault(vault)["properties"]
    if by == "firewall":
        properties["networkAcls"] = {
            "defaultAction": "Deny",
            "bypass": "None",
            "ipRules": [],
            "virtualNetworkRules": [],
        }
    elif by == "connection":
        properties["publicNetworkAccess"] = "Disabled"
    else:
        raise ValueError(f"a vault closes by 'firewall' or 'connection', not {by!r}")


@named("vault-opened")
def vault_opened(occasion: Occasion, vault: str = "") -> None:
    """The vault is open to all networks again."""
    properties = occasion.vault(vault)["properties"]
    properties |= {
        "publicNetworkAccess": "Enabled",
        "networkAcls": {"defaultAction": "Allow", "bypass": "AzureServices"},
    }


@named("vault-deleted")
def vault_deleted(occasion: Occasion, vault: str = "") -> None:
    """Somebody deletes the vault."""
    send(occasion.azure, occasion.vault(vault), "DELETE", version="2025-05-01")


def _item(occasion: Occasion, vault: str, name: str) -> Json | None:
    return vault_store.settled(occasion.azure, occasion.vault(vault), occasion.secret(name))


@named("secret-disabled")
def secret_disabled(occasion: Occasion, vault: str = "", name: str = "") -> None:
    """Somebody disables the newest version of the secret."""
    item = _item(occasion, vault, name)
    if item is not None:
        item["versions"][-1]["enabled"] = False


@named("secret-written")
def secret_written(
    occasion: Occasion, vault: str = "", name: str = "", value: str = "written-by-somebody-else"
) -> None:
    """Somebody writes another version of the secret."""
    vault_store.plant(occasion.azure, str(occasion.vault(vault)["id"]), occasion.secret(name), value)


@named("secret-deleted")
def secret_deleted(occasion: Occasion, vault: str = "", name: str = "") -> None:
    """Somebody deletes the secret: its name is occupied from now on, also where it was never used."""
    azure, document, secret = occasion.azure, occasion.vault(vault), occasion.secret(name)
    if vault_store.settled(azure, document, secret) is None:
        vault_store.plant(azure, str(document["id"]), secret, "deleted-by-somebody-else")
    now = azure.clock.now()
    item = vault_store.table_of(azure, document)[secret.lower()]
    item.update(state="deleted", deleted=now, purges=now + vaults.retention(document) * vaults.DAY)


@named("secret-recovering")
def secret_recovering(occasion: Occasion, vault: str = "", name: str = "", seconds: float = 30.0) -> None:
    """A deleted secret of the name is being recovered, for `seconds`."""
    secret_deleted(occasion, vault, name)
    item = vault_store.table_of(occasion.azure, occasion.vault(vault))[occasion.secret(name).lower()]
    item.update(state="recovering", until=occasion.azure.clock.now() + seconds)
