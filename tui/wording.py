"""Words that the wizard shares with the other formats: the one place that reaches for them."""

from __future__ import annotations

from migrator.output._words import clean, count, joined, says, short, within

__all__ = ["clean", "count", "joined", "says", "short", "took", "within"]


def took(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"
