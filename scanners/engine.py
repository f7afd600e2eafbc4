"""The scanner: rules compiled once, bytes in, matches out.

All patterns run as one hyperscan database over the bytes; where a hit ends, the rule's own pattern confirms it in a
window, and what it found is judged (`confirm`). Where hyperscan has no wheel, a slower matcher gives the same matches.

A clean commit needs no more than the database, and the hook has no time: rules, and everything that judges what they
find, are read and imported when one has matched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from scanners import matching, rulefiles, searching, store
from scanners.decode import View, views

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from scanners.confirm import Candidate
    from scanners.model import Document, Match, Secret
    from scanners.ruleset import Rule, RuleSet

_FORMAT = "7"


class Engine:
    """Finds secrets in documents and judges named values. Safe to share in one thread; cheap to keep."""

    def __init__(self, rules: _Rules | _Stored, matcher: matching.Matcher, cache_dir: Path | None = None) -> None:
        """Use `load`; this is for tests that bring their own rules or matcher."""
        self._rules = rules
        self.cache_dir = cache_dir
        """Where another process finds what this one compiled; None for the user's cache folder."""
        self._matcher = matcher
        self._judged: Callable[[Rule, bytes, re.Match[bytes]], Candidate | None]

    @property
    def rules(self) -> RuleSet:
        """The rules, as far as scanning needs them."""
        return self._rules.all()

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
        files = rulefiles.rule_files()
        version = None if plain else matching.library_version()
        if version is None:
            rules = _parsed(files)
            return cls(_Rules(rules), matching.PlainMatcher(rules), cache_dir)
        key = f"{rulefiles.digest(files)[:24]}{_short(version)}"
        folder = cache_dir or store.default_folder()
        stored = store.load(folder, key) if folder else None
        if stored is not None:
            database = matching.load_database(stored.database)
            if database is not None:
                later = _Stored(stored._replace(database=b""))
                return cls(later, matching.DatabaseMatcher(later.sought, database), cache_dir)
        rules = _parsed(files)
        held = _Rules(rules)
        database = matching.compile_database(rules.rules)
        if folder:
            sought = searching.dumped(held.sought())
            store.save(
                folder, key, store.Stored(sought, store.dumped(rules.to_run()), matching.dump_database(database))
            )
        return cls(held, matching.DatabaseMatcher(held.sought, database), cache_dir)

    def beside(self) -> Engine:
        """Another engine over the same rules, for another thread: nothing is read or compiled again."""
        return Engine(self._rules, self._matcher.beside(), self.cache_dir)

    def scan(self, document: Document) -> list[Match]:
        """All matches in a document, as `matches` gives them for its bytes."""
        return self.matches(document.data)

    def matches(self, data: bytes) -> list[Match]:
        """All matches in a document's bytes, by offset; overlapping ones are settled, the most telling rule wins.

        Offsets are bytes of `data` as it stands, whatever its encoding; `positions` turns them into lines.
        """
        found: list[Candidate] = []
        for view in views(data):
            found.extend(self.candidates(view))
        if not found:
            return []
        from scanners.confirm import settle

        return settle(found)

    def candidates(self, view: View) -> list[Candidate]:
        """Everything that is found in one reading of a document, before it is settled who has what."""
        sight = self._matcher.look(view.data)
        if sight is matching.NOTHING:
            return []
        found, kinds = self._confirmed(view.data, sight, binary=view.binary)
        if not view.binary and (kinds is None or kinds):
            from scanners.decoding import look_again

            found = look_again(found, view.data, self._look, kinds)
        if view.translate is None or not found:
            return found
        placed = []
        for candidate in found:
            match = candidate.match
            start, end = view.translate(match.start), view.translate(match.end)
            placed.append(candidate._replace(match=match._replace(start=start, end=end)))
        return placed

    def _look(self, data: bytes) -> tuple[list[Candidate], AbstractSet[int] | None]:
        return self._confirmed(data, self._matcher.look(data))

    def _confirmed(
        self, data: bytes, sight: matching.Sight, *, binary: bool = False
    ) -> tuple[list[Candidate], AbstractSet[int] | None]:
        if not sight.windows:
            return [], sight.kinds
        sought = self._rules.sought()
        found: list[Candidate] = []
        for number, windows in sight.windows:
            one = sought[number]
            if not (binary and one.judged):
                found.extend(searching.kept(one, data, windows, self._judge(number, data)))
        return found, sight.kinds

    def _judge(self, number: int, data: bytes) -> Callable[[re.Match[bytes]], Candidate | None]:
        """Judges matches of a rule; what that takes is imported and read when there is one."""
        rule: Rule | None = None

        def judge(hit: re.Match[bytes]) -> Candidate | None:
            nonlocal rule
            if rule is None:
                from scanners.confirm import judged

                self._judged, rule = judged, self._rules.one(number)
            return self._judged(rule, data, hit)

        return judge

    def scan_value(self, name: str, secret: Secret) -> Match | None:
        """Judge one named value of a running resource: an env variable, a setting, a secret.

        First the formats that prove themselves (connection strings, URLs with passwords, keys, private keys, tokens),
        in the light of the name; then what the name promises. References, placeholders, ids, addresses, numbers and the
        keys of emulators are no findings. The match covers the whole value, because the whole value is what moves.
        """
        from scanners.values import judged_value

        return judged_value(self, name, secret)


class _Rules:
    """Rules that were read anyway."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._sought = matching.sought_for(rules)

    def all(self) -> RuleSet:
        return self._rules

    def one(self, number: int) -> Rule:
        return self._rules[number]

    def sought(self) -> Sequence[searching.Sought]:
        return self._sought


class _Stored:
    """Stored rules, each read when it is asked for."""

    def __init__(self, stored: store.Stored) -> None:
        self._stored = stored
        self._sought: Sequence[searching.Sought] = ()
        self._lines: list[bytes] = []
        self._read: dict[int, Rule] = {}
        self._all: RuleSet | None = None

    def all(self) -> RuleSet:
        if self._all is None:
            from scanners.ruleset import RuleSet

            self._all = RuleSet.stored(self._stored.rules)
        return self._all

    def one(self, number: int) -> Rule:
        rule = self._read.get(number)
        if rule is None:
            from scanners.ruleset import stored_rule

            if not self._lines:
                self._lines = self._stored.rules.split(b"\n")
            rule = self._read[number] = stored_rule(self._lines[number])
        return rule

    def sought(self) -> Sequence[searching.Sought]:
        if not self._sought:
            self._sought = searching.read(self._stored.sought)
        return self._sought


def _parsed(files: dict[str, bytes]) -> RuleSet:
    from scanners.ruleset import parse

    return parse(files)


def _short(version: str) -> str:
    """The library and the machine, short enough for a file name."""
    machine = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    return rulefiles.digest_of(f"{_FORMAT} {version} {machine} {sys.platform}".encode())[:8]
