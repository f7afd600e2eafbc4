"""One table for every page: draws the rows that are seen, however many there are, and moves a cursor over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.widgets.rows import Cell, Part, Row, Rows

ROLES = ("dim", "good", "bad", "warn", "note", "strong")
GAP = 2
KEPT = 512
"""Drawn lines that are kept at most."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `width` 0 takes what is left, shared with others of 0 by `share`."""

    title: str
    width: int = 0
    share: int = 1
    least: int = 0
    """Cells the grid must be wide for this column to be shown."""
    right: bool = False


class Grid(ScrollView, can_focus=True):
    """Rows and columns."""

    DEFAULT_CSS = """
    Grid {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        overflow-x: hidden;
        & > .grid--header { color: $foreground 55%; background: $surface; }
        & > .grid--cursor { background: $panel; }
        & > .grid--dim { color: $foreground 62%; }
        & > .grid--good { color: $success; }
        & > .grid--bad { color: $error; text-style: bold; }
        & > .grid--warn { color: $warning; }
        & > .grid--note { color: $primary; }
        & > .grid--strong { text-style: bold; }
        &:focus > .grid--cursor { background: $block-cursor-background; }
        &:ansi > .grid--cursor { background: ansi_default; text-style: underline; }
        &:ansi:focus > .grid--cursor { background: ansi_default; text-style: reverse; }
        &:ansi > .grid--dim { color: ansi_default; text-style: dim; }
        &:ansi > .grid--header { color: ansi_default; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"grid--{role}" for role in (*ROLES, "header", "cursor")}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, id="grid.up", tooltip="One row up"),
        Binding("down", "move(1)", "Down", show=False, id="grid.down", tooltip="One row down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="grid.page-up", tooltip="A screen up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="grid.page-down", tooltip="A screen down"),
        Binding("home", "edge(0)", "First", show=False, id="grid.first", tooltip="The first row"),
        Binding("end", "edge(1)", "Last", show=False, id="grid.last", tooltip="The last row"),
        Binding("right", "expand(True)", "Open", show=False, id="grid.expand", tooltip="Show what is below this row"),
        Binding(
            "left", "expand(False)", "Close", show=False, id="grid.collapse", tooltip="Hide what is below this row"
        ),
        Binding("space", "mark", "Select", key_display="␣", id="grid.mark", tooltip="Select this row, or not"),
        Binding(
            "ctrl+a", "mark_all", "All", show=False, id="grid.mark-all", tooltip="Select all that are shown, or none"
        ),
        Binding("asterisk", "invert", "Invert", show=False, id="grid.invert", tooltip="Select what is not selected"),
        Binding("s", "sort", "Sort", show=False, id="grid.sort", tooltip="Sort by the next column"),
        Binding("S", "reverse", "Reverse", show=False, id="grid.reverse", tooltip="Sort the other way round"),
        Binding(
            "equals_sign", "open_all", "Open all", show=False, id="grid.open-all", tooltip="Open or close all rows"
        ),
    ]
    HELP = (
        "Move with the arrows, Page Up and Down, Home and End. **Right** opens a row, **Left** closes it, **=** opens all. "
        "**Space** selects, **Ctrl+A** all or none, **\\*** inverts. **s** sorts by the next column, **S** turns round; a "
        "click on a column's title does the same. Type **/** to filter."
    )

    class Moved(Message):
        """The cursor is on another row, or on none."""

        def __init__(self, grid: Grid, row: Row | None) -> None:
            super().__init__()
            self.grid, self.row = grid, row

        @property
        def control(self) -> Grid:
            return self.grid

    class Marked(Message):
        """Other rows are marked now."""

        def __init__(self, grid: Grid) -> None:
            super().__init__()
            self.grid = grid

        @property
        def control(self) -> Grid:
            return self.grid

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        mark: str = "",
        empty: str = "Nothing here.",
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """Make a grid.

        Args:
            columns: Its columns; the first shows marks and what can be opened.
            mark: `leaf`, `top` or empty: which rows can be marked.
            empty: What is shown instead of rows.
            id: For the style sheet and queries.
        """
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.empty = empty
        self.model = Rows(mark)
        self._cursor = ""
        self._at = 0
        self._chosen = False
        """Somebody moved the cursor: it follows its row. Until then it is at the top, whatever comes in above."""
        self._drawn: dict[tuple[str, bool], Strip] = {}
        """Lines as they were drawn, by row and whether the cursor is on it: a line that only moves is not drawn again."""
        self._drawn_for = 0
        self._styles: dict[str, Style] = {}

    # Content

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.model.shown[self._at] if self.model.shown else None

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Show other rows; a cursor that was moved, marks and what is open stay where the keys are still there."""
        self.model.replace(rows)
        self._arranged()

    def update_row(self, key: str, cells: Sequence[Cell], find: str | None = None) -> None:
        """Give one row other cells; sorting and filtering wait for the next arrangement."""
        if key in self.model:
            self.model.update(key, cells, find)
            self._drawn.pop((key, False), None)
            self._drawn.pop((key, True), None)
            self.refresh()

    def set_filter(self, text: str) -> None:
        """Show rows that hold every word of a text, and what they are below."""
        self.model.filter(text)
        self._arranged()

    def set_marked(self, keys: Iterable[str]) -> None:
        """Mark these rows and no others."""
        self.model.marked = frozenset(keys)
        self._marks_changed()

    def go_to(self, key: str) -> None:
        """Put the cursor on a row, if it is shown."""
        for at, row in enumerate(self.model.shown):
            if row.key == key:
                self._move_to(at)

    def _arranged(self) -> None:
        shown = self.model.shown
        self._chosen = self._chosen and bool(shown)
        if self._chosen:
            at = next((at for at, row in enumerate(shown) if row.key == self._cursor), min(self._at, len(shown) - 1))
            self._at = at
        else:
            self._at = 0
        self.virtual_size = Size(0, len(shown) + 1)
        self._told()
        self._redraw()

    def _redraw(self) -> None:
        self._drawn.clear()
        self.refresh()

    # Marks

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's signature
        return bool(self.model.mark) or action not in {"mark", "mark_all", "invert"}

    def _marks_changed(self) -> None:
        self.post_message(self.Marked(self))
        self._redraw()

    def action_mark(self) -> None:
        if (row := self.current) is not None:
            self.model.toggle(row)
            self._marks_changed()

    def action_mark_all(self) -> None:
        self.model.toggle_passing()
        self._marks_changed()

    def action_invert(self) -> None:
        self.model.invert_passing()
        self._marks_changed()

    # Moving

    def _move_to(self, at: int) -> None:
        if not self.model.shown:
            return
        before, self._at = self._at, max(0, min(at, len(self.model.shown) - 1))
        self._chosen = True
        self._told()
        self.scroll_to_region(Region(0, self._at, 1, 2), animate=False, immediate=True)
        for line in {before, self._at}:
            self.refresh_line(line + 1)

    def _told(self) -> None:
        row = self.current
        self._cursor = row.key if row else ""
        self.post_message(self.Moved(self, row))

    def action_move(self, by: int) -> None:
        self._move_to(self._at + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._at + by * max(1, self.size.height - 2))

    def action_edge(self, which: int) -> None:
        self._move_to(len(self.model.shown) - 1 if which else 0)

    def action_expand(self, yes: bool) -> None:
        if (row := self.current) is None:
            return
        if (yes and self.model.has_children(row)) or (not yes and row.key in self.model.opened):
            self.model.open(row, yes=yes)
            self._arranged()
        elif not yes and row.parent:
            self.go_to(row.parent)

    def action_open_all(self) -> None:
        self.model.open_all()
        self._arranged()

    def action_sort(self) -> None:
        seen = [at for at, _ in self._layout()]
        before = self.model.sorted_by[0] if self.model.sorted_by else -1
        self.model.sort(next((at for at in seen if at > before), None))
        self._arranged()

    def action_reverse(self) -> None:
        if self.model.sorted_by is not None:
            self.model.sort(self.model.sorted_by[0])
            self._arranged()

    async def on_click(self, event: events.Click) -> None:
        self.focus()
        if event.y == 0:
            x = 0
            for at, width in self._layout():
                if x <= event.x < x + width + GAP:
                    self.model.sort(at)
                    self._arranged()
                x += width + GAP
            return
        at = event.y - 1 + self.scroll_offset.y
        if at >= len(self.model.shown):
            return
        self._move_to(at)
        row = self.model.shown[at]
        parent = self.model.has_children(row)
        lead = 2 if self.model.mark else 0
        if self.model.mark and event.x < lead:
            self.action_mark()
        elif parent and (event.x < lead + 2 * row.depth + 2 or event.chain == 2):
            self.action_expand(row.key not in self.model.opened)

    # Drawing

    def _layout(self) -> list[tuple[int, int]]:
        """`(column, width)` of the columns that there is room for."""
        room = self.scrollable_content_region.width
        seen = [at for at, column in enumerate(self.columns) if room >= column.least]
        rest = room - sum(self.columns[at].width for at in seen) - GAP * max(0, len(seen) - 1)
        shares = sum(self.columns[at].share for at in seen if not self.columns[at].width) or 1
        return [(at, self.columns[at].width or max(1, rest * self.columns[at].share // shares)) for at in seen]

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self._style("")
        if y == 0:
            return self._header(width, base)
        shown = self.model.shown
        if not shown and y == 2:
            text = "Nothing passes the filter; Esc clears it." if len(self.model) else self.empty
            return Strip([Segment(f"  {text}", base + self._style("dim"))]).adjust_cell_length(width, base)
        at = y - 1 + self.scroll_offset.y
        if at >= len(shown):
            return Strip.blank(width, base)
        if width != self._drawn_for or len(self._drawn) > KEPT:
            self._drawn.clear()
            self._drawn_for = width
        key = (shown[at].key, at == self._at)
        if key not in self._drawn:
            self._drawn[key] = self._row(shown[at], width, base + self._style("cursor") if at == self._at else base)
        return self._drawn[key]

    def _row(self, row: Row, width: int, style: Style) -> Strip:
        segments: list[Segment] = []
        for number, (column, room) in enumerate(self._layout()):
            if number:
                segments.append(Segment(" " * GAP, style))
            cell = row.cells[column] if column < len(row.cells) else ""
            lead = [] if number else self._lead(row)
            segments += self._cell(lead, cell, room, style, right=self.columns[column].right)
        return Strip(segments).adjust_cell_length(width, style)

    def _lead(self, row: Row) -> list[Part]:
        lead: list[Part] = []
        if self.model.mark:
            marked, of = self.model.tally(row)
            lead.append((" " if not of else "○" if not marked else "●" if marked == of else "◐", "strong"))
            lead.append((" ", ""))
        if self.model.nested:
            opened = row.key in self.model.opened
            twist = ("▾ " if opened else "▸ ") if self.model.has_children(row) else "  "
            lead.append(("  " * row.depth + twist, "dim"))
        return lead

    def _cell(self, lead: Sequence[Part], cell: Cell, room: int, style: Style, *, right: bool) -> list[Segment]:
        parts = [*lead, *([(cell, "")] if isinstance(cell, str) else cell)]
        total = sum(cell_len(text) for text, _ in parts)
        segments: list[Segment] = []
        if right and total < room:
            segments.append(Segment(" " * (room - total), style))
        left = room
        for text, role in parts:
            if left <= 0:
                break
            size = cell_len(text)
            cut = text if size <= left else set_cell_size(text, left - 1) + "…"
            segments.append(Segment(cut, style + self._style(role) if role else style))
            left -= min(size, left)
        if left > 0 and not (right and total < room):
            segments.append(Segment(" " * left, style))
        return segments

    def _header(self, width: int, base: Style) -> Strip:
        style = base + self._style("header")
        segments: list[Segment] = []
        for number, (at, room) in enumerate(self._layout()):
            if number:
                segments.append(Segment(" " * GAP, style))
            arrow = ""
            if self.model.sorted_by is not None and self.model.sorted_by[0] == at:
                arrow = " ▼" if self.model.sorted_by[1] else " ▲"
            title = self.columns[at].title + arrow
            if number == 0:
                title = "  " * (bool(self.model.mark) + self.model.nested) + title
            text = set_cell_size(title, room) if not self.columns[at].right else title.rjust(room)[-room:]
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, style)

    def _style(self, role: str) -> Style:
        """The style of a role, or of the grid itself; worked out once until the theme or the focus changes."""
        if role not in self._styles:
            whole = self.rich_style
            self._styles[role] = self.get_component_rich_style(f"grid--{role}", partial=True) if role else whole
        return self._styles[role]

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._drawn.clear()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()
