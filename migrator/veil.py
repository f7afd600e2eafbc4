"""Documents without values, and the way back: strings replaced by fingerprints, and filled in right before TLS."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from migrator.model import Json
from scanners.model import REDACTED, Fingerprinter, Secret, reveal

MARK = "$secret"
"""The key that stands for a value: `{"$secret": "f1:…"}`."""

_OPEN = frozenset(
    {
        "id",
        "name",
        "type",
        "location",
        "identity",
        "managedEnvironmentId",
        "environmentId",
        "workloadProfileName",
        "provisioningState",
        "activeRevisionsMode",
        "transport",
        "fqdn",
        "revisionName",
        "label",
        "server",
        "passwordSecretRef",
        "username",
        "keyVaultUrl",
        "secretRef",
        "triggerParameter",
        "cpu",
        "memory",
        "ephemeralStorage",
        "volumeName",
        "storageName",
        "storageType",
        "lifecycle",
        "principalId",
        "tenantId",
    }
)
"""Keys whose strings are names and kinds. Every other string may be a value: whoever adds a key must be sure."""


class Values:
    """Values by their fingerprint, in memory, for as long as one step works."""

    def __init__(self, fingerprinter: Fingerprinter) -> None:
        """Know nothing yet."""
        self._fingerprinter = fingerprinter
        self._known: dict[str, Secret] = {}

    def add(self, secret: Secret) -> str:
        """Keep a value; its fingerprint."""
        mark = self._fingerprinter.of_secret(secret)
        self._known[mark] = secret
        return mark

    def get(self, mark: str) -> Secret | None:
        """The value of a fingerprint."""
        return self._known.get(mark)

    def veil(self, document: Any, key: str = "") -> Any:
        """A copy of a document in which every string that may be a value is a fingerprint; the values are kept."""
        if isinstance(document, str):
            if document and key not in _OPEN and not document.startswith("/subscriptions/"):
                return {MARK: self.add(Secret(document))}
            return document
        if isinstance(document, (dict, Mapping)):  # most are dicts, and an abstract class is slow to ask
            # a scaler's keys are its own: none of them is a name or kind by what it is called
            inside = key == "metadata"
            return {name: self.veil(item, "" if inside else str(name)) for name, item in document.items()}
        if isinstance(document, list):
            # a component's metadata are a list of entries whose keys are Azure's
            return [self.veil(item, "" if key == "metadata" else key) for item in document]
        return document

    def fill(self, document: Any, missing: Callable[[str], Secret]) -> Any:
        """A copy with values in place of fingerprints. Only for a body that goes to TLS at once.

        Args:
            document: What `veil` gave, or something built from it.
            missing: Finds a value that is not among the known, or raises.
        """
        if isinstance(document, Mapping):
            if set(document) == {MARK}:
                mark = str(document[MARK])
                return reveal(self._known.get(mark) or missing(mark))
            return {name: self.fill(item, missing) for name, item in document.items()}
        if isinstance(document, list):
            return [self.fill(item, missing) for item in document]
        return document


class Known:
    """Values that passed through a run, to be taken out of texts that Azure wrote. Safe to use from several threads."""

    SHORTEST = 4
    """Shorter values are words like any other: replacing them would tell that they are values."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._forms: set[str] = set()
        self._secrets: dict[Secret, None] = {}
        self._guard = threading.Lock()

    def see(self, secret: Secret) -> None:
        """Remember a value."""
        with self._guard:
            self._secrets[secret] = None
        if len(secret) < self.SHORTEST:
            return
        value = reveal(secret)
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], quote(value, safe="")}
        with self._guard:
            self._forms |= forms

    def seen(self) -> tuple[Secret, ...]:
        """Every value that passed, while this process lives."""
        with self._guard:
            return tuple(self._secrets)

    def redact(self, text: str) -> str:
        """The text without any value that was seen."""
        with self._guard:
            # one pattern of all values would be compiled anew with every value: a large run sees thousands
            found = [form for form in self._forms if form in text]
        if not found:
            return text
        return re.sub("|".join(map(re.escape, sorted(found, key=len, reverse=True))), REDACTED, text)


def comparable(document: Any, key: str = "") -> Any:
    """A settled document as two readings of it are compared: nothing that Azure spells in several ways.

    Null, absent, empty, zero and false are one (TRAFFIC, section 3); ids, modes and vault URLs lose their case; the
    ephemeral storage follows the cpu by itself; secrets have no values.
    """
    if isinstance(document, str):
        if document.startswith("/subscriptions/") or key in {"identity", "activeRevisionsMode", "transport"}:
            return document.lower()
        if key == "keyVaultUrl":
            return document.lower().rstrip("/")
        return document
    if isinstance(document, (dict, Mapping)):
        hidden = {"ephemeralStorage"} | ({"value"} if key == "secrets" else set())
        inner = {name: comparable(item, str(name)) for name, item in document.items() if name not in hidden}
        return {name: item for name, item in inner.items() if item or item is True}
    if isinstance(document, list):
        return [comparable(item, key) for item in document]
    return document


def section(document: Json, *path: str) -> Any:
    """A part of a document; None where it is absent."""
    node: Any = document
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    return node
