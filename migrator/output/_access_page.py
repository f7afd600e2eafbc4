"""Who can read what, as a page with a graph of apps, identities and secrets that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from migrator.access_report import ALL, AccessReport, Comparison, Kept, NamedResource, Principal
from migrator.model import called
from migrator.output import _page as page
from migrator.output import _words as words
from migrator.output._access import WAYS, given_by, name_of, opening_rows, place_of, resource_rows, what_of
from migrator.output._graph import Graph
from migrator.output._words import count
from migrator.output.formats import Look

MOST = 60
"""Apps that are drawn; a larger graph shows nothing, and the tables have all."""

_STYLE = """
table { margin-bottom: 1rem; }
svg .node { cursor: pointer; }
svg .target rect { stroke: #85c; stroke: light-dark(#74b, #b9f); }
svg .wide { stroke: #c60; stroke: light-dark(#b50, #fa4); stroke-width: 2; opacity: .9; }
svg .maybe { stroke-dasharray: 2 3; }
svg .dim { opacity: .12; }
.legend span { margin-right: 1.5rem; }
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
  const wanted = words();
  const has = (element) => wanted.every((word) => element.textContent.toLowerCase().includes(word));
  const shown = along(nodes.filter(has).map((node) => node.dataset.key));
  for (const node of nodes) node.classList.toggle("dim", !shown.has(node.dataset.key));
  for (const edge of edges)
    edge.classList.toggle("dim", !(shown.has(edge.dataset.from) && shown.has(edge.dataset.to)));
  for (const row of rows) row.hidden = !has(row);
  const lit = nodes.filter((node) => !node.classList.contains("dim")).length;
  told.value = `${lit} of ${nodes.length} boxes, ${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
}
for (const node of nodes) node.addEventListener("click", () => {
  const label = node.querySelector("title").textContent.split(": ")[0];
  search.value = search.value === label ? "" : label;
  form.dispatchEvent(new Event("input"));
});
"""

_PAGE = """\
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
"""


def html(report: AccessReport, compared: Comparison | None = None) -> str:
    """A page with the graph, before and after where two are compared; every text from outside is escaped."""
    from markupsafe import Markup

    figures = [("Now", graph(report, "now"))]
    if compared is not None:
        moved = _moved(compared)
        figures = [
            (f"Before {words.clean(compared.what)}", graph(compared.before, "before", moved)),
            (f"After {words.clean(compared.what)}", graph(compared.after, "after")),
        ]
    more = len(report.kept) - MOST
    return page.render(
        _PAGE,
        title="keylift access",
        tool=Look().tool,
        style=page.DRAWING + _STYLE,
        script=_SCRIPT + page.FILTER,
        end=". No value is on this page.",
        summary=_summary(report),
        # drawn by this program, with every label escaped
        figures=[{"title": title, "drawing": Markup(drawing)} for title, drawing in figures],  # noqa: S704
        left_out=f"{count(more, 'more app')} not drawn; the tables have all (--app NAME draws one)."
        if more > 0
        else "",
        tables=[one for one in _tables(report, compared) if one["rows"]],
        notes=[words.clean(note) for note in report.notes],
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
            label = f"{name_of(reading.vault)}/{what_of(reading)}"
            style = "maybe" if reading.conditional else "wide" if wide & {*reading.grants} else "reads"
            secret = drawn.box(2, "secret", f"{reading.vault}/{reading.secret}", label, reading.vault)
            drawn.line(box, secret, style, "; ".join(given_by(grant) for grant in reading.grants))
    for target in report.resources:
        _resource(drawn, prefix, target, apps)
    return drawn.svg()


def _resource(drawn: Graph, prefix: str, target: NamedResource, apps: Mapping[str, Kept]) -> None:
    plain = {
        app.lower()
        for app, name in target.by
        if name.startswith("env ") or (app.lower() in apps and name in apps[app.lower()].inline)
    }
    for app in sorted({app.lower() for app, _ in target.by} & {*apps}):
        box = drawn.box(2, "target", target.resource, name_of(target.resource), target.resource)
        if app in plain:
            drawn.line(f"{prefix}/app:{app}", box, "bare", "a key of it lies in the app")
        else:
            drawn.line(f"{prefix}/app:{app}", box, "uses", "a secret of the app, which lies in a vault, opens it")


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
            "title": f"What opens resources, with {words.clean(compared.what)}",
            "head": ("Resource", "Opened before by", "Opened after by"),
            "rows": [_clean(*row) for row in opening_rows(compared)],
        }
    yield {
        "title": "Who reads vault secrets",
        "head": ("Who", "Secret", "By"),
        "rows": [
            _clean(_who(entry), f"{name_of(r.vault)}/{what_of(r)}", "; ".join(given_by(grant) for grant in r.grants))
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
                given_by(one.grant),
                one.why,
                "; ".join(f"{role} at {place_of(scope)}" for role, scope in one.replacement)
                or ("nothing" if one.judged else "not known"),
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
                WAYS.get(one.way, "sees env values"),
                given_by(one.grant),
                ", ".join(name_of(app) for app in one.apps[:8]) + (" …" if len(one.apps) > 8 else ""),
            )
            for one in report.value_readers
        ],
    }
    yield {
        "title": "What secrets open, and who else gets at it",
        "head": ("Resource", "Opened by", "Who else", "How", "By"),
        "rows": [_clean(*row) for row in resource_rows(report, whole=True)],
    }
    yield {
        "title": "References that their identity cannot read",
        "head": ("App", "Secret", "Vault secret"),
        "rows": [
            _clean(name_of(one.app), one.name, f"{name_of(one.vault)}/{one.secret}")
            for one in report.references
            if one.readable is False
        ],
    }


def _who(entry: Principal) -> str:
    return f"{entry.name} ({entry.kind})"


def _clean(*cells: str) -> tuple[str, ...]:
    return tuple(words.clean(cell) for cell in cells)
