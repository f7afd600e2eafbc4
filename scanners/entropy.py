"""How surprising a value is."""

from __future__ import annotations

from collections import Counter
from math import log2


def shannon(text: str) -> float:
    """Bits per character of a text by its own character frequencies; 0 for an empty one."""
    length = len(text)
    if not length:
        return 0.0
    return -sum(count / length * log2(count / length) for count in Counter(text).values())
