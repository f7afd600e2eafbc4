"""Databases: what a person runs, in files beside the plan; the plan moves the value into the vault and waits for nobody."""

from __future__ import annotations

from pathlib import Path

from migrator.passwordless import script_files
from tests.executor import world

from .projects import PASSWORD, csproj
from .test_apply import GROUP, planned, steps

SQL = f"Server=tcp:sql1.database.windows.net,1433;Database=shop;User ID=app;Password={PASSWORD};"
SERVER = {
    "id": f"{GROUP}/providers/Microsoft.Sql/servers/sql1",
    "location": "westeurope",
    "properties": {"fullyQualifiedDomainName": "sql1.database.windows.net", "administrators": {"login": "dba"}},
}


def test_the_statements_lie_beside_the_plan_and_the_app_keeps_its_login(tmp_path: Path) -> None:
    app_ = world.app("api", {"DB": SQL})
    code = {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0"), "p.cs": "new SqlConnection(cs)"}
    with world.inside(world.estate(app_, SERVER), tmp_path) as live:
        plan = planned(live, tmp_path, code, planted=[SQL])
        assert "vault-secret" in steps(plan)
        assert not any(step.change.get("swaps") for step in plan.steps)
        (note,) = [note["text"] for note in plan.notes if note["kind"] == "passwordless"]
        assert "administrator of sql1" in note
        made = script_files.files(plan, "plan")
        assert sorted(made) == ["plan.api.DB.sql", "plan.api.DB.undo.sql"]
        do, back = made["plan.api.DB.sql"], made["plan.api.DB.undo.sql"]
        assert "TYPE = E" in do
        assert "sys.database_principals" in do
        assert "DROP USER" not in do
        assert "DROP USER [id-api];" in back
        assert "Authentication=Active Directory Managed Identity" in do
        # least: no owner, and nothing of the password
        assert "db_owner" not in do
        assert PASSWORD not in do + back
        # suggestions alone write no files
        told = live.plan(passwordless="suggest", planted=[SQL])
        assert script_files.files(told, "plan") == {}
