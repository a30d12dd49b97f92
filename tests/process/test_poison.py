"""One request kills every worker it meets: it alone fails, the others finish."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from smidgen.errors import EngineCrashed, EngineUnavailable
from smidgen.messages import ScoreRequest, Segment
from smidgen.supervise import reports


async def test_alone_it_fails_at_its_second_crash(bench):
    engine = await bench.start()
    answer = await bench.read(engine, bench.request("Hello <|segv|>"))
    error = answer.failed.error
    assert (error.code, error.retryable, error.details["signal"]) == ("engine_crashed", False, "SIGSEGV")
    assert reports.read(Path(error.details["report"])).signal == "SIGSEGV"
    assert engine.restarts == 2
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)


@pytest.mark.parametrize("poison", ["<|segv|>", "<|segv|>40;", "<|raise|>30;"])
async def test_eight_innocent_streams_finish_beside_it(bench, poison):
    engine = await bench.start("step=0.002")
    prompts = [f"innocent {number}" for number in range(8)]
    *answers, culprit = await asyncio.gather(
        *(bench.read(engine, bench.request(prompt, 80)) for prompt in prompts),
        bench.read(engine, bench.request(f"culprit {poison}", 80)),
    )
    assert culprit.failed.error.code == "engine_crashed"
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer.generated.text == bench.greedy(prompt, 80)
        assert answer.generated.usage.completion_tokens == 80
    assert any(notice.code == "request_quarantined" for notice in bench.notices)


async def test_two_of_them_at_once(bench):
    engine = await bench.start("step=0.002")
    prompts = [f"innocent {number}" for number in range(4)]
    *answers, first, second = await asyncio.gather(
        *(bench.read(engine, bench.request(prompt)) for prompt in prompts),
        bench.read(engine, bench.request("one <|segv|>20;")),
        bench.read(engine, bench.request("two <|exit|>30;")),
    )
    assert first.failed.error.code == second.failed.error.code == "engine_crashed"
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer.generated.text == bench.greedy(prompt, 60)


async def test_one_that_hangs(bench):
    engine = await bench.start()
    innocent, culprit = await asyncio.gather(
        bench.read(engine, bench.request("innocent")), bench.read(engine, bench.request("culprit <|sleep|>20;"))
    )
    assert culprit.failed.error.code == "engine_crashed"
    assert "no progress" in culprit.failed.error.message
    assert innocent.generated.text == bench.greedy("innocent", 60)


async def test_poisonous_scores_raise(bench):
    engine = await bench.start()
    asked = ScoreRequest(prompt=(Segment("Pick <|abort|>"),), candidates=("yes", "no"))
    with pytest.raises(EngineCrashed, match="in flight at 2 crashes"):
        await engine.score(asked)


async def test_poison_after_poison_does_not_use_up_the_restarts(bench):
    engine = await bench.start()
    for number in range(4):
        answer = await bench.read(engine, bench.request(f"{number} <|segv|>"))
        assert answer.failed.error.code == "engine_crashed"
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)


async def test_requests_that_come_while_suspects_are_tried_wait_their_turn(bench, wait_for):
    engine = await bench.start("step=0.005")
    early = [
        asyncio.create_task(bench.read(engine, bench.request("innocent", 80))),
        asyncio.create_task(bench.read(engine, bench.request("culprit <|segv|>30;", 80))),
    ]
    await wait_for(lambda: engine.restarts >= 2)
    late = await bench.read(engine, bench.request("late"))
    assert late.generated.text == bench.greedy("late", 60)
    assert (await early[0]).generated.text == bench.greedy("innocent", 80)
    assert (await early[1]).failed.error.code == "engine_crashed"


async def test_crash_loop_is_capped_and_recovers(bench):
    counter = bench.folder / "crashes so far"
    engine = bench.engine(f"fault=segv@load&times=3&counter={counter}")
    with pytest.raises(EngineUnavailable) as caught:
        await engine.open()
    assert caught.value.retryable
    assert "SIGSEGV" in caught.value.message
    assert counter.stat().st_size == 3
    with pytest.raises(EngineUnavailable):
        await engine.open()
    assert counter.stat().st_size == 3, "left alone during the cool-down"
    await asyncio.sleep(bench.quick.cool_down_s)
    await engine.open()
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)


async def test_requests_fail_clearly_when_the_cap_is_reached_and_work_again_later(bench):
    import msgspec

    limits = msgspec.structs.replace(bench.quick, restarts=1)
    counter = bench.folder / "crashes so far"
    engine = await bench.start(f"fault=exit@token:5&times=2&counter={counter}", limits=limits)
    first, second = await asyncio.gather(
        bench.read(engine, bench.request("one")), bench.read(engine, bench.request("two"))
    )
    assert first.failed.error.code == second.failed.error.code == "engine_unavailable"
    with pytest.raises(EngineUnavailable) as caught:
        await bench.read(engine, bench.request("three"))
    assert caught.value.details["retry_after_s"] <= bench.quick.cool_down_s
    await asyncio.sleep(bench.quick.cool_down_s)
    assert (await bench.read(engine, bench.request("four"))).generated.text == bench.greedy("four", 60)
