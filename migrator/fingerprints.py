"""Fingerprints of live resources: what a plan was made from, and what is compared before a step runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from migrator.model import AppSecret, Json, canonical, settled
from scanners.model import Fingerprinter


def app_fingerprint(document: Json, secrets: Sequence[AppSecret], fingerprinter: Fingerprinter) -> str:
    """The fingerprint of an app: its settled document and its secrets.

    An inline secret counts by its value's fingerprint. A vault reference counts by its URL and identity only: a value
    that was rotated in the vault is no change of the app. A secret whose value could not be read counts as such.

    Args:
        document: The GET answer as it stands.
        secrets: The listSecrets answer; the order does not matter.
        fingerprinter: Whose key the plan is bound to.
    """
    listed = [
        {
            "name": secret.name,
            "url": (secret.key_vault_url or "").lower(),
            "identity": (secret.identity or "").lower(),
            "value": fingerprinter.of_secret(secret.value) if secret.value and not secret.key_vault_url else None,
        }
        for secret in sorted(secrets, key=lambda secret: secret.name)
    ]
    return fingerprinter.of(canonical({"document": settled(document), "secrets": listed}))


SPLIT = frozenset({"", "properties", "properties.configuration", "properties.template"})
"""Objects whose members are told apart when a change is named."""
SHORT = 11
"""Characters of a part's fingerprint: enough to name what changed, which the whole fingerprint decides."""


def app_parts(document: Json, secrets: Sequence[AppSecret], fingerprinter: Fingerprinter) -> dict[str, str]:
    """Fingerprints of an app's parts, so that a stale plan can say what changed: `#<path>` each.

    They go into the `expects` of the first step that writes the app, beside the app's own, which decides.
    """
    parts = dict(_parts(settled(document), ""))
    parts |= {
        f"secrets[{secret.name}]": fingerprinter.of_secret(secret.value)
        for secret in secrets
        if secret.value and not secret.key_vault_url
    }
    return {
        f"#{path}": fingerprinter.of(canonical(part))[:SHORT]
        for path, part in sorted(parts.items())
        if path not in {"id", "name", "type"} and part not in (None, "", [], {})
    }


def changed_parts(
    expects: Mapping[str, str], document: Json, secrets: Sequence[AppSecret], fingerprinter: Fingerprinter
) -> list[str]:
    """Paths of the parts that are not as `expects` says; empty if it tells of none."""
    planned = {key: mark for key, mark in expects.items() if key.startswith("#")}
    if not planned:
        return []
    found = app_parts(document, secrets, fingerprinter)
    return sorted(key.removeprefix("#") for key in {*planned, *found} if planned.get(key) != found.get(key))


def _parts(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and (path in SPLIT or path.endswith("]")):
        for key, item in node.items():
            yield from _parts(item, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and path.endswith(("containers", "initContainers")):
        for index, item in enumerate(node):
            yield from _parts(item, f"{path}[{index}]")
    else:
        yield path, node
