"""The report of a run: Markdown for a ticket, HTML that loads nothing for a mail."""

from __future__ import annotations

from migrator.model import AppState
from migrator.output import _changes as changes
from migrator.output import _diagram as diagram
from migrator.output import _page as page
from migrator.output import _words as words
from migrator.output.formats import Look
from migrator.output.markdown import _code, _plain, _table
from migrator.report import Done, Picture, RunReport

_STYLE = """
table { margin-bottom: 1rem; }
th.step { min-width: 10rem; }
th:last-child:empty { padding: 0; }
td:last-child:empty { padding: 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.final { font-weight: 700; color: #d33; }
"""

_PAGE = """\
<h1>keylift run <code>{{ run.id }}</code></h1>
<p>{{ headline }}</p>
{% if by %}<ul>{% for text in by %}<li>{{ text }}</li>{% endfor %}</ul>{% endif %}
{% if no_return %}<p class="final">{{ no_return }}</p>{% endif %}
<h2>Apps</h2>
<table>
<thead><tr><th>App</th><th>State</th><th>Proof</th><th></th></tr></thead>
<tbody>
{% for app in apps %}
<tr><td>{{ app.name }}</td><td>{{ app.state }}</td><td>{{ app.proof }}</td><td>{{ app.error }}</td></tr>
{% endfor %}
</tbody>
</table>
<h2>Before</h2>
<figure>{{ before }}</figure>
<h2>After</h2>
<figure>{{ after }}</figure>
<h2>What was done</h2>
{% for group in groups %}
<h3>{{ group.name }}</h3>
<table>
<thead><tr><th class="step">Step</th><th>What</th><th>State</th><th>Began</th><th>Took</th><th></th></tr></thead>
<tbody>
{% for step in group.steps %}
<tr><td><code>{{ step.id }}</code></td><td>{% for line in step.lines %}{{ line }}<br>{% endfor %}</td>
<td>{{ step.state }}</td><td>{{ step.began }}</td><td class="number">{{ step.took }}</td><td>{{ step.text }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
{% if left %}<h2>Left</h2><ul>{% for text in left %}<li>{{ text }}</li>{% endfor %}</ul>{% endif %}
{% if skipped %}
<h2>Not touched</h2>
<ul>{% for entry in skipped %}<li>{{ entry.places | join(', ') }}: {{ entry.reason }}</li>{% endfor %}</ul>
{% endif %}
{% if risks %}
<h2>Where values still lie</h2>
<ul>{% for risk in risks %}<li>{{ risk.places | join(', ') }}: {{ risk.what }}. Until {{ risk.until }}.</li>{% endfor %}</ul>
{% endif %}
"""


def markdown(told: RunReport) -> str:
    """Sentences and tables."""
    text = [f"## keylift run {_code(told.described['id'])}", "", f"{_plain(_headline(told))}", ""]
    text += [*(f"- {_plain(one)}" for one in told.by), ""] if told.by else []
    if told.plan.irreversible:
        text += [f"**{_plain(_no_return(told))}**", ""]
    rows = [[_plain(name), _plain(state), _plain(proof), _plain(error)] for name, state, proof, error in _apps(told)]
    text += _table(["app", "state", "proof", ""], rows) if rows else []
    text += ["### Before and after", ""]
    pairs = zip(told.before, told.after, strict=True)
    rows = [[_plain(old.app), _plain(_words_of(old)), _plain(_words_of(new))] for old, new in pairs]
    text += _table(["app", "before", "after"], rows)
    text += ["### What was done", ""]
    for name, steps in _groups(told):
        text += [f"**{_plain(name)}**", ""]
        rows = [[_code(s.step.id), _plain(s.state), _plain(s.began), _plain(_took(s)), _plain(_said(s))] for s in steps]
        text += _table(["step", "state", "began (UTC)", "took", ""], rows)
    if told.notes:
        text += ["### Left", "", *(f"- {_plain(note)}" for note in told.notes), ""]
    skipped = changes.skipped(told.plan)
    if skipped:
        text += ["### Not touched", ""]
        text += [f"- {', '.join(map(_plain, entry.places))}: {_plain(entry.reason)}" for entry in skipped] + [""]
    risks = changes.risks(told.plan)
    if risks:
        text += ["### Where values still lie", ""]
        text += [f"- {', '.join(map(_code, r.places))}: {_plain(r.what)}. Until {_plain(r.until)}." for r in risks]
    return "\n".join(text).rstrip() + "\n"


