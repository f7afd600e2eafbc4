"""`--passwordless apply` on a live estate: the identity in the place of the key, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator import api, report
from migrator.cloud.cloud import AzureCloud
from migrator.exporting.wanted import wanted
from migrator.model import Plan, settled
from migrator.passwordless.code import read_code
from migrator.proof import verify
from migrator.proposing import with_targets
from migrator.rehearsal import rehearse
from migrator.rehearsal_stage import Source
from migrator.simulator.providers import log_streams
from migrator.simulator.wire import Response
from scanners.model import Secret
from tests.e2e.promises import CANARY, Witness, as_people_see_it, witness
from tests.e2e.test_estates import app, estate, rid, vault
from tests.executor import world
from tests.executor.contracts import finalize

KEY = f"{CANARY}kT9vQ2xZ7mLw4pRsHb3nJ6=="
BUS = f"Endpoint=sb://ns1.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={KEY}"
NAMESPACE = rid("Microsoft.ServiceBus/namespaces", "ns1")
FUNCTION = 'void Run([ServiceBusTrigger("orders", Connection = "Bus")] string message) {}'


def namespace() -> dict[str, Any]:
    return {
        "id": NAMESPACE,
        "location": "westeurope",
        "properties": {"serviceBusEndpoint": "https://ns1.servicebus.windows.net:443/"},
    }


@contextmanager
def applying(document: dict[str, Any], **options: Any) -> Iterator[Witness]:
    """A cloud in which a role counts within a second, so that nobody waits ten minutes."""
    with witness(document, **options) as seen:
        seen.place = replace(seen.place, propagation=2.0)
        yield seen


def env_of(document: dict[str, Any]) -> dict[str, Any]:
    (container,) = document["properties"]["template"]["containers"]
    return {entry["name"]: entry.get("secretRef") or entry.get("value") for entry in container["env"]}


def steps(plan: Plan) -> list[str]:
    return [step.kind for step in plan.steps]


def test_a_functions_connection_signs_in_with_the_identity_and_goes_back(tmp_path: Path) -> None:
    """Plain value: the key goes from the template, the identity gets the right of a trigger, and all of it comes back."""
    (tmp_path / "F.cs").write_text(FUNCTION)
    document = estate(
        vault(), namespace(), app("func", {"A": "1", "Bus": BUS, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"})
    )
    with applying(document) as seen:
        before, values, things = seen.documents(), seen.values(), seen.left_behind()
        plan = seen.plan(passwordless="apply", code=[str(tmp_path)])
        assert steps(plan) == [
            "identity-create",
            "identity-attach",
            "role-assignment",
            "access-wait",
            "app-switch",
            "app-prove",
        ]
        (role,) = [step for step in plan.steps if step.kind == "role-assignment"]
        assert role.change["role_name"] == "Azure Service Bus Data Receiver"
        assert not [step for step in plan.steps if step.kind == "vault-secret"]
        result = seen.apply(plan)
        assert result.exit_code == 0, result
        (name,) = seen.apps
        env = env_of(seen.documents()[name])
        client = seen.azure.arm(
            "GET", rid("Microsoft.ManagedIdentity/userAssignedIdentities", "id-func"), version="2023-01-31"
        )
        assert env == {
            "A": "1",
            "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated",
            "Bus__fullyQualifiedNamespace": "ns1.servicebus.windows.net",
            "Bus__credential": "managedidentity",
            "Bus__clientId": client.body["properties"]["clientId"],
        }
        checks = api.verify_run(seen.place, result.run)
        assert checks.exit_code == 0, checks
        # the key itself stays for the way back, and the plan says how it ends
        assert [risk for risk in plan.rest_risk if risk["where"] == NAMESPACE]
        back = seen.rollback(result.run)
        assert back.exit_code == 0
        assert {k: as_people_see_it(v) for k, v in seen.documents().items()} == {
            k: as_people_see_it(v) for k, v in before.items()
        }
        assert (seen.values(), seen.left_behind()) == (values, things)
        seen.check_silence()
        assert CANARY not in plan.to_json()
        assert json.loads(plan.to_json())["options"]["passwordless"] == "apply"


# The rest in one process, where time passes only when somebody waits


GROUP = world.GROUP
QUEUE = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/ns1/queues/orders"


def bus() -> dict[str, Any]:
    return {**namespace(), "id": QUEUE.partition("/queues/")[0]}


def planned(live: world.World, folder: Path, code: dict[str, str], **options: Any) -> Plan:
    """The plan of the live estate with the app's code, and with `--passwordless apply` unless another way is given."""
    source = folder / "code"
    for path, text in code.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text)
    given = {"": read_code(source)} if code else {}
    found = with_targets(live.session, live.read(), None)
    return live.plan(code=given, estate=found, **{"passwordless": "apply", "planted": [BUS], **options})


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ('[ServiceBusTrigger("orders", Connection = "Bus")]', "/queues/orders"),
        ('[ServiceBusTrigger("events", "billing", Connection = "Bus")]', "/topics/events/subscriptions/billing"),
        # two queues, or one binding whose queue is a setting: the namespace
        ('[ServiceBusTrigger("a", Connection = "Bus")]\n[ServiceBusTrigger("b", Connection = "Bus")]', ""),
        ('[ServiceBusTrigger("a", Connection = "Bus")]\n[ServiceBusTrigger("%Q%", Connection = "Bus")]', ""),
    ],
)
def test_the_role_is_at_the_part_that_the_code_names(tmp_path: Path, code: str, scope: str) -> None:
    app_ = functions()
    app_["properties"]["template"]["scale"].pop("rules")
    with world.inside(world.estate(app_, bus()), tmp_path) as live:
        plan = planned(live, tmp_path, {"f.cs": code})
        (role,) = [step for step in plan.steps if step.kind == "role-assignment"]
        assert role.target == f"{bus()['id']}{scope}"


