"""Which program this is: goes into plans and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanners.version import version

if TYPE_CHECKING:
    from migrator.model import Json

HOME = "https://github.com/keylift/keylift"
"""Where the documentation of rules and commands lies."""


def tool() -> Json:
    """`{"name", "version"}` of what is installed."""
    return {"name": "keylift", "version": version()}


def rule_page(rule: str) -> str:
    """The documentation of a rule: its id is the anchor."""
    return f"{HOME}/blob/main/docs/rules.md#{rule}"
