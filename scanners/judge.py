"""The judged rule: whether a value under a name is a secret, by what the name says and what the value looks like.

Patterns know the formats that somebody published. Everything else is a name that promises a secret and a value that is
neither a placeholder, a reference, an id, an address nor a plain word. Where a value was found matters: in a live
environment a name is the truth and a short password still opens a door; on the right-hand side of source code most bare
words are symbols.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import NamedTuple

from scanners.entropy import shannon
from scanners.lazy import lazily
from scanners.matches import Confidence
from scanners.names import Kind, Name, judge_name, words_of
from scanners.placeholders import alphabetical, code, code_piece, default_of, placeholder, sequential
from scanners.shapes import Shape, classes_of, identifier, random_looking, shape_of, wordy
from scanners.unescaping import plain_text
from scanners.words import ACCOUNTS, SECRET_KEYS, SECRET_WORDS, WELL_KNOWN


class Form(StrEnum):
    """How a value was written."""

    LIVE = "live"
    """A property of a running resource: no syntax, no symbols, the value as the program reads it."""
    QUOTED = "quoted"
    BARE = "bare"
    """Without quotes: it may be a symbol of a language."""
    LOOSE = "loose"
    """Without quotes in the midst of other text: it may be a symbol, or a word of a sentence."""
    ARGUMENT = "argument"
    """After an option of a command."""


class Judgement(NamedTuple):
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
_SYMBOL = lazily(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->|\?\.)[A-Za-z_$][\w$]*)*[!;,]?")
_PUBLISHED_FORM = lazily(
    r"pub[_-]|pk[_-]|public[_-]|xox[a-z]-|xapp-|hv[sbr]\.|dapi[0-9a-f]|gh[pousr]_|github_pat_|gl[a-z]{2,6}-|sk-ant-|ops_ey|px-(?:api|dep)-|npm_|pypi-|SG\.|"
    r"\$2[abxy]\$|\$argon2|\$[156y]\$|pbkdf2[_:]|scrypt:|AIza|AKIA|eyJ[\w-]+\Z|dop_v1_|shp(?:at|ss|ca|pa)_|sq0|NR(?:AK|AA|II|IQ)-|hf_|dckr_pat_|rubygems_|whsec_|https?://"
)
"""Beginnings that a vendor gave its tokens. What begins so and is not of the vendor's form is a sample, or cut off."""
_VENDOR_NAME = lazily(
    r"(?i)(?<![a-z])(?:aws|amazon|databricks|meraki|twitch|okta|softlayer|ibm|npm|pixie|sumo_?logic|cos_hmac)[\w.-]*(?:key|token|secret|pw|pwd)|"
    r"(?<![a-z])_authToken"
)
_LEET = str.maketrans("$@013", "saoie")
_LEET_WORDS = lazily(r"s?(?:super|top|very|my|the|a)*(?:secret|password|passwd|pass|key|token)+s?")
"""Words that say "secret", with signs for letters: `super$ecret`."""
_COUNTED = lazily(r"(?:0?1|123?4?5?6?)?[!@#]?\Z")
"""What people put behind words that say "secret": `MySecretPassword123!`."""
_TYPED = frozenset(map(chr, range(32, 127))) | frozenset("£€§°²³µ´¬")
"""What people type into a password: ASCII, and the signs that European keyboards have besides."""
_PLAIN = lazily(r"[\w.\- :/]+")
_NAMED = lazily(r"(?:pass|passwd|password|pwd|secret|token|key)\Z")
"""How a word ends that says what it stands for: `proxypass`, `repopwd`."""
_OF_A_PRODUCT = lazily(r"[_-]?(?:password|passwd|pass|pwd|pw)\d{0,4}\Z")
"""What people put behind the name of a product: `postgres_password`, `mongopass`."""
_TEST = lazily(r"(?i)test(?:pass|ing)?\d{0,4}")
_OF_A_TEST = lazily(
    r"(?i)[a-z]{0,6}[-_.]?(?:test|testing|demo|dummy|sample)[-_.@]?(?:user|admin|account|pass(?:word|wd)?|pwd|pw|secret|key|token)?s?[-_.@]?\d{0,6}[!@#$%^&*.?]{0,3}"
)
_SAYS_TEST = lazily(r"(?i)(?:\A|[^a-z0-9])test[_-](?!\Z)")
_OF_AN_APP = lazily(r"[a-z]{16}|[a-z]{4}(?: [a-z]{4}){3}")
"""A password that Google makes for one app: sixteen letters, shown in fours."""
_ANONYMOUS = lazily(r"[\w.-]+@")
"""What anonymous FTP takes for a password."""
_DOTTED = lazily(r"[A-Za-z_][\w-]*(?:[?!]?\.[A-Za-z_][\w-]*)+")
_EXPRESSION = lazily(r"\$?\{(?:[A-Za-z_][^{}]*|\d{1,2}(?:[,:][^{}]*)?)\}")
"""A place in a text that a program fills in: `${suffix}`, `{user.name}`, `{0:N}`."""
_FIRST_PART = lazily(
    r"(?i)(?:DefaultEndpointsProtocol|(?:Account|Blob)?Endpoint|AccountName|InstrumentationKey|Server|Host(?:Name)?|Data Source)=[^;]*"
)
"""Where a connection string is cut off before it gets to its secret."""
_EXTENSION_KEY = lazily(r"[0-9a-f]{32}-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}-\d{4}")
"""An ingestion id as extensions of editors carry it: public by use."""
_UNQUOTED = (Form.BARE, Form.LOOSE)
_SIGN_OF_A_FONT = lazily(r"\\*[0-9a-fA-F]{4,5}")
"""What a style sheet has for a sign: `\\f809`."""
_TOKEN_OF_THREE = lazily(r"ey[\w-]{10,}\.(?:ey|\.)")
"""A token that tells what it is: its own rule says whether it is one, and for whom."""
_OPERATOR = lazily(r"[=!]==?[^=]|=>|&&|\|\||\A\w+\+\w+\Z")
_MEMBER = lazily(r"_[a-z][A-Za-z]*[!;,]?")
"""A member of an object in C#: `_gitToken!`."""
_JOINED = lazily(r"[=:?]+")
_NO_GUID = lazily(r"(?i)[0-9a-z]{6,9}(?:-[0-9a-z]{3,5}){3}-[0-9a-z]{10,13}")
"""Of the form of an id; if it is none, somebody made it up."""
_NUMBER_WITHIN = lazily(r"\d{1,3}(?=[A-Z])")
_SNAKE = lazily(r"[a-z][a-z0-9]*(?:[_-]+[a-z0-9]+){2,}")
_CAMEL = lazily(r"[a-z]+(?:[A-Z][a-z]{2,})+")
_IDENTIFIER = lazily(r"[A-Za-z_$][A-Za-z0-9_$]{14,}[A-Za-z]")
_CAMEL_WORD = lazily(r"[A-Z][a-z]{3,}")
_SAYS = lazily(r"password|secret|token|credential|connection|certificate|apikey|accesskey|privatekey|publickey")
_CONSTANT = lazily(r"(?=(?:[A-Z_-]*[0-9]){0,4}[A-Z_-]*\Z)[A-Z][A-Z0-9]{1,14}(?:[_-][A-Z0-9]{1,16})+")
"""The name of a variable, or of what belongs here: `OPENAI_MODEL_ID`, `YOUR-ENDPOINT`."""
_PAIR = lazily(r"(?:\A|,)([\w.-]{1,80})=(?!=)")
"""`--secrets a=x,b=y`: names and values in one argument."""
_USER_AND = lazily(r"[a-z][\w.-]{1,30}[/:]([^\s/:]{3,128})")
_CALL = lazily(r"[\w.$:]*[A-Za-z_]\w*[(\[].*|.*\)\s*[;,]?\Z")


