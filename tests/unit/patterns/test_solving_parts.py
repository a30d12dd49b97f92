"""The pure parts of solving: calculations in text, numbers of answers, checks, votes."""

from __future__ import annotations

import pytest

from smidgen.patterns.solving.checks import BROKEN, NEGATIVE, UNUSED, grounded, plausible
from smidgen.patterns.solving.equation import result
from smidgen.patterns.solving.steps import answer_in, last_number
from smidgen.patterns.solving.tries import number_said, said
from smidgen.patterns.solving.vote import Vote, decided, standings, surely


@pytest.mark.parametrize(
    ("text", "computed"),
    [
        ("so she has 16 - 7 ", "9"),
        (r"\[ 130,000 \times (1 + 0.15) ", "149500"),
        (r"\( \frac{1}{2} \times 2 ", "1"),
        ("3 eggs * 7 days ", "21"),
        ("4 rows * 12 books per row ", "48"),
        ("9 * $2 ", "18"),
        (r"130,000 + (150\% \times 130,000) ", "325000"),
        ("5 + 3 = 8 x 2 ", "16"),
        ("40% of 200 ", "80"),
        (r"\text{all} = 5 \text{ apples} + 6 \text{ apples} ", "11"),
        ("an earlier line 1 + 1\n10 / 4 ", "2.5"),
        ("1 / 3 ", "0.3333"),
        ("8 - 10 ", "-2"),
        ("(so far: 3 + 4", "7"),
        ("1 / 100000 ", "0.00001"),
        ("0.05 * 0.05 ", "0.0025"),
        ("130,000 + 5 ", "130005"),
    ],
)
def test_calculations_at_the_end_of_a_text_are_computed(text: str, computed: str):
    assert result(text) == computed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x ",
        "the total is 12 ",
        "x + 5 - 2 ",
        "2x + 3 ",
        "(2 + 3) * x ",
        "a5 + 3 ",
        "80 + 10% ",
        "50 * 2 + 10% ",
        "2020-01-05 + 3 ",
        "10 / 0 ",
        "2^3 + 1 ",
        "1,5 + 2 ",
        r"\text{rate} \times 3 + 1 ",
        "9 * " * 200,
    ],
)
def test_what_is_no_calculation_of_numbers_alone_is_left_to_the_model(text: str):
    assert result(text) == ""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"2 + 3 = 5, so \(\boxed{5}\).", 5),
        (r"\boxed{1,250 \text{ dollars}} in 12 months", 1250),
        (r"\boxed{\frac{3}{4}}", 0.75),
        (r"\boxed{\$18}", 18),
        (r"first \boxed{1}, then \boxed{2}", 2),
        (r"\boxed{unknown}. The answer is 7 of 9.", 7),
        ("The answer is: $40.50.", 40.5),
        ("She has 3 + 4 = 7 apples.", 7),
        ("no number", None),
        ("The answer is 48 - 9 = 39.", 39),
        (r"\boxed{1{,}000}", 1000),
        (r"\boxed{3\frac{1}{2}}", 3.5),
        (r"\boxed{-7/2}", -3.5),
        (r"\boxed{5/0}", None),
        (r"\boxed{10^3}", 1000),
        (r"\boxed{15\%}", 15),
        (r"\boxed{x = 4}", 4),
        ("The answer is minus 5.", -5),
        ("The answer is 1.5 million.", 1_500_000),
        (r"\boxed{1.5 \text{ million}}", 1_500_000),
        ("The answer is 2/4.", 0.5),
    ],
)
def test_the_number_that_steps_lead_to(text: str, value: float | None):
    assert answer_in(text) == value


def test_a_text_that_was_cut_has_no_last_number():
    assert answer_in("She has 3 + 4", whole=False) is None
    assert answer_in(r"\boxed{7} because 3", whole=False) == 7
    assert last_number("1" * 400) is None


def test_numbers_are_told_without_what_floats_leave_behind():
    assert (said(0.1 + 0.2), said(42.0), said(1e-7), said(2.5e11)) == ("0.3", "42", "0.0000001", "250000000000")
    assert said(12_345_678_901.0) == "12345678901"
    assert isinstance(number_said(42.0), int) and number_said(0.1 + 0.2) == 0.3


def test_numbers_that_can_hardly_be_meant_weigh_less():
    assert plausible(3, "How many eggs are left?") == (1.0, "")
    assert plausible(-3, "How many eggs are left?")[0] == NEGATIVE
    assert plausible(-3, "What is the temperature now?")[0] == 1
    assert plausible(2.5, "How many more eggs are needed?") == (BROKEN, "it is no whole number of eggs")
    assert plausible(2.5, "How many hours does it take?")[0] == 1
    assert plausible(float("inf"), "What is it?")[0] == 0


def test_programs_that_leave_numbers_of_the_request_out_weigh_less():
    request = "Tom has 12 pens and loses 25% of them. One friend gives him twice as many. How many?"
    assert grounded("def solution():\n    return 12 * 0.75 * 2 + 1", request) == (1.0, "")
    assert grounded("def solution():\n    return 12 * (1 - 25 / 100) * 3", request) == (UNUSED, "it doesn't use twice")
    assert grounded("def solution():\n    return 3 +", request)[0] == 0


def votes(*values: float | None, weight: float = 1.0) -> list[Vote]:
    return [Vote(way="steps", value=value, weight=weight) for value in values]


def test_equal_numbers_are_one_and_the_heaviest_leads():
    found = standings([*votes(3, 0.3, None, 0.1 + 0.2), Vote(way="program", value=3, weight=0.5)])
    assert [(one.value, one.weight, len(one.votes)) for one in found] == [(0.3, 2, 2), (3, 1.5, 2)]
    assert found[0].share == pytest.approx(2 / 3.5)
    assert standings(votes(None, None)) == ()
    assert standings(votes(5, weight=0)) == ()
    assert standings(votes(4, 5))[0].value == 4, "the first of equals"
    assert len(standings(votes(1_000_001, 1_000_002))) == 2, "whole numbers are exact"
    assert len(standings(votes(41.999999999, 42))) == 1


def test_a_vote_is_over_when_nothing_can_change_it_or_hardly_would():
    assert not decided([], remaining=1, lead=0.5)
    assert not decided(votes(7, 7, 8), remaining=2, lead=0.5)
    assert decided(votes(7, 7, 8), remaining=0.5, lead=0.5), "what is left can't change it"
    assert decided(votes(7, 7, 7, 8), remaining=20, lead=0.5)
    assert not decided(votes(7, 7, 7, 8, 8), remaining=20, lead=0.5)
    assert not decided(votes(7, 7), remaining=20, lead=0.5), "too few"
    assert not decided(votes(7, 8), remaining=0, lead=0.5)


def test_tries_that_a_model_was_sure_of_weigh_more():
    found = standings([Vote(way="steps", value=1, sure=0.2), Vote(way="steps", value=2, sure=0.4)])
    assert [(one.value, round(one.share, 3)) for one in found] == [(2, 0.667), (1, 0.333)]
    found = standings([Vote(way="steps", value=1, sure=0.2), Vote(way="program", value=2, sure=0.9)])
    assert [one.share for one in found] == [0.5, 0.5], "ways aren't compared by it"
    assert surely([]) == surely([0.0]) == 1
    assert 0 < surely([-1.0]) < surely([-0.4, 0.0]) < 1
