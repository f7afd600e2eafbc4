"""Beside the checks of a verification: what identities read before and after, and where values still lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from migrator import proof, reach, rendering
from migrator.access import access
from migrator.cloud import reading
from migrator.foreseen import foreseen
from migrator.planning.choices import Choices
from migrator.reachable import reachable
from migrator.simulator import memberships, rbac

from .contracts import QUICK
from .world import GROUP, KEY, PLANTED, VAULT, app, app_id, estate, running


def test_before_and_after(tmp_path: Path) -> None:
    with running(estate(app("api", {"DB": PLANTED["database"]}, mode="Multiple"), switches=QUICK), tmp_path) as world:
        old = world.app("api")["properties"]["latestRevisionName"]
        run = world.executor().apply(world.plan()).run
        found = reading.read_estate(world.session, reading.Scope(), with_revisions=True, with_access=True)
        (one,) = reach.reaches(run, found, world.journal)
        assert (one.identity, one.before, one.after) == ("id-api", (), ("kv-shop/api-db",))
        (value,) = reach.lying(world.journal.plan(run), found, KEY)
        assert value.secret == "api-db"
        assert value.places == (f"api: env DB of active revision {old}",)
        proven = proof.verify(run, world.cloud, world.journal, KEY)
        shown = rendering.proof("human", replace(proven, reaches=(one,), lying=(value,)))
        assert "kv-shop/api-db" in shown
        assert old in shown
        assert PLANTED["database"] not in shown


def test_a_role_that_is_held_through_a_group(tmp_path: Path) -> None:
    """The run's own assignment went, the identity reads all the same; nothing of that asks the directory."""
    team = "aaaaaaaa-9999-0000-0000-000000000001"
    with running(estate(app("api", {"DB": PLANTED["database"]}), switches=QUICK), tmp_path) as world:
        run = world.executor().apply(world.plan()).run
        azure = world.simulator.azure
        (facts,) = [e.facts for e in world.journal.steps(run).values() if e.kind == "role-assignment"]
        memberships.create(azure, "team", principal=team)
        memberships.join(azure, team, [facts["principal"]])
        rbac.assign(
            azure, principal=team, role="Key Vault Secrets User", scope=VAULT, principal_type="Group", settled=True
        )
        world.cloud.delete_assignment(facts["assignment"])
        proven = proof.verify(run, world.cloud, world.journal, KEY)
        (role,) = [check for check in proven.apps[0].checks if check.name == "role"]
        assert (str(role.status), role.text.partition(", ")[2]) == ("ok", f"through group {team}")
        found = reading.read_estate(world.session, reading.Scope(), with_access=True)
        (one,) = reach.reaches(run, found, world.journal)
        assert one.after == ("kv-shop/*",)


def test_what_a_plan_foresees_is_what_comes(tmp_path: Path) -> None:
    """The numbers in a plan are those of the estate that it makes, identities and vault secrets read again."""
    team = "aaaaaaaa-9999-0000-0000-000000000001"
    old = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-old"
    apps = (
        app("api", {"DB": PLANTED["database"]}),
        app("web", {}, secrets={"other": "stays-inline-as-it-is", "token": PLANTED["client"]}),
        app("own", {"KEY": PLANTED["shared"]}),
    )
    apps[1]["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {old: {}}}
    roles = [
        {"principal": team, "role": "Key Vault Secrets User", "scope": VAULT},
        {"principal": old, "role": "Container Apps Operator", "scope": GROUP},
    ]
    document = estate(*apps, switches=QUICK)
    document |= {"groups": [{"id": team, "members": [old]}], "roleAssignments": roles}
    with running(document, tmp_path) as world:
        plan = world.plan(choices=Choices(identity={app_id("own").lower(): "system"}))
        told = plan.estate["access"]
        before = reading.read_estate(world.session, reading.Scope(), with_access=True, vault="kv-shop")
        run = world.executor().apply(plan).run
        now = reading.read_estate(world.session, reading.Scope(), with_access=True, vault="kv-shop")
        found = {one["identity"].lower(): one["after"] for one in told}
        assert found == {one.identity.lower(): one.after.as_dict() for one in reachable(before, now)}
        foreseen_report, report = access(foreseen(before, plan.steps)), access(now)
        assert foreseen_report.kept == report.kept
        assert sorted(foreseen_report.reads().values()) == sorted(report.reads().values())
        told_before, was = access(reach.before_run(run, now, world.journal)), access(before)
        assert told_before.kept == was.kept
        assert {one: read for one, read in told_before.reads().items() if read} == {
            one: read for one, read in was.reads().items() if read
        }
        names = {key.rpartition("/")[2]: one["secrets"] for key, one in found.items()}
        assert names == {"id-api": 1, "id-old": 4, "own": 1}
        assert next(one for one in told if one["identity"].lower() == old.lower())["before"] == {
            "secrets": 2,
            "vaults": ["kv-shop"],
        }
