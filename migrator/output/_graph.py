"""A graph in columns as inline SVG: boxes with labels, lines from left to right, colours from the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from migrator.output import _words as words

_ROW, _WIDE, _HIGH, _GAP = 30, 250, 22, 110
_ROOM = _WIDE - 16
"""Of a label, in pixels; the whole one is its tooltip."""
_NARROW, _BROAD = frozenset("fijlrt.,:;'|-/ ()[]"), frozenset("mwMW@%…")


@dataclass(slots=True)
class Graph:
    """Boxes and lines; every box is named by its key, which is unique on the page when `prefix` is."""

    title: str
    prefix: str
    _boxes: list[str] = field(default_factory=list)
    _lines: list[str] = field(default_factory=list)
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _heights: dict[int, int] = field(default_factory=dict)

    def rows(self, column: int) -> int:
        """How many rows of a column are taken."""
        return self._heights.get(column, 0)

    def box(self, column: int, kind: str, key: str, label: str, tip: str = "", *, row: int = 0) -> str:
        """A box in a column, made once, in the first free row from `row`; `kind` is its class. Its key on the page."""
        name = words.clean(f"{self.prefix}{kind}:{key.lower()}")
        if name not in self._places:
            row = max(row, self.rows(column))
            self._heights[column] = row + 1
            x, y = column * (_WIDE + _GAP) + 4, row * _ROW + 4
            self._places[name] = (x, y + _HIGH // 2)
            text = words.clean(label)
            short = _short(text)
            whole = f"{text}: {words.clean(tip)}" if tip else text
            self._boxes.append(
                f'<g class="node {kind}" data-key="{escape(name)}"><title>{escape(whole)}</title>'
                f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="5"/>'
                f'<text x="{x + 8}" y="{y + 15}">{escape(short)}</text></g>'
            )
        return name

    def line(self, left: str, right: str, kind: str, tip: str = "") -> None:
        """A line between two boxes by their keys; `tip` says what gives it."""
        left, right = words.clean(left), words.clean(right)
        (x1, y1), (x2, y2) = self._places[left], self._places[right]
        x1 += _WIDE
        middle = (x1 + x2) // 2
        told = f"<title>{escape(words.clean(tip))}</title>" if tip else ""
        self._lines.append(
            f'<path class="edge {kind}" data-from="{escape(left)}" data-to="{escape(right)}" '
            f'd="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}">{told}</path>'
        )

    def svg(self) -> str:
        """The drawing."""
        columns = max(self._heights, default=0) + 1
        width = columns * (_WIDE + _GAP) - _GAP + 8
        height = max([1, *self._heights.values()]) * _ROW + 4
        return (
            f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
            f"<title>{escape(words.clean(self.title))}</title>{''.join(self._lines)}{''.join(self._boxes)}</svg>"
        )


def _short(text: str) -> str:
    """As much of a text as there is room for, by what letters of 12 pixels take in the widest of usual fonts."""
    taken, room = 0.0, _ROOM - (0 if _span(text) <= _ROOM else _span("…"))
    for at, letter in enumerate(text):
        taken += _span(letter)
        if taken > room:
            return f"{text[:at]}…"
    return text


def _span(text: str) -> float:
    return sum(
        4.6 if letter in _NARROW else 11.8 if letter in _BROAD else 8.0 if letter.isupper() or letter.isdigit() else 7.4
        for letter in text
    )
