"""What the user decides about a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Formatter

from migrator.errors import UsageError
from migrator.model import Json, ResourceId
from migrator.passwordless.evidence import Code
from migrator.planning.choices import Choices

NAME_TEMPLATE = "{app}-{name}"
NAME_FIELDS = ("app", "name", "group")
ON_CONFLICT = (None, "new-version", "rename")
PASSWORDLESS = ("never", "suggest", "apply")


@dataclass(frozen=True, slots=True)
class Options:
    """Decisions of the command line that a plan depends on.

    Raises:
        UsageError: one of them cannot be; the message says what can.
    """

    vault: str
    """Name or ARM id of the vault that takes the values."""
    identity: str = "user"
    """`user` (one of its own for each app), `system`, or the ARM id of a user-assigned identity for all."""
    vault_secret_name: str = NAME_TEMPLATE
    """Template of vault secret names: `{app}`, `{name}`, `{group}`."""
    on_conflict: str | None = None
    """When the vault holds another value under a name: None skips and says so, `new-version`, `rename`."""
    passwordless: str = "suggest"
    """`suggest` says where an identity could replace a secret altogether, `apply` plans it where configuration alone is
    enough; `never` does not look."""
    code: Mapping[str, Code] = field(default_factory=dict)
    """What the code of apps shows, by lower-case app name; under `""` for every app without one of its own."""
    choices: Choices = field(default_factory=Choices)
    """Decisions on single apps, secrets and findings."""
    scope: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """`{"subscriptions", "groups", "apps"}` the estate was read for; goes into the plan as it is."""

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is read."""
        example = "keylift plan --vault NAME -o plan.json"
        if not self.vault:
            raise UsageError("a plan needs a vault", hint=example)
        for wish in (self.identity, *self.choices.identity.values()):
            self._check_identity(wish)
        if self.on_conflict not in ON_CONFLICT:
            raise UsageError(
                f"--on-conflict {self.on_conflict!r} is unknown", hint="use --on-conflict new-version or rename"
            )
        if self.passwordless not in PASSWORDLESS:
            raise UsageError(
                f"--passwordless {self.passwordless!r} is unknown", hint="use --passwordless never, suggest or apply"
            )
        self._check_template()

    @staticmethod
    def _check_identity(wish: str) -> None:
        if wish not in {"user", "system"} and not is_identity(wish):
            raise UsageError(
                f"--identity {wish!r} is neither user, system nor the id of a user-assigned identity",
                hint="list them: az identity list --query '[].id' -o tsv",
            )

    def identity_of(self, app: str) -> str:
        """Which identity an app, by its id, is to have."""
        return self.choices.identity.get(app.lower(), self.identity)

    def conflict_of(self, name: str) -> str | None:
        """What to do when the vault holds another value under a name."""
        way = self.choices.on_conflict.get(name, self.on_conflict)
        return None if way == "skip" else way

    def passwordless_of(self, fingerprint: str) -> str:
        """What to do where an identity could replace a value."""
        return self.choices.passwordless.get(fingerprint, self.passwordless)

    def replaces(self, fingerprint: str) -> bool:
        """Whether an identity is to replace a value where configuration alone is enough."""
        return self.passwordless_of(fingerprint) == "apply"

    def _check_template(self) -> None:
        hint = f"use {', '.join('{' + name + '}' for name in NAME_FIELDS)}; the default is {NAME_TEMPLATE}"
        try:
            parts = list(Formatter().parse(self.vault_secret_name))
        except ValueError as error:
            raise UsageError(
                f"--vault-secret-name {self.vault_secret_name!r} cannot be read", why=str(error), hint=hint
            ) from error
        fields = {name for _, name, _, _ in parts if name is not None}
        unknown = sorted(fields - set(NAME_FIELDS))
        if unknown or any(spec or conversion for _, _, spec, conversion in parts):
            raise UsageError(
                f"--vault-secret-name {self.vault_secret_name!r} has a field keylift does not know",
                why=f"unknown: {', '.join(unknown) or 'a format after the name'}",
                hint=hint,
            )
        if "name" not in fields:
            raise UsageError(
                f"--vault-secret-name {self.vault_secret_name!r} gives every secret the same name",
                why="it lacks {name}",
                hint=hint,
            )

    def as_dict(self, vault: str) -> Json:
        """The `options` of the plan format; `vault` is the id that the name stood for."""
        return {
            "vault": vault,
            "identity": self.identity,
            "vault_secret_name": self.vault_secret_name,
            "on_conflict": self.on_conflict,
            "passwordless": self.passwordless,
            **({"choices": self.choices.as_dict()} if self.choices else {}),
        }


def is_identity(text: str) -> bool:
    """Whether a text is the ARM id of a user-assigned identity."""
    try:
        parsed = ResourceId.parse(text)
    except ValueError:
        return False
    return parsed.namespace.lower() == "microsoft.managedidentity" and parsed.kind.lower() == "userassignedidentities"
