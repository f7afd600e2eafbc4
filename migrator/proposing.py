"""From a cloud to a plan in two parts: read what a plan is made from, then propose, as often as the choices change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from migrator import api, keeping, planner
from migrator.control import Control
from migrator.errors import CloudError, KeyliftError, UsageError
from migrator.model import App, Estate, Json, Plan, ResourceId, same_id
from migrator.planner import Slot
from migrator.planning.choices import Choices
from migrator.planning.options import Options
from scanners.model import Finding, Fingerprinter, Report, Secret

if TYPE_CHECKING:
    from migrator.cloud.session import Session
    from migrator.passwordless.evidence import Code
    from scanners.engine import Engine

OnProgress = Callable[[str, int, int], None]
"""Told what is being read, how many are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Material:
    """What a plan is made from, as it was read once. Holds values, in `Secret` only."""

    estate: Estate
    report: Report
    fingerprinter: Fingerprinter
    scope: api.Scope

    def value(self, finding: Finding) -> Secret | None:
        """The value at a finding's place, for the one person who asks to see it; None where it is not at hand."""
        from scanners.model import AzureLocation
        from scanners.sources import container_app

        place = finding.location
        if not isinstance(place, AzureLocation):
            return None
        for app in self.estate.workloads:
            for document in (app.document, *app.revisions):
                if same_id(str(document.get("id")), place.resource):
                    secrets = app.secrets if document is app.document else ()
                    for one in container_app.places(document, secrets):
                        if one.location.path == place.path:
                            return one.secret
        return None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A plan, with where each value would go."""

    plan: Plan
    slots: tuple[Slot, ...]


def gather(
    place: api.Workplace,
    scope: api.Scope,
    *,
    vault: str | None = None,
    compare_keys: bool = False,
    control: Control | None = None,
    on_progress: OnProgress = lambda _what, _done, _all: None,
    on_found: Callable[[Sequence[Finding]], None] | None = None,
    tell: api.Tell = lambda _text: None,
) -> Material:
    """Read everything that plans for a scope are made from, and judge every value in it.

    Args:
        place: Where.
        scope: Which apps.
        vault: The vault that plans will be for; None where that is not known yet.
        compare_keys: Whether to list the keys of the services that values open, and to compare them in memory. Azure
            writes such a listing to the Activity Log.
        control: Pauses or stops the reading.
        on_progress: Told how far it is, from any thread.
        on_found: Told the findings of each app when it was read, from any thread. They are provisional: what only the
            whole estate tells (a value that is a secret elsewhere) comes with the result.
        tell: Narration.

    Raises:
        StoppedError: `control` was stopped.
        KeyliftError: not even the inventory could be read.
    """
    import threading

    from scanners.sources import container_app

    steer = control or Control()
    fingerprinter = keeping.fingerprinter(place, tell)
    engine: Engine = api.load_engine(place)
    one_at_a_time = threading.Lock()  # an engine is for one thread

    def progress(what: str, done: int, total: int) -> None:
        steer.checkpoint()
        on_progress(what, done, total)

    def seen(app: App) -> None:
        steer.checkpoint()
        if on_found is None:
            return
        with one_at_a_time:
            found = container_app.scan(app.document, app.secrets, engine, fingerprinter, {})
        if found:
            on_found(found)

    with api.session(place, tell) as opened:
        estate = api.read(opened, scope, tell, whole=True, vault=vault, on_progress=progress, on_app=seen)
        estate = with_targets(opened, estate, fingerprinter if compare_keys else None)
    steer.checkpoint()
    return Material(estate, api.scan_estate(estate, engine, fingerprinter), fingerprinter, scope)


MOST_COMPARED = 200
"""Resources of which the keys are listed for keys that name none."""


def with_targets(opened: Session, estate: Estate, keys_of: Fingerprinter | None = None) -> Estate:
    """The estate with the resources that its values point at; they serve advice only, so a failure is no more than that."""
    from migrator.cloud import inventory, targets
    from migrator.passwordless.suggesting import keys_alone, kinds_of, pointed_at

    pointers = pointed_at(estate)
    alone = keys_alone(estate) if keys_of is not None else ()
    if not pointers and not alone:
        return estate
    try:
        names = sorted({pointer.name for pointer in pointers})
        found = inventory.named(opened, estate.subscriptions, kinds_of(pointers), names)
        there = {one.id.lower() for one in found}
        candidates = inventory.of_kinds(opened, estate.subscriptions, kinds_of(alone), MOST_COMPARED)
        found = (*found, *(one for one in candidates if one.id.lower() not in there))
    except CloudError as error:
        where = "the resources that secrets point at"
        return replace(estate, errors=(*estate.errors, {"where": where, "what": error.what, "hint": error.hint}))
    told, errors = [], list(estate.errors)
    for resource in found:
        mine = [pointer for pointer in pointers if pointer.name == resource.name.lower()]
        one = targets.with_policies(opened, resource, mine)
        try:
            one = targets.with_keys(opened, one, (*mine, *alone), keys_of) if keys_of is not None else one
        except CloudError as error:
            errors.append({"where": one.id, "what": f"its keys were not compared: {error.what}", "hint": error.hint})
        told.append(one)
    return replace(estate, targets=tuple(told), errors=tuple(errors))


def with_own_roles(opened: Session, estate: Estate) -> Estate:
    """The estate with who holds roles of the services' own systems at its targets, as `dataRoles` of their documents.

    Each is `{"id", "name", "principal", "scope"}`. Of databases nobody but their administrator knows; what could not be
    read is left out, and is among the estate's errors.
    """
    from migrator.cloud import data_roles

    told, errors = [], list(estate.errors)
    for target in estate.targets:
        parts = ResourceId.parse(target.id)
        system = OWN_SYSTEMS.get(f"{parts.namespace}/{parts.kind}".lower())
        if system is None:
            told.append(target)
            continue
        try:
            roles = data_roles.found(opened, system, target.id)
        except CloudError as error:
            errors.append({"where": target.id, "what": f"its own roles: {error.what}", "hint": error.hint})
            told.append(target)
            continue
        own = [
            {
                "id": one.id,
                "name": COSMOS_ROLES.get(one.role, one.role),
                "principal": one.principal_id,
                "scope": one.scope,
            }
            for one in roles
        ]
        told.append(replace(target, document={**target.document, "dataRoles": own}))
    return replace(estate, targets=tuple(told), errors=tuple(errors))


OWN_SYSTEMS = {
    "microsoft.documentdb/databaseaccounts": "cosmos",
    "microsoft.cache/redis": "redis",
    "microsoft.cache/redisenterprise": "managed-redis",
}
"""By type: role systems that `migrator.cloud.data_roles` reads."""
COSMOS_ROLES = {
    "00000000-0000-0000-0000-000000000001": "Cosmos DB Built-in Data Reader",
    "00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor",
}


def read_code(folders: Sequence[str]) -> dict[str, Code]:
    """Read folders of code and images on disk, `FOLDER` for every app or `APP=FOLDER` for one; several of one app count together.

    Raises:
        UsageError: a folder is not there.
    """
    from migrator.passwordless.code import read_code as read
    from migrator.passwordless.image_code import is_image, read_image
    from migrator.passwordless.suggesting import EVERY_APP

    found: dict[str, Code] = {}
    for one in folders:
        app, split, folder = one.partition("=")
        path, key = Path(folder if split else one), app.lower() if split else EVERY_APP
        code = read_image(str(path)) if is_image(path) else read(path)
        found[key] = found[key].joined(code) if key in found else code
    return found


def options_of(vault: str, scope: api.Scope, **given: object) -> Options:
    """Options for a scope; what is None is as by default.

    Raises:
        UsageError: an option cannot be.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    scoped = {"subscriptions": scope.subscriptions, "groups": scope.groups, "apps": scope.apps}
    return Options(vault=vault, scope=scoped, **chosen)  # type: ignore[arg-type] # checked by Options itself


