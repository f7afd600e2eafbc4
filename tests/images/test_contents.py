"""What is looked at in an image, place by place, and what is said of it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scanners.engine import Engine
from scanners.images.errors import ImageError
from scanners.model import Fingerprinter, Report
from scanners.sources import image
from tests.images import build, planted

KEY = Fingerprinter(bytes(32))


def scan(tmp_path: Path, engine: Engine, made: build.Made, **options: Any) -> Report:
    path = build.write_folder(tmp_path / "image", build.oci_files(made))
    return image.scan([str(path)], engine=engine, fingerprinter=KEY, **options)


def place_of(report: Report, value: str) -> dict[str, Any]:
    (found,) = [finding for finding in report.findings if finding.fingerprint == KEY.of(value)]
    return found.location.as_dict()


def layer(files: Mapping[str, str | bytes | None], **more: Any) -> bytes:
    return build.tar({name: body.encode() if isinstance(body, str) else body for name, body in files.items()}, **more)


@pytest.mark.parametrize(
    ("above", "fate"),
    [
        ({"app/conf/.wh.db.ini": ""}, "deleted"),
        ({"app/.wh.conf": ""}, "deleted"),
        ({"./app/conf/.wh..wh..opq": ""}, "deleted"),
        ({".wh..wh..opq": ""}, "deleted"),
        ({"app/conf": "a file in place of the folder"}, "deleted"),
        ({"app/conf/db.ini": "nothing"}, "replaced"),
        ({"app/conf/.wh..wh..opq": "", "app/conf/db.ini": "nothing"}, "replaced"),
        ({"app/conf/.wh.other.ini": "", "app/confx/.wh..wh..opq": ""}, "visible"),
    ],
)
def test_what_later_layers_do(above: dict[str, str], fate: str, tmp_path: Path, engine: Engine) -> None:
    value = planted.password()
    top = layer(above)
    made = build.Made([layer({"app/conf/db.ini": f"db_password = {value}\n"}), layer({"etc/x": "y"}), top])
    where = place_of(scan(tmp_path, engine, made), value)
    by = build.digest(build.gzipped(top))
    assert where["layer"] == build.digest(build.gzipped(made.layers[0]))
    assert (where["deleted"], where["deleted_by"]) == ((True, by) if fate == "deleted" else (False, None))
    assert where["replaced_by"] == (by if fate == "replaced" else None)
    assert where["visible"] is (fate == "visible")


def test_a_deleted_name_of_a_file_that_has_another(tmp_path: Path, engine: Engine) -> None:
    value = planted.password()
    base = layer({"app/db.ini": f"db_password = {value}\n"}, links={"etc/db.ini": "app/db.ini"})
    where = place_of(scan(tmp_path, engine, build.Made([base, layer({"app/.wh.db.ini": ""})])), value)
    assert (where["deleted"], where["visible"]) == (False, True)


def test_everything_in_a_configuration(tmp_path: Path, engine: Engine) -> None:
    names = (
        "Env.DB_PASSWORD",
        "Labels.com.example.password",
        "Cmd",
        "Entrypoint",
        "Healthcheck",
        "History[1]",
        "History[2]",
    )
    values = {name: planted.password() for name in names}
    made = build.Made(
        [layer({"etc/x": "y"}), layer({"etc/y": "z"})],
        env=[f"DB_PASSWORD={values['Env.DB_PASSWORD']}"],
        config={
            "Labels": {"com.example.password": values["Labels.com.example.password"]},
            "Cmd": ["serve", f"--password={values['Cmd']}"],
            "Entrypoint": ["/run", "--db-password", values["Entrypoint"]],
            "Healthcheck": {"Test": ["CMD-SHELL", f"curl -u probe:{values['Healthcheck']} http://localhost/"]},
        },
        history=[
            {"created_by": "ADD file:1 in /"},
            {"created_by": f"RUN |1 NPM_TOKEN={values['History[1]']} /bin/sh -c npm ci # buildkit"},
            {"created_by": f"/bin/sh -c #(nop)  ENV OLD_PASSWORD={values['History[2]']}", "empty_layer": True},
        ],
    )
    report = scan(tmp_path, engine, made)
    assert {name: place_of(report, value)["config"] for name, value in values.items()} == {name: name for name in names}
    assert len(report.findings) == len(names), "one value at one place is one finding"
    assert {place_of(report, value)["visible"] for name, value in values.items() if name.startswith("History")} == {
        False
    }
    assert not any(value in repr(report) for value in values.values())


JSON_TOKEN = "eyJ0eXAiOiJKV1QifQ"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("root/.npmrc", "//registry.npmjs.org/:_authToken={value}\n"),
        ("root/.docker/config.json", '{{"auths": {{"r.example.com": {{"auth": "{coded}"}}}}}}'),
        ("root/.azure/accessTokens.json", '[{{"refreshToken": "{value}", "_clientId": "x"}}]'),
        ("root/.azure/service_principal_entries.json", '[{{"client_id": "a", "client_secret": "{value}"}}]'),
        ("root/.kube/config", "users:\n- name: a\n  user:\n    token: {value}\n"),
        ("root/.pypirc", "[pypi]\nusername = __token__\npassword = {value}\n"),
        ("root/.netrc", "machine example.com login a password {value}\n"),
        ("src/nuget.config", '<packageSourceCredentials><f><add key="ClearTextPassword" value="{value}" /></f></packageSourceCredentials>'),
        ("app/appsettings.Production.json", '{{"Smtp": {{"Password": "{value}", // kept\n }} }}'),
        ("app/.env", "QUEUE_PASSWORD={value}\n"),
    ],
)  # fmt: skip
def test_files_of_credentials(path: str, text: str, tmp_path: Path, engine: Engine) -> None:
    value = planted.password()
    coded = b64encode(f"user:{value}".encode()).decode()
    report = scan(tmp_path, engine, build.Made([layer({path: text.format(value=value, coded=coded)})]))
    assert {finding.location.as_dict()["path"] for finding in report.findings} == {f"/{path}"}
    assert {finding.fingerprint for finding in report.findings} & {KEY.of(value), KEY.of(coded)}


def test_a_private_key(tmp_path: Path, engine: Engine) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    report = scan(tmp_path, engine, build.Made([layer({"root/.ssh/id_rsa": key.private_bytes(*form)})]))
    assert [finding.location.as_dict()["path"] for finding in report.findings] == ["/root/.ssh/id_rsa"]


def tar_of(files: dict[str, bytes]) -> bytes:
    return build.tar(dict(files))


@pytest.mark.parametrize("outer", ["app.jar", "app.zip", "app.whl", "app.nupkg", "app.tar", "app.tar.gz"])
def test_archives_in_archives(outer: str, tmp_path: Path, engine: Engine) -> None:
    one, two, three = planted.password(), planted.password(), planted.password()
    innermost = build.jar({"three.properties": f"db_password={three}\n".encode()})
    inner = build.jar({"two.properties": f"db_password={two}\n".encode(), "more.jar": innermost})
    files = {"one.properties": f"db_password={one}\n".encode(), "lib/inner.jar": inner}
    body = tar_of(files) if ".tar" in outer else build.jar(files)
    report = scan(
        tmp_path, engine, build.Made([layer({f"app/{outer}": build.gzipped(body) if outer.endswith("gz") else body})])
    )
    assert place_of(report, one)["path"] == f"/app/{outer}!/one.properties"
    assert place_of(report, two)["path"] == f"/app/{outer}!/lib/inner.jar!/two.properties"
    assert KEY.of(three) not in {finding.fingerprint for finding in report.findings}, "two deep, and no deeper"


def test_a_damaged_member_is_told_of_and_judged(tmp_path: Path, engine: Engine) -> None:
    value = planted.password()
    body = bytearray(build.jar({"a.properties": f"db_password={value}\n".encode(), "b": b"x"}))
    at = body.index(b"PK\x01\x02") + 16
    body[at : at + 4] = b"\0\0\0\0"
    report = scan(tmp_path, engine, build.Made([layer({"app/a.jar": bytes(body)})]))
    assert place_of(report, value)["path"] == "/app/a.jar!/a.properties"
    assert [error["what"] for error in report.errors] == ["is damaged: its checksum does not hold"]


@pytest.mark.parametrize(("user", "root"), [("", True), ("root", True), ("0:0", True), ("app", False), ("1000", False)])
def test_who_it_runs_as(user: str, root: bool, tmp_path: Path, engine: Engine) -> None:
    report = scan(tmp_path, engine, build.Made([layer({"a": "b"})], config={"User": user}))
    assert bool(report.notes) is root
    if root:
        assert "runs as root" in report.notes[0]["what"]


def keylift(tmp_path: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command itself, in a home, a folder and a folder of temporary files of its own."""
    for name in ("home", "work", "temporary"):
        (tmp_path / name).mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "KEYLIFT_STATE_DIR": str(tmp_path / "state"),
    }
    command = [sys.executable, "-B", "-m", "migrator", "scan", "image", *arguments]
    return subprocess.run(
        command, input=stdin, capture_output=True, check=False, env=environment, cwd=tmp_path / "work"
    )


