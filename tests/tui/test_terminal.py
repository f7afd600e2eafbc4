"""The wizard in a real terminal, driven by keys through tmux; screens are kept as text."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from .driving import CANARY, cloud, shop

ROOT = Path(__file__).parents[2]


class Terminal:
    """One tmux server of its own with one window."""

    def __init__(self, size: tuple[int, int], command: str, folder: Path) -> None:
        self._socket = f"keylift-{uuid.uuid4().hex[:8]}"
        width, height = size
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), command, cwd=folder)

    def tmux(self, *arguments: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)},
        )
        return done.stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", *(["-l", key[1:]] if key.startswith("'") else [key]))
            time.sleep(0.05)  # an Escape and a letter right after it would be another key

    def until(self, *texts: str) -> str:
        began = time.monotonic()
        while not all(text in (screen := self.screen()) for text in texts):
            assert time.monotonic() - began < 180, f"waited for {texts}:\n{screen}"
            time.sleep(0.1)
        return screen

    def page(self, *texts: str) -> str:
        """A page that is painted from its head to its foot: a terminal shows what is half-way there, too."""
        began = time.monotonic()
        while True:
            screen = self.until(*texts)
            lines = screen.rstrip("\n").split("\n")
            if "1 Scope" in lines[0] and "palette" in lines[-1]:
                return screen
            assert time.monotonic() - began < 180, f"waited for head and foot:\n{screen}"
            time.sleep(0.1)

    def confirm(self, question: str, word: str) -> None:
        """Type the word that a question asks for, once its dialog stands and takes keys."""
        began = time.monotonic()
        self.until(question, "Cancel")
        while True:
            # what was typed may be on its way still
            before = ""
            while before != (before := self.screen()):
                time.sleep(0.5)
            if word in before.replace(f"type: {word}", ""):
                break
            assert time.monotonic() - began < 180, f"{word!r} could not be typed:\n{before}"
            # a key that came before the dialog had the focus did nothing: from Cancel, one step back is the word
            self.keys("BTab", f"'{word}")
        self.keys("Enter")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], check=False, capture_output=True)


@pytest.mark.skipif(sys.platform != "linux", reason="a terminal of its own is made as Linux does it")
@pytest.mark.parametrize("last", [b"1049l", b"Enter"], ids=["while it ends", "while it is open"])
def test_no_process_is_left_when_the_terminal_closes(tmp_path: Path, last: bytes) -> None:
    """The kernel sends SIGHUP and, right behind it, SIGCONT: which asks a program to take its terminal again."""
    import fcntl
    import pty
    import termios

    with cloud(shop(), tmp_path) as (_, place):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "migrator", "wizard", "--cloud", place.cloud]
        process = subprocess.Popen(
            [*command, "--state-dir", str(place.state.path)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - nothing of the parent is touched
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
        )
        os.close(theirs)
        try:
            shown = b""
            while b"Enter" not in shown:  # the pages take keys
                shown += os.read(ours, 65536)
            if last == b"1049l":
                os.write(ours, b"\x11")
            while last not in shown:
                shown += os.read(ours, 65536)
            os.close(ours)
            process.wait(20)
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_whole_journey_in_a_terminal(tmp_path: Path, size: tuple[int, int]) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("no tmux here; apt-get install tmux")
    with cloud(shop(), tmp_path) as (_, place):
        state = place.state.path
        command = f"{sys.executable} -m migrator wizard --cloud {place.cloud} --state-dir {state}"
        terminal = Terminal(size, command, tmp_path)
        kept: list[str] = []
        try:
            kept.append(terminal.page("2 of 2 apps picked", "Enter ▸ Scan"))
            terminal.keys("Enter")
            kept.append(terminal.page("Enter ▸ Findings", "done"))
            terminal.keys("Enter")
            kept.append(terminal.page("DB_PASSWORD", "Enter ▸ Mapping"))
            terminal.keys("Enter")
            kept.append(terminal.page("into kv-one", "Enter ▸ Review"))
            terminal.keys("Enter")
            kept.append(terminal.page("no right lacked", "not rehearsed (h)", "Enter ▸ Apply"))
            if size == (80, 24):
                terminal.keys("h")
                kept.append(terminal.page("✓ Rehearsal ended well", "rehearsed well", "Enter ▸ Apply"))
            terminal.keys("Enter")
            terminal.until("Enter ▸ apply this plan")
            terminal.keys("Enter")
            terminal.confirm("Apply this plan?", "apply 2 apps")
            kept.append(terminal.page("2 done", "Enter ▸ Proof"))
            terminal.keys("Enter")
            kept.append(terminal.page("everything is as the run left it"))
            terminal.keys("b")
            terminal.confirm("back?", "roll back 2 apps")
            kept.append(terminal.page("2 rolled back"))
            terminal.keys("C-q")
        finally:
            terminal.close()
    (tmp_path / "screens.txt").write_text("\n".join(kept), encoding="utf-8")
    assert CANARY not in "".join(kept)
    for text in kept:
        lines = text.rstrip("\n").split("\n")
        assert len(lines) <= size[1]
        assert "1 Scope" in lines[0]
        assert "palette" in lines[-1]
