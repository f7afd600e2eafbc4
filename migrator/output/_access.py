"""Who can read what: a table, JSON, and a page with a graph of apps, identities and secrets that loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from migrator.access_report import (
    ALL,
    CAN_LIST,
    LISTS_KEYS,
    AccessReport,
    Comparison,
    Grant,
    Principal,
    Reading,
)
from migrator.model import ResourceId, called
from migrator.output import _words as words
from migrator.output._graph import Graph
from migrator.output._words import count
from migrator.output.formats import Look

MOST = 60
"""Apps that are drawn; a larger graph shows nothing, and the tables have all."""
_WAYS = {CAN_LIST: "lists secrets, resolved ones too", LISTS_KEYS: "lists its keys"}


def as_json(report: AccessReport, compared: Comparison | None = None) -> str:
    """The report, and beside it what changes."""
    document = report.as_dict() | ({"compared": compared.as_dict()} if compared is not None else {})
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def human(report: AccessReport, compared: Comparison | None = None) -> str:
    """Tables."""
    from migrator.rendering import table

    rows = []
    for who in report.principals:
        for reading in who.readings:
            mark = "if its condition holds" if reading.conditional else ""
            by = ", ".join(sorted({_by(grant) for grant in reading.grants}))
            rows.append((f"{who.name} ({who.kind})", f"{_name(reading.vault)}/{_what(reading)}", by, mark))
    lines = ["Who reads vault secrets", ""]
    lines.append(
        table(rows, ("WHO", "SECRET", "BY", "")) if rows else "nobody, as far as role assignments and policies tell"
    )
    wide = [(who, excess) for who in report.principals for excess in who.excess]
    if wide:
        lines += ["", "Wider than needed", ""]
        for who, excess in wide:
            lines.append(f"{who.name}: {_by(excess.grant)}: {excess.why}")
            lines += [f"    {command}" for command in excess.commands]
    readers: dict[tuple[str, str, str], set[str]] = {}
    for reader in report.value_readers:
        way = "lists secrets, resolved ones too" if reader.way == "list-secrets" else "sees env values"
        readers.setdefault((reader.name, way, _by(reader.grant)), set()).update(reader.apps)
    if readers:
        lines += ["", "Who reads values without a vault role", ""]
        lines.append(
            table(
                [(*key, count(len(apps), "resource")) for key, apps in sorted(readers.items())],
                ("WHO", "HOW", "BY", "OF"),
            )
        )
    broken = [entry for entry in report.references if entry.readable is False]
    if broken:
        lines += ["", "References that their identity cannot read", ""]
        lines.append(
            table(
                [(_name(r.app), r.name, f"{_name(r.vault)}/{r.secret}") for r in broken],
                ("APP", "SECRET", "VAULT SECRET"),
            )
        )
    if report.resources:
        lines += ["", "What secrets open, and who else gets at it", ""]
        lines.append(table(_resource_rows(report), ("RESOURCE", "OPENED BY", "WHO ELSE", "HOW", "BY")))
    if compared is not None:
        lines += ["", f"Before and after {compared.what}", ""]
        pairs = [
            (who.name, ", ".join(before) or "nothing", ", ".join(after) or "nothing" if before != after else "the same")
            for who, before, after in compared.changes
        ]
        lines.append(table(pairs, ("WHO", "READS BEFORE", "READS AFTER")) if pairs else "nobody reads a vault secret")
    lines += ["", *report.notes] if report.notes else []
    return "\n".join(words.clean(line) for line in "\n".join(lines).split("\n")) + "\n"


def _resource_rows(report: AccessReport) -> list[tuple[str, str, str, str, str]]:
    found = []
    for one in report.resources:
        by = ", ".join(f"{_name(app)} {name}" for app, name in one.by)
        first = (_name(one.resource), by)
        readers = [
            (reader.name, _WAYS.get(reader.way, "role with data actions"), _by(reader.grant)) for reader in one.readers
        ]
        if one.own_roles:
            readers.append(("not seen", "the service's own roles", ""))
        for number, (who, way, grant) in enumerate(readers or [("nobody", "", "")]):
            found.append((*(first if number == 0 else ("", "")), who, way, grant))
    return found


def _name(resource: str) -> str:
    try:
        return ResourceId.parse(resource).name
    except ValueError:
        return resource


def _by(grant: Grant) -> str:
    return f"{grant.name} at {_place(grant.scope)}" + (f" through group {grant.through}" if grant.through else "")


def _place(scope: str) -> str:
    parts = scope.strip("/").split("/")
    if scope.strip("/") == "":
        return "the tenant"
    if len(parts) == 2:
        return f"subscription {parts[1]}"
    return "/".join(parts[-2:])


# The page

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
form { display: flex; gap: 1rem; align-items: center; position: sticky; top: 0; padding: .5rem 0; background: Canvas; }
input[type=search] { font: inherit; flex: 1 1 20rem; padding: .3rem .5rem; }
table { border-collapse: collapse; width: 100%; margin-bottom: 1rem; }
th, td { border-top: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
figure { margin: 1rem 0; overflow-x: auto; }
svg rect { fill: Canvas; stroke: currentColor; stroke-width: 1.2; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
svg .edge { fill: none; stroke: currentColor; stroke-width: 1.2; opacity: .6; }
svg .node { cursor: pointer; }
svg .identity rect { stroke: #27c; }
svg .secret rect { stroke: #283; }
svg .target rect { stroke: #85c; }
svg .plain rect, svg .bare { stroke: #d33; stroke-dasharray: 4 2; }
svg .wide { stroke: #c60; stroke-width: 2; }
svg .maybe { stroke-dasharray: 2 3; }
svg .dim { opacity: .12; }
.legend span { margin-right: 1.5rem; }
footer { margin-top: 2rem; opacity: .7; }
[hidden] { display: none; }
"""

