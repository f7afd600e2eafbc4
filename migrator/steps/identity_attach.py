"""`identity-attach`: give an app an identity, without touching those it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from migrator.appwrite import Live, Missing, begin, listed, observe, read, unlike, who, write
from migrator.errors import CloudError, NotFoundError, OutsideChangeError, RunError, UnprovenError
from migrator.kinds import Kind
from migrator.model import Json, ResourceId, Step, same_id
from migrator.ports import Outcome, StepContext
from migrator.veil import section

SYSTEM = "system"


class IdentityAttach(Kind):
    """One PATCH of `identity`, with the full map, read back whole."""

    kind = "identity-attach"
    writes_app = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        name = step.change["identity"]
        return [("~", f"attach {'a system identity' if name == SYSTEM else _short(name)}: no revision, no restart")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        live = read(step.target, ctx)
        with ctx.lane(live.environment):
            live = begin(step, ctx)
            name = step.change["identity"]
            if attached(live.veiled, name):
                self._note(live, ctx)
                return Outcome(adopted=attached(ctx.record.facts["pre_image"], name))
            after = write(step, ctx, live, {"identity": _with(live.raw, name)}, _wanted(live, name), Missing(step, ctx))
        self._note(after, ctx)
        return Outcome()

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        live = read(step.target, ctx)
        if not attached(live.veiled, step.change["identity"]):
            return False
        ctx.record.note(after=live.veiled)
        self._note(live, ctx)
        return True

    def verify(self, step: Step, ctx: StepContext) -> None:
        if not attached(read(step.target, ctx).veiled, step.change["identity"]):
            raise UnprovenError(
                f"the identity is not attached to {_short(step.target)}",
                why="Azure took the change and does not show it",
                hint=f"keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        name = step.change["identity"]
        if "pre_image" not in ctx.record.facts or attached(ctx.record.facts["pre_image"], name):
            return ""
        try:
            live = read(step.target, ctx)
        except NotFoundError:
            return f"the app {_short(step.target)} is gone"
        with ctx.lane(live.environment):
            live = read(step.target, ctx)
            if not attached(live.veiled, name):
                return ""
            users = _users(live.veiled, name)
            if users:
                raise RunError(
                    f"the identity cannot be detached from {_short(step.target)}",
                    why=f"it is in use by {listed(users)}, which this run did not make",
                    hint=f"take those uses away, then: keylift rollback {ctx.run}",
                )
            return self._detach(step, ctx, live, name)

    def _detach(self, step: Step, ctx: StepContext, live: Live, name: str) -> str:
        wanted = {**live.veiled, "identity": section(ctx.record.facts["pre_image"], "identity")}
        wanted["identity"] = _without(live.veiled, name)
        after = live
        for identity in _ways_without(live.raw, name):
            try:
                raw = ctx.cloud.patch_app(step.target, {"identity": identity}, ctx.record.operation, patience=0.0)
            except CloudError as error:
                if error.status != 400:
                    raise
                continue  # this way of saying it is not understood here
            after = observe(raw, ctx)
            if not unlike(wanted, after.veiled):
                return ""
        raise OutsideChangeError(
            f"the identity could not be detached from {_short(step.target)} alone",
            why=f"the app differs in {listed(unlike(wanted, after.veiled))}; {who(after.raw)}",
            hint="detach it by hand: az containerapp identity remove --ids "
            f"{step.target} --user-assigned {name}, then: keylift rollback {ctx.run}",
        )

    def _note(self, live: Live, ctx: StepContext) -> None:
        principal = section(live.raw, "identity", "principalId")
        if principal:
            ctx.record.note(systemPrincipalId=principal)


def attached(document: Json, name: str) -> bool:
    """Whether an app (as read or settled) has an identity, given by its id or as `system`."""
    if name == SYSTEM:
        return "systemassigned" in _types(document)
    return any(same_id(key, name) for key in section(document, "identity", "userAssignedIdentities") or {})


def _types(document: Json) -> set[str]:
    text = str(section(document, "identity", "type") or "None").replace(" ", "").lower()
    return set(text.split(",")) - {"none"}


def _identity(system: bool, attached_ids: Sequence[str], **extra: Any) -> Json:
    kinds = (["SystemAssigned"] if system else []) + (["UserAssigned"] if attached_ids else [])
    identity: Json = {"type": ",".join(kinds) or "None"}
    entries: Json = {key: {} for key in attached_ids} | extra
    if entries:
        identity["userAssignedIdentities"] = entries
    return identity


def _ids(document: Json, *, but: str = "") -> list[str]:
    found = section(document, "identity", "userAssignedIdentities") or {}
    return [key for key in found if not same_id(key, but)]


def _with(document: Json, name: str) -> Json:
    """The identity with one more; always the full map, which is right whether Azure merges or replaces it."""
    if name == SYSTEM:
        return _identity(True, _ids(document))
    return _identity("systemassigned" in _types(document), [*_ids(document), name])


def _without(document: Json, name: str) -> Json:
    """The identity without one."""
    return _identity(name != SYSTEM and "systemassigned" in _types(document), _ids(document, but=name))


def _wanted(live: Live, name: str) -> Json:
    identity = _with(live.veiled, name if name == SYSTEM else name.lower())
    return {**live.veiled, "identity": identity}


def _ways_without(document: Json, name: str) -> Iterator[Json]:
    """Bodies that take an identity away, one after the other: nobody has seen which one Microsoft.App wants.

    First the full map without it (right where the map is replaced), then with a null (right where it is merged, as was
    recorded for environments: traffic, section 5; CORRECTIONS, section 1.5).
    """
    rest = _without(document, name)
    yield rest
    shown = next(
        (key for key in section(document, "identity", "userAssignedIdentities") or {} if same_id(key, name)), ""
    )
    if shown:
        yield {**rest, "userAssignedIdentities": {**rest.get("userAssignedIdentities", {}), shown: None}}


def _users(document: Json, name: str) -> list[str]:
    """Paths that name the identity: what would break without it."""
    found: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, item in node.items():
                inner = f"{path}.{key}" if path else key
                if key == "identity" and isinstance(item, str) and same_id(item, name):
                    found.append(inner)
                else:
                    walk(item, inner)
        elif isinstance(node, list):
            for index, item in enumerate(node):
                walk(item, f"{path}[{index}]")

    walk(document.get("properties"), "properties")
    return found


def _short(resource: str) -> str:
    return ResourceId.parse(resource).name


STEP = IdentityAttach()
