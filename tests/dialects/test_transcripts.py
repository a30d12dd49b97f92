"""What models write, and the calls that are in it. Every transcript is also
cut off and split at every position."""

# ruff: noqa: E501 -- transcripts are kept on one line, as they came

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.dialects import CallFound, Dialect, Parsed, TextFound, ThinkingClosed
from smidgen.dialects.choose import NAMES, dialect
from smidgen.errors import ConfigError
from smidgen.messages import ToolCall, ToolSpec

TOOLS = (
    ToolSpec(
        name="weather",
        description="Tell the weather.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": 'for example "Paris"'},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "limits": {"type": "array", "items": {"type": "number"}},
                "alerts": {"type": "boolean"},
                "place": {
                    "type": "object",
                    "properties": {
                        "zip": {"type": "integer"},
                        "street": {"type": "string"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "either": {"type": ["integer", "string"]},
            },
            "required": ["city"],
        },
    ),
    ToolSpec(name="now", description="Tell the time.", parameters={"type": "object", "properties": {}}),
)

Expected = list[tuple[str, dict[str, Any]]]

PARIS: Expected = [("weather", {"city": "Paris"})]
NOW: Expected = [("now", {})]
BOTH: Expected = [("now", {}), ("weather", {"city": "A"})]

JSON_CASES: list[tuple[str, Expected]] = [
    ('```json\n{\n    "name": "weather",\n    "arguments": {\n        "city": "Paris"\n    }\n}\n```', PARIS),
    ('```json\n{"name": "weather", "arguments": {"city": "Köln"}}', [("weather", {"city": "Köln"})]),
    ('Sure!\n```\n{"name": "now", "arguments": {}}\n```\nDone.', NOW),
    ('<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": "weather", "arguments": {"city": "A"}}\n</tool_call>', BOTH),
    ('{"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}', PARIS),
    ("{'name': 'weather', 'arguments': {'city': 'Paris', 'alerts': True}}", [("weather", {"city": "Paris", "alerts": True})]),
    ('{"name": "weather", "parameters": {"city": "Paris", "days": "3",}}', [("weather", {"city": "Paris", "days": 3})]),
    ('{"function": {"name": "weather", "arguments": {"city": "Paris"', PARIS),
    ('```json\n[{"name": "now", "arguments": {}}, {"name": "weather", "arguments": {"city": "A"}}]\n```', BOTH),
    ('{"name": "now", "arguments": {}}\n{"name": "weather", "arguments": {"city": "A"}}', BOTH),
    ('```json\n{"name": "now", "arguments": {}}\n{"name": "weather", "arguments": {"city": "A"}}\n```', BOTH),
    ('{"tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}]}', PARIS),
    # thinking
    ('<think>{"name": "now", "arguments": {}}</think>It is late.', []),
    ('<think>{"name": "now", "arguments": {}}', []),
    ('<think>hm</think>{"name": "now", "arguments": {}}', NOW),
    ('I call {"name": "now", "arguments": {}}?</think>{"name": "weather", "arguments": {"city": "Paris"}}', PARIS),
    ('{"name": "weather", "arguments": {"city": "</think><think>"}}', [("weather", {"city": "</think><think>"})]),
    # malformed
    ('<tool_call>{"name": "weather", "arguments": {"city": "Paris"}</tool_call>', PARIS),
    ('<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}}\n</tool_call>', PARIS),
    ('<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}\n<tool_call>{"name": "now", "arguments": {}}', [*PARIS, *NOW]),
    ('<tool_call>{"name": "weather", "arguments": {"city": "Paris}}</tool_call>', [("weather", {"city": "Paris}}"})]),
    ('{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>', PARIS),
    ('<tool_call>\n```json\n{"name": "weather", "arguments": {"city": "Paris"}}\n```\n</tool_call>', PARIS),
    ('<tools>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tools>', PARIS),
    ('{"name": "weather", "arguments": {"city": "Paris"}\n\nI hope this helps.', PARIS),
    ('{"name": "weather", "arguments": {city: "Paris", days: 3}}', [("weather", {"city": "Paris", "days": 3})]),
    ('{"name": "weather", "arguments": {"city": "the "old" town"}}', [("weather", {"city": 'the "old" town'})]),
    ('{"name": "weather", "arguments": {"city": "Paris" "days": 3}}', [("weather", {"city": "Paris", "days": 3})]),
    ('{"name": "weather", "arguments": {"city": "Paris", // here\n"days": 3}}', [("weather", {"city": "Paris", "days": 3})]),
    ('{"name": "weather", "city": "Paris"}', PARIS),
    ('<tool_call>{"weather": {"city": "Paris"}}</tool_call>', PARIS),
    ('```json\n{"now": {}, "weather": {"city": "A"}}\n```', BOTH),
    ('{"name": "now"}', NOW),
    ('{"name": "now", "arguments": null}', NOW),
    ('{"name": "weather", "arguments": {"city": "Paris"}}\n{"name": "weather", "arguments": {"city": "Paris"}}', PARIS),
    ('{"name": "weather", "arguments": {"city": "Zürich 東京 😀", "days": 1.0}}', [("weather", {"city": "Zürich 東京 😀", "days": 1})]),
    ('{"name": "launch", "arguments": {"x": 1}}', [("launch", {"x": 1})]),
    ('{"name": "weather", "arguments": {"city": "Paris", "limits": [1, "2"], "unit": "Celsius", "days": null}}',
     [("weather", {"city": "Paris", "limits": [1.0, 2.0], "unit": "celsius"})]),
    ('{"name": "weather", "arguments": {"city": "Paris", "alerts": "true", "limits": "[1, 2]"}}',
     [("weather", {"city": "Paris", "alerts": True, "limits": [1.0, 2.0]})]),
    # no calls
    ('```json\n{"temperature": 3}\n```', []),
    ('Use {"city": "Paris"} as the body, and {"name": "Bob"} as well.', []),
    ('{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}', []),
    ("A <tool_call> begins a call { like this.", []),
    ("Just words.", []),
    ("", []),
]  # fmt: skip

