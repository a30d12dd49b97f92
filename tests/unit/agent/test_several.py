"""What a request says and no call holds yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.several import adds_something, leftover, log_odds, siblings
from smidgen.messages import ToolCall
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


def test_after_a_name_the_list_ends_where_no_name_follows() -> None:
    made = call(city="Lima")
    assert siblings(made, [made], "for Lima, and their weather") is None
    assert siblings(made, [made], "for Lima and Rome, and their weather") == call(city="Rome")


def test_what_a_list_gives_is_called_one_by_one() -> None:
    request = "A loan of $4,000 over 15, 20 and 30 years"
    calls = [call(amount=4000, years=15)]
    while (following := siblings(calls[-1], calls, request)) is not None:
        calls.append(following)
    assert [made.arguments["years"] for made in calls] == [15, 20, 30]
    assert siblings(call(metal="copper"), [call(metal="copper")], "of copper and zinc") == call(metal="zinc")
    assert siblings(call(metal="gold"), [call(metal="gold")], "of copper and zinc") is None


@given(st.text(max_size=120), st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans()))
def test_any_request_and_value_can_be_looked_at(request_text: str, value: object) -> None:
    made = call(value=value)
    leftover(request_text, [made])
    siblings(made, [made], request_text)
    assert not adds_something(made, [made], request_text)


def test_names_of_several_words_are_listed_too() -> None:
    request = "Sequences of human insulin, rat insulin, and pig insulin and their models"
    calls = [call(protein="human insulin")]
    while len(calls) < 4 and (following := siblings(calls[0], calls, request)) is not None:
        calls.append(following)
    assert [made.arguments["protein"] for made in calls[:3]] == ["human insulin", "rat insulin", "pig insulin"]
