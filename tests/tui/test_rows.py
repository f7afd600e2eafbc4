"""The tree of rows behind every table: whatever is typed, opened, sorted and marked, in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App

from tui.widgets.grid import Column, Grid
from tui.widgets.rows import Row, Rows

WORDS = ("api", "web", "token", "pass", "a", "rg-1", "PASSWORD")


@st.composite
def trees(draw: st.DrawFn) -> list[Row]:
    """Up to two levels below the uppermost rows, in their natural order."""
    rows: list[Row] = []
    for top in range(draw(st.integers(0, 4))):
        rows.append(Row(f"{top}", (draw(st.sampled_from(WORDS)),), find=draw(st.sampled_from(WORDS))))
        for below in range(draw(st.integers(0, 3))):
            rows.append(Row(f"{top}/{below}", (draw(st.sampled_from(WORDS)),), parent=f"{top}"))
            rows += [
                Row(f"{top}/{below}/{leaf}", (draw(st.sampled_from(WORDS)),), parent=f"{top}/{below}")
                for leaf in range(draw(st.integers(0, 2)))
            ]
    return rows


def told(rows: Rows, key: str) -> str:
    """All words of a row and of what is below it, worked out anew."""
    row = rows[key]
    below = [told(rows, one.key) for one in rows.leaves("") if one.key.startswith(f"{key}/")]
    middle = [rows[f"{key}/{number}"] for number in range(3) if f"{key}/{number}" in rows]
    mine = " ".join([*(str(cell) for cell in row.cells), row.find])
    return "\n".join(
        [mine, *below, *(" ".join([*(str(cell) for cell in one.cells), one.find]) for one in middle)]
    ).lower()


@given(
    trees(),
    st.lists(
        st.tuples(
            st.sampled_from(["filter", "sort", "open", "all", "mark", "invert", "update"]), st.sampled_from(WORDS)
        )
    ),
)
def test_whatever_is_done_what_is_shown_follows_from_it(found: list[Row], done: list[tuple[str, str]]) -> None:
    rows = Rows("leaf")
    rows.replace(found)
    for what, word in done:
        at = rows.shown[len(word) % len(rows.shown)] if rows.shown else None
        before = rows.marked
        if what == "filter":
            rows.filter(word)
        elif what == "sort":
            rows.sort(0)
        elif what == "open" and at is not None:
            rows.open(at, yes=at.key not in rows.opened)
        elif what == "all":
            rows.open_all()
        elif what == "mark" and at is not None:
            rows.toggle(at)
            assert {key for key in before ^ rows.marked if not (key == at.key or key.startswith(f"{at.key}/"))} == set()
        elif what == "invert":
            rows.invert_passing()
            rows.invert_passing()
            assert rows.marked == before
        elif what == "update" and at is not None:
            rows.update(at.key, (word,))
            rows.arrange()
    shown = [row.key for row in rows.shown]
    # no row twice, and none without the one it is below, which is open
    assert len(shown) == len(set(shown))
    for row in rows.shown:
        assert not row.parent or (row.parent in shown and row.parent in rows.opened)
    # uppermost rows: those that hold every word somewhere, and no others
    tops = {row.key for row in found if not row.parent}
    assert {key for key in shown if key in tops} == {
        key for key in tops if all(word in told(rows, key) for word in rows.words)
    }
    # in the order chosen
    if rows.sorted_by is not None:
        texts = [str(rows[key].cells[0]).lower() for key in shown if key in tops]
        assert texts == sorted(texts, reverse=rows.sorted_by[1])
    # a mark's count is that of its leaves
    for row in rows.shown:
        leaves = [leaf.key for leaf in rows.leaves(row.key)]
        assert rows.tally(row) == (sum(leaf in rows.marked for leaf in leaves), len(leaves))


def test_a_mark_speaks_of_what_passes_the_filter_whether_open_or_not() -> None:
    rows = Rows("leaf")
    names = ("api", "web", "worker")
    rows.replace([Row("g", ("shop",)), *(Row(name, (name,), parent="g") for name in names)])
    rows.filter("w")
    assert [row.key for row in rows.shown] == ["g"]
    rows.toggle_passing()
    assert rows.marked == {"web", "worker"}
    assert rows.tally(rows["g"]) == (2, 3)
    rows.filter("")
    rows.invert_passing()
    assert rows.marked == {"api"}


def test_a_decision_can_be_filtered_for_at_once() -> None:
    rows = Rows("top")
    rows.replace([Row("one", ("a", "→ moves")), Row("one/0", ("place",), parent="one"), Row("two", ("b", "→ moves"))])
    rows.update("one", ("a", "– ignored"), "ignored")
    rows.filter("ignored")
    assert [row.key for row in rows.shown] == ["one"]


def test_the_cursor_stays_at_the_top_until_somebody_moves_it() -> None:
    """Findings arrive in any order: what comes in above must not carry a cursor along that nobody put anywhere."""

    class Host(App[None]):
        def compose(self) -> Iterator[Grid]:
            yield Grid([Column("Name")])

    async def story() -> None:
        host = Host()
        async with host.run_test() as pilot:
            grid = host.query_one(Grid)

            def under() -> str:
                return grid.current.key if grid.current else ""

            grid.model.sort(0)
            grid.set_rows([row("m")])
            grid.set_rows([row("m"), row("c")])
            assert under() == "c"
            grid.focus()
            await pilot.press("down")
            grid.set_rows([row("m"), row("c"), row("a")])
            assert under() == "m"
            grid.set_rows([])
            grid.set_rows([row("m"), row("z"), row("b")])
            assert under() == "b"

    def row(name: str) -> Row:
        return Row(name, (name,), sort=(name,))

    asyncio.run(story())
