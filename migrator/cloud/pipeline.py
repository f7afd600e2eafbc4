"""What every request to Azure passes: a bounded number in flight, throttling obeyed, retries with jitter."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline import PipelineResponse
from azure.core.pipeline.policies import RetryPolicy
from azure.core.pipeline.transport import HttpTransport

from migrator.ports import WAITING, Clock

_LOG = logging.getLogger(__name__)

LOW = 20
"""Requests left in a bucket at which sending slows down to the rate it refills at."""
_REFILL = {"reads": 25.0, "writes": 10.0, "deletes": 10.0}
"""Tokens a second that Resource Manager gives back to each principal and subscription (FACTS 10.3)."""
PATIENCE = 300.0
"""Longest Retry-After, in seconds, that is waited for; a longer one becomes an error."""


class Pace:
    """Slows a kind of request down when Azure says that its bucket runs low, for all threads alike."""

    def __init__(self, clock: Clock) -> None:
        """Start at full speed."""
        self._clock = clock
        self._lock = threading.Lock()
        self._spacing: dict[tuple[str, str, str], float] = {}
        self._next: dict[tuple[str, str, str], float] = {}
        self._held: dict[tuple[str, str, str], float] = {}

    @staticmethod
    def bucket(method: str, url: str) -> tuple[str, str, str]:
        """The bucket a request draws from: host, subscription, kind. Actions such as listSecrets count as writes."""
        parts = urlsplit(url)
        found = re.match(r"/subscriptions/([^/]+)", parts.path, re.IGNORECASE)
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method.upper(), "writes")
        return parts.netloc.lower(), found[1].lower() if found else "", kind

    def wait(self, bucket: tuple[str, str, str]) -> None:
        """Let the time pass until the bucket may be drawn from."""
        with self._lock:
            now = self._clock.now()
            due = max(self._next.get(bucket, now), self._held.get(bucket, now), now)
            spacing = self._spacing.get(bucket)
            if spacing is not None:
                self._next[bucket] = due + spacing
        if due > now + 1:
            WAITING.get()(f"Azure's rate limit ({due - now:.0f} s)")
        if due > now:
            self._clock.sleep(due - now)

    def learn(self, bucket: tuple[str, str, str], status: int, headers: Any) -> None:
        """Take in what an answer says of the bucket."""
        left, hold = _remaining(headers)
        asked = _seconds(headers.get("Retry-After")) if status == 429 else 0.0
        if asked <= PATIENCE:  # a longer one is an error, not a wait
            hold = max(hold, asked)
        with self._lock:
            now = self._clock.now()
            if hold:
                # answers to requests that were sent before do not lift it
                self._held[bucket] = max(self._held.get(bucket, now), now + hold)
            if left is not None and left < LOW:
                self._spacing[bucket] = 1.0 if left <= 2 else 1.0 / _REFILL[bucket[2]]
                self._next.setdefault(bucket, now + self._spacing[bucket])
            else:
                self._spacing.pop(bucket, None)
                self._next.pop(bucket, None)


def _remaining(headers: Any) -> tuple[int | None, float]:
    """The smallest number of requests left that an answer tells, and seconds to hold back (Resource Graph's quota)."""
    left: list[int] = []
    hold = 0.0
    for name, value in headers.items():
        if name[:1] not in "xX":
            continue
        low = name.lower()
        if low.startswith("x-ms-ratelimit-remaining-") and str(value).isdigit():
            left.append(int(value))
        elif low == "x-ms-user-quota-remaining" and str(value).isdigit() and int(value) == 0:
            found = re.fullmatch(r"(\d+):(\d+):(\d+)", str(headers.get("x-ms-user-quota-resets-after") or ""))
            hold = float(int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])) if found else 5.0
    return (min(left) if left else None), min(hold, PATIENCE)


def _seconds(text: Any) -> float:
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return 0.0


def _date(text: Any) -> float | None:
    """The moment of a Date header (RFC 9110, 5.6.7); None where there is none, or nonsense."""
    try:
        return parsedate_to_datetime(str(text)).timestamp() if text else None
    except ValueError:
        return None


def _open() -> None:
    """A gate that lets everything through."""


