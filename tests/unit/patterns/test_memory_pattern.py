"""A memory around another pattern, through an agent of a runtime with scripted models. A token is a byte there."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from smidgen.config import Config
from smidgen.errors import (
    ConfigError,
    ContextOverflow,
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    SessionsUnavailable,
)
from smidgen.events import AgentEvent, Failed, Finished, Notice, TextDelta
from smidgen.messages import BACKGROUND, GenerateRequest, Message
from smidgen.patterns import Resources, Task
from smidgen.patterns.files import read_pattern
from smidgen.patterns.memory import Budget, Memory
from smidgen.patterns.memory.fitting import FACTS, LOOKUP, SAID, SUMMARY, first_kept
from smidgen.patterns.memory.summaries import without
from smidgen.patterns.plain import Direct, WithTools
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text

INNER = Direct(max_tokens=100)


class Deaf(ScriptedEngine):
    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None):
        raise EngineUnavailable("No vectors today.")


def answering(request: GenerateRequest) -> str:
    return "They talked about weather." if request.priority == BACKGROUND else "Fine."


def runtime_of(context: int = 3000, embedder: ScriptedEngine | None = None) -> tuple[Runtime, ScriptedEngine]:
    engine = ScriptedEngine(answering, name="tiny", context=context)
    models = {"tiny": engine} | ({"near": embedder} if embedder else {})
    source = ScriptedModels(models, embedder="near" if embedder else "")
    return Runtime(Config(model="tiny", audit="off"), models=source), engine


def talk(turns: int, **said: str) -> list[Message]:
    """Turns about nothing; `t3="..."` is what the user says at the third."""
    messages: list[Message] = []
    for turn in range(1, turns + 1):
        text = said.get(f"t{turn}", f"What about the weather in place {turn}? I ask out of interest.")
        messages += [
            Message(role="user", content=text),
            Message(role="assistant", content=f"It rains in place {turn}."),
        ]
    return messages


def asking(text: str) -> Message:
    return Message(role="user", content=text)


async def ran(runtime: Runtime, memory: Memory, messages: Sequence[Message]) -> list[AgentEvent]:
    return [event async for event in Agent(runtime=runtime, pattern=memory).astream(messages)]


def told(events: Sequence[AgentEvent]) -> dict[str, str]:
    return {event.code: event.message for event in events if isinstance(event, Notice)}


async def test_what_fits_goes_to_the_inner_pattern_as_it_is():
    runtime, engine = runtime_of()
    async with runtime:
        messages = [Message(role="system", content="Be short."), *talk(2, t1="My name is Ann."), asking("Who am I?")]
        events = await ran(runtime, Memory(pattern=INNER, window=3000, summaries=False), messages)
    lines = [f"{one.role}: {one.content}" for one in messages]
    assert prompt_text(engine.generated[0]) == "\n".join([*lines, "assistant: "])
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.text, end.strategy, end.warnings) == ("Fine.", "memory: direct", ())
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    assert told(events) == {}


async def test_a_fact_from_long_ago_is_recalled_and_all_that_was_left_out_is_told():
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=3000, summaries=False)
    messages = talk(80, t5="My gate code is 4471.", t40="The gate code is now 5512.", t41="I live in Oslo.")
    async with runtime:
        events = await ran(runtime, memory, [*messages, asking("Which code opens the gate?")])
    prompt = prompt_text(engine.generated[0])
    told_again = (
        f"user: {FACTS['request']}\n- The gate code is now 5512.\n\n{LOOKUP}Which code opens the gate?\nassistant: "
    )
    assert prompt.endswith(told_again)
    assert "4471" not in prompt and "Oslo" not in prompt
    assert "It rains in place 80." in prompt
    assert len(prompt) <= 3000 * 0.75
    notices = told(events)
    assert "5512" in notices["facts_recalled"]
    gone = prompt.count("It rains")
    assert notices["history_dropped"].startswith(f"{160 - 2 * gone - 2 * prompt.count('- What about')} older messages")
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.warnings == (notices["history_dropped"],)


async def test_patterns_that_look_at_the_request_find_it_as_it_was():
    seen: list[Task] = []

    class Looking:
        name = "looking"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            seen.append(task)
            async for event in INNER.answer(task, resources):
                yield event

    runtime, _ = runtime_of()
    async with runtime:
        messages = [*talk(80, t5="My gate code is 4471."), asking("Which gate code?")]
        await ran(runtime, Memory(pattern=Looking(), window=3000, summaries=False), messages)
    assert seen[0].request == "Which gate code?"
    assert f"{FACTS['system']}\n- My gate code is 4471." in seen[0].messages[0].content


async def test_the_prompt_begins_alike_from_turn_to_turn():
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=3000, summaries=False)
    messages = talk(80, t5="My gate code is 4471.")
    async with runtime:
        for turn in range(60, 64):
            await ran(runtime, memory, [*messages[: 2 * turn], asking("Which gate code?")])
    prompts = [prompt_text(request) for request in engine.generated]
    alike = [second.startswith(first.partition("user: I told")[0]) for first, second in pairwise(prompts)]
    assert alike.count(True) >= 2


async def test_older_turns_are_told_by_first_sentences_but_not_what_facts_hold():
    runtime, engine = runtime_of()
    messages = talk(30, t15="My gate code is 4471.")
    async with runtime:
        events = await ran(
            runtime, Memory(pattern=INNER, window=3000, summaries=False), [*messages, asking("And now?")]
        )
    prompt = prompt_text(engine.generated[0])
    head = prompt.partition("\nuser: ")[0]
    assert SAID in head and "place 14?\n- What about the weather in place 16?" in head
    assert "4471" not in prompt and "out of interest" not in head
    assert "by their first sentences" in told(events)["history_summarised"]


async def test_summaries_are_written_in_idle_time_and_used_next_time():
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=3000)
    messages = talk(60)
    async with runtime:
        await ran(runtime, memory, [*messages, asking("And now?")])
        await memory.idle()
        written = [request for request in engine.generated if request.priority == BACKGROUND]
        assert written
        assert all(len(prompt_text(request)) + (request.max_tokens or 0) <= 3000 for request in written)
        following = [*messages, asking("And now?"), Message(role="assistant", content="Fine."), asking("And then?")]
        events = await ran(runtime, memory, following)
        prompt = prompt_text([one for one in engine.generated if one.priority != BACKGROUND][-1])
        await memory.idle()
    assert f"{SUMMARY} They talked about weather." in prompt
    assert "by the model's summary" in told(events)["history_summarised"]
    assert "history_dropped" not in told(events)


async def test_the_next_request_breaks_off_what_is_done_in_idle_time():
    runtime, _ = runtime_of()
    memory = Memory(pattern=INNER, window=3000)
    async with runtime:
        await ran(runtime, memory, [*talk(400), asking("And now?")])
        first = memory._idle
        await asyncio.sleep(0)
        await ran(runtime, memory, [asking("Hello")])
        assert first is not None
        with pytest.raises(asyncio.CancelledError):
            await first
        await memory.idle()


async def test_a_closed_engine_ends_idle_work_quietly():
    runtime, _ = runtime_of()
    memory = Memory(pattern=INNER, window=3000)
    async with runtime:
        await ran(runtime, memory, [*talk(400), asking("And now?")])
    await memory.idle()
    memory.close()


async def test_of_conversations_that_end_together_one_is_summed_up_at_a_time():
    def summing() -> int:
        return sum("_summarise" in repr(task.get_coro()) for task in asyncio.all_tasks())

    runtime, _ = runtime_of()
    memory = Memory(pattern=INNER, window=3000)
    async with runtime:
        talks = [[*talk(100, t1=f"Hi from {one}"), asking("And now?")] for one in range(3)]
        await asyncio.gather(*(ran(runtime, memory, messages) for messages in talks))
        memory.close()
        await asyncio.sleep(0.01)
        assert summing() == 0


async def test_what_is_being_summed_up_is_not_kept_once_something_is_forgotten():
    started, go = asyncio.Event(), asyncio.Event()

    class Slow(ScriptedEngine):
        async def generate(self, request: GenerateRequest):
            if request.priority == BACKGROUND:
                started.set()
                with suppress(asyncio.CancelledError):  # what comes too late to be broken off
                    await go.wait()
            async for event in super().generate(request):
                yield event

    engine = Slow(answering, name="tiny", context=3000)
    memory = Memory(pattern=INNER, window=3000)
    messages = talk(60, t3="My gate code is 4471.")
    async with Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})) as runtime:
        await ran(runtime, memory, [*messages, asking("And now?")])
        idle = memory._idle
        assert idle is not None
        await started.wait()
        memory.forget("gate", messages)
        go.set()
        await asyncio.wait([idle])
        assert memory._summaries is not None and len(memory._summaries) == 0


async def test_closing_the_stream_closes_the_inner_pattern():
    closed: list[bool] = []

    class Endless:
        name = "endless"

        async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
            try:
                while True:
                    yield TextDelta(text="on ")
            finally:
                await asyncio.sleep(0)
                closed.append(True)

    runtime, _ = runtime_of()
    async with runtime:
        async with aclosing(Agent(runtime=runtime, pattern=Memory(pattern=Endless())).astream("Hi")) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert closed == [True]


async def test_a_summary_that_does_not_fit_is_not_said_to_be_told():
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=1000, budget=Budget(memory=40))
    async with runtime:
        await ran(runtime, memory, [*talk(60), asking("And now?")])
        await memory.idle()
        assert memory._summaries
        events = await ran(runtime, memory, [*talk(60), asking("And now?")])
        await memory.idle()
    assert SUMMARY not in prompt_text([one for one in engine.generated if one.priority != BACKGROUND][-1])
    notices = told(events)
    assert "history_summarised" not in notices and "older messages were left out" in notices["history_dropped"]


async def test_a_budget_that_leaves_nothing_is_told():
    runtime, _ = runtime_of()
    async with runtime:
        with pytest.raises(ContextOverflow, match="Nothing can be asked") as caught:
            await Agent(runtime=runtime, pattern=Memory(window=2000, budget=Budget(answer=3000))).arun("Hi")
    assert caught.value.details["part"] == "budget"


async def test_the_inner_pattern_s_own_instructions_stand_alone():
    runtime, engine = runtime_of()
    async with runtime:
        memory = Memory(pattern=Direct(system="Talk like a pirate."), window=1500, summaries=False)
        await ran(runtime, memory, [*talk(60), asking("And now?")])
    assert prompt_text(engine.generated[0]).startswith(f"system: Talk like a pirate.\n\n{SAID}")


async def test_a_request_that_is_too_long_is_refused_with_numbers():
    runtime, engine = runtime_of()
    async with runtime:
        with pytest.raises(ContextOverflow) as caught:
            await Agent(runtime=runtime, pattern=Memory(pattern=INNER, window=1000)).arun("x" * 900)
        assert caught.value.details == {
            "prompt_tokens": 900 + len("user: \nassistant: "),
            "context_tokens": 1000,
            "over_by": 900 + len("user: \nassistant: ") - 750,
            "part": "request",
        }
        budget = Budget(system=50)
        with pytest.raises(ContextOverflow, match="allows 50"):
            await Agent(runtime=runtime, pattern=Memory(budget=budget), system="x" * 51).arun("Hi")
    assert engine.generated == []


async def test_a_long_request_takes_from_the_history_and_then_from_the_memory():
    runtime, engine = runtime_of()
    messages = talk(40, t2="My gate code is 4471.")
    memory = Memory(pattern=INNER, window=3000, summaries=False)
    async with runtime:
        for size in (1000, 2000, 2200):
            await ran(runtime, memory, [*messages, asking(f"gate code {'y' * size}")])
    prompts = [prompt_text(request) for request in engine.generated]
    assert [len(prompt) <= 2250 for prompt in prompts] == [True] * 3
    assert ["It rains" in prompt for prompt in prompts] == [True, False, False]
    assert ["4471" in prompt for prompt in prompts] == [True, True, False]


async def test_a_long_answer_before_is_cut_at_the_end_of_a_sentence():
    runtime, engine = runtime_of()
    long = " ".join(f"Sentence number {number} of a long answer." for number in range(100))
    messages = [asking("Tell me."), Message(role="assistant", content=long), asking("And?")]
    async with runtime:
        events = await ran(runtime, Memory(pattern=INNER, window=2000, summaries=False), messages)
    prompt = prompt_text(engine.generated[0])
    assert "user: Tell me.\nassistant: Sentence number 0 of a long answer." in prompt
    assert "long answer. […]\nuser: And?" in prompt
    assert told(events) == {"history_summarised": "Older messages are told in short: 2 by their first sentences."}


async def test_what_the_inner_pattern_adds_is_kept_free():
    runtime, engine = runtime_of(context=1500)
    memory = Memory(pattern=Direct(system="s" * 300, max_tokens=100), window=0, summaries=False)
    async with runtime:
        events = await ran(runtime, memory, [*talk(40), asking("And now?")])
    prompt = prompt_text(engine.generated[0])
    assert "s" * 300 in prompt and len(prompt) <= 1500 * 0.75
    assert "of tiny is full" not in told(events)["history_dropped"]


async def test_results_of_tools_stay_with_their_request():
    runtime, engine = runtime_of()
    result = Message(role="tool", content="Sunny.", name="weather", call_id="1")
    async with runtime:
        await ran(runtime, Memory(pattern=INNER, window=3000, summaries=False), [*talk(60), asking("Now?"), result])
    assert prompt_text(engine.generated[0]).endswith("user: Now?\ntool: Sunny.\nassistant: ")


async def test_users_do_not_see_each_other_and_each_is_known_again(tmp_path: Path):
    runtime, engine = runtime_of()
    path = tmp_path / "facts.sqlite"
    async with runtime:
        for user, text in (("ann", "My gate code is 4471."), ("bob", "Hello."), ("ann", "Hello.")):
            memory = Memory(pattern=INNER, store=path, user=user, summaries=False)
            await ran(
                runtime,
                memory,
                [asking(text), Message(role="assistant", content="Hi."), asking("What is my gate code?")],
            )
            memory.close()
    assert ["4471" in prompt_text(request) for request in engine.generated] == [True, False, True]
    assert FACTS["request"] in prompt_text(engine.generated[2])


async def test_nearness_is_kept_with_the_facts_and_an_embedder_that_fails_is_told():
    embedder = ScriptedEngine(name="near")
    runtime, engine = runtime_of(embedder=embedder)
    memory = Memory(pattern=INNER, window=3000, summaries=False)
    messages = [*talk(60, t3="My gate code is 4471."), asking("Which gate code?")]
    async with runtime:
        for _ in range(2):
            await ran(runtime, memory, messages)
    assert embedder.requests == [("Which gate code?", "My gate code is 4471."), ("Which gate code?",)]
    runtime, engine = runtime_of(embedder=Deaf(name="near"))
    async with runtime:
        events = await ran(runtime, Memory(pattern=INNER, window=3000, summaries=False), messages)
    assert "No vectors today" in told(events)["embedder_failed"]
    assert "4471" in prompt_text(engine.generated[0])


async def test_nearness_that_can_not_be_kept_is_told_and_used(monkeypatch: pytest.MonkeyPatch):
    runtime, engine = runtime_of(embedder=ScriptedEngine(name="near"))
    memory = Memory(pattern=INNER, window=3000, summaries=False)

    def full(*_: object) -> None:
        raise SessionsUnavailable("The disk is full.", hint="")

    monkeypatch.setattr(memory._keeper.store, "keep_vectors", full)
    async with runtime:
        events = await ran(runtime, memory, [*talk(60, t3="My gate code is 4471."), asking("Which gate code?")])
    assert "disk is full" in told(events)["memory_unavailable"] and "embedder_failed" not in told(events)
    assert "4471" in prompt_text(engine.generated[0])


async def test_a_file_that_another_program_holds_does_not_outlast_the_time_limit(tmp_path: Path):
    path = tmp_path / "facts.sqlite"
    memory = Memory(pattern=INNER, store=path, summaries=False)
    memory.facts([asking("My name is Ann.")])
    runtime, _ = runtime_of()
    async with runtime:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            agent = Agent(runtime=runtime, pattern=memory, timeout_s=0.2)
            events = [event async for event in agent.astream("My name is Ben.")]
            other.execute("ROLLBACK")
    memory.close()
    end = events[-1]
    assert isinstance(end, Failed) and end.error.code == DeadlineExceeded.code
    assert told(events) == {}


async def test_a_file_that_can_not_be_used_is_told_and_the_conversation_still_knows(tmp_path: Path):
    (tmp_path / "facts.sqlite").write_text("no database " * 200)
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=3000, store=tmp_path / "facts.sqlite", summaries=False)
    async with runtime:
        events = await ran(runtime, memory, [*talk(60, t3="My gate code is 4471."), asking("Which gate code?")])
    end = events[-1]
    assert isinstance(end, Finished)
    assert any("facts.sqlite" in warning for warning in end.warnings)
    assert "4471" in prompt_text(engine.generated[0])


async def test_facts_are_listed_and_forgotten():
    runtime, engine = runtime_of()
    memory = Memory(pattern=INNER, window=3000, summaries=False)
    messages = talk(24, t13="My gate code is 4471.", t14="The gate code is now 5512.", t15="I live in Oslo.")
    assert [fact.value for fact in memory.facts(messages)] == ["5512", "Oslo"]
    assert [fact.value for fact in memory.facts(messages, replaced=True)] == ["4471", "5512", "Oslo"]
    assert len(memory.forget("gate code", messages)) == 2
    async with runtime:
        await ran(runtime, memory, [*messages, asking("Which code opens the gate? And in which town do I live?")])
    prompt = prompt_text(engine.generated[0])
    assert SAID in prompt and "place 12?" in prompt
    assert "5512" not in prompt and "4471" not in prompt


async def test_what_an_inner_pattern_fails_with_is_the_end():
    runtime, _ = runtime_of()
    async with runtime:
        memory = Memory(pattern=WithTools(tools=("no_such_tool",)), window=3000)
        with pytest.raises(InvalidRequest):
            await Agent(runtime=runtime, pattern=memory).arun("Hi")


def test_history_is_cut_in_steps():
    starts = [first_kept([100] * count, 1000) for count in range(1, 31)]
    assert starts[:10] == [0] * 10
    assert sorted(set(starts)) == [0, 5, 10, 15, 20]
    assert all(count - start <= 10 for count, start in enumerate(starts, start=1))
    assert first_kept([2000], 1000) == 1


def test_summaries_lose_what_holds_no_more():
    assert without("The gate code is 4471. They spoke of rain.", {"4471"}) == "They spoke of rain."


def test_files_name_it_with_its_parts(tmp_path: Path):
    table = {
        "kind": "memory",
        "window": 1024,
        "store": "facts.sqlite",
        "budget": {"memory": 0.1, "answer": 200},
        "pattern": {"kind": "direct", "system": "Be short."},
    }
    found = read_pattern(table, tmp_path / "pattern.toml")
    assert isinstance(found, Memory)
    assert (found.window, found.pattern) == (1024, Direct(system="Be short."))
    assert found.budget.of(1000).answer == 200 and found.budget.of(1000).memory == 100
    for wrong in ({"windw": 1}, {"window": 10}, {"budget": {"answer": 0.9}}, {"budget": {"memory": -1}}):
        with pytest.raises(ConfigError):
            read_pattern({**table, **wrong})
