import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from smidgen.config import Config
from smidgen.errors import DeadlineExceeded, EngineCrashed, ErrorInfo, InvalidRequest, ModelNotPulled
from smidgen.events import Failed, Generated, Notice, TextDelta
from smidgen.messages import Constraint, Message, Segment
from smidgen.runtime.runtime import Runtime

New = Callable[[], Runtime]


def test_blocking_generate_gives_text_usage_and_warnings(new_runtime: New) -> None:
    with new_runtime() as runtime:
        generation = runtime.generate("Count")
    assert (generation.text, str(generation)) == ("one two three",) * 2
    assert (generation.model, generation.finish_reason, generation.usage.completion_tokens) == ("small", "stop", 3)
    assert generation.warnings == ("The context was made smaller.",)


def test_a_string_is_continued_as_it_stands_and_messages_are_templated(new_runtime: New, engine: Any) -> None:
    with new_runtime() as runtime:
        runtime.generate("<end> Count")
        runtime.generate([{"role": "user", "content": "Count"}], stop=["!"])
        runtime.generate([Message(role="user", content="Count")])
    plain, chat, _ = engine.requests
    assert plain.prompt == (Segment("<end> Count", special=False),)
    assert plain.stop == ()
    assert chat.prompt == (Segment("user: Count\n"),)
    assert chat.stop == ("<end>", "!")


def test_options_change_single_fields_and_the_configuration_gives_the_rest(
    new_runtime: New, engine: Any, clock: Any
) -> None:
    with new_runtime() as runtime:
        runtime.generate("a", temperature=0.0, seed=4, schema={"type": "object"})
        runtime.generate("a", max_tokens=5, timeout_s=0, constraint=Constraint(kind="regex", source="a+"))
    first, second = engine.requests
    assert (first.sampling.temperature, first.sampling.seed, first.max_tokens, first.timeout_s) == (0.0, 4, 99, 7)
    assert first.constraint == Constraint(kind="json_schema", source='{"type": "object"}')
    assert (second.sampling.temperature, second.max_tokens, second.timeout_s) == (0.5, 5, None)
    assert second.constraint.kind == "regex"


def test_schema_and_constraint_together_are_refused(new_runtime: New) -> None:
    with new_runtime() as runtime, pytest.raises(InvalidRequest, match="Both"):
        runtime.generate("a", schema={}, constraint=Constraint(kind="regex", source="a"))


def test_notices_of_a_load_are_told_once(new_runtime: New) -> None:
    with new_runtime() as runtime:
        first, second = (list(runtime.stream("a")) for _ in range(2))
    assert isinstance(first[0], Notice)
    assert not any(isinstance(event, Notice) for event in second)
    assert isinstance(second[-1], Generated)


def test_a_failed_stream_raises_its_typed_error(new_runtime: New, engine: Any) -> None:
    engine.error = ErrorInfo(code="engine_crashed", message="Twice.", fault="system")
    with new_runtime() as runtime:
        with pytest.raises(EngineCrashed, match="Twice"):
            runtime.generate("a")
        assert isinstance(list(runtime.stream("a"))[-1], Failed)


def test_leaving_a_blocking_stream_early_cancels_the_request(new_runtime: New, engine: Any) -> None:
    engine.pause = 0.01
    with new_runtime() as runtime:
        for event in runtime.stream("a"):
            if isinstance(event, TextDelta):
                break
        runtime.embed("wait for the loop")
    assert engine.cancelled == 1


async def test_opened_in_a_loop_everything_runs_on_it(new_runtime: New, engine: Any) -> None:
    async with new_runtime() as runtime:
        assert (await runtime.agenerate("a")).text == "one two three"
        texts = [event.text async for event in runtime.astream("a") if isinstance(event, TextDelta)]
    assert texts == ["one ", "two ", "three"]
    assert engine.loops == {id(asyncio.get_running_loop())}
    assert engine.closed == 1


