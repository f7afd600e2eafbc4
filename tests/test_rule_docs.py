"""Every rule is documented where findings and SARIF say it is, and the pages are what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import rulebook
from migrator.about import HOME, rule_page
from scanners import plugins, ruleset
from scanners.images import secret_files
from scanners.structural import STRUCTURAL_RULES

DOCS = Path(__file__).parents[1] / "docs"
PAGES = rulebook.pages()
AGAIN = "run: .venv/bin/python -m docs.regenerate"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_are_what_the_rules_say(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], AGAIN


def test_no_page_is_left_of_a_family_that_is_gone() -> None:
    assert {f"rules/{path.name}" for path in (DOCS / "rules").glob("*.md")} == set(PAGES) - {"rules.md"}, AGAIN


def ids() -> set[str]:
    rules = {rule.id for rule in ruleset.parse(ruleset.rule_files())}
    return rules | {rule.id for rule in STRUCTURAL_RULES} | {plugins.RULE, secret_files.RULE}


def test_every_rule_has_one_heading_and_one_anchor() -> None:
    headings = [
        heading
        for name, text in PAGES.items()
        if name != "rules.md"
        for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)
    ]
    anchors = re.findall(r'<a id="([^"]+)"></a>', PAGES["rules.md"])
    assert sorted(headings) == sorted(ids())
    assert sorted(anchors) == sorted(ids())


def test_links_of_sarif_lead_there() -> None:
    for rule in ids():
        page, _, anchor = rule_page(rule).partition("#")
        assert page == f"{HOME}/blob/main/docs/rules.md"
        assert f'<a id="{anchor}"></a>' in PAGES["rules.md"]


def test_anchors_of_the_index_lead_to_headings() -> None:
    links = re.findall(r"\]\((rules/[^)#]+)#([^)]+)\)", PAGES["rules.md"])
    assert len(links) == len(ids())
    for page, anchor in links:
        assert f"\n## {anchor}\n" in PAGES[page]


def test_every_rule_says_what_to_do() -> None:
    for name, text in PAGES.items():
        if name == "rules.md":
            continue
        for section in text.split("\n## ")[1:]:
            assert "\nFinds: " in section, section
            assert "\nWhat to do: " in section, section
