"""Logging for `-v`: keylift's own messages only, on standard error. Nothing is logged without it."""

from __future__ import annotations

import logging


def to_stderr() -> None:
    """Show keylift's log. The Azure libraries stay silent: their messages may hold headers and bodies."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(relativeCreated)7.0f ms  %(name)s  %(message)s"))
    for name in ("migrator", "scanners", "tui"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        logger.propagate = False
