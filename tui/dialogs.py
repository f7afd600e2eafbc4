"""What opens above a page: a question, a typed confirmation, a text, a choice, help, targets to jump to, a failure."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Footer, Input, Label, OptionList, Static
from textual.widgets.option_list import Option

from migrator.errors import KeyliftError
from tui.wording import clean

CLOSE = Binding("escape", "close", "Close", id="dialog.close", tooltip="Close this and change nothing")


class Dialog(ModalScreen[str | None]):
    """A box in the middle; Escape closes it with nothing done."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog #box {
        width: 72; max-width: 96%; height: auto; max-height: 92%;
        background: $surface; border: round $primary; padding: 0 2 1 2; overflow-y: auto; scrollbar-size-vertical: 1;
    }
    Dialog #box:ansi { border: round ansi_default; }
    Dialog .title { text-style: bold; margin-bottom: 1; width: 1fr; }
    Dialog .text { color: $foreground 85%; width: 1fr; }
    Dialog .problem { color: $error; height: auto; min-height: 1; width: 1fr; }
    Dialog .note { color: $foreground 65%; width: 1fr; margin-top: 1; }
    Dialog Input { background: $panel; }
    Dialog #word { margin-top: 1; }
    Dialog OptionList { height: auto; max-height: 12; background: $surface; border: none; margin-top: 1; }
    Dialog .buttons { height: auto; margin-top: 1; align-horizontal: right; }
    Dialog Button { margin-left: 2; min-width: 12; }
    Dialog Button:focus { text-style: bold reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [CLOSE]

    def action_close(self) -> None:
        self.dismiss(None)


class Confirm(Dialog):
    """Something that changes a cloud: a word has to be typed, and the focus is on Cancel."""

    def __init__(self, title: str, text: str, word: str, verb: str) -> None:
        """Ask.

        Args:
            title: What is about to happen.
            text: What it does, and what it does not.
            word: Has to be typed; empty for a plain question.
            verb: On the button.
        """
        super().__init__()
        self._title, self._text, self._word, self._verb = title, text, word, verb

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Label(self._title, classes="title", markup=False)
            yield Static(self._text, classes="text", markup=False)
            if self._word:
                yield Input(
                    placeholder=f"type: {self._word}", id="word", compact=True, tooltip="The word that says you mean it"
                )
                yield Label("", classes="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", tooltip="Change nothing")
                yield Button(self._verb, id="go", variant="error", disabled=bool(self._word), tooltip=self._title)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        right = event.value.strip() == self._word
        self.query_one("#go", Button).disabled = not right
        wrong = event.value.strip() and not self._word.startswith(event.value.strip())
        self.query_one(".problem", Label).update(f"Only '{self._word}' is accepted." if wrong else "")

    def on_input_submitted(self) -> None:
        if not self.query_one("#go", Button).disabled:
            self.dismiss("go")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss("go" if event.button.id == "go" else None)


@dataclass(frozen=True, slots=True)
class Field:
    """One line to fill in."""

    id: str
    label: str
    value: str = ""
    placeholder: str = ""
    check: Callable[[str], str] = lambda _text: ""
    """Says what is wrong with a text, or nothing."""


class Ask(Dialog):
    """One or more texts, checked as they are typed; the answer is a JSON object of the fields."""

    def __init__(self, title: str, text: str, asked: Sequence[Field], verb: str = "OK") -> None:
        super().__init__()
        self._title, self._text, self._asked, self._verb = title, text, tuple(asked), verb

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Label(self._title, classes="title", markup=False)
            if self._text:
                yield Static(self._text, classes="text", markup=False)
            for one in self._asked:
                yield Label(one.label, classes="note", markup=False)
                yield Input(one.value, placeholder=one.placeholder, id=one.id, compact=True, tooltip=one.label)
            yield Label("", classes="problem", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", tooltip="Change nothing")
                yield Button(self._verb, id="go", variant="primary", tooltip=self._title)
        yield Footer()

    def on_mount(self) -> None:
        self.query(Input).first().focus()
        self._check()

    def _problem(self) -> str:
        return next((said for one in self._asked if (said := one.check(self.query_one(f"#{one.id}", Input).value))), "")

    def _check(self) -> str:
        problem = self._problem()
        self.query_one(".problem", Label).update(problem)
        self.query_one("#go", Button).disabled = bool(problem)
        return problem

    def on_input_changed(self) -> None:
        self._check()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        inputs = list(self.query(Input))
        at = inputs.index(event.input)
        if at + 1 < len(inputs):
            inputs[at + 1].focus()
        elif not self._check():
            self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "go":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        import json

        self.dismiss(json.dumps({one.id: self.query_one(f"#{one.id}", Input).value.strip() for one in self._asked}))


class Choose(Dialog):
    """One of several."""

    def __init__(self, title: str, text: str, options: Sequence[tuple[str, str]], chosen: str = "") -> None:
        """Ask for one of `(id, words)`."""
        super().__init__()
        self._title, self._text, self._options, self._chosen = title, text, tuple(options), chosen

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Label(self._title, classes="title", markup=False)
            if self._text:
                yield Static(self._text, classes="text", markup=False)
            yield OptionList(*(Option(words, id=f"o{at}") for at, (_, words) in enumerate(self._options)), markup=False)
        yield Footer()

    def on_mount(self) -> None:
        listed = self.query_one(OptionList)
        listed.focus()
        listed.highlighted = next((at for at, (one, _) in enumerate(self._options) if one == self._chosen), 0)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._options[event.option_index][0])


class Help(Dialog):
    """Help for what has the focus, for the page, and all keys that work now."""

    DEFAULT_CSS = """
    Help #box { width: 78; height: 92%; }
    Help Markdown { background: $surface; margin: 0; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "close", "Close", show=False, id="help.close", tooltip="Close the help"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        from textual.widgets import Markdown

        with VerticalScroll(id="box"):
            yield Markdown(self._text)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#box").focus()


class Jump(ModalScreen[Widget | None]):
    """A letter on each thing that can have the focus; typing it goes there."""

    DEFAULT_CSS = """
    Jump { background: $background 30%; }
    Jump Label { position: absolute; background: $primary; color: $background; text-style: bold; padding: 0 1; }
    Jump Label:ansi { text-style: reverse bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", id="jump.close", tooltip="Stay where you are"),
    ]

    def __init__(self, targets: Sequence[Widget]) -> None:
        super().__init__()
        self._targets = dict(zip(string.ascii_lowercase, targets, strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self._targets.items():
            label = Label(letter)
            label.styles.offset = (target.region.x, target.region.y)
            yield label
        yield Footer()

    def on_key(self, event: object) -> None:
        target = self._targets.get(getattr(event, "key", ""))
        if target is not None:
            self.dismiss(target)

    def action_close(self) -> None:
        self.dismiss(None)


class Failure(Dialog):
    """A failure: what happened, why, and the way out. Answers `retry`, or nothing."""

    DEFAULT_CSS = """
    Failure { background: $background; }
    Failure #box { border: round $error; width: 90; }
    Failure #box:ansi { border: round ansi_red; }
    Failure #told { height: auto; max-height: 62vh; }
    Failure .title { color: $error; }
    Failure .head { text-style: bold; margin-top: 1; }
    Failure .next { color: $primary; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "Try again", id="failure.retry", tooltip="Do the same once more"),
    ]

    def __init__(self, doing: str, what: str, why: str, hint: str, *, retry: bool = True) -> None:
        super().__init__()
        self._doing, self._what, self._why, self._hint, self._retry = doing, what, why, hint, retry

    @classmethod
    def of(cls, doing: str, error: KeyliftError, *, retry: bool = True) -> Failure:
        """The page of an error that knows its way out."""
        return cls(doing, error.what, error.why, error.hint, retry=retry)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            with VerticalScroll(id="told"):
                yield Label("✗ " + clean(self._what), classes="title", markup=False)
                yield Static(f"while {self._doing}", classes="text", markup=False)
                if self._why:
                    yield Label("Why", classes="head")
                    yield Static(clean(self._why), classes="text", markup=False)
                yield Label("What to do", classes="head")
                yield Static(clean(self._hint), classes="next", markup=False)
                yield Static("Nothing you chose is lost.", classes="note", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Back", id="cancel", tooltip="Go back to the page")
                if self._retry:
                    yield Button("Try again", id="go", variant="primary", tooltip="Do the same once more")
        yield Footer()

    def on_mount(self) -> None:
        self.query(Button).last().focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - Textual's signature
        return action != "retry" or self._retry

    def action_retry(self) -> None:
        self.dismiss("retry")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss("retry" if event.button.id == "go" else None)