def may_be_secret(name: str) -> bool:
    """Whether a name can make a value a secret at all."""
    return judge_name(name).kind not in (Kind.OTHER, Kind.INGESTION)


def judge(name: str, value: str, form: Form) -> Judgement | None:
    """Whether `value` under `name` is a secret, and how sure that is; None when it is not.

    The formats that prove themselves are the rules' business; a connection string is one of them.
    """
    if not may_be_secret(name):
        return None
    said = judge_name(name)
    text = value.strip()
    if said.words[-1] == "auth" and (pair := _USER_AND.fullmatch(text)):
        return judge("password", pair[1], form)  # `NEO4J_AUTH=neo4j/password`
    literal = default_of(text)
    if literal is not None:
        # Nobody sets the variable, so the literal is what the program reads: a short password opens a door here, too.
        return judge(name, literal, Form.LIVE)
    if form is Form.ARGUMENT:
        text = text.rstrip(",;")  # of the sentence around it
    if form is Form.ARGUMENT and (pairs := _PAIR.split(text))[1:]:
        return _first_of(pairs)
    if form is not Form.LIVE and ("\\" in text or "&" in text):
        text = plain_text(text)
        if _SIGN_OF_A_FONT.fullmatch(text):
            return None
    if form is not Form.LIVE and "{" in text:
        rest = _EXPRESSION.sub("", text)  # it may be a secret of its own: `Wint3r!${suffix}`
        if rest != text and not (classes_of(rest) >= 3 and any(map(str.isdigit, rest))):
            return None
        text = rest
    if said.kind is not Kind.PASSWORD and text.isascii() and text.isalpha() and wordy(text):
        return None  # a plain word, as nearly everything is that source keeps under such names: no need to ask further
    if form is not Form.LIVE and not text.isascii() and not set(text) <= _TYPED:
        return None  # words of a language that people read: labels and messages of a user interface
    if not 4 <= len(text) <= 4096 or _EXTENSION_KEY.fullmatch(text) or _FIRST_PART.fullmatch(text):
        return None
    if placeholder(text) or _names_itself(said, text, form):
        return None
    if form is not Form.LIVE and (_PUBLISHED_FORM.match(text) or _of_a_vendor(name, said) or _echoes(name, text)):
        return None
    if form in _UNQUOTED and (code(text) or _CALL.fullmatch(text) or _symbols(text)):
        return None
    if form is not Form.LIVE and _CONSTANT.fullmatch(text):
        return None
    if form in (Form.QUOTED, *_UNQUOTED) and code_piece(text):
        return None
    if form is not Form.LIVE and (_TOKEN_OF_THREE.match(text) or (said.kind is not Kind.PASSWORD and identifier(text))):
        return None
    if form in _UNQUOTED and said.kind is not Kind.PASSWORD and identifier(text, least=2):
        return None
    if form is not Form.LIVE and _NO_GUID.fullmatch(text) and shape_of(text) is not Shape.GUID:
        return None
    text = text.removeprefix("base64:")  # how Laravel writes its APP_KEY
    shape = shape_of(text)
    if shape in _NEVER:
        return None
    verdict = _password(said, text, shape, form) if said.kind is Kind.PASSWORD else _opaque(said, text, shape, form)
    if form is Form.LOOSE and verdict and not random_looking(text):
        # `pw` is as often half a word, or somebody's abbreviation.
        return verdict if verdict.confidence is Confidence.HIGH and said.words[-1] != "pw" else None
    return verdict


