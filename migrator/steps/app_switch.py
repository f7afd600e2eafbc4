"""`app-switch`: the one PATCH that moves an app onto references, tried until the identity's access is real."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from migrator.appwrite import REPLAN, Live, Missing, begin, compare, listed, read, unlike, write
from migrator.diagnosis import Diagnosis, Reference, diagnose
from migrator.errors import CloudError, ReferenceRefusedError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import AppSecret, ResourceId, Step, is_job, same_id
from migrator.ports import Outcome, StepContext
from migrator.swapping import client_id_of, prepared, swap_lines, unkept
from migrator.switchback import take_back
from migrator.switching import patch_body, references_again, same_url, switched
from migrator.textswitch import lines as text_lines
from migrator.textswitch import rewritten
from migrator.veil import section

PAUSES = (2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two tries while a role takes effect; the last one repeats. 10 to 84 seconds are usual."""


SUFFIXES = 4
"""How many suffixes are tried where one is taken."""
NOTHING_MADE = "SuffixTaken"
"""Our code for a write with a suffix that was taken without a word (ACA#660, #650)."""


class AppSwitch(Kind):
    """Secrets, env and registries in one change."""

    kind = "app-switch"
    writes_app = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        change, lines = step.change, []
        for secret in change["secrets"]:
            sign, was = ("~", "inline → ") if secret["was"] == "inline" else ("+", "")
            lines.append((sign, f"secret {secret['name']}: {was}{secret['key_vault_url']}"))
        lines += [
            ("~", f"env {env['env']} of {env['container']}: plaintext → secretRef {env['secret']}")
            for env in change["env"]
        ]
        lines += text_lines(change)
        lines += [("~", f"registry {entry['server']}: password → identity") for entry in change["registries"]]
        lines += swap_lines(change.get("swaps") or {})
        if change["traffic"]:
            lines.append(("~", "traffic: stays on the revision that serves now, until the new one is proven"))
        effect = {"none": "no new revision", "template": "one new revision", "suffix": "one new revision, to pull anew"}
        if is_job(step.target):
            return [*lines, (" ", "the next execution uses it; those that run now keep what they began with")]
        return [*lines, (" ", effect[change["revision"]])]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        swaps = step.change.get("swaps")
        if swaps and "clientId" not in ctx.record.facts:
            ctx.record.note(clientId=client_id_of(swaps["identity"], ctx))
        self._check_roles(step, ctx)
        deadline, tries, suspect = 0.0, 0, ""
        environment = read(step.target, ctx).environment
        while True:
            try:
                with ctx.lane(environment):
                    self._try(step, ctx)
            except ReferenceRefusedError as error:
                refused = error
            except CloudError as error:
                if not _taken(error) or int(ctx.record.facts["tries"]) >= SUFFIXES:
                    raise
                ctx.tell("another revision suffix: that one was taken")
                continue
            else:
                return Outcome()
            now = ctx.clock.now()
            deadline = deadline or now + ctx.propagation
            found = diagnose(self._references(step, ctx), ctx.cloud, said=refused.why)
            # a role that two looks do not show is gone; one look may have been too early
            gone = found.cause == "role" == suspect
            if found.definite or gone or now >= deadline:
                raise self._refused(step, ctx, refused, found, now >= deadline)
            suspect = found.cause
            ctx.tell(f"the identity's access to take effect ({tries + 1} tries)")
            ctx.clock.sleep(min(PAUSES[min(tries, len(PAUSES) - 1)], max(0.1, deadline - now)))
            tries += 1

    def _try(self, step: Step, ctx: StepContext) -> None:
        live = begin(step, ctx)
        secrets = self._secrets(step, ctx, live)
        if not ctx.record.facts.get("latest"):
            ctx.record.note(latest=live.latest)
        change = prepared(step, ctx, live.values.add)
        wanted, odd = switched(live.veiled, change, ctx.record.facts["latest"])
        if odd:
            raise StaleError(f"{_name(step)} is not as the plan saw it", why=listed(odd), hint=REPLAN)
        self._check_kept(step, ctx, live, secrets)
        for text, parts in rewritten(step.change, live.values.get):
            live.values.add(text)
            for value in parts.values():
                ctx.see(value)
        body = patch_body(live.veiled, wanted, secrets, live.values)
        fresh = step.change["revision"] == "none" or live.latest != ctx.record.facts["latest"]
        if not body and fresh and step.change["secrets"]:
            # switched already, and a reference gave nothing yet: writing it again makes the platform fetch it at once
            # (FACTS, section 1.3); neither template nor suffix go along, so no revision is made
            body = {"properties": {"configuration": {"secrets": references_again(wanted, secrets, live.values)}}}
        elif step.change["revision"] == "suffix":
            number = int(ctx.record.facts.get("tries") or 0) + 1
            ctx.record.note(tries=number)
            # a suffix that was used once collides, loudly or silently (FACTS, section 2.5)
            suffix = sha256(f"{ctx.run}|{step.id}|{number}".encode()).hexdigest()[:8]
            body.setdefault("properties", {}).setdefault("template", {})["revisionSuffix"] = f"kl-{suffix}"
        after = write(step, ctx, live, body, wanted, Missing(step, ctx))
        if step.change["revision"] == "suffix" and after.latest == ctx.record.facts["latest"]:
            raise CloudError(
                f"Azure made no new revision of {_name(step)}",
                why="it took the write, and an inactive revision has the suffix already",
                hint=f"keylift resume {ctx.run}",
                code=NOTHING_MADE,
            )
        ctx.record.note(revision=after.latest)
        self._check_resolved(step, ctx)

    def _check_kept(self, step: Step, ctx: StepContext, live: Live, secrets: Sequence[AppSecret]) -> None:
        """See that a job still holds, in a secret, each plain value that goes: it has no revision to take it from.

        Raises:
            StaleError: the secret that held the same value when the plan was made has another one now.
        """
        if not is_job(step.target):
            return
        held = {
            ctx.fingerprinter.of_secret(secret.value)
            for secret in secrets
            if secret.value is not None and not secret.key_vault_url
        }
        lost = [name for name, mark in unkept(live.veiled, step.change) if mark not in held]
        if lost:
            raise StaleError(
                f"{_name(step)} is not as the plan saw it",
                why=f"no secret of it holds the value of env {listed(lost)} any more, and the way back needs it",
                hint=REPLAN,
            )

    def _check_resolved(self, step: Step, ctx: StepContext) -> None:
        """See that each reference gave a value: a platform that takes writes unresolved must not pass for access.

        Raises:
            ReferenceRefusedError: one gives nothing, as if the write had been refused.
        """
        empty = self._unresolved(step, ctx)
        if empty:
            raise ReferenceRefusedError(
                f"references of {_name(step)} give no value", why=f"{listed(empty)} did not resolve", hint=REPLAN
            )

    def _unresolved(self, step: Step, ctx: StepContext) -> list[str]:
        """Names of the step's references for which Azure gives no value."""
        wanted = {secret["name"] for secret in step.change["secrets"]}
        found = ctx.cloud.get_app_secrets(step.target) if wanted else ()
        for secret in found:
            if secret.value is not None:
                ctx.see(secret.value)
        return sorted(secret.name for secret in found if secret.name in wanted and secret.value is None)

    def _secrets(self, step: Step, ctx: StepContext, live: Live) -> tuple[AppSecret, ...]:
        """The app's secrets, those that become references checked against the plan.

        Raises:
            StaleError: a value is not the one that was put into the vault.
        """
        if not section(live.raw, "properties", "configuration", "secrets"):
            return ()
        found = ctx.cloud.get_app_secrets(step.target)
        for secret in found:
            if secret.value is not None:
                ctx.see(secret.value)
        by_name = {secret.name: secret for secret in found}
        for wanted in step.change["secrets"]:
            if wanted["was"] != "inline":
                continue
            listed_one = by_name.get(wanted["name"])
            if listed_one is None or listed_one.value is None or listed_one.key_vault_url:
                continue  # `switched` says what is odd about it
            if ctx.fingerprinter.of_secret(listed_one.value) != wanted["fingerprint"]:
                raise StaleError(
                    f"secret {wanted['name']} of {_name(step)} is not what the plan saw",
                    why="its value is another",
                    hint=REPLAN,
                )
        unread = [s.name for s in found if s.value is None and not s.key_vault_url]
        if unread and step.change["secrets"]:
            raise CloudError(
                f"the secrets of {_name(step)} cannot be rewritten",
                why=f"Azure gives no value for {listed(unread)}",
                hint="ask for Microsoft.App/containerApps/listSecrets/action on the app, then apply again",
            )
        return found

    def _check_roles(self, step: Step, ctx: StepContext) -> None:
        """See that every assignment is there before the app's own write proves that it has taken effect."""
        for name in step.after:
            role = ctx.steps.get(name)
            if role is None or role.kind != "role-assignment":
                continue
            facts = ctx.facts_of(name)
            held = ctx.cloud.list_assignments(role.change["scope"], facts.get("principal"))
            if not any(same_id(assignment.id, facts.get("assignment")) for assignment in held):
                raise StaleError(
                    f"the role {role.change['role_name']} at {role.change['scope']} is not held any more",
                    why="somebody took it away while the run was at work",
                    hint=REPLAN,
                )

    def _references(self, step: Step, ctx: StepContext) -> list[Reference]:
        document = ctx.cloud.get_app(step.target)
        shown = section(document, "properties", "configuration", "secrets") or []
        urls = {str(e["name"]): str(e["keyVaultUrl"]) for e in shown if e.get("keyVaultUrl")}
        urls |= {secret["name"]: secret["key_vault_url"] for secret in step.change["secrets"]}
        return [self._reference(ctx, step, name, url) for name, url in urls.items()]

    def _reference(self, ctx: StepContext, step: Step, name: str, url: str) -> Reference:
        uri, _, secret = url.partition("/secrets/")
        secret = secret.split("/")[0]
        for other in ctx.steps.values():
            if other.kind == "vault-secret" and same_url(
                f"{other.change['vault_uri']}/secrets/{other.change['name']}", url
            ):
                role = next(
                    (
                        r
                        for r in map(ctx.steps.get, step.after)
                        if r is not None and r.kind == "role-assignment" and same_id(r.target, other.target)
                    ),
                    None,
                )
                facts = ctx.facts_of(role.id) if role else {}
                return Reference(
                    name,
                    uri,
                    secret,
                    other.change["vault"],
                    facts.get("principal"),
                    role.change["role"] if role else None,
                )
        return Reference(name, uri, secret)

    def _refused(self, step: Step, ctx: StepContext, refused: CloudError, found: Diagnosis, waited: bool) -> CloudError:
        text = found.text + (f" (waited {ctx.propagation / 60:.0f} minutes)" if waited and not found.definite else "")
        return CloudError(
            f"{_name(step)} could not be moved onto its references",
            why=f"{text}; Azure said: {ctx.redact(refused.why)}",
            hint=found.hint,
            code=refused.code,
            status=refused.status,
        )

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        before = ctx.record.facts.get("pre_image")
        if before is None:
            return False
        live = read(step.target, ctx)
        latest = ctx.record.facts.get("latest") or live.latest
        change = prepared(step, ctx)
        wanted, _ = switched(before, change, latest)
        reached, odd = switched(live.veiled, change, latest)
        fresh = step.change["revision"] == "none" or live.latest != latest
        if odd or not fresh or unlike(reached, live.veiled):
            return False
        compare(step, ctx, live, wanted)
        ctx.record.note(revision=live.latest)
        # the write stands, and is what the next try expects, though a reference may give nothing yet
        return not self._unresolved(step, ctx)

    def verify(self, step: Step, ctx: StepContext) -> None:
        live = read(step.target, ctx)
        reached, odd = switched(live.veiled, prepared(step, ctx), ctx.record.facts.get("latest") or "")
        if odd or unlike(reached, live.veiled):
            raise UnprovenError(
                f"{_name(step)} does not show the references it was given",
                why=listed(odd) or "Azure took the change and does not show it",
                hint=f"see who else writes to the app, then: keylift rollback {ctx.run}",
            )

    def undo(self, step: Step, ctx: StepContext) -> str:
        return take_back(step, ctx)


def _taken(error: CloudError) -> bool:
    """Whether a revision has the suffix already, said loudly or silently (FACTS, section 2.5)."""
    return error.code == NOTHING_MADE or (
        error.code == "WebhookInvalidParameterValue" and "revisionsuffix" in error.why.lower()
    )


def _name(step: Step) -> str:
    return ResourceId.parse(step.target).name


STEP = AppSwitch()
