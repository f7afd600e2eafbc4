"""One folder of a blob container: each operation tried until it is certain, each refusal in words with the way out.

Facts of Azure Storage are from its REST reference (Append Block, Lease Blob, Specifying conditional headers): an append
is atomic and checks the lease, the ETag and the position it is given; a lease of 15 to 60 seconds ends by itself; a
write without the lease's id is refused while there is one; leasing changes no ETag.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

from migrator.cloud import failures
from migrator.cloud.profiles import is_loopback
from migrator.cloud.session import Session
from migrator.errors import JournalError, KeyliftError, UsageError
from migrator.shared import SharedState

PATIENCE = 30.0
"""Seconds an operation is tried while storage cannot be reached."""
LIMITS: dict[str, Any] = {"connection_timeout": 10, "read_timeout": 20}
"""Seconds for one try; less than a lease lasts."""
PASSING = frozenset({408, 429, 500, 502, 503, 504})

T = TypeVar("T")


class RefusedError(Exception):
    """Storage refused an operation for a reason that the caller knows what to do with: its error code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ConditionError(RefusedError):
    """Somebody else has written: the ETag or the position is another."""


class LeaseError(RefusedError):
    """Somebody else holds the lease, or it is not held any more."""


class GoneError(RefusedError):
    """The blob is not there."""


class ExistsError(RefusedError):
    """The blob is there already."""


