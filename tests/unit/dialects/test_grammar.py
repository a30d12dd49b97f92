"""Grammars from schemas: every sentence one valid call, bounded, and nothing dropped silently."""

from __future__ import annotations

import random
from typing import Any, cast

import pytest
from llguidance import LLMatcher, LLTokenizer

from smidgen.agent.conformity import schema_problems
from smidgen.dialects.choose import NAMES, dialect
from smidgen.dialects.grammar import TWO_PARTS
from smidgen.errors import ConstraintError
from smidgen.messages import JsonSchema, ToolCall, ToolSpec
from smidgen.testing.backend import FakeBackend
from smidgen.wire import LoadOptions

RAW = {"qwen3_coder", "flat_xml", "plain_lines"}
"""Dialects whose texts stand without quotes."""
TOKENIZER = LLTokenizer("byte")


def spec(properties: dict[str, JsonSchema], required: tuple[str, ...] = (), name: str = "act") -> ToolSpec:
    return ToolSpec(
        name=name,
        description="Act.",
        parameters={"type": "object", "properties": properties, "required": list(required)},
    )


RICH = spec(
    {
        "text": {"type": "string", "maxLength": 12},
        "count": {"type": "integer", "minimum": 0},
        "ratio": {"type": "number"},
        "on": {"type": "boolean"},
        "kind": {"enum": ["a", "ü", 3, None]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 3}]},
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 5}, "zip": {"type": "integer"}},
            "required": ["city"],
        },
        "free": {"type": "object"},
    },
    ("text", "items"),
)
PLAIN = ToolSpec(name="now", description="Tell the time.", parameters={"type": "object", "properties": {}})


def accepts(name: str, tools: tuple[ToolSpec, ...], text: str, most: int = 1) -> bool:
    grammar = LLMatcher.grammar_from_lark(dialect(name).constraint(tools, most=most).source)
    matcher = LLMatcher(TOKENIZER, grammar)
    tokens = TOKENIZER.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def sample(source: str, seed: int) -> str:
    """A random sentence; quotes and brackets are preferred so that it ends."""
    choose = random.Random(seed)
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_lark(source))
    written = bytearray()
    while not matcher.is_stopped() and len(written) < 4000:
        mask = matcher.compute_bitmask()
        allowed = [token for token in range(256) if mask[token // 8] >> (token % 8) & 1]
        if not allowed:
            break
        closing = [token for token in allowed if chr(token) in '"])}\n,' or 97 <= token < 123]
        token = choose.choice(closing if closing and choose.random() < 0.9 else allowed)
        assert matcher.consume_token(token)
        written.append(token)
    assert matcher.is_accepting(), written
    return written.decode("utf-8", "replace")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_every_sampled_sentence_is_one_valid_call(name: str, seed: int) -> None:
    tools = (RICH, PLAIN)
    text = sample(dialect(name).constraint(tools).source, seed)
    calls = dialect(name).parse(text, tools).calls
    assert len(calls) == 1, text
    parameters = next(tool.parameters for tool in tools if tool.name == calls[0].name)
    assert list(schema_problems(calls[0].arguments, parameters, "")) == []


@pytest.mark.parametrize("name", NAMES)
def test_grammars_are_valid_and_accept_what_the_dialect_writes(name: str) -> None:
    source = dialect(name).constraint((RICH, PLAIN)).source
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(source), TOKENIZER) == ""
    calls: list[dict[str, Any]] = [
        {"text": 'a "b" \\ ü', "items": [1, -2]},
        {"text": "x", "count": 3, "ratio": -0.5, "on": True, "kind": "ü", "items": [1]},
        {"text": "x", "either": "abc", "items": [1], "place": {"city": "Graz", "zip": 1}},
        {"text": "x", "items": [1], "free": {}},
    ]
    for arguments in calls:
        assert accepts(name, (RICH, PLAIN), dialect(name).write_call(ToolCall(name="act", arguments=arguments)))
    assert accepts(name, (RICH, PLAIN), dialect(name).write_call(ToolCall(name="now", arguments={})))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"items": [1]},
        {"text": "", "items": [1]},
        {"text": "x", "items": []},
        {"text": "x", "items": [1, 2, 3, 4]},
        {"text": "x" * 13, "items": [1]},
        {"text": "x", "count": -1, "items": [1]},
        {"text": "x", "kind": "b", "items": [1]},
        {"text": "x", "items": [1], "extra": 1},
        {"text": "x", "items": ["1"]},
    ],
)
def test_wrong_calls_cannot_be_written(name: str, arguments: dict[str, Any]) -> None:
    assert not accepts(name, (RICH,), dialect(name).write_call(ToolCall(name="act", arguments=arguments)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_sentences_of_several_calls_read_back(name: str, seed: int) -> None:
    tools = (spec({"n": {"type": "integer"}}, ("n",)), PLAIN)
    source = dialect(name).constraint(tools, most=3).source
    calls = dialect(name).parse(sample(source, seed), tools).calls
    assert 1 <= len(calls) <= 3
    several = tuple(ToolCall(name="act", arguments={"n": n}) for n in range(3))
    assert accepts(name, tools, dialect(name).write_calls(several), most=3)
    assert accepts(name, tools, dialect(name).write_calls(several[:1]), most=3)
    assert not accepts(name, tools, dialect(name).write_calls(several), most=2)
    assert not accepts(name, tools, dialect(name).write_calls(several[:2]))


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("hermes", ("<tool_call>", "</tool_call>")),
        ("qwen3_coder", ("<tool_call>", "</tool_call>")),
        ("pythonic_list", ("<|tool_call_start|>", "<|tool_call_end|>")),
    ],
)
def test_marks_that_are_control_tokens_are_written_as_such(name: str, marks: tuple[str, str]) -> None:
    model = FakeBackend(LoadOptions(path="fake"), control=marks)
    tokenizer = cast(LLTokenizer, model.grammar_tokenizer())
    plain = dialect(name).constraint((PLAIN,)).source
    marked = dialect(name).constraint((PLAIN,), special=[*marks, "<|im_end|>", "not one"]).source
    text = dialect(name).write_call(ToolCall(name="now", arguments={}))
    for source, written, special, fits in (
        (marked, text if text.startswith(marks[0]) else f"{marks[0]}{text}{marks[1]}", True, True),
        (marked, text, False, False),
        (plain, text, False, True),
        (plain, text if text.startswith(marks[0]) else f"{marks[0]}{text}{marks[1]}", True, False),
    ):
        matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(source))
        tokens = model.tokenize(written, special)
        assert (matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()) is fits


