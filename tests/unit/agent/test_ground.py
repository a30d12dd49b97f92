"""What a call's values may be, from what was said."""

from __future__ import annotations

from typing import Any

import pytest

from smidgen.agent import ground, settle
from smidgen.agent.words import holds
from smidgen.messages import ToolCall, ToolSpec
from smidgen.tools.words import spaced, stems


def spec(required: list[str], **properties: Any) -> ToolSpec:
    parameters = {"type": "object", "properties": properties, "required": required}
    return ToolSpec(name="rent_boat", description="Rent a boat.", parameters=parameters)


NUMBER, TEXT, FLAG = {"type": "number"}, {"type": "string"}, {"type": "boolean"}


def enum_of(tool: ToolSpec, name: str) -> list[Any]:
    return tool.parameters["properties"][name].get("enum", [])


def test_a_numeric_parameter_is_narrowed_to_what_was_said() -> None:
    narrowed = ground.narrowed(spec(["hours"], hours={"type": "integer"}), "for 3 hours, at most $50")
    assert enum_of(narrowed, "hours") == [3, 50]


def test_percent_is_read_as_the_description_asks() -> None:
    rate = {**NUMBER, "description": "Rate as a decimal"}
    share = {**NUMBER, "description": "Share in percent"}
    narrowed = ground.narrowed(spec(["rate"], rate=rate, share=share), "at 5%")
    assert settle.as_asked(5, "rate", rate, "at 5%") == 0.05
    assert settle.as_asked(0.05, "rate", rate, "at 5%") == 0.05
    assert settle.as_asked(0.05, "share", share, "at 5%") == 5
    assert set(enum_of(narrowed, "rate")) == set(enum_of(narrowed, "share")) == {0.05, 5}
    assert set(enum_of(ground.narrowed(spec(["rate"], rate=NUMBER), "at 5%"), "rate")) == {5, 0.05}


def test_nothing_is_narrowed_where_too_few_numbers_were_said_or_a_range_forbids_them() -> None:
    two = spec(["a", "b"], a=NUMBER, b=NUMBER)
    assert ground.narrowed(two, "only 4") is two
    assert ground.narrowed(two, "none") is two
    small = ground.narrowed(spec(["a"], a={"type": "integer", "maximum": 5}), "4 or 40")
    assert enum_of(small, "a") == [4]


def test_an_optional_number_may_keep_its_default() -> None:
    seats = {"type": "integer", "description": "Seats. Default is 2."}
    assert enum_of(ground.narrowed(spec(["hours"], hours=NUMBER, seats=seats), "3 hours"), "seats") == [2, 3]


def test_numbers_within_lists_are_narrowed_too() -> None:
    tool = spec(["marks"], marks={"type": "array", "items": {"type": "integer"}})
    items = ground.narrowed(tool, "marks 4, 5 and 6").parameters["properties"]["marks"]["items"]
    assert items["enum"] == [4, 5, 6]


def test_a_choice_that_the_request_names_becomes_required() -> None:
    kind = {"type": "string", "enum": ["sail", "motor"], "default": "sail"}
    tool = spec(["hours"], hours=NUMBER, kind=kind)
    assert ground.mentioned(tool, "a motor boat") == {"kind": ["motor"]}
    assert ground.mentioned(tool, "a sail boat") == {}
    assert ground.with_spoken(tool, {"kind": ["motor"]}).parameters["required"] == ["hours", "kind"]


