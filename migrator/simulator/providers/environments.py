"""Microsoft.App/managedEnvironments: create, read, list, change, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import environments
from migrator.simulator.apps.environments import ensure_environment
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.azure import page

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call
    from migrator.simulator.wire import Response

KIND = environments.KIND

__all__ = ["KIND", "ensure_environment", "register"]


def register(azure: Azure) -> None:
    """Add the operations, the event and the loader of the provider."""
    group = "/subscriptions/{sub}/resourceGroups/{group}"
    one = f"{group}/providers/{KIND}/{{name}}"
    for method, verb, handler in (
        ("GET", "read", _get),
        ("PUT", "write", environments.put),
        ("PATCH", "write", environments.patch),
        ("DELETE", "delete", environments.delete),
    ):
        azure.route("arm", method, one, handler, versions=VERSIONS, action=f"{KIND}/{verb}", scope=one)
    for scope in ("/subscriptions/{sub}", group):
        azure.route(
            "arm", "GET", f"{scope}/providers/{KIND}", _list, versions=VERSIONS, action=f"{KIND}/read", scope=scope
        )
    azure.on("managedEnvironment.done", environments.on_done)
    azure.loader(KIND, environments.load)


def _get(call: Call) -> Response:
    shown = environments.view(call.azure, environments.find(call), call.version)
    return answer(200, shown, x_ms_operation_identifier="")


def _list(call: Call) -> Response:
    scope = call.request.path.lower().partition("/providers/")[0]
    found = [environments.view(call.azure, document, call.version) for document in call.world.of_type(KIND, scope)]
    return answer(200, page(call, found, size=call.azure.switches.page_size), x_ms_operation_identifier="")
