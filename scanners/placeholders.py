"""Values that stand for a value: placeholders, references, templates, masks."""

from __future__ import annotations

import re
from string import ascii_lowercase

from scanners.lazy import lazily
from scanners.words import STAND_INS

_REFERENCE = lazily(
    r"""(?ix)
    \A(?:
        (?:secretref|keyvaultref|identityref|vaultref|secretkeyref|valuefrom)\s*[:=]
      | @microsoft\.(?:keyvault|appconfiguration)\s*\(
      | https://[\w-]+\.(?:vault\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)|vaultcore\.azure\.net|managedhsm\.azure\.net)(?=[:/]|\Z)
      | \{\s*"?(?:uri|keyVault|secretRef|valueFrom|secretKeyRef|\$ref|Ref|Fn::\w+)"?\s*:
      | (?:op|vault|akv|kv|ssm|sm|bws|doppler|awssm|awsps|gcpsm|azurekv|keyvault|sops)://
      | vault:[\w./-]+\#?
      | credentialsjson:[0-9a-f-]{36}\Z
      | @(?:-|[.~]{0,2}/[\w./-]+)\Z
      | ref\+\w+://
      | arn:aws[\w-]*:(?:secretsmanager|ssm|kms|iam|sts)
      | projects/[^/]+/secrets/
      | enc\[|enc\(
    )
    """
)
_TEMPLATE = lazily(
    r"""(?x)
    \A(?:
        \$?\$\{(?!(?:\w*|[^}]*:)[-=][^}\s]{3})[^}]*\}       # ${VAR}; ${VAR:-literal} is judged by its literal
      | \$\(.*                                    # $(pipelineVar), $(command), also one cut off at its first quote
      | \$\$?[A-Za-z_][\w:.]*                     # $VAR, $env:VAR, and $$VAR as Make has it
      | \$\{?[0-9@*\#]\}?                         # $1
      | \$\{\{.*\}\}                              # GitHub expressions
      | %[A-Za-z_][\w]*%                          # %VAR%
      | %%?[\w.:()-]*%%?
      | %(?:\d\$|\(\w+\))?[sdvqr]                # a place in a format
      | .*\{\{.*\}\}.*                            # {{ template }}
      | .*<%.*%>.*
      | \#\{.*\}\#?
      | \#\$?\{.*\}
      | __[A-Za-z0-9_.-]+__
      | @@[\w.-]+@@ | @[\w.-]+@ | @[A-Z][A-Z0-9_]{3,}
      | <[^<>]*>?                                 # <your-key>
      | \[[A-Za-z_ ]*\]
      | \[(?:parameters|variables|concat|reference|listKeys|resourceId|format|if|guid|uniqueString)\(.*\]
      | \{[A-Za-z_][\w. -]*\} | \{\d*\}
      | ~\w+~
    )\Z""",
    re.DOTALL,
)
_CODE = lazily(
    r"""(?x)
    \A!{0,2}(?:process\.env|import\.meta\.env|os\.environ|os\.getenv|getenv|env|ENV|var|local|locals|module|data|secrets|vars|inputs
      |outputs|parameters|variables|params|param|config|configuration|self|this|settings|steps|github|needs|each|each\.value|secret
      |azurerm_\w+|azuread_\w+|random_\w+|aws_\w+|google_\w+|Environment|System|Deno|args|options|opts|req|request|res|response
      |context|builder|app|ctx|event|props|state|user|credentials|creds|account|client)
      (?:\.|\[|\(|\?\.)
    """
)
_CONTAINS = lazily(
    r"""(?ix)
      (?<![a-z])your(?![a-z])|(?<![a-z0-9])your[-_. ]?(?:[a-z]*)(?:key|secret|token|password|account|name|value|id|host|user|pass|api|app|string|client|server|database|storage)
    | placeholder | (?<![a-z])ch[a@]{1,2}nge[-_ ]?(?:me|it|this) | replace[-_ ]?(?:me|with|this|by) | (?<![a-z])(?:insert|enter|put|paste|add|fill|type|provide|specify|use)[-_ ](?:your|me|my|the|a|an|in|it|here)
    | (?<![a-z])dummy(?![a-z]) | redacted | [-_ ]here(?![a-z]) | goes[-_ ]?here | to[-_ ]be[-_ ](?:set|replaced|filled|defined|changed|added)
    | (?<![a-z])(?:set|defined|stored|loaded|read|comes?|taken|injected|supplied|managed|retrieved)[-_ ](?:in|me|this|via|by|at|from|with|through|on|as)(?![a-z])
    | (?<![a-z])not[-_ ](?:set|for|real|used|needed|required|available|a|an|the|applicable|configured)(?![a-z]) | (?<![a-z])todo(?![a-z]) | (?<![a-z])fixme(?![a-z])
    | (?<![a-z0-9])(?:my|some|any|the|fake|sample|example|test|mock|dummy|demo)[-_ ]?(?:super[-_ ]?)?(?:secret|password|passwd|pwd|token|key|api[-_ ]?key|value|credential|client[-_ ]?secret|pass)(?![a-z0-9]*[0-9!@\#$%^&*])
    | (?<![a-z])change[-_ ](?:in|for|before|on|at|after|later|asap|now)(?![a-z]) | (?<![a-z])(?:dev|local|test|testing|demo)[-_ ](?:use[-_ ])?only(?![a-z])
    | <[a-z][a-z _-]*> | (?<![a-z])not[-_ ](?:so[-_ ]|very[-_ ])?(?:a[-_ ])?secret
    | (?<![a-z0-9])your[-_. ]?(?:very|strong|secure|super|own|actual|real|complex|random|long|private|generated|custom|unique)
    | at[-_ ]least[-_ ] | (?<![a-z0-9])\d{2}[-_ ]?(?:chars?|characters|bytes)[-_ ]long
    | (?<![a-z])(?:example|sample)(?![a-z]) | secretref | keyvault | key[-_ ]vault
    """
)
_MASK = lazily(
    r"\*{3,}|(?i:x{5,})|(?<![A-Za-z0-9])(?:X{3,4}|x{3,4})(?![A-Za-z0-9])|\.{3,}|\u2022{2,}|\u2026|#{4,}|_{6,}|-{8,}|\?{3,}|0{12,}|(?i:^x{3,}$)"
)
_CODE_PIECE = lazily(
    r"""(?x)
    [,;)\]}]\s.* | .*\s(?:\?|:|&&|\|\|)              # what stands between two strings: `', process.env.X ? '`
    | ,["']?[\w$.-]+["']?:\s*                           # or between two labels of a form: `,rememberMe:`
    | \s*[+.&]\s?[\w$(].* | .*[\w)](?:\s+[+.&]\s*|[+&]\s+)   # the middle of a concatenation: ' + name + '
    | \$\w+\$\(.* | \.?\$\w+[\[>-].* | \$\{?[A-Za-z_]\w*\}?[/.:].*     # an index, a path that starts with a variable
    | \#[a-z][\w-]* | [\w/.-]+\#[a-z_]\w*               # an anchor, a route
    | .*\bnew\s\w+\(.* | .*\w\(\).*
    | [.]\w+(?:[ >.][\w.-]+)*                           # a selector
    | [a-z_]{3,}\([^()]*\)                             # a call
    | [a-z][\w.-]*\s(?:[^\n]*\s)?--?[a-z][^\n]*        # a command
    | .*\$\((?:[a-z]|\#).*                             # a text around a command
    | .*(?:\(\?[:=!<P]|\[\^|\[[^\]\n]{0,40}(?:a-z|A-Z|0-9)[^\]\n]{0,40}\]|\\[dws][+*{]|\.\*\?).*   # a pattern
    """
)
_SEQUENCES = (
    "0123456789",
    "1234567890",
    "9876543210",
    "abcdefghij",
    "abcdef0123",
    "abcdefg123",
    "abcd1234abcd",
    "a1b2c3d4",
    "deadbeef",
    "cafebabe",
    "qwertyuiop",
)
_IN_TURN = lazily(r"(?:[a-z]\d){7}")
"""Letters and digits in turn: `c1d2e3f4g5h6i7`."""
_IN_A_ROW = tuple(ascii_lowercase[at : at + 7] for at in range(20))
_REPEATED = lazily(r"\A(.)\1*\Z|\A(..)\2{2,}\Z|\A(...)\3{2,}\Z|\A(.{4,12})\4{2,}\Z", re.DOTALL)
_LONGEST = 4096
"""Nobody writes a longer template in place of one value."""
_DEFAULT = lazily(r"\$\{(?:\w*|[^}:-]*:)-([^}]*)\}|\$\{(?:\w*|[^}:=]*:)=([^}]*)\}")


