"""Starting, watching, ending and reporting on worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from smidgen.errors import (
    ContextOverflow,
    DeadlineExceeded,
    EngineBusy,
    EngineUnavailable,
    InvalidRequest,
    ModelLoadFailed,
)
from smidgen.messages import ScoreRequest, Segment
from smidgen.supervise import reports
from smidgen.supervise.child import Child
from smidgen.supervise.supervisor import Supervisor
from smidgen.wire import LoadOptions

PARENT = """
    import asyncio, sys
    from smidgen.engine.local import LocalEngine
    from smidgen.messages import GenerateRequest, Segment
    from smidgen.wire import LoadOptions

    async def main():
        module = "smidgen.testing.worker"
        engines = [LocalEngine("a", LoadOptions(path=path), worker_module=module) for path in sys.argv[1:]]
        for engine in engines:
            await engine.open()
        print(*(engine.pid for engine in engines), flush=True)
        request = GenerateRequest(prompt=(Segment("x"),), ignore_eos=True)
        async for event in engines[-1].generate(request):
            pass

    asyncio.run(main())
"""


async def test_no_worker_outlives_a_killed_parent(bench, wait_for):
    parent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", textwrap.dedent(PARENT), "fake:", "fake:step=0.01", "fake:fault=spin@token:3"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
        assert len(pids) == 3
        assert all(bench.is_running(pid) for pid in pids)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    await wait_for(lambda: not any(bench.is_running(pid) for pid in pids), 1.0)


async def test_close_leaves_no_process_even_if_the_worker_hangs(bench):
    idle, hung = await bench.start(), await bench.start("fault=deaf@token:3")
    stream = hung.generate(bench.request("Hi"))
    await anext(aiter(stream))
    await asyncio.sleep(0.2)
    pids = [idle.pid, hung.pid]
    await asyncio.gather(idle.aclose(), hung.aclose())
    assert not any(bench.is_running(pid) for pid in pids)
    await hung.aclose()
    with pytest.raises(EngineUnavailable, match="closed"):
        await bench.read(idle, bench.request("Hi"))
    await stream.aclose()


async def test_close_while_opening(bench):
    engine = bench.engine("fault=slow@load&seconds=30")
    opening = asyncio.create_task(engine.open())
    await asyncio.sleep(0.5)
    await engine.aclose()
    with pytest.raises(EngineUnavailable):
        await opening


async def test_streams_end_with_a_typed_error_when_the_engine_is_closed(bench):
    engine = await bench.start("step=0.01")
    reading = asyncio.create_task(bench.read(engine, bench.request("Hi", 1000)))
    await asyncio.sleep(0.3)
    await engine.aclose()
    assert (await reading).failed.error.code == "engine_unavailable"


async def test_refusal_to_open_is_raised_and_not_tried_again(bench):
    engine = bench.engine("refuse=model_load_failed")
    with pytest.raises(ModelLoadFailed):
        await engine.open()
    assert engine.restarts == 0
    assert engine.pid is None


async def test_requests_before_open_are_refused(bench):
    engine = bench.engine()
    with pytest.raises(EngineUnavailable, match="open"):
        await bench.read(engine, bench.request("Hi"))


async def test_worker_of_another_version_is_refused(bench, monkeypatch):
    monkeypatch.setenv("SMIDGEN_FAKE", "fault=version@start")
    with pytest.raises(EngineUnavailable, match="protocol version 999"):
        await bench.start()


async def test_slow_start_is_waited_for(bench, monkeypatch):
    monkeypatch.setenv("SMIDGEN_FAKE", "fault=slow@start&seconds=1.5")
    await bench.start("fault=slow@load&seconds=1.5")


async def test_module_that_is_not_a_worker(bench):
    with pytest.raises(EngineUnavailable, match="exited with status"):
        await bench.start(module="this")


@pytest.mark.parametrize("kind", ["flood", "noise"])
@pytest.mark.parametrize("point", ["load", "token:5"])
async def test_output_of_native_code_neither_blocks_nor_corrupts(bench, kind, point):
    engine = await bench.start(f"fault={kind}@{point}&once")
    answer = await bench.read(engine, bench.request("Tell me"))
    assert answer.generated.text == bench.greedy("Tell me", 60)
    assert engine.restarts == 0


async def test_worker_out_of_memory_is_replaced(bench):
    engine = await bench.start("fault=memory@token:5&once", memory_limit=4 << 30)
    answer = await bench.read(engine, bench.request("Tell me"))
    assert answer.generated.text == bench.greedy("Tell me", 60)


async def test_crash_report_has_the_stack_and_shapes_but_no_text(bench):
    engine = await bench.start("fault=segv@token:20&once")
    await bench.read(engine, bench.request("my secret", stop=("another secret",)))
    (path,) = bench.crashes.glob("*.json")
    report = reports.read(path)
    assert (report.signal, report.status, report.phase) == ("SIGSEGV", -signal.SIGSEGV, "serving")
    assert "Segmentation fault" in report.stack
    assert "string_at" in report.stack
    (shape,) = report.requests
    assert (shape["kind"], shape["prompt_tokens"]) == ("generate", 10)
    assert 1 <= shape["emitted_tokens"] <= 19, "the worker tells of the first at once and of the others in bundles"
    assert shape["sampling"]["temperature"] == 0.0
    assert "secret" not in path.read_text()
    assert bench.greedy("my secret", 19) not in json.dumps(shape)


async def test_hung_worker_leaves_the_stack_of_where_it_hung(bench):
    engine = await bench.start("fault=spin@token:20&once")
    await bench.read(engine, bench.request("Hi"))
    (path,) = bench.crashes.glob("*.json")
    report = reports.read(path)
    assert report.signal == "SIGABRT"
    assert "_spin" in report.stack
    assert "no progress" in report.cause


async def test_python_exception_in_the_worker_is_reported_with_its_traceback(bench):
    engine = await bench.start("fault=raise@token:20&once")
    await bench.read(engine, bench.request("Hi"))
    (path,) = bench.crashes.glob("*.json")
    report = reports.read(path)
    assert report.status == 70
    assert "RuntimeError: a fault was asked for" in report.stack


async def test_crash_is_noticed_at_the_end_of_the_socket(bench, wait_for):
    """The figure to keep is 50 ms; what is checked is that no timer is involved."""
    import msgspec

    limits = msgspec.structs.replace(bench.quick, ping_every_s=1000.0, progress_limit_s=1000.0)
    engine = await bench.start(limits=limits)
    pid = engine.pid
    os.kill(pid, signal.SIGKILL)
    await wait_for(lambda: engine.pid != pid, 10.0)


async def test_what_the_worker_started_ends_with_it(bench, wait_for):
    engine = await bench.start("fault=offspring@token:5")
    await bench.read(engine, bench.request("Hi", 10))
    group = engine.pid
    members = _members(group)
    assert len(members) == 2
    os.kill(group, signal.SIGKILL)
    await wait_for(lambda: not any(bench.is_running(pid) for pid in members))


def _members(group: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _group(path) == group]


def _group(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[2])
    except OSError:
        return 0


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_closing_a_stream_cancels_it_in_the_worker(bench, wait_for):
    engine = await bench.start("step=0.005")
    stream = engine.generate(bench.request("Hi", 3000))
    async for _ in stream:
        break
    assert (await engine.stats())["running"] == 1
    await stream.aclose()
    assert (await engine.stats())["running"] == 0


async def test_cancelling_the_reader_cancels_the_request(bench):
    engine = await bench.start("step=0.005")
    task = asyncio.create_task(bench.read(engine, bench.request("Hi", 3000)))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await engine.stats())["running"] == 0


async def test_full_queue_is_said_at_once(bench):
    engine = await bench.start("step=0.01", max_queue=2)
    running = [asyncio.create_task(bench.read(engine, bench.request("Hi", 30))) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(EngineBusy):
        await bench.read(engine, bench.request("Hi", 5))
    for task in running:
        assert (await task).generated
    assert (await bench.read(engine, bench.request("Hi", 5))).generated


async def test_too_long_a_prompt_raises_before_any_event(bench):
    engine = await bench.start(context=64)
    with pytest.raises(ContextOverflow) as caught:
        await bench.read(engine, bench.request("x" * 100, 5))
    assert caught.value.details["over_by"] > 0


async def test_invalid_request_raises_without_being_iterated(bench):
    engine = await bench.start()
    with pytest.raises(InvalidRequest, match="max_tokens"):
        engine.generate(bench.request("Hi", 0))


async def test_deadline_ends_a_stream_with_what_it_has(bench):
    engine = await bench.start("step=0.01")
    answer = await bench.read(engine, bench.request("Hi", 3000, timeout_s=0.5))
    assert answer.generated.finish_reason == "deadline"
    assert bench.greedy("Hi", 300).startswith(answer.generated.text)


async def test_deadline_counts_across_restarts(bench):
    engine = await bench.start("step=0.01&fault=kill@token:20&once")
    answer = await bench.read(engine, bench.request("Hi", 3000, timeout_s=2.0))
    assert answer.generated.finish_reason == "deadline"
    whole = answer.generated.timings
    assert whole.queue_s + whole.prefill_s + whole.decode_s < 4.0


async def test_deadline_holds_while_there_is_no_worker(bench):
    engine = await bench.start("fault=stop@token:5&once")
    answer = await bench.read(engine, bench.request("Hi", 3000, timeout_s=0.3))
    assert answer.generated.finish_reason == "deadline"
    assert answer.generated.usage.completion_tokens == len(answer.text) == 4


async def test_deadline_of_a_score(bench):
    engine = await bench.start("fault=sleep@prefill&once")
    asked = ScoreRequest(prompt=(Segment("Pick"),), candidates=("yes", "no"), timeout_s=0.3)
    with pytest.raises(DeadlineExceeded):
        await engine.score(asked)


async def test_the_other_questions(bench):
    engine = await bench.start()
    tokens = await engine.tokenize((Segment("Hi"),))
    assert tokens == (256, 72, 105)
    assert await engine.detokenize(tokens) == "Hi"
    assert await engine.render_native((("user", "Hi"),)) == ("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    embedded = await engine.embed(("one", "two"))
    assert (len(embedded.vectors), embedded.dimensions) == (2, 16)
    await bench.read(engine, bench.request("Hi " * 30, 5))
    assert (await engine.stats())["idle_prefixes"] > 0
    assert (await engine.clear_cache())["idle_prefixes"] == 0


async def test_files_in_the_current_folder_are_not_imported_by_the_worker(bench, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    for name in ("argparse", "queue", "faulthandler", "numpy", "llama_cpp"):
        (tmp_path / f"{name}.py").write_text(f"open({str(ran)!r}, 'w').close()\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    engine = await bench.start()
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)
    assert not ran.exists()


async def test_listener_that_raises_stops_nothing(bench, caplog):
    def listen(notice):
        raise RuntimeError("the listener is broken")

    engine = bench.engine("fault=kill@token:20&once", on_notice=listen)
    await engine.open()
    answer = await asyncio.wait_for(bench.read(engine, bench.request("Tell me")), 20)
    assert answer.generated.text == bench.greedy("Tell me", 60)
    assert "the listener is broken" in caplog.text


class Broken:
    """A consumer that can't bear crashes."""

    def __init__(self):
        self.opens = asyncio.Queue()

    def opened(self, info):
        self.opens.put_nowait(info)

    def received(self, message):
        pass

    def crashed(self, crash):
        raise RuntimeError("the consumer is broken")

    def unavailable(self, error):
        pass

    def shapes(self):
        return []


