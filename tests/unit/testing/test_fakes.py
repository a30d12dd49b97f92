from __future__ import annotations

import numpy as np
import pytest

from smidgen.errors import DeadlineExceeded, EngineBusy, EngineUnavailable, InvalidRequest
from smidgen.events import Failed, Generated, Resumed
from smidgen.llama import NoRoom
from smidgen.messages import GenerateRequest, Segment
from smidgen.testing import ChaosEngine, FakeBackend, ScriptedEngine
from smidgen.testing.backend import BOS, IM_START
from smidgen.wire import LoadOptions


def asked(**changes: object) -> GenerateRequest:
    return GenerateRequest(prompt=(Segment("Hi"),), **changes)  # type: ignore[arg-type]


async def test_script_is_answered_in_order_and_its_end_is_said():
    engine = ScriptedEngine(["one", EngineBusy("later"), "two"])
    texts = []
    for _ in range(2):
        try:
            texts += [event.text async for event in engine.generate(asked()) if isinstance(event, Generated)]
        except EngineBusy:
            texts += [event.text async for event in engine.generate(asked()) if isinstance(event, Generated)]
    assert texts == ["one", "two"]
    with pytest.raises(EngineUnavailable, match="no answer left"):
        _ = [event async for event in engine.generate(asked())]
    assert len(engine.generated) == 4


async def test_script_can_be_a_function_of_the_request():
    engine = ScriptedEngine(lambda request: request.prompt[0].text.upper())
    events = [event async for event in engine.generate(asked())]
    assert isinstance(events[-1], Generated)
    assert events[-1].text == "HI"


async def test_chaos_follows_its_plan():
    engine = ChaosEngine(ScriptedEngine(lambda _: "a long answer"), plan=("crash", "resume", "busy"))
    crashed = [event async for event in engine.generate(asked())]
    assert isinstance(crashed[-1], Failed)
    resumed = [event async for event in engine.generate(asked())]
    assert any(isinstance(event, Resumed) for event in resumed)
    assert isinstance(resumed[-1], Generated)
    with pytest.raises(EngineBusy):
        _ = [event async for event in engine.generate(asked())]
    assert isinstance([event async for event in engine.generate(asked())][-1], Generated)
    assert engine.met == ["crash", "resume", "busy", "none"]


async def test_chaos_is_repeatable_by_seed():
    first, second = [ChaosEngine(ScriptedEngine(), rate=0.5, seed=3) for _ in range(2)]
    for engine in (first, second):
        for _ in range(30):
            try:
                await engine.tokenize(())
            except (EngineBusy, EngineUnavailable) as error:
                assert "chaos" in error.message
            except Exception as error:
                assert type(error).__name__ == "EngineCrashed"
    assert first.met == second.met
    assert set(first.met) > {"none"}


def backend(**options: int) -> FakeBackend:
    return FakeBackend(LoadOptions(path="fake:", **{"context": 16, "batch": 8, "sequences": 4, **options}))  # type: ignore[arg-type]


def decode(model: FakeBackend, tokens: list[int], start: int = 0, owners: tuple[int, ...] = (0,)) -> None:
    places = np.arange(start, start + len(tokens), dtype=np.int32)
    wants = np.zeros(len(tokens), dtype=np.int8)
    wants[-1] = 1
    model.decode(np.array(tokens, dtype=np.int32), places, [owners] * len(tokens), wants)


def test_control_tokens_are_parsed_only_when_special():
    model = backend()
    assert model.tokenize("<|im_start|>a", True) == [IM_START, 97]
    assert model.tokenize("<|im_start|>", False) == list(b"<|im_start|>")
    assert (model.piece(97), model.piece(IM_START)) == (b"a", b"")


def test_cells_are_shared_by_copies_and_freed_by_the_last_owner():
    model = backend()
    decode(model, [1, 2, 3, 4])
    model.copy(0, 1, 3)
    assert (model.cells_used, model.length(1), model.held(1)) == (4, 3, (1, 2, 3))
    model.drop(0)
    assert model.cells_used == 3
    model.drop(1, 1)
    assert (model.cells_used, model.length(1)) == (1, 1)


def test_full_cache_has_no_room_and_nothing_changed():
    model = backend()
    decode(model, list(range(8)))
    decode(model, list(range(8)), 8)
    with pytest.raises(NoRoom):
        decode(model, [1], 16)
    assert (model.cells_used, model.length(0)) == (16, 16)


def test_logits_depend_on_the_sequence_alone():
    one, two = backend(), backend()
    decode(one, [BOS, 72, 105])
    decode(two, [BOS, 72], 0, (2,))
    decode(two, [105], 2, (2,))
    assert np.array_equal(one.logits(2), two.logits(0))
    assert 32 <= int(one.logits(2).argmax()) < 127


@pytest.mark.parametrize(
    "wrong",
    [
        lambda model: decode(model, list(range(9))),
        lambda model: decode(model, [1], 5),
        lambda model: decode(model, [100_000]),
        lambda model: decode(model, [-1]),
        lambda model: decode(model, [1], 0, (4,)),
        lambda model: decode(model, [1], 0, ()),
        lambda model: model.logits(0),
        lambda model: model.piece(-1),
        lambda model: model.copy(0, 0, 0),
        lambda model: model.copy(0, 1, 5),
        lambda model: model.drop(0, -1),
        lambda model: model.length(99),
        lambda model: list(model.embed([])),
    ],
)
def test_what_kills_the_real_library_is_refused(wrong):
    with pytest.raises(InvalidRequest):
        wrong(backend())


async def test_slowness_by_chaos_counts_against_a_timeout():
    engine = ChaosEngine(ScriptedEngine(), plan=("slow",) * 3, delay_s=60.0)
    with pytest.raises(DeadlineExceeded):
        await engine.embed(("one",), timeout_s=0.01)
    with pytest.raises(DeadlineExceeded):
        await engine.tokenize((Segment("Hi"),), timeout_s=0.01)
    with pytest.raises(DeadlineExceeded):
        await engine.detokenize((72,), timeout_s=0.01)
    assert await engine.detokenize((72,), timeout_s=60.0) == "H"
    with pytest.raises(InvalidRequest, match="timeout_s"):
        await engine.embed(("one",), timeout_s=-1.0)
