"""Apps, identities and secrets of a run as a drawing."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.output._graph import Graph
from migrator.report import Picture

MOST = 40
"""Apps that are drawn; a larger picture shows nothing."""


def svg(pictures: Sequence[Picture], title: str) -> str:
    """One drawing: apps at the left, then what lies in them in plain text, or the identities and what these read."""
    drawn = Graph(title, f"{title}/")
    for number, picture in enumerate(pictures[:MOST]):
        # an app is level with what it leads to
        row = max(drawn.rows(0), drawn.rows(2) if picture.reads else 0, drawn.rows(1) if picture.plain else 0)
        app = drawn.box(0, "app", str(number), picture.app, row=row)
        for label in picture.plain:
            # a value in plain text belongs to its app: it is drawn once for each
            drawn.line(app, drawn.box(1, "plain", f"{number}/{label}", f"{label} in {picture.app}", row=row), "bare")
        if picture.identity:
            identity = drawn.box(1, "identity", picture.identity, picture.identity, row=row)
            drawn.line(app, identity, "uses")
            for label in picture.reads:
                drawn.line(identity, drawn.box(2, "secret", label, label, row=row), "uses")
    more = f"<p>{len(pictures) - MOST} more apps are not drawn.</p>" if len(pictures) > MOST else ""
    return drawn.svg() + more
