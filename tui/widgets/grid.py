"""One table for every page: rows with children, sorted, filtered, marked; draws only what is seen, however many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

Part = tuple[str, str]
"""A piece of text and its role: a component class of the grid without its prefix, or empty."""
Cell = str | Sequence[Part]
ROLES = ("dim", "good", "bad", "warn", "note", "strong")
GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `width` 0 takes what is left, shared with others of 0 by `share`."""

    title: str
    width: int = 0
    share: int = 1
    least: int = 0
    """Cells the grid must be wide for this column to be shown."""
    right: bool = False


@dataclass(slots=True)
class Row:
    """One row. Rows come in their natural order, children after their parent."""

    key: str
    cells: Sequence[Cell]
    parent: str = ""
    find: str = ""
    """What a filter looks in, beside the cells."""
    sort: Sequence[Any] = ()
    """What columns sort by, where not by their text."""
    data: Any = None
    markable: bool = True
    depth: int = field(default=0, init=False)


def plain(cell: Cell) -> str:
    """A cell's text."""
    return cell if isinstance(cell, str) else "".join(text for text, _ in cell)


class Grid(ScrollView, can_focus=True):
    """Rows and columns. Marks are kept on leaves, or on top rows where `mark` is `top`."""

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
        & > .grid--hit { text-style: underline; }
        &:focus > .grid--cursor { background: $block-cursor-background; }
        &:ansi > .grid--cursor { text-style: bold; }
        &:ansi:focus > .grid--cursor { text-style: reverse; }
        &:ansi > .grid--dim { color: ansi_default; text-style: dim; }
        &:ansi > .grid--header { color: ansi_default; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"grid--{role}" for role in (*ROLES, "header", "cursor", "hit")}
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
        Binding("space", "mark", "Select", id="grid.mark", tooltip="Select this row, or not"),
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
        self.mark = mark
        self.empty = empty
        self.marked: set[str] = set()
        self.opened: set[str] = set()
        self.query_text = ""
        self.sorted_by: tuple[int, bool] | None = None
        self._rows: dict[str, Row] = {}
        self._children: dict[str, list[Row]] = {}
        self._haystack: dict[str, str] = {}
        self._shown: list[Row] = []
        self._cursor = ""
        self._at = 0

    # Content

    @property
    def rows(self) -> Sequence[Row]:
        """All rows in their natural order."""
        return list(self._rows.values())

    @property
    def shown(self) -> Sequence[Row]:
        """Rows that pass the filter and are not closed away, in the order shown."""
        return self._shown

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self._shown[self._at] if self._shown else None

    def top_of(self, row: Row) -> Row:
        """The uppermost row above a row, or itself."""
        while row.parent in self._rows:
            row = self._rows[row.parent]
        return row

    def set_rows(self, rows: Iterable[Row], *, open_all: bool = False) -> None:
        """Show other rows; the cursor, marks and what is open stay where the keys are still there."""
        self._rows = {row.key: row for row in rows}
        self._children = {}
        for row in self._rows.values():
            parent = self._rows.get(row.parent)
            row.depth = parent.depth + 1 if parent else 0
            self._children.setdefault(row.parent if parent else "", []).append(row)
        self._haystack = {}
        for row in reversed(self._rows.values()):
            below = [self._haystack[child.key] for child in self._children.get(row.key, ())]
            own = " ".join([*(plain(cell) for cell in row.cells), row.find]).lower()
            self._haystack[row.key] = "\n".join([own, *below])
        self.marked &= self._rows.keys()
        if open_all:
            self.opened |= self._children.keys() - {""}
        self.rearrange()

    def update_row(self, key: str, cells: Sequence[Cell]) -> None:
        """Give one row other cells; sorting and filtering wait for the next arrangement."""
        if key in self._rows:
            self._rows[key].cells = cells
            self.refresh()

    def set_filter(self, text: str) -> None:
        """Show rows that hold every word of a text, and what they are below."""
        self.query_text = text.strip().lower()
        self.rearrange()

    def rearrange(self) -> None:
        """Work out what is shown."""
        words = self.query_text.split()
        shown: list[Row] = []

        def add(parent: str) -> None:
            rows = self._children.get(parent, [])
            if words:
                rows = [row for row in rows if all(word in self._haystack[row.key] for word in words)] or (
                    rows if parent else []
                )
            if self.sorted_by is not None:
                column, reverse = self.sorted_by
                rows = sorted(rows, key=lambda row: _sort_key(row, column), reverse=reverse)
            for row in rows:
                shown.append(row)
                if row.key in self.opened and row.key in self._children:
                    add(row.key)

        add("")
        self._shown = shown
        self._at = next((at for at, row in enumerate(shown) if row.key == self._cursor), min(self._at, len(shown) - 1))
        self._at = max(0, self._at)
        self.virtual_size = Size(0, len(shown) + 1)
        self._told()
        self.refresh()

    def go_to(self, key: str) -> None:
        """Put the cursor on a row."""
        for at, row in enumerate(self._shown):
            if row.key == key:
                self._move_to(at)

    # Marks

    def leaves(self, key: str = "") -> list[Row]:
        """Rows without children below a row (or all), itself if it has none; filtered away or not."""
        below = self._children.get(key, [])
        if not below:
            return [self._rows[key]] if key in self._rows else []
        return [leaf for row in below for leaf in self.leaves(row.key)]

    def _targets(self, row: Row) -> list[Row]:
        if not self.mark:
            return []
        found = self.leaves(row.key) if self.mark == "leaf" else [self.top_of(row)]
        return [one for one in found if one.markable]

    def _mark_of(self, row: Row) -> str:
        targets = self._targets(row) if self.mark == "leaf" or not row.parent else []
        if not targets:
            return " "
        number = sum(1 for one in targets if one.key in self.marked)
        return "○" if not number else "●" if number == len(targets) else "◐"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's signature
        return bool(self.mark) or action not in {"mark", "mark_all", "invert"}

    def action_mark(self) -> None:
        if (row := self.current) is None:
            return
        self._toggle(row)

    def _toggle(self, row: Row) -> None:
        keys = {one.key for one in self._targets(row)}
        if not keys:
            return
        self.marked = self.marked - keys if keys <= self.marked else self.marked | keys
        self.post_message(self.Marked(self))
        self.refresh()

    def _shown_targets(self) -> set[str]:
        words = self.query_text.split()
        tops = [row for row in self._rows.values() if not words or all(w in self._haystack[row.key] for w in words)]
        return {one.key for row in tops for one in self._targets(row) if self.mark == "top" or row.key == one.key}

    def action_mark_all(self) -> None:
        keys = self._shown_targets()
        self.marked = self.marked - keys if keys <= self.marked else self.marked | keys
        self.post_message(self.Marked(self))
        self.refresh()

    def action_invert(self) -> None:
        self.marked ^= self._shown_targets()
        self.post_message(self.Marked(self))
        self.refresh()

    # Moving

    def _move_to(self, at: int) -> None:
        if not self._shown:
            return
        self._at = max(0, min(at, len(self._shown) - 1))
        self._told()
        self.scroll_to_region(Region(0, self._at, 1, 2), animate=False, immediate=True)
        self.refresh()

    def _told(self) -> None:
        row = self.current
        key = row.key if row else ""
        if key != self._cursor or row is None:
            self._cursor = key
        self.post_message(self.Moved(self, row))

    def action_move(self, by: int) -> None:
        self._move_to(self._at + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._at + by * max(1, self.size.height - 2))

    def action_edge(self, which: int) -> None:
        self._move_to(len(self._shown) - 1 if which else 0)

    def action_expand(self, yes: bool) -> None:
        if (row := self.current) is None:
            return
        if yes and row.key in self._children:
            self.opened.add(row.key)
            self.rearrange()
        elif not yes and row.key in self.opened:
            self.opened.discard(row.key)
            self.rearrange()
        elif not yes and row.parent:
            self.go_to(row.parent)

    def action_open_all(self) -> None:
        parents = self._children.keys() - {""}
        self.opened = set() if parents <= self.opened else set(parents)
        self.rearrange()

    def action_sort(self) -> None:
        seen = [at for at, _ in self._layout()]
        before = self.sorted_by[0] if self.sorted_by else -1
        self._sort_by(next((at for at in seen if at > before), -1))

    def action_reverse(self) -> None:
        if self.sorted_by is not None:
            self._sort_by(self.sorted_by[0])

    def _sort_by(self, column: int) -> None:
        if column < 0:
            self.sorted_by = None
        else:
            same = self.sorted_by is not None and self.sorted_by[0] == column
            self.sorted_by = (column, not self.sorted_by[1] if same and self.sorted_by else False)
        self.rearrange()

    async def on_click(self, event: events.Click) -> None:
        self.focus()
        if event.y == 0:
            x = 0
            for at, width in self._layout():
                if x <= event.x < x + width + GAP:
                    self._sort_by(at)
                x += width + GAP
            return
        at = event.y - 1 + self.scroll_offset.y
        if at >= len(self._shown):
            return
        self._move_to(at)
        row = self._shown[at]
        lead = 2 if self.mark else 0
        if self.mark and event.x < lead:
            self._toggle(row)
        elif (row.key in self._children and event.x < lead + 2 * row.depth + 2) or (
            event.chain == 2 and row.key in self._children
        ):
            self.action_expand(row.key not in self.opened)

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
        base = self.rich_style
        if y == 0:
            return self._header(width, base)
        at = y - 1 + self.scroll_offset.y
        if not self._rows and y == 2:
            return Strip([Segment("  " + self.empty, base + self._role("dim"))]).adjust_cell_length(width, base)
        if not self._shown and self._rows and y == 2:
            text = "  Nothing passes the filter; Esc clears it."
            return Strip([Segment(text, base + self._role("dim"))]).adjust_cell_length(width, base)
        if at >= len(self._shown):
            return Strip.blank(width, base)
        row = self._shown[at]
        style = base + self._role("cursor") if at == self._at else base
        segments: list[Segment] = []
        for number, (column, room) in enumerate(self._layout()):
            if number:
                segments.append(Segment(" " * GAP, style))
            cell = row.cells[column] if column < len(row.cells) else ""
            lead: list[Part] = []
            if number == 0:
                lead = self._lead(row)
            segments += self._cell(lead, cell, room, style, right=self.columns[column].right)
        return Strip(segments).adjust_cell_length(width, style)

    def _lead(self, row: Row) -> list[Part]:
        twist = ("▾ " if row.key in self.opened else "▸ ") if row.key in self._children else "  "
        nested = any(key for key in self._children)
        lead = [(self._mark_of(row) + " ", "strong")] if self.mark else []
        return [*lead, ("  " * row.depth + (twist if nested else ""), "dim")]

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
            segments.append(Segment(cut, style + self._role(role) if role else style))
            left -= min(size, left)
        if left > 0 and not (right and total < room):
            segments.append(Segment(" " * left, style))
        return segments

    def _header(self, width: int, base: Style) -> Strip:
        style = base + self._role("header")
        segments: list[Segment] = []
        for number, (at, room) in enumerate(self._layout()):
            if number:
                segments.append(Segment(" " * GAP, style))
            arrow = ""
            if self.sorted_by is not None and self.sorted_by[0] == at:
                arrow = " ▼" if self.sorted_by[1] else " ▲"
            title = self.columns[at].title + arrow
            if number == 0 and (self.mark or any(self._children)):
                title = "  " * (bool(self.mark) + any(key for key in self._children)) + title
            text = set_cell_size(title, room) if not self.columns[at].right else title.rjust(room)[-room:]
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, style)

    def _role(self, role: str) -> Style:
        return self.get_component_rich_style(f"grid--{role}", partial=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.refresh()


def _sort_key(row: Row, column: int) -> tuple[int, Any]:
    if column < len(row.sort) and row.sort[column] is not None:
        return (0, row.sort[column])
    return (1, plain(row.cells[column]).lower() if column < len(row.cells) else "")