def _called(text: str) -> bool:
    """Whether an identifier says what it stands for: `Oauth2ClientCredentialsHandler`, `ordersconnectionstring_value`."""
    few = sum(map(str.isdigit, text)) <= 2
    return few and (_SAYS.search(text.lower()) is not None or len(_CAMEL_WORD.findall(text)) >= 3)


def _symbols(text: str) -> bool:
    """Whether it is a path of symbols or a long one: `insights.properties.ConnectionString`, `queueConnectionString`."""
    if _IDENTIFIER.fullmatch(text) and _called(text):
        return True
    if _OPERATOR.search(text):
        return True
    bare = text.rstrip("=")  # what base64 ends with is no assignment
    if text.endswith("=") and _SYMBOL.fullmatch(bare) and not random_looking(bare):
        return True  # `password=string="..."`: what follows is the value
    if any(c in bare for c in "=:?") and all(_SYMBOL.fullmatch(part) for part in _JOINED.split(bare) if part):
        return "." in bare
    if "=" in bare and all(_SYMBOL.fullmatch(part) for part in bare.split("=")):
        return bare.count("=") > 1 or "." in bare  # assignments in a row: `t.a=t.b=t.c`
    if text.startswith("!") and not any(map(str.isdigit, text)) and _SYMBOL.fullmatch(text.lstrip("!")):
        return True
    if _MEMBER.fullmatch(text) or (text[:1] == "@" and text[1:].isalpha()):
        return True  # of an object, or an attribute: `let password: @Sendable () -> String?`
    if _SNAKE.fullmatch(text):
        return 5 * sum(map(str.isdigit, text)) <= len(text)
    if _DOTTED.fullmatch(text):
        # What a property is called tells that it is one: `user1Login.token`, `ed448.Ed448PublicKey`.
        return (
            wordy(text)
            or identifier(text.rpartition(".")[2], least=2)
            or judge_name(text.rpartition(".")[2]).kind is not Kind.OTHER
        )
    return bool(_CAMEL.fullmatch(_NUMBER_WITHIN.sub("", text)))