def html(told: RunReport) -> str:
    """A page with drawings; every text is escaped."""
    from markupsafe import Markup

    return page.render(
        _PAGE,
        title=f"keylift run {told.described['id']}",
        tool=Look().tool,
        style=page.DRAWING + _STYLE,
        end=f", plan {told.plan.id}. No value is in this report.",
        run=told.described,
        headline=_headline(told),
        by=[words.clean(text) for text in told.by],
        no_return=_no_return(told) if told.plan.irreversible else "",
        apps=[
            {"name": name, "state": state, "proof": proof, "error": error} for name, state, proof, error in _apps(told)
        ],
        # drawn by this program, with every label escaped
        before=Markup(diagram.svg(told.before, "before the run")),  # noqa: S704
        after=Markup(diagram.svg(told.after, "as the run left it")),  # noqa: S704
        groups=[
            {
                "name": name,
                "steps": [
                    {
                        "id": s.step.id,
                        "lines": [f"{sign} {line}".strip() for sign, line in changes.lines(s.step)],
                        "state": s.state,
                        "began": s.began,
                        "took": _took(s),
                        "text": _said(s),
                    }
                    for s in steps
                ],
            }
            for name, steps in _groups(told)
        ],
        left=[words.clean(note) for note in told.notes],
        skipped=changes.skipped(told.plan),
        risks=changes.risks(told.plan),
    )


def _headline(told: RunReport) -> str:
    run, plan = told.described, told.plan
    what = f"Contract of run {plan.finalizes}" if plan.finalizes else changes.summary(plan)
    took = f", {_span(told.seconds)} at work" if told.seconds is not None else ""
    end = f"ended {run['ended']}" if run["ended"] else "not ended"
    return words.clean(f"{what}. State: {run['state']}; cloud {run['cloud']}; began {run['started']}, {end}{took}.")


def _no_return(told: RunReport) -> str:
    passed = [
        s.step.id for _, steps in told.apps for s in steps if s.step.undo.get("irreversible") and s.state == "done"
    ]
    if not passed:
        return "Point of no return: not passed."
    return words.clean(f"Point of no return: passed with {words.joined(passed)}.")


def _apps(told: RunReport) -> list[tuple[str, str, str, str]]:
    found = []
    for (entry, steps), picture in zip(told.apps, told.before, strict=True):
        proofs = [s.text for s in steps if s.step.kind == "app-prove" and s.text]
        proof = "; ".join(proofs) or ("proven" if entry.proven else "unproven")
        proof = proof if entry.state == AppState.DONE else ""
        error = f"{entry.error.get('what', '')}: {entry.error.get('why', '')}".strip(": ") if entry.error else ""
        found.append((picture.app, entry.state, words.clean(proof), words.clean(error)))
    return found


def _groups(told: RunReport) -> list[tuple[str, tuple[Done, ...]]]:
    found = [(changes.SHARED, told.shared)] if told.shared else []
    return found + [(picture.app, steps) for (_, steps), picture in zip(told.apps, told.before, strict=True)]


def _words_of(picture: Picture) -> str:
    if picture.plain:
        return "in plain text: " + ", ".join(picture.plain)
    if picture.identity:
        return f"{picture.identity} reads {', '.join(picture.reads)}"
    return "nothing of it left"


def _said(done: Done) -> str:
    tried = f"{done.attempts} tries" if done.attempts > 1 else ""
    return words.clean("; ".join(text for text in (done.text, tried) if text))


def _took(done: Done) -> str:
    return "" if done.seconds is None else _span(done.seconds)


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
