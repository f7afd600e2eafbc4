"""`keylift plan` and `keylift show`: propose, and read what is proposed."""

from __future__ import annotations

from pathlib import Path

import click

from migrator.commands.common import Settings, common, configured, scope_options


@click.command()
@click.option("--vault", metavar="NAME|ID", help="The Key Vault that takes the values; it must exist.")
@scope_options
@click.option(
    "--identity",
    metavar="user|system|ID",
    help="Identity of each app: one of its own, the system one, or this one [user].",
)
@click.option(
    "--vault-secret-name", metavar="TEMPLATE", help="Name of vault secrets; {app}, {name}, {group} [{app}-{name}]."
)
@click.option(
    "--on-conflict",
    type=click.Choice(["new-version", "rename"]),
    help="What to do when the vault holds another value under a name [skip and say so].",
)
@click.option(
    "--passwordless",
    type=click.Choice(["never", "suggest", "apply"]),
    help="Where a managed identity could replace a key altogether: say it, or plan it where configuration alone is "
    "enough [suggest].",
)
@click.option(
    "--code",
    multiple=True,
    metavar="[APP=]FOLDER",
    help="Code of the apps, or of one: shows which client uses a secret, and so what could replace it. An image on disk "
    "(docker save, OCI) shows its packages. May be repeated.",
)
@click.option(
    "--compare-keys",
    is_flag=True,
    help="List the keys of the services that values open, and compare in memory: tells which key it is, and whether it "
    "is one still. Azure logs each listing.",
)
@click.option(
    "--from",
    "found",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Findings of other scans (keylift's own, SARIF, gitleaks, ...): where else a value lies. May be repeated.",
)
@click.option(
    "--choices",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Decisions on single apps, secrets and findings, as the wizard writes them.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when the plan has steps.")
@common(formats=("human", "markdown", "json"))
def plan(
    settings: Settings,
    vault: str | None,
    subscriptions: tuple[str, ...],
    groups: tuple[str, ...],
    apps: tuple[str, ...],
    identity: str | None,
    vault_secret_name: str | None,
    on_conflict: str | None,
    passwordless: str | None,
    code: tuple[str, ...],
    compare_keys: bool,
    found: tuple[Path, ...],
    choices: Path | None,
    detailed_exitcode: bool,
) -> None:
    """Propose Key Vault references, identities and role assignments for what a scan finds.

    Nothing is changed. `-o PLAN.json` writes the plan, which `keylift apply` takes; the diff goes to standard output.
    The plan holds no value. The same estate and options give the same bytes.
    """
    from migrator import api, rendering
    from migrator.cli import Exit
    from migrator.console import write_file
    from migrator.errors import UsageError
    from migrator.passwordless import script_files

    vault = configured(settings, "vault", vault)
    if not vault:
        raise UsageError("a plan needs a vault", hint="name one that exists: keylift plan --vault NAME -o plan.json")
    made = api.make_plan(
        settings.place(),
        settings.scope(subscriptions, groups, apps),
        vault=vault,
        identity=configured(settings, "identity", identity) or "user",
        vault_secret_name=configured(settings, "vault_secret_name", vault_secret_name),
        on_conflict=configured(settings, "on_conflict", on_conflict),
        passwordless=configured(settings, "passwordless", passwordless) or "suggest",
        code=code,
        compare_keys=compare_keys,
        choices=choices,
        found=found,
        tell=settings.console.say,
    )
    target, settings.console.output = settings.console.output, None
    if target is not None:
        write_file(target, made.to_json())
        for path, text in script_files.beside(made, target).items():
            write_file(path, text)
            settings.console.say(f"wrote {path}, for the database's administrator")
    settings.console.emit(rendering.plan(settings.format, made, settings.console))
    if target is not None:
        settings.console.say(f"wrote {target}; next: keylift apply {target}")
    elif made.steps:
        settings.console.say("the plan was not kept; add -o plan.json to apply it")
    raise click.exceptions.Exit(int(Exit.CHANGES if detailed_exitcode and made.steps else Exit.OK))


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path, dir_okay=False))
@common(formats=("human", "markdown", "json"), cloud=False)
def show(settings: Settings, plan_file: Path) -> None:
    """Show a plan as a diff: what each app gets, why, and how it is undone."""
    from migrator import api, rendering

    settings.console.emit(rendering.plan(settings.format, api.load_plan(plan_file), settings.console))
