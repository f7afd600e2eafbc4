"""Deny assignments that would stop what a plan proposes.

They win over every role, and come with deployment stacks and managed applications
(learn.microsoft.com/azure/role-based-access-control/deny-assignments).
"""

from __future__ import annotations

from functools import cached_property

from migrator.effective import Effective
from migrator.model import Denial, Estate, Vault
from migrator.passwordless.rights import Grant
from migrator.planning.identities import SYSTEM, Chosen
from migrator.planning.roles import SECRETS_USER, Need
from migrator.planning.skip import Skip


class Denials:
    """The deny assignments of an estate, asked for a plan."""

    def __init__(self, estate: Estate) -> None:
        """Nothing is indexed before it is asked for: most plans ask nothing."""
        self._estate = estate
        self._operator = estate.operator

    @cached_property
    def _effective(self) -> Effective:
        return Effective(self._estate)

    def reading(self, identity: Chosen, vault: Vault, secret: str) -> Skip | None:
        """What would keep an identity from reading a vault secret, whatever role it is given."""
        return self._of(identity, SECRETS_USER, f"{vault.id}/secrets/{secret}", f"reading {secret} in {vault.name}")

    def using(self, identity: Chosen, need: Need, scope: str) -> Skip | None:
        """What would keep an identity from what a role is meant to give it."""
        return self._of(identity, need, scope, f"what {need.name} at {scope.rstrip('/').rpartition('/')[2]} is for")

    def of_grant(self, identity: Chosen, grant: Grant) -> str:
        """Why an identity could not do for a key with a right; empty where no deny assignment stands against it."""
        return self.of_data(identity.principal or "", _called(identity), grant)

    def of_data(self, principal: str, called: str, grant: Grant) -> str:
        """The same for an object id, with what it is called in a sentence.

        Services with a role system of their own ask no deny assignment.
        """
        found = self._effective.hampering(principal, grant.role.data, grant.scope) if grant.role.id else None
        if found is None:
            return ""
        part = ".".join(grant.scope.rstrip("/").split("/")[8::2])
        return (
            f"deny assignment '{found.name}' at {found.scope} keeps {called} from what {grant.role.name} at {part} is for, "
            f"and wins over every role; a key is not asked for one (look: {look(found)})"
        )

    def of_operator(self, scope: str, action: str, *, data: bool) -> Denial | None:
        """What keeps the operator from an action, as far as it is known who the operator is."""
        return self._effective.denial(self._operator, action, scope, data=data)

    def _of(self, identity: Chosen, need: Need, scope: str, what: str) -> Skip | None:
        # one that is yet to be made can only be meant by a denial of everybody
        found = self._effective.denial(identity.principal or "", need.right, scope, data=need.data)
        if found is None:
            return None
        return Skip(
            "deny-assignment",
            f"deny assignment '{found.name}' at {found.scope} keeps {_called(identity)} from {what}, and wins over every role",
            "let whoever made it (the owner of a deployment stack or of a managed application) leave the identity out "
            f"(az stack group create … --deny-settings-excluded-principals {identity.principal or 'OBJECT_ID'}), or name "
            f"another vault or identity (--vault NAME, --identity ID); look: {look(found)}",
        )


def _called(identity: Chosen) -> str:
    return "the system identity" if identity.ref == SYSTEM else f"identity {identity.name}"


def look(denial: Denial) -> str:
    """The command that shows a deny assignment."""
    return f"az rest --method get --url '{denial.id}?api-version=2022-04-01'"
