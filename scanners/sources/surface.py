"""What a scan finds in the places of the surface that have no source of their own.

Env values, inline secrets and registry passwords of apps and jobs are `container_app`'s; this one walks all others:
commands, probe headers, scale rules, tags and images, and the resources that run nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanners.engine import Engine
from scanners.model import AzureLocation, Confidence, Finding, Fingerprinter, Match, Secret, preview, reveal
from scanners.placeholders import placeholder
from scanners.sources.container_app import LEAST_KNOWN, NamedSecret
from scanners.structural import COMPONENT_SECRET, KNOWN_VALUE, METADATA_SECRET, UNSEEN_SECRET, StructuralRule
from scanners.surface import ACTION, APP, DESTINATIONS, ENVIRONMENT, KEYS, POOL, ROWS, Does, Judge, Row, kind_of

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spot:
    """A text in a document that a row is about."""

    row: Row
    path: str
    name: str
    value: str


def spots(document: Json, secrets: Sequence[NamedSecret] = ()) -> Iterator[Spot]:
    """Every text of a document in a place that Azure shows, in the order of the rows; own places are left out."""
    kind = kind_of(str(document.get("id") or ""))
    values = {secret.name: secret.value for secret in secrets}
    for row in ROWS:
        if kind not in row.kinds or row.judge is Judge.OWN or row.does is Does.NOTHING:
            continue
        if row.path == "properties.secrets[].value":
            for at, entry in enumerate(_list(_walk(document, "properties").get("secrets"))):
                value = values.get(str(_mapping(entry).get("name")))
                if value is not None:
                    yield Spot(row, f"properties.secrets[{at}].value", str(entry["name"]), reveal(value))
            continue
        for path, name, value in _found(document, row.path.split("."), "", row.label):
            if isinstance(value, str) and value:
                yield Spot(row, path, name, value)


def _found(node: Any, parts: list[str], path: str, label: str) -> Iterator[tuple[str, str, Any]]:
    """Paths, names and values at a row's path below a node."""
    match = re.fullmatch(r"(\w+)(\[\]|\{\})?", parts[0])
    if match is None or not isinstance(node, Mapping):
        return
    name, shape, child = match[1], match[2], node.get(match[1])
    where = f"{path}.{name}" if path else name
    rest = parts[1:]
    if shape == "[]":
        for at, item in enumerate(_list(child)):
            if rest:
                yield from _found(item, rest, f"{where}[{at}]", label)
            else:
                yield f"{where}[{at}]", name, item
    elif shape == "{}":
        for key, item in _mapping(child).items():
            yield f"{where}.{key}", str(key), item
    elif rest:
        yield from _found(child, rest, where, label)
    else:
        yield where, str(node.get(label) or name) if label else name, child


def scan(
    document: Json,
    secrets: Sequence[NamedSecret],
    engine: Engine,
    fingerprinter: Fingerprinter,
    known: Mapping[str, str],
) -> list[Finding]:
    """The findings of a document in all places that have no source of their own.

    Args:
        document: GET answer of an app, revision, job, execution or of any other resource of Microsoft.App.
        secrets: What a list action gave beside it (Dapr components).
        engine: Judges values.
        fingerprinter: Tells equal values without showing them.
        known: Fingerprints of secrets of the whole estate with their names.
    """
    resource = str(document.get("id") or "")
    found = []
    for spot in spots(document, secrets):
        finding = _finding(resource, spot, document, engine, fingerprinter, known)
        if finding is not None:
            found.append(finding)
    found += unseen(document, fingerprinter)
    return found


