"""The step kinds: every module of `migrator.steps` is one, found by its name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from migrator import steps
from migrator.errors import PlanFileError
from migrator.model import Step
from migrator.ports import StepContext, StepKind


class Kind:
    """What most step kinds have in common."""

    writes_app = False
    spare = False
    irreversible = False

    def done(self, step: Step, ctx: StepContext) -> bool | None:
        """Nothing to ask beforehand: `do` looks first, and knows this run's own from what others made."""
        del step, ctx
        return None


@cache
def find() -> dict[str, StepKind]:
    """All step kinds by their name; a module `app_switch` holds the kind `app-switch` as `STEP`."""
    found: dict[str, StepKind] = {}
    for info in sorted(pkgutil.iter_modules(steps.__path__), key=lambda info: info.name):
        kind: StepKind = importlib.import_module(f"{steps.__name__}.{info.name}").STEP
        found[kind.kind] = kind
    return found


def kind_of(step: Step) -> StepKind:
    """The kind of a step.

    Raises:
        PlanFileError: this version does not know it.
    """
    known = find()
    if step.kind not in known:
        raise PlanFileError(
            f"step {step.id} is of an unknown kind '{step.kind}'",
            why=f"this version knows {', '.join(known)}",
            hint="make a new plan with this version: keylift plan --vault NAME -o PLAN.json",
        )
    return known[step.kind]
