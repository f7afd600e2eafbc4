"""The common cycle in which all apps fetch their vault references again (FACTS, section 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migrator.simulator.apps import documents, restarts, revisions, secrets

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

EVENT = "containerapp.refresh"


def ensure(azure: Azure) -> None:
    """Start the cycle, once for a world."""
    table = azure.world.table("app-refresh")
    if not table.get("running"):
        table["running"] = True
        _next(azure, azure.clock.now())


def _next(azure: Azure, now: float) -> None:
    azure.world.schedule(secrets.next_tick(now, azure.switches.secret_refresh), EVENT)


def on_refresh(azure: Azure, due: float, _event: dict[str, Any]) -> None:
    """All apps fetch their references; replicas restart only where a value changed (measured).

    Old revisions are cleared away at the same time: the platform does that now and then, nobody knows when.
    """
    for document in azure.world.of_type(documents.KIND):
        changed = secrets.refresh(azure, document, due)
        if changed:
            restarts.restart_for(azure, document, changed, due)
        revisions.purge(azure, document, due)
    _next(azure, due)
