"""Every command is in the documentation, word for word as `--help` prints it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import servicebook
from docs.regenerate import HOOK, commands, help_text, hook_block, page

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_is_in_the_docs(command: tuple[str, ...]) -> None:
    text = page(command).read_text(encoding="utf-8")
    block = f"```\n$ keylift {' '.join(command)} --help\n{help_text(command)}```"
    assert block in text, "run: .venv/bin/python -m docs.regenerate"


def test_the_hooks_help_is_in_the_docs() -> None:
    assert hook_block() in HOOK.read_text(encoding="utf-8"), "run: .venv/bin/python -m docs.regenerate"


def test_every_command_page_is_reachable() -> None:
    index = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in commands():
        assert f"(commands/{page(command).name})" in index


@pytest.mark.parametrize("path", sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]), ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_page_of_services_is_what_the_tables_say() -> None:
    assert servicebook.PAGE.read_text(encoding="utf-8") == servicebook.page(), (
        "run: .venv/bin/python -m docs.regenerate"
    )
