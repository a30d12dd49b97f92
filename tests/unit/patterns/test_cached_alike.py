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
)


@pytest.mark.parametrize(("one", "other"), [*PAIRS["other"], *MORE])
def test_what_is_asked_differently_is_told_from_either_side(one: str, other: str) -> None:
    assert difference(one, other)
    assert difference(other, one)


def test_most_ways_of_asking_the_same_may_share_an_answer() -> None:
    may = [pair for pair in PAIRS["same"] if not difference(*pair)]
    assert len(may) >= 16
    assert all(not difference(other, one) for one, other in may)


def test_what_is_long_or_has_lines_is_not_compared() -> None:
    assert not difference("a" * LONGEST, "a" * LONGEST)
    assert difference("a" * (LONGEST + 1), "a" * (LONGEST + 1))
    assert difference("Sum up:\nthis", "Sum up:\nthis")


def test_the_reason_names_what_only_one_says() -> None:
    assert difference("Is it open?", "Is it not open?") == "only one says 'not'"
    assert difference("Who is Ann?", "Who is Bob?") == "only one speaks of 'ann'"
