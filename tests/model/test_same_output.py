"""Whatever way the work is cut up, greedy output stays the same: batched or alone, cached or cold, forced or sampled,
interrupted or not, from a file or from its copy in another layout.

Floating-point sums round differently with the shape of a batch, so log-probabilities are compared, not texts alone:
exactly where llama.cpp computes every row alike, else within a factor of how far the bare library's own move on this
machine (bare_noise.py). Texts may part only where that much decides between two tokens.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.messages import Constraint, Prompt, Sampling, Segment
from smidgen.models import gguf
from smidgen.models.relayout import plan, write

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Record = Callable[..., Awaitable[Any]]
NewAgreement = Callable[..., Any]
MODELS = ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma-3-270m"]
TEXTS: dict[str, Any] = json.loads(Path(__file__).with_name("texts.json").read_text("utf-8"))
PROMPTS: list[str] = TEXTS["prompts"]


def repeated(preamble: dict[str, Any]) -> str:
    return preamble["sentence"] * preamble["times"]


def prompt(text: str) -> Prompt:
    return (Segment(text),)


def test_llama_cpp_itself_is_exact_where_smidgen_has_to_be(
    noise: Callable[[str, bool], Any], agreement: NewAgreement
) -> None:
    tolerance = agreement(MODELS[0], few_rows=True).tolerance
    assert all(one <= most for one, most in zip(noise(MODELS[0], True), tolerance, strict=True))


@pytest.mark.parametrize("model", MODELS)
async def test_batched_equals_single(
    open_engine: OpenEngine, model: str, record: Record, agreement: NewAgreement
) -> None:
    async with open_engine(model) as engine:
        alone: list[Any] = []
        for text in PROMPTS:
            await engine.clear_cache()
            alone.append(await record(engine, text))
        await engine.clear_cache()
        together = await asyncio.gather(*(record(engine, text) for text in PROMPTS))
    pairs = agreement(model, few_rows=True)
    for one, many in zip(alone, together, strict=True):
        pairs.compare(one, many)
    pairs.check(least_equal=2)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("batch", [32, 512])
async def test_a_cached_prefix_equals_a_cold_one(
    open_engine: OpenEngine, model: str, batch: int, record: Record, agreement: NewAgreement
) -> None:
    preamble = repeated(TEXTS["preamble"])
    again, shared = agreement(model, few_rows=batch < 64), agreement(model, few_rows=batch < 64)
    async with open_engine(model, batch=batch) as engine:
        length = len(await engine.tokenize(prompt(preamble)))
        for text in PROMPTS:
            await engine.clear_cache()
            cold = await record(engine, preamble + text)
            assert cold.generated.usage.cached_tokens == 0
            warm = await record(engine, preamble + text)
            assert warm.generated.usage.cached_tokens >= warm.generated.usage.prompt_tokens - 1
            again.compare(cold, warm)
            await engine.clear_cache()
            await record(engine, preamble + "Zebras", max_tokens=2)
            branched = await record(engine, preamble + text)
            assert length - 2 <= branched.generated.usage.cached_tokens <= length
            shared.compare(cold, branched)
    again.check(least_equal=2)
    shared.check(least_equal=2)


@pytest.mark.parametrize("swa_full", [True, False])
async def test_sliding_window_memory_shares_prefixes_with_and_without_rewind(
    open_engine: OpenEngine, swa_full: bool, record: Record, agreement: NewAgreement
) -> None:
    model, preamble = "gemma-3-270m", repeated(TEXTS["preamble_beyond_the_window"])
    pairs = agreement(model)
    async with open_engine(model, swa_full=swa_full) as engine:
        assert engine.info.can_rewind is swa_full
        cold = [await record(engine, preamble + text) for text in PROMPTS[:4]]
        assert cold[0].generated.usage.prompt_tokens > 700, "longer than the window, or nothing is shown"
        await engine.clear_cache()
        together = await asyncio.gather(*(record(engine, preamble + text) for text in PROMPTS[:4]))
        usages = [one.generated.usage for one in together]
        prefilled = sum(usage.prompt_tokens - usage.cached_tokens for usage in usages)
        assert prefilled < cold[0].generated.usage.prompt_tokens + 80
        for one, many in zip(cold, together, strict=True):
            pairs.compare(one, many)
        pairs.check(least_equal=0)
        again = (await record(engine, preamble + PROMPTS[0])).generated.usage
        assert again.cached_tokens >= again.prompt_tokens - 1


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
async def test_forced_tokens_equal_sampled_ones(
    open_engine: OpenEngine, model: str, record: Record, agreement: NewAgreement
) -> None:
    made: dict[bool, list[Any]] = {}
    for forced in (True, False):
        async with open_engine(model, forced_tokens=forced) as engine:
            made[forced] = []
            for order in ORDERS:
                await engine.clear_cache()
                made[forced].append(await record(engine, order, constraint=WEATHER, max_tokens=80))
        assert all(json.loads(one.text)["unit"] in ("celsius", "fahrenheit") for one in made[forced])
        assert all((one.generated.usage.forced_tokens > 5) is forced for one in made[forced])
    pairs = agreement(model, few_rows=True)
    for one, other in zip(made[True], made[False], strict=True):
        # Forced text is tokenised canonically; the model may split it otherwise, and then goes on differently.
        if one.generated.usage.completion_tokens == other.generated.usage.completion_tokens and one.text == other.text:
            pairs.compare_sampled(one, other)
    pairs.check(least_equal=len(ORDERS) - 1)


@pytest.mark.parametrize("model", MODELS[:2])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, seed=11)], ids=["greedy", "sampled"])
async def test_resumed_equals_uninterrupted(
    open_engine: OpenEngine, model: str, sampling: Sampling, record: Record, agreement: NewAgreement
) -> None:
    greedy = sampling.temperature == 0.0
    pairs = agreement(model, few_rows=True)
    async with open_engine(model) as engine:
        for text in PROMPTS[:4]:
            await engine.clear_cache()
            whole = await record(engine, text, sampling=sampling, max_tokens=40)
            await engine.clear_cache()
            resumed = await record(engine, text, sampling=sampling, max_tokens=40, kill_after=20)
            assert 0 < resumed.resumed_after < 40, "the worker was not killed in the middle"
            pairs.compare(whole, resumed, greedy=greedy)
    pairs.check(least_equal=2 if greedy else 0)  # a draw parts at any token, not at ties alone


async def test_a_copy_in_another_layout_equals_the_file(
    open_engine: OpenEngine,
    model_file: Callable[[str], Any],
    tmp_path: Path,
    record: Record,
    agreement: NewAgreement,
) -> None:
    model = "qwen2.5-coder-0.5b"
    source, copy = Path(model_file(model).path), tmp_path / "copy.gguf"
    relayout = plan(gguf.read(source))
    assert relayout is not None
    with copy.open("wb") as file:
        deque(write(source, relayout, file), maxlen=0)
    made: list[list[Any]] = []
    for path in (source, copy):
        async with open_engine(model, path=str(path)) as engine:
            made.append([await record(engine, text) for text in PROMPTS])
    pairs = agreement(model, few_rows=True)
    for one, other in zip(*made, strict=True):
        pairs.compare(one, other)
    pairs.check(least_equal=4)
