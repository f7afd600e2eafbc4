"""What a pattern can span, read off its parse tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _constants as code  # type: ignore[attr-defined] # the only way to ask a pattern what it can match
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from scanners.searching import HEAD

_BREAK = 10
_WITH_BREAK = (code.CATEGORY_SPACE, code.CATEGORY_NOT_WORD, code.CATEGORY_NOT_DIGIT)


def one_line(pattern: str) -> bool:
    """Whether no match holds a line break, and nothing beyond one has to be seen to find it."""
    tree = parser.parse(pattern.encode())
    return not _holds_break(tree, dot_all=bool(tree.state.flags & code.SRE_FLAG_DOTALL))


def _holds_break(tree: Iterable[Any], *, dot_all: bool) -> bool:
    return any(_one_holds_break(op, value, dot_all=dot_all) for op, value in tree)


def _one_holds_break(op: Any, value: Any, *, dot_all: bool) -> bool:
    if op is code.LITERAL:
        return bool(value == _BREAK)
    if op is code.NOT_LITERAL:
        return bool(value != _BREAK)
    if op is code.ANY:
        return dot_all
    if op is code.IN:
        return _set_holds_break(value)
    if op is code.BRANCH:
        return any(_holds_break(branch, dot_all=dot_all) for branch in value[1])
    if op is code.SUBPATTERN:
        return _holds_break(value[3], dot_all=dot_all or bool(value[1] & code.SRE_FLAG_DOTALL))
    if op in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        return _holds_break(value[2], dot_all=dot_all)
    if op is code.ATOMIC_GROUP:
        return _holds_break(value, dot_all=dot_all)
    if op in (code.ASSERT, code.ASSERT_NOT):
        # The line's own end may be looked at, no more.
        ahead, inner = value
        return ahead > 0 and inner.getwidth()[1] > 2 and _holds_break(inner, dot_all=dot_all)
    return op not in (code.AT, code.GROUPREF)


def _set_holds_break(members: Iterable[Any]) -> bool:
    negated, found = False, False
    for op, value in members:
        if op is code.NEGATE:
            negated = True
        elif op is code.LITERAL:
            found |= value == _BREAK
        elif op is code.RANGE:
            found |= value[0] <= _BREAK <= value[1]
        else:
            found |= value in _WITH_BREAK
    return found is not negated


_LEAST_HEAD = 2
"""Characters below which a head stands everywhere."""
_ASCII = 128
_MOST_HEADS = 64


def heads(pattern: str) -> str:
    """A pattern of what every match begins with in lower case, where the pattern itself asks for no case.

    The engine of `re` looks for the beginning of such a pattern by trying it everywhere; for words in lower case it does not.
    Empty where what matches begin with is too short, or of too many kinds.
    """
    tree = parser.parse(pattern.encode())
    if not tree.state.flags & code.SRE_FLAG_IGNORECASE:
        return ""
    found = sorted({head.lower() for head, _ in _beginnings(tree)})
    if not found or len(found) > _MOST_HEADS or any(len(head) < _LEAST_HEAD for head in found):
        return ""
    shortest = [head for head in found if not any(head != other and head.startswith(other) for other in found)]
    return "|".join(re.escape(head) for head in shortest)


def _beginnings(tree: Sequence[Any]) -> list[tuple[str, bool]]:
    """Texts that what a tree matches begins with, each with whether it goes on to the tree's end. None is left out."""
    found = [("", True)]
    for op, value in tree:
        if not any(whole for _, whole in found):
            break
        more = _beginnings_of(op, value)
        found = [
            (f"{head}{then}"[:HEAD], ends and len(head) + len(then) <= HEAD)
            for head, whole in found
            for then, ends in (more if whole else [("", False)])
        ]
        if len(found) > _MOST_HEADS:
            return [("", False)]
    return found


def _beginnings_of(op: Any, value: Any) -> list[tuple[str, bool]]:
    if op is code.LITERAL and value < _ASCII:
        return [(chr(value), True)]
    if op in (code.ASSERT, code.ASSERT_NOT, code.AT):
        return [("", True)]  # takes nothing
    if op is code.BRANCH:
        return [one for branch in value[1] for one in _beginnings(branch)]
    if op is code.SUBPATTERN:
        return _beginnings(value[3])
    if op is code.IN and len(value) <= 4 and all(kind is code.LITERAL and letter < _ASCII for kind, letter in value):
        return [(chr(letter), True) for _, letter in value]
    return [("", False)]
