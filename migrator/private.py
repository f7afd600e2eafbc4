"""A private simulator as a cloud of this process: the official clients on it, without a socket between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from migrator.cloud import direct
from migrator.cloud.profiles import load_profile
from migrator.cloud.session import Session
from migrator.ports import Clock
from migrator.simulator.server import Simulator
from migrator.simulator.wire import DroppedConnectionError, Request


def session(simulator: Simulator, clock: Clock, **options: Any) -> Session:
    """A session with a started simulator that was made with `listening=False`; close it when done.

    Args:
        simulator: The cloud.
        clock: Time of the session.
        options: Further ones of `Session`.
    """
    profile = load_profile(str(simulator.profile_path))
    factory = partial(direct.transport, partial(_answer, simulator, clock.sleep))
    return Session(profile, clock=clock, transport_factory=factory, **options)


def _answer(
    simulator: Simulator,
    sleep: Callable[[float], None],
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[int, Mapping[str, str], bytes, bool]:
    request = Request.of(method, url, dict(headers), body)
    try:
        response = simulator.ask(request, sleep)
    except DroppedConnectionError as error:
        raise ConnectionError from error
    return response.status, response.headers, response.encoded(), response.truncated
