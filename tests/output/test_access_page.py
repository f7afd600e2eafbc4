"""Who can read what, as a page: a graph before and after that loads nothing, opened in a browser."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from migrator.access import access
from migrator.access_report import AccessReport, Comparison
from migrator.foreseen import foreseen
from migrator.model import AppSecret, Denial, Group, Resource
from migrator.output import _access, _access_page
from migrator.output._graph import Graph
from tests.planner import estates
from tests.planner.estates import PASSWORD, TOKEN, Spec
from tests.test_access import DENY, STORAGE, STORED

from .samples import NASTY
from .test_places import chromium, opened

__all__ = ["chromium"]
USER = estates.SECRETS_USER
OWN = "11111111-aaaa-4aaa-8aaa-111111111111"


def told() -> tuple[AccessReport, Comparison]:
    """Two apps, one of them with a name that nobody should have, and the plan that moves their values."""
    specs = (
        Spec(name="orders", inline={"db": PASSWORD}, identity=estates.with_identities("id-orders")),
        Spec(name=NASTY, env={"TOKEN": TOKEN}),
    )
    from scanners.model import Secret

    parts = {
        "identities": (estates.identity("id-orders", OWN),),
        "assignments": (
            estates.assignment("wide", estates.VAULT_ID, USER, "team", principal_type="Group"),
            estates.assignment(
                "one", f"{estates.VAULT_ID}/secrets/x", USER, OWN, condition="@Resource[x] StringEquals 'y'"
            ),
        ),
        "groups": (Group("team", frozenset({OWN})),),
        "denials": (Denial("d", "d", f"{estates.VAULT_ID}/secrets/never", (DENY,), frozenset({OWN})),),
        "targets": (Resource(STORAGE, {"name": "stshop"}),),
    }
    estate = estates.estate(*specs, **parts)
    orders, other = estate.apps
    estate = replace(
        estate, apps=(replace(orders, secrets=(*orders.secrets, AppSecret("store", Secret(STORED)))), other)
    )
    findings = [finding for spec in specs for finding in spec.findings()]
    from migrator import planner
    from migrator.planning.options import Options

    plan = planner.plan(estate, findings, Options("kv-shop"), estates.KEY)
    now = access(estate)
    return now, Comparison(f"plan {plan.id}", now, access(foreseen(estate, plan.steps)))


def test_no_value_and_nothing_foreign_is_in_it() -> None:
    report, compared = told()
    page = _access_page.html(report, compared)
    for text in (page, _access.human(report, compared), _access.as_json(report, compared)):
        assert not any(value in text for value in (PASSWORD, TOKEN, STORED))
    assert "\x1b" not in page + _access.human(report, compared)
    assert "<b>" not in page
    assert not re.search(r'(src|href)="', page)
    assert page.count("<script>") == 1
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 2
    keys = [
        node.get("data-key") for drawing in drawings for node in ET.fromstring(drawing).iter() if node.get("data-key")
    ]
    assert len(keys) == len(set(keys))


def test_before_and_after_are_drawn_apart() -> None:
    report, compared = told()
    before, after = re.findall(r"<svg.*?</svg>", _access_page.html(report, compared), flags=re.DOTALL)
    assert "1 value in plain text" in before
    assert 'class="node plain"' in before
    assert before.count('class="node secret"') < after.count('class="node secret"')
    assert "kv-shop/orders-db" in after
    assert "kv-shop/every secret but never" in before
    assert 'class="edge wide"' in before, "the group opens more than is referred to"
    assert 'class="edge maybe"' in before, "whether a condition holds is not known"
    assert 'class="node target"' in before
    assert "through group team" in before


def test_the_tables_of_a_terminal() -> None:
    report, compared = told()
    text = _access.human(report, compared)
    assert re.search(r"id-orders +kv-shop/\*.* kv-shop/orders-db", text)
    assert "stshop" in text
    assert "az ad group member remove --group team" in text


@pytest.mark.parametrize(("anchor", "boxes"), [("", 0), ("stshop", 4), ("no-such-thing", None), ("%E0%A4%A", 0)])
def test_the_page_works_in_a_browser(chromium: str, tmp_path: Path, anchor: str, boxes: int | None) -> None:
    page = tmp_path / "access.html"
    page.write_text(_access_page.html(*told()))
    document = opened(chromium, page, anchor, tmp_path / "profile")
    whole = len(re.findall(r"<g class=\"node", document))
    lit = len([node for node in re.findall(r'<g class="(node[^"]*)"', document) if "dim" not in node])
    assert whole > 8
    assert lit == (0 if boxes is None else boxes or whole)
    assert f"<output>{lit} of {whole} boxes" in document


def test_what_is_in_a_vault_afterwards_is_drawn_as_such() -> None:
    """A key that became a reference opens what it opened, and is in plain text no more; one that gave way opens nothing."""
    from migrator.model import Step
    from scanners.model import Secret

    spec = Spec(name="shop", env={"STORE": STORED, "OTHER": STORED}, inline={"db": PASSWORD})
    estate = estates.estate(spec, targets=(Resource(STORAGE, {"name": "stshop"}),))
    (shop,) = estate.apps
    url = "https://kv-shop.vault.azure.net/secrets/shop-store"
    path = "properties.template.containers[0].env[0].value"
    change = {
        "secrets": [{"name": "store", "key_vault_url": url, "identity": "system"}],
        "env": [{"path": path, "env": "STORE", "secret": "store", "container": "main"}],
        "swaps": {"env": [{"container": shop.document["properties"]["template"]["containers"][0]["name"], "init": False, "drop": [{"env": "OTHER"}], "put": [{"env": "OTHER__serviceUri", "value": "https://stshop.blob.core.windows.net"}]}]},
    }  # fmt: skip
    step = Step(id="s", kind="app-switch", target=shop.id, app=shop.id, change=change, undo={}, why="", permission="")
    after = access(foreseen(estate, [step]))
    (before_one,), (after_one,) = access(estate).resources, after.resources
    assert before_one.by == ((shop.id, "env OTHER"), (shop.id, "env STORE"))
    assert after_one.by == ((shop.id, "store"),)
    assert next(one.env for one in after.kept) == ("OTHER__serviceUri",)
    assert isinstance(foreseen(estate, [step]).apps[0].secrets[-1].value, Secret)
    compared = Comparison("plan p", access(estate), after)
    (moved,) = compared.as_dict()["resources"]
    assert [one["name"] for one in moved["before"]] == ["env OTHER", "env STORE"]
    assert [one["name"] for one in moved["after"]] == ["store"]
    assert re.search(r"stshop +shop env OTHER, shop env STORE +shop store", _access.human(after, compared))
    assert "<td>shop env OTHER, shop env STORE</td><td>shop store</td>" in _access_page.html(after, compared)
    assert 'class="edge bare"' in _access_page.graph(access(estate), "x").partition("node target")[0]
    assert "which lies in a vault, opens it" in _access_page.graph(after, "x")
    assert "a key of it lies in the app" not in _access_page.graph(after, "x")


def test_labels_keep_within_their_boxes() -> None:
    """A font is not asked: by the widest of usual ones no label runs over its box of 250 pixels."""
    drawn = Graph("t", "t/")
    for number, label in enumerate(("W" * 40, "0" * 40, "1 value in plain text in nightly", "kv-one/every secret")):
        drawn.box(0, "app", str(number), label)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn.svg())
    assert texts[2:] == ["1 value in plain text in nightly", "kv-one/every secret"]
    assert [len(text) for text in texts[:2]] == [19, 28]
    assert all(text.endswith("…") for text in texts[:2])
