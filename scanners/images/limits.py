"""How much of anything is taken from an image that may be hostile. Beyond a limit the part is given up and reported."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds in bytes and counts; honest images stay far below each."""

    document: int = 4 * MIB
    """A manifest or an index: what the distribution specification has registries accept at least."""
    config: int = 16 * MIB
    layers: int = 2000
    """Of one image; overlayfs stops at 500, container engines at 127."""
    manifests: int = 500
    """That one index, with those below it, may name."""
    layer: int = 256 * 1024 * MIB
    """A layer, unpacked."""
    ratio: int = 250
    """How many times larger a compressed stream may become. Layers of text reach 20."""
    ratio_from: int = 256 * MIB
    """Below this many unpacked bytes the ratio says nothing: a file of zeros is honest."""
    entries: int = 4_000_000
    """Of one layer."""
    header: int = MIB
    """An extended header or a long name."""
    path: int = 16 * 1024
    nested: int = 48 * MIB
    """An archive inside a layer, as it lies there: it is held in memory."""
    nested_unpacked: int = 512 * MIB
    """What one archive inside a layer may unpack to, with all that is in it."""
    nested_ratio: int = 250
    nested_ratio_from: int = 16 * MIB
    nested_entries: int = 100_000
    depth: int = 2
    """Archives within archives."""
    errors: int = 50
    """That one layer may add to a report."""
    layer_findings: int = 20_000
    """Kept of one layer; an image made of nothing but keys would fill the memory."""
    links: int = 200_000
    """Hard links of one layer that are remembered."""
    whiteouts: int = 1_000_000


DEFAULT = Limits()
