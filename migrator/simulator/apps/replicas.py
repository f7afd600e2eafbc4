"""Replicas: what makes one start or fail, and how it is shown.

A replica is kept as {"name", "created", "state": "starting" | "started" | "running" | "crashing" | "pulling" |
"terminated",
"started"?, "id", "restarts"} inside its revision's record.

The table `needs` (lower-case app id -> list of {"env", "value"}) tells what an app cannot run without: a replica whose
environment does not give each named variable that value (None: any value) crashes, and one of whose command lines no
word holds a needed "argument".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import backends, identities, places, secrets, validation
from migrator.simulator.apps.versions import since
from migrator.simulator.clock import iso
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure
    from migrator.simulator.world import World

_STATES = ("runningState", "runningStateDetails", "initContainers")
"""Members that came after 2022-03-01."""
_VARIABLE = re.compile(r"'\"\$(\w+)\"'|\"\$(\w+)\"|\$\{(\w+)\}|\$(\w+)")
"""How a script names a variable: between quotes that hold nothing else, within other ones, bare."""
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes generated names of."""


def new(world: World, revision: str, batch: str, moment: float, *, running: bool = False) -> Json:
    """A replica that starts now, or runs already."""
    replica: Json = {
        "name": f"{revision}-{batch}-{letters(world, 5)}",
        "created": moment,
        "state": "running" if running else "starting",
        "id": f"{world.random.getrandbits(128):032x}",
        "restarts": 0,
    }
    if running:
        replica["started"] = moment
    return replica


def letters(world: World, count: int) -> str:
    """Letters and digits as generated names have them."""
    return "".join(world.random.choice(_LETTERS) for _ in range(count))


def duplicate_env(template: Json) -> bool:
    """Whether a container has two env entries of one name."""
    for container in validation.containers(template):
        seen = [str(entry.get("name")) for entry in container.get("env") or []]
        if len(set(seen)) != len(seen):
            return True
    return False


def environment(azure: Azure, app: str, container: Json) -> dict[str, str | None]:
    """What a container sees: values, and secrets as the app keeps them now; of two entries the last one counts."""
    kept = secrets.values(azure, app)
    found: dict[str, str | None] = {}
    for entry in container.get("env") or []:
        reference = entry.get("secretRef")
        found[str(entry.get("name"))] = kept.get(reference, {}).get("value") if reference else entry.get("value") or ""
    return found


def crashing(azure: Azure, app: str, template: Json) -> str | None:
    """The container that does not stay up for want of a value, or None."""
    chosen = template.get("containers") or []
    seen = [environment(azure, app, container) for container in validation.containers(template)]
    for need in azure.world.table("needs").get(app) or []:
        if "argument" in need:
            if not any(need["argument"] in word for word in _arguments(seen, validation.containers(template))):
                return str(chosen[0].get("name")) if chosen else ""
            continue
        values = [env[need["env"]] for env in seen if env.get(need["env"]) is not None]
        if not values or (need["value"] is not None and need["value"] not in values):
            return str(chosen[0].get("name")) if chosen else ""
    return None


def _arguments(seen: list[dict[str, str | None]], containers: list[Json]) -> list[str]:
    """Words of the command lines as a program gets them from a shell: quotes that only hold a variable are gone."""
    found = []
    for env, container in zip(seen, containers, strict=True):
        words = (*(container.get("command") or []), *(container.get("args") or []))
        found += [_filled(str(word), env) for word in words]
    return found


def _filled(word: str, env: dict[str, str | None]) -> str:
    return _VARIABLE.sub(lambda match: env.get(next(filter(None, match.groups()))) or match[0], word)