FORMS: dict[str, Callable[[build.Made], dict[str, bytes]]] = {
    "folder": build.oci_files,
    "oci.tar": build.oci_files,
    "docker.tar": build.docker_files,
    "-": build.docker_files,
}


@pytest.mark.parametrize("form", FORMS)
def test_the_command(form: str, tmp_path: Path) -> None:
    """Everything planted is found, nothing is written but in the state folder, and no value anywhere."""
    made = planted.image()
    made.config["User"] = ""
    files = FORMS[form](made)
    target = tmp_path / "image"
    if form == "folder":
        build.write_folder(target, files)
    else:
        build.write_tar(target, files)
    stdin = target.read_bytes() if form == "-" else b""
    done = keylift(tmp_path, "-" if form == "-" else str(target), "--format", "json", stdin=stdin)
    assert done.returncode == 10, done.stderr
    document = json.loads(done.stdout)
    found = {entry["location"].get("path") or entry["location"]["config"] for entry in document["findings"]}
    assert found == {
        "/app/settings.ini",
        "/app/build/deploy.env",
        "Env.DB_PASSWORD",
        "History[2]",
        "/app/shop.jar!/application.properties",
    }
    assert document["errors"] == []
    assert ["runs as root" in note["what"] for note in document["notes"]] == [True]
    assert not [*(tmp_path / "work").rglob("*"), *(tmp_path / "temporary").rglob("*")]
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    written = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    for value in planted.PLACES.values():
        assert value.encode() not in written + done.stdout + done.stderr


