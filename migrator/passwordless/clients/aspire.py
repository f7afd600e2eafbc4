"""Aspire's client integrations: `AddAzureXxx("x")` takes an endpoint where it took a connection string.

Source: the settings classes of dotnet/aspire. Without `AZURE_TOKEN_CREDENTIALS` or `AZURE_CLIENT_ID` the integrations
build a development credential that leaves managed identities out (`AzureCredentialHelper.cs`), so both are set.
"""

from __future__ import annotations

from migrator.passwordless.cases import Case, Change, Verdict, calls, identity_env, shown, signing_in

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
        if not code.has("aspire.azure.") and not code.has("aspire.microsoft.azure."):
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
        )

    def _endpoint(self, case: Case) -> str:
        host = case.pointer.host
        kind = case.service.id
        if kind in {"service-bus", "event-hubs"}:
            entity = case.pointer.parts.get("entity")
            return f"Endpoint=sb://{host}/;EntityPath={entity}" if entity else host
        if kind == "cosmos":
            database = case.pointer.parts.get("database")
            return f"AccountEndpoint=https://{host}/" + (f";Database={database}" if database else "")
        if kind == "postgresql":
            database = case.pointer.parts.get("database")
            return f"Host={host}" + (f";Database={database}" if database else "") + ";Ssl Mode=Require"
        if kind in {"openai", "search"}:
            return f"Endpoint=https://{host}/"
        if kind.startswith("storage-") or kind in {"app-configuration", "web-pubsub"}:
            return f"https://{host}/"
        return ""


CLIENT = Aspire()
