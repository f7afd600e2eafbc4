"""Each verb of the command line as one public function that prints nothing.

The command line, the wizard and the demo call these; whoever writes a program against keylift does, too. Everything heavy
is imported where it is used, so that importing this module costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migrator import keeping
from migrator.errors import MADE_ELSEWHERE, KeyliftError, PlanFileError, RunError, UsageError
from migrator.shared import SharedState
from migrator.state import StateFolder, default_folder
from scanners.model import Confidence, Finding, Fingerprinter, Report

if TYPE_CHECKING:
    from migrator.access_report import AccessReport, Comparison
    from migrator.cloud.session import Session
    from migrator.control import Control
    from migrator.drift import Drift
    from migrator.executor import Executor, RunResult
    from migrator.model import App, Estate, Json, Plan
    from migrator.ports import Event
    from migrator.proof import Proof
    from migrator.rehearsal import Rehearsal
    from migrator.report import RunReport
    from scanners.engine import Engine

Tell = Callable[[str], None]
OnEvent = Callable[["Event"], None]


def _silent(_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Workplace:
    """Which cloud, who signs in, where state lies, how long to wait."""

    cloud: str = "public"
    """`public`, `china`, `usgov` or the path of a profile."""
    auth: str = "default"
    """`default`, `cli`, `managed-identity`, `environment` or `device-code`."""
    state: StateFolder = field(default_factory=lambda: StateFolder(default_folder()))
    shared: SharedState | None = None
    """Where a team keeps its runs and its fingerprint key; None: in `state`."""
    workers: int = 8
    """Apps worked on at a time."""
    propagation: float = 1500.0
    """Seconds a new role assignment may take to be honoured (14 min 44 s was measured)."""
    proof: float = 900.0
    """Seconds a new revision may take until it runs."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which apps; empty means all that can be read."""

    subscriptions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What a scan of an estate gave."""

    report: Report
    estate: Estate
    fingerprinter: Fingerprinter

    def estate_file(self) -> str:
        """The estate as the simulator takes it, every value replaced by a token."""
        import json

        from migrator.snapshot import estate_document

        return json.dumps(estate_document(self.estate, self.fingerprinter), indent=1, ensure_ascii=False) + "\n"


@contextmanager
def session(place: Workplace, tell: Tell = _silent) -> Iterator[Session]:
    """A signed-in session with the cloud.

    Raises:
        SignInError: no credential works.
        UsageError: the cloud or its profile is unknown or broken.
    """
    from migrator.cloud.profiles import load_profile
    from migrator.cloud.session import Session

    with Session(load_profile(place.cloud), auth=place.auth, tell=tell) as opened:
        opened.sign_in()
        yield opened


# Finding


def scan_azure(
    place: Workplace,
    scope: Scope,
    *,
    revisions: bool = False,
    whole: bool = False,
    images: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    tell: Tell = _silent,
) -> ScanResult:
    """Read the apps in scope and judge every value in them.

    With `whole`, environments, identities, vaults, roles and locks are read too, as an estate file needs them. With
    `images`, the images that the apps run are judged as well, and `on_bytes` is told how far that is.

    What could not be read is in the report's `errors` and hides nothing else.

    Raises:
        KeyliftError: not even the inventory could be read.
    """
    fingerprinter = keeping.fingerprinter(place, tell)
    engine = _engine(place)
    with session(place, tell) as opened:
        estate = _read(opened, scope, tell, with_revisions=revisions, with_access=whole, with_auth=whole)
    report = scan_estate(estate, engine, fingerprinter)
    if images:
        from migrator import images as containers

        targets = sorted(containers.images_of(estate))
        tell(f"scanning {len(targets)} images")
        logins = containers.logins_of(estate)
        held = containers.scan(place, engine, targets, on_bytes=on_bytes, logins=logins, whole=False, tell=tell)
        containers.join(report, held, estate)
    return ScanResult(report, estate, fingerprinter)


def scan_estate(estate: Estate, engine: Engine, fingerprinter: Fingerprinter) -> Report:
    """Judge every value of an estate that was read. Pure."""
    from scanners import plugins
    from scanners.sources import container_app, surface

    report = Report()
    owners = [(app.document, app.secrets) for app in estate.workloads]
    owners += [(part.document, part.secrets) for part in estate.parts]
    known = container_app.known_secrets(owners, fingerprinter, engine)
    for app in estate.workloads:
        found = container_app.scan(app.document, app.secrets, engine, fingerprinter, known)
        report.findings += plugins.review_places(found, container_app.places(app.document, app.secrets), fingerprinter)
        report.findings += surface.scan(app.document, (), engine, fingerprinter, known)
        for revision in app.revisions:
            report.findings += container_app.scan(revision, (), engine, fingerprinter, known)
            report.findings += surface.scan(revision, (), engine, fingerprinter, known)
    for part in estate.parts:
        report.findings += surface.scan(part.document, part.secrets, engine, fingerprinter, known)
    for registry in estate.registries:
        report.findings += container_app.scan_registry(registry.document, fingerprinter)
    report.findings = list(report.ordered())
    report.errors = [dict(error) for error in estate.errors]
    report.scanned = {
        "subscriptions": len(estate.subscriptions),
        "apps": len(estate.apps),
        "jobs": len(estate.jobs),
        "revisions": sum(len(app.revisions) for app in estate.workloads),
        "parts": len(estate.parts),
        "registries": len(estate.registries),
    }
    return report


def scan_files(
    place: Workplace,
    paths: Sequence[Path],
    *,
    ignore: bool = True,
    tell: Tell = _silent,
    on_bytes: Callable[[int, int], None] | None = None,
) -> Report:
    """Judge every file below `paths`; what the configuration and the baseline of the current folder allow is marked.

    Args:
        place: state, cloud and cache.
        paths: files and folders.
        ignore: leave out what `.gitignore` files leave out and git does not track.
        tell: takes what the user should know.
        on_bytes: told how many bytes of how many were read.

    Raises:
        UsageError: an entry of the configuration or the baseline is not right.
    """
    from scanners import allow
    from scanners.sources import files

    try:
        allowed = allow.load(Path.cwd())
    except allow.AllowError as error:
        raise UsageError(error.what, hint=error.hint) from error
    for notice in allowed.notices:
        tell(notice)
    fingerprinter = keeping.fingerprinter(place, tell, offline=True)
    return files.scan(
        paths,
        engine=_engine(place),
        fingerprinter=fingerprinter,
        ignore=ignore,
        allow=allowed,
        review=lambda report: _second_opinion(report, fingerprinter),
        prepare=_second_opinion_ready,
        progress=on_bytes,
    )


def _second_opinion_ready() -> None:
    from scanners import plugins

    plugins.opinions("")


def _second_opinion(report: Report, fingerprinter: Fingerprinter) -> None:
    """Raise what detect-secrets agrees with; it is imported only where something is open."""
    if any(finding.status == "new" and finding.confidence is Confidence.MEDIUM for finding in report.findings):
        from scanners import plugins

        plugins.review(report, fingerprinter)


def scan_repo(
    place: Workplace,
    path: Path,
    *,
    history: bool = False,
    since: str | None = None,
    staged: bool = False,
    branches: Sequence[str] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Judge the files of a git repository, or every version of its history.

    `on_progress` is told of what (`commits` or `bytes`), how many are done, and of how many.

    Raises:
        UsageError: it is no repository, or a revision or the configuration is not right.
    """
    from scanners import allow
    from scanners.git import RepositoryError
    from scanners.sources import repo

    try:
        return repo.scan(
            path,
            history=history,
            since=since,
            staged=staged,
            branches=branches,
            engine=_engine(place),
            fingerprinter=keeping.fingerprinter(place, _silent, offline=True),
            allow=allow.load(path),
            progress=on_progress,
            cache_dir=place.state.cache,
        )
    except (RepositoryError, allow.AllowError) as error:
        raise UsageError(error.what, why=getattr(error, "why", ""), hint=error.hint) from error


