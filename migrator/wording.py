"""Edits of one text that holds values: where each value stands, and what is written there instead. No value in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scanners.model import Fingerprinter, Secret, reveal

Edit = Mapping[str, Any]
"""`{"start", "end", "text", "fingerprint"}`: characters of the text as it was, what replaces them, and of which value."""


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with every edit made."""
    for edit in sorted(edits, key=lambda edit: int(edit["start"]), reverse=True):
        text = text[: edit["start"]] + str(edit["text"]) + text[edit["end"] :]
    return text


def parts(text: str, edits: Iterable[Edit]) -> dict[str, Secret]:
    """The values that stand where the edits say, by the fingerprints the edits give them."""
    return {str(edit["fingerprint"]): Secret(text[edit["start"] : edit["end"]]) for edit in edits}


def unedited(text: str, edits: Iterable[Edit], value: Callable[[str], Secret]) -> str:
    """The text as it was before `edited`.

    Args:
        text: What `edited` gave.
        edits: The same ones.
        value: The value of a fingerprint; may raise.
    """
    for edit in sorted(edits, key=lambda edit: int(edit["start"])):
        start = int(edit["start"])
        text = text[:start] + reveal(value(str(edit["fingerprint"]))) + text[start + len(str(edit["text"])) :]
    return text


def marks(text: str, edits: Iterable[Edit], fingerprinter: Fingerprinter) -> tuple[str, str]:
    """Fingerprints of the text as it is and as it will be."""
    return fingerprinter.of(text), fingerprinter.of(edited(text, edits))
