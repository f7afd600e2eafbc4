"""The judged rule: whether a value under a name is a secret, by what the name says and what the value looks like.

Patterns know the formats that somebody published. Everything else is a name that promises a secret and a value that is
neither a placeholder, a reference, an id, an address nor a plain word. Where a value was found matters: in a live
environment a name is the truth and a short password still opens a door; on the right-hand side of source code most bare
words are symbols.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from scanners.model import Confidence
from scanners.names import Kind, Name, judge_name, words_of
from scanners.placeholders import code, default_of, placeholder, sequential
from scanners.shapes import Shape, classes_of, random_looking, shape_of, wordy
from scanners.words import SECRET_WORDS, WELL_KNOWN


class Form(StrEnum):
    """How a value was written."""

    LIVE = "live"
    """A property of a running resource: no syntax, no symbols, the value as the program reads it."""
    QUOTED = "quoted"
    BARE = "bare"
    """Without quotes: it may be a symbol of a language."""
    ARGUMENT = "argument"
    """After an option of a command."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A value that is a secret by its name."""

    kind: Kind
    confidence: Confidence
    weak: bool = False


TITLES = {
    Kind.PASSWORD: "Password in plain text",
    Kind.SECRET: "Secret in plain text",
    Kind.TOKEN: "Token in plain text",
    Kind.KEY: "Key in plain text",
    Kind.CONNECTION: "Connection string in plain text",
}


_NEVER = frozenset(
    {Shape.BOOLEAN, Shape.URL, Shape.PATH, Shape.IMAGE, Shape.EMAIL, Shape.TIME, Shape.VERSION, Shape.JSON}
)
_SYMBOL = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][\w$]*)*[!;,]?")
_CALL = re.compile(r"[\w.$:]*[A-Za-z_]\w*[(\[].*|.*\)\s*[;,]?\Z")


def judge(name: str, value: str, form: Form) -> Judgement | None:
    """Whether `value` under `name` is a secret, and how sure that is; None when it is not.

    The formats that prove themselves are the rules' business; a connection string is one of them.
    """
    said = judge_name(name)
    if said.kind in (Kind.OTHER, Kind.INGESTION):
        return None
    text = value.strip()
    literal = default_of(text)
    if literal is not None:
        return judge(name, literal, Form.QUOTED if form is Form.BARE else form)
    if not 4 <= len(text) <= 4096 or placeholder(text) or _names_itself(said, text):
        return None
    if form is Form.BARE and (code(text) or _CALL.fullmatch(text)):
        return None
    shape = shape_of(text)
    if shape in _NEVER:
        return None
    if said.kind is Kind.PASSWORD:
        return _password(said, text, shape, form)
    return _opaque(said, text, shape, form)


def well_known(value: str) -> bool:
    """Whether a value is a password that everybody knows."""
    return value.lower() in WELL_KNOWN


def _password(said: Name, text: str, shape: Shape, form: Form) -> Judgement | None:
    if well_known(text):
        weak = Judgement(Kind.PASSWORD, Confidence.MEDIUM if form is Form.LIVE else Confidence.LOW, weak=True)
        return weak if said.certain else None
    if shape is Shape.PROSE:
        return Judgement(Kind.PASSWORD, Confidence.MEDIUM) if form is Form.LIVE and said.certain else None
    strong = random_looking(text, least=12) or (len(text) >= 8 and classes_of(text) >= 3)
    if not said.certain:
        return Judgement(Kind.PASSWORD, Confidence.MEDIUM) if random_looking(text, least=12) else None
    if strong:
        return Judgement(Kind.PASSWORD, Confidence.HIGH)
    if form is Form.LIVE:
        return None if shape is Shape.HOST and "." in text else Judgement(Kind.PASSWORD, Confidence.MEDIUM)
    if shape in (Shape.HOST, Shape.NUMBER) and not (shape is Shape.NUMBER and len(text) >= 6 and text.isdigit()):
        return None
    if form is Form.BARE and _SYMBOL.fullmatch(text) and not any(c.isdigit() for c in text):
        return None
    if " " in text:
        return None
    mixed = classes_of(text) >= 2
    if not mixed and (len(text) < 6 or shape is Shape.WORDS):
        # One lower-case word in a file is as often the name of a thing as a password.
        return Judgement(Kind.PASSWORD, Confidence.LOW) if len(text) >= 6 and form is not Form.BARE else None
    if shape is Shape.WORDS and not any(c.isdigit() for c in text):
        return None
    return Judgement(Kind.PASSWORD, Confidence.MEDIUM)


def _opaque(said: Name, text: str, shape: Shape, form: Form) -> Judgement | None:
    if shape is Shape.GUID:
        sure = said.certain and said.kind in (Kind.SECRET, Kind.TOKEN, Kind.KEY)
        return Judgement(said.kind, Confidence.MEDIUM) if sure else None
    if shape is not Shape.OPAQUE or " " in text:
        return None
    least = 16 if said.kind is Kind.KEY else 12
    if not said.certain:
        least = 20
    if random_looking(text, least=least):
        confident = said.certain and len(text) >= 20 and not sequential(text)
        return Judgement(said.kind, Confidence.HIGH if confident else Confidence.MEDIUM)
    if not said.certain or said.kind in (Kind.KEY, Kind.CONNECTION):
        return None
    if form is Form.BARE and _SYMBOL.fullmatch(text):
        return None
    if len(text) >= 8 and classes_of(text) >= 3 and any(c.isdigit() for c in text) and not wordy(text):
        return Judgement(said.kind, Confidence.MEDIUM)
    if form is Form.LIVE and len(text) >= 8 and classes_of(text) >= 2 and not wordy(text):
        return Judgement(said.kind, Confidence.MEDIUM)
    return None


def _names_itself(said: Name, text: str) -> bool:
    """Whether a value only repeats its name or says that it is a secret: `db-password`, `supersecretkey`."""
    if well_known(text) or any(c.isdigit() for c in text[:-2]) or not re.fullmatch(r"[A-Za-z0-9_.\- :/]+", text):
        return False
    words = [word for word in words_of(text) if not word.isdigit()]
    return bool(words) and all(word in SECRET_WORDS or word in said.words for word in words)
