"""Revisions as a GET shows them (traffic, section 6): states of now, the template they were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import documents, validation
from migrator.simulator.apps.revisions import live
from migrator.simulator.apps.schema import show
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure


def weight(document: Json, name: str) -> int:
    """The share of traffic that a revision is given; no proof that it serves (CORRECTIONS, section 2.2)."""
    properties = document["properties"]
    latest = properties.get("latestRevisionName") == name
    ingress = properties["configuration"].get("ingress")
    if not isinstance(ingress, dict):
        return 100 if latest else 0
    return sum(
        int(entry.get("weight") or 0)
        for entry in ingress.get("traffic") or []
        if entry.get("revisionName") == name or (latest and entry.get("latestRevision"))
    )


def view(azure: Azure, document: Json, record: Json, version: str) -> Json:
    """One revision at an api-version."""
    app = document["name"]
    group = document["id"].split("/providers/")[0]
    environment = azure.world.resources.get(str(document["properties"].get("environmentId") or "").lower())
    failed = record["state"] == "Failed"
    healthy = record["state"] in {"Running", "RunningAtMaxScale", "ScaledToZero", "Deprovisioning", "Stopped"}
    properties: Json = {
        "createdTime": iso(record["created"], zone="+00:00", digits=0),
        "fqdn": documents.host(document, environment, record["name"]),
        "template": _template(azure, app, record["template"]),
        "active": record["active"],
        "replicas": len(live(record)),
        "trafficWeight": weight(document, record["name"]),
        "healthState": "Unhealthy" if failed else "Healthy" if healthy else "None",
        "provisioningState": "Failed" if failed else "Provisioned",
        "runningState": record["state"],
    }
    if "lastActive" in record:
        properties["lastActiveTime"] = iso(record["lastActive"], zone="+00:00", digits=0)
    if failed and record.get("error"):
        properties["provisioningError"] = record["error"]
        properties["runningStateDetails"] = record["details"]
    shown: Json = show(
        {
            "id": f"{group}/providers/Microsoft.App/containerApps/{app}/revisions/{record['name']}",
            "name": record["name"],
            "type": "Microsoft.App/containerapps/revisions",
            "properties": properties,
        },
        "Revision",
        version,
    )
    return shown


def _template(azure: Azure, app: str, template: Json) -> Json:
    """The part of a template that revisions show; plain env values are in it as they were."""
    shown = copied(template)
    shown["revisionSuffix"] = None
    for container in validation.containers(shown):
        container["resources"] = {
            k: v for k, v in (container.get("resources") or {}).items() if k != "ephemeralStorage"
        }
        if container in (shown.get("containers") or []):
            container.setdefault("probes", [])
        if azure.switches.secret_ref_display == "prefixed":  # noqa: S105 - a word for a way to show names
            for entry in container.get("env") or []:
                if entry.get("secretRef"):
                    entry["secretRef"] = f"capp-{app}"
    scale = shown.get("scale") or {}
    shown["scale"] = {
        "minReplicas": scale.get("minReplicas"),
        "maxReplicas": scale.get("maxReplicas"),
        "cooldownPeriod": None,
        "pollingInterval": None,
        "rules": [_rule(rule) for rule in scale.get("rules") or []] or None,
    }
    return shown


def _rule(rule: Json) -> Json:
    """A scale rule as a revision shows it: of http rules the number only (traffic, flow revisions-actions)."""
    if "http" not in rule:
        return rule
    metadata = (rule["http"] or {}).get("metadata") or {}
    return {
        "name": rule["name"],
        "http": {"metadata": {k: v for k, v in metadata.items() if k == "concurrentRequests"}},
    }
