"""The prompt around a cursor: its order, and what is left out of it. A token is a character here."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from smidgen.agent.infill import (
    LEAST_BEFORE,
    Around,
    Extra,
    Windows,
    beginning,
    ending,
    fitted,
    hurried,
    prompt,
    require,
    view,
)
from smidgen.errors import UnsupportedByModel
from smidgen.testing.models import FIM

PLAIN = msgspec.structs.replace(FIM, repo=None, file=None)


async def tokenize(text: str) -> Sequence[int]:
    return [ord(character) for character in text]


def nothing_cached(_: Sequence[int]) -> int:
    return 0


def lines(first: int, last: int) -> str:
    return "".join(f"line {number:04}\n" for number in range(first, last))


def text_of(around: Around) -> str:
    return "".join(segment.text for segment in prompt(around, FIM))


def test_the_prompt_has_what_changes_least_first() -> None:
    around = Around(before="def f(", after=")\n", extras=(Extra("a.py", "x = 1\n"), Extra("", "y = 2")))
    assert text_of(around) == (
        "<REP>project\n<SEP>a.py\nx = 1\n<SEP>filename\ny = 2\n<SEP>filename\n<PRE>def f(<SUF>)\n<MID>"
    )


def test_only_marks_are_control_tokens_whatever_the_text_spells() -> None:
    around = Around(before="<MID>", after="<SUF>", extras=(Extra("<PRE>", "<REP>"),), file="<SEP>")
    special = [segment.text for segment in prompt(around, FIM) if segment.special]
    assert special == ["<REP>", "<SEP>", "<SEP>", "<PRE>", "<SUF>", "<MID>"]


def test_without_marks_for_files_pieces_from_elsewhere_stand_in_front_as_text() -> None:
    around = Around(before="b", after="a", extras=(Extra("a.py", "x = 1"),))
    assert "".join(segment.text for segment in prompt(around, PLAIN)) == "a.py\nx = 1\n<PRE>b<SUF>a<MID>"


def test_a_model_without_marks_is_refused_in_the_words_that_editors_look_for() -> None:
    with pytest.raises(UnsupportedByModel, match=r"Infill is not supported by this model: tiny has"):
        require(None, "tiny")


async def test_tokens_are_those_of_the_prompt() -> None:
    shown = await view(Around(before="bb", after="a"), FIM, tokenize)
    assert shown.before == (FIM.prefix.id, ord("b"), ord("b"))
    assert shown.after == (FIM.suffix.id, ord("a"), FIM.middle.id)
    assert shown.head[0] == FIM.repo.id if FIM.repo else False
    assert not shown.cut


async def test_what_fits_is_not_cut() -> None:
    around = Around(before=lines(0, 5), after=lines(5, 8), extras=(Extra("a", "b\n"),))
    shown = await fitted(around, FIM, tokenize, 1000)
    assert shown.around == around and not shown.cut


async def test_each_part_is_cut_where_it_hurts_least_and_that_is_told() -> None:
    extras = tuple(Extra(f"{number}.py", lines(0, 12)) for number in range(5))
    around = Around(before=lines(0, 100) + "    x", after=lines(100, 200), extras=extras)
    shown = await fitted(around, FIM, tokenize, 800)
    assert len(shown.tokens) <= 800
    assert around.before.endswith(shown.around.before) and shown.around.before.startswith("line ")
    assert around.after.startswith(shown.around.after) and shown.around.after.endswith("\n")
    assert shown.around.extras == extras[-len(shown.around.extras) :] != extras
    assert [told.split(" cut ")[0] for told in shown.cut] == [
        "The text after the cursor was",
        "3 of 5 pieces from elsewhere were left out.",
        "The text before the cursor was",
    ]


async def test_pieces_from_elsewhere_stay_the_same_while_the_text_before_the_cursor_grows() -> None:
    extras = tuple(Extra(f"{number}.py", lines(0, 12)) for number in range(5))
    heads = {
        (await fitted(Around(before=lines(0, count), after="", extras=extras), FIM, tokenize, 800)).head
        for count in range(0, 90, 3)
    }
    assert len(heads) == 1


async def test_a_cut_beginning_moves_rarely_while_text_is_typed() -> None:
    begins: list[str] = []
    for typed in range(300):
        text = lines(0, 80) + "x" * typed
        kept = await ending(text, 400, tokenize)
        assert len(kept) <= 400 and text.endswith(kept)
        begins.append(kept[:10])
    assert len(set(begins)) <= 3


@pytest.mark.parametrize("length", [1, 63, 64, 65, 500, 5000, 50_000])
async def test_cuts_keep_to_the_budget_also_in_one_long_line(length: int) -> None:
    for text in ("x" * length, "é\n" * length, " " * length + "\n"):
        for budget in (1, 16, 100, 300):
            end, begin = await ending(text, budget, tokenize), await beginning(text, budget, tokenize)
            assert len(end) <= budget and text.endswith(end)
            assert len(begin) <= budget and text.startswith(begin)
            if length > 500 and budget == 300 and text[0] == "x":
                assert len(end) >= 100 and len(begin) >= 100


# --- time -------------------------------------------------------------------------------------------------------------


async def test_a_prompt_that_is_in_the_cache_is_not_cut_for_time() -> None:
    whole = await view(Around(before=lines(0, 100), after="a"), FIM, tokenize)
    assert await hurried(whole, FIM, tokenize, lambda tokens: len(tokens) - 5, 10) is whole


async def test_if_that_is_enough_only_the_text_after_the_cursor_is_shortened() -> None:
    whole = await view(Around(before=lines(0, 100), after=lines(0, 20)), FIM, tokenize)
    stable = len(whole.stable) - 10
    shown = await hurried(whole, FIM, tokenize, lambda tokens: min(len(tokens), stable), 100)
    assert shown.stable == whole.stable
    assert 0 < len(shown.after) < len(whole.after)
    assert len(shown.tokens) - stable <= 100
    assert any("no time" in told for told in shown.cut)


async def test_nothing_cached_leaves_the_text_close_to_the_cursor_and_never_less_than_the_least() -> None:
    around = Around(before=lines(0, 100), after=lines(100, 120), extras=(Extra("a", lines(0, 50)),))
    whole = await view(around, FIM, tokenize)
    shown = await hurried(whole, FIM, tokenize, nothing_cached, 400)
    assert shown.around.extras == ()
    assert around.before.endswith(shown.around.before)
    assert len(shown.tokens) <= 400
    least = await hurried(whole, FIM, tokenize, nothing_cached, 1)
    assert 16 <= len(least.around.before) <= LEAST_BEFORE


async def test_pieces_from_elsewhere_stay_if_they_are_cached() -> None:
    around = Around(before=lines(0, 100), after="", extras=(Extra("a", lines(0, 50)),))
    whole = await view(around, FIM, tokenize)
    shown = await hurried(whole, FIM, tokenize, lambda tokens: min(len(tokens), len(whole.head)), 200)
    assert shown.head == whole.head
    assert len(shown.tokens) - len(whole.head) <= 200


# --- windows ----------------------------------------------------------------------------------------------------------


def test_a_window_that_moves_on_with_the_cursor_begins_where_it_did_until_that_is_gone() -> None:
    windows = Windows()
    begins: list[str] = []
    for first in range(200):
        text = lines(first, first + 256)
        begins.append(text[windows.start(text) :][:9])
    assert begins[0] == "line 0000", "the first one is taken as it is"
    assert len(set(begins)) <= 2 + 200 // 64
    assert sorted(begins) == begins


def test_texts_that_do_not_move_and_other_files_begin_at_their_beginning() -> None:
    windows = Windows()
    for text in (lines(0, 200), lines(0, 200) + "x", lines(5000, 5200), lines(0, 200) + "xy", "short"):
        assert windows.start(text) == 0


def test_going_back_to_the_earlier_lines_of_a_file_begins_at_its_beginning() -> None:
    windows = Windows()
    windows.start(lines(100, 356))
    assert windows.start(lines(0, 256)) == 0
