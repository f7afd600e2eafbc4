"""ASP.NET Core SignalR: the connection string itself may say `AuthType=azure.msi`.

Source: learn.microsoft.com/azure/azure-signalr/concept-connection-string.
"""

from __future__ import annotations

from migrator.passwordless.cases import Case, Change, Verdict, shown

_NAMES = frozenset({"azure__signalr__connectionstring", "azure:signalr:connectionstring"})


class SignalR:
    """`AddAzureSignalR()` reads its own setting."""

    def judge(self, case: Case) -> Verdict | None:
        code = case.evidence.code
        if case.service.id != "signalr" or case.name.lower() not in _NAMES:
            return None
        calls = code.names.get("add-azure-signalr:addazuresignalr", ()) if code else ()
        client = f"ClientId={case.client_id};" if case.client_id else ""
        value = f"Endpoint=https://{case.pointer.host};AuthType=azure.msi;{client}Version=1.0;"
        return Verdict(
            "ASP.NET Core SignalR",
            needs=("write",),
            holds=(f"AddAzureSignalR() reads {case.name} itself{f' ({shown(calls)})' if calls else ''}",),
            changes=(Change("set", case.name, value),),
        )


CLIENT = SignalR()
