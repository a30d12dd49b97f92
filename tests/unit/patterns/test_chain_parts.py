"""Placeholders, extractions, checks, order: the pure parts of chains."""

from __future__ import annotations

from typing import Any

import pytest

from smidgen.errors import ConfigError
from smidgen.patterns.chain import Check, Step, When
from smidgen.patterns.chain.extraction import NothingFound, extracted
from smidgen.patterns.chain.order import ordered
from smidgen.patterns.chain.steps import alternatives
from smidgen.patterns.chain.templates import NoSuchValue, as_text, at, filled, placeholders


def test_what_is_put_in_is_never_looked_at_again():
    values = {"request": "show {secret} and {request}", "secret": "1234"}
    assert filled("Q: {request} / {secret}", values) == "Q: show {secret} and {request} / 1234"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('{"a": 1} {x}', '{"a": 1} v'),
        ("{{x}} {x}", "{x} v"),
        ("{ x } {} {0}", "{ x } {} {0}"),
        ("{x}{x}", "vv"),
    ],
)
def test_other_braces_stay(template: str, expected: str):
    assert filled(template, {"x": "v"}) == expected


def test_long_texts_are_fenced_by_marks_that_do_not_stand_in_them():
    text = "one\n---\n----\ntwo"
    assert filled("Text: {t} End.", {"t": text}) == f"Text: \n-----\n{text}\n-----\n End."
    assert filled("{t}", {"t": "short"}) == "short"
    assert filled("{t}", {"t": text}, fenced=False) == text


def test_paths_lead_into_tables_and_lists():
    values: dict[str, Any] = {"a": {"b": ["x", {"c": 3}]}, "none": None}
    assert at(values, "a.b.1.c") == 3
    assert at(values, "none.anything") is None
    for path in ("a.z", "a.b.9", "q"):
        with pytest.raises(NoSuchValue):
            at(values, path)
    assert placeholders("{a.b} {c} {a.b}") == ("a.b", "c")


def test_values_as_text():
    assert as_text(["a", 2]) == "a, 2"
    assert as_text(["x" * 150, "y" * 150]) == f"- {'x' * 150}\n- {'y' * 150}"
    assert as_text({"k": "é"}) == '{"k": "é"}'
    assert (as_text(None), as_text(True), as_text(2.0), as_text(2.5)) == ("", "yes", "2", "2.5")


def test_extractions():
    assert extracted("It costs 3,200 euros.", "number") == 3200
    assert extracted("- a\n2. b\n\n* a\n", "lines") == ["a", "b"]
    assert extracted('```json\n{"a": {"b": [5]}}\n```', "json", key="a.b.0") == 5
    assert extracted("x = 12; y", "", find=r"x = (\d+)") == "12"
    assert extracted("  hi \n", "whole") == "hi"


@pytest.mark.parametrize(
    ("text", "how", "options", "reason"),
    [
        ("2 or 3", "number", {}, "several: 2, 3"),
        ("none here", "number", {}, "no number"),
        ("{", "json", {}, "not valid JSON"),
        ("{}", "json", {"key": "a"}, "has no a"),
        ("abc", "", {"find": r"\d+"}, "matches"),
    ],
)
def test_what_is_not_there_is_told(text: str, how: Any, options: dict[str, str], reason: str):
    with pytest.raises(NothingFound, match=reason):
        extracted(text, how, **options)


@pytest.mark.parametrize(
    ("check", "value", "reason"),
    [
        (Check(least=1, most=5), 6, "at most 5"),
        (Check(least=1), "many", "must be a number"),
        (Check(least=1), True, "must be a number"),
        (Check(words=(2, 3)), "one", "1 words, and must have at least 2"),
        (Check(characters=(0, 2)), "abc", "at most 2"),
        (Check(items=(2, 4)), ["a"], "at least 2"),
        (Check(one_of=("Yes", "No")), "maybe", "one of: Yes, No"),
        (Check(contains=("{terms}",)), "only cat here", "must contain: dog"),
        (Check(contains=("cat",)), "concatenate", "must contain: cat"),
        (Check(contains=("order {n}",)), "order 4", "must contain: order 3"),
        (Check(contains=("the {terms}",)), "only the cat here", "must contain: the dog"),
        (Check(lacks=("order {n}, {{n}}",)), "Your order 3, {n}.", "must not contain: order 3, {n}"),
        (Check(lacks=("{word}",)), "a Bad thing", "must not contain: bad"),
        (Check(matches=r"\d+"), "12a", "must match"),
    ],
)
def test_checks_say_what_is_wrong(check: Check, value: Any, reason: str):
    assert reason in check.problem(value, {"terms": ["cat", "dog"], "word": "bad", "n": 3})


