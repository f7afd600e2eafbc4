"""A simulated cloud with one environment, and container apps in it, asked in process."""

from __future__ import annotations

import copy
from typing import Any

from migrator.simulator.wire import Response
from tests.simulator.inside import GROUP, Inside

ENVIRONMENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/shop-env"
APP = f"{GROUP}/providers/Microsoft.App/containerApps/web"
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
VERSION = "2026-07-01"
TEMPLATE: Any = {"containers": [{"name": "main", "image": "nginx"}], "scale": {"minReplicas": 1}}


class Apps(Inside):
    """One cloud with a ready environment."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.azure.switches.principal_replication = (0.0, 0.0)
        self.load("Microsoft.App/managedEnvironments", {"id": ENVIRONMENT, "location": "westeurope"})

    def load(self, kind: str, document: dict[str, Any]) -> None:
        """Take a document in as an estate file would."""
        self.azure.loaders[kind.lower()](self.azure, document)

    def user_identity(self, name: str) -> str:
        """A user-assigned identity; answers with its id."""
        identifier = f"{IDENTITIES}/{name}"
        self.load("Microsoft.ManagedIdentity/userAssignedIdentities", {"id": identifier, "location": "westeurope"})
        return identifier

    def principal(self, identity: str) -> str:
        return str(self.azure.world.resources[identity.lower()]["properties"]["principalId"])

    def body(self, **parts: Any) -> dict[str, Any]:
        """A PUT body: `configuration`, `template`, or whole top-level members."""
        properties = copy.deepcopy(parts.pop("properties", {}))
        properties |= {key: parts.pop(key) for key in ("configuration", "template") if key in parts}
        properties = {"environmentId": ENVIRONMENT, "template": copy.deepcopy(TEMPLATE), **properties}
        return {"location": "westeurope", **parts, "properties": properties}

    def put(self, path: str = APP, *, caller: str | None = None, **parts: Any) -> Response:
        return self.arm("PUT", path, self.body(**parts), version=VERSION, caller=caller)

    def create(self, path: str = APP, **parts: Any) -> Any:
        """Make an app and wait until it runs; answers with its document."""
        response = self.put(path, **parts)
        assert response.status == 201, response.body
        self.wait(20)
        return self.get(path)

    def get(self, path: str = APP, version: str = "2026-03-02-preview") -> Any:
        response = self.arm("GET", path, version=version)
        assert response.status == 200, response.body
        return response.body

    def patch(self, body: dict[str, Any], path: str = APP, *, caller: str | None = None) -> Response:
        return self.arm("PATCH", path, body, version=VERSION, caller=caller)

    def change(self, body: dict[str, Any], path: str = APP) -> Any:
        """Patch an app and wait until the operation and its replicas are done; answers with its document."""
        response = self.patch(body, path)
        assert response.status == 202, response.body
        self.wait(20)
        return self.get(path)

    def latest(self, path: str = APP) -> str:
        return str(self.get(path)["properties"]["latestRevisionName"])

    def revisions(self, path: str = APP) -> dict[str, Any]:
        """Properties of an app's revisions by name."""
        listed = self.arm("GET", f"{path}/revisions", version=VERSION).body["value"]
        return {entry["name"]: entry["properties"] for entry in listed}

    def secrets(self, path: str = APP) -> dict[str, Any]:
        listed = self.arm("POST", f"{path}/listSecrets", version=VERSION).body["value"]
        return {entry["name"]: entry.get("value") for entry in listed}
