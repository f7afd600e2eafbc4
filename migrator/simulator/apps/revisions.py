"""Revisions: how they come to be, live and end, in the three modes.

Table `revisions`: lower-case app id -> {revision name: record}, oldest first. A record is {"name", "created",
"template" (as the app's GET showed it), "active", "state", "ready", "error"?, "details"?, "lastActive"?, "batch",
"replicas"}; its states are those of `runningState`. Table `apps`: lower-case app id -> {"made": revisions so far,
"stopped": bool}.

Sources: traffic, section 6; FACTS, section 2. A new revision starts one replica even with `minReplicas` 0 or null and
goes to zero after the cooldown period: recorded revisions of such apps run one replica a minute after they were made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import documents, replicas, validation
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

DRAIN = 30.0
"""How long a revision that was replaced still shows up as active (recorded: 20 to 35 seconds)."""
PURGE = 3600.0
"""How long a revision beyond the limit is kept at least."""
GONE = 45.0
"""How long a replica that was terminated is still listed (recorded: 29 seconds and more)."""
STARTED = 0.6
"""The part of a replica's start after which its containers run; then they become ready (recorded: 0006, 0007)."""
RETRY = 60.0
"""How long the platform waits before it tries again to start what failed."""
CREATED = 0.4
"""The part of an operation after which its revision exists (recorded: 6 of 14 seconds)."""

FATES = ("failed", "degraded", "stuck", "zero")
"""What a mishap may make of a revision, which then is in its record as `fate`; table `fates`: app -> of its next one."""

_LABEL_MODE, _SINGLE = "Labels", "Single"


def records(azure: Azure, app: str) -> dict[str, Json]:
    """The revisions of an app (lower-case id) by name, oldest first."""
    found: dict[str, Json] = azure.world.table("revisions").setdefault(app, {})
    return found


def state(azure: Azure, app: str) -> Json:
    """What is known of an app besides its document."""
    found: Json = azure.world.table("apps").setdefault(app, {"made": 0, "stopped": False})
    return found


def same(one: Json, other: Json) -> bool:
    """Whether two templates make the same revision; the suffix is looked at apart."""
    return _bare(one) == _bare(other)


def _bare(template: Json) -> Json:
    bare = {key: value for key, value in template.items() if key != "revisionSuffix" and value is not None}
    bare["containers"] = [
        {key: value for key, value in container.items() if value not in (None, [])}
        for container in template.get("containers") or []
    ]
    return bare


def wanted(azure: Azure, document: Json, old: Json | None) -> str | None:
    """The name of the revision that a write makes, or None if it makes none.

    Raises:
        AzureError: 400 `WebhookInvalidParameterValue`, an active revision has that suffix already. An inactive one
            with it makes the write succeed without a new revision (ACA#660, #650).
    """
    app, template = document["id"].lower(), document["properties"]["template"]
    suffix = str(template.get("revisionSuffix") or "")
    before = (old or {}).get("properties", {}).get("template")
    if before is not None and same(template, before) and (not suffix or suffix == before.get("revisionSuffix")):
        return None
    name = document["name"]
    known = records(azure, app)
    if suffix:
        taken = known.get(f"{name}--{suffix}")
        if taken is None:
            return f"{name}--{suffix}"
        if taken["active"]:
            raise validation.refused(
                "WebhookInvalidParameterValue",
                f'The following field(s) are either invalid or missing. Invalid value: "{suffix}": revision with suffix '
                f"{suffix} already exists.: template.revisionsuffix.",
            )
        return None
    made = state(azure, app)["made"]
    if not made:
        return f"{name}--{_random(azure)}"
    while (counted := f"{name}--{made:07d}") in known:
        made += 1
    return counted


def _random(azure: Azure) -> str:
    return "".join(azure.world.random.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(7))


