"""Who can read what: judged from an estate, and held against the simulator asked as each identity."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrator import proposing
from migrator.access import access
from migrator.cloud import reading
from migrator.cloud.session import Session
from migrator.errors import UsageError
from migrator.model import (
    App,
    AppSecret,
    Denial,
    Estate,
    Group,
    Part,
    Resource,
    Rights,
    RoleAssignment,
    RoleDefinition,
    Vault,
)
from migrator.output._access import human
from migrator.output._access_page import html
from migrator.planning.denials import Denials
from migrator.planning.identities import Chosen
from migrator.planning.roles import SECRETS_USER, Roles
from migrator.simulator import memberships, principals, rbac
from migrator.simulator.clock import Clock
from scanners.model import Secret

from .cloud.inprocess import inside
from .cloud.world import Driven
from .simulator.inside import GROUP, SUBSCRIPTION, VAULTS, Inside

USER = "4633458b-17de-408a-b874-0445c86b69e6"
OFFICER = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
OPERATOR = "f3bd1b5c-91fa-40e7-afe7-0c11d331232c"
ROLES = (
    RoleDefinition(
        USER,
        "Key Vault Secrets User",
        data_actions=(
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
    RoleDefinition(OFFICER, "Key Vault Secrets Officer", data_actions=("Microsoft.KeyVault/vaults/secrets/*",)),
    RoleDefinition(READER, "Reader", actions=("*/read",)),
    RoleDefinition(OPERATOR, "Container Apps Operator", actions=("Microsoft.App/containerApps/*/action",)),
)
IDENTITIES = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
APPS = f"{GROUP}/providers/Microsoft.App/containerApps"
JOB = f"{GROUP}/providers/Microsoft.App/jobs/nightly"
COMPONENT = f"{GROUP}/providers/Microsoft.App/managedEnvironments/env/daprComponents/pubsub"
KV = f"{VAULTS}/kv-shop"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/stshop"
_KEY = base64.b64encode(b"k" * 64).decode()
STORED = f"DefaultEndpointsProtocol=https;AccountName=stshop;AccountKey={_KEY};EndpointSuffix=core.windows.net"


def vault(name: str, **properties: Any) -> Vault:
    properties.setdefault("enableRbacAuthorization", True)
    return Vault(f"{VAULTS}/{name}", {"properties": {"vaultUri": f"https://{name}.vault.azure.net/", **properties}})


def identity(name: str) -> Resource:
    return Resource(f"{IDENTITIES}/{name}", {"properties": {"principalId": f"oid-{name}"}})


def app(name: str, identity: str, *secrets: str, env: bool = False, vault: str = "kv-shop") -> App:
    """An app whose secrets refer to vault secrets of the same name."""
    entries = [{"name": "PLAIN", "value": "x"}] if env else [{"name": "A", "secretRef": "a"}]
    document = {
        "name": name,
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {f"{IDENTITIES}/{identity}": {}}},
        "properties": {"template": {"containers": [{"name": "c", "env": entries}]}},
    }
    references = tuple(
        AppSecret(s, None, f"https://{vault}.vault.azure.net/secrets/{s}", f"{IDENTITIES}/{identity}".upper())
        for s in secrets
    )
    return App(f"{APPS}/{name}", document, references)


def assigned(principal: str, role: str, scope: str, *, condition: str | None = None, kind: str = "") -> RoleAssignment:
    name = f"{principal}-{role[:4]}-{scope.rpartition('/')[2]}"
    return RoleAssignment(
        f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        scope,
        role,
        principal,
        kind or "ServicePrincipal",
        condition,
    )


def estate(*assignments: RoleAssignment, **more: Any) -> Estate:
    parts: dict[str, Any] = {
        "subscriptions": (SUBSCRIPTION,),
        "vaults": (vault("kv-shop"),),
        "identities": (identity("id-api"), identity("id-web")),
        "apps": (app("api", "id-api", "db"), app("web", "id-web", "token", env=True)),
        "roles": ROLES,
    }
    return Estate(assignments=assignments, **(parts | more))


def test_a_role_at_its_secret_is_just_right() -> None:
    report = access(estate(assigned("oid-id-api", USER, f"{KV}/secrets/DB")))
    api, web = (next(p for p in report.principals if p.name == name) for name in ("id-api", "id-web"))
    assert [(r.vault, r.secret) for r in api.readings] == [(KV, "DB")]
    assert api.excess == ()
    assert web.readings == ()
    assert report.can_read("oid-id-api", KV, "db") is True
    assert report.can_read("OID-ID-API", KV.lower(), "token") is False
    assert [(r.name, r.principal, r.readable) for r in report.references] == [
        ("db", "oid-id-api", True),
        ("token", "oid-id-web", False),
    ]


@pytest.mark.parametrize("scope", ["/", f"/subscriptions/{SUBSCRIPTION}", GROUP.upper(), KV])
def test_a_wider_scope_is_excess_with_the_smallest_replacement(scope: str) -> None:
    report = access(estate(assigned("oid-id-api", USER, scope)), identity="id-api")
    (api,) = report.principals
    assert [r.secret for r in api.readings] == ["*"]
    (excess,) = api.excess
    assert excess.replacement == (("Key Vault Secrets User", f"{KV}/secrets/db"),)
    create, delete = excess.commands
    assert create.startswith("az role assignment create")
    assert f'--scope "{KV}/secrets/db"' in create
    assert delete == f'az role assignment delete --ids "{excess.grant.id}"'


def test_a_wider_role_and_an_unused_one_are_excess() -> None:
    report = access(
        estate(
            assigned("oid-id-api", OFFICER, f"{KV}/secrets/db"),
            assigned("oid-id-web", USER, f"{KV}/secrets/db"),
        )
    )
    found = {p.name: p.excess for p in report.principals}
    assert "more than reading" in found["id-api"][0].why
    assert found["id-web"][0].replacement == ()
    assert len(found["id-web"][0].commands) == 1


def test_nothing_is_taken_away_that_something_else_may_need() -> None:
    """A role that gives more than secrets stays until a person knows who uses the rest; one that only reads is just right."""
    own = RoleDefinition("own", "Our reader", data_actions=("Microsoft.KeyVault/vaults/secrets/getSecret/action",))
    officer = RoleDefinition(
        "adm", "Administrator", data_actions=("Microsoft.KeyVault/*",), actions=("Microsoft.Support/*",)
    )
    given = (
        assigned("oid-id-api", "own", f"{KV}/secrets/db"),
        assigned("oid-id-api", "adm", GROUP),
        assigned("oid-team", USER, KV, kind="Group"),
        assigned("oid-team", OPERATOR, GROUP, kind="Group"),
    )
    group = Group("oid-team", frozenset({"oid-id-web"}))
    report = access(estate(*given, roles=(*ROLES, own, officer), groups=(group,)))
    api, web = (next(p for p in report.principals if p.name == name) for name in ("id-api", "id-web"))
    (wide,) = api.excess
    assert wide.grant.name == "Administrator"
    assert "it also gives Microsoft.KeyVault/*" in wide.why
    assert wide.commands == (), "the secret is readable by the narrow role already, and nothing is deleted unseen"
    assert "its group is given 1 more" in web.excess[0].why


def test_what_programs_and_environments_read_is_used() -> None:
    """A certificate of the environment, a Dapr secret store, and a program that is told the vault's address."""
    home = COMPONENT.partition("/daprComponents")[0]
    certificate = Part(
        f"{home}/certificates/tls",
        {
            "properties": {
                "certificateKeyVaultProperties": {
                    "identity": "System",
                    "keyVaultUrl": "https://kv-shop.vault.azure.net/certificates/tls",
                }
            }
        },
    )
    store = Part(
        f"{home}/daprComponents/store",
        {
            "properties": {
                "componentType": "secretstores.azure.keyvault",
                "metadata": [{"name": "vaultName", "value": "kv-shop"}, {"name": "azureClientId", "value": "CID"}],
            }
        },
    )
    dapr = Resource(f"{IDENTITIES}/id-dapr", {"properties": {"principalId": "oid-id-dapr", "clientId": "cid"}})
    told = app("web", "id-web")
    told.document["properties"]["template"]["containers"][0]["env"] = [
        {"name": "VAULT", "value": "https://kv-shop.vault.azure.net/"}
    ]
    whole = estate(
        assigned("oid-env", USER, f"{KV}/secrets/tls"),
        assigned("oid-id-dapr", USER, KV),
        assigned("oid-id-web", USER, GROUP),
        assigned("oid-id-api", USER, f"{KV}/secrets/other"),
        environments=(Resource(home, {"identity": {"principalId": "OID-ENV"}}),),
        identities=(identity("id-api"), identity("id-web"), dapr),
        apps=(app("api", "id-api"), told),
        parts=(certificate, store),
    )
    report = access(whole)
    found = {p.name: p.excess for p in report.principals}
    assert (found["env (system)"], found["id-dapr"]) == ((), ())
    assert [(r.app.rpartition("/")[2], r.secret, r.readable) for r in report.references] == [("tls", "tls", True)]
    (web,) = found["id-web"]
    assert web.replacement == (("Key Vault Secrets User", KV),)
    assert "env VAULT of web may read any of it" in web.why
    assert found["id-api"][0].replacement == (), "what nobody is seen to use is still said"
    assert any("reads a vault by itself" in note for note in report.notes)
    assert [r.app for r in access(whole, apps=("web",)).references] == []


