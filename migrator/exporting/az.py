"""A shell script that does with az what a plan does: for a person who must see every command, or has no keylift there.

It does less than `keylift apply`: nothing is compared with what was read, and nothing is taken back. Begun again after it
stopped, it goes on: every command gives the same when it is given twice, but for a vault secret, which gets one more version.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from migrator.exporting.wanted import SYSTEM, Assignment, Change, Identity, VaultSecret, Wanted, one_line
from migrator.model import Json, ResourceId, is_job

_HEAD = """\
#!/usr/bin/env bash
# keylift plan {plan}, as commands of az: review them, sign in with az login, run them with bash.
# keylift apply does more: it compares each resource with what the plan saw, and can take every step back.
# Values pass through this shell from Azure to Azure; no argument of a program and no file holds one.
set -euo pipefail
export AZURE_CORE_OUTPUT=none AZURE_CORE_ONLY_SHOW_ERRORS=yes

# again COMMAND...: until it works; a new role takes up to a quarter of an hour to be honoured.
again() {{
  local try
  for try in $(seq 1 "${{TRIES:-40}}"); do
    if "$@"; then return 0; fi
    echo "not yet (try $try): $2 $3 $4" >&2
    sleep "${{PAUSE:-30}}"
  done
  return 1
}}

# ask COMMAND...: what it prints becomes $value, to the letter: the shell drops line breaks at the end, so something follows.
ask() {{
  value=$("$@" --output tsv && printf .)
  value=${{value%.}}
  value=${{value%$'\\n'}}
}}

# put VAULT NAME TAG...: $value becomes a secret of the vault; there is none where the app was switched before.
put() {{
  local vault=$1 name=$2
  shift 2
  if [ -n "$value" ]; then
    printf %s "$value" |
      az keyvault secret set --vault-name "$vault" --name "$name" --file /dev/stdin --encoding utf-8 --tags "$@"
  elif ! az keyvault secret show --vault-name "$vault" --name "$name"; then
    echo "$name: its value is not where the plan saw it: make a new plan" >&2
    return 1
  fi
  value=
}}

# proven APP...: wait until the latest revision runs; $running says whether it does.
proven() {{
  local revision state try
  running=no
  revision=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  for try in $(seq 1 "${{TRIES:-40}}"); do
    state=$(az containerapp revision show "$@" --revision "$revision" --query properties.runningState --output tsv)
    case $state in
      Running | RunningAtMaxScale) running=yes; return 0 ;;
      ScaledToZero) echo "$revision is scaled to zero: nothing shows yet that it starts" >&2; return 0 ;;
      Failed | Degraded | Stopped) break ;;
    esac
    sleep "${{PAUSE:-15}}"
  done
  echo "$revision does not run ($state): az containerapp logs show $*" >&2
  return 1
}}

# weight_of QUERY APP...: the traffic of one entry; nothing where there is none.
weight_of() {{
  local query=$1
  shift
  az containerapp ingress traffic show "$@" --query "$query.weight | [0]" --output tsv
}}

# hold APP...: traffic that follows the latest revision stays on the one that is the latest now.
hold() {{
  local weight revision
  weight=$(weight_of '[?latestRevision]' "$@")
  if [ "${{weight:-0}}" = 0 ]; then return 0; fi # held before
  revision=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  if [ -n "$(weight_of "[?revisionName=='$revision']" "$@")" ]; then
    echo "traffic names $revision and follows the latest revision, too: keylift apply can keep such a split" >&2
    return 1
  fi
  az containerapp ingress traffic set "$@" --revision-weight latest=0 "$revision=$weight"
}}

# release APP...: the latest revision takes the traffic that was held.
release() {{
  local held revision weight
  if [ "$(weight_of '[?latestRevision]' "$@")" != 0 ]; then return 0; fi # released before
  held=$(az containerapp ingress traffic show "$@" --query '[?revisionName && weight > `0`].[revisionName, weight]' --output tsv)
  if [ "$running" = no ] || [ "$(wc -l <<<"$held")" != 1 ]; then
    echo "traffic stays where it is; when the new revision is proven: az containerapp ingress traffic set $*" >&2
    return 0
  fi
  IFS=$'\t' read -r revision weight <<<"$held"
  az containerapp ingress traffic set "$@" --revision-weight "$revision=0" "latest=$weight"
}}

