"""Mishaps of container apps: operations and revisions that end badly, and people who deploy at the same time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import documents, operations, revisions, secrets, writing
from migrator.simulator.apps.versions import NEWEST_PREVIEW
from migrator.simulator.mishap import NotYetError, Occasion, named
from migrator.simulator.mishaps.somebody import SOMEBODY, send
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

# Operations and revisions


@named("operation")
def operation(
    occasion: Occasion,
    ends: str,
    seconds: float = 2400.0,
    app: str = "",
    message: str = "Failed to provision revision.",
) -> None:
    """The operation that the request began ends another way (with `when: after`).

    It `ends` `failed`, `expired` ("Operation expired", after 20 minutes) or `late` (well, but after `seconds`).
    """
    azure, key = occasion.azure, str(occasion.app(app)["id"]).lower()
    entry = operations.running(azure, key)
    if entry is None:
        raise NotYetError  # the write was refused
    agenda = azure.world.table("agenda").setdefault("entries", [])
    if ends == "failed":
        entry["fails"] = {"code": "ContainerAppOperationError", "message": message}
        agenda[:] = [one for one in agenda if not (one[2] == "containerapp.revision" and one[3].get("app") == key)]
        return
    if ends == "expired":
        entry["expires"] = True
    elif ends != "late":
        raise ValueError(f"an operation ends 'failed', 'expired' or 'late', not {ends!r}")
    due = azure.clock.now() + (writing.EXPIRES if ends == "expired" else seconds)
    for one in agenda:
        if one[3].get("operation") == entry["name"]:
            one[0] = due


@named("revision")
def revision(occasion: Occasion, becomes: str, app: str = "") -> None:
    """The next revision of the app does not run, while the app itself says Succeeded.

    It `becomes` `failed`, `degraded`, `stuck` (never ready, no error) or `zero` (no replica).
    """
    if becomes not in revisions.FATES:
        raise ValueError(f"a revision becomes one of {', '.join(revisions.FATES)}, not {becomes!r}")
    occasion.azure.world.table("fates")[str(occasion.app(app)["id"]).lower()] = becomes


@named("suffix-taken")
def suffix_taken(occasion: Occasion, loud: bool = True) -> None:
    """A revision with the suffix that the request asks for is there already.

    An active one has the request refused; an inactive one (`loud: false`) has it accepted, and nothing is made.
    """
    azure, document = occasion.azure, occasion.app()
    body = json.loads(occasion.request.body or b"{}")
    suffix = ((body.get("properties") or {}).get("template") or {}).get("revisionSuffix")
    if not suffix:
        return
    name = f"{document['name']}--{suffix}"
    known = revisions.records(azure, str(document["id"]).lower())
    latest = copied(known[str(document["properties"]["latestRevisionName"])])
    known[name] = {**latest, "name": name, "replicas": [], "active": loud, "state": "Stopped"}


# Somebody else


@named("app-edited")
def app_edited(occasion: Occasion, app: str = "", patch: Json | None = None, instantly: bool = True) -> None:
    """Somebody sends the app a merge `patch` of their own (by default a new tag).

    With `instantly: false` their operation takes its time.
    """
    send(occasion.azure, occasion.app(app), "PATCH", patch or {"tags": {"edited-by": SOMEBODY}}, instantly=instantly)


@named("app-redeployed")
def app_redeployed(occasion: Occasion, app: str = "", body: Json | None = None, instantly: bool = True) -> None:
    """Somebody deploys the app whole (PUT): `body`, or the app as it is with one more env entry, DEPLOYED."""
    azure, document = occasion.azure, occasion.app(app)
    send(azure, document, "PUT", body or redeployment(azure, document), instantly=instantly)


def redeployment(azure: Azure, document: Json, *, entry: bool = True) -> Json:
    """The body of a PUT that deploys an app as it is, values included, with one more env entry if `entry`."""
    body: Json = copied(documents.view(azure, document, NEWEST_PREVIEW))
    kept = secrets.values(azure, str(document["id"]).lower())
    for secret in body["properties"]["configuration"].get("secrets") or []:
        if not secret.get("keyVaultUrl"):
            secret["value"] = kept[secret["name"]]["value"]
    template: Any = body["properties"]["template"]
    template["revisionSuffix"] = None
    if entry:
        template["containers"][0].setdefault("env", []).append({"name": "DEPLOYED", "value": "by somebody else"})
    return body


@named("app-deleted")
def app_deleted(occasion: Occasion, app: str = "", instantly: bool = True) -> None:
    """Somebody deletes the app."""
    send(occasion.azure, occasion.app(app), "DELETE", instantly=instantly)
