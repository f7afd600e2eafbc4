"""Patterns that are compiled when they are first used.

What judges values knows more than a hundred patterns, and one commit has to do with a few of them: compiling them all takes
as long as everything else that a hook does.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def lazily(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but later. What it gives has the methods of a pattern, and cannot be handed to functions of `re`."""
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))


class _Late:
    def __init__(self, pattern: Any, flags: int) -> None:
        self._given = pattern, flags
        self._compiled: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._compiled is None:
            self._compiled = re.compile(*self._given)
        found = getattr(self._compiled, name)
        # From now on it is found without coming here.
        setattr(self, name, found)
        return found
