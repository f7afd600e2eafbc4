"""Pages of HTML that load nothing: their frame, what they look like, and a filter that lies in the address too."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from migrator.model import Json

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; position: sticky; top: 0; padding: .5rem 0;
  background: Canvas; }
input[type=search] { font: inherit; flex: 1 1 20rem; padding: .3rem .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-top: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top; }
code { font: .875em ui-monospace, monospace; overflow-wrap: anywhere; }
footer { margin-top: 2rem; opacity: .7; }
[hidden] { display: none; }
"""
"""What all pages look like."""

DRAWING = """
figure { margin: 1rem 0; overflow-x: auto; }
svg { max-width: 100%; height: auto; }
@media (max-width: 44rem) { svg { max-width: none; } }
svg rect { fill: Canvas; stroke: currentColor; stroke-width: 1.2; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
svg .edge { fill: none; stroke: currentColor; stroke-width: 1.2; opacity: .6; }
svg .identity rect { stroke: #27c; stroke: light-dark(#27c, #7bf); }
svg .secret rect { stroke: #283; stroke: light-dark(#283, #6c7); }
svg .plain rect, svg .bare { stroke: #d33; stroke: light-dark(#c22, #f77); stroke-dasharray: 4 2; }
svg .bare { opacity: .9; }
"""
"""What a `Graph` looks like."""

FILTER = """
function words() { return search.value.toLowerCase().split(/\\s+/).filter(Boolean); }
function read() {
  try { search.value = decodeURIComponent(location.hash.slice(1)); } catch { search.value = ""; }
  apply();
}
form.addEventListener("input", () => { history.replaceState(null, "", "#" + encodeURIComponent(search.value)); apply(); });
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", read);
form.hidden = false;
read();
"""
"""The end of a script that knows the page's `form`, its `search` field, and `apply`, which shows what has all `words()`."""

_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'{{ allowed }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
{{ body }}
<footer>{{ tool.name }} {{ tool.version }}{{ end }}</footer>
{% if script %}
<script>{{ script }}</script>
{% endif %}
</body>
</html>
"""


def render(
    body: str, *, title: str, tool: Json, style: str = "", script: str = "", end: str = "", **values: Any
) -> str:
    """A page; every text in `values` and in the frame is escaped, where it is not marked as HTML.

    Args:
        body: Template of what is in it: jinja2.
        title: Of the window.
        tool: `{"name", "version"}` of whoever made it.
        style: On top of `STYLE`.
        script: The one script that the page's policy lets run, by its digest; empty: none runs.
        end: The last words.
        values: What the template shows.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        page.from_string(_FRAME).render(
            title=title,
            tool=tool,
            end=end,
            # our own texts; the script's digest is what the policy lets run
            style=Markup(STYLE + style.removeprefix("\n")),  # noqa: S704
            script=Markup(script),  # noqa: S704
            allowed=Markup(f"; script-src 'sha256-{digest}'" if script else ""),  # noqa: S704
            body=Markup(page.from_string(body).render(**values).rstrip("\n")),  # noqa: S704
        )
        + "\n"
    )
