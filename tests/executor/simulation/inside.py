"""The official clients and the simulated cloud in one process: a transport that calls the cloud as a function."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from azure.core.exceptions import IncompleteReadError, ServiceResponseError
from azure.core.pipeline.transport import HttpTransport, RequestsTransportResponse
from azure.core.rest import HttpRequest
from azure.core.rest._requests_basic import RestRequestsTransportResponse
from azure.keyvault.secrets._shared import http_challenge_cache
from requests.structures import CaseInsensitiveDict

from migrator.cloud.cloud import AzureCloud
from migrator.cloud.pipeline import Pace
from migrator.cloud.profiles import ClientSecret, CloudProfile
from migrator.cloud.session import Session
from migrator.model import Json
from migrator.ports import Clock as Waiting
from migrator.simulator import estate as estates
from migrator.simulator import principals
from migrator.simulator.azure import ARM, Azure
from migrator.simulator.clock import Clock
from migrator.simulator.faults import Faults
from migrator.simulator.providers import entra
from migrator.simulator.wire import DroppedConnectionError, Request, Response
from migrator.simulator.world import World
from scanners.model import Secret

ORIGIN = "https://127.0.0.1:1"
START = 2_000_000_000.0
"""When every simulated world begins, in seconds since the epoch."""

_ENTRA = re.compile(entra.PATHS, re.IGNORECASE)

Told = Callable[[str, Request], None]


class Function(HttpTransport[Any, Any]):
    """Calls `Azure.handle`, with a word before each request and after it."""

    def __init__(self, azure: Azure) -> None:
        self.azure = azure
        self.before: Told = lambda _plane, _request: None
        self.after: Told = lambda _plane, _request: None

    def send(self, request: Any, **_options: Any) -> Any:
        modern = isinstance(request, HttpRequest)
        wire = Request.of(str(request.method), str(request.url), dict(request.headers), _body(request, modern))
        plane = self.azure.plane_at(wire.host) or (entra.PLANE if _ENTRA.match(wire.path) else ARM)
        self.before(plane, wire)
        try:
            answer = self.azure.handle(plane, wire)
        except DroppedConnectionError as error:
            self.after(plane, wire)
            raise ServiceResponseError("the connection was dropped", error=error) from error
        self.after(plane, wire)
        return _response(request, modern, answer)

    def sleep(self, duration: float) -> None:  # noqa: ARG002 - the base class says so
        raise AssertionError("waits go through the session's clock")

    def open(self) -> None: ...
    def close(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _body(request: Any, modern: bool) -> bytes:
    body = (request._data if modern else request.data) or b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, dict):
        body = requests.models.RequestEncodingMixin._encode_params(body)
    return body if isinstance(body, bytes) else str(body).encode()


def _response(request: Any, modern: bool, answer: Response) -> Any:
    content = answer.encoded()
    truncated = answer.headers.pop("x-simulator-truncate", None) is not None
    if truncated and content:
        raise IncompleteReadError("the answer broke off", error=None)
    made = requests.Response()
    made.status_code = answer.status
    headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(content))}
    made._content = content
    made._content_consumed = True
    made.url = request.url
    made.encoding = "utf-8"
    made.reason = ""
    if not modern:
        made.headers = CaseInsensitiveDict(headers)
        return RequestsTransportResponse(request, made)
    made.headers = headers  # type: ignore[assignment]  # the answer makes its own kind of them
    response: Any = RestRequestsTransportResponse(  # type: ignore[no-untyped-call]
        request=request, internal_response=made
    )
    response.encoding = "utf-8"  # which it would look for in its headers, each time
    response.read()
    return response


class _Now:
    """The clock of whoever is at work, so that the clients can be kept from one process to the next."""

    def __init__(self, inner: Waiting) -> None:
        self.inner = inner

    def now(self) -> float:
        return self.inner.now()

    def sleep(self, seconds: float) -> None:
        self.inner.sleep(seconds)


class Standing:
    """A clock that moves when somebody waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        self._clock.advance(seconds)


