"""One file of a layer, judged: in pieces, with what is in it when it is an archive, by its path's own rules too."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from scanners.engine import Engine
from scanners.images import nested, secret_files
from scanners.images.errors import BlobError, LimitError
from scanners.images.finds import Find
from scanners.images.limits import MIB, Limits
from scanners.images.tar import TarError
from scanners.model import Document, FileLocation, Fingerprinter
from scanners.positions import Lines, surroundings
from scanners.sources.pieces import Piece, pieces

if TYPE_CHECKING:
    from scanners.allow import Allow

_LARGE = 8 * MIB
_WIDEST = 1 * MIB
"""A file that is read by its path's own rules is smaller than this."""
_one_large = threading.Semaphore(1)
"""Of archives that are held in memory, one large one at a time."""

Problem = tuple[str, str, str]
"""A path, what could not be read there, and the way out."""


class Taker(Protocol):
    """Whom a file is read for."""

    def take(self, path: str, piece: Piece) -> None:
        """Judge a piece of what lies at a path, now or later."""
        ...

    def problem(self, where: str, what: str, hint: str) -> None:
        """Note what could not be read."""
        ...


class Judge:
    """Judges by one engine, so in one thread."""

    def __init__(
        self, engine: Callable[[], Engine], fingerprinter: Fingerprinter, limits: Limits, allow: Allow | None
    ) -> None:
        """Take the engine when the first piece is to be judged."""
        self._engine = engine
        self._fingerprinter = fingerprinter
        self._limits = limits
        self._allow = allow

    def file(
        self,
        path: str,
        read: Callable[[int], bytes],
        to: Taker,
        depth: int = 0,
        budget: nested.Budget | None = None,
    ) -> None:
        """Read one file, in the layer or in an archive of it.

        Raises:
            LimitError: the budget is spent.
            BlobError: or TarError: it cannot be read to its end.
        """
        head = read(1024)
        form = nested.kind(path, head) if depth < self._limits.depth else None
        if form is None:
            _bytes(path, _Ahead(head, read).read, to)
            return
        most = self._limits.nested
        body = head + read(min(_LARGE, most))
        if len(body) < min(_LARGE, most):
            self._archive(form, path, body, to, depth, budget)
            return
        with _one_large:
            body += read(max(0, most - len(body)) + 1)
            if len(body) <= self._limits.nested:
                self._archive(form, path, body, to, depth, budget)
                return
        to.problem(
            path,
            f"is an archive of more than {self._limits.nested // MIB} MiB and was judged without unpacking it",
            "unpack it and scan the folder: keylift scan files DIR",
        )
        _bytes(path, _Ahead(body, read).read, to)

    def _archive(self, form: str, path: str, body: bytes, to: Taker, depth: int, budget: nested.Budget | None) -> None:
        outermost = budget is None
        budget = budget or nested.Budget(len(body), self._limits)

        def problem(where: str, what: str) -> None:
            to.problem(f"/{where}", what, "see whether the file is damaged where it comes from")

        try:
            for member in nested.members(form, path, body, self._limits, problem, budget):
                try:
                    self.file(member.path, member.read, to, depth + 1, budget)
                except (BlobError, TarError) as error:
                    problem(member.path, f"cannot be unpacked whole: {getattr(error, 'why', '') or error}")
        except LimitError as error:
            if not outermost:
                raise
            to.problem(f"/{path}", f"{error.what}: {error.why}", error.hint)

    def piece(self, path: str, piece: Piece) -> list[Find]:
        """What a piece holds."""
        if not piece.data[:64].strip(b"\0") and not piece.data.strip(b"\0"):
            # Sparse files are zeros in a tar.
            return []
        engine = self._engine()
        matches = engine.scan(Document(piece.data, FileLocation(path, 1, 1), name=path.rpartition("/")[2]))
        special = secret_files.reader_of(path)
        if special is not None and not piece.line and len(piece.data) < _WIDEST:
            matches = secret_files.with_more(matches, special(piece.data), engine)
        if not matches:
            return []
        lines = Lines(piece.data)
        found = []
        for match in matches:
            if not piece.low <= match.start < piece.high:
                continue
            line, column = piece.place(*lines.at(match.start))
            status = "new"
            if self._allow is not None:
                around = surroundings(piece.data, match.start, match.end)
                status = self._allow.status(match.rule, path, *around, match.secret)
            found.append(Find.of(match, path, line, column, self._fingerprinter, status))
            if len(found) > self._limits.layer_findings:
                break
        return found

    # For copies of the process

    def items(self, items: Sequence[tuple[tuple[Any, ...], bytes]]) -> list[Made | None]:
        """What files and pieces hold, as `whole` and `part` describe them; None where there is nothing to tell."""
        return [self._item(about, data) for about, data in items]

    def _item(self, about: tuple[Any, ...], data: bytes) -> Made | None:
        path, *place = about
        made = _Here(self)
        if place:
            made.take(path, Piece(data, *place))
        else:
            self.file(path, io.BytesIO(data).read, made)
        return (made.finds, made.problems) if made.finds or made.problems else None


Made = tuple[list[Find], list[Problem]]


def whole(path: str) -> tuple[Any, ...]:
    """Says of bytes that they are a file."""
    return (path,)


def part(path: str, piece: Piece) -> tuple[Any, ...]:
    """Says of bytes that they are a piece of a file."""
    return (path, piece.low, piece.high, piece.line, piece.column)


@dataclass(slots=True)
class _Here:
    """Judges at once."""

    judge: Judge
    finds: list[Find] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def take(self, path: str, piece: Piece) -> None:
        self.finds += self.judge.piece(path, piece)

    def problem(self, where: str, what: str, hint: str) -> None:
        self.problems.append((where, what, hint))


def _bytes(path: str, read: Callable[[int], bytes], to: Taker) -> None:
    for piece in pieces(read):
        to.take(path, piece)


class _Ahead:
    """A reading function with bytes before it that were read already."""

    def __init__(self, head: bytes, read: Callable[[int], bytes]) -> None:
        self._head = head
        self._read = read

    def read(self, size: int) -> bytes:
        if not self._head:
            return self._read(size)
        head, self._head = self._head[:size], self._head[size:]
        return head + self._read(size - len(head)) if len(head) < size else head
