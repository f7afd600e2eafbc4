"""What somebody makes of an identity in the place of a key: it is proven again, named, and told with who did it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from migrator import drift
from migrator.cloud import reading
from migrator.drift import Item
from migrator.proof import verify
from tests.executor import world

from .test_apply import ACCOUNT, BUS, COSMOS, QUEUE, TRIGGER, bus, functions, planned
from .test_apply_dapr import COMPONENT, PLAIN, apps, component

SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"


def look(live: world.World) -> list[Item]:
    found = reading.read_estate(live.session, reading.Scope(), with_secrets=False, with_access=True)
    result = drift.drift(drift.candidates(live.journal, "simulator"), found, live.cloud, live.journal, world.KEY)
    assert not any(BUS in f"{item}" for item in result.items)
    return result.items


def changed(live: world.World, edit: Any) -> dict[str, Any]:
    template = live.app("func")["properties"]["template"]
    template["containers"][0]["resources"].pop("ephemeralStorage")
    edit(template)
    return {"properties": {"template": {**template, "revisionSuffix": None}}}


def test_a_key_that_a_scale_rule_or_a_variable_has_again(tmp_path: Path) -> None:
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        assert live.executor().apply(planned(live, tmp_path, TRIGGER)).exit_code == 0
        assert look(live) == []

        def keyed(template: dict[str, Any]) -> None:
            template["containers"][0]["env"].append({"name": "Bus", "secretRef": "bus"})
            rule = template["scale"]["rules"][0]["custom"]
            rule.pop("identity")
            rule["auth"] = [{"secretRef": "bus", "triggerParameter": "connection"}]

        live.patch("func", changed(live, keyed))
        items = look(live)
        assert {(item.kind, item.subject) for item in items} == {("sign-in", "Bus"), ("sign-in", "queue")}
        assert all(item.by for item in items)


def test_a_component_that_has_its_key_again(tmp_path: Path) -> None:
    with world.inside(world.estate(*apps(), component(PLAIN)), tmp_path) as live:
        assert live.executor().apply(planned(live, tmp_path, {}, planted=[])).exit_code == 0
        assert look(live) == []
        properties = {**live.cloud.get_part(COMPONENT)["properties"], "metadata": PLAIN, "secrets": []}
        live.cloud.put_part(COMPONENT, {"properties": properties}, lambda _url: None)
        (item,) = look(live)
        assert (item.kind, item.resource, item.subject) == ("sign-in", COMPONENT, "orders")


def test_a_right_in_a_service_that_is_gone(tmp_path: Path) -> None:
    """It is told of the account that lost it, with whoever took it; whoever changed the app last did not."""
    account = {
        "id": ACCOUNT,
        "location": "westeurope",
        "properties": {"documentEndpoint": "https://c1.documents.azure.com:443/"},
    }
    app = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node", "Db": COSMOS})
    code = {"f.cs": 'void Run([CosmosDBTrigger("shop", "orders", Connection = "Db")] string[] rows) {}'}
    with world.inside(world.estate(app, account), tmp_path) as live:
        assert live.executor().apply(planned(live, tmp_path, code, planted=[COSMOS])).exit_code == 0
        (role,) = live.cloud.list_data_roles("cosmos", ACCOUNT)
        live.cloud.delete_data_role("cosmos", role.id)
        (item,) = look(live)
        assert (item.kind, item.resource, item.gone) == ("role-lost", ACCOUNT, role.id)
        assert item.by
        assert item.text == "the assignment is gone: the app is not let in any more"


def test_a_right_on_vaults_is_none_on_a_queue(tmp_path: Path) -> None:
    """An identity that reads a whole group's vaults has lost its queue all the same."""
    with world.inside(world.estate(functions(), bus()), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert result.exit_code == 0
        facts = [e.facts for e in live.journal.steps(result.run).values() if "receiver" in e.step]
        live.cloud.put_assignment(world.GROUP, str(uuid.uuid4()), SECRETS_USER, facts[0]["principal"], "")
        assert verify(result.run, live.cloud, live.journal, world.KEY).ok
        live.cloud.delete_assignment(facts[0]["assignment"])
        assert not verify(result.run, live.cloud, live.journal, world.KEY).ok
        (lost,) = [item for item in look(live) if item.kind == "role-lost"]
        assert lost.resource == QUEUE


def test_each_app_is_told_of_its_own_right(tmp_path: Path) -> None:
    """Two apps have the same role at one queue: the log is asked about the assignment of the one that lost it."""
    second = functions()
    second["id"], second["name"] = world.app_id("zweit"), "zweit"
    with world.inside(world.estate(functions(), second, bus()), tmp_path) as live:
        result = live.executor().apply(planned(live, tmp_path, TRIGGER))
        assert result.exit_code == 0
        steps = live.journal.steps(result.run).values()
        (lost,) = [e.facts["assignment"] for e in steps if "receiver" in e.step and e.app.endswith("/zweit")]
        live.cloud.delete_assignment(lost)
        (item,) = [item for item in look(live) if item.kind == "role-lost"]
        assert (item.app.lower(), item.gone) == (second["id"].lower(), lost)
        assert item.by
