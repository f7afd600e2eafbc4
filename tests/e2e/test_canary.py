"""No planted value in anything that any command prints or writes, with -v and in failures."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from migrator import demo_estate

from .loopback import Shell, simulator

OPEN = {"ASPNETCORE_ENVIRONMENT", "LOG_LEVEL", "MODE", "QUEUE", "MAIL_PASSWORD"}


def planted(estate: dict[str, Any]) -> Iterator[str]:
    """Every value of the estate that is a secret, as a person who made it would list them."""
    for entry in estate["vaultSecrets"]:
        yield entry["value"]
    for document in estate["resources"]:
        if document["type"] == "Microsoft.App/containerApps":
            for secret in document["properties"]["configuration"]["secrets"] or []:
                yield secret.get("value", "")
            template = document["properties"]["template"]
            for container in [*template["containers"], *(template["initContainers"] or [])]:
                for entry in container["env"]:
                    if (
                        len(entry.get("value", "")) > 15
                        and entry["name"] not in OPEN
                        and "://" not in entry["value"][:9]
                    ):
                        yield entry["value"]


def forms(value: str) -> set[str]:
    """A value as careless code would write it."""
    inner = [part.split("=", 1)[-1] for part in value.split(";") if len(part) > 24]
    found = {value, *inner}
    found |= {json.dumps(item)[1:-1] for item in found}
    found |= {urllib.parse.quote(item, safe="") for item in found}
    found |= {base64.b64encode(item.encode()).decode() for item in found}
    # the end of every storage host, which connection strings carry and advice names
    return {item for item in found if len(item) > 15 and item != "core.windows.net"}


def test_no_value_is_printed_or_written(tmp_path: Path) -> None:
    estate = demo_estate.estate()
    estate["faults"] = [
        # the first write of one app fails for good, another one's answers are lost
        {
            "method": "PATCH",
            "path": "containerapps/notify$",
            "status": 400,
            "code": "BadRequest",
            "message": "no",
            "skip": 1,
            "times": 3,
        },
        {"method": "PATCH", "path": "containerapps/gateway$", "drop": "after", "times": 1},
        {"method": "PUT", "plane": "vault", "status": 500, "times": 2},
    ]
    values = {form for value in planted(estate) for form in forms(value)}
    assert len(values) > 40
    with simulator(tmp_path, estate, "--request-log", str(tmp_path / "requests.log")) as azure:
        shell = Shell(tmp_path, azure.profile_path)
        for form in ("human", "json", "sarif", "markdown", "html", "csv"):
            shell.keylift("scan", "azure", "--format", form, "-o", f"findings.{form}", "-v", expect=None)
        shell.keylift("scan", "azure", "--revisions", "--save-estate", "saved.json", expect=10)
        shell.keylift("plan", "--vault", "nowhere", "-v", expect=1)
        shell.keylift("plan", "--vault", "kv-legacy", "-v")
        shell.keylift("plan", "--vault", "kv-shop", "--on-conflict", "new-version", "-o", "plan.json", "-v")
        for form in ("human", "json", "markdown"):
            shell.keylift("show", "plan.json", "--format", form, cloud=False)
        assert shell.keylift("apply", "plan.json", "--auto-approve", "-v", expect=None).returncode in {12, 13}
        shell.keylift("status", "latest", "-v", cloud=False)
        shell.keylift("status", "latest", "--format", "json", cloud=False)
        shell.keylift("verify", "latest", "-v", expect=None)
        shell.keylift("access", "--format", "json", "-v")
        shell.keylift("rollback", "latest", "--auto-approve", "-v", expect=None)
        shell.keylift("runs", "--format", "json", cloud=False)

        written = {
            path: path.read_bytes().decode("utf-8", "replace")
            for path in tmp_path.rglob("*")
            if path.is_file() and path != tmp_path / "estate.json"
        }
    assert any(path.name == "keylift.db" for path in written)
    leaks = {str(path) for path, text in written.items() if any(value in text for value in values)}
    assert not leaks
    assert not [value[:4] for value in values if value in shell.printed]
