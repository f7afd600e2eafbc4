"""The scanner: rules compiled once, bytes in, matches out.

All patterns run as one hyperscan database over the bytes; where a hit ends, the rule's own pattern confirms it in a
window, and what it found is judged (`confirm`). Where hyperscan has no wheel, a slower matcher gives the same matches.
Nothing here is imported or compiled before an engine is loaded, and a rule's pattern only when it hits.
"""

from __future__ import annotations

import platform
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import Path

from scanners import matching, ruleset, store
from scanners.confirm import Candidate, confirm, settle
from scanners.decode import View, views
from scanners.decoding import look_again
from scanners.judge import TITLES, Form, judge
from scanners.model import Confidence, Document, Match, Secret, Severity, reveal
from scanners.placeholders import reference
from scanners.published import emulator
from scanners.ruleset import RuleSet

LIVE_RULE = "env-secret"
"""The rule that judges one named value; in files it finds `NAME=value` lines."""
_FORMAT = "4"


class Engine:
    """Finds secrets in documents and judges named values. Safe to share in one thread; cheap to keep."""

    def __init__(self, rules: RuleSet, matcher: matching.Matcher, cache_dir: Path | None = None) -> None:
        """Use `load`; this is for tests that bring their own rules or matcher."""
        self.rules = rules
        self.cache_dir = cache_dir
        """Where another process finds what this one compiled; None for the user's cache folder."""
        self._matcher = matcher

    @property
    def plain(self) -> bool:
        """Whether it works without hyperscan."""
        return isinstance(self._matcher, matching.PlainMatcher)

    @classmethod
    def load(cls, cache_dir: Path | None = None, *, plain: bool = False) -> Engine:
        """The engine over the project's rules.

        Args:
            cache_dir: where the compiled database is kept; by default the user's cache folder. A folder that cannot be
                written costs seconds of compiling each time and is no error.
            plain: leave hyperscan out, as on a platform that has no wheel of it.

        Raises:
            RuleError: a rule file is damaged.
        """
        files = ruleset.rule_files()
        version = None if plain else matching.library_version()
        if version is None:
            rules = ruleset.parse(files)
            return cls(rules, matching.PlainMatcher(rules), cache_dir)
        key = f"{ruleset.digest(files)[:24]}{_short(version)}"
        folder = cache_dir or store.default_folder()
        stored = store.load(folder, key) if folder else None
        if stored is not None:
            try:
                rules = RuleSet.from_run(stored.rules)
            except ruleset.RuleError:
                stored = None
            else:
                database = matching.load_database(stored.database)
                if database is not None:
                    return cls(rules, matching.DatabaseMatcher(rules, database), cache_dir)
        rules = ruleset.parse(files)
        database = matching.compile_database(rules.rules)
        if folder:
            store.save(folder, key, store.Stored(rules.to_run(), matching.dump_database(database)))
        return cls(rules, matching.DatabaseMatcher(rules, database), cache_dir)

    def scan(self, document: Document) -> list[Match]:
        """All matches in a document, by offset; overlapping ones are settled, the most telling rule wins.

        Offsets are bytes of `document.data` as it stands, whatever its encoding; `positions` turns them into lines.
        """
        found: list[Candidate] = []
        for view in views(document.data):
            found.extend(self._candidates(view))
        return settle(found)

    def _candidates(self, view: View) -> list[Candidate]:
        found, kinds = self._matches(view.data, binary=view.binary)
        if not view.binary and (kinds is None or kinds):
            found = look_again(found, view.data, self._matches, kinds)
        if view.translate is None:
            return found
        placed = []
        for candidate in found:
            match = candidate.match
            start, end = view.translate(match.start), view.translate(match.end)
            placed.append(replace(candidate, match=replace(match, start=start, end=end)))
        return placed

    def _matches(self, data: bytes, *, binary: bool = False) -> tuple[list[Candidate], AbstractSet[int] | None]:
        found: list[Candidate] = []
        sight = self._matcher.look(data)
        for number, windows in sight.windows:
            rule = self.rules[number]
            if not (binary and rule.judge):
                found.extend(confirm(rule, data, windows))
        return found, sight.kinds

    def scan_value(self, name: str, secret: Secret) -> Match | None:
        """Judge one named value of a running resource: an env variable, a setting, a secret.

        First the formats that prove themselves (connection strings, URLs with passwords, keys, private keys, tokens),
        in the light of the name; then what the name promises. References, placeholders, ids, addresses, numbers and the
        keys of emulators are no findings. The match covers the whole value, because the whole value is what moves.
        """
        value = reveal(secret)
        text = value.strip()
        if len(text) < 4 or reference(text):
            return None
        best = self._best_format(name, value)
        if best is None:
            verdict = judge(name, text, Form.LIVE)
            if verdict is None:
                return None
            rule = self.rules.by_id[LIVE_RULE]
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
        return replace(best, secret=secret, start=0, end=len(value.encode("utf-8", "surrogatepass")))

    def _best_format(self, name: str, value: str) -> Match | None:
        """The most telling match of a published format in `NAME=value`, within the value."""
        prefix = f"{name}=".encode("utf-8", "surrogatepass")
        data = prefix + value.encode("utf-8", "surrogatepass")
        here = len(prefix)
        found = [
            candidate
            for candidate in self._candidates(View(data))
            if candidate.match.start >= here
            # A judged value counts when its name lies in the value too (JSON, a command line); the env variable's own
            # name and value are judged as a whole.
            and (candidate.name_start >= here if self.rules.by_id[candidate.match.rule].judge else True)
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


def _short(version: str) -> str:
    """The library and the machine, short enough for a file name."""
    from hashlib import sha256

    return sha256(f"{_FORMAT} {version} {platform.machine()} {platform.system()}".encode()).hexdigest()[:8]
