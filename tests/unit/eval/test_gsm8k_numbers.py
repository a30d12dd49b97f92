"""The number that a model's text comes to."""

from __future__ import annotations

import pytest

from smidgen.eval.gsm8k.numbers import number_in, same


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("-3.50", -3.5),
        (r"6 + 6 = 12, so \boxed{12}.", 12),
        (r"\boxed{3} is wrong. $\boxed{\$1,250}$ and then 7", 1250),
        (r"\boxed{\text{18 eggs}}", 18),
        (r"\boxed{1{,}200}", 1200),
        (r"\boxed{\frac{3}{4}}", 0.75),
        (r"\boxed{3/4}", 0.75),
        (r"\boxed{12", 12),
        (r"\boxed{} The answer is 5.", 5),
        ("**Answer:** $17 of 20", 17),
        ("The final answer is 9. I am 100% sure.", 9),
        ("To answer this, count 5 apples: 5 + 2 = 7", 7),
        ("#### 1,024", 1024),
        ("16-3=13", 13),
        ("it grows from .25 to .5", 0.5),
        ("1, 2, 3", 3),
        ("none", None),
        ("", None),
    ],
)
def test_box_then_answer_then_last_number(text: str, value: float | None) -> None:
    assert number_in(text) == value


def test_the_last_number_of_a_text_that_was_cut_is_none() -> None:
    assert number_in("6 + 6 = 1", whole=False) is None
    assert number_in("The answer is 12. For 6 + 6 = 1", whole=False) == 12


def test_what_floats_leave_behind_makes_no_difference() -> None:
    assert same(0.1 + 0.2, 0.3)
    assert same(0, 0.0)
    assert not same(12, 12.5)
    assert not same(0, 1)