def _finding(
    resource: str, spot: Spot, document: Json, engine: Engine, fingerprinter: Fingerprinter, known: Mapping[str, str]
) -> Finding | None:
    location = AzureLocation(resource, spot.path, spot.name)
    secret = Secret(spot.value)
    if spot.row.judge in {Judge.COMMAND, Judge.TEXT}:
        match = _in_text(spot, document, engine)
        return None if match is None else _matched(match, location, match.secret, fingerprinter)
    if spot.row.judge is Judge.METADATA and spot.name.lower().endswith("fromenv"):
        return None  # the name of a variable
    match = engine.scan_value(spot.name, secret)
    if spot.row.path == "properties.secrets[].value":
        if match is None or engine.rules.by_id[match.rule].judge:
            return _structural(COMPONENT_SECRET, location, secret, fingerprinter)
        return _matched(match, location, secret, fingerprinter)
    if match is not None:
        return _matched(match, location, secret, fingerprinter)
    name = known.get(fingerprinter.of(spot.value))
    if name is not None and len(spot.value) >= LEAST_KNOWN:
        return _structural(KNOWN_VALUE, location, secret, fingerprinter, f"equals the secret {name}")
    if spot.row.judge is Judge.METADATA and spot.name.lower() in KEYS and not placeholder(spot.value):
        return _structural(METADATA_SECRET, location, secret, fingerprinter)
    return None


def _in_text(spot: Spot, document: Json, engine: Engine) -> Match | None:
    """The most telling secret in a command's word or in an image's address."""
    text = spot.value
    if spot.row.judge is Judge.TEXT:
        if "@" not in text.partition("/")[0]:
            return None
        text = f"https://{text}"
    matches = engine.matches(text.encode("utf-8", "surrogatepass"))
    if matches:
        return min(matches, key=lambda match: (match.weak, match.confidence is Confidence.LOW, match.start))
    if spot.row.judge is Judge.TEXT:
        return None
    name, value = _option(spot, document)
    return engine.scan_value(name, Secret(value)) if name and value else None


def _option(spot: Spot, document: Json) -> tuple[str, str]:
    """The option's name and value where a word is `--name=value` or `NAME=value`, or follows `--name`."""
    assigned = re.fullmatch(r"-{0,2}([A-Za-z][\w.-]*)=(.+)", spot.value, re.DOTALL)
    if assigned:
        return assigned[1], assigned[2]
    before, _, at = spot.path.rpartition("[")
    index = int(at.rstrip("]"))
    words = _at(document, before)
    if index == 0 or not isinstance(words, list):
        return "", ""
    flag = re.fullmatch(r"--?([A-Za-z][\w.-]+)", str(words[index - 1]))
    # an option behind an option is no value of it
    return (flag[1], spot.value) if flag and not re.match(r"--?[A-Za-z]", spot.value) else ("", "")


def _at(document: Json, path: str) -> Any:
    node: Any = document
    for part in re.findall(r"\w+|\[\d+\]", path):
        node = node[int(part[1:-1])] if part.startswith("[") else node[part]
    return node


# What is held and never shown


def unseen(document: Json, fingerprinter: Fingerprinter) -> list[Finding]:
    """Keys and passwords that a resource holds and never shows. Their fingerprint is that of resource and place."""
    resource = str(document.get("id") or "")
    return [
        Finding(
            rule=UNSEEN_SECRET.id,
            title=UNSEEN_SECRET.title,
            severity=UNSEEN_SECRET.severity,
            confidence=UNSEEN_SECRET.confidence,
            location=AzureLocation(resource, path, name),
            fingerprint=fingerprinter.of(f"{resource.lower()}#{path}"),
            preview="",
            service=UNSEEN_SECRET.service,
            detail=detail,
        )
        for path, name, detail in _held(kind_of(resource), document)
    ]


