"""Reads a folder of code for what it declares, constructs and reads. Looks at text; runs nothing."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from migrator.errors import UsageError
from migrator.passwordless.evidence import Code, Sight

_SOURCES = frozenset({".cs", ".py", ".js", ".mjs", ".ts", ".tsx", ".java", ".kt", ".go", ".fs", ".vb"})
_SETTINGS = frozenset({".json", ".yml", ".yaml", ".properties"})
_PASSED = frozenset({"node_modules", ".git", ".venv", "venv", "bin", "obj", "dist", "build", "target", "vendor", "__pycache__"})  # fmt: skip
_TESTS = re.compile(
    r"(?:^|/)(?:tests?|spec|__tests__)(?:/|$)|[._-](?:test|spec)s?\.\w+$|Tests?\.(?:cs|java)$", re.IGNORECASE
)
_LARGEST = 1024 * 1024
"""Bytes; what is larger was not written by hand."""
_MOST = 20_000
"""Files."""


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(files("migrator.passwordless").joinpath("detectors.toml").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _detectors() -> Mapping[str, Mapping[str, re.Pattern[str]]]:
    table = _table()
    return {
        kind: {
            name: re.compile(row["pattern"] if kind == "constructors" else row, re.MULTILINE)
            for name, row in group.items()
        }
        for kind, group in table.items()
    }


@dataclass(frozen=True, slots=True)
class Constructor:
    """One way to build a client from a secret."""

    services: tuple[str, ...]
    instead: Mapping[str, str]
    """Language (`cs`, `py`, `js`, `java`, `go`) -> what does without the secret."""


@lru_cache(maxsize=1)
def constructors() -> Mapping[str, Constructor]:
    """Every constructor that a `Sight` may name."""
    return {name: Constructor(tuple(row["services"]), row["instead"]) for name, row in _table()["constructors"].items()}


def language(path: str) -> str:
    """The language of a file as `Constructor.instead` calls it."""
    suffix = Path(path).suffix.lstrip(".")
    return {"mjs": "js", "ts": "js", "tsx": "js", "kt": "java"}.get(suffix, suffix)


def read_code(folder: Path) -> Code:
    """What the code below `folder` shows; tests, vendored and generated files do not count.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(
            f"--code {folder}: there is no such folder", hint="name the folder that the image is built from"
        )
    packages: dict[str, str] = {}
    constructors: list[Sight] = []
    mints: list[Sight] = []
    reads: dict[str, list[Sight]] = {}
    names: dict[str, list[Sight]] = {}
    verbs: dict[str, list[Sight]] = {}
    for path, text in _files(folder):
        packages.update(declared(path, text))
        if Path(path).suffix not in _SOURCES | _SETTINGS or _TESTS.search(path):
            continue
        for kind, what, name, sight in seen(path, text):
            if kind == "constructors":
                constructors.append(sight)
            elif kind == "mints":
                mints.append(sight)
            elif kind == "verbs":
                verbs.setdefault(what, []).append(sight)
            elif kind == "reads":
                reads.setdefault(name.lower(), []).append(sight)
            else:
                names.setdefault(f"{what}:{name}".lower(), []).append(sight)
    return Code(
        dict(sorted(packages.items())),
        tuple(sorted(constructors)),
        {name: tuple(sorted(found)) for name, found in sorted(reads.items())},
        {name: tuple(sorted(found)) for name, found in sorted(names.items())},
        {name: tuple(sorted(found)) for name, found in sorted(verbs.items())},
        tuple(sorted(mints)),
    )


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    number = 0
    for top, folders, members in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _PASSED)
        for member in sorted(members):
            path = Path(top, member)
            if not _wanted(member) or path.is_symlink():
                continue
            number += 1
            if number > _MOST:
                return
            try:
                if path.stat().st_size <= _LARGEST:
                    yield path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue  # what cannot be read proves nothing


