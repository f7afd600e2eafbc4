"""What all pages share: the head, the foot, keys that mean the same everywhere, and work that never blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer, Input, Static

from migrator.errors import KeyliftError, StoppedError
from tui import reporting
from tui.dialogs import Failure, Help, Jump
from tui.journey import PAGES
from tui.widgets.grid import Grid

if TYPE_CHECKING:
    from tui.app import Wizard

T = TypeVar("T")
TITLES = {name: name.capitalize() for name in PAGES}


class Crumbs(Static):
    """The pages with their state: done, here, open, or not yet."""

    DEFAULT_CSS = """
    Crumbs {
        height: 1; background: $panel; color: $foreground; width: 1fr; text-wrap: nowrap;
        link-style: none; link-color: $foreground; link-style-hover: bold; link-background: $panel;
    }
    """

    def show(self, here: str, states: dict[str, str]) -> None:
        """Draw; states are `done`, `open` or `blocked`."""
        parts = []
        for number, name in enumerate(PAGES, start=1):
            sign = "▶" if name == here else {"done": "✓", "open": " ", "blocked": "·"}[states[name]]
            word = f"{sign}{number} {TITLES[name]}"
            style = "bold reverse" if name == here else "" if states[name] != "blocked" else "dim"
            parts.append(
                f"[{style} @click=app.go('{name}')] {word} [/]" if style else f"[@click=app.go('{name}')] {word} [/]"
            )
        self.update("".join(parts), layout=False)


class Filter(Input):
    """Type to filter the grid of the page."""

    DEFAULT_CSS = """
    Filter { height: 1; border: none; padding: 0 1; background: $surface; width: 1fr; }
    Filter:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "leave", "To the rows", show=False, id="filter.leave", tooltip="Go to the rows that are left"),
        Binding("enter", "leave", "To the rows", id="filter.done", tooltip="Keep the filter and go to the rows"),
    ]
    HELP = "Every word you type must be in a row, or in something below it. **Enter** goes to the rows, **Esc** clears."

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True, id="filter", select_on_focus=False)

    def action_leave(self) -> None:
        page = self.screen
        if isinstance(page, Page) and page.grid is not None:
            page.grid.focus()


