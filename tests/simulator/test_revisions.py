"""Revisions and replicas: what makes one, how they take over, fail, scale to zero, and are shown."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.simulator.providers import registries
from tests.simulator.apps import APP, VERSION, Apps
from tests.simulator.inside import REGISTRIES, code

ACR = f"{REGISTRIES}/acrShop"
SERVER = "acrshop.azurecr.io"


@pytest.fixture
def apps() -> Apps:
    return Apps()


def template(image: str = "nginx", *env: dict[str, str], **scale: Any) -> dict[str, Any]:
    return {
        "containers": [{"name": "main", "image": image, "env": list(env)}],
        "scale": {"minReplicas": 1, **scale},
    }


def plain(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def act(apps: Apps, name: str, verb: str) -> Any:
    return apps.arm("POST", f"{APP}/revisions/{name}/{verb}", version=VERSION).body


def replicas(apps: Apps, name: str) -> list[Any]:
    listed = apps.arm("GET", f"{APP}/revisions/{name}/replicas", version=VERSION).body["value"]
    return [entry["properties"] | {"name": entry["name"]} for entry in listed]


def test_names_are_random_first_and_counted_then(apps: Apps) -> None:
    apps.create()
    first = apps.latest()
    assert first.startswith("web--")
    assert not first.endswith("--0000001")
    names = []
    for number in range(3):
        apps.change({"properties": {"template": template(f"nginx:{number}")}})
        names.append(apps.latest())
    assert names == ["web--0000001", "web--0000002", "web--0000003"]


def test_only_the_template_makes_a_revision(apps: Apps) -> None:
    apps.create(configuration={"ingress": {"external": True, "targetPort": 80}})
    shown, before = apps.get(version=VERSION), apps.latest()
    for change in (
        {"tags": {"a": "b"}},
        {"identity": {"type": "SystemAssigned"}},
        {"properties": {"configuration": {"secrets": [{"name": "a", "value": "1"}]}}},
        {"properties": {"configuration": {"registries": [{"server": "example.com", "identity": "system"}]}}},
        {"properties": {"configuration": {"activeRevisionsMode": "Multiple"}}},
        {"properties": {"configuration": {"ingress": {"targetPort": 8080}}}},
        {"properties": {"template": shown["properties"]["template"]}},
    ):
        apps.change(change)
        assert apps.latest() == before, change
    for change in (
        {"properties": {"template": {"scale": {"minReplicas": 2}}}},
        {"properties": {"template": {"revisionSuffix": "named"}}},
        {"properties": {"template": template("nginx", plain("A", "1"))}},
    ):
        apps.change({"properties": {"template": {"revisionSuffix": None}}} if "named" in before else {})
        apps.change(change)
        assert apps.latest() != before, change
        before = apps.latest()


def test_suffixes_collide_loudly_when_active_and_silently_when_not(apps: Apps) -> None:
    apps.create(template={**template(), "revisionSuffix": "one"})
    assert apps.latest() == "web--one"
    refused = apps.patch({"properties": {"template": template("nginx:2")}})
    assert (refused.status, code(refused)) == (400, "WebhookInvalidParameterValue")
    assert "revision with suffix one already exists" in refused.body["error"]["message"]
    apps.change({"properties": {"template": {**template("nginx:2"), "revisionSuffix": "two"}}})
    apps.wait(60)
    assert not apps.revisions()["web--one"]["active"]
    again = apps.change({"properties": {"template": {**template("nginx:3"), "revisionSuffix": "one"}}})
    assert again["properties"]["provisioningState"] == "Succeeded"
    assert again["properties"]["latestRevisionName"] == "web--two"
    assert set(apps.revisions()) == {"web--one", "web--two"}
    apps.change({"properties": {"template": {**template("nginx:4"), "revisionSuffix": None}}})
    assert apps.latest() == "web--0000002"


def test_in_single_mode_the_old_one_serves_until_the_new_one_is_ready(apps: Apps) -> None:
    apps.create()
    old = apps.latest()
    apps.azure.switches.replica_start = 30.0
    assert apps.patch({"properties": {"template": template("nginx:2")}}).status == 202
    apps.wait(9)
    shown = apps.get()["properties"]
    assert shown["provisioningState"] == "Succeeded"
    assert shown["latestRevisionName"] == "web--0000001"
    assert shown["latestReadyRevisionName"] == old
    states = apps.revisions()
    assert states["web--0000001"] | {"runningState": "Activating", "healthState": "None"} == states["web--0000001"]
    assert states[old] | {"active": True, "runningState": "Running"} == states[old]
    apps.wait(30)
    assert apps.get()["properties"]["latestReadyRevisionName"] == "web--0000001"
    old_state = apps.revisions()[old]
    assert (old_state["runningState"], old_state["active"], old_state["replicas"]) == ("Deprovisioning", True, 1)
    apps.wait(40)
    old_state = apps.revisions()[old]
    assert (old_state["runningState"], old_state["active"], old_state["replicas"]) == ("Stopped", False, 0)
    assert "lastActiveTime" in old_state


def test_old_revisions_keep_their_template_with_plain_values(apps: Apps) -> None:
    apps.create(template=template("nginx", plain("PASSWORD", "hunter2")))
    old = apps.latest()
    apps.change({"properties": {"template": template()}})
    apps.wait(60)
    assert apps.revisions()[old]["template"]["containers"][0]["env"] == [plain("PASSWORD", "hunter2")]


def test_old_revisions_are_purged_late(apps: Apps) -> None:
    apps.create()
    for number in range(4):
        apps.change({"properties": {"template": template(f"nginx:{number}")}})
    apps.wait(60)
    apps.change({"properties": {"configuration": {"maxInactiveRevisions": 1}}})
    apps.wait(900)
    assert len(apps.revisions()) == 5
    apps.wait(7200)
    assert list(apps.revisions()) == ["web--0000003", "web--0000004"]


def test_traffic_in_multiple_mode(apps: Apps) -> None:
    apps.create(configuration={"activeRevisionsMode": "multiple", "ingress": {"external": True, "targetPort": 80}})
    old = apps.latest()
    apps.change({"properties": {"configuration": {"ingress": {"traffic": [{"revisionName": old, "weight": "100"}]}}}})
    apps.change({"properties": {"template": template("nginx:2")}})
    apps.wait(60)
    new = apps.latest()
    states = apps.revisions()
    assert [(states[name]["active"], states[name]["trafficWeight"]) for name in (old, new)] == [(True, 100), (True, 0)]
    split = [{"revisionName": old, "weight": 40}, {"latestRevision": True, "weight": 60}]
    apps.change({"properties": {"configuration": {"ingress": {"traffic": split}}}})
    states = apps.revisions()
    assert [states[name]["trafficWeight"] for name in (old, new)] == [40, 60]
    wrong = [{"revisionName": old, "weight": 40}]
    assert apps.patch({"properties": {"configuration": {"ingress": {"traffic": wrong}}}}).status == 400
    apps.change({"properties": {"configuration": {"activeRevisionsMode": "Single"}}})
    apps.wait(60)
    assert not apps.revisions()[old]["active"]


def test_without_traffic_a_revision_scales_to_zero(apps: Apps) -> None:
    apps.create(template=template(minReplicas=0))
    name = apps.latest()
    assert apps.revisions()[name]["replicas"] == 1
    apps.wait(400)
    state = apps.revisions()[name]
    assert (state["runningState"], state["replicas"], state["active"]) == ("ScaledToZero", 0, True)
    assert replicas(apps, name) == []
    apps.wait(4000)
    apps.change({"properties": {"template": template(minReplicas=1, maxReplicas=1)}})
    assert apps.revisions()[apps.latest()]["runningState"] == "RunningAtMaxScale"


def test_an_app_that_misses_a_value_crashes_and_the_old_revision_goes_on(apps: Apps) -> None:
    apps.azure.world.table("needs")[APP.lower()] = [{"env": "PASSWORD", "value": "hunter2"}]
    apps.create(template=template("nginx", plain("PASSWORD", "hunter2")))
    old = apps.latest()
    broken = apps.change({"properties": {"template": template("nginx", plain("PASSWORD", "wrong"))}})
    assert broken["properties"]["provisioningState"] == "Succeeded"
    assert broken["properties"]["latestReadyRevisionName"] == old
    new = apps.latest()
    state = apps.revisions()[new]
    assert (state["runningState"], state["healthState"], state["provisioningState"]) == (
        "Failed",
        "Unhealthy",
        "Failed",
    )
    assert state["provisioningError"] == "Container crashing: main"
    assert apps.revisions()[old]["runningState"] == "Running"
    container = replicas(apps, new)[0]["containers"][0]
    assert container["runningStateDetails"] == "Container is waiting with reason: CrashLoopBackOff on legion."
    apps.change({"properties": {"template": template("nginx", plain("PASSWORD", "hunter2"))}})
    assert apps.revisions()[apps.latest()]["healthState"] == "Healthy"


def test_a_need_is_met_by_a_secret_and_seen_at_a_restart(apps: Apps) -> None:
    apps.azure.world.table("needs")[APP.lower()] = [{"env": "PASSWORD", "value": "new"}]
    secret = {"secrets": [{"name": "pw", "value": "new"}]}
    apps.create(configuration=secret, template=template("nginx", {"name": "PASSWORD", "secretRef": "pw"}))
    name = apps.latest()
    assert apps.revisions()[name]["healthState"] == "Healthy"
    before = {replica["name"] for replica in replicas(apps, name)}
    apps.change({"properties": {"configuration": {"secrets": [{"name": "pw", "value": "old"}]}}})
    assert apps.revisions()[name]["healthState"] == "Healthy"
    assert {replica["name"] for replica in replicas(apps, name)} == before
    assert act(apps, name, "restart") == "Restart succeeded"
    apps.wait(60)
    assert apps.revisions()[name]["runningState"] == "Failed"
    assert not before & {replica["name"] for replica in replicas(apps, name)}


@pytest.mark.parametrize(("mode", "state"), [("stuck", "Activating"), ("last-wins", "Running")])
def test_two_env_entries_of_one_name(apps: Apps, mode: str, state: str) -> None:
    apps.azure.switches.duplicate_env = mode
    apps.azure.world.table("needs")[APP.lower()] = [{"env": "A", "value": "2"}]
    apps.create(template=template("nginx", plain("A", "1"), plain("A", "2")))
    apps.wait(300)
    name = apps.latest()
    assert apps.revisions()[name]["runningState"] == state
    assert apps.get()["properties"]["provisioningState"] == "Succeeded"


def test_an_image_that_cannot_be_pulled_fails_the_revision(apps: Apps) -> None:
    registries.load(apps.azure, {"id": ACR, "location": "westeurope", "properties": {"adminUserEnabled": False}})
    puller = apps.user_identity("puller")
    identity = {"type": "UserAssigned", "userAssignedIdentities": {puller: {}}}
    configuration = {"registries": [{"server": SERVER, "identity": puller}]}
    apps.create(identity=identity, configuration=configuration, template=template(f"{SERVER}/team/web:1"))
    name = apps.latest()
    state = apps.revisions()[name]
    assert state["runningState"] == "Failed"
    assert state["provisioningError"].startswith(f'Persistent Image Pull Errors for image "{SERVER}/team/web:1"')
    waiting = replicas(apps, name)[0]["containers"][0]["runningStateDetails"]
    assert waiting == "Container is waiting with reason: ImagePullBackOff on legion."
    apps.grant(apps.principal(puller), "AcrPull", ACR)
    apps.wait(120)  # the platform tries again
    assert apps.revisions()[name]["runningState"] == "Running"
    assert "provisioningError" not in apps.revisions()[name]


def test_a_wrong_registry_switch_shows_at_the_next_replica_only(apps: Apps) -> None:
    registries.load(apps.azure, {"id": ACR, "location": "westeurope", "properties": {}})
    puller = apps.user_identity("puller")
    apps.grant(apps.principal(puller), "AcrPull", ACR)
    apps.create(
        identity={"type": "UserAssigned", "userAssignedIdentities": {puller: {}}},
        configuration={"registries": [{"server": SERVER, "identity": puller}]},
        template=template(f"{SERVER}/team/web:1"),
    )
    name = apps.latest()
    wrong = {"registries": [{"server": SERVER, "identity": "system"}]}
    apps.change({"properties": {"configuration": wrong}})
    assert apps.revisions()[name]["runningState"] == "Running"
    act(apps, name, "restart")
    apps.wait(60)
    assert apps.revisions()[name]["runningState"] == "Failed"


def test_activate_deactivate_and_restart_answer_at_once(apps: Apps) -> None:
    apps.create(configuration={"activeRevisionsMode": "Multiple"})
    name = apps.latest()
    assert act(apps, name, "deactivate") == "Deactivate succeeded"
    assert not apps.revisions()[name]["active"]
    assert act(apps, name, "activate") == "Activate succeeded"
    apps.wait(20)
    assert apps.revisions()[name]["runningState"] == "Running"
    assert code(apps.arm("GET", f"{APP}/revisions/web--nope", version=VERSION)) == "RevisionNotFound"


def test_an_app_stops_and_starts(apps: Apps) -> None:
    apps.create()
    stopped = apps.arm("POST", f"{APP}/stop", version=VERSION)
    assert stopped.status == 202
    apps.wait(20)
    assert apps.get()["properties"]["runningStatus"] == "Stopped"
    assert apps.revisions()[apps.latest()]["replicas"] == 0
    apps.arm("POST", f"{APP}/start", version=VERSION)
    apps.wait(20)
    assert apps.get()["properties"]["runningStatus"] == "Running"
    assert apps.revisions()[apps.latest()]["runningState"] == "Running"


def test_names_of_secrets_may_be_shown_rewritten(apps: Apps) -> None:
    env = {"name": "A", "secretRef": "pw"}
    apps.create(configuration={"secrets": [{"name": "pw", "value": "1"}]}, template=template("nginx", env))
    apps.azure.switches.secret_ref_display = "prefixed"
    shown = apps.revisions()[apps.latest()]["template"]["containers"][0]["env"]
    assert shown == [{"name": "A", "secretRef": "capp-web"}]
    assert apps.get()["properties"]["template"]["containers"][0]["env"] == [env]


def test_loaded_apps_run_with_the_names_they_had(apps: Apps) -> None:
    document = apps.body(template=template("nginx", plain("A", "1"))) | {"id": APP}
    document["properties"]["latestRevisionName"] = "web--0000007"
    apps.load("Microsoft.App/containerApps", document)
    old = {"properties": {"template": template("nginx", plain("A", "0")), "createdTime": "2025-01-01T00:00:00+00:00"}}
    apps.load("Microsoft.App/containerApps/revisions", old | {"id": f"{APP}/revisions/web--0000006"})
    states = apps.revisions()
    assert states["web--0000007"]["runningState"] == "Running"
    assert states["web--0000006"]["active"] is False
    assert states["web--0000006"]["template"]["containers"][0]["env"] == [plain("A", "0")]
    apps.change({"properties": {"template": template("nginx:2")}})
    assert apps.latest() == "web--0000008"


def test_a_world_is_the_same_after_saving(apps: Apps, tmp_path: Any) -> None:
    from migrator.simulator.azure import Azure
    from migrator.simulator.clock import Clock
    from migrator.simulator.world import World

    apps.create()
    apps.patch({"properties": {"template": template("nginx:2")}})
    apps.azure.world.save(tmp_path / "world", moment=apps.azure.clock.now())
    world, moment = World.load(tmp_path / "world")
    apps.azure = Azure(world, Clock(speed=0.0, start=moment))
    apps.wait(20)
    assert apps.get()["properties"]["latestReadyRevisionName"] == "web--0000001"
