"""The data plane of Key Vault: secrets, their versions, soft delete. One plane a vault: `vault:<lower-case id>`.

Shapes: recordings of 2019 (api 7.0) and 2022 to 2024 (7.3 to 7.5). Limits: learn.microsoft.com/azure/key-vault/secrets/
about-secrets. Conflicts: azure-sdk-for-net#31581, terraform-provider-azurerm#12285.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from migrator.simulator import rbac
from migrator.simulator import vault_access as access
from migrator.simulator import vault_store as store
from migrator.simulator.providers import vaults
from migrator.simulator.vault_store import fetch, live, locate, plant
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrator.simulator.azure import Azure, Call

__all__ = ["fetch", "live", "locate", "plant", "register"]

VERSIONS = ("2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
MAX_VALUE = 25600
"""Bytes of a value: 25 kB."""
MAX_TAGS = 15
MAX_TAG = 512
MAX_CONTENT_TYPE = 255
PAGE = 25
"""Items of a page, and the most that `maxresults` may ask for."""


def register(azure: Azure) -> None:
    """Add the operations on secrets."""

    def route(method: str, template: str, handler: Callable[[Call, Json], Response], *, fallback: bool = False) -> None:
        # public: the answer to a missing token carries the vault's own headers too, so it is given in `_entered`
        azure.route("vault", method, template, _entered(handler), public=True, fallback=fallback)

    route("GET", "/secrets", _list)
    route("POST", "/secrets/restore", _restore)
    route("POST", "/secrets/{name}/backup", _backup)
    route("GET", "/secrets/{name}/versions", _list_versions)
    route("PUT", "/secrets/{name}", _set)
    route("GET", "/secrets/{name}", _get)
    route("GET", "/secrets/{name}/{version}", _get)
    route("PATCH", "/secrets/{name}", _update)
    route("PATCH", "/secrets/{name}/{version}", _update)
    route("DELETE", "/secrets/{name}", _delete)
    route("GET", "/deletedsecrets", _list_deleted)
    route("GET", "/deletedsecrets/{name}", _get_deleted)
    route("POST", "/deletedsecrets/{name}/recover", _recover)
    route("DELETE", "/deletedsecrets/{name}", _purge)
    for method in ("GET", "PUT", "POST", "PATCH", "DELETE"):
        route(method, "/{rest:path}", _unknown, fallback=True)


def _entered(handler: Callable[[Call, Json], Response]) -> Callable[[Call], Response]:
    def handle(call: Call) -> Response:
        vault = vaults.find(call.azure, call.plane.partition(":")[2])
        if vault is None:
            raise AzureError(404, "VaultNotFound", "No vault answers here: it was deleted.")
        headers = {
            "x-ms-keyvault-region": str(vault["location"]),
            "x-ms-keyvault-service-version": "1.9.2390.1",
            "x-ms-keyvault-network-info": f"conn_type=Ipv4;addr={access.LOOPBACK};act_addr_fam=InterNetwork;",
        }
        try:
            call.principal = rbac.authenticate(call.azure, call.plane, call.request)
            _check_version(call)
            if "name" in call.params and not store.NAME.fullmatch(call.params["name"]):
                raise _bad(f"The request URI contains an invalid name: {call.params['name']}")
            response = handler(call, vault)
        except AzureError as error:
            error.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    return handle


def _check_version(call: Call) -> None:
    if not call.version:
        raise _bad("api-version must be specified")
    if call.version not in VERSIONS:
        raise _bad(
            f"The specified version ({call.version}) is not recognized. Consider using the latest supported version "
            f"({VERSIONS[-1]})."
        )


def _bad(message: str) -> AzureError:
    return AzureError(400, "BadParameter", message)


def _permit(call: Call, vault: Json, operation: access.Operation, secret: str = "") -> None:
    access.check(call.azure, call.principal, vault, operation, secret)


def _shown(call: Call, vault: Json, item: Json, one: Json, *, value: bool = False, versioned: bool = True) -> Json:
    """A version as answers show it; `contentType` and `tags` only where they were given (recorded)."""
    days = vaults.retention(vault)
    level = "Recoverable" if days == vaults.RETENTION else "CustomizedRecoverable"
    if not vault["properties"].get("enablePurgeProtection"):
        level += "+Purgeable"
    attributes: Json = {key: one[key] for key in ("enabled", "nbf", "exp", "created", "updated") if key in one}
    attributes["recoveryLevel"] = level
    if call.version not in {"2016-10-01", "7.0"}:
        attributes["recoverableDays"] = days
    shown: Json = {"value": one["value"]} if value else {}
    if "contentType" in one:
        shown["contentType"] = one["contentType"]
    shown["id"] = f"{vaults.origin(call.azure, vault)}/secrets/{item['name']}"
    if versioned:
        shown["id"] += f"/{one['version']}"
    shown["attributes"] = attributes
    if "tags" in one:
        shown["tags"] = one["tags"]
    return shown


def _deleted(call: Call, vault: Json, item: Json, shown: Json) -> Json:
    return {
        "recoveryId": f"{vaults.origin(call.azure, vault)}/deletedsecrets/{item['name']}",
        "deletedDate": int(item["deleted"]),
        "scheduledPurgeDate": int(item["purges"]),
        **shown,
    }


def _body(call: Call, *, value: bool) -> Json:
    """The parts of a secret that a body gives; null means not given.

    Raises:
        AzureError: 400 `BadParameter` for what is unknown, misshapen or too long.
    """
    try:
        body = call.request.json()
    except AzureError as error:
        raise _bad("The request body is not valid JSON.") from error
    for name in {*body} - {"attributes", "contentType", "tags", *(["value"] if value else [])}:
        raise _bad(f"Property {name} is not known.")
    parts: Json = {}
    if value:
        if not isinstance(body.get("value"), str):
            raise _bad("Property value has invalid value\r\n")
        if len(body["value"].encode()) > MAX_VALUE:
            raise _bad(f"The value of a secret may have {MAX_VALUE} bytes at most.")
        parts["value"] = body["value"]
    if (content_type := body.get("contentType")) is not None:
        if not isinstance(content_type, str) or len(content_type) > MAX_CONTENT_TYPE:
            raise _bad(f"Property contentType may have {MAX_CONTENT_TYPE} characters at most.")
        parts["contentType"] = content_type
    if (tags := body.get("tags")) is not None:
        parts["tags"] = _tags(tags)
    attributes = body.get("attributes") or {}
    if not isinstance(attributes, dict) or {*attributes} - {
        *("enabled", "nbf", "exp", "created", "updated", "recoveryLevel", "recoverableDays"),
    }:
        raise _bad("Property attributes has invalid value\r\n")
    for name, kind in (("enabled", bool), ("nbf", int), ("exp", int)):
        if attributes.get(name) is not None:
            if type(attributes[name]) is not kind:
                raise _bad(f"Property attributes.{name} has invalid value\r\n")
            parts[name] = attributes[name]
    return parts


def _tags(tags: Any) -> dict[str, str]:
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise _bad("Property tags has invalid value\r\n")
    if len(tags) > MAX_TAGS or any(len(part) > MAX_TAG for pair in tags.items() for part in pair):
        raise _bad(f"A secret may have {MAX_TAGS} tags at most, of {MAX_TAG} characters in name and value.")
    return dict(tags)


def _set(call: Call, vault: Json) -> Response:
    name = call.params["name"]
    _permit(call, vault, access.SET, name)
    parts = _body(call, value=True)
    item = store.settled(call.azure, vault, name)
    if item is not None and item["state"] in store.BEING:
        raise store.busy(item)
    if item is not None and item["state"] == "deleted":
        raise AzureError(
            409,
            "Conflict",
            f"Secret {item['name']} is currently in a deleted but recoverable state, and its name cannot be reused; in "
            "this state, the secret can only be recovered or purged.",
            innererror={"code": "ObjectIsDeletedButRecoverable"},
        )
    item = item or store.table_of(call.azure, vault).setdefault(name.lower(), store.fresh(name))
    moment = int(call.now)
    one: Json = {
        "version": store.new_version(call.azure),
        "enabled": True,
        **parts,
        "created": moment,
        "updated": moment,
    }
    item["versions"].append(one)
    return Response(200, _shown(call, vault, item, one, value=True))


def _get(call: Call, vault: Json) -> Response:
    name, version = call.params["name"], call.params.get("version")
    _permit(call, vault, access.GET, name)
    one = store.readable(call.azure, vault, name, version)
    item, _ = store.active(call.azure, vault, name, version)
    return Response(200, _shown(call, vault, item, one, value=True))


def _update(call: Call, vault: Json) -> Response:
    name = call.params["name"]
    _permit(call, vault, access.UPDATE, name)
    parts = _body(call, value=False)
    item, one = store.active(call.azure, vault, name, call.params.get("version"))
    one.update(parts, updated=int(call.now))
    return Response(200, _shown(call, vault, item, one))


def _paged(call: Call, vault: Json, path: str, shown: list[tuple[str, Json]]) -> Response:
    """A page in order of the given keys, with `nextLink` null on the last (recorded)."""
    query = {key.lower(): value for key, value in call.request.query.items()}
    size = query.get("maxresults") or str(PAGE)
    if not size.isdigit() or not 1 <= int(size) <= PAGE:
        raise _bad(f"invalid maxresults: {size} is not between 1 and {PAGE}")
    token = query.get("$skiptoken", "")
    try:
        after = base64.urlsafe_b64decode(token).decode() if token else ""
    except ValueError as error:
        raise _bad("invalid $skiptoken") from error
    rest = [(key, value) for key, value in sorted(shown, key=lambda pair: pair[0]) if key > after]
    here, link = rest[: int(size)], None
    if len(rest) > len(here):
        following = base64.urlsafe_b64encode(here[-1][0].encode()).decode()
        base = vaults.origin(call.azure, vault)
        link = f"{base}{path}?api-version={call.version}&$skiptoken={following}&maxresults={size}"
    return Response(200, {"value": [value for _, value in here], "nextLink": link})


def _list(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.LIST)
    found = live(call.azure, vault)
    shown = [(key, _shown(call, vault, item, item["versions"][-1], versioned=False)) for key, item in found.items()]
    return _paged(call, vault, "/secrets", shown)


def _list_versions(call: Call, vault: Json) -> Response:
    name = call.params["name"]
    _permit(call, vault, access.LIST, name)
    item = live(call.azure, vault).get(name.lower())
    # a name that is not there has no versions: an empty list, not 404 (recorded); the order is that of the ids
    versions = item["versions"] if item else []
    shown = [(one["version"], _shown(call, vault, item or {}, one)) for one in versions]
    return _paged(call, vault, f"/secrets/{name}/versions", shown)


def _delete(call: Call, vault: Json) -> Response:
    name = call.params["name"]
    _permit(call, vault, access.DELETE, name)
    item = store.settled(call.azure, vault, name)
    if item is None or item["state"] == "deleted":
        raise store.missing(name)
    if item["state"] in store.BEING:
        raise store.busy(item)
    item.update(deleted=call.now, purges=call.now + vaults.retention(vault) * vaults.DAY)
    store.begin(call.azure, item, "deleting")
    return Response(200, _deleted(call, vault, item, _shown(call, vault, item, item["versions"][-1])))


def _named_deleted(call: Call, vault: Json) -> Json:
    name = call.params["name"]
    item = store.settled(call.azure, vault, name)
    if item is None or item["state"] != "deleted":
        raise AzureError(404, "SecretNotFound", f"Deleted Secret not found: {name}")
    return item


def _list_deleted(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.LIST)
    shown = []
    for key in sorted(store.table_of(call.azure, vault)):
        item = store.settled(call.azure, vault, key)
        if item is not None and item["state"] == "deleted":
            last = _shown(call, vault, item, item["versions"][-1], versioned=False)
            shown.append((key, _deleted(call, vault, item, last)))
    return _paged(call, vault, "/deletedsecrets", shown)


def _get_deleted(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.GET_DELETED, call.params["name"])
    item = _named_deleted(call, vault)
    return Response(200, _deleted(call, vault, item, _shown(call, vault, item, item["versions"][-1])))


def _recover(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.RECOVER, call.params["name"])
    item = _named_deleted(call, vault)
    store.begin(call.azure, item, "recovering")
    return Response(200, _shown(call, vault, item, item["versions"][-1]))


def _purge(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.PURGE, call.params["name"])
    item = _named_deleted(call, vault)
    if vault["properties"].get("enablePurgeProtection"):
        raise AzureError(
            403,
            "Forbidden",
            "Operation purge is not allowed because purge protection is enabled for this vault.",
            innererror={"code": "PurgeNotAllowed"},
        )
    # for a few seconds the name is neither deleted nor free (azure-sdk-for-net#26027)
    store.begin(call.azure, item, "purging")
    return Response(204)


def _backup(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.BACKUP, call.params["name"])
    raise _unsupported("backup")


def _restore(call: Call, vault: Json) -> Response:
    _permit(call, vault, access.RESTORE)
    raise _unsupported("restore")


def _unsupported(what: str) -> AzureError:
    # a blob that nobody could open elsewhere would be a lie
    return AzureError(501, "NotSupported", f"This simulated vault does not {what} secrets.")


def _unknown(call: Call, _vault: Json) -> Response:
    path = call.request.path
    raise AzureError(404, "NotFound", f"This simulated vault holds secrets only, nothing answers to {path}.")
