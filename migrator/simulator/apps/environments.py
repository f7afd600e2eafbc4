"""Managed environments: documents as recorded (traffic, section 7), their operations, and what an estate brings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import children, documents, identities, operations, places
from migrator.simulator.apps.schema import InvalidValueError, UnknownPropertyError, accept, show
from migrator.simulator.apps.validation import linked, refused
from migrator.simulator.apps.versions import NEWEST_PREVIEW, PROVIDER, answer
from migrator.simulator.azure import not_found
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = "Microsoft.App/managedEnvironments"
KEDA, DAPR = "2.17.2", "1.13.6-msft.6"
"""Versions that environments named in October 2025."""
AGAIN = {"retry_after": "0"}
_READ_ONLY = {
    "provisioningState",
    "deploymentErrors",
    "defaultDomain",
    "staticIp",
    "eventStreamEndpoint",
    "kedaConfiguration",
    "daprConfiguration",
    "privateLinkDefaultDomain",
    "privateEndpointConnections",
}
_PROFILE = "Consumption"


def identifier(call: Call) -> str:
    """The id of the environment that a request names."""
    return f"/subscriptions/{call.params['sub']}/resourceGroups/{call.params['group']}/providers/{KIND}/{call.params['name']}"


def find(call: Call) -> Json:
    """The environment that a request names.

    Raises:
        AzureError: 404 `ResourceNotFound`, by ARM itself.
    """
    document: Json | None = call.world.resources.get(identifier(call).lower())
    if document is None:
        raise not_found(KIND, call.params["name"], call.params["group"])
    return document


def view(azure: Azure, document: Json, version: str) -> Json:
    """An environment as a GET shows it; without identity it has no such key (traffic, section 5)."""
    identity = identities.shown(azure, document.get("identity"))
    shown: Json = show({**document, "identity": identity}, "ManagedEnvironment", version)
    if not identities.kinds(identity):
        shown.pop("identity", None)
    if not document.get("tags"):
        shown.pop("tags", None)
    return shown


def _read(call: Call) -> Json | Response:
    try:
        accepted: Json = accept(call.request.json(), "ManagedEnvironment", call.version)
    except UnknownPropertyError as error:
        return error.response(f"{call.azure.trace.getrandbits(128):032x}", PROVIDER)
    except InvalidValueError as error:
        raise refused("InvalidRequestContent", f"The request content is invalid: {error}.") from error
    return accepted


def put(call: Call) -> Response:
    """Create an environment (201, `Waiting`) or replace one: 200 when nothing changes, else 201."""
    body = _read(call)
    if isinstance(body, Response):
        return body
    resource = identifier(call)
    old: Json | None = call.world.resources.get(resource.lower())
    properties = {k: v for k, v in (body.get("properties") or {}).items() if k not in _READ_ONLY}
    location = body.get("location") or (old or {}).get("location")
    if not location:
        raise refused("LocationRequired", "The location property is required for this definition.")
    draft: Json = {
        "id": (old or {}).get("id", resource),
        "name": call.params["name"],
        "type": KIND,
        "location": places.display(str(location)),
        "kind": body.get("kind"),
        "tags": body.get("tags"),
        "properties": properties,
    }
    if old is not None:
        if old["properties"].get("workloadProfiles") and not properties.get("workloadProfiles"):
            raise refused("WorkloadProfileCannotRemoveAll", "At least 1 workload profile must be specified.")
        # the network of an environment is given once; what a PUT leaves null stays (traffic 0911)
        for name, value in old["properties"].items():
            if name in _READ_ONLY or properties.get(name) is None:
                properties[name] = copied(value)
    return _store(call, draft, body, old, patch=False)


def patch(call: Call) -> Response:
    """Merge a patch into an environment: 202 with `Location` only, 200 with the body when nothing changes."""
    body = _read(call)
    if isinstance(body, Response):
        return body
    old = find(call)
    sent = {key: value for key, value in body.items() if key in {"tags", "properties", "kind"}}
    if "properties" in sent:
        sent["properties"] = {k: v for k, v in (sent["properties"] or {}).items() if k not in _READ_ONLY}
    draft = documents.merge({k: v for k, v in old.items() if k not in {"identity", "systemData"}}, sent)
    return _store(call, draft, body, old, patch=True)


def _store(call: Call, draft: Json, body: Json, old: Json | None, *, patch: bool) -> Response:
    azure = call.azure
    stored_identity = (old or {}).get("identity")
    # proven for environments: a PATCH merges the map, null removes (traffic, section 5)
    want = identities.wanted(azure, body, stored_identity, patch=patch, replaces=False)
    if want is None or (not patch and "identity" not in body and old is None):
        identity = stored_identity or {"type": "None"}
    else:
        for attached in identities.newly_attached(want, stored_identity):
            linked(call, f"{KIND}/write", attached, identities.ASSIGN)
        identity = identities.apply(azure, draft["id"], want, stored_identity)
    document = filled(azure, {**draft, "identity": identity})
    document["systemData"] = documents.stamped(azure, call.principal, (old or {}).get("systemData"))
    key = document["id"].lower()
    unchanged = old is not None and _comparable(document) == _comparable(old)
    created = old is None
    if created and _subnet(document):
        document["properties"].pop("staticIp", None)
    call.world.resources[key] = document
    if unchanged:
        return answer(200, view(azure, document, call.version), **AGAIN)
    document["properties"]["provisioningState"] = "Waiting" if created else "Updating"
    guid = operations.begin(
        call, "managedEnvironment", "patch" if patch else "put", document, azure.switches.environment_operation
    )
    if patch:
        return answer(202, None, location=operations.result_url(call, guid), **AGAIN)
    return answer(
        201,
        view(azure, document, call.version),
        azure_asyncoperation=operations.status_url(call, guid),
        x_ms_async_operation_timeout="PT15M",
        **AGAIN,
    )


def _comparable(document: Json) -> Json:
    shown: Json = show(document, "ManagedEnvironment", NEWEST_PREVIEW)
    shown.pop("systemData", None)
    if not identities.kinds(shown.get("identity")):
        shown.pop("identity", None)
    if not shown.get("tags"):
        shown.pop("tags", None)
    shown["properties"].pop("provisioningState", None)
    return shown


def delete(call: Call) -> Response:
    """Delete an environment: 202, later 204; 204 at once for one that is not there."""
    document: Json | None = call.world.resources.get(identifier(call).lower())
    if document is None:
        return Response(204, None, {"x-ms-operation-identifier": ""})
    inside = [
        app["name"]
        for kind in (documents.KIND, "Microsoft.App/jobs")
        for app in call.world.of_type(kind)
        if str(app["properties"].get("environmentId", "")).lower() == document["id"].lower()
    ]
    if inside:
        # the refusal is known, its code and words are not
        raise refused(
            "ManagedEnvironmentInUse",
            f"The environment '{document['name']}' has container apps: {', '.join(inside)}. Delete them first.",
            409,
        )
    document["properties"]["provisioningState"] = "ScheduledForDelete"
    guid = operations.begin(call, "managedEnvironment", "delete", document, call.azure.switches.environment_operation)
    return answer(202, None, location=operations.result_url(call, guid), **AGAIN)


def on_done(azure: Azure, _due: float, event: dict[str, Any]) -> None:
    """An operation on an environment ends."""
    entry: Json = azure.world.table("operations")[event["operation"]]
    document: Json | None = azure.world.resources.get(entry["resource"])
    if document is not None and entry["verb"] == "delete":
        azure.world.resources.pop(entry["resource"], None)
        children.forget(azure, entry["resource"])
    elif document is not None:
        document["properties"]["provisioningState"] = "Succeeded"
        document["properties"].setdefault("staticIp", places.addresses(azure.world, document["id"], 1)[0])
    operations.finish(azure, entry)


def poll_result(call: Call) -> Response:
    """What `Location` answers: 202 with a new `Location`, then the whole environment, or 204 when it was deleted."""
    entry = operations.find(call, "managedEnvironment")
    if entry["status"] == operations.IN_PROGRESS:
        return answer(202, None, location=operations.result_url(call, entry["name"]), **AGAIN)
    document: Json | None = call.world.resources.get(entry["resource"])
    if document is None or entry["verb"] == "delete":
        return answer(204)
    return answer(200, view(call.azure, document, call.version), **AGAIN)


def poll_status(call: Call) -> Response:
    """What `Azure-AsyncOperation` answers."""
    return answer(200, operations.status_body(operations.find(call, "managedEnvironment")), **AGAIN)


def filled(azure: Azure, document: Json) -> Json:
    """An environment with everything that the service fills in; keys never shown again are nulled."""
    document = copied(document)
    properties = document["properties"]
    subscription, group, name = places.parts(document["id"])
    where = places.slug(document["location"])
    profiles = properties.get("workloadProfiles")
    for profile in profiles or []:
        profile["enableFips"] = bool(profile.get("enableFips"))
    defaults: Json = {
        "provisioningState": "Succeeded",
        "defaultDomain": places.domain(azure.world, document["id"], document["location"]),
        "zoneRedundant": False,
        "kedaConfiguration": {"version": KEDA},
        "daprConfiguration": {"version": DAPR},
        "eventStreamEndpoint": f"https://{where}.azurecontainerapps.dev/subscriptions/{subscription}/resourceGroups/{group}"
        f"/managedEnvironments/{name}/eventstream",
        # the platform's own resources in the subscription: only for a network of the customer's (recorded both ways)
        "infrastructureResourceGroup": f"ME_{name}_{group}_{where}" if profiles and _subnet(document) else None,
        "peerAuthentication": {"mtls": {"enabled": False}},
        "peerTrafficConfiguration": {"encryption": {"enabled": False}},
        "publicNetworkAccess": "Enabled",
        "appLogsConfiguration": {"destination": None, "logAnalyticsConfiguration": None},
        "customDomainConfiguration": {},
        "staticIp": places.addresses(azure.world, document["id"], 1)[0],
    }
    for key, value in defaults.items():
        if properties.get(key) is None:
            properties[key] = value
    if isinstance(network := properties.get("vnetConfiguration"), dict) and network.get("internal") is None:
        network["internal"] = False
    if isinstance(analytics := properties["appLogsConfiguration"].get("logAnalyticsConfiguration"), dict):
        analytics["sharedKey"] = None
        analytics["dynamicJsonColumns"] = bool(analytics.get("dynamicJsonColumns"))
    if isinstance(insights := properties.get("appInsightsConfiguration"), dict):
        insights["connectionString"] = None
    targets = (properties.get("openTelemetryConfiguration") or {}).get("destinationsConfiguration") or {}
    if isinstance(targets.get("dataDogConfiguration"), dict):
        targets["dataDogConfiguration"]["key"] = None
    for target in targets.get("otlpConfigurations") or []:
        for header in target.get("headers") or []:
            header["value"] = None
    _domain(azure, properties["customDomainConfiguration"])
    return document


def _subnet(document: Json) -> str | None:
    """The subnet of the customer's that an environment is in."""
    found: str | None = (document["properties"].get("vnetConfiguration") or {}).get("infrastructureSubnetId")
    return found


