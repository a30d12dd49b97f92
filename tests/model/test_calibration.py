"""Measurements of a calibration on the smallest real model, with a handful of tasks."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest

from smidgen.agent import AgentModel
from smidgen.engine.local import LocalEngine
from smidgen.eval.calibrate.collect import Collector
from smidgen.eval.calibrate.sample import SUITE, calls_of, crowded, sample
from smidgen.eval.calibrate.score import in_manner, manner_of, score
from smidgen.eval.tasks.suite import Tasks
from smidgen.models import gguf
from smidgen.models.detect import detect
from smidgen.models.library import ModelFile
from smidgen.models.profiles import profile_for
from smidgen.models.template import ChatTemplate

pytestmark = [pytest.mark.model, pytest.mark.slow]

NAME = "smollm2-135m"
EMBEDDER = "all-minilm-l6-v2"


def ready(file: ModelFile, engine: LocalEngine) -> AgentModel:
    facts = detect(gguf.read(file.path))
    profile = profile_for(facts)
    template = ChatTemplate(facts.template, control_texts=facts.control_texts, fallback=profile.fallback)
    return AgentModel(name=file.name, engine=engine, profile=profile, template=template, info=engine.info)


async def test_calls_likelihoods_and_scores_of_a_real_model(
    model_file: Callable[[str], ModelFile], open_engine: Callable[..., AbstractAsyncContextManager[LocalEngine]]
) -> None:
    suite = Tasks.shipped(SUITE)
    tasks = sample(suite, 4)
    async with open_engine(NAME) as engine, open_engine(EMBEDDER, context=512, embeddings=True) as embedding:
        model = ready(model_file(NAME), engine)
        collector = Collector(model, ready(model_file(EMBEDDER), embedding))
        outcomes = [await collector.filled(name, tasks.single) for name in ("python_call", "hermes")]
        assert outcomes[0] == await collector.filled("python_call", tasks.single)
        assert all(0 < outcome.cost < 400 for found in outcomes for outcome in found)
        # So small a model gets few right; of these eighteen some.
        assert any(outcome.right for outcome in await collector.filled("python_call", sample(suite, 24).single))

        case = tasks.several[0]
        crowd = crowded([case], (*tasks.single, *tasks.several, *tasks.none))[0]
        await collector.embed([case, crowd])
        near = collector.similar(crowd)
        short = collector.short(crowd, 2, "nearest_first")
        assert [tool.name for tool in short] == sorted(near, key=lambda name: -near[name])[:2]
        told = await collector.told("python_call", crowd, short, begins=True, calls=calls_of(case.task.expect))
        assert told is not None
        assert sum(math.exp(value) for value in told.said) == pytest.approx(1.0, abs=1e-3)
        assert len(told.further) == len(case.task.expect)
        assert all(value < 0 for value in (told.begins, *told.further))

        manner = msgspec.structs.replace(manner_of(model), dialect="pythonic_list")
        assert in_manner(model, manner).profile.dialect == "pythonic_list"
        scored = await score(model, ready(model_file(EMBEDDER), embedding), manner, suite, tasks.held_back[:2])
        assert scored.n == 2
