"""What a recorded flow presupposes, read from the flow itself: groups, environments, apps, identities, registries."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals, rbac
from migrator.simulator.apps import environments

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure
    from tests.conformance.flows import Step

Json = dict[str, Any]

_GROUP = re.compile(r"/subscriptions/([^/\"]+)/resourcegroups/([^/\"?]+)", re.IGNORECASE)
_IDENTITY = re.compile(
    r"/subscriptions/[^/\"]+/resourcegroups/[^/\"]+/providers/microsoft\.managedidentity/userassignedidentities/[^/\"?]+",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(
    r"/subscriptions/[^/\"]+/resourcegroups/[^/\"]+/providers/microsoft\.app/managedenvironments/[^/\"?]+",
    re.IGNORECASE,
)
_REGISTRY = re.compile(
    r"/subscriptions/[^/\"]+/resourcegroups/[^/\"]+/providers/microsoft\.containerregistry/registries/[^/\"?]+",
    re.IGNORECASE,
)
_APP = re.compile(
    r"/subscriptions/[^/\"]+/resourcegroups/[^/\"]+/providers/microsoft\.app/containerapps/[^/\"?]+", re.IGNORECASE
)


def plant(azure: Azure, steps: list[Step], caller: str) -> None:
    """Put into the cloud what the steps take for granted."""
    _groups(azure, steps, caller)
    for identifier in _missing(steps, _IDENTITY, "PUT"):
        _identity(azure, steps, identifier)
    for identifier in _missing(steps, _REGISTRY, "PUT"):
        azure.loaders["microsoft.containerregistry/registries"](
            azure,
            {"id": identifier, "name": identifier.rpartition("/")[2], "location": "eastus", "properties": {}},
        )
    for identifier in _missing(steps, _ENVIRONMENT, "PUT"):
        _environment(azure, steps, identifier)
    for identifier in _missing(steps, _APP, "PUT"):
        _app(azure, steps, identifier)
    _used_certificates(azure, steps)
    _connected(azure, steps)
    _assignments(azure, steps)
    azure.settle()
    _states(azure, steps)
    _operations(azure, steps)


def _texts(steps: list[Step]) -> Iterator[str]:
    for step in steps:
        yield step.url
        yield json.dumps(step.request)
        yield json.dumps(step.response)


def _groups(azure: Azure, steps: list[Step], caller: str) -> None:
    absent = {
        match[1].lower()
        for step in steps
        if "ResourceGroupNotFound" in json.dumps(step.response)
        and (match := re.search(r"/resourcegroups/([^/]+)", step.key))
    }
    for text in _texts(steps):
        for match in _GROUP.finditer(text):
            subscription, group = match[1], match[2]
            if subscription.lower() not in azure.world.table("subscriptions"):
                azure.world.table("subscriptions")[subscription.lower()] = {
                    "id": subscription,
                    "displayName": "recorded",
                    "tenantId": azure.world.tenant,
                }
                rbac.assign(azure, principal=caller, role="Owner", scope=f"/subscriptions/{subscription}", settled=True)
            identifier = f"/subscriptions/{subscription}/resourceGroups/{group}"
            if group.lower() not in absent:
                azure.world.table("groups").setdefault(
                    identifier.lower(), {"id": identifier, "name": group, "location": "eastus", "tags": {}}
                )


def _missing(steps: list[Step], pattern: re.Pattern[str], method: str) -> list[str]:
    """Ids that the flow uses and does not make: those whose first own interaction is no creation and finds them."""
    found: dict[str, str] = {}
    for step in steps:
        for text in (step.url, json.dumps(step.request), json.dumps(step.response)):
            for match in pattern.finditer(text):
                found.setdefault(match[0].lower(), match[0])
    result = []
    for key, identifier in found.items():
        own = [step for step in steps if step.key == key or step.key.startswith(key + "/")]
        first = own[0] if own else None
        created = any(step.method == method and step.status in {200, 201} and step.key == key for step in own)
        if first is not None and first.key == key:
            makes = first.method == method and first.status == 201 and not _existed(first)
            absent = first.status == 404 or (first.method == "DELETE" and first.status == 204)
            if makes or (absent and created) or (absent and all(s.status in {404, 204} for s in own)):
                continue
        elif first is not None and first.status == 404 and "ParentResourceNotFound" in json.dumps(first.response):
            continue
        result.append(identifier)
    return result


def _existed(step: Step) -> bool:
    """Whether a PUT's answer shows that the app was there before: its times are apart."""
    stamps = (step.response or {}).get("systemData") or {}
    return bool(stamps) and str(stamps.get("createdAt", "")).rstrip("Z") != str(
        stamps.get("lastModifiedAt", "")
    ).rstrip("Z")


