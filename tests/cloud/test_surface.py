"""The whole surface read from a cloud: every value is found where it lies, and a saved estate has none of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from migrator import api
from migrator.cloud import reading
from migrator.cloud.reading import Scope
from migrator.model import Estate
from migrator.snapshot import estate_document
from scanners.engine import Engine
from scanners.model import AzureLocation, Fingerprinter, Report
from scanners.surface import REVISION, ROWS, Does, row_at
from tests import surfaces

from .world import World, running

KEY = Fingerprinter(b"k" * 32)
UNTOLD = {
    # Azure does not tell whether these are set
    *(16, 17),
    # written once, and no trace of them is shown
    *(25, 26),
    # registries are read beside the surface
    35,
}


@dataclass
class Read:
    estate: Estate
    report: Report
    requests: list[str]


def read(world: World) -> Read:
    estate = reading.read_estate(world.session, Scope(), with_revisions=True, with_auth=True)
    return Read(estate, api.scan_estate(estate, Engine.load(), KEY), world.requests())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    with running(surfaces.estate(), tmp_path_factory.mktemp("world")) as world:
        yield read(world)


def rows(report: Report) -> set[int]:
    found = set()
    for finding in report.findings:
        assert isinstance(finding.location, AzureLocation)
        row = row_at(finding.location.resource, finding.location.path)
        assert row is not None, finding.location
        found.add(row.number)
    return found


def test_every_row_that_can_be_seen_is_found(whole: Read) -> None:
    assert whole.estate.errors == ()
    nothing = {row.number for row in ROWS if row.does is Does.NOTHING}
    assert rows(whole.report) == set(range(1, 37)) - nothing - UNTOLD


def test_the_value_of_each_place_is_told_by_its_fingerprint(whole: Read) -> None:
    found = {
        (finding.location.resource.lower(), finding.location.path): finding.fingerprint
        for finding in whole.report.findings
        if isinstance(finding.location, AzureLocation)
    }
    for row, kind, path in surfaces.planted():
        # of an http rule (which this rule is, too) a revision shows the number of requests only
        hidden = kind == REVISION and ".scale.rules" in row.path
        if not row.path.endswith("passwordSecretRef") and not hidden:
            assert found[surfaces.IDS[kind].lower(), path] == KEY.of(surfaces.canary(row, kind)), path


def test_no_report_shows_a_value(whole: Read) -> None:
    text = json.dumps([finding.as_dict() for finding in whole.report.findings])
    for row, kind, _ in surfaces.planted():
        assert surfaces.canary(row, kind) not in text
    assert "never-shown" not in text


def test_a_saved_estate_has_tokens_everywhere_and_is_found_again(whole: Read, tmp_path: Path) -> None:
    document = estate_document(whole.estate, KEY, revisions=True)
    text = json.dumps(document)
    for row, kind, path in surfaces.planted():
        assert surfaces.canary(row, kind) not in text, path
    with running(document, tmp_path) as world:
        again = read(world)
    assert again.estate.errors == ()
    assert [job.name for job in again.estate.jobs] == ["nightly"]
    assert len(again.estate.jobs[0].revisions) == 1
    assert {part.id.lower() for part in again.estate.parts} == {part.id.lower() for part in whole.estate.parts}


def test_a_scan_of_named_apps_asks_for_no_more(tmp_path: Path) -> None:
    with running(surfaces.estate(), tmp_path) as world:
        estate = reading.read_estate(world.session, Scope(apps=("nightly",)))
        asked = "\n".join(world.requests()).lower()
    assert [job.name for job in estate.workloads] == ["nightly"]
    assert estate.parts == ()
    assert "daprcomponents" not in asked
    assert "containerapps/web/listsecrets" not in asked


def test_a_kind_that_may_not_be_read_hides_nothing_else(tmp_path: Path) -> None:
    with running(surfaces.estate(), tmp_path) as world:
        world.fault(method="GET", path=r"/daprComponents", status=403, code="AuthorizationFailed", message="no")
        estate = reading.read_estate(world.session, Scope())
    assert len(estate.errors) == 1
    assert "daprComponents" in estate.errors[0]["where"]
    assert {part.kind.rpartition("/")[2] for part in estate.parts} > {"storages", "certificates", "javacomponents"}
