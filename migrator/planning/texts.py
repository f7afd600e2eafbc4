"""Values within other texts: metadata of scale rules and words of command lines; how they move, or why they cannot."""

from __future__ import annotations

from shlex import quote

from migrator.planning import limits, scalers, scripts
from migrator.planning.places import WORD_PATH, AppView, RulePlace, WordPlace, is_blank
from migrator.planning.skip import Skip
from migrator.planning.skips import too_large
from scanners.model import Finding, Fingerprinter, Secret


def of_rule(view: AppView, place: RulePlace, finding: Finding) -> Skip | None:
    """What keeps a value in a rule's metadata from becoming a parameter by `auth`."""
    limit = limits.of(finding)
    if limit is not None:
        return limit
    job = " job" if view.job else ""
    by_hand = (
        f"az containerapp{job} update {view.at} --scale-rule-name {quote(place.rule)} --scale-rule-auth "
        "PARAMETER=SECRET, with the metadata that shall stay"
    )
    if not place.rule or view.rule_names().count(place.rule) > 1:
        return Skip(
            "scale-rule-name",
            f"{view.name} has no rule, or several, of the name {place.rule!r}: which one is meant cannot be told",
            f"give each rule a name of its own (az containerapp{job} show {view.at}), then plan again",
        )
    if place.body.get("identity"):
        return Skip(
            "scale-rule-identity",
            f"scale rule {place.rule} signs in with an identity and needs no {place.key}",
            f"take {place.key} out of the rule's metadata, and rotate it: {by_hand}",
        )
    if not scalers.takes(place.scaler, place.key):
        known = f"takes no {place.key}" if scalers.known(place.scaler) else "is not known to take anything"
        return Skip(
            "scale-rule-parameter",
            f"metadata of a scale rule cannot refer to a secret, and the scaler {place.scaler or 'of the rule'} {known} by "
            "auth",
            f"look at keda.sh/docs/scalers for what it takes in place of {place.key}: {by_hand}",
        )
    given = {str(auth.get("triggerParameter")) for auth in place.body.get("auth") or []}
    metadata = place.body.get("metadata") or {}
    if place.key in given or f"{place.key}FromEnv" in metadata:
        other = f"{place.key}FromEnv" if place.key not in given else "auth"
        return Skip(
            "scale-rule-twice",
            f"scale rule {place.rule} is given {place.key} twice, in its metadata and by {other}; which one counts depends on "
            "the scaler",
            f"take the one away that does not count: {by_hand}",
        )
    if is_blank(place.value):
        return Skip("empty", f"{place.key} of scale rule {place.rule} is empty", by_hand)
    return too_large(place.name, place.value)


def word(view: AppView, path: str, fingerprint: str, fingerprinter: Fingerprinter) -> WordPlace | Skip:
    """A value in a word of a command line, as a script of a shell lets it become a variable; or why it cannot."""
    found, match = view.word(path), WORD_PATH.fullmatch(path)
    if found is None or match is None:
        raise AssertionError(f"{path} is no word")
    container, text = found
    part, at = match[3], int(match[4])
    command = [str(one) for one in container.get("command") or []]
    args = [str(one) for one in container.get("args") or []]
    script = scripts.script_at([*command, *args]) if command else None
    if script is None or script != at + (len(command) if part == "args" else 0):
        return _no_shell(view, str(container.get("name")), bool(command))
    value = scripts.standing(text, fingerprint, fingerprinter)
    spans = scripts.occurrences(text, value) if value else None
    if not value or not spans:
        return uncertain(view, path)
    large = too_large(path, Secret(value))
    if large is not None:
        return large
    name = scripts.option(text, spans[0].start) or f"{container.get('name')}-{part}"
    init = match[1] == "initContainers"
    return WordPlace(
        path,
        str(container.get("name") or ""),
        init,
        int(match[2]),
        part,
        at,
        Secret(text),
        tuple(spans),
        name,
        Secret(value),
    )


def overlap(left: WordPlace, right: WordPlace) -> bool:
    """Whether two values share characters of one word."""
    return left.path == right.path and any(a.start < b.end and b.start < a.end for a in left.spans for b in right.spans)


def uncertain(view: AppView, path: str) -> Skip:
    """A script that cannot be read with certainty."""
    return Skip(
        "command-quoting",
        f"{path} is a script, and it is not certain that it stays the same with a variable in the value's place",
        f"az containerapp{' job' if view.job else ''} update {view.at} --set-env-vars NAME=secretref:SECRET, and write "
        '"$NAME" into the script by hand',
    )


def _no_shell(view: AppView, container: str, named: bool) -> Skip:
    why = (
        f"the command line of {container} goes to a program without a shell in between"
        if named
        else f"whether the image of {container} hands its arguments to a shell is not known"
    )
    return Skip(
        "command-line",
        f"a command cannot refer to a secret: {why}, and Azure does not say whether it fills $(NAME) in a command",
        f"let the program read a variable (az containerapp{' job' if view.job else ''} update {view.at} --set-env-vars "
        'NAME=secretref:SECRET), or start it by sh -c with "$NAME"',
    )