_SCRIPT = """
const form = document.querySelector("form"), search = form.elements.search, told = document.querySelector("output");
const nodes = [...document.querySelectorAll(".node")], edges = [...document.querySelectorAll(".edge")];
const rows = [...document.querySelectorAll("tbody tr")];
function along(start) {
  const found = new Set(start);
  for (const [here, there] of [["from", "to"], ["to", "from"]]) {
    const seen = new Set(start);
    for (let front = start; front.length;) {
      const next = new Set();
      for (const edge of edges)
        if (front.includes(edge.dataset[here]) && !seen.has(edge.dataset[there])) next.add(edge.dataset[there]);
      front = [...next];
      for (const key of front) { seen.add(key); found.add(key); }
    }
  }
  return found;
}
function apply() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const has = (element) => words.every((word) => element.textContent.toLowerCase().includes(word));
  const shown = along(nodes.filter(has).map((node) => node.dataset.key));
  for (const node of nodes) node.classList.toggle("dim", !shown.has(node.dataset.key));
  for (const edge of edges)
    edge.classList.toggle("dim", !(shown.has(edge.dataset.from) && shown.has(edge.dataset.to)));
  for (const row of rows) row.hidden = !has(row);
  const lit = nodes.filter((node) => !node.classList.contains("dim")).length;
  told.value = `${lit} of ${nodes.length} boxes, ${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
}
function read() {
  try { search.value = decodeURIComponent(location.hash.slice(1)); } catch { search.value = ""; }
  apply();
}
for (const node of nodes) node.addEventListener("click", () => {
  const label = node.querySelector("title").textContent.split(": ")[0];
  search.value = search.value === label ? "" : label;
  form.dispatchEvent(new Event("input"));
});
form.addEventListener("input", () => { history.replaceState(null, "", "#" + encodeURIComponent(search.value)); apply(); });
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", read);
form.hidden = false;
read();
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src '{{ hash }}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>keylift access</title>
<style>{{ style }}</style>
</head>
<body>
<h1>Who can read what</h1>
<p>{{ summary }}</p>
<form hidden>
<input type="search" name="search" placeholder="Filter: app, identity, secret" aria-label="Filter" autocomplete="off">
<output></output>
</form>
<p class="legend"><span>red, dashed: in plain text in the app</span><span>orange: wider than needed</span>
<span>dotted: if its condition holds</span><span>a click on a box shows what is connected with it</span></p>
{% for figure in figures %}
<h2>{{ figure.title }}</h2>
<figure>{{ figure.drawing }}</figure>
{% endfor %}
{% if left_out %}<p>{{ left_out }}</p>{% endif %}
{% for one in tables %}
<h2>{{ one.title }}</h2>
<table>
<thead><tr>{% for head in one.head %}<th>{{ head }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in one.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
{% if notes %}<h2>Know this</h2><ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
<footer>{{ tool.name }} {{ tool.version }}. No value is on this page.</footer>
<script>{{ script }}</script>
</body>
</html>
"""


