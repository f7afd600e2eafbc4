"""One engine of each kind for all scanner tests: compiling the rules takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanners import ruleset
from scanners.engine import Engine
from scanners.model import Fingerprinter
from scanners.ruleset import RuleSet

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="session")
def rules() -> RuleSet:
    return ruleset.parse(ruleset.rule_files())


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    # Kept beside the run's other temporary folders, so that processes of one run share what one of them compiled.
    folder = tmp_path_factory.getbasetemp().parent / f"rules-{os.getuid()}"
    return Engine.load(folder)


@pytest.fixture(scope="session")
def plain_engine() -> Engine:
    return Engine.load(plain=True)


@pytest.fixture
def fingerprinter() -> Fingerprinter:
    return Fingerprinter(b"\x07" * 32)
