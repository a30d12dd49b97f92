"""What `scripts/soak.py` does with a thousand streams, with fifty."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from smidgen.events import EngineEvent, Generated, Resumed, TextDelta
from smidgen.messages import Timings, Usage

SCRIPT = Path(__file__).parents[2] / "scripts" / "soak.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
async def test_fifty_streams_end_as_uninterrupted_though_their_workers_are_killed_again_and_again(
    script: ModuleType,
) -> None:
    outcome = await script.soak(50, group=10, kills=4)
    assert len(outcome.interruptions) == 50
    assert outcome.different == ()
    assert outcome.left == ()
    assert min(outcome.interruptions) >= 2
    assert outcome.deaths == len(outcome.notice_s) >= 15


class Saying:
    """An engine whose worker dies after each of these texts, and that believes it has said "abc"."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    async def generate(self, asked: Any) -> AsyncIterator[EngineEvent]:
        for text in self._texts:
            yield TextDelta(text=text)
            yield Resumed(cause="killed", after_tokens=len(text))
        yield Generated(text="abc", finish_reason="stop", usage=Usage(), timings=Timings())


@pytest.mark.parametrize(("texts", "whole"), [(("ab", "c"), True), (("ab", "bc"), False), (("a", "c"), False)])
async def test_a_gap_or_a_repeat_would_be_seen(script: ModuleType, texts: tuple[str, ...], whole: bool) -> None:
    reading = script.Reading(script.asyncio.Event())
    await reading.read(Saying(*texts), None)
    assert reading.is_whole("abc") is whole
    assert (reading.interruptions, reading.is_whole("abd")) == (2, False)