def _domain(azure: Azure, domain: Json) -> None:
    if domain.get("certificateValue"):
        # the certificate itself is not read: its facts are made up from its bytes
        digest = hashlib.sha256(str(domain["certificateValue"]).encode()).hexdigest()[:40].upper()
        domain |= {
            "thumbprint": digest,
            "subjectName": f"CN={domain.get('dnsSuffix')}",
            "expirationDate": iso(azure.clock.now() + 365 * 86400, zone="", digits=0),
        }
    domain |= {"certificateValue": None, "certificatePassword": None}
    domain.setdefault("customDomainVerificationId", places.verification(azure.world))


def load(azure: Azure, document: Json) -> None:
    """Take an environment of an estate file in: it is there and ready."""
    loaded = copied(document)
    subscription, group, name = places.parts(loaded["id"])
    loaded |= {
        "id": f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{KIND}/{name}",
        "name": name,
        "type": KIND,
        "location": places.display(str(loaded.get("location") or "eastus")),
        "properties": loaded.get("properties") or {},
    }
    before = azure.world.resources.get(loaded["id"].lower())
    if before is not None and not loaded["properties"].get("defaultDomain"):
        loaded["properties"]["defaultDomain"] = before["properties"]["defaultDomain"]
    if "workloadProfiles" not in loaded["properties"]:
        loaded["properties"]["workloadProfiles"] = [{"workloadProfileType": _PROFILE, "name": _PROFILE}]
    loaded.setdefault("systemData", documents.stamped(azure, "", None))
    loaded.setdefault("identity", {"type": "None"})
    loaded = filled(azure, loaded)
    azure.world.resources[loaded["id"].lower()] = loaded


def ensure_environment(azure: Azure, resource_id: str, location: str, *, domain: str = "") -> Json:
    """The environment of that id; one is made if the estate names it without describing it."""
    found: Json | None = azure.world.resources.get(resource_id.lower().rstrip("/"))
    if found is None:
        properties = {"defaultDomain": domain} if domain else {}
        load(azure, {"id": resource_id.rstrip("/"), "location": location, "properties": properties})
        found = azure.world.resources[resource_id.lower().rstrip("/")]
    return found
