"""An estate in which every row of the surface holds a value of its own."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

from scanners.surface import APP, CONNECTED, ENVIRONMENT, EXECUTION, JOB, POOL, REVISION, ROWS, Does, Judge, Row

Json = dict[str, Any]

SUB = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUB}/resourceGroups/rg-shop"
APPS = f"{GROUP}/providers/Microsoft.App"
HOME = f"{APPS}/managedEnvironments/env"
ELSEWHERE = f"{APPS}/connectedEnvironments/k8s"

IDS = {
    APP: f"{APPS}/containerApps/web",
    REVISION: f"{APPS}/containerApps/web/revisions/web--old",
    JOB: f"{APPS}/jobs/nightly",
    EXECUTION: f"{APPS}/jobs/nightly/executions/nightly-abc1234",
    ENVIRONMENT: HOME,
    CONNECTED: ELSEWHERE,
    POOL: f"{APPS}/sessionPools/pool",
    f"{ENVIRONMENT}/daprcomponents": f"{HOME}/daprComponents/pubsub",
    f"{CONNECTED}/daprcomponents": f"{ELSEWHERE}/daprComponents/pubsub",
    f"{ENVIRONMENT}/certificates": f"{HOME}/certificates/site",
    f"{CONNECTED}/certificates": f"{ELSEWHERE}/certificates/site",
    f"{ENVIRONMENT}/storages": f"{HOME}/storages/files",
    f"{CONNECTED}/storages": f"{ELSEWHERE}/storages/files",
    f"{ENVIRONMENT}/javacomponents": f"{HOME}/javaComponents/config",
    f"{ENVIRONMENT}/dotnetcomponents": f"{HOME}/dotNetComponents/aspire",
    f"{APP}/sourcecontrols": f"{APPS}/containerApps/web/sourcecontrols/current",
}
"""One resource of each type."""


RULES = {"custom": 0, "http": 1, "tcp": 2}
"""Which rule of an app is of which kind: one rule has one."""


def canary(row: Row, kind: str) -> str:
    """A value that any judge takes for a secret, one for each row and type; it names its row for whoever greps it."""
    digits = f"{zlib.crc32(f'{row.number} {row.path} {kind}'.encode()) % 10**9:09d}"
    return f"q7Rw{row.number:02d}xZk{digits}LmT4vBn"


def value_at(row: Row, kind: str) -> str:
    """What stands in the place: the canary as that place would hold it."""
    value = canary(row, kind)
    if row.judge is Judge.TEXT:
        return f"user:{value}@shop.example.com/web:1"
    if row.judge is Judge.COMMAND:
        return f"--password={value}"
    return value


def planted() -> Iterator[tuple[Row, str, str]]:
    """Row, type and place of every value that Azure shows (`Does.NAMES` and `NOTHING` left out)."""
    for row in ROWS:
        for kind in row.kinds:
            if row.does in {Does.MIGRATES, Does.REPORTS} and kind in IDS:
                path = re.sub(r"\{\}$", ".password", row.path.replace("[]", "[0]"))
                yield (
                    row,
                    kind,
                    re.sub(r"rules\[0\]\.(http|tcp)", lambda match: f"rules[{RULES[match[1]]}].{match[1]}", path),
                )


def documents() -> dict[str, Json]:
    """One document of each type, with a value in each place that Azure shows, by type."""
    made: dict[str, Json] = {
        kind: {"id": resource, "name": resource.rpartition("/")[2]} for kind, resource in IDS.items()
    }
    for row, kind, _ in planted():
        _plant(made[kind], row.path.split("."), row, value_at(row, kind))
    for kind in (APP, JOB):
        _complete(made[kind])
    for kind in (REVISION, EXECUTION):
        for part in ("containers", "initContainers"):
            for container in made[kind]["properties"]["template"][part]:
                container.setdefault("name", "old")
        for at, rule in enumerate((made[kind]["properties"]["template"].get("scale") or {}).get("rules") or []):
            rule["name"] = f"rule-{at}"
    unseen(made)
    return made


def unseen(made: dict[str, Json]) -> None:
    """Around values that Azure never shows: what tells that there is one."""
    environment = made[ENVIRONMENT].setdefault("properties", {})
    environment |= {
        "appLogsConfiguration": {
            "destination": "log-analytics",
            "logAnalyticsConfiguration": {
                "customerId": "11111111-aaaa-bbbb-cccc-222222222222",
                "sharedKey": "never-shown",
            },
        },
        "appInsightsConfiguration": {"connectionString": "never-shown"},
        "openTelemetryConfiguration": {
            "destinationsConfiguration": {
                "dataDogConfiguration": {"site": "datadoghq.eu", "key": "never-shown"},
                "otlpConfigurations": [
                    {
                        "name": "o",
                        "endpoint": "https://o.example.com",
                        "headers": [{"key": "x-key", "value": "never-shown"}],
                    }
                ],
            }
        },
        "customDomainConfiguration": {"dnsSuffix": "shop.example.com", "certificateValue": "bmV2ZXI="},
    }
    for home in (ENVIRONMENT, CONNECTED):
        made[f"{home}/certificates"].setdefault("properties", {})["value"] = "bmV2ZXI="
        made[f"{home}/storages"]["properties"] = {
            "azureFile": {
                "accountName": "shop",
                "accountKey": "never-shown",
                "shareName": "s",
                "accessMode": "ReadOnly",
            }
        }
    pool = made[POOL].setdefault("properties", {})
    pool["secrets"] = [{"name": "pool-secret", "value": "never-shown"}]
    pool.setdefault("customContainerTemplate", {})["registryCredentials"] = {
        "server": "shop.example.com",
        "username": "u",
        "passwordSecretRef": "pool-secret",
    }
    made[f"{APP}/sourcecontrols"]["properties"] = {
        "repoUrl": "https://github.com/shop/web",
        "githubActionConfiguration": {
            "registryInfo": {
                "registryUrl": "shop.azurecr.io",
                "registryUserName": "shop",
                "registryPassword": "never-shown",
            }
        },
    }


def _plant(node: Json, parts: list[str], row: Row, value: str) -> None:
    name = parts[0].rstrip("[]{}")
    if parts[0].endswith("{}"):
        node.setdefault(name, {})["password"] = value
    elif parts[0].endswith("[]"):
        if len(parts) == 1:
            node.setdefault(name, []).append(value)
        else:
            items = node.setdefault(name, [])
            at = RULES.get(parts[1], 0) if name == "rules" else 0
            items += [{} for _ in range(at + 1 - len(items))]
            _plant(items[at], parts[1:], row, value)
    elif len(parts) == 1:
        node[name] = value
        if row.label:
            node[row.label] = "password"
    else:
        _plant(node.setdefault(name, {}), parts[1:], row, value)


def _complete(document: Json) -> None:
    """What an app or a job must have beside the planted values to be one."""
    document["location"] = "westeurope"
    properties = document["properties"]
    properties["environmentId"] = HOME
    configuration = properties["configuration"]
    secret = configuration["secrets"][0]
    secret["name"] = "db-password"
    configuration["registries"] = [
        {"server": "shop.azurecr.io", "username": "shop", "passwordSecretRef": "db-password"}
    ]
    for part in ("containers", "initContainers"):
        container = properties["template"][part][0]
        container["name"] = part.lower()
    for at, rule in enumerate(((properties["template"].get("scale") or {}).get("rules")) or []):
        rule["name"] = f"rule-{at}"
    if "/jobs/" in document["id"]:
        configuration["triggerType"] = "Event"
        configuration["eventTriggerConfig"]["scale"]["rules"][0] |= {"name": "rule", "type": "azure-queue"}


def estate() -> Json:
    """The estate file."""
    return {"schema": 1, "subscriptions": [SUB], "resources": list(documents().values())}
