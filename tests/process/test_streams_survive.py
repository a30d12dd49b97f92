"""A worker that dies or hangs, at any moment, in any way: the stream goes on without gap or repeat."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import msgspec
import pytest

from smidgen.events import EngineEvent, Prefilled, TextDelta
from smidgen.messages import Sampling, ScoreRequest, Segment

DEATHS = ["segv", "abort", "bus", "fpe", "ill", "kill", "raise", "exit", "garbage", "truncated"]
HANGS = ["stop", "spin", "sleep", "deaf"]


@pytest.mark.parametrize("kind", DEATHS)
async def test_death_in_mid_stream_is_a_pause(bench, kind):
    engine = await bench.start(f"fault={kind}@token:20&once")
    answer = await bench.read(engine, bench.request("Tell me"))
    assert answer.generated.text == bench.greedy("Tell me", 60)
    assert len(answer.resumed) == 1
    assert answer.generated.usage.completion_tokens == 60
    assert answer.generated.usage.prompt_tokens == len("Tell me") + 1
    assert answer.generated.finish_reason == "length"
    assert engine.restarts == 1


@pytest.mark.parametrize("kind", HANGS)
async def test_hang_in_mid_stream_is_noticed_by_lack_of_progress(bench, kind):
    engine = await bench.start(f"fault={kind}@token:20&once")
    answer = await bench.read(engine, bench.request("Tell me"))
    assert answer.generated.text == bench.greedy("Tell me", 60)
    assert "no progress" in answer.resumed[0].cause


@pytest.mark.parametrize("kind", ["segv", "kill", "spin", "garbage"])
async def test_death_in_prefill(bench, kind):
    engine = await bench.start(f"fault={kind}@prefill&once", batch=64)
    prompt = "a long prompt " * 20
    answer = await bench.read(engine, bench.request(prompt, 20))
    assert answer.generated.text == bench.greedy(prompt, 20)
    assert [type(event) for event in answer.events].count(Prefilled) == 1


@pytest.mark.parametrize("kind", ["segv", "kill", "exit", "garbage", "raise"])
async def test_death_while_loading_is_tried_again(bench, kind):
    engine = await bench.start(f"fault={kind}@load&once")
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)
    assert engine.restarts == 1


async def test_hang_while_loading_has_its_own_limit(bench):
    limits = msgspec.structs.replace(bench.quick, load_limit_s=4.0)
    engine = await bench.start("fault=spin@load&once", limits=limits)
    assert engine.restarts == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGSTOP])
async def test_idle_worker_is_replaced_without_being_asked(bench, wait_for, number):
    engine = await bench.start()
    first = engine.pid
    os.kill(first, number)
    await wait_for(lambda: engine.restarts == 1 and engine.pid not in (None, first))
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)
    assert not bench.is_running(first)


async def test_many_streams_go_on_each_where_it_was(bench):
    engine = await bench.start("fault=kill@token:150&once")
    prompts = [f"stream {number}" for number in range(8)]
    answers = await asyncio.gather(*(bench.read(engine, bench.request(prompt)) for prompt in prompts))
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer.generated.text == bench.greedy(prompt, 60)


async def test_sampled_stream_goes_on_as_it_would_have(bench):
    drawn = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=7)
    quiet = await bench.start()
    undisturbed = await bench.read(quiet, bench.request("Dice", sampling=drawn))
    engine = await bench.start("fault=segv@token:30&once")
    answer = await bench.read(engine, bench.request("Dice", sampling=drawn))
    assert answer.generated.text == undisturbed.generated.text != bench.greedy("Dice", 60)


async def test_stop_string_is_found_across_a_crash(bench):
    whole = bench.greedy("Tell me", 60)
    stop = whole[28:33]
    engine = await bench.start("fault=segv@token:31&once")
    answer = await bench.read(engine, bench.request("Tell me", stop=(stop,)))
    assert answer.generated.text == whole[: whole.index(stop)]
    assert (answer.generated.finish_reason, answer.generated.stop_string) == ("stop", stop)


async def test_scores_are_asked_again(bench):
    quiet = await bench.start()
    asked = ScoreRequest(prompt=(Segment("Pick one:"),), candidates=("yes", "no", "maybe"))
    expected = await quiet.score(asked)
    engine = await bench.start("fault=segv@prefill&once")
    assert (await engine.score(asked)).logprobs == pytest.approx(expected.logprobs)
    assert engine.restarts == 1


async def test_requests_made_between_two_workers_wait_for_the_next(bench):
    engine = await bench.start()
    os.kill(engine.pid, signal.SIGKILL)
    answer = await bench.read(engine, bench.request("Hi", 5))
    assert answer.generated.text == bench.greedy("Hi", 5)


async def test_other_model_does_not_notice(bench):
    bad = await bench.start("fault=segv@token:20&once")
    good = await bench.start("step=0.005")
    pid = good.pid
    answers = await asyncio.gather(
        bench.read(bad, bench.request("Tell me")), bench.read(good, bench.request("Tell me"))
    )
    assert [answer.generated.text for answer in answers] == [bench.greedy("Tell me", 60)] * 2
    assert [len(answer.resumed) for answer in answers] == [1, 0]
    assert (good.pid, good.restarts) == (pid, 0)


async def test_slow_reader_gets_everything_joined(bench):
    engine = await bench.start("step=0.001")
    events: list[EngineEvent] = []
    async for event in engine.generate(bench.request("Hi", 200)):
        events.append(event)
        if len(events) == 1:
            await asyncio.sleep(1.0)
    texts = [event.text for event in events if isinstance(event, TextDelta)]
    assert "".join(texts) == bench.greedy("Hi", 200)
    assert len(texts) < 100


@pytest.mark.slow
async def test_no_stream_is_lost_over_many_kills_at_any_moment(bench):
    """100 streams, 25 kills. So many in a minute are no crash loop here."""
    limits = msgspec.structs.replace(bench.quick, restarts=1000, max_backoff_s=0.0)
    engine = await bench.start("step=0.003", limits=limits)
    moments = random.Random(1)
    prompts = [f"stream {number}" for number in range(4)]
    expected = [bench.greedy(prompt, 60) for prompt in prompts]
    for _ in range(25):
        reading = [asyncio.create_task(bench.read(engine, bench.request(prompt))) for prompt in prompts]
        await asyncio.sleep(moments.random() * 0.25)
        if engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)
        answers = await asyncio.gather(*reading)
        assert [answer.generated.text for answer in answers] == expected


async def test_long_stream_alone_gets_on_from_crash_to_crash(bench):
    engine = await bench.start("fault=kill@token:25")
    answer = await bench.read(engine, bench.request("Tell me", 90))
    assert answer.generated.text == bench.greedy("Tell me", 90)
    assert len(answer.resumed) == engine.restarts >= 3
