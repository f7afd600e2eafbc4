"""The version of keylift that is installed."""

from __future__ import annotations

import os
import sys


def version() -> str:
    """Read off the name of the installed package's folder: `importlib.metadata` takes as long to import as a scan does."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)  # noqa: PTH208 - pathlib has nothing to add
        except OSError:
            continue
        for name in names:
            if name.startswith("keylift-") and name.endswith(".dist-info"):
                return name.removeprefix("keylift-").removesuffix(".dist-info")
    from importlib import metadata

    return metadata.version("keylift")
