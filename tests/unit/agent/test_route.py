"""What speaks for a tool without any model."""

from __future__ import annotations

from smidgen.agent.route import NO_EVIDENCE, SHARED_WORD, evidence
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
