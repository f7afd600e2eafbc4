"""Microsoft.Extensions.Azure: a client from a configuration section takes `S__serviceUri` and a credential by name.

Source: learn.microsoft.com, "Create Azure Identity library credentials via configuration files". A section that has a
value is always taken as a connection string, so the value must go.
"""

from __future__ import annotations

from migrator.passwordless.cases import Case, Change, Verdict, by_hand, calls, shown

_KEYS = {"service-bus": "fullyQualifiedNamespace", "event-hubs": "fullyQualifiedNamespace"}


class ExtensionsAzure:
    """`AddAzureClients` with `GetSection("S")`."""

    def judge(self, case: Case) -> Verdict | None:
        code = case.evidence.code
        if code is None or not code.has("microsoft.extensions.azure"):
            return None
        section = case.name.removesuffix("__connectionString").replace("__", ":")
        built = calls(case, "section", section)
        if not built:
            return None
        own = section.replace(":", "__")
        key = _KEYS.get(case.service.id, "serviceUri")
        address = case.pointer.host if key == "fullyQualifiedNamespace" else f"https://{case.pointer.host}"
        changes = [Change("remove", case.name), Change("set", f"{own}__{key}", address)]
        changes.append(Change("set", f"{own}__credential", "managedidentity"))
        if case.client_id:
            changes.append(Change("set", f"{own}__managedIdentityClientId", case.client_id))
        return Verdict(
            "Microsoft.Extensions.Azure",
            holds=(f'a client is built from GetSection("{section}") ({shown(built)})',),
            fails=tuple(by_hand(case, section)),
            changes=tuple(changes),
        )


CLIENT = ExtensionsAzure()
