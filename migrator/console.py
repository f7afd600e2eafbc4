"""What a command says while it works: narration on standard error, data on standard output or in a file."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from migrator.errors import KeyliftError, UsageError

if TYPE_CHECKING:
    from migrator.ports import Event


@dataclass(slots=True)
class Console:
    """Where a command's words go."""

    quiet: bool = False
    color: bool | None = None
    """None: as the terminal and NO_COLOR, FORCE_COLOR, TERM say."""
    output: Path | None = None

    @property
    def interactive(self) -> bool:
        """Whether a person watches standard error."""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")

    def colored(self, *, stream_is_tty: bool) -> bool:
        """Whether to use colour on a stream."""
        if self.color is not None:
            return self.color
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return stream_is_tty and os.environ.get("TERM") != "dumb"

    def say(self, text: str) -> None:
        """One line of narration."""
        if not self.quiet:
            click.echo(text, err=True)

    def emit(self, text: str) -> None:
        """The command's data: to the file named by --output, else to standard output.

        Raises:
            KeyliftError: the file cannot be written.
        """
        if self.output is None:
            click.echo(text, nl=not text.endswith("\n"), color=True)
            return
        write_file(self.output, text)
        self.say(f"wrote {self.output}")

    def confirm(self, question: str, *, flag: str, word: str = "yes", called: str = "'yes'") -> None:
        """Ask for `yes`, or another word; without a terminal on standard input, end with an error that names the flag.

        Args:
            question: Ends with a question mark.
            flag: Says yes beforehand.
            word: The answer that counts.
            called: What the question calls it.

        Raises:
            UsageError: nobody can answer.
            KeyliftError: the answer was another.
        """
        if not sys.stdin.isatty():
            raise UsageError(
                "this needs a yes, and standard input is no terminal", hint=f"add {flag} to say yes beforehand"
            )
        if click.prompt(f"{question} Only {called} is accepted", err=True, default="no", show_default=False) != word:
            raise KeyliftError(
                "nothing was changed", why=f"the answer was not {called}", hint=f"answer {called}, or add {flag}"
            )

    def width(self) -> int:
        """Columns to lay text out in."""
        import shutil

        return shutil.get_terminal_size((100, 24)).columns


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; what a link leads to, not the link.

    A device or a pipe is written to: put in its place, a file would take `/dev/null` from the whole machine.

    Raises:
        KeyliftError: it cannot be written.
    """
    special = path.exists() and not path.is_file()
    whole = path if special else path.resolve()
    temporary = whole.with_name(f".{whole.name}.{os.getpid()}")
    try:
        if special:
            path.write_text(text, encoding="utf-8")
            return
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(whole)
    except OSError as error:
        if not special:
            temporary.unlink(missing_ok=True)
        raise KeyliftError(
            f"{path} cannot be written", why=error.strerror or type(error).__name__, hint="name another file: --output"
        ) from error


class Narrator:
    """Tells a run as it goes: one line a step, on a terminal with a spinner on the steps at work."""

    def __init__(self, console: Console, total: int = 0) -> None:
        """Prepare to tell of `total` steps; 0 when their number is not known."""
        self.console = console
        self.total = total
        self.done = 0
        self.started = time.monotonic()
        self._status = None
        self._busy: dict[str, str] = {}
        self._apps: dict[str, str] = {}
        """What ids of steps call an app: its name, with the group where two have it."""
        if console.interactive and not console.quiet:
            from rich.console import Console as RichConsole
            from rich.status import Status

            self._status = Status("starting", console=RichConsole(stderr=True, highlight=False))
            self._status.start()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if event.app and event.step:
            self._apps[event.app] = event.step.partition("/")[0]
        if event.kind == "step-started":
            self._busy[event.step] = ""
        elif event.kind == "step-waiting":
            self._busy[event.step] = event.text
        else:
            self._busy.pop(event.step, None)
            self._line(event)
        if self._status is not None:
            busy = ", ".join(f"{step} ({text})" if text else step for step, text in list(self._busy.items())[:3])
            counted = f"{self.done}/{self.total}" if self.total else f"{self.done} done"
            self._status.update(f"{counted}  {busy}")

    def _line(self, event: Event) -> None:
        marks = {
            "step-done": "done",
            "step-adopted": "was so",
            "step-failed": "FAILED",
            "step-undone": "undone",
            "app-done": "APP OK",
            "app-failed": "APP FAILED",
            "app-rolled-back": "ROLLED BACK",
            "run-done": "RUN",
            "note": "note",
        }
        if event.kind in {"step-done", "step-adopted"}:
            self.done += 1
        elapsed = time.monotonic() - self.started
        subject = event.step or self._apps.get(event.app) or event.app.rsplit("/", 1)[-1]
        told = ": ".join(part for part in (subject, event.text) if part)
        self._print(f"{elapsed:6.1f}s  {marks.get(event.kind, event.kind):<11} {told}")

    def _print(self, text: str) -> None:
        if self._status is not None:
            # printing through the status keeps its line at the bottom
            self._status.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self.console.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()


class Pulling:
    """Bytes read, rate and what is left, on a terminal only."""

    def __init__(self, console: Console) -> None:
        """Nothing is shown before the first bytes."""
        self._started = time.monotonic()
        self._shown = 0.0
        self._on = console.interactive and not console.quiet
        self._line = False

    def __call__(self, done: int, total: int) -> None:
        """Take how many bytes of how many were read."""
        self.count("bytes", done, total)

    def count(self, what: str, done: int, total: int) -> None:
        """Take how many of what were done, of how many; bytes are told in MiB."""
        now = time.monotonic()
        if not self._on or now - self._shown < 0.1:
            return
        self._shown = now
        unit, places, many = ("MiB", 1, 1024 * 1024) if what == "bytes" else (what, 0, 1)
        rate = done / max(0.001, now - self._started)
        left = (total - done) / rate if rate else 0
        text = (
            f"{done / many:,.0f} of {total / many:,.0f} {unit}, {rate / many:,.{places}f} {unit}/s, {left:,.0f} s left"
        )
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
        self._line = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line:
            click.echo("\r\x1b[K", err=True, nl=False)
