"""Microsoft.App/connectedEnvironments (Kubernetes clusters of the customer's) with storages, certificates, components.

Read only, with the numeric error codes that these have (flow connected-env-errors).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from migrator.simulator.apps import children, schema
from migrator.simulator.apps.validation import refused
from migrator.simulator.apps.versions import VERSIONS, answer
from migrator.simulator.providers import certificates, dapr_components, environment_storages

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure, Call
    from migrator.simulator.wire import Response

schema.define(
    """
-ConnectedEnvironment: id name type location tags systemData:SystemData properties:ConnectedEnvironmentProperties extendedLocation
-ConnectedEnvironmentProperties: provisioningState deploymentErrors defaultDomain staticIp daprAIConnectionString customDomainConfiguration:EnvironmentDomain
"""
)

KIND = "Microsoft.App/connectedEnvironments"
ENVIRONMENT = children.Kind(
    type=KIND,
    schema="ConnectedEnvironment",
    missing=("", ""),
    hidden=("customDomainConfiguration.certificateValue", "customDomainConfiguration.certificatePassword"),
    stamped=True,
)
STORAGE = replace(
    environment_storages.STORAGE,
    type=f"{KIND}/storages",
    shown="",
    missing=("100200", "Connected environment Storage '{name}' was not found."),
)
CERTIFICATE = replace(certificates.CERTIFICATE, type=f"{KIND}/certificates")
COMPONENT = replace(dapr_components.COMPONENT, type=f"{KIND}/daprComponents")


def register(azure: Azure) -> None:
    """Add the operations and the loaders of the provider."""
    children.register_readable(azure, ENVIRONMENT)
    for kind in (STORAGE, CERTIFICATE, COMPONENT):
        children.register(azure, kind, ("GET",))
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
        code, text = COMPONENT.missing
        raise refused(code, text.format(name=call.params["name"]), 404)
    return answer(200, {"value": dapr_components.listed(entry)})