def scan_image(
    place: Workplace,
    targets: Sequence[str],
    *,
    platform: str | None = None,
    ca_file: Path | None = None,
    plain_http: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    tell: Tell = _silent,
) -> Report:
    """Judge every file of every layer of images, and their configurations.

    A target is a reference, a tar, an OCI layout folder, or `-` for standard input. Registries of the cloud are signed in
    to as for everything else, others as Docker's configuration says. `on_bytes` is told how many bytes of how many were
    read.

    Raises:
        KeyliftError: there is one target, and nothing of it can be had.
    """
    from migrator import images

    return images.scan(
        place,
        _engine(place),
        targets,
        platform=platform,
        ca_file=ca_file,
        plain_http=plain_http,
        on_bytes=on_bytes,
        tell=tell,
    )


def with_imports(place: Workplace, report: Report, files: Sequence[Path]) -> Report:
    """A report with the findings of other tools' reports added; where those carry values, only fingerprints are kept.

    Raises:
        UsageError: a file cannot be read, or its format is not known.
    """
    if not files:
        return report
    from scanners.imports import reading

    fingerprinter = keeping.fingerprinter(place, _silent, offline=True)
    for file in files:
        try:
            read = reading.read(file, fingerprinter)
        except reading.ImportFileError as error:
            raise UsageError(str(error), hint=error.hint) from error
        report.findings += read.findings
        report.errors += read.errors
    report.findings = list(report.ordered())
    return report


