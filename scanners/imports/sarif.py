"""SARIF 2.1.0 of any tool. Snippets of the tools that are known to put the value there become fingerprints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scanners.imports.making import Make, from_uri, mapping, place_of, text
from scanners.model import AzureLocation, Confidence, Finding, Location, Severity

NAME = "SARIF"
_VALUE_IS_SNIPPET = frozenset({"gitleaks", "kingfisher"})
"""Others show the line, and a line is no value."""
_SEVERITY = {"error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.LOW}


def recognises(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("runs"), list) and "version" in document


def findings(document: Any, make: Make) -> Iterator[Finding]:
    for run in document["runs"]:
        driver = run["tool"]["driver"]
        rules = driver.get("rules") or []
        by_id = {rule["id"]: rule for rule in rules}
        for result in run.get("results") or []:
            at = result.get("ruleIndex")
            rule = mapping(by_id.get(result.get("ruleId")))
            if not rule and isinstance(at, int) and 0 <= at < len(rules):
                rule = rules[at]
            yield _finding(result, rule, text(driver.get("name")), make)


def _finding(result: Mapping[str, Any], rule: Mapping[str, Any], tool: str, make: Make) -> Finding:
    locations = result.get("locations") or [{}]
    physical = mapping(locations[0].get("physicalLocation"))
    properties = mapping(result.get("properties"))
    snippet = mapping(mapping(physical.get("region")).get("snippet")).get("text")
    title = mapping(rule.get("shortDescription")).get("text") or mapping(rule.get("fullDescription")).get("text")
    rule_id = text(result.get("ruleId")) or text(rule.get("id"))
    if not rule_id:
        raise ValueError("no rule")
    return make.finding(
        rule_id,
        text(title),
        _place(result, locations[0], physical),
        value=snippet if tool in _VALUE_IS_SNIPPET else None,
        severity=_severity(result, rule),
        confidence=_confidence(properties.get("confidence")),
        live=properties.get("verified") == "live",
        status="allowed" if result.get("suppressions") else "new",
        tool=tool,
    )


def _place(result: Mapping[str, Any], location: Mapping[str, Any], physical: Mapping[str, Any]) -> Location:
    for logical in location.get("logicalLocations") or []:
        resource, found, path = text(logical.get("fullyQualifiedName")).partition("#")
        if found and resource.lower().startswith("/subscriptions/"):
            return AzureLocation(resource, path, text(logical.get("name")))
    region = mapping(physical.get("region"))
    ours, gitleaks = mapping(result.get("properties")), mapping(result.get("partialFingerprints"))
    commit = ours.get("commit") or gitleaks.get("commitSha")
    date = ours.get("authorDate") or gitleaks.get("date")
    uri = mapping(physical.get("artifactLocation")).get("uri")
    return place_of(from_uri(text(uri)), region.get("startLine"), region.get("startColumn"), commit, date)


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> Severity:
    score = mapping(rule.get("properties")).get("security-severity")
    if score is not None:
        number = float(score)
        # GitHub's bounds.
        return (
            Severity.CRITICAL
            if number > 9
            else Severity.HIGH
            if number >= 7
            else Severity.MEDIUM
            if number >= 4
            else Severity.LOW
        )
    level = result.get("level") or mapping(rule.get("defaultConfiguration")).get("level")
    # SARIF says that no level means a warning; a scanner of secrets that gives none means no such thing.
    return _SEVERITY[level] if level else Severity.HIGH


def _confidence(value: object) -> Confidence:
    return next((one for one in Confidence if one == value), Confidence.MEDIUM)
