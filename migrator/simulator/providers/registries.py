"""Microsoft.ContainerRegistry/registries on the management plane, and who may pull an image.

Tables: `registry-credentials` (lower-case registry id -> {"password", "password2", "users": {name: password}}),
`registry-servers` (lower-case login server -> lower-case registry id). A login server stays `<name>.azurecr.io`, as
images say it, or what the estate says (registries with a name label suffix are `<name>-<hash>.azurecr.io`).

Shapes: recordings of 2020 (2019-05-01) and February 2026 (2023-07-01); types 2023-07-01 to 2025-11-01. Role modes:
learn.microsoft.com/azure/container-registry/container-registry-rbac-abac-repository-permissions.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

from migrator.simulator import principals, rbac, vault_store
from migrator.simulator import registry_shapes as shapes
from migrator.simulator.azure import ARM, not_found, page
from migrator.simulator.clock import iso
from migrator.simulator.plain import copied
from migrator.simulator.providers import vaults
from migrator.simulator.wire import AzureError, Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = "Microsoft.ContainerRegistry/registries"
VERSIONS = (
    "2019-05-01",
    "2019-12-01-preview",
    "2021-09-01",
    "2022-12-01",
    "2023-07-01",
    "2024-11-01-preview",
    "2025-03-01-preview",
    "2025-04-01",
    "2025-05-01-preview",
    "2025-11-01",
)
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
"""The action of AcrPull; it counts in the legacy mode only."""
READ = "Microsoft.ContainerRegistry/registries/repositories/content/read"
"""The data action of Container Registry Repository Reader; it counts in the shapes.ABAC mode only."""
NAMES = ("password", "password2")

_WRITABLE = {
    "adminUserEnabled",
    "networkRuleSet",
    "policies",
    "encryption",
    "dataEndpointEnabled",
    "publicNetworkAccess",
    "networkRuleBypassOptions",
    "zoneRedundancy",
    "anonymousPullEnabled",
    "roleAssignmentMode",
    "networkRuleBypassAllowedForTasks",
}
_READ_ONLY = {
    "loginServer",
    "creationDate",
    "provisioningState",
    "status",
    "dataEndpointHostNames",
    "privateEndpointConnections",
}
_TOP = {"id", "name", "type", "location", "tags", "sku", "identity", "systemData", "properties"}
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
_SPACE = "/providers/Microsoft.ContainerRegistry"
_REGISTRY = f"{_GROUP}{_SPACE}/registries/{{registry}}"


def register(azure: Azure) -> None:
    """Add the operations of registries."""

    def route(method: str, template: str, handler: Any, action: str, **more: Any) -> None:
        whole = f"Microsoft.ContainerRegistry/{action}"
        azure.route(ARM, method, template, handler, versions=VERSIONS, action=whole, **more)

    route("GET", _REGISTRY, _get, "registries/read")
    route("PUT", _REGISTRY, _put, "registries/write")
    route("PATCH", _REGISTRY, _patch, "registries/write")
    route("DELETE", _REGISTRY, _delete, "registries/delete")
    route("GET", f"{_GROUP}{_SPACE}/registries", _list, "registries/read")
    route("GET", f"/subscriptions/{{subscription}}{_SPACE}/registries", _list, "registries/read")
    route("POST", f"{_REGISTRY}/listCredentials", _list_credentials, "registries/listCredentials/action")
    route("POST", f"{_REGISTRY}/regenerateCredential", _regenerate, "registries/regenerateCredential/action")
    route(
        "POST",
        f"/subscriptions/{{subscription}}{_SPACE}/checkNameAvailability",
        _check_name,
        "checkNameAvailability/read",
        write=False,
    )
    azure.loader(KIND, load)
    azure.on("registry-passwords", _adopt)


# For the other providers


def find(azure: Azure, registry: str) -> Json | None:
    """The stored document of a registry by ARM id, or by login server, without case."""
    key = registry.lower().rstrip("/")
    if not key.startswith("/"):
        key = azure.world.table("registry-servers").get(_host(key), "")
    found: Json | None = azure.world.resources.get(key)
    return found


def _host(server: str) -> str:
    """A registry's server as apps write it: with a scheme, a port or a slash at the end."""
    return server.lower().removeprefix("https://").rstrip("/").removesuffix(":443")


