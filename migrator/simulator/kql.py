"""The part of the Kusto language that Resource Graph inventories are written in, parsed and run.

A query is a table and a pipeline: `where`, `project`, `project-away`, `extend`, `order by`, `limit`, `top`, `count`,
`distinct`, `summarize count() by`, `mv-expand` (learn.microsoft.com/azure/governance/resource-graph/concepts/query-language).
Everything else is refused with the place where it stands, never ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from migrator.simulator.kql_expressions import Parser, QueryError, Value, text_of

Row = Mapping[str, Any]
Source = Callable[[str], "Table | None"]


@dataclass(slots=True)
class Table:
    """Rows with the columns they have."""

    columns: list[str]
    rows: list[Row]


def run(query: str, source: Source, *, default: str = "resources") -> Table:
    """Answer a query; `source` gives a table by its lower-case name, or None if there is no such table.

    Raises:
        QueryError: the query is not understood.
    """
    parser = Parser(query)
    table: Table | None = None
    if parser.peek.kind == "word" and parser.ahead(1) in {"|", ""}:
        token = parser.take()
        table = source(token.text.lower())
        if table is None:
            raise QueryError(f"unknown table '{token.text}'", token)
        if parser.peek.kind == "end":
            return table
        parser.expect("|")
    table = table or source(default)
    if table is None:
        raise QueryError("a table is expected", parser.peek)
    while True:
        table = _operator(parser, table)
        if parser.peek.kind == "end":
            return table
        parser.expect("|")


def _operator(parser: Parser, table: Table) -> Table:
    token = parser.take()
    handler = _OPERATORS.get(token.text.lower()) if token.kind == "word" else None
    if handler is None:
        raise QueryError(f"unknown operator '{token.text}'", token)
    parser.columns = table.columns
    return handler(parser, table)


def _where(parser: Parser, table: Table) -> Table:
    test = parser.expression()
    return Table(table.columns, [row for row in table.rows if test(row) is True])


def _named(parser: Parser) -> tuple[str, Value]:
    """`name = expression`, a column, or a path, which is named by its words joined with `_`."""
    if parser.peek.kind == "word" and parser.ahead(1) == "=":
        name = parser.take().text
        parser.take()
        return name, parser.expression()
    start = parser.position
    value = parser.expression()
    words = [token.text for token in parser.tokens[start : parser.position] if token.kind == "word"]
    return "_".join(words) or f"Column{start}", value


def _list(parser: Parser) -> list[tuple[str, Value]]:
    found = [_named(parser)]
    while parser.peek.text == ",":
        parser.take()
        found.append(_named(parser))
    return found


def _project(parser: Parser, table: Table) -> Table:
    chosen = _list(parser)
    return Table([name for name, _ in chosen], [{name: value(row) for name, value in chosen} for row in table.rows])


def _project_away(parser: Parser, table: Table) -> Table:
    gone = {parser.column()}
    while parser.peek.text == ",":
        parser.take()
        gone.add(parser.column())
    kept = [name for name in table.columns if name not in gone]
    return Table(kept, [{name: row[name] for name in kept} for row in table.rows])


def _extend(parser: Parser, table: Table) -> Table:
    rows, columns = table.rows, table.columns
    while True:
        parser.columns = columns
        name, value = _named(parser)
        rows = [_Extended(row, name, value(row)) for row in rows]
        columns = columns if name in columns else [*columns, name]
        if parser.peek.text != ",":
            return Table(columns, rows)
        parser.take()


class _Extended(dict[str, Any]):
    """A row with one column more; the others are asked for only when they are needed."""

    def __init__(self, row: Row, name: str, value: Any) -> None:
        super().__init__({name: value})
        self._row = row

    def __missing__(self, name: str) -> Any:
        return self._row[name]


def _order(parser: Parser, table: Table) -> Table:
    parser.word("by")
    rows = table.rows
    keys = [_key(parser)]
    while parser.peek.text == ",":
        parser.take()
        keys.append(_key(parser))
    for value, descending in reversed(keys):
        rows = sorted(rows, key=lambda row, value=value: _rank(value(row)), reverse=descending)  # type: ignore[misc] # mypy cannot type a lambda with a default
    return Table(table.columns, rows)


def _key(parser: Parser) -> tuple[Value, bool]:
    value = parser.expression()
    descending = True
    if parser.peek.text.lower() in {"asc", "desc"}:
        descending = parser.take().text.lower() == "desc"
    return value, descending


def _rank(value: Any) -> tuple[int, Any]:
    """Order over everything: nothing, numbers, text."""
    if value is None:
        return 0, 0
    if isinstance(value, bool | int | float):
        return 1, value
    return 2, text_of(value)


def _limit(parser: Parser, table: Table) -> Table:
    return Table(table.columns, table.rows[: parser.number()])


def _top(parser: Parser, table: Table) -> Table:
    count = parser.number()
    ordered = _order(parser, table)
    return Table(ordered.columns, ordered.rows[:count])


def _count(_parser: Parser, table: Table) -> Table:
    return Table(["Count"], [{"Count": len(table.rows)}])


def _distinct(parser: Parser, table: Table) -> Table:
    if parser.peek.text == "*":
        parser.take()
        chosen: list[tuple[str, Value]] = [(name, lambda row, name=name: row[name]) for name in table.columns]  # type: ignore[misc] # mypy cannot type a lambda with a default
    else:
        chosen = _list(parser)
    seen: dict[tuple[str, ...], Row] = {}
    for row in table.rows:
        values = {name: value(row) for name, value in chosen}
        seen.setdefault(tuple(text_of(value) for value in values.values()), values)
    return Table([name for name, _ in chosen], list(seen.values()))


def _summarize(parser: Parser, table: Table) -> Table:
    """`summarize [name =] count() by columns`."""
    name = "count_"
    if parser.ahead(1) == "=":
        name = parser.take().text
        parser.take()
    token = parser.take()
    if token.text != "count":
        raise QueryError(f"unknown aggregation '{token.text}'", token)
    parser.expect("(")
    parser.expect(")")
    groups: list[tuple[str, Value]] = []
    if parser.peek.text.lower() == "by":
        parser.take()
        groups = _list(parser)
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in table.rows:
        values = {group: value(row) for group, value in groups}
        entry = found.setdefault(tuple(text_of(value) for value in values.values()), {**values, name: 0})
        entry[name] += 1
    if not groups:
        return Table([name], list(found.values()) or [{name: 0}])
    return Table([*(group for group, _ in groups), name], list(found.values()))


def _mv_expand(parser: Parser, table: Table) -> Table:
    name, value = _named(parser)
    rows: list[Row] = []
    for row in table.rows:
        found = value(row)
        parts = found if isinstance(found, list) else [{key: one} for key, one in (found or {}).items()]
        rows += [_Extended(row, name, part) for part in parts or [None]]
    return Table(table.columns if name in table.columns else [*table.columns, name], rows)


_OPERATORS: dict[str, Callable[[Parser, Table], Table]] = {
    "where": _where,
    "filter": _where,
    "project": _project,
    "project-away": _project_away,
    "extend": _extend,
    "order": _order,
    "sort": _order,
    "limit": _limit,
    "take": _limit,
    "top": _top,
    "count": _count,
    "distinct": _distinct,
    "summarize": _summarize,
    "mv-expand": _mv_expand,
    "mvexpand": _mv_expand,
}
