"""Contracts: what is only there for a rollback goes, in its own plan, with its own approval, and never what is in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.errors import RunError
from migrator.model import AppState, Json, Plan, StepState, settled
from migrator.output import formats
from scanners.model import Secret

from .contracts import PASSWORD, QUICK, finalize, job, pulling, shop
from .world import KEY, REGISTRY, World, app_id, estate, no_values, running

CLIENT = "client"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(estate(*shop(), switches=QUICK), tmp_path) as made:
        yield made
        texts = [event.text for event in made.events]
        no_values(tmp_path, *texts)
        written = b"".join(path.read_bytes() for path in tmp_path.glob("keylift.db*"))
        assert PASSWORD.encode() not in written
        assert not any(PASSWORD in text for text in texts)


def migrated(world: World) -> str:
    result = world.executor().apply(world.plan())
    assert result.exit_code == 0, [app.error for app in result.apps]
    return result.run


def admin(world: World) -> bool:
    return bool(world.cloud.get_registry(REGISTRY)["properties"]["adminUserEnabled"])


def kinds(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def whole(world: World) -> dict[str, Any]:
    return {name: (settled(world.app(name)), world.values(name)) for name in ("api", "web")}


def test_everything_that_was_kept_for_rollback_goes(world: World) -> None:
    run = migrated(world)
    old = next(r["name"] for r in world.cloud.list_revisions(app_id("api")))
    plan = finalize(world, run)
    assert plan.to_json() == finalize(world, run).to_json()
    assert kinds(plan) == ["revision-deactivate", "registry-admin-off", "secret-remove"]
    assert [step.id for step in plan.irreversible] == ["web/secret-remove"]
    assert plan.options["point_of_no_return"] == ["web/secret-remove"]
    assert plan.finalizes == run
    assert any(note["kind"] == "point-of-no-return" for note in plan.notes)
    assert [s["name"] for s in plan.irreversible[0].change["secrets"]] == ["unused"]
    assert all(step.change["lost"] for step in plan.steps)
    for form in ("human", "markdown"):
        shown = formats.render_plan(form, plan)
        assert "POINT OF NO RETURN" in shown
        assert all(step.change["lost"][:30] in " ".join(shown.split()) for step in plan.steps)
        assert "purged" not in shown.replace("not purged", "").replace("purges", "")
        assert PASSWORD not in shown
    with pytest.raises(RunError, match="cannot be taken back, and nobody approved"):
        world.executor().apply(plan)

    bystander = {k: v for k, v in world.simulator.azure.world.resources.items() if "vault" in k}
    result = world.executor().apply(plan, point_of_no_return=True)
    assert result.exit_code == 0, [app.error for app in result.apps]
    assert set(world.values("web")) == {"acr-password", CLIENT}
    revisions = {r["name"]: r["properties"] for r in world.cloud.list_revisions(app_id("api"))}
    assert not revisions[old]["active"]
    assert revisions[world.app("api")["properties"]["latestRevisionName"]]["active"]
    assert not admin(world)
    assert {k: v for k, v in world.simulator.azure.world.resources.items() if "vault" in k} == bystander
    told = [event.text for event in world.events if event.kind == "step-done" and "deactivate" in event.step]
    assert told == ["inactive; a listing still shows it, and its values with it"]
    assert proof.verify(result.run, world.cloud, world.journal, KEY).ok
    assert proof.verify(run, world.cloud, world.journal, KEY).ok
    # nothing is left to do, and what is still listed is still said
    again = finalize(world, run)
    assert again.steps == ()
    assert any(old in str(risk["where"]) for risk in again.rest_risk)

    with pytest.raises(RunError, match="finalized after"):
        world.executor().rollback(run)
    back = world.executor().rollback(result.run)
    assert back.exit_code == 0
    assert admin(world)
    states = {step.step: step.state for step in world.journal.steps(result.run).values()}
    assert states["web/secret-remove"] == StepState.DONE  # it is not called undone
    assert states["web/registry-admin-off/acrshop"] == StepState.UNDONE
    assert next(r["properties"]["active"] for r in world.cloud.list_revisions(app_id("api")) if r["name"] == old)
    texts = [event.text for event in world.events if event.kind == "app-rolled-back"]
    assert any("cannot come back" in text for text in texts)
    # the way back of the run itself needs nothing of what was removed
    assert world.executor().rollback(run).exit_code == 0
    assert set(world.values("web")) == {"acr-password", CLIENT}
    assert world.app("api")["properties"]["template"]["containers"][0]["env"][1]["value"]


def test_past_the_point_of_no_return(tmp_path: Path) -> None:
    """The vault has the name with another value: the registry moves, and its password stays inline for rollback."""
    taken = [{"vault": "kv-shop", "name": "shared-acr-password", "value": "something-else-altogether"}]
    with running(estate(*shop(), vaultSecrets=taken, switches=QUICK), tmp_path) as world:
        run = migrated(world)
        plan = finalize(world, run)
        removed = {step.id: [s["name"] for s in step.change["secrets"]] for step in plan.irreversible}
        assert removed == {"api/secret-remove": ["acr-password"], "web/secret-remove": ["acr-password", "unused"]}
        assert all("cannot take" in step.change["lost"] for step in plan.irreversible)
        result = world.executor().apply(plan, point_of_no_return=True)
        assert result.exit_code == 0, [app.error for app in result.apps]
        assert world.executor().rollback(result.run).exit_code == 0
        with pytest.raises(RunError, match="past the point of no return"):
            world.executor().rollback(run)


def test_what_is_in_use_again_stays(world: World) -> None:
    run = migrated(world)
    plan = finalize(world, run)
    # after the plan somebody lets a scale rule use the secret: the app is stale as a whole
    rule = {"name": "q", "custom": {"type": "azure-queue", "metadata": {"queueName": "x"}, "auth": []}}
    rule["custom"]["auth"] = [{"secretRef": "unused", "triggerParameter": "connection"}]  # type: ignore[index]
    template = {"scale": {"minReplicas": 1, "maxReplicas": 3, "rules": [rule]}, "revisionSuffix": None}
    world.patch("web", {"properties": {"template": template}})
    before = world.values("web")
    result = world.executor().apply(plan, point_of_no_return=True)
    assert {app.name: app.state for app in result.apps} == {"api": AppState.DONE, "web": AppState.STALE}
    assert world.values("web") == before
    assert admin(world)
    assert finalize(world, run).irreversible == ()


@pytest.mark.parametrize(
    "change",
    [
        {"template": {"volumes": [{"name": "all", "storageType": "Secret"}], "revisionSuffix": None}},
        {
            "template": {
                "volumes": [{"name": "one", "storageType": "Secret", "secrets": [{"secretRef": "unused"}]}],
                "revisionSuffix": None,
            }
        },
        {"configuration": {"dapr": {"enabled": True, "appId": "unused"}}},
    ],
)
def test_bindings_of_every_kind_keep_a_secret(world: World, change: Json) -> None:
    run = migrated(world)
    world.patch("web", {"properties": change})
    world.clock.sleep(120)
    named = {s["name"] for step in finalize(world, run).irreversible for s in step.change["secrets"]}
    assert "unused" not in named


def test_a_registry_in_use_elsewhere_keeps_its_admin_user(tmp_path: Path) -> None:
    for number, other in enumerate((job("nightly"), pulling("legacy"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with running(estate(*shop(other), switches=QUICK), folder) as world:
            plan = world.plan()
            chosen = tuple(step for step in plan.steps if "legacy" not in step.id)
            run = world.executor().apply(Plan(**{**{f: getattr(plan, f) for f in FIELDS}, "steps": chosen})).run
            made = finalize(world, run)
            assert "registry-admin-off" not in kinds(made)
            (told,) = [entry for entry in made.skipped if "admin user" in entry["reason"]]
            assert other["name"] in told["reason"]


FIELDS = tuple(Plan.__dataclass_fields__)


def test_a_user_that_appears_after_the_plan(world: World) -> None:
    run = migrated(world)
    plan = finalize(world, run)
    world.simulator.azure.world.resources[job("late")["id"].lower()] = job("late")
    result = world.executor().apply(plan, point_of_no_return=True)
    web = next(app for app in result.apps if app.name == "web")
    assert web.state == AppState.STALE
    assert web.error is not None
    assert "late pulls with its password" in web.error["why"]
    assert admin(world)
    assert "unused" in world.values("web")


def test_a_revision_with_traffic_stays(world: World) -> None:
    run = migrated(world)
    old, new = (r["name"] for r in world.cloud.list_revisions(app_id("api")))
    traffic = [{"revisionName": old, "weight": 10}, {"revisionName": new, "weight": 90}]
    world.patch("api", {"properties": {"configuration": {"ingress": {"traffic": traffic}}}})
    plan = finalize(world, run)
    assert "revision-deactivate" not in kinds(plan)
    (told,) = [entry for entry in plan.skipped if old in str(entry["finding"])]
    assert "10 percent of the traffic" in told["reason"]


def test_an_app_that_is_not_proven_is_left_alone(world: World) -> None:
    run = migrated(world)
    template = {"scale": {"minReplicas": 0, "maxReplicas": 3}, "revisionSuffix": None}
    world.patch("web", {"properties": {"template": template}})
    world.clock.sleep(1200)
    plan = finalize(world, run)
    assert not any(step.app.endswith("/web") for step in plan.steps)
    assert any("web" in str(entry["finding"]) and "unproven" in entry["reason"] for entry in plan.skipped)


def test_only_a_done_run_is_finalized(world: World) -> None:
    run = migrated(world)
    contract = world.executor().apply(finalize(world, run), point_of_no_return=True).run
    with pytest.raises(RunError, match="is the contract of run"):
        finalize(world, contract)


@pytest.mark.parametrize(
    "rule",
    [
        {"method": "PATCH", "path": "containerApps", "drop": "after", "times": 1},
        {"method": "PATCH", "path": "registries", "drop": "after", "times": 1},
        {"method": "POST", "path": "deactivate", "drop": "after", "times": 1},
        {"method": "POST", "path": "deactivate", "status": 503, "times": 2},
    ],
)
def test_what_passes_is_outlived(world: World, rule: Json) -> None:
    run = migrated(world)
    plan = finalize(world, run)
    fault = world.fault(**rule)
    result = world.executor(workers=1).apply(plan, point_of_no_return=True)
    assert fault.seen
    assert result.exit_code == 0, [app.error for app in result.apps]
    assert not admin(world)
    assert world.values("web").keys() == {"acr-password", CLIENT}


def test_a_refusal_before_the_point_of_no_return_puts_everything_back(world: World) -> None:
    run = migrated(world)
    before = whole(world)
    plan = finalize(world, run)
    world.fault(method="PATCH", path="containerApps", status=403, code="AuthorizationFailed", times=10**6)
    result = world.executor().apply(plan, point_of_no_return=True)
    assert result.exit_code == 12, [app.error for app in result.apps]
    assert whole(world) == before
    assert admin(world)
    assert {app.name: app.state for app in result.apps} == {"api": AppState.DONE, "web": AppState.ROLLED_BACK}
    assert Secret(PASSWORD) in world.values("web").values()
