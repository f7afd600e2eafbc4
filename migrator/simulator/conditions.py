"""Conditions of role assignments and role definitions: the part of Azure ABAC that delegating role assignments needs.

Understood are `AND`, `OR`, `NOT` (also `&&`, `||`, `!`), parentheses, `ActionMatches{'...'}`, `Exists` and comparisons of
`@Request[...]`, `@Resource[...]`, `@Principal[...]` attributes by the Guid and String operators, with the set prefixes
(learn.microsoft.com/azure/role-based-access-control/conditions-format). A condition beyond that holds for nothing: what
cannot be understood must not widen access.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

Facts = Mapping[str, str]
"""Attribute name as written in the brackets, lower case, e.g. `microsoft.authorization/roleassignments:principaltype`
-> its value."""

Test = Callable[[str, Facts], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<and>AND\b|&&)|(?P<or>OR\b|\|\|)|(?P<not>NOT\b|!(?!=))"
    r"|(?P<action>ActionMatches)\s*\{\s*'(?P<pattern>[^']*)'\s*\}"
    r"|(?P<exists>Exists)\s+@\w+\[(?P<existing>[^\]]+)\]"
    r"|@\w+\[(?P<attribute>[^\]]+)\]\s*(?P<operator>[\w:]+)\s*(?:\{(?P<set>[^}]*)\}|'(?P<value>[^']*)'))",
    re.IGNORECASE,
)


def holds(condition: str, action: str, facts: Facts) -> bool:
    """Whether a condition is fulfilled for an action with these attributes; False if it cannot be understood."""
    try:
        test = _parse(condition)
    except ValueError:
        return False
    return test(action, facts)


@lru_cache(maxsize=256)
def _parse(condition: str) -> Test:
    tokens: list[re.Match[str]] = []
    position = 0
    text = condition.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"not understood: {text[position : position + 20]!r}")
        tokens.append(match)
        position = match.end()
    test, rest = _either(tokens)
    if rest:
        raise ValueError("text after the end of the condition")
    return test


def _either(tokens: list[re.Match[str]]) -> tuple[Test, list[re.Match[str]]]:
    test, tokens = _both(tokens)
    tests = [test]
    while tokens and tokens[0]["or"]:
        test, tokens = _both(tokens[1:])
        tests.append(test)
    return (lambda action, facts: any(each(action, facts) for each in tests)), tokens


def _both(tokens: list[re.Match[str]]) -> tuple[Test, list[re.Match[str]]]:
    test, tokens = _single(tokens)
    tests = [test]
    while tokens and tokens[0]["and"]:
        test, tokens = _single(tokens[1:])
        tests.append(test)
    return (lambda action, facts: all(each(action, facts) for each in tests)), tokens


def _single(tokens: list[re.Match[str]]) -> tuple[Test, list[re.Match[str]]]:
    if not tokens:
        raise ValueError("the condition ends too early")
    first, rest = tokens[0], tokens[1:]
    if first["not"]:
        test, rest = _single(rest)
        return (lambda action, facts: not test(action, facts)), rest
    if first["open"]:
        test, rest = _either(rest)
        if not rest or not rest[0]["close"]:
            raise ValueError("a parenthesis is not closed")
        return test, rest[1:]
    if first["action"]:
        pattern = first["pattern"].lower()
        return (lambda action, _facts: fnmatch.fnmatchcase(action.lower(), pattern)), rest
    if first["exists"]:
        name = first["existing"].lower()
        return (lambda _action, facts: name in facts), rest
    if first["attribute"]:
        return _comparison(first), rest
    raise ValueError("a test is expected")


def _comparison(token: re.Match[str]) -> Test:
    name = token["attribute"].lower()
    quantifier, _, operator = token["operator"].rpartition(":")
    listed = token["set"] if token["set"] is not None else token["value"]
    wanted = [part.strip().strip("'") for part in listed.split(",")] if token["set"] is not None else [listed]
    kind = re.fullmatch(r"(Guid|String)(Not)?(Equals|Like|StartsWith)(IgnoreCase)?", operator, re.IGNORECASE)
    if kind is None:
        raise ValueError(f"operator {operator!r} is not understood")
    negative, how = bool(kind[2]), kind[3].lower()
    fold = bool(kind[4]) or kind[1].lower() == "guid"
    every = quantifier.lower().endswith("allvalues")

    def test(_action: str, facts: Facts) -> bool:
        if name not in facts:
            return False
        value = facts[name].lower() if fold else facts[name]
        found = (_compares(how, value, each.lower() if fold else each) != negative for each in wanted)
        return all(found) if every else any(found)

    return test


def _compares(how: str, value: str, wanted: str) -> bool:
    if how == "startswith":
        return value.startswith(wanted)
    return fnmatch.fnmatchcase(value, wanted) if how == "like" else value == wanted
