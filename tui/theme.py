"""How the wizard looks: colours, signs and words. A state has a sign and a word before it has a colour."""

from __future__ import annotations

from textual.theme import Theme

DARK, LIGHT = "keylift-dark", "keylift-light"
THEMES = (DARK, LIGHT, "ansi-dark", "ansi-light")
"""In the order in which the palette offers them."""

BANNER = "#8a5cc2"
"""The simulator's own colour: no theme uses it for anything else."""

KEYLIFT = (
    Theme(
        name=DARK,
        primary="#6cb6c9",
        secondary="#4d7f8f",
        accent="#6cb6c9",
        warning="#d8b066",
        error="#e07a7a",
        success="#8dbd8b",
        foreground="#d6dbe2",
        background="#11151b",
        surface="#151a22",
        panel="#1d2430",
        boost="#232c3a",
        dark=True,
        variables={
            "footer-background": "#151a22",
            "footer-key-foreground": "#6cb6c9",
            "block-cursor-background": "#2b3a4d",
            "block-cursor-foreground": "#f2f5f9",
            "block-cursor-text-style": "none",
            "input-selection-background": "#6cb6c9 30%",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#1f6f87",
        secondary="#5b8b9a",
        accent="#1f6f87",
        warning="#8a5a00",
        error="#b3383d",
        success="#2f7335",
        foreground="#1d242d",
        background="#f7f8fa",
        surface="#f0f2f5",
        panel="#e4e8ee",
        boost="#d9dfe7",
        dark=False,
        variables={
            "footer-background": "#e9ecf1",
            "footer-key-foreground": "#1f6f87",
            "block-cursor-background": "#cfdde6",
            "block-cursor-foreground": "#10161d",
            "block-cursor-text-style": "none",
        },
    ),
)

SEVERITY = {"critical": ("▲▲", "bad"), "high": ("▲ ", "bad"), "medium": ("● ", "warn"), "low": ("○ ", "note")}
"""Severity -> sign of two cells, role."""

SIGN = {
    "+": ("add", "good"),
    "~": ("change", "warn"),
    "-": ("remove", "bad"),
    " ": ("", ""),
}
"""Sign of a change -> word, role."""

STATE = {
    "pending": ("·", "waits", "dim"),
    "working": ("▶", "working", "strong"),
    "intent": ("▶", "working", "strong"),
    "waiting": ("◔", "waiting", "warn"),
    "done": ("✓", "done", "good"),
    "adopted": ("=", "was so", "good"),
    "failed": ("✗", "failed", "bad"),
    "undoing": ("↺", "undoing", "warn"),
    "undone": ("↺", "undone", "warn"),
    "skipped": ("–", "skipped", "dim"),
    "running": ("▶", "running", "strong"),
    "rolled-back": ("↺", "rolled back", "warn"),
    "rolling-back": ("↺", "rolling back", "warn"),
    "stale": ("≠", "stale", "bad"),
    "interrupted": ("‖", "interrupted", "warn"),
    "partly-done": ("◐", "partly done", "warn"),
    "ok": ("✓", "ok", "good"),
    "unproven": ("?", "unproven", "warn"),
}
"""State of a step, an app, a run or a check -> sign, word, role."""


def state(name: str) -> tuple[str, str, str]:
    """Sign, word and role of a state; an unknown one is shown by its name."""
    return STATE.get(name, ("·", name, ""))
