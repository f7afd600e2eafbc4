"""Mapping: which vault takes the values, under which names, and which identity reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static

from migrator.errors import UsageError
from migrator.model import Json, Plan, ResourceId
from migrator.planner import Slot
from migrator.planning.choices import VAULT_NAME
from migrator.planning.options import PASSWORDLESS, Options
from migrator.proposing import Proposal, options_of, propose
from tui import mapped
from tui.dialogs import Ask, Choose, Field
from tui.page import Filter, Page
from tui.widgets.grid import Column, Grid
from tui.widgets.pane import Pane
from tui.wording import clean, count, joined

WAYS = (("skip and say so", ""), ("a new version", "new-version"), ("another name", "rename"))
IDENTITIES = (("one of its own", "user"), ("the system one", "system"))
KEYLESS = {"suggest": "suggest", "never": "do not look", "apply": "use them by settings"}
"""What to do where an identity could replace a key, in words."""
PAUSE = 0.35
"""Seconds without a key before a plan is proposed anew."""


class MappingPage(Page):
    """Choices for all above, single ones below."""

    NAME = "mapping"
    HELP = (
        "The vault must exist and decide by roles; keylift never opens a firewall or changes a permission model. Each app "
        "reads its secrets with an identity of its own unless you choose otherwise, and gets a role on these secrets alone.\n\n"
        "**e** changes the row under the cursor: the vault name of a secret (refused while it is no name that a vault "
        "takes), the identity of an app, or whether a key gives way to the identity, where settings alone are enough for that. "
        "**x** resolves a conflict: the vault holds another value under the name. The "
        "plan is proposed anew with each change; nothing is written to the cloud."
    )
    HELP_OF: ClassVar[dict[str, str]] = {
        "vault": "The vault that takes the values. **Enter** opens the list.",
        "identity": "Which identity each app reads its secrets with. One of its own is the narrowest.",
        "template": "Names of vault secrets: `{app}`, `{name}` and `{group}` are replaced. `{name}` must be there.",
        "conflict": "What happens when the vault holds another value under a name; **x** decides for one.",
        "passwordless": "What to do where a managed identity could replace a key altogether: the rows below say, secret by "
        "secret, what would do instead and what speaks for and against it; **e** decides for one.",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit", id="mapping.edit", tooltip="Change the name, the identity or the way of this row"),
        Binding("x", "resolve", "Resolve", id="mapping.resolve", tooltip="Resolve the conflict of this row"),
        Binding("o", "options", "Options", id="mapping.options", tooltip="Go to the choices for all"),
    ]
    DEFAULT_CSS = """
    MappingPage .form { height: 1; background: $surface; padding: 0 1; }
    MappingPage .form Label { width: 10; color: $foreground 65%; }
    MappingPage .form Select { width: 1fr; height: 1; margin-right: 2; }
    MappingPage .form SelectCurrent { background: $panel; }
    MappingPage .form Input { width: 1fr; height: 1; margin-right: 2; background: $panel; }
    MappingPage .form Input.-bad { color: $error; text-style: bold; }
    MappingPage .form #hint { width: 1fr; margin-left: 0; }
    MappingPage #bar { height: 1; }
    MappingPage #split { layout: vertical; height: 1fr; }
    MappingPage #detail { height: 4; }
    MappingPage.-wide #split { layout: horizontal; }
    MappingPage.-wide #detail { width: 46; height: 1fr; padding: 1 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._busy = False
        self._problem = ""
        self._ready = False

    def body(self) -> Iterable[Widget]:
        journey = self.wizard.journey
        standing = self.wizard.session.standing
        vaults = [(clean(vault.name), vault.id) for vault in standing.vaults] if standing else []
        known = {identifier for _, identifier in vaults}
        with Horizontal(classes="form"):
            yield Label("Vault")
            yield Select(
                vaults,
                prompt="choose a vault",
                value=journey.vault if journey.vault in known else Select.NULL,
                compact=True,
                id="vault",
                tooltip="The vault that takes the values",
            )
            yield Label("Identity")
            yield Select(
                self._identity_options(),
                value=journey.identity,
                allow_blank=False,
                compact=True,
                id="identity",
                tooltip="Which identity each app reads its secrets with",
            )
        with Horizontal(classes="form"):
            yield Label("Names")
            yield Input(journey.template, compact=True, id="template", tooltip="Names of vault secrets, by a template")
            yield Label("Conflicts")
            yield Select(
                WAYS,
                value=journey.on_conflict,
                allow_blank=False,
                compact=True,
                id="conflict",
                tooltip="What to do when the vault holds another value under a name",
            )
        with Horizontal(classes="form"):
            yield Label("Keyless")
            yield Select(
                [(KEYLESS.get(way, way), way) for way in sorted(PASSWORDLESS, key=lambda way: way != "suggest")],
                value=journey.passwordless,
                allow_blank=False,
                compact=True,
                id="passwordless",
                tooltip="Whether to say where an identity could replace a key",
            )
            yield Static(id="hint", classes="note")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: names, apps, states")
        with Container(id="split"):
            yield Grid(
                [
                    Column("Vault secret, app", share=3),
                    Column("Called", share=2, least=70),
                    Column("Used by", share=2, least=90),
                    Column("What happens", 18),
                ],
                empty="Choose a vault above; then every name stands here.",
            )
            yield Pane(id="detail")

    def _identity_options(self) -> list[tuple[str, str]]:
        material = self.wizard.session.material
        existing = [(f"{clean(one.name)} for all", one.id) for one in material.estate.identities] if material else []
        chosen = self.wizard.journey.identity
        known = {value for _, value in (*IDENTITIES, *existing)}
        more = [(chosen.rsplit("/", 1)[-1], chosen)] if chosen not in known else []
        return [*IDENTITIES, *existing, *more]

    def on_mount(self) -> None:
        self._ready = True
        standing = self.wizard.session.standing
        if standing and len(standing.vaults) == 1 and not self.wizard.journey.vault:
            self.query_one("#vault", Select).value = standing.vaults[0].id

    def shown(self) -> None:
        if not self.wizard.journey.vault:
            self.query_one("#vault").focus()
            self.say("which vault takes the values?")
        elif self.wizard.session.plan is None:
            self._propose()
        else:
            self._show()

    def blocked(self) -> str:
        if self._busy:
            return "Proposing a plan …"
        return self._problem or self.wizard.reach("review")

    # Choices for all

    def on_select_changed(self, event: Select.Changed) -> None:
        if not self._ready:
            return
        journey = self.wizard.journey
        value = "" if event.value is Select.NULL else str(event.value)
        name = {"vault": "vault", "identity": "identity", "conflict": "on_conflict", "passwordless": "passwordless"}[
            event.select.id or ""
        ]
        if getattr(journey, name) != value:
            setattr(journey, name, value)
            if name == "vault":
                journey.names, journey.conflicts = {}, {}
            self._later()

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id != "template":
            return
        problem = ""
        try:
            Options(vault="x", vault_secret_name=event.value)
        except UsageError as error:
            problem = error.what.replace("--vault-secret-name ", "")
        event.input.set_class(bool(problem), "-bad")
        self._problem = problem
        if problem:
            self.say(problem)
            self.crumbs()
        elif self.wizard.journey.template != event.value:
            self.wizard.journey.template = event.value
            self._later()

    def on_input_submitted(self) -> None:
        if self.grid is not None:
            self.grid.focus()

    def action_options(self) -> None:
        self.query_one("#vault").focus()

    # Proposing

    def _later(self) -> None:
        self.wizard.session.plan = self.wizard.session.rehearsal = None
        self._busy = bool(self.wizard.journey.vault)
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE, self._propose)
        self.crumbs()

    def _propose(self) -> None:
        wizard = self.wizard
        material, journey = wizard.session.material, wizard.journey
        if material is None or not journey.vault or self._problem:
            self._busy = False
            self.crumbs()
            return
        self._busy = True
        self.say("proposing a plan …")
        self.crumbs()
        found = journey.findings_files()

        def job() -> Proposal:
            options = options_of(
                journey.vault,
                material.scope,
                identity=journey.identity,
                vault_secret_name=journey.template,
                on_conflict=journey.on_conflict or None,
                passwordless=journey.passwordless,
                choices=journey.choices(),
            )
            return propose(wizard.cloud(), material, options, found=found)

        self.start("proposing a plan", job, self._proposed, failed=self._failed)

    def _proposed(self, proposal: Proposal) -> None:
        self._busy = False
        session = self.wizard.session
        if session.plan is None or session.plan.id != proposal.plan.id:
            session.result = None  # what was applied before is in the list of runs
        session.plan, session.slots = proposal.plan, proposal.slots
        self.wizard.save()
        self._show()
        self.crumbs()

    def _failed(self) -> None:
        self._busy = False
        self.say("no plan yet")
        self.crumbs()

    def _show(self) -> None:
        session = self.wizard.session
        plan: Plan | None = session.plan
        if plan is None or self.grid is None:
            return
        before = self.grid.model.opened or {mapped.SECRETS, mapped.READERS, mapped.KEYLESS}
        self.grid.model.opened = before
        journey = self.wizard.journey
        rows = [
            *mapped.secret_rows(session.slots, journey.names),
            *mapped.identity_rows(plan, journey.identities),
            *mapped.keyless_rows(plan, journey.keyless),
        ]
        fresh = not len(self.grid.model)
        self.grid.set_rows(rows)
        if fresh and isinstance(self.focused, Select):
            self.grid.focus()
        conflicts = sum(1 for slot in session.slots if not slot.action)
        apps = {step.app.lower() for step in plan.steps if step.app}
        told = f"{count(len(session.slots) - conflicts, 'secret')} into {ResourceId.parse(str(plan.options['vault'])).name}"
        told += f", {count(len(apps), 'app')}"
        self.say(told + (f", {count(conflicts, 'conflict')} to resolve (x)" if conflicts else ""))
        self.crumbs()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self.query_one(Pane).show(mapped.about(event.row.data if event.row else None))

    # Single choices

    def action_edit(self) -> None:
        row = self.grid.current if self.grid else None
        if row is None or row.data is None:
            return
        if isinstance(row.data, Slot):
            self._rename(row.data)
        elif isinstance(row.data, dict):
            self._keyless(row.data)
        else:
            self._reader(str(row.data))

    def _rename(self, slot: Slot) -> None:
        others = {one.name.lower() for one in self.wizard.session.slots if one.default != slot.default}

        def check(text: str) -> str:
            if not VAULT_NAME.fullmatch(text.strip()):
                return "A vault takes 1 to 127 letters, digits and dashes."
            return "Another value of this plan has that name." if text.strip().lower() in others else ""

        def renamed(answer: str | None) -> None:
            if answer is None:
                return
            name = json.loads(answer)["name"]
            names = self.wizard.journey.names
            if name == slot.default:
                names.pop(slot.default, None)
            else:
                names[slot.default] = name
            self._later()

        chosen = self.wizard.journey.names.get(slot.default, slot.name)
        field = Field("name", f"Name in the vault (by the template: {slot.default})", chosen, check=check)
        self.app.push_screen(Ask(f"Name of {joined(slot.called)}", "", [field], "Rename"), renamed)

    def _reader(self, app: str) -> None:
        material = self.wizard.session.material
        existing = material.estate.identities if material else ()
        options = [
            ("", "as for all"),
            ("user", "one of its own"),
            ("system", "the system identity"),
            *((one.id, f"{one.name}  in {ResourceId.parse(one.id).group}") for one in existing),
        ]

        def chosen(answer: str | None) -> None:
            if answer is None:
                return
            if answer:
                self.wizard.journey.identities[app.lower()] = answer
            else:
                self.wizard.journey.identities.pop(app.lower(), None)
            self._later()

        now = self.wizard.journey.identities.get(app.lower(), "")
        self.app.push_screen(Choose(f"Identity of {ResourceId.parse(app).name}", "", options, now), chosen)

    def _keyless(self, entry: Json) -> None:
        journey, mark = self.wizard.journey, str(entry["fingerprint"])
        called = clean(joined(entry["names"]))
        if not mark or not (mapped.able(entry) or mark in journey.keyless):
            why = mapped.why_not(entry) if mark else "its value was not read, and only the choice for all speaks of it"
            self.notify(f"{called} stays a secret, in the vault: {why}", severity="warning", timeout=8)
            return
        plan: Plan | None = self.wizard.session.plan
        same = [one for one in plan.passwordless if one["fingerprint"] == mark] if plan else []
        where = joined(dict.fromkeys(clean(ResourceId.parse(str(one["app"])).name) for one in same))
        rights = joined(dict.fromkeys(clean(str(role["role"])) for one in same for role in one["roles"]))
        text = f"Of {where}, to {clean(entry['service'])}." + (f" The identity gets: {rights}." if rights else "")
        options = [
            ("", f"as for all: {KEYLESS[journey.passwordless]}"),
            ("apply", "go keyless: the identity signs in, and the key leaves the app"),
            ("suggest", "keep the key: it moves into the vault"),
        ]

        def chosen(answer: str | None) -> None:
            if answer is None or answer == journey.keyless.get(mark, ""):
                return
            if answer:
                journey.keyless[mark] = answer
            else:
                journey.keyless.pop(mark, None)
            self._later()

        self.app.push_screen(Choose(f"The key {called}", text, options, journey.keyless.get(mark, "")), chosen)

    def action_resolve(self) -> None:
        row = self.grid.current if self.grid else None
        slot = row.data if row else None
        if not isinstance(slot, Slot) or not slot.conflict:
            self.notify("There is no conflict at this row.", timeout=3)
            return
        options = [
            ("skip", "leave the value where it is, and say so in the plan"),
            ("rename", "put it under another name, with a mark at its end"),
            ("new-version", "make it the newest version there: whoever reads that secret gets this value"),
        ]

        def chosen(answer: str | None) -> None:
            if answer is not None:
                self.wizard.journey.conflicts[slot.conflict] = answer
                self._later()

        now = self.wizard.journey.conflicts.get(slot.conflict, "skip")
        text = slot.reason or f"The vault has a secret {slot.conflict} with another value."
        self.app.push_screen(Choose(f"{slot.conflict} is taken", text, options, now), chosen)