def make(azure: Azure, document: Json, name: str, moment: float, *, running: bool = False) -> Json:
    """Make the latest revision of an app from its template, and start its replicas."""
    app, properties = document["id"].lower(), document["properties"]
    template = copied(properties["template"])
    record: Json = {
        "name": name,
        "created": moment,
        "template": template,
        "active": True,
        "state": "Activating",
        "ready": False,
        "batch": f"{azure.world.random.getrandbits(40):010x}",
        "replicas": [],
    }
    if fate := azure.world.table("fates").pop(app, None):
        record["fate"] = fate
    records(azure, app)[name] = record
    state(azure, app)["made"] += 1
    properties["latestRevisionName"] = name
    properties["runningStatus"] = "Running"
    environment = azure.world.resources.get(str(properties.get("environmentId") or "").lower())
    properties["latestRevisionFqdn"] = documents.host(document, environment, name)
    if not properties.get("latestReadyRevisionName"):
        # an app's first revision is named as ready before it is (recorded in every create)
        properties["latestReadyRevisionName"] = name
    start(azure, app, record, moment, running=running)
    return record


def start(azure: Azure, app: str, record: Json, moment: float, *, running: bool = False) -> None:
    """Give a revision new replicas."""
    least = (record["template"].get("scale") or {}).get("minReplicas") or 0
    for _ in range(max(int(least), 1)):
        replica = replicas.new(azure.world, record["name"], record["batch"], moment, running=running)
        record["replicas"].append(replica)
        if not running:
            lasting = azure.switches.replica_start
            _schedule(azure, "containerapp.started", moment + lasting * STARTED, app, record, replica)
            _schedule(azure, "containerapp.replica", moment + lasting, app, record, replica)
    if running:
        record["ready"] = True
        _up(azure, app, record, moment)


def _schedule(azure: Azure, event: str, due: float, app: str, record: Json, replica: Json | None = None) -> None:
    more = {"replica": replica["name"]} if replica else {}
    azure.world.schedule(due, event, app=app, revision=record["name"], **more)


def live(record: Json) -> list[Json]:
    """The replicas of a revision that are not on their way out."""
    return [replica for replica in record["replicas"] if replica["state"] != "terminated"]


def _up(azure: Azure, app: str, record: Json, moment: float) -> None:
    scale = record["template"].get("scale") or {}
    record["state"] = "RunningAtMaxScale" if len(live(record)) >= int(scale.get("maxReplicas") or 10) else "Running"
    record.pop("error", None)
    record.pop("details", None)
    if not scale.get("minReplicas"):
        _schedule(azure, "containerapp.idle", moment + float(scale.get("cooldownPeriod") or 300), app, record)


def purge(azure: Azure, document: Json, moment: float) -> None:
    """Forget the oldest inactive revisions beyond `maxInactiveRevisions`, those that are inactive for a while.

    Lowering the limit does not purge promptly: ten were still there after 15 minutes with a limit of two (CORRECTIONS,
    section 2.4). The true cadence is not documented; null and 0 mean the default of 100.
    """
    app = document["id"].lower()
    limit = int(document["properties"]["configuration"].get("maxInactiveRevisions") or 100)
    idle = [name for name, record in records(azure, app).items() if not record["active"]]
    for name in idle[: max(len(idle) - limit, 0)]:
        if records(azure, app)[name].get("lastActive", moment) <= moment - PURGE:
            del records(azure, app)[name]


def active(azure: Azure, app: str) -> list[Json]:
    """The active revisions of an app, oldest first."""
    return [record for record in records(azure, app).values() if record["active"]]


# What time brings


