"""One named value of a running resource: an env variable, a setting, a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanners.confirm import settle
from scanners.decode import View
from scanners.judge import TITLES, Form, judge
from scanners.matches import Confidence, Match, Secret, Severity, reveal
from scanners.placeholders import reference
from scanners.published import emulator

if TYPE_CHECKING:
    from scanners.engine import Engine

LIVE_RULE = "env-secret"
"""The rule that judges one named value; in files it finds `NAME=value` lines."""


def judged_value(engine: Engine, name: str, secret: Secret) -> Match | None:
    """Judge a value as `Engine.scan_value` says."""
    value = reveal(secret)
    text = value.strip()
    if len(text) < 4 or reference(text):
        return None
    best = _best_format(engine, name, value)
    if best is None:
        verdict = judge(name, text, Form.LIVE)
        if verdict is None:
            return None
        rule = engine.rules.by_id[LIVE_RULE]
        weak_severity = Severity.MEDIUM if verdict.weak else rule.severity
        return Match(
            rule=rule.id,
            title=TITLES[verdict.kind],
            severity=weak_severity,
            confidence=verdict.confidence,
            secret=secret,
            start=0,
            end=len(value.encode("utf-8", "surrogatepass")),
            service=rule.service or None,
            weak=verdict.weak,
        )
    return best._replace(secret=secret, start=0, end=len(value.encode("utf-8", "surrogatepass")))


def _best_format(engine: Engine, name: str, value: str) -> Match | None:
    """The most telling match of a published format in `NAME=value`, within the value."""
    prefix = f"{name}=".encode("utf-8", "surrogatepass")
    data = prefix + value.encode("utf-8", "surrogatepass")
    here = len(prefix)
    found = [
        candidate
        for candidate in engine.candidates(View(data))
        if candidate.match.start >= here
        # A judged value counts when its name lies in the value too (JSON, a command line); the env variable's own
        # name and value are judged as a whole.
        and (candidate.name_start >= here if engine.rules.by_id[candidate.match.rule].judge else True)
    ]
    matches = [
        match
        for match in settle(found)
        if not (match.severity is Severity.LOW and (match.weak or match.confidence is Confidence.LOW))
        and not emulator(reveal(match.secret))
    ]
    if not matches:
        return None
    order = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}
    return min(matches, key=lambda match: (match.verified is None, order[match.confidence], match.start))
