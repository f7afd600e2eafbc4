"""Documents without values: veiled and filled, switched and restored, compared, judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator import health, kinds
from migrator.model import Json
from migrator.switching import patch_body, pinned, repinned, restored, switched
from migrator.veil import MARK, Known, Values, comparable
from scanners.model import Fingerprinter, Secret

KEY = Fingerprinter(b"k" * 32)
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
NAMES = st.text("abcdef-", min_size=1, max_size=6)
VALUES = st.text(min_size=1, max_size=12)


def never(mark: str) -> Secret:
    raise AssertionError(mark)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(NAMES, x)
    )
)
def test_veil_and_fill_are_inverse(document: Any) -> None:
    values = Values(KEY)
    assert values.fill(values.veil(document), never) == document


def test_only_names_stay_readable() -> None:
    canary = "Canary-kX9vQ2mZ7pL4"
    document = {
        "tags": {"connection": canary},
        "properties": {
            "template": {
                "containers": [
                    {
                        "name": "main",
                        "image": canary,
                        "args": [f"--password={canary}"],
                        "command": [canary],
                        "env": [{"name": "DB", "value": canary}, {"name": "X", "secretRef": "x"}],
                        "probes": [{"httpGet": {"httpHeaders": [{"name": "Authorization", "value": canary}]}}],
                    }
                ],
                "scale": {"rules": [{"name": "q", "custom": {"metadata": {"host": canary}}}]},
            }
        },
    }
    veiled = Values(KEY).veil(document)
    text = json.dumps(veiled)
    assert canary not in text
    assert veiled["properties"]["template"]["containers"][0]["env"] == [
        {"name": "DB", "value": {MARK: KEY.of(canary)}},
        {"name": "X", "secretRef": "x"},
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": None, "b": "", "c": [], "d": 0, "e": False, "f": {}}, {}),
        ({"identity": IDENTITY}, {"identity": IDENTITY.lower()}),
        ({"identity": "System"}, {"identity": "system"}),
        (
            {"keyVaultUrl": "https://KV.vault.azure.net/secrets/X/"},
            {"keyVaultUrl": "https://kv.vault.azure.net/secrets/x"},
        ),
        ({"secrets": [{"name": "x", "value": "1"}]}, {"secrets": [{"name": "x"}]}),
        ({"activeRevisionsMode": "single"}, {"activeRevisionsMode": "Single"}),
        ({"resources": {"cpu": 0.5, "ephemeralStorage": "2Gi"}}, {"resources": {"cpu": 0.5}}),
    ],
)
def test_what_azure_spells_in_several_ways_is_equal(left: Json, right: Json) -> None:
    assert comparable(left) == comparable(right)


def test_what_differs_stays_different() -> None:
    assert comparable({"allowInsecure": True}) != comparable({})
    assert comparable({"env": [{"name": "A"}, {"name": "B"}]}) != comparable({"env": [{"name": "B"}, {"name": "A"}]})


@st.composite
def apps(draw: st.DrawFn) -> tuple[Json, Json]:
    """An app's document and a switch that fits it."""
    env = draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5))
    inline = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    moved = [name for name in env if draw(st.booleans())]
    turned = [name for name in inline if draw(st.booleans())]
    traffic = draw(st.sampled_from([None, [{"latestRevision": True, "weight": 100}]]))
    document: Json = {
        "properties": {
            "configuration": {
                "secrets": [{"name": name} for name in inline] or None,
                "registries": [{"server": "r.io", "username": "u", "passwordSecretRef": "p", "identity": ""}],
                "ingress": {"traffic": traffic or [{"revisionName": "app--1", "weight": 100}]},
            },
            "template": {
                "containers": [{"name": "main", "env": [{"name": n, "value": v} for n, v in env.items()]}],
                "initContainers": None,
            },
        }
    }
    secrets = [
        {"name": name, "key_vault_url": f"https://kv/secrets/{name}", "identity": IDENTITY, "was": "inline"}
        | {"fingerprint": KEY.of(inline[name])}
        for name in turned
    ]
    secrets += [
        {"name": f"new-{n}", "key_vault_url": f"https://kv/secrets/new-{n}", "identity": IDENTITY, "was": "new"}
        | {"fingerprint": KEY.of(env[n])}
        for n in moved
    ]
    change = {
        "secrets": secrets,
        "env": [
            {"container": "main", "init": False, "env": n, "secret": f"new-{n}", "path": f"env {n}"}
            | {"fingerprint": KEY.of(env[n])}
            for n in moved
        ],
        "registries": draw(st.sampled_from([[], [{"server": "R.io", "identity": IDENTITY}]])),
        "traffic": {"pin": True} if traffic else None,
    }
    return Values(KEY).veil(document), change


