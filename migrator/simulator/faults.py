"""Faults on request: a script of rules, each matching some requests and bending their answers, or the world around them.

What a rule may do to an answer is in `Fault`; what it may do to the world (`mishap`) is one file of functions a subject,
in `mishaps/`. `docs/faults.md` lists both.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migrator.simulator import mishap
from migrator.simulator.wire import AzureError, DroppedConnectionError, Request, Response

if TYPE_CHECKING:
    from migrator.simulator.azure import Azure

WHEN = ("before", "after")


@dataclass(slots=True)
class Fault:
    """One rule. It fires on matching requests number `skip` + 1 to `skip` + `times`.

    Raises:
        ValueError: a field has a value that it cannot have.
    """

    method: str = ""
    path: str = ""
    """Regular expression searched in the path, without case."""
    plane: str = ""
    """`arm`, `entra`, `vault`, `registry`, or the beginning of `vault:<id>`."""
    body: str = ""
    """Regular expression searched in the request's body."""
    skip: int = 0
    times: int = 1
    chance: float = 1.0
    """How likely it fires when its turn has come; decided by the seed of the faults."""
    at: float | None = None
    """Fires with the first matching request from this many virtual seconds after the first request of all."""
    status: int | None = None
    """Answer with this status instead of acting."""
    code: str = "InternalServerError"
    inner: str = ""
    """`innererror.code`, which decides for vaults."""
    message: str = "The server encountered an internal error. Please retry the request."
    headers: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    """`before`: close the connection before acting; `after`: act, then close it (a lost response)."""
    truncate: bool = False
    """Act, then send half of the body."""
    delay: float = 0.0
    """Wall seconds to wait before acting, or before answering (`when`); other requests go on meanwhile."""
    mishap: str = ""
    """Something that happens in the world, by name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """What the mishap is given."""
    when: str = "before"
    """Whether a mishap or a delay comes `before` or `after` the request was acted on."""
    seen: int = 0

    def __post_init__(self) -> None:
        for name in ("path", "body"):
            try:
                re.compile(getattr(self, name))
            except re.error as error:
                raise ValueError(f"{name}: {error}") from error
        if self.drop not in {"", *WHEN}:
            raise ValueError(f"drop: 'before' or 'after', not {self.drop!r}")
        if self.when not in WHEN:
            raise ValueError(f"when: 'before' or 'after', not {self.when!r}")
        if self.mishap:
            mishap.check(self.mishap, self.arguments)
        elif self.arguments:
            raise ValueError("arguments: only a mishap takes them")

    def matches(self, plane: str, request: Request) -> bool:
        """Whether a request is of the kind that the rule is about."""
        return not (
            (self.method and self.method.upper() != request.method)
            or (self.plane and not plane.startswith(self.plane))
            or (self.path and not re.search(self.path, request.path, re.IGNORECASE))
            or (self.body and not re.search(self.body, request.body.decode("utf-8", "replace")))
        )

    def fires(self, dice: random.Random, since: float) -> bool:
        """Whether a matching request is one the rule bends; counts it. `since`: seconds since the first request."""
        if self.at is not None and since < self.at:
            return False
        self.seen += 1
        return self.skip < self.seen <= self.skip + self.times and (self.chance >= 1 or dice.random() < self.chance)


class Faults:
    """The rules in force."""

    def __init__(self, rules: Iterable[dict[str, Any]] = (), *, seed: int = 0) -> None:
        """Take rules as written in a faults file: objects with the fields of `Fault`; `seed` decides their chances.

        Raises:
            ValueError: a rule has an unknown field, or a value it cannot have.
        """
        self.rules: list[Fault] = []
        self.dice = random.Random(seed)  # noqa: S311 - reproducible choices are the point
        self._began: float | None = None
        for rule in rules:
            try:
                self.rules.append(Fault(**rule))
            except (TypeError, ValueError) as error:
                raise ValueError(f"bad fault rule {rule!r}: {error}") from error

    def choose(self, plane: str, request: Request, now: float) -> list[Fault]:
        """The rules that bend this request; asked again for the same request, the same ones."""
        if request.bent is None:
            self._began = now if self._began is None else self._began
            since = now - self._began
            request.bent = [r for r in self.rules if r.matches(plane, request) and r.fires(self.dice, since)]
        found: list[Fault] = request.bent
        return found

    def delay(self, plane: str, request: Request, now: float) -> float:
        """Seconds to let pass before the request is handed in: whoever carries it waits, so that others go on."""
        return sum(rule.delay for rule in self.choose(plane, request, now) if rule.when == "before")

    def before(self, azure: Azure, plane: str, request: Request) -> Response | None:
        """Bend the request before it is acted on; a Response stands in for the real one.

        Raises:
            DroppedConnectionError: the connection is closed without an answer.
            AzureError: a mishap refuses the request.
        """
        for rule in self.choose(plane, request, azure.clock.now()):
            if rule.mishap and rule.when == "before":
                mishap.happen(rule.mishap, mishap.Occasion(azure, plane, request), rule.arguments)
            if rule.drop == "before":
                raise DroppedConnectionError
            if rule.status is not None:
                more = {"innererror": {"code": rule.inner}} if rule.inner else {}
                return AzureError(rule.status, rule.code, rule.message, headers=dict(rule.headers), **more).response()
        return None

    def after(self, azure: Azure, plane: str, request: Request, response: Response) -> Response:
        """Bend the answer after the server acted.

        Raises:
            DroppedConnectionError: the answer is lost.
        """
        chosen = self.choose(plane, request, azure.clock.now())
        for rule in chosen:
            if rule.mishap and rule.when == "after":
                try:
                    mishap.happen(rule.mishap, mishap.Occasion(azure, plane, request, response), rule.arguments)
                except mishap.NotYetError:
                    rule.seen -= 1
        response.delay = sum(rule.delay for rule in chosen if rule.when == "after")
        response.truncated = any(rule.truncate for rule in chosen)
        if any(rule.drop == "after" for rule in chosen):
            raise DroppedConnectionError
        return response
