"""Who reads what, drawn with characters: the access matrix, and apps with their identities and secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from migrator.reach import Reach
from migrator.report import Picture
from tui.wording import clean

_SIGNS = {
    (False, True): ("●", "good"),
    (True, True): ("◆", ""),
    (True, False): ("○", "warn"),
    (False, False): ("·", "dim"),
}
"""(before, after) -> sign, role."""


def matrix(reaches: Sequence[Reach], colors: Mapping[str, str], *, name: int = 30) -> Text:
    """Secrets down, identities across; numbered, because names are long."""
    text = Text(no_wrap=True)
    if not reaches:
        text.append("No identity of this run reads a vault.\n")
        return text
    secrets = sorted({secret for reach in reaches for secret in (*reach.before, *reach.after)}, key=str.lower)
    text.append("reads it: ● since this run   ◆ before, too   ○ no more   · never\n\n", style="dim")
    text.append(" " * name)
    for number in range(1, len(reaches) + 1):
        text.append(f"{number:>3}", style="bold")
    text.append("\n")
    for secret in secrets:
        shown = clean(secret)
        text.append((shown if len(shown) < name else f"{shown[: name - 2]}…").ljust(name))
        for reach in reaches:
            sign, style = _SIGNS[secret in reach.before, secret in reach.after]
            text.append(f"  {sign}", style=colors.get(style, "dim" if style == "dim" else ""))
        text.append("\n")
    text.append("\n")
    for number, reach in enumerate(reaches, start=1):
        text.append(f"{number:>3}  ", style="bold")
        text.append(f"{clean(reach.identity)}\n")
    return text


def wires(before: Sequence[Picture], after: Sequence[Picture], colors: Mapping[str, str]) -> Text:
    """Each app: what lay in it, then the identity it has now and what that reads."""
    text = Text(no_wrap=True)
    now: Mapping[str, Picture] = {picture.app: picture for picture in after}
    for picture in before:
        text.append(f"{clean(picture.app)}\n", style="bold")
        later = now.get(picture.app)
        if later is None or not later.identity:
            for number, label in enumerate(picture.plain):
                text.append("  └─ " if number == len(picture.plain) - 1 else "  ├─ ", style="dim")
                text.append(f"plain: {clean(label)}\n", style=colors.get("warn", ""))
            continue
        text.append("  └─ ", style="dim")
        text.append(clean(later.identity))
        text.append("  instead of " + ", ".join(map(clean, picture.plain)) + "\n", style="dim")
        for number, label in enumerate(later.reads):
            text.append("     └▶ " if number == len(later.reads) - 1 else "     ├▶ ", style="dim")
            text.append(f"{clean(label)}\n", style=colors.get("good", ""))
    return text
