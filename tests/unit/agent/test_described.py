from __future__ import annotations

from typing import Any

import pytest

from smidgen.agent.described import choices_told, dates_told, spelled_out
from smidgen.agent.ground import for_grammar, properties_of
from smidgen.dialects.grammar import TWO_PARTS
from smidgen.messages import ToolSpec


def tool(name: str, description: str, **schema: Any) -> ToolSpec:
    properties = {name: {"type": "string", "description": description, **schema}}
    return ToolSpec(name="t", description="Does it.", parameters={"type": "object", "properties": properties})


@pytest.mark.parametrize(
    ("description", "choices"),
    [
        ('Type of sort, either "rising", "falling" or "none".', ("rising", "falling", "none")),
        ("Path to the file (absolute or relative)", ()),
        ("User to look up (name or email)", ()),
        ("Date (YYYY-MM-DD or MM-DD-YYYY)", ()),
        ("The user's 'first name' and 'last name', separated by a space.", ()),
        ("Message body. Must not be 'null' or 'undefined'", ()),
        ("Search text. Wrap phrases in 'double quotes' or combine words with 'AND'", ()),
        ("How to sort. Can be 'rising' or 'falling'.", ("rising", "falling")),
        ("'dry' for indoor seats, 'wet' for all others. Default is 'dry'.", ("dry", "wet")),
        ("Options: red, green, blue.", ("red", "green", "blue")),
        ("Between 'imperial' and 'metric' systems. Default is 'metric'.", ("imperial", "metric")),
        ("The key, e.g. 'C' or 'D'.", ()),
        ("The platform, such as 'web' or 'phone'.", ()),
        ("Could be 'jazz', 'rock' etc.", ()),
        ("The unit (default is 'km').", ()),
        ("The gas, with 'air' as default.", ()),
        ("The name of the town.", ()),
    ],
)
def test_choices_that_a_description_names(description: str, choices: tuple[str, ...]) -> None:
    assert choices_told(description) == choices


def test_what_stands_in_brackets_are_choices_only_of_what_is_called_like_one() -> None:
    assert choices_told("Of the pot (small, medium or large).", "pot_size") == ("small", "medium", "large")
    assert choices_told("Of the page (http or https)", "url") == ()
    assert choices_told(" " * 20_000 + "'a' " * 5_000) == ()


def test_choices_become_part_of_the_schema_and_the_default_stays_one() -> None:
    spec = spelled_out(tool("order", "Either 'rising' or 'falling'. Default is 'none'."), "")
    assert properties_of(spec)["order"]["enum"] == ["rising", "falling", "none"]


def test_a_choice_that_is_named_is_required() -> None:
    spec = spelled_out(tool("order", "Either 'rising' or 'falling'. Default is 'rising'."), "")
    assert for_grammar(spec, "sort them falling").parameters["required"] == ["order"]


@pytest.mark.parametrize(
    ("description", "said", "written"),
    [
        ("The day, in the format MM-DD-YYYY", "on 5 March 2024", ("03-05-2024",)),
        ("Day (DD/MM/YYYY)", "from 2024-03-05 to March 9th, 2024", ("05/03/2024", "09/03/2024")),
        ("YYYY-MM-DD", "from March 5 to March 9, 2024", ()),
        ("YYYY-MM-DD", "next week", ()),
        ("The day", "on 5 March 2024", ()),
    ],
)
def test_dates_in_the_format_asked_for(description: str, said: str, written: tuple[str, ...]) -> None:
    assert dates_told(description, said) == written


def test_a_city_with_its_state_has_two_parts() -> None:
    spec = spelled_out(tool("where", "The city and state, e.g. Tampa, FL"), "in Tampa")
    assert properties_of(spec)["where"]["format"] == TWO_PARTS


def test_what_a_schema_says_itself_stays() -> None:
    spec = tool("order", "Either 'rising' or 'falling'.", enum=["up", "down"])
    assert spelled_out(spec, "") is spec


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("from 5 to 8 December 2026", ()),
        ("on 5 December 2026 for 3 nights", ()),
        ("not on 5 May 2026 but the day after", ()),
        ("on 5 December 2026", ("2026-12-05",)),
    ],
)
def test_where_other_dates_may_be_meant_none_is_forced(said: str, written: tuple[str, ...]) -> None:
    assert dates_told("YYYY-MM-DD", said) == written


def test_tomorrow_is_a_date_too() -> None:
    assert len(dates_told("YYYY-MM-DD", "from tomorrow to 5 December 2036")) == 2