def load(azure: Azure, document: Json) -> None:
    """Take in a registry of an estate; what the document leaves out is what Azure would fill in.

    `properties.credentials` (of the estate file only) may give the admin user's `{"password", "password2"}`. Without
    it, the passwords are those that the estate's apps and jobs pull with, so that what ran before runs here.
    """
    stored = copied(document)
    key = str(stored["id"]).lower().rstrip("/")
    given = {k: v for k, v in (stored.get("properties") or {}).items() if v is not None}
    credentials = given.pop("credentials", None)
    stored.setdefault("name", str(stored["id"]).rstrip("/").rpartition("/")[2])
    stored.setdefault("location", "westeurope")
    stored["type"] = KIND
    stored["tags"] = stored.get("tags") or {}
    stored["sku"] = shapes.sku_of(stored.get("sku") or {"name": "Basic"})
    moment = azure.clock.now()
    written = {"createdAt": iso(moment, zone="+00:00"), "lastModifiedAt": iso(moment, zone="+00:00")}
    stored.setdefault("systemData", written)
    stored["properties"] = shapes.merged(shapes.fresh(stored["name"], stored["sku"], moment), given)
    stored["properties"]["provisioningState"] = "Succeeded"
    _keep(azure, key, stored)
    if credentials:
        _credentials(azure, key).update(credentials)
    else:
        azure.world.schedule(azure.clock.now(), "registry-passwords", registry=key)  # once the whole estate is there


def may_pull(
    azure: Azure,
    server: str,
    *,
    username: str | None = None,
    password: str | None = None,
    principal: str | None = None,
    image: str = "",
) -> str | None:
    """Whether an image can be pulled now: None, or the reason as Container Apps puts it behind the image's name.

    Servers that are no registry of this world (public ones) pull without asking. `principal` is the object id of the
    identity that pulls, `image` the whole image name; it decides where a role's condition names repositories.
    """
    registry = find(azure, server)
    if registry is None or registry["properties"].get("anonymousPullEnabled"):
        return None
    if principal is not None:
        allowed = _identity_pulls(azure, registry, principal, _repository(image))
    elif username is not None and password is not None:
        allowed = _password_pulls(azure, registry, username, password)
    else:
        allowed = False
    if allowed:
        return None
    # the shape of MANIFEST_UNKNOWN in a capture of June 2026, with the registry's own text for 401
    return "GET https:: UNAUTHORIZED: authentication required, visit https://aka.ms/acr/authorization for more information."


def _repository(image: str) -> str:
    rest = image.partition("/")[2].partition("@")[0]
    return re.sub(r":[^/]*$", "", rest)


def _identity_pulls(azure: Azure, registry: Json, principal: str, repository: str) -> bool:
    properties, scope = registry["properties"], str(registry["id"])
    by_arm = (properties.get("policies") or {}).get("azureADAuthenticationAsArmPolicy") or {}
    if str(by_arm.get("status") or "enabled").lower() == "disabled":
        return False  # the platform asks with a token for Resource Manager, which this registry no longer takes
    if properties.get("roleAssignmentMode") != shapes.ABAC:
        return rbac.allowed(azure, principal, PULL, scope)
    facts = {"microsoft.containerregistry/registries/repositories:name": repository} if repository else {}
    return rbac.allowed(azure, principal, READ, scope, data=True, facts=facts)


def _adopt(azure: Azure, _due: float, arguments: Json) -> None:
    """Have a registry know the passwords that the estate's apps and jobs pull from it with.

    The admin user, whose name is the registry's, gets the first two as its own; any other name is a token or a service
    principal of the registry.
    """
    from migrator.simulator.apps import secrets  # which asks this module about pulls

    registry = find(azure, arguments["registry"])
    if registry is None:
        return
    held, told = _credentials(azure, arguments["registry"]), list[str]()
    for kind in ("Microsoft.App/containerApps", "Microsoft.App/jobs"):
        for app in azure.world.of_type(kind):
            configuration = (app.get("properties") or {}).get("configuration") or {}
            # Microsoft.App keeps the values apart from its documents
            named = {str(entry.get("name")): entry for entry in configuration.get("secrets") or []}
            kept: Json = secrets.values(azure, str(app["id"]).lower())
            for entry in configuration.get("registries") or []:
                reference = str(entry.get("passwordSecretRef") or "")
                password = _value(azure, {**named.get(reference, {}), **kept.get(reference, {})})
                server, user = _host(str(entry.get("server") or "")), str(entry.get("username") or "")
                if not password or not user or server != str(registry["properties"]["loginServer"]).lower():
                    continue
                if user.lower() != str(registry["name"]).lower():
                    held.setdefault("users", {})[user] = password
                elif password not in told and len(told) < len(NAMES):
                    held[NAMES[len(told)]] = password
                    told.append(password)


