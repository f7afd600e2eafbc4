"""Every row of the surface, one test each: what keylift does about it, done on one estate and looked at in the cloud.

A row that is added to `scanners/surface.py` without a check here fails by its number and path.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator import api
from migrator.model import Json, Plan, settled
from scanners.engine import Engine
from scanners.model import Finding
from scanners.surface import APP, ENVIRONMENT, JOB, ROWS, Does, Row, row_at
from tests import surfaces

from . import contracts
from .jobs import job_id
from .test_jobs import start
from .test_surface import estate as every_place
from .test_texts import nightly
from .texts import scanned, worker
from .world import KEY, REGISTRY, World, app_id, running

HOURLY = job_id("hourly")
WORKLOADS = [surfaces.IDS[APP], surfaces.IDS[JOB], app_id("worker"), app_id("puller"), HOURLY]


def hourly() -> Json:
    """A job whose rule has a key that its scaler takes by auth."""
    made = nightly()
    made["id"] = HOURLY
    made["properties"]["template"]["containers"][0] |= {
        "command": ["sh", "-c"],
        "args": ["run --password=Canary5-aB3dE6gH9jK2mN5p"],
    }
    return made


@dataclass
class Life:
    """The estate before, after a plan was applied, and after it was rolled back."""

    findings: list[Finding]
    plan: Plan
    final: Plan
    before: dict[str, Any]
    after: dict[str, Any]
    back: dict[str, Any]

    def found(self, resource: str, path: str) -> list[Finding]:
        return [
            finding
            for finding in self.findings
            if str(finding.location.as_dict()["resource"]).lower() == resource.lower()
            and finding.location.as_dict()["path"] == path
        ]

    def skipped(self, resource: str, path: str) -> Json | None:
        for entry in self.plan.skipped:
            location = entry["finding"].get("location") or {}
            if str(location.get("resource")).lower() == resource.lower() and location.get("path") == path:
                return entry
        return None


def documents(world: World) -> dict[str, Any]:
    """Everything as it stands: workloads with where their secrets come from, all else as the cloud keeps it."""
    found: dict[str, Any] = {}
    for at in WORKLOADS:
        secrets = {s.name: s.key_vault_url for s in world.cloud.get_app_secrets(at)}
        values = {s.name: KEY.of_secret(s.value) if s.value else "" for s in world.cloud.get_app_secrets(at)}
        found[at.lower()] = {"document": settled(world.cloud.get_app(at)), "secrets": secrets, "values": values}
    azure = world.simulator.azure
    found["children"] = copy.deepcopy(azure.world.table("children"))
    found["environment"] = copy.deepcopy(azure.world.resources[surfaces.IDS[ENVIRONMENT].lower()]["properties"])
    return found


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    folder: Path = tmp_path_factory.mktemp("rows")
    made = every_place()
    made["resources"] += [worker(), hourly(), contracts.registry(), contracts.pulling("puller")]
    with running(made, folder) as world:
        findings = api.scan_estate(world.read(), Engine.load(), KEY).findings
        plan, before = scanned(world), documents(world)
        result = world.executor().apply(plan)
        assert result.exit_code == 0, [(a.name, a.error) for a in result.apps]
        after = documents(world)
        world.clock.sleep(5)
        start(world, "hourly")
        final = contracts.finalize(world, result.run)
        assert world.executor().rollback(result.run).exit_code == 0
        yield Life(findings, plan, final, before, after, documents(world))


# What a row's check looks at


def reported(life: Life, row: Row) -> None:
    """The value is found, skipped with the limit of the platform and a way on, and left exactly where it is."""
    places = [(kind, path) for planted, kind, path in surfaces.planted() if planted == row]
    assert places, "nothing is planted for it"
    for kind, path in places:
        if "/revisions" in kind and ".http.metadata" in path:
            continue  # of an http rule a revision shows the number of requests only
        if kind in {APP, JOB} and path.endswith(".image"):
            continue  # the estate here has images that can be pulled
        resource = surfaces.IDS[kind]
        assert life.found(resource, path), (kind, path)
        entry = life.skipped(resource, path)
        assert entry is not None, (kind, path)
        assert entry["hint"], (kind, path)
        assert entry["reason"] == row.limit or "/revisions/" in resource.lower(), (kind, path)
    assert life.after["children"] == life.before["children"]
    assert life.after["environment"] == life.before["environment"]


def named(life: Life, row: Row) -> None:
    """That a value is held is found, without the value, and skipped with the limit; nothing is written there."""
    shown = [f for f in life.findings if row_at(*_place(f)) == row]
    assert shown, "it is not found"
    for finding in shown:
        assert finding.preview == ""
        entry = life.skipped(*_place(finding))
        assert entry is not None
        assert entry["reason"] == row.limit
    assert "never-shown" not in life.plan.to_json()
    assert life.after["children"] == life.before["children"]
    assert life.after["environment"] == life.before["environment"]


def silent(life: Life, row: Row) -> None:
    """Nothing can be found there, and nothing is written there."""
    assert not [f for f in life.findings if row_at(*_place(f)) == row]
    assert life.after["children"] == life.before["children"]
    assert life.after["environment"] == life.before["environment"]


def inline_secret(kind: str) -> Callable[[Life, Row], None]:
    def check(life: Life, row: Row) -> None:
        at = surfaces.IDS[kind].lower()
        assert life.found(at, "properties.configuration.secrets[0].value"), row
        assert life.before[at]["secrets"]["db-password"] is None
        assert life.after[at]["secrets"]["db-password"], "it is a reference"
        assert life.after[at]["values"]["db-password"] == life.before[at]["values"]["db-password"]
        assert life.back[at] == life.before[at]

    return check


def env_value(part: str) -> Callable[[Life, Row], None]:
    def check(life: Life, row: Row) -> None:
        for kind in row.kinds:
            at = surfaces.IDS[kind].lower()
            (now,) = life.after[at]["document"]["properties"]["template"][part][0]["env"]
            assert "value" not in now
            assert life.after[at]["secrets"][now["secretRef"]], "the secret is a reference"
            assert life.after[at]["values"][now["secretRef"]] == KEY.of(surfaces.canary(row, kind))
            assert life.back[at] == life.before[at]

    return check


def command(life: Life, row: Row) -> None:
    part = "initContainers" if ".initContainers" in row.path else "containers"
    resources = [app_id("worker")] if part == "initContainers" else [app_id("worker"), HOURLY]
    if row.does is not Does.MIGRATES:
        reported(life, row)
        return
    for resource in resources:
        at = resource.lower()
        was, now, back = (one[at]["document"]["properties"]["template"][part][0] for one in _three(life))
        (carrier,) = [entry for entry in now["env"] if entry["name"].startswith("KEYLIFT_")]
        assert f"{carrier['name']}" in json.dumps([now.get("command"), now.get("args")])
        assert "Canary" in json.dumps([was.get("command"), was.get("args")])
        assert "Canary" not in json.dumps([now.get("command"), now.get("args")])
        assert life.after[at]["secrets"][carrier["secretRef"]]
        assert back == was
    # a program without a shell gets no variable: that is said, and nothing is changed
    entry = life.skipped(surfaces.IDS[APP], f"properties.template.{part}[0].{row.path.rpartition('.')[2][:-2]}[0]")
    assert entry is not None
    assert entry["code"] == "command-line"


def scale_rule(life: Life, row: Row) -> None:
    if row.does is not Does.MIGRATES:
        reported(life, row)
        return
    at = app_id("worker").lower()
    was, now, back = (
        one[at]["document"]["properties"]["template"]["scale"]["rules"][0]["custom"] for one in _three(life)
    )
    assert was["metadata"]["password"]
    assert "password" not in now["metadata"], "a key left in the metadata would still be read"
    assert [auth["triggerParameter"] for auth in now["auth"]] == ["password"]
    assert life.after[at]["secrets"][now["auth"][0]["secretRef"]]
    assert {key: text for key, text in was["metadata"].items() if key != "password"} == now["metadata"]
    assert back == was


def event_rule(life: Life, row: Row) -> None:
    at = HOURLY.lower()
    path = ("properties", "configuration", "eventTriggerConfig", "scale", "rules")
    was, now, back = (_deep(one[at]["document"], *path)[0] for one in _three(life))
    assert "host" in was["metadata"]
    assert "host" not in now["metadata"], row
    assert life.after[at]["secrets"][now["auth"][0]["secretRef"]]
    assert back == was


def registry_password(life: Life, row: Row) -> None:
    at = app_id("puller").lower()
    was, now, back = (one[at]["document"]["properties"]["configuration"]["registries"][0] for one in _three(life))
    assert was["passwordSecretRef"], row
    assert now["identity"]
    assert not now["passwordSecretRef"]
    assert back == was


def admin_user(life: Life, row: Row) -> None:
    assert [f for f in life.findings if row_at(*_place(f)) == row]
    assert not [step for step in life.plan.steps if step.kind == "registry-admin-off"], "never part of apply"
    assert [step.target for step in life.final.steps if step.kind == "registry-admin-off"] == [REGISTRY]


CHECKS: dict[int, Callable[[Life, Row], None]] = {
    1: inline_secret(APP),
    2: inline_secret(JOB),
    3: env_value("containers"),
    4: env_value("initContainers"),
    5: reported,
    6: reported,
    7: command,
    8: reported,
    9: scale_rule,
    10: event_rule,
    11: registry_password,
    12: reported,
    13: reported,
    14: reported,
    15: named,
    16: silent,
    17: silent,
    18: named,
    19: named,
    20: named,
    21: named,
    22: named,
    23: named,
    24: named,
    25: silent,
    26: silent,
    27: named,
    28: named,
    29: reported,
    30: reported,
    31: reported,
    32: silent,
    33: reported,
    34: silent,
    35: admin_user,
    36: silent,
}
MAY: dict[Does, tuple[Callable[..., object], ...]] = {
    Does.MIGRATES: (inline_secret, env_value, command, scale_rule, event_rule, registry_password, admin_user),
    Does.REPORTS: (reported, command, scale_rule),
    Does.NAMES: (named,),
    Does.UNTOLD: (silent,),
    Does.NOTHING: (silent,),
}
"""Checks that a row may have by what it says: a promise is not tested as if it were none."""
BESIDE = {
    ("certificatePassword", 21): "it goes with the certificate, which is what is named",
    ("password", 22): "it goes with the certificate, which is what is named",
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row {row.number} {row.kinds[0].rpartition('/')[2]} {row.path}")
def test_row(life: Life, row: Row) -> None:
    check = CHECKS.get(row.number)
    assert check is not None, f"row {row.number} ({row.path}) has no check"
    if (row.path.rpartition(".")[2], row.number) in BESIDE:
        check = silent
    else:
        assert any(check is one or check.__qualname__.startswith(one.__qualname__) for one in MAY[row.does]), (
            "the check is another's"
        )
    check(life, row)


def test_the_whole_estate_is_as_before(life: Life) -> None:
    assert life.back == life.before


def _three(life: Life) -> list[dict[str, Any]]:
    return [life.before, life.after, life.back]


def _place(finding: Finding) -> tuple[str, str]:
    location = finding.location.as_dict()
    return str(location["resource"]), str(location["path"])


def _deep(node: Any, *path: str) -> Any:
    for name in path:
        node = node[name]
    return node
