"""What is not migrated, why, and the command that gets a person further.

A vault can stop a whole plan, an app can stop all its values, a template can stop what needs a new revision, and a
place can stop its own value. `code` is for programs; `reason` and `hint` are for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote

from migrator.model import Lock, ResourceId, Vault
from migrator.planning import consumers, limits
from migrator.planning.places import AppView, EnvPlace, child, expands, is_blank, literal_reference, size
from migrator.planning.skip import Skip
from scanners.model import Finding, Secret

VAULT_VALUE_LIMIT = 25_000
"""Bytes. The vault's page says 25 kB without saying which kB: the smaller reading is safe."""
APP_SECRETS_LIMIT = 1_000_000
"""Bytes of all secrets of one app: they seem to share one Kubernetes Secret, which holds 1 MiB (ACA#1705)."""


def covering(locks: Iterable[Lock], scope: str, level: str) -> list[Lock]:
    """Locks of a level at `scope` or above it, in order of ids."""
    target = scope.lower().rstrip("/") + "/"
    found = [
        lock
        for lock in locks
        if lock.level.lower() == level.lower() and target.startswith(lock.scope.lower().rstrip("/") + "/")
    ]
    return sorted(found, key=lambda lock: lock.id.lower())


def of_vault(vault: Vault, locks: Iterable[Lock]) -> Skip | None:
    """What keeps every value out of the vault: its permission model, its firewall, a lock."""
    parts = ResourceId.parse(vault.id)
    at = f"-n {vault.name} -g {parts.group} --subscription {parts.subscription}"
    properties = vault.document["properties"]
    if not vault.rbac:
        return Skip(
            "vault-access-policies",
            f"vault {vault.name} decides by access policies, where a role assignment does nothing and a policy opens "
            "all secrets of the vault to an identity, not one",
            f"name a vault that decides by roles; or list who has a policy today (az keyvault show {at} --query "
            f"properties.accessPolicies), give each a role, then az keyvault update {at} --enable-rbac-authorization "
            f"true, which voids all policies at once; or grant by hand, vault-wide: az keyvault set-policy -n "
            f"{vault.name} --object-id PRINCIPAL_ID --secret-permissions get",
        )
    public = str(properties.get("publicNetworkAccess") or "Enabled").lower()
    default = str(child(properties, "networkAcls", "defaultAction") or "Allow").lower()
    if public == "disabled" or default == "deny":
        what = "public network access is off" if public == "disabled" else "its firewall denies by default"
        return Skip(
            "vault-firewall",
            f"vault {vault.name} is closed to Container Apps: {what}, and Container Apps is no trusted service, so "
            "bypass=AzureServices does not let it in",
            "name a vault the apps can reach; or let a person open a path from the environment's network (private "
            "endpoint with its DNS zone linked, or the environment's subnet: az keyvault network-rule add -n "
            f"{vault.name} --subnet SUBNET_ID): keylift never opens a firewall, and plans for this vault only when "
            f"az keyvault show {at} --query properties.networkAcls says defaultAction Allow",
        )
    held = covering(locks, vault.id, "ReadOnly")
    if held:
        return Skip(
            "vault-lock",
            f"a ReadOnly lock at {held[0].scope} keeps role assignments from being made on vault {vault.name}",
            f"let its owner lift it for the run: az lock delete --ids {held[0].id}",
        )
    return None


def of_app(view: AppView, locks: Iterable[Lock]) -> Skip | None:
    """What keeps an app from being written at all."""
    owner = view.app.document.get("managedBy")
    if owner:
        return Skip(
            "managed-by",
            f"{view.name} is managed by {owner}, which would undo a change or refuse it",
            f"change it where it is managed: az resource show --ids {quote(str(owner))}",
        )
    held = covering(locks, view.id, "ReadOnly")
    if held:
        return Skip(
            "app-lock",
            f"a ReadOnly lock at {held[0].scope} keeps {view.name} from being changed",
            f"let its owner lift it for the run: az lock delete --ids {held[0].id}",
        )
    state = str(view.properties.get("provisioningState") or "Succeeded")
    if state.lower() == "failed":
        return Skip(
            "app-failed",
            f"the last change of {view.name} failed (provisioningState Failed), so it cannot be told from this change "
            "what is broken",
            f"look (az containerapp revision list {view.at} -o table), repair, and plan again",
        )
    if state.lower() != "succeeded":
        return Skip(
            "app-busy",
            f"{view.name} is being changed by somebody (provisioningState {state})",
            f"wait until az containerapp show {view.at} --query properties.provisioningState says Succeeded, then "
            "plan again",
        )
    return _unsendable(view)


