"""The log of requests: one JSON object a line, in which no value can appear.

A line has `time` (virtual), `plane`, `method`, `path`, `query`, `status` (0 where the connection was dropped),
`principal` (object id, null without a valid token), `client` (its name) and `body`. Of a body the structure stays, but
every string is replaced unless its key is known to hold a name, an id or a word of a fixed vocabulary.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl

from migrator.simulator import principals
from migrator.simulator.clock import iso

if TYPE_CHECKING:
    from pathlib import Path

    from migrator.simulator.azure import Azure
    from migrator.simulator.wire import Request

REDACTED = "***"

SAFE = frozenset(
    name.lower()
    for name in (
        # who and where
        *("id", "name", "type", "kind", "location", "resourceId", "environmentId", "managedEnvironmentId", "scope"),
        *("principalId", "principalType", "clientId", "tenantId", "objectId", "roleDefinitionId", "identity"),
        *("lifecycle", "subscriptions", "managementGroups", "resultFormat", "$skipToken", "level"),
        # container apps
        *("image", "imageType", "secretRef", "passwordSecretRef", "keyVaultUrl", "server", "username", "volumeName"),
        *("mountPath", "storageType", "storageName", "revisionSuffix", "revisionName", "activeRevisionsMode"),
        *("transport", "workloadProfileName", "memory", "provisioningState", "triggerType"),
        *("clientSecretSettingName", "appProtocol", "affinity", "scheme", "fqdn"),
        # vaults, registries, sign-in
        *("family", "defaultAction", "bypass", "publicNetworkAccess", "createMode", "roleAssignmentMode"),
        *("service", "grant_type", "resource", "client_id", "tenant"),
    )
)
"""Keys under which a string is kept, in a body or a form."""

_NUMBERS_HIDDEN = frozenset({"value", "password", "secret", "key"})
"""Keys under which a number may be a value too."""

_QUERY = frozenset(
    {
        *("api-version", "$filter", "$top", "$skip", "$skiptoken", "$expand", "$select", "maxresults", "resource"),
        *(
            "client_id",
            "object_id",
            "principal_id",
            "mi_res_id",
            "msi_res_id",
            "service",
            "scope",
            "authorization_endpoint",
        ),
    }
)


class RequestLog:
    """An open log; lines are complete and flushed when `write` returns."""

    def __init__(self, path: Path, azure: Azure) -> None:
        """Append to `path`, readable by its owner only."""
        self._azure = azure
        self._stream = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, plane: str, request: Request, status: int) -> None:
        """Log one answered request."""
        body = _body(request)
        principal = self._principal(request, body)
        line = {
            "time": iso(self._azure.clock.now(), digits=3),
            "plane": plane,
            "method": request.method,
            "path": request.path,
            "query": {k: v if k.lower() in _QUERY else REDACTED for k, v in request.query.items()},
            "status": status,
            "principal": principal.get("id"),
            "client": principal.get("name"),
            "body": body,
        }
        with self._lock:
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._stream.flush()

    def _principal(self, request: Request, body: Any) -> dict[str, Any]:
        world = self._azure.world
        token = request.headers.get("authorization", "").partition(" ")[2].strip()
        issued = world.table("tokens").get(token)
        if issued is not None:
            found = world.table("principals").get(issued["principal"])
            return dict(found or {"id": issued["principal"]})
        if isinstance(body, dict) and isinstance(body.get("client_id"), str):
            return dict(principals.by_client(self._azure, body["client_id"]) or {})
        return {}


def redact(document: Any, key: str = "") -> Any:
    """A JSON document with its structure, booleans and numbers, but without the strings that may be values."""
    if isinstance(document, dict):
        return {name: redact(value, name.lower()) for name, value in document.items()}
    if isinstance(document, list):
        return [redact(value, key) for value in document]
    if isinstance(document, str):
        return document if not document or key in SAFE else REDACTED
    if isinstance(document, (int, float)) and not isinstance(document, bool) and key in _NUMBERS_HIDDEN:
        return REDACTED
    return document


def _body(request: Request) -> Any:
    if not request.body:
        return None
    if "x-www-form-urlencoded" in request.headers.get("content-type", ""):
        return redact(dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)))
    try:
        return redact(json.loads(request.body))
    except ValueError:
        return {"bytes": len(request.body)}
