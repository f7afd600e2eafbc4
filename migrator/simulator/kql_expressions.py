"""Words, values and conditions of Kusto queries: from text to functions of a row."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = Callable[[Mapping[str, Any]], Any]

_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<text>@?'(?:[^'\\]|\\.)*'|@?"(?:[^"\\]|\\.)*")
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<word>(?:project-away|mv-expand)(?![\w])|[A-Za-z_$][\w]*)
    |(?P<mark>==|!=|=~|!~|<=|>=|[=<>!|,.()\[\]{}*+\-/%~:;])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, text or mark of a query, and where it stands (from 1, from 0)."""

    kind: str
    text: str
    line: int
    column: int


class QueryError(ValueError):
    """A query that is not understood, and where."""

    def __init__(self, message: str, token: Token) -> None:
        """Keep the place."""
        super().__init__(message)
        self.token = token


def tokens_of(query: str) -> list[Token]:
    """The tokens of a query, with one of kind `end` last.

    Raises:
        QueryError: a character belongs to no token.
    """
    found: list[Token] = []
    position, line, start = 0, 1, 0
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            raise QueryError("unexpected character", Token("mark", query[position], line, position - start))
        kind, text = str(match.lastgroup), match[0]
        if kind != "space":
            found.append(Token(kind, text, line, position - start))
        if newlines := text.count("\n"):
            line += newlines
            start = position + text.rindex("\n") + 1
        position = match.end()
    return [*found, Token("end", "<EOF>", line, position - start)]


