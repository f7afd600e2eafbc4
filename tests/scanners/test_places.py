"""What a path says of a value: unit tests and examples are weak, settings of a test stage are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanners import places
from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Fingerprinter
from scanners.sources import files, repo
from scanners.staged import matches

from .repositories import Repo

PASSWORD = 'password = "Wint3r!Sale88"\n'


@pytest.mark.parametrize(
    "path",
    [
        "tests/conftest.py",
        "src/test/java/OrderIT.java",
        "app/__tests__/login.ts",
        "Shop.Tests/Login.cs",
        "Shop.Tests.Integration/appsettings.json",
        "Shop.UnitTests/Login.cs",
        "api/integration-tests/compose.yaml",
        "web/src/login.test.tsx",
        "web/src/login.spec.js",
        "pkg/login_test.go",
        "app/test_login.py",
        "src/LoginTests.cs",
        "spec/login_spec.rb",
        "fixtures/app.env",
        "e2e/run.sh",
        "deploy/docker-compose.e2e.yml",
        "compose.test.yaml",
        "perf/k6/orders.js",
        ".github/workflows/orders-ci.yml",
        "scripts/test-orders.ps1",
        "scripts/live-test.ps1",
    ],
)
def test_what_belongs_to_a_test(path: str) -> None:
    assert places.in_test(path)


@pytest.mark.parametrize(
    "path",
    [
        "app.env",
        "environments/test/app.env",
        "overlays/test/secret.yaml",
        "test/main.bicepparam",
        "infra/test/terraform.tfvars",
        "contest/app.env",
        "latest/app.py",
        "src/Protest.cs",
        "load-testing-app/attest.py",
        "greatest.py",
        "test-app/appsettings.json",
        ".env.test",
        ".github/workflows/deploy.yml",
        "parameters.test.json",
        "parameters-test.json",
        "test-settings.json",
    ],
)
def test_what_only_sounds_like_a_test(path: str) -> None:
    assert not places.in_test(path)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/setup.rst",
        ".env.example",
        ".env.docker.example",
        "sample.env",
        "config.sample.json",
        "docs/guide.html",
        "api/openapi.v1.json",
    ],
)
def test_what_is_there_to_be_read_or_copied(path: str) -> None:
    assert places.in_example(path)


@pytest.mark.parametrize(
    "path",
    [
        "node_modules/debug/.env",
        "api/.venv/lib/x.py",
        "src/wwwroot/lib/bootstrap/x.js",
        "public/app.min.js",
        "AppHost/aspirate-state.json",
        "deploy/prod.enc.yaml",
        "a/vendor/x.go",
        "web/package-lock.json",
        "api/composer.lock",
        "orders.g.cs",
        "web/dist/assets/index-Bk3x9aQ1.js",
        "style.min.css.map",
        "pages/orders.html",
        ".secrets.baseline",
        "docs/rfcs/rfc7515.txt",
    ],
)
def test_what_was_made_by_others(path: str) -> None:
    assert places.in_copy(path)
    assert not places.in_copy("src/vendors/app.js")
    assert not places.in_copy("min.js")


@pytest.mark.parametrize(
    "path", ["public/app-settings.js", "web/src/firebase-messaging.js", "build/gulp-configuration.js"]
)
def test_what_only_sounds_like_a_bundle(path: str) -> None:
    assert not places.in_copy(path)


@pytest.mark.parametrize(
    "path", ["app.env", "sample-app.yaml", "examples/app.env", "main.bicep", "readme.py", "docs/build.sh"]
)
def test_what_runs_as_it_stands(path: str) -> None:
    assert not places.in_example(path)


def test_only_what_people_made_up_is_weak_in_a_test(
    tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    texts = {
        "made-up": PASSWORD,
        "of no form": expand('api_token = "%{alnum:40}"\n'),
        "database": expand("DB=postgres://app:%{word:14}@db.contoso.net/orders\n"),
        "verified": expand("KEY=%{key:storage:Default0}\n"),
        "a vendor's": expand("TOKEN=glpat-%{alnum:20}\n"),
    }
    weak = {}
    for folder in ("tests", "app", "docs"):
        for number, (what, text) in enumerate(texts.items()):
            path = tmp_path / folder / (f"{number}.md" if folder == "docs" else f"{number}.env")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            found = files.scan([tmp_path], engine=engine, fingerprinter=fingerprinter).findings
            assert len(found) == 1, what
            weak[folder, what] = found[0].weak
            path.unlink()
    assert [weak["tests", what] for what in texts] == [True, True, True, False, False]
    assert [weak["app", what] for what in texts] == [False] * 5
    assert [weak["docs", what] for what in texts] == [True, False, True, False, False]


def test_where_the_scan_starts_says_nothing(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    top = tmp_path / "tests" / "app"
    top.mkdir(parents=True)
    (top / "app.env").write_text(PASSWORD)
    for start in (top, top / "app.env"):
        found = files.scan([start], engine=engine, fingerprinter=fingerprinter).findings
        assert [finding.weak for finding in found] == [False]
    found = files.scan([tmp_path], engine=engine, fingerprinter=fingerprinter).findings
    assert [finding.weak for finding in found] == [True]


def test_a_repository_and_its_history_agree(tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter) -> None:
    there = Repo(tmp_path / "tests")
    there.commit(**{"tests/app.env": PASSWORD, "app.env": f"# live\n{PASSWORD}"})
    for history in (False, True):
        found = repo.scan(there.path, history=history, engine=engine, fingerprinter=fingerprinter).findings
        assert {finding.location.as_dict()["path"]: finding.weak for finding in found} == {
            "tests/app.env": True,
            "app.env": False,
        }


def test_the_hook_lets_a_test_pass(engine: Engine) -> None:
    data = PASSWORD.encode()
    assert [find.match.weak for find in matches("tests/app.env", data, engine)] == [True]
    assert [find.match.weak for find in matches("app.env", data, engine)] == [False]


def test_a_database_of_a_build_lives_as_long_as_the_build(
    tmp_path: Path, engine: Engine, fingerprinter: Fingerprinter
) -> None:
    text = "    env:\n      POSTGRES_PASSWORD: ordersdev\n      ADMIN_PASSWORD: Wint3r!Sale88\n"
    for name in (".github/workflows/deploy.yml", "compose.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = files.scan([tmp_path], engine=engine, fingerprinter=fingerprinter).findings
    assert [(Path(str(find.location.as_dict()["path"])).name, find.weak) for find in found] == [
        ("deploy.yml", True),
        ("deploy.yml", False),
        ("compose.yml", False),
        ("compose.yml", False),
    ]


def test_a_generated_key_in_a_pipeline_that_only_tries_opens_something_outside(engine: Engine) -> None:
    text = expand("    env:\n      DB_PASSWORD: Wint3r!Sale88\n      SCAN_TOKEN: %{hex:40}\n")
    found = [match for _, match in sorted((match.start, match) for match in engine.matches(text.encode()))]
    assert [places.judged(match, ".github/workflows/ci.yml").weak for match in found] == [True, False]
    assert [places.judged(match, "tests/settings.yml").weak for match in found] == [True, True]
