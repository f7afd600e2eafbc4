"""What later layers do to files of earlier ones: delete, hide, replace.

Marks as in the OCI image specification, layer.md: `.wh.<name>` deletes what lower layers have under that name,
`.wh..wh..opq` everything that they have in the folder. Other names that begin with `.wh..wh.` are AUFS' own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

MARK = ".wh."
OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."


@dataclass(slots=True)
class Changes:
    """What one layer does to those below it."""

    removed: set[str] = field(default_factory=set)
    """Paths it deletes, with everything below them."""
    emptied: set[str] = field(default_factory=set)
    """Folders it starts anew; the empty name is the root."""
    files: array[int] = field(default_factory=lambda: array("Q"))
    """Digests of the paths at which it has something that is no folder, in order once `settle` was called."""
    folders: array[int] = field(default_factory=lambda: array("Q"))

    def mark(self, path: str) -> bool:
        """Take a path that is a whiteout; whether it was one."""
        folder, _, name = path.rpartition("/")
        if not name.startswith(MARK):
            return False
        if name == OPAQUE:
            self.emptied.add(folder)
        elif not name.startswith(_AUFS):
            name = name.removeprefix(MARK)
            if name and name not in {".", ".."}:
                self.removed.add(f"{folder}/{name}" if folder else name)
        return True

    def add(self, path: str, *, folder: bool) -> None:
        """The layer has something at a path."""
        (self.folders if folder else self.files).append(digest(path))

    def settle(self) -> None:
        """Put what was added in order, so that it can be asked for."""
        self.files = array("Q", sorted(self.files))
        self.folders = array("Q", sorted(self.folders))


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a file."""

    deleted_by: int | None = None
    """The number of the layer that deleted it, or the folder it is in."""
    replaced_by: int | None = None
    """The number of the layer that has something else in its place."""

    @property
    def visible(self) -> bool:
        """Whether a container still has it."""
        return self.deleted_by is None and self.replaced_by is None


def digest(path: str) -> int:
    """Sixty-four bits that stand for a path: a layer may have millions."""
    return int.from_bytes(blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def fate(path: str, layer: int, layers: Sequence[Changes | None]) -> Fate:
    """What the layers after number `layer` do to a file of it. A layer that could not be read (None) does nothing."""
    above = list(_folders(path))
    own = digest(path)
    digests = [digest(folder) for folder in above if folder]
    for number in range(layer + 1, len(layers)):
        changes = layers[number]
        if changes is None:
            continue
        if path in changes.removed or any(folder in changes.removed for folder in above):
            return Fate(deleted_by=number)
        if any(folder in changes.emptied for folder in above):
            return Fate(deleted_by=number) if not _has(changes.files, own) else Fate(replaced_by=number)
        if _has(changes.files, own) or _has(changes.folders, own):
            return Fate(replaced_by=number)
        if any(_has(changes.files, one) for one in digests):
            # A folder on the way became a file or a link: what was in it cannot be reached.
            return Fate(deleted_by=number)
    return Fate()


def best(fates: Iterable[Fate]) -> Fate:
    """Of several names of one file the one that lives longest."""
    found = list(fates)
    return next((one for one in found if one.visible), found[0])


def _folders(path: str) -> Iterator[str]:
    """The folders a path is in, the root (an empty name) included."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)
    yield ""


def _has(digests: array[int], wanted: int) -> bool:
    at = bisect_left(digests, wanted)
    return at < len(digests) and digests[at] == wanted
