"""An app with keys in the metadata of a scale rule and in scripts of command lines, and a plan of what a scan finds."""

from __future__ import annotations

import copy
from typing import Any

from migrator import api, planner
from migrator.cloud import vaults
from migrator.model import Json, Plan
from migrator.planning.options import Options
from scanners.engine import Engine
from scanners.model import AzureLocation

from .world import KEY, VAULT, World, app

REDIS = "Canary1-kX9vQ2mZ7pL4bT5w"
SCRIPT = "Canary2-hJ7cV1xG9dK2pQ4w"
INIT = "Canary3-bT5wR8nY3sF6mN8c"
QUEUE = "Canary4-gT3hY6jU8kI1oP5a"
CANARIES = (REDIS, SCRIPT, INIT, QUEUE)
RULE = {
    "name": "backlog",
    "custom": {
        "type": "redis",
        "metadata": {"address": "cache:6379", "listName": "orders", "password": REDIS, "listLength": "5"},
    },
}


def worker(**changes: Any) -> Json:
    """An app with a key in a rule's metadata and in a script."""
    made = app("worker", {"MODE": "live"}, init={"MODE": "live"})
    template = made["properties"]["template"]
    template["containers"][0] |= {
        "command": ["/bin/sh", "-c"],
        "args": [f"exec worker --queue orders --password={SCRIPT} --url 'amqp://app:{SCRIPT}@mq/'"],
    }
    template["initContainers"][0] |= {"command": ["bash", "-ec", f'migrate --token "{INIT}" && echo done']}
    template["scale"] = {"minReplicas": 1, "maxReplicas": 5, "rules": [copy.deepcopy(RULE)]}
    template |= changes
    return made


def scanned(world: World, *but: str, **options: Any) -> Plan:
    """A plan of what a scan finds, some apps apart."""
    found = world.read()
    findings = [
        one
        for one in api.scan_estate(found, Engine.load(), KEY).findings
        if not (isinstance(one.location, AzureLocation) and one.location.resource.rpartition("/")[2] in but)
    ]
    chosen = Options(vault=VAULT, **options)
    names = planner.wanted(found, findings, chosen, KEY)
    (vault,) = found.vaults
    found = found.with_vault(vaults.read_vault_secrets(world.session, vault, names, KEY))
    return Plan.from_json(planner.plan(found, findings, chosen, KEY).to_json())
