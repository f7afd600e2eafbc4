"""Microsoft.App/containerApps/authConfigs: sign-in settings of an app; all synchronous (traffic, sections 1 and 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import documents, loading, places, restarts, secrets, writing
from migrator.simulator.apps.schema import show
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.plain import copied
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

KIND = f"{documents.KIND}/authConfigs"


def register(azure: Azure) -> None:
    """Add the operations and the loader of the provider."""
    app = f"/subscriptions/{{sub}}/resourceGroups/{{group}}/providers/{documents.KIND}/{{name}}"
    one = f"{app}/authConfigs/{{config}}"
    azure.route("arm", "GET", f"{app}/authConfigs", _list, versions=VERSIONS, action=f"{KIND}/read", scope=app)
    for method, verb, handler in (("GET", "read", _get), ("PUT", "write", _put), ("DELETE", "delete", _delete)):
        azure.route("arm", method, one, handler, versions=VERSIONS, action=f"{KIND}/{verb}", scope=one)
    azure.loader(KIND, loading.load_auth_config)


def _view(config: Json, version: str) -> Json:
    shown: Json = show(config, "AuthConfig", version)
    properties = shown["properties"]
    if "-preview" in version or version == "2024-03-01":
        properties.setdefault("encryptionSettings", {})
    elif not properties.get("encryptionSettings"):
        properties.pop("encryptionSettings", None)
    return shown


def _stored(call: Call) -> tuple[Json, Json | None]:
    document = writing.find(call)
    config: Json | None = call.world.table("auth-configs").get(document["id"].lower())
    wanted = call.params.get("config")
    if config is not None and wanted is not None and config["name"].lower() != wanted.lower():
        config = None
    return document, config


def _get(call: Call) -> Response:
    document, config = _stored(call)
    if config is None:
        raise refused(
            "AuthConfigNotFound",
            f"AuthConfig {call.params['config']} was not found under container app {document['name']}.",
            404,
        )
    return answer(200, _view(config, call.version))


def _list(call: Call) -> Response:
    _, config = _stored(call)
    return answer(200, {"value": [_view(config, call.version)] if config else []})


def _put(call: Call) -> Response:
    body = writing.read_body(call, "AuthConfig")
    if isinstance(body, Response):
        return body
    document = writing.find(call)
    properties = copied(body.get("properties") or {})
    known = secrets.names(document)
    for name in restarts.setting_names(properties):
        if name not in known:
            raise refused(
                "AuthConfigSecretRefNotFound",
                f"Secret with name '{name}' is not found in configuration of container app '{document['name']}'.",
            )
    providers = {key: value for key, value in (properties.get("identityProviders") or {}).items() if value}
    if (properties.get("platform") or {}).get("enabled") and not providers:
        raise refused(
            "AuthConfigInvalidRequest",
            "AuthConfig is invalid with detail 'IdentityProvider should be provided if easyauth is enabled'.",
        )
    subscription, group, _ = places.parts(document["id"])
    config: Json = {
        "id": f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{documents.KIND}/{document['name']}"
        f"/authConfigs/{call.params['config']}",
        "name": call.params["config"],
        "type": "Microsoft.App/containerapps/authconfigs",
        "properties": _filled(properties),
    }
    call.world.table("auth-configs")[document["id"].lower()] = config
    return answer(200, _view(config, call.version))


def _filled(properties: Json) -> Json:
    """Settings with what the service fills in (traffic, section 7)."""
    entra = (properties.get("identityProviders") or {}).get("azureActiveDirectory")
    if isinstance(entra, dict):
        if entra.get("isAutoProvisioned") is None:
            entra["isAutoProvisioned"] = False
        entra["validation"] = entra.get("validation") or {}
        policy = entra["validation"].get("defaultAuthorizationPolicy") or {}
        entra["validation"]["defaultAuthorizationPolicy"] = policy
        if policy.get("allowedApplications") is None:
            policy["allowedApplications"] = []
    login = properties.get("login")
    if isinstance(login, dict) and login.get("preserveUrlFragmentsForLogins") is None:
        login["preserveUrlFragmentsForLogins"] = False
    return properties


def _delete(call: Call) -> Response:
    document, _ = _stored(call)
    call.world.table("auth-configs").pop(document["id"].lower(), None)
    return answer(204)
