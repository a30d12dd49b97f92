"""Everyday requests on a real small model: rules, routing, constrained calls and plain answers, end to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

import pytest

from smidgen.agent import AgentModel, AgentSettings
from smidgen.agent.run import run
from smidgen.engine.local import LocalEngine
from smidgen.events import Finished
from smidgen.messages import Message
from smidgen.models import gguf
from smidgen.models.detect import detect
from smidgen.models.library import ModelFile
from smidgen.models.profiles import profile_for
from smidgen.models.template import ChatTemplate
from smidgen.tools.builtin import builtin_tools
from smidgen.tools.function import tool

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]


NAME = "qwen2.5-coder-0.5b"
EMBEDDER = "all-minilm-l6-v2"


def ready(file: ModelFile, engine: LocalEngine) -> AgentModel:
    facts = detect(gguf.read(file.path))
    profile = profile_for(facts)
    template = ChatTemplate(
        facts.template,
        bos=facts.bos.text if facts.bos else "",
        eos=facts.eos.text if facts.eos else "",
        control_texts=facts.control_texts,
        fallback=profile.fallback,
        system=profile.system,
    )
    return AgentModel(name=file.name, engine=engine, profile=profile, template=template, info=engine.info)


@pytest.fixture
async def model(
    model_file: Callable[[str], ModelFile], open_engine: Callable[..., AbstractAsyncContextManager[LocalEngine]]
) -> AsyncIterator[AgentModel]:
    async with open_engine(NAME, context=4096) as engine:
        yield ready(model_file(NAME), engine)


@pytest.fixture
async def embedder(
    model_file: Callable[[str], ModelFile], open_engine: Callable[..., AbstractAsyncContextManager[LocalEngine]]
) -> AsyncIterator[AgentModel]:
    async with open_engine(EMBEDDER, context=512, embeddings=True) as engine:
        yield ready(model_file(EMBEDDER), engine)


async def test_everyday_requests(model: AgentModel, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk and eggs.\nMeeting with the bank at 10:00 on Tuesday.\n")
    tools = builtin_tools(tmp_path)

    async def ask(text: str) -> Finished:
        history = [Message(role="user", content=text)]
        events = [event async for event in run(model, tools, history, AgentSettings(max_tokens=60, temperature=0.0))]
        assert isinstance(events[-1], Finished), events[-1]
        return events[-1]

    assert "409.5" in (await ask("What is 17.5% of 2,340?")).text
    assert "68" in (await ask("If a shirt costs 80 dollars and is 15% off, what do I pay?")).text
    assert "36" in (await ask("I have 3 boxes with 12 eggs each, how many eggs?")).text
    assert "2026-05-30" in (await ask("What date is 90 days after 2026-03-01?")).text
    assert "Friday" in (await ask("What day of the week is 2026-12-25?")).text
    assert "notes.txt" in (await ask("what files are there?")).text
    assert "milk" in (await ask("What's in notes.txt?")).text
    assert "10:00" in (await ask("When is the meeting in notes.txt?")).text
    for chat in ("hi", "Write a haiku about rain", "Who wrote Hamlet?", "What is the capital of France?"):
        finished = await ask(chat)
        assert finished.tool_calls == () and finished.text.strip(), chat


async def test_tools_are_chosen_by_nearness_and_one_request_may_need_several_calls(
    model: AgentModel, embedder: AgentModel
) -> None:
    @tool
    def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
        """The weather in a city now."""
        return f"{city}: 20 degrees"

    @tool
    def play_song(title: str, volume: int = 50) -> str:
        """Play a song."""
        return f"playing {title}"

    async def calls(text: str) -> list[tuple[str, dict[str, object]]]:
        history = [Message(role="user", content=text)]
        events = [event async for event in run(model, [weather, play_song], history, embedder=embedder)]
        assert isinstance(events[-1], Finished), events[-1]
        return [(record.name, record.arguments) for record in events[-1].tool_calls]

    found = await calls("How is the weather in Rome and in Oslo?")
    assert [name for name, _ in found] == ["weather", "weather"]
    assert {arguments["city"] for _, arguments in found} == {"Rome", "Oslo"}
    assert all(arguments.get("unit", "celsius") == "celsius" for _, arguments in found)
    assert await calls("Who wrote Hamlet?") == []
    ((name, arguments),) = await calls("play the song Yesterday at volume 30 please")
    assert (name, arguments["volume"]) == ("play_song", 30)