async def test_worker_is_replaced_even_if_its_consumer_raises(bench, caplog):
    consumer = Broken()
    options = LoadOptions(path="fake:")
    supervisor = Supervisor(
        "fake", options, consumer, limits=bench.quick, module="smidgen.testing.worker", crash_folder=None
    )
    try:
        supervisor.want()
        await asyncio.wait_for(consumer.opens.get(), 20)
        os.kill(supervisor.pid, signal.SIGKILL)
        await asyncio.wait_for(consumer.opens.get(), 20)
    finally:
        await supervisor.aclose()
    assert "the consumer is broken" in caplog.text


async def test_deadline_of_the_other_questions(bench):
    engine = await bench.start(
        "fault=sleep@prefill&once", limits=msgspec.structs.replace(bench.quick, progress_limit_s=30.0)
    )
    stream = asyncio.create_task(bench.read(engine, bench.request("Hi", 5)))
    await asyncio.sleep(0.2)  # the worker sleeps in the prefill and answers nothing
    for question in (
        engine.tokenize((Segment("Hi"),), timeout_s=0.1),
        engine.detokenize((72, 105), timeout_s=0.1),
        engine.embed(("one",), timeout_s=0.1),
    ):
        with pytest.raises(DeadlineExceeded):
            await asyncio.wait_for(question, 10)
    for timeout_s in (0, -1, float("nan")):
        with pytest.raises(InvalidRequest, match="timeout_s"):
            await engine.embed(("one",), timeout_s=timeout_s)
    stream.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stream


async def started_ahead():
    spare = Child("smidgen.testing.worker")
    await spare.start()
    return spare


async def test_worker_started_ahead_is_the_engines_first(bench, wait_for):
    spare = await started_ahead()
    await asyncio.sleep(0.5)  # its greeting comes before anybody listens
    engine = await bench.start(spare=spare)
    assert (engine.pid, engine.restarts) == (spare.pid, 0)
    os.kill(spare.pid, signal.SIGKILL)
    await wait_for(lambda: engine.restarts == 1)
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)
    assert engine.pid != spare.pid


async def test_worker_started_ahead_that_died_is_replaced(bench):
    spare = await started_ahead()
    os.kill(spare.pid, signal.SIGKILL)
    await asyncio.sleep(0.2)
    engine = await bench.start(spare=spare)
    assert engine.pid != spare.pid
    assert (await bench.read(engine, bench.request("Hi", 5))).generated.text == bench.greedy("Hi", 5)


async def test_worker_started_ahead_ends_with_an_engine_that_was_never_opened(bench):
    spare = await started_ahead()
    await bench.engine(spare=spare).aclose()
    assert not bench.is_running(spare.pid)
