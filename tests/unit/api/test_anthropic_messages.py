"""/v1/messages over scripted models: shapes, events, options that reach the engine, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.api.anthropic.answering import MessageWriter
from smidgen.api.anthropic.requests import MessagesRequest
from smidgen.api.anthropic.translate import translated
from smidgen.errors import EngineUnavailable
from smidgen.messages import Message, ToolCall
from smidgen.testing import ScriptedEngine
from smidgen.testing.scripted import prompt_text

HELLO: dict[str, Any] = {"model": "tiny", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "The weather of a city", "input_schema": SCHEMA}
ASKED: dict[str, Any] = {
    **HELLO,
    "messages": [{"role": "user", "content": "What's the weather in Paris?"}],
    "tools": [WEATHER],
    "tool_choice": {"type": "tool", "name": "get_weather"},
}
CALL = 'get_weather(city="Paris")'


async def post(client: Client, body: dict[str, Any], **more: Any) -> Any:
    response = await client.post("/v1/messages", json={**body, **more})
    assert response.status_code == 200, response.text
    return response.json()


async def events(client: Client, body: dict[str, Any], **more: Any) -> list[Any]:
    response = await client.post("/v1/messages", json={**body, "stream": True, **more})
    assert response.status_code == 200, response.text
    told: list[Any] = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        told.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {told[-1]['type']}"
    return told


def read(**body: Any) -> Any:
    return translated(MessagesRequest.model_validate({**HELLO, **body}))


async def test_one_message(serving: Serving) -> None:
    async with serving(["Hi there."]) as client:
        answer = await post(client, HELLO)
    assert answer["type"] == "message" and answer["role"] == "assistant"
    assert answer["content"] == [{"type": "text", "text": "Hi there."}]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("end_turn", None)
    assert answer["usage"]["input_tokens"] > 0
    assert answer["usage"]["output_tokens"] == 9
    assert answer["usage"]["cache_read_input_tokens"] == 0
    assert answer["smidgen"]["strategy"] == "plain"


async def test_options_reach_the_engine(serving: Serving) -> None:
    engine = ScriptedEngine(["one two STOP three"], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, HELLO, temperature=0.5, top_p=0, top_k=7, stop_sequences=["STOP"], max_tokens=50)
    request = engine.generated[0]
    assert (request.sampling.temperature, request.sampling.top_k, request.max_tokens) == (0.5, 7, 50)
    assert request.sampling.top_p > 0
    assert answer["content"][0]["text"] == "one two "
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "STOP")


async def test_max_tokens_ends_an_answer(serving: Serving) -> None:
    async with serving(["a long answer"]) as client:
        answer = await post(client, HELLO, max_tokens=6)
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 6


async def test_a_call_is_a_block(serving: Serving) -> None:
    async with serving([CALL]) as client:
        answer = await post(client, ASKED)
    assert answer["stop_reason"] == "tool_use"
    (block,) = answer["content"]
    assert block["id"].startswith("toolu_")
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "get_weather", {"city": "Paris"})


async def test_results_are_answered_from(serving: Serving) -> None:
    engine = ScriptedEngine(["It is 18 degrees."], name="tiny")
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "18 degrees"}]},
    ]
    async with serving(engine=engine) as client:
        answer = await post(client, ASKED, messages=turns)
    assert "18" in answer["content"][0]["text"]
    assert "18 degrees" in prompt_text(engine.generated[0])


async def test_events_of_text(serving: Serving) -> None:
    async with serving(["Hello, how are you?"]) as client:
        told = await events(client, HELLO)
    kinds = [event["type"] for event in told]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert told[0]["message"]["content"] == []
    texts = [event["delta"]["text"] for event in told if event["type"] == "content_block_delta"]
    assert "".join(texts) == "Hello, how are you?"
    assert told[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert told[-2]["usage"]["output_tokens"] == 19
    assert told[-2]["usage"]["input_tokens"] > 0
    assert told[-2]["smidgen"]["strategy"] == "plain"


async def test_events_of_a_call(serving: Serving) -> None:
    async with serving([CALL]) as client:
        told = await events(client, ASKED)
    (start,) = [event for event in told if event["type"] == "content_block_start"]
    assert start["content_block"]["name"] == "get_weather" and start["content_block"]["input"] == {}
    (delta,) = [event for event in told if event["type"] == "content_block_delta"]
    assert json.loads(delta["delta"]["partial_json"]) == {"city": "Paris"}
    assert start["index"] == delta["index"] == 0
    assert told[-2]["delta"]["stop_reason"] == "tool_use"


async def test_an_error_in_the_midst_of_a_stream_is_an_event(serving: Serving) -> None:
    class Dying(ScriptedEngine):
        async def _events(self, request: Any) -> Any:
            async for event in super()._events(request):
                if event.__class__.__name__ == "Generated":
                    raise EngineUnavailable("It died.")
                yield event

    async with serving(engine=Dying(["Hello"], name="tiny")) as client:
        told = await events(client, HELLO)
    assert told[-1]["type"] == "error"
    assert told[-1]["error"]["type"] == "overloaded_error"
    assert "message_stop" not in [event["type"] for event in told]


async def test_errors_before_a_stream_have_a_status(serving: Serving) -> None:
    async with serving([EngineUnavailable("It is down.")]) as client:
        response = await client.post("/v1/messages", json={**HELLO, "stream": True})
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["error"]["type"] == "overloaded_error"


async def test_what_has_no_effect_is_told(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        answer = await post(
            client,
            HELLO,
            thinking={"type": "enabled", "budget_tokens": 2000},
            output_config={"effort": "high"},
            mcp_servers=[{"name": "x"}],
            metadata={"user_id": "me"},
            service_tier="auto",
        )
    told = " ".join(answer["smidgen"]["warnings"])
    assert all(name in told for name in ("thinking", "effort", "mcp_servers"))
    assert "metadata" not in told and "service_tier" not in told


async def test_a_schema_constrains_the_answer(serving: Serving) -> None:
    engine = ScriptedEngine(['{"city": "Paris"}'], name="tiny")
    async with serving(engine=engine) as client:
        await post(client, HELLO, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    constraint = engine.generated[0].constraint
    assert constraint is not None and json.loads(constraint.source) == SCHEMA


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "image"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "document"),
        ({"system": [{"type": "image", "source": {}}]}, "image"),
        ({"messages": [*HELLO["messages"], {"role": "assistant", "content": "Well"}]}, "assistant"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9"}]}]}, "t9"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search"),
        ({"tools": [{"name": "f"}]}, "input_schema"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "other"}}, "other"),
        ({"tool_choice": {"type": "any"}}, "tool"),
        ({"output_config": {"format": {"type": "xml"}}}, "format"),
        ({"stop_sequences": [""]}, "stop_sequences"),
    ],
)
async def test_what_cant_be_had_is_refused(serving: Serving, change: dict[str, Any], word: str) -> None:
    async with serving(["Hi"]) as client:
        response = await client.post("/v1/messages", json={**HELLO, **change})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert word in response.json()["error"]["message"]


async def test_texts_that_are_no_utf8_are_refused(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        headers = {"content-type": "application/json"}
        response = await client.post("/v1/messages", content=json.dumps({**HELLO, "system": "\ud800"}), headers=headers)
    assert response.status_code == 400


def test_a_sign_of_life() -> None:
    assert MessageWriter(read(), "tiny").quiet() == b'event: ping\ndata: {"type":"ping"}\n\n'


async def test_an_unknown_model(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        response = await client.post("/v1/messages", json={**HELLO, "model": "claude-9"})
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"


# --- translation ------------------------------------------------------------------------------------------------------


def test_content_blocks_become_messages() -> None:
    asked = read(
        system=[
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be kind."},
        ],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}},
                    {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "one"}]},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "broken", "is_error": True},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
    )
    assert asked.messages == (
        Message(role="system", content="Be brief.\nBe kind."),
        Message(role="user", content="a\nb"),
        Message(
            role="assistant",
            content="I look.",
            tool_calls=(ToolCall(name="f", arguments={"x": 1}, id="t1"), ToolCall(name="g", arguments={}, id="t2")),
        ),
        Message(role="tool", content="one", call_id="t1", name="f"),
        Message(role="tool", content="Error: broken", call_id="t2", name="g"),
        Message(role="user", content="And?"),
    )
    assert "Thoughts" in asked.ignored[0]


def test_turns_of_one_role_are_joined() -> None:
    asked = read(messages=[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])
    assert asked.messages == (Message(role="user", content="a\n\nb"),)


@pytest.mark.parametrize(("kind", "setting"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_tool_choices(kind: str, setting: str) -> None:
    asked = read(tools=[WEATHER], tool_choice={"type": kind, "disable_parallel_tool_use": True})
    assert asked.options["tool_choice"] == setting
    assert asked.options["off"] == {"several"}


# --- counting ---------------------------------------------------------------------------------------------------------


async def test_tokens_are_counted_as_the_prompt_has_them(serving: Serving) -> None:
    engine = ScriptedEngine(["Hi"], name="tiny")
    counted = {"model": "tiny", "messages": HELLO["messages"], "system": "Be brief."}
    async with serving(engine=engine) as client:
        response = await client.post("/v1/messages/count_tokens?beta=true", json=counted)
        answer = await post(client, HELLO, system="Be brief.")
        more = await client.post("/v1/messages/count_tokens", json={**counted, "tools": [WEATHER]})
    assert response.status_code == 200
    assert response.json()["input_tokens"] == answer["usage"]["input_tokens"]
    assert response.json()["smidgen"]["context_tokens"] == 4096
    assert more.json()["input_tokens"] > response.json()["input_tokens"]
    assert len(engine.generated) == 1
