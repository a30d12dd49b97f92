"""A conversation that is much longer than the context, with a real model: a fact from its beginning is still known."""

from __future__ import annotations

from smidgen.config import load_config
from smidgen.events import Finished, Notice
from smidgen.messages import Message
from smidgen.patterns.memory import Memory
from smidgen.patterns.plain import Direct
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime

MODEL = "smollm2-135m"


async def test_a_fact_from_the_beginning_is_known_in_a_context_of_1024(model_file) -> None:
    model_file(MODEL)
    told = [Message(role="user", content="My gate code is 4471."), Message(role="assistant", content="All right.")]
    for number in range(60):
        told.append(Message(role="user", content=f"Tell me something about the number {number}, please."))
        told.append(Message(role="assistant", content=f"The number {number} comes right before {number + 1}."))
    memory = Memory(pattern=Direct(max_tokens=40, temperature=0), window=1024)
    async with Runtime(load_config(context=1024), model=MODEL) as runtime:
        asked = [*told, Message(role="user", content="What is my gate code?")]
        events = [event async for event in Agent(runtime=runtime, pattern=memory).astream(asked)]
        await memory.idle()
    end = events[-1]
    assert isinstance(end, Finished), end
    assert "4471" in end.text
    assert end.usage.prompt_tokens + end.usage.completion_tokens <= 1024
    assert {"facts_recalled", "history_dropped"} <= {event.code for event in events if isinstance(event, Notice)}
    assert memory._summaries
