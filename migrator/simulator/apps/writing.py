"""Writing a container app: PUT and PATCH from request to accepted operation, and how the operation ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator import principals
from migrator.simulator.apps import (
    documents,
    identities,
    operations,
    places,
    refreshing,
    restarts,
    revisions,
    secrets,
    validation,
)
from migrator.simulator.apps.schema import InvalidValueError, UnknownPropertyError, accept
from migrator.simulator.apps.versions import PROVIDER, answer, since
from migrator.simulator.azure import not_found
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

JOIN = "Microsoft.App/managedEnvironments/join/action"
WRITE = f"{documents.KIND}/write"
EXPIRES = 1205.0
"""How long an operation hangs that waits for an image it cannot get (recorded: 20 minutes and 3 to 7 seconds)."""
AGAIN = {"retry_after": "0"}
"""The simulator asks pollers to come back at once; Azure says 5, or 0 (CORRECTIONS, section 10.1)."""


def identifier(call: Call) -> str:
    """The id of the app that a request names, as answers spell it."""
    return (
        f"/subscriptions/{call.params['sub']}/resourceGroups/{call.params['group']}/providers/Microsoft.App/containerapps/"
        f"{call.params['name']}"
    )


def find(call: Call) -> Json:
    """The app that a request names.

    Raises:
        AzureError: 404 `ResourceNotFound`, by ARM itself.
    """
    document: Json | None = call.world.resources.get(identifier(call).lower())
    if document is None:
        raise not_found(documents.KIND, call.params["name"], call.params["group"])
    return document


def read_body(call: Call, kind: str) -> Json | Response:
    """The request's body with its members in their spelling, or the refusal of an unknown one.

    Raises:
        AzureError: 400, the body is no JSON object or gives a value of the wrong type.
    """
    try:
        accepted: Json = accept(call.request.json(), kind, call.version)
    except UnknownPropertyError as error:
        return error.response(f"{call.azure.trace.getrandbits(128):032x}", PROVIDER)
    except InvalidValueError as error:
        raise validation.refused("InvalidRequestContent", f"The request content is invalid: {error}.") from error
    return accepted


def put(call: Call) -> Response:
    """Create an app or replace it whole: always 201 (traffic, section 1)."""
    body = read_body(call, "ContainerApp")
    if isinstance(body, Response):
        return body
    old: Json | None = call.world.resources.get(identifier(call).lower())
    properties = dict(body.get("properties") or {})
    location = body.get("location") or (old or {}).get("location")
    if not location:
        raise validation.refused("LocationRequired", "The location property is required for this definition.")
    environment_id = properties.get("environmentId") or properties.get("managedEnvironmentId")
    if old is None:
        validation.check_new(call.params["name"], properties)
    keep = (old or {}).get("properties", {})
    draft = {
        "location": places.display(str(location)),
        "tags": body.get("tags"),
        "properties": {
            **{key: keep[key] for key in _LASTING if key in keep},
            **{key: properties[key] for key in ("workloadProfileName", "patchingMode") if key in properties},
            "environmentId": environment_id or keep.get("environmentId"),
            "configuration": properties.get("configuration") or {},
            "template": properties.get("template") or {},
        },
        **{key: body[key] for key in ("managedBy", "kind", "extendedLocation") if body.get(key) is not None},
    }
    document, understood = _write(call, draft, body, old, patch=False)
    guid = _begin(call, document, old, "put")
    shown = documents.first_answer(call.azure, document, understood, call.version, created=old is None)
    return answer(
        201,
        shown,
        azure_asyncoperation=operations.status_url(call, guid),
        x_ms_async_operation_timeout="PT15M",
        **AGAIN,
    )


_LASTING = (
    "latestRevisionName",
    "latestReadyRevisionName",
    "latestRevisionFqdn",
    "runningStatus",
    "outboundIpAddresses",
    "customDomainVerificationId",
    "delegatedIdentities",
)
"""What a PUT does not decide."""


def patch(call: Call) -> Response:
    """Merge a patch into an app (RFC 7396): 202 with both operation headers."""
    body = read_body(call, "ContainerApp")
    if isinstance(body, Response):
        return body
    old = find(call)
    sent = {key: value for key, value in body.items() if key in {"tags", "properties", "managedBy", "kind"}}
    sent["properties"] = {k: v for k, v in (body.get("properties") or {}).items() if k in _PATCHED}
    if configuration := sent["properties"].get("configuration"):
        sent["properties"]["configuration"] = {k: v for k, v in configuration.items() if k != "secrets"}
    if not sent["properties"]:
        del sent["properties"]
    merged = documents.merge({k: v for k, v in old.items() if k not in {"identity", "systemData"}}, sent)
    document, _ = _write(call, merged, body, old, patch=True)
    guid = _begin(call, document, old, "patch")
    headers = {"location": operations.result_url(call, guid)}
    # in 2024 most and in 2023 all PATCH answers had Location only (traffic, section 1)
    if not call.azure.switches.patch_location_only_2023 and since(call.version, "2024-08-01", "2024-08-01"):
        headers["azure_asyncoperation"] = operations.status_url(call, guid)
    return answer(202, None, **headers, **AGAIN)


_PATCHED = ("configuration", "template", "workloadProfileName", "patchingMode", "environmentId", "managedEnvironmentId")


def _sent_secrets(body: Json, *, patch: bool) -> list[Json] | None:
    """The secrets of a request; None if they stay as they are (a PATCH that does not name them)."""
    configuration: Any = (body.get("properties") or {}).get("configuration") or {}
    if patch and "secrets" not in configuration:
        return None
    found: list[Json] = configuration.get("secrets") or []
    return found


def environment_for(call: Call, wanted: str | None) -> Json:
    """The environment that an app is in or is to be in.

    Raises:
        AzureError: 400, none is named, it does not exist, or it is not ready.
    """
    if not wanted:
        raise validation.refused(
            "ManagedEnvironmentIdRequired", "A container app must have the id of its environment: 'environmentId'."
        )
    environment: Json | None = call.world.resources.get(wanted.lower().rstrip("/"))
    if environment is None:
        raise validation.refused("ManagedEnvironmentNotFound", f"The environment '{wanted}' was not found.", 404)
    if environment["properties"].get("provisioningState") not in {"Succeeded", None}:
        raise validation.refused(
            "ManagedEnvironmentNotProvisioned",
            f"The environment '{environment['id']}' has not been provisioned successfully.",
        )
    return environment


def _write(call: Call, draft: Json, body: Json, old: Json | None, *, patch: bool) -> tuple[Json, Json]:
    """Check a write whole, then carry it out; answers with the stored document and what a 201 shows of it.

    Nothing changes unless everything is in order.
    """
    azure, resource = call.azure, identifier(call)
    app = resource.lower()
    properties = draft["properties"]
    named = properties.get("environmentId") or properties.get("managedEnvironmentId")
    environment_id = str(named or "")
    if environment_id:
        validation.linked(call, WRITE, environment_id, JOIN)
    stored_identity = (old or {}).get("identity")
    replaces = azure.switches.identity_map == "replace"
    want = identities.wanted(azure, body, stored_identity, patch=patch, replaces=replaces)
    for attached in identities.newly_attached(want, stored_identity):
        validation.linked(call, WRITE, attached, identities.ASSIGN)
    environment = environment_for(call, environment_id)
    operations.refuse_if_busy(call, app, call.params["name"])

    sent = _sent_secrets(body, patch=patch)
    effective = validation.checked_secrets(old, secrets.values(azure, app), sent)
    names = [str(secret["name"]) for secret in effective]
    configuration = {**properties["configuration"], "secrets": _public(effective, sent, properties["configuration"])}
    understood = documents.understood({**properties, "configuration": configuration}, created=old is None)
    settled = documents.settled(understood)
    validation.check_modes(settled["configuration"])
    validation.check_registries(settled["configuration"], names)
    validation.check_template(settled["template"], names)

    document = {**draft, "id": (old or {}).get("id", resource), "name": call.params["name"], "type": documents.KIND}
    document["properties"] = {**properties, **copied(settled), "provisioningState": "InProgress"}
    document["properties"].pop("deploymentErrors", None)
    revision = revisions.wanted(azure, document, old)
    validation.check_traffic(
        settled["configuration"], {*revisions.records(azure, app), *([revision] if revision else [])}
    )
    _check_removed(azure, old, settled, names, revision)
    values = secrets.resolve(azure, secrets.Reader(resource, want, stored_identity, environment), effective)

    documents.located(azure, document, environment)
    document["identity"] = (
        identities.apply(azure, resource, want, stored_identity) if want else stored_identity or {"type": "None"}
    )
    document["systemData"] = documents.stamped(azure, call.principal, (old or {}).get("systemData"))
    if not document.get("tags"):
        document.pop("tags", None)
    azure.world.resources[app] = document
    refreshing.ensure(azure)
    vaulted = {str(secret["name"]) for secret in effective if "keyVaultUrl" in secret}
    changed = secrets.keep(azure, app, values, call.now) & vaulted
    if changed and old is not None:
        restarts.restart_for(azure, document, changed, call.now)
    if revision is not None:
        azure.world.schedule(
            call.now + azure.switches.app_operation * revisions.CREATED,
            "containerapp.revision",
            app=app,
            revision=revision,
        )
    return document, understood


def _public(effective: list[Json], sent: list[Json] | None, configuration: Json) -> list[Json] | None:
    if effective:
        return [documents.public_secret(secret) for secret in effective]
    # an empty list comes back as one in a 201, null as null (traffic, flow app-identity)
    given = configuration.get("secrets")
    return [] if sent is not None and given == [] else None


def _check_removed(azure: Azure, old: Json | None, settled: Json, names: list[str], revision: str | None) -> None:
    if old is None:
        return
    removed = set(secrets.names(old)) - set(names)
    if not removed:
        return
    single = settled["configuration"]["activeRevisionsMode"] == "Single"
    latest = old["properties"].get("latestRevisionName")
    active = [
        (record["name"], record["template"])
        for record in revisions.active(azure, old["id"].lower())
        # in Single mode the write that brings a new revision replaces the one that is the latest now
        if not (single and revision is not None and record["name"] == latest) and record["state"] != "Deprovisioning"
    ]
    validation.check_removed(removed, active, secrets.names(old), multiple=not single)


def _begin(call: Call, document: Json, old: Json | None, verb: str) -> str:
    azure = call.azure
    hangs = _waits_for_image(document, old)
    guid = operations.begin(call, "containerapp", verb, document, EXPIRES if hangs else azure.switches.app_operation)
    if hangs:
        call.world.table("operations")[guid]["expires"] = True
    return guid


def _waits_for_image(document: Json, old: Json | None) -> bool:
    """Whether a registry is to be read with a system identity made in this very write, which cannot have a role yet.

    Recorded: the operation hangs for 20 minutes, then the app is Failed with "Operation expired" (traffic, section 1).
    """
    made = identities.kinds(document.get("identity")) - identities.kinds((old or {}).get("identity"))
    registries = document["properties"]["configuration"].get("registries") or []
    return identities.SYSTEM in made and any(str(entry.get("identity")).lower() == "system" for entry in registries)


def on_done(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """An operation on an app ends."""
    entry: Json = azure.world.table("operations")[event["operation"]]
    app = entry["resource"]
    document: Json | None = azure.world.resources.get(app)
    if document is None:
        operations.finish(azure, entry)
        return
    if entry["verb"] == "delete":
        _remove(azure, app, document)
        operations.finish(azure, entry)
        return
    properties = document["properties"]
    if entry.get("expires"):
        properties |= {"provisioningState": "Failed", "deploymentErrors": "Operation expired"}
        operations.finish(azure, entry, error={"code": "ContainerAppOperationError", "message": "Operation expired"})
        return
    if fails := entry.get("fails"):
        properties |= {"provisioningState": "Failed", "deploymentErrors": fails["message"]}
        operations.finish(azure, entry, error=fails)
        return
    properties["provisioningState"] = "Succeeded"
    if entry["verb"] == "stop":
        revisions.stop_all(azure, document, due)
    elif entry["verb"] == "start":
        revisions.start_all(azure, document, due)
    else:
        revisions.enforce(azure, document, due)
    operations.finish(azure, entry)


def _remove(azure: Azure, app: str, document: Json) -> None:
    """An app is gone, with its revisions, secrets, authConfig and system identity."""
    azure.world.resources.pop(app, None)
    for key in [key for key in azure.world.resources if key.startswith(app + "/")]:
        del azure.world.resources[key]
    for table in ("revisions", "apps", "app-secrets", "auth-configs"):
        azure.world.table(table).pop(app, None)
    entry = principals.of_resource(azure, document["id"])
    if entry is not None and entry["kind"] == "system":
        principals.remove(azure, entry["id"])


def act(call: Call, verb: str) -> Response:
    """Start, stop or delete an app: 202 with `Location` only."""
    document = find(call)
    operations.refuse_if_busy(call, document["id"].lower(), document["name"])
    document["properties"]["provisioningState"] = "Deleting" if verb == "delete" else "InProgress"
    guid = operations.begin(call, "containerapp", verb, document, call.azure.switches.app_operation)
    return answer(202, None, location=operations.result_url(call, guid), **AGAIN)


def poll_result(call: Call) -> Response:
    """What `Location` answers: 202 with a new `Location`, then the whole app, or 204 when it was deleted."""
    entry = operations.find(call, "containerapp")
    if entry["status"] == operations.IN_PROGRESS:
        return answer(202, None, location=operations.result_url(call, entry["name"]), **AGAIN)
    document: Json | None = call.world.resources.get(entry["resource"])
    if document is None or entry["verb"] == "delete":
        return answer(204)
    return answer(200, documents.view(call.azure, document, call.version), **AGAIN)


def poll_status(call: Call) -> Response:
    """What `Azure-AsyncOperation` answers."""
    return answer(200, operations.status_body(operations.find(call, "containerapp")), **AGAIN)
