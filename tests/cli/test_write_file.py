"""Where a report is written: whole or not at all, through links, and into what is no file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from migrator.console import write_file
from migrator.errors import KeyliftError


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    for text in ("one\n", "two\n"):
        write_file(path, text)
        assert path.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old\n")
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    write_file(link, "new\n")
    assert link.is_symlink()
    assert (tmp_path / "real.json").read_text() == "new\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "said\n")
    reader.join()
    assert heard == ["said\n"]
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyliftError, match="cannot be written"):
        write_file(tmp_path / "missing" / "out.json", "text\n")
    with pytest.raises(KeyliftError, match="cannot be written"):
        write_file(tmp_path, "text\n")
    assert list(tmp_path.iterdir()) == []
