"""Microsoft.App/containerApps: reading, writing, listing, secrets, start and stop."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from migrator.simulator import rbac
from migrator.simulator.apps import documents, loading, places, refreshing, secrets, writing
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.azure import page
from migrator.simulator.clock import iso
from migrator.simulator.wire import Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = documents.KIND
TOKEN_LIFETIME = 3600.0


def register(azure: Azure) -> None:
    """Add the operations, events and the loader of the provider."""
    group = "/subscriptions/{sub}/resourceGroups/{group}"
    one = f"{group}/providers/{KIND}/{{name}}"
    for method, verb, handler in (
        ("GET", "read", _get),
        ("PUT", "write", writing.put),
        ("PATCH", "write", writing.patch),
        ("DELETE", "delete", _delete),
    ):
        azure.route("arm", method, one, handler, versions=VERSIONS, action=f"{KIND}/{verb}", scope=one)
    for action, handler in (
        ("listSecrets", _list_secrets),
        ("getAuthToken", _auth_token),
        ("start", partial(writing.act, verb="start")),
        ("stop", partial(writing.act, verb="stop")),
    ):
        azure.route(
            "arm",
            "POST",
            f"{one}/{action}",
            handler,
            versions=VERSIONS,
            action=f"{KIND}/{action}/action",
            scope=one,
            write=action != "listSecrets",
        )
    for scope in ("/subscriptions/{sub}", group):
        azure.route(
            "arm", "GET", f"{scope}/providers/{KIND}", _list, versions=VERSIONS, action=f"{KIND}/read", scope=scope
        )
    azure.route(
        "arm",
        "POST",
        "/subscriptions/{sub}/providers/Microsoft.App/getCustomDomainVerificationId",
        _verification,
        versions=VERSIONS,
        action="Microsoft.App/getCustomDomainVerificationId/action",
        scope="/subscriptions/{sub}",
        write=False,
    )
    azure.on("containerapp.done", writing.on_done)
    azure.on(refreshing.EVENT, refreshing.on_refresh)
    azure.on("containerapp.loaded", loading.on_loaded)
    azure.loader(KIND, loading.load_app)
    azure.loader(f"{KIND}/revisions", loading.load_revision)


def _get(call: Call) -> Response:
    # the one answer of the provider that carries no operation identifier (recorded, n=97)
    return answer(200, documents.view(call.azure, writing.find(call), call.version), x_ms_operation_identifier="")


def _list(call: Call) -> Response:
    scope = call.request.path.lower().partition("/providers/")[0]
    listing = page(call, call.world.of_type(KIND, scope), size=call.azure.switches.page_size)
    listing["value"] = [documents.view(call.azure, document, call.version) for document in listing["value"]]
    return answer(200, listing, x_ms_operation_identifier="")


def _delete(call: Call) -> Response:
    if writing.identifier(call).lower() not in call.world.resources:
        return Response(204, None, {"x-ms-operation-identifier": ""})
    return writing.act(call, "delete")


def _list_secrets(call: Call) -> Response:
    if call.azure.switches.readonly_lock_blocks_list_secrets:
        rbac.check_locks(call.azure, call.request.path, deleting=False)
    return answer(200, secrets.listed(call.azure, writing.find(call)))


def _auth_token(call: Call) -> Response:
    document = writing.find(call)
    token = f"{call.azure.trace.getrandbits(512):0128x}"
    call.world.table("log-tokens")[token] = {"app": document["id"].lower(), "expires": call.now + TOKEN_LIFETIME}
    return answer(
        200,
        {
            "location": document["location"],
            "properties": {"token": token, "expires": iso(call.now + TOKEN_LIFETIME)},
            "id": document["id"],
            "name": document["name"],
            "type": f"{KIND}/accesstoken",
        },
    )


def _verification(call: Call) -> Response:
    # recorded: a POST that counts as a read and names no versions
    left = "x_ms_ratelimit_remaining_subscription_"
    counted = {f"{left}reads": "1099", f"{left}global_reads": "16499", f"{left}writes": "", f"{left}global_writes": ""}
    return answer(200, places.verification(call.world), api_supported_versions="", **counted)
