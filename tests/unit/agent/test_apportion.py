from __future__ import annotations

from typing import Any

from smidgen.agent.apportion import apportioned, parts_of
from smidgen.messages import ToolCall, ToolSpec

SPEC = ToolSpec(
    name="find",
    description="Find trails.",
    parameters={
        "type": "object",
        "properties": {
            "place": {"type": "string"},
            "with": {"type": "array", "items": {"type": "string"}},
            "grade": {"type": "string", "enum": ["easy", "hard"]},
        },
        "required": ["place"],
    },
)


def call(**arguments: Any) -> ToolCall:
    return ToolCall(name="find", arguments=arguments)


def found(request: str, *calls: ToolCall) -> list[dict[str, Any]]:
    return [made.arguments for made in apportioned(calls, {"find": SPEC}, request)]


def test_each_call_takes_the_items_of_its_part() -> None:
    request = "Trails near Bern with a lake and huts, and near Chur with caves"
    first = call(**{"place": "Bern", "with": ["lake", "huts", "caves"]})
    second = call(**{"place": "Chur", "with": ["caves"]})
    assert found(request, first, second) == [
        {"place": "Bern", "with": ["lake", "huts"]},
        {"place": "Chur", "with": ["caves"]},
    ]


def test_items_that_no_part_has_for_itself_are_shared() -> None:
    request = "Trails with a lake and huts near Bern and Chur"
    calls = [call(**{"place": place, "with": ["lake", "huts"]}) for place in ("Bern", "Chur")]
    assert found(request, *calls) == [made.arguments for made in calls]


def test_each_call_takes_the_choice_of_its_part() -> None:
    request = "an easy trail near Bern, then a hard one near Chur"
    made = found(request, call(place="Bern", grade="easy"), call(place="Chur", grade="easy"))
    assert [arguments["grade"] for arguments in made] == ["easy", "hard"]


def test_a_choice_that_only_one_part_names_is_left_out_of_the_other() -> None:
    request = "a trail near Bern, and a hard trail near Chur"
    made = found(request, call(place="Bern", grade="hard"), call(place="Chur", grade="hard"))
    assert [arguments.get("grade") for arguments in made] == [None, "hard"]


def test_a_choice_named_for_all_stays() -> None:
    request = "hard trails: one near Bern, and one near Chur"
    made = found(request, call(place="Bern", grade="hard"), call(place="Chur", grade="hard"))
    assert [arguments.get("grade") for arguments in made] == ["hard", "hard"]


def test_what_stands_around_a_list_is_shared() -> None:
    request = "a hard trail near Bern and Chur"
    made = found(request, call(place="Bern", grade="hard"), call(place="Chur", grade="hard"))
    assert [arguments.get("grade") for arguments in made] == ["hard", "hard"]


def test_calls_that_nothing_tells_apart_have_no_parts() -> None:
    assert parts_of([call(place="Bern"), call(place="Bern")], "near Bern") == ()
    assert parts_of([call(place="Bern"), call(place="Thun")], "near Bern") == ()
    assert parts_of([call(place="Bern")], "near Bern") == ()


def test_a_choice_named_first_may_be_meant_for_what_follows() -> None:
    made = found(
        "hard trails near Bern and then near Chur", call(place="Bern", grade="hard"), call(place="Chur", grade="hard")
    )
    assert [arguments.get("grade") for arguments in made] == ["hard", "hard"]


def test_a_choice_that_is_an_everyday_word_is_left_as_it_is() -> None:
    state = {"type": "object", "properties": {"place": {"type": "string"}, "state": {"enum": ["on", "off"]}}}
    switch = ToolSpec(name="find", description="", parameters=state)
    calls = [call(place="lamp", state="off"), call(place="heater", state="off")]
    request = "Turn off the lamp, then do the same with the heater on the wall"
    assert apportioned(calls, {"find": switch}, request) == tuple(calls)


def test_a_list_that_may_be_nothing_stays_a_list() -> None:
    extras = {"type": ["array", "null"], "items": {"type": "string", "enum": ["wind", "rain"]}}
    spec = ToolSpec(
        name="find", description="", parameters={"type": "object", "properties": {"place": {}, "with": extras}}
    )
    calls = [call(**{"place": "Bern", "with": ["wind", "rain"]}), call(**{"place": "Chur", "with": ["rain"]})]
    made = apportioned(calls, {"find": spec}, "wind near Bern, and the rain near Chur")
    assert [each.arguments["with"] for each in made] == [["wind"], ["rain"]]
