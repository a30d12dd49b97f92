"""Ollama's own client against a real server."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from ollama import Client, ResponseError
from pydantic import BaseModel
from tests.serving.conftest import EMBEDDER, MODEL, SMALLEST, Server

WEATHER: Any = [{"role": "user", "content": "What's the weather in Paris?"}]


def get_weather(city: str) -> str:
    """The weather of a city now

    Args:
      city: Name of the city
    """
    return f"18 degrees and sunny in {city}"


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(server: Server) -> Generator[Client]:
    with Client(host=server.url, timeout=60) as client:
        yield client


def test_it_is_running(server: Server) -> None:
    plain = httpx2.get(server.url)
    assert plain.text == "Ollama is running"
    assert httpx2.head(server.url).status_code == 200
    assert "<html" in httpx2.get(server.url, headers={"accept": "text/html,*/*"}).text


# --- chat and generate ------------------------------------------------------------------------------------------------


def test_a_chat(client: Client) -> None:
    answer = client.chat(MODEL, [{"role": "user", "content": "Say hello."}], options={"num_predict": 8})
    assert answer.message.role == "assistant" and answer.message.content
    assert answer.done and answer.done_reason in ("stop", "length")
    assert answer.prompt_eval_count and answer.eval_count and answer.eval_duration and answer.total_duration


def test_a_streamed_chat(client: Client) -> None:
    asked: Any = [{"role": "user", "content": "Count to five."}]
    parts = list(client.chat(MODEL, asked, stream=True, options={"num_predict": 12}))
    assert len(parts) > 2
    assert "".join(part.message.content or "" for part in parts).strip()
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].eval_count == 12 or parts[-1].done_reason == "stop"


def test_a_tool_is_called_and_its_result_read(client: Client) -> None:
    first = client.chat(MODEL, WEATHER, tools=[get_weather], options={"num_predict": 40})
    assert first.message.tool_calls
    call = first.message.tool_calls[0].function
    assert call.name == "get_weather" and "paris" in call.arguments["city"].lower()
    result = {"role": "tool", "tool_name": "get_weather", "content": get_weather(**call.arguments)}
    second = client.chat(MODEL, [*WEATHER, first.message, result], tools=[get_weather], options={"num_predict": 40})
    assert "18" in (second.message.content or "")


def test_a_format_is_kept(client: Client) -> None:
    asked: Any = [{"role": "user", "content": "Ada is 36 years old. Who is it about?"}]
    answer = client.chat(MODEL, asked, format=Person.model_json_schema(), options={"num_predict": 60})
    assert Person.model_validate_json(answer.message.content or "")
    anything = client.generate(MODEL, "Ada is 36 years old. As JSON:", format="json", options={"num_predict": 60})
    assert isinstance(json.loads(anything.response or ""), dict)


def test_a_gap_is_filled(client: Client) -> None:
    answer = client.generate(
        MODEL,
        "def add(a, b):\n    return ",
        suffix="\n\nprint(add(1, 2))\n",
        options={"num_predict": 8, "temperature": 0},
    )
    assert "a + b" in (answer.response or "")


def test_a_prompt_is_answered_or_continued(client: Client) -> None:
    parts = list(client.generate(MODEL, "Say hello.", system="Be brief.", stream=True, options={"num_predict": 8}))
    assert "".join(part.response or "" for part in parts).strip()
    raw = client.generate(MODEL, "The capital of France is", raw=True, options={"num_predict": 4, "temperature": 0})
    assert "Paris" in (raw.response or "")


# --- vectors ----------------------------------------------------------------------------------------------------------


def test_vectors(client: Client) -> None:
    several = client.embed(EMBEDDER, ["a cat", "a dog"], dimensions=64)
    assert [len(vector) for vector in several.embeddings] == [64, 64]
    assert sum(value * value for value in several.embeddings[0]) == pytest.approx(1, abs=1e-3)
    assert len(client.embeddings(EMBEDDER, "a cat").embedding) == 384


def test_a_text_that_is_too_long_is_cut_or_refused(client: Client, server: Server) -> None:
    long = "word " * 2000
    cut = httpx2.post(f"{server.url}/api/embed", json={"model": EMBEDDER, "input": long}, timeout=60).json()
    assert len(cut["embeddings"][0]) == 384
    assert cut["smidgen"]["warnings"]
    assert 400 < cut["prompt_eval_count"] <= 512
    with pytest.raises(ResponseError) as refused:
        client.embed(EMBEDDER, long, truncate=False)
    assert refused.value.status_code == 400


# --- models -----------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_shown(client: Client) -> None:
    listed = {model.model: model for model in client.list().models}
    assert {MODEL, EMBEDDER} <= set(listed)
    details = listed[MODEL].details
    assert details is not None and details.format == "gguf" and details.parameter_size
    assert len(listed[MODEL].digest or "") == 64
    shown = client.show(MODEL)
    assert set(shown.capabilities or ()) == {"completion", "tools", "insert"}
    assert shown.template and shown.modelinfo and shown.modelinfo["general.architecture"] == "qwen2"
    assert client.show(EMBEDDER).capabilities == ["embedding"]


def test_models_are_loaded_and_let_go(client: Client) -> None:
    loaded = client.generate(SMALLEST, keep_alive="10m")
    assert loaded.done_reason == "load"
    held = {model.model: model for model in client.ps().models}
    closes = held[SMALLEST].expires_at
    assert closes is not None and 500 < (closes - datetime.now(UTC)).total_seconds() <= 600
    assert held[SMALLEST].context_length and held[SMALLEST].size
    assert client.chat(SMALLEST, [], keep_alive=0).done_reason == "unload"
    assert SMALLEST not in {model.model for model in client.ps().models}


def test_errors_have_their_statuses(client: Client) -> None:
    with pytest.raises(ResponseError) as unknown:
        client.chat("nobody:7b", WEATHER)
    assert unknown.value.status_code == 404
    assert "model 'nobody:7b' not found" in unknown.value.error
    with pytest.raises(ResponseError) as unknown:
        next(iter(client.chat("nobody", WEATHER, stream=True)))
    assert unknown.value.status_code == 404
    with pytest.raises(ResponseError) as wrong:
        client.chat(MODEL, WEATHER, options={"temperature": -1})
    assert wrong.value.status_code == 400 and "temperature" in wrong.value.error
    with pytest.raises(ResponseError) as long:
        client.generate(MODEL, "long " * 40_000)
    assert long.value.status_code == 400
    with pytest.raises(ResponseError) as made:
        client.create("mine", from_=MODEL)
    assert made.value.status_code == 501


def test_a_model_that_is_here_is_pulled_at_once(client: Client) -> None:
    assert client.pull(MODEL).status == "success"
    assert [part.status for part in client.pull(MODEL, stream=True)][-1] == "success"
    with pytest.raises(ResponseError) as unknown:
        client.pull("nobody")
    assert unknown.value.status_code == 404