def test_conditions_are_reported_and_not_judged() -> None:
    report = access(estate(assigned("oid-id-api", USER, KV, condition="@Resource[x] StringEquals 'db'")))
    assert report.can_read("oid-id-api", KV, "db") is None
    assert report.references[0].readable is None
    (api,) = (p for p in report.principals if p.name == "id-api")
    assert api.readings[0].conditional
    assert api.excess == ()


def test_policies_open_the_whole_vault() -> None:
    def policy(name: str, *held: str, **more: str) -> dict[str, Any]:
        return {"tenantId": "t", "objectId": f"OID-{name}", "permissions": {"secrets": list(held)}, **more}

    policies = [policy("id-api", "Get", "List"), policy("id-web", "list"), policy("other", "all", applicationId="x")]
    report = access(
        estate(
            assigned("oid-id-web", USER, KV),  # means nothing on this vault
            vaults=(vault("kv-shop", enableRbacAuthorization=None, accessPolicies=policies),),
        )
    )
    assert report.can_read("oid-id-api", KV, "anything") is True
    assert report.can_read("oid-id-web", KV, "token") is False
    assert report.can_read("oid-other", KV, "token") is False
    (api,) = (p for p in report.principals if p.name == "id-api")
    assert "voids all its policies" in api.excess[0].why
    assert api.excess[0].commands == (
        "az keyvault set-policy --name kv-shop --object-id oid-id-api --secret-permissions get",
    )


