"""Executions of jobs: how one starts, ends and is shown (flow jobs-executions).

Table `executions`: lower-case job id -> {name -> {"name", "started", "ended"?, "status", "template"}}, oldest first. The
template is the job's at the start, or what the caller gave: plain env values stay readable in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import replicas, schema
from migrator.simulator.apps.schema import show
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

KIND = "Microsoft.App/jobs/executions"
RUNNING, SUCCEEDED, FAILED, STOPPED = "Running", "Succeeded", "Failed", "Stopped"

schema.define(
    """
-JobExecution: id name type properties:JobExecutionProperties
-JobExecutionProperties: status startTime endTime template:JobExecutionTemplate
-JobExecutionTemplate: containers:JobExecutionContainer[] initContainers:JobExecutionContainer[]
-JobExecutionContainer: image name imageType command args env:Env[] resources:Resources
"""
)


def records(azure: Azure, job: str) -> dict[str, Json]:
    """The executions of a job (lower-case id) by name, oldest first."""
    found: dict[str, Json] = azure.world.table("executions").setdefault(job, {})
    return found


def start(azure: Azure, document: Json, template: Json | None, moment: float) -> Json:
    """Start an execution of a job, with its own template or the one that the caller gives."""
    job = document["id"].lower()
    suffix = "".join(azure.world.random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(7))
    chosen = copied(template or document["properties"]["template"])
    record: Json = {
        "name": f"{document['name']}-{suffix}",
        "started": moment,
        "status": RUNNING,
        "template": {
            "containers": [_container(item) for item in chosen.get("containers") or []],
            "initContainers": [_container(item) for item in chosen.get("initContainers") or []],
        },
    }
    records(azure, job)[record["name"]] = record
    azure.world.schedule(moment + azure.switches.job_execution, "job.execution", job=job, name=record["name"])
    return record


def _container(container: Json) -> Json:
    kept = {name: container[name] for name in ("image", "name", "command", "args", "env") if container.get(name)}
    resources = {name: value for name, value in (container.get("resources") or {}).items() if value is not None}
    # recorded: shown in stable versions too, and no amount of storage
    return {**kept, "imageType": "ContainerImage", "resources": {**resources, "ephemeralStorage": ""}}


def on_end(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """An execution ends: well, unless its image cannot be pulled or a value that the job needs is missing."""
    document: Json | None = azure.world.resources.get(event["job"])
    record = records(azure, event["job"]).get(event["name"])
    if document is None or record is None or record["status"] != RUNNING:
        return
    template = record["template"]
    bad = replicas.unpullable(azure, document, template) or replicas.crashing(azure, event["job"], template)
    record |= {"status": FAILED if bad is not None else SUCCEEDED, "ended": due}


def stop(record: Json, moment: float) -> None:
    """Stop an execution that runs."""
    if record["status"] == RUNNING:
        record |= {"status": STOPPED, "ended": moment}


def view(document: Json, record: Json, version: str) -> Json:
    """An execution as a GET shows it."""
    properties: Json = {
        "status": record["status"],
        "startTime": iso(record["started"], zone="+00:00", digits=0),
        "template": record["template"],
    }
    if "ended" in record and record["status"] != STOPPED:
        # one that was stopped showed no end two seconds later (recorded)
        properties["endTime"] = iso(record["ended"], zone="+00:00", digits=0)
    shown: Json = show(
        {
            "id": f"{document['id']}/executions/{record['name']}",
            "name": record["name"],
            "type": KIND,
            "properties": properties,
        },
        "JobExecution",
        version,
    )
    return shown


def load(azure: Azure, document: Json) -> None:
    """Take an execution of an estate file in: one that has ended, with the template it had."""
    before, _, name = str(document["id"]).partition("/executions/")
    properties = document.get("properties") or {}
    template = properties.get("template") or {}
    records(azure, before.lower())[name] = {
        "name": name,
        "started": azure.clock.now(),
        "ended": azure.clock.now(),
        "status": properties.get("status") or SUCCEEDED,
        "template": {
            "containers": [_container(item) for item in template.get("containers") or []],
            "initContainers": [_container(item) for item in template.get("initContainers") or []],
        },
    }