def reference(value: str) -> bool:
    """Whether a value points to where the secret is instead of being it."""
    text = value.strip().strip("'\"")
    return bool(_REFERENCE.match(text) or (len(text) <= _LONGEST and _TEMPLATE.match(text)))


def code_piece(value: str) -> bool:
    """Whether what stands between two quotes is a piece of code, a route or a selector, not a value."""
    return bool(_CODE_PIECE.fullmatch(value))


def code(value: str) -> bool:
    """Whether a bare right-hand side is an expression: `process.env.X`, `var.password`, `os.environ[...]`."""
    return bool(_CODE.match(value))


def masked(value: str) -> bool:
    """Whether a value was blanked out or is one thing repeated: nobody's key."""
    half = len(value) // 2
    return bool(_MASK.search(value) or _REPEATED.match(value) or (half >= 8 and value[:half] == value[half:]))


def blanked(value: str) -> bool:
    """Whether parts of a value were made unreadable: `xxxxx`, `***`, `000000000000`."""
    return bool(_MASK.search(value))


def placeholder(value: str) -> bool:
    """Whether a value stands for a value that somebody else fills in."""
    text = value.strip().strip("'\"`").strip()
    if not text or text.lower() in STAND_INS or reference(text) or masked(text):
        return True
    return bool(_CONTAINS.search(text))


def sequential(value: str) -> bool:
    """Whether a value was typed along the keyboard or the alphabet, its letters and digits in turn or not."""
    low = value.lower()
    if any(sequence in low for sequence in _SEQUENCES):
        return True
    turn = _IN_TURN.search(low)
    return turn is not None and turn[0][::2] in ascii_lowercase


def alphabetical(value: str) -> bool:
    """Whether seven letters of the alphabet stand in a row."""
    low = value.lower()
    return any(run in low for run in _IN_A_ROW)


def default_of(value: str) -> str | None:
    """The literal of `${VAR:-literal}`, which is used when nobody sets the variable; None when there is none."""
    found = _DEFAULT.fullmatch(value.strip())
    return (found[1] or found[2]) if found else None
