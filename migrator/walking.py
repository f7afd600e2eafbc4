"""One app's way through its steps, forth and back, each move in the journal before it is made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from migrator.appwrite import REPLAN, listed, read, unlike, who
from migrator.around import Page, Surroundings, surprise
from migrator.errors import (
    CloudError,
    JournalError,
    KeyliftError,
    NotFoundError,
    ReferenceRefusedError,
    StaleError,
    StoppedError,
)
from migrator.fingerprints import app_fingerprint, changed_parts
from migrator.journal import StepEntry
from migrator.kinds import kind_of
from migrator.model import AppState, Json, ResourceId, Step, StepState, differences
from migrator.ports import WAITING, Outcome, StepContext, StepKind
from migrator.veil import comparable, section

T = TypeVar("T")

log = logging.getLogger(__name__)

DONE_STATES = frozenset({StepState.DONE, StepState.ADOPTED})
BUSY = 409
"""Status while another operation is at work (FACTS, section 10.2)."""
PATIENCE = 900.0
"""Seconds to wait for other operations (the longest recorded took 739)."""
TROUBLE = 180.0
"""Seconds in which anything else that may pass is tried again; the app's own trouble keeps no other one waiting."""
UNTOUCHED = frozenset({StepState.PENDING, StepState.ADOPTED, StepState.UNDONE, StepState.SKIPPED})
"""States of steps that leave nothing to undo."""


