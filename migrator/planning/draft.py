"""From findings to what each app will get: which values move, which stay and why. Knows nothing of vault contents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from migrator.model import AppSecret, Estate, Json, Vault, is_job
from migrator.planning import consumers, names, scalers, skips, texts
from migrator.planning.choices import Choices
from migrator.planning.identities import Identities
from migrator.planning.places import (
    ENV_PATH,
    REGISTRY_PATH,
    RULE_PATH,
    SECRET_PATH,
    WORD_PATH,
    AppView,
    EnvPlace,
    RegistryPlace,
    RulePlace,
    SecretPlace,
    WordPlace,
    is_blank,
)
from migrator.planning.places import size as size_of
from migrator.planning.registries import Registries, Switch
from migrator.planning.skip import Skip
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter

if TYPE_CHECKING:
    from migrator.passwordless.applying import Swap

_COMMAND = re.compile(r"az containerapp (?!job )")

Target = tuple[str, str]
"""`("env", path)`, `("rule", path)`, `("word", path)`, `("secret", name)` or `("registry", index)` in one app."""
Place = EnvPlace | RulePlace | WordPlace
"""What comes to refer to an app secret."""


@dataclass(slots=True)
class Item:
    """One value of one app: all places in the app that hold it."""

    view: AppView
    fingerprint: str
    length: int
    """In characters."""
    env: list[EnvPlace] = field(default_factory=list)
    rules: list[RulePlace] = field(default_factory=list)
    words: list[WordPlace] = field(default_factory=list)
    secrets: list[SecretPlace] = field(default_factory=list)
    app_secret: str = ""
    """The app secret that the places will refer to."""
    reference: AppSecret | None = None
    """An existing versionless vault reference with this value: then nothing goes into the vault."""

    @property
    def names(self) -> list[str]:
        """What the value is called in the app, app secrets first."""
        return (
            [place.name for place in self.secrets]
            or sorted({place.name for place in self.env})
            or sorted({*(place.name for place in self.rules), *(place.name for place in self.words)})
        )

    @property
    def targets(self) -> list[Target]:
        """Where its findings are."""
        return [
            *(("env", place.path) for place in self.env),
            *(("rule", place.path) for place in self.rules),
            *(("word", place.path) for place in self.words),
            *(("secret", place.name) for place in self.secrets),
        ]

    @property
    def places(self) -> list[Place]:
        """Everything that comes to refer to the app secret."""
        return [*self.env, *self.rules, *self.words]


@dataclass(slots=True)
class AppDraft:
    """What moves in one app."""

    view: AppView
    items: list[Item] = field(default_factory=list)
    switches: list[Switch] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)
    """Values that the app's identity replaces; they are not among the items."""
    stays: dict[str, str] = field(default_factory=dict)
    """Fingerprint -> why a value stays a secret although somebody asked for the identity in its place."""

    @property
    def every(self) -> list[Item]:
        """Every value that moves, into the vault or away."""
        return [*self.items, *(one.item for one in self.swaps)]


