"""What a reader holds back, and when it tells what it has."""

from __future__ import annotations

import pytest

from smidgen.dialects import CallFound, ReadEvent, TextFound, ThinkingClosed
from smidgen.dialects.choose import NAMES, dialect
from smidgen.messages import ToolCall, ToolSpec

NOW = ToolSpec(name="now", description="Tell the time.", parameters={"type": "object", "properties": {}})
ROLL = ToolSpec(
    name="roll",
    description="Roll dice.",
    parameters={"type": "object", "properties": {"sides": {"type": "integer"}}, "required": ["sides"]},
)
TOOLS = (NOW, ROLL)


def said(events: list[ReadEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextFound))


@pytest.mark.parametrize("name", NAMES)
def test_prose_is_told_as_it_comes(name: str) -> None:
    reader = dialect(name).reader(TOOLS)
    told = ""
    text = "The answer, as a rule, is 42 < 43: see below.\nIt is \"so\" {and} not (otherwise).\nThat's all 'folks'.\n"
    for index, character in enumerate(text, 1):
        told += said(reader.feed(character))
        # At most the word, or the line's first words, that is being written.
        assert text.startswith(told) and index - len(told) <= 6
    assert told + said(reader.finish()) == text


@pytest.mark.parametrize(
    ("name", "begun", "held"),
    [
        ("hermes", "So <tool_", "<tool_"),
        ("hermes", "So <tools", "<tools"),
        ("hermes", "So <table", ""),
        ("hermes", 'So {"na', '{"na'),
        ("hermes", 'So {"city', ""),
        ("hermes", "So ``", "``"),
        ("hermes", "So <thin", "<thin"),
        ("fenced_json", "```python\nimport", ""),
        ("llama3_json", "So <|python", "<|python"),
        ("qwen3_coder", "So <function", "<function"),
        ("qwen3_coder", "So <func>", ""),
        ("flat_xml", "So <rol", "<rol"),
        ("flat_xml", "So <rook", ""),
        ("python_call", "So rol", "rol"),
        ("python_call", "So roo", ""),
        ("python_call", "So troll", ""),
        ("pythonic_list", "So <|tool_call", "<|tool_call"),
        ("plain_lines", "So.\ntool: ro", "tool: ro"),
        ("plain_lines", "So tool: ro", ""),
    ],
)
def test_only_what_may_begin_a_call_is_held_back(name: str, begun: str, held: str) -> None:
    reader = dialect(name).reader(TOOLS)
    assert said(reader.feed(begun)) + held == begun
    assert said(reader.finish()) == held


@pytest.mark.parametrize(
    ("name", "complete"),
    [
        ("fenced_json", '```json\n{"name": "roll", "arguments": {"sides": 6}}'),
        ("hermes", '<tool_call>\n{"name": "roll", "arguments": {"sides": 6}}'),
        ("llama3_json", '{"name": "roll", "parameters": {"sides": 6}}'),
        ("qwen3_coder", "<tool_call>\n<function=roll>\n<parameter=sides>\n6\n</parameter>\n</function>"),
        ("flat_xml", "<roll><sides>6</sides></roll>"),
        ("python_call", "roll(sides=6)"),
        ("pythonic_list", "[roll(sides=6)]"),
        ("plain_lines", "tool: roll\nsides: 6\n"),
    ],
)
def test_a_call_is_told_as_soon_as_it_is_complete(name: str, complete: str) -> None:
    reader = dialect(name).reader(TOOLS)
    for character in complete[:-1]:
        assert reader.feed(character) == []
    (event,) = reader.feed(complete[-1])
    assert isinstance(event, CallFound) and event.call == ToolCall(name="roll", arguments={"sides": 6})
    assert reader.finish() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_that_opens_a_thinking_block_hides_calls_until_it_is_closed(name: str) -> None:
    speaks = dialect(name)
    first = speaks.write_call(ToolCall(name="roll", arguments={"sides": 6}))
    second = speaks.write_call(ToolCall(name="roll", arguments={"sides": 20}))
    reader = speaks.reader(TOOLS, thinking=True)
    events = [event for piece in (f"{first}\n</thi", f"nk>\n{second}\n") for event in reader.feed(piece)]
    events += reader.finish()
    assert not any(isinstance(event, ThinkingClosed) for event in events)
    assert [event.call.arguments for event in events if isinstance(event, CallFound)] == [{"sides": 20}]
    assert speaks.parse(f"{first}\n</think>\n{second}", TOOLS).calls[0].arguments == {"sides": 20}


def test_a_reader_that_was_not_told_of_the_thinking_block_says_so_at_its_end() -> None:
    reader = dialect("hermes").reader(TOOLS)
    events = reader.feed("Hm.</think>So.") + reader.finish()
    assert events == [TextFound(text="Hm."), ThinkingClosed(), TextFound(text="So.")]
    # Only a block that began before the text: later ones are seen to begin.
    reader = dialect("hermes").reader(TOOLS)
    assert reader.feed("A<think>x</think>B</think>C") == [TextFound(text=text) for text in "ABC"]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_call_counts_once_and_others_do_not(name: str) -> None:
    speaks = dialect(name)
    calls = [ToolCall(name="roll", arguments={"sides": sides}) for sides in (6, 6, 20, 6)]
    assert [call.arguments["sides"] for call in speaks.parse(speaks.write_calls(calls), TOOLS).calls] == [6, 20]


def test_endless_calls_are_cut_off() -> None:
    text = "\n".join(f"roll(sides={sides})" for sides in range(1, 200))
    parsed = dialect("python_call").parse(text, TOOLS)
    assert len(parsed.calls) == 32 and parsed.text.endswith("roll(sides=199)")
