"""Asynchronous operations of Microsoft.App: their URLs, headers, states and results (traffic, section 1).

Table `operations`: guid -> {"kind": "containerapp" | "managedEnvironment", "verb": "put" | "patch" | "delete" | ...,
"resource": lower-case id, "subscription", "location": slug, "started", "status", "error"?, "name"}. Table `busy`:
lower-case id of a resource -> guid of the operation that runs on it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from migrator.simulator.apps import places
from migrator.simulator.apps.versions import PROVIDER
from migrator.simulator.clock import iso
from migrator.simulator.wire import AzureError, Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

IN_PROGRESS, SUCCEEDED, FAILED = "InProgress", "Succeeded", "Failed"


def begin(call: Call, kind: str, verb: str, document: Json, seconds: float) -> str:
    """Start an operation on a resource; it ends after virtual `seconds` with the event `<kind>.done`."""
    azure = call.azure
    guid = azure.world.fresh_guid()
    azure.world.table("operations")[guid] = {
        "kind": kind,
        "verb": verb,
        "resource": document["id"].lower(),
        "subscription": places.parts(document["id"])[0],
        "location": places.slug(document["location"]),
        "started": call.now,
        "status": IN_PROGRESS,
        "name": guid,
    }
    azure.world.table("busy")[document["id"].lower()] = guid
    azure.world.schedule(call.now + seconds, f"{kind}.done", operation=guid)
    return guid


def running(azure: Azure, resource: str) -> Json | None:
    """The operation in progress on a resource (lower-case id), or None."""
    guid = azure.world.table("busy").get(resource)
    found: Json | None = azure.world.table("operations").get(guid) if guid else None
    return found


def refuse_if_busy(call: Call, resource: str, name: str) -> None:
    """Raise 409 while another operation on the app runs (text: CORRECTIONS, section 10.2)."""
    if entry := running(call.azure, resource):
        raise AzureError(
            409,
            "ContainerAppOperationInProgress",
            f"Cannot modify a container app '{name}' because there is an active provisioning operation in progress. "
            f"OperationId: '{entry['name']}'.",
            headers=dict(PROVIDER),
        )


def finish(azure: Azure, entry: Json, *, error: Json | None = None) -> None:
    """End an operation, well or with an error."""
    azure.world.table("busy").pop(entry["resource"], None)
    entry["status"] = FAILED if error else SUCCEEDED
    if error:
        entry["error"] = error


def _base(entry: Json, kind: str) -> str:
    return f"/subscriptions/{entry['subscription']}/providers/Microsoft.App/locations/{entry['location']}/{kind}/{entry['name']}"


def _url(call: Call, entry: Json, kind: str, extra: str = "") -> str:
    """A signed URL as Azure gives it; a new one at each asking, the operation's guid stays."""
    ticks = int((datetime.fromtimestamp(call.now, UTC) - datetime(1, 1, 1, tzinfo=UTC)).total_seconds() * 10_000_000)
    signature = f"{call.azure.trace.getrandbits(128):032x}"
    return (
        f"{call.request.origin}{_base(entry, kind)}?api-version={call.version}{extra}&t={ticks}&c=x&s=x&h={signature}"
    )


def status_url(call: Call, guid: str) -> str:
    """The value of `Azure-AsyncOperation`."""
    entry = call.world.table("operations")[guid]
    return _url(call, entry, f"{entry['kind']}OperationStatuses", "&azureAsyncOperation=true")


def result_url(call: Call, guid: str) -> str:
    """The value of `Location`."""
    entry = call.world.table("operations")[guid]
    return _url(call, entry, f"{entry['kind']}OperationResults")


def find(call: Call, kind: str) -> Json:
    """The operation that a request names.

    Raises:
        AzureError: 404, there is none.
    """
    entry: Json | None = call.world.table("operations").get(call.params["operation"])
    if entry is None or entry["kind"].lower() != kind.lower():
        raise AzureError(
            404,
            "OperationNotFound",
            f"The operation '{call.params['operation']}' was not found.",
            headers=dict(PROVIDER),
        )
    return entry


def status_body(entry: Json) -> Json:
    """What `Azure-AsyncOperation` answers: exactly id, name, status, startTime; an error if it failed.

    No failed status is recorded anywhere; its `error` follows what deployments showed of one (ContainerAppOperationError).
    """
    body: Json = {
        "id": _base(entry, f"{entry['kind']}OperationStatuses"),
        "name": entry["name"],
        "status": entry["status"],
        "startTime": iso(entry["started"], zone=""),
    }
    if "error" in entry:
        body["error"] = entry["error"]
    return body
