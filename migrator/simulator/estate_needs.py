"""What the replicas of an estate's apps need: environment variables that must have the right value, and services.

Table `needs`: lower-case app id -> list of {"env", "value": str | None}; None means that any value will do; and
{"argument": str}: a text that a word of a command line must hold once a shell has filled its variables in. Table
`connections`: lower-case app id -> list of {"env", "resource", "action", "says"}: a client that is told by `env` (or by
`<env>__…`) how to sign in to a resource, what it does there, and what it writes to its log when it may not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from migrator.simulator.documents import known, mappings, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migrator.simulator.azure import Azure

_RUNS = re.compile(r"/microsoft\.app/(containerapps|jobs)/[^/]+$")
_REFERENCE = re.compile(r"https://([0-9a-z-]+)\.[^/]+/secrets/([^/]+)(?:/[^/]*)?/?", re.IGNORECASE)


def load(azure: Azure, document: Mapping[str, Any]) -> None:
    """Take `needs` in. Without `equals` and `present` the needed value is the one that the document gives the app.

    Raises:
        ValueError: an app that is not in the document, or a variable that has no value in it; the place comes first.
    """
    table = azure.world.table("needs")
    for place, entry in mappings(document, "needs"):
        known(entry, {"app", "env", "equals", "present", "argument"}, place)
        if "argument" in entry:
            needed = {"argument": text(entry, "argument", place)}
            app = _app(document, text(entry, "app", place), f"{place}.app")
            table.setdefault(str(app["id"]).lower().rstrip("/"), []).append(needed)
            continue
        app, name = _app(document, text(entry, "app", place), f"{place}.app"), text(entry, "env", place)
        if "equals" in entry and "present" in entry:
            raise ValueError(f"{place}: either 'equals' or 'present'")
        value: str | None = None
        if "equals" in entry:
            value = text(entry, "equals", place)
        elif not entry.get("present"):
            value = _value(document, app, name)
            if value is None:
                raise ValueError(f"{place}.env: {name!r} has no value in {app['id']} when the estate is loaded")
        table.setdefault(str(app["id"]).lower().rstrip("/"), []).append({"env": name, "value": value})


def connections(azure: Azure, document: Mapping[str, Any]) -> None:
    """Take `connections` in.

    Raises:
        ValueError: an app that is not in the document, or something is missing; the place comes first.
    """
    table = azure.world.table("connections")
    for place, entry in mappings(document, "connections"):
        known(entry, {"app", "env", "resource", "action", "says"}, place)
        app = _app(document, text(entry, "app", place), f"{place}.app")
        told = {key: text(entry, key, place) for key in ("env", "resource", "action", "says")}
        table.setdefault(str(app["id"]).lower().rstrip("/"), []).append(told)


def _app(document: Mapping[str, Any], named: str, place: str) -> Mapping[str, Any]:
    wanted = named.lower().rstrip("/")
    for _, entry in mappings(document, "resources"):
        identifier = str(entry.get("id") or "").lower().rstrip("/")
        if _RUNS.search(identifier) and wanted in {identifier, identifier.rpartition("/")[2]}:
            return entry
    raise ValueError(f"{place}: the estate has no container app or job {named!r}")


def _value(document: Mapping[str, Any], app: Mapping[str, Any], name: str) -> str | None:
    """The value that `app` sees under `name`: plain, by an inline secret, or by a reference into the vaultSecrets."""
    inner = app.get("properties") or {}
    template = inner.get("template") or {}
    containers = [*(template.get("containers") or []), *(template.get("initContainers") or [])]
    found = [entry for container in containers for entry in container.get("env") or [] if entry.get("name") == name]
    if not found:
        return None
    # of two entries of one name the last counts (learn.microsoft.com/azure/container-apps/environment-variables)
    value, reference = found[-1].get("value"), str(found[-1].get("secretRef") or "").lower()
    for secret in (inner.get("configuration") or {}).get("secrets") or [] if reference else []:
        if str(secret.get("name")).lower() == reference:
            value = secret.get("value") or _planted(document, str(secret.get("keyVaultUrl") or ""))
    return value if isinstance(value, str) else None


def _planted(document: Mapping[str, Any], url: str) -> str | None:
    found = _REFERENCE.fullmatch(url)
    value = None
    for _, entry in mappings(document, "vaultSecrets") if found else ():
        vault = str(entry.get("vault")).rstrip("/").rpartition("/")[2]
        if found and (vault.lower(), str(entry.get("name")).lower()) == (found[1].lower(), found[2].lower()):
            value = entry.get("value")  # of several versions the last
    return value