def load_engine(place: Workplace) -> Engine:
    """The rules, compiled; kept in the state folder's cache. For one thread at a time."""
    return _engine(place)


def _engine(place: Workplace) -> Engine:
    from scanners.engine import Engine

    return Engine.load(place.state.ensure().cache)


def read(
    opened: Session,
    scope: Scope,
    tell: Tell,
    *,
    whole: bool = False,
    vault: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    on_app: Callable[[App], None] = _silent,
) -> Estate:
    """Read an estate through an open session; `whole` with revisions, sign-in settings and access, as plans need it.

    Raises:
        KeyliftError: not even the inventory could be read.
    """
    return _read(
        opened,
        scope,
        tell,
        with_revisions=whole,
        with_access=whole,
        with_auth=whole,
        vault=vault,
        on_progress=on_progress,
        on_app=on_app,
    )


def _read(
    opened: Session,
    scope: Scope,
    tell: Tell,
    *,
    with_revisions: bool = False,
    with_access: bool = False,
    with_auth: bool = False,
    vault: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    on_app: Callable[[App], None] = _silent,
) -> Estate:
    from migrator.cloud import reading

    def progress(what: str, done: int, total: int) -> None:
        if on_progress is not None:
            on_progress(what, done, total)
        if total and (done == total or done % 50 == 0):
            tell(f"read {done} of {total} {what}")

    return reading.read_estate(
        opened,
        reading.Scope(scope.subscriptions, scope.groups, scope.apps),
        with_secrets=True,
        with_revisions=with_revisions,
        with_auth=with_auth,
        with_access=with_access,
        vault=vault,
        progress=progress,
        on_app=on_app,
    )


# Planning


def make_plan(
    place: Workplace,
    scope: Scope,
    *,
    vault: str,
    identity: str = "user",
    vault_secret_name: str | None = None,
    on_conflict: str | None = None,
    passwordless: str = "suggest",
    code: Sequence[str] = (),
    compare_keys: bool = False,
    choices: Path | None = None,
    found: Sequence[Path] = (),
    tell: Tell = _silent,
) -> Plan:
    """Read the estate, find, and propose.

    `choices` is a file of decisions on single apps, secrets and findings. `found` are reports of other scans
    (repositories, images): a value that lies there too is named as rest risk. `code` are folders, `FOLDER` or
    `APP=FOLDER`, that show how apps use their secrets. With `compare_keys`, the keys of the services are listed and
    compared in memory: that tells which key a value is.

    Raises:
        UsageError: an option cannot be, or the vault does not exist.
        KeyliftError: the estate could not be read.
    """
    from migrator import proposing

    options = proposing.options_of(
        vault,
        scope,
        identity=identity,
        vault_secret_name=vault_secret_name,
        on_conflict=on_conflict,
        passwordless=passwordless,
        code=proposing.read_code(code),
        choices=proposing.load_choices(place, choices) if choices is not None else None,
    )
    material = proposing.gather(place, scope, vault=vault, compare_keys=compare_keys, tell=tell)
    return proposing.propose(place, material, options, found=found, tell=tell).plan


