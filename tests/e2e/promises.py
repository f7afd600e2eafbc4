"""One estate through the whole job, asked at the simulator itself over HTTPS whether every promise was kept.

Nothing here uses what keylift knows of the estate: documents, values and rights are read as the operator and as each
identity would.
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from migrator import api, rendering
from migrator.console import Console
from migrator.executor import RunResult
from migrator.model import Plan
from migrator.ports import Event
from migrator.simulator.server import Simulator
from migrator.state import StateFolder

from .loopback import VAULT_SCOPE, Azure

MOVED_BY_AZURE = {
    *("provisioningState", "runningStatus", "latestRevisionName", "latestReadyRevisionName", "latestRevisionFqdn"),
    *("outboundIpAddresses", "eventStreamEndpoint", "customDomainVerificationId"),
}
_COMPILED = tempfile.TemporaryDirectory(prefix="keylift-rules-")
"""The compiled rules, which all state folders share: compiling them takes longer than a whole estate."""

CANARY = "Canary"
"""Every planted value holds it, and nothing else does."""


def as_people_see_it(document: Any) -> Any:
    """An app without what Azure moves by itself."""
    copied = copy.deepcopy(document)
    copied.pop("systemData", None)
    for name in MOVED_BY_AZURE:
        copied["properties"].pop(name, None)
    copied["properties"]["template"].pop("revisionSuffix", None)
    return copied


@dataclass
class Witness:
    """A cloud, a state folder, and everything that was printed."""

    estate: dict[str, Any]
    simulator: Simulator
    azure: Azure
    place: api.Workplace
    printed: list[str] = field(default_factory=list)

    @property
    def apps(self) -> list[str]:
        """Ids of the estate's container apps."""
        kind = "/providers/microsoft.app/containerapps/"
        ids = [str(document["id"]) for document in self.estate["resources"]]
        return [i for i in ids if kind in i.lower() and i.count("/") == 8]

    def documents(self) -> dict[str, Any]:
        return {app: self.azure.app(app) for app in self.apps}

    def values(self) -> dict[str, Any]:
        return {app: {n: s.get("value") for n, s in self.azure.secrets(app).items()} for app in self.apps}

    def left_behind(self) -> list[str]:
        """Identities, and role assignments on single vault secrets."""
        found = []
        for subscription in self.estate["subscriptions"]:
            root = f"/subscriptions/{subscription}"
            kind = "resourceType%20eq%20'Microsoft.ManagedIdentity/userAssignedIdentities'"
            answer = self.azure.arm("GET", f"{root}/resources?$filter={kind}", version="2021-04-01")
            found += [str(entry["id"]).lower() for entry in answer.body["value"]]
            answer = self.azure.arm(
                "GET", f"{root}/providers/Microsoft.Authorization/roleAssignments", version="2022-04-01"
            )
            found += [str(e["id"]).lower() for e in answer.body["value"] if "/secrets/" in e["properties"]["scope"]]
        return sorted(found)

    # The verbs, with everything they print in every form

    def scan(self) -> api.ScanResult:
        result = api.scan_azure(self.place, api.Scope())
        for name in ("human", "json", "sarif", "markdown", "html", "csv"):
            self.printed.append(rendering.findings(name, result.report, Console()))
        self.printed.append(result.estate_file())
        return result

    def plan(self, **options: Any) -> Plan:
        made = api.make_plan(self.place, api.Scope(), **{"vault": "kv-one", **options})
        assert api.make_plan(self.place, api.Scope(), **{"vault": "kv-one", **options}).to_json() == made.to_json()
        for name in ("human", "markdown", "json"):
            self.printed.append(rendering.plan(name, made, Console()))
        return made

    def apply(self, plan: Plan) -> RunResult:
        return self._told(api.apply_plan(self.place, plan, on_event=self._event, tell=self.printed.append))

    def rollback(self, run: str) -> RunResult:
        return self._told(api.rollback_run(self.place, run, on_event=self._event, tell=self.printed.append))

    def _event(self, event: Event) -> None:
        self.printed.append(str(event))

    def _told(self, result: RunResult) -> RunResult:
        self.printed += [rendering.result(name, result) for name in ("human", "json")]
        self.printed.append(json.dumps(api.run_status(self.place, result.run)))
        return result

    # The promises

    def check_applied(self, plan: Plan, before: dict[str, Any]) -> None:
        """No plaintext, versionless references that the app's identity resolves, and no right beyond."""
        planned = {step.app.lower() for step in plan.steps if step.app}
        readable: dict[str, set[str]] = {}
        for app, document in self.documents().items():
            if app.lower() not in planned:
                assert document == before[app]
                continue
            latest = self.azure.arm("GET", f"{app}/revisions/{document['properties']['latestRevisionName']}")
            skipped = {
                entry["finding"]["location"].get("path") for entry in plan.skipped if "location" in entry["finding"]
            }
            if not any("env[" in str(path) for path in skipped):
                assert CANARY not in json.dumps(document)
                assert CANARY not in latest.text
            for secret in self.azure.secrets(app).values():
                url, client = secret["keyVaultUrl"], self._client(document, secret["identity"])
                assert re.fullmatch(r"https://[^/]+/secrets/[^/]+", url)
                assert self.azure.vault_get(url, client).body["value"] == secret["value"]
                readable.setdefault(client, set()).add(url.lower())
        for client, own in readable.items():
            for url in self._vault_secrets():
                assert (self.azure.vault_get(url, client).status == 200) <= (url.lower() in own), (client, url)

    def _client(self, document: Any, reference: str) -> str:
        identity = document["identity"]
        if reference.lower() == "system":
            return str(self.simulator.world.table("principals")[identity["principalId"]]["clientId"])
        (client,) = (
            v["clientId"] for k, v in identity["userAssignedIdentities"].items() if k.lower() == reference.lower()
        )
        return str(client)

    def _vault_secrets(self) -> list[str]:
        found: list[str] = []
        for document in self.estate["resources"]:
            if "/microsoft.keyvault/vaults/" in document["id"].lower():
                vault = self.azure.arm("GET", document["id"], version="2023-07-01").body
                token = self.azure.token(VAULT_SCOPE)
                listed = self.azure.raw(
                    "GET",
                    f"{vault['properties']['vaultUri'].rstrip('/')}/secrets?api-version=7.4",
                    headers={"Authorization": f"Bearer {token}"},
                )
                found += [entry["id"] for entry in listed.body["value"]]
        return found

    def check_back(self, before: dict[str, Any], values: dict[str, Any]) -> None:
        """Every app as it was."""
        now = self.documents()
        for app, document in before.items():
            assert as_people_see_it(now[app]) == as_people_see_it(document)
        assert self.values() == values

    def check_silence(self) -> None:
        """No planted value in what was printed or written."""
        assert CANARY not in "".join(self.printed)
        for path in self.place.state.path.rglob("*"):
            assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path


