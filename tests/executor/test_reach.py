"""Beside the checks of a verification: what identities read before and after, and where values still lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from migrator import proof, reach, rendering
from migrator.cloud import reading

from .contracts import QUICK
from .world import KEY, PLANTED, app, estate, running


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
