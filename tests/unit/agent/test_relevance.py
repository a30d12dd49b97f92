"""How near a request is to each tool, with vectors made for the test."""

from __future__ import annotations

import pytest

from smidgen.agent import route
from smidgen.agent.relevance import Part, Relevance, parts_of, relevance, shortlist, stretches, text_of
from smidgen.messages import ToolSpec
from smidgen.models.tool_use import Gate, Order

BOIL = ToolSpec(
    name="boilEgg",
    description="Boil an egg.",
    parameters={"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
)
SING = ToolSpec(name="sing", description="Sing a song.", parameters={"type": "object", "properties": {}})
GATE = Gate(intercept=-5.0, similarity=10.0, missing=3.0)


def test_a_request_is_taken_apart_where_it_says_several_things() -> None:
    assert parts_of("Boil an egg for 5 minutes and sing a song") == (
        "Boil an egg for 5 minutes and sing a song",
        "Boil an egg for 5 minutes",
        "sing a song",
    )
    assert parts_of("hi") == ("hi",)


def test_the_nearest_part_counts_and_missing_numbers_speak_against_it() -> None:
    request = "Good morning to you. Boil me an egg"
    vectors = dict.fromkeys(parts_of(request), (0.0, 1.0)) | {text_of(BOIL): (1.0, 0.0), text_of(SING): (0.0, 0.2)}
    vectors["Boil me an egg"] = (1.0, 0.0)
    found = relevance(request, [BOIL, SING], vectors, GATE)
    assert found.best == 0 and found.similarities == (1.0, 0.2)
    assert found.log_odds == -5.0 + 10.0 - 3.0
    assert found.about == ("boilEgg",)


def test_the_shortlist_keeps_the_order_in_which_tools_were_offered() -> None:
    assert shortlist([BOIL, SING, BOIL], [0.1, 0.5, 0.4], 2) == (SING, BOIL)


def test_a_tool_is_told_by_its_name_description_and_parameters() -> None:
    assert text_of(BOIL) == "boil Egg: Boil an egg. (minutes)"


def test_tools_show_examples_only_if_each_that_requires_something_does() -> None:
    properties = {"expression": {"type": "string", "description": 'such as "2 + 3"'}}
    parameters = {"type": "object", "properties": properties, "required": ["expression"]}
    add = ToolSpec(name="add", description="Add.", parameters=parameters)
    assert route.shows_examples([add, SING])
    assert not route.shows_examples([add, BOIL])
    assert not route.shows_examples([SING])


@pytest.mark.parametrize(("order", "names"), [("offered", "abc"), ("nearest_first", "cab"), ("nearest_last", "bac")])
def test_the_nearest_tools_come_in_the_order_that_the_profile_names(order: Order, names: str) -> None:
    tools = [ToolSpec(name=name, description="", parameters={"type": "object"}) for name in "abcd"]
    assert "".join(tool.name for tool in shortlist(tools, [0.5, 0.4, 0.9, 0.1], 3, order)) == names


def part(text: str, tool: str, similarity: float, margin: float) -> Part:
    return Part(text=text, tool=tool, similarity=similarity, margin=margin)


def test_tools_are_wanted_that_a_part_is_plainly_about() -> None:
    parts = (part("a", "boil", 0.6, 0.4), part("b", "sing", 0.6, 0.06), part("c", "dance", 0.2, 0.2))
    found = Relevance(similarities=(), log_odds=0.0, parts=parts)
    assert found.about == ("boil", "sing")
    assert found.wanted == ("boil",)


def test_a_request_is_cut_where_another_tool_begins() -> None:
    request = "Hello there, boil an egg for 5 minutes, then sing a song. Boil two eggs now"
    parts = (
        part("Hello there", "sing", 0.1, 0.1),
        part("boil an egg for 5 minutes", "boil", 0.8, 0.6),
        part("sing a song.", "sing", 0.8, 0.6),
        part("Boil two eggs now", "boil", 0.8, 0.6),
    )
    found = stretches(request, parts)
    assert [(stretch.tool, request[stretch.start : stretch.end]) for stretch in found] == [
        ("boil", "Hello there, boil an egg for 5 minutes, then "),
        ("sing", "sing a song. "),
        ("boil", "Boil two eggs now"),
    ]


def test_a_span_of_time_may_be_a_number() -> None:
    vectors = dict.fromkeys(["Boil it for an hour", text_of(BOIL)], (1.0, 0.0))
    assert relevance("Boil it for an hour", [BOIL], vectors, GATE).log_odds == -5.0 + 10.0
