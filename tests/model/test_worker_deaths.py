"""A real model's worker is killed, aborted, crashed and stopped at every stage; what the user sees is a pause."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.events import Failed, Generated, Notice, Resumed, TextDelta
from smidgen.messages import GenerateRequest, Segment
from smidgen.supervise.plan import Limits
from smidgen.wire import ModelInfo

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Write = Callable[..., Awaitable[Generated]]
QUICK = Limits(progress_limit_s=2.0, load_limit_s=20.0, abort_grace_s=1.0)
SMALL = 128
"""Tokens of a batch: the shorter one can take, the earlier a silent worker is given up."""
SIGNALS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP]
LONG = "The names of the rivers of Europe, each with its length and where it rises, are listed below. " * 40

signals = pytest.mark.parametrize("deadly", SIGNALS, ids=lambda s: s.name)


def kill(engine: LocalEngine, deadly: signal.Signals) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, deadly)


@signals
async def test_in_the_middle_of_an_answer(
    open_engine: OpenEngine, write: Write, deadly: signal.Signals, tmp_path: Path
) -> None:
    async with open_engine(limits=QUICK, batch=SMALL, crash_folder=tmp_path) as engine:
        whole = await write(engine, "Once upon a time", max_tokens=60, ignore_eos=True)
        request = GenerateRequest(prompt=(Segment("Once upon a time"),), max_tokens=60, ignore_eos=True)
        shown: list[str] = []
        resumed: list[Resumed] = []
        async for event in engine.generate(request):
            if isinstance(event, TextDelta):
                shown.append(event.text)
                if len(shown) == 10:
                    kill(engine, deadly)
            elif isinstance(event, Resumed):
                resumed.append(event)
            assert not isinstance(event, Failed)
        assert "".join(shown) == whole.text
        assert len(resumed) == 1 and resumed[0].after_tokens >= 10
    (report,) = [path.read_text() for path in sorted(tmp_path.iterdir())]
    # A stopped process can't act on SIGABRT; it is killed in the end.
    assert json.loads(report)["signal"] == ("SIGKILL" if deadly is signal.SIGSTOP else deadly.name)
    assert "Once upon" not in report, "a report never holds a prompt"


@signals
async def test_in_the_middle_of_prefill(open_engine: OpenEngine, write: Write, deadly: signal.Signals) -> None:
    async with open_engine(context=4096, limits=QUICK, batch=SMALL) as engine:
        whole = await write(engine, LONG, max_tokens=12)
        await engine.clear_cache()
        first = engine.pid
        answer = asyncio.ensure_future(write(engine, LONG, max_tokens=12))
        await asyncio.sleep(0.25)  # several chunks of a batch take longer than that
        kill(engine, deadly)
        assert (await answer).text == whole.text
        assert engine.pid != first


@signals
async def test_while_the_model_is_loaded(open_engine: OpenEngine, write: Write, deadly: signal.Signals) -> None:
    async with open_engine(limits=QUICK, batch=SMALL) as engine:
        expected = (await write(engine, "The capital of France is")).text
        options = engine.options
    fresh = LocalEngine("smollm2-135m", options, limits=QUICK)
    try:
        opening = asyncio.ensure_future(fresh.open())
        await asyncio.sleep(0.4)  # Python has started, the file is being read
        kill(fresh, deadly)
        assert isinstance(await opening, ModelInfo)
        assert (await write(fresh, "The capital of France is")).text == expected
        assert fresh.restarts >= 1 or fresh.load_fraction == 1.0
    finally:
        await fresh.aclose()


@signals
async def test_while_nothing_is_asked(open_engine: OpenEngine, write: Write, deadly: signal.Signals) -> None:
    async with open_engine(limits=QUICK, batch=SMALL) as engine:
        expected = (await write(engine, "The capital of France is")).text
        first = engine.pid
        kill(engine, deadly)
        assert (await write(engine, "The capital of France is")).text == expected
        assert engine.pid != first


async def test_eight_streams_survive_together_and_nobody_is_repeated(
    open_engine: OpenEngine, record: Callable[..., Awaitable[Any]], agreement: Callable[..., Any]
) -> None:
    notices: list[Notice] = []
    pairs = agreement(few_rows=True)
    async with open_engine(limits=QUICK, on_notice=notices.append, batch=32) as engine:
        texts = [f"Story {number}: once upon a time" for number in range(8)]
        whole: list[Any] = []
        for text in texts:
            await engine.clear_cache()
            whole.append(await record(engine, text, max_tokens=20))
        await engine.clear_cache()
        first = record(engine, texts[0], max_tokens=20, kill_after=10)
        made = await asyncio.gather(first, *(record(engine, text, max_tokens=20) for text in texts[1:]))
        assert all(one.resumed_after > 0 for one in made)
        assert [one.generated.usage.completion_tokens for one in made] == [20] * 8
        for one, other in zip(whole, made, strict=True):
            pairs.compare(one, other)
        pairs.check(least_equal=4)
        assert notices


async def test_two_models_do_not_notice_each_others_deaths(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine() as one, open_engine("gemma-3-270m") as other:
        pid = other.pid
        story = asyncio.ensure_future(write(other, "Once upon a time", max_tokens=40, ignore_eos=True))
        await asyncio.sleep(0.2)
        kill(one, signal.SIGKILL)
        assert (await story).usage.completion_tokens == 40
        assert other.pid == pid and other.restarts == 0
        assert (await write(one, "The capital of France is")).text
