"""Things that go wrong in a simulated cloud besides answers: somebody edits an app, a lock appears, a role goes.

Each is a function in a module of `mishaps/`, registered by name. It gets the occasion (the request at which it happens)
and its own arguments; what it does not get, it takes from the request: the app, vault or secret that is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from migrator.simulator import mishaps
from migrator.simulator.wire import Json, Request, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

_APP = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.App/containerApps/[^/]+", re.IGNORECASE
)
_SECRET = re.compile(r"/secrets/([^/]+)")


@dataclass(frozen=True, slots=True)
class Occasion:
    """The request at which something happens."""

    azure: Azure
    plane: str
    request: Request
    response: Response | None = None
    """The answer, for what happens after the request was acted on."""

    def app(self, named: str = "") -> Json:
        """The app of that name or id; the one that is asked for, if none is named.

        Raises:
            LookupError: there is none.
        """
        found = _APP.match(self.request.path)
        wanted = (named or (found[0] if found else "")).lower()
        for document in self.azure.world.of_type("Microsoft.App/containerApps"):
            if wanted in {str(document["id"]).lower(), str(document["name"]).lower()}:
                return document
        raise LookupError(f"there is no app '{named}'" if named else f"{self.request.path} is of no app: name one")

    def vault(self, named: str = "") -> Json:
        """The vault of that name or id; the one that is asked, if none is named.

        Raises:
            LookupError: there is none.
        """
        from migrator.simulator.providers import vaults

        kind, _, asked = self.plane.partition(":")
        found = vaults.find(self.azure, named or (asked if kind == "vault" else ""))
        if found is None:
            raise LookupError(f"there is no vault '{named}'" if named else f"{self.plane} is no vault: name one")
        return found

    def secret(self, named: str = "") -> str:
        """The name of a vault secret: the one that is asked for, if none is named.

        Raises:
            LookupError: none is.
        """
        found = _SECRET.match(self.request.path)
        if not named and not found:
            raise LookupError(f"{self.request.path} is of no secret: name one")
        return named or (found[1] if found else "")


class NotYetError(Exception):
    """What is to go wrong has not begun: the rule waits for the next request."""


Happening = Callable[..., None]
_KNOWN: dict[str, Happening] = {}


def named(name: str) -> Callable[[Happening], Happening]:
    """Register a function under a name; its docstring is its description in the documentation."""

    def register(function: Happening) -> Happening:
        _KNOWN[name] = function
        return function

    return register


@cache
def catalogue() -> Mapping[str, Happening]:
    """Every mishap by name."""
    for module in sorted(info.name for info in pkgutil.iter_modules(mishaps.__path__)):
        importlib.import_module(f"{mishaps.__name__}.{module}")
    return dict(sorted(_KNOWN.items()))


def check(name: str, arguments: Mapping[str, Any]) -> None:
    """See that a mishap can be asked for so.

    Raises:
        ValueError: there is none of that name, or it takes other arguments.
    """
    known = catalogue()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise ValueError(f"mishap: there is no '{name}'; is it {' or '.join(near)}?")
    try:
        inspect.signature(known[name]).bind(None, **arguments)
    except TypeError as error:
        raise ValueError(f"mishap {name}: {error}") from error


def happen(name: str, occasion: Occasion, arguments: Mapping[str, Any]) -> None:
    """Let something happen now.

    Raises:
        AzureError: it refuses the request.
        LookupError: what it is about is not there.
    """
    catalogue()[name](occasion, **arguments)
