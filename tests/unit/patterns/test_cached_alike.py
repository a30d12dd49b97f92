"""Which requests may share an answer, as far as their words tell."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from smidgen.patterns.cached.alike import LONGEST, difference

PAIRS = tomllib.loads((Path(__file__).parents[3] / "benchmarks" / "caches.toml").read_text("utf-8"))

MORE = (
    ("Call Anna", "Call Anne"),
    ("Is 5 < 6?", "Is 5 > 6?"),
    ("Pay 1,000 euros", "Pay 1.000 euros"),
    ("Pay $20", "Pay €20"),
    ("Say “yes”", "Say “no”"),
    ("Run `ls -l`", "Run `ls -a`"),
    ("Mail a@example.org", "Mail b@example.org"),
    ("What is userName?", "What is userNames?"),
    ("Open https://example.org/a", "Open https://example.org/b"),
    ("Meet at 3 pm", "Meet at 3 am"),
    ("Can he swim?", "Can she swim?"),
    ("Will it rain in Rome?", "Did it rain in Rome?"),
    ("How do you say please in French?", "How do you say hello in French?"),
    ("How do you say please?", "How do you say thanks?"),
    ("Translate hello.", "Translate thanks."),
    ("How well does it work?", "How does it work?"),
    ("Which are cheaper?", "Which are cheap?"),
    ("Is it legal?", "Is it illegal?"),
    ("How much is it?", "How many is it?"),
    ("My heater is broken.", "Is my heater broken?"),
    ("Write to John", "Write about John"),
    ("Was ist die Hauptstadt von Österreich?", "Was ist die Hauptstadt von Australien?"),
    ("Ist das erlaubt?", "Ist das nicht erlaubt?"),
    ("法国的首都是哪里", "德国的首都是哪里"),
    ("Tell me the name of the king", "Tell me the names of the kings and queens"),
    ("What is 2 * (3 + 4)?", "What is 2 * 3 + 4?"),
    ("What is 5!?", "What is 5?"),
    ("Is −5 positive?", "Is 5 positive?"),
    ("What is x ≤ y?", "What is x ≥ y?"),
    ("What does 😀 mean?", "What does 😡 mean?"),
    ("Play A♭ major", "Play A♯ major"),
    ("What does : mean in Python?", "What does ; mean in Python?"),
    ("दिन का अर्थ", "दीन का अर्थ"),
    ("What does IT mean?", "What does it mean?"),
    ("How many Mb are in a GB?", "How many MB are in a GB?"),
    ("How do I travel from Rome to Paris?", "How do I travel to Rome from Paris?"),
    ("Should I call you?", "Should you call me?"),
    ("Which animal is a dog and not a cat?", "Which animal is not a dog and a cat?"),
    ("Is the man who was here tall?", "Was the man who is here tall?"),
    ("Is 5 red or blue 3?", "Is red 5 or blue 3?"),
)


@pytest.mark.parametrize(("one", "other"), [*PAIRS["other"], *MORE])
def test_what_is_asked_differently_is_told_from_either_side(one: str, other: str) -> None:
    assert difference(one, other)
    assert difference(other, one)


def test_most_ways_of_asking_the_same_may_share_an_answer() -> None:
    may = [pair for pair in PAIRS["same"] if not difference(*pair)]
    assert len(may) >= 16
    assert all(not difference(other, one) for one, other in may)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Why was I charged twice?", "I have been charged twice, why?"),
        ("My transfer is still pending, why?", "Why is my transfer still pending?"),
        ("Is it open at 3 PM ?", "Is it open at 3 pm?"),
    ],
)
def test_some_words_may_stand_elsewhere(one: str, other: str) -> None:
    assert not difference(one, other)


def test_what_is_long_or_has_lines_is_not_compared() -> None:
    assert not difference("a" * LONGEST, "a" * LONGEST)
    assert difference("a" * (LONGEST + 1), "a" * (LONGEST + 1))
    assert difference("Sum up:\nthis", "Sum up:\nthis")


def test_the_reason_names_what_only_one_says() -> None:
    assert difference("Is it open?", "Is it not open?") == "only one says 'not'"
    assert difference("Who is Ann?", "Who is Bob?") == "only one speaks of 'ann'"
