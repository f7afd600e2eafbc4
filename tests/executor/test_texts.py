"""Values in metadata of scale rules and in scripts of command lines, moved and put back; and what keeps one in its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from migrator import proof
from migrator.cloud import vaults
from migrator.journal import Journal
from migrator.model import Json, settled
from migrator.rehearsal import rehearse
from migrator.rehearsal_stage import Source

from .jobs import job, job_id
from .test_jobs import QUICK
from .test_sweep import Death, attempt
from .texts import CANARIES, INIT, QUEUE, REDIS, SCRIPT, scanned, worker
from .world import KEY, VAULT, World, app_id, estate, no_values, running

STRIDE = 19


def nightly() -> Json:
    made = job("nightly")
    made["properties"]["template"]["containers"][0]["env"] = []
    made["properties"]["template"]["initContainers"][0]["env"] = []
    rule = made["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]
    rule |= {"name": "mq", "type": "rabbitmq", "metadata": {"queueName": "q", "host": f"amqp://app:{QUEUE}@mq:5672/v"}}
    rule["auth"] = []
    made["properties"]["configuration"]["secrets"] = []
    return made


def documents(world: World) -> dict[str, Any]:
    return {at: settled(world.cloud.get_app(at)) for at in (app_id("worker"), job_id("nightly"))}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    needs = [
        {"app": app_id("worker"), "argument": f"--password={SCRIPT} --url 'amqp://app:{SCRIPT}@mq/'"},
        {"app": app_id("worker"), "argument": f'--token "{INIT}"'},
    ]
    with running(estate(worker(), nightly(), switches=QUICK, needs=needs), tmp_path) as found:
        yield found
        no_values(tmp_path, *(event.text for event in found.events))


def test_moved_proven_and_put_back(world: World, tmp_path: Path) -> None:
    before, things = documents(world), world.resources()
    plan = scanned(world)
    text = plan.to_json()
    assert not any(value in text for value in CANARIES)
    result = world.executor().apply(plan)
    assert result.exit_code == 0, [(a.name, a.error) for a in result.apps]
    after = documents(world)
    assert not any(value in json.dumps(after) for value in CANARIES)
    template = after[app_id("worker")]["properties"]["template"]
    (rule,) = template["scale"]["rules"]
    assert rule["custom"]["metadata"] == {"address": "cache:6379", "listName": "orders", "listLength": "5"}
    (auth,) = rule["custom"]["auth"]
    held = {secret.name: secret for secret in world.cloud.get_app_secrets(app_id("worker"))}
    assert auth["triggerParameter"] == "password"
    assert held[auth["secretRef"]].key_vault_url
    assert held[auth["secretRef"]].value is not None
    assert template["containers"][0]["args"] == [
        "exec worker --queue orders --password=\"$KEYLIFT_PASSWORD\" --url 'amqp://app:'\"$KEYLIFT_PASSWORD\"'@mq/'"
    ]
    event = after[job_id("nightly")]["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"][0]
    assert event["metadata"] == {"queueName": "q"}
    assert [entry["triggerParameter"] for entry in event["auth"]] == ["host"]

    shown = proof.verify(result.run, world.cloud, world.journal, KEY)
    checks = {(c.name, c.subject): c.status for one in shown.apps for c in one.checks}
    assert checks["scale-rule", "backlog/password"] is proof.Status.OK
    assert checks["command", "main/args[0]"] is proof.Status.OK
    assert proof.Status.FAILED not in checks.values()

    back = world.executor().rollback(result.run)
    assert back.exit_code == 0, [(a.name, a.error) for a in back.apps]
    assert documents(world) == before
    assert world.resources() == things


def test_rollback_needs_neither_vault_nor_old_revision(world: World) -> None:
    before = documents(world)
    result = world.executor().apply(scanned(world))
    assert result.exit_code == 0
    world.fault(plane="vault", status=503, times=10_000)
    world.simulator.azure.world.resources[VAULT.lower()]["properties"]["publicNetworkAccess"] = "Disabled"
    latest = world.app("worker")["properties"]["latestRevisionName"]
    records = world.simulator.azure.world.table("revisions")[app_id("worker").lower()]
    for name in [name for name in records if name != latest]:
        del records[name]
    back = world.executor().rollback(result.run)
    assert [a.error for a in back.apps] == [None, None]
    after = documents(world)
    for key in before:
        assert after[key]["properties"] == before[key]["properties"]


def test_a_command_that_somebody_changed_is_left_and_said(world: World) -> None:
    result = world.executor().apply(scanned(world))
    world.simulator.azure.world.table("needs").clear()
    body = copy.deepcopy(world.app("worker")["properties"]["template"])
    body["containers"][0]["args"] = ["exec other"]
    body["containers"][0]["resources"].pop("ephemeralStorage", None)
    world.patch("worker", {"properties": {"template": {"containers": body["containers"]}}})
    back = world.executor().rollback(result.run)
    assert back.exit_code == 0, [(a.name, a.error) for a in back.apps]
    assert world.app("worker")["properties"]["template"]["containers"][0]["args"] == ["exec other"]
    assert any("args[0] was changed by somebody else" in event.text for event in world.events)


def test_it_can_be_rehearsed(world: World) -> None:
    plan = scanned(world)
    found = world.read()
    (vault,) = found.vaults
    names = [step.change["name"] for step in plan.steps if step.kind == "vault-secret"]
    found = found.with_vault(vaults.read_vault_secrets(world.session, vault, names, KEY))
    source = Source(plan, found, KEY)
    assert any("argument" in need for need in source.document["needs"])
    text = json.dumps(source.document)
    assert not any(value in text for value in CANARIES)
    held = rehearse(source)
    assert held.ok, held.problems


@pytest.mark.parametrize("way", ["resume", "rollback"])
def test_dead_at_any_instant(tmp_path: Path, way: str) -> None:
    with running(estate(worker(), nightly(), switches=QUICK), tmp_path) as world:
        plan, before, things = scanned(world), documents(world), world.resources()
        kept = copy.deepcopy(world.simulator.world.tables)

        def case(at: int) -> int:
            with world.simulator.azure.lock:
                world.simulator.world.tables = copy.deepcopy(kept)
            for path in tmp_path.glob("keylift.db*"):
                path.unlink()
            death = Death(at)
            attempt(world, death, lambda executor: executor.apply(plan))
            with Journal.open(tmp_path / "keylift.db") as journal:
                begun = bool(journal.runs())
            if begun:
                attempt(world, Death(at // 3 + 2), lambda executor: getattr(executor, way)("latest"))
                last = attempt(world, Death(0), lambda executor: getattr(executor, way)("latest"))
                assert last.exit_code == 0, (at, [entry.error for entry in last.apps])
            if way == "rollback" or not begun:
                assert documents(world) == before, at
                assert world.resources() == things, at
            else:
                assert not any(value in str(documents(world)) for value in CANARIES), at
            return death.instants

        for at in range(1, case(0), STRIDE):
            case(at)
        no_values(tmp_path)


# What stays where it is, and why


def rule(kind: str = "redis", metadata: Json | None = None, **more: Any) -> Json:
    found = {"type": kind, "metadata": {"address": "cache:6379", "password": REDIS, **(metadata or {})}, **more}
    return {"scale": {"minReplicas": 1, "rules": [{"name": "backlog", "custom": found}]}}


AUTH = [{"secretRef": "x", "triggerParameter": "password"}]


@pytest.mark.parametrize(
    ("template", "code", "words"),
    [
        (rule(identity="system"), "scale-rule-identity", "signs in with an identity"),
        (rule("cron"), "scale-rule-parameter", "is not known to take anything by auth"),
        (rule("redis", {"masterKey": INIT}), "scale-rule-parameter", "takes no masterKey by auth"),
        (rule(auth=AUTH), "scale-rule-twice", "by auth"),
        (rule("redis", {"passwordFromEnv": "MODE"}), "scale-rule-twice", "by passwordFromEnv"),
        (
            {"scale": {"minReplicas": 1, "rules": [{"name": "web", "http": {"metadata": {"password": REDIS}}}]}},
            "unsupported-place",
            "http rules take no key",
        ),
    ],
)
def test_a_rule_that_cannot_be_changed_says_why(tmp_path: Path, template: Json, code: str, words: str) -> None:
    with running(estate(worker(**template), switches=QUICK), tmp_path) as world:
        told = [entry for entry in scanned(world).skipped if entry["code"] == code]
        assert told
        assert words in told[0]["reason"]


@pytest.mark.parametrize(
    ("container", "code"),
    [
        ({"command": ["worker"], "args": [f"--password={SCRIPT}"]}, "command-line"),
        ({"command": [], "args": [f"--password={SCRIPT}"]}, "command-line"),
        ({"command": ["sh", "-c", 'worker "$@"', "worker"], "args": [f"--password={SCRIPT}"]}, "command-line"),
        ({"command": ["sh", "-c"], "args": [f"worker --password={SCRIPT} $(date)"]}, "command-quoting"),
    ],
)
def test_a_command_that_cannot_be_changed_says_why(tmp_path: Path, container: Json, code: str) -> None:
    made = worker()
    made["properties"]["template"]["containers"][0] |= container
    with running(estate(made, switches=QUICK), tmp_path) as world:
        assert code in {entry["code"] for entry in scanned(world).skipped}
        assert world.executor().apply(scanned(world)).exit_code == 0


def test_a_scaler_that_reads_by_auth_only_is_told(tmp_path: Path) -> None:
    template = rule("postgresql", {"host": "db", "userName": "app"})
    with running(estate(worker(**template), switches=QUICK), tmp_path) as world:
        plan = scanned(world)
        (note,) = [note for note in plan.notes if note["kind"] == "scale-rule"]
        assert "may begin to scale" in note["text"]
