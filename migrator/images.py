"""Scans of container images: the scanner's own, with the cloud's registries signed in to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from migrator import keeping
from migrator.errors import KeyliftError
from scanners.images.errors import ImageError
from scanners.model import Finding, ImageLocation, Report

if TYPE_CHECKING:
    from migrator.api import Tell, Workplace
    from migrator.model import App, Estate
    from scanners.engine import Engine
    from scanners.images.auth import Login
    from scanners.images.registry import Access


def scan(
    place: Workplace,
    engine: Engine,
    targets: Sequence[str],
    *,
    platform: str | None = None,
    ca_file: Path | None = None,
    plain_http: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    logins: Mapping[str, Login] | None = None,
    whole: bool = True,
    tell: Tell,
) -> Report:
    """Judge images. See `migrator.api.scan_image`; `logins` by server come before those of the cloud.

    Unless `whole`, an image that cannot be had at all is an entry of `errors`, even when it is the only one.

    Raises:
        KeyliftError: there is one target, and nothing of it can be had.
    """
    from scanners.sources import image

    with ExitStack() as stack:

        def reach() -> Access:
            # Neither Azure's libraries nor a client are loaded for an image on disk.
            from migrator.cloud.registry import Registries
            from scanners.images.registry import Access

            registries = stack.enter_context(Registries(place.cloud, place.auth, tell))
            return Access(
                credentials=lambda server: (logins or {}).get(server) or registries.login(server),
                ca_file=ca_file or registries.ca_file,
                plain_http=plain_http,
            )

        try:
            return image.scan(
                targets,
                engine=engine,
                fingerprinter=keeping.fingerprinter(place, tell, offline=True),
                platform=platform,
                access=reach,
                cache_dir=place.state.cache,
                progress=on_bytes,
            )
        except ImageError as error:
            if not whole:
                return Report(errors=[error.entry(targets[0])])
            raise KeyliftError(error.what, why=error.why, hint=error.hint) from None


def images_of(estate: Estate) -> dict[str, list[App]]:
    """The images that apps of an estate run, each with those apps."""
    found: dict[str, list[App]] = {}
    for app in estate.workloads:
        template = (app.document.get("properties") or {}).get("template") or {}
        for key in ("containers", "initContainers"):
            for container in template.get(key) or ():
                image = str((container or {}).get("image") or "").strip()
                if image and app not in found.setdefault(image, []):
                    found[image].append(app)
    return found


def logins_of(estate: Estate) -> dict[str, Login]:
    """The passwords that apps pull with, by server: what an app uses is what its image is read with."""
    from scanners.images.auth import Login

    found: dict[str, Login] = {}
    for app in estate.workloads:
        values = {secret.name: secret.value for secret in app.secrets}
        configuration = (app.document.get("properties") or {}).get("configuration") or {}
        for entry in configuration.get("registries") or ():
            password = values.get(str(entry.get("passwordSecretRef") or ""))
            if password is not None and entry.get("username") and entry.get("server"):
                server = str(entry["server"]).lower().removeprefix("https://").rstrip("/")
                found.setdefault(server, Login(str(entry["username"]), password))
    return found


def join(report: Report, images: Report, estate: Estate) -> None:
    """Add what images hold to what an estate holds; a value that lies in both is said to.

    The fingerprints are the same key's, so that one secret with several places stays one.
    """
    names: dict[str, list[str]] = {}
    for finding in report.findings:
        place = finding.location.as_dict()
        if place["kind"] == "azure" and finding.fingerprint:
            resource = str(place["resource"]).rpartition("/")[2]
            names.setdefault(finding.fingerprint, []).append(f"{place['name']} of {resource}")
    apps = {image: [app.name for app in used] for image, used in images_of(estate).items()}
    for finding in images.findings:
        same = sorted(set(names.get(finding.fingerprint, ())))
        report.findings.append(_noted(finding, same))
        where = finding.location
        if same and isinstance(where, ImageLocation):
            images.notes.append(
                {"where": where.image, "what": f"holds a value that the estate has too: {', '.join(same)}"}
            )
    for image, used in sorted(apps.items()):
        report.notes.append({"where": image, "what": f"runs in {', '.join(sorted(set(used)))}"})
    report.notes += [dict(note) for note in {tuple(sorted(note.items())): note for note in images.notes}.values()]
    report.errors += images.errors
    report.findings = list(report.ordered())
    report.scanned |= images.scanned


def _noted(finding: Finding, same: Sequence[str]) -> Finding:
    if not same:
        return finding
    told = f"also {', '.join(same)}"
    return replace(finding, detail=f"{finding.detail}; {told}" if finding.detail else told)
