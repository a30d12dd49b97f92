"""Anthropic's own client against a real server."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel
from tests.serving.conftest import MODEL, Server

MESSAGES: Any = [{"role": "user", "content": "What's the weather in Paris?"}]
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather of a city now",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(server: Server) -> Generator[Anthropic]:
    with Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
        yield client


def test_a_message(client: Anthropic) -> None:
    answer = client.messages.create(
        model=MODEL, max_tokens=8, system="Be brief.", messages=[{"role": "user", "content": "Say hello."}]
    )
    assert answer.content[0].type == "text" and answer.content[0].text.strip()
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) > 5
    assert 1 <= answer.usage.output_tokens <= 8


def test_a_stream_is_put_together_by_the_client(client: Anthropic) -> None:
    with client.messages.stream(
        model=MODEL, max_tokens=12, messages=[{"role": "user", "content": "Count to five."}]
    ) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert len(pieces) > 1
    assert cast(Any, answer.content[0]).text == "".join(pieces)
    assert answer.usage.output_tokens > 1
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) > 5


def test_a_stop_sequence(client: Anthropic) -> None:
    answer = client.messages.create(
        model=MODEL,
        max_tokens=40,
        extra_body={"temperature": 0},
        stop_sequences=["3"],
        messages=[{"role": "user", "content": "Write the numbers from 1 to 9 in digits."}],
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "3")


def test_a_tool_is_called_and_its_result_read(client: Anthropic) -> None:
    first = client.messages.create(model=MODEL, max_tokens=40, messages=MESSAGES, tools=[TOOL])
    assert first.stop_reason == "tool_use"
    (call,) = [block for block in first.content if block.type == "tool_use"]
    assert call.name == "get_weather"
    assert "paris" in cast(Any, call.input)["city"].lower()
    history: Any = [
        *MESSAGES,
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "18 degrees and sunny"}],
        },
    ]
    second = client.messages.create(model=MODEL, max_tokens=40, messages=history, tools=[TOOL])
    assert "18" in cast(Any, second.content[0]).text


def test_a_streamed_call(client: Anthropic) -> None:
    with client.messages.stream(
        model=MODEL, max_tokens=40, messages=MESSAGES, tools=[TOOL], tool_choice={"type": "any"}
    ) as stream:
        done = stream.get_final_message()
    (call,) = [block for block in done.content if block.type == "tool_use"]
    assert "paris" in cast(Any, call.input)["city"].lower()


def test_structured_output(client: Anthropic) -> None:
    done = client.messages.parse(
        model=MODEL,
        max_tokens=60,
        messages=[{"role": "user", "content": "Ada is 36 years old. Who is it about?"}],
        output_format=Person,
    )
    assert isinstance(done.parsed_output, Person)


def test_tokens_are_counted(client: Anthropic) -> None:
    short = client.messages.count_tokens(model=MODEL, messages=MESSAGES)
    long = client.beta.messages.count_tokens(model=MODEL, messages=MESSAGES, tools=[TOOL], system="Be brief.")
    assert 10 < short.input_tokens < long.input_tokens


def test_errors_are_of_their_classes(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="claude-9", max_tokens=8, messages=MESSAGES)
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(model=MODEL, max_tokens=8, messages=MESSAGES, extra_body={"temperature": 3})
    assert "temperature" in str(wrong.value)
    picture: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    with pytest.raises(anthropic.BadRequestError) as unread:
        client.messages.create(model=MODEL, max_tokens=8, messages=[{"role": "user", "content": [picture]}])
    assert "image" in str(unread.value)
