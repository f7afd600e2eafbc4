"""Every key has an id and words, does one thing, and is in the documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from docs import keys

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("where", "owner"), keys.owners(), ids=[where for where, _ in keys.owners()])
def test_a_binding_has_an_id_and_a_tooltip(where: str, owner: type) -> None:
    found = list(keys.bindings(owner))
    assert found, f"{where} has no binding of its own: take it out of the list"
    for binding in found:
        assert binding.id, binding
        assert binding.tooltip, binding
        assert binding.description, binding


def test_ids_are_unique() -> None:
    ids = Counter(binding.id for _, owner in keys.owners() for binding in keys.bindings(owner))
    assert [name for name, number in ids.items() if number > 1] == []


@pytest.mark.parametrize(
    ("where", "owner"), [pair for pair in keys.owners() if pair[0] in keys.PAGES], ids=lambda value: str(value)[:12]
)
def test_no_key_means_two_things_on_a_page(where: str, owner: type) -> None:
    shared = [pair[1] for pair in keys.owners() if pair[0] in {"everywhere", "every page", "rows"}]
    taken = Counter(binding.key for one in (*shared, owner) for binding in keys.bindings(one))
    assert [key for key, number in taken.items() if number > 1] == []


def test_every_key_is_in_the_docs() -> None:
    text = keys.PAGE.read_text(encoding="utf-8")
    assert text == keys.written(text), "run: .venv/bin/python -m docs.keys"


def test_the_wizard_starts_without_the_sdk() -> None:
    """The Azure SDK and the scanners' heavy parts are imported behind the first frame."""
    probe = "import tui.app, sys, json; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(json.loads(done.stdout)) & {
        "azure",
        "msal",
        "hyperscan",
        "uvicorn",
        "starlette",
        "aiohttp",
        "jinja2",
    }


def test_no_page_tells_a_state_by_colour_alone() -> None:
    from tui import theme

    signs = [(sign, word) for sign, word, _ in theme.STATE.values()]
    assert all(sign.strip() and word for sign, word in signs)
    assert all(re.search(r"\S", sign) for sign, _ in theme.SEVERITY.values())
