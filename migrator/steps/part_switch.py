"""`part-switch`: a Dapr component, or an app's sign-in settings, signs in with identities in the place of a key.

Both are written whole by PUT: neither knows PATCH. What is sent is what was read, but for the change; secrets of a component,
which no GET shows, come from its listSecrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from migrator import parts
from migrator.appwrite import REPLAN, listed, unlike, who
from migrator.errors import CloudError, NotFoundError, OutsideChangeError, StaleError, UnprovenError
from migrator.fingerprints import app_fingerprint
from migrator.kinds import Kind
from migrator.model import AppSecret, Json, ResourceId, Step, settled
from migrator.ports import Outcome, StepContext
from migrator.swapping import client_id_of
from migrator.veil import MARK, Values, comparable, section
from scanners.model import Secret

_SENT = (
    "componentType",
    "version",
    "ignoreErrors",
    "initTimeout",
    "secrets",
    "secretStoreComponent",
    "metadata",
    "scopes",
)
"""Properties of a component that a PUT takes (azure-mgmt-appcontainers 5.1, `DaprComponent`)."""


class _Part:
    """One reading of a part."""

    def __init__(self, step: Step, ctx: StepContext) -> None:
        self.raw = ctx.cloud.get_part(step.target)
        self.secrets: tuple[AppSecret, ...] = ()
        if step.change["form"] == parts.DAPR:
            self.secrets = ctx.cloud.get_app_secrets(step.target)
        self.values = Values(ctx.fingerprinter)
        for secret in self.secrets:
            if secret.value is not None:
                ctx.see(secret.value)
                self.values.add(secret.value)
        for name in step.change.get("secrets", ()):
            # what the token store was told is the name of a secret, and goes back there
            self.values.add(Secret(str(name)))
        self.veiled: Json = named(self.values.veil(settled(self.raw)), self.raw)
        self.fingerprint = app_fingerprint(self.raw, self.secrets, ctx.fingerprinter)


def named(veiled: Json, raw: Json) -> Json:
    """A veiled document whose metadata goes by its names: those of a component's list are no values."""
    shown = section(raw, "properties", "metadata") or []
    for entry, plain in zip(section(veiled, "properties", "metadata") or [], shown, strict=True):
        entry |= {key: plain[key] for key in ("name", "secretRef") if plain.get(key)}
    return veiled


class PartSwitch(Kind):
    """One PUT of a part, read back whole."""

    kind = "part-switch"

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        change = step.change
        name = "token store" if change["form"] == parts.SIGN_IN else f"component {ResourceId.parse(step.target).name}"
        lines = [("-", f"{name}: {key}: the key goes") for key in change["drop"]]
        return [*lines, *(("+", f"{name}: {key} = {value}") for key, value in change["put"].items())]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        if "clientId" not in ctx.record.facts:
            ctx.record.note(clientId=client_id_of(step.change["identity"], ctx))
        with ctx.lane(step.change["lane"]):
            part = self._read(step, ctx)
            put = self._put(step, ctx, part)
            if "pre_image" not in ctx.record.facts:
                if part.fingerprint != step.change["fingerprint"]:
                    raise StaleError(f"{_name(step)} changed since the plan was made", why=who(part.raw), hint=REPLAN)
                ctx.record.note(pre_image=part.veiled)
            wanted = parts.switched(ctx.record.facts["pre_image"], step.change, put)
            if not self._unlike(wanted, part.veiled):
                return Outcome()
            if self._unlike(ctx.record.facts["pre_image"], part.veiled):
                raise StaleError(f"{_name(step)} changed while the run was at work", why=who(part.raw), hint=REPLAN)
            self._write(step, ctx, part, wanted)
        return Outcome()

    def verify(self, step: Step, ctx: StepContext) -> None:
        part = self._read(step, ctx)
        wanted = parts.switched(ctx.record.facts["pre_image"], step.change, self._put(step, ctx, part))
        if self._unlike(wanted, part.veiled):
            raise UnprovenError(
                f"{_name(step)} does not show what it was given",
                why=f"it differs in {listed(self._unlike(wanted, part.veiled))}; {who(part.raw)}",
                hint=f"see who else writes to it, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return ""
        with ctx.lane(step.change["lane"]):
            try:
                part = _Part(step, ctx)
            except NotFoundError:
                return f"{_name(step)} is gone"
            wanted, left = parts.restored(part.veiled, step.change, before, self._put(step, ctx, part))
            if self._unlike(wanted, part.veiled):
                self._write(step, ctx, part, wanted)
        for app in step.change["loaders"]:
            # a sidecar reads components when it starts
            with suppress(NotFoundError):
                revision = str(section(ctx.cloud.get_app(app), "properties", "latestRevisionName") or "")
                ctx.cloud.revision_action(app, revision, "restart")
        return listed(left)

    def _read(self, step: Step, ctx: StepContext) -> _Part:
        try:
            return _Part(step, ctx)
        except NotFoundError as error:
            raise StaleError(f"{_name(step)} is gone", why=error.why, hint=REPLAN) from error

    def _put(self, step: Step, ctx: StepContext, part: _Part) -> Json:
        return parts.texts(step.change, str(ctx.record.facts.get("clientId") or ""), part.values.add)

    def _write(self, step: Step, ctx: StepContext, part: _Part, wanted: Json) -> None:
        body = {"properties": dict(wanted["properties"])}
        if step.change["form"] == parts.DAPR:
            known = {secret.name: secret.value for secret in part.secrets}
            properties = {
                key: body["properties"][key] for key in _SENT if body["properties"].get(key) not in (None, "")
            }
            properties["secrets"] = [
                entry
                if "value" in entry
                else {"name": entry["name"], "value": {MARK: part.values.add(known.get(entry["name"]) or Secret(""))}}
                for entry in properties.get("secrets") or []
            ]
            body = {"properties": properties}

        def missing(mark: str) -> Secret:
            found = next((one for one in ctx.seen() if ctx.fingerprinter.of_secret(one) == mark), None)
            if found is None:
                raise CloudError(
                    f"the value with fingerprint {mark} is not in {_name(step)} any more",
                    why="somebody took the secret away that kept it",
                    hint=f"set it by hand, then go on: keylift rollback {ctx.run}",
                )
            return found

        ctx.cloud.put_part(step.target, part.values.fill(body, missing), ctx.record.operation)
        after = _Part(step, ctx)
        changed = self._unlike(wanted, after.veiled)
        if changed:
            raise OutsideChangeError(
                f"{_name(step)} is not as step {step.id} wanted it",
                why=f"it differs in {listed(changed)}; {who(after.raw)}",
                hint=f"see who else writes to it, then: keylift rollback {ctx.run}",
            )

    @staticmethod
    def _unlike(wanted: Json, found: Json) -> list[str]:
        return unlike({"properties": comparable(wanted["properties"])}, {"properties": comparable(found["properties"])})


def _name(step: Step) -> str:
    if step.change["form"] == parts.SIGN_IN:
        return f"the sign-in of {ResourceId.parse(step.app).name}"
    return f"the component {ResourceId.parse(step.target).name}"


STEP = PartSwitch()
