"""Ollama's requests as the engine and an agent take them: durations, options, messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from smidgen.api.ollama import options
from smidgen.api.ollama.durations import keep
from smidgen.api.ollama.headers import parameter_size
from smidgen.api.ollama.names import spellings
from smidgen.api.ollama.requests import ChatMessage, ChatRequest, Options
from smidgen.api.ollama.translate import chat, messages
from smidgen.errors import InvalidRequest, UnsupportedByModel
from smidgen.messages import Message, ToolCall

TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}},
}


def said(*given: dict[str, Any]) -> tuple[Message, ...]:
    return messages([ChatMessage.model_validate(one) for one in given])


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (60, 60.0),
        (1.5, 1.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("300ms", 0.3),
        ("2µs", 2e-6),
        ("90", 90.0),
        (0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        (-1, None),
        ("-1", None),
        ("-5m", None),
        ("1000000h", None),
        (None, msgspec.UNSET),
    ],
)
def test_durations(given: float | str | None, seconds: Any) -> None:
    found = keep(given)
    assert found is seconds if seconds in (None, msgspec.UNSET) else found == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "m", "5 m", "five", "5x", "5m!", "1e3", "--5m", "inf", float("nan")])
def test_what_is_no_duration_is_refused(given: float | str) -> None:
    with pytest.raises(InvalidRequest, match="duration"):
        keep(given)


def test_options_reach_the_engine() -> None:
    given = Options.model_validate(
        {"temperature": 0.5, "top_p": 0, "repeat_last_n": -1, "seed": 7, "stop": ["a", "", "a"]}
    )
    chosen = options.sampled(given)
    assert chosen["seed"] == 7
    assert chosen["stop"] == ("a",)
    change = chosen["change"]
    assert change.temperature == 0.5
    assert 0 < change.top_p < 0.001
    assert change.repeat_last_n > 1_000_000
    assert change.min_p is None


def test_a_negative_seed_is_any() -> None:
    assert "seed" not in options.sampled(Options(seed=-1))


@pytest.mark.parametrize(("given", "limit"), [(None, None), (-1, None), (-2, None), (0, None), (5, 5)])
def test_limits_of_tokens(given: int | None, limit: int | None) -> None:
    assert options.limit(Options(num_predict=given)) == limit


def test_only_options_that_ask_for_something_are_told() -> None:
    given = {"mirostat": 0, "num_gpu": -1, "use_mmap": True, "num_keep": 5, "tfs_z": 0.5, "novelty": 3, "numa": None}
    told = options.without_effect(given)
    assert [text.split()[0] for text in told] == ["num_keep", "tfs_z", "novelty"]


def test_a_larger_context_is_told() -> None:
    assert options.context_told(4096, 4096) == options.context_told(None, 4096) == options.context_told(9999, 0) == ()
    assert "8192" in options.context_told(8192, 4096)[0]


def test_calls_and_results_find_each_other() -> None:
    f, g = ({"function": {"name": name, "arguments": {"x": 1}}} for name in "fg")
    turns = said(
        {"role": "user", "content": "Do both"},
        {"role": "assistant", "tool_calls": [f, g, f]},
        {"role": "tool", "tool_name": "g", "content": "of g"},
        {"role": "tool", "content": "of the first f"},
        {"role": "tool", "tool_name": "f", "content": "of the second f"},
    )
    ids = [call.id for call in turns[1].tool_calls]
    assert len(set(ids)) == 3
    assert [(turn.call_id, turn.name) for turn in turns[2:]] == [(ids[1], "g"), (ids[0], "f"), (ids[2], "f")]


def test_ids_that_came_are_kept() -> None:
    call = {"id": "mine", "function": {"name": "f", "arguments": '{"x": 2}'}}
    turns = said(
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "mine", "content": "ok"},
        {"role": "tool", "tool_name": "stray", "content": "?"},
    )
    assert turns[0].tool_calls == (ToolCall(name="f", arguments={"x": 2}, id="mine"),)
    assert (turns[1].call_id, turns[1].name) == ("mine", "f")
    assert (turns[2].call_id, turns[2].name) == ("", "stray")


def test_images_are_refused() -> None:
    with pytest.raises(UnsupportedByModel, match="Images"):
        said({"role": "user", "content": "What is it?", "images": ["aGk="]})


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        (None, "auto"),
        ("required", "required"),
        ("f", "f"),
        ({"type": "function", "function": {"name": "f"}}, "f"),
        ({"name": "f"}, "f"),
    ],
)
def test_tool_choices(given: Any, setting: str) -> None:
    body = ChatRequest.model_validate(
        {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL], "tool_choice": given}
    )
    assert chat(body).options["tool_choice"] == setting


@pytest.mark.parametrize("given", ["g", {"name": "g"}, {"name": 3}, {}])
def test_a_choice_of_no_tool_is_refused(given: Any) -> None:
    body = ChatRequest.model_validate(
        {"messages": [{"role": "user", "content": "x"}], "tools": [TOOL], "tool_choice": given}
    )
    with pytest.raises(InvalidRequest, match="among the tools"):
        chat(body)


def test_names_with_a_size_are_tried_as_the_catalogue_writes_them() -> None:
    assert spellings("qwen2.5:0.5b") == ("qwen2.5:0.5b", "qwen2.5-0.5b")
    assert spellings("tiny:latest") == ("tiny:latest",)


@pytest.mark.parametrize(("count", "text"), [(494_032_768, "494.03M"), (1_500_000_000, "1.5B"), (12, "12")])
def test_sizes(count: int, text: str) -> None:
    assert parameter_size(count) == text
