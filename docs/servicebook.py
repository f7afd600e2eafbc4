"""The page of what can replace a key, made of the tables it comes from: `docs/passwordless.md`."""

from __future__ import annotations

from pathlib import Path

from migrator.passwordless import components as dapr
from migrator.passwordless.clients.keda import SCALERS, UNTRIED
from migrator.passwordless.databases import SCRIPTS
from migrator.passwordless.decision import NEVER
from migrator.passwordless.services import Service, common_failures, services

PAGE = Path(__file__).parent / "passwordless.md"
_INTRO = """\
# Without a secret at all

A Key Vault reference moves a key; a managed identity removes it. For every value that a plan moves, `keylift plan` says what
could become of it: nothing but configuration, a change of code, a vault reference, or nothing. `--passwordless suggest`
(the default) gives it as advice with its evidence; `apply` plans it where configuration alone is enough; see
[plan](commands/plan.md). This page is made of `migrator/passwordless/services.toml` by
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
_APPLY = """
## What `--passwordless apply` does

Rights first, then ten minutes, then one change of the app, then the proof: a replica of the new revision runs, and its log
has none of the texts below. A right that takes effect later is waited for, up to the time that a role may take; after that
the app is put back. A log that may not be read leaves the app unproven, and says so.

What keylift leaves to a person, and says in the plan's notes, while the value goes into the vault as before:

* a prerequisite of the service (sign-in by token is off, an account without a domain of its own, no Entra administrator);
* a principal of a database: its script lies beside the plan, with its check and its way back;
* `AZURE_CLIENT_ID` and `AZURE_TOKEN_CREDENTIALS`, and Spring's credential properties, where something else of the container
  signs in with an identity or code builds a credential: they would move it;
* the host storage of Functions with blob triggers, which need a role that lists the very key, and of old Durable Functions;
* a key that code signs SAS with; Service Bus JMS and Redis of Spring;
* a scale rule that is given several secrets of which one stays, and one on Event Hubs whose checkpoints lie in an account that
  no secret of the rule names; a component without scopes;
* a variable that is set already to something else, that a scale rule reads which keeps its key, or that other texts of the
  container are made of; a value of an init container, or of an identity that `identitySettings` keeps from containers;
* a value with a use that needs the key.

The key stays valid. These end it, and show whether somebody still uses it:

| service | rotate the key | close key access | what only time proves | texts that fail the proof |
|---|---|---|---|---|
"""
_KEPT = """
## What keeps its key, and why

A value of these goes into the vault, and the plan gives the reason.

| what | why |
|---|---|
"""
_VALUES = {"kafka": "Kafka on Event Hubs", "device-key": "keys of devices"}
_UNTOLD = {
    "a client secret that opens a vault": "nothing in it names the vault: move the app to its own identity in code",
    "a managed instance of SQL": "only logical servers are looked for",
    "an image without its code": "packages tell no constructor: keylift plan --code FOLDER",
    "Functions bindings to Event Grid and Web PubSub": "the names of their identity-based connections were not confirmed",
    "Spring: Key Vault and App Configuration": "the properties of their starters were not confirmed",
    'Service Connector\'s "managed identity" for Cosmos DB': "it fetches the account's key at each start: no value lies in the "
    "app, and closing key access breaks it",
    "a SAS that was given to somebody outside": "nothing tells who has it, so that each is taken for the app's own",
}
_RULES = """
## Scale rules

A rule gets `identity` only where Container Apps lets its scaler sign in with one; others would lose their metadata.

| scaler | needs beside the identity | right |
|---|---|---|
"""

_DAPR = """
## Token store of sign-in

The SAS URL of a token store (`login.tokenStore.azureBlobStorage.sasUrlSettingName`) becomes `blobContainerUri` with
`managedIdentityResourceId`, where nothing else takes the secret: a user-assigned identity with Storage Blob Data Contributor
at that container.

## Dapr components

A component signs in with the identities of the apps in its scopes. `azureClientId` names one user-assigned identity that all
of them must have; without it each uses its system identity. A key that is left beside an identity wins without a word.

| component | remove | needs beside the identity | set | and |
|---|---|---|---|---|
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
    components, cannot = dapr.table()
    shown = {
        component.types: f"| {_code(component.types)} | {_code(component.drops)} | "
        f"{'; '.join(' or '.join(f'`{one}`' for one in choice) for choice in component.requires)} | "
        f"{f'`{component.name}`' if component.form != 'keep' else ''}"
        f"{f' as {_FORMS[component.form]}' if component.form != 'keep' else ''} | {component.warns} |"
        for component in components.values()
    }
    never = [f"| `{kind}` | cannot: {why} | | | |" for kind, why in cannot.items()]
    ends = [
        f"| {service.title} | `{_shown(service.rotate)}` | `{_shown(service.shut)}` | {_shown(service.prove)} | "
        f"{', '.join(f'`{text}`' for text in service.failures)} |"
        for service in services().values()
        if service.rotate
    ]
    every = f"\nOf every client: {', '.join(f'`{text}`' for text in common_failures())}.\n"
    parts = [
        _INTRO + "\n".join(rows),
        _APPLY + "\n".join(ends) + "\n" + every.rstrip(),
        _KEPT + "\n".join(_kept()),
        _RULES + "\n".join(rules),
        _DAPR + "\n".join([*shown.values(), *never]),
    ]
    return "\n".join(parts) + "\n"


def _kept() -> list[str]:
    """Rows of what no plan replaces: services, kinds of values, scalers, and what no table tells."""
    told = [
        (service.title, service.cannot or service.code or service.alone or service.unclear)
        for service in services().values()
        if service.id != "storage"  # its parts have rows of their own
    ]
    told += [(_VALUES[kind], why) for kind, why in NEVER.items()]
    told += [(f"scale rule `{kind}`", why.format(kind=f"`{kind}`")) for kind, why in UNTRIED.items()]
    return [f"| {what} | {why} |" for what, why in (*told, *_UNTOLD.items()) if why]


_FORMS = {
    "name": "its bare name",
    "host": "its full host name",
    "url": "its URL",
    "postgres": "a string without a password",
    "sqlserver": "a string without a password",
}


def _shown(command: str) -> str:
    """A command for any resource, fit for a table."""
    return command.format(name="NAME", group="GROUP", id="ID").replace("|", "\\|")


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


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