def _value(azure: Azure, secret: Json) -> str:
    """The value of an app's secret, one that lies in a vault included."""
    if secret.get("value"):
        return str(secret["value"])
    found = vault_store.locate(azure, str(secret.get("keyVaultUrl") or ""))
    vault = vaults.find(azure, found[0]) if found else None
    item = vault_store.live(azure, vault).get(found[1].lower()) if found and vault else None
    return str(item["versions"][-1]["value"]) if item else ""


def _password_pulls(azure: Azure, registry: Json, username: str, password: str) -> bool:
    held = _credentials(azure, str(registry["id"]).lower())
    if username.lower() == str(registry["name"]).lower():
        if not registry["properties"].get("adminUserEnabled"):
            return False
        return any(hmac.compare_digest(str(held[name]).encode(), password.encode()) for name in NAMES)
    known = held.get("users", {}).get(username)
    return known is not None and hmac.compare_digest(str(known).encode(), password.encode())


def _credentials(azure: Azure, key: str) -> Json:
    table = azure.world.table("registry-credentials")
    if key not in table:
        table[key] = {name: shapes.password(azure.world) for name in NAMES}
    held: Json = table[key]
    return held


def _keep(azure: Azure, key: str, registry: Json) -> None:
    azure.world.resources[key] = registry
    azure.world.table("registry-servers")[str(registry["properties"]["loginServer"]).lower()] = key


# Requests


def _key(call: Call) -> str:
    return _REGISTRY.format(**call.params).lower()


def _named(call: Call) -> Json:
    found = find(call.azure, _key(call))
    if found is None:
        raise not_found(KIND, call.params["registry"], call.params["group"])
    return found


def _get(call: Call) -> Response:
    return Response(200, shapes.render(_named(call), call.version))


def _list(call: Call) -> Response:
    under = f"/subscriptions/{call.params['subscription']}"
    if "group" in call.params:
        under += f"/resourceGroups/{call.params['group']}"
    return Response(
        200, page(call, [shapes.render(r, call.version) for r in call.world.of_type(KIND, under)], size=100)
    )


def _checked(call: Call) -> Json:
    """The body's parts that may be written; unknown ones are refused."""
    body = call.request.json()
    given = body.get("properties") or {}
    for name in [*({*body} - _TOP), *({*given} - _WRITABLE - _READ_ONLY)]:
        raise AzureError(400, "InvalidRequestContent", f"Could not find member '{name}' on object of type 'Registry'.")
    mode = given.get("roleAssignmentMode")
    if mode is not None and mode not in {shapes.ABAC, shapes.LEGACY}:
        raise AzureError(
            400,
            "InvalidParameter",
            f"The roleAssignmentMode '{mode}' is neither '{shapes.ABAC}' nor '{shapes.LEGACY}'.",
        )
    properties = {name: copied(given[name]) for name in given if name in _WRITABLE and given[name] is not None}
    return {**body, "properties": properties}


