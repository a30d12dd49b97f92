"""/v1/chat/completions over scripted models: shapes, streams, options that reach the engine, refusals."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.unit.api.conftest import Client, Serving

from smidgen.errors import EngineUnavailable
from smidgen.events import EngineEvent, Generated, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Timings, Usage
from smidgen.testing import ScriptedEngine

HELLO: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASKED: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "What's the weather in Paris?"}],
    "tools": [WEATHER],
    "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
}
CALL = 'get_weather(city="Paris")'


def always(text: str) -> Callable[[GenerateRequest], str]:
    """A script that never runs out."""
    return lambda _: text


async def post(client: Client, **more: Any) -> Any:
    response = await client.post("/v1/chat/completions", json={**HELLO, **more})
    assert response.status_code == 200, response.text
    return response.json()


async def chunks(client: Client, path: str = "/v1/chat/completions", **body: Any) -> list[Any]:
    """The stream's JSON; it must end in [DONE]."""
    response = await client.post(path, json={"stream": True, **body})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


class Telling(ScriptedEngine):
    """Two tokens, of which the second has no text of its own, and their logprobs."""

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self.requests.append(request)
        top = (("A", -0.5), ("B", -1.5))
        yield TextDelta(text="A", logprobs=(TokenLogprob(text="A", logprob=-0.5, top=top),))
        yield TextDelta(text="", logprobs=(TokenLogprob(text="\ufffd", logprob=float("-inf"), top=top),))
        usage = Usage(prompt_tokens=3, cached_tokens=1, completion_tokens=2)
        yield Generated(text="A", finish_reason="stop", usage=usage, timings=Timings())


async def test_one_answer(serving: Serving) -> None:
    async with serving(["Hi there."]) as client:
        answer = await post(client)
    assert answer["object"] == "chat.completion"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there.", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 9
    assert answer["smidgen"]["strategy"] == "plain"


async def test_several_answers_have_seeds_of_their_own_and_count_the_prompt_once(serving: Serving) -> None:
    engine = ScriptedEngine(lambda request: f"seed {request.sampling.seed}", name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, n=3, seed=5)
    told = [choice["message"]["content"] for choice in answer["choices"]]
    assert told == ["seed 5", "seed 6", "seed 7"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    one = answer["usage"]["prompt_tokens"]
    assert answer["usage"] == {**answer["usage"], "completion_tokens": 18, "total_tokens": one + 18}
    assert len(engine.generated) == 3


async def test_several_answers_take_no_more_turns_than_there_are(serving: Serving) -> None:
    async with serving(always("ok"), streams=2, queue=0) as client:
        answer = await post(client, n=5)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["ok"] * 5


async def test_streams_of_several_answers_are_told_apart_by_index(serving: Serving) -> None:
    engine = ScriptedEngine(lambda request: f"The seed is {request.sampling.seed}.", name="tiny")
    async with serving(engine=engine) as client:
        told = await chunks(client, **HELLO, n=2, seed=1)
    texts = {0: "", 1: ""}
    for chunk in told:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == {0: "The seed is 1.", 1: "The seed is 2."}
    ends = [choice for chunk in told for choice in chunk["choices"] if choice["finish_reason"]]
    assert sorted(end["index"] for end in ends) == [0, 1]
    assert len({chunk["id"] for chunk in told}) == 1


async def test_usage_comes_last_and_is_null_before(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        told = await chunks(client, **HELLO, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in told[:-1])
    assert told[-1]["choices"] == []
    assert told[-1]["usage"]["completion_tokens"] == 2


async def test_without_being_asked_no_chunk_has_usage(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        told = await chunks(client, **HELLO)
    assert all("usage" not in chunk for chunk in told)
    assert told[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert told[-1]["choices"][0]["finish_reason"] == "stop"
    assert told[-1]["smidgen"]["strategy"] == "plain"


async def test_logprobs_whole_and_streamed_are_the_same(serving: Serving) -> None:
    async with serving(engine=Telling(name="tiny")) as client:
        answer = await post(client, logprobs=True, top_logprobs=1)
        told = await chunks(client, **HELLO, logprobs=True, top_logprobs=1)
    content = answer["choices"][0]["logprobs"]["content"]
    assert content[0] == {
        "token": "A",
        "logprob": -0.5,
        "bytes": [65],
        "top_logprobs": [{"token": "A", "logprob": -0.5, "bytes": [65]}],
    }
    assert content[1]["logprob"] == -9999.0
    streamed = [chunk["choices"][0].get("logprobs") for chunk in told]
    assert [token for one in streamed if one for token in one["content"]] == content


async def test_logprobs_without_alternatives(serving: Serving) -> None:
    async with serving(engine=Telling(name="tiny")) as client:
        answer = await post(client, logprobs=True)
    assert [token["top_logprobs"] for token in answer["choices"][0]["logprobs"]["content"]] == [[], []]


async def test_progress_of_the_prompt_when_asked_for(serving: Serving) -> None:
    async with serving(["Hi"]) as client:
        told = await chunks(client, **HELLO, return_progress=True)
    found = [chunk["prompt_progress"] for chunk in told if "prompt_progress" in chunk]
    assert len(found) == 1
    assert found[0]["total"] == found[0]["processed"] > 0 == found[0]["cache"]


async def test_options_reach_the_engine(serving: Serving) -> None:
    engine = ScriptedEngine(["one STOP two"], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(
            client, temperature=0.5, top_k=7, min_p=0.1, repeat_last_n=9, stop="STOP", max_tokens=99, seed=-1
        )
    assert answer["choices"][0]["message"]["content"] == "one "
    request = engine.generated[0]
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_k, sampling.min_p, sampling.repeat_last_n) == (0.5, 7, 0.1, 9)
    assert (request.max_tokens, request.stop, sampling.seed) == (99, ("STOP",), 2**31 - 1)


@pytest.mark.parametrize(
    "given",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}},
        {"response_format": {"type": "json_object", "schema": {"type": "integer"}}},
        {"json_schema": {"type": "integer"}},
    ],
)
async def test_a_schema_constrains_the_answer(serving: Serving, given: dict[str, Any]) -> None:
    engine = ScriptedEngine(["5"], name="tiny")
    async with serving(engine=engine) as client:
        await post(client, **given)
    constraint = engine.generated[0].constraint
    assert constraint is not None
    assert json.loads(constraint.source) == {"type": "integer"}


async def test_a_schema_and_tools_together(serving: Serving) -> None:
    engine = ScriptedEngine(['{"a":1}'], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, tools=[WEATHER], tool_choice="none", json_schema={"type": "object"})
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"a": 1}
    assert engine.generated[0].constraint is not None


