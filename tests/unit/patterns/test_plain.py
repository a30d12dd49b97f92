"""The simplest patterns, through an agent of a runtime with scripted models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, EngineUnavailable
from smidgen.events import EngineEvent, Finished, Notice, TextDelta
from smidgen.messages import Constraint, GenerateRequest, Sampling
from smidgen.patterns import Pattern
from smidgen.patterns.cached import Cached
from smidgen.patterns.files import load_pattern, read_pattern
from smidgen.patterns.plain import Direct, WithTools
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import prompt_text


def runtime_of(*answers: str, context: int = 4096) -> tuple[Runtime, ScriptedEngine]:
    engine = ScriptedEngine(answers, name="tiny", context=context)
    return Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine})), engine


async def test_a_direct_answer_streams_and_ends():
    runtime, engine = runtime_of("Paris is the capital.")
    async with runtime:
        agent = Agent(runtime=runtime, pattern=Direct(system="Be short.", prompt="Q: {request}"))
        events = [event async for event in agent.astream("Capital of France?")]
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.text, end.strategy, end.model) == ("Paris is the capital.", "direct", "tiny")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == end.text
    assert prompt_text(engine.generated[0]) == "system: Be short.\nuser: Q: Capital of France?\nassistant: "
    assert end.usage.completion_tokens == len(end.text)


@pytest.mark.parametrize("constrained", [True, False])
async def test_only_free_text_is_penalised_for_repeating(constrained: bool):
    engine = ScriptedEngine(["12, 12"], name="tiny")
    models = ScriptedModels({"tiny": engine})
    chat = Sampling(repeat_penalty=1.1, frequency_penalty=0.2, presence_penalty=0.3)
    models.profile = msgspec.structs.replace(models.profile, sampling=chat)
    constraint = Constraint(kind="regex", source="[0-9, ]+") if constrained else None
    async with Runtime(Config(model="tiny", audit="off"), models=models) as runtime:
        await Agent(runtime=runtime, pattern=Direct(constraint=constraint)).arun("Twelve twice?")
    used = engine.generated[0].sampling
    penalties = (used.repeat_penalty, used.frequency_penalty, used.presence_penalty)
    assert penalties == ((1.0, 0.0, 0.0) if constrained else (1.1, 0.2, 0.3))


async def test_turns_that_do_not_fit_are_told():
    runtime, _ = runtime_of("ok", context=300)
    async with runtime:
        turns = [{"role": "user", "content": "x" * 200}, {"role": "assistant", "content": "y"}]
        answer = await Agent(runtime=runtime, pattern=Direct(max_tokens=20)).arun(
            [*turns, {"role": "user", "content": "z" * 100}]
        )
    assert answer.warnings == ("2 older messages were left out: the context of tiny is full.",)


async def test_a_model_that_repeats_itself_is_stopped():
    runtime, _ = runtime_of("over and over again. " * 200, context=20_000)
    async with runtime:
        answer = await Agent(runtime=runtime, pattern=Direct(max_tokens=5000)).arun("hi")
    assert answer.finish_reason == "length"
    assert len(answer.text) < 1000
    assert answer.usage.completion_tokens == len(answer.text)
    assert answer.warnings == ("The model began to repeat itself and was stopped.",)


async def test_an_agent_with_tools_is_a_pattern_too():
    runtime, _ = runtime_of()
    async with runtime:
        answer = await Agent(runtime=runtime, pattern=WithTools(tools=("calculator",))).arun("What is 2 + 3?")
    assert "5" in answer.text
    assert [record.name for record in answer.tool_calls] == ["calculator"]


class Counting(ScriptedEngine):
    """running: generations that were begun and aren't over."""

    running = 0

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self.running += 1
        try:
            async for event in super()._events(request):
                yield event
        finally:
            self.running -= 1


@pytest.mark.parametrize("pattern", [Direct(), WithTools()])
async def test_a_stream_that_is_closed_early_ends_its_generation_at_once(pattern: Pattern):
    engine = Counting(["word " * 20], name="tiny")
    runtime = Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine}))
    async with runtime:
        events = Agent(runtime=runtime, pattern=pattern).astream("hi")
        while not isinstance(await anext(events), TextDelta):
            pass
        assert engine.running == 1
        await events.aclose()
        assert engine.running == 0


async def test_what_a_tool_gave_stays_where_the_last_words_are_put_otherwise():
    runtime, engine = runtime_of("ok")
    call = {"role": "tool", "name": "look", "content": "42", "call_id": "1"}
    async with runtime:
        agent = Agent(runtime=runtime, pattern=Direct(prompt="Q: {request}"))
        await agent.arun([{"role": "user", "content": "How many?"}, call])
    asked = prompt_text(engine.generated[0])
    assert "user: Q: How many?" in asked
    assert "42" in asked


async def test_what_an_engine_raises_is_the_end():
    runtime, _ = runtime_of()
    async with runtime:
        with pytest.raises(EngineUnavailable):
            await Agent(runtime=runtime, pattern=Direct()).arun("hi")


async def test_options_that_a_pattern_does_not_heed_are_told():
    runtime, _ = runtime_of("ok")
    async with runtime:
        events = [event async for event in Agent(runtime=runtime, pattern=Direct(), temperature=0.3).astream("hi")]
    assert any(isinstance(event, Notice) and "temperature" in event.message for event in events)
    assert isinstance(events[-1], Finished)
    assert "temperature" in events[-1].warnings[0]


def test_files_name_patterns_with_their_keys(tmp_path: Path):
    path = tmp_path / "short.toml"
    path.write_text('kind = "direct"\nsystem = "Be short."\nregex = "[a-z]+"\nmax_tokens = 9\n')
    found = load_pattern(path)
    assert isinstance(found, Direct)
    assert (found.system, found.max_tokens) == ("Be short.", 9)
    assert found.constraint is not None
    assert (found.constraint.kind, found.constraint.source) == ("regex", "[a-z]+")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('kind = "rooter"', "Did you mean router?"),
        ('kind = "direct"\nsytem = "x"', "Did you mean system?"),
        ('kind = "direct"\nmax_tokens = "many"', "max_tokens"),
        ('kind = "direct"\nregex = "a"\nschema = {}', "more than one grammar: schema, regex"),
        ('kind = "direct"\nlark = "a"\nconstraint = { kind = "regex", source = "b" }', "lark, constraint"),
        ('kind = "direct"\nregex = 5', "regex = 5"),
        ("kind = ", "isn't valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_place(tmp_path: Path, text: str, told: str):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_pattern(path)
    assert str(path) in str(caught.value)
    assert told in f"{caught.value} {caught.value.hint}"


def test_a_file_may_name_another_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "inner.toml").write_text('kind = "direct"\nsystem = "Be short."\n')
    (tmp_path / "outer.toml").write_text('kind = "cached"\npattern = "~/inner.toml"\n')
    found = load_pattern(tmp_path / "outer.toml")
    assert isinstance(found, Cached)
    assert found.pattern == Direct(system="Be short.")


def test_a_file_that_names_itself_ends(tmp_path: Path):
    path = tmp_path / "loop.toml"
    path.write_text('kind = "cached"\npattern = "loop.toml"\n')
    if not (Path(__file__).parents[3] / "src/smidgen/patterns/cached/reading.py").exists():
        pytest.skip("no pattern that holds another yet")
    with pytest.raises(ConfigError, match="too deep"):
        load_pattern(path)


def test_tables_are_read_without_a_file():
    assert read_pattern({"kind": "agent", "tools": ["calculator"]}) == WithTools(tools=("calculator",))