LLAMA_CASES: list[tuple[str, Expected]] = [
    ('{"name": "weather", "parameters": {"city": "Paris"}}', PARIS),
    ('<|python_tag|>{"name": "weather", "parameters": {"city": "Paris"}}', PARIS),
    ('{"name": "now", "parameters": {}}; {"name": "weather", "parameters": {"city": "A"}}', BOTH),
    ('{"type": "function", "name": "weather", "parameters": {"city": "Paris", "days": "2"}}', [("weather", {"city": "Paris", "days": 2})]),
    ("<|python_tag|>print(1)", []),
]  # fmt: skip

PYTHON_CASES: list[tuple[str, Expected]] = [
    ('weather(city="Paris")', PARIS),
    ('```python\nweather(city="Paris", days=3)\n```', [("weather", {"city": "Paris", "days": 3})]),
    ("weather('Köln', 2)", [("weather", {"city": "Köln", "days": 2})]),
    ('weather(city="Pa(ris', [("weather", {"city": "Pa(ris"})]),
    ('print(weather(city="Paris"))', PARIS),
    ('```python\nprint(weather(city="Paris"))\n```', PARIS),
    ('weather(city="A")\nnow()', [("weather", {"city": "A"}), ("now", {})]),
    (
        'weather(city="A", alerts=true, limits=[1, 2])',
        [("weather", {"city": "A", "alerts": True, "limits": [1.0, 2.0]})],
    ),
    ("weather(city=80 * 2)", [("weather", {"city": "80 * 2"})]),
    ("launch(x=1)", [("launch", {"x": 1})]),
    ("launch.pad.fire(x=1)", [("launch.pad.fire", {"x": 1})]),
    ("You could call launch(x=1) or not.", []),
    ('weather(city="Paris)\nThat is all.', PARIS),
    ('weather(city="Paris", from="A", start-date=3)', [("weather", {"city": "Paris", "from": "A", "start-date": 3})]),
    ('weather(city="Paris"); now()', [*PARIS, *NOW]),
    ('weather(city="Paris")\nweather(city="Paris")', PARIS),
    ('foo(weather(city="Paris"))', PARIS),
    ('<think>weather(city="A")</think>\nweather(city="Paris")', PARIS),
    ("<think>now()</think>It is late.", []),
    ("Just words (really).", []),
    ("", []),
]

