"""Container Apps jobs: documents as recorded (flows jobs-*), writes, operations, and what an estate brings.

A job is stored in the form of a GET. Its secrets are kept as those of apps are (`secrets`), its identity too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator import principals
from migrator.simulator.apps import documents, environments, identities, loading, operations, places, schema, secrets
from migrator.simulator.apps import validation as checks
from migrator.simulator.apps.schema import show
from migrator.simulator.apps.versions import PROVIDER, answer, since
from migrator.simulator.apps.writing import AGAIN, JOIN, environment_for, read_body
from migrator.simulator.azure import not_found
from migrator.simulator.plain import copied
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = "Microsoft.App/jobs"
WRITE = f"{KIND}/write"
OPERATION = "containerappsjob"

schema.define(
    """
-Job: id name type location tags systemData:SystemData properties:JobProperties identity:Identity
JobProperties: provisioningState runningStatus?~2024-08-02 runningState?@2026-07-01 environmentId workloadProfileName configuration:JobConfiguration template:JobTemplate outboundIpAddresses? eventStreamEndpoint
JobConfiguration: secrets:Secret[] triggerType replicaTimeout:# replicaRetryLimit:# manualTriggerConfig:JobManual scheduleTriggerConfig:JobSchedule eventTriggerConfig:JobEvent registries:Registry[] identitySettings:IdentitySetting[]@2025-01-01~2024-02-02 dapr:Dapr
-JobManual: replicaCompletionCount:# parallelism:#
-JobSchedule: replicaCompletionCount:# cronExpression parallelism:#
-JobEvent: replicaCompletionCount:# parallelism:# scale:JobScale
-JobScale: pollingInterval:# minExecutions:# maxExecutions:# rules:JobScaleRule[]
-JobScaleRule: name type metadata auth:ScaleAuth[] identity@2025-01-01~2024-02-02 azureQueue custom http
JobTemplate: containers:Container[] initContainers:InitContainer[] volumes:Volume[]
"""
)

_TRIGGERS = {"manual": "Manual", "schedule": "Schedule", "event": "Event"}


def identifier(call: Call) -> str:
    """The id of the job that a request names."""
    return f"/subscriptions/{call.params['sub']}/resourceGroups/{call.params['group']}/providers/{KIND}/{call.params['name']}"


def find(call: Call) -> Json:
    """The job that a request names.

    Raises:
        AzureError: 404; by ARM itself, in 2023 by the provider (traffic, section 8).
    """
    document: Json | None = call.world.resources.get(identifier(call).lower())
    if document is None:
        if not since(call.version, "2024-01-01", "2024-01-01"):
            name = call.params["name"]
            raise checks.refused("ContainerAppsJobNotFound", f"Container apps job '{name}' was not found.", 404)
        raise not_found(KIND, call.params["name"], call.params["group"])
    return document


def view(azure: Azure, document: Json, version: str) -> Json:
    """A stored job as a GET at `version` shows it."""
    identity = identities.shown(azure, document.get("identity"))
    shown: Json = show({**document, "identity": identity}, "Job", version)
    if not document.get("tags"):
        shown.pop("tags", None)
    return shown


def settled(properties: Json) -> Json:
    """Configuration and template as answers show them, the first one too (recorded): defaults filled in."""
    configuration = copied(properties.get("configuration") or {})
    trigger = str(configuration.get("triggerType") or "")
    configuration["triggerType"] = _TRIGGERS.get(trigger.lower(), trigger)
    configuration["secrets"] = [documents.public_secret(s) for s in configuration.get("secrets") or []] or None
    if configuration.get("identitySettings") is None:
        configuration["identitySettings"] = []
    for registry in configuration.get("registries") or []:
        for name in ("username", "passwordSecretRef", "identity"):
            registry[name] = registry.get(name) or ""
    event = configuration.get("eventTriggerConfig")
    if isinstance(event, dict) and isinstance(event.get("scale"), dict):
        # defaults as documented for event-driven jobs (container-apps/jobs)
        for name, value in (("minExecutions", 0), ("maxExecutions", 100), ("pollingInterval", 30)):
            if event["scale"].get(name) is None:
                event["scale"][name] = value
    whole = documents.understood({"template": properties.get("template")}, created=False)
    template = documents.settled(whole)["template"]
    return {
        "configuration": configuration,
        "template": {key: template.get(key) for key in ("containers", "initContainers", "volumes")},
    }


def put(call: Call) -> Response:
    """Create a job or replace it whole: always 201."""
    body = read_body(call, "Job")
    if isinstance(body, Response):
        return body
    old: Json | None = call.world.resources.get(identifier(call).lower())
    location = body.get("location") or (old or {}).get("location")
    if not location:
        raise checks.refused("LocationRequired", "The location property is required for this definition.")
    properties = dict(body.get("properties") or {})
    kept = (old or {}).get("properties", {})
    draft: Json = {
        "location": places.display(str(location)),
        "tags": body.get("tags"),
        "properties": {
            "environmentId": properties.get("environmentId") or kept.get("environmentId"),
            "workloadProfileName": properties.get("workloadProfileName"),
            "configuration": properties.get("configuration") or {},
            "template": properties.get("template") or {},
        },
    }
    document = _write(call, draft, body, old, patch=False)
    guid = operations.begin(call, OPERATION, "put", document, call.azure.switches.app_operation)
    return answer(
        201,
        view(call.azure, _first(document, created=old is None), call.version),
        azure_asyncoperation=operations.status_url(call, guid),
        x_ms_async_operation_timeout="PT15M",
        **AGAIN,
    )


def _first(document: Json, *, created: bool) -> Json:
    """The body of a 201: its times have a zone, as times not yet stored do."""
    stamps = dict(document["systemData"])
    for name in ("lastModifiedAt", *(("createdAt",) if created else ())):
        stamps[name] += "Z"
    return {**document, "systemData": stamps}


def patch(call: Call) -> Response:
    """Merge a patch into a job: 202 with `Location` only (traffic, section 1)."""
    body = read_body(call, "Job")
    if isinstance(body, Response):
        return body
    old = find(call)
    sent = {key: value for key, value in body.items() if key in {"tags", "properties"}}
    known = ("configuration", "template", "workloadProfileName", "environmentId")
    sent["properties"] = {k: v for k, v in (body.get("properties") or {}).items() if k in known}
    if configuration := sent["properties"].get("configuration"):
        sent["properties"]["configuration"] = {k: v for k, v in configuration.items() if k != "secrets"}
    if not sent["properties"]:
        del sent["properties"]
    merged = documents.merge({k: v for k, v in old.items() if k not in {"identity", "systemData"}}, sent)
    document = _write(call, merged, body, old, patch=True)
    guid = operations.begin(call, OPERATION, "patch", document, call.azure.switches.app_operation)
    return answer(202, None, location=operations.result_url(call, guid), **AGAIN)


def _write(call: Call, draft: Json, body: Json, old: Json | None, *, patch: bool) -> Json:
    """Check a write whole, then carry it out; nothing changes unless everything is in order."""
    azure, resource = call.azure, identifier(call)
    job, properties = resource.lower(), draft["properties"]
    home = str(properties.get("environmentId") or "")
    if home:
        checks.linked(call, WRITE, home, JOIN)
    had = (old or {}).get("identity")
    want = identities.wanted(azure, body, had, patch=patch, replaces=azure.switches.identity_map == "replace")
    for attached in identities.newly_attached(want, had):
        checks.linked(call, WRITE, attached, identities.ASSIGN)
    environment = environment_for(call, home)
    _refuse_if_busy(call, job)
    configuration: Json = (body.get("properties") or {}).get("configuration") or {}
    sent = None if patch and "secrets" not in configuration else configuration.get("secrets") or []
    effective = checks.checked_secrets(old, secrets.values(azure, job), sent)
    names = [str(secret["name"]) for secret in effective]
    ready = settled({**properties, "configuration": {**properties["configuration"], "secrets": effective}})
    _check_trigger(ready["configuration"])
    if not ready["template"].get("containers"):
        raise checks.refused("ContainerAppsJobContainersRequired", "The job template must have at least one container.")
    checks.check_registries(ready["configuration"], names)
    checks.check_template(ready["template"], names)
    values = secrets.resolve(azure, secrets.Reader(resource, want, had, environment), effective)

    document: Json = {**draft, "id": (old or {}).get("id", resource), "name": call.params["name"], "type": KIND}
    document["properties"] = {**properties, **ready, "provisioningState": "InProgress"}
    located(document, environment)
    document["identity"] = identities.apply(azure, resource, want, had) if want else had or {"type": "None"}
    document["systemData"] = documents.stamped(azure, call.principal, (old or {}).get("systemData"))
    if not document.get("tags"):
        document.pop("tags", None)
    azure.world.resources[job] = document
    secrets.keep(azure, job, values, call.now)
    return document


def _check_trigger(configuration: Json) -> None:
    trigger = configuration["triggerType"]
    if trigger not in _TRIGGERS.values():
        raise checks.invalid_field("configuration.triggerType", f'Unsupported value: "{trigger}"')
    needed = f"{trigger.lower()}TriggerConfig"
    if not configuration.get(needed) and trigger != "Manual":
        raise checks.invalid_field(f"configuration.{needed}", f"Required for trigger type {trigger}")


def _refuse_if_busy(call: Call, job: str) -> None:
    """Raise 409 while another operation on the job runs (code: CORRECTIONS, section 10.2)."""
    if entry := operations.running(call.azure, job):
        raise AzureError(
            409,
            "ContainerAppsJobOperationInProgress",
            f"Cannot modify a container apps job '{call.params['name']}' because there is an active provisioning "
            f"operation in progress. OperationId: '{entry['name']}'.",
            headers=dict(PROVIDER),
        )


def located(document: Json, environment: Json) -> None:
    """Set what depends on where the job runs."""
    properties = document["properties"]
    subscription, group, name = places.parts(document["id"])
    properties["environmentId"] = environment["id"]
    properties["runningStatus"] = properties["runningState"] = "Ready"
    if properties.get("workloadProfileName") is None and environment["properties"].get("workloadProfiles"):
        properties["workloadProfileName"] = "Consumption"
    properties["eventStreamEndpoint"] = (
        # `containerApps` for jobs too, as recorded
        f"https://{places.slug(document['location'])}.azurecontainerapps.dev/subscriptions/{subscription}"
        f"/resourceGroups/{group}/containerApps/{name}/eventstream"
    )


def delete(call: Call) -> Response:
    """Delete a job: 202, later 204; 204 at once for one that is not there."""
    document: Json | None = call.world.resources.get(identifier(call).lower())
    if document is None:
        return Response(204, None, {"x-ms-operation-identifier": ""})
    _refuse_if_busy(call, document["id"].lower())
    document["properties"]["provisioningState"] = "Deleting"
    guid = operations.begin(call, OPERATION, "delete", document, call.azure.switches.app_operation)
    return answer(202, None, location=operations.result_url(call, guid), **AGAIN)


def on_done(azure: Azure, _due: float, event: dict[str, Any]) -> None:
    """An operation on a job ends."""
    entry: Json = azure.world.table("operations")[event["operation"]]
    document: Json | None = azure.world.resources.get(entry["resource"])
    if document is not None and entry["verb"] == "delete":
        azure.world.resources.pop(entry["resource"], None)
        for table in ("app-secrets", "executions"):
            azure.world.table(table).pop(entry["resource"], None)
        principal = principals.of_resource(azure, document["id"])
        if principal is not None and principal["kind"] == "system":
            principals.remove(azure, principal["id"])
    elif document is not None:
        document["properties"]["provisioningState"] = "Succeeded"
    operations.finish(azure, entry)


def poll_result(call: Call) -> Response:
    """What `Location` answers: 202 with a new `Location`, then the whole job, or 204 when it was deleted."""
    entry = operations.find(call, OPERATION)
    if entry["status"] == operations.IN_PROGRESS:
        return answer(202, None, location=operations.result_url(call, entry["name"]), **AGAIN)
    document: Json | None = call.world.resources.get(entry["resource"])
    if document is None or entry["verb"] == "delete":
        return answer(204)
    return answer(200, view(call.azure, document, call.version), **AGAIN)


def poll_status(call: Call) -> Response:
    """What `Azure-AsyncOperation` answers."""
    return answer(200, operations.status_body(operations.find(call, OPERATION)), **AGAIN)


# Estates


def load(azure: Azure, document: Json) -> None:
    """Take a job of an estate file in. Inline secrets without a value get one that is made up."""
    given: Json = copied(document)
    subscription, group, name = places.parts(given["id"])
    properties: Json = schema.lenient(given.get("properties") or {}, "JobProperties")
    loading.texts(properties.get("template") or {})
    home = (
        properties.get("environmentId")
        or f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/managedEnvironments/{group}"
    )
    resource = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{KIND}/{name}"
    job = resource.lower()
    sent = (properties.get("configuration") or {}).get("secrets") or []
    stored: Json = {
        "id": resource,
        "name": name,
        "type": KIND,
        "location": given.get("location") or "",
        "systemData": given.get("systemData") or documents.stamped(azure, "", None),
        "properties": {
            **properties,
            **settled(properties),
            "environmentId": home,
            "provisioningState": "Succeeded",
        },
        "identity": loading.identity_of(azure, resource, given.get("identity")),
    }
    if not stored["properties"]["configuration"]["triggerType"]:
        stored["properties"]["configuration"]["triggerType"] = "Manual"
    if given.get("tags"):
        stored["tags"] = given["tags"]
    azure.world.resources[job] = stored
    azure.world.table("app-secrets")[job] = {
        str(secret["name"]): {"value": loading.value_of(azure, job, secret), "synced": azure.clock.now()}
        for secret in sent
        if not secret.get("keyVaultUrl")
    }
    # its environment and the vaults it refers to may come later in the file
    azure.world.schedule(azure.clock.now(), "job.loaded", job=job)


def on_loaded(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """The estate is there: the job gets its place and the values of its references."""
    document: Json | None = azure.world.resources.get(event["job"])
    if document is None:
        return
    properties = document["properties"]
    place = document["location"] or "eastus"
    environment = environments.ensure_environment(azure, properties["environmentId"], place)
    document["location"] = places.display(str(document["location"] or environment["location"]))
    located(document, environment)
    for secret in properties["configuration"].get("secrets") or []:
        if "keyVaultUrl" in secret:
            value = secrets.fetch(azure, secrets.reader(azure, document), secret)
            secrets.values(azure, event["job"])[secret["name"]] = {"value": value, "synced": due}