@given(apps())
def test_a_switch_and_its_inverse(case: tuple[Json, Json]) -> None:
    before, change = case
    after, odd = switched(before, change, "app--1")
    assert odd == []
    again, odd = switched(after, change, "app--1")
    assert (again, odd) == (after, [])
    shown = json.dumps(after)
    for env in change["env"]:
        assert f'"{env["env"]}", "value"' not in shown
    kept, _ = restored(after, change, before, keep_new=True)
    # in between, added secrets are inline values: the caller remembers which are its own
    own = {secret["name"] for secret in change["secrets"] if secret["was"] == "new"}
    back, left = restored(repinned(kept, before, "app--1"), change, before, inlined=own)
    assert left == []
    assert comparable(back) == comparable(before)
    values = Values(KEY)
    body = patch_body(after, back, (), values)
    assert ("template" in body.get("properties", {})) == bool(change["env"])


@given(apps())
def test_somebody_elses_entry_beside_ours_stays(case: tuple[Json, Json]) -> None:
    before, change = case
    after, _ = switched(before, change, "app--1")
    containers = after["properties"]["template"]["containers"]
    containers[0]["env"].insert(0, {"name": "THEIRS", "value": {MARK: "f1:x"}})
    containers.insert(0, {"name": "sidecar", "env": []})
    back, left = restored(after, change, before)
    assert left == []
    found = back["properties"]["template"]["containers"]
    assert found[0] == {"name": "sidecar", "env": []}
    assert found[1]["env"][0] == {"name": "THEIRS", "value": {MARK: "f1:x"}}
    assert found[1]["env"][1:] == before["properties"]["template"]["containers"][0]["env"]


def test_a_label_stays_with_the_pinned_revision() -> None:
    traffic = [{"latestRevision": True, "weight": 100, "label": "live"}]
    assert pinned(traffic, "app--1") == [{"revisionName": "app--1", "weight": 100, "label": "live"}]


def test_known_values_are_taken_out_of_texts() -> None:
    known = Known()
    known.see(Secret('pa"ss word'))
    known.see(Secret("abc"))
    text = known.redact('crashed with pa"ss word, {"x": "pa\\"ss word"}, pa%22ss%20word, abc')
    assert "ss word" not in text
    assert "ss%20word" not in text
    assert text.endswith(", abc")


APP: Json = {
    "properties": {
        "latestRevisionName": "a--2",
        "latestReadyRevisionName": "a--2",
        "configuration": {"activeRevisionsMode": "Single"},
        "template": {"scale": {"minReplicas": 1}},
    }
}


def replica(*, ready: bool = True, state: str = "Running") -> Json:
    return {"name": "r1", "properties": {"runningState": state, "containers": [{"name": "main", "ready": ready}]}}


def revision(state: str, provisioning: str = "Provisioned", **more: Any) -> Json:
    return {"name": "a--2", "properties": {"runningState": state, "provisioningState": provisioning, **more}}


@pytest.mark.parametrize(
    ("shown", "replicas", "expected"),
    [
        (revision("Running"), [replica()], health.State.RUNS),
        (revision("RunningAtMaxScale"), [replica()], health.State.RUNS),
        (revision("Running"), [replica(ready=False)], health.State.STARTING),
        (revision("Running"), [replica(state="NotRunning")], health.State.STARTING),
        (revision("Running"), [], health.State.STARTING),
        (revision("Activating"), [replica()], health.State.STARTING),
        (revision("SomethingNew"), [replica()], health.State.STARTING),
        (revision("Unknown"), [], health.State.STARTING),
        (revision("Degraded"), [replica()], health.State.FAILED),
        (revision("Failed"), [], health.State.FAILED),
        (revision("Running", "Failed"), [replica()], health.State.FAILED),
        (revision("ScaledToZero"), [], health.State.STARTING),
    ],
)
def test_a_revision_is_judged_by_its_replicas(shown: Json, replicas: list[Json], expected: health.State) -> None:
    assert health.look(APP, shown, tuple(replicas)).state is expected


def test_zero_is_rest_only_where_it_is_allowed() -> None:
    idle = json.loads(json.dumps(APP))
    idle["properties"]["template"]["scale"]["minReplicas"] = None
    assert health.look(idle, revision("ScaledToZero"), ()).state is health.State.AT_ZERO
    stopped = json.loads(json.dumps(APP))
    stopped["properties"]["runningStatus"] = "Stopped"
    assert health.look(stopped, revision("Stopped"), ()).state is health.State.AT_ZERO


def test_a_running_revision_that_has_not_taken_over_is_no_proof() -> None:
    early = json.loads(json.dumps(APP))
    early["properties"]["latestReadyRevisionName"] = "a--1"
    assert health.look(early, revision("Running"), (replica(),)).state is health.State.STARTING


def test_every_kind_is_found_by_its_file() -> None:
    assert set(kinds.find()) == {
        "identity-create",
        "identity-attach",
        "vault-secret",
        "role-assignment",
        "data-role",
        "access-wait",
        "part-switch",
        "part-prove",
        "app-switch",
        "app-prove",
        "traffic-shift",
        "registry-admin-off",
        "revision-deactivate",
        "secret-remove",
    }
