"""Checks of documents that people write: each failure is a ValueError that begins with the place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")


def placed(place: str, make: Callable[[], T]) -> T:
    """What `make` makes; its complaint gets the place in front."""
    try:
        return make()
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place}: {error}") from error


def known(entry: Mapping[str, Any], keys: set[str], place: str) -> None:
    """Refuse keys that are not in `keys`."""
    for key in entry:
        if key not in keys:
            raise ValueError(f"{place}: unknown key {key!r}; known: {', '.join(sorted(keys))}")


def mapping(entry: Any, place: str) -> Mapping[str, Any]:
    """`entry` as an object."""
    if not isinstance(entry, dict):
        raise ValueError(f"{place}: an object is needed, not {type(entry).__name__}")  # noqa: TRY004 - a bad file
    return entry


def items(document: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    """The list under `key`, each with its place; nothing when the key is absent."""
    entries = document.get(key)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise ValueError(f"{key}: a list is needed, not {type(entries).__name__}")  # noqa: TRY004 - a bad file
    for index, entry in enumerate(entries):
        yield f"{key}[{index}]", entry


def mappings(document: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The list of objects under `key`, each with its place."""
    for place, entry in items(document, key):
        yield place, mapping(entry, place)


def text(entry: Mapping[str, Any], key: str, place: str) -> str:
    """The non-empty string under `key`."""
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{place}.{key}: a string is needed")
    return value
