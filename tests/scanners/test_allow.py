"""Comments, entries of the configuration, and their order with the baseline."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners import allow
from scanners.allow import AllowError
from scanners.model import Secret
from scanners.positions import surroundings

VALUE = Secret("quai-Vodka-lantern-81")
OTHER = Secret("another-Value-of-tests-7")
TODAY = date(2026, 11, 22)
SALT = "00112233aabbccdd"


def loaded(folder: Path, entries: str = "", *, name: str = "keylift.toml", **options: Any) -> allow.Allow:
    text = f"allow = [\n{entries}\n]\n" if entries else ""
    (folder / name).write_text(("[tool.keylift]\n" if name == "pyproject.toml" else "") + text)
    return allow.load(folder, today=TODAY, **options)


def status(allowed: allow.Allow, path: str = "a/b.py", rule: str = "generic-password", secret: Secret = VALUE) -> str:
    return allowed.status(rule, path, "password = ...", "", secret)


# Comments

PIECES = (
    "#", "//", "/*", "*/", "'", "--", "<!--", "-->", " ", "\t", "pragma:", "pragma: ", "allowlist", "whitelist",
    " secret", "-secret", " nextline", "-nextline", "x = 'y'", "gitleaks", "because", "é",
)  # fmt: skip


@settings(deadline=None)  # importing detect-secrets is slow
@given(
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=14).map("".join),
    st.sampled_from(["a.py", "a.yaml", "a.yml", "a.xml", "dir.yaml/a", "none"]),
)
def test_pragmas_mean_what_they_mean_to_detect_secrets(line: str, previous: str, path: str) -> None:
    from detect_secrets.filters.allowlist import is_line_allowlisted
    from detect_secrets.util.code_snippet import get_code_snippet

    line = line.rstrip()
    context = get_code_snippet([previous, line], 2)
    assert allow.commented(path, line, previous) == is_line_allowlisted(path, line, context)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "x = 1  # pragma: allowlist secret"),
        ("a.py", "x = 1  # pragma: whitelist secret (from a test)"),
        ("a.go", "x := 1 // pragma:allowlist-secret\r\n"),
        ("a.c", "x = 1; /* pragma: allowlist secret */ "),
        ("a.sql", "select 1 -- pragma: allowlist secret"),
        ("a.xml", "<x/> <!-- pragma: allowlist secret -->"),
        ("a.yaml", "x: 1 # pragma: allowlist secret"),
        ("a.txt", "gitleaks:allow is enough"),
        ("a.pem", "BEGIN\nmiddle # gitleaks:allow\nEND"),
        ("a.pem", "BEGIN\nmiddle # pragma: allowlist secret\nEND"),
    ],
)
def test_comments_that_allow(path: str, line: str) -> None:
    assert allow.commented(path, line, "")


@pytest.mark.parametrize(
    ("path", "line", "previous"),
    [
        ("a.py", "pragma: allowlist secret", ""),
        ("a.yaml", "x: 1 // pragma: allowlist secret", ""),
        ("a.py", "x = 1  # pragma: allowlist nextline secret", ""),
        ("a.py", "x = 1", "y = 2  # pragma: allowlist nextline secret"),
        ("a.py", "x = 1", "# pragma: allowlist secret"),
        ("a.py", "x = 1", "# pragma: whitelist nextline secret"),
        ("a.c", "x = 1; /* pragma: allowlist secret", ""),
        ("a.py", "x = 1", "# gitleaks:allow"),
        ("a.py", "x = 1 # GITLEAKS:ALLOW", ""),
    ],
)
def test_comments_that_do_not(path: str, line: str, previous: str) -> None:
    assert not allow.commented(path, line, previous)


def test_the_line_before() -> None:
    assert allow.commented("a.py", "x = 1", "# pragma: allowlist nextline secret")
    assert allow.commented("a.py", "x = 1", "# pragma: allowlist nextline secret\n")


def test_comments_are_read_in_linear_time() -> None:
    for line in (
        "#" * 50_000 + "pragma:",
        "# " * 50_000 + "pragma:",
        "<!--" + " #" * 50_000 + "pragma:",
        "/*" * 50_000,
    ):
        assert not allow.commented("a.py", line + " allowlist", line)


def test_surroundings() -> None:
    data = b"one\ntwo SECRET two\nthree\n"
    at = data.index(b"SECRET")
    assert surroundings(data, at, at + 6) == ("two SECRET two", "one")
    assert surroundings(data, 0, 3) == ("one", "")
    assert surroundings(data, 0, at + 1) == ("one\ntwo SECRET two", "")
    wide = b"x" * 100_000
    line, previous = surroundings(wide, 50_000, 50_010)
    assert len(line) < 10_000
    assert previous == ""
    assert surroundings(b"\n" + b"y" * 5, 1, 3) == ("yyyyy", "")


# Entries


def test_nothing_is_allowed_without_configuration(tmp_path: Path) -> None:
    assert status(allow.load(tmp_path)) == "new"


@pytest.mark.parametrize("name", ["keylift.toml", "pyproject.toml"])
def test_what_an_entry_names_must_all_hold(tmp_path: Path, name: str) -> None:
    allowed = loaded(tmp_path, '{ rule = "generic-password", path = "a/**", reason = "made up" }', name=name)
    assert status(allowed) == "allowed"
    assert status(allowed, rule="other") == "new"
    assert status(allowed, path="b/a.py") == "new"


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("tests", "tests/x/y.py", True),
        ("tests/", "a/tests/y.py", True),
        ("/tests", "a/tests/y.py", False),
        ("*.md", "docs/a.md", True),
        ("docs/*.md", "docs/a/b.md", False),
        ("docs/**/*.md", "docs/a/b.md", True),
        ("a", "ab", False),
        ("/subscriptions/*/resourceGroups/dev", "/subscriptions/1/resourceGroups/dev/providers/x", True),
    ],
)
def test_paths_are_as_in_gitignore(tmp_path: Path, pattern: str, path: str, covered: bool) -> None:
    allowed = loaded(tmp_path, f'{{ path = "{pattern}", reason = "r" }}')
    assert (status(allowed, path=path) == "allowed") is covered


def test_paths_are_relative_to_the_configuration(tmp_path: Path) -> None:
    loaded(tmp_path, '{ path = "/sub/a.py", reason = "r" }')
    (tmp_path / "sub").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    below = allow.load(tmp_path / "sub", today=TODAY)
    assert status(below, path="a.py") == "allowed"
    assert status(below, path=str(tmp_path / "sub" / "a.py")) == "allowed"
    assert status(below, path="../a.py") == "new"


def test_a_value_by_fingerprint(tmp_path: Path) -> None:
    known = allow.fingerprint(VALUE, SALT)
    assert known.startswith(f"keylift1${SALT}$")
    assert known == allow.fingerprint(Secret("quai-Vodka-lantern-81"), SALT)
    allowed = loaded(tmp_path, f'{{ fingerprint = "{known}", reason = "r" }}')
    assert status(allowed) == "allowed"
    assert status(allowed, secret=OTHER) == "new"


def test_a_suggestion_allows_this_and_nothing_else(tmp_path: Path) -> None:
    text = loaded(tmp_path).suggestion("generic-password", 'a/"b".py', VALUE)
    assert "quai" not in text
    allowed = loaded(tmp_path, text)
    assert status(allowed, path='a/"b".py') == "allowed"
    assert status(allowed, path='a/"b".py', secret=OTHER) == "new"
    assert status(allowed, path="c.py") == "new"
    (entry,) = allowed.entries
    # The next one shares the salt, so that a value is digested once for all of them.
    assert entry.fingerprint.split("$")[1] in allowed.suggestion("x", "y", OTHER)


def test_an_entry_counts_through_its_last_day(tmp_path: Path) -> None:
    allowed = loaded(
        tmp_path,
        '{ path = "a", until = 2026-11-22, reason = "today" }, { path = "b", until = 2026-11-21, reason = "yesterday" }',
    )
    assert status(allowed, path="a") == "allowed"
    assert status(allowed, path="b") == "new"
    (notice,) = allowed.notices
    assert "path b" in notice
    assert "2026-11-21" in notice


@pytest.mark.parametrize(
    ("entry", "says", "way_out"),
    [
        ('{ path = "a" }', "has no reason", "reason ="),
        ('{ path = "a", reason = " " }', "has no reason", "reason ="),
        ('{ reason = "r" }', "allow everything", "name a rule"),
        ('{ pathh = "a", reason = "r" }', "unknown key 'pathh'", "'path'"),
        ('{ rul = "a", reason = "r" }', "unknown key 'rul'", "'rule'"),
        ('{ path = "a", reason = "r", until = "2026-12-31" }', "until is no date", "without quotes"),
        ('{ path = 1, reason = "r" }', "path is no text", "path ="),
        ('{ path = "!a", reason = "r" }', "no path pattern", ".gitignore"),
        ('{ fingerprint = "f1:00", reason = "r" }', "equal on every machine", "keylift1$"),
        ('"a"', "is no table", "{ path"),
        ("{ path = ", "not valid TOML", "mend"),
    ],
)
def test_entries_that_cannot_be_used(tmp_path: Path, entry: str, says: str, way_out: str) -> None:
    with pytest.raises(AllowError) as error:
        loaded(tmp_path, entry)
    assert says in str(error.value)
    assert "keylift.toml" in str(error.value)
    assert way_out in error.value.hint


def test_it_goes_to_other_processes_without_values(tmp_path: Path) -> None:
    allowed = loaded(tmp_path, f'{{ fingerprint = "{allow.fingerprint(VALUE, SALT)}", path = "a/**", reason = "r" }}')
    assert status(allowed) == "allowed"
    assert status(pickle.loads(pickle.dumps(allowed))) == "allowed"
    assert b"quai" not in pickle.dumps(allowed)
    assert "quai" not in repr(allowed)


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    code = (
        "import sys; from pathlib import Path; from scanners import allow; allow.load(Path('.')); "
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    heavy = {"tomllib", "detect_secrets", "requests", "random", "tempfile", "difflib", "yaml", "click", "subprocess"}
    assert not [name for name in heavy if f"'{name}'" in done.stdout], done.stdout


def test_the_documentation_shows_entries_that_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "allowing.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "keylift.toml").write_text(block)
    assert len(allow.load(tmp_path, today=TODAY).entries) == 2
    for key in allow.KEYS:
        assert f"| `{key}` |" in page