def _unsendable(view: AppView) -> Skip | None:
    """A PATCH of the secrets carries all of them: one that cannot be sent, or is refused, stops them all."""
    if view.secrets and not view.app.secrets_read:
        return unreadable(view)
    for name, secret in view.secrets.items():
        if secret.key_vault_url and secret.value is None:
            return Skip(
                "broken-reference",
                f"secret {name} of {view.name} refers to {secret.key_vault_url}, which does not resolve; Azure "
                "resolves every reference at each write, so it would refuse every change of this app",
                f"repair that reference first (az containerapp secret set {view.at} --secrets "
                f"{name}=keyvaultref:URL,identityref:ID), or remove it",
            )
        if not secret.key_vault_url and is_blank(secret.value):
            return Skip(
                "blank-secret",
                f"secret {name} of {view.name} is empty, and Azure refuses every change of an app that has an empty "
                "secret (ContainerAppSecretInvalid)",
                f"give it a value or remove it (az containerapp secret remove {view.at} --secret-names {name}), then "
                "plan again",
            )
    return None


def unreadable(view: AppView) -> Skip:
    """The operator may not list the app's secrets."""
    return Skip(
        "secrets-unreadable",
        f"you may not list the secrets of {view.name}, and a change of one must send them all",
        "get Microsoft.App/containerApps/listSecrets/action: az role assignment create --role 'Container Apps "
        f"Contributor' --assignee YOU --scope {view.id}",
    )


def of_template(view: AppView) -> Skip | None:
    """What keeps a new revision from being made; inline secrets need none."""
    twice = view.duplicate_env()
    if twice:
        return Skip(
            "duplicate-env",
            f"{view.name} names {', '.join(twice)} twice; a new revision of such a template can hang without an error "
            "(ACA#1273), and which of the values counts is not certain",
            f"keep one of them (az containerapp update {view.at} --remove-env-vars {quote(twice[0].partition('/')[2])}, then "
            "--set-env-vars), and plan again",
        )
    if view.mode not in {"single", "multiple"}:
        return Skip(
            "revision-mode",
            f"{view.name} is in revision mode {view.mode}, in which a new revision needs a label to be reached",
            f"az containerapp revision set-mode {view.at} --mode single (or multiple), and plan again",
        )
    return None


def of_env(view: AppView, place: EnvPlace, vault: Vault) -> Skip | None:
    """What keeps an env value from becoming a secret reference."""
    by_hand = (
        f"az keyvault secret set --vault-name {vault.name} -n NAME --file FILE, then az containerapp secret set "
        f"{view.at} --secrets x=keyvaultref:{vault.uri}/secrets/NAME,identityref:ID, then az containerapp update "
        f"{view.at} --set-env-vars {quote(place.name)}=secretref:x"
    )
    if is_blank(place.value):
        return Skip(
            "empty",
            f"{place.name} is empty, and an empty vault secret makes every later write of the app fail (ACA#1291)",
            f"az containerapp update {view.at} --remove-env-vars {quote(place.name)}",
        )
    literal = literal_reference(place.value)
    if literal == "secretref":
        return Skip(
            "literal-secretref",
            f"{place.name} holds the text of a secret reference: the prefix is only known in lower case and only to "
            "the CLI, so the app sees the text itself (ACA#346)",
            f"az containerapp update {view.at} --set-env-vars {quote(place.name)}=secretref:SECRET_NAME",
        )
    if literal == "keyvault":
        return Skip(
            "literal-keyvault",
            f"{place.name} holds an App Service reference (@Microsoft.KeyVault), which Container Apps does not "
            "resolve: the app sees the text itself (ACA#39)",
            by_hand.partition(", then ")[2],
        )
    if expands(place.value):
        return Skip(
            "expansion",
            f"{place.name} contains $$ or $(…), which the platform rewrites in a plain value and leaves alone in a "
            "secret: moving it would change what the app sees",
            f"store the value as the app sees it, by hand: {by_hand}",
        )
    rule = None if place.init or place.index else consumers.scale_rule_env(view).get(place.name)
    if rule:
        return Skip(
            "scale-rule-env",
            f"scale rule {rule} reads {place.name} (FromEnv); that a scaler can read it from a secret reference is "
            "not proven, and a scaler that cannot stops scaling without an error",
            "give the rule auth[].secretRef with an app secret, or an identity, instead of FromEnv metadata, then "
            "plan again",
        )
    return too_large(place.name, place.value)


def of_secret(view: AppView, name: str, value: Secret | None) -> Skip | None:
    """What keeps an inline secret from becoming a reference."""
    if name.lower() == consumers.FIC_SENTINEL:
        return Skip(
            "no-credential",
            f"secret {name} holds an identity's client id, not a credential: Easy Auth signs in by federated "
            "credential through it",
            "nothing to do",
        )
    if value is None or is_blank(value):
        return Skip(
            "empty",
            f"secret {name} is empty, and an empty vault secret makes every later write of the app fail (ACA#1291)",
            f"az containerapp secret remove {view.at} --secret-names {name}, once nothing uses it",
        )
    return too_large(name, value)