_REFUSALS: dict[str, type[RefusedError]] = {
    "ConditionNotMet": ConditionError,
    "AppendPositionConditionNotMet": ConditionError,
    "TargetConditionNotMet": ConditionError,
    "LeaseAlreadyPresent": LeaseError,
    "LeaseIdMissing": LeaseError,
    "LeaseLost": LeaseError,
    "LeaseIdMismatchWithBlobOperation": LeaseError,
    "LeaseIdMismatchWithLeaseOperation": LeaseError,
    "LeaseNotPresentWithBlobOperation": LeaseError,
    "LeaseNotPresentWithLeaseOperation": LeaseError,
    "LeaseIsBrokenAndCannotBeRenewed": LeaseError,
    "LeaseIsBreakingAndCannotBeAcquired": LeaseError,
    "LeaseIsBreakingAndCannotBeChanged": LeaseError,
    "BlobNotFound": GoneError,
    "BlobAlreadyExists": ExistsError,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A blob as a listing shows it."""

    name: str
    size: int
    etag: str
    leased: bool


class BlobFolder:
    """Blobs below the prefix of a shared state; names are relative to it. Safe to use from several threads."""

    def __init__(self, session: Session, state: SharedState) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            UsageError: the cloud has no such storage.
        """
        self.state = state
        self._session = session
        self._client = session.container(_endpoint(session, state), state.container)
        self._prefix = f"{state.prefix}/" if state.prefix else ""

    def check(self) -> None:
        """See that the container is there and closed to the public.

        Raises:
            JournalError: it is not.
        """
        found = self._try("look at the container", lambda: self._client.get_container_properties(**LIMITS))
        if found.public_access:
            raise JournalError(
                f"the container of {self.state.url} can be read by anybody",
                why=f"its public access is '{found.public_access}', and the fingerprint key lies in it",
                hint=f"close it: az storage container set-permission --name {self.state.container} "
                f"--account-name {self.state.account} --public-access off",
            )

    def listing(self, under: str) -> list[Entry]:
        """Every blob below a folder, by name."""
        found = self._try(
            "list the runs", lambda: list(self._client.list_blobs(name_starts_with=self._prefix + under, **LIMITS))
        )
        return [
            Entry(
                str(blob.name).removeprefix(self._prefix),
                int(blob.size or 0),
                str(blob.etag).strip('"'),
                blob.lease.state in {"leased", "breaking"},
            )
            for blob in found
        ]

    def read(self, name: str, offset: int = 0, *, patience: Callable[[], bool] | None = None) -> tuple[bytes, str]:
        """A blob from an offset on, and its ETag.

        Raises:
            GoneError: it is not there.
        """

        def read() -> tuple[bytes, str]:
            properties = self._blob(name).get_blob_properties(**LIMITS)
            if properties.size <= offset:
                return b"", properties.etag.strip('"')
            stream = self._blob(name).download_blob(
                offset=offset,
                length=properties.size - offset,
                etag=properties.etag,
                match_condition=MatchConditions.IfNotModified,
                **LIMITS,
            )
            return stream.readall(), properties.etag.strip('"')

        while True:
            try:
                return self._try(f"read {name}", read, patience)
            except ConditionError:
                continue  # somebody wrote in between: look again

    def put_new(self, name: str, data: bytes) -> bool:
        """Write a blob that is not there yet; False if it is."""
        try:
            self._try(f"write {name}", lambda: self._blob(name).upload_blob(data, overwrite=False, **LIMITS))
        except (ExistsError, ConditionError):
            return False
        return True

    def create_log(self, name: str) -> None:
        """Make an empty append blob, unless it is there."""
        try:
            self._try(
                f"create {name}",
                lambda: self._blob(name).create_append_blob(match_condition=MatchConditions.IfMissing, **LIMITS),
            )
        except (ExistsError, ConditionError, LeaseError):
            return

    def append(
        self,
        name: str,
        data: bytes,
        *,
        at: int,
        etag: str,
        lease: str | None,
        patience: Callable[[], bool] | None = None,
    ) -> str:
        """Append data at exactly this position of exactly this version; the new version's ETag.

        An answer that was lost is asked for: what stands at the position tells whether the data arrived.

        Args:
            name: The blob.
            data: What is appended as one.
            at: The blob's length before.
            etag: The blob's ETag before; empty: any.
            lease: The lease's id, if it is held.
            patience: Whether to go on trying while storage cannot be reached.

        Raises:
            ConditionError: somebody else has written.
            LeaseError: the lease is somebody else's, or nobody's.
            GoneError: the blob is not there.
        """
        conditions: dict[str, Any] = {"lease": lease} if lease else {}
        if etag:
            conditions |= {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}

        def append() -> str:
            answer = self._blob(name).append_block(data, appendpos_condition=at, **conditions, **LIMITS)
            return str(answer["etag"]).strip('"')

        try:
            return self._try(f"write {name}", append, patience)
        except ConditionError:
            found, now = self.read(name, at)
            if found != data:
                raise
            return now

    def delete(self, name: str, *, etag: str = "", lease: str | None = None) -> None:
        """Delete a blob, or see that it is gone.

        Raises:
            ConditionError: it is another version.
            LeaseError: somebody else holds it.
        """
        conditions: dict[str, Any] = {"lease": lease} if lease else {}
        if etag:
            conditions |= {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        try:
            self._try(f"delete {name}", lambda: self._blob(name).delete_blob(**conditions, **LIMITS))
        except GoneError:
            return

    # Leases

    def acquire(self, name: str, lease: str, seconds: int) -> None:
        """Take the lease under an id of one's own choice, so that asking twice is safe.

        Raises:
            LeaseError: somebody else holds it.
            GoneError: the blob is not there.
        """
        self._try(f"lock {name}", lambda: self._lease(name, lease).acquire(lease_duration=seconds, **LIMITS))

    def renew(self, name: str, lease: str, patience: Callable[[], bool]) -> None:
        """Keep the lease for another term.

        Raises:
            LeaseError: it is not held any more.
            GoneError: the blob is not there.
        """
        self._try(f"keep the lock of {name}", lambda: self._lease(name, lease).renew(**LIMITS), patience)

    def release(self, name: str, lease: str) -> None:
        """Let go of the lease; not tried twice, because it ends by itself."""
        try:
            self._try(f"unlock {name}", lambda: self._lease(name, lease).release(**LIMITS), lambda: False)
        except (RefusedError, KeyliftError):
            return

    def break_lease(self, name: str) -> bool:
        """Take the lease away from whoever holds it; False if nobody does.

        Raises:
            GoneError: the blob is not there.
        """
        try:
            self._try(f"unlock {name}", lambda: self._lease(name, None).break_lease(lease_break_period=0, **LIMITS))
        except LeaseError:
            return False
        return True

    # Trying

    def _blob(self, name: str) -> Any:
        return self._client.get_blob_client(self._prefix + name)

    def _lease(self, name: str, lease: str | None) -> Any:
        from azure.storage.blob import BlobLeaseClient

        return BlobLeaseClient(self._blob(name), lease_id=lease)

    def _try(self, doing: str, action: Callable[[], T], patience: Callable[[], bool] | None = None) -> T:
        """Do it, again while storage fails or cannot be reached and there is patience.

        Raises:
            RefusedError: one of its kinds.
            JournalError: anything else.
        """
        end = time.monotonic() + PATIENCE
        patience = patience or (lambda: time.monotonic() < end)
        pause, signed_in_again = 0.1, False
        while True:
            try:
                return action()
            except AzureError as error:
                failure, code, status = error, _code(error), _status(error)
            except KeyliftError as error:  # no token
                refused = JournalError(f"{self.state.url}: {error.what}", why=error.why, hint=error.hint)
                break
            if code in _REFUSALS:
                raise _REFUSALS[code](code)
            if status == 401 and not signed_in_again:
                signed_in_again = True
                self._session.tokens.forget()
                continue
            if not _passes(failure, status) or not patience():
                refused = self._error(doing, failure, code, status)
                break
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(pause * 2, 3.0)
        # outside the handlers: what the library raises holds the request, and with it the token
        raise refused

    def _error(self, doing: str, error: AzureError, code: str, status: int) -> JournalError:
        state = self.state
        what = f"could not {doing} in {state.url}"
        account = f"$(az storage account show --name {state.account} --query id --output tsv)"
        if code == "ContainerNotFound":
            return JournalError(
                what,
                why=f"the storage account {state.account} has no container '{state.container}'",
                hint=f"create it: az storage container create --name {state.container} "
                f"--account-name {state.account} --auth-mode login",
            )
        if code == "AuthorizationPermissionMismatch" or (status == 403 and code == "InsufficientAccountPermissions"):
            return JournalError(
                what,
                why="your account has no role that allows it; Owner and Contributor do not",
                hint='az role assignment create --role "Storage Blob Data Contributor" --assignee YOU '
                f'--scope "{account}/blobServices/default/containers/{state.container}"',
            )
        if code == "AuthorizationFailure" or status == 403:
            return JournalError(
                what,
                why=f"{code or 403}: the account's network rules do not let this machine in, or a policy forbids it",
                hint="run keylift from an allowed network, or let somebody add it: "
                f"az storage account network-rule add --account-name {state.account} --ip-address ADDRESS",
            )
        told = failures.translate(error, doing)
        if isinstance(error, ServiceRequestError) and "does not resolve" in told.why:
            return JournalError(
                what,
                why=f"there is no storage account '{state.account}', or its name does not resolve from here",
                hint=f"check its name: az storage account show --name {state.account}",
            )
        if "certificate" in told.why:
            return JournalError(
                what,
                why=told.why,
                hint="add its certificate authority to the file that the cloud profile names as ca_file",
            )
        return JournalError(
            what,
            why=f"{code}: Azure Storage answered {status}" if code else told.why,
            hint="nothing is lost; once storage can be reached: keylift runs, then keylift resume RUN",
        )


def _endpoint(session: Session, state: SharedState) -> str:
    profile = session.profile
    if state.server:
        if not profile.loopback or not is_loopback(f"https://{state.server}"):
            raise UsageError(
                f"--state {state.url}: only an emulator on this machine is reached by address",
                why=f"the cloud '{profile.name}' is no simulator; a token for Azure must not be shown to another server"
                if not profile.loopback
                else f"{state.server} is not on this machine",
                hint="name a storage account: --state azblob://ACCOUNT/CONTAINER/PREFIX",
            )
        return f"https://{state.server}/{state.account}"
    if profile.storage_suffix is None:
        raise UsageError(
            f"--state {state.url}: the cloud '{profile.name}' names no storage",
            why="its profile has no 'storage_suffix'",
            hint='add it to the profile ("storage_suffix": "core.windows.net"), or use an emulator\'s address: '
            "--state azblob://127.0.0.1:PORT/ACCOUNT/CONTAINER/PREFIX",
        )
    return f"https://{state.account}.blob.{profile.storage_suffix}"


def _code(error: AzureError) -> str:
    """Azure's error code; of an answer without a body (HEAD) it is in a header."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))


def _status(error: AzureError) -> int:
    return int(error.status_code or 0) if isinstance(error, HttpResponseError) else 0


def _passes(error: AzureError, status: int) -> bool:
    """Whether it may be otherwise in a moment: storage failed, throttles, or could not be reached."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    if "does not resolve" in failures.translate(error, "").why:
        return False
    return status in PASSING or isinstance(error, (ServiceRequestError, ServiceResponseError))
