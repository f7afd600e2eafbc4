"""Answers that are lost, refused for now or come from somebody else's operation: the end is the planned one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator.model import AppState, Json, RunState, settled

from .world import PLANTED, World, app_id, estate, no_values, running, two_apps


@pytest.fixture
def two(tmp_path: Path) -> Iterator[World]:
    with running(estate(*two_apps(), switches={"role_propagation": [1.0, 3.0]}), tmp_path) as world:
        yield world
        no_values(tmp_path, *(event.text for event in world.events))


BUSY = {"status": 409, "code": "ContainerAppOperationInProgress", "message": "an active provisioning operation"}


@pytest.mark.parametrize(
    "rule",
    [
        {"method": "PATCH", "drop": "after", "times": 3},
        {"method": "PATCH", "drop": "before", "times": 2},
        {"method": "PATCH", **BUSY, "times": 7},
        {"method": "PATCH", "status": 503, "times": 3},
        {"method": "PUT", "drop": "after", "times": 3},
        {"plane": "vault", "method": "PUT", "drop": "after", "times": 1},
        {"plane": "vault", "status": 429, "times": 4, "headers": {"Retry-After": "1"}},
        {"method": "GET", "truncate": True, "times": 5, "skip": 12},
        {"method": "GET", "status": 500, "times": 5, "skip": 20},
        {"path": "listSecrets", "status": 412, "times": 2},
    ],
)
def test_what_passes_is_outlived(two: World, rule: Json) -> None:
    before, plan, things = {n: settled(two.app(n)) for n in ("api", "web")}, two.plan(), two.resources()
    made = two.fault(**rule)
    result = two.executor().apply(plan)
    assert made.seen > made.skip
    assert result.exit_code == 0, [app.error for app in result.apps]
    made.seen = 0
    assert two.executor().rollback(result.run).exit_code == 0
    assert {n: settled(two.app(n)) for n in ("api", "web")} == before
    assert two.resources() == things


def test_a_write_from_an_old_reading_is_not_sent(two: World) -> None:
    """Between our reading and our PATCH somebody deploys: 409 first, and then the app is another one."""
    plan, cloud = two.plan(), two.cloud
    met: list[str] = []

    class Deploying:
        def __getattr__(self, name: str) -> Any:
            if name != "patch_app":
                return getattr(cloud, name)

            def patch(target: str, body: Json, on_operation: Any, **options: Any) -> Json:
                if target.endswith("/api") and "properties" in body and not met:
                    met.append(target)
                    document = two.app("api")
                    containers = document["properties"]["template"]["containers"]
                    containers[0]["resources"].pop("ephemeralStorage", None)
                    containers[0]["env"].append({"name": "NEW", "value": "of-the-deployment"})
                    template = {"containers": containers, "revisionSuffix": None}
                    two.patch("api", {"properties": {"template": template}})
                    two.fault(method="PATCH", path="containerApps/api", **BUSY)
                return cloud.patch_app(target, body, on_operation, **options)

            return patch

    result = two.executor(cloud=Deploying()).apply(plan)
    assert met
    assert result.exit_code == 11
    (stale,) = (app for app in result.apps if app.state == AppState.STALE)
    assert stale.error is not None
    assert "properties.template.containers[0].env" in stale.error["why"]
    env = two.app("api")["properties"]["template"]["containers"][0]["env"]
    assert {"name": "NEW", "value": "of-the-deployment"} in env
    assert {"name": "DB_CONNECTION", "value": PLANTED["database"]} in env


def test_an_app_that_is_deleted_meanwhile(two: World) -> None:
    plan, cloud, things = two.plan(), two.cloud, two.resources()

    class Deleting:
        gone = False

        def __getattr__(self, name: str) -> Any:
            if name == "put_assignment" and not Deleting.gone:
                Deleting.gone = True
                two.simulator.world.resources.pop(app_id("web").lower())
            return getattr(cloud, name)

    result = two.executor(cloud=Deleting(), workers=1).apply(plan)
    assert {app.name: app.state for app in result.apps} == {"api": AppState.DONE, "web": AppState.STALE}
    assert result.exit_code == 11
    assert result.state == RunState.PARTLY
    assert not any("id-web" in thing for thing in two.resources() - things)
