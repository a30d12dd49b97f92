"""Slots: what code finds in a request, and what it leaves to be asked for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from smidgen.errors import ConfigError
from smidgen.patterns.router.slots import Slot, fill, fill_all, is_question, questions

ORDER = Slot(name="order", regex=r"\b[A-Z]{2}-\d{4}\b", ask="Which order is it?")
AMOUNT = Slot(name="amount", kind="number", least=1, most=100)
SIZE = Slot(name="size", one_of=("small", "large", "extra large"))


@pytest.mark.parametrize(
    ("slot", "text", "value"),
    [
        (ORDER, "Refund ab-1234, please.", "ab-1234"),
        (Slot(name="city", regex=r"\bin ([A-Z]\w+)"), "a room in Oslo", "Oslo"),
        (AMOUNT, "send twenty-five", 25),
        (AMOUNT, "send 12.5 to her", 12.5),
        (AMOUNT, "send 30 on 5 May 2026", 30),
        (AMOUNT, "send 30 for AB-12", 30),
        (SIZE, "one Extra Large, please", "extra large"),
        (Slot(name="title", kind="quoted"), "find 'The Waves' for me", "The Waves"),
        (Slot(name="day", kind="date"), "on 5 May 2026", "2026-05-05"),
        (Slot(name="many", kind="number", default=1), "send it", 1),
    ],
)
def test_a_value_that_is_said_is_found(slot: Slot, text: str, value: Any) -> None:
    found = fill((slot,), text)
    assert found.values == {slot.name: value}
    assert not found.missing


def test_days_are_found_relative_to_today() -> None:
    found = fill((Slot(name="day", kind="date"),), "a table for tomorrow")
    assert found.values["day"] == (dt.date.today() + dt.timedelta(days=1)).isoformat()


@pytest.mark.parametrize(
    ("slot", "text", "reason"),
    [
        (ORDER, "Refund it", ""),
        (AMOUNT, "send 5 or 10", "any of 5, 10"),
        (AMOUNT, "send 500", "more than 100"),
        (AMOUNT, "send 0", "less than 1"),
        (SIZE, "small or large?", "any of small, large"),
        (SIZE, "a smallish one", ""),
    ],
)
def test_what_is_not_clear_is_missing_with_the_reason(slot: Slot, text: str, reason: str) -> None:
    found = fill((slot,), text)
    assert found.missing == (slot.name,)
    assert reason in found.reasons.get(slot.name, "")
    assert bool(reason) == bool(found.reasons)


def test_numbers_go_to_their_slots_in_order() -> None:
    slots = (Slot(name="low", kind="number"), Slot(name="high", kind="number"))
    assert fill(slots, "between 3 and 9").values == {"low": 3, "high": 9}
    assert fill(slots, "between 3 and 9, or 12").missing == ("low", "high")
    one = fill(slots, "from 3")
    assert (one.values, one.missing) == ({}, ("low", "high"))
    assert is_question(slots, questions(slots, one))
    assert fill_all(slots, ["from 3", "3 and 9"]).values == {"low": 3, "high": 9}
    with_default = (slots[0], Slot(name="step", kind="number", default=1))
    assert fill(with_default, "from 3").values == {"low": 3, "step": 1}
    assert fill(with_default, "from 3 by 2").values == {"low": 3, "step": 2}


def test_what_is_said_later_fills_only_what_was_missing() -> None:
    found = fill_all((ORDER, AMOUNT), ["Send 5 or 7 back for AB-1234", "I meant 7 of XY-9999"])
    assert found.values == {"order": "AB-1234", "amount": 7}
    assert not found.missing
    assert not found.reasons


def test_questions_are_known_again() -> None:
    slots = (ORDER, AMOUNT, SIZE)
    for text in ("", "AB-1234", "500 of AB-1234", "small 1 or 2"):
        question = questions(slots, fill(slots, text))
        assert question
        assert is_question(slots, question)
    assert "amount" in questions(slots, fill(slots, "500")).lower()
    assert not is_question(slots, "Which order is it? Or is it none?")
    assert not is_question(slots, "")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "request", "kind": "number"}, "can't be called"),
        ({"name": "a b", "kind": "number"}, "can't be called"),
        ({"name": "a"}, "isn't told how"),
        ({"name": "a", "regex": "("}, "no regular expression"),
        ({"name": "a", "regex": "x", "one_of": ("y",)}, "both"),
        ({"name": "a", "kind": "number", "regex": "x"}, "regex is given"),
        ({"name": "a", "kind": "one_of"}, "one_of is missing"),
        ({"name": "a", "kind": "date", "least": 1}, "of a number"),
    ],
)
def test_a_slot_that_can_not_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Slot(**changes)
