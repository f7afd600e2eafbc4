"""The estate of `keylift demo`: its whole plan stands its rehearsal."""

from __future__ import annotations

from migrator import api, demo_estate

from .promises import witness


def test_the_plan_of_the_demo_is_proven_by_its_rehearsal() -> None:
    """Apps with registries, jobs, several revisions, services: each step under every passing fault, and all of it back."""
    with witness(demo_estate.estate()) as seen:
        plan = api.make_plan(seen.place, api.Scope(), vault=demo_estate.VAULT, on_conflict="rename")
        held = api.rehearse_plan(seen.place, plan)
        assert held.ok, (held.problems, [trial for trial in held.trials if not trial.survived])
        assert held.everywhere[1] == len(plan.steps)
        assert held.deaths >= 10
