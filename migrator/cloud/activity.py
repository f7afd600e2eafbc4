"""Who did what, as the Activity Log tells: the only witness of what is not there any more.

learn.microsoft.com/rest/api/monitor/activity-logs/list: a filter needs a start within the last 90 days; events show up
minutes after what they tell of.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from migrator.cloud.session import Session
from migrator.errors import CloudError
from migrator.model import Json

_VERSION = "2015-04-01"
_KEPT = 89 * 86_400.0
_CHANGES = ("/write", "/delete")


def last_change(session: Session, resource: str, since: float) -> Json | None:
    """The last successful write or deletion of a resource.

    Args:
        session: The cloud.
        resource: ARM id.
        since: A moment of the session's clock; at most 89 days back count.

    Returns:
        `{"by", "at", "operation"}`; None where there is none, or the log may not be read.
    """
    found = re.match(r"/subscriptions/([^/]+)/", resource, re.IGNORECASE)
    if found is None:
        return None
    ahead = session.transport.ahead
    start = datetime.fromtimestamp(max(since + ahead, session.clock.now() + ahead - _KEPT), UTC)
    try:
        events = session.pages(
            session.arm(),
            f"/subscriptions/{found[1]}/providers/Microsoft.Insights/eventtypes/management/values",
            f"ask the activity log about {resource}",
            api_version=_VERSION,
            only=f"eventTimestamp ge '{start:%Y-%m-%dT%H:%M:%SZ}' and resourceUri eq '{resource.rstrip('/')}'",
        )
    except CloudError:
        return None  # it is a witness, no more: without it the change is told all the same
    told = [
        event
        for event in events
        if _value(event, "status") in {"succeeded", "accepted"} and _value(event, "operationName").endswith(_CHANGES)
    ]
    if not told:
        return None
    last = max(told, key=lambda event: str(event.get("eventTimestamp") or ""))
    return {
        "by": str(last.get("caller") or ""),
        "at": str(last.get("eventTimestamp") or ""),
        "operation": str((last.get("operationName") or {}).get("value") or ""),
    }


def _value(event: Json, key: str) -> str:
    return str((event.get(key) or {}).get("value") or "").lower()