@pytest.mark.parametrize(
    "given, word",
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"grammar": 'root ::= "a"'}, "GBNF"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"tools": [WEATHER], "functions": [WEATHER["function"]]}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "sometimes"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
        ({"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": 5}}, "allows no tools"),
        ({"response_format": {"type": "xml"}}, "xml"),
        ({"response_format": {"type": "json_schema"}}, "schema"),
        ({"json_schema": {}, "response_format": {"type": "json_object"}}, "json_schema"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "image_url"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "user"),
        ({"temperature": 3}, "temperature"),
        ({"n": 17}, "n"),
    ],
)
async def test_what_cannot_be_done_is_refused(serving: Serving, given: dict[str, Any], word: str) -> None:
    async with serving(always("")) as client:
        response = await client.post("/v1/chat/completions", json={**HELLO, **given})
    assert response.status_code == 400, response.text
    assert word in response.json()["error"]["message"]


async def test_an_unknown_model_is_not_found(serving: Serving) -> None:
    async with serving() as client:
        response = await client.post("/v1/chat/completions", json={**HELLO, "model": "gpt-9"})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_model"


async def test_what_has_no_effect_is_told(serving: Serving) -> None:
    given = {"samplers": "top_k;top_p", "logit_bias": {"5": 1}, "mirostat": 2, "typical_p": 1.0, "dry_multiplier": 0.0}
    async with serving(always("ok")) as client:
        answer = await post(client, **given, timings_per_token=True)
        quiet = await post(client, reasoning_in_content="false", cache_prompt=True, id_slot=0, samplers=[])
    told = " ".join(answer["smidgen"]["warnings"])
    assert all(name in told for name in ("samplers", "logit_bias", "mirostat", "timings_per_token"))
    assert "typical_p" not in told
    assert "dry_multiplier" not in told
    assert quiet["smidgen"]["warnings"] == []


# --- tools ------------------------------------------------------------------------------------------------------------


