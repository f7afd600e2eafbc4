"""Where a value still lies after a migration: listed until the value is rotated."""

from __future__ import annotations

from collections.abc import Iterable

from migrator.model import Json, ResourceId
from migrator.passwordless.services import Service
from migrator.planning.building import AppPlan
from migrator.planning.draft import Item
from migrator.planning.places import AppView
from scanners.model import AzureLocation, Finding, Fingerprinter

ROTATED = "the value is rotated"


def entries(plans: Iterable[AppPlan], findings: Iterable[Finding], fingerprinter: Fingerprinter) -> tuple[Json, ...]:
    """`{"where", "what", "until"}` each, app by app, then what concerns all."""
    ordered = sorted(plans, key=lambda plan: plan.view.key)
    found: list[Json] = []
    for plan in ordered:
        found += _of_app(plan, fingerprinter)
    groups = {(plan.view.parts.subscription, plan.view.parts.group) for plan in ordered if plan.draft.every}
    for subscription, group in sorted(groups, key=lambda pair: (pair[0].lower(), pair[1].lower())):
        found.append(
            _entry(
                f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Resources/deployments",
                "a deployment can carry values in its template and its plain parameters, readable by every Reader",
                "the deployments are deleted and the values rotated",
            )
        )
    if any(plan.draft.every for plan in ordered):
        found += _copies(ordered, findings)
    return tuple({tuple(sorted(entry.items())): entry for entry in found}.values())


def _of_app(plan: AppPlan, fingerprinter: Fingerprinter) -> list[Json]:
    view = plan.view
    found = _revisions(plan, fingerprinter)
    inline = sorted(place.name for item in plan.draft.every for place in item.secrets)
    if inline:
        found.append(
            _entry(
                view.id,
                f"Container Apps held the value of {', '.join(inline)} inline, and the platform has its own copies; "
                "whoever could list the app's secrets may have one",
                ROTATED,
            )
        )
    if plan.draft.every:
        found.append(
            _entry(
                f"{view.id}/listSecrets",
                "listSecrets answers with the resolved values of vault references: its holders (Contributor, Container "
                f"Apps {'Jobs ' if view.job else ''}Contributor, Container Apps {'Jobs ' if view.job else ''}Operator) "
                "read them without any role on the vault",
                "nobody holds the action who should not read the values",
            )
        )
    found += _keys(plan)
    for switch in plan.draft.switches:
        found.append(
            _entry(
                switch.registry.id,
                f"the password that {view.name} pulled with stays valid, and stays in the app as a secret for rollback",
                "no app uses it, the secret is removed, and the admin user is off or the token regenerated",
            )
        )
    return found


def _keys(plan: AppPlan) -> list[Json]:
    """Keys that an identity replaced: the service still takes them, until somebody else than keylift says otherwise."""
    found: dict[str, Json] = {}
    for one in plan.draft.swaps:
        resource, kept = one.decision.resource, bool(one.item.secrets or one.kept)
        found.setdefault(resource, key(one.decision.service_of, resource, plan.view.name, kept=kept))
    return list(found.values())


def key(service: Service, resource: str, user: str, *, kept: bool) -> Json:
    """A key that an identity replaced, and the commands that end it.

    Args:
        service: What it opens.
        resource: ARM id of that.
        user: What signed in with it.
        kept: Whether it stays where it was, unused, for a way back.
    """
    name = ResourceId.parse(resource).name
    stays = "; it stays there as a secret that nothing uses, for a way back" if kept else ""
    return _entry(
        resource,
        f"{name} still takes the key that {user} signed in with{stays}. When nobody else uses it: "
        f"{service.told('rotate', resource)}; and when nobody uses any key of {name}: "
        f"{service.told('shut', resource)} ({service.close}), which also breaks {service.breaks}",
        f"the key is rotated, or key access is closed. What only time can prove: {service.told('prove', resource)}",
    )


def _revisions(plan: AppPlan, fingerprinter: Fingerprinter) -> list[Json]:
    """Each kept revision that shows a migrated value, or another value of a migrated variable."""
    view = plan.view
    names = {place.name for item in plan.draft.every for place in item.env}
    values = {item.fingerprint for item in plan.draft.every}
    words = values | {fingerprinter.of_secret(place.text) for item in plan.draft.every for place in item.words}
    here = {f"scale rule {place.rule}" for item in plan.draft.every for place in item.rules}
    here |= {f"{place.part} of {place.container}" for item in plan.draft.every for place in item.words}
    shown: dict[str, set[str]] = {}
    for revision in view.app.revisions:
        template = (revision.get("properties") or {}).get("template") or {}
        for name, value in view.plain_env(template):
            if name in names or fingerprinter.of_secret(value) in values:
                shown.setdefault(str(revision.get("name")), set()).add(name)
        for name, text in view.plain_words(template):
            if fingerprinter.of_secret(text) in words:
                shown.setdefault(str(revision.get("name")), set()).add(name)
    latest = str(view.properties.get("latestRevisionName") or "")
    if (names or here) and latest:
        shown.setdefault(latest, set()).update(names | here)
    if view.job:
        return [
            _entry(
                f"{view.id}/executions/{execution}",
                f"shows {', '.join(sorted(shown[execution]))} in plain text to every Reader; no execution can be deleted",
                ROTATED,
            )
            for execution in sorted(shown)
        ]
    return [
        _entry(
            f"{view.id}/revisions/{revision}",
            f"shows {', '.join(sorted(shown[revision]))} in plain text to every Reader, also when it is inactive",
            f"it is deactivated (az containerapp revision deactivate {view.at} --revision {revision}) and purged, or "
            f"{ROTATED}",
        )
        for revision in sorted(shown)
    ]


