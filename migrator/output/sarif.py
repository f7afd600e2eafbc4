"""SARIF 2.1.0, for code scanning services. No snippet: it would hold the value.

GitHub tells alerts apart by rule, file and `partialFingerprints`; ours hold no line number, so that a finding that
moves within its file stays the same alert.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from migrator.about import HOME, rule_page
from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Finding, Report, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "keylift/v1"
_LEVEL = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
_SCORE = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "3.0"}
"""GitHub: over 9.0 critical, 7.0 to 8.9 high, 4.0 to 6.9 medium, 0.1 to 3.9 low."""


_MOVES = frozenset({"line", "column", "commit", "author_date", "at_head"})
"""What of a place may change while the finding stays the same."""


def findings(report: Report, look: Look) -> str:
    """One run with all findings; what could not be read is a notification of the invocation."""
    found = list(report.ordered())
    rules = sorted({finding.rule for finding in found})
    document = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": look.tool["name"],
                        "version": look.tool["version"],
                        "informationUri": HOME,
                        "rules": [_rule(rule, [f for f in found if f.rule == rule]) for rule in rules],
                    }
                },
                "invocations": [_invocation(report)],
                "columnKind": "unicodeCodePoints",
                "results": _results(found, rules),
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: str, found: Sequence[Finding]) -> dict[str, Any]:
    worst = min((finding.severity for finding in found), key=words.ORDER.index)
    title = words.clean(found[0].title)
    return {
        "id": rule,
        "name": "".join(part.capitalize() for part in rule.split("-")),
        "shortDescription": {"text": title},
        "fullDescription": {"text": f"{title} in plain text: whoever can read the place can use it."},
        "helpUri": rule_page(rule),
        "help": {"text": f"Move the value into Key Vault and rotate it. See {rule_page(rule)}"},
        "defaultConfiguration": {"level": _LEVEL[worst]},
        "properties": {"security-severity": _SCORE[worst], "tags": ["security", "secret"]},
    }


def _results(found: Sequence[Finding], rules: Sequence[str]) -> list[dict[str, Any]]:
    seen: Counter[tuple[str, ...]] = Counter()
    index = {rule: number for number, rule in enumerate(rules)}
    results = []
    for finding in found:
        place = finding.location.as_dict()
        key = _key(finding, place)
        result: dict[str, Any] = {
            "ruleId": finding.rule,
            "ruleIndex": index[finding.rule],
            "level": "note" if finding.weak else _LEVEL[finding.severity],
            "message": {"text": _message(finding, place)},
            "locations": [_location(place)],
            "partialFingerprints": {FINGERPRINT: _fingerprint(key, seen[key])},
            "properties": {
                "confidence": str(finding.confidence),
                "verified": finding.verified,
                "service": finding.service,
                "weak": finding.weak,
                **({"commit": place["commit"], "authorDate": place.get("author_date")} if place.get("commit") else {}),
                **(_layer(place) if place["kind"] == "image" else {}),
            },
        }
        if finding.status != "new":
            kind = "inSource" if finding.status == "allowed" else "external"
            result["suppressions"] = [{"kind": kind, "justification": finding.status}]
        seen[key] += 1
        results.append(result)
    return results


def _message(finding: Finding, place: dict[str, Any]) -> str:
    name = words.clean(place.get("name") or "")
    where = f" in {name} of {words.short(words.resource_of(place))}" if name else ""
    if place["kind"] == "image":
        where = f" in {words.resource_of(place)}: {words.within(place)}"
    more = words.says(finding)
    return f"{words.clean(finding.title)}{where}{f' ({more})' if more else ''}"


def _location(place: dict[str, Any]) -> dict[str, Any]:
    resource = words.resource_of(place)
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(place, resource)}}
    physical["region"] = {"startLine": int(place.get("line") or 1)}
    if place.get("column"):
        physical["region"]["startColumn"] = int(place["column"])
    location: dict[str, Any] = {"physicalLocation": physical}
    if place["kind"] == "azure":
        name = f"{resource}#{words.clean(place['path'])}"
        location["logicalLocations"] = [
            {"name": words.clean(place["name"]), "fullyQualifiedName": name, "kind": "resource"}
        ]
    if place["kind"] == "image":
        location["logicalLocations"] = _levels(place, resource)
    return location


def _levels(place: dict[str, Any], image: str) -> list[dict[str, Any]]:
    """Where in an image: the place itself, then the layer it is in, then the image."""
    layer, name = place.get("layer"), words.clean(place.get("path") or place.get("config") or "")
    above = f"{image}/{layer}" if layer else f"{image}/config"
    found = [
        {"name": name, "fullyQualifiedName": f"{above}/{name.lstrip('/')}", "kind": "file" if layer else "setting"},
        {"name": layer or "config", "fullyQualifiedName": above, "kind": "layer" if layer else "config"},
        {"name": image, "fullyQualifiedName": image, "kind": "image"},
    ]
    for level in found[1:-1]:
        if place.get("instruction"):
            level["decoratedName"] = words.clean(place["instruction"])
    return found


def _layer(place: dict[str, Any]) -> dict[str, Any]:
    """What a program asks of a finding in an image."""
    names = ("platform", "layer", "config", "instruction", "deleted", "visible")
    found = {name: place.get(name) for name in names}
    return {**found, "deletedBy": place.get("deleted_by"), "replacedBy": place.get("replaced_by")}


def _uri(place: dict[str, Any], resource: str) -> str:
    """A relative address with forward slashes: a service refuses others, and a colon would read as a scheme."""
    path = words.from_here(resource) if place["kind"] == "file" else resource
    if place["kind"] == "image":
        path = f"{resource}/{words.clean(place.get('path') or place.get('config') or '').lstrip('/')}"
    return quote(path.replace("\\", "/").removeprefix("./").lstrip("/"), safe="/-_.~") or "unknown"


def _key(finding: Finding, place: dict[str, Any]) -> tuple[str, ...]:
    """What a finding is, apart from where in its file it stands."""
    parts = {key: value for key, value in place.items() if key not in _MOVES}
    if place["kind"] == "file":
        parts["path"] = words.from_here(place["path"])
    # Of the value what everybody may see: it keeps apart the finds of one rule in one file when one of them goes.
    return (finding.rule, finding.preview, *(f"{key}={str(parts[key]).lower()}" for key in sorted(parts)))


def _fingerprint(key: tuple[str, ...], number: int) -> str:
    """Equal for the same finding on every machine.

    A finding's own fingerprint is keyed by the state folder and so differs between machines; what it lies in does not.
    The number tells apart what a rule finds more than once in one place.
    """
    return hashlib.sha256("\0".join((FINGERPRINT, *key, str(number))).encode()).hexdigest()


def _invocation(report: Report) -> dict[str, Any]:
    notifications = [
        {
            "level": "warning",
            "message": {"text": words.clean(f"{error.get('where')}: {error.get('what')}. {error.get('hint') or ''}")},
        }
        for error in report.errors
    ]
    notifications += [
        {"level": "note", "message": {"text": words.clean(f"{note.get('where')} {note.get('what')}")}}
        for note in report.notes
    ]
    return {"executionSuccessful": True, "toolExecutionNotifications": notifications}