@contextmanager
def witness(estate: dict[str, Any], **options: Any) -> Iterator[Witness]:
    """The cloud of an estate, an hour of it in six seconds."""
    switches = {"token_lifetime": 1e7, **options.pop("switches", {})}
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(estate, speed=600, switches=switches, **options) as simulator,
    ):
        state = StateFolder(Path(folder) / "state").ensure()
        state.cache.symlink_to(_COMPILED.name)
        place = api.Workplace(str(simulator.profile_path), state=state)
        yield Witness(estate, simulator, Azure(simulator.profile_path), place)


def keep_every_promise(estate: dict[str, Any], *, switches: dict[str, Any] | None = None, **options: Any) -> Plan:
    """Scan, plan, apply, verify and roll back; each sentence of the promises is checked on the way."""
    with witness(estate, switches=switches or {}) as seen:
        before, values, things = seen.documents(), seen.values(), seen.left_behind()
        assert not seen.scan().report.errors
        plan = seen.plan(**options)
        result = seen.apply(plan)
        assert result.exit_code == 0, rendering.result("human", result)
        seen.check_applied(plan, before)
        proof = api.verify_run(seen.place, result.run)
        assert proof.ok, rendering.proof("human", proof)
        seen.printed += [rendering.proof(name, proof) for name in ("human", "json")]
        for _ in range(2):  # twice is safe
            back = seen.rollback(result.run)
            assert back.exit_code == 0, rendering.result("human", back)
        seen.check_back(before, values)
        assert seen.left_behind() == things
        seen.check_silence()
        return plan
