"""The command line: parses, calls one function of `migrator.api`, renders, and maps errors to exit codes.

Standard output is data, standard error is narration. Commands live in `migrator.commands`, one file a group, and are
imported when they are called for; they import `migrator.api` only when they run, so that `--help` costs little.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from enum import IntEnum

import click

from migrator.errors import KeyliftError, StaleError


class Exit(IntEnum):
    """Exit codes, as `docs/commands.md` promises them."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    BASELINE = 3
    FINDINGS = 10
    STALE = 11
    ROLLED_BACK = 12
    NEEDS_PERSON = 13
    INTERRUPTED = 130


COMMANDS = {
    "scan": "scan",
    "plan": "plan",
    "show": "plan",
    "rehearse": "rehearse",
    "apply": "run",
    "runs": "run",
    "status": "run",
    "resume": "run",
    "rollback": "run",
    "verify": "run",
    "unlock": "unlock",
    "finalize": "finalize",
    "drift": "drift",
    "access": "access",
    "export": "export",
    "wizard": "wizard",
    "demo": "demo",
    "simulator": "simulator",
}
"""Command -> module in `migrator.commands`; the function there has the command's name."""


class LazyGroup(click.Group):
    """A group that imports a command's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"migrator.commands.{module}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"migrator.commands.{module}.{cmd_name} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise click.UsageError(
                f"No such command '{args[0]}'." + (f" Did you mean '{near[0]}'?" if near else ""), ctx
            )
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="keylift", prog_name="keylift")
def keylift() -> None:
    """Take the plaintext secrets out of Azure Container Apps.

    \b
    Find them:        keylift scan azure
    Plan the move:    keylift plan --vault NAME -o plan.json
    Read the plan:    keylift show plan.json
    Try it safely:    keylift rehearse plan.json
    Make it so:       keylift apply plan.json
    Prove it:         keylift verify RUN
    Take it back:     keylift rollback RUN
    Make it final:    keylift finalize RUN -o final.json

    Step by step on screen: keylift wizard

    Try it all without Azure: keylift demo, or keylift wizard --demo
    """  # noqa: D301 - click knows the character \b, not the two characters that a raw string has


def report(error: KeyliftError, *, verbose: bool) -> None:
    """Say what happened, why, and the way out, on standard error."""
    click.echo(f"error: {error.what}", err=True)
    if error.why:
        click.echo(f"  why: {error.why}", err=True)
    click.echo(f"  next: {error.hint}", err=True)
    if verbose:
        _trace(error)


def _trace(error: Exception) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)


def exit_code(error: KeyliftError) -> Exit:
    """The exit code of an error; the one place where it is decided."""
    return Exit.STALE if isinstance(error, StaleError) else Exit.ERROR


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `keylift` command."""
    arguments = sys.argv[1:] if arguments is None else arguments
    # Most of what a command makes while it starts lives as long as it does: looking through it over and over finds nothing.
    gc.set_threshold(20_000)
    # The end of the process gives all of it back at once: taking it apart first is a twentieth of a scan's time.
    atexit.register(gc.freeze)
    verbose = any(a == "--verbose" or (a.startswith("-v") and set(a[1:]) == {"v"}) for a in arguments)
    try:
        code = keylift.main(args=arguments, prog_name="keylift", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        code = Exit.INTERRUPTED
    except click.ClickException as error:
        # a typo must not look like "changes are planned", which is what 2 means here
        error.show()
        code = Exit.ERROR
    except KeyliftError as error:
        report(error, verbose=verbose)
        code = exit_code(error)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # the reader of standard output went away (`keylift ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.ERROR
    except Exception as error:  # noqa: BLE001 - the last line before the user: no traceback without -v
        click.echo(f"error: keylift failed in a way it does not know ({type(error).__name__})", err=True)
        click.echo("  next: run the same command with -v and report what it prints", err=True)
        if verbose:
            _trace(error)
        code = Exit.ERROR
    sys.exit(int(code) if isinstance(code, int) else 0)
