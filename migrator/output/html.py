"""HTML: one file that loads nothing, for people who get a report by mail."""

from __future__ import annotations

from migrator.output import _words as words
from migrator.output.formats import Look
from scanners.model import Report

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>keylift findings</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .4rem .6rem;
  text-align: left; vertical-align: top; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
.critical, .high { font-weight: 700; }
.known, .allowed { opacity: .6; }
footer { margin-top: 2rem; opacity: .7; }
</style>
</head>
<body>
<h1>keylift findings</h1>
<p>{{ summary }}.</p>
{% if findings %}
<table>
<thead><tr><th>Severity</th><th>What</th><th>Where</th><th>Preview</th><th></th></tr></thead>
<tbody>
{% for finding in findings %}
<tr class="{{ finding.status }}">
<td class="{{ finding.severity }}">{{ finding.severity }}</td>
<td>{{ finding.title }}<br><code>{{ finding.rule }}</code></td>
<td>{{ finding.where }}{% if finding.name %}<br><strong>{{ finding.name }}</strong>{% endif %}<br>
<code>{{ finding.within }}</code></td>
<td><code>{{ finding.preview }}</code></td>
<td>{{ finding.says }}</td>
</tr>
{% endfor %}
</tbody>
</table>
{% endif %}
{% if errors %}
<h2>Could not be read</h2>
<ul>
{% for error in errors %}
<li><code>{{ error.where }}</code>: {{ error.what }}. {{ error.hint }}</li>
{% endfor %}
</ul>
{% endif %}
<footer>{{ tool.name }} {{ tool.version }}. No value is in this report.</footer>
</body>
</html>
"""


def findings(report: Report, look: Look) -> str:
    """A page with a table; every text from outside is escaped."""
    from jinja2 import Environment, StrictUndefined

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    rows = []
    for finding in report.ordered():
        place = finding.location.as_dict()
        rows.append(
            {
                "severity": str(finding.severity),
                "title": words.clean(finding.title),
                "rule": finding.rule,
                "where": words.short(words.resource_of(place)),
                "name": words.clean(place.get("name") or ""),
                "within": words.within(place),
                "preview": words.clean(finding.preview),
                "says": words.says(finding),
                "status": finding.status,
            }
        )
    errors = [{key: words.clean(error.get(key) or "") for key in ("where", "what", "hint")} for error in report.errors]
    return (
        page.from_string(_PAGE).render(summary=words.summary(report), findings=rows, errors=errors, tool=look.tool)
        + "\n"
    )
