"""Which vaults programs read by themselves, as far as an estate shows it: no app secret refers to what they read there. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from migrator.access_report import Principal
from migrator.model import Estate, Json, Part, Vault
from migrator.planning.places import AppView
from scanners.model import reveal

_STORE = "secretstores.azure.keyvault"
_CLIENT = ("azureClientId", "spnClientId", "clientId")
_ADDRESS = re.compile(r"https://([a-z0-9-]+\.vault\.[a-z0-9.-]+|[a-z0-9.-]+:\d+)", re.IGNORECASE)


def read_by_programs(
    estate: Estate, vault_at: Callable[[str], Vault | None], people: Iterable[Principal]
) -> dict[str, dict[str, str]]:
    """Principal -> vaults (ids in lower case) that programs may read with it, and what shows that.

    A Dapr secret store reads whatever an app asks for; a program that is told a vault's address may read any of it.

    Args:
        estate: With its parts.
        vault_at: The vault that a host or a name means.
        people: Whom the estate knows.
    """
    known = list(people)
    found: dict[str, dict[str, str]] = {}
    for principal, vault, shown in (*_stores(estate, vault_at), *_addresses(estate, vault_at, known)):
        found.setdefault(principal, {}).setdefault(vault.id.lower(), shown)
    return found


def _stores(estate: Estate, vault_at: Callable[[str], Vault | None]) -> Iterator[tuple[str, Vault, str]]:
    clients = _clients(estate)
    for part in estate.parts:
        properties = part.document.get("properties") or {}
        if str(properties.get("componentType")).lower() != _STORE:
            continue
        told = {str(one.get("name")): str(one.get("value") or "") for one in properties.get("metadata") or []}
        vault = vault_at(told.get("vaultName", ""))
        client = next((told[key] for key in _CLIENT if told.get(key)), "")
        for principal in (clients.get(client.lower(), ""),) if client else _systems(estate, part, properties):
            if vault is not None and principal:
                yield principal, vault, f"Dapr component {part.name}"


def _addresses(
    estate: Estate, vault_at: Callable[[str], Vault | None], people: list[Principal]
) -> Iterator[tuple[str, Vault, str]]:
    for app in estate.workloads:
        for name, value in AppView(app).plain_env():
            for host in _ADDRESS.findall(reveal(value)):
                vault = vault_at(host)
                for entry in people if vault is not None else ():
                    if vault is not None and app.id in entry.apps:
                        yield entry.id, vault, f"env {name} of {app.name}"


def _clients(estate: Estate) -> dict[str, str]:
    """Client id -> object id of user-assigned identities."""
    shown: list[Json] = [one.document.get("properties") or {} for one in estate.identities]
    for app in estate.workloads:
        shown += ((app.document.get("identity") or {}).get("userAssignedIdentities") or {}).values()
    return {
        str(one["clientId"]).lower(): str(one["principalId"]).lower()
        for one in shown
        if one and one.get("clientId") and one.get("principalId")
    }


def _systems(estate: Estate, part: Part, properties: Json) -> Iterator[str]:
    """System identities of the apps that may load a component."""
    home, scopes = part.id.lower().partition("/daprcomponents/")[0], properties.get("scopes") or []
    for app in estate.apps:
        view = AppView(app)
        runs = str(view.properties.get("environmentId") or view.properties.get("managedEnvironmentId") or "").lower()
        dapr = view.configuration.get("dapr") or {}
        if dapr.get("enabled") and runs == home and (not scopes or dapr.get("appId") in scopes):
            yield str((app.document.get("identity") or {}).get("principalId") or "").lower()
