"""HTML: one file that loads nothing, for people who get a report by mail.

Findings of one value are one group, with everything that whoever has the value reaches by it. A filter narrows what is
shown; it lies in the address too (`report.html#orders`), so that a narrowed view can be sent. Without scripts everything
is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from migrator.output import _page as page
from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Finding, Report

_STYLE = """
section { border: 1px solid var(--line); border-radius: .4rem; margin: 1rem 0; padding: .5rem 1rem; }
h2 { font-size: 1.1rem; margin: .3rem 0; }
h2 small { font-weight: 400; }
.severity { border: 1px solid; border-radius: .3rem; padding: 0 .4rem; margin-right: .4rem; }
.critical, .high { font-weight: 700; }
.known, .allowed { opacity: .6; }
"""

_SCRIPT = """
const form = document.querySelector("form"), search = form.elements.search, shown = document.querySelector("output");
const rows = [...document.querySelectorAll("tbody tr")], groups = [...document.querySelectorAll("section")];
function apply() {
  const wanted = words();
  const picked = (name) => [...form.querySelectorAll(`input[name=${name}]:checked`)].map((box) => box.value);
  const severities = picked("severity"), statuses = picked("status");
  for (const row of rows) {
    const text = (row.textContent + " " + row.closest("section").querySelector("header").textContent).toLowerCase();
    row.hidden = !(severities.includes(row.dataset.severity) && statuses.includes(row.dataset.status)
      && wanted.every((word) => text.includes(word)));
  }
  for (const group of groups) group.hidden = !group.querySelector("tbody tr:not([hidden])");
  const left = rows.filter((row) => !row.hidden).length, secrets = groups.filter((group) => !group.hidden).length;
  shown.value = `${left} of ${rows.length} places, ${secrets} of ${groups.length} secrets`;
}
"""

_PAGE = """\
<h1>keylift findings</h1>
<p>{{ summary }}.</p>
{% if groups %}
<form hidden>
<input type="search" name="search" placeholder="Filter: app, file, rule, name" aria-label="Filter" autocomplete="off">
{% for name in severities %}
<label><input type="checkbox" name="severity" value="{{ name }}" checked> {{ name }}</label>
{% endfor %}
{% for name in statuses %}
<label><input type="checkbox" name="status" value="{{ name }}" checked> {{ name }}</label>
{% endfor %}
<output></output>
</form>
{% for group in groups %}
<section>
<header>
<h2><span class="severity {{ group.severity }}">{{ group.severity }}</span>{{ group.title }} <small>
<code>{{ group.preview }}</code></small></h2>
<p>{{ group.reach }}</p>
</header>
<table>
<thead><tr><th>Severity</th><th>Where</th><th>Rule</th><th></th></tr></thead>
<tbody>
{% for finding in group.findings %}
<tr class="{{ finding.status }}" data-severity="{{ finding.severity }}" data-status="{{ finding.status }}">
<td class="{{ finding.severity }}">{{ finding.severity }}</td>
<td>{{ finding.where }}{% if finding.name %}<br><strong>{{ finding.name }}</strong>{% endif %}<br>
<code>{{ finding.within }}</code></td>
<td>{{ finding.title }}<br><code>{{ finding.rule }}</code></td>
<td>{{ finding.says }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</section>
{% endfor %}
{% endif %}
{% if errors %}
<h2>Could not be read</h2>
<ul>
{% for error in errors %}
<li><code>{{ error.where }}</code>: {{ error.what }}. {{ error.hint }}</li>
{% endfor %}
</ul>
{% endif %}
"""


def findings(report: Report, look: Look) -> str:
    """A page with a group for each secret; every text from outside is escaped."""
    found = list(report.ordered())
    by_secret: dict[str, list[Finding]] = {}
    for finding in found:
        by_secret.setdefault(finding.fingerprint, []).append(finding)
    groups = sorted((_group(same) for same in by_secret.values()), key=lambda group: (group["rank"], -group["places"]))
    errors = [{key: words.clean(error.get(key) or "") for key in ("where", "what", "hint")} for error in report.errors]
    return page.render(
        _PAGE,
        title="keylift findings",
        tool=look.tool,
        style=_STYLE,
        script=_SCRIPT + page.FILTER if groups else "",
        end=". No value is in this report.",
        summary=words.summary(report),
        groups=groups,
        severities=[str(one) for one in words.ORDER if any(finding.severity is one for finding in found)],
        statuses=[one for one in ("new", "known", "allowed") if any(finding.status == one for finding in found)],
        errors=errors,
    )


def _group(same: Sequence[Finding]) -> dict[str, Any]:
    worst = min(same, key=lambda finding: words.ORDER.index(finding.severity))
    return {
        "severity": str(worst.severity),
        "rank": words.ORDER.index(worst.severity),
        "title": words.clean(worst.title),
        "preview": words.clean(worst.preview),
        "reach": _reach(same),
        "places": len(same),
        "findings": [_row(finding) for finding in same],
    }


def _reach(same: Iterable[Finding]) -> str:
    """The blast radius: in how many places the value lies, and in what."""
    places = [finding.location.as_dict() for finding in same]
    holders = {(_kind(place), words.resource_of(place).lower()) for place in places}
    counts = Counter(kind for kind, _ in holders)
    text = f"In {words.count(len(places), 'place')}: " + words.joined(
        words.count(number, kind) for kind, number in sorted(counts.items())
    )
    groups = {group for place in places if (group := _resource_group(place))}
    if len(groups) > 1:
        text += f", across {words.count(len(groups), 'resource group')}"
    commits = {place["commit"] for place in places if place.get("commit")}
    if commits:
        text += f"; brought in by {words.count(len(commits), 'commit')}, where it stays after the file is mended"
    return text


def _kind(place: dict[str, Any]) -> str:
    if place["kind"] != "azure":
        return "image" if place["kind"] == "image" else "file"
    parts = words.resource_of(place).strip("/").lower().split("/")
    kind = parts[-2] if len(parts) > 1 else ""
    return {"containerapps": "app", "jobs": "job", "revisions": "revision", "registries": "registry admin"}.get(
        kind, "resource"
    )


def _resource_group(place: dict[str, Any]) -> str:
    parts = words.resource_of(place).lower().split("/")
    return "/".join(parts[:5]) if place["kind"] == "azure" and "resourcegroups" in parts else ""


def _row(finding: Finding) -> dict[str, str]:
    place = finding.location.as_dict()
    return {
        "severity": str(finding.severity),
        "title": words.clean(finding.title),
        "rule": words.clean(finding.rule),
        "where": words.short(words.resource_of(place)),
        "name": words.clean(place.get("name") or ""),
        "within": words.within(place),
        "says": words.says(finding),
        "status": finding.status,
    }
