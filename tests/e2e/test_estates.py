"""Estates as strangers write them, from the documented format alone: short, sloppy, and of every kind."""

from __future__ import annotations

import copy
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from migrator import api
from migrator.errors import KeyliftError
from migrator.simulator.faults import Fault

from .promises import keep_every_promise, witness

ONE, TWO = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
VALUES = [f"Canary{number}-kT9vQ2xZ7mLw4pRsHb3n" for number in range(12)]
RUNNING = {"minReplicas": 1}


def rid(kind: str, name: str, group: str = "rg-one", subscription: str = ONE) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}"


def app(
    name: str,
    env: dict[str, str] | None = None,
    secrets: dict[str, str] | None = None,
    *,
    group: str = "rg-one",
    subscription: str = ONE,
    image: str = "docker.io/library/nginx:1",
    configuration: dict[str, Any] | None = None,
    template: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """No more than a person would type: no state, no revision, no tags, no identity."""
    inline = {"secrets": [{"name": n, "value": v} for n, v in secrets.items()]} if secrets else {}
    entries = [{"name": n, "value": v} for n, v in (env or {}).items()]
    return {
        "id": rid("Microsoft.App/containerApps", name, group, subscription),
        "type": "Microsoft.App/containerApps",
        "location": "westeurope",
        "properties": {
            "managedEnvironmentId": rid("Microsoft.App/managedEnvironments", "env1", group, subscription),
            "configuration": {**inline, **(configuration or {})},
            "template": {
                "containers": [{"name": "main", "image": image, "env": entries}],
                "scale": RUNNING,
                **(template or {}),
            },
        },
        **more,
    }


def vault(group: str = "rg-one", subscription: str = ONE) -> dict[str, Any]:
    return {
        "id": rid("Microsoft.KeyVault/vaults", "kv-one", group, subscription),
        "type": "Microsoft.KeyVault/vaults",
        "location": "westeurope",
        "properties": {"enableRbacAuthorization": True},
    }


def estate(*resources: dict[str, Any], **more: Any) -> dict[str, Any]:
    subscriptions = sorted({resource["id"].split("/")[2] for resource in resources})
    return {"schema": 1, "subscriptions": subscriptions, "resources": list(resources), **more}


def two_apps() -> list[dict[str, Any]]:
    return [vault(), app("api", {"DB_PASSWORD": VALUES[1]}), app("web", {"MODE": "live"}, {"pw": VALUES[2]})]


def test_as_little_as_can_be() -> None:
    tiny: dict[str, Any] = {
        "id": rid("Microsoft.App/containerApps", "tiny"),
        "properties": {
            "environmentId": rid("Microsoft.App/managedEnvironments", "env1"),
            "template": {
                "containers": [{"image": "nginx", "name": "x", "env": [{"name": "PASSWORD", "value": VALUES[0]}]}]
            },
        },
    }
    homeless = copy.deepcopy(tiny)
    homeless["id"] = rid("Microsoft.App/containerApps", "homeless")
    del homeless["properties"]["environmentId"]
    bare = {"id": rid("Microsoft.KeyVault/vaults", "kv-one"), "properties": {"enableRbacAuthorization": True}}
    keep_every_promise(estate(bare, tiny, homeless))


def test_numbers_as_text_values_as_numbers_and_nulls_everywhere() -> None:
    env = [
        {"name": "EMPTY", "value": ""},
        {"name": "NOTHING"},
        {"name": "PORT", "value": 8080},
        {"name": "DEBUG", "value": True},
    ]
    containers = [
        {"name": "a", "image": "x"},
        {"name": "b", "image": "y", "env": None},
        {
            "name": "c",
            "image": "z",
            "env": [*env, {"name": "PASSWORD", "value": VALUES[1]}],
            "resources": {"cpu": "0.25", "memory": "0.5Gi"},
        },
    ]
    typed = app(
        "typed",
        configuration={"ingress": None, "registries": [], "secrets": []},
        template={"containers": containers, "initContainers": [], "volumes": None, "scale": {"minReplicas": "1"}},
        tags=None,
        identity=None,
    )
    bare = app("bare", {"PASSWORD": VALUES[2]})
    bare["properties"]["configuration"] = None
    keep_every_promise(estate(vault(), typed, bare))


def test_values_and_names_of_every_shape() -> None:
    pem = (
        "-----BEGIN PRIVATE KEY-----\n"
        + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n" * 9
        + "-----END PRIVATE KEY-----\n"
    )
    values = {
        "UMLAUT_PASSWORD": VALUES[1] + "äöü€😀",
        "QUOTED_PASSWORD": VALUES[2] + "\"'\\{}[]<>&%",
        "SPACED_PASSWORD": f"  {VALUES[3]}  ",
        "PRIVATE_KEY": pem + VALUES[4],
        "JSON_PASSWORD": json.dumps({"password": VALUES[5]}),
        "ConnectionStrings__Default": f"Server=tcp:x.database.windows.net;User ID=a;Password={VALUES[6]};",
        "Logging:Secret:Password": VALUES[7],
        "my.app.password": VALUES[8],
        "A" * 120 + "_PASSWORD": VALUES[9],
        "A_B_PASSWORD": VALUES[10],
        "A-B-PASSWORD": VALUES[11],
        "DATABASE_URL": "postgres://u:Canary12q8Zk2vLp7@h:5432/d",
    }
    document = app("api", values, {"a-b-password": "Canary13-hB3nJ6yC8dF1", "x" * 60: "Canary14-line\n"})
    needs = [{"app": document["id"], "env": name} for name in values]
    plan = keep_every_promise(estate(vault(), document, needs=needs))
    assert not plan.skipped


def test_ids_in_any_case() -> None:
    low = app("api", {"DB_PASSWORD": VALUES[1]})
    low["id"], low["type"] = low["id"].lower(), low["type"].lower()
    low["properties"]["managedEnvironmentId"] = low["properties"]["managedEnvironmentId"].lower()
    attached = rid("Microsoft.ManagedIdentity/userAssignedIdentities", "Id-Web").lower()
    web = app(
        "Web",
        {"DB_PASSWORD": VALUES[1]},
        identity={"type": "userAssigned", "userAssignedIdentities": {attached: {}}},
    )
    shouted = vault()
    shouted["id"] = shouted["id"].lower()
    plan = keep_every_promise(estate(shouted, low, web), vault="KV-ONE")
    assert {step.kind for step in plan.steps if step.app.lower() == web["id"].lower()}.isdisjoint({"identity-create"})


def test_one_name_in_several_groups_and_subscriptions() -> None:
    keep_every_promise(
        estate(
            vault("rg-vaults", TWO),
            app("api", {"DB_PASSWORD": VALUES[1]}),
            app("api", {"DB_PASSWORD": VALUES[2]}, group="rg-two", subscription=TWO),
            app("api", {"DB_PASSWORD": VALUES[1]}, group="rg-two"),
        )
    )


@pytest.mark.parametrize(("choice", "moved"), [(None, 1), ("new-version", 3), ("rename", 4)])
def test_a_vault_that_holds_something_already(choice: str | None, moved: int) -> None:
    names = ("DB_PASSWORD", "API_KEY", "JWT_SECRET", "SMTP_PASSWORD")
    held = [
        {"vault": "kv-one", "name": "api-db-password", "value": VALUES[1]},
        {"vault": "kv-one", "name": "api-api-key", "value": "somebody-elses"},
        {"vault": "kv-one", "name": "api-jwt-secret", "value": VALUES[3], "enabled": False},
        {"vault": "kv-one", "name": "api-smtp-password", "value": VALUES[4], "deleted": True},
        {"vault": "kv-one", "name": "unrelated", "value": VALUES[5]},
    ]
    documents = [vault(), app("api", dict(zip(names, VALUES[1:], strict=False)))]
    plan = keep_every_promise(estate(*documents, vaultSecrets=held), on_conflict=choice)
    (switch,) = (step for step in plan.steps if step.kind == "app-switch")
    assert len(switch.change["env"]) == moved


@pytest.mark.parametrize("choice", ["user", "system"])
def test_identities_of_every_kind(choice: str) -> None:
    def attached(name: str) -> dict[str, Any]:
        return {rid("Microsoft.ManagedIdentity/userAssignedIdentities", name): {}}

    keep_every_promise(
        estate(
            vault(),
            app("none", {"DB_PASSWORD": VALUES[1]}),
            app("said-none", {"DB_PASSWORD": VALUES[2]}, identity={"type": "None"}),
            app("sys", {"DB_PASSWORD": VALUES[3]}, identity={"type": "SystemAssigned"}),
            app(
                "user",
                {"DB_PASSWORD": VALUES[4]},
                identity={"type": "UserAssigned", "userAssignedIdentities": attached("id-user")},
            ),
            app(
                "both",
                {"DB_PASSWORD": VALUES[5]},
                identity={"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": attached("id-both")},
            ),
        ),
        identity=choice,
    )


@pytest.mark.parametrize("mode", [None, "AbacRepositoryPermissions"])
def test_registries_of_azure_and_others(mode: str | None) -> None:
    def registry(name: str) -> dict[str, Any]:
        return {
            "id": rid("Microsoft.ContainerRegistry/registries", name),
            "type": "Microsoft.ContainerRegistry/registries",
            "location": "westeurope",
            "properties": {"adminUserEnabled": True, **({"roleAssignmentMode": mode} if mode else {})},
        }

    entries = [
        {"server": "crone.azurecr.io", "username": "crone", "passwordSecretRef": "acr-pw"},
        {"server": "CRTWO.azurecr.io", "username": "crtwo", "passwordSecretRef": "acr-pw"},
        {"server": "docker.io", "username": "me", "passwordSecretRef": "hub-pw"},
    ]
    api_app = app(
        "api",
        secrets={"acr-pw": VALUES[1], "hub-pw": VALUES[2]},
        image="crone.azurecr.io/api:1",
        configuration={"registries": entries},
    )
    plan = keep_every_promise(estate(vault(), registry("crone"), registry("crtwo"), api_app))
    (switch,) = (step for step in plan.steps if step.kind == "app-switch")
    assert [entry["server"].lower() for entry in switch.change["registries"]] == [
        "crone.azurecr.io",
        "crtwo.azurecr.io",
    ]


def test_several_active_revisions() -> None:
    def several(name: str, *traffic: dict[str, Any]) -> dict[str, Any]:
        ingress = {"external": True, "targetPort": 80, **({"traffic": list(traffic)} if traffic else {})}
        document = app(
            name, {"DB_PASSWORD": VALUES[1]}, configuration={"activeRevisionsMode": "multiple", "ingress": ingress}
        )
        document["properties"]["latestRevisionName"] = f"{name}--v2"
        return document

    def old(name: str, value: str, *, active: bool) -> dict[str, Any]:
        container = {"name": "main", "image": "nginx:1", "env": [{"name": "DB_PASSWORD", "value": value}]}
        return {
            "id": f"{rid('Microsoft.App/containerApps', name)}/revisions/{name}--v1",
            "type": "Microsoft.App/containerApps/revisions",
            "properties": {"active": active, "template": {"containers": [container]}},
        }

    plan = keep_every_promise(
        estate(
            vault(),
            several("follows"),
            several("named", {"revisionName": "named--v2", "weight": 100}),
            several(
                "canary",
                {"revisionName": "canary--v1", "weight": 80},
                {"revisionName": "canary--v2", "weight": 20, "label": "canary"},
            ),
            several(
                "half", {"latestRevision": True, "weight": 50, "label": "x"}, {"revisionName": "half--v1", "weight": 50}
            ),
            app("quiet", {"DB_PASSWORD": VALUES[2]}, configuration={"activeRevisionsMode": "Multiple"}),
            old("canary", VALUES[6], active=True),
            old("half", VALUES[7], active=True),
            old("follows", VALUES[8], active=False),
        )
    )
    assert sum(entry["code"] == "old-revision" for entry in plan.skipped) == 3


def test_init_containers_sidecars_volumes_rules_and_a_value_in_many_places() -> None:
    containers = [
        {
            "name": "main",
            "image": "x/y:1",
            "env": [
                {"name": "DB_PASSWORD", "value": VALUES[1]},
                {"name": "ALSO", "value": VALUES[1]},
                {"name": "REF", "secretRef": "inline"},
                {"name": "SAME_AS_INLINE", "value": VALUES[2]},
            ],
            "volumeMounts": [{"volumeName": "v", "mountPath": "/v"}],
        },
        {"name": "side", "image": "x/z:1", "args": ["--a"], "env": [{"name": "SIDE_SECRET", "value": VALUES[3]}]},
    ]
    init = [{"name": "init", "image": "busybox", "env": [{"name": "DB_PASSWORD", "value": VALUES[1]}]}]
    auth = [{"secretRef": "inline", "triggerParameter": "connection"}]
    rule = {"name": "q", "custom": {"type": "azure-servicebus", "metadata": {"queueName": "q"}, "auth": auth}}
    document = app(
        "api",
        secrets={"inline": VALUES[2], "unused": VALUES[4]},
        template={
            "containers": containers,
            "initContainers": init,
            "volumes": [{"name": "v", "storageType": "Secret", "secrets": [{"secretRef": "inline", "path": "p"}]}],
            "scale": {"minReplicas": 1, "maxReplicas": 3, "rules": [rule]},
        },
    )
    needs = [{"app": document["id"], "env": name} for name in ("DB_PASSWORD", "SAME_AS_INLINE", "REF")]
    keep_every_promise(estate(vault(), document, needs=needs))


def test_jobs_and_strangers_do_not_disturb() -> None:
    home = rid("Microsoft.App/managedEnvironments", "env1")
    job = {
        "id": rid("Microsoft.App/jobs", "nightly"),
        "type": "Microsoft.App/jobs",
        "location": "westeurope",
        "properties": {
            "environmentId": home,
            "configuration": {
                "triggerType": "Manual",
                "replicaTimeout": 10,
                "secrets": [{"name": "x", "value": VALUES[9]}],
            },
            "template": {
                "containers": [{"name": "j", "image": "x", "env": [{"name": "DB_PASSWORD", "value": VALUES[8]}]}]
            },
        },
    }
    storage = {"id": rid("Microsoft.Storage/storageAccounts", "st1"), "location": "westeurope", "properties": {}}
    zero = [app(f"min-{n}", {"DB_PASSWORD": VALUES[1]}, template={"scale": {"minReplicas": n}}) for n in (None, 0, 3)]
    for document in zero:
        document["id"] = document["id"].replace("None", "null")
    keep_every_promise(estate(vault(), job, storage, *zero))


def test_captured_apps_with_a_secret_more(shared_dir: Path) -> None:
    yaml: Any = importlib.import_module("yaml")  # comes with detect-secrets; has no types of its own
    found: dict[str, Any] = {}
    for path in sorted((shared_dir / "azure/recordings/live-captures").rglob("*")):
        if path.suffix in {".json", ".yaml"}:
            document = yaml.safe_load(path.read_text())
            kind = str(document.get("type")).lower() if isinstance(document, dict) else ""
            if kind == "microsoft.app/containerapps" and "template" in document.get("properties", {}):
                found.setdefault(document["id"].lower(), document)
    assert len(found) >= 5
    for document in found.values():
        container = document["properties"]["template"]["containers"][0]
        container["env"] = [*(container.get("env") or []), {"name": "DB_PASSWORD", "value": VALUES[1]}]
    subscription = next(iter(found)).split("/")[2]
    keep_every_promise(estate(vault("rg-v", subscription), *json.loads(json.dumps(list(found.values())))))


@pytest.mark.parametrize(
    "switches",
    [
        {"identity_map": "replace", "wildcard_covers_parent": False, "graph_env_values": False},
        {"secret_ref_display": "prefixed", "resolve_on_write": False, "page_size": 1},
        {"patch_location_only_2023": True, "put_without_identity": "keeps", "role_assignment_exists_id": True},
        {"graph_staleness": 600.0, "duplicate_env": "last-wins", "directory_readable": False},
        {"role_propagation": [600, 880], "principal_replication": [30, 90]},
    ],
)
def test_either_answer_of_azure(switches: dict[str, Any]) -> None:
    keep_every_promise(estate(*two_apps()), switches=switches)


# Fewer rights, and a vault that goes away


def test_a_reader_sees_what_a_reader_can() -> None:
    roles = [{"role": "Reader", "scope": f"/subscriptions/{ONE}"}]
    with witness(estate(*two_apps(), operator={"roles": roles})) as seen:
        report = seen.scan().report
        assert [finding.location.as_dict()["name"] for finding in report.findings] == ["DB_PASSWORD"]
        (error,) = report.errors
        assert "listSecrets/action" in error["what"]
        result = seen.apply(seen.plan())
        assert result.exit_code == 12
        seen.check_silence()


@pytest.mark.parametrize(
    "roles",
    [
        pytest.param([("Contributor", f"/subscriptions/{ONE}")], id="may not assign roles"),
        pytest.param(
            [("Owner", two_apps()[1]["id"]), ("Owner", vault()["id"])], id="may not even look for an identity"
        ),
        pytest.param(
            [
                ("Reader", f"/subscriptions/{ONE}"),
                ("Managed Identity Contributor", f"/subscriptions/{ONE}"),
                ("Owner", vault()["id"]),
                ("Container Apps Contributor", two_apps()[1]["id"]),
            ],
            id="may not attach",
        ),
    ],
)
def test_without_a_right_everything_is_undone(roles: list[tuple[str, str]]) -> None:
    given = [*roles, ("Key Vault Secrets Officer", vault()["id"])]
    operator = {"roles": [{"role": role, "scope": scope} for role, scope in given]}
    with witness(estate(*two_apps()[:2], operator=operator)) as seen:
        before, values = seen.documents(), seen.values()
        result = seen.apply(seen.plan())
        assert result.exit_code == 12, result
        assert "az role assignment create" in str(result.apps[0].error)
        seen.check_back(before, values)
        names = {str(resource["id"]).lower() for resource in seen.simulator.world.resources.values()}
        assert not [name for name in names if "userassignedidentities" in name]
        seen.check_silence()


def test_going_back_needs_no_vault() -> None:
    with witness(estate(*two_apps())) as seen:
        before, values = seen.documents(), seen.values()
        result = seen.apply(seen.plan())
        assert result.exit_code == 0
        closed = {"properties": {"publicNetworkAccess": "Disabled"}}
        assert seen.azure.arm("PATCH", vault()["id"], closed, version="2023-07-01").status == 200
        back = seen.rollback(result.run)
        assert back.exit_code == 0, back
        seen.check_back(before, values)
        seen.check_silence()


# What happens between plan and apply


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        ({"tags": {"x": "y"}}, "tags"),
        ({"properties": {"template": {"scale": {"minReplicas": 2}}}}, "template.scale"),
        ({"identity": {"type": "SystemAssigned"}}, "identity"),
    ],
)
def test_a_stale_app_is_left_alone_and_named(edit: dict[str, Any], named: str) -> None:
    with witness(estate(*two_apps())) as seen:
        plan = seen.plan()
        edited, other = seen.apps
        assert seen.azure.arm("PATCH", edited, edit).status == 202
        result = seen.apply(plan)
        assert result.exit_code == 11
        (error,) = (found.error for found in result.apps if found.state == "stale")
        assert error is not None
        assert named in error["why"]
        assert str(seen.azure.app(edited)["systemData"]["lastModifiedBy"]) in error["why"]
        assert not seen.azure.secrets(edited)
        assert seen.azure.secrets(other)["pw"]["keyVaultUrl"]
        seen.check_silence()


