"""Aspire's client integrations: `AddAzureXxx("x")` takes an endpoint where it took a connection string.

Source: the settings classes of dotnet/aspire. Without `AZURE_TOKEN_CREDENTIALS` or `AZURE_CLIENT_ID` the integrations
build a development credential that leaves managed identities out (`AzureCredentialHelper.cs`), so both are set.
"""

from __future__ import annotations

from migrator.passwordless.cases import Case, Change, Verdict, calls, identity_env, shown, signing_in

_PACKAGES = ("aspire.azure.", "aspire.microsoft.azure.", "aspire.microsoft.extensions.configuration.azure")
_REDIS = frozenset({"redis", "managed-redis"})
_PREFIX = "connectionstrings__"


class Aspire:
    """A connection by name, from `ConnectionStrings__x`."""

    def judge(self, case: Case) -> Verdict | None:
        code = case.evidence.code
        if code is None or not case.name.lower().startswith(_PREFIX):
            return None
        packages = [name for name in code.has("aspire.") if not name.startswith("aspire.hosting")]
        if not packages:
            return None
        name = case.name[len(_PREFIX) :]
        given = calls(case, "add-azure-client", name)
        fails = []
        if not given:
            fails.append(f'no AddAzure…("{name}") of an Aspire.Azure integration was seen')
        if case.service.id in _REDIS and "withazureauthentication:withazureauthentication" not in code.names:
            fails.append("no WithAzureAuthentication() was seen, without which the integration takes a password only")
        if not any(code.has(prefix) for prefix in _PACKAGES):
            fails.append(f"only {', '.join(packages)} is there, which takes a password")
        if name.lower() in code.reads:
            fails.append(f'GetConnectionString("{name}") is read by hand ({shown(code.reads[name.lower()])})')
        value = self._endpoint(case)
        if not value:
            fails.append(f"Aspire takes no endpoint for {case.service.title}")
        holds = (f'AddAzure…("{name}") is given the connection ({shown(given)})',) if given else ()
        return Verdict(
            "Aspire integration",
            holds=holds,
            fails=tuple(fails),
            changes=(Change("set", case.name, value), *identity_env(case)),
            stays=signing_in(case),
            # what the name says of the use: a database's principal is no role
            needs=("write",) if case.service.id in _REDIS else (),
        )

    def _endpoint(self, case: Case) -> str:
        host, kind = case.pointer.host, case.service.id
        if kind in {"service-bus", "event-hubs"}:
            more = _told(case, entity="EntityPath", group="ConsumerGroup")
            return f"Endpoint=sb://{host}/{more}" if more else host
        if kind == "cosmos":
            return f"AccountEndpoint=https://{host}/" + _told(case, database="Database", collection="Container")
        if kind == "postgresql":
            # the name of a user-assigned identity is taken from its token
            user = "" if case.identity else ";Username=the-app"
            return f"Host={host}{_told(case, database='Database')}{user};Ssl Mode=Require"
        if kind in {"openai", "search"}:
            return f"Endpoint=https://{host}/" + _told(case, deployment="Deployment")
        if kind in {"storage-blob", "storage-queue"}:
            more = _told(case, container="ContainerName", queue="QueueName")
            return f"Endpoint=https://{host}/{more}" if more else f"https://{host}/"
        if kind == "web-pubsub":
            more = _told(case, hub="Hub")
            return f"Endpoint=https://{host}/{more}" if more else f"https://{host}/"
        if kind in _REDIS:
            return f"{host}{':10000' if kind == 'managed-redis' else ''},ssl=true"
        return f"https://{host}/" if kind in {"storage-table", "app-configuration"} else ""


def _told(case: Case, **keys: str) -> str:
    """What a connection string names besides the service, which the integration reads from it: parts by their keys."""
    parts = case.pointer.parts
    return "".join(f";{key}={parts[part]}" for part, key in keys.items() if parts.get(part))


CLIENT = Aspire()
