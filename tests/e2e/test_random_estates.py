"""Random estates, planned, applied and rolled back: the promises as sentences over every one of them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from migrator import api, rendering
from migrator.console import Console
from migrator.demo_estate import LOCATION, SUBSCRIPTION, app_document, ref
from migrator.model import settled
from migrator.simulator.server import Simulator
from migrator.state import StateFolder

from .loopback import Azure

GROUP = "rg-any"
PROVIDER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
REGISTRY_PASSWORD = "Canary-registry-Password-0123456789"
OPEN = {"MODE": "live", "PORT": "8080", "API_URL": "https://api.internal", "REGION": "westeurope"}
NAMES = ["DB_PASSWORD", "API_KEY", "JWT_SECRET", "SMTP_PASSWORD", "Cache__Password"]


@st.composite
def values(draw: st.DrawFn) -> str:
    """A value that every scanner must call a secret; a few repeat between apps."""
    number = draw(st.integers(0, 5))
    return f"Canary-{number}-" + "kT9vQ2xZ7mLw4pRs"[number:] + "hB3nJ6yC8dF1"


@st.composite
def apps(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Container apps with secrets in env values, init containers and configuration, in both revision modes."""
    documents = []
    for number in range(draw(st.integers(1, 4))):
        name = f"app{number}"
        secret_env = draw(st.dictionaries(st.sampled_from(NAMES), values(), max_size=3))
        open_env = draw(st.dictionaries(st.sampled_from(sorted(OPEN)), st.none(), max_size=2))
        env = [{"name": key, "value": value} for key, value in secret_env.items()]
        env += [{"name": key, "value": OPEN[key]} for key in open_env]
        secrets = [
            {"name": f"inline-{index}", "value": value}
            for index, value in enumerate(draw(st.lists(values(), max_size=2)))
        ]
        named = draw(st.booleans())
        if secrets and named:
            env.append(ref("FROM_SECRET", "inline-0"))
        registries = None
        if draw(st.booleans()):
            secrets.append({"name": "registry-password", "value": REGISTRY_PASSWORD})
            registries = [
                {
                    "server": "crany.azurecr.io",
                    "username": "crany",
                    "passwordSecretRef": "registry-password",
                    "identity": "",
                }
            ]
        init = None
        if draw(st.booleans()):
            init = [
                {
                    "name": "prepare",
                    "image": "mcr.microsoft.com/prepare:1",
                    "env": [{"name": "PREPARE_TOKEN", "value": draw(values())}],
                    "resources": {"cpu": 0.25, "memory": "0.5Gi", "ephemeralStorage": "1Gi"},
                }
            ]
        mode = draw(st.sampled_from(["Single", "Single", "Multiple"]))
        traffic: list[dict[str, Any]] | None = None
        if mode == "Multiple":
            by_name = draw(st.booleans())
            traffic = [
                {"revisionName": f"{name}--0000003", "weight": 100}
                if by_name
                else {"weight": 100, "latestRevision": True}
            ]
        attached = draw(st.booleans())
        identity = f"{PROVIDER}/Microsoft.ManagedIdentity/userAssignedIdentities/id-there"
        documents.append(
            app_document(
                GROUP,
                name,
                env,
                secrets=secrets,
                registries=registries,
                init=init,
                mode=mode,
                traffic=traffic,
                image="crany.azurecr.io/app:1" if registries else None,
                identity={"type": "UserAssigned", "userAssignedIdentities": {identity: {}}} if attached else None,
                tags=draw(st.sampled_from([None, {"azd-env-name": "any"}, {"owner": "team"}])),
            )
        )
    return documents


