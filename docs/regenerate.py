"""Write the `--help` text of every command into its page, the pages of the rules and of the surface: `python -m docs.regenerate`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
from click.testing import CliRunner

from docs import rulebook, servicebook, surfacebook
from migrator.cli import COMMANDS, keylift

FOLDER = Path(__file__).parent / "commands"


def commands() -> list[tuple[str, ...]]:
    """Every command that can be run, as its words."""
    found: list[tuple[str, ...]] = []
    context = click.Context(keylift)
    for name in COMMANDS:
        command = keylift.get_command(context, name)
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(context)]
        else:
            found.append((name,))
    return found


def page(command: tuple[str, ...]) -> Path:
    """The page of a command."""
    return FOLDER / f"{'-'.join(command)}.md"


def help_text(command: tuple[str, ...]) -> str:
    """What `--help` prints, at a fixed width."""
    return (
        CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1"})
        .invoke(keylift, [*command, "--help"], prog_name="keylift", terminal_width=100)
        .output
    )


HOOK = Path(__file__).parent / "hook.md"


def hook_block() -> str:
    """The block of `keylift-hook --help`, which is a program of its own."""
    run = "import sys; from scanners.hook import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", run, "--help"], capture_output=True, text=True, check=True)
    return f"```\n$ keylift-hook --help\n{done.stdout}```"


def main() -> None:
    """Rewrite the block in each page, of which a missing one is begun, and the pages that are made of data."""
    rulebook.write()
    surfacebook.write()
    servicebook.write()
    text = HOOK.read_text(encoding="utf-8")
    HOOK.write_text(
        re.sub(r"```\n\$ keylift-hook --help\n.*?```", lambda _: hook_block(), text, flags=re.DOTALL), encoding="utf-8"
    )
    for command in commands():
        path = page(command)
        words = " ".join(command)
        block = f"```\n$ keylift {words} --help\n{help_text(command)}```"
        begun = f"# keylift {words}\n\n```\n$ keylift {words} --help\n```\n"
        text = path.read_text(encoding="utf-8") if path.exists() else begun
        found = re.search(rf"```\n\$ keylift {re.escape(words)} --help\n.*?```", text, flags=re.DOTALL)
        if found is not None:
            path.write_text(text[: found.start()] + block + text[found.end() :], encoding="utf-8")


if __name__ == "__main__":
    main()
