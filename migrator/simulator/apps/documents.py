"""Container app documents: what a request becomes in the first answer, and what the service fills in by the time of a GET.

Everything here follows the table of traffic, section 3. A stored document is in the form of a GET at the newest
preview; `view` reduces it to an api-version. Secret values are never in it (see `secrets`).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import identities, places
from migrator.simulator.apps.schema import SCHEMA, show
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

KIND = "Microsoft.App/containerApps"

UNTIL_READY = ("runningStatus", "latestRevisionName", "latestReadyRevisionName", "latestRevisionFqdn")
"""Members that the first answer to a write lacks (2025; in 2023 they were there, empty)."""

_MODES = {"single": "Single", "multiple": "Multiple", "labels": "Labels"}
_TRANSPORTS = {"auto": "Auto", "http": "Http", "http2": "Http2", "tcp": "Tcp"}
_CERTIFICATES = {"accept": "Accept", "ignore": "Ignore", "require": "Require"}


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396: objects merge, arrays and values are replaced, null deletes."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def view(azure: Azure, document: Json, version: str) -> Json:
    """A stored document as a GET at `version` shows it."""
    identity = identities.shown(azure, document.get("identity"))
    shown: Json = show({**document, "identity": identity}, "ContainerApp", version)
    if not document.get("tags"):
        shown.pop("tags", None)
    return shown


def first_answer(azure: Azure, document: Json, accepted: Json, version: str, *, created: bool) -> Json:
    """The body of a 201: the request as the service understood it, before anything is filled in.

    Args:
        azure: The simulated cloud.
        document: The stored document after the write.
        accepted: The properties as `understood` read them.
        version: The request's api-version.
        created: Whether the app is new: then `createdAt` has a `Z` too, as times not yet stored do.
    """
    properties = {k: v for k, v in document["properties"].items() if k not in {*UNTIL_READY, "eventStreamEndpoint"}}
    properties.pop("deploymentErrors", None)
    stamps = dict(document["systemData"])
    for name in ("lastModifiedAt", *(("createdAt",) if created else ())):
        stamps[name] += "Z"
    return view(
        azure,
        {
            **document,
            "systemData": stamps,
            "properties": {
                **properties,
                "provisioningState": "InProgress",
                "configuration": accepted["configuration"],
                "template": accepted["template"],
            },
        },
        version,
    )


def understood(properties: Json, *, created: bool) -> Json:
    """Configuration and template of a write as a 201 shows them: words in their case, nothing filled in yet."""
    configuration = copied(properties.get("configuration") or {})
    template = copied(properties.get("template") or {})
    mode = configuration.get("activeRevisionsMode") or "Single"
    configuration["activeRevisionsMode"] = _MODES.get(str(mode).lower(), mode)
    if configuration.get("secrets") is not None:
        configuration["secrets"] = [public_secret(secret) for secret in configuration["secrets"]]
    if configuration.get("identitySettings") is None:
        configuration["identitySettings"] = []
    if created and configuration.get("maxInactiveRevisions") is None:
        configuration["maxInactiveRevisions"] = 100
    if isinstance(ingress := configuration.get("ingress"), dict):
        for name, words in (("transport", _TRANSPORTS), ("clientCertificateMode", _CERTIFICATES)):
            if ingress.get(name) is not None:
                ingress[name] = words.get(str(ingress[name]).lower(), ingress[name])
        if ingress.get("traffic") is not None:
            ingress["traffic"] = [_traffic(entry) for entry in ingress["traffic"]]
    for container in _containers(template):
        container.setdefault("imageType", None)
        container["imageType"] = container["imageType"] or "CloudBuild"
        if isinstance(resources := container.get("resources"), dict):
            resources["ephemeralStorage"] = _storage(resources.get("cpu"))
    return {"configuration": configuration, "template": template}


def public_secret(secret: Json) -> Json:
    """A secret as a GET shows it: name, and where its value comes from; never the value."""
    reference = {key: secret[key] for key in ("keyVaultUrl", "identity") if secret.get(key)}
    return {"name": secret.get("name"), **(reference if "keyVaultUrl" in reference else {})}


def _containers(template: Json) -> list[Json]:
    return [*(template.get("containers") or []), *(template.get("initContainers") or [])]


def _traffic(entry: Json) -> Json:
    return {
        key: value for key, value in entry.items() if value is not None and not (key == "latestRevision" and not value)
    }


def _storage(cpu: Any) -> str:
    """Ephemeral storage follows the cores, whatever a request says (traffic, section 3; MS:container-apps/storage-mounts)."""
    cores = float(cpu or 0.5)
    return "1Gi" if cores <= 0.25 else "2Gi" if cores <= 0.5 else "4Gi" if cores <= 1 else "8Gi"


def memory(text: Any) -> Any:
    """An amount of memory in its shortest spelling: `1.0Gi` -> `1Gi`."""
    if not isinstance(text, str) or not text.endswith("Gi"):
        return text
    try:
        amount = Decimal(text[:-2]).normalize()
    except InvalidOperation:
        return text
    return f"{amount:f}Gi"


def settled(accepted: Json) -> Json:
    """Configuration and template as a GET shows them: defaults filled in, empty lists gone."""
    configuration, template = copied(accepted["configuration"]), copied(accepted["template"])
    for name in ("secrets", "registries"):
        configuration[name] = configuration.get(name) or None
    configuration["targetLabel"] = configuration.get("targetLabel") or ""
    for registry in configuration["registries"] or []:
        for name in ("username", "passwordSecretRef", "identity"):
            registry[name] = registry.get(name) or ""
    if isinstance(configuration.get("ingress"), dict):
        _settle_ingress(configuration["ingress"], labels=configuration["activeRevisionsMode"] == "Labels")
    if isinstance(dapr := configuration.get("dapr"), dict):
        # as captured of an app that a template gave no more than id and port
        _defaults(dapr, {"enabled": False, "enableApiLogging": False, "appProtocol": "http", "logLevel": "info"})
    template["revisionSuffix"] = template.get("revisionSuffix") or ""
    for name in ("initContainers", "volumes", "serviceBinds"):
        template[name] = template.get(name) or None
    for container in _containers(template):
        _settle_container(container)
    for volume in template["volumes"] or []:
        if not volume.get("secrets"):
            volume.pop("secrets", None)
    scale = template.get("scale") or {}
    template["scale"] = {
        **scale,
        "minReplicas": scale.get("minReplicas"),
        "maxReplicas": 10 if scale.get("maxReplicas") is None else scale["maxReplicas"],
        "cooldownPeriod": 300 if scale.get("cooldownPeriod") is None else scale["cooldownPeriod"],
        "pollingInterval": 30 if scale.get("pollingInterval") is None else scale["pollingInterval"],
        "rules": [_sparse(rule, "ScaleRule") for rule in scale.get("rules") or []] or None,
    }
    return {"configuration": configuration, "template": template}


def _sparse(value: Any, kind: str) -> Any:
    """Without its null members, at every depth."""
    if not isinstance(value, dict):
        return value
    members = SCHEMA[kind].members if kind in SCHEMA else {}
    return {
        name: [_sparse(item, members[name.lower()].kind) for item in given]
        if isinstance(given, list) and name.lower() in members
        else _sparse(given, members[name.lower()].kind if name.lower() in members else "")
        for name, given in value.items()
        if given is not None
    }


def _defaults(target: Json, values: Json) -> None:
    for name, value in values.items():
        if target.get(name) is None:
            target[name] = value


def _settle_ingress(ingress: Json, *, labels: bool) -> None:
    _defaults(ingress, {"external": False, "transport": "Auto", "allowInsecure": False, "exposedPort": 0})
    for name in ("customDomains", "ipSecurityRestrictions", "additionalPortMappings"):
        ingress[name] = ingress.get(name) or None
    if not ingress.get("traffic"):
        ingress["traffic"] = None if labels else [{"weight": 100, "latestRevision": True}]
    if isinstance(cors := ingress.get("corsPolicy"), dict):
        for name in ("allowedOrigins", "allowedMethods", "allowedHeaders", "exposeHeaders"):
            cors[name] = cors.get(name) or None
        _defaults(cors, {"allowCredentials": False})


def _settle_container(container: Json) -> None:
    container["imageType"] = "ContainerImage"
    for name in ("env", "command", "args", "volumeMounts"):
        if not container.get(name):
            container.pop(name, None)
    if "env" in container:
        container["env"] = [_sparse(entry, "Env") for entry in container["env"]]
    resources = container.get("resources") or {}
    cores = 0.5 if resources.get("cpu") is None else resources["cpu"]
    kept = {key: value for key, value in resources.items() if value is not None}
    container["resources"] = {
        **kept,
        "cpu": cores,
        "memory": memory(resources.get("memory")) or f"{float(cores) * 2:g}Gi",
        "ephemeralStorage": _storage(cores),
    }


def located(azure: Azure, document: Json, environment: Json) -> None:
    """Set what depends on where the app runs: its names in the environment's domain, addresses, event stream."""
    properties = document["properties"]
    subscription, group, name = places.parts(document["id"])
    area = environment["properties"]
    home = area.get("defaultDomain") or ""
    properties["managedEnvironmentId"] = properties["environmentId"] = environment["id"]
    if properties.get("workloadProfileName") is None and area.get("workloadProfiles"):
        properties["workloadProfileName"] = "Consumption"
    properties.setdefault("workloadProfileName", None)
    properties["patchingMode"] = properties.get("patchingMode") or "Automatic"
    if not properties.get("outboundIpAddresses"):
        properties["outboundIpAddresses"] = places.addresses(azure.world, environment["id"])
    domains = area.get("customDomainConfiguration") or {}
    properties["customDomainVerificationId"] = (
        properties.get("customDomainVerificationId")
        or domains.get("customDomainVerificationId")
        or places.verification(azure.world)
    )
    properties.setdefault("delegatedIdentities", [])
    properties["eventStreamEndpoint"] = (
        f"https://{places.slug(document['location'])}.azurecontainerapps.dev/subscriptions/{subscription}"
        f"/resourceGroups/{group}/containerApps/{name}/eventstream"
    )
    ingress = properties["configuration"].get("ingress")
    if isinstance(ingress, dict) and home:
        brought = azure.world.table("hosts").get(document["id"].lower())
        if brought and brought["external"] == bool(ingress.get("external")):
            ingress["fqdn"] = brought["fqdn"]
        else:
            ingress["fqdn"] = f"{name}.{home}" if ingress.get("external") else f"{name}.internal.{home}"


def host(document: Json, environment: Json | None, revision: str) -> str:
    """The host name of a revision; empty for an app without ingress."""
    ingress = document["properties"]["configuration"].get("ingress")
    if not isinstance(ingress, dict):
        return ""
    fqdn = str(ingress.get("fqdn") or "")
    name = places.parts(document["id"])[2]
    if fqdn.startswith(name + "."):
        return revision + fqdn[len(name) :]
    home = ((environment or {}).get("properties") or {}).get("defaultDomain") or ""
    return f"{revision}.{home}" if home else ""


def stamped(azure: Azure, principal: str, old: Json | None) -> Json:
    """`systemData` after a write by `principal`: who made it and who changed it last, times without a zone."""
    entry = azure.world.table("principals").get(principal, {})
    who = {
        "By": str(entry.get("clientId") or principal),
        "ByType": "Application",
        "At": iso(azure.clock.now(), zone=""),
    }
    made = {name: value for name, value in (old or {}).items() if name.startswith("created")}
    return {
        **(made or {f"created{part}": value for part, value in who.items()}),
        **{f"lastModified{part}": value for part, value in who.items()},
    }
