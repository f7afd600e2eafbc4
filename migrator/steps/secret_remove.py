"""`secret-remove`: take inline secrets that nothing uses out of an app. Their values cannot come back."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from migrator.appwrite import RECONTRACT, Live, Missing, begin, compare, listed, read, write
from migrator.bindings import uses
from migrator.errors import CloudError, NotFoundError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import AppSecret, Json, ResourceId, Step
from migrator.ports import Outcome, StepContext
from migrator.switching import same_url
from migrator.veil import MARK, section


class SecretRemove(Kind):
    """One PATCH of the whole secrets array, after a last look at everything that could use them."""

    kind = "secret-remove"
    writes_app = True
    irreversible = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        return [
            ("-", f"inline secret {secret['name']}: removed for good; {secret['because']}")
            for secret in step.change["secrets"]
        ]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        environment = read(step.target, ctx).environment
        with ctx.lane(environment):
            live = begin(step, ctx)
            found = ctx.cloud.get_app_secrets(step.target)
            for secret in found:
                if secret.value is not None:
                    ctx.see(secret.value)
            self._check(step, ctx, live, found)
            wanted = without(live.veiled, _names(step))
            body = {"properties": {"configuration": {"secrets": self._array(step, found, live)}}}
            write(step, ctx, live, body, wanted, Missing(step, ctx))
        return Outcome(text=f"{listed(_names(step))} removed")

    def _check(self, step: Step, ctx: StepContext, live: Live, found: Sequence[AppSecret]) -> None:
        """See that every secret is the planned one, and that nothing uses it.

        Raises:
            StaleError: one is another, or is in use.
        """
        by_name = {secret.name: secret for secret in found}
        auth, revisions = ctx.cloud.get_auth(step.target), ctx.cloud.list_revisions(step.target)
        for wanted in step.change["secrets"]:
            secret = by_name.get(wanted["name"])
            if secret is None or secret.value is None or secret.key_vault_url:
                why = "it is gone, or it is no inline secret any more"
            elif ctx.fingerprinter.of_secret(secret.value) != wanted["fingerprint"]:
                why = "its value is another"
            else:
                used = uses(wanted["name"], by_name, live.raw, auth, revisions)
                why = f"it is used by {listed(used)}" if used else ""
            if why:
                raise StaleError(
                    f"secret {wanted['name']} of {_app(step)} is not what the plan saw", why=why, hint=RECONTRACT
                )

    def _array(self, step: Step, found: Sequence[AppSecret], live: Live) -> list[Json]:
        """The secrets that stay, whole: an array in a PATCH replaces the array (FACTS, section 1.5)."""
        stay: list[Json] = []
        for secret in found:
            if secret.name in _names(step):
                continue
            if secret.key_vault_url:
                stay.append({"name": secret.name, "keyVaultUrl": secret.key_vault_url, "identity": secret.identity})
            elif secret.value is not None:
                stay.append({"name": secret.name, "value": {MARK: live.values.add(secret.value)}})
            else:
                raise CloudError(
                    f"the secrets of {_app(step)} cannot be rewritten",
                    why=f"Azure gives no value for {secret.name}",
                    hint="ask for Microsoft.App/containerApps/listSecrets/action on the app, then apply again",
                )
        return stay

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return False
        live = read(step.target, ctx)
        if _there(live.raw, step):
            return False
        compare(step, ctx, live, without(before, _names(step)))
        return True

    def verify(self, step: Step, ctx: StepContext) -> None:
        live = read(step.target, ctx)
        left = _there(live.raw, step)
        kept = {secret.name: secret for secret in ctx.cloud.get_app_secrets(step.target)}
        turned = [
            entry["name"]
            for entry in section(ctx.record.facts.get("pre_image") or {}, "properties", "configuration", "secrets")
            or []
            if entry.get("keyVaultUrl")
            and entry["name"] not in _names(step)
            and not same_url(getattr(kept.get(entry["name"]), "key_vault_url", None), entry["keyVaultUrl"])
        ]
        if left or turned:
            raise UnprovenError(
                f"the secrets of {_app(step)} are not as they should be",
                why=f"still there: {listed(left)}" if left else f"no reference any more: {listed(turned)}",
                hint=f"see who else writes to the app, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return ""
        try:
            live = read(step.target, ctx)
        except NotFoundError:
            return f"the app {_app(step)} is gone"
        there = _there(live.raw, step)
        gone = [name for name in _names(step) if name not in there]
        if not gone:
            return ""
        return f"inline secrets of {_app(step)} that cannot come back: {listed(gone)}"


def without(document: Json, names: Sequence[str]) -> Json:
    """A veiled app without some of its secrets."""
    after: Json = copy.deepcopy(document)
    configuration = after["properties"]["configuration"]
    entries = [entry for entry in configuration.get("secrets") or [] if entry.get("name") not in names]
    configuration["secrets"] = entries or None
    return after


def _names(step: Step) -> list[str]:
    return [str(secret["name"]) for secret in step.change["secrets"]]


def _there(document: Json, step: Step) -> list[str]:
    shown = {str(entry.get("name")) for entry in section(document, "properties", "configuration", "secrets") or []}
    return [name for name in _names(step) if name in shown]


def _app(step: Step) -> str:
    return ResourceId.parse(step.target).name


STEP = SecretRemove()