def test_sarif_leads_to_the_layer(tmp_path: Path) -> None:
    made = planted.image()
    target = build.write_folder(tmp_path / "image", build.oci_files(made))
    done = keylift(tmp_path, str(target), "--format", "sarif")
    assert done.returncode == 0
    results = json.loads(done.stdout)["runs"][0]["results"]
    by_path = {
        result["properties"]["layer"] and result["locations"][0]["logicalLocations"][0]["name"]: result
        for result in results
    }
    digests = [build.digest(build.gzipped(one)) for one in made.layers]
    deleted = by_path["/app/build/deploy.env"]
    assert [level["name"] for level in deleted["locations"][0]["logicalLocations"][1:]] == [digests[1], str(target)]
    assert (deleted["properties"]["deleted"], deleted["properties"]["deletedBy"]) == (True, digests[2])
    assert f"deleted by layer {digests[2]}" in deleted["message"]["text"]
    assert deleted["properties"]["instruction"] == "RUN make install"


def test_progress_is_told_in_bytes_with_rate_and_estimate(tmp_path: Path) -> None:
    """On a terminal, and this is one."""
    import pty

    target = build.write_tar(
        tmp_path / "image.tar", build.docker_files(build.Made([layer({"a": os.urandom(3_000_000)})]))
    )
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "KEYLIFT_STATE_DIR": str(tmp_path / "state")}
    environment.pop("CI", None)
    command = [sys.executable, "-m", "migrator", "scan", "image", str(target)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=False, env=environment)
    os.close(terminal)
    seen = os.read(screen, 65536).decode()
    os.close(screen)
    assert done.returncode == 0
    assert re.search(r"[0-3] of 3 MiB, [\d.,]+ MiB/s, [\d,]+ s left", seen), seen


def test_standard_input_that_ends_too_early(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    made = build.tar(build.docker_files(planted.image()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(made[: len(made) // 2])))
    with pytest.raises(ImageError) as refused:
        image.scan(["-"], engine=engine, fingerprinter=KEY)
    assert refused.value.hint


def test_a_file_that_is_not_there_is_not_asked_of_a_registry(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(ImageError) as refused:
        image.scan([str(tmp_path.name) + ".tar"], engine=engine, fingerprinter=KEY)
    assert refused.value.why == "No such file or directory"
