"""What people see apps called when several have one name."""

from __future__ import annotations

from migrator import rendering
from migrator.executor import AppResult, RunResult
from migrator.model import called


def app(name: str, group: str = "rg-one", subscription: str = "s1") -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/containerApps/{name}"


def test_as_short_as_tells_them_apart() -> None:
    ids = [app("web"), app("api"), app("api", "rg-two"), app("api", "rg-two", "s2"), app("API", "rg-three")]
    assert list(called(ids).values()) == ["web", "api in rg-one", ids[2], ids[3], "API in rg-three"]


def test_a_run_over_two_apps_of_one_name() -> None:
    ended = RunResult(
        "r1", "p1", "done", tuple(AppResult(app("api", g), "done", proven=True, cause="") for g in ("rg-one", "rg-two"))
    )
    text = rendering.result("human", ended)
    assert "api in rg-one" in text
    assert "api in rg-two" in text
