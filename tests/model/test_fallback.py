"""Chains and cascades over real small models: how sure they are is told, and one gives room to the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import smidgen
from smidgen.config import Config
from smidgen.events import Finished, StepStarted, TextDelta, Verified
from smidgen.models.library import ModelFile
from smidgen.patterns.fallback import Agreement, Cascade, Fallback, Refusal, Rules, Way, YesNo
from smidgen.patterns.fallback.checks import Matches
from smidgen.patterns.plain import Direct

SMALL, OTHER = "smollm2-135m", "gemma-3-270m"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def models(model_file: Callable[[str], ModelFile], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (SMALL, OTHER):
        model_file(name)
    monkeypatch.setenv("SMIDGEN_TUNED", "off")


def short(model: str, temperature: float | None = 0) -> Direct:
    return Direct(model=model, name=model, temperature=temperature, max_tokens=12)


@pytest.mark.parametrize("sure", [0.0, 1.01])
async def test_the_first_is_asked_and_the_specialist_only_if_it_is_not_sure(sure: float) -> None:
    cascade = Cascade(first=short(SMALL), then=short(OTHER), sure=sure)
    async with smidgen.Runtime(Config(model=SMALL, audit="off", context=512)) as runtime:
        events = [event async for event in smidgen.Agent(runtime=runtime, pattern=cascade).astream("Say hello.")]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.model == (SMALL if sure == 0 else OTHER)
    assert end.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    (told,) = [event.reason for event in events if isinstance(event, Verified)]
    assert 0 < float(told.split()[0]) <= 1, "the likelihood of real tokens"


@pytest.mark.parametrize("by", [YesNo(), Agreement()], ids=lambda by: by.name)
async def test_other_tests_of_confidence_work_with_a_real_model(by: YesNo | Agreement) -> None:
    cascade = Cascade(first=short(SMALL, temperature=None), then=short(OTHER), by=by, sure=0.5)
    async with smidgen.Runtime(Config(model=SMALL, audit="off", context=512)) as runtime:
        events = [event async for event in smidgen.Agent(runtime=runtime, pattern=cascade).astream("Is water wet?")]
    assert isinstance(events[-1], Finished)
    (told,) = [event.reason for event in events if isinstance(event, Verified)]
    assert 0 <= float(told.split()[0]) <= 1
    assert "could not be told" not in told


async def test_a_chain_down_to_the_refusal() -> None:
    never = Matches(regex="this is never said")
    chain = Fallback(
        ways=(
            Way(pattern=Rules(tools=("calculator",))),
            Way(pattern=short(SMALL), check=never),
            Way(pattern=Direct(model=SMALL, prompt="One word: {request}", max_tokens=4), check=never, name="one word"),
            Way(pattern=Refusal()),
        )
    )
    async with smidgen.Runtime(Config(model=SMALL, audit="off", context=512)) as runtime:
        agent = smidgen.Agent(runtime=runtime, pattern=chain)
        assert "391" in (await agent.arun("What is 17 * 23?")).text
        events = [event async for event in agent.astream("Say hello.")]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.strategy == "fallback: refusal"
    assert f"- {SMALL}: its answer was not accepted" in end.text and "- one word: " in end.text
    tried = [event.detail for event in events if isinstance(event, StepStarted) and event.action == "try"]
    assert tried == ["rules", SMALL, "one word", "refusal"]
    assert end.usage.completion_tokens > 0


async def test_two_models_that_do_not_fit_together_follow_each_other() -> None:
    async with smidgen.Runtime(Config(model=SMALL, audit="off", context=512)) as runtime:
        await runtime.agenerate("Hi", model=SMALL, max_tokens=1)
        await runtime.agenerate("Hi", model=OTHER, max_tokens=1)
        sizes = {model.name: model.bytes for model in runtime.held()}
    budget = max(sizes.values()) + min(sizes.values()) // 2
    cascade = Cascade(first=short(SMALL), then=short(OTHER), sure=1.01)
    config = Config(model=SMALL, audit="off", context=512, memory=budget)
    async with smidgen.Runtime(config) as runtime:
        answer = await smidgen.Agent(runtime=runtime, pattern=cascade, timeout_s=50).arun("Say hello.")
        assert [model.name for model in runtime.held()] == [OTHER]
    assert answer.model == OTHER
    assert not [told for told in answer.warnings if "isn't sure" in told]