class Transport(HttpTransport[Any, Any]):
    """The one transport of a session, shared by all its clients and credentials.

    Sharing it makes the bound on requests in flight hold for all, and lets connections be used again: a new client
    costs 50 ms, a further call of one that is known 2 to 3.
    """

    def __init__(self, inner: HttpTransport[Any, Any], clock: Clock, in_flight: int) -> None:
        """Send through `inner`, at most `in_flight` at a time."""
        self._inner = inner
        self._clock = clock
        self._slots = threading.BoundedSemaphore(in_flight)
        self._pace = Pace(clock)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """Requests sent so far, by method."""
        self.ahead = 0.0
        """Seconds by which the clock of whoever answered last is ahead of this machine's, as its Date header tells."""
        self.gate: Callable[[], None] = _open
        """Asked right before anything but a GET goes out; what it raises keeps the request in."""

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request when its turn has come."""
        bucket = Pace.bucket(request.method, request.url)
        self._pace.wait(bucket)
        begun = time.monotonic()
        with self._slots:
            if request.method != "GET":
                self.gate()
            with self._lock:
                self.counts[request.method] += 1
            response = self._inner.send(request, **kwargs)
        # the path alone: queries hold signatures, headers and bodies hold secrets
        _LOG.debug(
            "%s %s: %s, %.0f ms",
            request.method,
            request.url.partition("?")[0],
            response.status_code,
            (time.monotonic() - begun) * 1000,
        )
        self._pace.learn(bucket, response.status_code, response.headers)
        told = _date(response.headers.get("Date"))
        if told is not None:
            self.ahead = told - self._clock.now()
        return response

    def sleep(self, duration: float) -> None:
        """Wait on the session's clock; the retry policies come here."""
        if duration >= 1:
            WAITING.get()(f"Azure to answer again ({duration:.0f} s)")
        self._clock.sleep(duration)

    def open(self) -> None:
        """Open the inner transport."""
        self._inner.open()

    def close(self) -> None:
        """Close the inner transport. Clients do not: it is not theirs."""
        self._inner.close()

    def __enter__(self) -> Transport:  # noqa: PYI034 - the base class says so
        return self

    def __exit__(self, *_arguments: object) -> None:
        return


class Retries(RetryPolicy[Any, Any]):
    """Repeats what was throttled, failed on Azure's side or lost its connection; Retry-After obeyed, waits jittered.

    All methods are repeated: every PATCH of this project is a merge that may be sent twice, every POST a listing, a
    query or an action that is the same when done twice. Writing a vault secret is not, and says so per call.
    """

    def __init__(self, dice: random.Random) -> None:
        """Take jitter from `dice`."""
        super().__init__(retry_total=8, retry_status=8, retry_connect=5, retry_read=4)
        self._dice = dice
        self._method_whitelist = frozenset({"HEAD", "GET", "PUT", "DELETE", "OPTIONS", "TRACE", "POST", "PATCH"})

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        """Seconds before the next attempt: doubling from half a second, at most thirty, half of it by chance."""
        tried = max(1, len(settings["history"]))
        return float(min(30.0, 0.5 * 2 ** (tried - 1)) * self._dice.uniform(0.5, 1.0))

    def is_retry(self, settings: dict[str, Any], response: PipelineResponse[Any, Any]) -> bool:
        """Whether to try again: never when Azure asks for more patience than there is."""
        if response.http_response.status_code < 400:
            return False
        wait = self.get_retry_after(response)
        if wait is not None and wait > PATIENCE:
            return False
        return bool(super().is_retry(settings, response))

    def increment(self, settings: dict[str, Any], response: Any = None, error: Exception | None = None) -> bool:
        """Count an attempt; False when there is to be no further one: a certificate does not become good by waiting."""
        if error is not None and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return False
        return bool(super().increment(settings, response, error))

    def _sleep_for_retry(self, response: PipelineResponse[Any, Any], transport: Any) -> bool:
        if response.http_response.status_code < 400:
            return False
        wait = self.get_retry_after(response)
        if not wait:
            return False
        # a little more than asked for, so that waiting threads do not return as one
        transport.sleep(wait + self._dice.uniform(0.0, min(1.0, wait / 4)))
        return True
