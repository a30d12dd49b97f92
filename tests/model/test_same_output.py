"""Whatever way the work is cut up, greedy output stays the same: batched or alone, cached or cold, forced or sampled,
interrupted or not.

Floating-point sums differ in their last bits with the shape of a batch, so where two tokens are nearly equally likely
the choice may differ. The tests therefore compare the texts and, where one differs, demand that the two candidates at
the first difference were nearly equally likely (conftest.NEAR_TIE); they also bound how often that happens.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.events import Generated, Resumed, TextDelta
from smidgen.messages import Constraint, GenerateRequest, Prompt, Sampling, Segment

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Write = Callable[..., Awaitable[Generated]]
AssertSame = Callable[..., Awaitable[bool]]
MODELS = ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma-3-270m"]
PROMPTS = [
    "The capital of France is",
    "Once upon a time there was a small robot who",
    "def fibonacci(n):\n    ",
    "The three primary colours are",
    "Water boils at",
    "Dear Sir or Madam,\n\n",
    "1, 2, 3, 4, 5,",
    "Q: Who wrote Hamlet?\nA:",
]


def prompt(text: str) -> Prompt:
    return (Segment(text),)


@pytest.mark.parametrize("model", MODELS)
async def test_batched_equals_single(
    open_engine: OpenEngine, model: str, write: Write, assert_same: AssertSame
) -> None:
    async with open_engine(model) as engine:
        alone = []
        for text in PROMPTS:
            await engine.clear_cache()
            alone.append((await write(engine, text)).text)
        await engine.clear_cache()
        together = await asyncio.gather(*(write(engine, text) for text in PROMPTS))
        same = [
            await assert_same(engine, text, one, many.text)
            for text, one, many in zip(PROMPTS, alone, together, strict=True)
        ]
        assert sum(same) >= len(PROMPTS) / 2


@pytest.mark.parametrize("model", MODELS)
async def test_a_cached_prefix_equals_a_cold_one(
    open_engine: OpenEngine, model: str, write: Write, assert_same: AssertSame
) -> None:
    preamble = "You answer questions about cities, rivers and mountains in one short sentence. " * 6
    async with open_engine(model) as engine:
        same: list[bool] = []
        for text in PROMPTS:
            await engine.clear_cache()
            cold = await write(engine, preamble + text)
            assert cold.usage.cached_tokens == 0
            warm = await write(engine, preamble + text)
            assert warm.usage.cached_tokens >= warm.usage.prompt_tokens - 1
            same.append(await assert_same(engine, preamble + text, cold.text, warm.text))
        assert sum(same) >= len(PROMPTS) / 2


@pytest.mark.parametrize("swa_full", [True, False])
async def test_sliding_window_memory_shares_prefixes_with_and_without_rewind(
    open_engine: OpenEngine, swa_full: bool, write: Write, assert_same: AssertSame
) -> None:
    preamble = "Rivers, mountains and lakes are listed here with their lengths and heights. " * 60
    async with open_engine("gemma-3-270m", swa_full=swa_full) as engine:
        assert engine.info.can_rewind is swa_full
        cold = [await write(engine, preamble + text) for text in PROMPTS[:4]]
        assert cold[0].usage.prompt_tokens > 700, "longer than the window, or nothing is shown"
        await engine.clear_cache()
        together = await asyncio.gather(*(write(engine, preamble + text) for text in PROMPTS[:4]))
        prefilled = sum(one.usage.prompt_tokens - one.usage.cached_tokens for one in together)
        assert prefilled < cold[0].usage.prompt_tokens + 80
        for text, one, many in zip(PROMPTS, cold, together, strict=False):
            await assert_same(engine, preamble + text, one.text, many.text)
        again = await write(engine, preamble + PROMPTS[0])
        assert again.usage.cached_tokens >= again.usage.prompt_tokens - 1


WEATHER = Constraint(
    kind="json_schema",
    source=json.dumps(
        {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 30},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "days", "unit"],
            "additionalProperties": False,
        }
    ),
)
ORDERS = [
    "Weather in Paris for 3 days in celsius, as JSON:\n",
    "Give me the forecast for New York, 5 days, fahrenheit, as JSON:\n",
    "Wetter in München für 2 Tage in celsius, als JSON:\n",
    "weather tokyo 7 days celsius json:\n",
]


@pytest.mark.parametrize("model", MODELS)
async def test_forced_tokens_equal_sampled_ones(open_engine: OpenEngine, model: str, write: Write) -> None:
    texts: dict[bool, list[str]] = {}
    for forced in (True, False):
        async with open_engine(model, forced_tokens=forced) as engine:
            made = [await write(engine, order, constraint=WEATHER, max_tokens=80) for order in ORDERS]
            texts[forced] = [one.text for one in made]
            assert all(json.loads(text)["unit"] in ("celsius", "fahrenheit") for text in texts[forced])
            assert all((one.usage.forced_tokens > 5) is forced for one in made)
    same = [one == other for one, other in zip(texts[True], texts[False], strict=True)]
    # Forced text is tokenised canonically; the model may split it otherwise, and then go on differently (1 in 24).
    assert sum(same) >= len(ORDERS) - 1


@pytest.mark.parametrize("model", MODELS[:2])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, seed=11)], ids=["greedy", "sampled"])
async def test_resumed_equals_uninterrupted(
    open_engine: OpenEngine, model: str, sampling: Sampling, write: Write, assert_same: AssertSame
) -> None:
    async with open_engine(model) as engine:
        same: list[bool] = []
        for text in PROMPTS[:4]:
            await engine.clear_cache()
            whole = await write(engine, text, sampling=sampling, max_tokens=40)
            request = GenerateRequest(prompt=prompt(text), sampling=sampling, max_tokens=40)
            shown, resumed = "", 0
            async for event in engine.generate(request):
                if isinstance(event, TextDelta):
                    shown += event.text
                    if not resumed and len(shown) > 20 and engine.pid is not None:
                        os.kill(engine.pid, signal.SIGKILL)
                        resumed = -1
                elif isinstance(event, Resumed):
                    resumed = event.after_tokens
                elif isinstance(event, Generated):
                    assert event.text == shown
                    assert event.usage.completion_tokens <= 40
            assert resumed > 0, "the worker was not killed in the middle"
            if sampling.temperature:
                same.append(shown == whole.text)
            else:
                same.append(await assert_same(engine, text, whole.text, shown))
        assert sum(same) >= 2