def unpullable(azure: Azure, document: Json, template: Json) -> str | None:
    """The image that cannot be pulled and why, or None; decided by the credentials as they are now."""
    kept = secrets.values(azure, document["id"].lower())
    registries = document["properties"]["configuration"].get("registries") or []
    for container in validation.containers(template):
        image = str(container.get("image") or "")
        server = image.partition("/")[0]
        entry: Json = next((r for r in registries if _host(r.get("server")) == _host(server)), {})
        identity = entry.get("identity")
        reason = backends.refused_pull(
            azure,
            server,
            image,
            username=entry.get("username") or None,
            password=kept.get(str(entry.get("passwordSecretRef")), {}).get("value"),
            principal=identities.principal_for(identity, document["id"], None, document.get("identity"), azure)
            if identity
            else None,
        )
        if reason is not None:
            return f'Persistent Image Pull Errors for image "{image}": {reason}'
    return None


def _host(server: Any) -> str:
    return str(server or "").lower().removeprefix("https://").rstrip("/").removesuffix(":443")


def view(document: Json, revision: Json, replica: Json, version: str) -> Json:
    """A replica as a GET shows it (traffic, section 6)."""
    subscription, group, app = places.parts(document["id"])
    path = f"/subscriptions/{subscription}/resourceGroups/{group}"
    below = f"/containerApps/{app}/revisions/{revision['name']}/replicas/{replica['name']}"
    state = replica["state"]
    template = revision["template"]
    chosen = template.get("containers") or []
    details = ""
    if state == "terminated":
        ended = "was terminated with reason: Terminated, exit code: 0."
        details = " ".join(
            [
                f"System Envoy Container {ended}",
                f"System Proxy Container {ended}",
                *(f"Container {container['name']} {ended}" for container in chosen),
            ]
        )
    recent = since(version, "2022-11-01", "2022-11-01")
    endpoint = f"{places.slug(document['location'])}.azurecontainerapps.dev{path}{below}"
    properties: Json = {
        "createdTime": iso(replica["created"], digits=0),
        "runningState": "Running" if state in {"running", "started"} else "NotRunning",
        "runningStateDetails": details,
        "containers": [_container(replica, c, endpoint, version) for c in chosen],
        "initContainers": [
            _container(replica, c, endpoint, version, initial=True) for c in template.get("initContainers") or []
        ],
    }
    if not recent:
        properties = {key: value for key, value in properties.items() if key not in _STATES}
        for container in properties["containers"]:
            for name in _STATES[:2]:
                del container[name]
    return {
        "id": f"{path}/providers/Microsoft.App{below}",
        "name": replica["name"],
        "type": "Microsoft.App/containerapps/revisions/replicas",
        "properties": properties,
    }


def _container(replica: Json, container: Json, endpoint: str, version: str, *, initial: bool = False) -> Json:
    name, state = container.get("name"), replica["state"]
    shown: Json = {"name": name}
    up = state in {"running", "started", "terminated"}
    if up:
        shown["containerId"] = f"containerd://{replica['id']}"
    shown |= {"ready": up and state != "started", "started": up and not initial, "restartCount": replica["restarts"]}
    if up and initial:
        shown |= {
            "runningState": "Terminated",
            "runningStateDetails": "Container was terminated with reason: Completed, exit code: 0.",
        }
    elif up:
        shown |= {
            "runningState": "Running",
            "runningStateDetails": f"Container started at: {_spoken(replica['started'])}.",
        }
    else:
        reason = {"crashing": "CrashLoopBackOff", "pulling": "ImagePullBackOff"}.get(state, "PullingImage")
        shown |= {
            "runningState": "Waiting",
            "runningStateDetails": f"Container is waiting with reason: {reason} on legion.",
        }
    shown["logStreamEndpoint"] = f"https://{endpoint}/containers/{name}/logstream"
    shown["execEndpoint"] = f"wss://{endpoint}/containers/{name}/exec"
    if since(version, "2026-07-01", "2025-02-02"):
        shown["debugEndpoint"] = f"wss://{endpoint}/debug?targetContainer={name}"
    return shown


def _spoken(moment: float) -> str:
    stamp = datetime.fromtimestamp(moment, UTC)
    hour = stamp.hour % 12 or 12
    return f"{stamp.month}/{stamp.day}/{stamp.year} {hour}:{stamp.minute:02d}:{stamp.second:02d} {stamp:%p}"
