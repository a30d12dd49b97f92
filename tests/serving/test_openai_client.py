"""OpenAI's own client against a real server."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator
from typing import Any, cast

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.serving.conftest import EMBEDDER, MODEL, Server

MESSAGES: Any = [{"role": "user", "content": "What's the weather in Paris?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather of a city now", "parameters": PARAMETERS},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(server: Server) -> Generator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


# --- chat -------------------------------------------------------------------------------------------------------------


def test_an_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Say hello."}],
        max_tokens=8,
        n=2,
        logprobs=True,
        top_logprobs=2,
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content for choice in answer.choices)
    first = answer.choices[0].logprobs
    assert first is not None and first.content
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in first.content)
    assert answer.usage is not None
    assert 2 <= answer.usage.completion_tokens <= 16


def test_a_stream_with_its_usage(client: OpenAI) -> None:
    with client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Count to five."}],
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).strip()
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_a_tool_is_called_and_its_result_read(client: OpenAI) -> None:
    first = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=[TOOL], max_tokens=40)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.tool_calls is not None
    call = cast(Any, message.tool_calls[0])
    assert call.function.name == "get_weather"
    assert "paris" in json.loads(call.function.arguments)["city"].lower()
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"}
    history: Any = [*MESSAGES, message.model_dump(exclude_none=True), result]
    second = client.chat.completions.create(model=MODEL, messages=history, tools=[TOOL], max_tokens=40)
    assert "18" in (second.choices[0].message.content or "")


def test_a_streamed_call_is_put_together_by_the_client(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=[TOOL], max_tokens=40) as stream:
        done = stream.get_final_completion()
    calls = cast(Any, done.choices[0].message.tool_calls)
    assert "paris" in json.loads(calls[0].function.arguments)["city"].lower()


def test_structured_output(client: OpenAI) -> None:
    done = client.chat.completions.parse(
        model=MODEL,
        messages=[{"role": "user", "content": "Ada is 36 years old. Who is it about?"}],
        response_format=Person,
        max_tokens=60,
    )
    person = done.choices[0].message.parsed
    assert isinstance(person, Person)


def test_errors_are_of_their_classes(client: OpenAI, server: Server) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert unknown.value.code == "unknown_model"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, temperature=9)
    assert "temperature" in wrong.value.message
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "long " * 40_000}])
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input="And?", previous_response_id="resp_none")


def test_a_client_that_goes_away_ends_its_run(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a long story about a river."}],
        max_tokens=4000,
        stream=True,
    )
    with stream:
        next(iter(stream))
        assert _users(client) == 1
    until = time.monotonic() + 30
    while _users(client):
        assert time.monotonic() < until
        time.sleep(0.05)


def _users(client: OpenAI) -> int:
    """Runs that the model is held by."""
    return cast(Any, client.models.retrieve(MODEL).model_extra)["smidgen"]["users"]


# --- completions, embeddings, models ----------------------------------------------------------------------------------


def test_texts_are_continued(client: OpenAI) -> None:
    done = client.completions.create(
        model=MODEL, prompt=["The capital of France is", "One, two, three,"], max_tokens=4, echo=True, logprobs=2
    )
    assert [
        choice.text.startswith(text) for choice, text in zip(done.choices, ("The capital", "One, two"), strict=True)
    ]
    assert "Paris" in done.choices[0].text
    logprobs = done.choices[0].logprobs
    assert logprobs is not None and logprobs.tokens and logprobs.text_offset
    assert logprobs.text_offset[0] == len("The capital of France is")


def test_a_gap_is_filled_in_a_stream(client: OpenAI) -> None:
    with client.completions.create(
        model=MODEL, prompt="def add(a, b):\n    return ", suffix="\n", max_tokens=8, temperature=0, stream=True
    ) as stream:
        text = "".join(chunk.choices[0].text for chunk in stream)
    assert "a + b" in text


def test_embeddings_in_both_encodings(client: OpenAI) -> None:
    texts = ["a red apple", "a green apple", "the stock exchange"]
    packed = client.embeddings.create(model="", input=texts)
    floats = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    assert packed.model == floats.model == EMBEDDER
    vectors = [entry.embedding for entry in floats.data]
    for one, other in zip(packed.data, vectors, strict=True):
        assert one.embedding == pytest.approx(other, abs=1e-6)
        assert math.sqrt(sum(value * value for value in other)) == pytest.approx(1.0, abs=1e-4)
    assert _dot(vectors[0], vectors[1]) > _dot(vectors[0], vectors[2])
    with pytest.raises(openai.BadRequestError):
        client.embeddings.create(model=EMBEDDER, input="word " * 2000)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_models_are_listed(client: OpenAI) -> None:
    models = {model.id: cast(Any, model.model_extra) for model in client.models.list()}
    assert models[MODEL]["meta"]["n_params"] > 400_000_000
    assert models[MODEL]["smidgen"]["kind"] == "chat"
    assert models[EMBEDDER]["smidgen"]["kind"] == "embedding"
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


# --- responses --------------------------------------------------------------------------------------------------------


def test_responses_follow_each_other(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="My name is Ada. Say hello.", max_output_tokens=20)
    assert first.output_text
    second = client.responses.create(
        model=MODEL, input="What is my name?", previous_response_id=first.id, max_output_tokens=20
    )
    assert second.output_text
    assert client.responses.retrieve(second.id).output_text == second.output_text
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_a_streamed_response(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Say hello.", max_output_tokens=40) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        done = stream.get_final_response()
    assert text == done.output_text != ""
    assert done.usage is not None
    assert done.usage.output_tokens > 0


def test_a_response_calls_a_tool(client: OpenAI) -> None:
    tool: Any = {"type": "function", "strict": True, **TOOL["function"]}
    question: Any = {"role": "user", "content": MESSAGES[0]["content"]}
    with client.responses.stream(model=MODEL, input=[question], tools=[tool]) as stream:
        done = stream.get_final_response()
    call: Any = done.output[0]
    assert call.type == "function_call"
    assert "paris" in json.loads(call.arguments)["city"].lower()
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees and sunny"}
    answer = client.responses.create(model=MODEL, input=[result], tools=[tool], previous_response_id=done.id)
    assert "18" in answer.output_text


def test_structured_output_of_a_response(client: OpenAI) -> None:
    done = client.responses.parse(
        model=MODEL, input="Ada is 36 years old. Who is it about?", text_format=Person, max_output_tokens=60
    )
    assert isinstance(done.output_parsed, Person)