def _first_of(pairs: list[str]) -> Judgement | None:
    """The first secret among names and values as `_PAIR` splits them."""
    for name, value in zip(pairs[1::2], pairs[2::2], strict=True):
        verdict = judge(name, value, Form.QUOTED)
        if verdict is not None:
            return verdict
    return None


def _of_a_vendor(name: str, said: Name) -> bool:
    """Whether the name says whose secret it is, and that vendor's rules know exactly what one looks like."""
    return said.kind is not Kind.PASSWORD and bool(_VENDOR_NAME.search(name))


def _echoes(name: str, text: str) -> bool:
    """Whether name and value are the same word but for signs: a constant that is called what it says."""
    if not _PLAIN.fullmatch(text):
        return False  # `Pass@word` is what people type where a sign is asked for
    left, right = (re.sub(r"[^a-z0-9]", "", part.lower()) for part in (name, text))
    shared = next((at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), 0)
    if shared >= max(10, 0.6 * len(right)):
        return True  # the next one of a row: `orders-report-pass1`, `orders-report-pass2`
    return min(len(left), len(right)) >= 8 and (left.endswith(right) or right.endswith(left))


def well_known(value: str) -> bool:
    """Whether a value is a password that everybody knows."""
    low = value.lower()
    return low in WELL_KNOWN or _OF_A_PRODUCT.sub("", low) in WELL_KNOWN or bool(_TEST.fullmatch(value))


def of_a_test(value: str) -> bool:
    """Whether a value says that it is there to try something with: `TestPass123!`, `ord_test-a1b2c3`."""
    return _OF_A_TEST.fullmatch(value) is not None or _SAYS_TEST.search(value) is not None


def _password(said: Name, text: str, shape: Shape, form: Form) -> Judgement | None:
    if well_known(text):
        weak = Judgement(Kind.PASSWORD, Confidence.MEDIUM if form is Form.LIVE else Confidence.LOW, weak=True)
        return weak if said.certain else None
    if said.certain and _OF_AN_APP.fullmatch(text) and not _made_of(text, SECRET_WORDS):
        return Judgement(Kind.PASSWORD, Confidence.MEDIUM)
    if shape is Shape.PROSE:
        return Judgement(Kind.PASSWORD, Confidence.MEDIUM) if form is Form.LIVE and said.certain else None
    plain_words = shape is Shape.WORDS and not any(map(str.isdigit, text))
    strong = random_looking(text, least=12) or (len(text) >= 8 and classes_of(text) >= 3 and not plain_words)
    if form is not Form.LIVE and (
        (len(text) >= 20 and sequential(text)) or alphabetical(text) or _ANONYMOUS.fullmatch(text)
    ):
        return None
    if form is not Form.LIVE and shape is Shape.HOST and any(map(str.isalpha, text.rpartition(".")[2])):
        return None
    if not said.certain or (form is not Form.LIVE and _passed(said, form)):
        return Judgement(Kind.PASSWORD, Confidence.MEDIUM) if random_looking(text, least=12) else None
    if strong:
        return Judgement(Kind.PASSWORD, Confidence.HIGH)
    if form is Form.LIVE:
        return None if shape is Shape.HOST and "." in text else Judgement(Kind.PASSWORD, Confidence.MEDIUM)
    if shape in (Shape.HOST, Shape.NUMBER) and not (shape is Shape.NUMBER and len(text) >= 6 and text.isdigit()):
        return None
    if form in _UNQUOTED and _SYMBOL.fullmatch(text) and not any(map(str.isdigit, text)):
        return None
    if " " in text:
        return None
    mixed = classes_of(text) >= 2
    if not mixed and (len(text) < 6 or shape is Shape.WORDS):
        # One lower-case word in a file is as often the name of a thing as a password.
        if len(text) < 6 or form is not Form.QUOTED or _NAMED.search(text):
            return None
        return Judgement(Kind.PASSWORD, Confidence.LOW)
    if plain_words:
        return None
    return Judgement(Kind.PASSWORD, Confidence.MEDIUM)


