"""What a path says of the values below it.

A unit test's open nothing, an example's are there to be replaced, and in a copy of somebody else's code they are code.
Forms that a vendor made (keys, tokens, connection strings to Azure) mean what they say wherever they lie. What people make
up themselves, and what only its name tells, is worth what the place is worth.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from scanners.lazy import lazily
from scanners.matches import Origin
from scanners.words import words

if TYPE_CHECKING:
    from scanners.matches import Match
    from scanners.model import Finding

Marked = TypeVar("Marked", "Match", "Finding")

_TESTS = words(
    "test tests testing spec specs e2e testdata fixture fixtures mock mocks unittest unittests integrationtest integrationtests"
    " cypress k6 loadtest loadtests perf playwright snapshots stubs"
)
_STAGES = words(
    "env envs environment environments stage stages overlay overlays params parameters config configs deploy"
)
"""Folders of settings: one called `test` in them is a place that things run in."""
_SETTINGS = words("tf tfvars bicep bicepparam")
_TEST_FILE = lazily(
    r"(?:docker-)?compose[\w.-]*\.(?:tests?|e2e|ci)(?:\.[\w-]+)?\.ya?ml|(?:test_[\w-]+|conftest)\.py|[\w.-]+_(?:test|spec)\.(?:go|py|rs|rb|dart|cc|cpp|c|exs?)"
    r"|[\w.-]+\.(?:test|tests|spec|cy|e2e)\.[cm]?[jt]sx?|(?:test|e2e|smoke)[-_][\w.-]+\.(?:[cm]?[jt]sx?|sh|ps1|http)|[\w.-]+[-_]tests?\.(?:[cm]?[jt]sx?|sh|ps1|http|py)|\w*[a-z](?:Tests?|Spec|IT)\.(?:java|kt|cs|fs|vb|scala|groovy|swift|php)"
)
_VENDORED = words(
    ".yarn node_modules bower_components site-packages dist-packages .venv venv vendor third_party thirdparty pods"
)
_BUNDLED = lazily(
    r"(?i).*[.-](?:min|bundle|prod|chunk)\.(?:[cm]?js|css)(?:\.map)?|.*\.(?:[cm]?js|css)\.map|.*/wwwroot/lib/.*"
    r"|.*/(?:dist|build|out|\.next|_next|_site|assets|public)/.*[.-](?=[a-z_-]{0,40}[0-9])[0-9a-z_-]{8,}\.(?:[cm]?js|css)"
)
_GENERATED = lazily(
    r"(?i).*\.html?|rfc\d{3,5}[\w-]{0,20}\.\w{2,4}|\.secrets\.baseline|.*\.(?:g|generated|designer|pb|pbobjc)\.\w{1,5}|.*\.snap|.*[.-]lock(?:\.(?:json|ya?ml|hcl))?|(?:package-lock|packages\.lock|npm-shrinkwrap|project\.assets)\.json"
    r"|.*\.lockb?|go\.sum|.*\.deps\.json"
)
"""Files that a tool writes, and pages, whose keys everybody sees: its snapshots, the versions it settled on, code made from a description."""
_SEALED = lazily(r"(?i)aspirate-state\.json|.*\.(?:enc|encrypted|sops|sealed)(?:\.\w{1,8})?|.*sealed-?secrets?\.ya?ml")
"""Files whose values are encrypted by what wrote them."""
_TEXT = words("md mdx markdown mdc rst adoc asciidoc")
_PAGES = words("html htm json xml ipynb txt yml yaml http bru")
_DOCUMENTATION = words("doc docs documentation docs_archive _site wiki apidocs api-docs swagger openapi tutorials")
"""Folders of what is read: pages and samples in them, not the scripts that build them."""
_DESCRIBED = lazily(r"(?i)(?:[\w.-]*[._-])?(?:openapi|swagger)(?:[._-][\w.-]*)?\.(?:json|ya?ml)")
_EXAMPLE = lazily(r"(?i)(?:.*[._-])?(?:example|sample|dist)s?(?:\.[^/]*)?|\.?env\.template|sample\.env")


def in_test(path: str) -> bool:
    """Whether a file belongs to a test.

    Args:
        path: relative to the repository or to the folder that is looked at: what it lies in may be called anything.
    """
    *folders, name = path.replace("!", "").split("/")
    if _TEST_FILE.fullmatch(name):
        return True
    if in_pipeline(path) and not _TRIES.isdisjoint(re.split(r"[^a-z0-9]+", name.rpartition(".")[0].lower())):
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
    name = path.rpartition("/")[2]
    if _SEALED.fullmatch(name) or _GENERATED.fullmatch(name):
        return True
    return not _VENDORED.isdisjoint(path.lower().split("/")[:-1]) or _BUNDLED.fullmatch(f"/{path}") is not None


def in_example(path: str) -> bool:
    """Whether a file is there to be read or to be copied: documentation, `.env.example`, the description of an API."""
    *folders, name = path.lower().split("/")
    kind = name.rpartition(".")[2]
    if kind in _TEXT or _EXAMPLE.fullmatch(name) or _DESCRIBED.fullmatch(name):
        return True
    return kind in _PAGES and not _DOCUMENTATION.isdisjoint(folders)


_PIPELINE = lazily(
    r"(?i)(?:.*/)?\.(?:github/workflows|circleci|gitlab)/.*\.ya?ml|(?:.*/)?(?:\.gitlab-ci|azure-pipelines|bitbucket-pipelines)[\w.-]*\.ya?ml"
)
_OF_A_SERVICE = words("env-password-word plain-password")
_SAMPLED = words("jwt authorization-header")
"""What documentation shows of these is a sample, or dead by now."""


_TRIES = words("test tests testing ci e2e check checks lint pr integration smoke unit quality")
"""Words in the names of pipelines that try something and put nothing into the world."""


def in_pipeline(path: str) -> bool:
    """Whether a file says what a build does: the databases it starts live as long as it runs."""
    return _PIPELINE.fullmatch(path) is not None


def judged(found: Marked, path: str) -> Marked:
    """A match or a finding as its place has it.

    Args:
        found: what was found.
        path: of its file, as `in_test` takes it.
    """
    if found.weak or found.verified or found.origin is Origin.VENDOR:
        return found
    if (
        # A key that no person typed opens something outside of the build that it is written into.
        (in_test(path) and not (found.origin is Origin.GENERATED and in_pipeline(path)))
        or in_copy(path)
        or ((found.origin is Origin.CHOSEN or found.rule in _SAMPLED) and in_example(path))
        or (found.rule in _OF_A_SERVICE and in_pipeline(path))
    ):
        return found.made_weak()
    return found
