"""An estate with a value in every place of the surface, taken through plan, apply, verify and rollback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator import api, planner, proof
from migrator.cloud import reading, vaults
from migrator.model import Json, Plan, settled
from migrator.planning.options import Options
from scanners.engine import Engine
from scanners.model import Finding
from scanners.surface import APP, ENVIRONMENT, JOB, Does, row_at
from tests import surfaces

from .world import KEY, VAULT, World, running

IMAGE = "mcr.microsoft.com/k8se/quickstart:latest"


def estate() -> Json:
    """Every surface, with images that can be pulled and names that can be told apart."""
    made = copy.deepcopy(surfaces.documents())
    for kind in (APP, JOB):
        properties = made[kind]["properties"]
        properties["template"]["containers"][0]["image"] = IMAGE
        properties["template"]["initContainers"][0]["image"] = "busybox"
        for part in ("containers", "initContainers"):
            properties["template"][part][0]["env"][0]["name"] = f"PASSWORD_{part.upper()}"
    vault = {
        "id": VAULT,
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {"enableRbacAuthorization": True},
    }
    return {
        "schema": 1,
        "subscriptions": [surfaces.SUB],
        "resources": [vault, *made.values()],
        "switches": {"role_propagation": [1.0, 3.0], "job_execution": 5.0},
    }


def canaries() -> list[str]:
    return [surfaces.canary(row, kind) for row, kind, _ in surfaces.planted()]


class Whole:
    """The estate, a plan of all that a scan finds in it, and everything that was written or said."""

    def __init__(self, world: World) -> None:
        self.world = world
        found = reading.read_estate(
            world.session, reading.Scope(), with_revisions=True, with_auth=True, with_access=True, vault=VAULT
        )
        assert found.errors == ()
        self.findings = api.scan_estate(found, Engine.load(), KEY).findings
        chosen = Options(vault=VAULT)
        names = planner.wanted(found, self.findings, chosen, KEY)
        (vault,) = found.vaults
        found = found.with_vault(vaults.read_vault_secrets(world.session, vault, names, KEY))
        self.plan = Plan.from_json(planner.plan(found, self.findings, chosen, KEY).to_json())

    def documents(self) -> dict[str, Any]:
        """Everything of Microsoft.App as it stands, settled."""
        cloud = self.world.cloud
        shown = {kind: settled(cloud.get_app(surfaces.IDS[kind])) for kind in (APP, JOB)}
        children = self.world.simulator.azure.world.table("children")
        return {**shown, "children": copy.deepcopy(children), "environment": self._environment()}

    def _environment(self) -> Any:
        document = copy.deepcopy(self.world.simulator.azure.world.resources[surfaces.IDS[ENVIRONMENT].lower()])
        return document["properties"]

    def values(self) -> dict[str, dict[str, str | None]]:
        return {
            kind: {s.name: KEY.of_secret(s.value) if s.value else None for s in self.world.cloud.get_app_secrets(at)}
            for kind, at in surfaces.IDS.items()
            if kind in {APP, JOB}
        }


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    with running(estate(), tmp_path) as world:
        yield Whole(world)
        written = [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.glob("keylift.db*")]
        said = [event.text for event in world.events]
        for value in canaries():
            assert not any(value in text for text in (*written, *said))


def place(entry: Finding | Json) -> tuple[str, str]:
    location = entry.location.as_dict() if isinstance(entry, Finding) else entry["finding"]["location"]
    return str(location["resource"]).lower(), str(location["path"])


def test_every_finding_ends_in_a_step_or_with_the_limit_of_its_place(whole: Whole) -> None:
    moved = {
        (step.target.lower(), str(entry["path"]))
        for step in whole.plan.steps
        if step.kind == "app-switch"
        for entry in (*step.change["env"], *step.change.get("rules", ()), *step.change.get("commands", ()))
    }
    inline = {
        (step.target.lower(), entry["name"])
        for step in whole.plan.steps
        if step.kind == "app-switch"
        for entry in step.change["secrets"]
        if entry["was"] == "inline"
    }
    skipped = {place(entry): entry for entry in whole.plan.skipped if "location" in entry["finding"]}
    for finding in whole.findings:
        at = place(finding)
        row = row_at(finding.location.as_dict()["resource"], at[1])
        assert row is not None
        # a registry that is not in the estate keeps its password, which becomes a reference like every secret
        name = "db-password" if row.number == 11 else str(finding.location.as_dict()["name"])
        secret = (at[0], name)
        if at in moved or (row.number in {1, 2, 11} and secret in inline):
            assert row.does is Does.MIGRATES, at
            assert at not in skipped
            continue
        entry = skipped[at]
        assert entry["hint"], at
        if row.number in {7, 9, 10} and row.does is Does.MIGRATES:
            # a program without a shell, and scalers that take no such parameter
            assert entry["code"] in {"command-line", "scale-rule-parameter"}, at
        elif row.does in {Does.REPORTS, Does.NAMES} and "/revisions/" not in at[0]:
            assert entry["reason"] == row.limit, at
        else:
            assert "/revisions/" in at[0], at
    assert len(moved) == 4
    assert len(inline) == 2


def test_plan_apply_verify_and_rollback(whole: Whole) -> None:
    world, before, held = whole.world, whole.documents(), whole.values()
    text = whole.plan.to_json()
    assert not any(value in text for value in canaries())
    result = world.executor().apply(whole.plan)
    assert result.exit_code == 0, [(a.name, a.error) for a in result.apps]
    after = whole.documents()
    assert after["children"] == before["children"], "nothing outside the plan changes"
    assert after["environment"] == before["environment"]
    proven = proof.verify(result.run, world.cloud, world.journal, KEY)
    failed = [check for one in proven.apps for check in one.checks if check.status is proof.Status.FAILED]
    assert failed == []
    assert {check.status for one in proven.apps for check in one.checks if check.name == "execution"} == {
        proof.Status.UNPROVEN
    }
    for kind in (APP, JOB):
        template = json.dumps(after[kind]["properties"]["template"])
        assert not any(
            surfaces.canary(r, k) in template for r, k, p in surfaces.planted() if p.endswith("env[0].value")
        )
    back = world.executor().rollback(result.run)
    assert back.exit_code == 0, [(a.name, a.error) for a in back.apps]
    assert whole.documents() == before
    assert whole.values() == held