def _identity(azure: Azure, steps: list[Step], identifier: str) -> None:
    told: Json = {}
    for step in steps:
        for body in (step.response, step.request):
            identity = body.get("identity") if isinstance(body, dict) else None
            for key, value in ((identity or {}).get("userAssignedIdentities") or {}).items():
                if key.lower() == identifier.lower() and isinstance(value, dict):
                    told |= {k: v for k, v in value.items() if v}
        if step.key == identifier.lower() and isinstance(step.response, dict):
            told |= step.response.get("properties") or {}
    azure.loaders["microsoft.managedidentity/userassignedidentities"](
        azure, {"id": identifier, "location": "eastus", "properties": told}
    )


def _environment(azure: Azure, steps: list[Step], identifier: str) -> None:
    shown = _first_shown(steps, identifier)
    if shown is not None:
        environments.load(azure, shown)
        return
    location, domain, verification = "eastus", "", ""
    profile: Any = "Consumption"
    for step in steps:
        for entry in _documents(step):
            properties = entry.get("properties") or {}
            if str(properties.get("environmentId", "")).lower() != identifier.lower():
                continue
            location = entry.get("location") or location
            verification = properties.get("customDomainVerificationId") or verification
            profile = properties.get("workloadProfileName", profile)
            fqdn = ((properties.get("configuration") or {}).get("ingress") or {}).get("fqdn")
            if fqdn and not domain:
                domain = re.sub(r"^[^.]+\.(internal\.)?", "", fqdn)
    document: Json = {"id": identifier, "location": location, "properties": {}}
    if domain:
        document["properties"]["defaultDomain"] = domain
    if verification:
        document["properties"]["customDomainConfiguration"] = {"customDomainVerificationId": verification}
    if profile is None:
        document["properties"]["workloadProfiles"] = None
    put = next((s for s in steps if s.key == identifier.lower() and s.method == "PUT" and s.status == 200), None)
    if put is not None:
        document = copy.deepcopy(put.response)
    refused = next((s for s in steps if s.key == identifier.lower() and s.status == 400), None)
    if refused is not None and "WorkloadProfile" not in json.dumps(refused.response):
        document["properties"]["workloadProfiles"] = None
    if any("ManagedEnvironmentNotProvisioned" in json.dumps(s.response) for s in steps):
        document["properties"]["provisioningState"] = "Failed"
    environments.load(azure, document)


def _documents(step: Step) -> list[Json]:
    body = step.response
    if not isinstance(body, dict):
        return []
    entries = body.get("value") if isinstance(body.get("value"), list) else [body]
    return [entry for entry in entries or [] if isinstance(entry, dict)]


def _first_shown(steps: list[Step], identifier: str) -> Json | None:
    """The resource as the flow first shows it."""
    for step in steps:
        if step.status != 200 or step.method not in {"GET", "PATCH"}:
            continue
        for entry in _documents(step):
            if str(entry.get("id", "")).lower() == identifier.lower() and entry.get("properties"):
                return copy.deepcopy(entry)
    return None


def _app(azure: Azure, steps: list[Step], identifier: str) -> None:
    key = identifier.lower()
    document = _first_shown(steps, identifier) or _guessed(steps, key)
    if document is None:
        return
    configuration = document["properties"].setdefault("configuration", {})
    values = _secret_values(steps, key)
    present = {secret["name"] for secret in configuration.get("secrets") or []}
    listed = _first_listed(steps, key)
    for name in listed:
        if name not in present:
            configuration["secrets"] = [*(configuration.get("secrets") or []), {"name": name}]
    for name in _auth_names(steps, key) - present - set(listed):
        configuration["secrets"] = [*(configuration.get("secrets") or []), {"name": name}]
    for secret in configuration.get("secrets") or []:
        secret["value"] = values.get(secret["name"], "***")
    if not document["properties"].get("latestRevisionName"):
        _as_listed(steps, key, document)
    azure.loaders["microsoft.app/containerapps"](azure, document)
    latest = document["properties"].get("latestRevisionName")
    for step in steps:
        if step.key == f"{key}/revisions" and step.method == "GET":
            for entry in _documents(step):
                if entry["name"] != latest and entry["properties"].get("createdTime", "") < _time(steps[0].moment):
                    azure.loaders["microsoft.app/containerapps/revisions"](azure, entry)
            break
    config = next((s for s in steps if s.key == f"{key}/authconfigs/current"), None)
    if config is not None and config.method == "GET" and config.status == 200:
        azure.loaders["microsoft.app/containerapps/authconfigs"](azure, config.response)


