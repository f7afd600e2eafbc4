"""Keys of the services that secrets open: storage accounts, messaging namespaces, databases, caches, AI services.

The resources themselves are stored as the estate file gives them; here are only the actions that tell keys and what shared
access policies allow. Table `service-keys`: lower-case id of a resource or of a policy -> {name: value}; `service-policies`:
lower-case id of a namespace or an entity -> {policy: [rights]}. A resource without an entry has keys that nobody knows.

Shapes: the operations' reference pages (learn.microsoft.com/rest/api, `List Keys` of each service; PASSWORDLESS, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migrator.simulator.azure import ARM, not_found
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

RIGHTS = ("Listen", "Send", "Manage")
ROOT = "RootManageSharedAccessKey"
"""The policy every namespace is born with."""

_RESOURCE = "/subscriptions/{subscription}/resourceGroups/{group}/providers"


@dataclass(frozen=True, slots=True)
class Keys:
    """One action that lists keys."""

    kind: str
    action: str
    versions: Sequence[str]
    names: Sequence[str]
    """Keys by the name that the estate file gives them."""
    answer: Callable[[Mapping[str, str]], Json]
    """The body from the values by name."""
    free: bool = False
    """Whether keys may have other names, too."""


def _plain(values: Mapping[str, str]) -> Json:
    return dict(values)


def _storage(values: Mapping[str, str]) -> Json:
    return {"keys": [{"keyName": name, "value": value, "permissions": "FULL"} for name, value in values.items()]}


def _store(values: Mapping[str, str]) -> Json:
    return {
        "value": [
            {"id": name, "name": name, "value": value, "readOnly": "Read Only" in name}
            for name, value in values.items()
        ]
    }


def _query(values: Mapping[str, str]) -> Json:
    return {"value": [{"name": name, "key": value} for name, value in values.items()]}


def _hub(values: Mapping[str, str]) -> Json:
    rights = {"iothubowner": "RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect", "service": "ServiceConnect"}
    return {
        "value": [
            {
                "keyName": name,
                "primaryKey": value,
                "secondaryKey": f"{value}2",
                "rights": rights.get(name, "RegistryRead"),
            }
            for name, value in values.items()
        ]
    }


_PAIR = ("primaryKey", "secondaryKey")
_READ_ONLY = ("primaryReadonlyMasterKey", "secondaryReadonlyMasterKey")
_ACTIONS = (
    Keys("Microsoft.Storage/storageAccounts", "listKeys", ("2023-05-01", "2025-08-01"), ("key1", "key2"), _storage),
    Keys(
        "Microsoft.DocumentDB/databaseAccounts",
        "listKeys",
        ("2024-11-15", "2026-03-15"),
        ("primaryMasterKey", "secondaryMasterKey", "primaryReadonlyMasterKey", "secondaryReadonlyMasterKey"),
        _plain,
    ),
    Keys("Microsoft.Cache/redis", "listKeys", ("2024-11-01",), _PAIR, _plain),
    Keys("Microsoft.Cache/redisEnterprise", "databases/default/listKeys", ("2025-07-01",), _PAIR, _plain),
    Keys(
        "Microsoft.AppConfiguration/configurationStores",
        "listKeys",
        ("2024-06-01",),
        ("Primary", "Secondary", "Primary Read Only", "Secondary Read Only"),
        _store,
        free=True,
    ),
    Keys("Microsoft.SignalRService/signalR", "listKeys", ("2024-03-01",), _PAIR, _plain),
    Keys("Microsoft.SignalRService/webPubSub", "listKeys", ("2024-03-01",), _PAIR, _plain),
    Keys("Microsoft.CognitiveServices/accounts", "listKeys", ("2024-10-01", "2026-07-01"), ("key1", "key2"), _plain),
    Keys("Microsoft.Search/searchServices", "listAdminKeys", ("2025-05-01",), _PAIR, _plain),
    Keys("Microsoft.Search/searchServices", "listQueryKeys", ("2025-05-01",), ("query",), _query, free=True),
    Keys("Microsoft.EventGrid/topics", "listKeys", ("2025-02-15",), ("key1", "key2"), _plain),
    Keys("Microsoft.EventGrid/domains", "listKeys", ("2025-02-15",), ("key1", "key2"), _plain),
    Keys("Microsoft.Communication/communicationServices", "listKeys", ("2023-04-01",), _PAIR, _plain),
    Keys(
        "Microsoft.Devices/IotHubs",
        "listkeys",
        ("2023-06-30",),
        ("iothubowner", "service", "registryRead"),
        _hub,
    ),
)
_SHARED = {
    "Microsoft.ServiceBus/namespaces": (("2024-01-01", "2026-01-01"), ("queues", "topics")),
    "Microsoft.EventHub/namespaces": (("2024-01-01", "2026-01-01"), ("eventhubs",)),
    "Microsoft.Relay/namespaces": (("2024-01-01",), ("hybridConnections", "wcfRelays")),
}
"""Namespaces: api-versions, and the kinds of entities that have shared access policies of their own."""


def register(azure: Azure) -> None:
    """Add the operations."""
    account = "Microsoft.DocumentDB/databaseAccounts"
    for method, verb in (("POST", "action"), ("GET", "read")):  # a GET, too: Readers have these keys
        azure.route(
            ARM, method, f"{_RESOURCE}/{account}/{{name}}/readonlykeys", _read_only, versions=("2024-11-15", "2026-03-15"),
            action=f"{account}/readonlykeys/{verb}",
        )  # fmt: skip
    for keys in _ACTIONS:
        path = f"{_RESOURCE}/{keys.kind}/{{name}}"
        azure.route(
            ARM, "POST", f"{path}/{keys.action}", _listing(keys), versions=keys.versions,
            action=f"{keys.kind}/{keys.action.replace('/default', '')}/action",
        )  # fmt: skip
    for kind, (versions, entities) in _SHARED.items():
        for below in ("", *(f"/{entity}/{{entity}}" for entity in entities)):
            middle = f"/{below.split('/')[1]}" if below else ""
            path, action = (
                f"{_RESOURCE}/{kind}/{{name}}{below}/authorizationRules",
                f"{kind}{middle}/authorizationRules",
            )
            azure.route(ARM, "GET", path, _policies, versions=versions, action=f"{action}/read")
            azure.route(ARM, "GET", f"{path}/{{policy}}", _policy, versions=versions, action=f"{action}/read")
            azure.route(
                ARM, "POST", f"{path}/{{policy}}/listKeys", _policy_keys, versions=versions,
                action=f"{action}/listKeys/action",
            )  # fmt: skip


def plant(azure: Azure, resource: str, name: str, value: str, rights: Sequence[str] = ()) -> None:
    """Give a resource a key, as an estate file says; with `rights`, it is the key of a shared access policy `name`.

    Raises:
        ValueError: a right is unknown.
    """
    resource = resource.rstrip("/").lower()
    if not rights:
        azure.world.table("service-keys").setdefault(resource, {})[name] = value
        return
    unknown = sorted(set(rights) - set(RIGHTS))
    if unknown:
        raise ValueError(f"a shared access policy has the rights {', '.join(RIGHTS)}, not {', '.join(unknown)}")
    azure.world.table("service-policies").setdefault(resource, {})[name] = list(rights)
    azure.world.table("service-keys").setdefault(_policy_id(resource, name), {})["primaryKey"] = value


def _policy_id(resource: str, name: str) -> str:
    return f"{resource}/authorizationrules/{name}".lower()


def _values(azure: Azure, owner: str, names: Sequence[str]) -> dict[str, str]:
    known = azure.world.table("service-keys").get(owner.lower(), {})
    found = {name: known.get(name) or azure.world.guid("service-key", owner.lower(), name) for name in names}
    return {**found, **known}


def _listing(keys: Keys) -> Callable[[Call], Response]:
    def answer(call: Call) -> Response:
        resource = _existing(call, keys.kind)
        known = _values(call.azure, resource, keys.names)
        # admin and query keys of a search service share the table: each action answers with its own
        mine = {n: value for n, value in known.items() if n in keys.names or (keys.free and n not in _PAIR)}
        return Response(200, keys.answer(mine))

    return answer


def _read_only(call: Call) -> Response:
    known = _values(call.azure, _existing(call, "Microsoft.DocumentDB/databaseAccounts"), _READ_ONLY)
    return Response(200, {name: known[name] for name in _READ_ONLY})


def _existing(call: Call, kind: str) -> str:
    group = f"/subscriptions/{call.params['subscription']}/resourceGroups/{call.params['group']}"
    resource = f"{group}/providers/{kind}/{call.params['name']}"
    if resource.lower() not in call.world.resources:
        raise not_found(kind, call.params["name"], call.params["group"])
    return resource.lower()


# Shared access policies


def _owner(call: Call) -> str:
    """The namespace or entity whose policies are asked for."""
    path = call.request.path.lower().partition("/authorizationrules")[0].rstrip("/")
    kind = "/".join(path.split("/providers/", 1)[1].split("/")[:2])
    _existing(call, kind)
    return path


def _rules(call: Call, owner: str) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = dict(call.world.table("service-policies").get(owner, {}))
    if "entity" not in call.params:
        rules.setdefault(ROOT, list(RIGHTS))
    return rules


def _document(owner: str, name: str, rights: list[str]) -> Json:
    kind = "/".join(owner.split("/providers/", 1)[1].split("/")[0::2][:2])
    return {
        "id": f"{owner}/authorizationRules/{name}",
        "name": name,
        "type": f"{kind}/AuthorizationRules",
        "properties": {"rights": rights},
    }


def _policies(call: Call) -> Response:
    owner = _owner(call)
    return Response(200, {"value": [_document(owner, *rule) for rule in sorted(_rules(call, owner).items())]})


def _found(call: Call) -> tuple[str, str, list[str]]:
    owner = _owner(call)
    for name, rights in _rules(call, owner).items():
        if name.lower() == call.params["policy"].lower():
            return owner, name, rights
    raise AzureError(404, "MessagingGatewayNotFoundStatusCode", f"{call.params['policy']} does not exist.")


def _policy(call: Call) -> Response:
    return Response(200, _document(*_found(call)))


def _policy_keys(call: Call) -> Response:
    owner, name, _ = _found(call)
    values: dict[str, Any] = _values(call.azure, _policy_id(owner, name), _PAIR)
    host = owner.split("/namespaces/", 1)[1].split("/")[0]
    entity = f";EntityPath={call.params['entity']}" if "entity" in call.params else ""
    for kind in ("primary", "secondary"):
        values[f"{kind}ConnectionString"] = (
            f"Endpoint=sb://{host}.servicebus.windows.net/;SharedAccessKeyName={name};"
            f"SharedAccessKey={values[f'{kind}Key']}{entity}"
        )
    return Response(200, {**values, "keyName": name})
