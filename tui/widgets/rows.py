"""Rows as a tree: what is open, what passes a filter, how they are sorted, which are marked. Knows nothing of a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Part = tuple[str, str]
"""A piece of text and its role: a component class of the grid without its prefix, or empty."""
Cell = str | Sequence[Part]


@dataclass(slots=True, eq=False)
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
    haystack: str = field(default="", init=False)
    """All that a filter looks in, of the row and of all below it: made once, when rows are given."""


def plain(cell: Cell) -> str:
    """A cell's text."""
    return cell if isinstance(cell, str) else "".join(text for text, _ in cell)


class Rows:
    """A tree of rows and how it is looked at."""

    def __init__(self, mark: str = "") -> None:
        """No rows yet.

        Args:
            mark: `leaf`, `top` or empty: which rows can be marked.
        """
        self.mark = mark
        self.opened: set[str] = set()
        """Keys of rows whose children are shown; takes effect with the next arrangement."""
        self.words: tuple[str, ...] = ()
        self.sorted_by: tuple[int, bool] | None = None
        """Column and whether it is turned round; None is the natural order."""
        self.shown: list[Row] = []
        """Rows that pass the filter and are not closed away, in the order shown."""
        self._rows: dict[str, Row] = {}
        self._children: dict[str, list[Row]] = {}
        self._ordered: dict[str, list[Row]] = {}
        self._marked: frozenset[str] = frozenset()
        self._tallies: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    @property
    def nested(self) -> bool:
        """Whether any row has rows below it."""
        return len(self._children) > 1

    def has_children(self, row: Row) -> bool:
        """Whether there are rows below it."""
        return row.key in self._children

    def top_of(self, row: Row) -> Row:
        """The uppermost row above a row, or itself."""
        while row.parent in self._rows:
            row = self._rows[row.parent]
        return row

    def replace(self, rows: Iterable[Row]) -> None:
        """Take other rows; marks and what is open stay where the keys are still there."""
        self._rows = {row.key: row for row in rows}
        self._children, self._ordered, self._tallies = {"": []}, {}, {}
        for row in self._rows.values():
            parent = self._rows.get(row.parent)
            row.depth = parent.depth + 1 if parent else 0
            self._children.setdefault(row.parent if parent else "", []).append(row)
        for row in reversed(self._rows.values()):
            self._read(row)
        self.marked = self._marked & self._rows.keys()
        self.arrange()

    def update(self, key: str, cells: Sequence[Cell], find: str | None = None) -> None:
        """Give one row other cells; what is shown, and in which order, waits for the next arrangement."""
        row: Row | None = self._rows[key]
        assert row is not None
        row.cells, row.find = cells, row.find if find is None else find
        self._ordered.pop(row.parent if row.parent in self._rows else "", None)
        while row is not None:
            self._read(row)
            row = self._rows.get(row.parent)

    def _read(self, row: Row) -> None:
        own = " ".join([*(plain(cell) for cell in row.cells), row.find]).lower()
        row.haystack = "\n".join([own, *(child.haystack for child in self._children.get(row.key, ()))])

    # Looking

    def arrange(self) -> None:
        """Work out what is shown."""
        shown: list[Row] = []

        def add(parent: str) -> None:
            for row in self.passing(parent):
                shown.append(row)
                if row.key in self.opened and row.key in self._children:
                    add(row.key)

        add("")
        self.shown = shown

    def passing(self, parent: str = "") -> list[Row]:
        """Rows below one (or the uppermost) that pass the filter, in the order chosen, open or not.

        What lies below a row that passes is shown whole where no part of it passes by itself.
        """
        rows = self._in_order(parent)
        if not self.words:
            return rows
        found = rows
        for word in self.words:
            found = [row for row in found if word in row.haystack]
        return found or (rows if parent else [])

    def _in_order(self, parent: str) -> list[Row]:
        if self.sorted_by is None:
            return self._children.get(parent, [])
        if parent not in self._ordered:
            column, reverse = self.sorted_by
            rows = self._children.get(parent, [])
            self._ordered[parent] = sorted(rows, key=lambda row: _sort_key(row, column), reverse=reverse)
        return self._ordered[parent]

    def filter(self, text: str) -> None:
        """Show rows that hold every word of a text, and what they are below."""
        self.words = tuple(text.lower().split())
        self.arrange()

    def sort(self, column: int | None) -> None:
        """Sort by a column, turned round when it is the one already; None is the natural order."""
        same = self.sorted_by is not None and self.sorted_by[0] == column
        self.sorted_by = None if column is None else (column, same and not (self.sorted_by or (0, True))[1])
        self._ordered = {}
        self.arrange()

    def open(self, row: Row, *, yes: bool) -> None:
        """Show what is below a row, or hide it."""
        (self.opened.add if yes else self.opened.discard)(row.key)
        self.arrange()

    def open_all(self) -> None:
        """Open all rows; close them when all are open."""
        parents = self._children.keys() - {""}
        self.opened = set() if parents <= self.opened else set(parents)
        self.arrange()

    # Marks

    @property
    def marked(self) -> frozenset[str]:
        """Keys of marked rows: leaves, or uppermost rows where `mark` is `top`."""
        return self._marked

    @marked.setter
    def marked(self, keys: Iterable[str]) -> None:
        self._marked, self._tallies = frozenset(keys), {}

    def above(self) -> list[Row]:
        """Rows that have rows below them."""
        return [self._rows[key] for key in self._children if key]

    def leaves(self, key: str = "") -> list[Row]:
        """Rows without children below a row (or all), itself if it has none; filtered away or not."""
        below = self._children.get(key, [])
        if not below:
            return [self._rows[key]] if key in self._rows else []
        return [leaf for row in below for leaf in self.leaves(row.key)]

    def tally(self, row: Row) -> tuple[int, int]:
        """How many are marked of how many that a mark on this row speaks of."""
        if self.mark == "top":
            return (int(row.key in self._marked), int(row.markable)) if not row.parent else (0, 0)
        if self.mark and not self._tallies:
            sums: dict[str, tuple[int, int]] = {}
            for one in reversed(self._rows.values()):
                if one.key not in self._children:
                    sums[one.key] = (int(one.key in self._marked), int(one.markable))
                marked, of = sums.get(one.parent, (0, 0))
                mine = sums.get(one.key, (0, 0))
                sums[one.parent] = (marked + mine[0], of + mine[1])
            self._tallies = sums
        return self._tallies.get(row.key, (0, 0))

    def toggle(self, row: Row) -> None:
        """Mark what a row speaks of; unmark it when all of it is marked."""
        if self.mark:
            found = self.leaves(row.key) if self.mark == "leaf" else [self.top_of(row)]
            self._turn({one.key for one in found if one.markable})

    def toggle_passing(self) -> None:
        """Mark all that pass the filter; unmark them when all are marked."""
        self._turn(self._markable_passing())

    def invert_passing(self) -> None:
        """Turn each mark round, of all that pass the filter."""
        self.marked = self._marked ^ self._markable_passing()

    def _turn(self, keys: set[str]) -> None:
        self.marked = self._marked - keys if keys <= self._marked else self._marked | keys

    def _markable_passing(self) -> set[str]:
        found: set[str] = set()

        def add(parent: str) -> None:
            for row in self.passing(parent):
                if self.mark == "leaf" and row.key in self._children:
                    add(row.key)
                elif row.markable:
                    found.add(row.key)

        if self.mark:
            add("")
        return found


def _sort_key(row: Row, column: int) -> tuple[int, Any]:
    if column < len(row.sort) and row.sort[column] is not None:
        return (0, row.sort[column])
    return (1, plain(row.cells[column]).lower() if column < len(row.cells) else "")
