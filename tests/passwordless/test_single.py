"""One secret without a key, the others as they are: what a choice does that the option does for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from migrator.model import Json, Plan
from migrator.passwordless import script_files
from migrator.planning.choices import Choices
from tests.executor import world

from .projects import csproj
from .test_apply import BUS, FUNCTION, KEY, bus, planned
from .test_apply_dapr import PLAIN, apps, component
from .test_scripts import SERVER, SQL

OTHER = BUS.replace(KEY, f"{KEY[:-4]}zz==")
CODE = {"a.cs": FUNCTION, "b.cs": FUNCTION.replace('"Bus"', '"Jobs"')}


def chosen(way: str, *values: str) -> Choices:
    return Choices(passwordless={world.KEY.of(value): way for value in values})


def steps(plan: Plan) -> list[Json]:
    return [step.as_dict() for step in plan.steps]


def vaulted(plan: Plan) -> list[str]:
    return [str(step.change["name"]) for step in plan.steps if step.kind == "vault-secret"]


def entry(plan: Plan, name: str) -> Json:
    (found,) = [one for one in plan.passwordless if name in one["names"]]
    return found


def told(plan: Plan) -> list[str]:
    return [note["text"] for note in plan.notes if note["kind"] == "passwordless"]


def test_one_key_goes_and_the_other_moves_into_the_vault(tmp_path: Path) -> None:
    app_ = world.app("func", {"FUNCTIONS_WORKER_RUNTIME": "node", "Bus": BUS, "Jobs": OTHER})
    with world.inside(world.estate(app_, bus()), tmp_path) as live:

        def plan(**options: Any) -> Plan:
            return planned(live, tmp_path, CODE, planted=[BUS, OTHER], **options)

        one = plan(passwordless="suggest", choices=chosen("apply", BUS))
        assert vaulted(one) == ["func-jobs"]
        assert (entry(one, "Bus")["replaced"], entry(one, "Jobs")["replaced"]) == (True, False)
        assert entry(one, "Jobs")["stays"] == ""
        assert steps(plan(choices=chosen("suggest", OTHER))) == steps(one)
        # of both, it is what the option does for all
        whole = plan(passwordless="never", choices=chosen("apply", BUS, OTHER))
        assert vaulted(whole) == []
        assert steps(whole) == steps(plan())
        assert live.executor().apply(one).exit_code == 0


def test_what_settings_cannot_do_stays_and_the_plan_says_why(tmp_path: Path) -> None:
    with world.inside(world.estate(world.app("api", {"DB": SQL}), SERVER, bus()), tmp_path) as live:
        options: dict[str, Any] = {"planted": [SQL], "passwordless": "suggest", "choices": chosen("apply", SQL)}
        blind = planned(live, tmp_path, {}, **options)
        assert vaulted(blind)
        (note,) = told(blind)
        assert note.startswith("DB stays a secret, in the vault: nothing shows that an identity would do (")
        assert entry(blind, "DB")["stays"] in note
        code = {"app.csproj": csproj("Microsoft.Data.SqlClient 5.2.0"), "p.cs": "new SqlConnection(cs)"}
        seen = planned(live, tmp_path, code, **options)
        assert "administrator of sql1" in entry(seen, "DB")["stays"]
        assert sorted(script_files.files(seen, "plan")) == ["plan.api.DB.sql", "plan.api.DB.undo.sql"]
        # without the choice the plan tells the same, and no file lies beside it
        quiet = planned(live, tmp_path, code, planted=[SQL], passwordless="suggest")
        assert entry(quiet, "DB")["stays"] == entry(seen, "DB")["stays"]
        assert script_files.files(quiet, "plan") == {}


def test_a_component_is_chosen_by_its_key(tmp_path: Path) -> None:
    with world.inside(world.estate(*apps(), component(PLAIN)), tmp_path) as live:
        as_is = planned(live, tmp_path, {}, passwordless="suggest")
        assert [step.kind for step in as_is.steps if step.kind == "part-switch"] == []
        assert entry(as_is, "connectionString")["stays"] == ""
        assert not entry(as_is, "connectionString")["replaced"]
        one = planned(live, tmp_path, {}, passwordless="suggest", choices=chosen("apply", BUS))
        assert steps(one) == steps(planned(live, tmp_path, {}))
        assert entry(one, "connectionString")["replaced"]
        kept = planned(live, tmp_path, {}, choices=chosen("suggest", BUS))
        assert steps(kept) == steps(as_is)
