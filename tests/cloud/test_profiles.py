from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.cloud.profiles import CHINA, PUBLIC, USGOV, load_profile
from migrator.errors import UsageError
from scanners.model import reveal

LOOPBACK = {
    "name": "simulator",
    "resource_manager": "https://127.0.0.1:8443/",
    "audience": "https://127.0.0.1:8443",
    "authority": "https://localhost:8443",
    "vault_suffix": None,
    "registry_suffix": None,
    "ca_file": None,
    "credential": {"tenant_id": "t", "client_id": "c", "client_secret": "planted-profile-secret"},
}


def profile(folder: Path, **changes: Any) -> str:
    path = folder / "profile.json"
    path.write_text(json.dumps({**LOOPBACK, **changes}))
    return str(path)


@pytest.mark.parametrize(("name", "expected"), [("public", PUBLIC), ("China", CHINA), ("USGOV", USGOV)])
def test_built_in_clouds_go_by_name_without_case(name: str, expected: object) -> None:
    assert load_profile(name) is expected


def test_the_scopes_are_those_of_the_azure_libraries() -> None:
    from azure.core import AzureClouds
    from azure.mgmt.core.tools import get_arm_endpoints

    for ours, theirs in (
        (PUBLIC, AzureClouds.AZURE_PUBLIC_CLOUD),
        (CHINA, AzureClouds.AZURE_CHINA_CLOUD),
        (USGOV, AzureClouds.AZURE_US_GOVERNMENT),
    ):
        endpoints = get_arm_endpoints(theirs)
        assert [ours.scope] == endpoints["credential_scopes"]
        assert ours.resource_manager + "/" == endpoints["resource_manager"]


def test_a_profile_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-")
    read = load_profile(profile(tmp_path, ca_file="ca.pem"))
    assert read.resource_manager == "https://127.0.0.1:8443"
    assert read.scope == "https://127.0.0.1:8443/.default"
    assert read.loopback
    assert read.ca_file == (tmp_path / "ca.pem").resolve()
    assert read.credential is not None
    assert reveal(read.credential.client_secret) == "planted-profile-secret"
    assert "planted-profile-secret" not in repr(read)


def test_an_audience_keeps_its_slash(tmp_path: Path) -> None:
    read = load_profile(profile(tmp_path, audience="https://management.core.windows.net/"))
    assert read.scope == "https://management.core.windows.net//.default"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"resource_manager": "http://127.0.0.1:1"}, "resource_manager"),
        ({"resource_manager": "https://127.0.0.1:1/path"}, "resource_manager"),
        ({"authority": "https://user:pw@127.0.0.1"}, "authority"),
        ({"audience": ""}, "audience"),
        ({"audience": None}, "audience"),
        ({"name": "public"}, "name"),
        ({"vault_suffix": 1}, "vault_suffix"),
        ({"ca_file": "missing.pem"}, "ca_file"),
        ({"credential": []}, "credential"),
        ({"credential": {"tenant_id": "t", "client_id": "c"}}, "credential.client_secret"),
        ({"credential": {"tenant_id": "t", "client_id": "c", "client_secret": 5}}, "credential.client_secret"),
        ({"resource_manger": "x"}, "resource_manger"),
    ],
)
def test_errors_name_the_file_and_the_key(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    path = profile(tmp_path, **changes)
    with pytest.raises(UsageError) as caught:
        load_profile(path)
    assert path in caught.value.what
    assert f"'{key}'" in caught.value.what
    assert caught.value.hint


def test_an_unknown_key_names_its_neighbour(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'resource_manager'"):
        load_profile(profile(tmp_path, resource_manger="x"))


@pytest.mark.parametrize("away", ["resource_manager", "authority"])
def test_a_password_for_a_cloud_elsewhere_is_refused(tmp_path: Path, away: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_profile(profile(tmp_path, **{away: "https://management.azure.com"}))
    assert "credential" in caught.value.what
    assert "az login" in caught.value.hint
    assert "planted-profile-secret" not in str(caught.value) + caught.value.why


def test_a_hostname_that_only_looks_local_is_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        load_profile(profile(tmp_path, authority="https://127.0.0.1.example.com"))


def test_a_broken_file_tells_nothing_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(LOOPBACK)[:-3])
    with pytest.raises(UsageError) as caught:
        load_profile(str(path))
    assert caught.value.__cause__ is None
    assert "planted" not in f"{caught.value}{caught.value.why}"


def test_a_misspelt_cloud_names_its_neighbour() -> None:
    with pytest.raises(UsageError) as caught:
        load_profile("pubic")
    assert "--cloud public" in caught.value.hint
