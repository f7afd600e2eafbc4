"""What a plan can be exported to: every module of this package that has a function `files` is one, by its name.

def files(wanted: Wanted) -> dict[str, str]     # name of the file -> its text, nothing secret in it
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from migrator import exporting
from migrator.errors import UsageError
from migrator.exporting.wanted import wanted
from migrator.model import Plan


@cache
def known() -> dict[str, ModuleType]:
    """The targets by their name."""
    modules = {
        info.name: importlib.import_module(f"{exporting.__name__}.{info.name}")
        for info in pkgutil.iter_modules(exporting.__path__)
    }
    return {name: module for name, module in sorted(modules.items()) if hasattr(module, "files")}


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
    files: dict[str, str] = known()[target].files(wanted(plan))
    return files
