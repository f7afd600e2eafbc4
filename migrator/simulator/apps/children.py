"""Small synchronous resources below an environment or an app: components, storages, certificates, policies.

They are kept in the table `children`: lower-case id -> {"document", "values"}. `values` holds what no answer shows:
path in the properties, with names in place of indexes (`secrets[sas].value`) -> value. Resource Manager does not know
them, only their parents; kinds that it does know (certificates) are mirrored into `world.resources` by their provider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import documents, schema
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import PROVIDER, VERSIONS, answer
from migrator.simulator.azure import GATEWAY, not_found, page
from migrator.simulator.plain import copied
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

_WORDS = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete", "POST": "action"}


_KEPT = ("location", "tags", "systemData", "identity", "extendedLocation")


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of such resources."""

    type: str
    """Full type as ids spell it, e.g. `Microsoft.App/managedEnvironments/storages`."""
    schema: str
    """Name of its type in `schema`."""
    missing: tuple[str, str]
    """Code and text of the provider's 404; `{name}` stands in the text."""
    shown: str = ""
    """Type as answers spell it, where it differs."""
    hidden: tuple[str, ...] = ()
    """Paths below `properties` whose values no answer shows, `[]` for each item of a list."""
    stamped: bool = False
    """Whether answers carry `systemData`."""
    parent_missing: tuple[str, str] | None = None
    """Code and text of the provider's 404 for a parent that Resource Manager does not know; None: it knows all."""
    delete_status: int = 204
    check: Callable[[Call, Json], None] | None = None
    """Raises for properties that are refused."""
    fill: Callable[[Azure, Json], None] | None = None
    """Adds what the service fills in to a document."""

    @property
    def template(self) -> str:
        """The path of one, as a route."""
        space, *types = self.type.split("/")
        names = [*(f"{{p{at}}}" for at in range(len(types) - 1)), "{name}"]
        return f"/subscriptions/{{sub}}/resourceGroups/{{group}}/providers/{space}/" + "/".join(
            f"{kind}/{name}" for kind, name in zip(types, names, strict=True)
        )


def table(azure: Azure) -> dict[str, Json]:
    """All of them by lower-case id."""
    found: dict[str, Json] = azure.world.table("children")
    return found


def forget(azure: Azure, parent: str) -> None:
    """Drop what is below a parent (lower-case id) that is gone."""
    for kept in (table(azure), azure.world.resources):
        for key in [key for key in kept if key.startswith(parent + "/")]:
            del kept[key]


def register(azure: Azure, kind: Kind, methods: tuple[str, ...] = ("GET", "PUT", "DELETE")) -> None:
    """Add the operations and the loader of a kind; a listing is always there."""
    one = kind.template
    listing, _, _ = one.rpartition("/")
    handlers = {"GET": _get, "PUT": _put, "PATCH": _patch, "DELETE": delete}
    for method in methods:
        handler = handlers[method]
        azure.route(
            "arm",
            method,
            one,
            partial(handler, kind=kind),
            versions=VERSIONS,
            action=f"{kind.type}/{_WORDS[method]}",
            scope=one,
        )
    azure.route(
        "arm",
        "GET",
        listing,
        partial(_list, kind=kind),
        versions=VERSIONS,
        action=f"{kind.type}/read",
        scope=listing.rpartition("/")[0],
    )
    azure.loader(kind.type, lambda azure, document: load(azure, kind, document))


def register_readable(azure: Azure, kind: Kind) -> None:
    """Add reading, listing and the loader of a kind that stands below a resource group; it is never written here."""
    group = "/subscriptions/{sub}/resourceGroups/{group}"

    def get(call: Call) -> Response:
        document = call.world.resources.get(_key(call))
        if document is None:
            raise not_found(kind.type, call.params["name"], call.params["group"])
        return answer(200, schema.show(document, kind.schema, call.version), x_ms_operation_identifier="")

    def listing(call: Call) -> Response:
        scope = call.request.path.lower().partition("/providers/")[0]
        answered = page(call, call.world.of_type(kind.type, scope), size=call.azure.switches.page_size)
        answered["value"] = [schema.show(document, kind.schema, call.version) for document in answered["value"]]
        return answer(200, answered, x_ms_operation_identifier="")

    def take_in(azure: Azure, document: Json) -> None:
        load(azure, kind, document)
        azure.world.resources[document["id"].lower()] = table(azure)[document["id"].lower()]["document"]

    azure.route("arm", "GET", kind.template, get, versions=VERSIONS, action=f"{kind.type}/read", scope=kind.template)
    for scope in ("/subscriptions/{sub}", group):
        path = f"{scope}/providers/{kind.type}"
        azure.route("arm", "GET", path, listing, versions=VERSIONS, action=f"{kind.type}/read", scope=scope)
    azure.loader(kind.type, take_in)


def view(kind: Kind, entry: Json, version: str) -> Json:
    """A stored resource as a GET shows it."""
    shown: Json = schema.show(entry["document"], kind.schema, version)
    return shown


def find(call: Call, kind: Kind) -> Json:
    """The entry that a request names.

    Raises:
        AzureError: 404, the provider's own.
    """
    check_parent(call, kind)
    entry = table(call.azure).get(_key(call))
    if entry is None:
        code, text = kind.missing
        raise refused(code, text.format(name=call.params["name"]), 404)
    return entry


