"""Restarts by the platform: a vault's new value reaches the replicas that see it (FACTS, sections 1.3 and 1.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import revisions, secrets, validation
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure


def restart_for(azure: Azure, document: Json, changed: set[str], moment: float) -> None:
    """Restart the active revisions that see a secret whose value another vault version changed.

    Measured: a secret used by an authConfig only restarts the app too (FACTS 1.3).
    """
    app = document["id"].lower()
    known = secrets.names(document)
    widely = changed & _signing_secrets(azure, app)
    for record in revisions.active(azure, app):
        if widely or changed & validation.uses(record["template"], known):
            log(azure, app, "RevisionRestartWithNewSecrets", record["name"], moment)
            revisions.restart(azure, app, record, moment)


def _signing_secrets(azure: Azure, app: str) -> set[str]:
    config = azure.world.table("auth-configs").get(app) or {}
    return set(setting_names(config.get("properties")))


def setting_names(value: Any) -> list[str]:
    """Names of app secrets that an authConfig refers to."""
    if isinstance(value, list):
        return [name for item in value for name in setting_names(item)]
    if not isinstance(value, dict):
        return []
    found = []
    for key, item in value.items():
        if key.endswith(("SecretSettingName", "UrlSettingName", "SecretName")) and isinstance(item, str) and item:
            found.append(item)
        else:
            found.extend(setting_names(item))
    return found


def log(azure: Azure, app: str, reason: str, revision: str, moment: float) -> None:
    """Write a line of the system log (table `system-log`), as Log Analytics would show it."""
    table = azure.world.table("system-log")
    table[str(len(table))] = {"time": moment, "app": app, "reason": reason, "revision": revision}
