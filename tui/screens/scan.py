"""Scan: the estate is read and judged; findings show up as they are found. Repositories and images can be added."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from migrator import api, rendering
from migrator.console import Console
from migrator.control import Control
from migrator.proposing import Material, gather
from scanners.model import Finding, Report
from tui import theme
from tui.dialogs import Ask, Choose, Field
from tui.journey import Source, write_private
from tui.page import Filter, Page
from tui.widgets.bars import Plot, bar
from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Row
from tui.wording import clean, count, took, within


class Tally:
    """How far one source is; written by threads, read by the page."""

    def __init__(self, what: str) -> None:
        self.what, self.done, self.total = what, 0, 0
        self.began = time.monotonic()
        self.ended: float | None = None
        self.state = "pending"
        self.text = ""

    def begin(self) -> None:
        """Work on it starts."""
        self.began, self.ended, self.state = time.monotonic(), None, "working"

    def end(self, state: str, text: str = "") -> None:
        """It is over."""
        self.ended, self.state, self.text = time.monotonic(), state, text

    @property
    def seconds(self) -> float:
        return (self.ended if self.ended is not None else time.monotonic()) - self.began

    def told(self) -> str:
        """Rate and estimate."""
        if self.text:
            return self.text
        if self.state != "working" or not self.done or self.seconds < 0.2:
            return ""
        rate = self.done / self.seconds
        left = (self.total - self.done) / rate if self.total else None
        return f"{rate:,.0f}/s" + (f", {took(left)} left" if left and left >= 1 else "")


class ScanPage(Page):
    """Progress by source, and findings as they come."""

    NAME = "scan"
    HELP = (
        "The estate is read and every value in it is judged, in this process: no value leaves it. Azure notes in its "
        "activity log that the secrets of an app were listed. **p** pauses and goes on, **x** cancels.\n\n"
        "**n** adds a git repository (with its history) or a container image: a value that lies there too is named as "
        "rest risk in the plan. Findings shown while reading are provisional; the whole estate tells a few more."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause", id="scan.pause", tooltip="Pause the scan, or go on with it"),
        Binding("x", "cancel", "Cancel", id="scan.cancel", tooltip="Cancel the scan; what was chosen stays"),
        Binding("n", "add", "Add source", id="scan.add", tooltip="Add a repository or an image"),
        Binding("delete", "drop", "Drop source", show=False, id="scan.drop", tooltip="Leave the last source added out"),
        Binding("r", "again", "Scan again", id="scan.again", tooltip="Read everything again"),
    ]
    DEFAULT_CSS = """
    ScanPage #sources { height: auto; max-height: 7; padding: 0 1; background: $surface; }
    ScanPage #bar { height: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()
        self._estate = Tally("estate")
        self._tallies: dict[str, Tally] = {}
        self._lock = threading.Lock()
        self._arrived: list[Finding] = []
        self._rows: dict[str, Row] = {}
        self._scope: api.Scope | None = None
        self._seen: Counter[str] = Counter()

    def body(self) -> Iterable[Widget]:
        yield Plot(id="sources")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter what was found so far")
        yield Grid(
            [
                Column("Severity", 11),
                Column("What", share=2),
                Column("Name", share=2),
                Column("Where", share=2, least=70),
            ],
            empty="Nothing found yet.",
        )

    def on_mount(self) -> None:
        self.set_interval(0.1, self._tick)

    def shown(self) -> None:
        scope = self.wizard.journey.scope(self.wizard.session.standing)
        if self.wizard.session.material is None and self._estate.state == "pending":
            self.action_again()
        elif self._scope is not None and scope != self._scope and self._estate.state != "working":
            self.notify("The scope is another one now: reading it.", timeout=3)
            self.action_again()
        self._tick()

    def blocked(self) -> str:
        busy = any(tally.state == "working" for tally in (self._estate, *self._tallies.values()))
        return "Still scanning" if busy else self.wizard.reach("findings")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"pause", "cancel"}:
            return self._estate.state == "working"
        return super().check_action(action, parameters)

    def crumbs(self) -> None:
        super().crumbs()
        self.refresh_bindings()

    # The estate

    def action_again(self) -> None:
        wizard = self.wizard
        if self._estate.state == "working":
            return
        self.control = Control()
        self._scope = wizard.journey.scope(wizard.session.standing)
        wizard.session.material, wizard.session.plan, wizard.session.slots = None, None, ()
        wizard.session.rehearsal = None
        with self._lock:
            self._arrived.clear()
        self._rows, self._seen = {}, Counter()
        assert self.grid is not None
        self.grid.set_rows(())
        tally = self._estate
        tally.done = tally.total = 0
        tally.text = ""
        tally.begin()
        control, scope = self.control, self._scope

        def progress(_what: str, done: int, total: int) -> None:
            tally.done, tally.total = done, total

        def job() -> Material:
            return gather(wizard.cloud(), scope, control=control, on_progress=progress, on_found=self._take)

        self.start("scanning the estate", job, self._read, failed=self._failed, stopped=self._stopped)
        for source in wizard.journey.sources:
            if source.target not in wizard.session.extra:
                self._scan(source)
        self.crumbs()

    def _take(self, found: Sequence[Finding]) -> None:
        with self._lock:
            self._arrived += found

    def _read(self, material: Material) -> None:
        self.wizard.session.material = material
        apps = material.report.scanned.get("apps", 0)
        self._estate.done = self._estate.total = apps
        self._estate.end("done", f"{count(apps, 'app')} in {took(self._estate.seconds)}")
        self._rows, self._seen = {}, Counter()
        with self._lock:
            self._arrived = [f for f in material.report.findings if f.status == "new"]
        errors = material.report.errors
        if errors:
            first = errors[0]
            self.notify(
                f"{count(len(errors), 'place')} could not be read. {clean(first.get('where', ''))}: "
                f"{clean(first.get('what', ''))}",
                severity="warning",
                timeout=8,
            )
        self._tick()
        self.crumbs()
        resume = self.wizard.resume_at
        self.wizard.resume_at = ""
        if resume in {"findings", "mapping", "review", "apply"}:
            self.notify(f"You were at {resume.capitalize()}: your decisions are kept.", timeout=4)

    def _failed(self) -> None:
        self._estate.end("failed", "r tries again")
        self._tick()
        self.crumbs()

    def _stopped(self) -> None:
        self._estate.end("interrupted", f"cancelled after {took(self._estate.seconds)}; r scans again")
        self._tick()
        self.crumbs()

    def action_pause(self) -> None:
        if self._estate.state != "working":
            return
        if self.control.paused:
            self.control.go_on()
        else:
            self.control.pause()
        self._tick()

    def action_cancel(self) -> None:
        if self._estate.state == "working":
            self.control.stop()

    # Repositories and images

    def action_add(self) -> None:
        def kind(answer: str | None) -> None:
            if answer is not None:
                self._ask(answer)

        options = [
            ("repo", "A git repository, with its history"),
            ("image", "A container image, a tar or an OCI layout"),
        ]
        self.app.push_screen(Choose("Where else could values lie?", "", options), kind)

    def _ask(self, kind: str) -> None:
        def check(text: str) -> str:
            if not text.strip():
                return "Name one."
            if kind == "repo" and not Path(text.strip()).expanduser().is_dir():
                return "There is no such folder."
            return ""

        def add(answer: str | None) -> None:
            if answer:
                target = json.loads(answer)["target"]
                target = str(Path(target).expanduser().resolve()) if kind == "repo" else target
                source = Source(kind, target)
                self.wizard.journey.sources.append(source)
                self._scan(source)

        what = "The repository's folder" if kind == "repo" else "The image: a reference, a tar, or a folder"
        self.app.push_screen(Ask("Add a source", "", [Field("target", what, check=check)], "Scan it"), add)

    def action_drop(self) -> None:
        sources = self.wizard.journey.sources
        if sources:
            gone = sources.pop()
            self._tallies.pop(gone.target, None)
            self.wizard.session.extra.pop(gone.target, None)
            self.wizard.session.plan = None
            self.notify(f"{gone.target} is left out.", timeout=3)
            self._tick()

    def _scan(self, source: Source) -> None:
        tally = self._tallies[source.target] = Tally(source.target)
        tally.begin()
        wizard = self.wizard
        folder = wizard.place.state.ensure().path / "findings"
        folder.mkdir(mode=0o700, exist_ok=True)
        number = wizard.journey.sources.index(source) + 1

        def bytes_read(done: int, total: int) -> None:
            tally.done, tally.total = done, total

        def job() -> Report:
            if source.kind == "repo":
                return api.scan_repo(wizard.place, Path(source.target), history=source.history)
            return api.scan_image(wizard.cloud(), [source.target], on_bytes=bytes_read)

        def read(report: Report) -> None:
            path = folder / f"{source.kind}-{number}.json"
            write_private(path, rendering.findings("json", report, Console()))
            source.file = str(path)
            found = api.findings_of(report)
            wizard.session.extra[source.target] = found
            wizard.session.plan = None
            tally.end("done", f"{count(len(found), 'finding')} in {took(tally.seconds)}")
            self._take(found)
            wizard.save()
            self.crumbs()

        def failed() -> None:
            tally.end("failed", "not scanned; Delete leaves it out")
            self.crumbs()

        self.start(f"scanning {source.target}", job, read, group=f"source-{number}", failed=failed)
        self.crumbs()

    # Showing

    def _tick(self) -> None:
        if not self.is_current:
            return
        with self._lock:
            arrived, self._arrived = self._arrived, []
        if arrived:
            for finding in arrived:
                place = finding.location.as_dict()
                key = f"{finding.rule}|{place}|{finding.fingerprint}"
                if key not in self._rows:
                    self._rows[key] = found_row(key, finding)
                    self._seen[str(finding.severity)] += 1
            assert self.grid is not None
            self.grid.set_rows(self._rows.values())
        parts: list[tuple[str, str]] = []
        for tally in (self._estate, *self._tallies.values()):
            sign, word, role = theme.state("interrupted" if self._waits(tally) else tally.state)
            word = "paused" if self._waits(tally) else word
            share = tally.done / tally.total if tally.total else 0.0
            color = {"good": "success", "bad": "error", "warn": "warning", "strong": "primary"}.get(role, "")
            parts += [("\n" if parts else "", ""), (f"{sign} {word:<11} ", color)]
            what = tally.what if len(tally.what) <= 22 else "…" + tally.what[-21:]
            parts.append((f"{clean(what):<22} ", ""))
            if tally.total:
                parts += [(bar(share, 16), "primary"), (f" {tally.done:,}/{tally.total:,}  ", "")]
            parts.append((tally.told(), ""))
        self.query_one("#sources", Plot).show(*parts)
        order = ("critical", "high", "medium", "low")
        told = "  ".join(f"{self._seen[one]} {one}" for one in order if self._seen[one])
        self.say(f"{count(sum(self._seen.values()), 'finding')}   {told}")

    def _waits(self, tally: Tally) -> bool:
        return tally is self._estate and tally.state == "working" and self.control.paused


def found_row(key: str, finding: Finding) -> Row:
    """One finding as a row: severity, what, name, where."""
    place = finding.location.as_dict()
    sign, role = theme.SEVERITY[str(finding.severity)]
    rank = list(theme.SEVERITY).index(str(finding.severity))
    name = clean(place.get("name") or place.get("path") or place.get("config") or "")
    resource = str(place.get("resource") or place.get("image") or place.get("path") or "")
    where = clean(resource.rstrip("/").rsplit("/", 1)[-1])
    return Row(
        key,
        ([(f"{sign} {finding.severity}", role)], clean(finding.title), [(name, "strong")], where),
        find=f"{resource} {within(place)} {finding.rule}",
        sort=(rank,),
        data=finding,
    )