@pytest.mark.parametrize("name", sorted({*NAMES} - RAW))
def test_free_whitespace_and_endless_strings_are_no_sentences(name: str) -> None:
    tools = (spec({"text": {"type": "string"}}, ("text",)),)
    good = dialect(name).write_call(ToolCall(name="act", arguments={"text": "x"}))
    assert accepts(name, tools, good)
    assert not accepts(name, tools, good.replace('"x"', '  "x"'))
    assert not accepts(name, tools, good.replace('"x"', f'"{"x" * 2001}"'))
    assert not accepts(name, tools, good.replace('"x"', r'"\u00fc"'))


@pytest.mark.parametrize("name", sorted(RAW))
def test_texts_without_quotes_are_bounded_and_hold_no_marks(name: str) -> None:
    tools = (spec({"text": {"type": "string"}, "n": {"type": "integer"}}, ("text",)),)

    def writes(text: str) -> bool:
        return accepts(name, tools, dialect(name).write_call(ToolCall(name="act", arguments={"text": text, "n": 1})))

    assert writes("a <b> \\ 'c' \" ü }]") and writes("x" * 2000) and not writes("x" * 2001)
    assert writes("two\nlines")
    if name != "plain_lines":
        marks = ("</parameter>", "<parameter=a>", "</function>") if name == "qwen3_coder" else ("</text>", "</act>")
        assert not any(writes(f"a{mark}b") for mark in marks)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("properties", "required"),
    [
        ({"a": {"$ref": "#/x"}}, ()),
        ({"a": {"not": {}}}, ()),
        ({"a": {"type": "date"}}, ()),
        ({"a": {"enum": []}}, ()),
        ({"a": {"enum": [{}]}}, ()),
        ({"a": {"type": "array", "minItems": 100}}, ()),
        ({"a": {"type": "string"}}, ("b",)),
    ],
)
def test_schemas_that_cannot_be_enforced_are_refused(
    name: str, properties: dict[str, JsonSchema], required: tuple[str, ...]
) -> None:
    with pytest.raises(ConstraintError):
        dialect(name).constraint((spec(properties, required),))


@pytest.mark.parametrize("name", NAMES)
def test_depth_size_and_no_tools_are_refused(name: str) -> None:
    deep: JsonSchema = {"type": "string"}
    for _ in range(30):
        deep = {"type": "object", "properties": {"a": deep}}
    wide = {f"p{index}": {"type": "string", "maxLength": index + 1} for index in range(1500)}
    for tools in ((), (spec({"a": deep}),), (spec(wide),)):
        with pytest.raises(ConstraintError):
            dialect(name).constraint(tools)


@pytest.mark.parametrize(("text", "fits"), [("Reno, NV", True), ("Reno", False), ("Reno, ", False)])
def test_a_text_of_two_parts_needs_both(text: str, fits: bool) -> None:
    tools = (spec({"where": {"type": "string", "format": TWO_PARTS}}, ("where",)),)
    call = ToolCall(name="act", arguments={"where": text})
    assert accepts("python_call", tools, dialect("python_call").write_call(call)) is fits
    assert accepts("fenced_json", tools, dialect("fenced_json").write_call(call)) is fits
