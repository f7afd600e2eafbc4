"""The page of what can replace a key, made of the tables it comes from: `docs/passwordless.md`."""

from __future__ import annotations

from pathlib import Path

from migrator.passwordless.clients.keda import SCALERS
from migrator.passwordless.databases import SCRIPTS
from migrator.passwordless.services import Service, services

PAGE = Path(__file__).parent / "passwordless.md"
_INTRO = """\
# Without a secret at all

A Key Vault reference moves a key; a managed identity removes it. For every value that a plan moves, `keylift plan` says what
could become of it: nothing but configuration, a change of code, a vault reference, or nothing. It is advice with its
evidence; see [plan](commands/plan.md). This page is made of `migrator/passwordless/services.toml` by
`python -m docs.regenerate`.

1. The value is read for what it opens: service, resource, part (queue, container, database), rights.
2. Resource Graph is asked for a resource of that name, and the resource's own endpoint is compared with the value's host.
   With `--compare-keys` its keys are compared, too.
3. The code that `--code` names tells which client uses the value. Only what was seen counts: a client that takes an
   identity from configuration, and no line that builds a client from the secret or reads it by hand.
4. The rights are those of the value itself (a policy's, a signature's, those its checksum tells), else those of its use.
   Where neither tells, sending and receiving or writing is proposed with a doubt beside it; an owner's role only where the
   platform asks for it, and never a role of Azure's control plane.

| service | hosts | least roles by need | closes key access afterwards |
|---|---|---|---|
"""
_RULES = """
## Scale rules

A rule gets `identity` only where Container Apps lets its scaler sign in with one; others would lose their metadata.

| scaler | needs beside the identity | right |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| {service.title} | {', '.join(f'`{host}`' for host in service.hosts.get('public', ()))} | {_roles(service)} | "
        f"{f'`{service.close}`' if service.close else ''} |"
        for service in services().values()
    ]
    rules = [
        f"| `{name}` | {'; '.join(' or '.join(f'`{one}`' for one in choice) for choice in scaler.requires)} | "
        f"{', '.join(scaler.needs)} |"
        for name, scaler in SCALERS.items()
    ]
    return _INTRO + "\n".join(rows) + "\n" + _RULES + "\n".join(rules) + "\n"


def _roles(service: Service) -> str:
    if service.cannot:
        return f"cannot: {service.cannot}"
    if service.system in SCRIPTS:
        return "statements for the database's administrator; keylift signs in to no database"
    told = [f"{need}: {role.name}" for need, role in service.roles.items()]
    return "; ".join(
        [*told, *([service.unclear] if service.unclear else []), *([service.code] if service.code else [])]
    )


def write() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