def rehearse_plan(place: Workplace, plan: Plan, *, tell: Tell = _silent) -> Rehearsal:
    """Carry a plan out on the estate rebuilt in a private simulator, with faults, and take it back. Azure is only read.

    The journal remembers how it ended, by the plan's id.

    Raises:
        StaleError: the estate is not the one the plan was made from.
        PlanFileError: the plan belongs to another cloud or state folder.
    """
    import time

    from migrator import rehearsal
    from migrator.cloud import vaults
    from migrator.rehearsal_stage import Source

    fingerprinter = keeping.fingerprinter(place, tell)
    if plan.estate.get("key") not in {None, fingerprinter.key_id}:
        raise PlanFileError(
            "the plan was made with another fingerprint key",
            hint=MADE_ELSEWHERE,
        )
    with session(place, tell) as opened:
        if plan.cloud != opened.profile.name:
            raise PlanFileError(
                f"the plan is for the cloud '{plan.cloud}', not for '{opened.profile.name}'",
                hint=f"name its cloud: --cloud {plan.cloud}",
            )
        chosen = {key: tuple(plan.scope.get(key) or ()) for key in ("subscriptions", "groups", "apps")}
        estate = _read(opened, Scope(**chosen), tell, with_revisions=True, with_access=True, with_auth=True)
        names: dict[str, list[str]] = {}
        for step in plan.steps:
            if step.kind == "vault-secret":
                names.setdefault(str(step.change["vault"]), []).append(str(step.change["name"]))
        for vault, wanted in names.items():
            known = next((v for v in estate.vaults if v.id.lower() == vault.lower()), None)
            if known is None:
                known = vaults.find_vault(opened, vault)
                estate = replace(estate, vaults=(*estate.vaults, known))
            estate = estate.with_vault(vaults.read_vault_secrets(opened, known, wanted, fingerprinter))
    source = Source(plan, estate, fingerprinter)
    report = rehearsal.rehearse(
        source, tell=tell, workers=place.workers, propagation=place.propagation, proof_seconds=place.proof
    )
    report.notes += rehearsal.limits(plan)
    with keeping.kept(place, tell) as kept:
        kept.journal.rehearsed(plan.id, time.time(), report.as_dict(), ok=report.ok)
    return report


def rehearsal_of(place: Workplace, plan: Plan, *, tell: Tell = _silent) -> Json | None:
    """How the last rehearsal of a plan ended: `{"at", "ok", "report"}`; None if there was none."""
    if not keeping.exists(place):
        return None
    with keeping.kept(place, tell) as kept:
        return kept.journal.rehearsal(plan.id)


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        PlanFileError: it is not there, cannot be read, or is no whole plan.
    """
    from migrator.model import Plan

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PlanFileError(
            f"{path} cannot be read",
            why=getattr(error, "strerror", None) or type(error).__name__,
            hint="make a plan: keylift plan --vault NAME -o plan.json",
        ) from None
    return Plan.from_json(text, source=str(path))


# Changing


def export_plan(plan: Plan, target: str) -> dict[str, str]:
    """A plan as files, name -> text: `az`, `bicep` or `terraform`.

    Raises:
        UsageError: there is no such target, or it is a contract plan.
    """
    from migrator.exporting import targets

    return targets.export(plan, target)


def apply_plan(
    place: Workplace,
    plan: Plan,
    *,
    point_of_no_return: bool = False,
    control: Control | None = None,
    on_event: OnEvent = _silent,
    tell: Tell = _silent,
) -> RunResult:
    """Carry a plan out as a new run.

    With `point_of_no_return` somebody approved the steps of a contract that cannot be taken back. Stopping `control` ends
    the run after the steps that are at work; it can be resumed.

    Raises:
        PlanFileError: the plan belongs to another cloud or state folder.
        RunError: another run on one of these apps is not finished, or the point of no return was not approved.
    """
    with _executing(place, on_event, tell, control) as executor:
        return executor.apply(plan, point_of_no_return=point_of_no_return)


def resume_run(
    place: Workplace,
    run: str,
    *,
    control: Control | None = None,
    on_event: OnEvent = _silent,
    tell: Tell = _silent,
) -> RunResult:
    """Go on with a run that was interrupted."""
    with _executing(place, on_event, tell, control) as executor:
        return executor.resume(run)


def rollback_run(
    place: Workplace,
    run: str,
    *,
    apps: Sequence[str] = (),
    control: Control | None = None,
    on_event: OnEvent = _silent,
    tell: Tell = _silent,
) -> RunResult:
    """Put the apps of a run (or only those named) back as they were before it."""
    with _executing(place, on_event, tell, control) as executor:
        return executor.rollback(run, apps=tuple(apps))


def verify_run(place: Workplace, run: str, *, tell: Tell = _silent) -> Proof:
    """Prove a run again, against the cloud as it is now.

    With it comes what the run's identities can read before and after, and where the moved values still lie.
    """
    from migrator import proof, reach
    from migrator.cloud.cloud import AzureCloud

    with keeping.kept(place, tell) as kept:
        journal, fingerprinter = kept.journal, kept.fingerprinter()
        found = journal.find(run)
        with session(place, tell) as opened:
            proven = proof.verify(found, AzureCloud(opened), journal, fingerprinter)
            gone = {app.app for app in proven.apps for c in app.checks if c.name == "app" and c.status == "failed"}
            there = tuple(app.app for app in proven.apps if app.app not in gone)
            if not there:
                return proven  # no names would mean every app
            try:
                estate = _read(opened, Scope(apps=there), tell, with_revisions=True, with_access=True)
            except KeyliftError as error:
                return replace(proven, notes=(f"access was not looked at: {error.what}: {error.why}",))
            return replace(
                proven,
                reaches=reach.reaches(found, estate, journal),
                lying=reach.lying(journal.plan(found), estate, fingerprinter),
                notes=tuple(f"{e.get('where')}: {e.get('what')}" for e in estate.errors),
            )


@contextmanager
def _executing(place: Workplace, on_event: OnEvent, tell: Tell, control: Control | None = None) -> Iterator[Executor]:
    from migrator.cloud.cloud import AzureCloud
    from migrator.cloud.session import WallClock
    from migrator.executor import Executor

    with keeping.kept(place, tell) as kept, session(place, tell) as opened:
        opened.transport.gate = kept.gate

        def told(event: Event) -> None:
            on_event(event)
            if control is not None and control.stopped:
                executor.stop()  # asked for before the run had begun

        executor = Executor(
            AzureCloud(opened),
            kept.journal,
            WallClock(),
            kept.fingerprinter(),
            told,
            workers=place.workers,
            propagation=place.propagation,
            proof=place.proof,
            by=_signature(opened),
        )
        if control is not None:
            control.checkpoint()
            control.bind(executor.stop)
        yield executor


def _signature(opened: Session) -> str:
    """Who is at work, for a run's report: the account, and the machine it is used on."""
    import platform

    from migrator.cloud import account

    who = account.account(opened)
    return f"{who.name} ({who.kind}, {who.how}) on {platform.node() or 'an unnamed machine'}"