LIST_CASES: list[tuple[str, Expected]] = [
    ('[weather(city="Paris")]', PARIS),
    ('[now(), weather(city="A")]', BOTH),
    ('<|tool_call_start|>[now(), weather(city="A")]<|tool_call_end|>', BOTH),
    ("<|tool_call_start|>[launch(x=1)]<|tool_call_end|>Starting.", [("launch", {"x": 1})]),
    ('```tool_code\n[weather(city="Paris")]\n```', PARIS),
    ('```tool_code\nweather(city="Paris")\n```', PARIS),
    ('Sure: [weather(city="Paris", limits=[1, 2])]. Done.', [("weather", {"city": "Paris", "limits": [1.0, 2.0]})]),
    ('[weather(city="Paris"', PARIS),
    ('[now(), weather(city="A")', BOTH),
    ('[weather(city="Paris"), weather(city="Paris")]', PARIS),
    ('[weather(city="it\'s [here]", days="3")]', [("weather", {"city": "it's [here]", "days": 3})]),
    ("<think>[now()]</think>Late.", []),
    ("See [launch(1)] for more, and [1] too.", []),
]

QWEN3_CASES: list[tuple[str, Expected]] = [
    ("<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", PARIS),
    ("<function=weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>", PARIS),
    ("Let me look.\n\n<function=weather><parameter=city>Paris</parameter></function>", PARIS),
    ("<tool_call>\n<function=now>\n</function>\n</tool_call>\n<tool_call>\n<function=weather>\n<parameter=city>\nA\n</parameter>\n</function>\n</tool_call>", BOTH),
    ("<tool_call>\n<function=now>\n</function>\n<function=weather>\n<parameter=city>\nA\n</parameter>\n</function>\n</tool_call>", BOTH),
    ("<tool_call><function=weather><parameter=city>\nParis\n</parameter><parameter=days>3</parameter><parameter=limits>[1, 2]</parameter><parameter=alerts>True</parameter></function></tool_call>",
     [("weather", {"city": "Paris", "days": 3, "limits": [1.0, 2.0], "alerts": True})]),
    ("<function=weather>\n<parameter=city>\nline 1\n  <b>line</b> 2\n</parameter>\n</function>", [("weather", {"city": "line 1\n  <b>line</b> 2"})]),
    ("<function=weather>\n<parameter=city>\nParis\n<parameter=days>\n3\n</parameter>\n</function>", [("weather", {"city": "Paris", "days": 3})]),
    ("<function=weather>\n<parameter=city>\nParis\n</parameter>\n</tool_call>", PARIS),
    ("<function=weather>\n<parameter=city>\nParis\n</parameter>\nThat is it.", PARIS),
    ("<function=weather>\n<parameter=city>\nParis", PARIS),
    ("<function=weather>\n<parameter=city>\nParis\n</param", PARIS),
    ("<function=weather>\n<parameter=city>\nParis\n</parameter>\n</parameter>\n</function>", PARIS),
    ('<function=weather>{"city": "Paris"}</function>', PARIS),
    ('<function="weather">\n<parameter="city">\nParis\n</parameter>\n</function>', PARIS),
    ("<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\nnull\n</parameter>\n</function>", PARIS),
    ("<function=weather>\n<parameter=city>\n42\n</parameter>\n</function>", [("weather", {"city": "42"})]),
    ("<function=weather>\n<parameter=city>\nA\n</parameter>\n</function>" * 2, [("weather", {"city": "A"})]),
    ("<think><function=now></function></think>It is late.", []),
    ("<think>\n<tool_call></think>\n<function=now>\n</function>", NOW),
    ("In Rust, <function= is no syntax; a < b > c.", []),
    ("<function=now", []),
]  # fmt: skip