def _as_listed(steps: list[Step], key: str, document: Json) -> None:
    """Take from the first listing of revisions what an app that is not shown must have been."""
    shown = next((s for s in steps if s.key == f"{key}/revisions" and s.method == "GET" and _documents(s)), None)
    if shown is None:
        return
    entry = _documents(shown)[-1]
    properties, name, fqdn = document["properties"], key.rpartition("/")[2], str(entry["properties"].get("fqdn") or "")
    properties |= {"latestRevisionName": entry["name"], "template": copy.deepcopy(entry["properties"]["template"])}
    if fqdn:
        home = fqdn.removeprefix(f"{entry['name']}.")
        properties.setdefault("configuration", {}).setdefault(
            "ingress", {"external": ".internal." not in fqdn, "targetPort": 80, "fqdn": f"{name}.{home}"}
        )


def _time(moment: float) -> str:
    from migrator.simulator.clock import iso

    return iso(moment, zone="", digits=0)


def _guessed(steps: list[Step], key: str) -> Json | None:
    """An app that is changed before it is shown: what the change itself and the first answer tell of it."""
    for step in steps:
        if step.key != key and not step.key.startswith(key + "/"):
            continue
        for body in (step.response, step.request):
            if step.key == key and isinstance(body, dict) and (body.get("properties") or {}).get("template"):
                document: Json = copy.deepcopy(body)
                break
        else:
            document = {"properties": {"template": {"containers": [{"name": "main", "image": "nginx"}]}}}
        document |= {"id": step.path if step.key == key else step.path[: len(key)], "systemData": None}
        document["properties"] |= {"provisioningState": "Succeeded"}
        document["properties"].setdefault(
            "environmentId",
            f"{step.path.split('/providers/')[0]}/providers/Microsoft.App/managedEnvironments/recorded",
        )
        document["properties"].pop("latestRevisionName", None)
        document["properties"].pop("latestReadyRevisionName", None)
        return document
    return None


