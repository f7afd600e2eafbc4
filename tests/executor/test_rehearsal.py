"""Rehearsals: the user's own estate without a value, the plan on it, faults, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migrator.errors import StaleError
from migrator.model import Json, Plan, settled
from migrator.rehearsal import Rehearsal, rehearse
from migrator.rehearsal_stage import Source

from .contracts import PASSWORD, QUICK, finalize, shop
from .world import KEY, PLANTED, VAULT, World, app, estate, running, two_apps


def source(world: World, plan: Plan) -> Source:
    from migrator.cloud import reading, vaults

    found = reading.read_estate(world.session, reading.Scope(), with_revisions=True, with_auth=True, with_access=True)
    names = [step.change["name"] for step in plan.steps if step.kind == "vault-secret"]
    (vault,) = found.vaults
    found = found.with_vault(vaults.read_vault_secrets(world.session, vault, names, KEY))
    return Source(plan, found, KEY)


def good(held: Rehearsal) -> None:
    assert held.ok, (held.problems, [trial for trial in held.trials if not trial.survived])
    shown = str(held.as_dict())
    assert not any(value in shown for value in (*PLANTED.values(), PASSWORD))


def test_two_apps(tmp_path: Path) -> None:
    # nobody may list the secrets of an app behind a ReadOnly lock; that hinders no rehearsal of other apps
    locked = app("bystander", secrets={"token": PASSWORD})
    held_back = [{"scope": locked["id"], "level": "ReadOnly"}]
    with running(estate(*two_apps(), locked, locks=held_back, switches=QUICK), tmp_path) as world:
        before = {name: settled(world.app(name)) for name in ("api", "web", "bystander")}
        plan = world.plan()
        made = source(world, plan)
        assert not any(value in str(made.document) for value in PLANTED.values())
        held = rehearse(made)
        good(held)
        assert held.apps == held.proven == 2
        assert held.inverses == len([step for step in plan.steps if step.kind != "app-prove"]) + 2
        assert held.deaths >= 10
        met, steps = held.everywhere
        assert steps == len(plan.steps)
        assert met > 3 * steps
        ended = {(trial.fault, trial.kind): trial.ended for trial in held.trials}
        kinds = {step.kind for step in plan.steps}
        assert {kind for _, kind in ended} == kinds
        assert ended["the answer to a change is lost", "app-switch"] == "carried through"
        assert ended["Azure refuses for good", "app-switch"] == "put back"
        assert ended["somebody changes the app meanwhile", "app-switch"] == "stopped as stale"
        assert held.worst[1] >= 1000
        # Azure was only read
        assert {name: settled(world.app(name)) for name in before} == before


def test_a_contract_with_registries_and_revisions(tmp_path: Path) -> None:
    taken = [{"vault": "kv-shop", "name": "shared-acr-password", "value": "something-else-altogether"}]
    with running(estate(*shop(), vaultSecrets=taken, switches=QUICK), tmp_path) as world:
        result = world.executor().apply(world.plan())
        held = rehearse(source(world, finalize(world, result.run)))
        good(held)
        assert held.irreversible == ["api/secret-remove", "web/secret-remove"]
        met = {trial.kind for trial in held.trials if trial.ended == "carried through"}
        assert {"secret-remove", "revision-deactivate", "registry-admin-off"} <= met


def test_the_estate_changed(tmp_path: Path) -> None:
    with running(estate(*two_apps(), switches=QUICK), tmp_path) as world:
        plan = world.plan()
        world.patch("api", {"properties": {"configuration": {"maxInactiveRevisions": 7}}})
        with pytest.raises(StaleError, match="api changed since the plan was made") as raised:
            source(world, plan)
        assert "maxInactiveRevisions" in raised.value.why


def test_equal_values_stay_equal(tmp_path: Path) -> None:
    """A value that two apps and the vault have is one token: the plan that adopts it can be rehearsed."""
    value = PLANTED["shared"]
    apps: list[Json] = [app("one", {"KEY": value}), app("two", {"KEY": value}, {"key": value}, mode="Multiple")]
    held_already: list[dict[str, Any]] = [{"vault": "kv-shop", "name": "shared-key", "value": value}]
    with running(estate(*apps, vaultSecrets=held_already, switches=QUICK), tmp_path) as world:
        plan = world.plan()
        assert any(step.change.get("action") == "adopt" for step in plan.steps), [s.id for s in plan.steps]
        held = rehearse(source(world, plan))
        good(held)
    assert VAULT
