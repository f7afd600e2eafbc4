"""Which identity each app reads its secrets with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from migrator.model import Estate, Json, Resource, ResourceId
from migrator.planning import names
from migrator.planning.places import AppView, child

MARK = "keylift"
"""Tag of an identity that keylift made; its value is the app's id, so that a later plan finds it again."""
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An app's identity and what must be done to have it."""

    ref: str
    """ARM id, or `system`."""
    principal: str | None
    """Known at plan time for identities that exist."""
    create: Json | None
    """`{"location", "tags", "name"}` of one to be made."""
    attach: bool
    notes: tuple[Json, ...] = ()

    @property
    def name(self) -> str:
        """For people and step ids."""
        return SYSTEM if self.ref == SYSTEM else ResourceId.parse(self.ref).name


class Identities:
    """The estate's identities by id and by group, and who shares which."""

    def __init__(self, estate: Estate, views: Iterable[AppView]) -> None:
        """Index `estate`."""
        self._known: dict[str, Resource] = {identity.id.lower(): identity for identity in estate.identities}
        self._names: dict[tuple[str, str], set[str]] = {}
        for identity in estate.identities:
            parts = ResourceId.parse(identity.id)
            self._names.setdefault(_group(parts), set()).add(parts.name.lower())
        self._users: dict[str, list[str]] = {}
        self._chosen: dict[tuple[str, str], Chosen] = {}
        for view in views:
            for attached in attached_to(view):
                self._users.setdefault(attached.lower(), []).append(view.name)

    def choose(self, view: AppView, wish: str) -> Chosen:
        """The identity of one app; asked again, the same.

        Args:
            view: The app.
            wish: `user`, `system` or an ARM id, as in the options.
        """
        key = (view.key, wish)
        if key not in self._chosen:
            self._chosen[key] = self._choose(view, wish)
        return self._chosen[key]

    def _choose(self, view: AppView, wish: str) -> Chosen:
        if wish == SYSTEM:
            has = "systemassigned" in str(child(view.app.document, "identity", "type")).lower()
            principal = child(view.app.document, "identity", "principalId") if has else None
            return Chosen(SYSTEM, principal or None, None, attach=not has)
        attached = attached_to(view)
        if wish != "user":
            own = next((ref for ref in attached if ref.lower() == wish.lower().rstrip("/")), None)
            return self._existing(view, own or wish, attach=own is None)
        if attached:
            return self._existing(view, *self._best(view, attached))
        return self._new(view)

    def _existing(self, view: AppView, ref: str, why: str = "", *, attach: bool = False) -> Chosen:
        notes = [_note(view, "identity", why)] if why else []
        others = [name for name in self._users.get(ref.lower(), []) if name != view.name]
        if others:
            notes.append(
                _note(
                    view,
                    "shared-identity",
                    f"identity {ResourceId.parse(ref).name} is also attached to {', '.join(sorted(set(others)))}: they "
                    f"can read what {view.name} can; an identity of its own would be narrower (--identity ID)",
                )
            )
        return Chosen(ref, self._principal(view, ref), None, attach=attach, notes=tuple(notes))

    def _principal(self, view: AppView, ref: str) -> str | None:
        found = self._known.get(ref.lower())
        principal = child(found.document, "properties", "principalId") if found else None
        if not principal:
            entries: Mapping[str, Json] = child(view.app.document, "identity", "userAssignedIdentities") or {}
            principal = next(
                (entry.get("principalId") for key, entry in entries.items() if entry and key.lower() == ref.lower()),
                None,
            )
        return str(principal) if principal else None

    def _best(self, view: AppView, attached: list[str]) -> tuple[str, str]:
        """Of several: the one that secrets and registries use already, else the first by id."""
        if len(attached) == 1:
            return attached[0], ""
        used = [str(secret.identity).lower() for secret in view.secrets.values() if secret.identity]
        used += [registry.identity.lower() for registry in view.registries if registry.identity]
        best = min(attached, key=lambda ref: (-used.count(ref.lower()), ref.lower()))
        reason = "its secrets and registries use it already" if best.lower() in used else "it is the first by id"
        name = ResourceId.parse(best).name
        return best, f"{view.name} has {len(attached)} identities; {name} is used, because {reason} (--identity ID)"

    def _new(self, view: AppView) -> Chosen:
        group = _group(view.parts)
        mine = [
            identity
            for identity in self._known.values()
            if _group(ResourceId.parse(identity.id)) == group
            and str((identity.document.get("tags") or {}).get(MARK, "")).lower() == view.key
        ]
        if mine:
            ref = min(identity.id for identity in mine)
            why = f"identity {ResourceId.parse(ref).name} was made by keylift for this app and is used again"
            return self._existing(view, ref, why, attach=True)
        name = names.identity(view.name, view.id, self._names.get(group, set()))
        # a job may have the name of an app beside it
        self._names.setdefault(group, set()).add(name.lower())
        ref = (
            f"/subscriptions/{view.parts.subscription}/resourceGroups/{view.parts.group}"
            f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        )
        location = str(view.app.document.get("location") or "").replace(" ", "").lower()
        return Chosen(ref, None, {"location": location, "tags": {MARK: view.key}, "name": name}, attach=True)


def attached_to(view: AppView) -> list[str]:
    """Ids of the user-assigned identities of an app as it spells them, in order without case."""
    entries: Mapping[str, Json] = child(view.app.document, "identity", "userAssignedIdentities") or {}
    return sorted(entries, key=str.lower)


def _group(parts: ResourceId) -> tuple[str, str]:
    return parts.subscription.lower(), parts.group.lower()


def _note(view: AppView, kind: str, text: str) -> Json:
    return {"app": view.id, "kind": kind, "text": text}
