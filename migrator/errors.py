"""What goes wrong, why, and the way out. The command line maps these to exit codes; nothing here prints."""

from __future__ import annotations

MADE_ELSEWHERE = "use the state it was made with: --state-dir DIR, or --state azblob://ACCOUNT/CONTAINER/PREFIX"
"""Way out of meeting a plan, a run or choices of another fingerprint key."""


class KeyliftError(Exception):
    """Something a person must know of. Every one carries the way out."""

    def __init__(self, what: str, *, why: str = "", hint: str) -> None:
        """Keep the parts.

        Args:
            what: One sentence: what happened.
            why: The cause, as far as it is known.
            hint: The command or the step that gets the user out; never empty.
        """
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint


class UsageError(KeyliftError):
    """The command line or the configuration asks for something that cannot be."""


class SignInError(KeyliftError):
    """No credential could sign in."""


class CloudError(KeyliftError):
    """Azure refused or failed."""

    def __init__(
        self, what: str, *, why: str = "", hint: str, code: str = "", status: int = 0, transient: bool = False
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.code = code
        """Azure's error code; for vaults the inner one, which alone decides."""
        self.status = status
        self.transient = transient
        """Worth another try later: throttled, busy, interrupted, not yet replicated."""


class NotFoundError(CloudError):
    """The resource is not there."""


class DeniedError(CloudError):
    """The operator lacks a right, or a policy, a lock or a firewall forbids it."""


class ReferenceRefusedError(CloudError):
    """A write was refused because a vault reference in it did not resolve."""


class StaleError(KeyliftError):
    """The world is not the one the plan was made from."""


class OutsideChangeError(KeyliftError):
    """Something outside the plan changed with a write."""


class UnprovenError(KeyliftError):
    """A step's success could not be shown."""


class PlanFileError(KeyliftError):
    """A plan file is broken, of another schema, or altered."""


class RunError(KeyliftError):
    """A run is unknown, in the wrong state, or held by another process."""


class JournalError(RunError):
    """The journal cannot be read or written: nothing more may be done to the cloud, the run stays resumable."""


class StoppedError(KeyliftError):
    """The run is being stopped: what was begun is in the journal, and `resume` goes on from there."""
