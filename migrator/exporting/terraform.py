"""Terraform of what a plan makes, for the azurerm provider, and what to change in the apps that are declared elsewhere.

Secrets of the vault are not declared: the value of one that is would stand in the state. What `keylift apply` made already
is taken into the state by the import blocks; role assignments have the names that it gives them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from migrator.exporting.wanted import SYSTEM, Change, Identity, Symbols, Wanted, one_line
from migrator.model import Json, ResourceId, is_job

_IMPORT = """\
# Where keylift apply carried the plan out, these bring into the state what it made; else take them away.
"""


def files(wanted: Wanted) -> dict[str, str]:
    """One file, `keylift.tf`."""
    return {"keylift.tf": _File(wanted).text()}


class _File:
    """The code of a plan."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._symbols = Symbols()
        resources = [identity.id for identity in wanted.identities] + [each.scope for each in wanted.assignments]
        self._subscriptions = list(dict.fromkeys(resource.subscription.lower() for resource in resources))

    def text(self) -> str:
        """All of it."""
        wanted = self._wanted
        blocks = [f"# What keylift plan {one_line(wanted.plan)} makes."]
        if self._subscriptions:
            blocks[0] += (
                f"\n# The provider without an alias is that of subscription {one_line(self._subscriptions[0])}."
            )
        if wanted.left:
            told = (f"#   {one_line(text)}" for text in wanted.left)
            blocks[0] += "\n# Not said here, the plan does it besides:\n" + "\n".join(told)
        blocks += [self._provider(subscription) for subscription in self._subscriptions[1:]]
        blocks += [self._identity(identity) for identity in wanted.identities]
        blocks += self._assignments()
        imports = [
            _block("import", (), {"to": _Code(self._address(identity.id)), "id": str(identity.id)})
            for identity in wanted.identities
            if identity.made
        ]
        if imports:
            blocks.append(_IMPORT + "\n\n".join(imports))
        blocks += [self._change(change) for change in wanted.apps]
        return "\n\n".join(blocks) + "\n"

    def _alias(self, subscription: str) -> str:
        return f"subscription_{self._subscriptions.index(subscription.lower()) + 1}"

    def _provider(self, subscription: str) -> str:
        body = {"alias": self._alias(subscription), "subscription_id": subscription, "features": _Block({})}
        return _block("provider", ("azurerm",), body)

    def _where(self, resource: ResourceId) -> Json:
        if resource.subscription.lower() == self._subscriptions[0]:
            return {}
        return {"provider": _Code(f"azurerm.{self._alias(resource.subscription)}")}

    def _address(self, identity: ResourceId) -> str:
        made = any(each.made and str(each.id).lower() == str(identity).lower() for each in self._wanted.identities)
        return ("" if made else "data.") + f"azurerm_user_assigned_identity.{self._symbol(identity)}"

    def _symbol(self, resource: ResourceId) -> str:
        return self._symbols.of(str(resource), resource.name)

    def _identity(self, identity: Identity) -> str:
        body = {**self._where(identity.id), "name": identity.id.name, "resource_group_name": identity.id.group}
        if identity.made:
            body |= {"location": identity.location, **({"tags": identity.tags} if identity.tags else {})}
        word = "resource" if identity.made else "data"
        return _block(word, ("azurerm_user_assigned_identity", self._symbol(identity.id)), body)

    def _assignments(self) -> Iterable[str]:
        asked: set[str] = set()
        for each in self._wanted.assignments:
            if each.identity == SYSTEM:
                app = ResourceId.parse(each.app)
                variable = self._symbols.of(f"principal {app}", f"{app.name} principal id")
                if variable not in asked:
                    asked.add(variable)
                    about = f"Object id of the system-assigned identity of {app.name}"
                    yield _block("variable", (variable,), {"type": _Code("string"), "description": about})
                principal, name = f"var.{variable}", app.name
            else:
                identity = ResourceId.parse(each.identity)
                principal, name = f"{self._address(identity)}.principal_id", identity.name
            symbol = self._symbols.of(
                f"{each.scope} {each.role} {each.identity} {each.app}", f"{name} reads {each.scope.name}"
            )
            scope = str(each.scope)
            yield f"# {one_line(each.role_name)}\n" + _block(
                "resource",
                ("azurerm_role_assignment", symbol),
                {
                    **self._where(each.scope),
                    "name": _Code(f'uuidv5("url", "{_quoted(scope.lower())}|${{{principal}}}|{_quoted(each.role)}")'),
                    "scope": scope,
                    "role_definition_id": f"/subscriptions/{each.scope.subscription}"
                    f"/providers/Microsoft.Authorization/roleDefinitions/{each.role}",
                    "principal_id": _Code(principal),
                    "principal_type": "ServicePrincipal",
                    "skip_service_principal_aad_check": _Code("true"),
                },
            )

    def _change(self, change: Change) -> str:
        kind = "azurerm_container_app_job" if is_job(str(change.id)) else "azurerm_container_app"
        blocks = []
        users = [identity for identity in change.identities if identity != SYSTEM]
        if change.identities:
            system = len(users) < len(change.identities)
            body: Json = {
                "type": ", ".join(w for w, there in (("SystemAssigned", system), ("UserAssigned", users)) if there)
            }
            if users:
                body["identity_ids"] = [_Code(f"{self._address(ResourceId.parse(user))}.id") for user in users]
            blocks.append(_block("identity", (), body))
        blocks += [
            _block(
                "secret",
                (),
                {
                    "name": secret["name"],
                    "key_vault_secret_id": secret["key_vault_url"],
                    "identity": self._reader(secret["identity"]),
                },
            )
            for secret in change.secrets
        ]
        blocks += [
            _block("registry", (), {"server": registry["server"], "identity": self._reader(registry["identity"])})
            for registry in change.registries
        ]
        containers: dict[tuple[bool, str], list[_Block]] = {}
        for env in change.env:
            entry = _Block({"name": env["env"], "secret_name": env["secret"]})
            containers.setdefault((bool(env["init"]), env["container"]), []).append(entry)
        for (init, container), entries in containers.items():
            body = {"init_container" if init else "container": _Block({"name": container, "env": entries})}
            blocks.append(_block("template", (), body))
        whole = f'resource "{kind}" "{self._symbol(change.id)}" {{\n' + _indented("\n".join(blocks)) + "\n}"
        told = f"# Change in the resource that declares {one_line(change.id.name)}; what it has besides stays:\n#\n"
        return told + "\n".join(f"# {line}".rstrip() for line in whole.splitlines())

    def _reader(self, identity: str) -> str:
        return "System" if identity == SYSTEM else _Code(f"{self._address(ResourceId.parse(identity))}.id")


class _Code(str):
    """An expression, not text."""

    __slots__ = ()


class _Block(dict[str, object]):
    """A nested block, not a map."""


def _quoted(text: str) -> str:
    """Inside of a quoted template of HCL."""
    return json.dumps(text)[1:-1].replace("${", "$${").replace("%{", "%%{")


def _value(value: object) -> str:
    if isinstance(value, _Code):
        return str(value)
    if isinstance(value, dict):
        return "{\n" + _indented("\n".join(f'"{_quoted(str(k))}" = {_value(v)}' for k, v in value.items())) + "\n}"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return f'"{_quoted(str(value))}"'


def _block(word: str, labels: Iterable[str], body: Json) -> str:
    lines = [line for name, value in body.items() for line in _attribute(name, value)]
    head = " ".join([word, *(f'"{label}"' for label in labels)])
    return f"{head} {{\n" + _indented("\n".join(lines)) + "\n}" if lines else f"{head} {{}}"


def _attribute(name: str, value: object) -> list[str]:
    nested = value if isinstance(value, list) and value and isinstance(value[0], _Block) else [value]
    return [_block(name, (), each) if isinstance(each, _Block) else f"{name} = {_value(each)}" for each in nested]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else line for line in text.splitlines())
