"""Microsoft.ManagedIdentity: user-assigned identities, their federated credentials, and a resource's system identity.

Shapes as recorded (traffic, section 7: `resourcegroups` in lower case, PUT 201) and as in the official types of
2023-01-31 to 2025-05-31-preview. Identities and credentials are documents in `world.resources`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeGuard

from migrator.simulator import principals
from migrator.simulator.azure import not_found, page
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = "Microsoft.ManagedIdentity/userAssignedIdentities"
CREDENTIAL = f"{KIND}/federatedIdentityCredentials"

VERSIONS = (
    "2018-11-30",
    "2021-09-30-preview",
    "2022-01-31-preview",
    "2023-01-31",
    "2023-07-31-preview",
    "2024-11-30",
    "2025-01-31-preview",
    "2025-05-31-preview",
)
CREDENTIAL_VERSIONS = VERSIONS[2:]

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}")
_READ_ONLY = {"id", "name", "type", "systemData"}
_PROPERTIES_READ_ONLY = {"tenantId", "principalId", "clientId"}
_CREDENTIALS_AT_MOST = 20
_PAGE = 100


def register(azure: Azure) -> None:
    """Add the operations of the provider and the loader of its documents."""
    group = "/subscriptions/{sub}/resourceGroups/{group}"
    base = f"/providers/{KIND}"
    one = f"{group}{base}/{{name}}"
    for method, verb, handler in (
        ("GET", "read", _get),
        ("PUT", "write", _put),
        ("PATCH", "write", _patch),
        ("DELETE", "delete", _delete),
    ):
        azure.route("arm", method, one, handler, versions=VERSIONS, action=f"{KIND}/{verb}")
    for scope in (group, "/subscriptions/{sub}"):
        azure.route("arm", "GET", scope + base, _list, versions=VERSIONS, action=f"{KIND}/read", scope=scope)
    below = f"{one}/federatedIdentityCredentials"
    for method, verb, handler in (
        ("GET", "read", _credential_get),
        ("PUT", "write", _credential_put),
        ("DELETE", "delete", _credential_delete),
    ):
        azure.route(
            "arm",
            method,
            f"{below}/{{credential}}",
            handler,
            versions=CREDENTIAL_VERSIONS,
            action=f"{CREDENTIAL}/{verb}",
        )
    azure.route(
        "arm", "GET", below, _credential_list, versions=CREDENTIAL_VERSIONS, action=f"{CREDENTIAL}/read", scope=one
    )
    azure.route(
        "arm",
        "GET",
        "{scope:path}/providers/Microsoft.ManagedIdentity/identities/default",
        _system,
        versions=VERSIONS,
        action="Microsoft.ManagedIdentity/identities/read",
        scope="{scope}",
    )
    azure.loader(KIND, load)


def load(azure: Azure, document: Json) -> None:
    """Take an identity of an estate file in; ids that are masked or taken get new ones."""
    parts = str(document["id"]).strip("/").split("/")
    identifier = _identifier(parts[1], parts[3], parts[7])
    given = document.get("properties") or {}
    known = azure.world.table("principals")
    principal, client = given.get("principalId"), given.get("clientId")
    if not _is_guid(principal) or principal.lower() in known:
        principal = azure.world.guid("principal", identifier.lower())
    if not _is_guid(client) or principals.by_client(azure, client):
        client = azure.world.guid("client", identifier.lower())
    entry = principals.create(
        azure,
        kind="user-assigned",
        name=parts[7],
        resource=identifier,
        principal=principal,
        client=client,
        settled=True,
    )
    kept = {key: value for key, value in given.items() if key not in _PROPERTIES_READ_ONLY}
    azure.world.resources[identifier.lower()] = _document(
        azure, identifier, entry, str(document.get("location") or "eastus"), dict(document.get("tags") or {}), kept
    )


def _is_guid(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and GUID.fullmatch(value) is not None


def _identifier(subscription: str, group: str, name: str) -> str:
    return f"/subscriptions/{subscription}/resourcegroups/{group}/providers/{KIND}/{name}"


def _document(azure: Azure, identifier: str, principal: Json, location: str, tags: Json, more: Json) -> Json:
    return {
        "location": location,
        "tags": tags,
        "id": identifier,
        "name": principal["name"],
        "type": KIND,
        "properties": {
            "tenantId": azure.world.tenant,
            "principalId": principal["id"],
            "clientId": principal["clientId"],
            **more,
        },
    }


def _find(call: Call) -> Json:
    name, group = call.params["name"], call.params["group"]
    found: Json | None = call.world.resources.get(_identifier(call.params["sub"], group, name).lower())
    if found is None:
        raise not_found(KIND, name, group)
    return found


def _get(call: Call) -> Response:
    return Response(200, _find(call))


def _list(call: Call) -> Response:
    scope = call.request.path.lower().partition("/providers/")[0]
    return Response(200, page(call, call.world.of_type(KIND, scope), size=_PAGE))


def _put(call: Call) -> Response:
    azure, name, group = call.azure, call.params["name"], call.params["group"]
    body = call.request.json()
    location, tags, more = _checked(call, body, patch=False)
    identifier = _identifier(call.params["sub"], group, name)
    old: Json | None = call.world.resources.get(identifier.lower())
    if old is not None:
        if _place(location or old["location"]) != _place(old["location"]):
            raise AzureError(
                409,
                "InvalidResourceLocation",
                f"The resource '{name}' already exists in location '{old['location']}' in resource group '{group}'. A "
                f"resource with the same name cannot be created in location '{location}'. Please select a new resource "
                "name.",
            )
        old["tags"] = tags or {}
        old["properties"] = {k: v for k, v in old["properties"].items() if k in _PROPERTIES_READ_ONLY} | more
        return Response(200, old)
    if not location:
        raise AzureError(400, "LocationRequired", "The location property is required for this definition.")
    if not _NAME.fullmatch(name):
        raise AzureError(
            400,
            "BadRequest",
            f"The resource name '{name}' is invalid: it has 3 to 128 letters, digits, hyphens and underscores and "
            "starts with a letter or a digit.",
        )
    principal = principals.create(azure, kind="user-assigned", name=name, resource=identifier)
    document = _document(azure, identifier, principal, location, tags or {}, more)
    call.world.resources[identifier.lower()] = document
    return Response(201, document, {"Location": identifier})


def _patch(call: Call) -> Response:
    document = _find(call)
    _, tags, more = _checked(call, call.request.json(), patch=True)
    if tags is not None:
        document["tags"] = tags
    document["properties"] |= more
    return Response(200, document)


def _delete(call: Call) -> Response:
    key = _identifier(call.params["sub"], call.params["group"], call.params["name"]).lower()
    document: Json | None = call.world.resources.pop(key, None)
    if document is None:
        return Response(204)
    for below in [k for k in call.world.resources if k.startswith(key + "/")]:
        del call.world.resources[below]
    principals.remove(call.azure, document["properties"]["principalId"])
    return Response(200)


def _checked(call: Call, body: Json, *, patch: bool) -> tuple[str, Json | None, Json]:
    """Location, tags and the writable properties of a body.

    Raises:
        AzureError: 400, the body has a member that the api-version does not know, or a wrong type.
    """
    _refuse_unknown(body, {"location", "tags", "properties"} | _READ_ONLY, "Identity")
    location, tags, properties = body.get("location"), body.get("tags"), body.get("properties") or {}
    if not isinstance(properties, dict) or not isinstance(tags or {}, dict) or not isinstance(location or "", str):
        raise _invalid("'location' is a string, 'tags' and 'properties' are objects")
    if any(not isinstance(value, str) for value in (tags or {}).values()):
        raise _invalid("the values of 'tags' are strings")
    writable = set()
    if call.version >= "2024-11-30":
        writable.add("isolationScope")
    if call.version >= "2025-05-31":
        writable.add("assignmentRestrictions")
    _refuse_unknown(properties, writable | _PROPERTIES_READ_ONLY, "UserAssignedIdentityProperties", "properties.")
    more = {key: properties[key] for key in writable if properties.get(key) is not None}
    if more.get("isolationScope", "None") not in {"None", "Regional"}:
        raise _invalid("'isolationScope' is None or Regional")
    # a PATCH without tags leaves them alone
    return location or "", tags if patch or tags else {}, more


def _refuse_unknown(body: Json, known: set[str], kind: str, prefix: str = "") -> None:
    for key in body:
        if key not in known:
            raise _invalid(f"Could not find member '{key}' on object of type '{kind}'. Path '{prefix}{key}'.")


def _invalid(what: str) -> AzureError:
    return AzureError(
        400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{what}'."
    )


def _place(location: str) -> str:
    return location.replace(" ", "").lower()


# Federated credentials


def _credential_key(call: Call) -> str:
    return f"{_find(call)['id']}/federatedIdentityCredentials/{call.params['credential']}"


def _credential_get(call: Call) -> Response:
    found = call.world.resources.get(_credential_key(call).lower())
    if found is None:
        raise not_found(
            KIND,
            f"{call.params['name']}/federatedIdentityCredentials/{call.params['credential']}",
            call.params["group"],
        )
    return Response(200, found)


def _credential_list(call: Call) -> Response:
    return Response(200, page(call, call.world.of_type(CREDENTIAL, _find(call)["id"]), size=_PAGE))


def _credential_put(call: Call) -> Response:
    body = call.request.json()
    _refuse_unknown(body, {"properties"} | _READ_ONLY, "FederatedIdentityCredential")
    properties = body.get("properties") or {}
    flexible = call.version >= "2025-01-31"
    _refuse_unknown(
        properties,
        {"issuer", "subject", "audiences"} | ({"claimsMatchingExpression"} if flexible else set()),
        "FederatedIdentityCredentialProperties",
        "properties.",
    )
    if bool(properties.get("subject")) == bool(properties.get("claimsMatchingExpression")):
        raise _invalid("either 'subject' or 'claimsMatchingExpression' must be defined, but not both")
    if not properties.get("issuer") or not isinstance(properties.get("audiences"), list) or not properties["audiences"]:
        raise _invalid("'issuer' and 'audiences' are required")
    identifier = _credential_key(call)
    resources = call.world.resources
    new = identifier.lower() not in resources
    if new and len(call.world.of_type(CREDENTIAL, _find(call)["id"])) >= _CREDENTIALS_AT_MOST:
        # the limit is documented (entra workload-identity-federation-considerations), the text is not
        raise AzureError(
            400, "BadRequest", f"An identity has at most {_CREDENTIALS_AT_MOST} federated identity credentials."
        )
    resources[identifier.lower()] = {
        "id": identifier,
        "name": call.params["credential"],
        "type": CREDENTIAL,
        "properties": properties,
    }
    return Response(201 if new else 200, resources[identifier.lower()])


def _credential_delete(call: Call) -> Response:
    removed = call.world.resources.pop(_credential_key(call).lower(), None)
    return Response(204 if removed is None else 200)


# System identities


def _system(call: Call) -> Response:
    scope = call.params["scope"]
    principal = principals.of_resource(call.azure, scope)
    if principal is None or principal["kind"] != "system":
        raise AzureError(
            404, "ResourceNotFound", f"The system assigned identity of the resource '{scope}' was not found."
        )
    document = call.world.resources.get(scope.lower(), {})
    return Response(
        200,
        {
            "id": f"{scope}/providers/Microsoft.ManagedIdentity/identities/default",
            "name": "default",
            "type": "Microsoft.ManagedIdentity/identities",
            "location": document.get("location", ""),
            "tags": document.get("tags") or {},
            "properties": {
                "tenantId": call.world.tenant,
                "principalId": principal["id"],
                "clientId": principal["clientId"],
            },
        },
    )
