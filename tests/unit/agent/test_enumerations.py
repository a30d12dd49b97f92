from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.agent.enumerations import listed_with, stands_for
from smidgen.agent.several import leftover
from smidgen.messages import ToolCall


def call(**arguments: object) -> ToolCall:
    return ToolCall(name="plan", arguments=dict(arguments))


@pytest.mark.parametrize(
    ("value", "request_text", "found"),
    [
        ("Lima", "for Lima and Rome, and their weather", ("Lima", "Rome")),
        ("Lima", "for Lima, and their weather", ()),
        ("Rome", "for Oslo, Rome and New York.", ("Oslo", "Rome", "New York")),
        ("Bern", "in Bern, Switzerland and Rome, Italy", ()),
        ("Bern, Switzerland", "in Bern, Switzerland and Rome, Italy", ("Bern, Switzerland", "Rome, Italy")),
        ("Ada Lovelace", "by Ada Lovelace and Alan Turing. Then print it", ("Ada Lovelace", "Alan Turing")),
        ("Dune", "'Dune', 'Emma' and 'Momo'", ("Dune", "Emma", "Momo")),
        ("copper", "of copper and zinc", ("copper", "zinc")),
        ("height", "the height and the weight of a horse", ("height", "weight")),
        ("gold", "of copper and zinc", ()),
        (
            "human insulin",
            "of human insulin, rat insulin, and pig insulin and their models",
            ("human insulin", "rat insulin", "pig insulin"),
        ),
        (15, "over 15, 20 and 30 years", (15, 20, 30)),
        (0.05, "at 5% and 7%", (0.05, 0.07)),
        (2, "2 apples and 3 pears", ()),
        (10, "alarms at 10:30 and 11:45", ()),
        (4, "boards of 3 by 4 and 5 by 6", ()),
        (100, "between 50 and 100 euros", ()),
        (2, "2 or 3 recipes", ()),
        (2024, "on 2024-05-01 and 2024-06-01", ()),
        ("today", "rain in Rome today and sunset in Oslo", ()),
        ("jazz", "play jazz and dim lights", ()),
        ("buy milk", "remind me to buy milk and call mum", ()),
        ("Rome", "rain in Rome and Oslo, and the time in Rome?", ()),
        ("Anna", "Anna and Ben moved to Bern. What's Anna's number?", ()),
        ("Bern", "Weather in Bern and Call Anna", ()),
        ("Paris", "in Paris, Texas and London", ()),
        ("C", "ŞİŞLİ İÇİN C", ()),
        (10**400, "1 and 2", ()),
    ],
)
def test_the_list_that_a_value_stands_in(value: str | float, request_text: str, found: tuple[object, ...]) -> None:
    assert listed_with(value, request_text) == found


def test_choices_bound_a_list_in_small_letters() -> None:
    request = "paint it in dark red and light blue today"
    assert listed_with("dark red", request, ["dark red", "light blue", "blue"]) == ("dark red", "light blue")
    assert listed_with("dark red", request, ["dark red", "green"]) == ()
    assert listed_with("dark red", request) == ()


def test_a_percentage_and_the_number_of_years_are_no_list() -> None:
    assert arguments(call(rate=0.05, years=10), "5000 at 5 and 10 years") == [{"rate": 0.05, "years": 10}]
    assert len(arguments(call(rate=0.05, years=10), "at 5% over 1, 5 and 10 years")) == 3


def arguments(made: ToolCall, request: str) -> list[dict[str, object]]:
    return [other.arguments for other in stands_for(made, request)]


def test_a_call_stands_for_one_of_each_member() -> None:
    request = "A loan of $4,000 over 15, 20 and 30 years"
    assert [made["years"] for made in arguments(call(amount=4000, years=20), request)] == [20, 15, 30]


def test_two_lists_are_combined() -> None:
    request = "the rain in Oslo and Rome in 2018 and 2020"
    assert len(arguments(call(city="Oslo", year=2018), request)) == 4


def test_lists_that_go_together_are_not() -> None:
    request = "the rain in Oslo and Rome in 2018 and 2020 respectively"
    made = arguments(call(city="Oslo", year=2018), request)
    assert made == [{"city": "Oslo", "year": 2018}, {"city": "Rome", "year": 2020}]
    assert len(arguments(call(city="Oslo"), request)) == 1


def test_members_that_one_call_holds_together_are_no_list_of_calls() -> None:
    assert len(arguments(call(start="Oslo", end="Rome"), "between Oslo and Rome")) == 1
    assert len(arguments(call(city="Oslo", others=["Rome"]), "of Oslo and Rome")) == 1


@given(st.text(max_size=120), st.one_of(st.text(max_size=20), st.integers(), st.floats(), st.booleans()))
def test_any_request_and_value_can_be_looked_at(request_text: str, value: object) -> None:
    assert stands_for(call(value=value), request_text)[0] == call(value=value)


@pytest.mark.parametrize("piece", ["A", "9", "A.", "Aa Bb, ", "1, ", "'x' ", "Rome and "])
def test_a_long_request_is_read_in_passing(piece: str) -> None:
    """No time is asserted: with a pattern that takes quadratic time the test's own limit would be reached."""
    request = (piece * 60_000)[:60_000]
    made = ToolCall(name="plan", arguments={"place": request[:2].strip(), "number": 9})
    assert stands_for(made, request)[0] == made
    assert leftover(request, [made]).tools == 0