@st.composite
def estates(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION],
        "resources": [
            {
                "id": f"{PROVIDER}/Microsoft.App/managedEnvironments/cae-any",
                "name": "cae-any",
                "type": "Microsoft.App/managedEnvironments",
                "location": LOCATION,
                "properties": {},
            },
            {
                "id": f"{PROVIDER}/Microsoft.KeyVault/vaults/kv-any",
                "name": "kv-any",
                "type": "Microsoft.KeyVault/vaults",
                "location": "westeurope",
                "properties": {"enableRbacAuthorization": True},
            },
            {
                "id": f"{PROVIDER}/Microsoft.ContainerRegistry/registries/crany",
                "name": "crany",
                "type": "Microsoft.ContainerRegistry/registries",
                "location": "westeurope",
                "properties": {
                    "loginServer": "crany.azurecr.io",
                    "adminUserEnabled": True,
                    "roleAssignmentMode": draw(
                        st.sampled_from(["LegacyRegistryPermissions", "AbacRepositoryPermissions"])
                    ),
                },
            },
            *draw(apps()),
        ],
        "vaultSecrets": [],
        "roleAssignments": [],
        "locks": [],
        "switches": {
            "identity_map": draw(st.sampled_from(["merge", "replace"])),
            "wildcard_covers_parent": draw(st.booleans()),
            "secret_ref_display": draw(st.sampled_from(["plain", "prefixed"])),
            # on a clock this fast, a day's token would be renewed at every call
            "token_lifetime": 1e8,
        },
    }


# shrinking an example of several seconds takes minutes: the seed is fixed, the example is printed whole
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(estates())
def test_plan_apply_and_rollback_keep_every_promise(estate: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, Simulator(estate, speed=600) as simulator:
        azure = Azure(simulator.profile_path)
        place = api.Workplace(str(simulator.profile_path), state=StateFolder(Path(folder) / "state"))
        ids = [d["id"] for d in estate["resources"] if d["type"] == "Microsoft.App/containerApps"]
        before = {app: azure.app(app) for app in ids}
        values_before = {app: {n: s["value"] for n, s in azure.secrets(app).items()} for app in ids}

        plan = api.make_plan(place, api.Scope(), vault="kv-any")
        assert api.make_plan(place, api.Scope(), vault="kv-any").to_json() == plan.to_json()
        printed = (
            plan.to_json() + rendering.plan("human", plan, Console()) + rendering.plan("markdown", plan, Console())
        )

        told: list[str] = []
        result = api.apply_plan(place, plan, on_event=lambda event: told.append(f"{event}"))
        assert result.exit_code == 0, rendering.result("human", result)
        printed += "".join(told) + rendering.result("human", result) + rendering.result("json", result)

        planned = {step.app.lower() for step in plan.steps}
        readable: dict[str, set[str]] = {}
        for app in ids:
            document = azure.app(app)
            if app.lower() not in planned:
                assert document == before[app]
                continue
            latest = azure.arm("GET", f"{app}/revisions/{document['properties']['latestRevisionName']}")
            assert "Canary-" not in json.dumps(document)
            assert "Canary-" not in latest.text
            identities = document["identity"]["userAssignedIdentities"]
            for secret in azure.secrets(app).values():
                url = secret["keyVaultUrl"]
                assert url.count("/") == 4, "versionless"
                client = next(v["clientId"] for k, v in identities.items() if k.lower() == secret["identity"].lower())
                assert azure.vault_get(url, client).body["value"] == secret["value"]
                readable.setdefault(client, set()).add(url)
        urls = set().union(*readable.values()) if readable else set()
        for client, own in readable.items():
            for url in urls - own:
                assert azure.vault_get(url, client).status == 403

        back = api.rollback_run(place, result.run, on_event=lambda event: told.append(f"{event}"))
        assert back.exit_code == 0, rendering.result("human", back)
        for app in ids:
            assert settled(azure.app(app)) == settled(before[app])
            assert {n: s["value"] for n, s in azure.secrets(app).items()} == values_before[app]
        printed += "".join(told)
        assert "Canary-" not in printed
        for path in (Path(folder) / "state").rglob("*"):
            if path.is_file():
                assert b"Canary-" not in path.read_bytes(), path
