"""Decisions on single things: what they change in a plan, and what a file of them may hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator import planner
from migrator.errors import UsageError
from migrator.planning.choices import CONFLICTS, KEYLESS, Choices, Ignored
from scanners.model import Confidence

from .estates import KEY, PASSWORD, TOKEN, Spec, app_id, codes, estate, held, make, options, vault

SHOP = Spec(env={"DB_PASSWORD": PASSWORD}, inline={"token": TOKEN})


def chosen(**parts: Any) -> Any:
    return options(choices=Choices(**parts))


def names(plan: Any) -> set[str]:
    return {str(step.change["name"]) for step in plan.steps if step.kind == "vault-secret"}


def test_without_choices_the_plan_says_nothing_of_them() -> None:
    assert "choices" not in make(SHOP).options
    assert make(SHOP).to_json() == make(SHOP, options=chosen()).to_json()


def test_a_chosen_name_is_used_and_stays_unique() -> None:
    (first, second) = sorted(names(make(SHOP)))
    plan = make(SHOP, options=chosen(names={first: "mine", second: "mine"}))
    assert len(names(plan)) == 2
    assert "mine" in names(plan)
    assert plan.options["choices"] == {"names": {first: "mine", second: "mine"}}


def test_one_app_can_have_another_identity() -> None:
    other = Spec(name="other", env={"DB_PASSWORD": TOKEN})
    plan = make(SHOP, other, options=chosen(identity={app_id("other").lower(): "system"}))
    made = [step for step in plan.steps if step.kind == "identity-create"]
    assert [step.app.lower() for step in made] == [app_id(SHOP.name).lower()]


def test_an_ignored_value_stays_with_its_reason() -> None:
    plan = make(SHOP, options=chosen(ignore={KEY.of(TOKEN): Ignored("ignored", "rotated on Monday", "2026-12-31")}))
    assert len(names(plan)) == 1
    (entry,) = [entry for entry in plan.skipped if entry["code"] == "allowed"]
    assert entry["reason"].endswith("it stays until 2026-12-31: rotated on Monday")


def test_an_accepted_value_moves_though_it_is_of_low_confidence() -> None:
    found = [replace(finding, confidence=Confidence.LOW) for finding in SHOP.findings()]
    assert make(SHOP, findings=found).steps == ()
    assert len(names(make(SHOP, findings=found, options=chosen(accept=(KEY.of(TOKEN),))))) == 1


@pytest.mark.parametrize(("way", "action"), [("skip", ""), ("new-version", "new-version"), ("rename", "create")])
def test_one_conflict_is_resolved_by_itself(way: str, action: str) -> None:
    taken = min(names(make(SHOP)))
    busy = (vault(held(taken, "something else of some length")),)
    plan = make(SHOP, vaults=busy, options=chosen(on_conflict={taken: way}))
    slots = planner.slots(estate(SHOP, vaults=busy), SHOP.findings(), chosen(on_conflict={taken: way}), KEY)
    (slot,) = [slot for slot in slots if slot.default == taken]
    assert (slot.action, slot.conflict) == (action, taken)
    assert ("vault-conflict" in codes(plan)) == (way == "skip")
    assert {slot.name for slot in slots if slot.action} == names(plan)


def test_what_has_run_out_counts_no_more() -> None:
    choices = Choices(ignore={"f1:a": Ignored("ignored", "for now", "2026-11-01"), "f1:b": Ignored("false", "a test")})
    assert set(choices.on(date(2026, 11, 1)).ignore) == {"f1:a", "f1:b"}
    assert set(choices.on(date(2026, 11, 2)).ignore) == {"f1:b"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": {"a": "no_underscore"}},
        {"names": {"a": "n" * 128}},
        {"names": {"a": ""}},
        {"on_conflict": {"a": "overwrite"}},
        {"passwordless": {"f1:a": "never"}},
        {"ignore": {"f1:a": Ignored("ignored", " ")}},
        {"ignore": {"f1:a": Ignored("maybe", "why")}},
        {"ignore": {"f1:a": Ignored("false", "why", "31.12.2026")}},
    ],
)
def test_what_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError):
        Choices(**wrong)


def test_an_identity_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="identity"):
        chosen(identity={"/subscriptions/x": "mine"})


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '{"schema": 2}',
        '{"schema": 1, "nmaes": {}}',
        '{"schema": 1, "names": []}',
        '{"schema": 1, "key": "k", "ignore": [{}]}',
        '{"schema": 1, "key": "other", "accept": ["f1:a"]}',
        '{"schema": 1, "key": "other", "passwordless": {"f1:a": "apply"}}',
    ],
)
def test_a_broken_file_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Choices.from_json(text, key="k", source="choices.json")


WORDS = st.text("abcdef-", min_size=1, max_size=8)
IGNORED = st.builds(
    Ignored,
    st.sampled_from(["ignored", "false"]),
    st.text(min_size=1).filter(str.strip),
    st.one_of(st.just(""), st.dates().map(str)),
)


@given(
    st.builds(
        Choices,
        st.dictionaries(WORDS, st.sampled_from(["user", "system"])),
        st.dictionaries(WORDS, WORDS),
        st.dictionaries(WORDS, st.sampled_from(CONFLICTS)),
        st.lists(WORDS, unique=True).map(lambda found: tuple(sorted(found))),
        st.dictionaries(WORDS, IGNORED),
        st.dictionaries(WORDS, st.sampled_from(KEYLESS)),
    )
)
def test_a_file_comes_back_as_it_was_written(choices: Choices) -> None:
    text = choices.to_json("k")
    again = Choices.from_json(text, key="k", source="choices.json")
    assert again == choices
    assert again.to_json("k") == text
