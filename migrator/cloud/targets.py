"""What the services themselves say of keys and shared access policies: read only, and only where the operator may."""

from __future__ import annotations

import re
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
    "microsoft.relay/namespaces": ("2024-01-01", (("hybridConnections", ""), ("wcfRelays", ""))),
}
"""Kind -> api-version, and where entities are with the part they are in `services.toml`."""
_LISTINGS = {
    "microsoft.storage/storageaccounts": (("listKeys", "2023-05-01"),),
    "microsoft.documentdb/databaseaccounts": (("listKeys", "2024-11-15"),),
    "microsoft.cache/redis": (("listKeys", "2024-11-01"),),
    "microsoft.cache/redisenterprise": (("databases/default/listKeys", "2025-07-01"),),
    "microsoft.appconfiguration/configurationstores": (("listKeys", "2024-06-01"),),
    "microsoft.signalrservice/signalr": (("listKeys", "2024-03-01"),),
    "microsoft.signalrservice/webpubsub": (("listKeys", "2024-03-01"),),
    "microsoft.cognitiveservices/accounts": (("listKeys", "2024-10-01"),),
    "microsoft.search/searchservices": (("listAdminKeys", "2025-05-01"), ("listQueryKeys", "2025-05-01")),
    "microsoft.eventgrid/topics": (("listKeys", "2025-02-15"),),
    "microsoft.eventgrid/domains": (("listKeys", "2025-02-15"),),
    "microsoft.devices/iothubs": (("listkeys", "2023-06-30"),),
    "microsoft.communication/communicationservices": (("listKeys", "2023-04-01"),),
    "microsoft.containerregistry/registries": (("listCredentials", "2023-07-01"),),
}
_KEY_NAMES = ("keyName", "name")
_VALUES = ("value", "key", "primaryKey", "secondaryKey")
_READS = ("readonly", "read only", "query key")
"""What the name of a key that only reads has in it."""


def with_policies(session: Session, target: Resource, pointers: Iterable[Pointer]) -> Resource:
    """The resource with what shared access policies allow that secrets name, as `policies` of its document.

    Each is `"<entity>/<policy>"` in lower case -> `{"rights", "part", "owner"}`; `part` is what the entity is (`queue`,
    `topic`, `hub`), empty for a policy of the namespace; `owner` the id of what has the policy. Those that are there no more
    are listed as `gone`; what may not be read is left out.
    """
    kind = _kind(target)
    if kind not in _MESSAGING:
        return target
    version, places = _MESSAGING[kind]
    found: dict[str, Json] = {}
    gone: list[str] = []
    for pointer in pointers:
        entity, policy = pointer.parts.get("entity", ""), pointer.policy
        if not policy:
            continue
        key = f"{entity}/{policy}".lower()
        owners = [(f"{target.id}/{where}/{entity}", part) for where, part in places] if entity else []
        unread = False
        for owner, part in (*owners, (target.id, "")):
            try:
                rule = session.get(
                    session.arm(),
                    f"{owner}/authorizationRules/{policy}",
                    "read a shared access policy",
                    api_version=version,
                )
            except NotFoundError:
                continue
            except CloudError:  # advice only: what may not be read is not known
                unread = True
                continue
            rights = list((rule.get("properties") or {}).get("rights") or [])
            found[key] = {"rights": rights, "part": part, "owner": owner}
            break
        else:
            gone += [] if unread else [key]
    return Resource(target.id, {**target.document, "policies": found, "gone": gone})


def with_keys(
    session: Session, target: Resource, pointers: Iterable[Pointer], fingerprinter: Fingerprinter
) -> Resource:
    """The resource with fingerprints of its keys, as `keys` of its document: fingerprint -> name of the key.

    `reading` are the fingerprints of those that only read; `policies` gets what the policies of an IoT hub allow. Azure
    writes each listing to the Activity Log.

    Args:
        session: The cloud.
        target: As `with_policies` gives it.
        pointers: What secrets say of it.
        fingerprinter: Keys are kept as its fingerprints.

    Raises:
        CloudError: they may not be listed, for one.
    """
    kind = _kind(target)
    answers = _of_policies(session, target, pointers) if kind in _MESSAGING else _of_resource(session, target)
    if not answers:
        return target
    named = [(_called(name, label), key) for label, answer in answers for name, key in _named(answer)]
    marks = {fingerprinter.of_secret(key): name for name, key in named}
    reading = sorted(mark for mark, name in marks.items() if any(word in name.lower() for word in _READS))
    more = {"keys": marks, "reading": reading}
    if kind == "microsoft.devices/iothubs":
        rules = [row for _, answer in answers for row in answer.get("value") or []]
        held = {f"/{row.get('keyName')}".lower(): re.split(r"[,\s]+", str(row.get("rights") or "")) for row in rules}
        more["policies"] = {key: {"rights": rights, "part": "", "owner": target.id} for key, rights in held.items()}
    return Resource(target.id, {**target.document, **more})


def _of_resource(session: Session, target: Resource) -> list[tuple[str, Json]]:
    return [
        (
            "a query key" if action == "listQueryKeys" else "",
            session.ask(
                session.arm(), "POST", f"{target.id}/{action}", f"list the keys of {target.name}", api_version=version
            ),
        )
        for action, version in _LISTINGS.get(_kind(target), ())
    ]


def _of_policies(session: Session, target: Resource, pointers: Iterable[Pointer]) -> list[tuple[str, Json]]:
    """Keys of the policies that secrets name; of all the namespace's own, where one names none."""
    version, _ = _MESSAGING[_kind(target)]
    policies = target.document.get("policies") or {}
    wanted = {f"{rule['owner']}/authorizationRules/{key.partition('/')[2]}": key for key, rule in policies.items()}
    if any(not pointer.policy for pointer in pointers):
        path = f"{target.id}/authorizationRules"
        for rule in session.pages(session.arm(), path, "list the shared access policies", api_version=version):
            wanted.setdefault(f"{path}/{str(rule['name']).lower()}", str(rule["name"]))
    return [
        (
            f"of the policy {path.rpartition('/')[2]}",
            session.ask(
                session.arm(), "POST", f"{path}/listKeys", f"list the keys of {target.name}", api_version=version
            ),
        )
        for path in sorted(wanted)
    ]


def _called(name: str, label: str) -> str:
    if label.startswith("of "):
        return f"{name} {label}"
    return " ".join(word for word in (label, name) if word)


def _named(answer: Mapping[str, Any]) -> list[tuple[str, Secret]]:
    """`(name, key)` out of any of the shapes that services answer with."""
    rows: Sequence[Any] = answer.get("keys") or answer.get("value") or answer.get("passwords") or []
    if rows and isinstance(rows, list):
        return [
            (_row_name(row, key), Secret(str(row[key])))
            for row in rows
            for key in _VALUES
            if isinstance(row.get(key), str)
        ]
    return [
        (name, Secret(value))
        for name, value in answer.items()
        if isinstance(value, str) and "onnection" not in name and name not in {"keyName", "username"}
    ]


def _row_name(row: Mapping[str, Any], key: str) -> str:
    name = str(next((row[one] for one in _KEY_NAMES if row.get(one)), ""))
    if row.get("readOnly") is True and "read" not in name.lower():
        return f"{name} (read only)"
    return f"{key} of the policy {name}" if key.endswith("Key") else name


def _kind(target: Resource) -> str:
    parsed = ResourceId.parse(target.id)
    return f"{parsed.namespace}/{parsed.kind}".lower()
