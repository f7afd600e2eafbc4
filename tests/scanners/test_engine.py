from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanners import matching, rulefiles, ruleset, store
from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Document, FileLocation, Match, Secret, reveal
from scanners.positions import Lines, line_and_column
from scanners.ruleset import RuleSet
from tests.scanners.cases import labelled

HERE = FileLocation("text", 1, 1)


def found(engine: Engine, data: bytes) -> list[tuple[str, int, int, str | None, bool, str, str]]:
    return [
        (m.rule, m.start, m.end, m.verified, m.weak, str(m.confidence), reveal(m.secret))
        for m in engine.scan(Document(data, HERE))
    ]


def only(engine: Engine, text: str) -> Match:
    matches = engine.scan(Document(text.encode(), HERE))
    assert len(matches) == 1, matches
    return matches[0]


def test_both_matchers_find_the_same_in_all_cases(engine: Engine, plain_engine: Engine) -> None:
    for case in labelled():
        data = (case["text"].rstrip("\n") + "\n").encode()
        assert found(engine, data) == found(plain_engine, data), case["id"]


def test_both_matchers_find_the_same_in_one_long_document(engine: Engine, plain_engine: Engine, rules: RuleSet) -> None:
    """Windows are cut out of a long document; what they hold must be what the whole document holds."""
    source = random.Random(3)
    parts = []
    for rule in rules:
        parts += [expand(text) for text in (*rule.examples[:1], *rule.negatives[:1])]
    source.shuffle(parts)
    words = ["lorem ", "x = 1;\n", "\n", "key ", "secret", "AccountKey=", "token: ", "://", "==", " " * 300, "a" * 700]
    text = "".join(part + "\n" + source.choice(words) * source.randrange(1, 12) for part in parts)
    data = text.encode()
    assert len(data) > 100_000
    assert found(engine, data) == found(plain_engine, data)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.sampled_from(["password=", "AccountKey=", "sig=", "sv=", "&", "se=1", "://", "u:p@", "\n", "\x00", "ey",
    ".ey", "-----BEGIN PRIVATE KEY-----", "JQQJ99", "A" * 90, "7" * 44, "token: ", "'", '"', "é", "\xff", "==", " ", "{", "${",
    "name: secret", "value: ", "curl -u a:b ", "key"]), max_size=60))  # fmt: skip
def test_no_input_breaks_it_and_both_matchers_agree(engine: Engine, plain_engine: Engine, parts: list[str]) -> None:
    data = "".join(parts).encode("utf-8")
    assert found(engine, data) == found(plain_engine, data)


@given(data=st.binary(max_size=400))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_bytes_can_be_scanned(engine: Engine, data: bytes) -> None:
    for match in engine.scan(Document(data, HERE)):
        assert 0 <= match.start < match.end <= len(data)


def test_a_key_that_verifies_is_verified_and_a_changed_one_is_less_sure(engine: Engine) -> None:
    genuine = only(engine, expand("connection %{key:service-bus:Send0000} end"))
    assert (genuine.rule, genuine.verified, str(genuine.confidence)) == ("azure-service-bus-key", "checksum", "high")
    assert genuine.detail == "Service Bus key with Send right"
    changed = only(engine, expand("connection %{bad:key:service-bus:Send0000} end"))
    assert (changed.rule, changed.verified, str(changed.confidence)) == ("azure-service-bus-key", None, "medium")
    assert changed.detail is None


def test_the_most_telling_rule_has_the_value(engine: Engine) -> None:
    text = expand(
        "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=%{key:service-bus:Send0000}"
    )
    assert only(engine, text).rule == "azure-service-bus-key"


def test_an_emulator_key_is_weak(engine: Engine) -> None:
    key = "Eby8vdM02x" + expand("%{alnum:76}") + "=="
    match = only(engine, f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};")
    assert match.weak


def test_offsets_lead_back_in_every_encoding(engine: Engine) -> None:
    secret = expand("%{key:storage:Default0}")
    text = f"größe = 1\nKlüssel = '{secret}'\n"
    for encoding, mark in [
        ("utf-8", b""),
        ("latin-1", b""),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-16-le", b""),
    ]:
        data = mark + text.encode(encoding)
        matches = engine.scan(Document(data, HERE))
        assert [m.rule for m in matches] == ["azure-storage-key"], encoding
        assert data[matches[0].start : matches[0].end].decode(encoding) == secret
        assert reveal(matches[0].secret) == secret


