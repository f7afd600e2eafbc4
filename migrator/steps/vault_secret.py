"""`vault-secret`: one value into the vault as a new version, or an equal one adopted."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.appwrite import REPLAN
from migrator.errors import DeniedError, NotFoundError, StaleError, UnprovenError
from migrator.kinds import Kind
from migrator.model import Json, ResourceId, Step, VaultSecret
from migrator.ports import Outcome, StepContext
from migrator.steps.identity_create import RUN_TAG
from migrator.textswitch import rule_body, words_of
from migrator.veil import section
from scanners.model import Secret

STATE_TAG = "keylift-state"
TAGS = 15
"""How many tags a vault secret holds (CORRECTIONS, section 5.3)."""


class VaultSecretStep(Kind):
    """Reads the value where it lies, checks that it is the planned one, and writes it."""

    kind = "vault-secret"
    spare = True

    def describe(self, step: Step) -> Sequence[tuple[str, str]]:
        change = step.change
        place = f"{change['name']} in vault {ResourceId.parse(change['vault']).name}"
        if change["action"] == "adopt":
            return [(" ", f"secret {place} holds the value already")]
        sign = "~" if change["action"] == "new-version" else "+"
        source = change["source"]
        return [(sign, f"secret {place}, from {source['kind']} {source.get('env') or source.get('name')}")]

    def do(self, step: Step, ctx: StepContext) -> Outcome:
        change = step.change
        found = ctx.cloud.describe_secret(change["vault_uri"], change["name"])
        if found is not None:
            outcome = self._judge(step, ctx, found)
            if outcome is not None:
                return outcome
        elif change["action"] == "adopt":
            raise _stale(step, "it is gone")
        value = source_value(step, ctx)
        if "previous" not in ctx.record.facts:
            ctx.record.note(
                previous=None
                if found is None
                else {"version": found.version, "enabled": found.enabled, "tags": dict(found.tags)}
            )
        version = ctx.cloud.set_secret(change["vault_uri"], change["name"], value, _tags(step, ctx))
        ctx.record.note(version=version)
        return Outcome()

    def _judge(self, step: Step, ctx: StepContext, found: VaultSecret) -> Outcome | None:
        """What a secret of that name means: adopted, made by this run before, a new version over it (None), or stale."""
        change = step.change
        if found.deleted:
            raise StaleError(
                f"the name {change['name']} is occupied by a soft-deleted secret",
                why="it was deleted after the plan was made",
                hint=f"az keyvault secret recover --vault-name {ResourceId.parse(change['vault']).name} "
                f"--name {change['name']}, then plan again",
            )
        if not found.enabled:
            if step.undo.get("disable"):
                return None  # the plan saw it so: what an earlier run left, or what the user chose to write over
            raise _stale(step, "it is disabled")
        same = self._same(step, ctx)
        if found.tags.get(RUN_TAG) == ctx.run and same:
            ctx.record.note(version=found.version)
            return Outcome()
        if same:
            ctx.record.note(version=found.version)
            return Outcome(adopted=True)
        if step.undo.get("restore"):
            return None
        raise _stale(step, "it holds another value")

    def _same(self, step: Step, ctx: StepContext) -> bool:
        current = ctx.cloud.get_secret(step.change["vault_uri"], step.change["name"])
        if current is None:
            return False
        ctx.see(current[0])
        return bool(ctx.fingerprinter.of_secret(current[0]) == step.change["fingerprint"])

    def verify(self, step: Step, ctx: StepContext) -> None:
        change = step.change
        found = ctx.cloud.describe_secret(change["vault_uri"], change["name"])
        if found is None or found.deleted or not found.enabled or found.version != ctx.record.facts.get("version"):
            raise UnprovenError(
                f"the vault secret {change['name']} is not the one that was written",
                why="somebody deleted, disabled or overwrote it",
                hint=f"see who else writes to the vault, then: keylift rollback {ctx.run}",
            )
        # what the name held was read right before, and yet somebody may have written in between
        if "previous" in ctx.record.facts and self._between(step, ctx):
            raise UnprovenError(
                f"somebody wrote the vault secret {change['name']}, too, and this run's version came right after it",
                why="theirs is not what readers get any more",
                hint=f"theirs is put back; see who else writes to the vault, then: keylift rollback {ctx.run}",
            )

    def _between(self, step: Step, ctx: StepContext) -> bool:
        """Whether a version of somebody else came after what this run had read."""
        facts, previous = ctx.record.facts, ctx.record.facts["previous"]
        versions = ctx.cloud.list_secret_versions(step.change["vault_uri"], step.change["name"])
        since = max((v.created for v in versions if previous and v.version == previous["version"]), default=-1.0)
        if previous and since < 0:
            return False
        return any(v.enabled and v.created > since and not _is_ours(v, ctx, facts.get("version")) for v in versions)

    def undo(self, step: Step, ctx: StepContext) -> str:
        change, facts = step.change, ctx.record.facts
        uri, name = change["vault_uri"], change["name"]
        if change["action"] == "adopt" or "previous" not in facts:
            return ""
        newest = ctx.cloud.describe_secret(uri, name)
        if newest is None or newest.deleted:
            return ""
        # an answer that was lost leaves a version that nobody noted, and somebody may have written another over it
        versions = ctx.cloud.list_secret_versions(uri, name)
        ours = [v.version for v in versions if v.version and _is_ours(v, ctx, facts.get("version"))]
        left = ""
        if newest.version in ours:
            left = self._restore(step, ctx, facts["previous"], [v for v in versions if v.version not in ours])
        # disabled, not deleted: a deleted name is occupied (FACTS, rule 15)
        tags = _tags(step, ctx, **{STATE_TAG: "rolled-back"})
        for version in ours:
            ctx.cloud.update_secret(uri, name, version, enabled=False, tags=tags)
        return left

    def _restore(self, step: Step, ctx: StepContext, previous: Json | None, older: Sequence[VaultSecret]) -> str:
        """Make the newest version of others the newest one again.

        It is most often the one that was noted before the write, or none; but somebody may have written in between.
        """
        uri, name = step.change["vault_uri"], step.change["name"]
        noted = previous["version"] if previous else None
        # times count whole seconds: of two versions of one second the one that was noted was the newest then
        last = max(older, key=lambda one: (one.created, one.version == noted), default=None)
        was = noted if previous and previous["enabled"] else None
        if last is None:
            return f"the older version {was} of {name} is gone" if was else ""
        disabled = f"the older version {last.version} of {name} was disabled meanwhile, and stays so"
        if not last.enabled:
            return disabled if last.version == was else ""
        try:
            found = ctx.cloud.get_secret(uri, name, last.version)
        except DeniedError as error:
            if error.code != "SecretDisabled":
                raise
            return disabled
        if found is None:
            return f"the older version {last.version} of {name} is gone"
        ctx.see(found[0])
        ctx.cloud.set_secret(uri, name, found[0], dict(last.tags))
        return ""


def source_value(step: Step, ctx: StepContext) -> Secret:
    """The value where the plan saw it.

    Raises:
        StaleError: it is not there any more, or it is another.
    """
    source = step.change["source"]
    try:
        value = _SOURCES[source["kind"]](source, ctx)
    except NotFoundError as error:
        raise StaleError(
            f"the app {ResourceId.parse(source['app']).name} is gone", why=error.why, hint=REPLAN
        ) from error
    if value is not None:
        ctx.see(value)
    if value is None or ctx.fingerprinter.of_secret(value) != step.change["fingerprint"]:
        named = {"secret": "name", "env": "env"}.get(source["kind"])
        place = f"{source['kind']} {source[named]}" if named else str(source["path"])
        raise StaleError(
            f"{place} of {ResourceId.parse(source['app']).name} is not what the plan saw",
            why="its value is gone" if value is None else "its value is another",
            hint=REPLAN,
        )
    return value


def _secret_value(source: Json, ctx: StepContext) -> Secret | None:
    found = (secret for secret in ctx.cloud.get_app_secrets(source["app"]) if secret.name == source["name"])
    return next((secret.value for secret in found), None)


def _env_value(source: Json, ctx: StepContext) -> Secret | None:
    document = ctx.cloud.get_app(source["app"])
    kind = "initContainers" if source["init"] else "containers"
    for container in section(document, "properties", "template", kind) or []:
        if container.get("name") == source["container"]:
            for entry in container.get("env") or []:
                if entry.get("name") == source["env"] and isinstance(entry.get("value"), str):
                    return Secret(entry["value"])
    return None


def _rule_value(source: Json, ctx: StepContext) -> Secret | None:
    text = (rule_body(ctx.cloud.get_app(source["app"]), source) or {}).get("metadata", {}).get(source["key"])
    return Secret(text) if isinstance(text, str) else None


def _word_value(source: Json, ctx: StepContext) -> Secret | None:
    words = words_of(ctx.cloud.get_app(source["app"]), source)
    return Secret(str(words[source["word"]])[source["start"] : source["end"]]) if words is not None else None


_SOURCES = {"secret": _secret_value, "env": _env_value, "rule": _rule_value, "word": _word_value}


def _tags(step: Step, ctx: StepContext, **more: str) -> dict[str, str]:
    own = {RUN_TAG: ctx.run, **more}
    return dict(list(step.change["tags"].items())[: TAGS - len(own)]) | own


def _is_ours(found: VaultSecret, ctx: StepContext, noted: str | None) -> bool:
    return found.version == noted or found.tags.get(RUN_TAG) == ctx.run


def _stale(step: Step, why: str) -> StaleError:
    return StaleError(
        f"the vault secret {step.change['name']} is not as the plan saw it",
        why=why,
        hint=REPLAN,
    )


STEP = VaultSecretStep()
