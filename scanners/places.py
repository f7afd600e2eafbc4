"""What a path says of the values below it.

A unit test's open nothing, an example's are there to be replaced, and in a copy of somebody else's code they are code.
Forms that a vendor made (keys, tokens, connection strings to Azure) mean what they say wherever they lie. What people make
up themselves, and what only its name tells, is worth what the place is worth.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from scanners.model import Origin
from scanners.words import words

if TYPE_CHECKING:
    from scanners.model import Finding, Match

Marked = TypeVar("Marked", "Match", "Finding")

_TESTS = words(
    "test tests testing spec specs e2e testdata fixture fixtures mock mocks unittest unittests integrationtest integrationtests"
)
_STAGES = words(
    "env envs environment environments stage stages overlay overlays params parameters config configs deploy"
)
"""Folders of settings: one called `test` in them is a place that things run in."""
_SETTINGS = words("tf tfvars bicep bicepparam")
_TEST_FILE = re.compile(
    r"(?:docker-)?compose[\w.-]*\.(?:tests?|e2e|ci)(?:\.[\w-]+)?\.ya?ml|(?:test_[\w-]+|conftest)\.py|[\w.-]+_(?:test|spec)\.(?:go|py|rs|rb|dart|cc|cpp|c|exs?)"
    r"|[\w.-]+\.(?:test|tests|spec|cy|e2e)\.[cm]?[jt]sx?|\w*[a-z](?:Tests?|Spec|IT)\.(?:java|kt|cs|fs|vb|scala|groovy|swift|php)"
)
_VENDORED = words(
    "node_modules bower_components site-packages dist-packages .venv venv vendor third_party thirdparty pods"
)
_BUNDLED = re.compile(r"(?i).*[.-](?:min|bundle|prod|chunk)\.(?:js|css|mjs|map)|.*/wwwroot/lib/.*")
_SEALED = re.compile(r"(?i)aspirate-state\.json|.*\.(?:enc|sops|sealed)(?:\.\w{1,8})?|.*sealed-?secrets?\.ya?ml")
"""Files whose values are encrypted by what wrote them."""
_TEXT = words("md mdx markdown rst adoc asciidoc")
_EXAMPLE = re.compile(r"(?i)(?:.*[._-])?(?:example|sample|dist)s?(?:\.[^/]*)?|\.?env\.template|sample\.env")


def in_test(path: str) -> bool:
    """Whether a file belongs to a test.

    Args:
        path: relative to the repository or to the folder that is looked at: what it lies in may be called anything.
    """
    *folders, name = path.replace("!", "").split("/")
    if _TEST_FILE.fullmatch(name):
        return True
    settings = name.rpartition(".")[2] in _SETTINGS
    above = ""
    for folder in folders:
        low = folder.lower()
        stage = low in ("test", "testing") and (settings or above in _STAGES)
        if not stage and any(re.split("[-_]", part.strip("_"))[-1] in _TESTS for part in low.split(".")):
            return True
        above = low
    return False


def in_copy(path: str) -> bool:
    """Whether a file holds what others made: packages that were checked in, minified scripts, encrypted values."""
    if _SEALED.fullmatch(path.rpartition("/")[2]):
        return True
    return not _VENDORED.isdisjoint(path.lower().split("/")[:-1]) or _BUNDLED.fullmatch(f"/{path}") is not None


def in_example(path: str) -> bool:
    """Whether a file is there to be read or to be copied: documentation, `.env.example`."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() in _TEXT or _EXAMPLE.fullmatch(name) is not None


def judged(found: Marked, path: str) -> Marked:
    """A match or a finding as its place has it.

    Args:
        found: what was found.
        path: of its file, as `in_test` takes it.
    """
    if found.weak or found.verified or found.origin is Origin.VENDOR:
        return found
    if in_test(path) or in_copy(path) or (found.origin is Origin.CHOSEN and in_example(path)):
        return replace(found, weak=True, severity=found.severity.weakened)
    return found