def on_revision(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """The revision of an accepted write comes into being."""
    document = azure.world.resources.get(event["app"])
    if document is not None:
        make(azure, document, event["revision"], due)


def _concerned(azure: Azure, event: dict[str, Any]) -> tuple[Json, Json, Json] | None:
    """The app, revision and live replica of an event; None if one of them is gone or the revision hangs."""
    document = azure.world.resources.get(event["app"])
    record = records(azure, event["app"]).get(event["revision"]) if document else None
    replica = next((r for r in live(record) if r["name"] == event["replica"]), None) if record else None
    if document is None or record is None or replica is None or not record["active"]:
        return None
    if replicas.duplicate_env(record["template"]) and azure.switches.duplicate_env == "stuck":
        return None  # no visible error, never ready (ACA#1273)
    if record.get("fate") == "stuck":
        return None
    return document, record, replica


def on_started(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """The image of a starting replica is there: its containers run, but are not ready yet."""
    found = _concerned(azure, event)
    if found is not None and found[2]["state"] == "starting":
        document, record, replica = found
        if replicas.unpullable(azure, document, record["template"]) is None:
            replica |= {"state": "started", "started": due}


def on_replica(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """A starting replica becomes ready or fails; a failed one is tried again."""
    found = _concerned(azure, event)
    if found is None:
        return
    document, record, replica = found
    template = record["template"]
    reason = None if replica["state"] == "started" else replicas.unpullable(azure, document, template)
    crashed = None if reason else _crashing(azure, event["app"], record)
    if reason or crashed is not None:
        replica.pop("started", None)
        if crashed is not None:
            replica["restarts"] += 1
        replica["state"] = "pulling" if reason else "crashing"
        record["error"] = reason or f"Container crashing: {crashed}"
        failing = sum(1 for r in live(record) if r["state"] in {"pulling", "crashing"})
        record["details"] = f"{failing}/{len(live(record))} {record['error']}"
        if record["state"] != "Deprovisioning":
            record["state"] = "Degraded" if record.get("fate") == "degraded" else "Failed"
        _schedule(azure, "containerapp.replica", due + RETRY, event["app"], record, replica)
        return
    replica["state"] = "running"
    replica.setdefault("started", due)
    if all(r["state"] == "running" for r in live(record)):
        record["ready"] = True
        if record["state"] != "Deprovisioning":
            _up(azure, event["app"], record, due)
            on_ready(azure, document, record, due)
            if record.get("fate") == "zero":
                record |= {"replicas": [], "state": "ScaledToZero"}


def _crashing(azure: Azure, app: str, record: Json) -> str | None:
    """The container of a revision that does not stay up, or None."""
    if record.get("fate") in {"failed", "degraded"}:
        return str(record["template"]["containers"][0]["name"])
    return replicas.crashing(azure, app, record["template"])


def on_ready(azure: Azure, document: Json, record: Json, moment: float) -> None:
    """A revision became ready: it is the latest ready one, and in Single mode the others give way."""
    app, properties = document["id"].lower(), document["properties"]
    order = list(records(azure, app))
    known = properties.get("latestReadyRevisionName")
    if known not in order or order.index(record["name"]) >= order.index(known):
        properties["latestReadyRevisionName"] = record["name"]
    configuration = properties["configuration"]
    mode = configuration.get("activeRevisionsMode")
    chosen = record.pop("chosen", None)
    latest = record["name"] == properties.get("latestRevisionName")
    if mode == _SINGLE and (latest or chosen is not None):
        for other in active(azure, app):
            # one that was chosen does not take the place of one that was made since
            if other is not record and (latest or other["created"] <= chosen):
                drain(azure, app, other, moment)
    elif mode == _LABEL_MODE and record["name"] == properties.get("latestRevisionName"):
        _label(configuration, record["name"])


def _label(configuration: Json, name: str) -> None:
    """In Labels mode a revision that is ready takes the target label, at weight 0 beside others (traffic, 0090)."""
    ingress, label = configuration.get("ingress"), configuration.get("targetLabel")
    if not isinstance(ingress, dict) or not label:
        return
    traffic = ingress.get("traffic") or []
    if any(entry.get("revisionName") == name for entry in traffic):
        return
    kept = [entry for entry in traffic if entry.get("label") != label]
    moved = sum(entry.get("weight") or 0 for entry in traffic) - sum(entry.get("weight") or 0 for entry in kept)
    weight = moved if kept else 100
    ingress["traffic"] = [*kept, {"revisionName": name, "weight": weight, "label": label}]


def drain(azure: Azure, app: str, record: Json, moment: float) -> None:
    """Let a revision go: it shows as Deprovisioning for a while, then it is inactive."""
    if record["state"] == "Deprovisioning" or not record["active"]:
        return
    record["state"] = "Deprovisioning"
    _schedule(azure, "containerapp.drained", moment + DRAIN, app, record)


def on_drained(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """A draining revision is gone."""
    record = records(azure, event["app"]).get(event["revision"])
    if record is not None and record["state"] == "Deprovisioning":
        halt(record, due)


def halt(record: Json, moment: float) -> None:
    """Make a revision inactive, without replicas."""
    record |= {"active": False, "state": "Stopped", "replicas": [], "lastActive": moment}


def on_idle(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """Nobody called a revision that may scale to zero: its replicas end."""
    record = records(azure, event["app"]).get(event["revision"])
    if record is None or record["state"] not in {"Running", "RunningAtMaxScale"}:
        return
    cooldown = float((record["template"].get("scale") or {}).get("cooldownPeriod") or 300)
    latest = max((r.get("started", due) for r in live(record)), default=due)
    if latest + cooldown > due + 1e-6:
        return  # restarted meanwhile: a later event decides
    record["replicas"], record["state"] = [], "ScaledToZero"


def on_gone(azure: Azure, _due: float, event: dict[str, Any]) -> None:
    """A terminated replica is no longer listed."""
    record = records(azure, event["app"]).get(event["revision"])
    if record is not None:
        record["replicas"] = [r for r in record["replicas"] if r["name"] != event["replica"]]


# What callers and writes bring


def restart(azure: Azure, app: str, record: Json, moment: float) -> None:
    """Replace a revision's replicas; the new ones see the secrets as the app keeps them, nothing is fetched."""
    old = live(record)
    if not old:
        return  # scaled to zero or stopped: there is nothing to replace
    record["batch"] = f"{azure.world.random.getrandbits(40):010x}"
    for replica in old:
        replica["state"] = "terminated"
        replica.setdefault("started", replica["created"])
        _schedule(azure, "containerapp.gone", moment + GONE, app, record, replica)
    start(azure, app, record, moment)


def activate(azure: Azure, document: Json, record: Json, moment: float) -> None:
    """Make a revision active again, with new replicas.

    In Single mode it takes the place of the others once it is ready (recorded: flow revisions-actions).
    """
    if record["active"] and record["state"] != "Deprovisioning":
        return
    record |= {"active": True, "state": "Activating", "ready": False, "replicas": [], "chosen": moment}
    record.pop("lastActive", None)
    start(azure, document["id"].lower(), record, moment)


def deactivate(record: Json, moment: float) -> None:
    """Make a revision inactive."""
    if record["active"]:
        halt(record, moment)


def enforce(azure: Azure, document: Json, moment: float) -> None:
    """Bring the active revisions in line with mode and traffic at the end of a write."""
    app, properties = document["id"].lower(), document["properties"]
    configuration = properties["configuration"]
    latest = records(azure, app).get(str(properties.get("latestRevisionName")))
    if latest is None:
        return
    if configuration.get("activeRevisionsMode") == _SINGLE and latest["ready"] and latest["active"]:
        for other in active(azure, app):
            if other is not latest:
                drain(azure, app, other, moment)
    elif configuration.get("activeRevisionsMode") == _LABEL_MODE:
        traffic = (configuration.get("ingress") or {}).get("traffic") or []
        labelled = {entry.get("revisionName") for entry in traffic}
        if not labelled:
            return
        for record in list(records(azure, app).values()):
            pending = record is latest and not record["ready"]
            if record["active"] and record["name"] not in labelled and not pending:
                drain(azure, app, record, moment)
            elif not record["active"] and record["name"] in labelled:
                azure.world.schedule(
                    moment + azure.switches.replica_start, "containerapp.activate", app=app, revision=record["name"]
                )


def on_activate(azure: Azure, due: float, event: dict[str, Any]) -> None:
    """A revision that got a label again comes back."""
    document = azure.world.resources.get(event["app"])
    record = records(azure, event["app"]).get(event["revision"])
    if document is not None and record is not None:
        activate(azure, document, record, due)


def stop_all(azure: Azure, document: Json, moment: float) -> None:
    """Stop an app: its active revisions keep that state and lose their replicas."""
    document["properties"]["runningStatus"] = "Stopped"
    state(azure, document["id"].lower())["stopped"] = True
    for record in active(azure, document["id"].lower()):
        record |= {"state": "Stopped", "replicas": [], "lastActive": moment}


def start_all(azure: Azure, document: Json, moment: float) -> None:
    """Start a stopped app again."""
    app = document["id"].lower()
    document["properties"]["runningStatus"] = "Running"
    state(azure, app)["stopped"] = False
    for record in active(azure, app):
        record |= {"state": "Activating", "ready": False}
        record.pop("lastActive", None)
        start(azure, app, record, moment)
