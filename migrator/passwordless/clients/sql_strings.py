"""SQL Server drivers that take the way of signing in from the connection string itself.

Microsoft.Data.SqlClient before 7 holds the Entra parts; from 7 on they are in Microsoft.Data.SqlClient.Extensions.Azure
(learn.microsoft.com/sql/connect/ado-net/sql/azure-active-directory-authentication). System.Data.SqlClient never did.
"""

from __future__ import annotations

import re
from dataclasses import replace

from migrator.passwordless.cases import Case, Change, Verdict, shown

_NET = ("microsoft.data.sqlclient", "microsoft.entityframeworkcore.sqlserver", "aspire.microsoft.data.sqlclient")
_SPLIT = 7


class SqlStrings:
    """Microsoft.Data.SqlClient, and pyodbc with Microsoft's ODBC driver."""

    def judge(self, case: Case) -> Verdict | None:
        code = case.evidence.code
        if case.service.id != "sql" or code is None:
            return None
        parts = tuple(sight for key, all_ in code.names.items() if key.startswith("sql-by-parts:") for sight in all_)
        against = (f"code makes its connection of parts ({shown(parts)})",) if parts else ()
        verdict = None
        if any(name in code.packages for name in _NET):
            verdict = self._net(case)
        elif "pyodbc" in code.packages:
            verdict = self._odbc(case)
        return replace(verdict, fails=(*verdict.fails, *against)) if verdict is not None else None

    def _net(self, case: Case) -> Verdict:
        packages = case.evidence.code.packages if case.evidence.code else {}
        version = packages.get("microsoft.data.sqlclient", "")
        major = re.match(r"\d+", version)
        fails = []
        if "system.data.sqlclient" in packages:
            fails.append("System.Data.SqlClient is there, too, and takes no identity")
        if major and int(major[0]) >= _SPLIT and "microsoft.data.sqlclient.extensions.azure" not in packages:
            fails.append(
                f"Microsoft.Data.SqlClient {version} needs the package Microsoft.Data.SqlClient.Extensions.Azure"
            )
        user = f";User Id={case.client_id}" if case.client_id else ""
        value = f"Server=tcp:{case.pointer.host},1433;{self._database(case, 'Database')}Encrypt=True"
        return Verdict(
            "Microsoft.Data.SqlClient",
            holds=(
                f"Microsoft.Data.SqlClient {version or '(version not told)'} takes Authentication= from the string",
            ),
            fails=tuple(fails),
            changes=(Change("set", case.name, f"{value};Authentication=Active Directory Managed Identity{user}"),),
        )

    def _odbc(self, case: Case) -> Verdict:
        user = f"UID={case.client_id};" if case.client_id else ""
        value = (
            f"Driver={{ODBC Driver 18 for SQL Server}};Server=tcp:{case.pointer.host},1433;"
            f"{self._database(case, 'Database')}Encrypt=yes;{user}Authentication=ActiveDirectoryMsi"
        )
        code = case.evidence.code
        whole = code is not None and case.name.lower() in code.reads
        return Verdict(
            "pyodbc",
            holds=(f"pyodbc is given {case.name} whole, and the driver takes Authentication= from it",)
            if whole
            else (),
            fails=() if whole else (f"it was not seen that {case.name} goes to pyodbc as it is",),
            changes=(Change("set", case.name, value),),
        )

    def _database(self, case: Case, key: str) -> str:
        database = case.pointer.parts.get("database")
        return f"{key}={database};" if database else ""


CLIENT = SqlStrings()
