"""`keylift scan`: find plaintext secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import click

from migrator.commands.common import Settings, common, scope_options
from scanners.model import Report


@click.group()
def scan() -> None:
    """Find plaintext secrets in a live estate or in files."""


@scan.command()
@scope_options
@click.option("--revisions", is_flag=True, help="Look at kept old revisions too (one more request for each app).")
@click.option("--images", is_flag=True, help="Look into the images that the apps run, too.")
@click.option(
    "--save-estate",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write the estate as read, every value replaced by a token.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Add findings of another scan or tool (SARIF, gitleaks, trufflehog, kingfisher, detect-secrets).",
)
@common()
def azure(
    settings: Settings,
    subscriptions: tuple[str, ...],
    groups: tuple[str, ...],
    apps: tuple[str, ...],
    revisions: bool,
    images: bool,
    save_estate: Path | None,
    imports: tuple[Path, ...],
) -> None:
    """Scan the container apps and jobs of a subscription, a group, or all you can read.

    Looks at env values, commands, probe headers and scale rules of apps and jobs, inline secrets, registry passwords,
    Dapr components, storages, certificates and settings of environments, tags, and registries with the admin user on.
    Listing inline secrets needs listSecrets (of containerApps, jobs, daprComponents) and is written to the activity log.

    Exits with 10 when something was found (with 0 for --format sarif).
    """
    from migrator import api
    from migrator.console import Pulling, write_file

    with Pulling(settings.console) as pulling:
        result = api.scan_azure(
            settings.place(),
            settings.scope(subscriptions, groups, apps),
            revisions=revisions,
            whole=save_estate is not None,
            images=images,
            on_bytes=pulling,
            tell=settings.console.say,
        )
    for note in result.report.notes:
        settings.console.say(f"note: {note['where']} {note['what']}")
    if save_estate is not None:
        write_file(save_estate, result.estate_file())
        settings.console.say(f"wrote {save_estate}")
    report = api.with_imports(settings.place(), result.report, imports)
    _finish(settings, report)


@scan.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--no-ignore", is_flag=True, help="Look at what .gitignore leaves out, too.")
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Add findings of another scan or tool (SARIF, gitleaks, trufflehog, kingfisher, detect-secrets).",
)
@common(cloud=False)
def files(settings: Settings, paths: tuple[Path, ...], no_ignore: bool, imports: tuple[Path, ...]) -> None:
    """Scan files and folders.

    Exits with 10 when something was found (with 0 for --format sarif).
    """
    from migrator import api
    from migrator.console import Pulling

    with Pulling(settings.console) as reading:
        found = api.scan_files(
            settings.place(), paths, ignore=not no_ignore, tell=settings.console.say, on_bytes=reading
        )
    report = api.with_imports(settings.place(), found, imports)
    _finish(settings, report)


@scan.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path, file_okay=False), default=".")
@click.option("--history", is_flag=True, help="Every version that any branch, tag or lost commit leads to.")
@click.option("--since", metavar="REV", help="What the history has beyond this revision.")
@click.option("--staged", is_flag=True, help="What the next commit would bring in.")
@click.option("--branch", "branches", multiple=True, metavar="B", help="Only this branch; may be repeated.")
@common(cloud=False)
def repo(
    settings: Settings, path: Path, history: bool, since: str | None, staged: bool, branches: tuple[str, ...]
) -> None:
    """Scan a git repository: its tracked files, or with --history every version ever committed.

    Findings of a history name the commit, author date and path that brought the value in, and whether it is still there.
    Nothing in the repository is run, changed or fetched.

    Exits with 10 when something was found (with 0 for --format sarif).
    """
    from migrator import api
    from migrator.console import Pulling

    with Pulling(settings.console) as reading:
        report = api.scan_repo(
            settings.place(),
            path,
            history=history,
            since=since,
            staged=staged,
            branches=branches,
            on_progress=reading.count,
        )
    _finish(settings, report)


@scan.command()
@click.argument("targets", nargs=-1, required=True, metavar="REF|FILE.tar|OCI_DIR|-")
@click.option("--platform", metavar="OS/ARCH", help="Of a multi-architecture image; or all [this machine's].")
@click.option(
    "--ca-file",
    type=click.Path(exists=True, path_type=Path, dir_okay=False),
    help="Trust these certificate authorities, too (PEM).",
)
@click.option("--plain-http", is_flag=True, help="Ask registries without TLS. This machine's own need no flag.")
@common()
def image(
    settings: Settings, targets: tuple[str, ...], platform: str | None, ca_file: Path | None, plain_http: bool
) -> None:
    """Scan container images: every file of every layer, deleted ones too, and the configuration.

    Takes references (registry.example.com/team/app:1.0), docker save and OCI tars, OCI layout folders, and - for a tar on
    standard input. Needs no container engine and unpacks nothing to disk. Layers that were scanned before under the same
    rules are not pulled again.

    Registries are signed in to as docker login left it; Azure registries also by your Azure account.

    Exits with 10 when something was found (with 0 for --format sarif).
    """
    from migrator import api
    from migrator.console import Pulling

    with Pulling(settings.console) as pulling:
        report = api.scan_image(
            settings.place(),
            targets,
            platform=platform,
            ca_file=ca_file,
            plain_http=plain_http,
            on_bytes=pulling,
            tell=settings.console.say,
        )
    for note in report.notes:
        settings.console.say(f"note: {note['where']} {note['what']}")
    _finish(settings, report)


def _finish(settings: Settings, report: Report) -> NoReturn:
    """Give the report, mark the lines in the log of GitHub Actions, and end with what was found."""
    from migrator import api, rendering
    from migrator.cli import Exit

    settings.console.emit(rendering.findings(settings.format, report, settings.console))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from migrator.output import github

        # GitHub reads commands from both streams, and standard output is data.
        click.echo(github.annotate(report), err=True, nl=False)
    found = api.findings_of(report) and settings.format != "sarif"
    raise click.exceptions.Exit(int(Exit.FINDINGS if found else Exit.OK))
