"""One suite over every Engine: what an agent may rely on, whichever it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from smidgen.engine import Engine
from smidgen.engine.local import LocalEngine
from smidgen.errors import EngineUnavailable, InvalidRequest
from smidgen.events import EngineEvent, Failed, Generated, Prefilled, TextDelta
from smidgen.messages import GenerateRequest, ScoreRequest, Segment
from smidgen.testing import ChaosEngine, ScriptedEngine
from smidgen.wire import LoadOptions

PROMPT = (Segment("Say something."),)


@pytest.fixture(params=["scripted", "chaos", "local"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    if request.param == "local":
        made: Engine = LocalEngine("local", LoadOptions(path="fake:"), worker_module="smidgen.testing.worker")
        await made.open()  # type: ignore[attr-defined]
    else:
        made = ScriptedEngine(lambda _: "A scripted answer, long enough to be cut.", name=request.param)
        if request.param == "chaos":
            made = ChaosEngine(made, plan=())
    yield made
    await made.aclose()


async def read(engine: Engine, request: GenerateRequest) -> list[EngineEvent]:
    return [event async for event in engine.generate(request)]


def asked(**changes: object) -> GenerateRequest:
    return GenerateRequest(**{"prompt": PROMPT, "max_tokens": 20, **changes})  # type: ignore[arg-type]


def test_it_is_an_engine(engine):
    assert isinstance(engine, Engine)
    assert engine.name
    assert engine.context > 0


async def test_stream_has_one_prefill_first_and_one_end_last(engine):
    events = await read(engine, asked())
    assert isinstance(events[0], Prefilled)
    assert [type(event) for event in events].count(Prefilled) == 1
    assert [index for index, event in enumerate(events) if isinstance(event, Generated | Failed)] == [len(events) - 1]


async def test_text_of_the_end_is_the_sum_of_the_deltas(engine):
    *events, end = await read(engine, asked())
    assert isinstance(end, Generated)
    assert end.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert end.text


async def test_max_tokens_is_kept(engine):
    end = (await read(engine, asked(max_tokens=7)))[-1]
    assert isinstance(end, Generated)
    assert (end.finish_reason, end.usage.completion_tokens) == ("length", 7)


async def test_stop_string_ends_it_and_is_never_shown(engine):
    whole = (await read(engine, asked()))[-1]
    assert isinstance(whole, Generated)
    stop = whole.text[5:9]
    end = (await read(engine, asked(stop=(stop,))))[-1]
    assert isinstance(end, Generated)
    assert (end.finish_reason, end.stop_string) == ("stop", stop)
    assert end.text == whole.text[: whole.text.index(stop)]


async def test_greedy_answers_are_the_same_each_time(engine):
    first, second = [(await read(engine, asked()))[-1] for _ in range(2)]
    assert isinstance(first, Generated)
    assert isinstance(second, Generated)
    assert first.text == second.text


async def test_concurrent_streams_do_not_mix(engine):
    streams = await asyncio.gather(*(read(engine, asked()) for _ in range(5)))
    assert len({stream[-1].text for stream in streams if isinstance(stream[-1], Generated)}) == 1


async def test_invalid_request_raises_before_any_event(engine):
    with pytest.raises(InvalidRequest):
        await read(engine, asked(max_tokens=0))
    with pytest.raises(InvalidRequest):
        await engine.score(ScoreRequest(prompt=PROMPT, candidates=()))
    with pytest.raises(InvalidRequest):
        await engine.embed(())
    with pytest.raises(InvalidRequest):
        await engine.detokenize((-1,))


async def test_stream_can_be_closed_early(engine):
    stream = engine.generate(asked())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert isinstance((await read(engine, asked()))[-1], Generated)


async def test_scores_are_one_per_candidate(engine):
    result = await engine.score(ScoreRequest(prompt=PROMPT, candidates=("yes", "no", "maybe")))
    assert len(result.logprobs) == len(result.token_counts) == 3
    assert all(logprob <= 0.0 for logprob in result.logprobs)


async def test_embeddings_are_unit_vectors(engine):
    result = await engine.embed(("one text", "another"))
    assert [len(vector) for vector in result.vectors] == [result.dimensions] * 2
    for vector in result.vectors:
        assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-5)


async def test_tokens_come_back_as_the_text(engine):
    assert await engine.detokenize(await engine.tokenize((Segment("Grüße"),))) == "Grüße"


async def test_stats_are_a_dict(engine):
    assert isinstance(await engine.stats(), dict)


async def test_closed_engine_says_so_and_closes_twice(engine):
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(EngineUnavailable):
        await read(engine, asked())
