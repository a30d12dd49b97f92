"""What speaks for a tool without any model."""

from __future__ import annotations

import pytest

from smidgen.agent.route import NO_EVIDENCE, SHARED_WORD, evidence
from smidgen.agent.work import wants_other_work
from smidgen.messages import ToolSpec


def tool(name: str, description: str) -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters={"type": "object", "properties": {}})


def test_a_word_is_shared_in_any_of_its_forms() -> None:
    hotels = tool("bookHotel", "Rooms.")
    assert evidence("I'm booking for tonight", hotels) == SHARED_WORD
    assert evidence("which hotels are booked?", hotels) == 2 * SHARED_WORD


def test_words_that_every_request_has_speak_for_nothing() -> None:
    assert evidence("How do I reverse a list?", tool("list_files", "Show a list of files.")) == NO_EVIDENCE
    assert evidence("please calculate using this", tool("sum", "Calculate the sum, using floats.")) == NO_EVIDENCE


@pytest.mark.parametrize(
    ("request_text", "other"),
    [
        ("delete the file a.txt", True),
        ("could you please send a.txt to Anna", True),
        ("set an alarm for 7", True),
        ("read a.txt", False),
        ("what is in a.txt?", False),
    ],
)
def test_a_command_for_other_work_speaks_against_a_tool(request_text: str, other: bool) -> None:
    reads = ToolSpec(name="read_file", description="Read the text of a file.", parameters={"type": "object"})
    erases = ToolSpec(
        name="remove", description="Delete, send or alarm somebody of files.", parameters={"type": "object"}
    )
    assert wants_other_work(request_text, f"{reads.name} {reads.description}") is other
    assert not wants_other_work(request_text, f"{erases.name} {erases.description}")


def test_explaining_and_translating_may_be_asked_for_as_a_question() -> None:
    for question in ("How do percentages work? In simple words", "How do you say Wednesday in Italian?"):
        assert wants_other_work(question, "calculator: Compute an expression")
    assert not wants_other_work("How do percentages work?", "lookup: Explain a term")
    assert not wants_other_work("How do you say Wednesday in Italian?", "translate: Translate a text")
    assert not wants_other_work("How do I get to work?", "route: The way to a place")
