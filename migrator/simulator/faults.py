"""Faults on request: a script of rules, each matching some requests and bending their answers."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from migrator.simulator.wire import AzureError, DroppedConnectionError, Request, Response


@dataclass(slots=True)
class Fault:
    """One rule. It fires on matching requests number `skip` + 1 to `skip` + `times`."""

    method: str = ""
    path: str = ""
    """Regular expression searched in the path, without case."""
    plane: str = ""
    skip: int = 0
    times: int = 1
    status: int | None = None
    """Answer with this status instead of acting."""
    code: str = "InternalServerError"
    message: str = "The server encountered an internal error. Please retry the request."
    headers: dict[str, str] = field(default_factory=dict)
    drop: str = ""
    """`before`: close the connection before acting; `after`: act, then close it (a lost response)."""
    truncate: bool = False
    """Act, then send half of the body."""
    delay: float = 0.0
    """Wall seconds to wait before acting."""
    seen: int = 0

    def fires(self, plane: str, request: Request) -> bool:
        """Whether this request is one the rule bends; counts it if it matches."""
        if (
            (self.method and self.method.upper() != request.method)
            or (self.plane and not plane.startswith(self.plane))
            or (self.path and not re.search(self.path, request.path, re.IGNORECASE))
        ):
            return False
        self.seen += 1
        return self.skip < self.seen <= self.skip + self.times


class Faults:
    """The rules in force."""

    def __init__(self, rules: list[dict[str, Any]] | None = None) -> None:
        """Take rules as written in a faults file: a list of objects with the fields of `Fault`.

        Raises:
            ValueError: a rule has an unknown field.
        """
        self.rules: list[Fault] = []
        for rule in rules or []:
            try:
                self.rules.append(Fault(**rule))
            except TypeError as error:
                raise ValueError(f"bad fault rule {rule!r}: {error}") from error
        self._after: list[Fault] = []

    def before(self, plane: str, request: Request, _now: float) -> Response | None:
        """Bend the request before it is acted on; a Response stands in for the real one."""
        self._after = []
        for rule in self.rules:
            if not rule.fires(plane, request):
                continue
            if rule.delay:
                time.sleep(rule.delay)
            if rule.drop == "before":
                raise DroppedConnectionError
            if rule.drop == "after" or rule.truncate:
                self._after.append(rule)
            if rule.status is not None:
                return AzureError(rule.status, rule.code, rule.message, headers=dict(rule.headers)).response()
        return None

    def after(self, _plane: str, _request: Request, response: Response, _now: float) -> Response:
        """Bend the answer after the server acted."""
        for rule in self._after:
            if rule.drop == "after":
                raise DroppedConnectionError
            if rule.truncate:
                response.headers["x-simulator-truncate"] = "1"
        return response
