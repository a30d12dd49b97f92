from __future__ import annotations

import asyncio

from smidgen.engine.job import Generation
from smidgen.errors import EngineUnavailable
from smidgen.events import Generated, Prefilled, Resumed, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Segment, Timings, Usage
from smidgen.wire import Chunk, Done, Submit


def generation(**changes: object) -> Generation:
    return Generation(1, 100.0, GenerateRequest(prompt=(Segment("Hi"),), **changes))  # type: ignore[arg-type]


def done(text: str = "") -> Done:
    usage = Usage(prompt_tokens=3, cached_tokens=99, completion_tokens=2)
    return Done(id=1, finish_reason="stop", usage=usage, timings=Timings(queue_s=5.0), text=text)


async def test_what_the_reader_has_not_taken_is_joined():
    job = generation()
    job.add(Chunk(id=1, tokens=(1,), text="a", prefilled=(3, 2)), 101.0)
    for letter in "bcd":
        job.add(Chunk(id=1, tokens=(1,), text=letter, logprobs=(TokenLogprob(text=letter, logprob=-1.0),)), 101.0)
    job.done(done("e"), 102.0)
    prefilled, delta, end = await job.take()
    assert prefilled == Prefilled(prompt_tokens=3, cached_tokens=2)
    assert isinstance(delta, TextDelta)
    assert (delta.text, len(delta.logprobs)) == ("abcde", 3)
    assert isinstance(end, Generated)
    assert end.text == "abcde"


async def test_resending_says_what_came_so_far_in_tokens_and_bytes():
    job = generation(timeout_s=10.0)
    first = job.message(1, 100.0)
    assert isinstance(first, Submit)
    assert (first.resume_tokens, first.resume_bytes, first.request.timeout_s) == ((), 0, 10.0)
    job.add(Chunk(id=1, tokens=(7, 8), text="aä𝔘"), 101.0)
    again = job.message(2, 104.0)
    assert isinstance(again, Submit)
    assert (again.id, again.resume_tokens, again.resume_bytes, again.request.timeout_s) == (2, (7, 8), 7, 6.0)


async def test_resumed_comes_before_the_first_new_text_and_the_first_prefill_counts():
    job = generation()
    job.message(1, 100.0)
    job.add(Chunk(id=1, tokens=(1,), text="a", prefilled=(3, 2)), 101.0)
    job.interrupted("killed by SIGSEGV")
    job.message(2, 102.0)
    job.add(Chunk(id=2, tokens=(2,), text="b", prefilled=(3, 4)), 103.0)
    job.done(done(), 104.0)
    events = await job.take()
    assert [type(event) for event in events] == [Prefilled, TextDelta, Resumed, TextDelta, Generated]
    assert events[2] == Resumed(cause="killed by SIGSEGV", after_tokens=1)
    end = events[-1]
    assert isinstance(end, Generated)
    assert end.usage.cached_tokens == 2
    assert end.timings == Timings(prefill_s=1.0, decode_s=3.0)


async def test_crash_after_the_last_token_still_tells_of_the_resumption():
    job = generation()
    job.add(Chunk(id=1, tokens=(1,), text="a", prefilled=(3, 2)), 101.0)
    job.interrupted("killed")
    job.done(done(), 104.0)
    assert [type(event) for event in await job.take()] == [Prefilled, TextDelta, Resumed, Generated]


async def test_refused_before_any_event_it_is_an_exception_afterwards_an_event():
    early, late = generation(), generation()
    late.add(Chunk(id=1, tokens=(1,), text="a"), 101.0)
    for job in (early, late):
        job.refuse(EngineUnavailable("gone"))
    assert await early.take() == []
    assert isinstance(early.refusal, EngineUnavailable)
    assert [event.__class__.__name__ for event in await late.take()] == ["TextDelta", "Failed"]


async def test_there_is_exactly_one_end():
    job = generation()
    job.expire(105.0)
    job.done(done(), 106.0)
    job.fail(EngineUnavailable("gone"))
    (end,) = await job.take()
    assert isinstance(end, Generated)
    assert end.finish_reason == "deadline"


async def test_reader_waits_until_there_is_something():
    job = generation()
    reading = asyncio.create_task(job.take())
    await asyncio.sleep(0)
    job.add(Chunk(id=1, tokens=(1,)), 101.0)
    await asyncio.sleep(0)
    assert not reading.done()
    job.add(Chunk(id=1, tokens=(2,), text="x"), 101.0)
    assert await reading == [TextDelta(text="x")]


def test_shape_has_counts_and_parameters_and_no_text():
    shape = generation(stop=("secret",), max_tokens=5).shape()
    assert shape["prompt_characters"] == 2
    assert (shape["max_tokens"], shape["stops"]) == (5, 1)
    assert "Hi" not in repr(shape)
    assert "secret" not in repr(shape)
