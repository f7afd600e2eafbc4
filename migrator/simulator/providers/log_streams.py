"""What containers write: the stream of one container's log.

`az containerapp logs show` reads this way (azure-cli 2.91, `containerapp` module, `stream_containerapp_logs`): POST
getAuthToken on the app (`providers.app`), then GET the replica's `logStreamEndpoint` with that token, `tailLines` and
`follow`. In Azure the endpoint is a host of the region; a client of the simulator asks for its path here.

Containers write what an estate's `connections` say of them: each is a client that signs in to a service when the replica is
asked for its log. Table `connections`: lower-case app id -> list of {"env", "resource", "action", "says"}.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals, rbac
from migrator.simulator.apps import documents, replicas, revisions
from migrator.simulator.apps.validation import refused
from migrator.simulator.clock import iso
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.simulator.azure import Azure, Call

_KEYED = re.compile(r"(?:key|password|pwd|sig|secret)=", re.IGNORECASE)
_NAMED = re.compile(r"(?:__|^)(?:clientId|managedIdentityClientId|AZURE_CLIENT_ID|azureClientId)$", re.IGNORECASE)
_INSIDE = re.compile(r"(?:ClientId|User Id|UID)=([0-9a-f-]{36})", re.IGNORECASE)
_CLOSED = ("disableLocalAuth", "disableAccessKeyAuthentication")


def register(azure: Azure) -> None:
    """Add the operations."""
    path = (
        "/subscriptions/{sub}/resourceGroups/{group}/containerApps/{name}/revisions/{revision}/replicas/{replica}"
        "/containers/{container}/logstream"
    )
    azure.route("arm", "GET", path, _stream, public=True)


def _stream(call: Call) -> Response:
    app = f"/subscriptions/{call.params['sub']}/resourceGroups/{call.params['group']}/providers/{documents.KIND}/{call.params['name']}"
    token = call.request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    known = call.world.table("log-tokens").get(token)
    if known is None or known["app"] != app.lower() or known["expires"] <= call.now:
        raise AzureError(401, "Unauthorized", "The token of the log stream is not valid for this app.")
    record = _record(call.azure, app.lower(), call.params["revision"])
    replica = next((one for one in record["replicas"] if one["name"] == call.params["replica"]), None)
    if replica is None:
        raise refused("ReplicaNotFound", f"Replica '{call.params['replica']}' was not found.", 404)
    template = record["template"]
    chosen = [one for one in template.get("containers") or [] if one.get("name") == call.params["container"]]
    lines = [f"{iso(call.now)} stdout F {text}" for one in chosen for text in _says(call.azure, app.lower(), one)]
    count = int(call.request.query.get("tailLines") or 20)
    text = "".join(f"{line}\n" for line in lines[-count:])
    return Response(200, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})


def _record(azure: Azure, app: str, name: str) -> Json:
    for known, record in revisions.records(azure, app).items():
        if known.lower() == name.lower():
            found: Json = record
            return found
    raise refused("RevisionNotFound", f"Revision '{name}' was not found.", 404)


def _says(azure: Azure, app: str, container: Json) -> Iterator[str]:
    yield "listening"
    env = replicas.environment(azure, app, container)
    for one in azure.world.table("connections").get(app) or []:
        if not any(name == one["env"] or name.startswith(f"{one['env']}__") for name in env):
            continue
        good = works(azure, app, one, env)
        yield f"connected to {one['resource'].rsplit('/', 1)[-1]}" if good else str(one["says"])


def works(azure: Azure, app: str, connection: Json, env: dict[str, str | None]) -> bool:
    """Whether a client that is told how to sign in by an environment gets what it asks for, now."""
    value = env.get(connection["env"]) or ""
    if _KEYED.search(value):
        return not closed(azure, connection["resource"])
    principal = _principal(azure, app, connection["env"], env)
    return principal is not None and rbac.allowed(
        azure, principal, connection["action"], connection["resource"], data=True
    )


def closed(azure: Azure, resource: str) -> bool:
    """Whether a resource, or the one that a part of it belongs to, takes no keys any more."""
    low = resource.lower()
    for identifier, document in azure.world.resources.items():
        if low == identifier or low.startswith(f"{identifier}/"):
            properties: dict[str, Any] = document.get("properties") or {}
            if any(properties.get(name) for name in _CLOSED) or properties.get("allowSharedKeyAccess") is False:
                return True
    return False


def _principal(azure: Azure, app: str, name: str, env: dict[str, str | None]) -> str | None:
    """Object id of the identity a client signs in with: the one that is named, else the app's own."""
    inside = _INSIDE.search(env.get(name) or "")
    named = [inside[1]] if inside else []
    named += [str(value) for key, value in env.items() if value and key.startswith(f"{name}__") and _NAMED.search(key)]
    named += [str(env["AZURE_CLIENT_ID"])] if env.get("AZURE_CLIENT_ID") else []
    document = azure.world.resources[app]
    identity = document.get("identity") or {}
    if not named:
        own = identity.get("principalId")
        return str(own) if own else None
    entry = principals.by_client(azure, named[0])
    attached = {key.lower() for key in identity.get("userAssignedIdentities") or {}}
    if entry is None or str(entry.get("resource") or "").lower() not in {*attached, app}:
        return None
    return str(entry["id"])