def propose(
    place: api.Workplace,
    material: Material,
    options: Options,
    *,
    found: Sequence[Path] = (),
    tell: api.Tell = lambda _text: None,
) -> Proposal:
    """Propose a plan: only what the vault holds under the names, and what the operator may do, is asked for now.

    Args:
        place: Where.
        material: What was read; it is read again if the vault lies where nothing was read.
        options: The decisions.
        found: Reports of other scans (repositories, images): a value that lies there too is named as rest risk.
        tell: Narration.

    Raises:
        UsageError: an option cannot be, or the vault does not exist.
        KeyliftError: the cloud does not answer.
    """
    from migrator.cloud import surroundings, vaults

    fingerprinter = material.fingerprinter
    with api.session(place, tell) as opened:
        estate = material.estate
        named = options.vault.lower()
        target = next((v for v in estate.vaults if named in {v.id.lower(), v.name.lower()}), None)
        if target is None:
            target = vaults.find_vault(opened, options.vault)
        if ResourceId.parse(target.id).subscription.lower() not in {s.lower() for s in estate.subscriptions}:
            # its role assignments are listed with its own subscription
            estate = api.read(opened, material.scope, tell, whole=True, vault=target.id)
            (target,) = estate.vaults
        estate = replace(estate, vaults=(target,))
        today = datetime.now(UTC).date()
        options = replace(options, vault=target.id, choices=options.choices.on(today))
        whole = Report(list(material.report.findings), list(material.report.errors), dict(material.report.scanned))
        findings = api.with_imports(place, whole, found).findings
        errors: list[Json] = []
        names = planner.wanted(estate, findings, options, fingerprinter)
        if names:
            try:
                estate = estate.with_vault(vaults.read_vault_secrets(opened, target, names, fingerprinter))
            except KeyliftError as error:
                errors.append({"where": target.id, "what": error.what, "hint": error.hint})
        draft = planner.plan(estate, findings, options, fingerprinter)
        asked = sorted({str(entry["scope"]) for entry in draft.operator.get("permissions", ())}, key=str.lower)
        tell(f"asking what you may do at {len(asked)} scopes")
        permissions = surroundings.read_permissions(
            opened,
            asked,
            lambda where, error: errors.append({"where": where, "what": error.what, "hint": error.hint}),
        )
        estate = replace(estate, permissions=permissions, errors=(*estate.errors, *errors))
        made = planner.plan(estate, findings, options, fingerprinter)
        return Proposal(made, planner.slots(estate, findings, options, fingerprinter))


def load_choices(place: api.Workplace, path: Path) -> Choices:
    """Read a file of choices.

    Raises:
        UsageError: it cannot be read, or is not right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read",
            why=getattr(error, "strerror", None) or type(error).__name__,
            hint="the wizard writes it: keylift wizard",
        ) from None
    return Choices.from_json(text, key=keeping.fingerprinter(place, lambda _text: None).key_id, source=str(path))