def test_values_are_read_without_a_vault_role() -> None:
    report = access(
        estate(
            assigned("somebody", READER, f"/subscriptions/{SUBSCRIPTION}", kind="User"),
            assigned("deployer", OPERATOR, f"{APPS}/api"),
            assigned("team", OPERATOR, GROUP, kind="Group"),
        )
    )
    found = [(r.principal, r.way, [a.rpartition("/")[2] for a in r.apps]) for r in report.value_readers]
    assert found == [
        ("deployer", "list-secrets", ["api"]),
        ("somebody", "env", ["web"]),
        ("team", "list-secrets", ["api", "web"]),
    ]
    assert any("who is in these groups could not be seen" in note and "team" in note for note in report.notes)


def test_what_a_group_holds_its_members_hold() -> None:
    given = (
        assigned("oid-team", USER, KV, kind="Group"),
        assigned("oid-team", OPERATOR, GROUP, kind="Group"),
        assigned("oid-id-web", USER, f"{KV}/secrets/token"),
    )
    whole = estate(*given, groups=(Group("oid-team", frozenset({"oid-id-api"})),))
    report = access(whole)
    assert report.can_read("oid-id-api", KV, "db") is True
    assert report.can_read("oid-team", KV, "db") is True
    assert report.can_read("oid-id-web", KV, "db") is False
    api = next(p for p in report.principals if p.name == "id-api")
    excess, listing = api.excess
    assert (listing.grant.name, listing.judged, listing.commands) == ("Container Apps Operator", False, ())
    assert "values of web: an app that manages nothing in Azure" in listing.why
    assert excess.grant.through == "oid-team"
    assert excess.as_dict()["grant"]["through"] == "oid-team"
    assert excess.replacement == (("Key Vault Secrets User", f"{KV}/secrets/db"),)
    assert excess.commands[-1] == "az ad group member remove --group oid-team --member-id oid-id-api"
    assert {(r.principal, r.grant.through) for r in report.value_readers} == {
        ("oid-team", ""),
        ("oid-id-api", "oid-team"),
    }
    assert "identities of the estate" in " ".join(report.notes)
    denied = Denial("d", "d", GROUP, (DENY,), frozenset({"oid-team"}), groups=frozenset({"oid-team"}))
    assert access(replace(whole, denials=(denied,))).can_read("oid-id-api", KV, "db") is False
    spared = replace(denied, principals=frozenset({"oid-id-api"}), spared=frozenset({"oid-team"}))
    assert access(replace(whole, denials=(spared,))).can_read("oid-id-api", KV, "db") is True


def test_what_secrets_open_and_who_else_gets_at_it() -> None:
    blobs = RoleDefinition("blobs", "Blob Reader", data_actions=("Microsoft.Storage/storageAccounts/blobServices/*",))
    keys = RoleDefinition("keys", "Key Operator", actions=("Microsoft.Storage/storageAccounts/listkeys/action",))
    queues = RoleDefinition("hubs", "Hub Reader", data_actions=("Microsoft.EventHub/*",))
    holder = replace(app("api", "id-api"), secrets=(AppSecret("store", Secret(STORED)),))
    whole = estate(
        assigned("oid-id-web", "blobs", f"{STORAGE}/blobServices/default/containers/c"),
        assigned("oid-team", "keys", GROUP, kind="Group"),
        assigned("part", "keys", f"{STORAGE}/blobServices/default"),
        assigned("hubs", "hubs", GROUP),
        apps=(holder,),
        groups=(Group("oid-team", frozenset({"oid-id-api"})),),
        targets=(Resource(STORAGE, {"name": "stshop"}),),
        roles=(*ROLES, blobs, keys, queues),
    )
    (found,) = access(whole).resources
    assert (found.resource, found.by, found.own_roles) == (STORAGE, ((holder.id, "store"),), False)
    assert {(r.principal, r.way, r.grant.through) for r in found.readers} == {
        ("oid-id-web", "data-role", ""),
        ("oid-team", "list-keys", ""),
        ("oid-id-api", "list-keys", "oid-team"),
    }
    denied = Denial("d", "d", STORAGE, (Rights(actions=("*/listKeys/action",)),), frozenset({"oid-team"}))
    (found,) = access(replace(whole, denials=(denied,))).resources
    assert {r.way for r in found.readers} == {"data-role"}
    assert access(replace(whole, apps=())).resources == (), "no secret names it"


BUS = f"{GROUP}/providers/Microsoft.ServiceBus/namespaces/bus"
SQL = f"{GROUP}/providers/Microsoft.Sql/servers/sql"
DATA = f"{GROUP}/providers/Microsoft.DocumentDB/databaseAccounts/data"
AI = f"{GROUP}/providers/Microsoft.CognitiveServices/accounts/ai"