class Drafting:
    """Sorts findings into what moves (`apps`) and what stays (`skipped`), with what a reviewer must know (`notes`)."""

    def __init__(
        self, estate: Estate, vault: Vault, fingerprinter: Fingerprinter, choices: Choices | None = None
    ) -> None:
        """Index `estate`."""
        self._choices = choices or Choices()
        self.estate = estate
        self.vault = vault
        self.fingerprinter = fingerprinter
        self.views = {view.key: view for view in map(AppView, estate.workloads)}
        self.identities = Identities(estate, self.views.values())
        self.apps: list[AppDraft] = []
        self.notes: list[Json] = []
        self._skipped: list[tuple[tuple[str, ...], Json]] = []
        self._findings: dict[tuple[str, Target], list[Finding]] = {}
        self._registries = Registries(estate)

    @property
    def skipped(self) -> tuple[Json, ...]:
        """Entries of the plan, by place and rule."""
        return tuple(entry for _, entry in sorted(self._skipped, key=lambda pair: pair[0]))

    def run(self, findings: Iterable[Finding]) -> None:
        """Sort all findings; their order does not matter."""
        by_app: dict[str, dict[Target, list[Finding]]] = {}
        for finding in map(self._decided, set(findings)):
            place = finding.location
            view = self.views.get(place.resource.lower().rstrip("/")) if isinstance(place, AzureLocation) else None
            if view is None or not isinstance(place, AzureLocation):
                self.skip([finding], skips.of_other(finding, self.views))
                continue
            target = _target(view, place, finding)
            if isinstance(target, Skip):
                self.skip([finding], target)
            else:
                by_app.setdefault(view.key, {}).setdefault(target, []).append(finding)
        of_vault = skips.of_vault(self.vault, self.estate.locks)
        for key in sorted(by_app):
            self._app(self.views[key], by_app[key], of_vault)
        for key in sorted(set(self.views) - set(by_app)):
            view = self.views[key]
            if not view.app.secrets_read and any(not secret.key_vault_url for secret in view.secrets.values()):
                # nobody could look, so there is no finding; that is no reason to say nothing
                why = skips.unreadable(view)
                self._skipped.append((("azure", view.id, "", "", "", "", why.code), why.of_resource(view.id)))

    def skip(self, findings: Iterable[Finding], why: Skip) -> None:
        """Leave findings as they are."""
        for finding in findings:
            why = self._worded(finding, why)
            key = (*map(str, finding.location.sort_key()), finding.rule, finding.fingerprint, why.code)
            self._skipped.append((key, why.of(finding)))

    def _worded(self, finding: Finding, why: Skip) -> Skip:
        """A reason with the commands for what it is about: jobs have their own."""
        place = finding.location
        if not isinstance(place, AzureLocation) or not is_job(place.resource):
            return why
        return replace(why, hint=_COMMAND.sub("az containerapp job ", why.hint))

    def skip_item(self, item: Item, why: Skip) -> None:
        """Leave all places of a value as they are."""
        for target in item.targets:
            found = self._findings.get((item.view.key, target), ())
            # a word may hold several values
            self.skip([f for f in found if target[0] != "word" or f.fingerprint == item.fingerprint], why)

    def skip_registry(self, view: AppView, place: RegistryPlace, why: Skip) -> None:
        """Leave a registry entry with its password."""
        self.skip(self._findings.get((view.key, ("registry", str(place.index))), ()), why)
        self.note(view, "registry", f"{place.server} keeps its password: {why.reason}")

    def note(self, view: AppView, kind: str, text: str) -> None:
        """Tell the reviewer something about an app."""
        self.notes.append({"app": view.id, "kind": kind, "text": text})

    def _app(self, view: AppView, targets: dict[Target, list[Finding]], of_vault: Skip | None) -> None:
        wanted = {target: targets[target] for target in sorted(targets) if any(map(_counts, targets[target]))}
        stop = of_vault or skips.of_app(view, self.estate.locks)
        drafted = AppDraft(view)
        if stop:
            for target, found in wanted.items():
                self.skip(found, self._own_reason(view, target, stop))
        else:
            one = _OneApp(self, view, wanted)
            drafted = one.run()
            self._findings.update({(view.key, target): found for target, found in one.findings.items()})
        moved = {target for item in drafted.items for target in item.targets}
        for target in sorted(set(targets) - set(wanted)):
            if target in moved:  # an inline secret moves with an env value that equals it
                known = self._findings.get((view.key, target), [])
                self._findings[view.key, target] = [*known, *targets[target]]
                continue
            for finding in targets[target]:
                allowed = finding.status == "allowed"
                self.skip([finding], self._allowed(finding) if allowed else skips.low_confidence(finding, view))
        if drafted.items or drafted.switches:
            self.apps.append(drafted)

    def _own_reason(self, view: AppView, target: Target, stop: Skip) -> Skip:
        """An empty secret stops its app; for itself, being empty is the reason."""
        if stop.code == "blank-secret" and target[0] == "secret":
            secret = view.secrets[target[1]]
            return (skips.of_secret(view, secret.name, secret.value) if not secret.key_vault_url else None) or stop
        return stop

    def _decided(self, finding: Finding) -> Finding:
        """A finding as a person decided about it."""
        if finding.fingerprint in self._choices.ignore:
            return replace(finding, status="allowed")
        if finding.fingerprint in self._choices.accept and finding.confidence is Confidence.LOW:
            return replace(finding, confidence=Confidence.MEDIUM)
        return finding

    def _allowed(self, finding: Finding) -> Skip:
        decided = self._choices.ignore.get(finding.fingerprint)
        return skips.allowed(finding, decided.told() if decided else "")

    def registry(self, place: RegistryPlace) -> Switch | str:
        """How a registry entry moves to an identity, or why it cannot."""
        return self._registries.switch(place)