def check_parent(call: Call, kind: Kind) -> None:
    """Refuse a path whose parents are not there.

    Raises:
        AzureError: 404 `ParentResourceNotFound` by Resource Manager, for parents that it knows (traffic, section 8); the
            provider's own for those that it does not know.
    """
    path = call.request.path.rstrip("/")
    whole = path if "name" in call.params else f"{path}/-"
    parts = whole.strip("/").split("/")
    top = "/" + "/".join(parts[:8])
    parent = "/" + "/".join(parts[:-2])
    if top.lower() not in call.world.resources:
        types = kind.type.partition("/")[2]
        raise AzureError(
            404,
            "ParentResourceNotFound",
            f"Failed to perform '{_WORDS[call.request.method]}' on resource(s) of type '{types}', because the parent "
            f"resource '{parent}' could not be found.",
            headers=dict(GATEWAY),
        )
    if parent.lower() != top.lower() and parent.lower() not in table(call.azure) and kind.parent_missing:
        code, text = kind.parent_missing
        raise refused(code, text.format(name=parts[-3]), 404)


def _key(call: Call) -> str:
    return call.request.path.rstrip("/").lower()


def _identifier(call: Call, kind: Kind) -> str:
    identifier = kind.template
    for name, value in call.params.items():
        identifier = identifier.replace(f"{{{name}}}", value)
    return identifier


def _get(call: Call, kind: Kind) -> Response:
    return answer(200, view(kind, find(call, kind), call.version))


def _list(call: Call, kind: Kind) -> Response:
    check_parent(call, kind)
    prefix, depth = _key(call) + "/", _key(call).count("/") + 1
    found = [
        view(kind, entry, call.version)
        for key, entry in sorted(table(call.azure).items())
        if key.startswith(prefix) and key.count("/") == depth
    ]
    return answer(200, {"value": found})


def _put(call: Call, kind: Kind) -> Response:
    return _write(call, kind, table(call.azure).get(_key(call)), patch=False)


def _patch(call: Call, kind: Kind) -> Response:
    return _write(call, kind, find(call, kind), patch=True)


def _write(call: Call, kind: Kind, old: Json | None, *, patch: bool) -> Response:
    check_parent(call, kind)
    try:
        body: Json = schema.accept(call.request.json(), kind.schema, call.version)
    except schema.UnknownPropertyError as error:
        return error.response(f"{call.azure.trace.getrandbits(128):032x}", PROVIDER)
    except schema.InvalidValueError as error:
        raise refused("InvalidRequestContent", f"The request content is invalid: {error}.") from error
    sent: Json = {name: copied(body.get(name)) for name in ("location", "tags", "properties") if body.get(name)}
    if patch and old is not None:
        before = {name: old["document"][name] for name in ("location", "tags", "properties") if name in old["document"]}
        sent = documents.merge(before, {k: v for k, v in body.items() if k in {"tags", "properties"}})
    properties: Json = sent.setdefault("properties", {})
    if kind.check is not None:
        kind.check(call, properties)
    values = take(properties, kind.hidden)
    document: Json = {
        "id": (old or {"document": {"id": _identifier(call, kind)}})["document"]["id"],
        "name": call.params["name"],
        "type": kind.shown or kind.type,
        **sent,
    }
    if kind.stamped:
        before_stamps = (old or {"document": {}})["document"].get("systemData")
        document["systemData"] = documents.stamped(call.azure, call.principal, before_stamps)
    if kind.fill is not None:
        kind.fill(call.azure, document)
    entry = {"document": document, "values": values}
    table(call.azure)[_key(call)] = entry
    shown = view(kind, entry, call.version)
    if kind.stamped:
        shown["systemData"] = {k: f"{v}Z" if k == "lastModifiedAt" else v for k, v in shown["systemData"].items()}
        if old is None:
            shown["systemData"]["createdAt"] += "Z"
    return answer(200, shown)


def delete(call: Call, kind: Kind) -> Response:
    """Delete one, with what is below it; one that is not there is gone already."""
    check_parent(call, kind)
    table(call.azure).pop(_key(call), None)
    forget(call.azure, _key(call))
    return answer(kind.delete_status)


def load(azure: Azure, kind: Kind, document: Json) -> None:
    """Take one of an estate file in, with the values that it may carry."""
    given = copied(document)
    properties = schema.lenient(given.get("properties") or {}, schema.SCHEMA[kind.schema].members["properties"].kind)
    stored: Json = {
        **{name: given[name] for name in _KEPT if given.get(name) is not None},
        "id": given["id"],
        "name": given["id"].rpartition("/")[2],
        "type": kind.shown or kind.type,
        "properties": properties,
    }
    if kind.stamped:
        stored.setdefault("systemData", documents.stamped(azure, "", None))
    values = take(properties, kind.hidden)
    if kind.fill is not None:
        kind.fill(azure, stored)
    table(azure)[given["id"].lower().rstrip("/")] = {"document": stored, "values": values}


# Values that no answer shows


def take(properties: Json, hidden: tuple[str, ...]) -> dict[str, str]:
    """Take the values at the paths out of properties: where they were, with names for indexes -> value."""
    found: dict[str, str] = {}
    for path in hidden:
        for node, key, label in _places(properties, path.split("."), ""):
            value = node.pop(key, None)
            if value not in (None, ""):
                found[label] = str(value)
    return found


def _places(node: Any, parts: list[str], label: str) -> Iterator[tuple[Json, str, str]]:
    if not isinstance(node, dict):
        return
    name, many = parts[0].removesuffix("[]"), parts[0].endswith("[]")
    where = f"{label}.{name}" if label else name
    if len(parts) == 1:
        yield node, name, where
    elif many:
        for item in node.get(name) or []:
            if isinstance(item, dict):
                known = item.get("name") or item.get("propertyName") or item.get("key")
                yield from _places(item, parts[1:], f"{where}[{known}]")
    else:
        yield from _places(node.get(name), parts[1:], where)
