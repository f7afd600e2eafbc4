"""Microsoft.App/locations: what the URLs of asynchronous operations answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.simulator.apps import environments, writing
from migrator.simulator.apps.versions import VERSIONS

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure


def register(azure: Azure) -> None:
    """Add the operations of the provider. A poller's token is enough: the URL is signed."""
    base = "/subscriptions/{sub}/providers/Microsoft.App/locations/{location}"
    for name, handler in (
        ("containerappOperationStatuses", writing.poll_status),
        ("containerappOperationResults", writing.poll_result),
        ("managedEnvironmentOperationStatuses", environments.poll_status),
        ("managedEnvironmentOperationResults", environments.poll_result),
    ):
        azure.route("arm", "GET", f"{base}/{name}/{{operation}}", handler, versions=VERSIONS)
