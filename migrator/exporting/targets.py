"""What a plan can be exported to: every module of this package that has a function `files` is one, by its name.

def files(wanted: Wanted) -> dict[str, str]     # name of the file -> its text, nothing secret in it
"""

from __future__ import annotations

import importlib
import pkgutil

from migrator import exporting
from migrator.errors import UsageError
from migrator.model import Plan

_SHARED = {"targets", "wanted"}
"""Modules of the package that are no target."""


def known() -> tuple[str, ...]:
    """Names of the targets; none of them is imported for that."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(exporting.__path__) if info.name not in _SHARED))


def export(plan: Plan, target: str) -> dict[str, str]:
    """A plan as files of a target: name -> text.

    Raises:
        UsageError: there is no such target, or it is a contract plan.
    """
    if target not in known():
        raise UsageError(
            f"a plan cannot be exported to '{target}'",
            why=f"there are {', '.join(known())}",
            hint="keylift export PLAN --to bicep",
        )
    from migrator.exporting.wanted import wanted

    files: dict[str, str] = importlib.import_module(f"{exporting.__name__}.{target}").files(wanted(plan))
    return files
