"""Jobs with values in every place that a migration moves them from."""

from __future__ import annotations

from typing import Any

from migrator.model import Json

from .world import ENVIRONMENT, GROUP, PLANTED

CONNECTION = "connection-string"
"""The inline secret that the scale rule of an event job uses."""


def job_id(name: str) -> str:
    return f"{GROUP}/providers/Microsoft.App/jobs/{name}"


def job(name: str = "nightly", *, template: Json | None = None, **configuration: Any) -> Json:
    """An event job: an env value, an inline secret that its rule uses, and another that nothing here moves."""
    rule = {
        "name": "queue",
        "type": "azure-queue",
        "metadata": {"queueName": "orders", "queueLength": "1", "accountName": "shop"},
        "auth": [{"secretRef": CONNECTION, "triggerParameter": "connection"}],
    }
    return {
        "id": job_id(name),
        "type": "Microsoft.App/jobs",
        "location": "westeurope",
        "tags": {"team": "shop"},
        "properties": {
            "environmentId": ENVIRONMENT,
            "configuration": {
                "triggerType": "Event",
                "replicaTimeout": 60,
                "eventTriggerConfig": {"scale": {"minExecutions": 0, "maxExecutions": 5, "rules": [rule]}},
                "secrets": [
                    {"name": CONNECTION, "value": PLANTED["client"]},
                    {"name": "other", "value": "stays-inline-as-it-is"},
                ],
                **configuration,
            },
            "template": {
                "containers": [
                    {
                        "name": "main",
                        "image": "mcr.microsoft.com/k8se/quickstart-jobs:latest",
                        "resources": {"cpu": 0.5, "memory": "1Gi"},
                        "env": [
                            {"name": "DB", "value": PLANTED["database"]},
                            {"name": "QUEUE", "secretRef": CONNECTION},
                        ],
                    }
                ],
                "initContainers": [
                    {"name": "prepare", "image": "busybox", "env": [{"name": "SHARED", "value": PLANTED["shared"]}]}
                ],
                **(template or {}),
            },
        },
    }
