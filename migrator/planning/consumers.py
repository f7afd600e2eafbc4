"""Who uses an app secret by its name, and who reads an env variable from outside the container.

The list is azure-mgmt-appcontainers 5.1.0 (api-version 2026-07-01), walked field by field: env, volumes, scale rules,
registries, authConfigs. All of them go by the secret's name, which a migration keeps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from migrator.model import Json
from migrator.planning.places import AppView

FIC_SENTINEL = "override-use-mi-fic-assertion-client-id"
"""A secret of this name holds an identity's client id and tells Easy Auth to sign in by federated credential."""

_AUTH_NAMES = (
    "clientSecretSettingName",
    "appSecretSettingName",
    "consumerSecretSettingName",
    "sasUrlSettingName",
    "containerAppAuthEncryptionSecretName",
    "containerAppAuthSigningSecretName",
)
_RULE_KINDS = ("custom", "http", "tcp", "azureQueue")


@dataclass(frozen=True, slots=True, order=True)
class Consumer:
    """One use of an app secret."""

    secret: str
    kind: str
    """`env`, `volume`, `scale rule`, `registry` or `sign-in`."""
    name: str
    """The env variable, volume, rule, server or setting."""


def consumers(view: AppView) -> tuple[Consumer, ...]:
    """Every use of an app secret by name, in order."""
    return tuple(sorted({*_template(view), *_registries(view), *_auth(view)}))


def _template(view: AppView) -> Iterator[Consumer]:
    for _, _, container in view.containers():
        for entry in container.get("env") or []:
            if entry.get("secretRef"):
                yield Consumer(str(entry["secretRef"]), "env", str(entry.get("name")))
    for volume in view.template.get("volumes") or []:
        for mounted in volume.get("secrets") or []:
            yield Consumer(str(mounted.get("secretRef")), "volume", str(volume.get("name")))
    for name, _, rule in _rules(view):
        for auth in rule.get("auth") or []:
            yield Consumer(str(auth.get("secretRef")), "scale rule", name)


def _registries(view: AppView) -> Iterator[Consumer]:
    for registry in view.registries:
        if registry.secret:
            yield Consumer(registry.secret, "registry", registry.server)


def _auth(view: AppView) -> Iterator[Consumer]:
    def walk(node: Any, path: str) -> Iterator[Consumer]:
        if isinstance(node, dict):
            for key, inner in node.items():
                if key in _AUTH_NAMES and isinstance(inner, str) and inner:
                    yield Consumer(inner, "sign-in", path or key)
                else:
                    yield from walk(inner, key if path in {"", "properties", "identityProviders"} else path)

    yield from walk((view.app.auth or {}).get("properties") or {}, "")


def _rules(view: AppView) -> Iterator[tuple[str, str, Json]]:
    scale: Json = view.template.get("scale") or {}
    for rule in scale.get("rules") or []:
        for kind in _RULE_KINDS:
            if isinstance(rule.get(kind), dict):
                yield str(rule.get("name")), kind, rule[kind]
    event: Json = view.configuration.get("eventTriggerConfig") or {}
    for rule in (event.get("scale") or {}).get("rules") or []:
        yield str(rule.get("name")), "event", rule


def rules_with(view: AppView, names: Collection[str]) -> list[tuple[str, Json]]:
    """`(name, body)` of scale rules that are given one of some secrets."""
    return [
        (name, rule)
        for name, _, rule in _rules(view)
        if any(auth.get("secretRef") in names for auth in rule.get("auth") or [])
    ]


def rule_of(view: AppView, name: str) -> tuple[str, Json]:
    """Kind (`custom`, `azureQueue`, ..., or `event` for a job's) and body of a scale rule; empty when there is none."""
    return next(((kind, body) for rule, kind, body in _rules(view) if rule == name), ("", {}))


def mounts_all_secrets(view: AppView) -> str | None:
    """The name of a `Secret` volume without a list: it mounts every secret of the app as a file."""
    for volume in view.template.get("volumes") or []:
        if str(volume.get("storageType")).lower() == "secret" and not volume.get("secrets"):
            return str(volume.get("name"))
    return None


def scale_rule_env(view: AppView) -> dict[str, str]:
    """Env variables of the first container that a scale rule reads (`...FromEnv` metadata): name -> rule."""
    found: dict[str, str] = {}
    for name, _, rule in _rules(view):
        for key, value in (rule.get("metadata") or {}).items():
            if str(key).lower().endswith("fromenv") and isinstance(value, str):
                found.setdefault(value, name)
    return found
