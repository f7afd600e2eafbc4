"""Beside the checks of a verification: what identities read before and after, and where values still lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from migrator import proof, reach, rendering
from migrator.cloud import reading
from migrator.simulator import memberships, rbac

from .contracts import QUICK
from .world import KEY, PLANTED, VAULT, app, estate, running


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
