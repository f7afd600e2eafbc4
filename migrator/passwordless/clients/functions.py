"""Azure Functions: a binding names a connection `X`; `X__fullyQualifiedNamespace` and the like replace the string.

Sources: learn.microsoft.com/azure/azure-functions/functions-reference, "Configure an identity-based connection".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from migrator.passwordless.cases import Case, Change, Verdict, by_hand, calls, shown

_ENDPOINTS = {
    "storage-blob": ("blobServiceUri", "queueServiceUri"),
    "storage-queue": ("queueServiceUri",),
    "storage-table": ("tableServiceUri",),
    "service-bus": ("fullyQualifiedNamespace",),
    "event-hubs": ("fullyQualifiedNamespace",),
    "cosmos": ("accountEndpoint",),
    "signalr": ("serviceUri",),
}
_HOST = "AzureWebJobsStorage"
_EXTENSION = re.compile(r"microsoft\.azure\.(?:webjobs|functions\.worker)\.extensions\.(\w+)")
_OLDEST = {"storage": 5, "servicebus": 5, "eventhubs": 5, "cosmosdb": 4}
"""Major versions of extensions from which on they take identity-based connections."""
_USES = {"storage-blob": "storage", "storage-queue": "storage", "storage-table": "storage", "storage": "storage",
         "service-bus": "servicebus", "event-hubs": "eventhubs", "cosmos": "cosmosdb"}  # fmt: skip
_OLDEST_BUNDLE = 3
"""Extension bundles before it hold extensions without identity-based connections."""


class Functions:
    """The Functions host and its bindings."""

    def judge(self, case: Case) -> Verdict | None:
        if not case.evidence.functions:
            return None
        if case.name == _HOST:
            return self._host(case)
        name = case.name.removeprefix("AzureWebJobs")
        bound = calls(case, "connection", name)
        if not bound:
            return Verdict("Azure Functions", fails=(f"no binding was seen that names the connection {name}",))
        return self._binding(case, name, shown(bound))

    def _host(self, case: Case) -> Verdict:
        account = case.pointer.name
        public = case.pointer.cloud == "public"
        changes = [Change("remove", _HOST)]
        if public:
            changes.append(Change("set", f"{_HOST}__accountName", account))
        else:  # the account name stands for the public cloud's hosts only
            suffix = case.pointer.host.split(".", 2)[2]
            changes += [
                Change("set", f"{_HOST}__{kind}ServiceUri", f"https://{account}.{kind}.{suffix}")
                for kind in ("blob", "queue", "table")
            ]
        return Verdict(
            "Azure Functions host",
            needs=("manage",),
            holds=(f"the Functions host reads {_HOST} itself, and takes {_HOST}__accountName instead",),
            fails=self._falsified(case, _HOST),
            changes=(*changes, *self._credential(case, _HOST)),
            at_service="storage-blob",
            # Durable Functions keep their state in queues and tables of the host's storage
            also=(("storage-queue", "write"), ("storage-table", "write")) if self._durable(case) else (),
            stays=self._host_needs_more(case),
        )

    def _durable(self, case: Case) -> bool:
        code = case.evidence.code
        return code is not None and any(name.startswith("durable:") for name in code.names)

    def _host_needs_more(self, case: Case) -> tuple[str, ...]:
        """What the host needs of its storage that keylift does not give, or that nobody knows."""
        code = case.evidence.code
        if code is None:
            return ("nobody gave the app's code, so nothing shows what else the host keeps in its storage",)
        found = []
        if any(name.startswith("blob-triggered:") for name in code.names):
            found.append(
                "a blob trigger needs Storage Account Contributor on the host's storage, which lists the very key"
            )
        if self._durable(case) and not self._durable_knows(code.packages):
            found.append(
                "Durable Functions take an identity from their extension 2.7 on, and which there is was not seen"
            )
        return tuple(found)

    def _durable_knows(self, packages: Mapping[str, str]) -> bool:
        """Whether the extension of Durable Functions is one that takes an identity; bundles hold none before 3."""
        bundle = re.search(r"\d+", packages.get("functions-extension-bundle", ""))
        if bundle:
            return int(bundle[0]) >= _OLDEST_BUNDLE
        own = [packages[name] for name in packages if name.endswith("extensions.durabletask")]
        parts = [tuple(int(one) for one in re.findall(r"\d+", version)[:2]) for version in own]
        isolated = any(name.startswith("microsoft.azure.functions.worker.") for name in packages)
        return bool(parts) and all(part >= ((1, 0) if isolated else (2, 7)) for part in parts)

    def _binding(self, case: Case, name: str, where: str) -> Verdict:
        keys = _ENDPOINTS.get(case.service.id)
        fails = list(self._falsified(case, name))
        if keys is None:
            fails.append(f"no identity-based connection of a binding to {case.service.title} is known")
        host = case.pointer.host.rstrip("/")
        changes = [Change("remove", case.name)]
        for key in keys or ():
            address = host
            if key.endswith(("Uri", "Endpoint")):
                address = f"https://{host.replace('.blob.', '.queue.') if key == 'queueServiceUri' else host}"
            changes.append(Change("set", f"{name}__{key}", address))
        return Verdict(
            "Azure Functions binding",
            needs=self._needs(case, name),
            holds=(f"a binding names the connection {name} ({where})",),
            fails=tuple(fails),
            changes=(*changes, *self._credential(case, name)),
            # a blob trigger keeps its receipts in queues of the same account
            also=(("storage-queue", "write"),) if self._triggered_by_blobs(case, name) else (),
            parts=self._parts(case, name),
        )

    def _parts(self, case: Case, name: str) -> dict[str, str]:
        """The one queue, subscription or hub that every binding of a connection is about; nothing where one is not known."""
        code = case.evidence.code
        detector = {"service-bus": "queue-trigger", "event-hubs": "hub-binding"}.get(case.service.id)
        if code is None or detector is None:
            return {}
        about = code.names.get(f"{detector}:{name}".lower(), ())
        bound = {(sight.path, sight.line) for sight in calls(case, "connection", name)}
        entities = {sight.what for sight in about}
        if len(entities) != 1 or bound - {(sight.path, sight.line) for sight in about}:
            return {}
        entity, _, subscription = entities.pop().partition("/")
        if case.service.id == "event-hubs":
            return {"hub": entity} if not subscription else {}
        return {"topic": entity, "subscription": subscription} if subscription else {"queue": entity}

    def _triggered_by_blobs(self, case: Case, name: str) -> bool:
        code = case.evidence.code
        return case.service.id == "storage-blob" and code is not None and f"blob-trigger:{name}".lower() in code.names

    def _needs(self, case: Case, name: str) -> tuple[str, ...]:
        """By the direction of the bindings; a blob trigger keeps receipts in queues of its own, so it owns its blobs."""
        code = case.evidence.code
        receives = code is not None and f"receives:{name}".lower() in code.names
        sends = code is not None and f"sends:{name}".lower() in code.names
        if case.service.id == "storage-blob":
            if receives or sends or code is None:
                return ("manage",) if receives or sends else ()
            bound = {(sight.path, sight.line) for sight in calls(case, "connection", name)}
            read = {(sight.path, sight.line) for sight in code.names.get(f"inputs:{name}".lower(), ())}
            return ("read",) if bound and bound <= read else ()
        if case.service.id == "storage-queue" and receives:
            # a trigger looks at the queue's length, too (functions-bindings-storage-queue-trigger, identity-based connections)
            return ("read", "receive", "send") if sends else ("read", "receive")
        found = [need for need, so in (("receive", receives), ("send", sends)) if so]
        return tuple(need for need in found if need in case.service.roles)

    def _credential(self, case: Case, name: str) -> tuple[Change, ...]:
        if not case.client_id:
            return ()
        return (
            Change("set", f"{name}__credential", "managedidentity"),
            Change("set", f"{name}__clientId", case.client_id),
        )

    def _falsified(self, case: Case, name: str) -> tuple[str, ...]:
        code = case.evidence.code
        if code is None:
            return ()
        found = by_hand(case, name)
        bundle = re.search(r"\d+", code.packages.get("functions-extension-bundle", ""))
        if bundle and int(bundle[0]) < _OLDEST_BUNDLE:
            found.append(f"the extension bundle {code.packages['functions-extension-bundle']} is older than 3")
        for package, version in code.packages.items():
            extension, major = _EXTENSION.match(package), re.match(r"\d+", version)
            oldest = _OLDEST.get(_USES.get(case.service.id, ""), 0)
            mine = extension is not None and extension[1] == _USES.get(case.service.id)
            if mine and major and int(major[0]) < oldest:
                found.append(f"{package} {version} is older than {oldest}, and takes no identity")
        return tuple(sorted(found))


CLIENT = Functions()
