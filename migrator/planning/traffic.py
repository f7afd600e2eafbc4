"""How traffic is kept where it is until a new revision is proven."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.model import Json
from migrator.planning.places import AppView


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a new revision means for the traffic of one app."""

    pin: Json | None = None
    """`traffic` of the switch: the latest revision is named, so that nothing moves before proof."""
    shift: Json | None = None
    """`change` of the step that moves traffic after proof."""
    notes: tuple[str, ...] = ()


def of(view: AppView) -> Traffic:
    """Traffic of an app that will get a new revision.

    In Single mode the platform moves it when the new revision is ready. In Multiple mode `latestRevision: true` would
    follow the new revision at once, so the old one is named first.
    """
    if view.job or view.mode != "multiple":
        return Traffic()
    latest = str(view.properties.get("latestRevisionName") or "")
    stay = (
        f"revision {latest} stays active beside the new one in Multiple mode, with its plaintext values; when the new "
        f"one has proven itself: az containerapp revision deactivate {view.at} --revision {latest}"
    )
    ingress = view.configuration.get("ingress")
    if not ingress:
        return Traffic(notes=(f"without ingress both revisions work at once: {stay}",))
    weights = ingress.get("traffic") or [{"latestRevision": True, "weight": 100}]
    following = sum(_weight(entry) for entry in weights if entry.get("latestRevision"))
    named = sum(_weight(entry) for entry in weights if latest and entry.get("revisionName") == latest)
    if following:
        notes = [stay]
        if named:
            notes.append(f"revision {latest} is also named in the traffic and keeps {named} % of it")
        return Traffic({"pin": True}, {"restore_latest": True}, tuple(notes))
    if named:
        return Traffic(None, {"from": latest}, (stay,))
    return Traffic(notes=("the new revision gets no traffic: the traffic names other revisions; move it by hand", stay))


def _weight(entry: Json) -> int:
    """Azure takes numbers sent as text and gives numbers back."""
    return int(entry.get("weight") or 0)
