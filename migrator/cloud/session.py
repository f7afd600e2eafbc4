"""A session with one Azure: time, transport, credential, clients, and the one seam where the clients are called."""

from __future__ import annotations

import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from azure.core.exceptions import AzureError, DecodeError, DeserializationError
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from migrator.cloud import failures
from migrator.cloud.clients import Clients
from migrator.cloud.credentials import Tell, Tokens, make_credential
from migrator.cloud.pipeline import Transport
from migrator.cloud.profiles import CloudProfile
from migrator.errors import CloudError
from migrator.model import Json
from migrator.ports import WAITING, Clock

IN_FLIGHT = 8
"""Requests at a time, well below ten connections a host, which is what the transport keeps."""
BUSY_SECONDS = 900.0
"""How long an app's own operation is waited for when a write meets 409 (recorded maximum of an app write: 739 s)."""
REPEATS = 4
"""How often an answer that broke off, or a passing 412, is asked for again."""

T = TypeVar("T")
S = TypeVar("S")


class _Sender(Protocol):
    def send_request(self, request: HttpRequest, *, stream: bool = False, **options: Any) -> HttpResponse: ...


class WallClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)


def _silence() -> None:
    """Keep the libraries' loggers quiet whatever the application sets: their lines may hold headers and bodies."""
    for name in ("azure", "msal", "urllib3"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


class Session(Clients):
    """Everything that talks to one Azure. Safe to use from many threads; close it when done."""

    def __init__(
        self,
        profile: CloudProfile,
        *,
        auth: str = "default",
        clock: Clock | None = None,
        transport_factory: Callable[[], HttpTransport[Any, Any]] | None = None,
        in_flight: int = IN_FLIGHT,
        seed: int | None = None,
        tell: Tell = lambda _text: None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            profile: The cloud.
            auth: How to sign in, one of `credentials.AUTH`.
            clock: Time; the machine's own by default. All waits go through it.
            transport_factory: Makes the one transport all clients share, e.g. one that stays in the process.
            in_flight: Requests at a time.
            seed: Of the jitter; by chance if None.
            tell: Says something to the person at the terminal (a device code).
        """
        _silence()
        self.clock: Clock = clock or WallClock()
        self.in_flight = in_flight
        dice = random.Random(seed)  # noqa: S311 - jitter
        inner = transport_factory() if transport_factory else self._https(profile)
        transport = Transport(inner, self.clock, in_flight)
        make = partial(make_credential, profile, auth, tell, transport=transport, retry_total=3)
        super().__init__(profile, transport, Tokens(make, profile, auth, self.clock), dice)

    @staticmethod
    def _https(profile: CloudProfile) -> HttpTransport[Any, Any]:
        transport: HttpTransport[Any, Any] = RequestsTransport(
            connection_timeout=20,
            read_timeout=120,
            connection_verify=str(profile.ca_file) if profile.ca_file else True,
            # a proxy of the environment has no business with this machine's own addresses
            use_env_settings=not profile.loopback,
        )
        return transport

    def __enter__(self) -> Session:  # noqa: PYI034 - never subclassed
        return self

    def __exit__(self, *_arguments: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self.transport.close()

    # Signing in

    def sign_in(self) -> None:
        """Get a token for Resource Manager now, so that a missing sign-in shows before anything else.

        Raises:
            SignInError: no credential works; it names all that were tried.
        """
        self.tokens.get_token_info(self.profile.scope)

    # Calling

    def call(
        self,
        doing: str,
        action: Callable[[], T],
        *,
        values: Iterable[str] = (),
        patience: float = BUSY_SECONDS,
        repeat: bool = True,
    ) -> T:
        """Run an action of a client; what passes by itself is tried again, the rest becomes our own error.

        Throttling, 5xx and dropped connections were retried by the pipeline already. Here: 409 of an operation in
        progress until `patience` seconds have gone, 412 on listSecrets (TRAFFIC, section 4), answers that broke off,
        and one 401 of a token that ended early.

        Args:
            doing: What is being done, as the rest of "could not ...".
            action: Does it.
            values: Not to be repeated in errors.
            patience: Seconds to wait for another operation's end.
            repeat: False for an action that must not be done twice: then an answer that broke off is an error.

        Raises:
            CloudError: or a subclass; it names `doing` as what could not be done.
            SignInError: no token.
        """
        hidden = tuple(values)
        begun = self.clock.now()
        tried = 0
        while True:
            try:
                return action()
            except AzureError as error:
                failure = failures.translate(error, doing, hidden)
            except (json.JSONDecodeError, DeserializationError):
                failure = failures.translate(DecodeError("no JSON"), doing)
            except ValueError as error:
                if "challenge" not in str(error):
                    raise
                failure = failures.foreign_vault(doing)
            wait = self._again(failure, tried, begun, patience, repeat=repeat)
            if wait is None:
                # outside the handler: the library's error holds the request's and the answer's bodies
                raise failure
            tried += 1
            if wait >= 1:
                WAITING.get()(f"{failure.why or 'Azure'} ({tried} tries)")
            self.clock.sleep(wait)

    def _again(self, failure: CloudError, tried: int, begun: float, patience: float, *, repeat: bool) -> float | None:
        """Seconds to wait before the next attempt, or None when it is no use."""
        if failure.status == 401 and tried == 0:
            self.tokens.forget()
            return 0.0
        wait = min(15.0, 0.25 * 2.0**tried) * self.dice.uniform(0.5, 1.0)
        if failure.code == "FailedIdentityOperation" and repeat and tried == 0:
            return 2.0 + wait  # the identity provider was busy for a moment (CORRECTIONS, section 3)
        if failure.code in failures.BUSY:
            return wait if self.clock.now() + wait < begun + patience else None
        passing = failure.code == failures.TRUNCATED or failure.status == 412
        return wait if repeat and passing and tried < REPEATS else None

    def send(
        self,
        client: _Sender,
        method: str,
        path: str,
        doing: str,
        *,
        api_version: str | None,
        body: Json | None = None,
        values: Iterable[str] = (),
        patience: float = BUSY_SECONDS,
        options: Mapping[str, Any] | None = None,
    ) -> HttpResponse:
        """Send one request through a client's pipeline; documents travel as they stand.

        Args:
            client: Any of the clients above that takes raw requests.
            method: HTTP method.
            path: Absolute path (an ARM id and more) or a whole URL of the same Azure.
            doing: What is being done, for errors.
            api_version: Added to the query; None for a URL that carries one.
            body: Sent as JSON.
            values: Not to be repeated in errors.
            patience: Seconds to wait for another operation's end.
            options: Of the pipeline's policies.

        Raises:
            CloudError: or a subclass.
        """
        action = partial(self.once, client, method, self.url(path), api_version, body, **(options or {}))
        return self.call(doing, action, values=values, patience=patience)

    @staticmethod
    def once(
        client: _Sender,
        method: str,
        url: str,
        api_version: str | None = None,
        body: Json | None = None,
        **options: Any,
    ) -> HttpResponse:
        """Send one request and raise what the library raises: for use inside an action of `call`."""
        params = {"api-version": api_version} if api_version else None
        response = client.send_request(HttpRequest(method, url, params=params, json=body), **options)
        response.raise_for_status()
        return response

    def lines(self, url: str, token: str, params: Mapping[str, str]) -> str:
        """GET a text with a token of its own; for use inside an action of `call`."""
        request = HttpRequest("GET", url, params=params, headers={"Authorization": f"Bearer {token}"})
        response = self.bare().send_request(request)
        response.raise_for_status()
        # whatever an app writes; the client's own `text` ends at a byte that is no UTF-8, with all of it in the error
        return bytes(response.content).decode("utf-8", "replace")

    def url(self, path: str) -> str:
        """The whole URL of a path. A URL of another host is refused, whoever named it (a nextLink, a journal)."""
        if not path.startswith("https://"):
            return self.profile.resource_manager + quote(path, safe="/%()',;:@$=+")
        host, own = urlsplit(path).netloc.lower(), urlsplit(self.profile.resource_manager).netloc.lower()
        if host != own and not host.endswith("." + own):
            raise CloudError(
                f"will not send a request to {host}",
                why=f"it is no part of {self.profile.resource_manager}",
                hint="check which cloud is meant: --cloud public|china|usgov|PROFILE.json",
                code="ForeignHost",
            )
        return path

    def ask(
        self,
        client: _Sender,
        method: str,
        path: str,
        doing: str,
        *,
        api_version: str | None,
        body: Json | None = None,
    ) -> Json:
        """Send one request whose answer is a JSON object: a GET, or a POST that only reads.

        Raises:
            CloudError: or a subclass.
        """
        url = self.url(path)

        def action() -> Json:
            # parsed inside the call, so that an answer which broke off is asked for again
            document = self.once(client, method, url, api_version, body).json()
            if not isinstance(document, dict):
                raise DecodeError("no JSON object")
            return document

        return self.call(doing, action)

    def get(self, client: _Sender, path: str, doing: str, *, api_version: str) -> Json:
        """GET one document."""
        return self.ask(client, "GET", path, doing, api_version=api_version)

    def pages(self, client: _Sender, path: str, doing: str, *, api_version: str, only: str = "") -> list[Json]:
        """GET a listing, all pages of it; `only` is a `$filter`."""
        items: list[Json] = []
        url = self.url(path) + (f"?$filter={quote(only)}" if only else "")
        page = self.ask(client, "GET", url, doing, api_version=api_version)
        while True:
            items += page.get("value") or []
            following = page.get("nextLink")
            if not following:
                return items
            page = self.ask(client, "GET", following, doing, api_version=None)

    def map(
        self, function: Callable[[S], T], items: Sequence[S], *, done: Callable[[int], None] | None = None
    ) -> list[T]:
        """Apply a function to all items, several at a time; results in the items' order.

        Args:
            function: Must handle the errors it wants survived; the first one it raises ends the rest.
            items: What to work on.
            done: Told how many are finished, after each.
        """
        if not items:
            return []
        results: list[T] = []
        with ThreadPoolExecutor(max_workers=min(self.in_flight, len(items)), thread_name_prefix="azure") as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for number, future in enumerate(futures, start=1):
                    results.append(future.result())
                    if done is not None:
                        done(number)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return results

    def fresh_guid(self) -> str:
        """A new GUID; from the session's seed if it has one."""
        return str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
