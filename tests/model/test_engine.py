"""The engine on real models, from the parent's side."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.errors import ConstraintError, ContextOverflow
from smidgen.events import Generated, TextDelta
from smidgen.messages import Constraint, GenerateRequest, Prompt, Sampling, ScoreRequest, Segment
from smidgen.models.library import ModelFile

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Write = Callable[..., Awaitable[Generated]]
PREAMBLE = "You are a helpful assistant. You answer in one short sentence and you never make anything up. " * 20


def prompt(text: str, special: bool = True) -> Prompt:
    return (Segment(text, special),)


@pytest.mark.parametrize("model", ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma-3-270m"])
async def test_greedy_equals_llama_cpps_own_greedy(
    open_engine: OpenEngine,
    model_file: Callable[[str], ModelFile],
    model: str,
    record: Callable[..., Awaitable[Any]],
    recorded: Callable[..., Any],
    agreement: Callable[..., Any],
) -> None:
    texts = ["The capital of France is", "def add(a, b):\n    return", "Once upon a time", "Largest planet:"]
    script = Path(__file__).with_name("bare_greedy.py")
    bare = await asyncio.create_subprocess_exec(
        sys.executable, str(script), model_file(model).path, "24", stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    output, _ = await bare.communicate(json.dumps(texts).encode())
    pairs = agreement(model, few_rows=True)
    async with open_engine(model) as engine:
        for text, rows in zip(texts, json.loads(output), strict=True):
            await engine.clear_cache()
            pairs.compare(await record(engine, text, ignore_eos=False), recorded(rows))
    pairs.check(least_equal=len(texts))


async def test_requests_that_share_a_preamble_prefill_it_once(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=4096) as engine:
        preamble = len(await engine.tokenize(prompt(PREAMBLE)))
        tails = [f"Question {number}: what is {number} plus {number * 7}?" for number in range(16)]
        made = await asyncio.gather(*(write(engine, PREAMBLE + tail, max_tokens=4) for tail in tails))
        prefilled = sum(one.usage.prompt_tokens - one.usage.cached_tokens for one in made)
        least = preamble + sum(one.usage.prompt_tokens - preamble for one in made)
        assert prefilled <= least * 1.05
        assert (await engine.stats())["prefilled_tokens"] == prefilled


async def test_a_prompt_longer_than_a_batch_is_chunked_not_cut(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=4096) as engine:
        await engine.clear_cache()
        before = (await engine.stats())["steps"]
        made = await write(engine, PREAMBLE * 8, max_tokens=1)
        assert made.usage.prompt_tokens > 2500
        steps = (await engine.stats())["steps"] - before
        assert steps == math.ceil(made.usage.prompt_tokens / 512)


async def test_a_prompt_over_the_context_says_by_how_much(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=512) as engine:
        with pytest.raises(ContextOverflow) as caught:
            await write(engine, PREAMBLE * 2)
        details = caught.value.details
        assert details["context_tokens"] == 512
        assert details["over_by"] == details["prompt_tokens"] + 1 - 512
        assert (await write(engine, "Hello")).text


async def test_generation_ends_with_length_when_the_context_is_full(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=256) as engine:
        made = await write(engine, "one two three", max_tokens=None, ignore_eos=True)
        assert made.finish_reason == "length"
        assert made.usage.prompt_tokens + made.usage.completion_tokens == 256


async def test_more_requests_than_cells_all_finish(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=256) as engine:
        texts = [f"Story number {number}: once upon a time" for number in range(6)]
        made = await asyncio.gather(*(write(engine, text, max_tokens=90, ignore_eos=True) for text in texts))
        assert [one.usage.completion_tokens for one in made] == [90] * 6
        assert (await engine.stats())["preemptions"] > 0


async def test_stop_strings_end_the_text_and_are_not_shown(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine() as engine:
        whole = (await write(engine, "1, 2, 3, 4, 5,", max_tokens=30)).text
        made = await write(engine, "1, 2, 3, 4, 5,", max_tokens=30, stop=(" 9", "zzz"))
        assert made.finish_reason == "stop"
        assert made.stop_string == " 9"
        assert made.text == whole.split(" 9")[0]


async def test_emoji_and_other_scripts_arrive_whole(open_engine: OpenEngine) -> None:
    async with open_engine("qwen2.5-coder-0.5b") as engine:
        text = "Repeat exactly: 日本語 👩‍👩‍👧 naïve 😀😃😄\nRepeat exactly: 日本語 👩‍👩‍👧 naïve 😀😃😄\nRepeat exactly:"
        request = GenerateRequest(prompt=prompt(text), max_tokens=40)
        shown = [event.text async for event in engine.generate(request) if isinstance(event, TextDelta)]
        assert "�" not in "".join(shown)
        assert "日本語 👩‍👩‍👧" in "".join(shown)


async def test_a_spelled_control_token_is_plain_text_when_not_special(open_engine: OpenEngine) -> None:
    async with open_engine() as engine:
        assert len(await engine.tokenize(prompt("<|im_end|>", special=True))) == 1
        plain = await engine.tokenize(prompt("<|im_end|>", special=False))
        assert len(plain) > 1
        assert await engine.detokenize(plain) == "<|im_end|>"


async def test_a_tool_tag_spelled_by_a_user_is_plain_text_too(open_engine: OpenEngine) -> None:
    async with open_engine("qwen2.5-coder-0.5b") as engine:
        (tag,) = await engine.tokenize(prompt("<tool_call>"))
        plain = await engine.tokenize(prompt("a <tool_call> b", special=False))
        assert tag not in plain
        assert await engine.detokenize(plain) == "a <tool_call> b"


async def test_a_context_of_any_size_can_be_filled(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine(context=300) as engine:
        made = await write(engine, "one two three", max_tokens=None, ignore_eos=True)
        assert made.usage.prompt_tokens + made.usage.completion_tokens == engine.context
        assert engine.restarts == 0


async def test_the_grammar_table_is_the_same_when_made_beside_a_stream(
    open_engine: OpenEngine, write: Write, tmp_path: Path
) -> None:
    yes_or_no = Constraint(kind="json_schema", source='{"type": "boolean"}')
    tables: list[bytes] = []
    for name in ("calm", "busy"):
        async with open_engine("qwen2.5-coder-0.5b", vocab_cache=str(tmp_path / name)) as engine:
            beside = [write(engine, "List all countries: Albania,", max_tokens=50)] if name == "busy" else []
            await asyncio.gather(write(engine, "true or false: ", constraint=yes_or_no), *beside)
    for name in ("calm", "busy"):
        (table,) = sorted((tmp_path / name).iterdir())
        tables.append(table.read_bytes())
    assert tables[0] == tables[1]


async def test_a_score_near_the_end_of_the_context_takes_several_passes(open_engine: OpenEngine) -> None:
    async with open_engine(context=512) as engine:
        text = "word " * 480
        candidates = tuple(f" {first} and {second}" for first in ("red", "blue", "green") for second in range(20))
        scored = await engine.score(ScoreRequest(prompt=prompt(text), candidates=candidates))
        assert len(scored.logprobs) == 60 and all(value < 0 for value in scored.logprobs)


async def test_streams_and_cancellations_go_on_while_a_long_text_is_embedded(
    open_engine: OpenEngine, write: Write
) -> None:
    async with open_engine(context=4096) as engine:
        long = asyncio.ensure_future(engine.embed((PREAMBLE * 8,)))
        await asyncio.sleep(0.1)
        story = await write(engine, "Once upon a time", max_tokens=5)
        assert story.usage.completion_tokens == 5
        assert not long.done(), "the stream came between"
        assert (await long).dimensions == engine.info.embedding_size


async def test_a_deadline_ends_the_answer_with_what_there_is(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine() as engine:
        await write(engine, "Once upon a time", max_tokens=2)
        made = await write(engine, "Once upon a time", max_tokens=1500, ignore_eos=True, timeout_s=0.7)
        assert made.finish_reason == "deadline"
        assert made.text


async def test_closing_a_stream_stops_its_decoding(open_engine: OpenEngine) -> None:
    async with open_engine() as engine:
        request = GenerateRequest(prompt=prompt("Once upon a time"), max_tokens=1500, ignore_eos=True)
        stream = engine.generate(request)
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()  # pyright: ignore
        await asyncio.sleep(0.5)  # the worker has read the cancellation by then
        stats = await engine.stats()
        assert stats["running"] == 0
        assert stats["sampled_tokens"] < 100


async def test_scores_agree_with_the_models_own_log_probabilities(open_engine: OpenEngine) -> None:
    async with open_engine() as engine:
        text = "The capital of France is"
        candidates = (" Paris", " London", " the", " a small town")
        scored = await engine.score(ScoreRequest(prompt=prompt(text), candidates=candidates))
        request = GenerateRequest(prompt=prompt(text), max_tokens=1, logprobs=20)
        deltas = [event async for event in engine.generate(request) if isinstance(event, TextDelta)]
        top = dict(deltas[0].logprobs[0].top)
        assert scored.logprobs[0] == pytest.approx(top[" Paris"], abs=0.05)
        assert scored.logprobs[2] == pytest.approx(top[" the"], abs=0.05)
        assert scored.token_counts[3] == 3
        among = await engine.score(ScoreRequest(prompt=prompt(text), candidates=candidates, normalize="choices"))
        assert sum(math.exp(value) for value in among.logprobs) == pytest.approx(1.0, abs=1e-3)


async def test_many_candidates_are_scored_beside_running_streams(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine() as engine:
        text = "Pick a number:"
        candidates = tuple(f" number {first} and {second}" for first in range(20) for second in range(15))
        alone = await engine.score(ScoreRequest(prompt=prompt(text), candidates=candidates))
        story, scored = await asyncio.gather(
            write(engine, "Once upon a time", max_tokens=60),
            engine.score(ScoreRequest(prompt=prompt(text), candidates=candidates)),
        )
        assert story.text == (await write(engine, "Once upon a time", max_tokens=60)).text
        assert scored.logprobs == pytest.approx(alone.logprobs, abs=0.3)


async def test_embeddings_put_like_beside_like(open_engine: OpenEngine, write: Write) -> None:
    texts = ("How do I reset my password?", "I forgot my password, how can I change it?", "Bananas are yellow fruit.")
    async with open_engine() as engine:
        made = await engine.embed(texts)
        assert made.dimensions == engine.info.embedding_size == len(made.vectors[0])

        def cosine(a: int, b: int) -> float:
            return sum(x * y for x, y in zip(made.vectors[a], made.vectors[b], strict=True))

        assert cosine(0, 0) == pytest.approx(1.0, abs=1e-3)
        assert cosine(0, 1) > cosine(0, 2)
        one = await engine.embed(texts[1:2])
        assert one.vectors[0] == pytest.approx(made.vectors[1], abs=1e-4)
        assert (await write(engine, "The capital of France is")).text.startswith(" Paris")


async def test_a_schema_that_can_not_be_enforced_fails_alone(open_engine: OpenEngine, write: Write) -> None:
    async with open_engine() as engine:
        bad = Constraint(kind="json_schema", source='{"not": {"type": "object"}}')
        good = Constraint(kind="json_schema", source='{"type": "boolean"}')
        results = await asyncio.gather(
            write(engine, "x", constraint=bad),
            write(engine, "true or false: ", constraint=good),
            return_exceptions=True,
        )
        assert isinstance(results[0], ConstraintError | AssertionError)
        assert isinstance(results[1], Generated) and results[1].text in ("true", "false")


async def test_the_same_seed_gives_the_same_text_alone_and_in_company(open_engine: OpenEngine, write: Write) -> None:
    warm = Sampling(temperature=0.9, seed=42)
    async with open_engine() as engine:
        alone = await write(engine, "My favourite animal is", sampling=warm)
        company = await asyncio.gather(
            write(engine, "My favourite animal is", sampling=warm),
            write(engine, "My favourite colour is", sampling=Sampling(temperature=0.9, seed=43)),
        )
        other = await write(engine, "My favourite animal is", sampling=Sampling(temperature=0.9, seed=7))
        assert company[0].text[:10] == alone.text[:10]
        assert other.text != alone.text
