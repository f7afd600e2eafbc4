"""The ledger of shared state: one append blob a run, one JSON record a line, a lease on it as the run's lock.

A record is durable, and checked against the lease and the ETag, before `append` returns: a process whose lease was broken
or has ended cannot write, whatever it believes. Between two records nothing may go out to the cloud, either, once the
lease may have ended: `check` is asked before each change (see `Transport.gate`).
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn

from migrator.cloud.blobs import BlobFolder, ConditionError, GoneError, LeaseError, RefusedError
from migrator.cloud.session import Session
from migrator.errors import JournalError, RunError, StoppedError
from migrator.ledger import words
from migrator.model import Json
from migrator.shared import SharedState
from scanners.model import Fingerprinter

LEASE_SECONDS = 60
"""The longest lease that ends by itself."""
MARGIN = 10.0
"""Seconds before its end from which a lease counts as lost: a request that goes out must arrive under it."""
RENEWALS = 4
"""How often a lease is renewed in its term."""
MOST_STEPS = 3000
"""Of a run: 8 records a step were measured, a rollback and retries add as many, and an append blob takes 50,000."""

LOGS = "journal/"
REHEARSALS = "rehearsals"
"""Name of the log that belongs to no run."""
LOCK_CHANGES = frozenset({"held", "unlocked"})
"""Records that tell of the lock, not of the journal."""
KEY = "fingerprint.key"
KEY_BYTES = 32
SCOPE = "https://storage.azure.com/.default"


class LockLostError(JournalError):
    """The run belongs to somebody else now, or may: nothing more was done for it."""


@dataclass(slots=True)
class _Log:
    """What was read of a log so far."""

    name: str
    offset: int = 0
    etag: str = ""
    leased: bool = False
    empty: bool = True
    """Whether nothing but who held it is in it."""
    holder: Json | None = None
    """Who took the lock last: `{"pid", "host", "user", "since"}`; None if it was broken."""

    def note(self, record: Json) -> None:
        """Take in a record that was appended or read."""
        if record["change"] not in LOCK_CHANGES:
            self.empty = False
        elif record["change"] == "held":
            self.holder = {key: record.get(key) for key in ("pid", "host", "user", "since")}
        else:
            self.holder = None


class _Lease:
    """A held lease, renewed by a thread of its own until it is let go or lost."""

    def __init__(self, blobs: BlobFolder, name: str, seconds: int, lost: Callable[[], None]) -> None:
        self.id = str(uuid.uuid4())
        self.lost = False
        self._blobs = blobs
        self._name = name
        self._seconds = seconds
        self._tell = lost
        self._until = self._end()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="keylift-lease", daemon=True)

    @property
    def good(self) -> bool:
        """Whether it holds for certain; once it does not, it never does again."""
        if not self.lost and any(now >= end for now, end in zip(_clocks(), self._until, strict=True)):
            self.lose()
        return not self.lost

    def _end(self) -> tuple[float, float]:
        """Until when a lease that is asked for now holds for certain, on both clocks."""
        monotonic, wall = _clocks()
        return monotonic + self._seconds - MARGIN, wall + self._seconds - MARGIN

    def take(self) -> None:
        """Take it, and keep it from now on.

        Raises:
            LeaseError: somebody else holds it.
        """
        end = self._end()
        self._blobs.acquire(self._name, self.id, self._seconds)
        self._until = end
        self._thread.start()

    def lose(self) -> None:
        """Say, once, that it is lost."""
        with self._guard:
            if self.lost or self._ended.is_set():
                return
            self.lost = True
        self._ended.set()
        with suppress(Exception):  # whoever listens may be gone
            self._tell()

    def release(self) -> None:
        """Let go."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        if not self.lost:
            self._blobs.release(self._name, self.id)

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / RENEWALS):
            end = self._end()
            try:
                self._blobs.renew(self._name, self.id, lambda: self.good and not self._ended.is_set())
            except RefusedError:
                self.lose()
                return
            except JournalError:
                if not self.good:
                    return
                continue
            self._until = end


