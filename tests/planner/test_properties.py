"""Random estates: the sentences that every plan must keep."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator import planner
from migrator.model import Estate, Lock, Permission, Plan
from migrator.planning.options import Options
from scanners.model import AzureLocation, Confidence, Finding

from .estates import (
    ACR_PULL,
    GROUP,
    KEY,
    SECRETS_USER,
    SUBSCRIPTION,
    VAULT_ID,
    VAULT_URI,
    Spec,
    app_id,
    assignment,
    entry,
    estate,
    held,
    identity,
    identity_id,
    registry,
    vault,
    with_identities,
)

CANARIES = [f"Canary-{n}-{'kX9vQ2mZ7pL4wR8t'[n:]}{n}" for n in range(8)] + ["short1", "short2"]
VALUES = st.sampled_from([*CANARIES, "", "secretRef:x", "Canary-$$-value-of-some-length", "x" * 25_001])
ENV_NAMES = st.sampled_from(["DB_PASSWORD", "db-password", "DB.PASSWORD", "TOKEN", "__", "ÜBER", "A" * 80, "Api__Key"])
SECRET_NAMES = st.sampled_from(["db-password", "token", "acr-password", "x1", "api-key"])


@st.composite
def specs(draw: st.DrawFn, name: str, group: str) -> Spec:
    inline = draw(st.dictionaries(SECRET_NAMES, st.sampled_from(CANARIES), max_size=3))
    references = draw(
        st.dictionaries(
            st.sampled_from(["kv-a", "kv-b"]),
            st.tuples(
                st.sampled_from([f"{VAULT_URI}/secrets/team", f"{VAULT_URI}/secrets/team/01", "https://x/secrets/y"]),
                st.sampled_from([*CANARIES[:3], *CANARIES[:3], None]),
            ),
            max_size=1,
        )
    )
    registries = [entry(secret="acr-password")] if "acr-password" in inline and draw(st.booleans()) else []
    return Spec(
        name=name,
        group=group,
        env=draw(st.dictionaries(ENV_NAMES, VALUES, max_size=4)),
        init_env=draw(st.dictionaries(ENV_NAMES, VALUES, max_size=1)),
        inline=inline,
        references=references,
        registries=registries,
        identity=draw(st.sampled_from([None, with_identities("one"), with_identities("one", "two")])),
        mode=draw(st.sampled_from(["Single", "single", "Multiple", "Labels"])),
        template=draw(st.sampled_from([{}, {"volumes": [{"name": "v", "storageType": "Secret"}]}])),
        properties=draw(st.sampled_from([{}, {}, {}, {"provisioningState": "Failed"}])),
        tags=draw(st.sampled_from([{}, {"azd-env-name": "e"}])),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Estate, list[Finding], Options]:
    places = draw(
        st.lists(
            st.sampled_from([(n, g) for n in ("orders", "web", "shared") for g in (GROUP, "rg-two")]),
            unique=True,
            max_size=4,
        )
    )
    apps = [draw(specs(name, group)) for name, group in places]
    found = [
        replace(f, confidence=draw(st.sampled_from([Confidence.HIGH, Confidence.MEDIUM, Confidence.LOW])))
        for spec in apps
        for f in spec.findings()
    ]
    holdings = draw(
        st.lists(
            st.builds(
                held,
                st.sampled_from(["orders-db-password", "shared-token", "web-token", "team", "orders-token"]),
                st.sampled_from([*CANARIES[:4], None]),
                enabled=st.booleans(),
                deleted=st.booleans(),
                ours=st.booleans(),
            ),
            unique_by=lambda secret: secret.name,
            max_size=4,
        )
    )
    granted = draw(
        st.lists(
            st.sampled_from(
                [
                    assignment("w", VAULT_ID, SECRETS_USER, "p-one"),
                    assignment("e", f"{VAULT_ID}/secrets/orders-db-password", SECRETS_USER, "p-one"),
                    assignment("a", registry().id, ACR_PULL, "p-two"),
                ]
            ),
            unique=True,
        )
    )
    whole = estate(
        *apps,
        vaults=(vault(*holdings),),
        identities=(identity("one", "p-one"), identity("two", "p-two"), identity("id-orders", "p-x")),
        registries=(registry(),) if draw(st.booleans()) else (),
        assignments=tuple(granted),
        locks=tuple(draw(st.sampled_from([[], [], [Lock("/l", app_id("web"), "ReadOnly")]]))),
        permissions=(Permission(f"/subscriptions/{SUBSCRIPTION}", ("*",)),),
    )
    options = Options(
        "kv-shop",
        identity=draw(st.sampled_from(["user", "system", identity_id("two")])),
        vault_secret_name=draw(st.sampled_from(["{app}-{name}", "{name}", "{group}-{app}-{name}"])),
        on_conflict=draw(st.sampled_from([None, "new-version", "rename"])),
    )
    return whole, found, options


def shuffled(whole: Estate, seed: int) -> Estate:
    rng = random.Random(seed)

    def mixed(items: Any) -> Any:
        return tuple(rng.sample(list(items), len(items)))

    apps = [replace(app, secrets=mixed(app.secrets), revisions=mixed(app.revisions)) for app in whole.apps]
    vaults = [replace(one, secrets=mixed(one.secrets)) for one in whole.vaults]
    return replace(
        whole,
        apps=mixed(apps),
        vaults=mixed(vaults),
        identities=mixed(whole.identities),
        assignments=mixed(whole.assignments),
        registries=mixed(whole.registries),
    )


def moved(plan: Plan) -> set[tuple[str, str]]:
    """`(app, path or secret name)` of every place that a step changes."""
    found = set()
    for step in plan.steps:
        if step.kind == "app-switch":
            found |= {(step.app.lower(), entry["path"]) for entry in step.change["env"]}
            found |= {(step.app.lower(), entry["name"]) for entry in step.change["secrets"] if entry["was"] == "inline"}
    return found


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.integers())
def test_every_plan(world: tuple[Estate, list[Finding], Options], seed: int) -> None:
    whole, found, options = world
    plan = planner.plan(whole, found, options, KEY)
    text = plan.to_json()

    # the same estate gives the same bytes, whatever the order; a plan file reads back
    again = random.Random(seed).sample(found, len(found))
    assert planner.plan(shuffled(whole, seed), again, options, KEY).to_json() == text
    assert Plan.from_json(text) == plan

    # no value
    assert not [value for value in CANARIES if value in text]

    # every finding is moved or skipped, and never both
    skipped = {
        (
            e["finding"]["location"]["resource"].lower(),
            e["finding"]["location"]["path"],
            e["finding"]["location"]["name"],
        )
        for e in plan.skipped
    }
    places = moved(plan)
    for one in found:
        at = one.location
        assert isinstance(at, AzureLocation)
        inline = "configuration.secrets" in at.path
        is_moved = (at.resource.lower(), at.name if inline else at.path) in places
        assert is_moved != ((at.resource.lower(), at.path, at.name) in skipped), at

    _steps_hold_together(plan)
    _references_resolve(plan, whole)


def _steps_hold_together(plan: Plan) -> None:
    seen: set[str] = set()
    for step in plan.steps:
        assert step.id not in seen
        assert set(step.after) <= seen, "steps come after those they wait for, so there is no circle"
        assert len(set(step.after)) == len(step.after)
        assert step.why
        assert step.permission.startswith("Microsoft.")
        assert isinstance(step.undo, dict)
        assert step.undo or step.kind == "app-prove" or step.change.get("action") == "adopt" or step.change["existing"]
        seen.add(step.id)
    triples = Counter(
        (s.target.lower(), s.change["identity"].lower(), s.app if s.change["identity"] == "system" else "")
        for s in plan.steps
        if s.kind == "role-assignment"
    )
    assert all(count == 1 for count in triples.values()), "two steps would own one assignment"
    for told in (*plan.skipped, *plan.rest_risk):
        assert all(told.values())


def _references_resolve(plan: Plan, whole: Estate) -> None:
    written = {s.change["name"].lower(): s.change["fingerprint"] for s in plan.steps if s.kind == "vault-secret"}
    assigned = {(s.target.lower(), s.change["identity"], s.id) for s in plan.steps if s.kind == "role-assignment"}
    for name in written:
        assert re.fullmatch(r"[0-9a-z-]{1,127}", name)
    for switch in (step for step in plan.steps if step.kind == "app-switch"):
        app = whole.app(switch.app)
        assert app is not None
        known = {secret.name: secret for secret in app.secrets}
        for secret in switch.change["secrets"]:
            assert (secret["name"] in known) == (secret["was"] == "inline")
            assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", secret["name"])
            base, _, name = secret["key_vault_url"].rpartition("/")
            assert base == f"{VAULT_URI}/secrets"
            assert written[name.lower()] == secret["fingerprint"]
            scope = f"{VAULT_ID}/secrets/{name}".lower()
            assert any(at == scope and who == secret["identity"] and id_ in switch.after for at, who, id_ in assigned)
        after = set(known) | {secret["name"] for secret in switch.change["secrets"]}
        assert {entry["secret"] for entry in switch.change["env"]} <= after
        assert not {"Labels", "labels"} & {app.document["properties"]["configuration"]["activeRevisionsMode"]} or (
            switch.change["revision"] == "none"
        )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_what_is_looked_up_is_enough(world: tuple[Estate, list[Finding], Options]) -> None:
    whole, found, options = world
    names = set(planner.wanted(whole, found, options, KEY))
    plan = planner.plan(whole, found, options, KEY)
    assert {s.change["name"].lower() for s in plan.steps if s.kind == "vault-secret"} <= names
    fewer = replace(
        whole, vaults=tuple(replace(v, secrets=tuple(s for s in v.secrets if s.name in names)) for v in whole.vaults)
    )
    assert planner.plan(fewer, found, options, KEY).steps == plan.steps
