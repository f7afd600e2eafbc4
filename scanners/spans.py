"""What a pattern can span, read off its parse tree."""

from __future__ import annotations

from collections.abc import Iterable
from re import _constants as code  # type: ignore[attr-defined] # the only way to ask a pattern what it can match
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

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
