"""Where values sit in one app: env entries, inline secrets, registries. Read once, so that lookups are by key."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from migrator.model import App, AppSecret, Json, ResourceId
from migrator.planning.scripts import Standing
from scanners.model import Secret, reveal

ENV_PATH = re.compile(r"properties\.template\.(containers|initContainers)\[(\d+)\]\.env\[(\d+)\]\.value")
SECRET_PATH = re.compile(r"properties\.configuration\.secrets\[(\d+)\](?:\.value)?")
RULE_PATH = re.compile(
    r"properties\.(?:template\.scale\.rules\[(\d+)\]\.(custom|http|tcp)"
    r"|configuration\.eventTriggerConfig\.scale\.rules\[(\d+)\])\.metadata\.(.+)"
)
WORD_PATH = re.compile(r"properties\.template\.(containers|initContainers)\[(\d+)\]\.(command|args)\[(\d+)\]")
EVENT = "event"
"""What stands for the kind of a job's rule, which has no `custom`, `http` or `tcp` around it."""
REGISTRY_PATH = re.compile(r"properties\.configuration\.registries\[(\d+)\](?:\..*)?")


@dataclass(frozen=True, slots=True)
class EnvPlace:
    """An env entry with a plaintext value."""

    path: str
    container: str
    init: bool
    index: int
    """Of the container in its list."""
    entry: int
    """Of the entry in the container's `env`."""
    name: str
    value: Secret


@dataclass(frozen=True, slots=True)
class RulePlace:
    """A value in the metadata of a scale rule."""

    path: str
    rule: str
    kind: str
    """`custom`, `http`, `tcp` or `event`."""
    key: str
    body: Json
    """What holds `type`, `metadata`, `auth` and `identity`."""
    value: Secret

    @property
    def scaler(self) -> str:
        """KEDA's name for what is asked."""
        return str(self.body.get("type") or "")

    @property
    def name(self) -> str:
        """What the value is called."""
        return f"{self.rule}-{self.key}"


@dataclass(frozen=True, slots=True)
class WordPlace:
    """A value within one word of a container's command line."""

    path: str
    container: str
    init: bool
    index: int
    """Of the container in its list."""
    part: str
    """`command` or `args`."""
    word: int
    """Of the word in its list."""
    text: Secret
    """The whole word."""
    spans: tuple[Standing, ...]
    name: str
    """What the value is called."""
    value: Secret


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """An inline secret of the app."""

    name: str
    value: Secret


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """An entry of `configuration.registries`."""

    index: int
    server: str
    username: str
    secret: str
    """Name of the app secret that holds the password; empty when there is none."""
    identity: str


