"""Scope: who is signed in, what they may do, and which apps the job is about."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from migrator.errors import KeyliftError
from migrator.standing import Place, Standing, look_around
from tui.dialogs import Ask, Choose, Field
from tui.page import Filter, Page
from tui.widgets.bars import Plot
from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Row
from tui.wording import clean, count


class ScopePage(Page):
    """Subscriptions, groups and apps as a tree to pick from."""

    NAME = "scope"
    HELP = (
        "Who you are is at the top: the account, what signed it in, its tenant and the cloud. Below it stands what this "
        "account may do at the whole of the subscription under the cursor; it may hold rights further down all the same, "
        "and Review names every right that a plan lacks.\n\n"
        "Pick the apps the job is about. All are picked at first, those that are made tomorrow included. Nothing is "
        "changed in the cloud before you confirm on the page Apply."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "cloud", "Cloud", id="scope.cloud", tooltip="Another cloud, or another way to sign in"),
        Binding("w", "keep", "Keep scope", show=False, id="scope.keep", tooltip="Keep this scope under a name"),
        Binding("l", "load", "Load scope", show=False, id="scope.load", tooltip="Pick what a kept scope picks"),
        Binding("r", "again", "Read again", show=False, id="scope.again", tooltip="Sign in and read again"),
    ]
    DEFAULT_CSS = """
    ScopePage #head { height: auto; padding: 0 0; background: $surface; }
    ScopePage #bar { height: 1; }
    """

    def body(self) -> Iterable[Widget]:
        yield Plot(id="account", classes="-one")
        yield Plot(id="rights")
        with Horizontal(id="bar"):
            yield Filter("/ type to filter: names of subscriptions, groups, apps")
        yield Grid(
            [Column("Name"), Column("Apps", 12, right=True), Column("Picked", 12, right=True, least=70)],
            mark="leaf",
            empty="Signing in …",
        )

    def on_mount(self) -> None:
        self.query_one("#account", Plot).show(("signing in …", "foreground"))
        # after the first frame: the Azure SDK is imported by whoever needs it first, in a thread
        self.call_after_refresh(self.action_again)

    def shown(self) -> None:
        self._tell()

    def action_again(self) -> None:
        if self.grid is not None:
            self.grid.empty = "Signing in …"
        self.start(
            "signing in and looking around", lambda: look_around(self.wizard.cloud()), self._seen, failed=self._lost
        )

    def _lost(self) -> None:
        if self.grid is not None:
            self.grid.empty = "Not signed in. r tries again, c chooses another cloud or way to sign in."
            self.grid.refresh()
        self.query_one("#account", Plot).show(("not signed in", "error"))

    def _seen(self, standing: Standing) -> None:
        self.wizard.session.standing = standing
        who = standing.account
        name = f"{who.name[:8]}…" if who.kind != "user" else who.name[:32]
        self.query_one("#account", Plot).show(
            (clean(name), "primary"),
            (f"  {who.kind}", ""),
            (f" · {clean(who.how)} · tenant {clean(who.tenant)[:8]}… · ", ""),
            ("simulator" if self.wizard.demo else clean(standing.cloud), "primary"),
        )
        assert self.grid is not None
        rows = []
        for place in standing.places:
            mine = [app for app in standing.apps if app.subscription == place.id.lower()]
            rows.append(
                Row(place.id, (clean(place.name), str(len(mine)), ""), find=place.id, data=place, markable=False)
            )
            groups: dict[str, list[Row]] = {}
            for app in mine:
                key = f"{place.id}/{app.group.lower()}"
                row = Row(app.id, (clean(app.name), "", ""), parent=key, find=app.id)
                groups.setdefault(key, []).append(row)
            names = {f"{place.id}/{app.group.lower()}": app.group for app in mine}
            for key in sorted(groups):
                rows.append(
                    Row(
                        key, (clean(names[key]), str(len(groups[key])), ""), parent=place.id, data=place, markable=False
                    )
                )
                rows += groups[key]
        self.grid.empty = "This account sees no container app."
        few = len(standing.apps) <= 60
        self.grid.model.opened = {row.key for row in rows if row.data is not None and (few or not row.parent)}
        known = {app.id for app in standing.apps}
        low = {app.lower() for app in self.wizard.journey.picked}
        self.grid.model.marked = (
            set(known) if self.wizard.journey.everything else {a for a in known if a.lower() in low}
        )
        self.grid.set_rows(rows)
        self._picked()
        self.grid.focus()
        for note in standing.notes:
            self.notify(clean(note), severity="warning")
        resumed = self.wizard.journey.ignored or self.wizard.journey.vault or not self.wizard.journey.everything
        if resumed:
            self.notify("Your choices of last time are kept.", timeout=4)
        self._tell()
        self.crumbs()

    def _picked(self) -> None:
        """How many are picked of each subscription and group."""
        assert self.grid is not None
        model = self.grid.model
        for row in [row for row in model.above() if row.data is not None]:
            marked, of = model.tally(row)
            self.grid.update_row(row.key, (*row.cells[:2], f"{marked:,} of {of:,}"))

    def _tell(self) -> None:
        standing = self.wizard.session.standing
        if standing is None or self.grid is None:
            self.say("signing in …")
            return
        picked = len(self.grid.model.marked)
        self.say(f"{picked:,} of {count(len(standing.apps), 'app')} picked")

    def on_grid_moved(self, event: Grid.Moved) -> None:
        place = event.grid.model.top_of(event.row).data if event.row else None
        if isinstance(place, Place):
            signs = {True: ("✓", "success"), False: ("✗", "error"), None: ("?", "warning")}
            parts, room = [("you may  ", "")], self.size.width - 2 - 9
            for words, held in place.abilities:
                sign, color = signs[held]
                if room < len(words) + 2:  # a sign stays with its words
                    parts, room = [*parts, ("\n" + " " * 9, "")], self.size.width - 2 - 9
                parts += [(f"{sign} ", color), (f"{words}  ", "")]
                room -= len(words) + 4
            self.query_one("#rights", Plot).show(*parts)

    def on_grid_marked(self, event: Grid.Marked) -> None:
        standing = self.wizard.session.standing
        if standing is None:
            return
        journey = self.wizard.journey
        journey.everything = len(event.grid.model.marked) == len(standing.apps)
        journey.picked = [] if journey.everything else sorted(event.grid.model.marked)
        self._picked()
        self._tell()
        self.crumbs()

    def blocked(self) -> str:
        return self.wizard.reach("scan")

    # Saved scopes

    def action_keep(self) -> None:
        def keep(answer: str | None) -> None:
            if answer and self.grid is not None:
                name = json.loads(answer)["name"]
                self.wizard.journey.scopes[name] = sorted(self.grid.model.marked)
                self.wizard.save()
                self.notify(f"Kept {count(len(self.grid.model.marked), 'app')} as '{name}'.", timeout=3)

        number = len(self.grid.model.marked) if self.grid else 0
        ask = Field(
            "name", "Name", placeholder="team shop", check=lambda text: "" if text.strip() else "It needs a name."
        )
        self.app.push_screen(Ask(f"Keep this scope of {count(number, 'app')}", "", [ask], "Keep"), keep)

    def action_load(self) -> None:
        scopes = self.wizard.journey.scopes
        if not scopes:
            self.notify("No scope is kept yet; w keeps this one.", timeout=3)
            return

        def load(name: str | None) -> None:
            if name is not None and self.grid is not None:
                keys = {row.key for row in self.grid.model.leaves()}
                self.grid.set_marked(app for app in scopes[name] if app in keys)

        options = [(name, f"{name}   {count(len(apps), 'app')}") for name, apps in sorted(scopes.items())]
        self.app.push_screen(Choose("Load a scope", "", options), load)

    # The cloud

    def action_cloud(self) -> None:
        if self.wizard.demo:
            self.notify("The demo has one cloud: the simulator. Start without --demo for a real one.", timeout=4)
            return

        def check(text: str) -> str:
            try:
                from migrator.cloud.profiles import load_profile

                load_profile(text.strip() or "public")
            except KeyliftError as error:
                return error.what
            return ""

        def ways(text: str) -> str:
            known = ("default", "cli", "managed-identity", "environment", "device-code")
            return "" if text.strip() in known else f"One of {', '.join(known)}."

        def change(answer: str | None) -> None:
            if not answer:
                return
            from dataclasses import replace

            said = json.loads(answer)
            wizard = self.wizard
            wizard.place = replace(wizard.place, cloud=said["cloud"] or "public", auth=said["auth"])
            wizard.journey.cloud, wizard.journey.auth = wizard.place.cloud, wizard.place.auth
            wizard.forget()
            self.action_again()

        place = self.wizard.place
        fields = [
            Field("cloud", "Cloud: public, china, usgov, or the path of a profile", place.cloud, check=check),
            Field(
                "auth", "Sign in by: default, cli, managed-identity, environment, device-code", place.auth, check=ways
            ),
        ]
        self.app.push_screen(Ask("Cloud and sign-in", "", fields, "Sign in"), change)
