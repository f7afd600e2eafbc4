"""What the database of all patterns looks for in place of a pattern: as cheap, and as seldom there, as can be.

A trigger is contained in every match that its rule can keep. Names cost most: `key`, `pat` and `auth` stand in every
second line of source, in `keyboard`, `path` and `author`. So where a trigger says `%{name}`, the words stand as
`scanners.names` reads them: at the end of a word. Within a trigger, `*` is cheaper than a bounded number, and what begins
with a literal is cheaper than what begins with anything else.
"""

from __future__ import annotations

import re
from functools import cache

NAME = "%{name}"
_LEFT = re.compile(r"\A(\(\?i\))?\(\?<!(\[(?:[^\]\\^]|\\.)(?:[^\]\\]|\\.)*\])\)")
_RIGHT = re.compile(r"\(\?!(\[(?:[^\]\\^]|\\.)(?:[^\]\\]|\\.)*\])\)\Z")
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]")


def expanded(trigger: str) -> str:
    """A trigger with `%{name}` written out."""
    return trigger.replace(NAME, _name()) if NAME in trigger else trigger


def sought(trigger: str, pattern: str) -> tuple[str, bool]:
    """What hyperscan is to look for, and whether it may only approximate it, because it has no look-around.

    A look-around at an end of a pattern that asks for one other character, or none, is written as just that.
    """
    expression = expanded(trigger) or pattern
    right = _RIGHT.search(expression)
    if right:
        expression = f"{expression[: right.start()]}(?:[^{right[1][1:]}|\\z)"
    left = _LEFT.match(expression)
    if left:
        expression = f"{left[1] or ''}(?:\\A|[^{left[2][1:]}){expression[left.end() :]}"
    return expression, bool(_LOOKS_AROUND.search(expression))


@cache
def _name() -> str:
    from scanners.names import KINDS

    words = "|".join(sorted({*KINDS, "connection"}))
    # A lower-case letter goes on with the word, in upper case, too: there a word ends before its last letter.
    return rf"(?i:{words})(?:[A-Z0-9_.$:-][\w.$:-]*)?"
