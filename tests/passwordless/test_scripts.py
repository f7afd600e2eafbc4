"""Databases: what a person runs, in files beside the plan; the plan moves the value into the vault and waits for nobody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migrator.model import Plan
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


def suggested(group: str, **more: Any) -> dict[str, Any]:
    app_ = f"/subscriptions/s/resourceGroups/{group}/providers/Microsoft.App/containerApps/api"
    change = {"action": "set", "name": "DB", "value": "Server=sql1"}
    told = {"app": app_, "names": ["DB"], "fingerprint": "f1:a", "service": "SQL", "resource": "", "changes": [change]}
    return {**told, "scripts": [f"GRANT 1 TO [{group}];", "-- verify: SELECT 1;", "-- undo: DROP USER [x];"], **more}


def proposing(*entries: dict[str, Any]) -> Plan:
    return Plan({}, "public", {}, {"passwordless": "apply"}, {}, (), passwordless=tuple(entries))


def written(*entries: dict[str, Any]) -> Mapping[str, str]:
    return script_files.files(proposing(*entries), "plan")


def test_apps_of_one_name_in_two_groups_get_files_of_their_own() -> None:
    made = written(suggested("blue"), suggested("green"))
    assert len(made) == 4
    assert "[blue]" in made["plan.api.DB.sql"]
    assert "[green]" in made["plan.api.DB.2.sql"]
    assert "api of green" in made["plan.api.DB.2.sql"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\x0c"])
def test_a_name_out_of_an_app_ends_no_comment(end: str) -> None:
    """The administrator runs the file: a line break in a database's name would be a statement of the app's author."""
    change = {"action": "set", "name": "DB", "value": f"Database=shop{end}DROP TABLE orders"}
    made = written(suggested("blue", changes=[change]))
    lines = [line for line in made["plan.api.DB.sql"].splitlines() if "DROP TABLE" in line]
    assert lines
    assert all(line.startswith("--") for line in lines)


def test_a_value_under_many_names_has_a_file_name_that_can_be_written() -> None:
    made = written(suggested("blue", names=[f"CONNECTION_STRING_{n}" for n in range(40)]))
    assert all(len(name) < 200 for name in made)


def test_nothing_is_written_beside_a_device(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    made = script_files.beside(proposing(suggested("blue")), tmp_path / "plan.json")
    assert sorted(made) == [tmp_path / "plan.api.DB.sql", tmp_path / "plan.api.DB.undo.sql"]
    assert script_files.beside(proposing(suggested("blue")), Path("/dev/null")) == {}
