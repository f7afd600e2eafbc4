"""Everything that may use an app secret by its name: what must be empty before an inline secret is removed.

Wider than `planning.consumers`, which names uses for a reviewer: a use that is missed here breaks an app, so any text
that equals a secret's name counts, wherever it stands. Azure itself refuses the removal only for some uses, and leaves a
dangling scale rule behind (FACTS, section 1.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from migrator.model import Json
from migrator.veil import section

_NO_USE = frozenset({"id", "name", "type", "image", "location", "value"})
"""Keys whose texts name the thing itself: a container or an env entry called like a secret does not use it."""


def uses(
    name: str, names: Iterable[str], document: Json, auth: Json | None, revisions: Sequence[Json] = ()
) -> list[str]:
    """Places that use a secret of an app, as JSON paths, in order; empty when nothing does.

    Looked at are env and init env, volumes (one without a list mounts every secret), scale rules, registries, Dapr and
    everything else of the app's document, its sign-in settings, and the templates of its other active revisions.

    Args:
        name: Of the secret.
        names: Of all secrets of the app: a name that a revision shows and that is none of them was rewritten by Azure
            (ACA#1705), and may stand for any.
        document: The app's GET answer, or its veiled form.
        auth: authConfigs/current, if there is one.
        revisions: The app's revisions, as listed.
    """
    configuration = {
        key: part for key, part in (section(document, "properties", "configuration") or {}).items() if key != "secrets"
    }
    template = section(document, "properties", "template") or {}
    found = [*_named(configuration, name, "configuration"), *_named(template, name, "template"), *_mounted(template)]
    found += _named((auth or {}).get("properties") or {}, name, "authConfigs/current")
    known = {one.lower() for one in names}
    latest = section(document, "properties", "latestRevisionName")
    for revision in revisions:
        properties = revision.get("properties") or {}
        # what the latest one uses stands in the app itself, under the names that were given
        if properties.get("active") and revision.get("name") != latest:
            at = f"revisions/{revision.get('name')}"
            inner = properties.get("template") or {}
            found += [*_named(inner, name, at), *(f"{at}.{place}" for place in _mounted(inner))]
            found += [path for path, shown in _references(inner, at) if _stands_for(shown.lower(), name.lower(), known)]
    return sorted(dict.fromkeys(found))


def refers(template: Json, name: str) -> bool:
    """Whether a revision's template uses a secret; the name may be shown with a prefix (ACA#1705)."""
    return any(shown == name or shown.endswith(f"-{name}") for _, shown in _references(template, ""))


def _named(node: Any, name: str, path: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, item in node.items():
            if key not in _NO_USE or not isinstance(item, str):
                yield from _named(item, name, f"{path}.{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _named(item, name, f"{path}[{index}]")
    elif isinstance(node, str) and node.lower() == name.lower():
        yield path


def _mounted(template: Json) -> Iterator[str]:
    for index, volume in enumerate(template.get("volumes") or []):
        if str(volume.get("storageType")).lower() == "secret" and not volume.get("secrets"):
            yield f"template.volumes[{index}], which mounts every secret"


def _references(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, item in node.items():
            if key == "secretRef" and isinstance(item, str) and item:
                yield f"{path}.{key}", item
            else:
                yield from _references(item, f"{path}.{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _references(item, f"{path}[{index}]")


def _stands_for(shown: str, name: str, known: set[str]) -> bool:
    return shown == name or shown.endswith(f"-{name}") or shown not in known
