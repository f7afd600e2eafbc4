"""Suggestions of a plan: what each secret that moves could end as, app by app, and whether this plan does it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from migrator.model import Estate, Json
from migrator.passwordless import applying, dapr
from migrator.passwordless.decision import Outcome
from migrator.passwordless.suggesting import code_of, judge
from migrator.planning.denials import Denials
from migrator.planning.options import Options
from migrator.planning.part_steps import answer
from scanners.model import Fingerprinter

if TYPE_CHECKING:
    from migrator.planning.building import AppPlan


def suggestions(
    plans: Iterable[AppPlan], estate: Estate, options: Options, fingerprinter: Fingerprinter
) -> tuple[Json, ...]:
    """What each value that moves could end as.

    Args:
        plans: Of the apps.
        estate: With `targets`.
        options: With what the code of apps shows, and with what somebody chose.
        fingerprinter: That of the keys in the targets' documents.

    Returns:
        `{"app", "names", "fingerprint", ...Decision, "replaced", "stays", "consumers"}` each, in order of apps and names,
        then Dapr components. `consumers` are `{"app", "names"}` of everything else that has the same value. `replaced` tells whether this plan takes the value out, `stays` why it does not although settings are
        enough; both are empty where it could and nobody asked for it.
    """
    found: list[Json] = []
    denials = Denials(estate)
    for plan in sorted(plans, key=lambda plan: plan.view.key):
        code, draft = code_of(plan.view, options.code), plan.draft
        replaced = {one.item.fingerprint for one in draft.swaps}
        for item in sorted(draft.every, key=lambda item: item.names):
            mark = item.fingerprint
            if options.passwordless_of(mark) == "never":
                continue
            ruling = judge(item, plan.identity, estate.targets, code, fingerprinter)
            stays = "" if mark in replaced else draft.stays.get(mark)
            if stays is None:
                tried = applying.swap(item, ruling, plan.identity, denials.of_grant)
                stays = tried if isinstance(tried, str) else ""
            found.append({**ruling.of(plan.view, item), "replaced": mark in replaced, "stays": stays})
    parts = {part.id: part for part in estate.parts}
    for entry in dapr.suggestions(estate, fingerprinter):
        way = options.passwordless_of(entry["fingerprint"])
        if way != "never":
            part = parts[entry["app"]]
            done = answer(part, estate, denials) if entry["outcome"] == Outcome.CONFIGURATION else ""
            able = not isinstance(done, str)
            found.append({**entry, "replaced": able and way == "apply", "stays": "" if able else done})
    return tuple({**entry, "consumers": _others(entry, found)} for entry in found)


def _others(entry: Json, every: Iterable[Json]) -> list[Json]:
    return [
        {"app": other["app"], "names": other["names"]}
        for other in every
        if other is not entry and other["fingerprint"] and other["fingerprint"] == entry["fingerprint"]
    ]
