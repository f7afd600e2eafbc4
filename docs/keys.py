"""Write the table of the wizard's keys into its page: `python -m docs.keys`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

from tui import dialogs, page
from tui.app import NAMES, Wizard, kind
from tui.widgets import grid

PAGES = tuple(name.capitalize() for name in NAMES)
PAGE = Path(__file__).parent / "wizard.md"


def owners() -> list[tuple[str, type[DOMNode]]]:
    """`(where, class)` of everything in the wizard that has keys of its own."""
    found: list[tuple[str, type[DOMNode]]] = [("everywhere", Wizard), ("every page", page.Page)]
    found += [(name.capitalize(), kind(name)) for name in NAMES]
    found += [("rows", grid.Grid), ("filter", page.Filter)]
    boxes = [vars(dialogs)[name] for name in sorted(vars(dialogs))]
    found += [
        (box.__name__.lower(), box)
        for box in boxes
        if isinstance(box, type) and box.__module__ == dialogs.__name__ and "BINDINGS" in vars(box)
    ]
    return found


def bindings(owner: type[DOMNode]) -> Iterator[Binding]:
    """The bindings a class declares itself."""
    yield from Binding.make_bindings(vars(owner).get("BINDINGS", ()))


def table() -> str:
    """All keys in Markdown."""
    lines = ["| where | key | does | id |", "|---|---|---|---|"]
    for where, owner in owners():
        lines += [f"| {where} | `{one.key}` | {one.tooltip} | `{one.id}` |" for one in bindings(owner)]
    return "\n".join(lines)


def written(text: str) -> str:
    """The page with the table as it should be."""
    block = f"<!-- keys: python -m docs.keys -->\n\n{table()}\n\n<!-- end -->"
    return re.sub(r"<!-- keys: .*?<!-- end -->", lambda _: block, text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
