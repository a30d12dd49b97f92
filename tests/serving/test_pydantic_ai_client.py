"""Agents of pydantic-ai whose model is a real server's."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from tests.serving.conftest import MODEL, Server

Model = OpenAIChatModel | OpenAIResponsesModel


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel])
async def model(server: Server, request: pytest.FixtureRequest) -> AsyncGenerator[Model]:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield request.param(MODEL, provider=OpenAIProvider(openai_client=client))


async def test_an_agent_calls_its_tool(model: Model) -> None:
    asked: list[str] = []
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """The weather of a city now."""
        asked.append(city)
        return "18 degrees and sunny"

    result = await agent.run("What's the weather in Paris?")
    assert [city.lower() for city in asked] == ["paris"]
    assert "18" in result.output


async def test_output_of_a_type(model: Model) -> None:
    by_tool = await Agent(model, output_type=Person).run("Ada is 36 years old.")
    by_schema = await Agent(model, output_type=NativeOutput(Person)).run("Ada is 36 years old.")
    assert isinstance(by_tool.output, Person)
    assert isinstance(by_schema.output, Person)


async def test_a_stream(model: Model) -> None:
    async with Agent(model).run_stream("Say hello.", model_settings={"max_tokens": 10}) as result:
        pieces = [piece async for piece in result.stream_text(delta=True)]
    assert "".join(pieces).strip()