@pytest.mark.parametrize(
    ("arguments", "dropped"),
    [
        ({"name": "Ann", "harbour": "Genoa"}, ()),
        ({"name": "Ann", "harbour": "Piraeus"}, ("harbour",)),
        ({"name": "Ann", "crew": True}, ()),
        ({"name": "Ann", "insured": True}, ("insured",)),
        ({"name": "Zoe"}, ()),
        ({"name": "Ann", "seats": 4}, ("seats",)),
        ({"name": "Ann", "seats": 2}, ()),
        ({"name": "Ann", "date": "2024-03-01"}, ()),
    ],
)
def test_optional_arguments_that_nothing_speaks_for_are_left_out(
    arguments: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    tool = spec(["name"], name=TEXT, harbour=TEXT, crew=FLAG, insured=FLAG, seats={"type": "integer"}, date=TEXT)
    request = "A boat for two in Genoa for Ann, with crew, on 2024-03-01"
    call, left_out = settle.without_inventions(ToolCall(name="rent_boat", arguments=arguments), tool, request)
    assert left_out == dropped
    assert set(call.arguments) == set(arguments) - set(dropped)


def test_a_list_keeps_what_was_said_once() -> None:
    tool = spec(["extras"], extras={"type": "array", "items": TEXT})
    call = ToolCall(name="rent_boat", arguments={"extras": ["lunch", "lunch", "radio", "towels"]})
    kept, _ = settle.without_inventions(call, tool, "with lunch and towels")
    assert kept.arguments == {"extras": ["lunch", "towels"]}
    untouched, _ = settle.without_inventions(call, tool, "with whatever there is")
    assert untouched.arguments == {"extras": ["lunch", "radio", "towels"]}


def test_numbers_missing_counts_required_ones_only() -> None:
    tool = spec(["a", "b"], a=NUMBER, b=NUMBER, c=NUMBER)
    assert [ground.numbers_missing(text, tool) for text in ("none", "only 1", "1 and 2", "1, 2, 3")] == [2, 1, 0, 0]


def test_words() -> None:
    assert spaced("getUser_name") == "get User name"
    assert stems("Booking hotels") == stems("book hotel")
    assert holds("a two-way trip", "two_way") and not holds("a trip", "tri")


def test_a_path_can_only_be_a_file_that_was_named() -> None:
    properties = {"path": {"type": "string"}, "content": {"type": "string"}}
    tool = ToolSpec(
        name="write_file", description="", parameters={"type": "object", "properties": properties, "required": []}
    )
    narrowed = ground.for_grammar(tool, "put it into list.txt or docs/plan.md")
    assert narrowed.parameters["properties"]["path"]["enum"] == ["list.txt", "docs/plan.md"]
    assert narrowed.parameters["properties"]["content"] == {"type": "string"}
    assert ground.for_grammar(tool, "put it into the list") == tool


METRES = {"type": "number", "description": "The distance in meters."}


@pytest.mark.parametrize(
    ("description", "request_text", "value"),
    [
        ("The distance in meters.", "a way of 3 km", 3000),
        ("Height in inches.", "she is 5ft 10in tall", 70),
        ("Capacitance in farads", "100µF at most", 0.0001),
        ("Duration in hours", "it takes 90 minutes", 1.5),
        ("Weight in kg", "a bag of 500 g", 0.5),
        ("The closing hour, in 24 hour format", "until 11 PM", 23),
        ("The longitude of the place", "at 74.5° W", -74.5),
        ("The end of the range", "from 0 to 2 pi", 6.2832),
        ("Initial speed in m/s", "it starts from rest", 0),
    ],
)
def test_an_amount_is_read_in_the_unit_and_notation_asked_for(
    description: str, request_text: str, value: float
) -> None:
    schema = {"type": "number", "description": description}
    offered = enum_of(ground.narrowed(spec(["amount"], amount=schema), request_text), "amount")
    assert value in offered
    assert {settle.as_asked(number, "amount", schema, request_text) for number in offered if number} <= {
        value,
        0.0,
    } or value == 0
    assert settle.is_reading(value, "amount", schema, request_text)


@pytest.mark.parametrize("request_text", ["3 people", "3 in all", "3 meters", "3 kg", "3 km, or 3 in all"])
def test_other_numbers_stay_as_they_are(request_text: str) -> None:
    assert set(enum_of(ground.narrowed(spec(["way"], way=METRES), request_text), "way")) <= {3, 3000}
    assert settle.as_asked(3, "way", METRES, request_text) == 3


def test_a_number_said_once_is_not_used_for_two_arguments() -> None:
    tool = spec(["hours"], hours=NUMBER, deposit=NUMBER)
    call = ToolCall(name="rent_boat", arguments={"hours": 3, "deposit": 3})
    assert settle.without_inventions(call, tool, "a boat for 3 hours")[1] == ("deposit",)
    assert settle.without_inventions(call, tool, "a boat for 3 hours, deposit 3")[1] == ()


def test_a_default_may_be_passed_though_nobody_said_it() -> None:
    seats = {"type": "integer", "description": "Seats. Default is 2."}
    tool = spec(["hours"], hours=NUMBER, seats=seats, deposit={"type": "number", "default": 9.5})
    call = ToolCall(name="rent_boat", arguments={"hours": 3, "seats": 2, "deposit": 9.5})
    assert settle.without_inventions(call, tool, "a boat for 3 hours") == (call, ())
    call = ToolCall(name="rent_boat", arguments={"hours": 3, "seats": 4, "deposit": 8})
    assert settle.without_inventions(call, tool, "a boat for 3 hours")[1] == ("seats", "deposit")


def test_what_the_request_speaks_of_is_required() -> None:
    tool = spec([], unit={"type": "string", "description": "default is cm"}, crew=FLAG, sails=FLAG)
    assert ground.mentioned(tool, "a boat of 12 feet with a crew") == {"unit": ["feet"], "crew": [True]}
    assert ground.mentioned(tool, "a boat of 12 cm for 3 people, no crew") == {}
    required = ground.for_grammar(tool, "a boat of 12 feet with a crew").parameters
    assert required["required"] == ["unit", "crew"]
    assert required["properties"]["crew"]["enum"] == [True]


@pytest.mark.parametrize("default", ["km/h", "kg/m³", "metric", "fahrenheit", "feet"])
def test_a_unit_of_another_kind_says_nothing(default: str) -> None:
    tool = spec([], unit={"type": "string", "default": default})
    assert ground.mentioned(tool, "a boat of 12 feet") == {}


def test_one_letter_behind_a_number_may_be_another_unit() -> None:
    charge = {"type": "number", "description": "The charge in coulombs"}
    assert 5 in enum_of(ground.narrowed(spec(["charge"], charge=charge), "a charge of 5C"), "charge")


def test_a_number_that_nothing_else_takes_is_the_optional_one() -> None:
    tool = spec(["hours"], hours=NUMBER, deposit=NUMBER)
    assert ground.mentioned(tool, "a boat for 3 hours and 50 euros") == {"deposit": []}
    assert ground.mentioned(tool, "a boat for 3 hours") == {}


def test_a_rate_in_percent_is_a_fraction_unless_percent_is_asked_for() -> None:
    number = {"type": "number"}
    tool = spec(["interest_rate"], interest_rate={**number, "description": "Yearly rate."})
    assert enum_of(ground.narrowed(tool, "at 5%"), "interest_rate")[0] == 0.05
    call = ToolCall(name=tool.name, arguments={"interest_rate": 5.0})
    assert settle.without_inventions(call, tool, "at 5%")[0].arguments == {"interest_rate": 0.05}
    tool = spec(["interest_rate"], interest_rate={**number, "description": "Yearly rate (percent)."})
    call = ToolCall(name=tool.name, arguments={"interest_rate": 5.0})
    assert settle.without_inventions(call, tool, "at 5%")[0].arguments == {"interest_rate": 5.0}


def test_a_place_in_an_order_is_no_amount() -> None:
    tool = spec(["a"], a={"type": "integer"}, gain={"type": "integer"})
    call = ToolCall(name=tool.name, arguments={"a": 5, "gain": 1})
    assert settle.without_inventions(call, tool, "the first has 5")[1] == ("gain",)


def test_a_word_that_only_counts_what_is_listed_is_no_amount() -> None:
    both = spec(["a", "b"], a=NUMBER, b=NUMBER)
    assert set(enum_of(ground.narrowed(both, "two boats of 5 m and 7 m"), "a")) == {5, 7}
    more = spec(["a", "b"], a=NUMBER, b=NUMBER, boats={"type": "integer"})
    assert 2 in enum_of(ground.narrowed(more, "two boats of 5 m and 7 m"), "boats")


def test_from_and_to_are_not_confused() -> None:
    trip = spec(["start_pier", "end_pier"], start_pier=TEXT, end_pier=TEXT, name=TEXT)

    def settled(start: str, end: str, request: str) -> tuple[object, object]:
        call = ToolCall(name="rent_boat", arguments={"start_pier": start, "end_pier": end, "name": "Ann"})
        arguments = settle.without_inventions(call, trip, request)[0].arguments
        return arguments["start_pier"], arguments["end_pier"]

    assert settled("Brienz", "Thun", "Ann rents a boat from Thun to Brienz") == ("Thun", "Brienz")
    assert settled("Thun", "Brienz", "Ann rents a boat from Thun to Brienz") == ("Thun", "Brienz")
    assert settled("Brienz", "Thun", "Ann rents a boat in Thun, and in Brienz") == ("Brienz", "Thun")
    for back in (
        "Ann, from Thun to Brienz and from Brienz to Thun",
        "Ann, from Thun to Brienz and then back to Thun",
        "Ann, from Thun to Brienz? No: Brienz to Thun",
    ):
        assert settled("Brienz", "Thun", back) == ("Brienz", "Thun")
    call = ToolCall(name="rent_boat", arguments={"start_pier": "Brienz", "end_pier": "Thun"})
    both = "Ann, from Thun to Brienz\nAnd to Thun from Brienz?"
    assert settle.without_inventions(call, trip, both, "And to Thun from Brienz?")[0] == call


def test_a_number_of_a_text_is_not_forced_into_an_optional_parameter() -> None:
    search = spec(["query"], query=TEXT, limit={"type": "integer"})
    assert ground.mentioned(search, "search iPhone 15") == {}
    assert ground.mentioned(search, "search lamps, limit 15") == {"limit": []}


def test_the_people_of_a_table_at_eight_are_not_eight() -> None:
    book = spec(["people", "time"], people={"type": "integer"}, time=TEXT)
    assert {4, 8} <= set(enum_of(ground.narrowed(book, "a table for four at 8 in the evening"), "people"))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number", "description": "Annual interest rate, e.g. 4.5"},
        {"type": "number", "minimum": 0, "maximum": 100},
        {"type": "number", "default": 5},
    ],
)
def test_a_rate_whose_example_is_above_one_is_in_percent(schema: dict[str, Any]) -> None:
    assert settle.as_asked(4.5, "interest_rate", schema, "at 4.5%") == 4.5
    assert settle.as_asked(4.5, "interest_rate", NUMBER, "at 4.5%") == 0.045