def _secret_values(steps: list[Step], key: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in steps:
        entries: list[Json] = []
        if step.key == f"{key}/listsecrets" and isinstance(step.response, dict):
            entries = step.response.get("value") or []
        elif step.key == key and isinstance(step.request, dict):
            entries = ((step.request.get("properties") or {}).get("configuration") or {}).get("secrets") or []
        for entry in entries:
            if entry.get("value"):
                found.setdefault(entry["name"], entry["value"])
    return found


def _first_listed(steps: list[Step], key: str) -> list[str]:
    for step in steps:
        if step.key == key and step.method in {"PUT", "PATCH"}:
            return []
        if step.key == f"{key}/listsecrets" and step.status == 200:
            return [entry["name"] for entry in step.response["value"]]
    return []


def _auth_names(steps: list[Step], key: str) -> set[str]:
    """Secrets that an accepted authConfig names, so that the app must have had them."""
    from migrator.simulator.apps.restarts import setting_names

    found: set[str] = set()
    for step in steps:
        if step.key == key and step.method in {"PUT", "PATCH"}:
            break
        if step.key.startswith(f"{key}/authconfigs") and step.status == 200:
            found.update(setting_names(step.response))
    return found


def _used_certificates(azure: Azure, steps: list[Step]) -> None:
    """An app whose custom domain has a certificate that could not be deleted because it was in use."""
    for step in steps:
        if step.status == 400 and "CertificateInUse" in json.dumps(step.response):
            home = step.path.partition("/managedCertificates/")[0].partition("/certificates/")[0]
            kind = "managedCertificates" if "/managedCertificates/" in step.path else "certificates"
            kind = f"microsoft.app/managedenvironments/{kind.lower()}"
            azure.loaders[kind](azure, {"id": step.path, "location": "eastus"})
            ingress = {"targetPort": 80, "customDomains": [{"name": "recorded", "certificateId": step.path}]}
            document = {
                "id": f"{home.partition('/managedEnvironments/')[0]}/containerApps/recorded",
                "properties": {
                    "environmentId": home,
                    "configuration": {"ingress": ingress},
                    "template": {"containers": [{"name": "main", "image": "nginx"}]},
                },
            }
            azure.loaders["microsoft.app/containerapps"](azure, document)


def _connected(azure: Azure, steps: list[Step]) -> None:
    for step in steps:
        if match := re.match(r"(.*/connectedEnvironments/[^/]+)/", step.path):
            azure.loaders["microsoft.app/connectedenvironments"](azure, {"id": match[1], "location": "eastus"})


def _assignments(azure: Azure, steps: list[Step]) -> None:
    """Role assignments that a recorded refusal says are there."""
    made: set[str] = set()
    for step in steps:
        if "/roleassignments/" not in step.key or step.method != "PUT":
            continue
        scope = step.path.split("/providers/Microsoft.Authorization/")[0]
        properties = step.request["properties"]
        role, principal = properties["roleDefinitionId"].rpartition("/")[2], properties["principalId"]
        mark = f"{scope}|{role}|{principal}".lower()
        if step.status == 409 and mark not in made:
            principals.create(azure, kind="other", name="recorded", principal=principal, settled=True)
            rbac.assign(azure, principal=principal, role=role, scope=scope, settled=True)
        elif step.status == 201:
            made.add(mark)
            if not any(principal in json.dumps(s.response) for s in steps if s.number < step.number):
                principals.create(azure, kind="other", name="recorded", principal=principal, settled=True)


def _states(azure: Azure, steps: list[Step]) -> None:
    """Revisions of apps that were there before: in the state in which the recording first shows them."""
    written: set[str] = set()
    seen: set[tuple[str, str]] = set()
    for step in steps:
        app = "/".join(step.key.split("/")[:9])
        if step.method != "GET":
            written.add(app)
        if step.method != "GET" or step.status != 200 or "/revisions" not in step.key or app in written:
            continue
        known = azure.world.table("revisions").get(app) or {}
        if "/replicas" in step.key:
            _replicas(known.get(step.path.split("/")[10]), step, seen)
            continue
        for entry in _documents(step):
            record = known.get(entry["name"])
            if record is None or (app, entry["name"]) in seen:
                continue
            seen.add((app, entry["name"]))
            properties = entry["properties"]
            record["state"] = properties["runningState"]
            if properties.get("provisioningError"):
                record |= {"error": properties["provisioningError"], "details": properties["runningStateDetails"]}


def _replicas(record: Json | None, step: Step, seen: set[tuple[str, str]]) -> None:
    if record is None or (step.path.split("/")[8], f"{record['name']}/replicas") in seen:
        return
    seen.add((step.path.split("/")[8], f"{record['name']}/replicas"))
    shown = _documents(step)
    template = record["replicas"][0] if record["replicas"] else {"created": step.moment, "id": "0" * 32, "restarts": 0}
    record["replicas"] = []
    for entry in shown:
        inner = (entry["properties"].get("containers") or [{}])[0]
        state = "running" if inner.get("ready") else "started" if inner.get("started") else "starting"
        record["replicas"].append({**template, "name": entry["name"], "state": state, "started": step.moment})


def _state(step: Step) -> str | None:
    found: str | None = ((step.response or {}).get("properties") or {}).get("provisioningState")
    return found


def _operations(azure: Azure, steps: list[Step]) -> None:
    """Operations that began before the first recorded interaction."""
    started = {step.started for step in steps if step.started}
    for step in steps:
        guid = step.operation
        if guid is None or guid in started or guid in azure.world.table("operations") or "job" in step.key:
            continue
        match = re.search(r"/locations/([^/]+)/(\w+)Operation(Statuses|Results)/", step.path, re.IGNORECASE)
        polls = [other for other in steps if other.operation == guid]
        done = [p.moment for p in polls if p.status in {200, 204} and (p.response or {}).get("status") != "InProgress"]
        kind = match[2] if match else "containerapp"
        after = [
            s
            for s in steps
            if s.method == "GET" and s.moment > step.moment and s.key.count("/") == 8 and not s.operation
        ]
        target = after[0].key if after else ""
        azure.world.table("operations")[guid] = {
            "kind": "managedEnvironment" if kind.lower().startswith("managed") else "containerapp",
            "verb": "put",
            "resource": target,
            "subscription": step.path.split("/")[2],
            "location": match[1] if match else "eastus",
            "started": step.moment,
            "status": "InProgress",
            "name": guid,
        }
        shown = [(s.moment, _state(s)) for s in after if s.key == target and _state(s)]
        waiting = [p.moment for p in polls if p.moment not in done]
        if not done:
            waiting += [moment for moment, state in shown if state == "InProgress"]
        still = max(done or waiting)
        ended = [(moment, state) for moment, state in shown if moment >= still and state in {"Succeeded", "Failed"}]
        if ended and ended[0][1] == "Failed":
            azure.world.table("operations")[guid]["expires"] = True
        state = ((_first_shown(steps, after[0].path) or {}).get("properties") or {}) if after else {}
        due = done[0] - 0.5 if done else (still + ended[0][0]) / 2 if ended else still + 15.0
        azure.world.schedule(due, f"{azure.world.table('operations')[guid]['kind']}.done", operation=guid)
        if state.get("provisioningState") == "InProgress":
            azure.world.table("busy")[target] = guid
