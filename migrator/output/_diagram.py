"""Apps, identities and secrets as a drawing: inline SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from migrator.output import _words as words
from migrator.report import Picture

MOST = 40
"""Apps that are drawn; a larger picture shows nothing."""
_ROW, _WIDE, _HIGH, _GAP = 34, 230, 24, 90
_LONGEST = 30
"""Characters of a label; the whole one is its tooltip."""


def svg(pictures: Sequence[Picture], title: str) -> str:
    """One drawing: apps at the left, then what lies in them in plain text, or the identities and what these read."""
    shown = list(pictures)[:MOST]
    boxes: list[str] = []
    lines: list[str] = []
    places: dict[tuple[str, str], tuple[int, int]] = {}
    heights = [0, 0, 0]

    def box(column: int, kind: str, label: str, row: int) -> tuple[int, int]:
        key = (kind, label)
        if key not in places:
            row = max(row, heights[column])
            heights[column] = row + 1
            x, y = column * (_WIDE + _GAP) + 4, row * _ROW + 4
            places[key] = (x, y + _HIGH // 2)
            text = words.clean(label)
            short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
            boxes.append(
                f'<g class="{kind}"><title>{escape(text)}</title>'
                f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="5"/>'
                f'<text x="{x + 8}" y="{y + 16}">{escape(short)}</text></g>'
            )
        return places[key]

    def line(left: tuple[int, int], right: tuple[int, int], kind: str) -> None:
        x1, x2 = left[0] + _WIDE, right[0]
        middle = (x1 + x2) // 2
        path = f"M{x1} {left[1]}C{middle} {left[1]} {middle} {right[1]} {x2} {right[1]}"
        lines.append(f'<path class="{kind}" d="{path}"/>')

    for number, picture in enumerate(shown):
        start = max(heights[0], heights[2] if picture.reads else 0, heights[1] if picture.plain else 0)
        app = box(
            0, "app", picture.app if number == 0 or ("app", picture.app) not in places else f"{picture.app} ", start
        )
        for label in picture.plain:
            # a value in plain text belongs to its app: it is drawn once for each
            line(app, box(1, "plain", f"{label} in {picture.app}", start), "bare")
        if picture.identity:
            identity = box(1, "identity", picture.identity, start)
            line(app, identity, "uses")
            for label in picture.reads:
                line(identity, box(2, "secret", label, start), "uses")
    columns = 3 if heights[2] else 2 if heights[1] else 1
    width = columns * (_WIDE + _GAP) - _GAP + 8
    height = max(1, *heights) * _ROW + 4
    more = f"<p>{len(pictures) - MOST} more apps are not drawn.</p>" if len(pictures) > MOST else ""
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{escape(title)}</title>{''.join(lines)}{''.join(boxes)}</svg>{more}"
    )
