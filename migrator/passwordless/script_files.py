"""Statements for database administrators as files beside a plan: one that makes the principal, one that takes it away.

Nothing of keylift runs them, and no step waits for them: until a person ran one and changed the app, the app signs in with the
value in the vault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from migrator.model import Json, Plan, ResourceId

VERIFY, UNDO = "-- verify: ", "-- undo: "
_LONGEST = 120
"""Characters of a file's name that come from the plan: most file systems take 255 bytes in all."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What may end a line, and with it a comment: names and addresses come out of apps' values, as somebody wrote them there."""


def beside(plan: Plan, target: Path) -> Mapping[Path, str]:
    """Files and their texts for a plan that was written to `target`; none beside a device or a pipe, as `/dev/null` is."""
    return {target.with_name(name): text for name, text in files(plan, target.stem).items()} if target.is_file() else {}


def files(plan: Plan, stem: str) -> Mapping[str, str]:
    """Name of a file -> its text, for a plan in the file `<stem>.json`, of secrets that `--passwordless apply` speaks of."""
    found: dict[str, str] = {}
    chosen = (plan.options.get("choices") or {}).get("passwordless") or {}
    for entry in plan.passwordless:
        if not entry["scripts"] or chosen.get(entry["fingerprint"], plan.options["passwordless"]) != "apply":
            continue
        called = name = f"{stem}.{name_of(entry)}"
        number = 1
        while f"{name}.sql" in found:  # apps of one name in two groups
            number += 1
            name = f"{called}.{number}"
        do = [line for line in entry["scripts"] if not line.startswith((VERIFY, UNDO))]
        check = [line.removeprefix(VERIFY) for line in entry["scripts"] if line.startswith(VERIFY)]
        back = [line.removeprefix(UNDO) for line in entry["scripts"] if line.startswith(UNDO)]
        head = _head(entry)
        found[f"{name}.sql"] = "\n".join([*head, "", *do, "", "-- verify: it must be listed", *check, ""])
        found[f"{name}.undo.sql"] = "\n".join([*head[:2], "-- Takes back what the other file makes.", "", *back, ""])
    return found


def name_of(entry: Json) -> str:
    """What the files of one suggestion are called: app and secret."""
    app = ResourceId.parse(entry["app"]).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{app}.{'-'.join(entry['names'])}")[:_LONGEST]


def _head(entry: Json) -> list[str]:
    server = ResourceId.parse(entry["resource"]).name if entry["resource"] else "the server"
    app = ResourceId.parse(entry["app"])
    lines = [
        f"-- For an Entra administrator of {server} ({entry['service']}), signed in to the database that the app uses.",
        "-- keylift runs none of this, and its plan waits for none of it.",
        "-- <client id of NAME> is what this prints: az identity list --query \"[?name=='NAME'].clientId\" -o tsv",
        f"-- Afterwards, {app.name} of {app.group} (until then it signs in with the value in the vault):",
    ]
    for change in entry["changes"]:
        value = f" {change['name']}={change['value']}" if change["action"] == "set" else f" {change['name']}"
        lines.append(f"--   {change['action']}{value}")
    return [_BREAKS.sub(" ", line) for line in lines]