def test_who_may_list_keys_and_who_only_seems_to() -> None:
    """By each service's own actions: nobody lists passwords, every Reader has a database's keys that read, and a queue's own
    policies give its keys to who manages that queue."""
    values = {
        "BUS": f"Endpoint=sb://bus.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey={_KEY};EntityPath=q",
        "SQL": f"Server=tcp:sql.database.windows.net;User ID=u;Password={_KEY};Database=d",
        "DATA": f"AccountEndpoint=https://data.documents.azure.com:443/;AccountKey={_KEY}",
        "AI_KEY": _KEY[:32], "AI_ENDPOINT": "https://ai.openai.azure.com/", "AI_MODEL": "large",
    }  # fmt: skip
    holder = app("api", "id-api")
    holder.document["properties"]["template"]["containers"][0]["env"] = [
        {"name": n, "value": v} for n, v in values.items()
    ]
    component = Part(
        COMPONENT,
        {
            "properties": {
                "componentType": "pubsub.azure.servicebus.topics",
                "metadata": [{"name": "connectionString", "value": values["BUS"]}],
            }
        },
    )
    operator = RoleDefinition("bus", "Bus Operator", actions=("Microsoft.ServiceBus/namespaces/*/ListKeys/action",))
    owner = RoleDefinition("own", "Owner", actions=("*",))
    named = {"customSubDomainName": "ai", "endpoint": "https://ai.openai.azure.com/"}
    whole = estate(
        assigned("queue", "bus", f"{BUS}/queues/q"),
        assigned("reader", READER, GROUP),
        assigned("owner", "own", GROUP),
        assigned("elsewhere", "own", f"{BUS}/topics/t/subscriptions/s"),
        apps=(holder,),
        parts=(component,),
        roles=(*ROLES, operator, owner),
        targets=(
            Resource(BUS, {"properties": {"serviceBusEndpoint": "https://bus.servicebus.windows.net:443/"}}),
            Resource(SQL, {"properties": {"fullyQualifiedDomainName": "sql.database.windows.net"}}),
            Resource(DATA, {"properties": {"documentEndpoint": "https://data.documents.azure.com:443/"}}),
            Resource(AI, {"properties": named}),
        ),
    )
    found = {one.resource: one for one in access(whole).resources}
    listing = {key: sorted(r.principal for r in one.readers if r.way == "list-keys") for key, one in found.items()}
    assert listing == {BUS: ["owner", "queue"], SQL: [], DATA: ["owner", "reader"], AI: ["owner"]}
    assert found[BUS].by == ((holder.id, "env BUS"), (COMPONENT, "metadata"))
    assert found[AI].by == ((holder.id, "env AI_KEY"),), "what stands beside an endpoint and is no key opens nothing"
    away = replace(
        whole, targets=(Resource(DATA, {"properties": {"documentEndpoint": "https://data.documents.azure.cn/"}}),)
    )
    assert access(away).resources == (), "one of that name in another cloud is another one"


def test_an_identity_of_an_app_that_gets_at_other_values_and_keys_is_too_wide() -> None:
    blobs = RoleDefinition("blobs", "Blob Reader", data_actions=("Microsoft.Storage/storageAccounts/blobServices/*",))
    holder = replace(app("api", "id-api"), secrets=(AppSecret("store", Secret(STORED)),))
    whole = estate(
        assigned("oid-id-api", "own", GROUP),
        assigned("oid-id-web", "blobs", GROUP),
        assigned("oid-id-job", "blobs", f"{STORAGE}/blobServices/default/containers/c"),
        assigned("person", "own", GROUP, kind="User"),
        apps=(holder, app("web", "id-web", env=True)),
        identities=(identity("id-api"), identity("id-web"), identity("id-job")),
        targets=(Resource(STORAGE, {"name": "stshop"}),),
        roles=(*ROLES, blobs, RoleDefinition("own", "Contributor", actions=("*",))),
    )
    report = access(whole)
    found = {p.name: [(one.why, one.replacement, one.judged) for one in p.excess] for p in report.principals}
    assert found["id-api"] == [
        ("it gives keys of stshop: an app that manages nothing in Azure needs none of it", (), False)
    ]
    ((why, smaller, judged),) = found["id-web"]
    assert why == f"it reaches all of its kind below {GROUP}; secrets of the estate name stshop"
    assert (smaller, judged) == ((("Blob Reader", STORAGE),), False)
    assert found["id-job"] == [], "a part of the resource is narrow"
    assert "person" not in found, "what people do is not read out of apps"
    assert "not known" in html(report)


def test_consoles_and_deployments_give_values_too() -> None:
    console = RoleDefinition("con", "Debugger", actions=("Microsoft.App/containerApps/getAuthToken/action",))
    deployer = RoleDefinition("dep", "Deployer", actions=("Microsoft.KeyVault/vaults/deploy/action",))
    whole = estate(
        assigned("debugger", "con", GROUP),
        assigned("operator", OPERATOR, GROUP),
        assigned("deployer", "dep", GROUP),
        roles=(*ROLES, console, deployer),
        vaults=(
            vault("kv-shop", enabledForTemplateDeployment=True),
            vault("kv-shut", enabledForTemplateDeployment=False),
        ),
    )
    report = access(whole)
    found = {(r.principal, r.way): [a.rpartition("/")[2] for a in r.apps] for r in report.value_readers}
    assert found == {
        ("debugger", "console"): ["api", "web"],
        ("operator", "list-secrets"): ["api", "web"],
        ("deployer", "deploy"): ["kv-shop"],
    }
    assert {(r.principal, r.way) for r in access(whole, secret="db").value_readers} == {
        ("operator", "list-secrets"),
        ("deployer", "deploy"),
    }
    for text in (human(report), html(report)):
        assert "deploys with any secret of the vault" in text
        assert "opens a console" in text


