"""Scale rules: KEDA's scalers that Container Apps lets sign in with an identity.

Only scalers of the list keep their metadata when a rule gets `identity`; any other loses it (ACA#1786). KEDA wants the bare
name of a namespace, because it appends the suffix itself (kedacore/keda, `pkg/scalers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrator.model import Json
from migrator.passwordless.cases import CLOUDS, Case, Change, Verdict


@dataclass(frozen=True, slots=True)
class Second:
    """The service that a scaler asks besides: the parameter that takes its key, and what stands in its place."""

    parameter: str
    service: str
    of: str
    """The service that its key is for."""
    need: str
    name: str
    """Metadata that takes the resource's name."""
    parts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scaler:
    """What a scaler is told without a key."""

    services: tuple[str, ...]
    needs: tuple[str, ...]
    sets: Mapping[str, str]
    """Metadata -> `name` (the resource's own name) or `account`."""
    requires: tuple[tuple[str, ...], ...]
    """Each a choice of metadata of which one must be there already."""
    drops: tuple[str, ...]
    warns: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Part of the resource -> metadata that names it."""
    second: Second | None = None
    """What it asks besides, with a key of its own."""


SCALERS = {
    "azure-servicebus": Scaler(
        ("service-bus",),
        ("manage",),
        {"namespace": "name"},
        (("queueName", "topicName"),),
        ("connection", "connectionFromEnv"),
        "the scaler asks the namespace's administration: Data Owner, so give it an identity of its own with the lifecycle None",
        {"queue": "queueName", "topic": "topicName", "subscription": "subscriptionName"},
    ),
    "azure-queue": Scaler(
        ("storage", "storage-queue"), ("read",), {"accountName": "name"}, (("queueName",),), ("connection", "connectionFromEnv"),
        parts={"queue": "queueName"},
    ),
    "azure-blob": Scaler(
        ("storage", "storage-blob"), ("read",), {"accountName": "name"}, (("blobContainerName",),), ("connection", "connectionFromEnv"),
        parts={"container": "blobContainerName"},
    ),
    "azure-eventhub": Scaler(
        ("event-hubs",),
        ("receive",),
        {"eventHubNamespace": "name"},
        (("eventHubName",), ("blobContainer",)),
        ("connection", "connectionFromEnv", "storageConnection", "storageConnectionFromEnv"),
        parts={"hub": "eventHubName"},
        second=Second(
            "storageConnection", "storage-blob", "storage", "read", "storageAccountName", {"container": "blobContainer"}
        ),
    ),
}  # fmt: skip
UNTRIED = {
    **dict.fromkeys(
        ("azure-log-analytics", "azure-monitor", "azure-app-insights"),
        "the scaler {kind} takes an identity with a reader's role at what its metadata names; keylift looks for neither",
    ),
    **dict.fromkeys(
        ("azure-data-explorer", "azure-pipelines"),
        "KEDA's scaler {kind} takes an identity; whether Container Apps lets it is not known",
    ),
    **dict.fromkeys(
        ("mssql", "postgresql", "rabbitmq"),
        "the scaler {kind} takes no identity in Container Apps, which drops the metadata of such a rule (ACA#1786)",
    ),
}
"""Scalers whose rules keep their secret, with what is known of them; any other knows no identity of Azure's."""
_ELSEWHERE = "its rule asks a second service for checkpoints, whose account no secret of the rule names"
_OF_STORAGE = {"azure-queue": "storage-queue", "azure-blob": "storage-blob"}


class Keda:
    """One scale rule that is given the secret."""

    def judge(self, case: Case) -> Verdict | None:
        rule = case.evidence.rule
        # a key of several services is judged once: the scaler says which it is
        if rule is None or case.service.id in {"storage-blob", "storage-queue", "storage-table"}:
            return None
        kind, metadata = read(rule)
        scaler = SCALERS.get(kind)
        if scaler is None:
            return Verdict("KEDA", fails=(untaken(kind),))
        second = scaler.second if scaler.second is not None and scaler.second.of == case.service.id else None
        fails = []
        if second is None and not set(scaler.services) & {case.service.id}:
            fails.append(f"the secret opens {case.service.title}, which the scaler {kind} does not ask")
        fails += [
            f"the rule has no {' or '.join(choice)}, which the scaler needs beside an identity"
            for choice in scaler.requires
            if not any(metadata.get(one) for one in choice)
        ]
        given = [str(auth.get("triggerParameter") or "") for auth in rule.get("auth") or []]
        besides = scaler.second.parameter if scaler.second is not None else ""
        if len(given) > 1 and sorted(given) != sorted(("connection", besides)):
            fails.append("the rule is given several secrets, and an identity replaces all of them")
        own = metadata.get(scaler.second.name, "") if scaler.second is not None else ""
        if scaler.second is not None and not own and besides not in given:
            # without it the scaler goes on asking for the connection, and says nothing
            fails.append(f"the rule has no {scaler.second.name}, which the scaler needs beside an identity")
        if second is not None and own and own.lower() != case.pointer.name:
            fails.append(f"the rule names the account {own}, and the secret opens {case.pointer.name}")
        where = case.name
        keys = scaler.sets if second is None else [] if own else [second.name]
        sets = [Change("set", f"{where}: metadata.{key}", case.pointer.name, "rule", key) for key in keys]
        cloud = CLOUDS.get(case.pointer.cloud)
        if cloud is None:
            fails.append(f"the scaler {kind} is told no cloud in which {case.pointer.host} is")
        elif cloud:
            sets.append(Change("set", f"{where}: metadata.cloud", cloud, "rule", "cloud"))
        gone = [
            Change("remove", f"{where}: metadata.{key}", "", "rule", key) for key in scaler.drops if key in metadata
        ]
        identity = Change("set", f"{where}: identity", case.identity or "system", "rule", "identity")
        return Verdict(
            f"KEDA {kind}",
            needs=scaler.needs if second is None else (second.need,),
            holds=(f"the scaler {kind} takes an identity in Container Apps",),
            fails=tuple(fails),
            changes=(identity, Change("remove", f"{where}: auth", "", "rule", "auth"), *gone, *sets),
            at_service=_OF_STORAGE.get(kind, "") if second is None else second.service,
            warns=(scaler.warns,) if scaler.warns else (),
            parts={
                part: metadata[key]
                for part, key in (scaler.parts if second is None else second.parts).items()
                if metadata.get(key)
            },
            stays=(_ELSEWHERE,) if besides and besides not in given else (),
        )


def untaken(kind: str) -> str:
    """Why a rule of a scaler that is not in the table keeps its secret."""
    return UNTRIED.get(kind, "the scaler {kind} takes no identity in Container Apps").format(kind=kind or "of the rule")


def read(rule: Json) -> tuple[str, Mapping[str, str]]:
    """Type and metadata of a rule; `azureQueue` is the older spelling of a custom rule."""
    if "queueName" in rule:
        return "azure-queue", {key: str(value) for key, value in rule.items() if isinstance(value, str)}
    metadata = rule.get("metadata") or {}
    return str(rule.get("type") or ""), {key: str(value) for key, value in metadata.items()}


CLIENT = Keda()
