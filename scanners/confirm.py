"""From what a pattern matched to a match: checksum, entropy, placeholder, stop rules and judge."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from scanners import checksums
from scanners.entropy import shannon
from scanners.judge import TITLES, Form, judge, may_be_secret, of_a_test, well_known
from scanners.lazy import lazily
from scanners.matches import Confidence, Match, Origin, Secret, reveal
from scanners.names import Kind, judge_name
from scanners.placeholders import blanked, code, default_of, placeholder, reference, sequential
from scanners.published import emulator, published
from scanners.ruleset import Rule
from scanners.shapes import classes_of, random_looking
from scanners.validity import VALID
from scanners.words import words

_REST = lazily(rb"[^\s\"'`<>]*")
"""What follows a match in the same word: the host after `user:password@`, the server after a password."""
_IN_NAMES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.$:-"
_LOWER = {Confidence.HIGH: Confidence.MEDIUM, Confidence.MEDIUM: Confidence.LOW, Confidence.LOW: Confidence.LOW}
_NAME = 24
"""Characters that the name of a user has at most."""
_LONG = 160
"""Characters that nobody makes up."""
_LOCAL = lazily(
    r"(?i)\blocalhost\b|\b127\.0\.0\.1\b|\[::1\]|\b0\.0\.0\.0\b|host\.docker\.internal|\blocaldb\b|devstoreaccount1|UseDevelopmentStorage"
)

_SAMPLE_HOST = lazily(
    r"(?i)@(?:[\w-]+\.)*(?:example\.(?:com|org|net|edu)|\w+\.example|(?:foo|bar|foobar)\.(?:com|org|net)|host|hostname|server|your[\w.-]+)(?=[:/?\s\"'`)\\]|\Z)"
)
_SAMPLE_URL = lazily(rb"https?://(?:[\w-]+\.)*(?:example\.(?:com|org|net|edu)|[\w-]+\.example)[^\s\"'`]{0,200}\Z")
"""Hosts that documentation writes about (RFC 2606), and stand-ins for one."""

_FEW_WORDS = lazily(rb"[A-Za-z_. -]{1,19}")
"""Too few letters to be anything but words, which `judge` takes for no secret where no password is asked for."""

_Told = tuple[str, bytes, bytes, bytes, bytes]
_TURNED_DOWN: set[_Told | None] = set()
"""What was judged and no secret: a rule, and name and value as they stand, each with the byte before it."""
_REMEMBERED = 16_384
_PUBLIC_HOST = lazily(
    r"(?i)(?:@|(?:server|host|source|addr(?:ess)?)\s?=\s?(?:tcp:)?)(?!10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|example\.)(?![\w.-]+\.(?:local|internal|svc|localdomain|test|invalid)\b)[\w-]+\.[\w.-]+"
)
"""A host that others can reach: there even a password that everybody knows is one to change."""


_TABLE = 8
"""Values under one name from which on they are a table's, under names that ids and samples have, too."""
_COLUMNS = frozenset({Kind.KEY, Kind.TOKEN})
"""Not passwords and client secrets: a file of settings has one of the same name for each of its services and users."""
_RECORD = 20
"""Values of one form from which on they are what somebody recorded or made up in a row."""
_RECORDED = words("azure-sas-token azure-messaging-sas-token jwt jwt-base64 authorization-header aws-session-token")
"""Forms that run out by themselves, as records of requests hold many. Keys of accounts do not: a state of Terraform is full of
them, and they all open something."""


class Candidate(NamedTuple):
    """A match and what decides when several rules want the same bytes."""

    match: Match
    rank: int
    name_start: int
    """Where the name begins that the value was judged by, or the value's own start."""
    column: tuple[str, int] | None = None
    """What a table or a record would hold many of, and from how many on it is one; None for what is a secret each time."""