async def test_a_runtime_with_its_own_loop_can_be_awaited_in_any_other(new_runtime: New, engine: Any) -> None:
    runtime = new_runtime()
    try:
        assert (await runtime.agenerate("a")).text == "one two three"
        assert [type(event).__name__ async for event in runtime.astream("a")][-1] == "Generated"
        assert (await runtime.aembed(["a", "b"])).dimensions == 2
    finally:
        await runtime.aclose()
    assert id(asyncio.get_running_loop()) not in engine.loops


async def test_cancelling_an_await_from_another_loop_cancels_the_request(new_runtime: New, engine: Any) -> None:
    engine.pause = 10
    runtime = new_runtime()
    try:
        task = asyncio.create_task(runtime.agenerate("a"))
        await asyncio.to_thread(engine.started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await runtime.aembed("wait for the loop")
        assert engine.cancelled == 1
    finally:
        await runtime.aclose()


async def test_blocking_methods_refuse_to_block_a_loop(new_runtime: New) -> None:
    async with new_runtime() as runtime:
        with pytest.raises(InvalidRequest, match="inside a running event loop"):
            runtime.generate("a")
        with pytest.raises(InvalidRequest, match="inside a running event loop"):
            next(runtime.stream("a"))


def test_many_threads_may_block_at_once(new_runtime: New) -> None:
    said: list[str] = []
    with new_runtime() as runtime:
        threads = [threading.Thread(target=lambda: said.append(runtime.generate("a").text)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert said == ["one two three"] * 8


def test_closing_frees_the_models_once_and_ends_the_thread(new_runtime: New, engine: Any) -> None:
    before = threading.active_count()
    runtime = new_runtime().open()
    runtime.generate("a")
    runtime.close()
    runtime.close()
    assert (engine.closed, threading.active_count()) == (1, before)
    with pytest.raises(InvalidRequest, match="closed"):
        runtime.generate("a")


def test_scores_are_of_choices_unless_said_otherwise(new_runtime: New, engine: Any) -> None:
    with new_runtime() as runtime:
        assert runtime.score("a", ["x", "y"]).logprobs == (0.0, -1.0)
        runtime.score([{"role": "user", "content": "a"}], ["x"], normalize="none", model="other")
    assert [request.normalize for request in engine.requests] == ["choices", "none"]


def test_embedding_takes_one_text_or_many(new_runtime: New) -> None:
    with new_runtime() as runtime:
        assert len(runtime.embed("a").vectors) == 1
        assert len(runtime.embed(["a", "b"]).vectors) == 2


@pytest.mark.parametrize("messages", [[{"role": "robot"}], [{"content": "a"}], [3], [{"role": "user", "content": 3}]])
def test_messages_of_the_wrong_shape_are_refused(new_runtime: New, messages: Any) -> None:
    with new_runtime() as runtime, pytest.raises(InvalidRequest, match="can't be used"):
        runtime.generate(messages)


async def test_a_lease_is_for_the_home_loop_only(new_runtime: New) -> None:
    runtime = new_runtime().open()
    try:
        with pytest.raises(InvalidRequest, match="on the loop"):
            async with runtime.lease():
                pass
    finally:
        await runtime.aclose()


def test_another_model_can_be_named_per_call(new_runtime: New, models: Any) -> None:
    with new_runtime() as runtime:
        assert runtime.generate("a", model="big").model == "big"
        assert runtime.load() == "small"
    assert models.asked == ["big", "small"]


async def test_close_of_a_runtime_on_an_adopted_loop_is_refused_and_names_aclose(new_runtime: New, engine: Any) -> None:
    async with new_runtime() as runtime:
        with pytest.raises(InvalidRequest, match="event loop") as refused:
            runtime.close()
        assert "aclose" in refused.value.hint
        assert (await runtime.agenerate("a")).text == "one two three"
    assert engine.closed == 1
    runtime.close()
    assert engine.closed == 1


def test_close_inside_a_loop_is_refused_and_can_be_done_outside(new_runtime: New, engine: Any) -> None:
    runtime = new_runtime().open()

    async def inside() -> None:
        runtime.close()

    with pytest.raises(InvalidRequest, match="inside a running event loop"):
        asyncio.run(inside())
    assert (engine.closed, runtime.closed) == (0, False)
    runtime.close()
    assert (engine.closed, runtime.closed) == (1, True)


def test_embedding_has_the_configured_time(new_runtime: New, engine: Any, clock: Any) -> None:
    with new_runtime() as runtime:
        runtime.embed("a")
    assert engine.timeouts == [7]


def test_the_time_that_the_model_took_is_gone_for_the_request(
    new_runtime: New, models: Any, engine: Any, clock: Any
) -> None:
    async def slowly() -> None:
        clock.now += 3

    models.loading = slowly
    with new_runtime() as runtime:
        runtime.generate("a", timeout_s=10)
        runtime.generate("a", timeout_s=0)
        runtime.score("a", ["x"])
        runtime.embed("a")
    assert [request.timeout_s for request in engine.requests] == [7, None, 4]
    assert engine.timeouts == [4]


def test_a_model_that_took_all_the_time_leaves_none_for_the_request(
    new_runtime: New, models: Any, engine: Any, clock: Any
) -> None:
    async def slowly() -> None:
        clock.now += 7

    models.loading = slowly
    with new_runtime() as runtime, pytest.raises(DeadlineExceeded):
        runtime.generate("a")
    assert engine.requests == []


def test_a_model_that_is_not_ready_in_time_is_a_deadline_exceeded(models: Any, engine: Any) -> None:
    models.loading = lambda: asyncio.Event().wait()
    with Runtime(Config(model="small", timeout_s=0.05), models=models) as runtime:
        for call in (
            lambda: runtime.generate("a"),
            lambda: runtime.score("a", ["x"]),
            lambda: runtime.embed("a"),
        ):
            with pytest.raises(DeadlineExceeded, match=r"0\.05 s was reached before small was ready") as caught:
                call()
            assert (caught.value.retryable, caught.value.details) == (True, {"model": "small"})
        events = list(runtime.stream("a", model="big"))
    assert [type(event) for event in events] == [Failed]
    assert events[0].error.code == "deadline_exceeded"
    assert engine.requests == []


@pytest.mark.parametrize("seconds", [-1, float("nan"), 1e12, "soon"])
def test_a_time_limit_that_is_none_is_refused_before_anything_is_loaded(
    new_runtime: New, models: Any, seconds: Any
) -> None:
    with new_runtime() as runtime, pytest.raises(InvalidRequest, match="timeout_s"):
        runtime.generate("a", timeout_s=seconds)
    assert models.asked == []


def test_models_in_memory_are_told_kept_and_unloaded_on_the_home_loop(new_runtime: New, models: Any) -> None:
    with new_runtime() as runtime:
        assert runtime.held() == () and not runtime.unload()
        runtime.load()
        runtime.keep(None, 5)
        assert [(model.name, model.closes_in_s) for model in runtime.held()] == [("small", 5)]

        async def elsewhere() -> None:
            runtime.keep("small", None)
            assert [model.closes_in_s for model in runtime.held()] == [None]
            assert await runtime.aunload("small")

        asyncio.run(elsewhere())
        assert runtime.held() == () and not runtime.unload("small")
        assert {*models.loops} == {runtime.bridge.home()}


async def test_models_in_memory_are_told_at_once_on_the_loop_that_opened_the_runtime(
    new_runtime: New, models: Any
) -> None:
    async with new_runtime() as runtime:
        await runtime.aload()
        runtime.keep("small", 5)
        assert [model.closes_in_s for model in runtime.held()] == [5]
        assert await runtime.aunload()
        with pytest.raises(InvalidRequest, match="'a' in front"):
            runtime.unload()
    assert {*models.loops} == {asyncio.get_running_loop()}
    with pytest.raises(InvalidRequest, match="closed"):
        runtime.held()


def test_the_files_of_models_are_found_without_loading_them(new_runtime: New, models: Any) -> None:
    with new_runtime() as runtime:
        assert runtime.installed() == (runtime.resolve(),)
        with pytest.raises(ModelNotPulled):
            runtime.resolve("large")
    assert models.asked == []
