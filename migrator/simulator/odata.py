"""The `$filter` expressions of Resource Manager's listings: comparisons and functions joined by `and` and `or`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|'(?P<text>(?:[^']|'')*)'|(?P<word>[\w./$-]+))", re.ASCII
)
_OPERATORS = {"eq", "ne", "ge", "le"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One comparison (`name eq 'value'`) or one function call (`name('argument', ...)`)."""

    name: str
    operator: str
    """`eq`, `ne`, `ge`, `le` or `call`."""
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """Several parts joined by `and` or `or`."""

    joint: str
    parts: tuple[Node | Leaf, ...]


Filter = Node | Leaf


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        ValueError: it is no filter of this form.
    """
    tokens = _tokens(text)
    result, rest = _either(tokens)
    if rest:
        raise ValueError(f"unexpected '{rest[0][1]}'")
    return result


def conjunction(text: str) -> list[Leaf]:
    """Read a filter that may join its parts by `and` only.

    Raises:
        ValueError: it is no such filter.
    """
    result = parse(text)
    if isinstance(result, Leaf):
        return [result]
    if result.joint != "and":
        raise ValueError("only 'and' is supported")
    leaves = [part for part in result.parts if isinstance(part, Leaf)]
    if len(leaves) != len(result.parts):
        raise ValueError("parentheses are not supported")
    return leaves


def matches(expression: Filter, leaf: Callable[[Leaf], bool]) -> bool:
    """Whether an expression is true, `leaf` deciding its single parts."""
    if isinstance(expression, Leaf):
        return leaf(expression)
    found = (matches(part, leaf) for part in expression.parts)
    return all(found) if expression.joint == "and" else any(found)


_Token = tuple[str, str]


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected '{text[position:]}'")
        kind = str(match.lastgroup)
        value = match[kind]
        found.append((kind, value.replace("''", "'") if kind == "text" else value))
        position = match.end()
    return found


def _either(tokens: list[_Token]) -> tuple[Filter, list[_Token]]:
    part, tokens = _both(tokens)
    parts = [part]
    while tokens and tokens[0][0] == "word" and tokens[0][1].lower() == "or":
        part, tokens = _both(tokens[1:])
        parts.append(part)
    return (parts[0] if len(parts) == 1 else Node("or", tuple(parts))), tokens


def _both(tokens: list[_Token]) -> tuple[Filter, list[_Token]]:
    part, tokens = _single(tokens)
    parts = [part]
    while tokens and tokens[0][0] == "word" and tokens[0][1].lower() == "and":
        part, tokens = _single(tokens[1:])
        parts.append(part)
    return (parts[0] if len(parts) == 1 else Node("and", tuple(parts))), tokens


def _single(tokens: list[_Token]) -> tuple[Filter, list[_Token]]:
    kinds = [kind for kind, _ in tokens[:3]]
    if kinds[:1] == ["open"]:
        inner, rest = _either(tokens[1:])
        if not rest or rest[0][0] != "close":
            raise ValueError("a parenthesis is not closed")
        return inner, rest[1:]
    if kinds[:2] == ["word", "open"]:
        values: list[str] = []
        rest = tokens[2:]
        while rest and rest[0][0] in {"text", "word"}:
            values.append(rest[0][1])
            rest = rest[1:]
            if rest and rest[0][0] == "comma":
                rest = rest[1:]
        if not rest or rest[0][0] != "close":
            raise ValueError(f"the arguments of '{tokens[0][1]}' do not end")
        return Leaf(tokens[0][1], "call", tuple(values)), rest[1:]
    if kinds == ["word", "word", "text"] and tokens[1][1].lower() in _OPERATORS:
        return Leaf(tokens[0][1], tokens[1][1].lower(), (tokens[2][1],)), tokens[3:]
    raise ValueError("a comparison such as name eq 'value' is expected")