def too_large(name: str, value: Secret) -> Skip | None:
    """More than a vault secret holds."""
    if size(value) <= VAULT_VALUE_LIMIT:
        return None
    return Skip(
        "too-large",
        f"{name} has more than {VAULT_VALUE_LIMIT:,} bytes, and a vault secret holds 25 kB",
        "split it, keep it as a file in a mounted share, or store a certificate as a vault certificate",
    )


def of_place(finding: Finding) -> Skip:
    """A place in an app that has no form with a reference."""
    path = str(finding.location.as_dict().get("path", ""))
    return limits.of(finding) or Skip(
        "unsupported-place",
        f"{path} cannot hold a reference to a secret",
        "move the value into an app secret or an env value, and plan again",
    )


def of_other(finding: Finding, apps: Mapping[str, AppView]) -> Skip:
    """A finding that lies in no current app of the estate."""
    place = finding.location.as_dict()
    if place.get("kind") != "azure":
        where = place.get("path") or place.get("image")
        return Skip(
            "not-live",
            f"{where} is no live app: a plan changes apps only",
            "take the value out where it is written, and rotate it: whoever has a copy keeps it",
        )
    resource = str(place["resource"])
    low = resource.lower()
    if "/revisions/" in low:
        app, _, name = resource.rpartition("/revisions/") if "/revisions/" in resource else (resource, "", resource)
        view = apps.get(app.lower())
        at = view.at if view else f"--ids {quote(app)}"
        revision = quote(name.rpartition("/")[2])
        return Skip(
            "old-revision",
            "a revision cannot be edited; it shows the value as long as it is kept",
            f"az containerapp revision deactivate {at} --revision {revision}, and rotate the value",
        )
    limit = limits.of(finding)
    if limit is not None:
        return limit
    for part, code, reason, hint in _RESOURCES:
        if part in low:
            return Skip(
                code, reason, hint.format(id=quote(resource), name=quote(resource.rstrip("/").rpartition("/")[2]))
            )
    if "/containerapps/" in low or "/microsoft.app/jobs/" in low:
        return Skip(
            "gone",
            f"{place['name']} is not where the finding says: it is gone, out of scope, or was changed since",
            "scan and plan again",
        )
    return Skip(
        "other-resource",
        f"{resource} is no container app, and a plan changes container apps only",
        "change it where it is deployed, and rotate the value",
    )


_RESOURCES = (
    (
        "/registries/",
        "admin-user",
        "the registry's admin user is on; it stays until no app and no pipeline signs in with it",
        "when the apps pull with their identities: az acr update -n {name} --admin-enabled false",
    ),
    (
        "/daprcomponents/",
        "dapr-component",
        "a Dapr component cannot refer to a vault secret, whatever its schema says (TF#23958)",
        "use a secretstores.azure.keyvault component and secretStoreComponent: az resource show --ids {id}",
    ),
    (
        "/managedenvironments/",
        "environment",
        "settings of an environment are not migrated by a plan for apps",
        "az resource show --ids {id}",
    ),
)


def low_confidence(finding: Finding, view: AppView | None) -> Skip:
    """The rule is not sure."""
    at = view.at if view else ""
    return Skip(
        "low-confidence",
        f"rule {finding.rule} is not sure that this is a secret",
        f"look at it; if it is one, make it an app secret (az containerapp secret set {at} …), which a plan always "
        "migrates, and rotate it",
    )


def allowed(finding: Finding, why: str = "") -> Skip:
    """Somebody said that this is fine, and perhaps `why`."""
    return Skip(
        "allowed",
        f"it was allowed by hand (rule {finding.rule})" + (f"; {why}" if why else ""),
        "take it out of the list of what is allowed, and plan again",
    )


def no_new_secrets(view: AppView, volume: str, name: str) -> Skip:
    """A volume mounts all secrets, so that a new one would change the app's files."""
    return Skip(
        "secret-volume",
        f"volume {volume} of {view.name} mounts every secret as a file; {name} needs a new secret, which would "
        "put a new file into the app",
        f"list the secrets in volume {volume} by name (az containerapp update {view.at} --yaml FILE), then plan again",
    )


def too_many(view: AppView, name: str) -> Skip:
    """All secrets of an app share one object of limited size."""
    return Skip(
        "app-secret-limit",
        f"{name} would bring the secrets of {view.name} over {APP_SECRETS_LIMIT:,} bytes together, and they seem to "
        "share one object of 1 MiB (ACA#1705)",
        "move large values into a mounted file share, and plan again",
    )


def already(name: str, url: str) -> Skip:
    """The secret is a vault reference."""
    return Skip("already-reference", f"secret {name} is a reference to {url} already", "nothing to do")
