"""Container apps of an estate file: real GET documents as they stand, and documents that others wrote with values.

An app is stored when it is read; what depends on other documents (its environment, vaults, identities) follows when the
whole estate is there, as an event that is due at once.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals
from migrator.simulator.apps import (
    documents,
    environments,
    identities,
    places,
    refreshing,
    replicas,
    revisions,
    schema,
    secrets,
)
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

REVISION = f"{documents.KIND}/revisions"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def load_app(azure: Azure, document: Json) -> None:
    """Take an app in. Its inline secrets without a value (a GET shows none) get one that is made up.

    An app without an environment gets one of its group's own, made like every one that an app names and the file lacks.
    """
    given: Json = {key: value for key, value in copied(document).items() if key != "resourceGroup"}
    subscription, group, name = places.parts(given["id"])
    properties: Json = schema.lenient(given.get("properties") or {}, "Properties")
    texts(properties.get("template") or {})
    home = (
        properties.get("environmentId")
        or properties.get("managedEnvironmentId")
        or f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/managedEnvironments/{group}"
    )
    identifier = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/containerapps/{name}"
    app = identifier.lower()
    sent = (properties.get("configuration") or {}).get("secrets") or []
    accepted = documents.understood(properties, created=False)
    filled = documents.settled(accepted)
    _keep_given(properties.get("template") or {}, filled["template"])
    stored: Json = {
        **{key: value for key, value in given.items() if key in {"managedBy", "kind", "extendedLocation"}},
        "id": identifier,
        "name": name,
        "type": documents.KIND,
        "location": given.get("location") or "",
        "systemData": given.get("systemData") or documents.stamped(azure, "", None),
        "properties": {
            **properties,
            **filled,
            "provisioningState": properties.get("provisioningState") or "Succeeded",
            "runningStatus": properties.get("runningStatus") or "Running",
            "environmentId": home,
        },
        "identity": identity_of(azure, identifier, given.get("identity")),
    }
    if given.get("tags"):
        stored["tags"] = given["tags"]
    azure.world.resources[app] = stored
    azure.world.table("app-secrets")[app] = {
        str(secret["name"]): {"value": value_of(azure, app, secret), "synced": azure.clock.now()}
        for secret in sent
        if not secret.get("keyVaultUrl")
    }
    waiting = azure.world.table("apps-loading")
    if not waiting:
        azure.world.schedule(azure.clock.now(), "containerapp.loaded")
    waiting[app] = True
    refreshing.ensure(azure)


def texts(template: Json) -> None:
    """Env values that a person wrote as numbers or booleans, as the text they mean."""
    for container in [*(template.get("containers") or []), *(template.get("initContainers") or [])]:
        for entry in container.get("env") or []:
            if isinstance(entry.get("value"), (bool, int, float)):
                entry["value"] = json.dumps(entry["value"])


def value_of(azure: Azure, app: str, secret: Json) -> str:
    """The value of an inline secret of an estate file; made up where the file gives none."""
    # an empty value stays: it blocks later writes, as in Azure
    return str(secret["value"]) if secret.get("value") is not None else azure.world.guid("secret", app, secret["name"])


def _keep_given(given: Json, filled: Json) -> None:
    """What a captured document says of resources and scale stays, also where an app made now would show another value."""
    filled["scale"] |= {k: v for k, v in (given.get("scale") or {}).items() if k != "rules"}
    for kind in ("containers", "initContainers"):
        for was, becomes in zip(given.get(kind) or [], filled.get(kind) or [], strict=True):
            becomes["resources"] |= {k: v for k, v in (was.get("resources") or {}).items() if k != "memory"}


def identity_of(azure: Azure, resource: str, given: Json | None) -> Json:
    """The identity that a resource of an estate file has, with a principal of its own where it is a system identity."""
    types = identities.kinds(given)
    found: Json = {"type": ", ".join(kind for kind in (identities.SYSTEM, identities.USER) if kind in types) or "None"}
    if identities.SYSTEM in types:
        wanted = str((given or {}).get("principalId") or "")
        taken = not _GUID.fullmatch(wanted) or wanted.lower() in azure.world.table("principals")
        entry = principals.create(
            azure,
            kind="system",
            name=resource.rpartition("/")[2],
            resource=resource,
            principal=azure.world.guid("system", resource.lower()) if taken else wanted,
            client=azure.world.guid("system-client", resource.lower()),
            settled=True,
        )
        found |= {"principalId": entry["id"], "tenantId": (given or {}).get("tenantId") or azure.world.tenant}
    if identities.USER in types:
        found["userAssignedIdentities"] = {
            identities.canonical(key): {k: v for k, v in (value or {}).items() if k in {"principalId", "clientId"}}
            for key, value in identities.old_ids(given).items()
        }
    return found


def on_loaded(azure: Azure, due: float, _event: dict[str, Any]) -> None:
    """The estate is there: its apps get their places, their running revisions and the values of their references."""
    waiting = azure.world.table("apps-loading")
    for app in list(waiting):
        del waiting[app]
        document: Json | None = azure.world.resources.get(app)
        if document is not None:
            _complete(azure, app, document, due)


def _complete(azure: Azure, app: str, document: Json, due: float) -> None:
    properties, name = document["properties"], document["name"]
    fqdn = str((properties["configuration"].get("ingress") or {}).get("fqdn") or "")
    domain = fqdn.removeprefix(f"{name}.").removeprefix("internal.") if fqdn.startswith(f"{name}.") else ""
    place = document["location"] or "eastus"
    environment = environments.ensure_environment(azure, properties["environmentId"], place, domain=domain)
    document["location"] = places.display(str(document["location"] or environment["location"]))
    profile = properties.get("workloadProfileName", "")
    documents.located(azure, document, environment)
    if profile is None:
        properties["workloadProfileName"] = None  # as captured, though a new app would get a profile
    if fqdn:
        ingress = properties["configuration"]["ingress"]
        ingress["fqdn"] = fqdn
        # an estate's environment may lack its domain: the app keeps the name it came with through every write
        azure.world.table("hosts")[app] = {"fqdn": fqdn, "external": bool(ingress.get("external"))}
    _revisions(azure, app, document, due)
    for secret in properties["configuration"].get("secrets") or []:
        if "keyVaultUrl" in secret:
            value = secrets.fetch(azure, secrets.reader(azure, document), secret)
            secrets.values(azure, app)[secret["name"]] = {"value": value, "synced": due}


def _revisions(azure: Azure, app: str, document: Json, due: float) -> None:
    properties, name = document["properties"], document["name"]
    kept = {key: properties.get(key) for key in ("latestReadyRevisionName", "latestRevisionFqdn", "runningStatus")}
    suffix = properties["template"].get("revisionSuffix")
    latest = str(properties.get("latestRevisionName") or f"{name}--{suffix or replicas.letters(azure.world, 7)}")
    known = revisions.records(azure, app)
    traffic = (properties["configuration"].get("ingress") or {}).get("traffic") or []
    for other in [str(entry["revisionName"]) for entry in traffic if entry.get("revisionName")]:
        if other != latest and other not in known:
            revisions.make(azure, document, other, due, running=True)
    if latest in known:
        record = known.pop(latest)  # an estate may describe the latest revision too; it is the newest
        known[latest] = record | {"active": True}
        properties["latestRevisionName"] = latest
    else:
        revisions.make(azure, document, latest, due, running=True)
    record = known[latest]
    if not record["replicas"]:
        revisions.start(azure, app, record, due, running=True)
    record["created"] = moment_of(document["systemData"].get("lastModifiedAt"), due)
    counters = [int(m[1]) + 1 for item in known if (m := re.search(r"--(\d{7})$", item))]
    revisions.state(azure, app)["made"] = max([len(known), *counters])
    for key, value in kept.items():
        if value is not None:
            properties[key] = value
    if properties.get("latestReadyRevisionName") is None:
        properties["latestReadyRevisionName"] = latest


def moment_of(text: Any, otherwise: float) -> float:
    """A time of a document as seconds since the epoch."""
    try:
        stamp = datetime.fromisoformat(str(text)[:19])
    except ValueError:
        return otherwise
    return stamp.replace(tzinfo=UTC).timestamp()


def load_revision(azure: Azure, document: Json) -> None:
    """Take a revision of an estate file in: one that is not the latest, with the template it had."""
    before, _, name = str(document["id"]).rpartition("/revisions/")
    subscription, group, app_name = places.parts(before)
    app = (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/containerapps/{app_name}".lower()
    )
    properties = document.get("properties") or {}
    template = documents.settled(documents.understood({"template": properties.get("template")}, created=False))[
        "template"
    ]
    now = azure.clock.now()
    record: Json = {
        "name": name,
        "created": moment_of(properties.get("createdTime"), now),
        "template": template,
        "active": bool(properties.get("active")),
        "state": "Stopped",
        "ready": True,
        "batch": replicas.letters(azure.world, 10),
        "replicas": [],
    }
    revisions.records(azure, app)[name] = record
    if record["active"]:
        revisions.start(azure, app, record, now, running=True)
    else:
        record["lastActive"] = moment_of(properties.get("lastActiveTime"), now)


def load_auth_config(azure: Azure, document: Json) -> None:
    """Take an authConfig of an estate file in."""
    before, _, name = str(document["id"]).partition("/authConfigs/")
    subscription, group, app_name = places.parts(before)
    app = (
        f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/containerapps/{app_name}".lower()
    )
    azure.world.table("auth-configs")[app] = {
        "id": f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/containerApps/{app_name}"
        f"/authConfigs/{name or 'current'}",
        "name": name or "current",
        "type": "Microsoft.App/containerapps/authconfigs",
        "properties": document.get("properties") or {},
    }
