"""Rules as data: what a rule file may say, read and checked.

A rule finds by `pattern` (Python `re` over bytes, at most `reach` bytes wide, so that a window around a hit is enough),
judges by entropy, checksum, placeholder and stop rules, and tells what to do instead. Rule ids are permanent: they are
documentation anchors, SARIF rule ids and what people allow by, and are never used again for something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from scanners import triggers
from scanners.matches import Confidence, Severity
from scanners.rulefiles import digest, rule_files
from scanners.searching import SEPARATORS

__all__ = ("REACH", "RULE_ID", "Rule", "RuleError", "RuleSet", "digest", "parse", "rule_files")

REACH = 512
"""How many bytes a match may span unless its rule says otherwise."""
RULE_ID = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class RuleError(ValueError):
    """A rule file that cannot be used: says which file, which rule and what is wrong."""


class Rule(NamedTuple):
    """One kind of secret."""

    id: str
    title: str
    pattern: str
    keywords: tuple[str, ...]
    """Lower-case literals of which every match holds at least one, in any case."""
    severity: Severity
    confidence: Confidence
    service: str
    help: str
    family: str = ""
    group: int = 1
    """Which group of `pattern` is the value."""
    name_group: int = 0
    """Which group is (the end of) the name the value goes by; 0: it has none."""
    named: str = ""
    """The name that values are judged by where the pattern knows what they are and finds none beside them."""
    trigger: str = ""
    """What the database of all patterns looks for instead of `pattern`: cheaper, and contained in every match."""
    before: int = 0
    """How many bytes of a match can lie before the end of its trigger, at most; 0: `reach`."""
    reach: int = REACH
    entropy: float = 0.0
    """Bits per character the value must have at least."""
    checksum: str = ""
    """A check of `scanners.checksums`."""
    shape: str = ""
    """A check of `scanners.validity` that the value must pass."""
    judge: str = ""
    """A judge of `scanners.judge` that decides by name and value; empty: the pattern decides."""
    stop: tuple[str, ...] = ()
    """Patterns that make a value no finding when one of them is found in it."""
    needs: tuple[str, ...] = ()
    """Patterns that must all be found in the whole match."""
    weak: tuple[str, ...] = ()
    """Patterns over the whole match that make it weak: emulators, localhost."""
    chosen: bool = False
    """Its values are made up by people or for one place: in a test or an example they are weak. Judged ones always are."""
    lenient: bool = False
    """Values that look like placeholders count all the same: the shape alone is proof."""
    rank: int = 50
    """Which rule wins where two match one value: the more specific, the higher."""
    passwordless: str = ""
    """What replaces the secret altogether, when something does."""
    aliases: tuple[str, ...] = ()
    """What others call the rule (`SEC101/152`)."""
    examples: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()

    # Not written in rule files, but read off the pattern:
    one_line: bool = False
    """No match holds a line break."""
    heads: str = ""
    """A pattern of what every match begins with, in lower case; empty: too little to look for."""

    @property
    def searched(self) -> str:
        """What is looked for first, for `re`."""
        return triggers.expanded(self.trigger) or self.pattern


_KEYS = frozenset(Rule._fields) - {"one_line", "heads"}
_NOT_AT_RUN_TIME = ("examples", "negatives", "help", "aliases")


def parse(files: Mapping[str, bytes]) -> RuleSet:
    """Read rule files.

    Raises:
        RuleError: no TOML, a key that no rule has, a missing or mistyped one, an id used twice.
    """
    import tomllib

    rules: list[Rule] = []
    for family, data in files.items():
        try:
            entries = tomllib.loads(data.decode())["rule"]
        except (ValueError, KeyError) as error:
            raise RuleError(f"{family}.toml cannot be read: {error}") from error
        rules.extend(_rule(family, entry) for entry in entries)
    return RuleSet(tuple(rules))


def _rule(family: str, entry: Mapping[str, Any]) -> Rule:
    from scanners import spans

    where = f"{family}.toml, rule {entry.get('id', '?')}"
    values: dict[str, Any] = {"family": family}
    for key, value in entry.items():
        if key not in _KEYS:
            raise RuleError(f"{where}: no rule has a key {key!r}")
        values[key] = tuple(value) if isinstance(value, list) else value
    try:
        values["severity"] = Severity(values["severity"])
        values["confidence"] = Confidence(values["confidence"])
        rule = Rule(**values)
        re.compile(rule.pattern.encode())
        rule = rule._replace(one_line=spans.one_line(rule.pattern), heads=spans.heads(rule.pattern))
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise RuleError(f"{where}: {error}") from error
    if not SEPARATORS.isdisjoint(rule.pattern):
        raise RuleError(f"{where}: a pattern writes control characters as escapes")
    if not RULE_ID.fullmatch(rule.id):
        raise RuleError(f"{where}: an id is kebab-case")
    return rule


class RuleSet:
    """All rules in their order, by number and by id."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        if len(self.by_id) != len(self.rules):
            ids = [rule.id for rule in self.rules]
            raise RuleError(f"used twice: {sorted({name for name in ids if ids.count(name) > 1})}")

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def __getitem__(self, number: int) -> Rule:
        return self.rules[number]

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """Rules by their ids."""
        return {rule.id: rule for rule in self.rules}

    def to_run(self) -> list[dict[str, Any]]:
        """What scanning needs of the rules, as JSON: reading it is many times cheaper than reading TOML."""
        entries = []
        for rule in self.rules:
            entry = {key: value for key, value in rule._asdict().items() if key not in _NOT_AT_RUN_TIME}
            entries.append(entry)
        return entries

    @classmethod
    def stored(cls, data: bytes) -> RuleSet:
        """Rules as `scanners.store` keeps them.

        Raises:
            RuleError: something no `to_run` wrote.
        """
        import json

        return cls.from_run(json.loads(b"[" + data.replace(b"\n", b",") + b"]"))

    @classmethod
    def from_run(cls, entries: Iterable[Mapping[str, Any]]) -> RuleSet:
        """The inverse of `to_run`: rules without examples and help.

        Raises:
            RuleError: something no `to_run` wrote.
        """
        return cls(_from_run(entry) for entry in entries)


def stored_rule(line: bytes) -> Rule:
    """One rule of those that `RuleSet.stored` reads.

    Raises:
        RuleError: something no `to_run` wrote.
    """
    import json

    return _from_run(json.loads(line))


def _from_run(entry: Mapping[str, Any]) -> Rule:
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
        }
        values["severity"] = Severity(values["severity"])
        values["confidence"] = Confidence(values["confidence"])
        return Rule(**values, help="")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RuleError(f"not a rule set: {error}") from error
