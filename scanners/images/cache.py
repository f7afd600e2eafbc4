"""Layers that were scanned before under the same rules: one file each, in the state folder, without values.

A file is named by the layer, the rules, the program's own text and the fingerprint key, so that a change of any of them
is another file. It is believed only when its digest, made with the fingerprint key, holds.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from scanners import ruleset
from scanners.images.finds import LayerFinds
from scanners.images.limits import Limits
from scanners.model import Fingerprinter

_FORMAT = "1"
_KEPT = 2000
_LARGEST = 256 * 1024 * 1024


@lru_cache(maxsize=1)
def rules_id() -> str:
    """Names the rules and the code that judges by them."""
    total = sha256(ruleset.digest(ruleset.rule_files()).encode())
    folder = Path(__file__).parents[1]
    for path in sorted([*folder.glob("*.py"), *folder.glob("images/*.py"), folder / "sources" / "pieces.py"]):
        with suppress(OSError):
            total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class LayerCache:
    """Finds of layers by their digests."""

    def __init__(self, folder: Path | None, fingerprinter: Fingerprinter, limits: Limits, *, plain: bool) -> None:
        """Keep in `folder`; None keeps nothing."""
        self._folder = folder / "layers" if folder else None
        self._fingerprinter = fingerprinter
        self._under = f"{_FORMAT}\n{fingerprinter.key_id}\n{limits}\n{plain}\n"

    def get(self, digest: str | None) -> LayerFinds | None:
        """What the layer gave; None when it was not scanned under these rules."""
        path = self._path(digest)
        if path is None or not digest:
            return None
        try:
            if path.stat().st_size > _LARGEST:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        proof, _, body = data.partition(b"\n")
        if proof.decode("ascii", "replace") != self._fingerprinter.of(path.name.encode() + b"\n" + body):
            return None
        try:
            found = LayerFinds.from_dict(json.loads(body))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        with suppress(OSError):
            # What was used last is kept longest.
            os.utime(path)
        return found if digest in (found.digest, found.diff_id) else None

    def put(self, digest: str | None, found: LayerFinds) -> None:
        """Keep what a layer gave. A folder that cannot be written to means no cache, which is no error."""
        path = self._path(digest)
        if path is None or self._folder is None or not found.whole:
            return
        body = json.dumps(found.to_dict(), separators=(",", ":")).encode()
        proof = self._fingerprinter.of(path.name.encode() + b"\n" + body)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".layer-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(proof.encode("ascii") + b"\n" + body)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._forget()

    def noted(self, mark: str) -> bool:
        """Whether a file that is still the same one was found to be what its digest says."""
        path = self._path(mark)
        return path is not None and path.with_suffix(".seen").exists()

    def note(self, mark: str) -> None:
        """Remember that a file is what its digest says."""
        path = self._path(mark)
        if path is not None and self._folder is not None:
            with suppress(OSError):
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.with_suffix(".seen").touch(mode=0o600)

    def _path(self, digest: str | None) -> Path | None:
        if self._folder is None or not digest:
            return None
        name = sha256(f"{self._under}{rules_id()}\n{digest}".encode()).hexdigest()
        return self._folder / f"{name[:40]}.json"

    def _forget(self) -> None:
        if self._folder is None:
            return
        old = sorted(self._folder.glob("*.*"), key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]
        for path in old:
            path.unlink(missing_ok=True)
