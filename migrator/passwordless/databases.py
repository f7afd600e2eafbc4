"""Statements that make an identity a principal of a database, with their check and their way back.

Written for an administrator to run: keylift signs in to no database. The SID of a managed identity is made from its
client id, so that the server needs no right to read the directory (dotnet/aspire, `AzureSqlServerResource.cs`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Writer = Callable[[str, str, str], tuple[str, ...]]
"""Name of the identity, its object id, the database (may be empty) -> statements."""


def _bracketed(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _sql(name: str, _principal: str, _database: str) -> tuple[str, ...]:
    user, client = _bracketed(name), _literal(f"<client id of {name}>")
    sid = f"CONVERT(VARCHAR(MAX), CONVERT(VARBINARY(16), CAST({client} AS UNIQUEIDENTIFIER)), 1)"
    create = _literal(f"CREATE USER {user} WITH SID = ")
    lookup = "SELECT name, type_desc FROM sys.database_principals WHERE name = "
    return (
        f"DECLARE @sid NVARCHAR(MAX) = {sid}; EXEC(N{create} + @sid + N', TYPE = E;');",
        f"ALTER ROLE db_datareader ADD MEMBER {user}; ALTER ROLE db_datawriter ADD MEMBER {user};",
        f"-- only if the app calls procedures: GRANT EXECUTE ON SCHEMA::dbo TO {user};",
        f"-- verify: {lookup}{_literal(name)};",
        f"-- undo: DROP USER {user};",
    )


def _postgresql(name: str, principal: str, database: str) -> tuple[str, ...]:
    role = _quoted(name)
    create = f"pgaadauth_create_principal_with_oid({_literal(name)}, {_literal(principal)}, 'service', false, false)"
    return (
        f"SELECT * FROM {create};",  # noqa: S608 - names are quoted, and a person runs it
        f"GRANT CONNECT ON DATABASE {_quoted(database or '<database>')} TO {role};",
        f"GRANT USAGE ON SCHEMA public TO {role};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};",
        f"-- for tables that others make later: ALTER DEFAULT PRIVILEGES FOR ROLE <owner> IN SCHEMA public GRANT … TO {role};",
        "-- verify: SELECT * FROM pgaadauth_list_principals(false);",
        f"-- undo: DROP OWNED BY {role}; DROP ROLE {role};",
    )


def _mysql(name: str, _principal: str, database: str) -> tuple[str, ...]:
    user, client = _literal(name), _literal(f"<client id of {name}>")
    return (
        "-- first: the server has an identity that may read the directory, and an Entra administrator",
        f"SET aad_auth_validate_oids_in_tenant = OFF; CREATE AADUSER {user} IDENTIFIED BY {client};",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {_ticked(database or '<database>')}.* TO {user}@'%';",
        "FLUSH PRIVILEGES;",
        f"-- verify: SHOW GRANTS FOR {user}@'%';",
        f"-- undo: DROP USER {user}@'%';",
    )


SCRIPTS: Mapping[str, Writer] = {"sql": _sql, "postgresql": _postgresql, "mysql": _mysql}
"""Databases whose principals no role of Azure makes, by `Service.system`."""