class AppView:
    """An app's document with its parts by key; nothing here changes it."""

    def __init__(self, app: App) -> None:
        """Look at `app`."""
        self.app = app
        self.id = app.id
        self.key = app.id.lower().rstrip("/")
        self.name = app.name
        self.parts = ResourceId.parse(app.id)

    @cached_property
    def properties(self) -> Json:
        found: Json = self.app.document.get("properties") or {}
        return found

    @cached_property
    def configuration(self) -> Json:
        found: Json = self.properties.get("configuration") or {}
        return found

    @cached_property
    def template(self) -> Json:
        found: Json = self.properties.get("template") or {}
        return found

    @property
    def environment(self) -> str:
        """ARM id of the managed environment."""
        return str(self.properties.get("managedEnvironmentId") or self.properties.get("environmentId") or "")

    @property
    def mode(self) -> str:
        """`single`, `multiple` or `labels`; Azure writes the word in either case."""
        return str(self.configuration.get("activeRevisionsMode") or "single").lower()

    @property
    def job(self) -> bool:
        """Whether it is a job."""
        return self.app.job

    @property
    def at(self) -> str:
        """What `az containerapp` commands need to find the app."""
        return f"-n {self.name} -g {self.parts.group}"

    def containers(self) -> list[tuple[bool, int, Json]]:
        """`(init, index, container)`, init containers last."""
        found = []
        for init, key in ((False, "containers"), (True, "initContainers")):
            found += [(init, index, container) for index, container in enumerate(self.template.get(key) or [])]
        return found

    def env(self, path: str, name: str) -> EnvPlace | None:
        """The env entry at a JSON path, if it holds a value and still goes by `name`."""
        match = ENV_PATH.fullmatch(path)
        if not match:
            return None
        init, index, entry = match[1] == "initContainers", int(match[2]), int(match[3])
        try:
            container = self.template[match[1]][index]
            item = container["env"][entry]
        except (KeyError, IndexError, TypeError):
            return None
        if not isinstance(item.get("value"), str) or item.get("secretRef") or item.get("name") != name:
            return None
        return EnvPlace(path, str(container.get("name") or ""), init, index, entry, name, Secret(item["value"]))

    def rule(self, path: str, name: str) -> RulePlace | None:
        """The text in a rule's metadata at a JSON path, if it still goes by `name`."""
        match = RULE_PATH.fullmatch(path)
        if not match:
            return None
        at = int(match[1] or match[3])
        source = child(self.template, "scale", "rules") if match[1] else self._event_rules()
        rule = source[at] if isinstance(source, list) and at < len(source) else None
        body = child(rule, match[2]) if match[2] else rule
        value = child(body, "metadata", match[4])
        if not isinstance(value, str) or match[4] != name or not isinstance(rule, dict) or not isinstance(body, dict):
            return None
        return RulePlace(path, str(rule.get("name") or ""), match[2] or EVENT, name, body, Secret(value))

    def _event_rules(self) -> Any:
        return child(self.configuration, "eventTriggerConfig", "scale", "rules")

    def rule_names(self) -> list[str]:
        """Names of all scale rules, in order."""
        rules = [*(child(self.template, "scale", "rules") or []), *(self._event_rules() or [])]
        return [str(child(rule, "name") or "") for rule in rules]

    def word(self, path: str) -> tuple[Json, str] | None:
        """The container and the word at a JSON path of a command line."""
        match = WORD_PATH.fullmatch(path)
        if not match:
            return None
        try:
            container = self.template[match[1]][int(match[2])]
            word = container[match[3]][int(match[4])]
        except (KeyError, IndexError, TypeError):
            return None
        return (container, word) if isinstance(word, str) else None

    def plain_words(self, template: Json | None = None) -> list[tuple[str, Secret]]:
        """`(what it is, text)` of every word of a command line and every text in metadata of scale rules."""
        source: Json = self.template if template is None else template
        found = []
        for key in ("containers", "initContainers"):
            for container in source.get(key) or []:
                for part in ("command", "args"):
                    words = container.get(part) or []
                    found += [(f"{part} of {container.get('name')}", Secret(w)) for w in words if isinstance(w, str)]
        rules = list(child(source, "scale", "rules") or [])
        rules += (self._event_rules() or []) if template is None else []
        for rule in rules:
            for body in (rule, *(child(rule, kind) for kind in ("custom", "http", "tcp"))):
                metadata = child(body, "metadata")
                if isinstance(metadata, dict):
                    name = f"scale rule {child(rule, 'name')}"
                    found += [(name, Secret(text)) for text in metadata.values() if isinstance(text, str) and text]
        return found

    @cached_property
    def secrets(self) -> dict[str, AppSecret]:
        """Secrets by name: as listSecrets gave them, completed by the names of the document."""
        found = {secret.name: secret for secret in self.app.secrets}
        for entry in self.configuration.get("secrets") or []:
            name = str(entry.get("name") or "")
            if name and name not in found:
                found[name] = AppSecret(name, None, entry.get("keyVaultUrl") or None, entry.get("identity") or None)
        return dict(sorted(found.items()))

    def secret_at(self, path: str, name: str) -> AppSecret | None:
        """The secret a finding's location means: by name, else by its index in the document."""
        match = SECRET_PATH.fullmatch(path)
        if not match:
            return None
        if name in self.secrets:
            return self.secrets[name]
        listed = self.configuration.get("secrets") or []
        index = int(match[1])
        return self.secrets.get(str(listed[index].get("name"))) if index < len(listed) else None

    @cached_property
    def registries(self) -> tuple[RegistryPlace, ...]:
        """Registries in the document's order; unset fields come back as `""` or null."""
        return tuple(
            RegistryPlace(
                index,
                str(entry.get("server") or ""),
                str(entry.get("username") or ""),
                str(entry.get("passwordSecretRef") or ""),
                str(entry.get("identity") or ""),
            )
            for index, entry in enumerate(self.configuration.get("registries") or [])
        )

    def duplicate_env(self) -> tuple[str, ...]:
        """`container/NAME` of env names that occur twice in one container."""
        found = []
        for _, _, container in self.containers():
            counts = Counter(str(entry.get("name")) for entry in container.get("env") or [])
            found += [f"{container.get('name')}/{name}" for name, count in counts.items() if count > 1]
        return tuple(sorted(found))

    def plain_env(self, template: Json | None = None) -> list[tuple[str, Secret]]:
        """`(name, value)` of every env entry with a plaintext value, in this app's template or in a revision's."""
        source: Json = self.template if template is None else template
        found = []
        for key in ("containers", "initContainers"):
            for container in source.get(key) or []:
                found += [
                    (str(entry.get("name")), Secret(entry["value"]))
                    for entry in container.get("env") or []
                    if isinstance(entry.get("value"), str) and entry["value"]
                ]
        return found


def size(value: Secret) -> int:
    """A value's length in bytes of UTF-8, which is what the vault's limit counts."""
    return len(reveal(value).encode("utf-8", "surrogatepass"))


def is_blank(value: Secret | None) -> bool:
    """Whether there is nothing in a value: an empty vault secret makes every later write of the app fail."""
    return value is None or not reveal(value).strip()


def literal_reference(value: Secret) -> str | None:
    """`secretref` or `keyvault` when a value is a mistyped reference, which no one resolves.

    The CLI knows only lower-case `secretref:`; other cases become the literal value (ACA#346). App Service's
    `@Microsoft.KeyVault(...)` is not understood by Container Apps (ACA#39, ACA#528).
    """
    text = reveal(value).lstrip().lower()
    if text.startswith("secretref:"):
        return "secretref"
    return "keyvault" if text.startswith("@microsoft.keyvault(") else None


def expands(value: Secret) -> bool:
    """Whether Kubernetes would change an env value (`$$` becomes `$`, `$(NAME)` is filled in).

    That happens to plain env values and not to secret references, so a move would change what the app sees.
    """
    text = reveal(value)
    return "$$" in text or bool(re.search(r"\$\([^)]*\)", text))


def child(document: Any, *keys: str) -> Any:
    """A value deep in a document, or None."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document
