"""Microsoft.App/containerApps/revisions and their replicas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from migrator.simulator.apps import documents, replicas, revision_views, revisions, writing
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.azure import page
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = f"{documents.KIND}/revisions"


def register(azure: Azure) -> None:
    """Add the operations and the events of the provider."""
    app = f"/subscriptions/{{sub}}/resourceGroups/{{group}}/providers/{documents.KIND}/{{name}}"
    one = f"{app}/revisions/{{revision}}"
    azure.route("arm", "GET", f"{app}/revisions", _list, versions=VERSIONS, action=f"{KIND}/read", scope=app)
    azure.route("arm", "GET", one, _get, versions=VERSIONS, action=f"{KIND}/read", scope=one)
    for verb in ("activate", "deactivate", "restart"):
        azure.route(
            "arm",
            "POST",
            f"{one}/{verb}",
            partial(_act, verb=verb),
            versions=VERSIONS,
            action=f"{KIND}/{verb}/action",
            scope=one,
        )
    for path, handler in ((f"{one}/replicas", _replicas), (f"{one}/replicas/{{replica}}", _replica)):
        azure.route("arm", "GET", path, handler, versions=VERSIONS, action=f"{KIND}/replicas/read", scope=one)
    for event, handler_of in (
        ("revision", revisions.on_revision),
        ("started", revisions.on_started),
        ("replica", revisions.on_replica),
        ("drained", revisions.on_drained),
        ("idle", revisions.on_idle),
        ("gone", revisions.on_gone),
        ("activate", revisions.on_activate),
    ):
        azure.on(f"containerapp.{event}", handler_of)


def _find(call: Call) -> tuple[Json, Json]:
    document = writing.find(call)
    name = call.params["revision"]
    for known, record in revisions.records(call.azure, document["id"].lower()).items():
        if known.lower() == name.lower():
            return document, record
    raise refused("RevisionNotFound", f"Revision '{name}' was not found in container app '{document['name']}'.", 404)


def _list(call: Call) -> Response:
    document = writing.find(call)
    found = revisions.records(call.azure, document["id"].lower()).values()
    shown = [revision_views.view(call.azure, document, record, call.version) for record in found]
    if "active eq true" in call.request.query.get("$filter", "").lower():
        shown = [entry for entry in shown if entry["properties"]["active"]]
    return answer(200, page(call, shown, size=call.azure.switches.page_size))


def _get(call: Call) -> Response:
    document, record = _find(call)
    return answer(200, revision_views.view(call.azure, document, record, call.version))


def _act(call: Call, verb: str) -> Response:
    """Activate, deactivate or restart: at once, answered by a JSON string (traffic, section 6)."""
    document, record = _find(call)
    if verb == "activate":
        if replicas.duplicate_env(record["template"]) and call.azure.switches.duplicate_env == "stuck":
            raise refused("InternalServerError", "Internal Server Error", 500)  # ACA#1273
        revisions.activate(call.azure, document, record, call.now)
    elif verb == "deactivate":
        revisions.deactivate(record, call.now)
    else:
        revisions.restart(call.azure, document["id"].lower(), record, call.now)
    return answer(200, f"{verb.capitalize()} succeeded")


def _replicas(call: Call) -> Response:
    document, record = _find(call)
    found = sorted(record["replicas"], key=lambda replica: str(replica["name"]))
    return answer(200, {"value": [replicas.view(document, record, replica, call.version) for replica in found]})


def _replica(call: Call) -> Response:
    document, record = _find(call)
    for replica in record["replicas"]:
        if replica["name"].lower() == call.params["replica"].lower():
            return answer(200, replicas.view(document, record, replica, call.version))
    raise refused("ReplicaNotFound", f"Replica '{call.params['replica']}' was not found.", 404)
