"""Scripts with a variable in a value's place, run by a real shell beside those with the value: the words must be equal."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.planning import scripts
from migrator.wording import edited, unedited
from scanners.model import Fingerprinter, Secret

KEY = Fingerprinter(b"k" * 32)
VALUE = "kX9vQ2mZ7pL4.bT5-wR8"
SHELLS = [shell for shell in ("sh", "bash", "dash", "busybox") if shutil.which(shell)]
VARIABLE = "KEYLIFT_PASSWORD"


def replaced(script: str, value: str = VALUE) -> str | None:
    """The script as a plan would make it."""
    found = scripts.occurrences(script, value)
    if not found:
        return None
    return edited(script, edits(found))


def edits(found: list[scripts.Standing]) -> list[dict[str, object]]:
    return [
        {"start": one.start, "end": one.end, "text": one.refer(VARIABLE), "fingerprint": KEY.of(VALUE)} for one in found
    ]


def words(shell: str, script: str) -> bytes:
    """What a program gets: `show` prints each argument and a variable of its surroundings."""
    command = [shell, *(["sh"] if shell == "busybox" else []), "-c"]
    prelude = 'show() { for one in "$@"; do printf \'<%s>\' "$one"; done; printf \'{%s}\' "$PASSWORD"; }\n'
    env = {"PATH": os.environ["PATH"], VARIABLE: VALUE, "HOME": "/root"}
    ran = subprocess.run([*command, prelude + script], env=env, capture_output=True, check=False, timeout=20)
    return ran.stdout + b"|%d" % ran.returncode


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "script",
    [
        f"show --password={VALUE}",
        f"show --password {VALUE} --verbose",
        f"show --password='{VALUE}' a",
        f'show "--password={VALUE}" b',
        f'show "postgres://app:{VALUE}@db:5432/shop?x=$HOME" c',
        f"show 'postgres://app:{VALUE}@db/shop?x=$HOME'",
        f"PASSWORD={VALUE} show d",
        f"export PASSWORD={VALUE}; show e && show {VALUE}|cat",
        f"# the password is {VALUE}, don't tell\nshow {VALUE}",
        f"case {VALUE} in *.bT5*) show yes;; *) show no;; esac",
        f"if [ {VALUE} = {VALUE} ]; then show {VALUE}; fi",
        f"for one in a {VALUE} b; do show $one; done",
        f"eval 'show {VALUE}'",
        f"set -eu\nshow a\\ b {VALUE}\\\n  c",
    ],
)
def test_a_shell_makes_the_same_words(shell: str, script: str) -> None:
    other = replaced(script)
    assert other is not None, script
    assert VALUE not in other
    assert words(shell, other) == words(shell, script)
    found = scripts.occurrences(script, VALUE) or []
    assert unedited(other, edits(found), lambda _mark: Secret(VALUE)) == script


@pytest.mark.parametrize(
    "script",
    [
        f"show $(cat {VALUE})",
        f"show \\ #{VALUE}",
        f"show a\\\n#{VALUE}",
        f"show `cat {VALUE}`",
        f"cat <<END\n{VALUE}\nEND",
        f"show ${{X:-{VALUE}}}",
        f"show \\{VALUE}",
        f"show ~{VALUE}",
        f"{VALUE}=1 show",
        f"show 'unfinished {VALUE}",
        f"show $'{VALUE}'",
        f"show {{{VALUE}}}",
        f"show 2{VALUE}>file",
        f'show "\\{VALUE}"',
        f"[[ x =~ {VALUE} ]]",
        f"for {VALUE} in a; do :; done",
        f"show $((1 + {VALUE}))",
    ],
)
def test_where_quoting_is_not_certain_nothing_is_proposed(script: str) -> None:
    assert replaced(script) is None


@pytest.mark.parametrize(
    "value", ["a b$HOME", "x$$y", 'quo"te-1234567', "back\\slash12345", "a'b-123456789", "new\nline12345"]
)
def test_values_that_a_shell_would_read_are_left(value: str) -> None:
    assert replaced(f"show '{value}'", value) is None


PIECES = st.sampled_from(
    [
        *("show", " ", "a", "=", "--p=", "'", '"', "\\", "\n", ";", "#", "$HOME", "$", "{", "}", "~", ":", "@", "-"),
        *("&&", "|", "(", ")", "<", ">", "*", "if", "for ", "PASSWORD=", "eval ", VALUE, VALUE),
    ]
)


@pytest.mark.skipif(not SHELLS, reason="there is no shell here")
@settings(max_examples=250, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=14))
def test_any_script_that_is_changed_means_the_same(pieces: list[str]) -> None:
    script = "show " + "".join(pieces)
    other = replaced(script)
    if other is None:
        return
    assert VALUE not in other
    # bash, because it has the most constructs; a file that a redirection makes and a process id are no words' concern
    shell = "bash" if "bash" in SHELLS else SHELLS[0]
    if any(sign in script for sign in ("<", ">", "$$")):
        return
    assert words(shell, other) == words(shell, script), script


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (["sh", "-c", "x"], 2),
        (["/bin/sh", "-ec", "x", "name"], 2),
        (["bash", "-o", "pipefail", "-c", "x"], 4),
        (["bash", "-euo", "pipefail", "-c", "x"], 4),
        (["bash", "-ceuo", "pipefail", "x"], 3),
        (["sh", "x.sh"], None),
        (["bash", "-lc", "x"], None),
        (["env", "-i", "sh", "-c", "x"], None),
        (["python", "-c", "x"], None),
        (["sh", "-c"], None),
        ([], None),
    ],
)
def test_which_word_is_the_script(line: list[str], at: int | None) -> None:
    assert scripts.script_at(line) == at


def test_a_value_is_found_by_its_fingerprint_and_nothing_else() -> None:
    script = f"myapp --user app --password={VALUE} --verbose"
    assert scripts.standing(script, KEY.of(VALUE), KEY) == VALUE
    assert scripts.standing(script, KEY.of("another"), KEY) is None
    assert scripts.standing("a-" * 2000, KEY.of(VALUE), KEY) is None
    assert scripts.option(script, script.index(VALUE)) == "password"


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("show --db-password ", "db-password"),
        ("show --password='", "password"),
        ("DB_PASSWORD=", "DB_PASSWORD"),
        ("curl -H 'X-Api-Key: ", "X-Api-Key"),
        # what stands before a value may be a value, too, and goes into no plan
        ("mc alias set s3 https://s3 AKIAOTHERVALUE ", ""),
        ("login 'OtherValue1' '", ""),
        ("mysql -pOtherValue1 ", ""),
        ("curl -u OtherValue1:", ""),
        ("show --password=dGVzdE90aGVy= ", ""),
        ("show --password dGVzdE90a+GVy=", ""),
        ("show x--OtherValue1 ", ""),
    ],
)
def test_a_value_is_called_by_no_other_value(before: str, name: str) -> None:
    assert scripts.option(before + VALUE, len(before)) == name


def test_a_variable_that_nothing_else_goes_by() -> None:
    assert scripts.variable("db-password", ["KEYLIFT_DB_PASSWORD"], "show") == "KEYLIFT_DB_PASSWORD_2"
    assert scripts.variable("db-password", [], "unset KEYLIFT_DB_PASSWORD") == "KEYLIFT_DB_PASSWORD_2"