def _held(kind: str, document: Json) -> Iterator[tuple[str, str, str]]:
    """Path, name and reason of what must be there by what the document shows around it."""
    properties = _mapping(document.get("properties"))
    if kind == ENVIRONMENT:
        yield from _held_by_environment(properties)
    elif kind == POOL:
        for at, entry in enumerate(_list(properties.get("secrets"))):
            yield f"properties.secrets[{at}].value", str(_mapping(entry).get("name")), "a secret of a session pool"
        login = _walk(properties, "customContainerTemplate.registryCredentials")
        if login.get("passwordSecretRef"):
            path = "properties.customContainerTemplate.registryCredentials.passwordSecretRef"
            yield path, str(login.get("server") or ""), "the registry is read with a password"
    elif kind.endswith("environments/certificates"):
        if not properties.get("certificateKeyVaultProperties"):
            name = str(document.get("id") or "").rpartition("/")[2]
            yield "properties.value", name, "a certificate that was uploaded with its private key"
    elif kind.endswith("environments/storages"):
        share = _mapping(properties.get("azureFile"))
        if share and not share.get("accountKeyVaultProperties"):
            name = str(share.get("accountName") or "")
            yield "properties.azureFile.accountKey", name, "the share is mounted with the account's key"
    elif kind == f"{APP}/sourcecontrols":
        action = _mapping(properties.get("githubActionConfiguration"))
        if _mapping(action.get("registryInfo")).get("registryUserName"):
            name = str(_mapping(action.get("registryInfo")).get("registryUrl") or "")
            yield f"{ACTION}.registryInfo.registryPassword", name, "the workflow signs in with a password"


def _held_by_environment(properties: Json) -> Iterator[tuple[str, str, str]]:
    logs = _mapping(properties.get("appLogsConfiguration"))
    if str(logs.get("destination") or "").lower() == "log-analytics":
        path = "properties.appLogsConfiguration.logAnalyticsConfiguration.sharedKey"
        workspace = str(_mapping(logs.get("logAnalyticsConfiguration")).get("customerId") or "")
        yield path, workspace, "logs are sent with the workspace's shared key"
    insights = _mapping(properties.get("appInsightsConfiguration"))
    if insights and not insights.get("connectionString"):
        yield "properties.appInsightsConfiguration.connectionString", "connectionString", "Application Insights is set"
    targets = _walk(properties, "openTelemetryConfiguration.destinationsConfiguration")
    dog = _mapping(targets.get("dataDogConfiguration"))
    if dog and not dog.get("key"):
        yield f"{DESTINATIONS}.dataDogConfiguration.key", str(dog.get("site") or ""), "telemetry goes to Datadog"
    for at, target in enumerate(_list(targets.get("otlpConfigurations"))):
        for number, header in enumerate(_list(_mapping(target).get("headers"))):
            if not _mapping(header).get("value"):
                path = f"{DESTINATIONS}.otlpConfigurations[{at}].headers[{number}].value"
                yield path, str(_mapping(header).get("key") or ""), "a header of a telemetry target"
    domain = _mapping(properties.get("customDomainConfiguration"))
    if domain.get("thumbprint") and not domain.get("certificateKeyVaultProperties"):
        path = "properties.customDomainConfiguration.certificateValue"
        yield path, str(domain.get("dnsSuffix") or ""), "a certificate that was uploaded with its private key"


# Findings


def _matched(match: Match, location: AzureLocation, secret: Secret, fingerprinter: Fingerprinter) -> Finding:
    return Finding(
        rule=match.rule,
        title=match.title,
        severity=match.severity,
        confidence=match.confidence,
        location=location,
        fingerprint=fingerprinter.of_secret(secret),
        preview=preview(secret),
        verified=match.verified,
        service=match.service,
        detail=match.detail,
        weak=match.weak,
    )


def _structural(
    rule: StructuralRule,
    location: AzureLocation,
    secret: Secret,
    fingerprinter: Fingerprinter,
    detail: str | None = None,
) -> Finding:
    return Finding(
        rule=rule.id,
        title=rule.title,
        severity=rule.severity,
        confidence=rule.confidence,
        location=location,
        fingerprint=fingerprinter.of_secret(secret),
        preview=preview(secret),
        service=rule.service,
        detail=detail,
    )


def _walk(node: Any, path: str) -> Json:
    for part in path.split("."):
        node = _mapping(node).get(part)
    return _mapping(node)


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
