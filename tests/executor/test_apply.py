"""Plans carried out over TLS against the simulated cloud: done, proven, refused, put back."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.errors import PlanFileError, RunError
from migrator.executor import RunResult
from migrator.model import AppState, Json, RunState, StepState, settled
from scanners.model import Fingerprinter, Secret

from .world import KEY, PLANTED, VAULT, World, app, app_id, estate, no_values, running, two_apps

QUICK = {"role_propagation": [1.0, 3.0]}


@pytest.fixture
def two(tmp_path: Path) -> Iterator[World]:
    with running(estate(*two_apps(), app("bystander"), switches=QUICK), tmp_path) as world:
        yield world
        no_values(tmp_path, *(event.text for event in world.events))


def state(result: RunResult, name: str) -> str:
    return next(app.state for app in result.apps if app.name == name)


def why(result: RunResult, name: str) -> str:
    error = next(app.error for app in result.apps if app.name == name)
    assert error is not None
    assert error["hint"]
    return f"{error['what']}: {error['why']}"


def snapshot(world: World, *names: str) -> dict[str, Any]:
    return {name: (settled(world.app(name)), world.values(name)) for name in names}


ALL = ("api", "web", "bystander")


def test_scenario_one(two: World) -> None:
    before, things, untouched = snapshot(two, *ALL), two.resources(), two.app("bystander")
    plan = two.plan()
    result = two.executor().apply(plan)
    assert result.exit_code == 0, result
    assert result.state == RunState.DONE
    assert all(app.proven for app in result.apps)
    assert two.app("bystander") == untouched
    for name in ("api", "web"):
        shown = str(two.app(name)) + str(two.cloud.list_revisions(app_id(name))[-1])
        assert not any(value in shown for value in PLANTED.values())
    web = {secret.name: secret for secret in two.cloud.get_app_secrets(app_id("web"))}
    reference = web["microsoft-provider-authentication-secret"]
    assert reference.key_vault_url is not None
    assert reference.key_vault_url.endswith("/secrets/web-microsoft-provider-authentication-secret")
    assert reference.value == Secret(PLANTED["client"])
    assert web["other"].value == Secret("stays-inline-as-it-is")
    # an inline secret keeps its name, so no revision was made
    assert len(two.cloud.list_revisions(app_id("web"))) == 1
    proven = proof.verify(result.run, two.cloud, two.journal, KEY)
    assert proven.ok
    assert [app.status for app in proven.apps] == [proof.Status.OK, proof.Status.OK]

    back = two.executor().rollback(result.run)
    assert back.exit_code == 0
    assert back.state == RunState.ROLLED_BACK
    assert snapshot(two, *ALL) == before
    assert two.resources() == things
    again = two.executor().rollback(result.run)
    assert again.exit_code == 0
    assert snapshot(two, *ALL) == before
    # the plan fits the apps again, over the disabled vault secrets of the first run
    once_more = two.executor().apply(plan)
    assert once_more.exit_code == 0, once_more


def test_rollback_of_one_app(two: World) -> None:
    before = snapshot(two, *ALL)
    result = two.executor().apply(two.plan())
    moved = snapshot(two, *ALL)
    back = two.executor().rollback(result.run, apps=("api",))
    assert back.exit_code == 0
    assert [app.name for app in back.apps] == ["api"]
    assert snapshot(two, *ALL) == {**moved, "api": before["api"]}
    assert two.journal.runs()[0]["state"] == RunState.PARTLY
    with pytest.raises(RunError, match="no app 'nobody'"):
        two.executor().rollback(result.run, apps=("nobody",))
    assert two.executor().rollback(result.run).exit_code == 0
    assert snapshot(two, *ALL) == before


def test_rollback_needs_no_vault(two: World) -> None:
    before = snapshot(two, *ALL)
    result = two.executor().apply(two.plan())
    two.fault(plane="vault", status=403, code="Forbidden", times=10**6)
    back = two.executor().rollback(result.run)
    assert back.exit_code == 0
    assert snapshot(two, *ALL) == before
    left = [event.text for event in two.events if event.kind == "app-rolled-back"]
    assert all("vault-secret" in text and "keylift rollback" in text for text in left)
    two.simulator.azure.faults.rules.clear()
    # what was left behind is made up for as soon as the vault answers
    assert two.executor().rollback(result.run).exit_code == 0
    steps = two.journal.steps(result.run).values()
    assert {step.state for step in steps} <= {StepState.UNDONE, StepState.ADOPTED}
    uri = next(step.change["vault_uri"] for step in two.journal.plan(result.run).steps if step.kind == "vault-secret")
    described = two.cloud.describe_secret(uri, "api-db-connection")
    assert described is not None
    assert not described.enabled


def test_an_app_that_fails_is_put_back_and_others_go_on(two: World) -> None:
    before, plan = snapshot(two, *ALL), two.plan()
    # from now on a new replica of `api` fails, and says its value in the error
    two.simulator.world.table("needs")[app_id("api").lower()] = [{"env": "DB_CONNECTION", "value": "another"}]
    result = two.executor(proof=60.0).apply(plan)
    assert result.exit_code == 12
    assert state(result, "api") == AppState.ROLLED_BACK
    assert state(result, "web") == AppState.DONE
    assert result.state == RunState.PARTLY
    assert "does not run" in why(result, "api")
    assert snapshot(two, "api") == {"api": before["api"]}
    assert (
        two.cloud.get_identity(
            f"{VAULT.partition('/providers')[0]}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-api"
        )
        is None
    )
    proven = proof.verify(result.run, two.cloud, two.journal, KEY)
    assert proven.ok


def test_a_right_that_is_missing(two: World) -> None:
    before, things, plan = snapshot(two, *ALL), two.resources(), two.plan()
    two.fault(method="PUT", path="roleAssignments", status=403, code="AuthorizationFailed", times=10**6)
    result = two.executor().apply(plan)
    assert result.exit_code == 12
    assert result.state == RunState.ROLLED_BACK
    assert snapshot(two, *ALL) == before
    assert two.resources() == things


def test_an_undo_that_fails_needs_a_person_and_can_be_gone_on_with(two: World) -> None:
    before, plan = snapshot(two, *ALL), two.plan()
    result = two.executor().apply(plan)
    rule = two.fault(method="PATCH", path="containerApps/api", status=403, code="AuthorizationFailed", times=10**6)
    back = two.executor().rollback(result.run)
    assert back.exit_code == 13
    assert state(back, "api") == AppState.FAILED
    assert state(back, "web") == AppState.ROLLED_BACK
    assert two.journal.runs()[0]["state"] == RunState.FAILED
    # what the app still stands on was left alone
    assert proof.verify(result.run, two.cloud, two.journal, KEY).exit_code == 13
    assert two.values("api")["db-connection"] == Secret(PLANTED["database"])
    rule.times = 0
    assert two.executor().resume(result.run).exit_code == 0
    assert snapshot(two, *ALL) == before


def test_stale_before_the_first_step(two: World) -> None:
    plan, things = two.plan(), two.resources()
    two.patch("api", {"properties": {"configuration": {"maxInactiveRevisions": 7}}, "tags": {"team": "else"}})
    changed = snapshot(two, *ALL)
    result = two.executor().apply(plan)
    assert result.exit_code == 11
    assert state(result, "api") == AppState.STALE
    assert state(result, "web") == AppState.DONE
    text = why(result, "api")
    assert "tags" in text
    assert "properties.configuration.maxInactiveRevisions" in text
    assert "last changed by" in text
    assert "else" not in text
    assert snapshot(two, "api")["api"] == changed["api"]
    assert not any("id-api" in thing for thing in two.resources() - things)


def test_stale_because_a_value_changed(two: World) -> None:
    plan = two.plan()
    body = {
        "secrets": [
            {"name": "microsoft-provider-authentication-secret", "value": "another-value"},
            {"name": "other", "value": "stays-inline-as-it-is"},
        ]
    }
    two.patch("web", {"properties": {"configuration": body}})
    result = two.executor().apply(plan)
    assert result.exit_code == 11
    assert "secrets[microsoft-provider-authentication-secret]" in why(result, "web")
    assert "another-value" not in why(result, "web")


def test_stale_while_the_run_is_at_work(two: World) -> None:
    plan = two.plan()
    done = threading.Event()

    class Meddling:
        """The cloud, with somebody else who writes to `api` after its identity was attached."""

        def __getattr__(self, name: str) -> Any:
            if name == "set_secret" and not done.is_set():
                done.set()
                two.patch("api", {"tags": {"team": "else"}})
            return getattr(two.cloud, name)

    result = two.executor(cloud=Meddling(), workers=1).apply(plan)
    assert result.exit_code == 11
    assert state(result, "api") == AppState.STALE
    assert "changed: tags" in why(result, "api")
    # its own changes are undone, the other's stay
    document = two.app("api")
    assert document["tags"] == {"team": "else"}
    assert document["identity"] == {"type": "None"}
    assert not any(s.key_vault_url for s in two.cloud.get_app_secrets(app_id("api")))


def test_a_change_outside_the_plan_is_seen_and_undone(two: World) -> None:
    before, plan = snapshot(two, *ALL), two.plan()
    cloud = two.cloud
    meddled = threading.Event()

    class Policy:
        """The cloud, with a policy that rewrites a tag of `web` along with the first write."""

        def __getattr__(self, name: str) -> Any:
            if name != "patch_app":
                return getattr(cloud, name)

            def patch(app: str, body: Json, on_operation: Any, **options: Any) -> Json:
                if app.endswith("/web") and not meddled.is_set():
                    meddled.set()
                    body = {**body, "tags": {"policy": "was-here"}}
                return cloud.patch_app(app, body, on_operation, **options)

            return patch

    result = two.executor(cloud=Policy()).apply(plan)
    assert result.exit_code == 12
    assert "differs in tags.policy" in why(result, "web")
    assert "was-here" not in why(result, "web")
    document = settled(two.app("web"))
    assert document.pop("tags") == {"team": "shop", "policy": "was-here"}
    assert document == {key: value for key, value in before["web"][0].items() if key != "tags"}


def test_a_third_partys_edit_survives_rollback(two: World) -> None:
    result = two.executor().apply(two.plan())
    document = two.app("api")
    containers = document["properties"]["template"]["containers"]
    containers[0]["image"] = "mcr.microsoft.com/k8se/quickstart:2"
    containers[0]["resources"].pop("ephemeralStorage", None)
    two.patch("api", {"properties": {"template": {"containers": containers, "revisionSuffix": None}}})
    back = two.executor().rollback(result.run)
    assert back.exit_code == 0
    container = two.app("api")["properties"]["template"]["containers"][0]
    assert container["image"] == "mcr.microsoft.com/k8se/quickstart:2"
    assert {"name": "DB_CONNECTION", "value": PLANTED["database"]} in container["env"]
    text = next(e.text for e in two.events if e.kind == "app-rolled-back" and e.app.endswith("/api"))
    assert "differs from before in properties.template.containers[0].image" in text


def test_what_another_run_stands_on_stays(two: World) -> None:
    """A second plan adopts the vault secret that the first one wrote."""
    first = two.executor().apply(two.plan(vault_secret_name="{name}"))
    two.executor().rollback(first.run, apps=("web",))
    uri = next(step.change["vault_uri"] for step in two.journal.plan(first.run).steps if step.kind == "vault-secret")
    # somebody gives `web` the same plaintext as `api` had
    two.patch(
        "bystander",
        {
            "properties": {
                "template": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "mcr.microsoft.com/k8se/quickstart:latest",
                            "env": [{"name": "DB_CONNECTION", "value": PLANTED["database"]}],
                        }
                    ]
                }
            }
        },
    )
    plan = two.plan(vault_secret_name="{name}")
    adopted = [step for step in plan.steps if step.kind == "vault-secret" and step.change["action"] == "adopt"]
    assert [step.change["name"] for step in adopted] == ["db-connection"]
    second = two.executor().apply(plan)
    assert second.exit_code == 0, second
    two.executor().rollback(first.run)
    described = two.cloud.describe_secret(uri, "db-connection")
    assert described is not None
    assert described.enabled
    assert two.values("bystander")["db-connection"] == Secret(PLANTED["database"])


def test_an_unfinished_run_must_be_ended_first(two: World) -> None:
    plan = two.plan()
    executor = two.executor()
    two.fault(method="PUT", path="userAssignedIdentities", delay=0.0, times=0)
    stopper = threading.Event()

    def listen(event: Any) -> None:
        two.events.append(event)
        if event.kind == "step-done" and not stopper.is_set():
            stopper.set()
            executor.stop()

    executor = two.executor(on_event=listen)
    result = executor.apply(plan)
    assert result.exit_code == 130
    assert result.state == RunState.INTERRUPTED
    with pytest.raises(RunError, match="is not finished") as caught:
        two.executor().apply(plan)
    assert f"keylift resume {result.run}" in caught.value.hint
    assert two.executor().resume(result.run).exit_code == 0
    assert two.journal.runs()[0]["state"] == RunState.DONE
    assert two.executor().resume(result.run).exit_code == 0


def test_a_plan_for_another_key_or_cloud_or_in_disorder_is_refused(two: World) -> None:
    plan = two.plan()
    executor = two.executor()
    executor._fingerprinter = Fingerprinter(b"x" * 32)
    with pytest.raises(PlanFileError, match="another fingerprint key"):
        executor.apply(plan)
    with pytest.raises(PlanFileError, match="for the cloud"):
        two.executor().apply(dataclasses.replace(plan, cloud="china"))
    with pytest.raises(PlanFileError, match="order"):
        two.executor().apply(dataclasses.replace(plan, steps=tuple(reversed(plan.steps))))
    strange = dataclasses.replace(plan.steps[0], kind="no-such-kind")
    with pytest.raises(PlanFileError, match="unknown kind"):
        two.executor().apply(dataclasses.replace(plan, steps=(strange,)))
    assert two.journal.runs() == []