def finalize_run(place: Workplace, run: str, *, tell: Tell = _silent) -> Plan:
    """The contract of a run as a plan: what is only there for its rollback, each with what is lost.

    Every subscription is read, because a registry's admin user may be in use anywhere. Nothing is changed.

    Raises:
        RunError: there is no such run, it is not done, it is a contract itself, or it works on another cloud.
        PlanFileError: the run was made with another fingerprint key.
    """
    from migrator import finalizing
    from migrator.cloud import surroundings
    from migrator.cloud.cloud import AzureCloud

    with keeping.kept(place, tell) as kept:
        journal, fingerprinter = kept.journal, kept.fingerprinter()
        found = journal.find(run)
        with session(place, tell) as opened:
            cloud = AzureCloud(opened)
            finalizing.check(found, journal, cloud, fingerprinter)
            tell("proving the run again")
            estate = _read(opened, Scope(), tell, with_revisions=True, with_auth=True)
            finished = finalizing.finished(found, journal, cloud, fingerprinter, estate)
            draft = finalizing.contract(finished, estate, fingerprinter)
            asked = sorted({str(entry["scope"]) for entry in draft.operator["permissions"]}, key=str.lower)
            permissions = surroundings.read_permissions(opened, asked, lambda _where, _error: None)
            return finalizing.contract(finished, replace(estate, permissions=permissions), fingerprinter)


# Looking


def list_runs(place: Workplace, *, tell: Tell = _silent) -> list[Json]:
    """All runs, newest first, as objects of the runs format."""
    if not keeping.exists(place):
        return []
    with keeping.kept(place, tell) as kept:
        return kept.journal.runs()


def unlock_run(place: Workplace, run: str, *, tell: Tell = _silent) -> bool:
    """Take the lock of a run of shared state away from whoever holds it; False if nobody does.

    The process that held it does nothing more to the cloud. The run stays as it is: resume it or roll it back.

    Raises:
        UsageError: the state is a folder, whose locks end with their process.
        RunError: there is no such run.
    """
    return keeping.unlock(place, run, tell)


