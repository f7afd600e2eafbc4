"""What a person at a terminal reads: the help, and what follows an answer that is not yes."""

from __future__ import annotations

import io
import sys

import pytest

from migrator.cli import main
from migrator.console import Console
from migrator.errors import KeyliftError


def test_the_help_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "\n  Find them:        keylift scan azure\n" in shown
    assert "\\b" not in shown


def test_an_answer_that_is_not_yes_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    with pytest.raises(KeyliftError) as told:
        Console(quiet=True).confirm("Apply this plan?", flag="--auto-approve")
    assert told.value.what == "nothing was changed"
    assert "--auto-approve" in told.value.hint
