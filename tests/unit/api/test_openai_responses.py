"""/v1/responses over scripted models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving
from tests.unit.api.test_openai_chat import Broken, Telling, always

from smidgen.api.openai.response_requests import Item, messages
from smidgen.api.openai.response_store import Kept, ResponseStore, UnknownResponse
from smidgen.messages import GenerateRequest, Message
from smidgen.testing import ScriptedEngine
from smidgen.testing.scripted import prompt_text

PATH = "/v1/responses"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
ASKED: dict[str, Any] = {
    "input": "What's the weather in Paris?",
    "tools": [WEATHER],
    "tool_choice": {"type": "function", "name": "get_weather"},
}
CALL = 'get_weather(city="Paris")'


def calling(request: GenerateRequest) -> str:
    return CALL if request.constraint else "It is 18 degrees."


async def post(client: Client, **body: Any) -> Any:
    response = await client.post(PATH, json={"model": "tiny", **body})
    assert response.status_code == 200, response.text
    return response.json()


async def streamed(client: Client, **body: Any) -> list[Any]:
    """The events, whose numbers must follow each other and whose names must be told twice."""
    response = await client.post(PATH, json={"model": "tiny", "stream": True, **body})
    assert response.status_code == 200, response.text
    events: list[Any] = []
    for block in response.text.split("\n\n"):
        if block.startswith("event: "):
            name, _, data = block.partition("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


# --- input ------------------------------------------------------------------------------------------------------------


def test_items_become_turns() -> None:
    items = [
        {"role": "developer", "content": "Be short."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "1", "name": "one", "arguments": '{"x": 1}'},
        {"type": "function_call", "call_id": "2", "name": "two", "arguments": ""},
        {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "done"}]},
    ]
    turns, ignored = messages([Item.model_validate(item) for item in items])
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "tool"]
    assert [(call.name, call.arguments) for call in turns[2].tool_calls] == [("one", {"x": 1}), ("two", {})]
    assert turns[2].content == "I look."
    assert (turns[3].name, turns[3].call_id, turns[3].content) == ("two", "2", "done")
    assert len(ignored) == 1


@pytest.mark.parametrize(
    "body, word",
    [
        ({"input": ""}, "input"),
        ({}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"type": "computer_call"}]}, "computer_call"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input_image"),
        ({"input": [{"role": "nobody", "content": "a"}]}, "nobody"),
        ({"input": [{"type": "function_call", "call_id": "1"}]}, "name"),
        ({"input": "a", "tools": [{"type": "web_search"}]}, "web_search"),
        ({"input": "a", "tools": [{"type": "function"}]}, "malformed"),
        ({"input": "a", "tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}}, "other"),
        ({"input": "a", "background": True}, "background"),
        ({"input": "a", "conversation": "conv_1"}, "conversation"),
        ({"input": "a", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "a", "text": {"format": {"type": "json_schema", "name": "n"}}}, "schema"),
        ({"input": "a", "temperature": "hot"}, "temperature"),
    ],
)
async def test_what_cannot_be_done_is_refused(serving: Serving, body: dict[str, Any], word: str) -> None:
    async with serving(always("")) as client:
        response = await client.post(PATH, json=body)
    assert response.status_code == 400, response.text
    assert word in response.json()["error"]["message"]


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_a_text_is_answered(serving: Serving) -> None:
    engine = ScriptedEngine(["Hi there."], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, input="Hello", instructions="Be kind.", metadata={"a": "b"}, temperature=0.5)
    assert (answer["object"], answer["status"]) == ("response", "completed")
    (item,) = answer["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["content"] == [{"type": "output_text", "text": "Hi there.", "annotations": [], "logprobs": []}]
    assert answer["usage"]["output_tokens"] == 9
    assert (answer["metadata"], answer["text"]) == ({"a": "b"}, {"format": {"type": "text"}})
    assert "Be kind." in prompt_text(engine.generated[0])
    assert engine.generated[0].sampling.temperature == 0.5


async def test_too_few_tokens_make_it_incomplete(serving: Serving) -> None:
    async with serving(["Hi there."]) as client:
        answer = await post(client, input="Hello", max_output_tokens=2)
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert answer["output"][0]["content"][0]["text"] == "Hi"


async def test_a_schema_constrains_the_answer(serving: Serving) -> None:
    engine = ScriptedEngine(["5"], name="tiny")
    form = {"type": "json_schema", "name": "n", "schema": {"type": "integer"}, "strict": True}
    async with serving(engine=engine) as client:
        answer = await post(client, input="Hello", text={"format": form})
    constraint = engine.generated[0].constraint
    assert constraint is not None
    assert json.loads(constraint.source) == {"type": "integer"}
    assert answer["text"] == {"format": form}


async def test_logprobs_when_included(serving: Serving) -> None:
    async with serving(engine=Telling(name="tiny")) as client:
        answer = await post(client, input="Hello", include=["message.output_text.logprobs"], top_logprobs=1)
        events = await streamed(client, input="Hello", top_logprobs=1)
    told = answer["output"][0]["content"][0]["logprobs"]
    assert [token["token"] for token in told] == ["A", "\ufffd"]
    assert [len(token["top_logprobs"]) for token in told] == [1, 1]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert [token for event in deltas for token in event["logprobs"]] == told


async def test_a_call_is_handed_over_and_its_result_put_into_words(serving: Serving) -> None:
    async with serving(calling) as client:
        first = await post(client, **ASKED)
        (call,) = first["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees"}
        second = await post(client, input=[result], previous_response_id=first["id"], tools=[WEATHER])
        alone = await post(client, input=[{"role": "user", "content": ASKED["input"]}, call, result])
    assert (call["type"], call["name"], json.loads(call["arguments"])) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )
    assert second["previous_response_id"] == first["id"]
    for answer in (second, alone):
        assert answer["output"][0]["content"][0]["text"].startswith("It is 18 degrees.")


async def test_a_conversation_goes_on_without_its_instructions(serving: Serving) -> None:
    engine = ScriptedEngine(["My name is Ada.", "As I said."], name="tiny")
    async with serving(engine=engine) as client:
        first = await post(client, input="Who are you?", instructions="Be kind.")
        await post(client, input="Again?", previous_response_id=first["id"], instructions="Be brief.")
    prompt = prompt_text(engine.generated[1])
    assert [text in prompt for text in ("Who are you?", "My name is Ada.", "Again?", "Be brief.", "Be kind.")] == [
        True,
        True,
        True,
        True,
        False,
    ]


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_the_events_of_a_text(serving: Serving) -> None:
    async with serving(["Hi there, you."]) as client:
        events = await streamed(client, input="Hello")
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert "".join(event["delta"] for event in events[4:6]) == events[6]["text"] == "Hi there, you."
    assert len({event["item_id"] for event in events[3:8]}) == 1
    whole = events[-1]["response"]
    assert whole["output"] == [events[-2]["item"]]
    assert whole["id"] == events[0]["response"]["id"]
    assert whole["usage"]["output_tokens"] == 14


async def test_the_events_of_a_call(serving: Serving) -> None:
    async with serving(always(CALL)) as client:
        events = await streamed(client, **ASKED)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[2]["item"]["arguments"] == ""
    assert json.loads(events[4]["arguments"]) == {"city": "Paris"}
    assert events[-1]["response"]["output"] == [events[5]["item"]]


async def test_a_stream_that_is_cut_is_incomplete(serving: Serving) -> None:
    async with serving(["Hi there."]) as client:
        events = await streamed(client, input="Hello", max_output_tokens=2)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


async def test_what_goes_wrong_in_a_stream_is_told_in_it(serving: Serving) -> None:
    async with serving(engine=Broken(name="tiny")) as client:
        events = await streamed(client, input="Hello")
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"]["code"] == "server_error"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "so far"


# --- kept answers -----------------------------------------------------------------------------------------------------


async def test_answers_are_kept_until_they_are_deleted(serving: Serving) -> None:
    async with serving(always("Hi")) as client:
        answer = await post(client, input="Hello")
        events = await streamed(client, input="Hello")
        path = f"{PATH}/{answer['id']}"
        kept = await client.get(path)
        from_stream = await client.get(f"{PATH}/{events[-1]['response']['id']}")
        deleted = await client.delete(path)
        gone = await client.get(path)
        later = await client.post(PATH, json={"input": "And?", "previous_response_id": answer["id"]})
    assert kept.json() == answer
    assert from_stream.json() == events[-1]["response"]
    assert deleted.json() == {"id": answer["id"], "object": "response", "deleted": True}
    assert (gone.status_code, later.status_code) == (404, 404)
    assert later.json()["error"]["code"] == "unknown_response"


async def test_an_answer_that_is_not_to_be_stored_is_not(serving: Serving) -> None:
    async with serving(always("Hi")) as client:
        answer = await post(client, input="Hello", store=False)
        kept = await client.get(f"{PATH}/{answer['id']}")
    assert answer["store"] is False
    assert kept.status_code == 404


def test_only_the_latest_are_kept() -> None:
    store = ResponseStore(kept=2, characters=10)

    def kept(size: int) -> Kept:
        return Kept(body={}, conversation=(Message(role="user", content="x" * size),), size=size)

    for name in ("a", "b", "c"):
        store.keep(name, kept(1))
    with pytest.raises(UnknownResponse):
        store.get("a")
    store.forget("b")
    store.keep("d", kept(10))
    with pytest.raises(UnknownResponse):
        store.get("c")
    store.keep("e", kept(50))
    assert store.get("e").size == 50


def test_all_that_is_kept_counts() -> None:
    said = (Message(role="user", content="x" * 100),)
    assert Kept.of({"metadata": {"a": "y" * 1000}}, said).size > 1100
