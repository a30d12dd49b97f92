"""Everyday requests on a real small model: rules, routing, constrained calls and plain answers, end to end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

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

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(900)]


NAME = "qwen2.5-coder-0.5b"


@pytest.fixture
async def model(
    model_file: Callable[[str], ModelFile], open_engine: Callable[..., AbstractAsyncContextManager[LocalEngine]]
) -> AsyncIterator[AgentModel]:
    facts = detect(gguf.read(model_file(NAME).path))
    profile = profile_for(facts)
    template = ChatTemplate(
        facts.template,
        bos=facts.bos.text if facts.bos else "",
        eos=facts.eos.text if facts.eos else "",
        control_texts=facts.control_texts,
        fallback=profile.fallback,
        system=profile.system,
    )
    async with open_engine(NAME, context=4096) as engine:
        yield AgentModel(name=NAME, engine=engine, profile=profile, template=template, info=engine.info)


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
