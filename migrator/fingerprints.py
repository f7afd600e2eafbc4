"""Fingerprints of live resources: what a plan was made from, and what is compared before a step runs."""

from __future__ import annotations

from collections.abc import Sequence

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
