"""The formats by name: every module of this package that has a function `findings` or `plan` is one.

A format's functions take what is shown and a `Look`, and give the whole text, a line break at its end:

    def findings(report: Report, look: Look) -> str
    def plan(plan: Plan, look: Look) -> str
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from migrator import output
from migrator.about import tool
from migrator.errors import UsageError
from scanners.model import Report

if TYPE_CHECKING:
    from migrator.model import Json, Plan


@dataclass(frozen=True, slots=True)
class Look:
    """How a text is laid out; formats for programs ignore it."""

    color: bool = False
    width: int = 100
    """Columns."""
    tool: Json = field(default_factory=tool)
    """`{"name", "version"}` that a report says it comes from."""


@cache
def known(what: str) -> tuple[str, ...]:
    """Names of the formats that can show `findings` or a `plan`."""
    return tuple(sorted(name for name in _names() if hasattr(_module(name), what)))


def _names() -> list[str]:
    names = [info.name for info in pkgutil.iter_modules(output.__path__) if not info.name.startswith("_")]
    return [name for name in names if name != "formats"]


def render_findings(name: str, report: Report, look: Look | None = None) -> str:
    """A report in a format.

    Raises:
        UsageError: there is no such format.
    """
    return _function(name, "findings")(report, look or Look())


def render_plan(name: str, plan: Plan, look: Look | None = None) -> str:
    """A plan in a format.

    Raises:
        UsageError: there is no such format for plans.
    """
    return _function(name, "plan")(plan, look or Look())


def _function(name: str, what: str) -> Callable[[Any, Look], str]:
    # Only the one that is asked for is imported.
    if name not in _names() or not hasattr(_module(name), what):
        raise UsageError(
            f"there is no format {name!r} for {'findings' if what == 'findings' else 'a plan'}",
            hint=f"use --format {', '.join(known(what))}",
        )
    found: Callable[[Any, Look], str] = getattr(_module(name), what)
    return found


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{output.__name__}.{name}")
