"""`--passwordless apply` as a user does it: plan to a file, show, apply, verify, roll back, each a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

from tests.passwordless.test_apply import BUS, FUNCTION, KEY, env_of, namespace

from .loopback import Shell, simulator
from .promises import as_people_see_it
from .test_estates import app, estate, rid, vault

SQL = f"Server=tcp:sql1.database.windows.net,1433;Database=shop;User ID=app;Password={KEY};"


def test_the_key_gives_way_and_comes_back(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "F.cs").write_text(FUNCTION)
    (source / "app.csproj").write_text('<PackageReference Include="Microsoft.Data.SqlClient" Version="5.2.0" />')
    server = {
        "id": rid("Microsoft.Sql/servers", "sql1"),
        "location": "westeurope",
        "properties": {"fullyQualifiedDomainName": "sql1.database.windows.net", "administrators": {"login": "dba"}},
    }
    func = app("func", {"Bus": BUS, "DB": SQL, "FUNCTIONS_WORKER_RUNTIME": "dotnet-isolated"})
    # nobody waits ten minutes here: the simulator's roles count at once
    (tmp_path / "keylift.toml").write_text("propagation_minutes = 0\n")
    document = estate(vault(), namespace(), server, func, switches={"role_propagation": [0, 0]})
    with simulator(tmp_path, document, "--speed", "60") as azure:
        shell = Shell(tmp_path, azure.profile_path)
        before = azure.app(func["id"])
        shell.keylift(
            *("plan", "--vault", "kv-one", "--passwordless", "apply", "--code", str(source), "-o", "plan.json")
        )
        script = (tmp_path / "plan.func.DB.sql").read_text()
        assert "CREATE USER" in script
        told = shell.keylift("show", "plan.json", cloud=False).stdout
        assert "Bus__fullyQualifiedNamespace" in told
        assert "az servicebus namespace authorization-rule keys renew" in told
        shell.keylift("apply", "plan.json", "--auto-approve")
        env = env_of(azure.app(func["id"]))
        assert "Bus" not in env
        assert env["Bus__fullyQualifiedNamespace"] == "ns1.servicebus.windows.net"
        shell.keylift("verify", "latest")
        shell.keylift("rollback", "latest", "--auto-approve")
        assert as_people_see_it(azure.app(func["id"])) == as_people_see_it(before)
        written = [path.read_bytes() for path in tmp_path.glob("plan.*")]
        assert KEY not in shell.printed
        assert not any(KEY.encode() in text for text in written)
        assert json.loads((tmp_path / "plan.json").read_text())["options"]["passwordless"] == "apply"
