from __future__ import annotations

import json
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners import decoding
from scanners.decoding import decoded_views
from scanners.engine import Engine
from scanners.examples import expand
from scanners.model import Document, FileLocation, Match, Secret, reveal

HERE = FileLocation("text", 1, 1)
KEY = expand("%{key:storage:Default0}+").rstrip("+")
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={KEY};EndpointSuffix=core.windows.net"
PASSWORD = expand("%{word:14}")


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def base64url(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def wrapped(text: str) -> str:
    coded = base64(text)
    return "\r\n".join(f"    {coded[at : at + 64]}" for at in range(0, len(coded), 64))


def powershell(text: str) -> str:
    return b64encode(text.encode("utf-16-le")).decode()


def hexadecimal(text: str) -> str:
    return text.encode().hex()


def upper_hex(text: str) -> str:
    return "0x" + text.encode().hex().upper()


def percent(text: str) -> str:
    return quote(text, safe="")


def dotnet(text: str) -> str:
    """As System.Text.Json writes strings."""
    return json.dumps(text).replace("+", "\\u002B").replace("=", "\\u003D").replace("/", "\\u002F")


def string(text: str) -> str:
    return json.dumps(text)


WAYS: list[tuple[Callable[[str], str], str]] = [
    (base64, "base64"),
    (base64url, "base64"),
    (wrapped, "base64"),
    (powershell, "base64 of UTF-16"),
    (hexadecimal, "hex"),
    (upper_hex, "hex"),
    (percent, "percent-encoding"),
    (dotnet, "string escapes"),
]


def scan(engine: Engine, text: str) -> list[Match]:
    return engine.scan(Document(text.encode(), HERE))


def only(engine: Engine, text: str) -> Match:
    matches = scan(engine, text)
    assert len(matches) == 1, matches
    return matches[0]


@pytest.mark.parametrize(("way", "how"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_a_connection_string_is_found_however_it_is_written(
    engine: Engine, way: Callable[[str], str], how: str
) -> None:
    coded = way(CONNECTION)
    text = f"first line\nblob: {coded}\nlast line\n"
    match = only(engine, text)
    assert (match.rule, match.verified) == ("azure-storage-key", "checksum")
    assert match.detail is not None
    assert match.detail.endswith(f"written in {how}")
    assert reveal(match.secret) == KEY
    begins = text.index(coded)
    assert begins < match.start < match.end <= begins + len(coded)


def test_places_lead_back_exactly(engine: Engine) -> None:
    text = f'x = "{hexadecimal(CONNECTION)}"\ny = "{percent(CONNECTION)}"\n'
    first, second = scan(engine, text)
    assert text[first.start : first.end] == hexadecimal(KEY)
    assert text[second.start : second.end] == percent(KEY)


@pytest.mark.parametrize(("outer", "outer_how"), WAYS, ids=[way.__name__ for way, _ in WAYS])
@pytest.mark.parametrize(("inner", "inner_how"), WAYS, ids=[way.__name__ for way, _ in WAYS])
def test_two_layers_are_taken_off(
    engine: Engine,
    inner: Callable[[str], str],
    inner_how: str,
    outer: Callable[[str], str],
    outer_how: str,
) -> None:
    text = f"a: 1\nblob: {outer(f'copy of {inner(CONNECTION)} end')}\n"
    match = only(engine, text)
    assert match.detail is not None
    # A layer that changes nothing of what it holds is no layer: hex in percent-encoding is hex.
    whole = f"{inner_how} inside {outer_how}"
    assert match.detail.endswith((whole, f"written in {inner_how}", f"written in {outer_how}"))
    assert reveal(match.secret) == KEY
    assert text.index("blob") < match.start < match.end <= len(text)


def test_three_layers_are_one_too_many(engine: Engine) -> None:
    assert scan(engine, base64(base64(CONNECTION)))
    assert not scan(engine, base64(base64(base64(CONNECTION))))


def test_names_inside_count(engine: Engine) -> None:
    lines = f"A=1\nDB_PASSWORD={PASSWORD}\nMODE=fast\nAPI_TOKEN={expand('%{alnum:40}')}\n"
    matches = scan(engine, f"ENV_FILE: {base64(lines)}\n")
    assert [match.rule for match in matches] == ["env-secret", "env-secret"]
    assert reveal(matches[0].secret) == PASSWORD
    nested = string(string(string({"name": "DB_PASSWORD", "value": PASSWORD})))  # type: ignore[arg-type] # any JSON
    match = only(engine, f'{{"settings": {nested}}}')
    assert reveal(match.secret) == PASSWORD
    assert match.detail == "written in string escapes inside string escapes"


def test_what_is_found_as_it_stands_is_not_found_again(engine: Engine) -> None:
    plain = scan(engine, f'{{"text": "say \\"hi\\"", "password": "{PASSWORD}"}}\n')
    assert [(match.rule, match.detail) for match in plain] == [("assigned-secret", None)]
    match = only(engine, f"https://contoso.net/?q=a%3Db%26c&key={KEY}")
    assert match.detail == "Storage account access key"


KUBERNETES = f"""\
apiVersion: v1
data:
  # comment
  password: {base64(PASSWORD)}
  "user": {base64("bob")}
  api-token: {base64("changeme")}
  settings.json: {base64('{"db": {"password": "' + PASSWORD[::-1] + '"}}')}
kind: Secret
metadata:
  name: shop
---
apiVersion: v1
kind: ConfigMap
data:
  password: {base64("Xk3!" + PASSWORD)}
"""


def test_the_data_of_a_kubernetes_secret_is_read(engine: Engine) -> None:
    matches = [match for match in scan(engine, KUBERNETES) if match.start < KUBERNETES.index("---")]
    assert [reveal(match.secret) for match in matches] == [PASSWORD, PASSWORD[::-1]]
    assert {match.detail for match in matches} == {"written in Kubernetes Secret data"}
    assert KUBERNETES[matches[0].start : matches[0].end] == base64(PASSWORD)


def test_a_secret_in_json_is_read(engine: Engine) -> None:
    manifest = {"kind": "Secret", "data": {"password": base64(PASSWORD), "token": base64("REPLACE_ME")}}
    assert [reveal(match.secret) for match in scan(engine, json.dumps(manifest))] == [PASSWORD]
    assert [reveal(match.secret) for match in scan(engine, json.dumps(manifest, indent=2))] == [PASSWORD]


def test_placeholders_in_a_secret_are_no_findings(engine: Engine) -> None:
    manifest = f"kind: Secret\ndata:\n  password: {base64('<your-password-here>')}\n  token: {base64('changeme')}\n"
    assert not scan(engine, manifest)
    assert not scan(engine, "kind: Secret\ndata:\n  password: {{ .Values.password | b64enc }}\n")


def test_a_named_value_is_decoded_too(engine: Engine) -> None:
    match = engine.scan_value("SETTINGS", Secret(base64(CONNECTION)))
    assert match is not None
    assert match.rule == "azure-storage-key"


@pytest.mark.parametrize(
    "text",
    [
        "sha256-" + expand("%{base64:43}="),
        expand("%{hex:64}"),
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
        "AbstractSingletonProxyFactoryBeanWithAnExceedinglyLongName",
        'printf("%3d %20s %2f\\n", a, b, c);',
        r"C:\Users\xavier\x86\bin and \d+\.\w*",
    ],
)
def test_what_is_no_text_is_left_alone(text: str) -> None:
    assert not list(decoded_views(text.encode()))


def test_a_level_never_holds_more_than_twice_the_document() -> None:
    lines = "\n".join(f'{{"a": "\\u0041{base64("b" * 90)}%3D%3D{quote(base64("c" * 60))}"}}' for _ in range(200))
    document = (lines + KUBERNETES).encode()
    views = list(decoded_views(document))
    outer = sum(len(view.data) for view in views if "inside" not in view.how)
    inner = sum(len(view.data) for view in views if "inside" in view.how)
    assert 0 < outer <= 2 * len(document)
    assert 0 < inner <= 2 * len(document)


PARTS = [KEY, base64(CONNECTION), hexadecimal("password=" + PASSWORD), percent(CONNECTION), dotnet(CONNECTION), "\\", '\\"',
    "\\u0041", "\\ud83d", "\\U000fffff", "%3D", "%", "%%25", "kind: Secret\n", "data:\n", "  password: " + base64(PASSWORD), "\n", "---\n", "\x00", "=",
    " ", "{", '"data": {', '"kind": "Secret"', "A" * 30, "ZGF0YQ" * 8, "\u00e9", "/", "_", "-"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS), max_size=40))
def test_views_lie_inside_and_lead_back_inside(parts: list[str]) -> None:
    data = "".join(parts).encode()
    views = list(decoded_views(data))
    for view in views:
        assert 0 <= view.start < view.end <= len(data)
        places = [view.place(offset) for offset in range(len(view.data) + 1)]
        assert places == sorted(places)
        assert view.start <= places[0]
        assert places[-1] <= view.end
    assert [(v.data, v.start, v.end, v.how) for v in decoded_views(data)] == [
        (v.data, v.start, v.end, v.how) for v in views
    ]


@settings(max_examples=100, deadline=None)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=40))
def test_a_database_of_its_own_changes_nothing(parts: list[str]) -> None:
    data = "".join(parts).encode() + b" " * 20_000
    seen = []
    for loaded in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(decoding, "_PREFILTER", decoding._Prefilter())
            if loaded:
                pytest.importorskip("hyperscan")
            else:
                patch.delitem(sys.modules, "hyperscan", raising=False)
            seen.append([(v.data, v.start, v.end, v.how) for v in decoded_views(data)])
    assert seen[0] == seen[1]
