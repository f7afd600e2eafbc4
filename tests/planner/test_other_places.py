"""Values that move and lie elsewhere too: every place that stays is named, and only those."""

from __future__ import annotations

import pytest

from migrator.model import Plan

from .estates import PASSWORD, Spec, app_id, finding, make, rid

COMPONENT = rid("Microsoft.App/managedEnvironments", "env") + "/daprComponents/pubsub"


def risks(plan: Plan, resource: str) -> list[str]:
    entries = plan.rest_risk
    return [str(entry["what"]) for entry in entries if str(entry["where"]).lower() == resource.lower()]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (COMPONENT, "properties.secrets[0].value"),
        (COMPONENT, "properties.metadata[1].value"),
        (app_id("orders"), "properties.template.containers[0].args[2]"),
        (app_id("elsewhere"), "properties.template.containers[0].env[0].value"),
    ],
)
def test_a_place_that_stays_is_named(resource: str, path: str) -> None:
    spec = Spec(env={"DB": PASSWORD})
    plan = make(spec, findings=[*spec.findings(), finding(resource, path, "X", PASSWORD)])
    assert any(f"the same value lies in {path} " in what for what in risks(plan, resource))


def test_places_that_move_are_not() -> None:
    plan = make(Spec(env={"DB": PASSWORD}, inline={"db": PASSWORD}))
    assert plan.steps
    assert not any("the same value lies in" in str(entry["what"]) for entry in plan.rest_risk)


def test_another_value_is_of_no_interest() -> None:
    spec = Spec(env={"DB": PASSWORD})
    other = finding(COMPONENT, "properties.secrets[0].value", "X", "AnotherValue-9vQ2xZ7mLw4pRs")
    assert risks(make(spec, findings=[*spec.findings(), other]), COMPONENT) == []
