"""Small plots in one or two lines: shares by severity, ages, progress."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """A horizontal bar of up to `width` cells."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)


def heights(numbers: Sequence[int]) -> str:
    """One column for each number, as high as it is."""
    most = max(numbers, default=0) or 1
    return "".join(" " if not number else _HEIGHTS[max(0, round(number / most * 8) - 1)] for number in numbers)


class Plot(Static):
    """One line that is drawn, and said in words too."""

    DEFAULT_CSS = """
    Plot { height: auto; padding: 0 1; color: $foreground; background: $surface; }
    Plot.-one { text-wrap: nowrap; text-overflow: ellipsis; height: 1; }
    """

    _parts: tuple[tuple[str, str], ...] = ()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._draw())

    def show(self, *parts: tuple[str, str]) -> None:
        """Show pieces of text, each with a style of the theme's variables or none; the same again costs nothing."""
        if parts != self._parts:
            self._parts = parts
            self._draw()

    def _draw(self) -> None:
        variables = self.app.theme_variables
        text = Text(no_wrap=True, overflow="ellipsis")
        for piece, name in self._parts:
            color = variables.get(name, "")
            text.append(piece, style="" if not color or color.startswith("ansi") or " " in color else color)
        self.update(text, layout=not self.has_class("-one"))
