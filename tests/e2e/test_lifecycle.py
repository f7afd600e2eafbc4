"""A whole life from a shell: plan, rehearse, apply, report, finalize past the point of no return, drift."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from migrator.demo_estate import LOCATION, SUBSCRIPTION, app_document

from .loopback import Shell, simulator

GROUP = "rg-life"
PROVIDERS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
API = f"{PROVIDERS}/Microsoft.App/containerApps/api"
DATABASE = "Server=tcp:sql-life.database.windows.net,1433;Database=life;User ID=app;Password=Canary1-Kq8vZr4tLw;"
LEFT_OVER = "Canary2-" + "x9Kq" * 7000
"""More than a vault secret holds, so that it stays inline; and nothing uses it."""


def estate() -> dict[str, Any]:
    api = app_document(
        GROUP,
        "api",
        [{"name": "DB_CONNECTION", "value": DATABASE}, {"name": "MODE", "value": "live"}],
        secrets=[{"name": "left-over", "value": LEFT_OVER}],
    )
    api["properties"]["configuration"]["activeRevisionsMode"] = "Multiple"
    vault = {
        "id": f"{PROVIDERS}/Microsoft.KeyVault/vaults/kv-life",
        "name": "kv-life",
        "type": "Microsoft.KeyVault/vaults",
        "location": LOCATION,
        "properties": {"enableRbacAuthorization": True},
    }
    return {"schema": 1, "subscriptions": [SUBSCRIPTION], "resources": [vault, api]}


def test_from_plan_to_drift(tmp_path: Path) -> None:
    with simulator(tmp_path, estate(), "--speed", "240") as azure:
        shell = Shell(tmp_path, azure.profile_path)
        shell.keylift("plan", "--vault", "kv-life", "-o", "plan.json")
        refused = shell.keylift("apply", "plan.json", "--auto-approve", "--require-rehearsal", expect=1)
        assert "was not rehearsed" in refused.stderr
        held = json.loads(shell.keylift("rehearse", "plan.json", "--format", "json").stdout)
        assert held["ok"]
        assert held["inverses"]
        assert held["faults"]
        applied = shell.keylift("apply", "plan.json", "--auto-approve", "--require-rehearsal")
        assert "rehearse" not in applied.stderr
        run = json.loads(shell.keylift("runs", "--format", "json", cloud=False).stdout)["runs"][0]["id"]
        page = shell.keylift("status", run, "--format", "html", cloud=False).stdout
        assert page.count("<svg") == 2
        client = json.loads(azure.profile_path.read_text())["credential"]["client_id"]
        assert f"applied by {client} (service principal" in page
        assert "### Where values still lie" in shell.keylift("status", run, "--format", "markdown", cloud=False).stdout
        assert json.loads(shell.keylift("drift", "--format", "json").stdout)["drift"] == []

        shown = shell.keylift("finalize", run, "-o", "final.json").stdout
        kinds = [step["kind"] for step in json.loads((tmp_path / "final.json").read_text())["steps"]]
        assert kinds == ["revision-deactivate", "secret-remove"]
        assert "POINT OF NO RETURN" in shown
        asked = shell.keylift("apply", "final.json", "--auto-approve", expect=1)
        assert "--point-of-no-return" in asked.stderr
        assert "not rehearsed" in asked.stderr
        old = azure.arm("GET", f"{API}/revisions").body["value"][0]["name"]
        shell.keylift("apply", "final.json", "--auto-approve", "--point-of-no-return")
        assert not azure.arm("GET", f"{API}/revisions/{old}").body["properties"]["active"]
        assert "left-over" not in azure.secrets(API)
        shell.keylift("verify", "latest")

        assert azure.arm("POST", f"{API}/revisions/{old}/activate").status == 200
        broken = json.loads(shell.keylift("verify", "latest", "--format", "json", expect=13).stdout)
        assert not broken["ok"]
        drifted = shell.keylift("drift", expect=10)
        assert re.search(rf"{old}: it is active again", drifted.stdout)
        sarif = json.loads(shell.keylift("drift", "--format", "sarif").stdout)
        assert [result["ruleId"] for result in sarif["runs"][0]["results"]] == ["drift-plaintext"]

    written = "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "estate.json"
    )
    for canary in ("Canary1", "Canary2"):
        assert canary not in shell.printed
        assert canary not in written