class BlobLedger:
    """Runs kept in a blob container. Made by `BlobLedger.open`."""

    shared = True
    most_steps = MOST_STEPS

    def __init__(self, blobs: BlobFolder, *, user: str = "", seconds: int = LEASE_SECONDS) -> None:
        """Keep runs in `blobs`; `user` is who signed in, for others to see."""
        self.name = blobs.state.url
        self._blobs = blobs
        self._user = user
        self._seconds = seconds
        self._logs: dict[str, _Log] = {}
        self._leases: dict[str, _Lease] = {}
        self._pending: list[tuple[str, Json]] = []
        """Records that were read and not yet asked for."""
        self._broken: JournalError | None = None

    @classmethod
    def open(cls, session: Session, state: SharedState) -> BlobLedger:
        """A ledger in a container that is there and not public.

        Raises:
            JournalError: it is not, or cannot be reached; the message has the command that gets out of it.
            SignInError: no token for storage.
        """
        blobs = BlobFolder(session, state)
        user = _user(session.tokens.get_token_info(SCOPE).token)
        blobs.check()
        return cls(blobs, user=user)

    def fingerprinter(self) -> Fingerprinter:
        """The team's fingerprint key, made on first use.

        Raises:
            JournalError: it is damaged or cannot be read.
        """
        try:
            key, _ = self._blobs.read(KEY)
        except GoneError:
            # of two machines that start at once, one makes the key and the other reads it
            made = secrets.token_bytes(KEY_BYTES)
            key = made if self._blobs.put_new(KEY, made) else self._blobs.read(KEY)[0]
        if len(key) != KEY_BYTES:
            raise JournalError(
                f"the fingerprint key in {self.name} is damaged",
                why=f"{len(key)} bytes instead of {KEY_BYTES}; plans and runs made with it cannot be checked",
                hint=f"restore the blob {KEY} from an earlier version, or begin anew under another prefix",
            )
        return Fingerprinter(key)

    # The ledger

    @contextmanager
    def hold(self, run: str, lost: Callable[[], None]) -> Iterator[None]:
        log = self._log(run)
        if not log.offset:
            self._blobs.create_log(log.name)
        lease = _Lease(self._blobs, log.name, self._seconds, lost)
        try:
            lease.take()
        except LeaseError:
            refused = self._held(run)
        except GoneError:
            refused = RunError(f"there is no run '{run}'", why="its log is gone", hint="list the runs: keylift runs")
        else:
            self._leases[run] = lease
            try:
                self._catch_up(run, log)
                log.leased = True
                self.append(run, {"change": "held", **self._me()})
                yield
            finally:
                if log.empty:
                    with suppress(JournalError):
                        self.discard(run)  # no run was begun in it
                self._leases.pop(run, None)
                lease.release()
            return
        raise refused

    def holder(self, run: str) -> Json | None:
        log = self._logs.get(run)
        if log is None or not log.leased:
            return None
        return log.holder or {}

    def append(self, run: str, record: Json) -> None:
        if self._broken is not None:
            raise self._broken
        log, lease = self._log(run), self._leases.get(run)
        if lease is None and run and record["change"] != "unlocked":
            raise JournalError(
                f"run {run} is not held by this process", why="it was let go of", hint=f"keylift resume {run}"
            )
        if lease is not None and not lease.good:
            self._fail(self._lost(run, log))
        data = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        try:
            log.etag = self._append(run, log, data, lease)
        except JournalError as error:
            # perhaps it arrived and perhaps it will: nothing may follow it
            self._fail(error if lease is None or lease.good else self._lost(run, log))
        except GoneError:
            self._fail(
                JournalError(
                    f"the log of run {run} is gone from {self.name}",
                    why="somebody deleted it",
                    hint="restore it: az storage blob undelete "
                    f"--account-name {self._blobs.state.account} --container-name {self._blobs.state.container}",
                )
            )
        except RefusedError:
            if lease is not None:
                lease.lose()
            self._fail(self._lost(run, log))
        log.offset += len(data)
        log.note(record)

    def news(self) -> list[tuple[str, Json]]:
        changed = []
        for entry in self._blobs.listing(LOGS):
            if not entry.name.endswith(".jsonl"):
                continue  # somebody else's, or a folder of an account with a hierarchical namespace
            run = entry.name.removeprefix(LOGS).removesuffix(".jsonl")
            run = "" if run == REHEARSALS else run
            log = self._log(run)
            log.leased = entry.leased
            if entry.etag != log.etag or entry.size != log.offset:
                changed.append((run, log))
        if changed:
            with ThreadPoolExecutor(max_workers=8) as pool:
                for (run, _), found in zip(changed, pool.map(lambda each: self._read(each[1]), changed), strict=True):
                    self._pending += [(run, record) for record in found]
        news, self._pending = self._pending, []
        return news

    def discard(self, run: str) -> bool:
        log, lease = self._log(run), self._leases.get(run)
        try:
            self._blobs.delete(log.name, etag=log.etag, lease=lease.id if lease else None)
        except RefusedError:
            return False
        return True

    def close(self) -> None:
        for lease in list(self._leases.values()):
            lease.release()
        self._leases.clear()

    # The lock, from outside

    def check(self) -> None:
        """See that what is held is held for certain.

        Raises:
            StoppedError: it may not be: nothing may be changed any more.
        """
        for run, lease in list(self._leases.items()):
            if not lease.good:
                raise StoppedError(f"the lock of run {run} is lost", hint=f"keylift status {run}")

    def unlock(self, run: str) -> bool:
        """Take a run's lock away from whoever holds it, and leave word who did; False if nobody held it.

        Raises:
            RunError: there is no such run.
        """
        log = self._log(run)
        try:
            broken = self._blobs.break_lease(log.name)
        except GoneError:
            raise RunError(f"there is no run '{run}'", hint="list the runs: keylift runs") from None
        log.leased = False
        if broken:
            with suppress(JournalError):  # its new holder was faster: no word is needed
                self._catch_up(run, log)
                self.append(run, {"change": "unlocked", **self._me()})
        return broken

    # Logs

    def _log(self, run: str) -> _Log:
        return self._logs.setdefault(run, _Log(f"{LOGS}{run or REHEARSALS}.jsonl"))

    def _append(self, run: str, log: _Log, data: bytes, lease: _Lease | None) -> str:
        if lease is not None:
            append = partial(
                self._blobs.append,
                log.name,
                data,
                at=log.offset,
                etag=log.etag,
                lease=lease.id,
                patience=lambda: lease.good,
            )
            try:
                return append()
            except LeaseError:
                # one that has ended can be renewed as long as nobody has leased or written the blob since
                self._blobs.renew(log.name, lease.id, lambda: False)
                return append()
        if run:
            return self._blobs.append(log.name, data, at=log.offset, etag=log.etag, lease=None)
        # nobody holds the rehearsals: whoever comes second looks again and follows
        self._blobs.create_log(log.name)
        while True:
            try:
                return self._blobs.append(log.name, data, at=log.offset, etag=log.etag, lease=None)
            except ConditionError:
                self._catch_up(run, log)

    def _catch_up(self, run: str, log: _Log) -> None:
        self._pending += [(run, record) for record in self._read(log)]

    def _read(self, log: _Log) -> list[Json]:
        """Records since the last time; those that tell of the lock are kept back."""
        try:
            data, etag = self._blobs.read(log.name, log.offset)
        except GoneError:
            return []  # discarded since it was listed
        found = _parse(data)
        if found is None:
            raise JournalError(
                f"the log {log.name} in {self.name} is damaged",
                why=f"what stands in it from byte {log.offset} on is not what keylift writes",
                hint="restore the blob from an earlier version; runs under another prefix are not concerned",
            )
        log.offset += len(data)
        log.etag = etag
        for record in found:
            log.note(record)
        return [record for record in found if record["change"] not in LOCK_CHANGES]

    # Words

    def _me(self) -> Json:
        try:
            login = getpass.getuser()
        except (OSError, KeyError):  # a container's number without a name
            login = ""
        return {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": self._user or login,
            "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _held(self, run: str) -> RunError:
        taken = [record for record in self._beyond(self._log(run)) if record.get("change") in LOCK_CHANGES]
        holder = taken[-1] if taken else self._log(run).holder
        return RunError(
            f"run {run} is held by another process",
            why=words(holder or {}),
            hint="wait until it ends; the lock of one that died ends by itself within a minute. "
            f"To take it away: keylift unlock {run}",
        )

    def _lost(self, run: str, log: _Log) -> LockLostError:
        beyond = self._beyond(log)
        taken = [record for record in beyond if record.get("change") in LOCK_CHANGES]
        if not taken and beyond:
            why = "somebody wrote to its log without holding it"
        elif not taken:
            why = f"it could not be renewed within {self._seconds} seconds, or was broken"
        elif taken[0]["change"] == "unlocked":
            why = f"taken away with keylift unlock by {words(taken[0], 'at')}"
        else:
            why = f"it had ended, and was taken by {words(taken[0])}"
        return LockLostError(
            f"the lock of run {run} is lost; this process does nothing more",
            why=why,
            hint=f"see who works on it and how far it came: keylift status {run}; then go on: keylift resume {run}",
        )

    def _beyond(self, log: _Log) -> list[Json]:
        """What others wrote to a log since it was read, for words only: nothing of it is taken in."""
        with suppress(RefusedError, JournalError):
            data, _ = self._blobs.read(log.name, log.offset, patience=lambda: False)
            return _parse(data) or []
        return []

    def _fail(self, error: JournalError) -> NoReturn:
        self._broken = error
        for lease in self._leases.values():
            lease.lose()
        raise error


def _clocks() -> tuple[float, float]:
    """The monotonic clock, which stands still while a machine sleeps, and the wall's, which may be set back."""
    return time.monotonic(), time.time()


def _parse(data: bytes) -> list[Json] | None:
    """Whole records, one a line; None if it is anything else."""
    try:
        found = [json.loads(line) for line in data.split(b"\n")[:-1]]
    except ValueError:
        return None
    whole = (not data or data.endswith(b"\n")) and all(isinstance(each, dict) and "change" in each for each in found)
    return found if whole else None


def _user(token: str) -> str:
    """Who a token was given to, by its claims; empty if they cannot be read."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        app = claims.get("appid") or claims.get("azp")
        return str(claims.get("upn") or claims.get("unique_name") or (f"application {app}" if app else ""))
    except (ValueError, IndexError, AttributeError):
        return ""
