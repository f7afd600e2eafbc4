"""Rules are data: their examples and negatives are their tests."""

from __future__ import annotations

import re
from re import _parser as sre  # type: ignore[attr-defined] # the only way to ask a pattern how wide it can be

import pytest

from scanners import matching, ruleset, searching, spans, store
from scanners.checksums import CHECKS
from scanners.engine import Engine
from scanners.examples import expand
from scanners.judge import Form
from scanners.model import Confidence, Document, FileLocation, Severity
from scanners.ruleset import RuleError, RuleSet
from scanners.structural import STRUCTURAL_RULES
from scanners.validity import VALID

RULES = tuple(ruleset.parse(ruleset.rule_files()))
HERE = FileLocation("example", 1, 1)


def hits(engine: Engine, text: str) -> set[str]:
    return {match.rule for match in engine.scan(Document(text.encode(), HERE))}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_finds_its_examples_and_not_its_negatives(rule: ruleset.Rule, engine: Engine) -> None:
    assert len(rule.examples) >= 3
    assert len(rule.negatives) >= 2
    for example in rule.examples:
        assert rule.id in hits(engine, expand(example)), expand(example)
    for negative in rule.negatives:
        # Not this rule, and no other one either: what is no secret of one kind is none of another.
        assert not hits(engine, expand(negative)), expand(negative)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_well_made(rule: ruleset.Rule) -> None:
    assert rule.title
    assert rule.help
    assert not rule.title.endswith(".")
    assert rule.keywords
    assert all(word == word.lower() for word in rule.keywords)
    assert not rule.checksum or rule.checksum in CHECKS
    assert not rule.shape or rule.shape in VALID
    assert not rule.judge or Form(rule.judge)
    pattern = re.compile(rule.pattern.encode())
    assert 0 <= rule.name_group <= pattern.groups
    assert 1 <= rule.group <= pattern.groups
    widest = sre.parse(rule.pattern.encode()).getwidth()[1]
    assert widest <= rule.reach, f"spans {widest} bytes"
    for text in (*rule.stop, *rule.needs, *rule.weak):
        re.compile(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_keywords_and_trigger_miss_no_example(rule: ruleset.Rule) -> None:
    """What is looked for first must be in everything the pattern finds: otherwise the two matchers would differ."""
    searched = re.compile(rule.searched.encode())
    for example in rule.examples:
        data = expand(example).encode()
        for hit in re.finditer(rule.pattern.encode(), data):
            text = hit.group(0)
            assert any(word.encode() in text.lower() for word in rule.keywords), text
            if rule.trigger:
                assert searched.search(data), text


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.heads], ids=lambda rule: rule.id)
def test_matches_begin_with_what_is_looked_for(rule: ruleset.Rule) -> None:
    heads = re.compile(rule.heads.encode())
    texts = [expand(text).encode() for text in (*rule.examples, *rule.negatives)]
    texts += [text.upper() for text in texts] + [text.title() for text in texts]
    for text in texts:
        for hit in re.finditer(rule.pattern.encode(), text):
            assert heads.match(hit[0].lower()), hit[0]


@pytest.mark.parametrize(
    ("pattern", "heads"),
    [
        ("(?i)(?:Key|TOKEN)=(.+)", "key=|token="),
        (r"(?i)(?<!x)\b((?:key|keys|pw)\w*)", "key|pw"),
        ("(?i)user[ _]id", r"user\ id|user_id"),
        ("(?i)(?:jdbc:)?mysql://", ""),  # what may be left out is not looked for
        ("(?i)[a-z]{3}key", ""),
        ("(?i)k(.)", ""),  # stands everywhere
        ("(?i)(?:a|bb)(?:c|)d", "acd|ad|bbcd|bbd"),
        ("key=(.+)", ""),  # `re` looks for it by itself
    ],
)
def test_what_matches_begin_with_is_read_off_a_pattern(pattern: str, heads: str) -> None:
    assert spans.heads(pattern) == heads


def test_ids_are_unique_over_all_kinds_of_rules(rules: RuleSet) -> None:
    ids = [rule.id for rule in rules] + [rule.id for rule in STRUCTURAL_RULES]
    assert len(ids) == len(set(ids))
    assert all(ruleset.RULE_ID.fullmatch(name) for name in ids)


def test_all_patterns_compile_into_one_database(rules: RuleSet, engine: Engine) -> None:
    assert len(rules) == len(engine.rules)
    assert isinstance(engine._matcher, matching.DatabaseMatcher)


def test_rules_that_run_are_the_rules(rules: RuleSet) -> None:
    again = RuleSet.from_run(rules.to_run())
    for rule, other in zip(rules, again, strict=True):
        assert (rule.id, rule.pattern, rule.severity, rule.stop) == (
            other.id,
            other.pattern,
            other.severity,
            other.stop,
        )


@pytest.mark.parametrize(
    "text",
    [
        b"not toml [",
        b"[[rule]]\nid = 'x'\n",
        b"[[rule]]\nid = 'X Y'\ntitle='t'\npattern='(a)'\nkeywords=['a']\nseverity='low'\nconfidence='low'\nservice=''\nhelp='h'\n",
        b"[[rule]]\nid = 'x'\ncolour = 'red'\n",
        b"[[rule]]\nid = 'x'\ntitle='t'\npattern='(a'\nkeywords=['a']\nseverity='low'\nconfidence='low'\nservice=''\nhelp='h'\n",
    ],
)
def test_a_damaged_rule_file_says_where(text: bytes) -> None:
    with pytest.raises(RuleError, match="mine"):
        ruleset.parse({"mine": text})


def test_severities_and_confidences_are_used_in_full(rules: RuleSet) -> None:
    assert {rule.severity for rule in rules} == set(Severity)
    assert {rule.confidence for rule in rules} == set(Confidence)


def test_what_is_sought_is_read_back_as_it_was(rules: RuleSet) -> None:
    sought = matching.sought_for(rules)
    assert len(sought) == len(rules)
    assert searching.read(searching.dumped(sought)) == sought
    assert searching.read(searching.dumped([])) == []


def test_one_rule_is_read_as_all_are(rules: RuleSet) -> None:
    lines = store.dumped(rules.to_run()).split(b"\n")
    assert [ruleset.stored_rule(line) for line in lines] == list(RuleSet.stored(b"\n".join(lines)))


def test_a_pattern_with_a_separator_in_it_is_refused() -> None:
    lines = ['id = "a"', 'pattern = "(a\\u001Fb)"', 'keywords = ["a"]', 'severity = "low"', 'confidence = "low"']
    text = "\n".join(["[[rule]]", *lines, *(f'{key} = ""' for key in ("title", "service", "help"))])
    with pytest.raises(RuleError, match="control"):
        ruleset.parse({"x": text.encode()})