XML_CASES: list[tuple[str, Expected]] = [
    ("<weather>\n<city>Paris</city>\n</weather>", PARIS),
    ("<weather><city>Köln</city><days>3</days><limits>[1, 2]</limits></weather>", [("weather", {"city": "Köln", "days": 3, "limits": [1.0, 2.0]})]),
    ("I look.\n<weather>\n<city>\nParis\n</city>\n</weather>\nDone.", PARIS),
    ("<now></now>\n<weather><city>A</city></weather>", BOTH),
    ("<now/>\n<weather><city>A</city></weather>", BOTH),
    ("<tool>\n<weather><city>Paris</city></weather>\n</tool>", PARIS),
    ("```xml\n<weather><city>Paris</city></weather>\n```", PARIS),
    ('<weather city="Paris" days="3"/>', [("weather", {"city": "Paris", "days": 3})]),
    ('<weather city="Paris">\n</weather>', PARIS),
    ("<weather>Paris</weather>", PARIS),
    ('<weather>{"city": "Paris"}</weather>', PARIS),
    ("<weather><city>Paris</city>", PARIS),
    ("<weather><city>Paris", PARIS),
    ("<weather><city>Paris</ci", PARIS),
    ("<weather><city>Paris</city>\nLet me know.", PARIS),
    ("<weather><city>Paris</city>\n<now></now>", [*PARIS, *NOW]),
    ("<weather><city>Paris<days>3</days></weather>", [("weather", {"city": "Paris", "days": 3})]),
    ("<weather><city>a <b>bold</b> town</city></weather>", [("weather", {"city": "a <b>bold</b> town"})]),
    ("<weather><town>Paris</town></weather>", [("weather", {"town": "Paris"})]),
    ("<weather><city>Paris</city></weather><weather><city>Paris</city></weather>", PARIS),
    ("<think><now></now></think>Late.", []),
    ("The <weather> tag tells the weather, <now> the time.", []),
    ("a < weather and b > now, <b>now</b>", []),
]  # fmt: skip

LINE_CASES: list[tuple[str, Expected]] = [
    ("tool: weather\ncity: Paris", PARIS),
    ("tool: weather\ncity: Paris\ndays: 3\nlimits: [1, 2]\nalerts: yes\n", [("weather", {"city": "Paris", "days": 3, "limits": [1.0, 2.0], "alerts": True})]),
    ("I look.\n\ntool: weather\ncity: Paris\n\nThen I tell you.", PARIS),
    ("tool: now\n\ntool: weather\ncity: A", BOTH),
    ("tool: now\ntool: weather\ncity: A", BOTH),
    ("Tool: Weather\nCity: Paris", PARIS),
    ("**tool**: weather\n- **city**: Paris\n- days = 3", [("weather", {"city": "Paris", "days": 3})]),
    ("tool: weather()\ncity: 'Paris'", PARIS),
    ("tool: weather (Tell the weather.)\ncity: Paris", PARIS),
    ("tool: weather Paris\ncity: Paris", PARIS),
    ("Tool: weather is what I use.\nCity and country follow.", []),
    ("tool: weathercock\ncity: Paris", []),
    ("tool: weather\n\ncity: Paris", PARIS),
    ("```\ntool: weather\ncity: Paris\n```", PARIS),
    ("Action: weather\nAction Input: {\"city\": \"Paris\",\n\"days\": 3}\nObservation: rain", [("weather", {"city": "Paris", "days": 3})]),
    ("tool: weather\ncity: \"a\\nb: c\"", [("weather", {"city": "a\nb: c"})]),
    ("tool: weather\ncity: Zürich: 東京", [("weather", {"city": "Zürich: 東京"})]),
    ("tool: weather\ncity: Paris\nunit: none", PARIS),
    ("tool: weather\ncity: Paris\ntool: weather\ncity: Paris", PARIS),
    ("tool: weather\ncity: Paris\nThat is all.", PARIS),
    ("<think>\ntool: now\n</think>\nLate.", []),
    ("The tool: weather is fine.\ncity: Paris", []),
    ("tool: hammer\nsize: 3", []),
    ("weather: sunny\ncity: Paris", []),
]  # fmt: skip

CASES: list[tuple[str, str, Expected]] = [
    *((name, *case) for name in ("fenced_json", "hermes", "llama3_json") for case in JSON_CASES),
    *(("llama3_json", *case) for case in LLAMA_CASES),
    *((name, *case) for name in ("python_call", "pythonic_list") for case in PYTHON_CASES),
    *((name, *case) for name in ("python_call", "pythonic_list") for case in LIST_CASES),
    *(("qwen3_coder", *case) for case in QWEN3_CASES),
    *(("flat_xml", *case) for case in XML_CASES),
    *(("plain_lines", *case) for case in LINE_CASES),
]


