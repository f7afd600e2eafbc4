"""Microsoft.App/jobs: create, read, list, change, delete, listSecrets, and their executions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator import rbac
from migrator.simulator.apps import executions, jobs, schema, secrets
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import PROVIDER, VERSIONS, answer
from migrator.simulator.azure import page
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = jobs.KIND


def register(azure: Azure) -> None:
    """Add the operations, the events and the loaders of the provider."""
    group = "/subscriptions/{sub}/resourceGroups/{group}"
    one = f"{group}/providers/{KIND}/{{name}}"
    for method, verb, handler in (
        ("GET", "read", _get),
        ("PUT", "write", jobs.put),
        ("PATCH", "write", jobs.patch),
        ("DELETE", "delete", jobs.delete),
    ):
        azure.route("arm", method, one, handler, versions=VERSIONS, action=f"{KIND}/{verb}", scope=one)
    for scope in ("/subscriptions/{sub}", group):
        path = f"{scope}/providers/{KIND}"
        azure.route("arm", "GET", path, _list, versions=VERSIONS, action=f"{KIND}/read", scope=scope)
    for action, path, handler, write in (
        ("listSecrets", "listSecrets", _list_secrets, False),
        ("start", "start", _start, True),
        ("stop", "stop/{execution}", _stop, True),
        ("stop", "stop", _stop, True),
    ):
        azure.route(
            "arm",
            "POST",
            f"{one}/{path}",
            handler,
            versions=VERSIONS,
            action=f"{KIND}/{action}/action",
            scope=one,
            write=write,
        )
    for path, handler in ((f"{one}/executions", _executions), (f"{one}/executions/{{execution}}", _execution)):
        azure.route("arm", "GET", path, handler, versions=VERSIONS, action=f"{KIND}/executions/read", scope=one)
    base = "/subscriptions/{sub}/providers/Microsoft.App/locations/{location}"
    for name, handler in (("Statuses", jobs.poll_status), ("Results", jobs.poll_result)):
        azure.route("arm", "GET", f"{base}/containerappsjobOperation{name}/{{operation}}", handler, versions=VERSIONS)
    azure.on("containerappsjob.done", jobs.on_done)
    azure.on("job.loaded", jobs.on_loaded)
    azure.on("job.execution", executions.on_end)
    azure.loader(KIND, jobs.load)
    azure.loader(executions.KIND, executions.load)


def _get(call: Call) -> Response:
    return answer(200, jobs.view(call.azure, jobs.find(call), call.version), x_ms_operation_identifier="")


def _list(call: Call) -> Response:
    scope = call.request.path.lower().partition("/providers/")[0]
    listing = page(call, call.world.of_type(KIND, scope), size=call.azure.switches.page_size)
    listing["value"] = [jobs.view(call.azure, document, call.version) for document in listing["value"]]
    if not listing["value"]:
        return Response(200, listing)  # recorded: Resource Manager asks no provider where there is none
    return answer(200, listing, x_ms_operation_identifier="")


def _list_secrets(call: Call) -> Response:
    if call.azure.switches.readonly_lock_blocks_list_secrets:
        rbac.check_locks(call.azure, call.request.path, deleting=False)
    return answer(200, secrets.listed(call.azure, jobs.find(call)))


def _start(call: Call) -> Response:
    document = jobs.find(call)
    template: Json | None = None
    if call.request.body.strip():
        try:
            template = schema.accept(call.request.json(), "JobExecutionTemplate", call.version)
        except schema.UnknownPropertyError as error:
            return error.response(f"{call.azure.trace.getrandbits(128):032x}", PROVIDER)
        except schema.InvalidValueError as error:
            raise refused("InvalidRequestContent", f"The request content is invalid: {error}.") from error
    record = executions.start(call.azure, document, template, call.now)
    return answer(200, {"id": f"{document['id']}/executions/{record['name']}", "name": record["name"]})


def _stop(call: Call) -> Response:
    document = jobs.find(call)
    known = executions.records(call.azure, document["id"].lower())
    if "execution" in call.params:
        executions.stop(_record(call, document), call.now)
    else:
        for record in known.values():
            executions.stop(record, call.now)
    return answer(200)


def _record(call: Call, document: Json) -> Json:
    name = call.params["execution"]
    record = executions.records(call.azure, document["id"].lower()).get(name)
    if record is None:
        # the refusal is known, its words are not
        raise refused("ContainerAppsJobExecutionNotFound", f"Job execution '{name}' was not found.", 404)
    return record


def _executions(call: Call) -> Response:
    document = jobs.find(call)
    known = executions.records(call.azure, document["id"].lower())
    return answer(200, {"value": [executions.view(document, r, call.version) for r in reversed(known.values())]})


def _execution(call: Call) -> Response:
    document = jobs.find(call)
    return answer(200, executions.view(document, _record(call, document), call.version))