@dataclass(frozen=True, slots=True)
class Cloud:
    """A simulated cloud at one instant."""

    kept: bytes
    random: Any
    trace: Any


class Inside:
    """One simulated cloud and one session with it, put back to its beginning as often as wanted."""

    def __init__(self, document: Json) -> None:
        http_challenge_cache.clear()  # the library keeps challenges for the whole process
        self.clock = Clock(speed=0.0, start=START)
        self.azure = Azure(World(7), self.clock)
        self.azure.origins |= {ARM: ORIGIN, entra.PLANE: ORIGIN}
        estates.load(self.azure, document)
        operator = principals.operator(self.azure)
        self.names: dict[str, str] = {}
        """Name of every principal that was ever seen, by object id."""
        self.secret = entra.client_secret(self.azure)
        credential = ClientSecret(self.azure.world.tenant, operator["clientId"], Secret(self.secret))
        self.profile = CloudProfile("inside", ORIGIN, ORIGIN, ORIGIN, credential=credential)
        self.transport = Function(self.azure)
        self.time = _Now(Standing(self.clock))
        self.session = Session(
            self.profile, clock=self.time, transport_factory=lambda: self.transport, in_flight=8, seed=1
        )
        self.session.map = lambda function, items, **_more: [function(item) for item in items]  # type: ignore[method-assign]
        self.cloud = AzureCloud(self.session)
        self.session.sign_in()
        self._token = ""
        self._kept = b""
        self.keep()

    def keep(self) -> None:
        """Make the cloud as it is now the beginning that `reset` goes back to."""
        self._kept = pickle.dumps((self.azure.world.tables, self.clock.now()))
        # the library has no other way to all that it keeps
        self._challenges = dict(http_challenge_cache._cache)

    def reset(self, seed: int) -> None:
        """The cloud as it was kept, with chances of its own."""
        self.azure.world.tables, start = pickle.loads(self._kept)
        self.clock = self.azure.clock = Clock(speed=0.0, start=start)
        self.azure.world.random.seed(seed)
        self.azure.trace.seed(seed)
        self.azure.faults.rules.clear()
        self.transport.before = self.transport.after = lambda _plane, _request: None
        self.process(Standing(self.clock), seed)

    def copied(self) -> Cloud:
        """The cloud as it is now, its chances included."""
        world = self.azure.world
        kept = pickle.dumps((world.tables, self.clock.now()))
        return Cloud(kept, world.random.getstate(), self.azure.trace.getstate())

    def restore(self, cloud: Cloud) -> None:
        """The cloud as it was copied; nobody is at work."""
        self.azure.world.tables, start = pickle.loads(cloud.kept)
        self.clock = self.azure.clock = Clock(speed=0.0, start=start)
        self.azure.world.random.setstate(cloud.random)
        self.azure.trace.setstate(cloud.trace)
        self.azure.faults.rules.clear()
        self.transport.before = self.transport.after = lambda _plane, _request: None

    def process(self, clock: Waiting, seed: int) -> None:
        """A new process of keylift: it remembers nothing of what the last one learnt about throttling."""
        self.time.inner = clock
        # whatever other clouds had this library learn meanwhile, each process of this one begins alike
        http_challenge_cache.clear()
        http_challenge_cache._cache.update(self._challenges)
        self.session.dice.seed(seed)
        self.session.transport._pace = Pace(self.time)

    def request(self, method: str, path: str, version: str, body: Json | None = None, plane: str = ARM) -> Response:
        """A request of somebody else: an owner who is not keylift, and whom no fault meets."""
        if not self._token:
            self._token = self.session.tokens.get_token_info(self.profile.scope).token
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        url = f"{ORIGIN}{path}?api-version={version}"
        content = b"" if body is None else json.dumps(body).encode()
        faults, self.azure.faults = self.azure.faults, Faults()
        try:
            return self.azure.handle(plane, Request.of(method, url, headers, content))
        finally:
            self.azure.faults = faults
