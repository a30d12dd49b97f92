"""Long results: the first part is read at once, the others when they are asked for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smidgen.tools import ToolOutcome
from smidgen.tools import results as module
from smidgen.tools.results import LEAST_PART, MOST_RESULTS, Results

LINES = "\n".join(f"line {number:03}" for number in range(100))


async def more(results: Results, **arguments: Any) -> ToolOutcome:
    (read_more,) = results.tools()
    return await read_more.call(arguments)


def test_what_fits_is_read_as_it_is() -> None:
    results = Results()
    assert results.shown("short", 200) == results.shown("short", 0) == "short"
    assert results.tools() == ()


async def test_parts_end_at_lines_and_are_read_one_after_the_other() -> None:
    results = Results()
    first = results.shown(LINES, 400)
    assert first.startswith("line 000\n") and first.endswith('\n[part 1 of 3; read on with read_more("r1")]')
    assert first.split("\n")[-2] == "line 043"
    second = await more(results)
    assert second.text.startswith("line 044\n") and second.answer == second.text
    third = await more(results, result="r1")
    assert third.text.endswith("line 099\n[part 3 of 3]")
    assert (await more(results)).text == "(that was all of r1)"
    assert (await more(results, result="r1", part=1)).text == first
    assert (await more(results)).text == second.text


async def test_a_part_that_is_read_on_is_not_cut_again() -> None:
    results = Results()
    results.shown("x" * 1000, 300)
    part = (await more(results)).text
    assert results.shown(part, 300) == part


async def test_wrong_names_and_parts_say_which_there_are() -> None:
    results = Results()
    results.shown(LINES, 400)
    results.shown(LINES, 400)
    for arguments, told in (
        ({"result": "r9"}, "There is no result 'r9'; there are r1, r2."),
        ({"result": "r1", "part": 4}, "r1 has the parts 1 to 3."),
        ({"part": -1}, "r2 has the parts 1 to 3."),
    ):
        outcome = await more(results, **arguments)
        assert (outcome.fault, told in outcome.text) == ("arguments", True), outcome.text


async def test_the_oldest_are_forgotten(monkeypatch: Any) -> None:
    results = Results()
    for _ in range(MOST_RESULTS + 1):
        results.shown(LINES, 400)
    assert "r1," not in (await more(results, result="r1")).text
    monkeypatch.setattr(module, "MOST_CHARACTERS", 1000)
    results.shown("x" * 5000, 400)
    assert (await more(results, result="r0")).text.endswith(f"there are r{MOST_RESULTS + 2}.")


@given(st.text(alphabet="ab \n", max_size=3000), st.integers(0, 500))
def test_nothing_is_lost_but_ends_of_lines_and_of_the_text(text: str, characters: int) -> None:
    results = Results()
    shown = results.shown(text, characters)
    if shown == text:
        return
    parts = results._kept["r1"]
    assert "".join(parts).replace("\n", "").rstrip() == text.replace("\n", "").rstrip()
    assert all(len(part) <= max(characters, LEAST_PART) for part in parts)
    assert shown.startswith(parts[0])


def test_what_was_shown_is_kept_in_its_order_and_a_single_run_promises_nothing() -> None:
    results = Results(lasting=False)
    results.shown("short", 400)
    told = results.shown("line\n" * 1000, 400)
    assert results.texts == ["short", told]
    assert told.endswith('in a chat, "more" reads on]')
    assert "read_more" not in told
