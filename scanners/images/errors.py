"""What ends the scan of an image, and what is only noted while it goes on."""

from __future__ import annotations


class ImageError(Exception):
    """An image, or a part that everything else hangs on, cannot be had: what happened, why, and the way out."""

    def __init__(self, what: str, *, why: str = "", hint: str) -> None:
        """Keep the parts; `hint` is never empty."""
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def entry(self, where: str) -> dict[str, str]:
        """The error as an entry of a report."""
        return {"where": where, "what": f"{self.what}: {self.why}" if self.why else self.what, "hint": self.hint}


class BlobError(ImageError):
    """A blob is missing, damaged or not what its digest says."""


class LimitError(ImageError):
    """Something is larger than any honest image has it."""


PULL_AGAIN = "fetch the image again from where it was built, and scan that"
"""The way out when bytes are not what they should be."""
