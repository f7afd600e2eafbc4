"""Fixtures that several folders share, and the rule that nothing may be skipped where KEYLIFT_NO_SKIP=1."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from migrator.simulator.server import Simulator

ROOT = Path(__file__).resolve().parent.parent

# Hundreds of processes would each compile the Azure SDK anew where no bytecode may lie beside the sources.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))
# A shell ignores Ctrl-C for what it runs behind it, and processes hand that on: those that tests interrupt would not end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long a machine takes says nothing of what is tested, least of all where tests run side by side
settings.register_profile("keylift", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("keylift")

MAY_SKIP: dict[str, str] = {}
"""Tests that may be skipped even with KEYLIFT_NO_SKIP=1: the end of the node id -> why."""


def _forbidden(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return (
        os.environ.get("KEYLIFT_NO_SKIP") == "1"
        and report.skipped
        and not hasattr(report, "wasxfail")
        and not any(report.nodeid.endswith(name) for name in MAY_SKIP)
    )


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped, which KEYLIFT_NO_SKIP=1 forbids: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if _forbidden(report):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if _forbidden(report):
        _fail(report)
    return report


@pytest.fixture
def simulator() -> Iterator[Callable[..., Simulator]]:
    """Starts simulators that stop with the test: `simulator(estate, speed=60, ...)`."""
    with ExitStack() as stack:

        def start(estate: Any = None, **options: Any) -> Simulator:
            return stack.enter_context(Simulator(estate, **options))

        yield start


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the repository, with recordings and specifications."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
