"""Real models from the user's own store. `make test` pulls them; without them these tests are skipped with a reason."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.errors import SmidgenError
from smidgen.events import Generated, TextDelta
from smidgen.messages import GenerateRequest, ScoreRequest, Segment
from smidgen.models.library import Library, ModelFile
from smidgen.wire import LoadOptions

OpenEngine = Callable[..., AbstractAsyncContextManager[LocalEngine]]
Write = Callable[..., Awaitable[Generated]]
NEAR_TIE = 2.0
"""Nats per token between two continuations, for the files whose kernels depend on the batch's shape.

Measured over the eight prompts of test_same_output, alone against eight together, 24 tokens each: with SmolLM2 (Q4_1)
all logits are equal to the last bit. With Qwen2.5-Coder (Q4_K_M, repacked by llama.cpp, whose kernels for one row and
for several round differently) log-probabilities differ by 0.03 on the median and by 0.13 at most, and 3 of 8 texts
part, at gaps of 0.008, 0.05 and 0.66 nats between the two likeliest tokens."""
SMALLEST = "smollm2-135m"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/model" in item.path.as_posix():
            item.add_marker(pytest.mark.model)


@pytest.fixture(scope="session")
def model_file() -> Callable[[str], ModelFile]:
    library = Library()

    def find(name: str) -> ModelFile:
        try:
            return library.resolve(name)
        except SmidgenError:
            pytest.skip(f"{name} isn't on this computer: smidgen models pull {name}")

    return find


@pytest.fixture
def open_engine(model_file: Callable[[str], ModelFile], tmp_path_factory: pytest.TempPathFactory) -> OpenEngine:
    @asynccontextmanager
    async def opened(name: str = SMALLEST, **options: Any) -> AsyncIterator[LocalEngine]:
        found = model_file(name)
        engine_options = {key: options.pop(key) for key in ("limits", "crash_folder", "on_notice") if key in options}
        chosen = LoadOptions(
            path=found.path,
            sha256=found.sha256,
            threads=2,
            **{"context": 2048, "vocab_cache": str(tmp_path_factory.getbasetemp() / "vocabularies"), **options},
        )
        async with LocalEngine(name, chosen, **engine_options) as engine:
            yield engine

    return opened


async def _write(engine: LocalEngine, text: str, **fields: Any) -> Generated:
    request = GenerateRequest(prompt=(Segment(text),), **{"max_tokens": 24, **fields})
    events = [event async for event in engine.generate(request)]
    assert isinstance(events[-1], Generated), events[-1]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == events[-1].text
    return events[-1]


async def _assert_same(engine: LocalEngine, text: str, one: str, other: str) -> bool:
    if one == other:
        return True
    common = os.path.commonprefix([one, other])  # noqa: RUF071 (strings, not paths)
    common = common[: re.search(r"\s*\S*$", common).start()]  # pyright: ignore (words begin with their blank)
    first_words = [re.match(r"\s*\S*", text[len(common) :]) for text in (one, other)]
    tails = tuple(word.group() for word in first_words if word)
    assert all(tails), f"one output ends early: {one!r} / {other!r}"
    scored = await engine.score(ScoreRequest(prompt=(Segment(text + common),), candidates=tails))
    first, second = (total / count for total, count in zip(scored.logprobs, scored.token_counts, strict=True))
    assert abs(first - second) < NEAR_TIE, f"{one!r} and {other!r} differ, and it was no near tie: {scored}"
    return False


@pytest.fixture
def write() -> Write:
    """One completion, greedy and of 24 tokens unless told otherwise; checks that the deltas add up to the text."""
    return _write


@pytest.fixture
def assert_same() -> Callable[..., Awaitable[bool]]:
    """True if two continuations are equal, False if they part at a near tie; fails otherwise."""
    return _assert_same
