"""A death at each instant of a process: what led to it happens once, and every way to go on begins from a copy of it.

Played from its beginning, each of these worlds would go the same way, instant by instant: nothing but death happens in them,
and one job is at work at a time. That is twice the work, and how a bad one is replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .disk import Written
from .inside import Cloud
from .shapes import Shape, shape
from .world import TORN, Kill, Play, Process, Scenario, Tally

WAYS = ("resume", "rollback")
HOWS = ("kill", "power")


@dataclass(frozen=True, slots=True)
class Moment:
    """All that is left of the world when a process dies at an instant, whatever is done then."""

    instant: int
    cloud: Cloud
    written: Written
    dice: Any
    under_way: list[str]
    told: int
    """Events by then."""


class Trunk:
    """One undisturbed process, with a copy of the world at its instants."""

    def __init__(self, made: Shape, scenario: Scenario, number: int, stride: int, offset: int) -> None:
        """Carry it out, and what comes before it.

        Args:
            made: The shape.
            scenario: The processes up to this one, and the deaths of those before it.
            number: The process to watch.
            stride: Every how many instants one is copied.
            offset: The first.
        """
        self.number, self.scenario = number, scenario
        self.moments: list[Moment] = []
        self._stride, self._offset = stride, offset
        self._before: bytes | None = None
        self._torn_from = 0
        self.play = Play(made, scenario)
        try:
            self.play.begin()
            for earlier, verb in enumerate(["apply", *scenario.ways][: number + 1]):
                self.play.process(earlier, verb, self._watch if earlier == number else None)
        finally:
            self.play.disk.remove()

    def _watch(self, process: Process) -> None:
        journal = process.journal
        assert journal is not None
        journal.tearing = True  # the next instant may be the one
        before = getattr(journal, "before", None)
        if before is not self._before:
            # it was read right after the instant before this one
            self._before, self._torn_from = before, process.instants - 1
        if process.instants % self._stride != self._offset % self._stride or process.instants < self._offset:
            return
        play = self.play
        written = play.disk.written(journal)
        if process.instants - self._torn_from > TORN:
            written = replace(written, before=None)
        self.moments.append(
            Moment(
                process.instants,
                play.shape.inside.copied(),
                written,
                process.dice.getstate(),
                process.under_way(),
                len(play.told),
            )
        )

    def branches(self, moment: Moment, hows: tuple[str, ...]) -> Iterator[Play]:
        """The worlds in which the process dies at an instant, about to go on."""
        for way in WAYS:
            for how in hows:
                kills = [*self.scenario.kills, Kill(self.number, moment.instant, how)]
                ways = [*self.scenario.ways[: self.number], way]
                yield Play(self.play.shape, replace(self.scenario, ways=ways, kills=kills))

    def go_on(self, play: Play, moment: Moment) -> None:
        """Carry one of them out from the death on.

        Raises:
            LostError: it did not end well.
        """
        inside = play.shape.inside
        try:
            inside.restore(moment.cloud)
            play.answer()
            play.others.originals = self.play.others.originals
            play.told = self.play.told[: moment.told]
            dice = play.dice(self.number)
            dice.setstate(moment.dice)
            play.disk.leave(moment.written, play.scenario.kills[-1].how, dice)
            play.tally.kills += 1
            play.count(moment.under_way)
            play.end(play.processes(self.number + 1))
        finally:
            play.disk.remove()


def trunks(name: str, stride: int, offset: int) -> Iterator[tuple[Trunk, tuple[str, ...]]]:
    """An apply, a rollback, and resumptions of what died half-way; and the deaths that each is to die."""
    made = shape(name)
    yield Trunk(made, Scenario(offset, name), 0, stride, offset), HOWS
    yield Trunk(made, Scenario(offset, name, ways=["rollback"]), 1, stride, offset), HOWS
    for how in HOWS:
        half = Kill(0, made.instants["apply"] // 2, how)
        yield Trunk(made, Scenario(offset, name, ways=["resume"], kills=[half]), 1, stride, offset), (how,)


def swept(name: str, stride: int = 1, offset: int = 1) -> tuple[Tally, list[tuple[str, str]]]:
    """Deaths all along a shape's plan, while it is applied, rolled back and resumed, whatever comes then.

    Args:
        name: The shape.
        stride: Every how many instants one is tried.
        offset: The first.

    Returns:
        What was tried, and the scenarios that ended badly with their reason.
    """
    tally, bad = Tally(), []
    for trunk, hows in trunks(name, stride, offset):
        tally.add(replace(trunk.play.tally, worlds=0, ends={}))
        for moment in trunk.moments:
            for play in trunk.branches(moment, hows):
                try:
                    trunk.go_on(play, moment)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                    bad.append((play.scenario.to_json(), f"{type(error).__name__}: {error}"))
                tally.add(play.tally)
    return tally, bad