def test_what_is_not_judged_is_said() -> None:
    """A condition of a denial, a vault's firewall, and what nobody looked at; conditions are shown wherever they count."""
    maybe = Denial("d", "sometimes", KV, (DENY,), frozenset({"oid-id-api"}), condition="@Resource[x] StringEquals 'y'")
    shut = vault("kv-shop", networkAcls={"defaultAction": "Deny"})
    whole = estate(
        assigned("oid-id-api", USER, f"{KV}/secrets/db"),
        assigned("owner", OPERATOR, GROUP, condition="@Request[x] StringEquals 'y'"),
        denials=(maybe,),
        vaults=(shut, vault("kv-open")),
    )
    report = access(whole)
    assert report.can_read("oid-id-api", KV, "db") is True, "nobody knows that it is denied"
    notes = "\n".join(report.notes)
    assert "conditions of these deny assignments are not judged" in notes
    assert "'sometimes'" in notes
    assert "some networks only reach kv-shop:" in notes
    assert "Privileged Identity Management" in notes
    for text in (human(report), html(report)):
        assert "Container Apps Operator at resourceGroups/rg-shop, if its condition holds" in text
    # a plan, which would be stopped in the middle, takes it for one that holds
    chosen = Chosen(f"{IDENTITIES}/id-api", "oid-id-api", None, False)
    stopped = Denials(whole).reading(chosen, shut, "db")
    assert stopped is not None
    assert stopped.code == "deny-assignment"


DENY = Rights(data_actions=("Microsoft.KeyVault/vaults/secrets/*",))


def test_a_denial_wins_over_every_role() -> None:
    held = assigned("oid-id-api", USER, KV)
    everybody = frozenset({"00000000-0000-0000-0000-000000000000"})
    whole = Denial("d", "locked", GROUP, (DENY,), everybody)
    report = access(estate(held, denials=(whole,)))
    assert report.can_read("oid-id-api", KV, "db") is False
    assert report.references[0].readable is False
    spared = replace(whole, spared=frozenset({"oid-id-api"}))
    assert access(estate(held, denials=(spared,))).can_read("oid-id-api", KV, "db") is True
    alone = replace(whole, scope=KV, below=False)
    assert access(estate(held, denials=(alone,))).can_read("oid-id-api", KV, "db") is True, "secrets are below"
    one = replace(whole, scope=f"{KV}/secrets/DB")
    report = access(estate(held, denials=(one,)))
    assert report.can_read("oid-id-api", KV, "db") is False
    assert report.can_read("oid-id-api", KV, "token") is True
    (reading,) = next(p for p in report.principals if p.name == "id-api").readings
    assert reading.as_dict()["denied"] == ["db"]
    assert access(estate(held, denials=(one,)), secret="db").principals == ()


def test_who_reads_values_of_jobs_and_components() -> None:
    jobs_operator = RoleDefinition("jobs", "Jobs Operator", actions=("Microsoft.App/jobs/*/action",))
    home = RoleDefinition("home", "Environments Contributor", actions=("Microsoft.App/managedEnvironments/*/action",))
    component = Part(COMPONENT, {"properties": {"secrets": [{"name": "s"}], "metadata": []}})
    whole = estate(
        assigned("jobs-operator", "jobs", GROUP),
        assigned("environments", "home", GROUP),
        assigned("reader", READER, GROUP),
        roles=(*ROLES, jobs_operator, home),
        jobs=(replace(app("nightly", "id-api", "db", env=True), id=JOB),),
        parts=(component,),
    )
    found = {(r.principal, r.way): sorted(a.rpartition("/")[2] for a in r.apps) for r in access(whole).value_readers}
    assert found == {
        ("jobs-operator", "list-secrets"): ["nightly"],
        ("environments", "list-secrets"): ["pubsub"],
        ("reader", "env"): ["nightly", "web"],
    }
    denial = Denial("d", "d", JOB, (Rights(actions=("*/listSecrets/action",)),), frozenset({"jobs-operator"}))
    denied = access(replace(whole, denials=(denial,))).value_readers
    assert "jobs-operator" not in {reader.principal for reader in denied}


def test_filters() -> None:
    whole = estate(
        assigned("oid-id-api", USER, f"{KV}/secrets/db"),
        assigned("oid-id-web", USER, KV),
        assigned("oid-admin", OFFICER, GROUP, kind="User"),
    )

    def names(**filters: Any) -> list[str]:
        return [p.name for p in access(whole, **filters).principals]

    assert names() == ["id-api", "id-web", "oid-admin"]
    assert names(identity=f"{IDENTITIES}/ID-API") == ["id-api"]
    assert names(identity="oid-id-web") == ["id-web"]
    assert names(apps=("web",)) == ["id-web"]
    assert names(secret="db") == ["id-api", "id-web", "oid-admin"]
    assert names(secret="token") == ["id-web", "oid-admin"]
    with pytest.raises(UsageError) as raised:
        access(whole, identity="id-ap")
    assert "id-api" in raised.value.hint
    narrowed = access(whole, secret="db", identity="id-api")
    assert [r.secret for r in narrowed.references] == ["db"]


def test_what_is_not_known_is_said() -> None:
    report = access(estate(assigned("oid-id-api", "ffffffff-0000-0000-0000-000000000000", KV)))
    assert report.can_read("oid-id-api", KV, "db") is False
    assert "could not be read" in report.notes[0]


