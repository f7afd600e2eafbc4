"""Modules that detect-secrets imports for what keylift never has it do: to ask servers, and to start processes.

`requests` alone takes longer to import than scanning ten megabytes. What stands in for it while detect-secrets is imported
becomes the real module as soon as anybody asks for anything in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_LATE: dict[str, dict[str, Any]] = {"requests": {"Response": Any}, "multiprocessing": {}}
"""Modules, with what is asked of them on import: types that stand in signatures."""


class _Late(ModuleType):
    """A module that is imported when something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def nothing_unneeded() -> Iterator[None]:
    """Import detect-secrets inside of this: modules that only verifying online needs are left for later.

    What is imported already stays, and nobody finds a stand-in in `sys.modules` afterwards.
    """
    stand_ins = []
    for name, asked in _LATE.items():
        if name not in sys.modules:
            stand_in = _Late(name)
            stand_in.__dict__.update(asked)
            sys.modules[name] = stand_in
            stand_ins.append(stand_in)
    try:
        yield
    finally:
        for stand_in in stand_ins:
            if sys.modules.get(stand_in.__name__) is stand_in:
                del sys.modules[stand_in.__name__]
