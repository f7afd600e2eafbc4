"""The pages of the rules, made out of the rules: `docs/rules.md` and one page a family.

Ids are headings, so that the id is the anchor: findings, SARIF and people's allow entries name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scanners import plugins, ruleset
from scanners.images import secret_files
from scanners.ruleset import Rule
from scanners.structural import STRUCTURAL_RULES

DOCS = Path(__file__).parent
INDEX = "rules.md"
FOLDER = "rules"
_ORDER = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_NAMES = {
    "ai": "Model providers",
    "azure": "Azure",
    "cloud": "Other clouds",
    "databases": "Databases and brokers",
    "generic": "Names that say it",
    "identity": "Identity providers and secret stores",
    "keys": "Private keys and tokens",
    "messaging": "Messaging",
    "monitoring": "Monitoring",
    "payments": "Payments",
    "places": "Places",
    "saas": "Other services",
    "source-control": "Source control and packages",
}
_PLACES = """\
Rules about a place instead of a value: where something lies in a resource, an image or a list of findings is what makes
it one."""
_JUDGED = {
    "quoted": "a quoted value",
    "bare": "a value without quotes",
    "argument": "an argument of a command",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a page says of one rule."""

    id: str
    family: str
    title: str
    service: str
    severity: str
    confidence: str
    finds: str
    help: str
    passwordless: str
    aliases: tuple[str, ...] = ()
    example: str = ""


def pages() -> dict[str, str]:
    """Every generated page by its path below `docs/`."""
    files = ruleset.rule_files()
    entries = [_of_file(rule) for rule in ruleset.parse(files)] + list(_of_places())
    families = sorted({entry.family for entry in entries})
    made = {INDEX: _index(families, entries)}
    for family in families:
        intro = _intro(files[family].decode()) if family in files else _PLACES
        own = [entry for entry in entries if entry.family == family]
        made[f"{FOLDER}/{family}.md"] = _page(family, intro, own)
    return made


def write() -> None:
    """Write all pages and drop those of families that are no more."""
    made = pages()
    (DOCS / FOLDER).mkdir(exist_ok=True)
    for old in (DOCS / FOLDER).glob("*.md"):
        if f"{FOLDER}/{old.name}" not in made:
            old.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text, encoding="utf-8")


def _of_file(rule: Rule) -> Entry:
    return Entry(
        id=rule.id,
        family=rule.family,
        title=rule.title,
        service=rule.service,
        severity=str(rule.severity),
        confidence=str(rule.confidence),
        finds=_finds(rule),
        help=rule.help,
        passwordless=rule.passwordless,
        aliases=rule.aliases,
        example=_example(rule),
    )


def _of_places() -> Iterator[Entry]:
    for rule in STRUCTURAL_RULES:
        yield Entry(
            rule.id,
            "places",
            rule.title,
            rule.service,
            str(rule.severity),
            str(rule.confidence),
            "What lies in that place of the resource, whatever it looks like.",
            rule.help,
            rule.passwordless,
        )
    yield Entry(
        secret_files.RULE,
        "places",
        "Secret in a file that is made for secrets",
        "",
        "high",
        "medium",
        "A value that the format of the file alone makes a secret: `.netrc`, `.npmrc`, `.git-credentials`, `.pgpass` and "
        "others, in the layers of an image.",
        "Change the value where it is used, and build the image anew with the file mounted as a build secret: "
        "docker build --secret. Layers keep what a later layer deletes.",
        "",
    )
    yield Entry(
        plugins.RULE,
        "places",
        "What only detect-secrets finds",
        "",
        "medium",
        "low",
        "A value of a live resource, or a line that was flagged already, that a plugin of detect-secrets calls a secret and "
        "no rule of keylift does.",
        "Look at it. If it is a secret, move it to Key Vault; if it is not, allow it with a reason.",
        "",
    )


def _finds(rule: Rule) -> str:
    said = []
    if rule.judge:
        form = _JUDGED.get(rule.judge, "a value").capitalize()
        said.append(f"{form} under a name that promises a secret, judged by both.")
    if rule.checksum:
        said.append("A value of this form. Its own checksum proves it offline; with a wrong one it is less sure.")
    if not said:
        said.append("A value of this form.")
    if rule.weak:
        said.append("Emulators and local machines make it weak: reported, and no reason for the hook to fail.")
    return " ".join(said)


def _example(rule: Rule) -> str:
    """The shortest example with its made-up value left out."""
    shown = [re.sub(r"%\{[^}]*\}+", "…", text) for text in rule.examples if "\n" not in text]
    shown = [text for text in shown if len(text) <= 160 and "`" not in text and text.strip("…")]
    return min(shown, key=len, default="")


def _intro(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)


def _index(families: list[str], entries: list[Entry]) -> str:
    parts = [
        "# Rules",
        "",
        f"{len(entries)} rules in {len(families)} families. Ids are permanent: findings name them, SARIF links to them, and",
        "entries of `allow` go by them. Severity says how bad it is if the value is real, confidence how sure the rule is",
        "that it is. A value whose own checksum holds is reported as verified.",
        "",
        "Values are also found in base64, in hex, percent-encoded, in escaped strings and in the data of Kubernetes Secrets,",
        "two layers deep; the finding says so.",
        "",
        "A finding is weak when the value is an emulator's, a password that everybody knows, or one for localhost; and when",
        "it lies in a unit test, or in documentation and in files that are there to be copied (`.env.example`), unless it is",
        "of a form that its vendor made, or, outside of tests, clearly made by a machine. Weak findings are reported as such,",
        "and do not fail the hook without `--strict`.",
        "",
        "Generated from `scanners/rules/*.toml` by `python -m docs.regenerate`.",
    ]
    for family in families:
        own = [entry for entry in entries if entry.family == family]
        parts += ["", f"## {_name(family)}", "", "| rule | finds | severity | confidence |", "|---|---|---|---|"]
        for entry in own:
            # The anchor is where SARIF leads; the link goes on to what to do.
            link = f'<a id="{entry.id}"></a>[`{entry.id}`]({FOLDER}/{family}.md#{entry.id})'
            parts.append(f"| {link} | {_cell(entry.title)} | {entry.severity} | {entry.confidence} |")
    return "\n".join(parts) + "\n"


def _page(family: str, intro: str, entries: list[Entry]) -> str:
    parts = [f"# {_name(family)}", "", intro, "", "[All rules](../rules.md)"]
    for entry in sorted(entries, key=lambda entry: (_ORDER[entry.severity], entry.id)):
        about = [f"**{entry.title}**"]
        if entry.service:
            about.append(entry.service)
        about += [f"severity {entry.severity}", f"confidence {entry.confidence}"]
        parts += ["", f"## {entry.id}", "", " · ".join(about), "", f"Finds: {entry.finds}"]
        if entry.example:
            parts += ["", f"Looks like: `{entry.example}`"]
        if entry.help:
            parts += ["", f"What to do: {entry.help}"]
        if entry.passwordless:
            parts += ["", f"Without a secret: {entry.passwordless}."]
        if entry.aliases:
            parts += ["", f"Also known as: {', '.join(f'`{alias}`' for alias in entry.aliases)}."]
    return "\n".join(parts) + "\n"


def _name(family: str) -> str:
    return _NAMES.get(family, family.replace("-", " ").capitalize())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
