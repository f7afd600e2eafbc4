"""Scans of container images: the scanner's own, with the cloud's registries signed in to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.errors import KeyliftError
from scanners.images.errors import ImageError
from scanners.model import Report

if TYPE_CHECKING:
    from migrator.api import Tell, Workplace
    from scanners.engine import Engine


def scan(
    place: Workplace,
    engine: Engine,
    targets: Sequence[str],
    *,
    platform: str | None = None,
    ca_file: Path | None = None,
    plain_http: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    tell: Tell,
) -> Report:
    """Judge images. See `migrator.api.scan_image`.

    Raises:
        KeyliftError: there is one target, and nothing of it can be had.
    """
    from migrator.cloud.registry import Registries
    from scanners.images.registry import Access
    from scanners.sources import image

    with Registries(place.cloud, place.auth, tell) as registries:
        access = Access(credentials=registries.login, ca_file=ca_file or registries.ca_file, plain_http=plain_http)
        try:
            return image.scan(
                targets,
                engine=engine,
                fingerprinter=place.state.fingerprinter(),
                platform=platform,
                access=access,
                cache_dir=place.state.cache,
                progress=on_bytes,
            )
        except ImageError as error:
            raise KeyliftError(error.what, why=error.why, hint=error.hint) from None