def _wanted(name: str) -> bool:
    low = name.lower()
    return (
        Path(low).suffix in _SOURCES | _SETTINGS | {".csproj", ".fsproj", ".props", ".gradle", ".kts"}
        or low in {"pom.xml", "go.mod", "pyproject.toml", "host.json"}
        or re.fullmatch(r"requirements[\w.-]*\.txt", low) is not None
    )


def seen(path: str, text: str) -> Iterator[tuple[str, str, str, Sight]]:
    """`(kind, detector, name, place)` of everything that a text shows."""
    clients = _detectors()["clients"]
    for kind, group in _detectors().items():
        if kind == "clients":
            continue
        for what, pattern in group.items():
            # a verb alone says little: `upload` is of blobs where blobs are spoken of
            if kind == "verbs" and not clients[what.partition(".")[0]].search(text):
                continue
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                groups = match.groupdict()
                # `entity` and `sub` say which part of a service a call is about; every other group is a name
                entity = "/".join(found for key in ("entity", "sub") if (found := groups.pop(key, None)))
                name = next((found for found in groups.values() if found), "")
                yield kind, what, name, Sight(path, line, entity or what)


# Declared packages


_PACKAGE = {
    ".csproj": re.compile(r'<Package(?:Reference|Version)\s+Include="([^"]+)"(?:\s+Version="([^"]*)")?'),
    ".gradle": re.compile(r"""['"][\w.-]+:([\w.-]+):([\w.\-]+)['"]"""),
    "pom.xml": re.compile(r"<artifactId>([^<]+)</artifactId>\s*(?:<version>([^<]*)</version>)?"),
    "go.mod": re.compile(r"^\s*(?:require\s+)?([\w./-]+\.[\w./-]+)\s+(v[\w.+-]+)", re.MULTILINE),
    "requirements": re.compile(r"^\s*([A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*(?:[=~><!]=?\s*([\w.*]+))?", re.MULTILINE),
}
_LIKE = {".fsproj": ".csproj", ".props": ".csproj", ".kts": ".gradle"}


def declared(path: str, text: str) -> Iterator[tuple[str, str]]:
    """`(package, version)` that a file of a known name declares."""
    name, suffix = Path(path).name.lower(), Path(path).suffix.lower()
    if name == "package.json" or name.endswith(".deps.json"):
        yield from _of_json(text, name)
    elif name == "pyproject.toml":
        yield from _of_pyproject(text)
    elif name == "host.json":
        yield from _of_host(text)
    else:
        key = name if name in _PACKAGE else _LIKE.get(suffix, suffix)
        key = "requirements" if name.startswith("requirements") else key
        if key in _PACKAGE:
            for found in _PACKAGE[key].finditer(text):
                yield found[1].lower(), found[2] or ""


def _of_json(text: str, name: str) -> Iterator[tuple[str, str]]:
    try:
        table = json.loads(text)
    except ValueError:
        return
    if not isinstance(table, dict):
        return
    if name == "package.json":
        found = table.get("dependencies")
        yield from ((str(key).lower(), str(value)) for key, value in (found if isinstance(found, dict) else {}).items())
    else:
        libraries = table.get("libraries")
        for entry in libraries if isinstance(libraries, dict) else {}:
            package, _, version = str(entry).partition("/")
            yield package.lower(), version


def _of_pyproject(text: str) -> Iterator[tuple[str, str]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    listed = (table.get("project") or {}).get("dependencies") or []
    poetry = ((table.get("tool") or {}).get("poetry") or {}).get("dependencies") or {}
    for entry in [*listed, *poetry]:
        found = _PACKAGE["requirements"].match(str(entry))
        if found:
            yield found[1].lower(), found[2] or ""


def _of_host(text: str) -> Iterator[tuple[str, str]]:
    """The extension bundle of a Functions app, as a package: its range says which extensions there are."""
    try:
        bundle = json.loads(text).get("extensionBundle") or {}
    except (ValueError, AttributeError):
        return
    if bundle.get("version"):
        yield "functions-extension-bundle", str(bundle["version"])
