"""Options that every command shares, and what they become."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrator.config import Config, load
from migrator.console import Console

if TYPE_CHECKING:
    from migrator import api

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("human", "json", "sarif", "markdown", "html", "csv")


@dataclass(frozen=True, slots=True)
class Settings:
    """Flags over environment over file."""

    config: Config
    console: Console
    cloud: str
    auth: str | None
    state_dir: Path | None
    state: str | None
    """Address of shared state; None or `local`: the state folder."""
    format: str
    verbose: bool

    def place(self, *, workers: int | None = None) -> api.Workplace:
        """Where the verbs of `migrator.api` work."""
        from migrator import api
        from migrator.shared import SharedState
        from migrator.state import StateFolder, default_folder

        return api.Workplace(
            cloud=self.cloud,
            auth=self.auth or "default",
            state=StateFolder((self.state_dir or default_folder()).expanduser()),
            shared=None if self.state in {None, "", "local"} else SharedState.parse(str(self.state)),
            workers=workers or self.config.get("workers", 8),
            propagation=60.0 * self.config.get("propagation_minutes", 25),
            proof=60.0 * self.config.get("proof_minutes", 15),
        )

    def scope(self, subscriptions: tuple[str, ...], groups: tuple[str, ...], apps: tuple[str, ...]) -> api.Scope:
        """Which apps are meant: flags, else the configuration."""
        from migrator import api

        return api.Scope(
            tuple(configured(self, "subscription", subscriptions) or ()),
            tuple(configured(self, "resource_group", groups) or ()),
            tuple(configured(self, "app", apps) or ()),
        )


def common(*, formats: tuple[str, ...] = FORMATS, cloud: bool = True, output: bool = True) -> Callable[[F], F]:
    """Add the shared options to a command; its first argument becomes `settings`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(**given: Any) -> Any:
            config = load(Path.cwd())
            color = False if given.pop("no_color") else config.get("color")
            folder = given.pop("state_dir") or config.get("state_dir")
            chosen = given.pop("format", None) or config.get("format")
            settings = Settings(
                config=config,
                console=Console(quiet=given.pop("quiet"), color=color, output=given.pop("output", None)),
                cloud=given.pop("cloud", None) or config.get("cloud", "public"),
                auth=given.pop("auth", None) or config.get("auth"),
                state_dir=Path(folder) if folder else None,
                state=given.pop("state") or config.get("state"),
                format=chosen if chosen in formats else (formats or FORMATS)[0],
                verbose=given.pop("verbose"),
            )
            if settings.verbose:
                from migrator.logs import to_stderr

                to_stderr()
            return function(settings, **given)

        options: list[Callable[[Any], Any]] = [
            click.option("-v", "--verbose", is_flag=True, help="Say more; show tracebacks."),
            click.option("--quiet", is_flag=True, help="No narration on standard error."),
            click.option("--no-color", is_flag=True, help="No colour."),
            click.option(
                "--state-dir", type=click.Path(path_type=Path), help="Folder of runs and the fingerprint key."
            ),
            click.option(
                "--state",
                metavar="URL",
                help="Runs and key of a team: azblob://ACCOUNT/CONTAINER/PREFIX; `local` is the folder [local].",
            ),
        ]
        if output:
            options.append(
                click.option(
                    "-o",
                    "--output",
                    type=click.Path(path_type=Path, dir_okay=False),
                    metavar="FILE",
                    help="Write to FILE instead of standard output.",
                )
            )
        if formats:
            options.append(
                click.option("--format", type=click.Choice(formats), help=f"Form of the output [{formats[0]}].")
            )
        if cloud:
            options.append(
                click.option(
                    "--auth",
                    type=click.Choice(["cli", "managed-identity", "environment", "device-code"]),
                    help="Sign in this way only [whatever works].",
                )
            )
            options.append(
                click.option("--cloud", metavar="NAME|FILE", help="public, china, usgov or a profile file [public].")
            )
        for option in options:
            wrapper = option(wrapper)
        return wrapper  # type: ignore[return-value] # click's decorators keep the function's shape

    return decorate


def scope_options(function: F) -> F:
    """Options that say which apps are meant."""
    for option in (
        click.option("--app", "apps", multiple=True, metavar="NAME", help="Only this app; may be repeated."),
        click.option(
            "--resource-group", "groups", multiple=True, metavar="G", help="Only this group; may be repeated."
        ),
        click.option(
            "--subscription", "subscriptions", multiple=True, metavar="S", help="Id or name; may be repeated [all]."
        ),
    ):
        function = option(function)
    return function


def configured(settings: Settings, key: str, given: Any) -> Any:
    """A flag's value, or the configuration's."""
    return given if given not in (None, ()) else settings.config.get(key, given)
