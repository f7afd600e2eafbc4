"""The secrets of simulated vaults as they change in time, and what other providers do with them.

Table `vault-secrets`: lower-case vault id -> lower-case secret name -> {name, state, until, deleted, purges, versions}.
`state` is `active`, `deleting`, `deleted`, `recovering` or `purging`; the three in -ing end at `until`. `versions` is in
order of making, each {version, value, enabled, created, updated[, nbf, exp, contentType, tags]}.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from migrator.simulator import vault_access as access
from migrator.simulator.providers import vaults
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
_PUBLIC = re.compile(r"([a-z0-9-]+)\.vault\.(azure\.net|azure\.cn|usgovcloudapi\.net|microsoftazure\.de)")
BEING = {
    "deleting": ("ObjectIsBeingDeleted", "deleted"),
    "purging": ("ObjectIsBeingDeleted", "deleted"),
    "recovering": ("ObjectIsBeingRecovered", "recovered"),
}


def plant(
    azure: Azure,
    vault: str,
    name: str,
    value: str,
    enabled: bool = True,
    tags: dict[str, str] | None = None,
    deleted: bool = False,
) -> None:
    """Put a secret's new version into a vault (by id or name), past all permissions: what an estate file holds.

    Raises:
        ValueError: there is no such vault, or no secret may be called `name`.
    """
    document = vaults.find(azure, vault)
    if document is None:
        raise ValueError(f"secret '{name}': there is no vault '{vault}'")
    if not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name for a vault secret: 1 to 127 letters, digits and hyphens")
    now = azure.clock.now()
    item = table_of(azure, document).setdefault(name.lower(), fresh(name))
    made = int(now)
    version: Json = {
        "version": new_version(azure),
        "value": value,
        "enabled": enabled,
        "created": made,
        "updated": made,
    }
    if tags:
        version["tags"] = dict(tags)
    item["versions"].append(version)
    if deleted:
        item.update(state="deleted", deleted=now, purges=now + vaults.retention(document) * vaults.DAY)


def locate(azure: Azure, url: str) -> tuple[str, str, str | None] | None:
    """The vault id, secret name and version that a secret's URL means, or None.

    The host may be the vault's origin here, one it had before a restart, or its public name under any cloud's suffix.
    """
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    path = re.fullmatch(r"/secrets/([^/]+)(?:/([^/]*))?/?", unquote(parts.path), re.IGNORECASE)
    if parts.scheme.lower() != "https" or path is None or not NAME.fullmatch(path[1]):
        return None
    plane = azure.plane_at(parts.netloc) or ""
    key = plane.partition(":")[2] if plane.startswith("vault:") else ""
    if not key and (public := _PUBLIC.fullmatch(host)):
        key = azure.world.table("vault-names").get(public[1], "")
    if not key or vaults.find(azure, key) is None:
        return None
    return key, path[1], path[2] or None


def fetch(azure: Azure, principal: str, url: str, *, subnet: str = "") -> str:
    """What Container Apps gets when it resolves a reference with an identity: the value, which may be empty.

    `subnet` is the environment's infrastructure subnet, if it has one: it decides at a vault's firewall.

    Raises:
        AzureError: as the vault would answer that identity; 404 `VaultNotFound` where no vault has that address.
    """
    found = locate(azure, url)
    document = vaults.find(azure, found[0]) if found else None
    if found is None or document is None:
        host = urlsplit(url).netloc
        raise AzureError(404, "VaultNotFound", f"dial tcp: lookup {host}: no such host")
    _, name, version = found
    access.check_app(azure, principal, document, name, subnet=subnet)
    return str(readable(azure, document, name, version)["value"])


def live(azure: Azure, vault: Json) -> dict[str, Json]:
    """The secrets of a vault that are neither deleted nor on their way in or out, by lower-case name."""
    table = table_of(azure, vault)
    items = ((name, settled(azure, vault, name)) for name in sorted(table))
    return {name: item for name, item in items if item is not None and item["state"] == "active"}


# State over time


def table_of(azure: Azure, vault: Json) -> dict[str, Json]:
    """The stored secrets of a vault, whatever state they are in."""
    table: dict[str, Json] = azure.world.table("vault-secrets").setdefault(str(vault["id"]).lower(), {})
    return table


def fresh(name: str) -> Json:
    """A secret without versions."""
    return {"name": name, "state": "active", "until": 0.0, "versions": []}


def new_version(azure: Azure) -> str:
    """The id of a new version: 32 hexadecimal digits."""
    return azure.world.fresh_guid().replace("-", "")


def settled(azure: Azure, vault: Json, name: str) -> Json | None:
    """A secret as it is by now; None when there is none, or none any more."""
    table, now = table_of(azure, vault), azure.clock.now()
    item = table.get(name.lower())
    if item is None:
        return None
    if item["state"] in BEING and now >= item["until"]:
        item["state"] = {"deleting": "deleted", "recovering": "active", "purging": "gone"}[item["state"]]
    if item["state"] == "gone" or (item["state"] == "deleted" and now >= item["purges"]):
        del table[name.lower()]
        return None
    return item


def begin(azure: Azure, item: Json, state: str) -> None:
    """Start a change that takes a while."""
    item.update(state=state, until=azure.clock.now() + azure.switches.secret_deletion)


def busy(item: Json) -> AzureError:
    """409 for a name on its way in or out."""
    inner, doing = BEING[item["state"]]
    message = f"Secret {item['name']} is currently being {doing} and cannot be re-created; retry later."
    return AzureError(409, "Conflict", message, innererror={"code": inner})


def missing(name: str, version: str | None = None) -> AzureError:
    """404 for a secret or a version of it."""
    what = f"{name}/{version}" if version else name
    return AzureError(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {what} was not found in this key vault. If you recently deleted this secret you may be "
        "able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def active(azure: Azure, vault: Json, name: str, version: str | None) -> tuple[Json, Json]:
    """A secret and one of its versions (the newest if None)."""
    item = settled(azure, vault, name)
    if item is None or item["state"] != "active":
        raise missing(name)
    for one in reversed(item["versions"]):
        if version is None or one["version"] == version.lower():
            return item, one
    raise missing(name, version)


def readable(azure: Azure, vault: Json, name: str, version: str | None) -> Json:
    """The version that a GET shows; 404 if there is none, 403 `SecretDisabled` if it is off."""
    _, one = active(azure, vault, name, version)
    if not one["enabled"]:
        raise AzureError(
            403,
            "Forbidden",
            "Operation get is not allowed on a disabled secret.",
            innererror={"code": "SecretDisabled"},
        )
    return one
