"""What a plan does to an app: the shapes that the executor takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrator.fingerprints import app_fingerprint
from migrator.model import Plan

from .estates import (
    ACR_PULL,
    KEY,
    OTHER,
    PASSWORD,
    REPOSITORY_READER,
    SECRETS_USER,
    TOKEN,
    VAULT_ID,
    VAULT_URI,
    Spec,
    assignment,
    entry,
    finding,
    held,
    identity,
    identity_id,
    ids,
    make,
    notes,
    options,
    registry,
    step,
    vault,
    with_identities,
)


def test_one_env_value_takes_the_whole_way() -> None:
    spec = Spec(env={"DB_PASSWORD": PASSWORD})
    plan = make(spec)
    assert ids(plan) == [
        "orders/identity-create",
        "orders/identity-attach",
        "orders/vault-secret/orders-db-password",
        "orders/role-assignment/orders-db-password",
        "orders/app-switch",
        "orders/app-prove",
    ]
    create, attach, written, role, switch, prove = plan.steps
    assert create.target == identity_id("id-orders")
    assert create.change == {"location": "westeurope", "name": "id-orders", "tags": {"keylift": spec.id.lower()}}
    assert create.undo == {"delete": True}
    assert attach.change == {"identity": identity_id("id-orders")}
    assert attach.after == (create.id,)
    fingerprint = app_fingerprint(spec.app().document, spec.app().secrets, KEY)
    assert switch.expects == {spec.id.lower(): fingerprint}
    assert attach.expects[spec.id.lower()] == fingerprint
    assert "#properties.template.containers[0].env" in attach.expects
    assert written.target == f"{VAULT_ID}/secrets/orders-db-password"
    assert written.change == {
        "vault_uri": VAULT_URI,
        "vault": VAULT_ID,
        "name": "orders-db-password",
        "fingerprint": KEY.of(PASSWORD),
        "tags": {
            "keylift": "1",
            "keylift-app": "orders",
            "keylift-name": "DB_PASSWORD",
            "keylift-place-1": "rg-shop/orders/env/main/DB_PASSWORD",
        },
        "action": "create",
        "source": {
            "app": spec.id,
            "kind": "env",
            "path": "properties.template.containers[0].env[0].value",
            "container": "main",
            "init": False,
            "env": "DB_PASSWORD",
        },
    }
    assert written.undo == {"disable": True}
    assert role.change == {
        "role": SECRETS_USER,
        "role_name": "Key Vault Secrets User",
        "scope": written.target,
        "identity": identity_id("id-orders"),
        "principal_id": None,
        "existing": None,
    }
    assert role.after == (create.id, written.id)
    assert switch.change == {
        "secrets": [
            {
                "name": "db-password",
                "key_vault_url": f"{VAULT_URI}/secrets/orders-db-password",
                "identity": identity_id("id-orders"),
                "was": "new",
                "fingerprint": KEY.of(PASSWORD),
            }
        ],
        "env": [
            {
                "container": "main",
                "init": False,
                "index": 0,
                "entry": 0,
                "env": "DB_PASSWORD",
                "secret": "db-password",
                "path": "properties.template.containers[0].env[0].value",
                "fingerprint": KEY.of(PASSWORD),
            }
        ],
        "registries": [],
        "revision": "template",
        "traffic": None,
    }
    assert set(switch.after) == {attach.id, written.id, role.id}
    assert prove.change == {"revision": "template", "env": ["DB_PASSWORD"], "references": ["db-password"]}
    assert prove.after == (switch.id,)


def test_an_inline_secret_keeps_its_name_and_makes_no_revision() -> None:
    plan = make(Spec(inline={"db-password": PASSWORD}))
    switch = step(plan, "app-switch")
    assert switch.change["revision"] == "none"
    assert [(s["name"], s["was"]) for s in switch.change["secrets"]] == [("db-password", "inline")]
    assert step(plan, "vault-secret").change["source"]["kind"] == "secret"
    assert "no new revision" in switch.why


def test_an_env_value_that_equals_an_inline_secret_uses_its_name() -> None:
    spec = Spec(env={"CONNECTION": PASSWORD, "AGAIN": PASSWORD}, inline={"db": PASSWORD})
    plan = make(spec, findings=spec.findings()[:2])
    change = step(plan, "app-switch").change
    assert [(s["name"], s["was"]) for s in change["secrets"]] == [("db", "inline")]
    assert [e["secret"] for e in change["env"]] == ["db", "db"]
    assert step(plan, "vault-secret").change["name"] == "orders-db"


def test_an_env_value_that_equals_a_versionless_reference_needs_no_vault() -> None:
    spec = Spec(env={"DB": PASSWORD}, references={"kv-db": (f"{VAULT_URI}/secrets/x", PASSWORD)})
    plan = make(spec)
    assert ids(plan) == ["orders/app-switch", "orders/app-prove"]
    assert plan.steps[0].change["secrets"] == []
    assert plan.steps[0].change["env"][0]["secret"] == "kv-db"
    pinned = Spec(env={"DB": PASSWORD}, references={"kv-db": (f"{VAULT_URI}/secrets/x/0123", PASSWORD)})
    assert [s["name"] for s in step(make(pinned), "app-switch").change["secrets"]] == ["db"]


def test_one_value_in_two_apps_is_one_vault_secret() -> None:
    plan = make(Spec("orders", env={"API_TOKEN": TOKEN}), Spec("web", inline={"api-token": TOKEN}))
    shared = step(plan, "shared/vault-secret/shared-api-token")
    assert shared.app == ""
    assert plan.steps[0] is shared
    assert shared.change["tags"]["keylift-app"] == "orders,web"
    for app in ("orders", "web"):
        assert shared.id in step(plan, f"{app}/app-switch").after
        assert step(plan, f"{app}/role-assignment/shared-api-token").change["scope"] == shared.target


def test_short_values_stay_apart() -> None:
    plan = make(Spec("orders", inline={"pin": "hunter2"}), Spec("web", inline={"pin": "hunter2"}))
    assert [s.id for s in plan.steps if s.kind == "vault-secret"] == [
        "orders/vault-secret/orders-pin",
        "web/vault-secret/web-pin",
    ]


def test_names_that_fall_together_are_told_apart() -> None:
    plan = make(Spec(env={"A_B": PASSWORD, "A-B": TOKEN, "a.b": OTHER}))
    vault_names = [s.change["name"] for s in plan.steps if s.kind == "vault-secret"]
    app_names = [s["name"] for s in step(plan, "app-switch").change["secrets"]]
    assert len(set(vault_names)) == len(set(app_names)) == 3
    assert "orders-a-b" in vault_names
    assert "a-b" in app_names
    again = make(Spec("x", group="rg-a", inline={"k": PASSWORD}), Spec("x", group="rg-b", inline={"k": TOKEN}))
    assert {s.id.split("/")[0] for s in again.steps} == {"rg-a.x", "rg-b.x"}
    assert len({s.change["name"] for s in again.steps if s.kind == "vault-secret"}) == 2


def test_the_template_names_vault_secrets() -> None:
    spec = Spec(env={"DB": PASSWORD})
    plan = make(spec, options=options(vault_secret_name="{group}--{app}.{name}"))
    assert step(plan, "vault-secret").change["name"] == "rg-shop-orders-db"


def test_an_attached_identity_is_used() -> None:
    spec = Spec(
        env={"DB": PASSWORD}, identity=with_identities("b", "a"), registries=[{**entry(), "identity": identity_id("b")}]
    )
    plan = make(spec, identities=(identity("a", "p-a"), identity("b", "p-b")))
    assert not [s for s in plan.steps if s.kind.startswith("identity")]
    assert step(plan, "role-assignment").change["principal_id"] == "p-b"
    assert "use it already" in notes(plan, "identity")[0]


def test_the_system_identity_and_a_named_one() -> None:
    spec = Spec(env={"DB": PASSWORD})
    plan = make(spec, options=options(identity="system"))
    attach, _, role = plan.steps[:3]
    assert attach.change == {"identity": "system"}
    assert role.change["principal_id"] is None
    assert attach.id in role.after
    has = Spec(env={"DB": PASSWORD}, identity={"type": "SystemAssigned, UserAssigned", "principalId": "p-s"})
    plan = make(has, options=options(identity="system"))
    assert step(plan, "role-assignment").change["principal_id"] == "p-s"
    assert not [s for s in plan.steps if s.kind.startswith("identity")]
    plan = make(spec, options=options(identity=identity_id("one")), identities=(identity("one", "p-one"),))
    assert step(plan, "identity-attach").change == {"identity": identity_id("one")}
    assert step(plan, "role-assignment").change["principal_id"] == "p-one"


def test_somebody_elses_identity_name_is_not_taken_and_ours_is_found_again() -> None:
    spec = Spec(env={"DB": PASSWORD})
    plan = make(spec, identities=(identity("id-orders", "p"),))
    name = step(plan, "identity-create").change["name"]
    assert name.startswith("id-orders-")
    ours = identity("id-orders", "p", tags={"keylift": spec.id.upper()})
    plan = make(spec, identities=(ours,))
    assert not [s for s in plan.steps if s.kind == "identity-create"]
    assert step(plan, "role-assignment").change["principal_id"] == "p"
    assert step(plan, "identity-attach").change == {"identity": ours.id}


def test_wider_access_is_adopted_and_reported() -> None:
    spec = Spec(env={"DB": PASSWORD}, identity=with_identities("a"))
    wide = assignment("w", VAULT_ID, SECRETS_USER, "p-a")
    plan = make(spec, assignments=(wide,))
    role = step(plan, "role-assignment")
    assert role.change["existing"] == wide.id
    assert role.undo == {}
    assert wide.id in notes(plan, "wider-access")[0]
    exact = assignment("e", f"{VAULT_ID}/secrets/orders-db", SECRETS_USER, "p-a")
    plan = make(spec, assignments=(wide, exact))
    assert step(plan, "role-assignment").change["existing"] == exact.id
    conditional = assignment("c", VAULT_ID, SECRETS_USER, "p-a", condition="x")
    other = assignment("o", VAULT_ID, SECRETS_USER, "p-b")
    plan = make(spec, assignments=(conditional, other))
    assert step(plan, "role-assignment").change["existing"] is None


def test_a_shared_identity_is_assigned_once() -> None:
    specs = [Spec(name, inline={"token": TOKEN}, identity=with_identities("both")) for name in ("orders", "web")]
    plan = make(*specs)
    roles = [s for s in plan.steps if s.kind == "role-assignment"]
    assert [r.app for r in roles] == [""]
    assert all(roles[0].id in step(plan, f"{name}/app-switch").after for name in ("orders", "web"))
    assert len(notes(plan, "shared-identity")) == 2


def test_a_registry_moves_to_the_identity() -> None:
    spec = Spec(inline={"acr-password": PASSWORD}, registries=[entry()])
    plan = make(spec, registries=(registry(),))
    assert "orders/role-assignment/acrshop.azurecr.io" in ids(plan)
    change = step(plan, "app-switch").change
    assert change["revision"] == "suffix"
    assert change["registries"] == [
        {
            "server": "acrshop.azurecr.io",
            "index": 0,
            "identity": identity_id("id-orders"),
            "was": {"username": "acrshop", "secret": "acr-password"},
        }
    ]
    assert [s["name"] for s in change["secrets"]] == ["acr-password"]
    assert step(plan, "orders/role-assignment/acrshop.azurecr.io").change["role"] == ACR_PULL
    abac = make(spec, registries=(registry(roleAssignmentMode="AbacRepositoryPermissions"),))
    assert step(abac, "orders/role-assignment/acrshop.azurecr.io").change["role"] == REPOSITORY_READER


def test_a_finding_at_the_registry_moves_the_password_too() -> None:
    spec = Spec(inline={"acr-password": PASSWORD}, registries=[entry()])
    at = finding(spec.id, "properties.configuration.registries[0].passwordSecretRef", "acrshop.azurecr.io", PASSWORD)
    plan = make(spec, findings=[at], registries=(registry(),))
    change = step(plan, "app-switch").change
    assert len(change["registries"]) == len(change["secrets"]) == 1
    assert plan.skipped == ()


@pytest.mark.parametrize(
    ("server", "known", "word"),
    [
        ("docker.io", (), "no Azure registry"),
        ("acrshop.azurecr.io", (), "not among what you may read"),
        (
            "acrshop.azurecr.io",
            (registry(policies={"azureADAuthenticationAsArmPolicy": {"status": "disabled"}}),),
            "authentication-as-arm",
        ),
    ],
)
def test_a_registry_that_cannot_move_keeps_its_password_in_the_vault(server: str, known: Any, word: str) -> None:
    spec = Spec(inline={"pw": PASSWORD}, registries=[entry(server, "pw")])
    at = finding(spec.id, "properties.configuration.registries[0].passwordSecretRef", server, PASSWORD)
    plan = make(spec, findings=[*spec.findings(), at], registries=known)
    change = step(plan, "app-switch").change
    assert change["registries"] == []
    assert change["revision"] == "none"
    assert [s["name"] for s in change["secrets"]] == ["pw"]
    assert word in notes(plan, "registry")[0]
    assert plan.skipped == ()


def traffic(plan: Plan) -> tuple[Any, Any]:
    shift = [s.change for s in plan.steps if s.kind == "traffic-shift"]
    return step(plan, "app-switch").change["traffic"], shift[0] if shift else None


def test_traffic_in_multiple_mode() -> None:
    env = {"DB": PASSWORD}
    following = Spec(env=env, mode="multiple")
    assert traffic(make(following)) == ({"pin": True}, {"restore_latest": True})
    assert step(make(following), "traffic-shift").after == ("orders/app-prove",)
    named = Spec(env=env, mode="Multiple", traffic=[{"revisionName": "orders--0000001", "weight": 100}])
    assert traffic(make(named)) == (None, {"from": "orders--0000001"})
    elsewhere = Spec(env=env, mode="Multiple", traffic=[{"revisionName": "orders--blue", "weight": 100}])
    assert traffic(make(elsewhere)) == (None, None)
    assert any("no traffic" in text for text in notes(make(elsewhere), "traffic"))
    assert traffic(make(Spec(env=env, mode="Multiple", ingress=False))) == (None, None)
    inline = Spec(inline={"db": PASSWORD}, mode="Multiple")
    assert traffic(make(inline)) == (None, None)


def test_init_containers_and_entries_keep_their_places() -> None:
    plan = make(Spec(env={"PLAIN": PASSWORD, "TOKEN": TOKEN}, init_env={"SEED": OTHER}))
    entries = step(plan, "app-switch").change["env"]
    assert [(e["init"], e["index"], e["entry"], e["env"]) for e in entries] == [
        (False, 0, 0, "PLAIN"),
        (False, 0, 1, "TOKEN"),
        (True, 0, 0, "SEED"),
    ]


@pytest.mark.parametrize(
    ("secret", "on_conflict", "action", "undo", "suffix"),
    [
        (held("orders-db", PASSWORD), None, "adopt", {}, ""),
        (held("ORDERS-DB", PASSWORD), None, "adopt", {}, ""),
        (held("orders-db", None, enabled=False, ours=True), None, "new-version", {"disable": True}, ""),
        (held("orders-db", OTHER), "new-version", "new-version", {"restore": True}, ""),
        (held("orders-db", None, enabled=False), "new-version", "new-version", {"disable": True}, ""),
        (held("orders-db", OTHER), "rename", "create", {"disable": True}, "-" + KEY.of(PASSWORD)[3:9]),
        (held("orders-db", None, deleted=True), "rename", "create", {"disable": True}, "-" + KEY.of(PASSWORD)[3:9]),
        (held("orders-db", None), "rename", "create", {"disable": True}, "-" + KEY.of(PASSWORD)[3:9]),
    ],
)
def test_what_the_vault_holds_decides(secret: Any, on_conflict: Any, action: str, undo: Any, suffix: str) -> None:
    plan = make(Spec(env={"DB": PASSWORD}), vaults=(vault(secret),), options=options(on_conflict=on_conflict))
    written = step(plan, "vault-secret")
    assert (written.change["action"], written.undo) == (action, undo)
    assert written.change["name"].lower() == "orders-db" + suffix
    assert step(plan, "app-switch").change["secrets"][0]["key_vault_url"].endswith("/" + written.change["name"])


def test_a_value_the_vault_holds_for_another_reference_is_adopted() -> None:
    web = Spec("web", references={"db": (f"{VAULT_URI}/secrets/team-db", PASSWORD)})
    plan = make(Spec(env={"DB": PASSWORD}), web, vaults=(vault(held("team-db", PASSWORD)),))
    assert step(plan, "vault-secret").change["name"] == "team-db"
    assert step(plan, "vault-secret").change["action"] == "adopt"


def test_a_plan_survives_its_file() -> None:
    plan = make(Spec(env={"DB": PASSWORD}), options=options(scope={"apps": ["b", "a"]}))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert json.loads(plan.to_json())["scope"] == {"apps": ["a", "b"]}
