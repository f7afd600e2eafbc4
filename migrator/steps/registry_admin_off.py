"""`registry-admin-off`: turn a registry's admin user off, once nothing pulls with its password any more."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.appwrite import RECONTRACT
from migrator.errors import NotFoundError, OutsideChangeError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import Json, ResourceId, Step, canonical, differences
from migrator.ports import Outcome, StepContext
from migrator.veil import section
from scanners.model import Fingerprinter

_MOVES = ("provisioningState", "status", "privateEndpointConnections", "adminUserEnabled")
"""Properties that Azure moves by itself, and the one that the step is about."""


class RegistryAdminOff(Kind):
    """One PATCH of `adminUserEnabled`, checked against every app and job that can be seen right before."""

    kind = "registry-admin-off"
    spare = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        return [("-", f"registry {step.change['server']}: the admin user is turned off")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        change = step.change
        name = ResourceId.parse(step.target).name
        try:
            before = ctx.cloud.get_registry(step.target)
        except NotFoundError as error:
            raise StaleError(f"the registry {name} is gone", why=error.why, hint=RECONTRACT) from error
        mine = bool(ctx.record.facts.get("was_on"))
        if not section(before, "properties", "adminUserEnabled"):
            return Outcome(adopted=not mine, text="the admin user is off")
        planned = step.expects.get(step.target.lower())
        if planned is not None and planned != registry_fingerprint(before, ctx.fingerprinter):
            raise StaleError(f"the registry {name} changed since the plan was made", why=_who(before), hint=RECONTRACT)
        users = ctx.cloud.password_pullers(change["server"], change["username"])
        if users:
            raise StaleError(
                f"the admin user of {name} is in use",
                why=f"{', '.join(ResourceId.parse(user).name for user in users[:8])} pulls with its password",
                hint=RECONTRACT,
            )
        # noted before the call: an admin user that is off is this run's own after a crash
        ctx.record.note(was_on=True)
        after = ctx.cloud.set_registry_admin(step.target, enabled=False)
        changed = differences(_settled(before), _settled(after))
        if changed:
            raise OutsideChangeError(
                f"the registry {name} is not as step {step.id} wanted it",
                why=f"it differs in {', '.join(changed[:8])}; {_who(after)}",
                hint=f"see who else writes to the registry, then: keylift rollback {ctx.run}",
            )
        return Outcome()

    def verify(self, step: Step, ctx: StepContext) -> None:
        found = ctx.cloud.get_registry(step.target)
        if section(found, "properties", "adminUserEnabled"):
            raise UnprovenError(
                f"the admin user of {ResourceId.parse(step.target).name} is still on",
                why=_who(found),
                hint=f"see who else writes to the registry, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        if not ctx.record.facts.get("was_on"):
            return ""
        try:
            found = ctx.cloud.get_registry(step.target)
        except NotFoundError:
            return f"the registry {ResourceId.parse(step.target).name} is gone"
        if not section(found, "properties", "adminUserEnabled"):
            # never wider than it was: only what this run turned off is turned on again
            ctx.cloud.set_registry_admin(step.target, enabled=True)
        return ""


def registry_fingerprint(document: Json, fingerprinter: Fingerprinter) -> str:
    """The fingerprint of a registry, apart from its admin user and from what Azure moves by itself."""
    return fingerprinter.of(canonical(_settled(document)))


def _settled(document: Json) -> Json:
    properties = {key: part for key, part in (document.get("properties") or {}).items() if key not in _MOVES}
    return {"sku": document.get("sku"), "tags": document.get("tags") or {}, "properties": properties}


def _who(document: Json) -> str:
    data = document.get("systemData") or {}
    return f"last changed by {data.get('lastModifiedBy') or 'unknown'} at {data.get('lastModifiedAt') or 'an unknown time'}"


STEP = RegistryAdminOff()
