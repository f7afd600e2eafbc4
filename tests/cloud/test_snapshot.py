from __future__ import annotations

import json
from pathlib import Path

from migrator.cloud import reading, vaults
from migrator.cloud.reading import Scope
from migrator.model import Estate, Json
from migrator.snapshot import estate_document
from scanners.model import Fingerprinter, length_class, reveal

from .world import SECRETS_USER, VAULT, app, app_id, estate, identity_id, running, vault

KEY = Fingerprinter(b"k" * 32)
VALUES = {
    "short": "hunter2",
    "mid": "planted-value-1",
    "long": "planted/" + "x" * 60,
    "huge": "planted+" + "y" * 2000,
}
REFERENCED = "planted-vault-value"


def secretive() -> Json:
    return estate(
        vault(),
        app(
            "api",
            secrets=VALUES,
            env=[
                {"name": "COPY", "value": VALUES["mid"]},
                {"name": "ALSO", "value": VALUES["mid"]},
                {"name": "REGION", "value": "westeurope"},
                {"name": "MODE", "value": "Single"},
                {"name": "EMPTY", "value": ""},
                {"name": "REF", "secretRef": "mid"},
            ],
        ),
        {**app("tagged"), "tags": {"note": f"password is {VALUES['mid']}!"}},
        app(
            "worker", references={"db": "https://kv-shop.vault.azure.net/secrets/db"}, identity=identity_id("id-worker")
        ),
        vaultSecrets=[{"vault": "kv-shop", "name": "db", "value": REFERENCED}],
        roleAssignments=[{"principal": identity_id("id-worker"), "role": SECRETS_USER, "scope": f"{VAULT}/secrets/db"}],
        locks=[{"id": f"{VAULT}/providers/Microsoft.Authorization/locks/keep", "level": "CanNotDelete"}],
    )


def read(document: Json, folder: Path) -> tuple[Estate, Json]:
    folder.mkdir()
    with running(document, folder) as world:
        found = reading.read_estate(world.session, Scope(), with_access=True)
        target = vaults.read_vault_secrets(world.session, found.vaults[0], ["db"], KEY)
    found = found.with_vault(target)
    return found, estate_document(found, KEY)


def test_no_value_is_left_and_the_simulator_reads_it_back(tmp_path: Path) -> None:
    before, saved = read(secretive(), tmp_path / "one")
    text = json.dumps(saved)
    for value in (*VALUES.values(), REFERENCED):
        assert value not in text
    after, again = read(saved, tmp_path / "two")
    assert [a.name for a in after.apps] == [a.name for a in before.apps]
    assert not after.errors
    for old, new in zip(before.apps, after.apps, strict=True):
        assert [s.name for s in old.secrets] == [s.name for s in new.secrets]
        assert [s.key_vault_url is None for s in old.secrets] == [s.key_vault_url is None for s in new.secrets]
        for left, right in zip(old.secrets, new.secrets, strict=True):
            assert left.value is not None
            assert right.value is not None
            assert length_class(len(left.value)) == length_class(len(right.value))
    assert {(a.scope.lower(), a.role) for a in before.assignments} <= {
        (a.scope.lower(), a.role) for a in after.assignments
    }
    assert [lock.id.lower() for lock in after.locks] == [lock.id.lower() for lock in before.locks]
    assert json.dumps(again) != "", "and it can be saved once more"


def test_equal_values_get_equal_tokens_and_structure_stays(tmp_path: Path) -> None:
    _, saved = read(secretive(), tmp_path / "one")
    (api,) = (r for r in saved["resources"] if r["id"].lower() == app_id("api").lower())
    env = {e["name"]: e.get("value") for e in api["properties"]["template"]["containers"][0]["env"]}
    secrets = {s["name"]: s["value"] for s in api["properties"]["configuration"]["secrets"]}
    assert env["COPY"] == env["ALSO"] == secrets["mid"] != VALUES["mid"]
    assert env["EMPTY"] == ""
    assert env["REF"] is None
    assert env["REGION"] not in {"westeurope", env["MODE"]}
    assert len(set(secrets.values())) == len(secrets)
    assert api["location"] == "West Europe"
    assert api["properties"]["configuration"]["activeRevisionsMode"] == "Single"
    (tagged,) = (r for r in saved["resources"] if r["id"].lower() == app_id("tagged").lower())
    assert tagged["tags"]["note"] == f"password is {secrets['mid']}!"


def test_tokens_depend_on_the_key_and_on_nothing_else(tmp_path: Path) -> None:
    found, saved = read(secretive(), tmp_path / "one")
    assert estate_document(found, KEY) == saved
    assert estate_document(found, Fingerprinter(b"other" * 10)) != saved


def test_secrets_that_could_not_be_read_still_load(tmp_path: Path) -> None:
    document = secretive()
    document["operator"] = {"roles": [{"role": "Reader", "scope": f"/subscriptions/{document['subscriptions'][0]}"}]}
    (tmp_path / "one").mkdir()
    with running(document, tmp_path / "one") as world:
        found = reading.read_estate(world.session, Scope(), with_access=True)
    saved = estate_document(found, KEY)
    del saved["roleAssignments"]  # the reader's own
    after, _ = read(saved, tmp_path / "two")
    values = [reveal(s.value) for a in after.apps for s in a.secrets if s.value is not None]
    assert len(values) == len(set(values)) == 4