def functions(**secrets: str) -> dict[str, Any]:
    """A Functions app whose connection and whose scale rule share one inline secret."""
    rule = {
        "name": "queue",
        "custom": {
            "type": "azure-servicebus",
            "metadata": {"queueName": "orders", "messageCount": "5", "connectionFromEnv": "Bus"},
            "auth": [{"secretRef": "bus", "triggerParameter": "connection"}],
        },
    }
    found = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node"}, {"bus": BUS, **secrets})
    template = found["properties"]["template"]
    template["containers"][0]["env"].append({"name": "Bus", "secretRef": "bus"})
    template["scale"]["rules"] = [rule]
    return found


TRIGGER = {"f.cs": FUNCTION}


def test_a_scale_rule_gets_the_identity_and_keeps_what_it_asks(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        before = live.app("func")
        plan = planned(live, tmp_path, TRIGGER)
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        (rule,) = live.app("func")["properties"]["template"]["scale"]["rules"]
        ref = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-func"
        assert rule["custom"]["identity"].lower() == ref.lower()
        assert not rule["custom"].get("auth")
        # KEDA appends the suffix: the bare name, and nothing of the key is left to win
        assert rule["custom"]["metadata"] == {"queueName": "orders", "messageCount": "5", "namespace": "ns1"}
        roles = {(step.change["role_name"], step.target) for step in plan.steps if step.kind == "role-assignment"}
        assert roles == {
            ("Azure Service Bus Data Receiver", QUEUE),
            ("Azure Service Bus Data Owner", QUEUE),
        }
        assert executor.rollback(result.run).exit_code == 0
        assert as_people_see_it(live.app("func")) == as_people_see_it(before)
        assert {n: v for n, v in live.values("func").items() if v} == {"bus": Secret(BUS)}


def test_a_key_where_the_name_of_a_variable_belongs_comes_into_no_plan(tmp_path: Path) -> None:
    app_ = functions()
    app_["properties"]["template"]["scale"]["rules"][0]["custom"]["metadata"]["connectionFromEnv"] = BUS
    with world.inside(world.estate(app_, bus()), tmp_path) as live:
        plan = planned(live, tmp_path, TRIGGER)
        assert KEY not in plan.to_json()
        assert any("names a variable that no container has" in note["text"] for note in plan.notes)


def test_the_change_waits_until_the_rights_may_be_in_effect(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        plan = planned(live, tmp_path, TRIGGER)
        result = live.executor().apply(plan)
        facts = {step: entry.facts for step, entry in live.journal.steps(result.run).items()}
        (began,) = [e.at for e in live.events if (e.kind, e.step) == ("step-started", "func/app-switch")]
        made = [f["made"] for f in facts.values() if "made" in f]
        assert made
        assert began - max(made) >= 600


def test_what_was_assigned_before_is_adopted_and_stays(tmp_path: Path) -> None:
    ref = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/own"
    app_ = functions()
    app_["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {ref: {}}}
    held = [{"principal": ref, "role": "Azure Service Bus Data Owner", "scope": QUEUE}]
    with world.inside(world.estate(app_, bus(), roleAssignments=held), tmp_path) as live:
        things = live.resources()
        plan = planned(live, tmp_path, TRIGGER)
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0
        states = {name: entry.state for name, entry in live.journal.steps(result.run).items()}
        assert [state for name, state in states.items() if "owner" in name] == ["adopted"]
        assert executor.rollback(result.run).exit_code == 0
        assert live.resources() == things


def test_code_that_builds_the_client_keeps_the_secret(tmp_path: Path) -> None:
    code = {"f.cs": FUNCTION, "g.cs": "var c = new ServiceBusClient(connectionString);"}
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        plan = planned(live, tmp_path, code)
        assert "vault-secret" in steps(plan)
        assert not any(step.change.get("swaps") for step in plan.steps)
        (blind,) = [planned(live, tmp_path / "none", {})]
        assert "vault-secret" in steps(blind)


def test_finalize_takes_the_unused_secret_away(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        live.clock.sleep(120)
        plan = finalize(live, result.run)
        assert plan.steps, plan.skipped
        (removal,) = [step for step in plan.steps if step.kind == "secret-remove"]
        assert [entry["name"] for entry in removal.change["secrets"]] == ["bus"]
        assert "rollback" in removal.change["lost"]


# What the app's own log says


def speaking(action: str = "receive", **more: Any) -> dict[str, Any]:
    """The Functions app, and what its client does and says."""
    connection = {
        "app": "func",
        "env": "Bus",
        "resource": QUEUE,
        "action": f"Microsoft.ServiceBus/namespaces/messages/{action}/action",
        "says": "System.UnauthorizedAccessException: Put token failed. status-code: 401, 40103: Invalid authorization token",
    }
    return world.estate(functions(), bus(), connections=[connection], **more)


def test_the_log_of_the_new_revision_is_part_of_the_proof(tmp_path: Path) -> None:
    with world.inside(speaking(), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert (result.exit_code, [one.proven for one in result.apps]) == (0, [True])
        (said,) = [event.text for event in live.events if event.kind == "app-done"]
        assert "its log lacks the known failures of Service Bus" in said


def test_an_app_that_is_not_let_in_is_put_back(tmp_path: Path) -> None:
    """Its code only shows a trigger, and it sends, too: nobody could know but the app."""
    with world.inside(speaking("send"), tmp_path) as live:
        before, things = live.app("func"), live.resources()
        plan = planned(live, tmp_path, TRIGGER)
        # without the rule's wider role
        plan = replace(
            plan,
            steps=tuple(
                replace(step, after=tuple(name for name in step.after if "owner" not in name))
                for step in plan.steps
                if "owner" not in step.id
            ),
        )
        result = live.executor().apply(plan)
        assert result.exit_code == 12
        (app_,) = result.apps
        assert app_.error is not None
        assert "40103" in app_.error["why"]
        assert "az containerapp logs show" in app_.error["hint"]
        assert as_people_see_it(live.app("func")) == as_people_see_it(before)
        assert live.resources() == things


def test_a_right_that_is_late_is_waited_for(tmp_path: Path) -> None:
    with world.inside(speaking(), tmp_path, switches={"role_propagation": [1100, 1100]}) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert result.exit_code == 0
        assert any("its log says" in event.text for event in live.events if event.kind == "step-waiting")


def test_a_log_that_nobody_may_read_leaves_it_unproven(tmp_path: Path) -> None:
    with world.inside(speaking(), tmp_path) as live:
        live.fault(method="POST", path="getAuthToken", status=403, code="AuthorizationFailed", times=10**6)
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert (result.exit_code, [one.proven for one in result.apps]) == (0, [False])


def test_a_log_may_hold_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_streams, "Response", lambda status, body, more: Response(status, body + b"\xff\xc3", more))
    with world.inside(speaking(), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert (result.exit_code, [one.proven for one in result.apps]) == (0, [True])


@pytest.mark.parametrize(("later", "proven"), [((), False), (("14:02 connected",), True)])
def test_a_client_that_failed_and_fell_silent_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: tuple[str, ...], proven: bool
) -> None:
    failed = ("14:01 40103: Invalid authorization token",)
    looks: list[str] = []

    def tail(_self: AzureCloud, app: str, _endpoint: str) -> tuple[str, ...]:
        looks.append(app)
        return failed if len(looks) == 1 else (*failed, *later)

    monkeypatch.setattr(AzureCloud, "tail_log", tail)
    with world.inside(speaking(), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert (result.exit_code, [one.proven for one in result.apps]) == (0, [proven])
        assert len(looks) > 1


def test_a_rehearsal_meets_every_fault(tmp_path: Path) -> None:
    """The plan on the estate without values: passing faults at each step, a death after each change, refusals, edits."""
    quick = {"replica_start": 1.0, "app_operation": 2.0}
    with world.inside(world.estate(functions(), bus(), switches=quick), tmp_path) as live:
        plan = planned(live, tmp_path, TRIGGER)
        held = rehearse(Source(plan, live.read(), world.KEY))
        assert held.ok, (held.problems, [trial for trial in held.trials if not trial.survived])
        assert held.deaths >= 5
        assert held.everywhere[1] == len(plan.steps)


COSMOS = f"AccountEndpoint=https://c1.documents.azure.com:443/;AccountKey={KEY};Database=shop"
ACCOUNT = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/c1"


def test_cosmos_gets_a_role_of_its_own_system(tmp_path: Path) -> None:
    account = {
        "id": ACCOUNT,
        "location": "westeurope",
        "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    }
    app_ = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node", "Db": COSMOS})
    code = {"f.cs": 'void Run([CosmosDBTrigger("shop", "orders", Connection = "Db")] string[] rows) {}'}
    with world.inside(world.estate(app_, account), tmp_path) as live:
        before = live.app("func")
        plan = planned(live, tmp_path, code, planted=[COSMOS])
        (role,) = [step for step in plan.steps if step.kind == "data-role"]
        assert (role.change["role_name"], role.change["scope"]) == (
            "Cosmos DB Built-in Data Contributor",
            f"{ACCOUNT}/dbs/shop",
        )
        # a role of Azure opens the account's control plane: none is given
        assert not [step for step in plan.steps if step.kind == "role-assignment"]
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        (held,) = live.cloud.list_data_roles("cosmos", ACCOUNT)
        assert held.scope == f"{ACCOUNT}/dbs/shop"
        assert executor.rollback(result.run).exit_code == 0
        assert live.cloud.list_data_roles("cosmos", ACCOUNT) == ()
        assert as_people_see_it(live.app("func")) == as_people_see_it(before)
        held_ = rehearse(Source(plan, live.read(), world.KEY))
        assert held_.ok, (held_.problems, [trial for trial in held_.trials if not trial.survived])


def test_a_role_that_two_apps_stand_on_stays_until_the_last_goes_back(tmp_path: Path) -> None:
    """Both sign in as one identity: taken back with the first app, the role would be missing for the other."""
    account = {
        "id": ACCOUNT,
        "location": "westeurope",
        "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    }
    own = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/both"
    apps = [world.app(name, {"FUNCTIONS_WORKER_RUNTIME": "node", "Db": COSMOS}) for name in ("one", "two")]
    for one in apps:
        one["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {own: {}}}
    code = {"f.cs": 'void Run([CosmosDBTrigger("shop", "orders", Connection = "Db")] string[] rows) {}'}
    with world.inside(world.estate(*apps, account), tmp_path) as live:
        plan = planned(live, tmp_path, code, planted=[COSMOS])
        (role,) = [step for step in plan.steps if step.kind == "data-role"]
        assert not role.app
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        assert [one.reads for one in report.of(result.run, live.journal).after] == [("c1",), ("c1",)]
        assert executor.rollback(result.run, [world.app_id("one")]).exit_code == 0
        assert len(live.cloud.list_data_roles("cosmos", ACCOUNT)) == 1
        (proven,) = [one for one in verify(result.run, live.cloud, live.journal, world.KEY).apps if one.name == "two"]
        assert proven.status == "ok", proven.checks
        assert executor.rollback(result.run, [world.app_id("two")]).exit_code == 0
        assert live.cloud.list_data_roles("cosmos", ACCOUNT) == ()


def test_an_export_says_what_it_has_no_word_for(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        found = wanted(planned(live, tmp_path, TRIGGER))
        assert found.assignments == ()
        left = "\n".join(found.left)
        assert "env Bus of main: the key goes" in left
        assert "Azure Service Bus Data Receiver" in left


def test_traffic_stays_until_the_new_revision_is_proven(tmp_path: Path) -> None:
    """Several revisions active: the one with the key serves until the one without it runs."""
    app_ = functions()
    app_["properties"]["configuration"]["activeRevisionsMode"] = "Multiple"
    with world.inside(world.estate(app_, bus()), tmp_path) as live:
        before = live.app("func")
        plan = planned(live, tmp_path, TRIGGER)
        assert steps(plan)[-3:] == ["app-switch", "app-prove", "traffic-shift"]
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0
        assert executor.rollback(result.run).exit_code == 0
        assert as_people_see_it(live.app("func")) == as_people_see_it(before)


def test_the_system_identity_needs_no_client_id(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        before, things = live.app("func"), live.resources()
        plan = planned(live, tmp_path, TRIGGER, identity="system")
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        env = env_of(live.app("func"))
        assert env["Bus__fullyQualifiedNamespace"] == "ns1.servicebus.windows.net"
        assert not any(name.endswith(("clientId", "credential")) for name in env)
        (rule,) = live.app("func")["properties"]["template"]["scale"]["rules"]
        assert rule["custom"]["identity"] == "system"
        assert executor.rollback(result.run).exit_code == 0
        assert as_people_see_it(live.app("func")) == as_people_see_it(before)
        assert live.resources() == things


@pytest.mark.parametrize(
    ("env", "more"),
    [({"value": BUS}, {}), ({"secretRef": "bus"}, {"connectionFromEnv": "Bus"})],
    ids=["plain", "by secret"],
)
def test_a_job_keeps_its_key_until_finalize_and_gets_it_back(
    tmp_path: Path, env: dict[str, str], more: dict[str, str]
) -> None:
    """A job has no revisions: what its variable held lies in the job alone, as a secret that nothing uses."""
    rule = {
        "name": "queue",
        "type": "azure-servicebus",
        "metadata": {"queueName": "orders", **more},
        "auth": [{"secretRef": "bus", "triggerParameter": "connection"}],
    }
    template = world.app("x", {"FUNCTIONS_WORKER_RUNTIME": "node"}, {})["properties"]["template"]
    template["containers"][0]["env"].append({"name": "Bus", **env})
    name = f"{GROUP}/providers/Microsoft.App/jobs/nightly"
    job = {
        "id": name,
        "location": "westeurope",
        "properties": {
            "environmentId": world.ENVIRONMENT,
            "configuration": {
                "triggerType": "Event",
                "replicaTimeout": 60,
                "eventTriggerConfig": {"scale": {"rules": [rule]}},
                "secrets": [{"name": "bus", "value": BUS}],
            },
            "template": {"containers": template["containers"]},
        },
    }
    with world.inside(world.estate(job, bus()), tmp_path) as live:
        before = live.cloud.get_app(name)
        plan = planned(live, tmp_path, TRIGGER)
        executor = live.executor()
        result = executor.apply(plan)
        assert result.exit_code == 0, result
        found = live.cloud.get_app(name)
        (now,) = found["properties"]["configuration"]["eventTriggerConfig"]["scale"]["rules"]
        assert now["metadata"] == {"queueName": "orders", "namespace": "ns1"}
        assert BUS not in str(found)
        assert executor.rollback(result.run).exit_code == 0
        assert settled(live.cloud.get_app(name)) == settled(before)


def test_the_app_runs_on_when_the_service_takes_no_keys_any_more(tmp_path: Path) -> None:
    """What the plan's rest risk ends with: nobody signs in with the key, so that closing key access breaks nothing."""
    with world.inside(speaking(), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))

        def says() -> str:
            revision = live.app("func")["properties"]["latestRevisionName"]
            (replica,) = live.cloud.list_replicas(world.app_id("func"), revision)
            (container,) = replica["properties"]["containers"]
            return "\n".join(live.cloud.tail_log(world.app_id("func"), container["logStreamEndpoint"]))

        resources = live.simulator.azure.world.resources
        resources[bus()["id"].lower()]["properties"]["disableLocalAuth"] = True
        assert "connected to orders" in says()
        # and with the key, as before, it would not
        assert live.executor().rollback(result.run).exit_code == 0
        assert "40103" in says()


def test_a_command_that_holds_the_key_keeps_the_secret(tmp_path: Path) -> None:
    (tmp_path / "F.cs").write_text(FUNCTION)
    func = app("func", {"Bus": BUS, "FUNCTIONS_WORKER_RUNTIME": "node"})
    func["properties"]["template"]["containers"][0]["command"] = ["sh", "-c", f"./run --bus '{BUS}'"]
    with witness(estate(vault(), namespace(), func)) as seen:
        plan = seen.plan(passwordless="apply", code=[str(tmp_path)])
        assert not any(step.change.get("swaps") for step in plan.steps)
        seen.check_silence()
