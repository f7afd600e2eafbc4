"""`keylift-hook`: what a commit would bring in, judged in the time nobody notices.

Run by git, pre-commit or prek, with the names of files or without. Git is started before anything else is imported, and
nothing is imported that a clean commit does not need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from scanners.git import RepositoryError
from scanners.staged import Find, Staging

if TYPE_CHECKING:
    from scanners.allow import Allow

DONE, ERROR, REWRITTEN, FINDINGS, INTERRUPTED = 0, 1, 3, 10, 130

USAGE = """\
Usage: keylift-hook [OPTIONS] [FILES]...

  Look for secrets in what is staged for the next commit. Only new lines count; of named files that are not changed, all
  lines do. Content is read from the index, not from the work tree. With PRE_COMMIT_FROM_REF and PRE_COMMIT_TO_REF set,
  as pre-commit does before a push, what the second has beyond the first is looked at.

Options:
  --strict              Weak values (emulators, tests, localhost) and findings of low confidence fail, too.
  --baseline FILE       Known findings; by default .secrets.baseline, when there is one.
  --update-baseline     Write all findings of tracked files to the baseline instead.
  --audit               Label what the baseline holds, one by one, in the dialogue of detect-secrets.
  -v, --verbose         Show an entry for the configuration that allows each value and no other.
  --version             Show the version.
  --help                Show this text.

Exit codes: 0 nothing found, 1 error, 3 baseline rewritten (git add it), 10 findings.
"""


class Options(NamedTuple):
    """What the command line asks for."""

    named: tuple[str, ...] = ()
    strict: bool = False
    verbose: bool = False
    baseline: str | None = None
    update: bool = False
    audit: bool = False


class UsageError(Exception):
    """A command line that cannot be understood."""


def main() -> None:
    """The entry point: runs the hook, and ends the process without taking it apart."""
    code = ERROR
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Judge what is staged in the current folder's repository.

    Args:
        arguments: the command line without the program.

    Returns:
        The exit code.
    """
    if "--help" in arguments or "-h" in arguments:
        sys.stdout.write(USAGE)
        return DONE
    if "--version" in arguments:
        from scanners.version import version

        sys.stdout.write(f"keylift-hook {version()}\n")
        return DONE
    try:
        options = _options(arguments)
        if options.audit:
            return _audit(options)
        return _update(options) if options.update else _hook(options)
    except UsageError as error:
        return _fail(str(error), "", "see keylift-hook --help")
    except RepositoryError as error:
        return _fail(error.what, error.why, error.hint)
    except ValueError as error:
        # The configuration, the baseline or a rule file, each of which says what to do.
        hint = getattr(error, "hint", "")
        if not hint:
            raise
        return _fail(str(error), "", hint)


def _hook(options: Options) -> int:
    staging = Staging(".", callers=True, named=options.named, between=_between())
    from scanners.engine import Engine

    finds = staging.finds(Engine.load())
    asked = options.verbose or any(
        "pragma:" in text or _GITLEAKS in text for find in finds for text in (find.here, find.previous)
    )
    allow = _allow(options, staging) if (finds and asked) or _configured(options, staging, above=bool(finds)) else None
    marked = [(find, find.status(allow)) for find in finds if not _in_baseline(allow, find)]
    new = [find for find, status in marked if find.new and status == "new"]
    failing = [find for find in new if options.strict or _counts(find)]
    rewritten = allow is not None and _follow(allow, marked, staging)
    for find in failing:
        sys.stdout.write(_line(find) + "\n")
    sys.stdout.flush()
    _advise(failing, new, options, allow)
    for error in (*staging.unread, *staging.errors):
        _say(f"{error['where']} {error['what']}: {error['hint']}")
    if rewritten and allow is not None and allow.baseline is not None:
        _say(f"{allow.baseline.path.name} was brought up to date: git add {allow.baseline.path.name}, and commit again")
    if failing:
        return FINDINGS
    if staging.errors:
        return ERROR
    return REWRITTEN if rewritten else DONE


