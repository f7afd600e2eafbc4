"""Text on the row under the cursor. It wraps and draws itself, so that another row costs no layout of the page."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Pane(ScrollView, can_focus=True):
    """A text that scrolls; its height is the page's business."""

    DEFAULT_CSS = """
    Pane {
        background: $surface; padding: 0 1; overflow-x: hidden;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
        &:focus { background: $panel; }
        &:ansi:focus { text-style: bold; }
    }
    """

    def __init__(self, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._text = Text()
        self._lines: list[Text] = []
        self._wrapped_for = 0
        self._base: Style | None = None

    @property
    def text(self) -> str:
        """What it shows, in one piece."""
        return self._text.plain

    def show(self, text: str | Text) -> None:
        """Show another text, from its beginning."""
        self._text = Text(text) if isinstance(text, str) else text
        self._wrap()
        self.scroll_to(y=0, animate=False)
        self.refresh()

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        self._wrapped_for = width
        self._lines = list(self._text.wrap(self.app.console, width)) if width else []
        self.virtual_size = Size(0, len(self._lines))

    def on_resize(self, _event: events.Resize) -> None:
        self._wrap()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if width != self._wrapped_for:
            self._wrap()
        if self._base is None:
            self._base = self.rich_style
        base = self._base
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip.blank(width, base)
        found = [
            Segment(text, base + style if style else base)
            for text, style, control in self._lines[at].render(self.app.console)
            if not control
        ]
        return Strip(found).adjust_cell_length(width, base)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._base = None

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()
