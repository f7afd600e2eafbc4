"""An identity in the place of keys, and back: for any env, whatever somebody else changed beside it."""

from __future__ import annotations

import copy
import json

from hypothesis import assume, given
from hypothesis import strategies as st

from migrator.model import Json
from migrator.swapping import marked
from migrator.switching import restored, switched
from migrator.veil import MARK, Values, comparable
from scanners.model import Fingerprinter

KEY = Fingerprinter(b"k" * 32)
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-app"
NAMES = st.text("ABCDEF", min_size=1, max_size=4)
VALUES = st.text("xyz0", min_size=1, max_size=6)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Json, Json]:
    """An app's document, veiled, and a change that swaps some of its variables and a scale rule."""
    plain = draw(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
    by_secret = draw(st.dictionaries(NAMES.map(lambda name: f"S{name}"), NAMES.map(str.lower), max_size=3))
    drop: list[Json] = [{"env": n, "fingerprint": KEY.of(v)} for n, v in plain.items() if draw(st.booleans())]
    drop += [{"env": n, "secret": secret} for n, secret in by_secret.items() if draw(st.booleans())]
    put = [
        {"env": d["env"] if draw(st.booleans()) else f"{d['env']}__host", "value": f"{d['env']}.<client id of id-app>"}
        for d in drop
    ]
    env = [{"name": n, "value": v} for n, v in plain.items()]
    env += [{"name": n, "secretRef": s} for n, s in by_secret.items()]
    rule = {
        "name": "r",
        "custom": {
            "type": "azure-queue",
            "metadata": {"queueName": "q", "connectionFromEnv": "A"},
            "auth": [{"secretRef": "k"}],
        },
    }
    swaps = {
        "identity": IDENTITY,
        "env": [{"container": "main", "init": False, "drop": drop, "put": put}],
        "rules": draw(
            st.sampled_from(
                [
                    [],
                    [
                        {
                            "event": False,
                            "rule": "r",
                            "kind": "custom",
                            "identity": IDENTITY,
                            "secrets": ["k"],
                            "drop": ["connectionFromEnv"],
                            "put": {"accountName": "acme"},
                        }
                    ],
                ]
            )
        ),
        "kept": [
            {"name": f"kept-{d['env'].lower()}", "fingerprint": d["fingerprint"]} for d in drop if "fingerprint" in d
        ],
    }
    document: Json = {
        "properties": {
            "configuration": {"secrets": [{"name": "k"}], "registries": None, "ingress": None},
            "template": {
                "containers": [{"name": "main", "env": draw(st.permutations(env))}],
                "scale": {"rules": [rule]},
            },
        }
    }
    change: Json = {"secrets": [], "env": [], "registries": [], "traffic": None, "swaps": swaps}
    return Values(KEY).veil(document), marked(change, "the-client-id", KEY.of_secret)


@given(cases())
def test_a_swap_and_its_inverse(case: tuple[Json, Json]) -> None:
    before, change = case
    after, odd = switched(before, change, "")
    assert odd == []
    assert switched(after, change, "") == (after, [])
    (group,) = change["swaps"]["env"]
    env = {entry["name"]: entry for entry in after["properties"]["template"]["containers"][0]["env"]}
    put = {entry["env"]: entry["mark"] for entry in group["put"]}
    for drop in group["drop"]:
        assert drop["env"] not in env or env[drop["env"]] == {"name": drop["env"], "value": {MARK: put[drop["env"]]}}
    held, left = restored(after, change, before, keep_new=True)
    assert left == []
    back, left = restored(held, change, before)
    assert (comparable(back), left) == (comparable(before), [])


@given(cases(), VALUES)
def test_what_somebody_else_changed_stays_theirs(case: tuple[Json, Json], value: str) -> None:
    before, change = case
    after, _ = switched(before, change, "")
    (group,) = change["swaps"]["env"]
    assume(group["put"])
    name, theirs = group["put"][0]["env"], {MARK: KEY.of(f"theirs-{value}")}
    for entry in after["properties"]["template"]["containers"][0]["env"]:
        if entry["name"] == name:
            entry["value"] = theirs
    edited = copy.deepcopy(after)
    back, left = restored(edited, change, before)
    assert any(name in text for text in left)
    assert json.dumps(theirs) in json.dumps(back)
    # the switch itself refuses such a document
    assert switched(edited, change, "")[1]