def _options(arguments: Sequence[str]) -> Options:
    options, named = Options(), list[str]()
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            named += rest
        elif argument == "--strict":
            options = options._replace(strict=True)
        elif argument in ("-v", "--verbose"):
            options = options._replace(verbose=True)
        elif argument == "--update-baseline":
            options = options._replace(update=True)
        elif argument == "--audit":
            options = options._replace(audit=True)
        elif argument == "--baseline" or argument.startswith("--baseline="):
            value = argument.partition("=")[2] if "=" in argument else next(rest, "")
            if not value:
                raise UsageError("--baseline needs a file")
            options = options._replace(baseline=value)
        elif argument.startswith("-"):
            raise UsageError(f"unknown option {argument}")
        else:
            named.append(argument)
    return options._replace(named=tuple(named))


def _between() -> tuple[str, str] | None:
    """The two commits that pre-commit was asked to look between."""
    old = os.environ.get("PRE_COMMIT_FROM_REF") or os.environ.get("PRE_COMMIT_SOURCE")
    new = os.environ.get("PRE_COMMIT_TO_REF") or os.environ.get("PRE_COMMIT_ORIGIN")
    return (old, new) if old and new and not old.startswith("-") and not new.startswith("-") else None


def _counts(find: Find) -> bool:
    return not find.match.weak and find.match.confidence != "low"


def _in_baseline(allow: Allow | None, find: Find) -> bool:
    """Whether it is one of the digests that a baseline keeps."""
    if find.path.rpartition("/")[2] == ".secrets.baseline":
        return True
    return allow is not None and allow.baseline is not None and allow.absolute(find.path) == str(allow.baseline.path)


# What is allowed


_GITLEAKS = "gitleaks:allow"


def _configured(options: Options, staging: Staging, *, above: bool) -> bool:
    """Whether there may be a baseline or entries, asked without importing what reads them.

    Args:
        options: of the command line.
        staging: what is staged.
        above: look above the repository, too: entries count there, and have nothing to say where nothing was found.
    """
    if options.baseline or os.environ.get("KEYLIFT_BASELINE"):
        return True
    folder = os.path.abspath(staging.top)  # noqa: PTH100 - pathlib costs the hook time
    while True:
        for name in (".secrets.baseline", "keylift.toml"):
            if os.path.exists(os.path.join(folder, name)):  # noqa: PTH110, PTH118
                return True
        try:
            with open(os.path.join(folder, "pyproject.toml"), "rb") as file:  # noqa: PTH118, PTH123
                if b"keylift" in file.read():
                    return True
        except OSError:
            pass
        inner, folder = folder, os.path.dirname(folder)  # noqa: PTH120
        if not above or folder == inner:
            return False


def _allow(options: Options, staging: Staging) -> Allow:
    from pathlib import Path

    from scanners import allow

    # A file that is named is relative to where the hook runs; everything else is found from the top.
    named = Path(os.path.abspath(options.baseline)) if options.baseline else None  # noqa: PTH100 - links stay
    found = allow.load(Path(staging.top), baseline=named)
    for notice in found.notices:
        _say(notice)
    return found


def _follow(allow: Allow, marked: Sequence[tuple[Find, str]], staging: Staging) -> bool:
    """Bring the baseline's lines after what moved and what is gone; whether it was written."""
    if allow.baseline is None or not staging.staged:
        return False
    from scanners import baseline

    seen = [
        baseline.Seen(allow.absolute(find.path), find.line, baseline.digest(find.match.secret))
        for find, status in marked
        if status != "allowed" and _counts(find)
    ]
    scanned = [allow.absolute(file.path) for file in staging.files]
    removed = [allow.absolute(path) for path in staging.removed]
    if not baseline.prune(allow.baseline, seen, scanned, removed):
        return False
    baseline.write(allow.baseline)
    return True


def _audit(options: Options) -> int:
    """Label the baseline's entries by hand; `detect-secrets audit` stumbles over a plugin that is not its own."""
    from pathlib import Path

    from scanners import allow, baseline

    here = Path.cwd()
    known = allow.load(here, baseline=here / options.baseline if options.baseline else None).baseline
    if known is None:
        return _fail("there is no baseline to label", "", "keylift-hook --update-baseline writes one")
    # Its paths are relative to its root, and the dialogue opens them as they are.
    os.chdir(known.root)
    try:
        baseline.audit(known.path)
    except EOFError:
        return _fail("the dialogue was cut off, and nothing was saved", "", "answer q to stop and to save")
    except UnicodeDecodeError as error:
        what = "the dialogue met a file that is not UTF-8, which it cannot show, and nothing was saved"
        return _fail(
            what, str(error.reason), "allow what that file holds by an entry with a reason, then update the baseline"
        )
    return DONE