class Walk:
    """The steps of one app, or one shared step. One thread walks one of them."""

    def __init__(self, around: Surroundings, app: str, steps: Sequence[Step], *, stopped: Callable[[], bool]) -> None:
        """Prepare; `app` is empty for a shared step."""
        self.around = around
        self.app = app
        self.steps = steps
        self._stopped = stopped
        self._expected: Json | None = None

    # Forth

    def forward(self) -> None:
        """Carry on from where the journal says: forth, or back if that was begun.

        Raises:
            JournalError: nothing more may be done.
        """
        try:
            entry = self.around.journal.app(self.around.run, self.app)
            if entry.state in {AppState.UNDOING, AppState.FAILED}:
                self.back()
            elif entry.state in {AppState.PENDING, AppState.RUNNING}:
                self._forward()
            elif entry.state in {AppState.ROLLED_BACK, AppState.STALE} and self._left_over():
                self.back()
        except StoppedError:
            log.debug("%s: stopped", self.app)

    def shared(self) -> None:
        """Do a step that several apps wait for; they see in the journal how it ended.

        Raises:
            JournalError: nothing more may be done.
        """
        (step,) = self.steps
        journal, run = self.around.journal, self.around.run
        if journal.step(run, step.id).state in {StepState.FAILED, StepState.UNDOING, StepState.UNDONE}:
            return
        try:
            self._wait_for_shared()
            self.do(step)
        except StoppedError:
            log.debug("%s: stopped", step.id)
        except JournalError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the apps that wait must know
            told = self.around.error(error if isinstance(error, KeyliftError) else surprise(error))
            journal.set_step(run, step.id, state=StepState.FAILED, error=told)
            self.around.event("step-failed", step=step.id, text=f"{told['what']}: {told['why']}")

    def _forward(self) -> None:
        journal, run = self.around.journal, self.around.run
        at = ""
        try:
            self._wait_for_shared()
            self._begin()
            proven, texts = True, []
            for step in self.steps:
                at = step.id
                outcome = self.do(step)
                proven = proven and outcome.proven
                texts += [outcome.text] if outcome.text else []
        except (StoppedError, JournalError):
            raise
        except KeyliftError as error:
            self._failed(at, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the app must not stay half-way
            self._failed(at, surprise(error))
        else:
            journal.set_app(run, self.app, state=AppState.DONE, proven=int(proven))
            self.around.event("app-done", app=self.app, text="; ".join(texts))

    def _left_over(self) -> bool:
        """Whether an undo failed that could be left behind: a vault that was out of reach then may answer now."""
        entries = self.around.journal.steps(self.around.run)
        return any(entries[step.id].state == StepState.UNDOING for step in self.steps)

    def _wait_for_shared(self) -> None:
        for step in self.steps:
            for name in step.after:
                if self.around.steps[name].app:
                    continue
                entry = self.around.journal.step(self.around.run, name)
                if entry.state in DONE_STATES:
                    continue
                if entry.state != StepState.FAILED:
                    raise StoppedError(f"{name} was not reached", hint=f"keylift resume {self.around.run}")
                kind = StaleError if entry.error.get("stale") else CloudError
                raise kind(
                    f"{name}, which {step.id} depends on, failed",
                    why=f"{entry.error['what']}: {entry.error['why']}",
                    hint=entry.error["hint"],
                )

    def _begin(self) -> None:
        """Read the app as it was before the plan, once, and see that it is the one the plan was made from."""
        journal, run = self.around.journal, self.around.run
        initial = journal.app(run, self.app).initial
        if initial is not None:
            self._expected = initial
            for step in self.steps:
                entry = journal.step(run, step.id)
                if entry.state in DONE_STATES and "after" in entry.facts:
                    self._expected = entry.facts["after"]
            return
        name = ResourceId.parse(self.app).name
        ctx = self.context(self.steps[0])
        try:
            live = read(self.steps[0].app, ctx)
        except NotFoundError as error:
            raise StaleError(f"the app {name} is gone", why=error.why, hint=REPLAN) from error
        secrets = (
            self.around.cloud.get_app_secrets(self.steps[0].app)
            if section(live.raw, "properties", "configuration", "secrets")
            else ()
        )
        for secret in secrets:
            if secret.value is not None:
                self.around.known.see(secret.value)
        expects = {key: value for step in self.steps for key, value in step.expects.items()}
        planned = expects.get(self.app)
        if planned is not None and planned != app_fingerprint(live.raw, secrets, self.around.fingerprinter):
            parts = changed_parts(expects, live.raw, secrets, self.around.fingerprinter)
            raise StaleError(
                f"{name} changed since the plan was made",
                why=f"{f'changed: {listed(parts)}; ' if parts else ''}{who(live.raw)}",
                hint=REPLAN,
            )
        self._expected = live.veiled
        journal.set_app(run, self.app, initial=live.veiled, state=AppState.RUNNING)

    def do(self, step: Step) -> Outcome:
        """Do one step, or find out that it was done by a process that died.

        Raises:
            StoppedError: the run is being stopped; the step is not begun, or can be taken up again.
            KeyliftError: it failed.
        """
        journal, run = self.around.journal, self.around.run
        entry = journal.step(run, step.id)
        if entry.state in DONE_STATES:
            return Outcome(proven=bool(entry.facts.get("proven", True)), text=str(entry.facts.get("text") or ""))
        if self._stopped():
            raise StoppedError("the run is being stopped", hint=f"keylift resume {run}")
        kind, ctx = kind_of(step), self.context(step)
        self.around.event("step-started", app=self.app, step=step.id)
        outcome: Outcome | None = None
        if entry.state == StepState.INTENT:
            self._settle(entry)
            if kind.done(step, ctx):
                outcome = Outcome()
        journal.set_step(
            run,
            step.id,
            state=StepState.INTENT,
            attempts=entry.attempts + 1,
            operation="",
            started=self.around.clock.now(),
        )
        if outcome is None:
            outcome = self._persistently(step, ctx, partial(kind.do, step, ctx), partial(self._done, kind, step, ctx))
        kind.verify(step, ctx)
        if "after" in ctx.record.facts:
            self._expected = ctx.record.facts["after"]
        text = self.around.known.redact(outcome.text)
        ctx.record.note(proven=outcome.proven, text=text)
        state = StepState.ADOPTED if outcome.adopted else StepState.DONE
        journal.set_step(run, step.id, state=state, ended=self.around.clock.now())
        self.around.event("step-adopted" if outcome.adopted else "step-done", app=self.app, step=step.id, text=text)
        return outcome

    def _done(self, kind: StepKind, step: Step, ctx: StepContext) -> Outcome | None:
        """What an earlier try came to, once its operation has ended."""
        self._settle(self.around.journal.step(self.around.run, step.id))
        return Outcome() if kind.done(step, ctx) else None

    def _persistently(
        self, step: Step, ctx: StepContext, action: Callable[[], T], made: Callable[[], T | None] = lambda: None
    ) -> T:
        """Try again what failed only for now: somebody's operation was at work, an answer was lost.

        Each try looks at the cloud anew, so that nothing is written from an old reading; `made` is asked first
        whether the try before came through after all.
        """
        begun = ctx.clock.now()
        tries, pause, deadline = 0, 1.0, begun + PATIENCE
        WAITING.set(ctx.tell)
        while True:
            try:
                found = made() if tries else None
                return action() if found is None else found
            except ReferenceRefusedError:
                raise  # the step knows how long to wait for access
            except CloudError as error:
                tries += 1
                busy = error.status == BUSY
                now = ctx.clock.now()
                if not error.transient or now >= deadline or (tries > 1 and not busy and now >= begun + TROUBLE):
                    if tries > 1 and error.transient:
                        error.why = f"{error.why} (tried {tries} times in {(now - begun) / 60:.0f} minutes)".strip()
                    raise
                self.around.event(
                    "step-waiting", app=self.app, step=step.id, text=f"tries again: {error.why or error.what}"
                )
            ctx.clock.sleep(pause)
            pause = min(pause * 2, 15.0)

    def _failed(self, at: str, error: KeyliftError) -> None:
        """Write a failure down, and go back."""
        journal, run = self.around.journal, self.around.run
        told = self.around.error(error)
        if at:
            entry = journal.step(run, at)
            if entry.state == StepState.INTENT:
                journal.set_step(run, at, state=StepState.FAILED, error=told)
            self.around.event("step-failed", app=self.app, step=at, text=f"{told['what']}: {told['why']}")
        cause = "stale" if told["stale"] else "failed"
        journal.set_app(run, self.app, state=AppState.UNDOING, cause=cause, error=told)
        self.around.event("app-failed", app=self.app, step=at, text=f"{told['what']}: {told['why']}")
        self.back()

    def _settle(self, entry: StepEntry) -> None:
        """Follow the operation that a dead process had begun to its end, whatever that is."""
        if not entry.operation:
            return
        try:
            self.around.cloud.wait_operation(entry.operation)
        except CloudError as error:
            # Azure forgets operations; the resource itself says what became of it
            log.debug("%s: operation: %s", entry.step, error.code)

    # Back

    def back(self) -> None:
        """Undo what this run made of the app, newest first, and say how that ended."""
        journal, run = self.around.journal, self.around.run
        before = journal.app(run, self.app)
        if before.state != AppState.UNDOING:
            journal.set_app(run, self.app, state=AppState.UNDOING)
        left, hard = self.undo(self.steps)
        if hard is not None:
            error = before.error or hard
            journal.set_app(run, self.app, state=AppState.FAILED, error={**hard, "first": error.get("what", "")})
            self.around.event("app-failed", app=self.app, text=f"needs a person: {hard['what']}: {hard['why']}")
            return
        left += self._unlike_before(before.initial)
        state = AppState.STALE if before.cause == "stale" else AppState.ROLLED_BACK
        journal.set_app(run, self.app, state=state)
        self.around.event("app-rolled-back", app=self.app, text="; ".join(left))

    def undo(self, steps: Sequence[Step]) -> tuple[list[str], Json | None]:
        """Undo steps, newest first; what was left and why, and the error that needs a person, if any."""
        journal, run = self.around.journal, self.around.run
        blocked: set[str] = set()
        left: list[str] = []
        hard: Json | None = None
        for step in reversed(steps):
            entry = journal.step(run, step.id)
            if entry.state in UNTOUCHED:
                continue
            if step.id in blocked:
                left.append(f"{step.id} stays as it is")
                continue
            if (other := self._in_use(step, entry)) is not None:
                left.append(f"{step.id} stays: run {other} stands on it")
                blocked |= self._before(step)
                continue
            kind, ctx = kind_of(step), self.context(step)
            self._settle(entry)
            journal.set_step(run, step.id, state=StepState.UNDOING)
            try:
                rest = self._persistently(step, ctx, partial(kind.undo, step, ctx))
            except (StoppedError, JournalError):
                raise
            except Exception as error:  # noqa: BLE001 - said, and written down
                told = self.around.error(error if isinstance(error, KeyliftError) else surprise(error))
                journal.set_step(run, step.id, error=told)
                self.around.event("note", app=self.app, step=step.id, text=f"{told['what']}: {told['why']}")
                left.append(f"{step.id} stays: {told['what']}; later: keylift rollback {run}")
                if not kind.spare:
                    hard = hard or told
                    blocked |= self._before(step)
                continue
            left += [rest] if rest else []
            if kind.irreversible and rest:
                # what cannot come back is said, and not called undone
                journal.set_step(run, step.id, state=StepState.DONE, operation="")
                self.around.event("note", app=self.app, step=step.id, text=rest)
                continue
            journal.set_step(run, step.id, state=StepState.UNDONE, operation="", ended=self.around.clock.now())
            self.around.event("step-undone", app=self.app, step=step.id, text=rest)
        return left, hard

    def _before(self, step: Step) -> set[str]:
        """Every step that `step` stands on: those must stay while it does."""
        found: set[str] = set()
        todo = list(step.after)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += self.around.steps[name].after
        return found

    def _in_use(self, step: Step, entry: StepEntry) -> str | None:
        """Another run that relies on what this step made."""
        if step.kind not in {"vault-secret", "role-assignment"}:
            return None
        for run, facts in self.around.journal.others_using(self.around.run, step.kind, step.target):
            if step.kind == "vault-secret" or facts.get("assignment") == entry.facts.get("assignment"):
                return run
        return None

    def _unlike_before(self, initial: Any) -> list[str]:
        if initial is None:
            return []
        try:
            live = read(self.steps[0].app, self.context(self.steps[0]))
        except CloudError as error:
            return [error.what]
        changed = unlike(initial, live.veiled)
        return [f"it differs from before in {listed(changed)}; {who(live.raw)}"] if changed else []

    # Surroundings of a step

    def context(self, step: Step) -> StepContext:
        """What a step works with."""
        around = self.around
        page = Page(around.journal, around.run, step.id)
        return StepContext(
            cloud=around.cloud,
            clock=around.clock,
            fingerprinter=around.fingerprinter,
            record=page,
            tell=lambda text: around.event("step-waiting", app=self.app, step=step.id, text=f"waits for {text}"),
            run=around.run,
            plan=around.plan,
            facts_of=lambda name: around.journal.step(around.run, name).facts,
            propagation=around.propagation,
            proof=around.proof,
            steps=around.steps,
            check=partial(self._check, page),
            lane=around.scheduler.lane,
            see=around.known.see,
            seen=around.known.seen,
            redact=around.known.redact,
        )

    def _check(self, page: Page, found: Json, said: str) -> None:
        # a step that writes more than once stands on its own last write
        expected = page.facts.get("after", self._expected)
        if expected is None:
            return
        changed = differences(comparable(expected), comparable(found))
        if changed:
            raise StaleError(
                f"{ResourceId.parse(self.app).name} changed while the run was at work",
                why=f"changed: {listed(changed)}; {said}",
                hint=REPLAN,
            )
