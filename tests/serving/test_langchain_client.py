"""LangChain's ChatOpenAI against a real server."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, cast

import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import DefaultHttpxClient
from pydantic import BaseModel, SecretStr
from tests.serving.conftest import EMBEDDER, MODEL, Server

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather of a city now", "parameters": PARAMETERS},
}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


@pytest.fixture
def chat(server: Server) -> Generator[ChatOpenAI]:
    with DefaultHttpxClient() as http:
        yield ChatOpenAI(
            model=MODEL,
            base_url=f"{server.url}/v1",
            api_key=SecretStr("none"),
            max_completion_tokens=60,
            max_retries=0,
            http_client=http,
        )


def test_an_answer(chat: ChatOpenAI) -> None:
    answer = chat.invoke("Say hello.")
    assert str(answer.content).strip()
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_stream(chat: ChatOpenAI) -> None:
    chunks = list(chat.stream("Say hello.", stream_usage=True))
    assert "".join(str(chunk.content) for chunk in chunks).strip()
    assert any(chunk.usage_metadata for chunk in chunks)


def test_a_bound_tool_is_called(chat: ChatOpenAI) -> None:
    answer = cast(Any, chat).bind_tools([TOOL]).invoke("What's the weather in Paris?")
    assert [(call["name"], call["args"]["city"].lower()) for call in answer.tool_calls] == [("get_weather", "paris")]


def test_structured_output(chat: ChatOpenAI) -> None:
    assert isinstance(cast(Any, chat).with_structured_output(Person).invoke("Ada is 36 years old."), Person)


def test_embeddings(server: Server) -> None:
    with DefaultHttpxClient() as http:
        embedder = OpenAIEmbeddings(
            model=EMBEDDER,
            base_url=f"{server.url}/v1",
            api_key=SecretStr("none"),
            check_embedding_ctx_length=False,
            http_client=http,
        )
        vectors = embedder.embed_documents(["a red apple", "a green apple"])
    assert [len(vector) for vector in vectors] == [384, 384]