class Page(Screen[None]):
    """One page of the journey."""

    NAME: ClassVar[str] = ""
    HELP: ClassVar[str] = ""
    HELP_OF: ClassVar[dict[str, str]] = {}
    """Widget id -> help in Markdown."""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-narrow"),
        (100, "-normal"),
        (130, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next", "Next", key_display="⏎", id="page.next", tooltip="Go on to the next page"),
        Binding("escape", "back", "Back", id="page.back", tooltip="Clear the filter, or go back; nothing is lost"),
        Binding("slash", "filter", "Filter", key_display="/", id="page.filter", tooltip="Type to filter the rows"),
    ]
    DEFAULT_CSS = """
    Page { background: $background; layers: base; }
    Page #status { height: 1; background: $surface; color: $foreground 85%; padding: 0 1; width: 1fr; }
    Page #banner { height: 1; background: #8a5cc2; color: white; text-style: bold; padding: 0 1; width: 1fr; display: none; }
    Page.-demo #banner { display: block; }
    Page .note { color: $foreground 65%; }
    Page Input { background: $surface; }
    Page Footer { background: $footer-background; }
    """

    AUTO_FOCUS = "Grid"

    def __init__(self) -> None:
        super().__init__(name=self.NAME)
        self._said = ("", "")

    @property
    def wizard(self) -> Wizard:
        """The app."""
        return cast("Wizard", self.app)

    @property
    def grid(self) -> Grid | None:
        """The page's main table: what the filter filters."""
        found = self.query(Grid)
        return found.first() if found else None

    def compose(self) -> ComposeResult:
        yield Static("SIMULATOR   nothing here is real, and no Azure is touched", id="banner")
        yield Crumbs()
        yield from self.body()
        yield Static(id="status", markup=False)
        yield Footer()

    def body(self) -> Iterable[Widget]:
        """The page's own widgets."""
        return ()

    def on_mount(self) -> None:
        self.set_class(self.wizard.demo, "-demo")

    def on_screen_resume(self) -> None:
        self.crumbs()
        if self.focused is None and self.grid is not None:
            self.grid.focus()
        self.shown()

    def shown(self) -> None:
        """The page is on top again: bring it up to date."""

    def crumbs(self) -> None:
        """Draw the head and the foot anew."""
        self.query_one(Crumbs).show(self.NAME, self.wizard.states())
        self._say()

    def say(self, text: str) -> None:
        """Tell something in the line above the footer."""
        if text != self._said[0]:
            self._said = (text, self._said[1])
            self._say()

    def _say(self) -> None:
        blocked = self.blocked()
        here = PAGES.index(self.NAME) if self.NAME in PAGES else -1
        following = TITLES[PAGES[here + 1]] if 0 <= here < len(PAGES) - 1 else ""
        right = blocked or (f"Enter ▸ {following}" if following else "")
        text = Text(self._said[0], no_wrap=True, overflow="ellipsis")
        room = max(0, self.size.width - 2 - len(right) - 2)
        text.truncate(room, overflow="ellipsis", pad=True)
        text.append("  " + right, style="dim" if blocked else "bold")
        self.query_one("#status", Static).update(text, layout=False)

    def on_resize(self, _event: events.Resize) -> None:
        self.call_after_refresh(self._say)

    # Going on and back

    def blocked(self) -> str:
        """Why the next page is out of reach; empty when it is not."""
        return ""

    def action_next(self) -> None:
        why = self.blocked()
        if why:
            self.notify(why, severity="warning", timeout=4)
            self.app.bell()
            return
        at = PAGES.index(self.NAME)
        if at + 1 < len(PAGES):
            self.wizard.action_go(PAGES[at + 1])

    def action_back(self) -> None:
        found = self.query(Filter)
        if found and (found.first().value or found.first().has_focus):
            found.first().value = ""
            if self.grid is not None:
                self.grid.focus()
            return
        at = PAGES.index(self.NAME) if self.NAME in PAGES else 0
        if at:
            self.wizard.action_go(PAGES[at - 1])

    def action_filter(self) -> None:
        found = self.query(Filter)
        if found:
            found.first().focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's signature
        if action == "filter":
            return bool(self.query(Filter))
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        if isinstance(event.input, Filter) and self.grid is not None:
            self.grid.set_filter(event.value)
            self.filtered()

    def filtered(self) -> None:
        """Another filter holds: say what is left."""

    # Help and jumping

    def action_help(self) -> None:
        self.app.push_screen(Help(self.help_text()))

    def help_text(self) -> str:
        """Help for what has the focus, for the page, and the keys that work now."""
        focused = self.focused
        parts = []
        if focused is not None:
            own = self.HELP_OF.get(focused.id or "") or getattr(focused, "HELP", "") or ""
            if own:
                parts.append(f"## Here\n\n{own}")
        parts.append(f"## {TITLES.get(self.NAME, self.NAME.capitalize())}\n\n{self.HELP}")
        lines = ["## Keys", "", "| key | does |", "|---|---|"]
        for active in self.active_bindings.values():
            binding = active.binding
            if binding.tooltip and active.enabled:
                key = self.app.get_key_display(binding).replace("|", "\\|")
                lines.append(f"| `{key}` | {binding.tooltip} |")
        return "\n\n".join([*parts, "\n".join(lines)])

    def action_jump(self) -> None:
        def there(target: Widget | None) -> None:
            if target is not None:
                target.focus()

        self.app.push_screen(Jump([widget for widget in self.focus_chain if widget.region.area]), there)

    # Work

    def start(
        self,
        doing: str,
        job: Callable[[], T],
        then: Callable[[T], None],
        *,
        group: str = "work",
        failed: Callable[[], None] = lambda: None,
        stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """Do something in a thread, and go on with its result here; what fails is a page of its own, with retry.

        Args:
            doing: What is being done, as the rest of "while ...".
            job: Does it; touches no widget.
            then: Takes the result, in this thread.
            group: Work of one group replaces what is at work in it.
            failed: Called when it did not come to an end.
            stopped: Called when it was stopped on purpose.
        """
        again = partial(self.start, doing, job, then, group=group, failed=failed, stopped=stopped)

        def work() -> None:
            try:
                result = job()
            except StoppedError:
                self._back(stopped)
            except KeyliftError as error:
                self._back(failed, Failure.of(doing, error), again)
            except Exception as error:  # noqa: BLE001 - the wizard outlives it, and says where the report is
                path = reporting.write(self.wizard.reports, error, doing)
                page = Failure(
                    doing,
                    f"keylift failed in a way it does not know ({type(error).__name__})",
                    f"a report without values is in {path}",
                    "try again; if it stays, look at the report and pass it on",
                )
                self._back(failed, page, again)
            else:
                self._back(partial(then, result))

        self.run_worker(work, name=doing, group=group, thread=True, exclusive=True, exit_on_error=False)

    def _back(
        self, call: Callable[[], None], failure: Failure | None = None, again: Callable[[], None] = lambda: None
    ) -> None:
        """From a thread into the app's own, unless the app has gone."""

        def show() -> None:
            if not self.is_attached:
                return
            call()
            if failure is not None:
                self.app.push_screen(failure, lambda answer: again() if answer == "retry" else None)

        if self.app.is_running:
            self.app.call_later(show)
