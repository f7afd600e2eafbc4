"""What the services themselves say of keys and shared access policies: read only, and only where the operator may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from migrator.cloud.session import Session
from migrator.errors import CloudError, NotFoundError
from migrator.model import Json, Resource, ResourceId
from migrator.passwordless.pointer import Pointer
from scanners.model import Fingerprinter, Secret

_MESSAGING = {
    "microsoft.servicebus/namespaces": ("2024-01-01", (("queues", "queue"), ("topics", "topic"))),
    "microsoft.eventhub/namespaces": ("2024-01-01", (("eventhubs", "hub"),)),
}
"""Kind -> api-version, and where entities are with the part they are in `services.toml`."""
_LISTINGS = {
    "microsoft.storage/storageaccounts": (("listKeys", "2023-05-01"),),
    "microsoft.documentdb/databaseaccounts": (("listKeys", "2024-11-15"),),
    "microsoft.cache/redis": (("listKeys", "2024-11-01"),),
    "microsoft.appconfiguration/configurationstores": (("listKeys", "2024-06-01"),),
    "microsoft.signalrservice/signalr": (("listKeys", "2024-03-01"),),
    "microsoft.signalrservice/webpubsub": (("listKeys", "2024-03-01"),),
    "microsoft.cognitiveservices/accounts": (("listKeys", "2024-10-01"),),
    "microsoft.search/searchservices": (("listAdminKeys", "2025-05-01"), ("listQueryKeys", "2025-05-01")),
}
_KEY_NAMES = ("keyName", "name")
_VALUES = ("value", "key")


def with_policies(session: Session, target: Resource, pointers: Iterable[Pointer]) -> Resource:
    """The resource with what shared access policies allow that secrets name, as `policies` of its document.

    Each is `"<entity>/<policy>"` in lower case -> `{"rights", "part"}`; `part` is what the entity is (`queue`, `topic`,
    `hub`), empty for a policy of the namespace. What cannot be read is left out.
    """
    kind = _kind(target)
    if kind not in _MESSAGING:
        return target
    version, places = _MESSAGING[kind]
    found: dict[str, Json] = {}
    for pointer in pointers:
        entity, policy = pointer.parts.get("entity", ""), pointer.policy
        if not policy:
            continue
        owners = [(f"{target.id}/{where}/{entity}", part) for where, part in places] if entity else []
        for owner, part in (*owners, (target.id, "")):
            rule = _rule(session, f"{owner}/authorizationRules/{policy}", version)
            if rule is not None:
                rights = list((rule.get("properties") or {}).get("rights") or [])
                found[f"{entity}/{policy}".lower()] = {"rights": rights, "part": part}
                break
    return Resource(target.id, {**target.document, "policies": found})


def _rule(session: Session, path: str, version: str) -> Json | None:
    try:
        return session.get(session.arm(), path, "read a shared access policy", api_version=version)
    except NotFoundError:
        return None
    except CloudError:
        return None  # advice only: what may not be read is not known


def with_keys(session: Session, target: Resource, fingerprinter: Fingerprinter) -> Resource:
    """The resource with fingerprints of its keys, as `keys` of its document: fingerprint -> name of the key.

    Azure writes the listing to the Activity Log. Without the right to list, the resource comes back as it was.
    """
    listings = _LISTINGS.get(_kind(target), ())
    found: dict[str, str] = {}
    try:
        for action, version in listings:
            answer = session.ask(
                session.arm(), "POST", f"{target.id}/{action}", f"list the keys of {target.name}", api_version=version
            )
            found |= {fingerprinter.of_secret(value): name for name, value in _named(answer)}
    except CloudError:
        return target
    return Resource(target.id, {**target.document, "keys": found}) if listings else target


def _named(answer: Mapping[str, Any]) -> list[tuple[str, Secret]]:
    """`(name, key)` out of any of the shapes that services answer with."""
    rows: Sequence[Any] = answer.get("keys") or answer.get("value") or []
    if rows and isinstance(rows, list):
        return [
            (str(next((row[key] for key in _KEY_NAMES if row.get(key)), "")), Secret(str(row[key])))
            for row in rows
            for key in _VALUES
            if isinstance(row.get(key), str)
        ]
    return [
        (name, Secret(value)) for name, value in answer.items() if isinstance(value, str) and "onnection" not in name
    ]


def _kind(target: Resource) -> str:
    parsed = ResourceId.parse(target.id)
    return f"{parsed.namespace}/{parsed.kind}".lower()