async def test_a_named_tool_is_called(serving: Serving) -> None:
    async with serving(always(CALL)) as client:
        answer = await post(client, **ASKED)
    choice = answer["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    call = choice["message"]["tool_calls"][0]
    assert (call["type"], call["function"]["name"]) == ("function", "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


async def test_allowed_tools_leave_out_the_others(serving: Serving) -> None:
    other: dict[str, Any] = {
        "type": "function",
        "function": {"name": "other", "parameters": {"type": "object", "properties": {}}},
    }
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    async with serving(always(CALL)) as client:
        answer = await post(client, **{**ASKED, "tools": [other, WEATHER], "tool_choice": choice})
    assert [call["function"]["name"] for call in answer["choices"][0]["message"]["tool_calls"]] == ["get_weather"]


async def test_calls_are_streamed_whole(serving: Serving) -> None:
    async with serving(always(CALL)) as client:
        told = await chunks(client, **ASKED)
    calls = [call for chunk in told for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0]
    assert json.loads(calls[0]["function"]["arguments"]) == {"city": "Paris"}
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_functions_of_old_clients(serving: Serving) -> None:
    old: dict[str, Any] = {
        "messages": ASKED["messages"],
        "functions": [WEATHER["function"]],
        "function_call": {"name": "get_weather"},
    }
    async with serving(always(CALL)) as client:
        answer = await post(client, **old)
        told = await chunks(client, **{**HELLO, **old})
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "get_weather"
    assert "tool_calls" not in choice["message"]
    streamed = [chunk["choices"][0]["delta"].get("function_call") for chunk in told]
    assert [one["name"] for one in streamed if one] == ["get_weather"]
    assert told[-1]["choices"][0]["finish_reason"] == "function_call"


async def test_results_that_come_back_are_put_into_words_under_their_names(serving: Serving) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        *ASKED["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]
    engine = ScriptedEngine(["It is 18 degrees."], name="tiny")
    async with serving(engine=engine) as client:
        answer = await post(client, messages=messages, tools=[WEATHER])
    assert answer["choices"][0]["message"]["content"].startswith("It is 18 degrees.")
    assert "get_weather" in "".join(segment.text for segment in engine.generated[0].prompt)


async def test_results_of_old_functions(serving: Serving) -> None:
    messages = [
        *ASKED["messages"],
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": "{}"}},
        {"role": "function", "name": "get_weather", "content": "18 degrees"},
    ]
    async with serving(["It is 18 degrees."]) as client:
        answer = await post(client, messages=messages, functions=[WEATHER["function"]])
    assert answer["choices"][0]["message"]["content"].startswith("It is 18 degrees.")


async def test_a_question_instead_of_the_format_asked_for_is_told(serving: Serving) -> None:
    minutes = {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]}
    timer = {"name": "set_timer", "description": "Set a timer", "parameters": minutes}
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Please set a timer."}],
        "tools": [{"type": "function", "function": timer}],
        "tool_choice": "required",
    }
    async with serving(always("set_timer(minutes=45)")) as client:
        answer = await post(client, **body, response_format={"type": "json_object"})
        told = await chunks(client, **{**HELLO, **body}, json_schema={"type": "object"})
    assert "minutes" in answer["choices"][0]["message"]["content"]
    for warnings in (answer["smidgen"]["warnings"], told[-1]["smidgen"]["warnings"]):
        assert any("format" in warning for warning in warnings)


# --- going wrong ------------------------------------------------------------------------------------------------------


class Broken(ScriptedEngine):
    """Says something, then breaks."""

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        yield TextDelta(text="so far")
        raise EngineUnavailable("It broke.")


async def test_what_goes_wrong_in_a_stream_is_told_in_it(serving: Serving) -> None:
    async with serving(engine=Broken(name="tiny")) as client:
        told = await chunks(client, **HELLO)
        whole = await client.post("/v1/chat/completions", json=HELLO)
    assert told[-1]["error"]["code"] == "engine_unavailable"
    assert told[-1]["error"]["type"] == "server_error"
    assert whole.status_code == 503
    assert int(whole.headers["retry-after"]) > 0


async def test_of_several_answers_one_that_fails_fails_all(serving: Serving) -> None:
    async with serving(["fine", EngineUnavailable("It broke.")]) as client:
        response = await client.post("/v1/chat/completions", json={**HELLO, "n": 2})
        running = client.service.admission.running
    assert response.status_code == 503
    assert running == 0


class Endless(ScriptedEngine):
    """Talks until it is stopped; `stopped` is set then."""

    def __init__(self) -> None:
        super().__init__(name="tiny")
        self.stopped = 0

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        number = 0
        try:
            while True:
                number += 1
                yield TextDelta(text=f"word {number} ")
                await asyncio.sleep(0.001)
        finally:
            self.stopped += 1


async def test_a_client_that_goes_away_ends_all_runs(serving: Serving) -> None:
    from smidgen.api.app import application

    engine = Endless()
    async with serving(engine=engine) as client:
        app = application(client.service)
        body = json.dumps({**HELLO, "stream": True, "n": 2}).encode()
        gone = asyncio.Event()
        sent: list[Any] = []
        asked = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            for message in asked:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 4:
                gone.set()

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        async with asyncio.timeout(20):
            await app(scope, receive, send)
        assert engine.stopped == 2
        assert client.service.admission.running == 0
