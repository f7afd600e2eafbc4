"""A simulated cloud asked in process: a clock that the test moves, and callers with tokens."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from migrator.simulator import principals, rbac
from migrator.simulator.azure import Azure
from migrator.simulator.clock import Clock
from migrator.simulator.wire import Request, Response
from migrator.simulator.world import World

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-shop"
VAULTS = f"{GROUP}/providers/Microsoft.KeyVault/vaults"
REGISTRIES = f"{GROUP}/providers/Microsoft.ContainerRegistry/registries"
ARM = "https://management.azure.com"


class Inside:
    """One cloud with a standing clock, one subscription, one resource group, and an operator who is Owner of it."""

    def __init__(self, seed: int = 0) -> None:
        self.azure = Azure(World(seed), Clock(speed=0.0, start=1_700_000_000.0))
        world = self.azure.world
        world.table("subscriptions")[SUBSCRIPTION] = {
            "id": SUBSCRIPTION,
            "displayName": "Shop",
            "tenantId": world.tenant,
        }
        world.table("groups")[GROUP.lower()] = {"id": GROUP, "name": "rg-shop", "location": "westeurope", "tags": {}}
        self.operator = principals.operator(self.azure)["id"]
        self.grant(self.operator, "Owner", f"/subscriptions/{SUBSCRIPTION}")

    @classmethod
    def of(cls, azure: Azure) -> Inside:
        """Ask a cloud that was made elsewhere."""
        made = cls()
        made.azure = azure
        made.operator = principals.operator(azure)["id"]
        return made

    def wait(self, seconds: float) -> None:
        self.azure.clock.advance(seconds)

    def grant(self, principal: str, role: str, scope: str, **more: Any) -> str:
        return str(rbac.assign(self.azure, principal=principal, role=role, scope=scope, settled=True, **more)["id"])

    def identity(self, name: str) -> str:
        return str(principals.create(self.azure, kind="user-assigned", name=name, resource="", settled=True)["id"])

    def token(self, audience: str, principal: str) -> str:
        token = f"{audience}-{principal}"
        self.azure.world.table("tokens")[token] = {
            "principal": principal,
            "audience": audience,
            "resource": audience,
            "expires": self.azure.clock.now() + 3600,
        }
        return token

    def arm(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = "2025-05-01",
        caller: str | None = None,
        **query: str,
    ) -> Response:
        """A request to Resource Manager; `path` may be a whole URL (a next link)."""
        if version:
            query["api-version"] = version
        url = path if path.startswith("https:") else f"{ARM}{path}?{urlencode(query)}"
        return self._ask("arm", "management", method, url, body, caller or self.operator)

    def vault(
        self,
        vault: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = "7.4",
        caller: str | None = None,
        **query: str,
    ) -> Response:
        """A request to a vault's data plane."""
        key = f"{VAULTS}/{vault}".lower()
        if version:
            query["api-version"] = version
        url = path if path.startswith("https:") else f"{self.azure.origin('vault:' + key)}{path}?{urlencode(query)}"
        return self._ask("vault:" + key, "vault", method, url, body, caller or self.operator)

    def _ask(self, plane: str, audience: str, method: str, url: str, body: Any, caller: str) -> Response:
        headers = {"Authorization": f"Bearer {self.token(audience, caller)}", "Content-Type": "application/json"}
        encoded = b"" if body is None else json.dumps(body).encode()
        return self.azure.handle(plane, Request.of(method, url, headers, encoded))


def code(response: Response) -> str:
    """The error code, with the inner one behind a slash."""
    error = response.body["error"]
    inner = error.get("innererror", {}).get("code")
    return f"{error['code']}/{inner}" if inner else str(error["code"])
