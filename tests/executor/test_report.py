"""A run's report: what was done, what proved it, what is left, and a drawing; nothing loads, no value is in it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from migrator import report
from migrator.output import _diagram, _report
from migrator.report import Picture, RunReport

from .contracts import PASSWORD, QUICK, finalize, shop
from .world import PLANTED, World, estate, running, two_apps


def told(world: World, run: str) -> tuple[RunReport, str, str]:
    found = report.of(run, world.journal)
    markdown, html = _report.markdown(found), _report.html(found)
    for text in (markdown, html):
        assert not any(value in text for value in (*PLANTED.values(), PASSWORD))
    assert "Content-Security-Policy" in html
    assert not re.search(r'(src|href)="', html)
    for drawing in re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL):
        ET.fromstring(drawing)
    return found, markdown, html


def test_a_migration_and_its_rollback(tmp_path: Path) -> None:
    with running(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        run = world.executor(by="ada@example.net (user, Azure CLI) on laptop").apply(world.plan()).run
        found, markdown, html = told(world, run)
        for text in (markdown, html):
            assert "applied by ada" in text
        assert [picture.plain for picture in found.before] == [
            ("env DB_CONNECTION",),
            ("secret microsoft-provider-authentication-secret",),
        ]
        assert found.after[0].identity == "id-api"
        assert found.after[0].reads == ("kv-shop/api-db-connection",)
        assert found.seconds is not None
        assert all(step.seconds is not None for _, steps in found.apps for step in steps)
        for text in (markdown, html):
            assert "api-db-connection" in text
            assert "replicas ready" in text
            assert "Where values still lie" in text
        assert html.count("<svg") == 2
        world.executor(by="bob").rollback(run)
        found, markdown, _ = told(world, run)
        assert [text.partition(", 2")[0] for text in found.by] == [
            "applied by ada@example.net (user, Azure CLI) on laptop",
            "rolled back by bob",
        ]
        assert found.after == found.before
        assert "rolled-back" in markdown


def test_a_contract(tmp_path: Path) -> None:
    with running(estate(*shop(), switches=QUICK), tmp_path) as world:
        run = world.executor().apply(world.plan()).run
        contract = world.executor().apply(finalize(world, run), point_of_no_return=True).run
        _, markdown, html = told(world, contract)
        for text in (markdown, html):
            assert "Contract of run" in text
            assert "oint of no return: passed" in text
            assert "still shows it" in text


def test_apps_of_one_name_are_drawn_apart() -> None:
    """As many as there are groups with an app of that name, and names that nobody should have."""
    pictures = [Picture("web", ("env KEY",), "", ()) for _ in range(3)] + [Picture("<b>&\x1b", (), "id<", ("a>b",))]
    drawing = _diagram.svg(pictures, "before")
    root = ET.fromstring(drawing)
    assert len([node for node in root.iter() if node.get("class") == "node app"]) == 4
    assert len([node for node in root.iter() if node.get("class") == "node plain"]) == 3
    assert "\x1b" not in drawing
    assert _diagram.svg(pictures * 11, "before").endswith("<p>4 more apps are not drawn.</p>")
    ET.fromstring(_diagram.svg([], "before"))