@lru_cache(maxsize=512)
def _compiled_text(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def text_of(data: bytes) -> str:
    """Bytes as text: UTF-8, or Latin-1, which takes everything."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def judged(rule: Rule, data: bytes, hit: re.Match[bytes]) -> Candidate | None:
    """What a match of a rule is worth; None when it is no secret."""
    group = rule.group
    start, end = hit.span(group)
    while start == -1 and group < hit.re.groups:
        # One value, written in one of several ways: the group that took part is the value.
        group += 1
        start, end = hit.span(group)
    if start in (-1, end):
        return None
    told: _Told | None = None
    name_start, written, before = start, b"", b""
    if rule.judge:
        written = rule.named.encode()
        if not written:
            name_start = _name_start(data, hit.start(rule.name_group))
            written, before = data[name_start : hit.end(rule.name_group)], data[name_start - 1 : name_start]
        asked = _asked(written)
        if asked is None or (
            asked is not Kind.PASSWORD and rule.judge != Form.LIVE and _FEW_WORDS.fullmatch(data, start, end)
        ):
            return None
        told = (rule.id, before, written, data[start - 1 : start], data[start:end])
        if told in _TURNED_DOWN:
            return None
    value = text_of(data[start:end])
    literal = None if rule.judge else default_of(value)
    if literal:
        # `Password=${PW:-literal}`: nobody sets the variable, so the literal is the value.
        start = data.index(literal.encode(), start)
        end, value = start + len(literal.encode()), literal
    confidence, severity, title, detail, verified = rule.confidence, rule.severity, rule.title, None, None
    weak = False
    column = (rule.id, _RECORD) if rule.id in _RECORDED else None
    if rule.judge:
        # `?key=` of an address is the key of whoever calls it; elsewhere a key alone may be any.
        name = "api key" if written == b"key" and before in (b"?", b"&") else text_of(written)
        fit = not _unfit(rule, value, verified=False)
        verdict = judge(name, value, _form(rule, data, start)) if fit else None
        if verdict is None:
            _turn_down(told)
            return None
        if rule.name_group and _listed(data, hit.end(rule.name_group), start, name_start) and not _by_chance(value):
            return None
        if _BADGE.search(data, max(0, start - 240), start):
            return None
        confidence, weak, title = verdict.confidence, verdict.weak, TITLES[verdict.kind]
        weak = weak or _described(data, start)
        if verdict.kind in _COLUMNS:
            column = (f"{rule.id} {name.lower()}", _TABLE)
    elif rule.checksum:
        proof = checksums.verify(rule.checksum, value)
        if proof is None:
            confidence = _LOWER[confidence]
        else:
            verified, detail = "checksum", proof.detail
    if not rule.judge and _unfit(rule, value, verified=verified is not None):
        return None
    whole = text_of(hit.group(0))
    if not all(_compiled_text(need).search(whole) for need in rule.needs):
        return None
    weak = weak or emulator(value)
    if not weak:
        rest = _REST.match(data, hit.end(), hit.end() + 200)
        around = whole + text_of(rest[0] if rest else b"")
        weak = (
            bool(_LOCAL.search(around) or _SAMPLE_HOST.search(around))
            or _SAMPLE_URL.search(data, max(0, start - 240), start) is not None
            or any(_compiled_text(pattern).search(whole) for pattern in rule.weak)
            or (
                (well_known(value) or of_a_test(value) or _also_the_user(value, around))
                and not _PUBLIC_HOST.search(around)
            )
        )
    if (rule.judge or rule.chosen) and not verified and _minified(data, start, end):
        confidence = Confidence.LOW
    if weak:
        severity = severity.weakened
    match = Match(
        rule=rule.id,
        title=title,
        severity=severity,
        confidence=confidence,
        secret=Secret(value),
        start=start,
        end=end,
        verified=verified,
        service=rule.service or None,
        detail=detail,
        weak=weak,
        origin=_origin(rule, value),
    )
    return Candidate(match, rule.rank, name_start, column)


_DESCRIBED = lazily(rb"\n[ \t]{1,40}\*[ \t][^\n]*\Z")
_COMMENT = 4096
"""Bytes that a comment has at most before a value in it."""


def _described(data: bytes, start: int) -> bool:
    """Whether a value lies in a comment that describes what follows it: its values are samples. A list looks alike."""
    if _DESCRIBED.search(data, max(0, start - 160), start) is None:
        return False
    low = max(0, start - _COMMENT)
    return data.rfind(b"/*", low, start) > data.rfind(b"*/", low, start)


_ONE_LINE = 700
_SCRIPT = lazily(rb"\bfunction\b|=>|\)\{|[;,]var |\breturn\b|&&|\|\|")


def _minified(data: bytes, start: int, end: int) -> bool:
    """Whether a value lies in the midst of a script that is all one line: keys there are everybody's, and most are names."""
    low, high = max(0, start - _ONE_LINE), min(len(data), end + _ONE_LINE)
    if data.find(b"\n", low, start) != -1 or data.find(b"\n", end, high) != -1 or high - low < 2 * _ONE_LINE:
        return False
    return sum(1 for _ in _SCRIPT.finditer(data, low, high)) >= 6


@lru_cache(maxsize=4096)
def _asked(name: bytes) -> Kind | None:
    """What a name asks for; None where no value under it is a secret. Names repeat, so the answers are kept."""
    text = text_of(name)
    return judge_name(text).kind if may_be_secret(text) else None


def _turn_down(told: _Told | None) -> None:
    """Remember what is no secret: source says the same harmless thing many times over. A secret is never remembered."""
    if told is not None and len(told[-1]) <= _LONG:
        if len(_TURNED_DOWN) >= _REMEMBERED:
            _TURNED_DOWN.clear()
        _TURNED_DOWN.add(told)


def _unfit(rule: Rule, value: str, *, verified: bool) -> bool:
    """Whether a value by itself cannot be what the rule is about; a checksum that holds outweighs how it looks."""
    if not verified and (
        (rule.entropy and shannon(value) < rule.entropy)
        or _stands_for_another(rule, value)
        or (rule.shape and not VALID[rule.shape](value))
    ):
        return True
    return any(_compiled_text(stop).search(value) for stop in rule.stop)


def _also_the_user(value: str, around: str) -> bool:
    """Whether a password is the user's own name: what people give a database that nobody else reaches."""
    if len(value) > _NAME or not value.isalnum():
        return False
    return re.search(rf"(?i)(?://|\buser(?:\s?id|name)?\s?=\s?|\buid\s?=\s?){re.escape(value)}\b", around) is not None


def _origin(rule: Rule, value: str) -> Origin:
    if not (rule.judge or rule.chosen):
        return Origin.VENDOR
    # A key in several lines is no word of anybody's; a short one under a name is soon typed for a sample.
    least = 30 if rule.judge else 12
    return Origin.GENERATED if len(value) > _LONG or random_looking(value, least=least) else Origin.CHOSEN


def _form(rule: Rule, data: bytes, start: int) -> Form:
    """How a value was written: in a rule for quoted values, one without quotes may be a symbol."""
    form = Form(rule.judge)
    return Form.BARE if form is Form.QUOTED and data[start - 1 : start] in (b" ", b"\t", b"\n", b":", b"=") else form


_BADGE = lazily(rb"(?:badge|\.svg\?|shields\.io)[^\s\"'`()<>]{0,160}\Z")
"""What stands in the address of a picture, everybody sees: `badge.svg?token=`."""
_COMMA = lazily(rb"[\"'`]?[ \t]*,[^=:]*")
_OPENS = lazily(rb"[({][\s@$fFrRbBuU]*[\"']?\Z")


_HEX = lazily(r"[0-9a-f]{16,}|[0-9A-F]{16,}")


def _by_chance(value: str) -> bool:
    """Whether a value is no name by any means: in digits and letters of both cases, or in hex."""
    text = value.strip("\"'")
    mixed = classes_of(re.sub(r"[^A-Za-z0-9]", "", text)) == 3
    return random_looking(text, least=12) and (mixed or _HEX.fullmatch(text) is not None)


def _listed(data: bytes, name_end: int, start: int, name_start: int) -> bool:
    """Whether name and value are two of a list of names (`["user", "password", "host"]`), not what a call is given."""
    if _COMMA.fullmatch(data, name_end, start) is None:
        return False
    if data[name_end : name_end + 1] not in (b'"', b"'", b"`") and not data[name_start:name_end].isupper():
        return True  # what stands beside a variable is another argument: `Hash(password, "bcrypt")`
    return _OPENS.search(data, max(0, name_start - 16), name_start) is None


def _stands_for_another(rule: Rule, value: str) -> bool:
    """Whether a value is a reference, a placeholder or blanked out, as far as the rule cares."""
    if reference(value) or published(value):
        return True
    if rule.judge or (rule.lenient and rule.checksum):
        return False
    if rule.chosen and code(value):
        return True
    return blanked(value) if rule.lenient else placeholder(value) or (len(value) >= 20 and sequential(value))


def _name_start(data: bytes, start: int) -> int:
    """Where the name begins of which a pattern asked for the part from `start` on."""
    # Not by a pattern: one that may begin at each of the places before is the slowest part of text full of such names.
    before = data[max(0, start - 64) : start]
    outside = before.rstrip(_IN_NAMES)
    return start - len(before) + len(outside.removesuffix(b"checksum/"))


def settle(candidates: Sequence[Candidate]) -> list[Match]:
    """One match for each value at each place, in order: where matches overlap, the most telling one wins."""
    starts: list[int] = []
    ends: list[int] = []
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=_telling):
        match = candidate.match
        at = bisect_left(starts, match.end)
        # Kept matches do not overlap, so the last one that starts before this one ends is the only one in the way.
        if at == 0 or ends[at - 1] <= match.start:
            starts.insert(at, match.start)
            ends.insert(at, match.end)
            kept.append(candidate)
    return sorted(_as_sets(kept), key=lambda match: (match.start, match.end, match.rule))


def _as_sets(kept: Sequence[Candidate]) -> Iterator[Match]:
    """Matches, and those that are a column of a table with little confidence: samples, ids, what was encrypted."""
    columns: dict[tuple[str, int], set[str]] = {}
    if len(kept) >= _TABLE:
        for candidate in kept:
            if candidate.column is not None:
                columns.setdefault(candidate.column, set()).add(reveal(candidate.match.secret))
    full = {column for column, values in columns.items() if len(values) >= column[1]}
    for candidate in kept:
        match = candidate.match
        if candidate.column in full and not match.verified:
            match = match._replace(confidence=Confidence.LOW)
        yield match


_ORDER = {Confidence.HIGH: 0, Confidence.MEDIUM: 1, Confidence.LOW: 2}


def _telling(candidate: Candidate) -> tuple[int, int, int, int, int, str]:
    match = candidate.match
    length = match.end - match.start
    return (match.verified is None, -candidate.rank, _ORDER[match.confidence], -length, match.start, match.rule)
