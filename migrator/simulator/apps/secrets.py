"""App secrets: what a write must bring, how references are resolved and kept, what listSecrets returns.

The document of an app names its secrets and their references only. The values are in the table `app-secrets`:
lower-case app id -> {secret name: {"value": str | None, "synced": moment}}. `None` is a reference that never resolved.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from migrator.simulator.apps import backends, identities
from migrator.simulator.apps.versions import PROVIDER
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PATH = re.compile(r"/secrets/[0-9A-Za-z-]{1,127}(/[0-9A-Za-z]*)?/?")


def values(azure: Azure, app: str) -> Json:
    """The kept values of an app (lower-case id), by secret name."""
    table: Json = azure.world.table("app-secrets").setdefault(app, {})
    return table


def names(document: Json) -> list[str]:
    """The names of a document's secrets, in order."""
    return [str(secret["name"]) for secret in document["properties"]["configuration"].get("secrets") or []]


def listed(azure: Azure, document: Json) -> Json:
    """What listSecrets answers: name and value, for a reference also where it points (CORRECTIONS, section 1.4)."""
    kept = values(azure, document["id"].lower())
    found = []
    for secret in document["properties"]["configuration"].get("secrets") or []:
        entry: Json = {"name": secret["name"]}
        if "keyVaultUrl" in secret:
            entry |= {"identity": secret.get("identity"), "keyVaultUrl": secret["keyVaultUrl"]}
        value = kept.get(secret["name"], {}).get("value")
        found.append(entry if value is None else {**entry, "value": value})
    return {"value": found}


def _refusal(code: str, message: str) -> AzureError:
    return AzureError(400, code, message, headers=dict(PROVIDER))


def check(sent: list[Json]) -> list[Json]:
    """A request's secrets, empty strings removed: each has a value, or a URL with an identity.

    `""` counts as absent: the CLI sends it for both (traffic, section 4).

    Raises:
        AzureError: 400 with the code of the first thing wrong.
    """
    cleaned = [{key: value for key, value in secret.items() if value not in (None, "")} for secret in sent]
    seen: set[str] = set()
    for secret in cleaned:
        name = str(secret.get("name") or "")
        if not _NAME.fullmatch(name) or len(name) > 253:
            # text: Azure/container-apps-deploy-action#116
            raise _refusal(
                "ContainerAppInvalidSecretName",
                f"Invalid Request: Container app secret name '{name}' is invalid: it must consist of lower case "
                "alphanumeric characters, '-', and must start and end with an alphanumeric character. The length must "
                "not be more than 253 characters.",
            )
        if name in seen:
            raise _refusal(
                "ContainerAppSecretNameDuplicate", f"Invalid Request: Container app secret name '{name}' is not unique."
            )
        seen.add(name)
    refuse_missing([s["name"] for s in cleaned if not ("value" in s or ("keyVaultUrl" in s and "identity" in s))])
    for secret in cleaned:
        if "keyVaultUrl" in secret and not _valid(str(secret["keyVaultUrl"])):
            raise _refusal(
                "ContainerAppSecretKeyVaultUrlInvalid",
                f"Invalid Request: the key vault url of container app secret '{secret['name']}' is invalid. It must be "
                "'https://{vault}.vault.azure.net/secrets/{name}' or with a version behind it.",
            )
    return cleaned


def refuse_missing(names_without: list[str]) -> None:
    """Raise the 400 for secrets that have neither a value nor a reference."""
    if names_without:
        raise _refusal(
            "ContainerAppSecretInvalid",
            f"Invalid Request: Container app secret(s) with name(s) '{', '.join(names_without)}' are invalid: value or "
            "keyVaultUrl and identity should be provided.",
        )


def _valid(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and bool(parts.netloc) and not parts.query and bool(_PATH.fullmatch(parts.path))


def unresolved(name: str, identity: str) -> AzureError:
    """The one vague answer for every reason why a reference gives no value (FACTS, section 1.6)."""
    return _refusal(
        "InvalidParameterValueInContainerTemplate",
        "The following field(s) are either invalid or missing. Field 'configuration.secrets' is invalid with details: "
        f'\'Invalid value: "{name}": Unable to get value using Managed identity {identity} for secret {name}. Error: '
        f"unable to fetch secret '{name}' using Managed identity '{identity}''.;",
    )


@dataclass(frozen=True, slots=True)
class Reader:
    """An app as it asks a vault: its id, the identity it is to have and has, and the environment it asks from."""

    resource: str
    want: Json | None
    identity: Json | None
    environment: Json | None


def reader(azure: Azure, document: Json) -> Reader:
    """An app as it stands."""
    environment = azure.world.resources.get(str(document["properties"].get("environmentId") or "").lower())
    return Reader(document["id"], None, document.get("identity"), environment)


def fetch(azure: Azure, who: Reader, secret: Json) -> str | None:
    """The value of a reference as the app's identity gets it; None for any failure, an empty value included."""
    principal = identities.principal_for(str(secret["identity"]), who.resource, who.want, who.identity, azure)
    if principal is None:
        return None
    network = ((who.environment or {}).get("properties") or {}).get("vnetConfiguration") or {}
    subnet = str(network.get("infrastructureSubnetId") or "")
    try:
        return backends.fetch_secret(azure, principal, str(secret["keyVaultUrl"]), subnet) or None
    except AzureError:
        return None


def resolve(azure: Azure, who: Reader, effective: list[Json]) -> dict[str, str | None]:
    """The values of all secrets after a write: each reference is fetched anew, with the identity as it will be.

    Raises:
        AzureError: 400 `InvalidParameterValueInContainerTemplate`, one reference gives nothing: all fail together.
    """
    found: dict[str, str | None] = {}
    for secret in effective:
        name = str(secret["name"])
        if "keyVaultUrl" not in secret:
            found[name] = str(secret["value"])
            continue
        value = fetch(azure, who, secret)
        if value is None and azure.switches.resolve_on_write:
            raise unresolved(name, str(secret["identity"]))
        found[name] = value
    return found


def keep(azure: Azure, app: str, new: dict[str, str | None], moment: float) -> set[str]:
    """Store values; answers with the names whose value is another one than before."""
    kept = values(azure, app)
    changed = {name for name, value in new.items() if name in kept and kept[name]["value"] != value}
    azure.world.table("app-secrets")[app] = {name: {"value": value, "synced": moment} for name, value in new.items()}
    return changed


def refresh(azure: Azure, document: Json, moment: float) -> set[str]:
    """Fetch an app's references again as the platform does every 30 minutes; answers with the changed names.

    A reference that fails keeps its value, silently (measured, FACTS 1.10); one that names a version is pinned.
    """
    app = document["id"].lower()
    kept, changed = values(azure, app), set()
    for secret in document["properties"]["configuration"].get("secrets") or []:
        if "keyVaultUrl" not in secret or len(urlsplit(secret["keyVaultUrl"]).path.strip("/").split("/")) > 2:
            continue
        value = fetch(azure, reader(azure, document), secret)
        entry = kept.get(secret["name"])
        if value is None or (entry is not None and entry["value"] == value):
            continue
        kept[secret["name"]] = {"value": value, "synced": moment}
        changed.add(str(secret["name"]))
    return changed


def next_tick(now: float, period: float) -> float:
    """When all apps fetch next: the cycle is common, the same second for every app (measured, FACTS 1.3)."""
    return (math.floor(now / period) + 1) * period