def _passed(said: Name, form: Form) -> bool:
    """Whether `pass` more likely says that something went well: `all_checks_pass`, `second pass:`, but not `DB_PASS`."""
    words = said.words
    while len(words) > 1 and words[-1].isdigit():
        words = words[:-1]
    if words[-1] != "pass":
        return False
    return words[-2] not in ACCOUNTS if words[1:] else form in _UNQUOTED


def _opaque(said: Name, text: str, shape: Shape, form: Form) -> Judgement | None:
    if form is not Form.LIVE and (
        sequential(text) or alphabetical(text) or (said.kind is Kind.KEY and len(said.words) == 1)
    ):
        return None
    if shape is Shape.GUID:
        if said.words[-2:-1] in (("ai",), ("insights",)):
            return None  # of Application Insights: an ingestion id
        sure = said.certain and (
            said.kind in (Kind.SECRET, Kind.TOKEN) or (said.kind is Kind.KEY and not SECRET_KEYS.isdisjoint(said.words))
        )
        return Judgement(said.kind, Confidence.MEDIUM) if sure else None
    if shape is not Shape.OPAQUE or " " in text:
        return None
    if form is not Form.LIVE and _SNAKE.fullmatch(text) and 5 * sum(map(str.isdigit, text)) <= len(text):
        return None  # what something is stored under: `i18n_missing_translations`
    least = 16 if said.kind is Kind.KEY else 12
    if not said.certain:
        least = 20
    if random_looking(text, least=least):
        confident = said.certain and len(text) >= 20 and not sequential(text)
        return Judgement(said.kind, Confidence.HIGH if confident else Confidence.MEDIUM)
    signs = classes_of(text) >= 3 and any(map(str.isdigit, text))
    if (
        said.certain
        and said.kind is not Kind.CONNECTION
        and signs
        and len(text) >= 20
        and shannon(text) >= 3.5
        and not wordy(text)
        and form not in _UNQUOTED
    ):
        return Judgement(said.kind, Confidence.MEDIUM)
    if not said.certain or said.kind in (Kind.KEY, Kind.CONNECTION):
        return None
    if form in _UNQUOTED and _SYMBOL.fullmatch(text):
        return None
    if len(text) >= 8 and signs and not wordy(text):
        return Judgement(said.kind, Confidence.MEDIUM)
    if form is Form.LIVE and len(text) >= 8 and classes_of(text) >= 2 and not wordy(text):
        return Judgement(said.kind, Confidence.MEDIUM)
    return None


def _names_itself(said: Name, text: str, form: Form) -> bool:
    """Whether a value only repeats its name or says that it is a secret: `db-password`, `supersecretkey`."""
    if well_known(text):
        return False
    plain = text.lower().translate(_LEET)
    if form is not Form.LIVE and plain.isalpha() and _LEET_WORDS.fullmatch(plain):
        return True
    bare = _COUNTED.sub("", text)
    if form is not Form.LIVE and (len(words_of(bare)) >= 3 or words_of(bare) == said.words):
        text = bare
    if any(map(str.isdigit, text[:-2])) or not re.fullmatch(r"[A-Za-z0-9_.\- :/]+", text):
        return False
    words = [word for word in words_of(text) if not word.isdigit()]
    return bool(words) and all(_made_of(word, SECRET_WORDS.union(said.words)) for word in words)


def _made_of(text: str, words: AbstractSet[str]) -> bool:
    """Whether a text is words of a set, written together: `myregistrypassword`."""
    if text in words:
        return True
    ends = [0]
    for stop in range(1, min(len(text), 64) + 1):
        if any(stop - start > 1 and text[start:stop] in words for start in ends):
            ends.append(stop)
    return ends[-1] == len(text)
