"""What a request says and no call holds yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.several import adds_something, leftover, log_odds, without_held, without_others
from smidgen.messages import ToolCall, ToolSpec
from smidgen.models.tool_use import More


def call(tool: str = "plan", **arguments: object) -> ToolCall:
    return ToolCall(name=tool, arguments=dict(arguments))


def test_numbers_and_names_that_no_call_holds_are_left_over() -> None:
    request = "The tax on $30.45 in Chicago and on $52.33 in Portland"
    left = leftover(request, [call(amount=30.45, city="Chicago")])
    assert (left.numbers, left.names) == (1, 1)
    both = [call(amount=30.45, city="Chicago"), call(amount=52.33, city="Portland")]
    assert (leftover(request, both).numbers, leftover(request, both).names) == (0, 0)


def test_the_second_part_of_a_pair_is_left_over_until_a_call_holds_it() -> None:
    request = "The weather in rome and in oslo"
    assert leftover(request, [call(city="rome")]).listed == 1
    assert leftover(request, [call(city="rome"), call(city="oslo")]).listed == 0


def test_more_is_wanted_the_more_is_left_over() -> None:
    request, more = "Trains to Rome at 8 and to Oslo at 9", More()
    first, second = call(to="Rome", hour=8), call(to="Oslo", hour=9)
    assert (
        log_odds(leftover(request, [first]), -20.0, more)
        > 0
        > log_odds(leftover(request, [first, second]), -20.0, more)
    )


def test_a_tool_that_a_part_is_about_counts_until_it_is_called() -> None:
    assert leftover("x", [call("a")], ["a", "b"]).tools == 1
    assert leftover("x", [call("a"), call("b")], ["a", "b"]).tools == 0


def test_the_same_again_adds_nothing() -> None:
    request = "Trains to Rome and Oslo"
    rome = call(to="Rome")
    assert not adds_something(call(to="Rome"), [rome], request)
    assert not adds_something(call(to="Paris"), [rome], request)
    assert adds_something(call(to="Oslo"), [rome], request)
    assert adds_something(call("hotel", to="Rome"), [rome], request, about=("plan", "hotel"))
    assert not adds_something(call("weather", to="Rome"), [rome], request, about=("plan", "hotel"))


def test_a_text_of_the_request_that_no_call_holds_adds_something() -> None:
    request = "with watercolour the colour pink, then with acrylic the colour teal"
    assert adds_something(call(paint="acrylic"), [call(paint="watercolour")], request)
    assert not adds_something(call(paint="oil"), [call(paint="watercolour")], request)


def test_numbers_that_calls_hold_are_taken_where_the_rest_is_just_enough() -> None:
    request = "A box of 3 by 4 cm and another of 5 by 6 cm"
    assert without_held(request, [call(a=3, b=4)], "plan") == "A box of   by   cm and another of 5 by 6 cm"
    assert without_held("3 by 4 cm, 7 kg", [call(a=3, b=4)], "plan") == "3 by 4 cm, 7 kg"
    assert without_held(request, [call(a=3, b=4)], "other") == request


def test_a_number_said_twice_is_taken_once() -> None:
    request = "Radius 3 height 5, radius 5 height 10, radius 2 height 3"
    assert without_held(request, [call(r=3, h=5)], "plan") == "Radius   height  , radius 5 height 10, radius 2 height 3"
    assert leftover("1 and 2", [call(n=10**400)]).numbers == 2


def test_numbers_of_other_parts_are_taken_where_a_part_says_enough() -> None:
    request = "3 by 4 cm; 5 kg"
    assert without_others(request, (0, 9), 2) == "3 by 4 cm;   kg"
    assert without_others(request, (9, 15), 2) == request
    assert without_others(request, (0, 0), 0) == request


def test_what_stands_behind_the_same_word_is_a_twin_and_what_is_counted_is_wanted() -> None:
    request = "The first has a side of 5 and a weight of 2, the second has a side of 7"
    left = leftover(request, [call(side=5, weight=2)])
    assert (left.twins, left.counted) == (1, True)
    assert not leftover(request, [call(side=5, weight=2), call(side=7)]).counted
    assert leftover("One for Rome, another for Oslo", [call(to="Rome")]).counted


def test_a_choice_that_the_request_names_is_left_over_until_a_call_holds_it() -> None:
    paint = {"type": "string", "enum": ["watercolour", "acrylic", "oil"], "default": "oil"}
    tool = ToolSpec(name="plan", description="", parameters={"type": "object", "properties": {"paint": paint}})
    request = "mix pink in watercolour and teal in acrylic, no oil"
    one = [call(paint="watercolour")]
    assert leftover(request, one, tools=[tool]).choices == 1
    assert leftover(request, [*one, call(paint="acrylic")], tools=[tool]).choices == 0
    assert leftover(request, one).choices == 0
    assert log_odds(leftover(request, one, tools=[tool]), 0.0, More()) > log_odds(leftover(request, one), 0.0, More())


@given(st.text(max_size=120), st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans()))
def test_any_request_and_value_can_be_looked_at(request_text: str, value: object) -> None:
    made = call(value=value)
    leftover(request_text, [made])
    without_held(request_text, [made], "plan")
    assert not adds_something(made, [made], request_text)
