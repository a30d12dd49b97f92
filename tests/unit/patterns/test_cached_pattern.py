"""Answers given again, through an agent of a runtime with scripted models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import ConfigError, EngineUnavailable, InvalidRequest
from smidgen.events import AgentEvent, Finished, Notice, Routed, StepStarted, TextDelta
from smidgen.messages import Embeddings, GenerateRequest, Usage
from smidgen.patterns import Pattern, Resources, Task
from smidgen.patterns.cached import Cached
from smidgen.patterns.cached.store import Near
from smidgen.patterns.files import load_pattern
from smidgen.patterns.plain import Direct, WithTools
from smidgen.patterns.run import Run
from smidgen.runtime.agent import Agent
from smidgen.runtime.runtime import Runtime
from smidgen.testing import ScriptedEngine, ScriptedModels
from smidgen.testing.scripted import Answer


class NearEngine(ScriptedEngine):
    """Puts all texts at one place, but those that say "kindly"."""

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        self.requests.append(texts)
        vectors = tuple((0.0, 1.0) if "Kindly" in text else (1.0, 0.0) for text in texts)
        return Embeddings(vectors=vectors, dimensions=2)


def numbered() -> Callable[[GenerateRequest], Answer]:
    count = 0

    def script(_: GenerateRequest) -> Answer:
        nonlocal count
        count += 1
        return f"answer {count}"

    return script


class Table:
    """A runtime with a model that numbers its answers, and an embedder."""

    def __init__(self, answers: Any = None) -> None:
        self.engine = ScriptedEngine(numbered() if answers is None else answers, name="tiny")
        self.embedder = NearEngine(name="near")
        models = ScriptedModels({"tiny": self.engine, "near": self.embedder}, embedder="near")
        self.runtime = Runtime(Config(model="tiny", audit="off"), models=models)

    def agent(self, pattern: Pattern, **options: Any) -> Agent:
        return Agent(runtime=self.runtime, pattern=pattern, **options)

    async def ask(self, pattern: Pattern, request: Any, **options: Any) -> tuple[str, str]:
        answer = await self.agent(pattern).arun(request, **options)
        return answer.text, answer.strategy


async def test_the_same_request_is_answered_once_and_says_so():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        first = [event async for event in table.agent(cached).astream("Why?")]
        second = [event async for event in table.agent(cached).astream(" Why? ")]
    assert any(isinstance(event, StepStarted) and event.detail == "kept" for event in first)
    end = second[-1]
    assert isinstance(end, Finished)
    assert (end.text, end.strategy, end.model, end.usage) == ("answer 1", "cached: exact", "tiny", Usage())
    assert [event.text for event in second if isinstance(event, TextDelta)] == ["answer 1"]
    assert any(isinstance(event, Notice) and event.code == "cached" for event in second)
    assert [event.strategy for event in second if isinstance(event, Routed)] == ["cached: exact"]
    assert len(table.engine.generated) == 1
    assert cached.store.summary().counts == {"missed": 1, "exact": 1}


async def test_one_that_means_the_same_has_its_answer():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        await table.ask(cached, "Who wrote Hamlet?")
        found = await table.ask(cached, "Tell me who wrote Hamlet, please.")
        differs = await table.ask(cached, "Tell me who wrote Faust, please.")
    assert found == ("answer 1", "cached: by meaning (1.00, asked before as 'Who wrote Hamlet?')")
    assert differs == ("answer 2", "direct")


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ({"by_meaning": False}, "Who wrote the Hamlet?"),
        ({}, "Who wrote the Hamlet? I have not."),
        ({}, [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "Who wrote the Hamlet?"}]),
        ({}, [{"role": "user", "content": "x"}, {"role": "user", "content": "Who wrote the Hamlet?"}]),
    ],
)
async def test_what_is_not_the_same_is_asked_anew(options: dict[str, Any], request_: Any):
    table, cached = Table(), Cached(pattern=Direct(), **options)
    async with table.runtime:
        await table.ask(cached, "Who wrote Hamlet?")
        assert await table.ask(cached, request_) == ("answer 2", "direct")


async def test_what_is_far_is_not_alike_whatever_the_words():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        await table.ask(cached, "Who wrote Hamlet?")
        assert await table.ask(cached, "Kindly tell me who wrote Hamlet.") == ("answer 2", "direct")


async def test_what_is_near_is_looked_for_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch):
    table, cached = Table(), Cached(pattern=Direct())
    threads: list[threading.Thread] = []
    near = cached.store.near

    def noted(group: bytes, embedder: str) -> Sequence[Near]:
        threads.append(threading.current_thread())
        return near(group, embedder)

    monkeypatch.setattr(cached.store, "near", noted)
    async with table.runtime:
        await table.ask(cached, "Who wrote Hamlet?")
    assert threads
    assert threading.current_thread() not in threads


async def test_seed_and_length_matter_as_the_scope_says():
    table = Table()
    everything, loose = Cached(pattern=Direct()), Cached(pattern=Direct(), scope="conversation")
    async with table.runtime:
        for cached in (everything, loose):
            await table.ask(cached, "Why?", seed=1)
        assert (await table.ask(everything, "Why?", seed=2))[1] == "direct"
        assert (await table.ask(loose, "Why?", seed=2))[1] == "cached: exact"
        assert (await table.ask(loose, "Why?", seed=2, max_tokens=100))[1] == "direct"


async def test_without_an_embedder_only_the_exact_request_is_found():
    engine = ScriptedEngine(numbered(), name="tiny")
    runtime = Runtime(Config(model="tiny", audit="off"), models=ScriptedModels({"tiny": engine}))
    cached = Cached(pattern=Direct())
    async with runtime:
        agent = Agent(runtime=runtime, pattern=cached)
        await agent.arun("Who wrote Hamlet?")
        assert (await agent.arun("Please, who wrote Hamlet?")).text == "answer 2"
        assert (await agent.arun("Who wrote Hamlet?")).text == "answer 1"


async def test_an_embedder_that_fails_only_ends_comparing_by_meaning():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        await table.embedder.aclose()

        async def failing(texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
            raise EngineUnavailable("gone")

        table.embedder.embed = failing
        await table.ask(cached, "Who wrote Hamlet?")
        assert await table.ask(cached, "Who wrote Hamlet?") == ("answer 1", "cached: exact")


async def test_what_depends_on_the_time_is_never_kept():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        for number in (1, 2):
            assert await table.ask(cached, "What is in the news today?") == (f"answer {number}", "direct")
    assert cached.store.summary().counts == {"passed by": 2}


async def test_answers_that_were_cut_or_failed_are_not_kept():
    table, cached = Table(["x" * 50, EngineUnavailable("gone"), "well"]), Cached(pattern=Direct(max_tokens=20))
    async with table.runtime:
        assert (await table.ask(cached, "Why?"))[0] == "x" * 20
        with pytest.raises(EngineUnavailable):
            await table.ask(cached, "Why?")
        assert (await table.ask(cached, "Why?"))[0] == "well"
        assert await table.ask(cached, "Why?") == ("well", "cached: exact")


async def test_tools_that_compute_are_kept_with_their_records():
    table, cached = Table(), Cached(pattern=WithTools(tools=("calculator", "current_time")))
    async with table.runtime:
        agent = table.agent(cached)
        first, second = await agent.arun("What is 2 + 3?"), await agent.arun("What is 2 + 3?")
    assert (second.text, second.strategy) == (first.text, "cached: exact")
    assert second.tool_calls == first.tool_calls != ()


class Slow:
    """Answers when it is let."""

    name = "slow"

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.runs = 0
        self.warn = False

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        self.runs += 1
        number = self.runs
        run = Run(task, resources)
        yield TextDelta(text="slow ")
        await self.let.wait()
        yield TextDelta(text=str(number))
        if self.warn:
            run.warn("half of it")
        yield run.finished(f"slow {number}", self.name)


async def begun(slow: Slow, runs: int) -> None:
    while slow.runs < runs:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_equal_requests_at_the_same_time_are_answered_once():
    table, slow = Table(), Slow()
    cached = Cached(pattern=slow)
    async with table.runtime:
        asking = [asyncio.create_task(table.ask(cached, "Why?")) for _ in range(5)]
        other = asyncio.create_task(table.ask(cached, "How?"))
        await begun(slow, 2)
        await settled()
        slow.let.set()
        answers = await asyncio.gather(*asking)
        await other
    assert slow.runs == 2
    assert {text for text, _ in answers} == {answers[0][0]}
    assert sorted(strategy for _, strategy in answers) == ["cached: exact"] * 4 + ["slow"]


async def test_when_the_first_goes_away_the_next_takes_its_place():
    table, slow = Table(), Slow()
    cached = Cached(pattern=slow)
    async with table.runtime:
        first = asyncio.create_task(table.ask(cached, "Why?"))
        await begun(slow, 1)
        second, third = (asyncio.create_task(table.ask(cached, "Why?")) for _ in range(2))
        await settled()
        first.cancel()
        await begun(slow, 2)
        slow.let.set()
        assert [await second, await third] == [("slow 2", "slow"), ("slow 2", "cached: exact")]
        with pytest.raises(asyncio.CancelledError):
            await first
    assert slow.runs == 2


async def test_one_who_waits_and_goes_away_disturbs_nobody():
    table, slow = Table(), Slow()
    cached = Cached(pattern=slow)
    async with table.runtime:
        first = asyncio.create_task(table.ask(cached, "Why?"))
        await begun(slow, 1)
        second, third = (asyncio.create_task(table.ask(cached, "Why?")) for _ in range(2))
        await settled()
        second.cancel()
        await settled()
        slow.let.set()
        assert await first == ("slow 1", "slow")
        assert await third == ("slow 1", "cached: exact")
        with pytest.raises(asyncio.CancelledError):
            await second


async def test_whoever_waited_for_an_answer_that_is_not_kept_asks_themself():
    table, slow = Table(), Slow()
    slow.warn = True
    cached = Cached(pattern=slow)
    async with table.runtime:
        asking = [asyncio.create_task(table.ask(cached, "Why?")) for _ in range(3)]
        await begun(slow, 1)
        await settled()
        slow.let.set()
        answers = await asyncio.gather(*asking)
    assert sorted(answers) == [("slow 1", "slow"), ("slow 2", "slow"), ("slow 3", "slow")]


async def test_a_stream_that_is_closed_early_keeps_nothing_and_blocks_nobody():
    table, cached = Table(), Cached(pattern=Direct())
    async with table.runtime:
        async with aclosing(table.agent(cached).astream("Why?")) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        assert await table.ask(cached, "Why?") == ("answer 2", "direct")


async def test_waiting_for_anothers_answer_ends_at_the_own_time_limit():
    table, slow = Table(), Slow()
    cached = Cached(pattern=slow)
    async with table.runtime:
        first = asyncio.create_task(table.ask(cached, "Why?"))
        await begun(slow, 1)
        with pytest.raises(Exception, match="time limit"):
            await table.ask(cached, "Why?", timeout_s=0.05)
        slow.let.set()
        assert await first == ("slow 1", "slow")


async def test_a_file_serves_another_cache_later(tmp_path: Path):
    store = tmp_path / "answers.sqlite"
    for answers in (["one"], []):
        table = Table(answers)
        async with table.runtime:
            assert (await table.ask(Cached(pattern=Direct(), store=store), "Why?"))[0] == "one"
    table = Table(["two"])
    async with table.runtime:
        other = Cached(pattern=Direct(system="Rhyme."), store=store)
        assert (await table.ask(other, "Why?"))[0] == "two"


async def test_a_damaged_file_is_told_and_the_answer_comes(tmp_path: Path):
    store = tmp_path / "answers.sqlite"
    store.write_bytes(b"no database" * 1000)
    table = Table()
    async with table.runtime:
        events = [event async for event in table.agent(Cached(pattern=Direct(), store=store)).astream("Why?")]
    assert any(isinstance(event, Notice) and event.code == "cache_unavailable" for event in events)
    assert isinstance(events[-1], Finished)


async def test_a_cache_in_a_cache_does_not_make_answers_older(tmp_path: Path):
    table = Table()
    inner = Cached(pattern=Direct())
    outer = Cached(pattern=inner)
    async with table.runtime:
        await table.ask(inner, "Why?")
        assert (await table.ask(outer, "Why?"))[1] == "cached: exact"
    assert outer.store.summary().answers == 0


def test_patterns_over_data_that_change_are_refused_unless_allowed(tmp_path: Path):
    from smidgen.patterns.verified.programs import Sql

    class Asking(Direct, frozen=True, kw_only=True):
        verifier: Any = None

    with pytest.raises(InvalidRequest, match="Sql"):
        Cached(pattern=Asking(verifier=Sql(tmp_path / "a.sqlite")))
    Cached(pattern=Asking(verifier=Sql(tmp_path / "a.sqlite")), tools=True)
    Cached(pattern=Asking(verifier=Sql(schema="CREATE TABLE a (b)")))


def test_a_file_with_a_cache_around_what_changes_is_refused_with_its_place(tmp_path: Path):
    check = '{ kind = "sql", database = "a.sqlite" }'
    verified = f'kind = "verified"\ncheck = {check}\nways = [{{ kind = "direct" }}]\n'
    (tmp_path / "p.toml").write_text(f'kind = "cached"\n[pattern]\n{verified}')
    with pytest.raises(ConfigError, match=r"p\.toml: .*Sql") as caught:
        load_pattern(tmp_path / "p.toml")
    assert "tools = true" in caught.value.hint


def test_a_file_describes_a_cache(tmp_path: Path):
    (tmp_path / "p.toml").write_text(
        'kind = "cached"\nstore = "a.sqlite"\nttl_s = 60\n[pattern]\nkind = "direct"\nsystem = "Be short."\n'
    )
    found = load_pattern(tmp_path / "p.toml")
    assert isinstance(found, Cached)
    assert found.pattern == Direct(system="Be short.")
    assert (found.store.path, found.settings.ttl_s, found.settings.threshold) == (tmp_path / "a.sqlite", 60, 0.92)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "pattern is missing"),
        ("treshold = 0.9", "Did you mean threshold?"),
        ("threshold = 2.0", "isn't above 0"),
        ('scope = "some"', "scope"),
        ("size = 0", "keep nothing"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path: Path, text: str, told: str):
    pattern = "" if not text else '\n[pattern]\nkind = "direct"\n'
    (tmp_path / "p.toml").write_text(f'kind = "cached"\n{text}{pattern}')
    with pytest.raises(ConfigError) as caught:
        load_pattern(tmp_path / "p.toml")
    assert told in f"{caught.value}"