def read_in_pieces(name: str, pieces: Sequence[str]) -> Parsed:
    """What a reader makes of the pieces, put together as `parse` does."""
    reader = dialect(name).reader(TOOLS)
    events = [event for piece in pieces for event in reader.feed(piece)] + reader.finish()
    for index in reversed(range(len(events))):
        if isinstance(events[index], ThinkingClosed):
            events = events[index + 1 :]
            break
    found = [event for event in events if isinstance(event, CallFound)]
    return Parsed(
        calls=tuple(event.call for event in found),
        text="".join(event.text for event in events if isinstance(event, TextFound)).strip(),
        strategy=found[0].strategy if found else "",
    )


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_calls_are_found_in_what_models_write(name: str, text: str, expected: Expected) -> None:
    parsed = dialect(name).parse(text, TOOLS)
    assert [(call.name, call.arguments) for call in parsed.calls] == expected
    assert [type(value) for call in parsed.calls for value in call.arguments.values()] == [
        type(value) for _, arguments in expected for value in arguments.values()
    ]
    assert bool(parsed.strategy) == bool(expected)


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_how_a_transcript_is_split_makes_no_difference(name: str, text: str, expected: Expected) -> None:
    for end in range(len(text) + 1):
        start = text[:end]
        whole = dialect(name).parse(start, TOOLS)
        assert read_in_pieces(name, list(start)) == whole
        assert read_in_pieces(name, [start, text[end:]]) == dialect(name).parse(text, TOOLS)


@pytest.mark.parametrize(
    ("name", "text", "rest"),
    [
        ("hermes", 'Hm.\n<tool_call>{"name": "now", "arguments": {}}</tool_call>\nSo.', "Hm.\n\nSo."),
        ("fenced_json", '```json\n{"name": "now", "arguments": {}}\n```\nSo:\n```\nx\n```', "So:\n```\nx\n```"),
        ("llama3_json", '{"name": "now", "parameters": {}}; {"name": "weather", "parameters": {"city": "A"}}', ""),
        ("python_call", "```python\nprint(now())\n```\nSo.", "So."),
        ("pythonic_list", "Hm. <|tool_call_start|>[now()]<|tool_call_end|> So.", "Hm.  So."),
        ("qwen3_coder", "Hm.\n<function=now>\n</function>\n</tool_call>", "Hm."),
        ("flat_xml", "Hm. <tool><now/></tool> So <b>now</b>.", "Hm.  So <b>now</b>."),
        ("plain_lines", "Hm.\n\ntool: now\n\nSo.", "Hm.\n\n\nSo."),
        ("hermes", "Hm. <think>x</think> So.", "Hm.  So."),
        ("hermes", "x</think>So.", "So."),
    ],
)  # fmt: skip
def test_the_text_around_calls_stays_and_their_marks_go(name: str, text: str, rest: str) -> None:
    assert dialect(name).parse(text, TOOLS).text == rest


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_around_a_call_stays(name: str) -> None:
    speaks = dialect(name)
    parsed = speaks.parse(f"Let me see.\n{speaks.write_call(ToolCall(name='now', arguments={}))}\nThere.", TOOLS)
    assert parsed.calls and parsed.text.split() == ["Let", "me", "see.", "There."]


@pytest.mark.parametrize("name", NAMES)
def test_several_calls_are_written_and_read_back(name: str) -> None:
    speaks = dialect(name)
    calls = (
        ToolCall(name="now", arguments={}),
        ToolCall(name="weather", arguments={"city": "A"}),
        ToolCall(name="weather", arguments={"city": "B", "days": 2}),
    )
    assert speaks.parse(speaks.write_calls(calls), TOOLS).calls == calls
    assert speaks.parse("\n".join(speaks.write_call(call) for call in calls), TOOLS).calls == calls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    ["(" * 60_000, "[" * 100_000, '{"name":' * 5_000, "weather(" * 3_000, "weather(city=" + "-" * 50_000 + "1)", "```json\n" * 2_000,
     '{"name": "weather", "arguments": ' + '{"a":' * 5_000, "\0\ud800", "weather(city=" + "9" * 10_000 + ")", "'" * 10_001,
     '{"name": "weather", "arguments": {"days": ' + "9" * 6_000 + "}}", '{"name": "weather", "arguments": {"days": NaN}}'],
)  # fmt: skip
def test_hostile_text_is_only_text(name: str, text: str) -> None:
    parsed = dialect(name).parse(text, TOOLS)
    assert len(parsed.calls) <= 32


