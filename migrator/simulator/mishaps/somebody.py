"""Whoever edits, deploys and deletes besides keylift: by requests like anybody's, which no fault bends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from migrator.simulator import assignments, principals, rbac
from migrator.simulator.apps.versions import NEWEST_PREVIEW
from migrator.simulator.wire import Json, Request, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

SOMEBODY = "somebody-else"
"""Their name, and who `systemData` says changed it."""


@contextmanager
def _owner(azure: Azure, subscription: str) -> Iterator[str]:
    """A token of somebody who may do everything, for as long as it takes."""
    table = azure.world.table("principals")
    entry = next((one for one in table.values() if one["name"] == SOMEBODY), None) or principals.create(
        azure, kind="other", name=SOMEBODY, principal=azure.world.guid(SOMEBODY), client=SOMEBODY, settled=True
    )
    scope = f"/subscriptions/{subscription}"
    held = rbac.assign(azure, principal=entry["id"], role="Owner", scope=scope, settled=True)
    token = f"token-of-{SOMEBODY}"
    issued = {"principal": entry["id"], "audience": "management", "resource": "", "expires": azure.clock.now() + 60}
    azure.world.table("tokens")[token] = issued
    try:
        yield token
    finally:
        del azure.world.table("tokens")[token]
        assignments.index(azure.world).remove(azure.world.table("assignments").pop(str(held["id"]).lower()))


def send(
    azure: Azure,
    document: Json,
    method: str,
    body: Json | None = None,
    *,
    version: str = NEWEST_PREVIEW,
    instantly: bool = True,
) -> Response:
    """Have somebody write or delete a resource.

    Args:
        azure: The simulated cloud.
        document: The resource.
        method: HTTP method.
        body: Sent as JSON.
        version: The api-version.
        instantly: Whether an operation on an app that it begins takes no time.
    """
    subscription = str(document["id"]).split("/")[2]
    origin = azure.origins.get("arm", "https://management.azure.com")
    lasting = azure.switches.app_operation
    with _owner(azure, subscription) as token:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        url = f"{origin}{document['id']}?api-version={version}"
        request = Request.of(method, url, headers, json.dumps(body).encode() if body is not None else b"")
        request.bent = []
        try:
            azure.switches.app_operation = 0.0 if instantly else lasting
            response = azure.handle("arm", request)
        finally:
            azure.switches.app_operation = lasting
    azure.settle()
    return response