def test_an_excluded_choice_and_a_first_of_anything_are_not_required() -> None:
    cabin = spec([], cabin={"type": "string", "enum": ["economy", "business", "first"]})
    assert ground.mentioned(cabin, "a boat, and not business class") == {}
    assert ground.mentioned(cabin, "the first boat of the day") == {}
    assert ground.mentioned(cabin, "in the first cabin") == {"cabin": ["first"]}


def test_paths_are_not_narrowed_where_a_file_without_an_ending_or_a_folder_is_named() -> None:
    read = spec(["path"], path=TEXT)
    for said in ("read the Makefile, not a.txt", "read report.pdf in the docs folder", "read .env and a.txt"):
        assert enum_of(ground.named(read, said), "path") == []
    assert enum_of(ground.named(read, "use the example.com logo in a.txt"), "path") == ["a.txt"]


def test_schemas_that_say_nothing_are_read() -> None:
    parameters: dict[str, Any] = {"properties": {"x": True, "n": {**NUMBER, "maximum": None}}, "required": None}
    odd = ToolSpec(name="odd", description="", parameters=parameters)
    assert ground.properties_of(odd)["x"] == {} and ground.required_of(odd) == []
    narrowed = ground.for_grammar(odd, "for 3 hours")
    assert settle.without_inventions(ToolCall(name="odd", arguments={"n": 3, "x": 1}), narrowed, "for 3 hours")
