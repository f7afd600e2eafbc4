"""What a container wrote lately: the way `az containerapp logs show` takes (azure-cli 2.91, `stream_containerapp_logs`)."""

from __future__ import annotations

from urllib.parse import urlsplit

from migrator.cloud.clients import APPS_VERSION
from migrator.cloud.session import Session
from migrator.errors import CloudError
from migrator.model import ResourceId

LINES = 300
"""The most that the platform gives at a time (azure-cli: 0 to 300)."""


def tail(session: Session, app: str, endpoint: str) -> tuple[str, ...]:
    """The last lines of one container's log. They may hold values: nothing of them may be written anywhere.

    Args:
        session: The cloud.
        app: ARM id of the container app.
        endpoint: `logStreamEndpoint` of a replica's container, as Azure gave it.

    Raises:
        DeniedError: the operator lacks Microsoft.App/containerApps/getAuthToken/action.
        CloudError: anything else.
    """
    name = ResourceId.parse(app).name
    doing = f"read the log of {name}"
    client = session.apps(ResourceId.parse(app).subscription)
    answer = session.ask(client, "POST", f"{app}/getAuthToken", doing, api_version=APPS_VERSION)
    token = (answer.get("properties") or {}).get("token")
    parts = urlsplit(endpoint)
    if not token or parts.scheme != "https":
        raise CloudError(
            f"could not {doing}",
            why="Azure gave no token or no address for it",
            hint=f"look yourself: az containerapp logs show --ids {app}",
            code="NoLogStream",
        )
    # the simulator's region is this machine
    url = f"{session.profile.resource_manager}{parts.path}" if session.profile.loopback else endpoint
    text = session.call(doing, lambda: session.lines(url, str(token), {"follow": "false", "tailLines": str(LINES)}))
    return tuple(text.splitlines())