def _counts(finding: Finding) -> bool:
    """Whether a finding is reason enough to move a value."""
    return finding.status != "allowed" and finding.confidence is not Confidence.LOW


def _target(view: AppView, place: AzureLocation, finding: Finding) -> Target | Skip:
    if view.env(place.path, place.name):
        return "env", place.path
    if view.rule(place.path, place.name):
        return "rule", place.path
    if view.word(place.path):
        return "word", place.path
    secret = view.secret_at(place.path, place.name)
    if secret:
        return "secret", secret.name
    registry = REGISTRY_PATH.fullmatch(place.path)
    if registry and int(registry[1]) < len(view.registries):
        return "registry", registry[1]
    if registry or any(path.fullmatch(place.path) for path in (ENV_PATH, RULE_PATH, WORD_PATH, SECRET_PATH)):
        return skips.of_other(finding, {})
    return skips.of_place(finding)


class _OneApp:
    """What moves in one app whose secrets can be written."""

    def __init__(self, drafting: Drafting, view: AppView, findings: dict[Target, list[Finding]]) -> None:
        self._drafting = drafting
        self._view = view
        self._items: dict[str, Item] = {}
        self._draft = AppDraft(view)
        self.findings = findings

    def run(self) -> AppDraft:
        of_template = skips.of_template(self._view)
        self._inline_values()
        env = self._env(of_template)
        rules = self._rules(of_template)
        words = self._words(of_template)
        secrets = self._secrets()
        secrets |= self._switches(secrets, of_template)
        for name in sorted(secrets):
            self._add_secret(name)
        self._add_places([*env, *rules, *words])
        self._draft.items = [self._items[key] for key in sorted(self._items, key=lambda k: (self._items[k].names, k))]
        return self._draft

    def _inline_values(self) -> None:
        """Inline secrets and usable references by value, for env entries with the same value."""
        of = self._drafting.fingerprinter.of_secret
        self._inline: dict[str, list[str]] = {}
        self._referenced: dict[str, AppSecret] = {}
        for name, secret in self._view.secrets.items():
            if secret.value is None or is_blank(secret.value):
                continue
            if secret.key_vault_url:
                if _versionless(secret.key_vault_url):
                    self._referenced.setdefault(of(secret.value), secret)
            elif skips.of_secret(self._view, name, secret.value) is None:
                self._inline.setdefault(of(secret.value), []).append(name)

    def _env(self, of_template: Skip | None) -> list[EnvPlace]:
        found = []
        for (kind, path), findings in self.findings.items():
            place = self._view.env(path, _name(findings)) if kind == "env" else None
            if place is None:
                continue
            why = of_template or skips.of_env(self._view, place, self._drafting.vault)
            if why:
                self._drafting.skip(findings, why)
            else:
                found.append(place)
        return sorted(found, key=lambda place: (place.init, place.index, place.entry))

    def _rules(self, of_template: Skip | None) -> list[RulePlace]:
        found = []
        for (kind, path), findings in self.findings.items():
            place = self._view.rule(path, _name(findings)) if kind == "rule" else None
            if place is None:
                continue
            why = (None if self._view.job else of_template) or texts.of_rule(self._view, place, findings[0])
            if why:
                self._drafting.skip(findings, why)
                continue
            found.append(place)
            if not scalers.reads_metadata(place.scaler, place.key):
                self._drafting.note(
                    self._view,
                    "scale-rule",
                    f"the scaler {place.scaler} of rule {place.rule} reads {place.key} by auth only, so that the value in its "
                    "metadata served nothing so far: from this change on the rule can sign in, and may begin to scale",
                )
        return sorted(found, key=lambda place: place.path)

    def _words(self, of_template: Skip | None) -> list[WordPlace]:
        found: list[WordPlace] = []
        for (kind, path), findings in self.findings.items():
            if kind != "word":
                continue
            for fingerprint in sorted({finding.fingerprint for finding in findings}):
                mine = [finding for finding in findings if finding.fingerprint == fingerprint]
                if not any(map(_counts, mine)):
                    self._drafting.skip(mine, skips.low_confidence(mine[0], self._view))
                    continue
                way = of_template or texts.word(self._view, path, fingerprint, self._drafting.fingerprinter)
                if isinstance(way, Skip):
                    self._drafting.skip(mine, way)
                elif any(texts.overlap(way, other) for other in found):
                    self._drafting.skip(mine, texts.uncertain(self._view, path))
                else:
                    found.append(way)
        return sorted(found, key=lambda place: (place.init, place.index, place.part, place.word))

    def _secrets(self) -> set[str]:
        found = set()
        for (kind, name), findings in self.findings.items():
            if kind != "secret":
                continue
            secret = self._view.secrets[name]
            why: Skip | None
            if secret.key_vault_url:
                why = skips.already(name, secret.key_vault_url)
            else:
                why = skips.of_secret(self._view, name, secret.value)
            if why:
                self._drafting.skip(findings, why)
            else:
                found.add(name)
        return found

    def _switches(self, moving: set[str], of_template: Skip | None) -> set[str]:
        """Registries that move to the identity; the names of password secrets that move with them."""
        more: set[str] = set()
        for place in self._view.registries:
            target = ("registry", str(place.index))
            findings = self.findings.get(target, [])
            if not findings and place.secret not in moving:
                continue
            secret = self._view.secrets.get(place.secret)
            if place.identity or secret is None:
                text = "its identity" if place.identity else "no password that exists"
                self._drafting.skip(
                    findings, Skip("already-reference", f"{place.server} pulls with {text}", "nothing to do")
                )
                continue
            way = of_template.reason if of_template else self._drafting.registry(place)
            movable = not secret.key_vault_url and not skips.of_secret(self._view, secret.name, secret.value)
            if isinstance(way, Switch):
                self._draft.switches.append(way)
            elif not movable:
                why = skips.already(place.secret, secret.key_vault_url or "the vault")
                self._drafting.skip(findings, why)
            else:
                self._drafting.note(
                    self._view,
                    "registry",
                    f"{place.server} keeps its password, as a vault reference: {way}. Watch the next pull: passwords "
                    "from a vault have failed for some (ACA#739)",
                )
                self.findings.setdefault(("secret", place.secret), []).extend(findings)
            if movable:
                more.add(place.secret)
        return more

    def _item(self, fingerprint: str, length: int) -> Item:
        return self._items.setdefault(fingerprint, Item(self._view, fingerprint, length))

    def _add_secret(self, name: str) -> None:
        value = self._view.secrets[name].value
        if value is None:
            return
        item = self._item(self._drafting.fingerprinter.of_secret(value), len(value))
        if all(place.name != name for place in item.secrets):
            item.secrets.append(SecretPlace(name, value))
            item.secrets.sort(key=lambda place: place.name)

    def _add_places(self, places: Sequence[Place]) -> None:
        volume = consumers.mounts_all_secrets(self._view)
        taken = set(self._view.secrets)
        total = sum(size_of(secret.value) for secret in self._view.secrets.values() if secret.value)
        for place in places:
            fingerprint = self._drafting.fingerprinter.of_secret(place.value)
            known = self._items.get(fingerprint)
            if known is None or not known.app_secret:
                if known is None and fingerprint in self._inline:
                    self._add_secret(self._inline[fingerprint][0])
                    known = self._items[fingerprint]
                if known is None and fingerprint in self._referenced:
                    known = self._item(fingerprint, len(place.value))
                    known.reference = self._referenced[fingerprint]
                    known.app_secret = known.reference.name
                elif known is not None:
                    known.app_secret = known.secrets[0].name
                else:
                    why = self._no_room(place, volume, total)
                    if why:
                        kind = {EnvPlace: "env", RulePlace: "rule", WordPlace: "word"}[type(place)]
                        found = self.findings[kind, place.path]
                        self._drafting.skip([f for f in found if kind != "word" or f.fingerprint == fingerprint], why)
                        continue
                    known = self._item(fingerprint, len(place.value))
                    known.app_secret = names.app_secret(place.name, taken)
                    taken.add(known.app_secret)
                    total += size_of(place.value)
            match place:
                case EnvPlace():
                    known.env.append(place)
                case RulePlace():
                    known.rules.append(place)
                case WordPlace():
                    known.words.append(place)

    def _no_room(self, place: Place, volume: str | None, total: int) -> Skip | None:
        if volume:
            return skips.no_new_secrets(self._view, volume, place.name)
        if total + size_of(place.value) > skips.APP_SECRETS_LIMIT:
            return skips.too_many(self._view, place.name)
        return None


def _name(findings: Sequence[Finding]) -> str:
    return str(findings[0].location.as_dict()["name"])


def _versionless(url: str) -> bool:
    return len(url.rsplit("://", maxsplit=1)[-1].strip("/").split("/")) == 3