# shift_from REVISION APP...: the latest revision takes the traffic of one that is named.
shift_from() {{
  local old=$1 new weight
  shift
  weight=$(weight_of "[?revisionName=='$old']" "$@")
  if [ "${{weight:-0}}" = 0 ]; then return 0; fi # shifted before
  if [ "$running" = no ]; then
    echo "traffic stays on $old; when the new revision is proven: az containerapp ingress traffic set $*" >&2
    return 0
  fi
  new=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  az containerapp ingress traffic set "$@" --revision-weight "$old=0" "$new=$weight"
}}
"""


def files(wanted: Wanted) -> dict[str, str]:
    """One script, `keylift.sh`."""
    lines = [_HEAD.format(plan=one_line(wanted.plan))]
    for secret in wanted.secrets:
        lines += _vault_secret(secret)
    for identity in wanted.identities:
        if identity.made:
            lines += _identity(identity)
    for change in wanted.apps:
        lines += _attach(change)
    for assignment in wanted.assignments:
        lines += _assign(assignment)
    for change in wanted.apps:
        lines += _switch(change)
    if wanted.left:
        lines += ["", "# Not done here, the plan does it besides:", *(f"#   {one_line(text)}" for text in wanted.left)]
    return {"keylift.sh": "\n".join(lines) + "\n"}


def _command(*words: str) -> str:
    return " ".join(_word(word) for word in words)


def _word(text: str) -> str:
    """One word of the shell; in double quotes where that is easier to read."""
    if "'" in text and text.isprintable() and not set(text) & set('"$`\\!'):
        return f'"{text}"'
    return shlex.quote(text)


def _here(resource: ResourceId) -> tuple[str, ...]:
    return ("--name", resource.name, "--resource-group", resource.group, "--subscription", resource.subscription)


def _of(resource: ResourceId) -> tuple[str, ...]:
    return ("az", "containerapp", "job") if is_job(str(resource)) else ("az", "containerapp")


def _tags(tags: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in tags.items())


def _title(text: str) -> list[str]:
    return ["", f"# {one_line(text)}"]


def _literal(text: str) -> str:
    """A raw string of JMESPath."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _vault_secret(secret: VaultSecret) -> list[str]:
    source = secret.source
    app = ResourceId.parse(source["app"])
    lines = _title(f"{secret.name}: the value that {app.name} has")
    if source["kind"] == "env":
        which = "initContainers" if source.get("init") else "containers"
        query = (
            f"properties.template.{which}[?name=={_literal(source['container'])}].env[]"
            f" | [?name=={_literal(source['env'])}].value | [0]"
        )
        ask = (*_of(app), "show", *_here(app), "--query", query)
    elif source["kind"] == "secret":
        ask = (*_of(app), "secret", "show", *_here(app), "--secret-name", source["name"], "--query", "value")
    else:
        return [*lines, f"# by hand: it lies in a place that az does not print ({one_line(str(source['kind']))})"]
    return [
        *lines,
        _command("ask", *ask),
        _command("put", secret.vault.name, secret.name, *_tags(secret.tags)),
    ]


def _identity(identity: Identity) -> list[str]:
    tags = ("--tags", *_tags(identity.tags)) if identity.tags else ()
    return [
        *_title(f"identity {identity.id.name}"),
        _command("az", "identity", "create", *_here(identity.id), "--location", identity.location, *tags),
    ]


def _attach(change: Change) -> list[str]:
    if not change.identities:
        return []
    lines = _title(f"{change.id.name} may use it: no revision, no restart")
    for identity in change.identities:
        how = ("--system-assigned",) if identity == SYSTEM else ("--user-assigned", identity)
        lines.append(_command(*_of(change.id), "identity", "assign", *_here(change.id), *how))
    return lines


def _assign(assignment: Assignment) -> list[str]:
    if assignment.identity == SYSTEM:
        app = ResourceId.parse(assignment.app)
        ask = _command(*_of(app), "identity", "show", *_here(app), "--query", "principalId", "--output", "tsv")
        who = f"{app.name} itself"
    else:
        identity = ResourceId.parse(assignment.identity)
        ask = _command("az", "identity", "show", *_here(identity), "--query", "principalId", "--output", "tsv")
        who = identity.name
    return [
        *_title(f"{who}: {assignment.role_name} at {assignment.scope.name}"),
        f"principal=$({ask})",
        # a new principal is unknown to other regions of Entra for some minutes: the type spares that look-up
        _command("az", "role", "assignment", "create", "--role", assignment.role, "--scope", str(assignment.scope))
        + ' --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal',
    ]


def _switch(change: Change) -> list[str]:
    here, command = _here(change.id), _of(change.id)
    lines = _title(f"{change.id.name}: references instead of values")
    if change.held:
        lines.append(_command("hold", *here))
    if change.secrets:
        given = [
            f"{secret['name']}=keyvaultref:{secret['key_vault_url']},identityref:{secret['identity']}"
            for secret in change.secrets
        ]
        lines.append(_command("again", *command, "secret", "set", *here, "--secrets", *given))
    for entry in change.registries:
        lines.append(
            _command(
                "again",
                *command,
                "registry",
                "set",
                *here,
                "--server",
                entry["server"],
                "--identity",
                entry["identity"],
            )
        )
    for container, entries in _by_container(change.env):
        given = [f"{entry['env']}=secretref:{entry['secret']}" for entry in entries]
        lines.append(_command(*command, "update", *here, "--container-name", container, "--set-env-vars", *given))
    for entry in change.env:
        if entry["init"]:
            by_hand = f"env {entry['env']} of {entry['container']} becomes secretRef {entry['secret']}"
            lines.append(
                _command("echo", f"by hand: az sets no env of init containers: {by_hand} in {change.id.name}") + " >&2"
            )
    if change.proven:
        lines.append(_command("proven", *here))
    if change.held:
        lines.append(_command("release", *here))
    elif change.shift_from:
        lines.append(_command("shift_from", change.shift_from, *here))
    return lines


def _by_container(env: Iterable[Json]) -> Iterator[tuple[str, list[Json]]]:
    found: dict[str, list[Json]] = {}
    for entry in env:
        if not entry["init"]:
            found.setdefault(entry["container"], []).append(entry)
    return iter(found.items())
