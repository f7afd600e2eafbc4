"""Container apps, their revisions and registries as documents: where values lie in them and which are findings.

Knows the JSON shape (azure-mgmt-appcontainers 5.1.0, api-version 2026-07-01) and nothing of how it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scanners.engine import Engine
from scanners.judge import well_known
from scanners.model import AzureLocation, Finding, Fingerprinter, Match, Secret, preview, reveal
from scanners.placeholders import placeholder
from scanners.shapes import Shape, shape_of
from scanners.structural import (
    ADMIN_USER,
    INLINE_SECRET,
    KNOWN_VALUE,
    LITERAL_REFERENCE,
    REGISTRY_PASSWORD,
    StructuralRule,
)

ENV = "env"
INLINE = "inline-secret"
REGISTRY = "registry-password"
FIC_SENTINEL = "override-use-mi-fic-assertion-client-id"
"""A secret of this name holds a client id: Easy Auth signs in with the managed identity (azd samples)."""
LEAST_KNOWN = 8
"""Shorter values equal each other by accident."""
_PLAIN = frozenset(
    {Shape.URL, Shape.HOST, Shape.PATH, Shape.IMAGE, Shape.BOOLEAN, Shape.TIME, Shape.VERSION, Shape.EMAIL}
)

Json = Mapping[str, Any]


class NamedSecret(Protocol):
    """An app's secret as listSecrets gives it."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> Secret | None: ...
    @property
    def key_vault_url(self) -> str | None: ...
    @property
    def identity(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """A value in an app, with where it lies."""

    location: AzureLocation
    name: str
    """What the value goes by: the env variable, the secret, the registry's server."""
    secret: Secret
    kind: str
    """`env`, `inline-secret` or `registry-password`."""


def places(document: Json, secrets: Sequence[NamedSecret]) -> Iterator[Place]:
    """Every plaintext value of an app or a revision that this source judges, in the document's order.

    An env entry with a `secretRef` has no value of its own (Azure gives it back with `value: ""`), and a secret that
    refers to a vault is where it should be.
    """
    resource = str(document.get("id") or "")
    properties = _mapping(document.get("properties"))
    template = _mapping(properties.get("template"))
    for key in ("containers", "initContainers"):
        for at, container in enumerate(_list(template.get(key))):
            for entry_at, entry in enumerate(_list(_mapping(container).get("env"))):
                value, name = _mapping(entry).get("value"), str(_mapping(entry).get("name") or "")
                if isinstance(value, str) and value and not entry.get("secretRef"):
                    path = f"properties.template.{key}[{at}].env[{entry_at}].value"
                    yield Place(AzureLocation(resource, path, name), name, Secret(value), ENV)
    yield from _configured(resource, _mapping(properties.get("configuration")), secrets)


def _configured(resource: str, configuration: Json, secrets: Sequence[NamedSecret]) -> Iterator[Place]:
    listed = [str(_mapping(entry).get("name") or "") for entry in _list(configuration.get("secrets"))]
    inline: dict[str, Secret] = {}
    for at, secret in enumerate(secrets):
        if secret.value is None or secret.key_vault_url or secret.name == FIC_SENTINEL:
            continue
        inline[secret.name] = secret.value
        index = listed.index(secret.name) if secret.name in listed else at
        path = f"properties.configuration.secrets[{index}].value"
        yield Place(AzureLocation(resource, path, secret.name), secret.name, secret.value, INLINE)
    for at, entry in enumerate(_list(configuration.get("registries"))):
        registry = _mapping(entry)
        value = inline.get(str(registry.get("passwordSecretRef") or ""))
        if value is not None and registry.get("username"):
            server = str(registry.get("server") or "")
            path = f"properties.configuration.registries[{at}].passwordSecretRef"
            yield Place(AzureLocation(resource, path, server), server, value, REGISTRY)


def known_secrets(
    apps: Iterable[tuple[Json, Sequence[NamedSecret]]], fingerprinter: Fingerprinter, engine: Engine | None = None
) -> dict[str, str]:
    """Fingerprints of values that are secrets somewhere in the estate, each with the name it has there.

    Resolved vault references count: a value that lies in a vault and in an env variable too is not safe. With `engine`,
    env values that a rule finds count as well. Values that anybody could have chosen (addresses, words that everybody
    uses as passwords, anything shorter than eight characters) do not: they are equal by accident.
    """
    known: dict[str, str] = {}
    for document, secrets in apps:
        for secret in secrets:
            if secret.value is not None and secret.name != FIC_SENTINEL and _telling(secret.name, secret.value):
                known.setdefault(fingerprinter.of_secret(secret.value), secret.name)
        if engine is None:
            continue
        for place in places(document, ()):
            if _telling(place.name, place.secret) and engine.scan_value(place.name, place.secret) is not None:
                known.setdefault(fingerprinter.of_secret(place.secret), place.name)
    return known


def _telling(name: str, secret: Secret) -> bool:
    """Whether another value that equals this one must be the same secret."""
    value = reveal(secret).strip()
    if len(value) < LEAST_KNOWN or placeholder(value) or well_known(value):
        return False
    shape = shape_of(value)
    if shape is Shape.URL:
        return "@" in value or "=" in value
    # A client or tenant id is often kept as a secret; nothing is gained by finding it again.
    return shape not in _PLAIN and not (shape is Shape.GUID and name.lower().replace("_", "-").endswith("id"))


def scan(
    document: Json,
    secrets: Sequence[NamedSecret],
    engine: Engine,
    fingerprinter: Fingerprinter,
    known: Mapping[str, str],
) -> list[Finding]:
    """The findings of an app or a revision.

    Args:
        document: GET answer; `id` becomes the findings' resource.
        secrets: what listSecrets gave; empty for a revision.
        engine: judges env values.
        fingerprinter: tells equal values without showing them.
        known: fingerprints of secrets of the whole estate with their names (`known_secrets`).
    """
    findings = []
    for place in places(document, secrets):
        finding = _finding(place, engine, fingerprinter, known)
        if finding is not None:
            findings.append(finding)
    return findings


def _finding(place: Place, engine: Engine, fingerprinter: Fingerprinter, known: Mapping[str, str]) -> Finding | None:
    value = reveal(place.secret)
    if place.kind == REGISTRY:
        return _structural(REGISTRY_PASSWORD, place, fingerprinter)
    if place.kind == ENV and value.strip().lower().startswith("secretref:"):
        return _structural(LITERAL_REFERENCE, place, fingerprinter)
    match = engine.scan_value(place.name, place.secret)
    if place.kind == INLINE:
        if match is None or engine.rules.by_id[match.rule].judge:
            return _structural(INLINE_SECRET, place, fingerprinter)
        return _matched(match, place, fingerprinter)
    if match is not None:
        return _matched(match, place, fingerprinter)
    # `$$` is how Kubernetes writes `$` in an env value: the program sees one.
    for text in dict.fromkeys((value, value.replace("$$", "$"))):
        name = known.get(fingerprinter.of(text))
        if name is not None and len(text) >= LEAST_KNOWN:
            return _structural(KNOWN_VALUE, place, fingerprinter, detail=f"equals the secret {name}")
    return None


def _matched(match: Match, place: Place, fingerprinter: Fingerprinter) -> Finding:
    return Finding(
        rule=match.rule,
        title=match.title,
        severity=match.severity,
        # An inline secret is one by definition, however sure the rule is of its kind.
        confidence=INLINE_SECRET.confidence if place.kind == INLINE else match.confidence,
        location=place.location,
        fingerprint=fingerprinter.of_secret(place.secret),
        preview=preview(place.secret),
        verified=match.verified,
        service=match.service,
        detail=match.detail,
        weak=match.weak,
    )


def _structural(rule: StructuralRule, place: Place, fingerprinter: Fingerprinter, detail: str | None = None) -> Finding:
    return Finding(
        rule=rule.id,
        title=rule.title,
        severity=rule.severity,
        confidence=rule.confidence,
        location=place.location,
        fingerprint=fingerprinter.of_secret(place.secret),
        preview=preview(place.secret),
        service=rule.service,
        detail=detail,
    )


def scan_registry(document: Json, fingerprinter: Fingerprinter) -> list[Finding]:
    """A registry whose admin user is on. There is no value: the fingerprint is that of the registry's id."""
    if _mapping(document.get("properties")).get("adminUserEnabled") is not True:
        return []
    resource = str(document.get("id") or "")
    name = str(document.get("name") or resource.rpartition("/")[2])
    return [
        Finding(
            rule=ADMIN_USER.id,
            title=ADMIN_USER.title,
            severity=ADMIN_USER.severity,
            confidence=ADMIN_USER.confidence,
            location=AzureLocation(resource, "properties.adminUserEnabled", name),
            fingerprint=fingerprinter.of(resource.lower()),
            preview="",
            service=ADMIN_USER.service,
        )
    ]


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