def html(report: AccessReport, compared: Comparison | None = None) -> str:
    """A page with the graph, before and after where two are compared; every text from outside is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    figures = [("Now", graph(report, "now"))]
    if compared is not None:
        moved = _moved(compared)
        figures = [
            (f"Before {words.clean(compared.what)}", graph(compared.before, "before", moved)),
            (f"After {words.clean(compared.what)}", graph(compared.after, "after")),
        ]
    more = len(report.kept) - MOST
    return (
        page.from_string(_PAGE).render(
            # our own text; its digest is what the policy lets run
            style=Markup(_STYLE),  # noqa: S704
            script=Markup(_SCRIPT),  # noqa: S704
            hash=Markup(f"sha256-{digest}"),  # noqa: S704
            summary=_summary(report),
            # drawn by this program, with every label escaped
            figures=[{"title": title, "drawing": Markup(drawing)} for title, drawing in figures],  # noqa: S704
            left_out=f"{count(more, 'more app')} not drawn; the tables have all (--app NAME draws one)."
            if more > 0
            else "",
            tables=[one for one in _tables(report, compared) if one["rows"]],
            notes=[words.clean(note) for note in report.notes],
            tool=Look().tool,
        )
        + "\n"
    )


def _moved(compared: Comparison) -> dict[str, tuple[str, ...]]:
    """App -> env entries that lose their value."""
    after = {one.app.lower(): set(one.env) for one in compared.after.kept}
    return {
        one.app.lower(): tuple(name for name in one.env if name not in after.get(one.app.lower(), set()))
        for one in compared.before.kept
    }


def graph(report: AccessReport, prefix: str, moved: Mapping[str, tuple[str, ...]] | None = None) -> str:
    """Apps, what lies in them in plain text, identities and others, what they read, and what secrets open.

    Args:
        report: What is drawn.
        prefix: Unique on the page.
        moved: App, in lower case -> env entries that are known to be secrets in plain text.
    """
    drawn = Graph(f"who can read what, {prefix}", f"{prefix}/")
    apps = {one.app.lower(): one for one in report.kept[:MOST]}
    names = called(one.app for one in apps.values())
    for key, one in apps.items():
        drawn.box(0, "app", key, names[one.app], one.app)
        plain = [*(f"secret {name}" for name in one.inline), *(f"env {name}" for name in (moved or {}).get(key, ()))]
        if plain:
            text = f"{count(len(plain), 'value')} in plain text in {names[one.app]}"
            box = drawn.box(1, "plain", key, text, ", ".join(plain))
            drawn.line(f"{prefix}/app:{key}", box, "bare", "anyone who may list its secrets or read it has these")
    for entry in report.principals:
        mine = [app for app in entry.apps if app.lower() in apps]
        if (report.kept and entry.apps and not mine) or not (mine or entry.readings):
            continue
        kind = "identity" if entry.resource else "person"
        box = drawn.box(1, kind, entry.id, entry.name if entry.resource else f"{entry.kind} {entry.name}", entry.id)
        for app in mine:
            drawn.line(f"{prefix}/app:{app.lower()}", box, "uses", "attached")
        wide = {excess.grant for excess in entry.excess}
        for reading in entry.readings:
            label = f"{_name(reading.vault)}/{_what(reading)}"
            style = "maybe" if reading.conditional else "wide" if wide & {*reading.grants} else "reads"
            secret = drawn.box(2, "secret", f"{reading.vault}/{reading.secret}", label, reading.vault)
            drawn.line(box, secret, style, "; ".join(_by(grant) for grant in reading.grants))
    for target in report.resources:
        _resource(drawn, prefix, target.resource, {app.lower() for app, _ in target.by} & {*apps})
    return drawn.svg()


def _resource(drawn: Graph, prefix: str, resource: str, apps: Iterable[str]) -> None:
    for app in sorted(apps):
        box = drawn.box(2, "target", resource, _name(resource), resource)
        drawn.line(f"{prefix}/app:{app}", box, "bare", "a key of it lies in the app")


def _what(reading: Reading) -> str:
    if reading.secret != ALL:
        return reading.secret
    return "every secret" + (f" but {', '.join(reading.denied)}" if reading.denied else "")


def _summary(report: AccessReport) -> str:
    readers = [entry for entry in report.principals if entry.readings]
    whole = sum(1 for entry in readers if any(reading.secret == ALL for reading in entry.readings))
    wide = sum(len(entry.excess) for entry in report.principals)
    values = {reader.principal for reader in report.value_readers}
    return (
        f"{count(len(readers), 'principal')} can read vault secrets, {whole} of them whole vaults; "
        f"{count(wide, 'grant')} wider than needed; {count(len(values), 'principal')} can read values of apps without a "
        "vault role."
    )


def _tables(report: AccessReport, compared: Comparison | None) -> Iterator[dict[str, object]]:
    if compared is not None:
        yield {
            "title": f"What changes with {words.clean(compared.what)}",
            "head": ("Who", "Reads before", "Reads after"),
            "rows": [
                _clean(who.name, ", ".join(before) or "nothing", ", ".join(after) or "nothing")
                for who, before, after in compared.changes
            ],
        }
    yield {
        "title": "Who reads vault secrets",
        "head": ("Who", "Secret", "By"),
        "rows": [
            _clean(_who(entry), f"{_name(r.vault)}/{_what(r)}", "; ".join(_by(grant) for grant in r.grants))
            for entry in report.principals
            for r in entry.readings
        ],
    }
    yield {
        "title": "Wider than needed",
        "head": ("Who", "What gives it", "Why", "The smallest that does", "Commands"),
        "rows": [
            _clean(
                _who(entry),
                _by(one.grant),
                one.why,
                "; ".join(f"{role} at {_place(scope)}" for role, scope in one.replacement) or "nothing",
                "; ".join(one.commands),
            )
            for entry in report.principals
            for one in entry.excess
        ],
    }
    yield {
        "title": "Who reads values without a vault role",
        "head": ("Who", "How", "By", "Of"),
        "rows": [
            _clean(
                one.name,
                _WAYS.get(one.way, "sees env values"),
                _by(one.grant),
                ", ".join(_name(app) for app in one.apps[:8]) + (" …" if len(one.apps) > 8 else ""),
            )
            for one in report.value_readers
        ],
    }
    yield {
        "title": "What secrets open, and who else gets at it",
        "head": ("Resource", "Opened by", "Who else", "How", "By"),
        "rows": [_clean(*row) for row in _resource_rows(report)],
    }
    yield {
        "title": "References that their identity cannot read",
        "head": ("App", "Secret", "Vault secret"),
        "rows": [
            _clean(_name(one.app), one.name, f"{_name(one.vault)}/{one.secret}")
            for one in report.references
            if one.readable is False
        ],
    }


def _who(entry: Principal) -> str:
    return f"{entry.name} ({entry.kind})"


def _clean(*cells: str) -> tuple[str, ...]:
    return tuple(words.clean(cell) for cell in cells)