def run_status(place: Workplace, run: str, *, tell: Tell = _silent) -> Json:
    """One run with its steps: the object of the runs format plus `steps`.

    Raises:
        RunError: there is no such run.
    """
    if not keeping.exists(place):
        raise RunError(f"there is no run '{run}'", why="no run was made yet", hint="list them: keylift runs")
    with keeping.kept(place, tell) as kept:
        journal = kept.journal
        found = journal.find(run)
        steps = [
            {"id": entry.step, "app": entry.app, "kind": entry.kind, "state": entry.state, "error": entry.error or None}
            for entry in journal.steps(found).values()
        ]
        return {**journal.describe(found), "steps": steps}


def run_report(place: Workplace, run: str, *, tell: Tell = _silent) -> RunReport:
    """Everything the journal knows of a run, for a report.

    Raises:
        RunError: there is no such run.
    """
    from migrator import report

    if not keeping.exists(place):
        raise RunError(f"there is no run '{run}'", why="no run was made yet", hint="list them: keylift runs")
    with keeping.kept(place, tell) as kept:
        return report.of(kept.journal.find(run), kept.journal)


def find_drift(place: Workplace, run: str | None = None, *, tell: Tell = _silent) -> Drift:
    """What is not as runs left it: all done ones of the state folder, or one.

    Raises:
        RunError: there is no such run, or it works on another cloud.
        KeyliftError: not even the inventory could be read.
    """
    from migrator import drift
    from migrator.cloud import reading
    from migrator.cloud.cloud import AzureCloud

    if not keeping.exists(place):
        if run is not None:
            raise RunError(f"there is no run '{run}'", why="no run was made yet", hint="list them: keylift runs")
        return drift.Drift()
    with keeping.kept(place, tell) as kept:
        journal, fingerprinter = kept.journal, kept.fingerprinter()
        named = journal.find(run) if run is not None else None
        with session(place, tell) as opened:
            cloud = AzureCloud(opened)
            if named is not None and journal.cloud(named) != cloud.name:
                raise RunError(
                    f"run {named} works on the cloud '{journal.cloud(named)}', not on '{cloud.name}'",
                    hint=f"name its cloud: --cloud {journal.cloud(named)}",
                )
            runs = drift.candidates(journal, cloud.name) if named is None else [named]
            if not runs:
                return drift.Drift()
            tell(f"looking at {len(runs)} run{'' if len(runs) == 1 else 's'} again")
            estate = reading.read_estate(opened, reading.Scope(), with_secrets=False, with_access=True)
            return drift.drift(runs, estate, cloud, journal, fingerprinter)


def access(
    place: Workplace, scope: Scope, *, identity: str | None = None, secret: str | None = None, tell: Tell = _silent
) -> AccessReport:
    """Who can read which vault secret, and who reads values without a vault role."""
    return compare_access(place, scope, identity=identity, secret=secret, tell=tell)[0]


def compare_access(
    place: Workplace,
    scope: Scope,
    *,
    identity: str | None = None,
    secret: str | None = None,
    plan: Plan | None = None,
    run: str | None = None,
    tell: Tell = _silent,
) -> tuple[AccessReport, Comparison | None]:
    """Who can read what now, and with a plan or a run also what it will change, or has changed.

    Raises:
        RunError: there is no such run.
        UsageError: nobody is called `identity`.
    """
    from migrator import access as rights
    from migrator import proposing, reach
    from migrator.access_report import AccessReport, Comparison
    from migrator.foreseen import foreseen

    with session(place, tell) as opened:
        estate = _read(opened, scope, tell, with_access=True)
        estate = proposing.with_own_roles(opened, proposing.with_targets(opened, estate))
    now = rights.access(estate, identity=identity, secret=secret, apps=scope.apps)

    def other(changed: Estate) -> AccessReport:
        try:
            return rights.access(changed, identity=identity, secret=secret, apps=scope.apps)
        except UsageError:  # an identity that is not there yet, or was not
            return AccessReport((), (), ())

    if plan is not None:
        return now, Comparison(f"plan {plan.id}", now, other(foreseen(estate, plan.steps)))
    if run is not None:
        with keeping.kept(place, tell) as kept:
            found = kept.journal.find(run)
            return now, Comparison(f"run {found}", other(reach.before_run(found, estate, kept.journal)), now)
    return now, None


def findings_of(report: Report) -> list[Finding]:
    """The findings that count: new ones."""
    return [finding for finding in report.findings if finding.status == "new"]
