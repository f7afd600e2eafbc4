"""Acceptance scenario one, from a shell, as separate processes: two apps, two secrets, one shared vault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from migrator.demo_estate import LOCATION, SUBSCRIPTION, app_document
from migrator.model import settled

from .loopback import Shell, simulator

GROUP = "rg-two"
DATABASE = "Server=tcp:sql-two.database.windows.net,1433;Database=two;User ID=app;Password=Canary1-Kq8vZr4tLw;"
CLIENT_SECRET = "Zq18Q~Canary2.aGh3kLm9pQr7sTu5vWx1yZ0bCdEfG"
APPS = [
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.App/containerApps/{n}"
    for n in ("api", "web")
]
BYSTANDER = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.App/containerApps/bystander"


def estate() -> dict[str, Any]:
    provider = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION],
        "resources": [
            {
                "id": f"{provider}/Microsoft.App/managedEnvironments/cae-two",
                "name": "cae-two",
                "type": "Microsoft.App/managedEnvironments",
                "location": LOCATION,
                "properties": {},
            },
            {
                "id": f"{provider}/Microsoft.KeyVault/vaults/kv-two",
                "name": "kv-two",
                "type": "Microsoft.KeyVault/vaults",
                "location": "westeurope",
                "properties": {"enableRbacAuthorization": True},
            },
            app_document(
                GROUP, "api", [{"name": "DB_CONNECTION", "value": DATABASE}, {"name": "MODE", "value": "live"}]
            ),
            app_document(
                GROUP,
                "web",
                [{"name": "API", "value": "https://api.internal"}],
                secrets=[{"name": "microsoft-provider-authentication-secret", "value": CLIENT_SECRET}],
            ),
            app_document(GROUP, "bystander", [{"name": "MODE", "value": "live"}]),
            {
                "id": f"{provider}/Microsoft.App/containerApps/web/authConfigs/current",
                "name": "current",
                "type": "Microsoft.App/containerApps/authConfigs",
                "properties": {
                    "platform": {"enabled": True},
                    "identityProviders": {
                        "azureActiveDirectory": {
                            "registration": {
                                "clientId": "9f0c2a54-0b4e-4c8d-9a53-1d2f3e4b5c6d",
                                "clientSecretSettingName": "microsoft-provider-authentication-secret",
                            }
                        }
                    },
                },
            },
        ],
        "vaultSecrets": [],
        "roleAssignments": [],
        "locks": [],
        "needs": [{"app": APPS[0], "env": "DB_CONNECTION"}],
    }


def test_two_apps_two_secrets(tmp_path: Path) -> None:
    with simulator(tmp_path, estate(), "--request-log", str(tmp_path / "requests.log")) as azure:
        shell = Shell(tmp_path, azure.profile_path)
        before = {app: azure.app(app) for app in (*APPS, BYSTANDER)}
        assert DATABASE in json.dumps(before[APPS[0]])

        found = json.loads(shell.keylift("scan", "azure", "--format", "json", expect=10).stdout)
        assert found["schema"] == 1
        places = {f["location"]["name"] for f in found["findings"]}
        assert places == {"DB_CONNECTION", "microsoft-provider-authentication-secret"}

        shell.keylift("plan", "--vault", "kv-two", "-o", "plan.json", "--detailed-exitcode", expect=2)
        first = (tmp_path / "plan.json").read_bytes()
        shell.keylift("plan", "--vault", "kv-two", "-o", "plan.json")
        assert (tmp_path / "plan.json").read_bytes() == first

        assert "api" in shell.keylift("show", "plan.json", cloud=False).stdout
        refused = shell.keylift("apply", "plan.json", expect=1)
        assert "--auto-approve" in refused.stderr
        shell.keylift("apply", "plan.json", "--auto-approve")

        runs = json.loads(shell.keylift("runs", "--format", "json", cloud=False).stdout)
        assert runs["schema"] == 1
        run = runs["runs"][0]["id"]
        assert runs["runs"][0]["state"] == "done"

        after = {app: azure.app(app) for app in (*APPS, BYSTANDER)}
        assert after[BYSTANDER] == before[BYSTANDER]
        clients = {}
        for app in APPS:
            document = json.dumps(after[app])
            latest = azure.arm("GET", f"{app}/revisions/{after[app]['properties']['latestRevisionName']}")
            for value in (DATABASE, CLIENT_SECRET):
                assert value not in document
                assert value not in latest.text
            (identity,) = after[app]["identity"]["userAssignedIdentities"].values()
            clients[app] = identity["clientId"]
        urls = {}
        for app in APPS:
            for secret in azure.secrets(app).values():
                assert re.fullmatch(r"https://[^/]+/secrets/[^/]+", secret["keyVaultUrl"])
                urls[app] = secret["keyVaultUrl"]
        # each identity reads its own secret, and not the other's
        assert azure.vault_get(urls[APPS[0]], clients[APPS[0]]).body["value"] == DATABASE
        assert azure.vault_get(urls[APPS[1]], clients[APPS[1]]).body["value"] == CLIENT_SECRET
        assert azure.vault_get(urls[APPS[1]], clients[APPS[0]]).status == 403
        assert azure.vault_get(urls[APPS[0]], clients[APPS[1]]).status == 403

        shell.keylift("verify", run)
        shell.keylift("status", run, cloud=False)
        shell.keylift("access")
        page = shell.keylift("access", "--run", run, "--format", "html").stdout
        assert page.count("<svg") == 2
        compared = json.loads(shell.keylift("access", "--run", run, "--format", "json").stdout)["compared"]
        assert {len(one["after"]) - len(one["before"]) for one in compared["principals"]} >= {1}
        shell.keylift("rollback", run, "--auto-approve")
        for app in (*APPS, BYSTANDER):
            assert settled(azure.app(app)) == settled(before[app])
            assert {n: s["value"] for n, s in azure.secrets(app).items()} == (
                {"microsoft-provider-authentication-secret": CLIENT_SECRET} if app == APPS[1] else {}
            )
        shell.keylift("rollback", run, "--auto-approve")  # twice is safe

    written = "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "estate.json"
    )
    for canary in ("Canary1", "Canary2"):
        assert canary not in shell.printed
        assert canary not in written
