"""Microsoft.App/managedEnvironments/daprComponents and their resiliency policies (flows env-dapr-components, dapr-*)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import children, environments, schema
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.wire import Json, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call

schema.define(
    """
-DaprComponent: id name type systemData:SystemData properties:DaprComponentProperties
-DaprComponentProperties: componentType version ignoreErrors:! initTimeout secrets:Secret[] secretStoreComponent@2022-11-01 metadata:DaprMetadata[] scopes serviceComponentBind:DaprBind
-DaprMetadata: name value secretRef
-DaprBind: name serviceId metadata
-DaprResiliency: id name type properties:DaprResiliencyProperties
-DaprResiliencyProperties: inboundPolicy:DaprPolicy outboundPolicy:DaprPolicy
-DaprPolicy: httpRetryPolicy:DaprRetry timeoutPolicy:DaprTimeout circuitBreakerPolicy:DaprBreaker
-DaprRetry: maxRetries:# retryBackOff:DaprBackOff
-DaprBackOff: initialDelayInMilliseconds:# maxIntervalInMilliseconds:#
-DaprTimeout: responseTimeoutInSeconds:#
-DaprBreaker: consecutiveErrors:# timeoutInSeconds:# intervalInSeconds:#
"""
)
_NOT_FOUND = ("DaprComponentNotFound", "Dapr Component with name '{name}' was not found.")


def _check(_call: Call, properties: Json) -> None:
    """Refuse a secret without a value: a vault reference is none, whatever the schema says (text: TF#23958)."""
    secrets = [{k: v for k, v in s.items() if v not in (None, "")} for s in properties.get("secrets") or []]
    for secret in secrets:
        if "value" not in secret:
            raise refused(
                "DaprComponentInvalidSecret", f"Secret with name '{secret.get('name')}' cannot have a null value."
            )
    if "secrets" in properties and properties["secrets"] is not None:
        properties["secrets"] = [{k: s[k] for k in ("name", "value") if k in s} for s in secrets]


def _fill(_azure: Azure, document: Json) -> None:
    properties = document["properties"]
    for name in ("secrets", "scopes"):
        if not properties.get(name):
            properties.pop(name, None)
    for name in ("ignoreErrors",):
        if properties.get(name) is None:
            properties[name] = False
    metadata = properties.get("metadata")
    if isinstance(metadata, list):
        properties["metadata"] = [{k: v for k, v in entry.items() if v is not None} for entry in metadata]


COMPONENT = children.Kind(
    type=f"{environments.KIND}/daprComponents",
    schema="DaprComponent",
    missing=_NOT_FOUND,
    hidden=("secrets[].value",),
    stamped=True,
    check=_check,
    fill=_fill,
)
RESILIENCY = children.Kind(
    type=f"{environments.KIND}/daprComponents/resiliencyPolicies",
    schema="DaprResiliency",
    missing=("DaprComponentResiliencyNotFound", "Dapr Component Resiliency with name '{name}' was not found."),
    parent_missing=_NOT_FOUND,
)


def register(azure: Azure) -> None:
    """Add the operations and the loaders of the provider."""
    children.register(azure, COMPONENT)
    children.register(azure, RESILIENCY)
    azure.route(
        "arm",
        "POST",
        f"{COMPONENT.template}/listSecrets",
        _list_secrets,
        versions=VERSIONS,
        action=f"{COMPONENT.type}/listSecrets/action",
        scope=COMPONENT.template,
        write=False,
    )


def _list_secrets(call: Call) -> Response:
    entry = children.table(call.azure).get(call.request.path.lower().rstrip("/").rpartition("/")[0])
    if entry is None:
        code, text = _NOT_FOUND
        raise refused(code, text.format(name=call.params["name"]), 404)
    return answer(200, {"value": listed(entry)})


def listed(entry: Json) -> list[Json]:
    """The secrets of a stored component with their values: name and value only, unlike those of an app."""
    return [
        {"name": secret["name"], "value": entry["values"].get(f"secrets[{secret['name']}].value")}
        for secret in entry["document"]["properties"].get("secrets") or []
    ]