def test_binary_files_show_their_printable_runs(engine: Engine) -> None:
    key = expand("%{key:cosmos:MastRO00}")
    data = bytes(range(1, 32)) + b"\x00\x01" + key.encode() + b"\x00\x02password = 'Summer2024!x'\x00"
    assert [m.rule for m in engine.scan(Document(data, HERE))] == ["azure-cosmos-key"]
    wide = b"\x00\x01\x02\x03" * 40 + key.encode("utf-16-le") + b"\x00\x01\x02\x03" * 40
    matches = engine.scan(Document(wide, HERE))
    assert [m.rule for m in matches] == ["azure-cosmos-key"]
    assert wide[matches[0].start : matches[0].end].decode("utf-16-le") == key


def test_lines_and_columns_count_from_one() -> None:
    data = "a\nbé€ x\n".encode()
    assert line_and_column(data, 0) == (1, 1)
    assert line_and_column(data, data.index(b"x")) == (2, 5)
    assert line_and_column(b"\xff\xffx", 2) == (1, 3)


@given(st.lists(st.sampled_from([b"\n", b"a", b"\xc3\xa9", b"\xff", b"\n\n"]), max_size=30).map(b"".join), st.data())
def test_few_places_and_many_are_counted_alike(data: bytes, choose: st.DataObject) -> None:
    lines = Lines(data)
    for offset in choose.draw(st.lists(st.integers(0, len(data)), max_size=12)):
        assert lines.at(offset) == line_and_column(data, offset)
        line, column = lines.at(offset)
        assert line == data[:offset].count(b"\n") + 1
        assert column <= offset + 1


# The cache


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule set that compiles at once: what a cache does has nothing to do with how many rules there are."""
    files = rulefiles.rule_files()
    monkeypatch.setattr(rulefiles, "rule_files", lambda: {"payments": files["payments"]})


@pytest.fixture
def filled(tmp_path: Path, few: None) -> tuple[Path, Path]:
    folder = tmp_path / "cache"
    Engine.load(folder)
    (file,) = folder.iterdir()
    return folder, file


KEY = ("sk_live_" + expand("%{alnum:24}")).encode()


def test_the_cache_is_private_and_read_back(filled: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file = filled
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(matching, "compile_database", lambda _rules: pytest.fail("compiled again"))
    assert [hit[0] for hit in found(Engine.load(folder), KEY)] == ["stripe-key"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "header", "empty", "other", "loose", "link"])
def test_a_cache_that_cannot_be_trusted_is_replaced(
    filled: tuple[Path, Path], damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = filled
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        middle = len(data) - 500
        file.write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :])
    elif damage == "header":
        file.write_bytes(data.replace(b"keylift-rules", b"keylift-ruins", 1))
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "other":
        file.write_bytes(b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.")
    elif damage == "loose":
        file.chmod(0o666)
    else:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(data)
        elsewhere.chmod(0o600)
        file.unlink()
        file.symlink_to(elsewhere)
    compiled = []

    def compile_and_count(rules: Sequence[ruleset.Rule]) -> object:
        compiled.append(len(rules))
        return compile_really(rules)

    compile_really = matching.compile_database
    monkeypatch.setattr(matching, "compile_database", compile_and_count)
    again = Engine.load(folder)
    assert len(compiled) == 1
    assert found(again, KEY)
    if damage != "link":
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.is_symlink()


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, few: None) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert found(Engine.load(blocked / "cache"), KEY)


def test_a_cache_never_grows_without_end(tmp_path: Path) -> None:
    for number in range(8):
        store.save(tmp_path, f"{number}" * 32, store.Stored(b"", b"", b""))
    assert len(list(tmp_path.iterdir())) <= 5


def test_nothing_slow_is_imported_before_an_engine_is_loaded() -> None:
    code = "import scanners.engine, sys; print([m for m in ('hyperscan', 'detect_secrets', 'yaml', 'rich') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert run.stdout.strip() == "[]"


def test_a_match_shows_its_value_to_nobody(engine: Engine) -> None:
    secret = expand("%{key:storage:Default0}")
    match = only(engine, f"k {secret}")
    assert secret not in repr(match)
    assert match.secret == Secret(secret)
