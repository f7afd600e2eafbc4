"""What a value looks like: an id, a number, an address, a path, words, or something made to be hard to guess."""

from __future__ import annotations

import re
from enum import StrEnum

from scanners.entropy import shannon
from scanners.lazy import lazily


class Shape(StrEnum):
    """The plain things a value can be; `OPAQUE` is what is left."""

    GUID = "guid"
    NUMBER = "number"
    BOOLEAN = "boolean"
    URL = "url"
    HOST = "host"
    PATH = "path"
    IMAGE = "image"
    EMAIL = "email"
    TIME = "time"
    VERSION = "version"
    JSON = "json"
    WORDS = "words"
    """Lower-case words joined by dashes, dots or underscores: how things are named."""
    PROSE = "prose"
    OPAQUE = "opaque"


GUID = lazily(r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?")
_SHAPES: tuple[tuple[Shape, re.Pattern[str]], ...] = (
    (Shape.GUID, GUID),
    (Shape.BOOLEAN, lazily(r"(?i)true|false|yes|no|on|off|enabled?|disabled?|null|none")),
    (Shape.NUMBER, lazily(r"[-+]?[0-9][0-9_,.]*%?|0x[0-9a-fA-F]{1,8}")),
    (Shape.TIME, lazily(r"\d+(?:\.\d+)?\s?(?:ms|s|m|h|d|w|y|sec|min|mb|gb|kb|mi|gi|ki|%|px)|P(?:T?\d+[YMWDHS])+|\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-][\d:]+)?)?|\d\d:\d\d(?::\d\d)?", re.IGNORECASE)),
    (Shape.VERSION, lazily(r"(?:[~^]|[<>=]=?)?v?\d+\.\d+(?:\.\d+)*(?:[-+][\w.]+)?|(?=[<>=~^!])(?:[<>=~^!]{1,2} ?v?\d+(?:\.[\dx*]+)*(?:[-+][\w.]+)?(?: ?[|,]{1,2} ?| |$))+")),
    (Shape.URL, lazily(r"[a-zA-Z][a-zA-Z0-9+.-]*://\S+|(?:mailto|urn|data|api):\S+")),
    (Shape.EMAIL, lazily(r"[\w.+-]+@[\w-]+\.[\w.-]+")),
    (Shape.PATH, lazily(r"~?/[\w.@+-]+(?:/[\w.@+ -]*)+|~?/(?:[\w-]+\.)?[\w-]{1,20}|/[A-Z]?[a-z]{2,}(?:/[\w=@.-]*){2,}|\.{1,2}/\S+|[A-Za-z]:\\\S*|\\\\\S+|[\w.-]+(?:/[\w.-]+)+\.[a-z]{2,5}|[\w-]+\.(?:pem|crt|cer|key|pfx|p12|json|ya?ml|txt|xml|conf|cfg|ini|env|py|js|ts|cs|go|sh|md|html|csv|log|db|jks|ppk|pub|properties|toml)")),
    (Shape.IMAGE, lazily(r"(?:[\w-]+(?:\.[\w-]+)+(?::\d+)?/)?[a-z0-9][\w-]*(?:/[a-z0-9][\w.-]*)*(?::[\w][\w.-]{0,60})?@sha256:[0-9a-f]{64}|[\w-]+(?:\.[\w-]+)+(?::\d+)?/[\w./-]+(?::[\w.-]+)?|[a-z][\w-]*(?:/[a-z][\w-]*)+:[\w.-]{1,30}")),
    (Shape.HOST, lazily(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+(?:com|net|org|io|dev|app|cn|de|uk|us|eu|local|internal|azure|windows|svc|cluster|cloud|ai|co|localhost|test|info|ms)(?:\.[a-z]{2,8})*\.?(?::\d{1,5})?|localhost(?::\d+)?|\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?|[a-z][\w-]*:\d{2,5}")),
)  # fmt: skip
# Each part begins in one way only, so that a failing match does not try them all in all ways.
_SEPARATED = lazily(r"[a-z]+[0-9]{0,4}(?:[-_./:, ](?:[a-z]+[0-9]{0,4}|[0-9][a-z0-9]{0,2}))*", re.IGNORECASE)
_NAME = lazily(r"[a-z]{2,}[0-9]{0,3}(?:-(?:[a-z]{2,}[0-9]{0,3}|[0-9]+))+")
"""How resources are called: `cmp2-qat-1208358310`."""
_PROSE = lazily(r"\A[A-Za-z,.;:!?'()-]+(?:(?: [A-Za-z0-9,.;:!?'()-]+){2,}| [A-Za-z]+[.!?:]*)\Z")
_HEX = lazily(r"[0-9a-f]+|[0-9A-F]+")
_BETWEEN = lazily(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_NUMBERED = lazily(r"[0-9]{1,4}\Z")
_NO_SYLLABLES = lazily(r"[^aeiouy]{5}|[aeiou]{5}")
_BASE64ISH = lazily(r"[A-Za-z0-9+/_.~=-]+")


def shape_of(value: str) -> Shape:
    """The plainest thing a value can be read as."""
    for shape, pattern in _SHAPES:
        if pattern.fullmatch(value):
            return shape
    if value[:1] in "{[" and value[-1:] in "}]":
        return Shape.JSON
    if _PROSE.match(value) or _sentence(value):
        return Shape.PROSE
    if _NAME.fullmatch(value) or (_SEPARATED.fullmatch(value) and wordy(value)):
        return Shape.WORDS
    return Shape.OPAQUE


_WORD_OF_MANY = lazily(r"[.,:;!?'\"()]*[^\W\d_]+(?:[-:/][a-z]+)*(?:-\d{1,3})?[.,:;!?'\"()]*")
"""A word of a sentence, or of a list of classes: `bg-blue-50`."""


def _sentence(value: str) -> bool:
    """Whether most of several words are words: `Password must be 8+ characters long`, `text-sm font-bold mt-4`."""
    parts = value.split(" ")
    return len(parts) > 2 and 3 * sum(_WORD_OF_MANY.fullmatch(part) is not None for part in parts) >= 2 * len(parts)


def classes_of(value: str) -> int:
    """How many of lower case, upper case, digits and everything else a value draws on."""
    return (
        any(map(str.islower, value))
        + any(map(str.isupper, value))
        + any(map(str.isdigit, value))
        + (value != "" and not value.isalnum())
    )


def wordy(value: str) -> bool:
    """Whether every part of a value reads as a word or a short number: vowels where a language has them."""
    parts = [part for part in _BETWEEN.split(value) if part]
    letters = [_NUMBERED.sub("", part) for part in parts]
    return all(_pronounceable(part) for part in letters)


def _pronounceable(part: str) -> bool:
    if len(part) <= 4:
        return part.isalpha() or not part
    if not part.isalpha():
        return False
    low = part.lower()
    vowels = sum(low.count(vowel) for vowel in "aeiouy")
    return 0.14 <= vowels / len(low) <= 0.7 and not _NO_SYLLABLES.search(low)


_PIECE = lazily(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HUMP = lazily(r"[a-z0-9](?=[A-Z])|_(?=[A-Z][a-z])")
_IDENTIFIER = lazily(r"[A-Za-z_$][\w$]*(?:(?:[.:/-]|::|->)[A-Za-z_$][\w$]*)*")


def identifier(value: str, *, least: int = 3) -> bool:
    """Whether a value reads as a name in a program: words written together, most of it words, whatever numbers are in it.

    Args:
        value: the value.
        least: of how many words it must be made.
    """
    if not _IDENTIFIER.fullmatch(value) or len(_HUMP.findall(value)) < least - 1:
        return False
    pieces = _PIECE.findall(value)
    spoken = [len(piece) for piece in pieces if len(piece) >= 3 and piece.isalpha() and _spoken(piece)]
    letters = sum(len(piece) for piece in pieces if piece.isalpha())
    few = sum(map(str.isdigit, value)) <= 0.3 * len(value)
    return few and len(spoken) >= least and sum(spoken) >= 0.7 * letters


def _spoken(piece: str) -> bool:
    """Whether letters are a word, short ones included: with a vowel, and no heap of consonants."""
    return any(c in "aeiouy" for c in piece.lower()) and _pronounceable(piece)


def random_looking(value: str, *, least: int = 16) -> bool:
    """Whether a value of one token reads as made by a machine: hex, base64 or a mix, long and surprising enough."""
    if len(value) < least or not _BASE64ISH.fullmatch(value):
        return False
    digits = sum(map(str.isdigit, value))
    if _HEX.fullmatch(value):
        return 2 <= digits < len(value) and shannon(value) >= 2.7
    if not digits and not (classes_of(value) >= 2 and len(value) >= 20 and not wordy(value)):
        return False
    return shannon(value) >= 3.0 and not wordy(value)