def text_of(value: Any) -> str:
    """A value as text, as `tostring` gives it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), sort_keys=False)


def _literal(token: Token) -> str:
    if token.text.startswith("@"):
        return token.text[2:-1]
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), token.text[1:-1])


def _fold(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: test(text_of(left).lower(), text_of(right).lower())


def _plain(test: Callable[[str, str], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: test(text_of(left), text_of(right))


def _not(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda left, right: not test(left, right)


def _has(left: str, right: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(right)}(?![A-Za-z0-9])", left) is not None


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return text_of(left) == text_of(right)
    return bool(left == right)


def _compared(how: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return False
        numbers = all(isinstance(side, int | float) for side in (left, right))
        return how(left, right) if numbers else how(text_of(left), text_of(right))

    return test


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": _not(_same),
    "=~": _fold(operator.eq),
    "!~": _not(_fold(operator.eq)),
    "<": _compared(operator.lt),
    "<=": _compared(operator.le),
    ">": _compared(operator.gt),
    ">=": _compared(operator.ge),
    "contains": _fold(operator.contains),
    "contains_cs": _plain(operator.contains),
    "startswith": _fold(str.startswith),
    "startswith_cs": _plain(str.startswith),
    "endswith": _fold(str.endswith),
    "endswith_cs": _plain(str.endswith),
    "has": _fold(_has),
    "has_cs": _plain(_has),
}
_NEGATABLE = {"contains", "contains_cs", "startswith", "startswith_cs", "endswith", "endswith_cs", "has", "has_cs"}


def _number(value: Any) -> int | None:
    try:
        return int(float(text_of(value)))
    except ValueError:
        return None


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


_FUNCTIONS: dict[str, tuple[int, int, Callable[..., Any]]] = {
    "tolower": (1, 1, lambda value: text_of(value).lower()),
    "toupper": (1, 1, lambda value: text_of(value).upper()),
    "tostring": (1, 1, text_of),
    "toint": (1, 1, _number),
    "tolong": (1, 1, _number),
    "tobool": (1, 1, lambda value: {"true": True, "false": False}.get(text_of(value).lower())),
    "isempty": (1, 1, lambda value: value is None or value == ""),
    "isnotempty": (1, 1, lambda value: value is not None and value != ""),
    "isnull": (1, 1, lambda value: value is None),
    "isnotnull": (1, 1, lambda value: value is not None),
    "not": (1, 1, lambda value: None if value is None else not value),
    "strcat": (1, 64, lambda *values: "".join(text_of(value) for value in values)),
    "strlen": (1, 1, lambda value: len(text_of(value))),
    "split": (2, 2, lambda value, mark: text_of(value).split(text_of(mark))),
    "array_length": (1, 1, lambda value: len(value) if isinstance(value, list) else None),
    "coalesce": (1, 64, lambda *values: next((value for value in values if value not in (None, "")), None)),
    "iff": (3, 3, lambda test, yes, no: yes if test is True else no),
    "iif": (3, 3, lambda test, yes, no: yes if test is True else no),
    "parse_json": (1, 1, _parsed),
    "todynamic": (1, 1, _parsed),
    "bag_keys": (1, 1, lambda value: list(value) if isinstance(value, dict) else None),
}


class Parser:
    """Reads tokens one by one; `columns` are the names that may be used at this point."""

    def __init__(self, query: str) -> None:
        """Split the query into tokens."""
        self.tokens = tokens_of(query)
        self.position = 0
        self.columns: list[str] = []

    @property
    def peek(self) -> Token:
        """The next token."""
        return self.tokens[self.position]

    def ahead(self, count: int) -> str:
        """The text of a later token; empty at the end."""
        place = min(self.position + count, len(self.tokens) - 1)
        return "" if self.tokens[place].kind == "end" else self.tokens[place].text

    def take(self) -> Token:
        """The next token, which is used up."""
        token = self.tokens[self.position]
        if token.kind != "end":
            self.position += 1
        return token

    def expect(self, text: str) -> Token:
        """The next token, which must be `text`."""
        token = self.take()
        if token.text != text:
            raise QueryError(f"'{text}' is expected", token)
        return token

    def word(self, text: str) -> None:
        """Use up a keyword."""
        token = self.take()
        if token.text.lower() != text:
            raise QueryError(f"'{text}' is expected", token)

    def number(self) -> int:
        """A whole number."""
        token = self.take()
        if token.kind != "number" or not token.text.isdigit():
            raise QueryError("a number is expected", token)
        return int(token.text)

    def column(self) -> str:
        """The name of a column that exists."""
        token = self.take()
        if token.kind != "word" or token.text not in self.columns:
            raise QueryError(f"unknown column '{token.text}'", token)
        return token.text

    def expression(self) -> Value:
        """A value or condition, down to `or`."""
        parts = [self._all()]
        while self.peek.kind == "word" and self.peek.text == "or":
            self.take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) is True for part in parts)

    def _all(self) -> Value:
        parts = [self._comparison()]
        while self.peek.kind == "word" and self.peek.text == "and":
            self.take()
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) is True for part in parts)

    def _comparison(self) -> Value:
        left = self._value()
        token = self.peek
        negated = token.text == "!"
        word = self.ahead(1) if negated else token.text
        if word == "in":
            return self._membership(left, negated=negated)
        if negated and word not in _NEGATABLE:
            raise QueryError("a comparison is expected", token)
        test = _COMPARISONS.get(word) if token.kind in {"mark", "word"} else None
        if test is None:
            return left
        self.take()
        if negated:
            self.take()
            test = _not(test)
        right = self._value()
        return lambda row: test(left(row), right(row))

    def _membership(self, left: Value, *, negated: bool) -> Value:
        if negated:
            self.take()
        self.take()
        fold = self.peek.text == "~"
        if fold:
            self.take()
        self.expect("(")
        values = self._arguments()
        same = _COMPARISONS["=~"] if fold else _same
        return lambda row: any(_within(left(row), value(row), same) for value in values) != negated

    def _arguments(self) -> list[Value]:
        values: list[Value] = []
        while self.peek.text != ")":
            values.append(self.expression())
            if self.peek.text != ")":
                self.expect(",")
        self.take()
        return values

    def _value(self) -> Value:
        value = self._primary()
        while self.peek.text in {".", "["}:
            if self.take().text == ".":
                token = self.take()
                if token.kind != "word":
                    raise QueryError("a name is expected", token)
                value = _member(value, token.text)
                continue
            token = self.take()
            if token.kind not in {"number", "text"}:
                raise QueryError("a number or a name in quotes is expected", token)
            value = _member(value, int(token.text) if token.kind == "number" else _literal(token))
            self.expect("]")
        return value

    def _primary(self) -> Value:
        token = self.take()
        if token.kind == "text":
            text = _literal(token)
            return lambda _row: text
        if token.kind == "number":
            number = float(token.text) if "." in token.text else int(token.text)
            return lambda _row: number
        if token.text == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if token.kind != "word":
            raise QueryError("a value is expected", token)
        if self.peek.text == "(":
            return self._call(token)
        if token.text in {"true", "false"}:
            truth = token.text == "true"
            return lambda _row: truth
        if token.text not in self.columns:
            raise QueryError(f"unknown column '{token.text}'", token)
        name = token.text
        return lambda row: row[name]

    def _call(self, token: Token) -> Value:
        self.take()
        values = self._arguments()
        fewest, most, function = _FUNCTIONS.get(token.text, (1, 0, None))
        if function is None:
            raise QueryError(f"unknown function '{token.text}'", token)
        if not fewest <= len(values) <= most:
            raise QueryError(f"'{token.text}' does not take {len(values)} arguments", token)
        return lambda row: function(*(value(row) for value in values))


def _within(value: Any, wanted: Any, same: Callable[[Any, Any], bool]) -> bool:
    return any(same(value, one) for one in wanted) if isinstance(wanted, list) else same(value, wanted)


def _member(value: Value, name: str | int) -> Value:
    def member(row: Mapping[str, Any]) -> Any:
        found = value(row)
        if isinstance(name, int):
            return found[name] if isinstance(found, list) and name < len(found) else None
        return found.get(name) if isinstance(found, dict) else None

    return member