def test_one_app_that_azure_refuses_does_not_stop_the_other() -> None:
    with witness(estate(*two_apps())) as seen:
        before, values = seen.documents(), seen.values()
        plan = seen.plan()
        refusal = Fault(
            method="PATCH",
            path="containerapps/api",
            skip=1,
            times=1,
            status=403,
            code="RequestDisallowedByPolicy",
            message="Resource 'api' was disallowed by policy.",
        )
        seen.simulator.azure.faults.rules.append(refusal)
        result = seen.apply(plan)
        assert result.exit_code == 12
        assert {found.name: found.state for found in result.apps} == {"api": "rolled-back", "web": "done"}
        assert seen.rollback(result.run).exit_code == 0
        seen.check_back(before, values)
        assert not seen.left_behind()
        seen.check_silence()


def test_what_is_not_there_is_said() -> None:
    with witness(estate(*two_apps())) as seen:
        for vault_name, identity in (("kv-nowhere", "user"), ("kv-one", "no-identity")):
            with pytest.raises(KeyliftError) as told:
                api.make_plan(seen.place, api.Scope(), vault=vault_name, identity=identity)
            assert told.value.hint
        with pytest.raises(KeyliftError) as told:
            api.make_plan(seen.place, api.Scope(apps=("nosuch",)), vault="kv-one")
        assert "api" in told.value.why