def _copies(plans: list[AppPlan], findings: Iterable[Finding]) -> list[Json]:
    """Other copies: those a scan found, in Azure and outside, and a word on those nobody has looked for."""
    values = {item.fingerprint for plan in plans for item in plan.draft.every}
    moved = {
        (plan.view.key, path)
        for plan in plans
        for item in plan.draft.every
        for path in (*(place.path for place in item.places), *_secret_paths(plan.view, item))
    }
    found = []
    for finding in findings:
        place = finding.location.as_dict()
        if isinstance(finding.location, AzureLocation) and finding.fingerprint in values:
            found += _in_azure(finding, moved)
            continue
        if not isinstance(finding.location, AzureLocation) and finding.fingerprint in values:
            if place["kind"] == "image":
                found.append(_image(place, finding))
                continue
            where = str(place.get("path") or place.get("config"))
            line = f":{place['line']}" if "line" in place else ""
            commit = f" at commit {place['commit']}" if place.get("commit") else ""
            found.append(
                _entry(f"{where}{line}{commit}", f"the scan found the same value here ({finding.rule})", ROTATED)
            )
    found.sort(key=lambda entry: (str(entry["where"]), str(entry["what"])))
    found.append(
        _entry(
            "repositories, image layers, pipeline variables, Terraform state",
            "not known until they are scanned: keylift scan repo PATH --history, keylift scan image REF",
            ROTATED,
        )
    )
    return found


def _secret_paths(view: AppView, item: Item) -> list[str]:
    names = [str(entry.get("name")) for entry in view.configuration.get("secrets") or []]
    own = {place.name for place in item.secrets}
    paths = [f"properties.configuration.secrets[{at}].value" for at, name in enumerate(names) if name in own]
    return paths + [
        f"properties.configuration.registries[{place.index}].passwordSecretRef"
        for place in view.registries
        if place.secret in own
    ]


def _in_azure(finding: Finding, moved: set[tuple[str, str]]) -> list[Json]:
    """A place that stays as it is and holds a value that moves: a rotation has to reach it, too."""
    place = finding.location.as_dict()
    resource, path = str(place["resource"]), str(place["path"])
    low = resource.lower().rstrip("/")
    # revisions and executions are named by themselves, each with all it shows
    if (low, path) in moved or "/revisions/" in low or "/executions/" in low:
        return []
    what = (
        f"the same value lies in {path} ({finding.rule}) and stays there: whoever rotates it must change it there, too"
    )
    return [_entry(resource, what, ROTATED)]


def _image(place: Json, finding: Finding) -> Json:
    """A value that an image carries to everybody who can pull it."""
    layer = (
        f"layer {place['layer']}, {place['path']}" if place.get("layer") else f"configuration, {place.get('config')}"
    )
    hidden = "; a container does not show it, who pulls the image has it" if place.get("visible") is False else ""
    return _entry(
        f"image {place['image']}, {layer}",
        f"the scan found the same value here ({finding.rule}){hidden}",
        f"the image is rebuilt without it, and {ROTATED}",
    )


def _entry(where: str, what: str, until: str) -> Json:
    return {"where": where, "what": what, "until": until}


def unproven(view: AppView) -> Json | None:
    """A note for an app that may have no replica: then nothing shows that the change works."""
    if view.job:
        return {
            "app": view.id,
            "kind": "job",
            "text": f"{view.name} is a job, so nothing shows that the change works until its next execution: the result is "
            f"unproven, not good; start one (az containerapp job start {view.at}), then keylift verify RUN",
        }
    scale = view.template.get("scale") or {}
    if scale.get("minReplicas"):
        return None
    return {
        "app": view.id,
        "kind": "scale-to-zero",
        "text": f"{view.name} may scale to zero: with no replica running, the result is unproven, not good; send it a "
        f"request, or keep one replica for the time (az containerapp update {view.at} --min-replicas 1)",
    }