PIECES = [
    *("<tool_call>", "</tool_call>", "<tools>", "<think>", "</think>", "```", "```json\n", "```python\n", "[", "]", "{", "}", '"', "'"),
    *('{"name": ', '"weather"', ', "arguments": ', '{"city": "A"}', '{"city": "A', "weather(", 'city="A"', ")", "now()", "print(", "x = "),
    *("<function=", "<function=weather>", "<parameter=city>", "</parameter>", "</function>", "<weather>", "<city>", "</city>", "</weather>"),
    *("<now/>", "tool: weather", "city: A", "days: 3", "\n", "\n\n", " ", ",", ";", "word", "launch(1)", "<|tool_call_start|>", "<|python_tag|>"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(text=st.text(alphabet="weathrnowciy(){}[]\"':=,.\\`\n 1<>/think_jsoajd", max_size=200))
def test_parsing_never_raises(name: str, text: str) -> None:
    dialect(name).parse(text, TOOLS)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40) | st.sampled_from(
    [
        "</think>",
        "<think>",
        "```",
        "it's",
        '"',
        "\\",
        "\n",
        " x ",
        "[1]",
        '{"name": "now"}',
        "null",
        "tool: now",
        "a\n\nb",
        "}]",
    ]
)
PLACES = st.fixed_dictionaries(
    {"zip": st.integers(0, 99999)}, optional={"street": TEXTS, "tags": st.lists(TEXTS, max_size=3)}
)
arguments = st.fixed_dictionaries(
    {"city": TEXTS},
    optional={
        "days": st.integers(-(10**9), 10**9),
        "unit": st.sampled_from(["celsius", "fahrenheit"]),
        "limits": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
        "alerts": st.booleans(),
        "place": PLACES,
        "either": st.one_of(st.integers(-99, 99), TEXTS),
    },
)
# What a dialect has no way to write: its own closing tag within a text without quotes.
UNWRITABLE = {
    "qwen3_coder": ("</parameter>", "<parameter=", "</function>", "<function=", "<tool_call>", "</tool_call>"),
    "flat_xml": ("</city>", "</either>", "</weather>"),
}


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(arguments=arguments)
def test_what_is_written_is_read_back(name: str, arguments: dict[str, Any]) -> None:
    texts = [value for value in arguments.values() if isinstance(value, str)]
    if any(mark in text for text in texts for mark in UNWRITABLE.get(name, ())):
        return
    if name in UNWRITABLE and _is_number(arguments.get("either")):
        return
    speaks: Dialect = dialect(name)
    call = ToolCall(name="weather", arguments=arguments)
    assert speaks.parse(f"Yes.\n{speaks.write_call(call)}\nDone.", TOOLS).calls == (call,)
    assert read_in_pieces(name, list(speaks.write_call(call))).calls == (call,)


def _is_number(value: Any) -> bool:
    """A text that is a number reads as one where the schema allows both and the dialect has no quotes."""
    try:
        return isinstance(value, str) and json.loads(value) is not None
    except ValueError:
        return False


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_how_any_text_is_split_makes_no_difference(name: str, pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    bounds = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    chunks = [text[start:end] for start, end in itertools.pairwise(bounds)]
    assert read_in_pieces(name, chunks) == dialect(name).parse(text, TOOLS)
    assert read_in_pieces(name, list(text)) == dialect(name).parse(text, TOOLS)


def test_non_ascii_text_is_written_as_it_is() -> None:
    for name in NAMES:
        assert "Zürich 東京" in dialect(name).write_call(ToolCall(name="weather", arguments={"city": "Zürich 東京"}))


def test_tools_are_told_in_the_models_own_form() -> None:
    listed = dialect("fenced_json").instructions(TOOLS).split("<tools>\n")[1].split("\n</tools>")[0]
    assert [json.loads(line)["function"]["name"] for line in listed.splitlines()] == ["weather", "now"]
    stubs = dialect("python_call").instructions(TOOLS)
    assert 'def weather(city: str, days: int = None, unit: Literal["celsius", "fahrenheit"] = None' in stubs


def test_results_name_their_tool_or_are_marked_as_results() -> None:
    assert "<tool_response>" in dialect("fenced_json").write_result("now", "noon").content
    assert "now returned" in dialect("python_call").write_result("now", "noon").content


def test_an_unknown_dialect_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        dialect("morse")