def test_system_identities_and_foreign_vaults() -> None:
    document = {"name": "own", "identity": {"type": "SystemAssigned", "principalId": "OID-OWN"}, "properties": {}}
    secrets = (
        AppSecret("a", None, "https://kv-shop.vault.azure.net/secrets/a", "system"),
        AppSecret("b", None, "https://kv-elsewhere.vault.azure.net/secrets/b", "System"),
        AppSecret("c", None, None, None),
    )
    report = access(estate(assigned("oid-own", USER, f"{KV}/secrets/a"), apps=(App(f"{APPS}/own", document, secrets),)))
    assert [(r.name, r.vault, r.principal, r.readable) for r in report.references] == [
        ("a", KV, "oid-own", True),
        ("b", "kv-elsewhere.vault.azure.net", "oid-own", None),
    ]
    (own,) = (p for p in report.principals if p.kind == "system")
    assert (own.name, own.resource, own.excess) == ("own (system)", f"{APPS}/own", ())


def test_the_document_is_plain_json() -> None:
    document = access(estate(assigned("oid-id-api", USER, GROUP))).as_dict()
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == 1


# Against the simulator

NAMES = ("one", "two", "three")
VAULT_NAMES = ("kv-aaa", "kv-bbb")
SECRETS = ("s1", "s2")
CUSTOM: dict[str, Any] = {
    "aaaaaaaa-0000-0000-0000-000000000001": {"dataActions": ["Microsoft.KeyVault/*/getSecret/action"]},
    "aaaaaaaa-0000-0000-0000-000000000002": {
        "dataActions": ["*"],
        "notDataActions": ["Microsoft.KeyVault/vaults/secrets/*"],
    },
    "aaaaaaaa-0000-0000-0000-000000000003": {"dataActions": ["Microsoft.KeyVault/vaults/*/secrets/getSecret/action"]},
    "aaaaaaaa-0000-0000-0000-000000000004": {
        "actions": ["*"],
        "notActions": ["Microsoft.App/containerApps/listSecrets/action"],
    },
    "aaaaaaaa-0000-0000-0000-000000000005": {"actions": ["microsoft.app/ContainerApps/LISTSECRETS/action"]},
    "aaaaaaaa-0000-0000-0000-000000000006": {"actions": ["Microsoft.App/*/listSecrets/action"]},
    "aaaaaaaa-0000-0000-0000-000000000007": [
        # what one block takes away another one may give
        {"dataActions": ["*"], "notDataActions": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"]},
        {"dataActions": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"], "actions": ["Microsoft.App/jobs/read"]},
    ],
}
DENIED: tuple[dict[str, list[str]], ...] = (
    {"dataActions": ["*"]},
    {"dataActions": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"]},
    {"dataActions": ["*"], "notDataActions": ["Microsoft.KeyVault/vaults/secrets/*"]},
    {"actions": ["Microsoft.App/jobs/*"]},
    {"actions": ["*/listSecrets/action"], "dataActions": ["Microsoft.KeyVault/vaults/certificates/*"]},
)
BUILT_IN = (
    *("Key Vault Secrets User", "Key Vault Secrets Officer", "Key Vault Administrator", "Key Vault Reader"),
    *("Key Vault Certificate User", "Key Vault Contributor", "Owner", "Reader", "Container Apps Operator"),
    *(
        "Contributor",
        "Container Apps Jobs Operator",
        "Container Apps Jobs Reader",
        "Container Apps ManagedEnvironments Contributor",
    ),
)
SCOPES = (
    "/",
    f"/subscriptions/{SUBSCRIPTION}",
    GROUP,
    *(f"{VAULTS}/{name}" for name in VAULT_NAMES),
    *(f"{VAULTS}/{name}/secrets/{secret}" for name in VAULT_NAMES for secret in SECRETS),
    f"{VAULTS}/kv-aa",  # a name that begins another one
    f"{APPS}/api",
    STORAGE,
    JOB,
    COMPONENT.partition("/daprComponents")[0],
)
CONDITIONS = (
    None,
    None,
    "@Resource[Microsoft.KeyVault/vaults/secrets:name] StringEquals 's1'",
    "@Resource[Microsoft.KeyVault/vaults:name] StringEquals 'kv-bbb'",
)

ASKED = (
    ("list-secrets", f"{APPS}/api", ("Microsoft.App/containerApps/listSecrets/action",)),
    ("env", f"{APPS}/api", ("Microsoft.App/containerApps/read", "Microsoft.App/containerApps/revisions/read")),
    ("list-secrets", JOB, ("Microsoft.App/jobs/listSecrets/action",)),
    ("env", JOB, ("Microsoft.App/jobs/read", "Microsoft.App/jobs/executions/read")),
    ("list-secrets", COMPONENT, ("Microsoft.App/managedEnvironments/daprComponents/listSecrets/action",)),
    ("env", COMPONENT, ("Microsoft.App/managedEnvironments/daprComponents/read",)),
)

TEAMS = (
    "aaaaaaaa-9999-0000-0000-000000000001",
    "aaaaaaaa-9999-0000-0000-000000000002",
    "aaaaaaaa-9999-0000-0000-000000000003",
)
PEOPLE = tuple(f"{IDENTITIES}/{name}" for name in NAMES)
random_groups = st.lists(
    st.lists(st.sampled_from((*PEOPLE, *TEAMS)), max_size=3, unique=True), min_size=len(TEAMS), max_size=len(TEAMS)
)
"""Who is in each of the teams; teams may be in each other."""
random_assignments = st.lists(
    st.tuples(
        st.sampled_from((*PEOPLE, *TEAMS)),
        st.sampled_from((*BUILT_IN, *CUSTOM)),
        st.sampled_from(SCOPES),
        st.sampled_from(CONDITIONS),
    ),
    max_size=8,
)
random_denials = st.lists(
    st.tuples(
        st.sampled_from(DENIED),
        st.sampled_from(SCOPES),
        st.lists(st.sampled_from((*PEOPLE, *TEAMS)), max_size=2),
        st.lists(st.sampled_from((*PEOPLE, *TEAMS)), max_size=1),
        st.booleans(),
    ),
    max_size=3,
)
random_policies = st.lists(
    st.tuples(
        st.sampled_from((*PEOPLE, *TEAMS)),
        st.sampled_from([["get"], ["Get", "list"], ["list", "set"], ["all"], ["purge"], []]),
        st.sampled_from([False, False, True]),
    ),
    max_size=4,
)


def _document(
    second_takes_roles: bool,
    groups: list[list[str]],
    assignments: list[tuple[str, str, str, str | None]],
    policies: list[tuple[str, list[str], bool]],
    denials: list[tuple[dict[str, list[str]], str, list[str], list[str], bool]],
) -> dict[str, Any]:
    home = COMPONENT.partition("/daprComponents")[0]
    template = {"containers": [{"name": "c", "image": "nginx:1", "env": [{"name": "PLAIN", "value": "x"}]}]}
    inline = [{"name": "s1", "value": STORED}]
    stored = f"AccountEndpoint=https://data.documents.azure.com:443/;AccountKey={_KEY}"
    job = {"triggerType": "Manual", "replicaTimeout": 60, "manualTriggerConfig": {}, "secrets": inline}
    entries = [
        {
            "tenantId": "t",
            "objectId": who,
            "permissions": {"secrets": held},
            **({"applicationId": "x"} if on_behalf else {}),
        }
        for who, held, on_behalf in policies
    ]
    return {
        "schema": 1,
        "subscriptions": [SUBSCRIPTION],
        "resources": [
            *({"id": one, "type": "Microsoft.ManagedIdentity/userAssignedIdentities"} for one in PEOPLE),
            *(
                {
                    "id": f"{VAULTS}/{name}",
                    "type": "Microsoft.KeyVault/vaults",
                    "properties": {"enableRbacAuthorization": takes_roles, "accessPolicies": entries},
                }
                for name, takes_roles in zip(VAULT_NAMES, (True, second_takes_roles), strict=True)
            ),
            {"id": STORAGE, "type": "Microsoft.Storage/storageAccounts", "location": "westeurope", "properties": {}},
            {"id": DATA, "type": "Microsoft.DocumentDB/databaseAccounts", "location": "westeurope", "properties": {}},
            {
                "id": f"{APPS}/api",
                "type": "Microsoft.App/containerApps",
                "properties": {
                    "environmentId": home,
                    "configuration": {"secrets": [*inline, {"name": "s2", "value": stored}]},
                    "template": template,
                },
            },
            {
                "id": JOB,
                "type": "Microsoft.App/jobs",
                "properties": {"environmentId": home, "configuration": job, "template": template},
            },
            {
                "id": COMPONENT,
                "type": "Microsoft.App/managedEnvironments/daprComponents",
                "properties": {
                    "componentType": "pubsub.redis",
                    "version": "v1",
                    "secrets": inline,
                    "metadata": [{"name": "m", "value": "v"}],
                },
            },
        ],
        "vaultSecrets": [
            {"vault": name, "name": secret, "value": f"{name}-{secret}"} for name in VAULT_NAMES for secret in SECRETS
        ],
        "groups": [{"id": team, "members": members} for team, members in zip(TEAMS, groups, strict=True)],
        "roleDefinitions": [
            {"id": guid, "roleName": guid, "permissions": permission if isinstance(permission, list) else [permission]}
            for guid, permission in CUSTOM.items()
        ],
        "roleAssignments": [
            {
                "principal": who,
                "role": role,
                "scope": scope,
                "name": f"00000000-0000-0000-0000-{number:012}",
                **({"condition": condition, "conditionVersion": "2.0"} if condition else {}),
            }
            for number, (who, role, scope, condition) in enumerate(assignments)
        ],
        "denyAssignments": [
            {
                "name": f"denial {number}",
                "scope": scope,
                "permissions": [permission],
                "principals": named,
                # the operator reads the estate, whoever is denied what
                "excludePrincipals": ["operator", *spared],
                "doNotApplyToChildScopes": alone,
            }
            for number, (permission, scope, named, spared, alone) in enumerate(denials)
        ],
    }


def _read(document: dict[str, Any]) -> tuple[Estate, Inside]:
    clock = Clock(speed=0.0, start=2_000_000_000.0)
    adapter, profile, transport = inside(document, clock)
    with Session(profile, clock=Driven(clock), transport_factory=lambda: transport, in_flight=1, seed=1) as session:
        found = proposing.with_targets(session, reading.read_estate(session, reading.Scope(), with_access=True))
    return found, Inside.of(adapter.azure)


def test_a_management_group_is_above_its_own_subscriptions_only() -> None:
    """Two subscriptions under two groups: what is given, or denied, above one of them says nothing of the other."""
    other = "99999999-2222-3333-4444-555555555555"
    prod, dev = (f"/providers/Microsoft.Management/managementGroups/{name}" for name in ("prod", "dev"))
    one, two, three = PEOPLE
    document = _document(True, [[three], [], []], [(one, "Key Vault Secrets User", prod, None)], [], [])
    document["subscriptions"].append(other)
    document["resources"].append(
        {"id": f"/subscriptions/{other}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-dev"}
        | {"type": "Microsoft.KeyVault/vaults", "properties": {"enableRbacAuthorization": True}}
    )
    document["vaultSecrets"].append({"vault": "kv-dev", "name": "s1", "value": "kv-dev-s1"})
    document["managementGroups"] = [
        {"name": "prod", "subscriptions": [SUBSCRIPTION]},
        {"name": "dev", "subscriptions": [other]},
    ]
    document["roleAssignments"] += [
        {"principal": two, "role": "Owner", "scope": dev},
        {"principal": two, "role": "Key Vault Secrets User", "scope": dev},
        {"principal": TEAMS[0], "role": "Key Vault Secrets User", "scope": dev},
    ]
    everything = {"dataActions": ["*"]}
    document["denyAssignments"] = [{"name": "d", "scope": dev, "permissions": [everything], "principals": [one]}]
    estate, cloud = _read(document)
    assert not estate.errors
    report = access(estate)
    vaults = {vault.name: vault.id for vault in estate.vaults}
    reads = {}
    for person in PEOPLE:
        principal = str((principals.of_resource(cloud.azure, person) or {})["id"])
        for kv in ("kv-aaa", "kv-dev"):
            told = report.can_read(principal, vaults[kv], "s1")
            assert told is rbac.allowed(cloud.azure, principal, SECRETS_USER.right, vaults[kv], data=True), (person, kv)
            reads[person, kv] = told
    assert [key for key, told in reads.items() if told] == [(one, "kv-aaa"), (two, "kv-dev"), (three, "kv-dev")]
    operator = principals.operator(cloud.azure)["id"]
    assert {reader.principal for reader in report.value_readers} == {operator}, "the Owner of dev lists nothing of prod"
    assert {reader.principal for target in report.resources for reader in target.readers} == {operator}
    # a plan adopts no role that is given elsewhere
    need = Roles(estate).held(
        str((principals.of_resource(cloud.azure, two) or {})["id"]), SECRETS_USER, vaults["kv-aaa"]
    )
    assert need is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), random_groups, random_assignments, random_policies, random_denials)
def test_the_report_agrees_with_the_cloud(
    second_takes_roles: bool,
    groups: list[list[str]],
    assignments: list[tuple[str, str, str, str | None]],
    policies: list[tuple[str, list[str], bool]],
    denials: list[tuple[dict[str, list[str]], str, list[str], list[str], bool]],
) -> None:
    clock = Clock(speed=0.0, start=2_000_000_000.0)
    document = _document(second_takes_roles, groups, assignments, policies, denials)
    adapter, profile, transport = inside(document, clock)
    with Session(profile, clock=Driven(clock), transport_factory=lambda: transport, in_flight=1, seed=1) as session:
        estate = proposing.with_targets(session, reading.read_estate(session, reading.Scope(), with_access=True))
    assert not estate.errors
    report = access(estate)
    cloud = Inside.of(adapter.azure)
    people = {name: str((principals.of_resource(cloud.azure, f"{IDENTITIES}/{name}") or {})["id"]) for name in NAMES}
    unseen = [team for team in TEAMS if any(team in note for note in report.notes)]
    """Groups of which the report itself says that it does not know who is in them."""

    for name, principal in people.items():
        doubtful = bool(set(unseen) & set(memberships.circle(cloud.azure, principal)))
        for kv in VAULT_NAMES:
            for secret in SECRETS:
                told = report.can_read(principal, f"{VAULTS}/{kv}", secret)
                answer = cloud.vault(kv, "GET", f"/secrets/{secret}", caller=principal)
                assert told is None or doubtful or told is (answer.status == 200), (name, kv, secret, report.as_dict())
        data, storage = report.resources
        asked = {
            storage: [("POST", f"{STORAGE}/listKeys", "2023-05-01")],
            data: [
                ("POST", f"{DATA}/listKeys", "2024-11-15"),
                ("POST", f"{DATA}/readonlykeys", "2024-11-15"),
                ("GET", f"{DATA}/readonlykeys", "2024-11-15"),
            ],
        }
        for target, questions in asked.items():
            keys = any(
                cloud.arm(method, path, caller=principal, version=version).status == 200
                for method, path, version in questions
            )
            told_keys = [r for r in target.readers if r.principal == principal and r.way == "list-keys"]
            assert doubtful or bool(told_keys) >= keys, (name, target.resource)
            assert doubtful or keys or all(r.grant.conditional for r in told_keys), (name, target.resource)
        for way, resource, actions in ASKED:
            readers = [
                r
                for r in report.value_readers
                if r.principal == principal and r.way == way and resource.lower() in map(str.lower, r.apps)
            ]
            allowed = any(rbac.allowed(cloud.azure, principal, action, resource) for action in actions)
            if way == "list-secrets" and "daprComponents" not in resource:
                version = "2025-07-01"
                assert allowed is (
                    cloud.arm("POST", f"{resource}/listSecrets", caller=principal, version=version).status == 200
                )
            assert doubtful or bool(readers) >= allowed, (name, way, resource)
            assert doubtful or allowed or all(reader.grant.conditional for reader in readers), (name, way, resource)