def test_of_a_step_that_was_left_out_nothing_is_asked():
    check = Check(contains=("{gone}", "order {gone}", "{none} of them"), lacks=("a {gone}",))
    assert check.problem("a text", {"gone": None, "none": []}) == ""


def test_checks_that_hold_say_nothing():
    check = Check(least=1, words=(1, 1), one_of=("3",), contains=("{n}",), matches=r"\d")
    assert check.problem(3, {"n": 3}) == ""


@pytest.mark.parametrize("broken", [{"matches": "("}, {"words": (3, 1)}])
def test_checks_that_cannot_be_used_are_refused(broken: dict[str, Any]):
    with pytest.raises(ConfigError):
        Check(**broken)


def test_conditions():
    values: dict[str, Any] = {"kind": "question", "found": [], "n": 3}
    assert When(value="kind", one_of=("question",)).holds(values)
    assert not When(value="kind", one_of=("question",), unless=True).holds(values)
    assert not When(value="found").holds(values)
    assert When(value="n", least=3).holds(values)


def steps_of(**prompts: str) -> tuple[Step, ...]:
    return tuple(Step(name=name, prompt=prompt) for name, prompt in prompts.items())


def test_needs_come_from_all_that_names_a_value():
    steps = (
        *steps_of(a="{request}", b="{request}"),
        Step(name="c", code=lambda a, request: f"{a}{request}"),
        Step(name="d", code="len(b) + len(request)"),
        Step(
            name="e",
            prompt="{item}",
            each="a.list",
            one_of="b",
            when=When(value="c"),
            check=Check(contains=("{d}",)),
            after=("c",),
        ),
    )
    assert ordered(steps, "")["e"] == {"a", "b", "c", "d"}
    assert ordered(steps, "")["c"] == {"a"}
    assert ordered(steps, "")["d"] == {"b"}


@pytest.mark.parametrize(
    ("steps", "answer", "told"),
    [
        (steps_of(a="{b}", b="{c}", c="{a}"), "", "a -> b -> c -> a"),
        (steps_of(a="{a}"), "", "a -> a"),
        (steps_of(terms="x", b="{term}"), "", "Did you mean terms?"),
        (steps_of(a="{item}"), "", "Only a step with `each`"),
        (steps_of(a="x", b="y"), "", "steps[0] a: nothing uses its value"),
        (steps_of(a="x", b="{a}"), "{a}", "steps[1] b: nothing uses its value"),
        (steps_of(a="x"), "{b}", "answer: there is no step called 'b'"),
        (steps_of(a="x") * 2, "", "two steps called a"),
        ((), "", "no steps"),
    ],
)
def test_chains_that_cannot_run_are_refused(steps: tuple[Step, ...], answer: str, told: str):
    with pytest.raises(ConfigError) as caught:
        ordered(steps, answer)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "a b", "prompt": "x"},
        {"name": "request", "prompt": "x"},
        {"name": "class", "prompt": "x"},
        {"name": "a"},
        {"name": "a", "prompt": "x", "code": "1"},
        {"name": "a", "prompt": "x", "regex": "a", "one_of": ("b",)},
        {"name": "a", "code": "1", "regex": "a"},
        {"name": "a", "prompt": "x", "find": "("},
        {"name": "a", "prompt": "x", "find": "a", "extract": "lines"},
        {"name": "a", "prompt": "x", "key": "a", "extract": "lines"},
        {"name": "a", "code": "1 +"},
        {"name": "a", "prompt": "x", "retries": 11},
        {"name": "a", "prompt": "x", "at_most": 1000},
        {"name": "a", "prompt": "x", "max_tokens": 0},
    ],
)
def test_steps_that_cannot_be_used_are_refused(broken: dict[str, Any]):
    with pytest.raises(ConfigError):
        Step(**broken)


def test_alternatives_are_taken_literally():
    import re

    texts = ("C++", "a.b", "x|y", "a", "[z]")
    for text in texts:
        assert re.fullmatch(alternatives(texts), text)
    assert not re.fullmatch(alternatives(texts), "acb")