def _update(options: Options) -> int:
    """Write a baseline of everything that is tracked, as the index has it."""
    from dataclasses import replace
    from pathlib import Path

    from scanners import baseline
    from scanners.allow import BASELINE
    from scanners.engine import Engine
    from scanners.model import FileLocation, Report
    from scanners.sources.files import found_at

    first = Staging(".", callers=True)
    top = first.top
    first.finish()
    staging = Staging(top, callers=True, named=(".",))
    allow = _allow(options, staging)
    path = (
        allow.baseline.path
        if allow.baseline
        else Path(options.baseline or os.environ.get("KEYLIFT_BASELINE") or BASELINE)
    )
    report = Report()
    for find in staging.finds(Engine.load()):
        if _in_baseline(allow, find) or allow.absolute(find.path) == str(path.absolute()):
            continue
        where = FileLocation(allow.absolute(find.path), find.line, find.column)
        finding = found_at(find.match, where, baseline.Hashing())
        report.findings.append(replace(finding, status=find.status(allow)))
    there = {allow.absolute(file.path) for file in staging.files}
    written = baseline.update(path, report, exists=there)
    for error in staging.errors:
        _say(f"{error['where']} {error['what']}: {error['hint']}")
    if written:
        _say(f"{path} was written: look through it, then git add it")
    return ERROR if staging.errors else REWRITTEN if written else DONE


# What is said


def _line(find: Find) -> str:
    from scanners.matches import preview

    match = find.match
    more = [match.detail] if match.detail else []
    more += ["its checksum is right"] if match.verified == "checksum" else []
    more += ["weak"] if match.weak else []
    more += ["low confidence"] if match.confidence == "low" else []
    note = f" ({'; '.join(more)})" if more else ""
    return _clean(f"{find.path}:{find.line}:{find.column}: {match.title}{note}: {preview(match.secret)} [{match.rule}]")


def _advise(failing: Sequence[Find], new: Sequence[Find], options: Options, allow: Allow | None) -> None:
    passed = len(new) - len(failing)
    if passed:
        what = "1 weak or uncertain value is" if passed == 1 else f"{passed} weak or uncertain values are"
        _say(f"{what} not counted; keylift-hook --strict shows them")
    if not failing:
        return
    count = (
        "This commit would bring in a secret"
        if len(failing) == 1
        else f"This commit would bring in {len(failing)} secrets"
    )
    first = failing[0]
    _say(
        f"{count} in plain text. What to do:\n"
        "  - Take it out of the file, then git add the file again. If it was ever pushed, revoke it first.\n"
        "  - Keep it in Key Vault, and let the app read it from there: keylift plan --vault NAME\n"
        "  - If it is none, say so on its line (pragma: allowlist secret) or, with the reason, in [tool.keylift]:"
    )
    if allow is None or not options.verbose:
        entry = f'{{ rule = "{first.match.rule}", path = {_quoted(first.path)}, reason = "..." }}'
        _say(
            f"      allow = [{_clean(entry)}]\n    keylift-hook --verbose gives entries that allow one value and no other."
        )
        return
    for find in failing:
        _say(f"      {_clean(allow.suggestion(find.match.rule, find.path, find.match.secret))}")


def _fail(what: str, why: str, hint: str) -> int:
    _say(f"keylift-hook: {what}" + (f": {why}" if why else ""))
    _say(f"  {hint}")
    return ERROR


def _say(text: str) -> None:
    sys.stderr.write(_clean(text, keep="\n") + "\n")


def _clean(text: str, keep: str = "") -> str:
    """Text without what moves a cursor or cannot be written."""
    shown = "".join(c if c.isprintable() or c in keep else "\ufffd" for c in text)
    return shown.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