def _put(call: Call) -> Response:
    name, key = call.params["registry"], _key(call)
    sku = (call.request.json().get("sku") or {}).get("name")
    if sku == "Classic":
        raise _failed(400, "ClassicSkuDeprecated", "Classic SKU is now deprecated. Please select a managed SKU.")
    body = _checked(call)
    if not body.get("location"):
        raise AzureError(400, "LocationRequired", "The location property is required for this definition.")
    if sku not in {"Basic", "Standard", "Premium"}:
        raise _failed(400, "InvalidSku", f"The SKU '{sku}' is none of Basic, Standard and Premium.")
    if not re.fullmatch(r"[a-zA-Z0-9]{5,50}", name):
        raise _failed(
            400, "InvalidName", "The registry name must be 5 to 50 characters long and hold letters and digits only."
        )
    server = f"{name.lower()}.azurecr.io"
    registry = find(call.azure, key)
    if registry is None and find(call.azure, server) is not None:
        raise _failed(
            409,
            "AlreadyInUse",
            f"The registry DNS name {server} is already in use. You can check if the name is already claimed using "
            "following API: https://docs.microsoft.com/en-us/rest/api/containerregistry/registries/checknameavailability",
        )
    if registry is None:
        registry = {
            "id": _REGISTRY.format(**call.params),
            "name": name,
            "type": KIND,
            "location": str(body["location"]).replace(" ", "").lower(),
            "properties": shapes.fresh(name, {"name": sku}, call.now),
        }
    registry["sku"] = shapes.sku_of({"name": sku})
    registry["tags"] = body.get("tags") or {}
    return _written(call, key, registry, body)


def _patch(call: Call) -> Response:
    registry, body = _named(call), _checked(call)
    if isinstance(body.get("tags"), dict):
        registry["tags"] = body["tags"]
    if isinstance(body.get("sku"), dict):
        registry["sku"] = shapes.sku_of(body["sku"])
    return _written(call, _key(call), registry, body)


def _written(call: Call, key: str, registry: Json, body: Json) -> Response:
    if isinstance(body.get("identity"), dict):
        registry["identity"] = body["identity"]
    registry["properties"] = shapes.merged(registry["properties"], body["properties"])
    caller = call.world.table("principals").get(call.principal, {})
    kind = "User" if caller.get("kind") == principals.OPERATOR else "Application"
    who = str(caller.get("name") if kind == "User" else caller.get("clientId", call.principal))
    moment = iso(call.now, zone="+00:00")
    made = registry.get("systemData") or {"createdBy": who, "createdByType": kind, "createdAt": moment}
    changed = {"lastModifiedBy": who, "lastModifiedByType": kind, "lastModifiedAt": moment}
    registry["systemData"] = {**made, **changed}
    _keep(call.azure, key, registry)
    return Response(200, shapes.render(registry, call.version))


def _failed(status: int, code: str, message: str) -> _FailedError:
    return _FailedError(status, code, message)


class _FailedError(AzureError):
    """This provider writes `status` beside the error (recorded 2019 and 2021)."""

    def response(self) -> Response:
        answer = super().response()
        answer.body["status"] = "Failed"
        return answer


def _delete(call: Call) -> Response:
    registry = find(call.azure, _key(call))
    if registry is None:
        return Response(204)
    del call.world.resources[_key(call)]
    call.world.table("registry-servers").pop(str(registry["properties"]["loginServer"]).lower(), None)
    call.world.table("registry-credentials").pop(_key(call), None)
    return Response(200)


def _admin(call: Call) -> tuple[Json, Json]:
    registry = _named(call)
    if not registry["properties"].get("adminUserEnabled"):
        raise AzureError(
            400,
            "UnAuthorizedForCredentialOperations",
            f"Cannot perform credential operations for {registry['id']} as admin user is disabled. Kindly enable admin "
            "user as per docs: https://docs.microsoft.com/en-us/azure/container-registry/"
            "container-registry-authentication#admin-account",
        )
    return registry, _credentials(call.azure, _key(call))


def _shown(registry: Json, held: Json) -> Response:
    passwords = [{"name": name, "value": held[name]} for name in NAMES]
    return Response(200, {"username": registry["name"], "passwords": passwords})


def _list_credentials(call: Call) -> Response:
    return _shown(*_admin(call))


def _regenerate(call: Call) -> Response:
    registry, held = _admin(call)
    name = call.request.json().get("name")
    if name not in NAMES:
        raise AzureError(
            400, "InvalidPasswordName", f"The password name '{name}' is neither 'password' nor 'password2'."
        )
    held[name] = shapes.password(call.world)
    return _shown(registry, held)


def _check_name(call: Call) -> Response:
    name = str(call.request.json().get("name") or "")
    if find(call.azure, f"{name}.azurecr.io") is None:
        return Response(200, {"nameAvailable": True})
    return Response(
        200,
        {"nameAvailable": False, "reason": "AlreadyExists", "message": f"The registry {name} is already in use."},
    )
