"""What models/memory.py estimates against what a worker then takes.

Counted: resident bytes of the worker process, all mappings of /proc/PID/smaps added up as benchmarks/resident.py does:
the model file's pages, code, heap, KV cache, compute buffers and repacked weights. Asked before counting: a prompt
of four fifths of the context, and a constrained answer, whose table of the vocabulary the estimate includes.
Not asked: many streams at once, each of which makes a row of logits resident. After 48 of them and a constrained answer
a worker with gemma-3-270m and 2,048 cells took 607 MiB where 629 are estimated.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from smidgen.engine.local import LocalEngine
from smidgen.events import Generated
from smidgen.messages import Constraint, Segment
from smidgen.models import gguf, hardware
from smidgen.models.detect import detect
from smidgen.models.library import ModelFile
from smidgen.models.memory import GRAMMAR_BYTES, GRAMMAR_BYTES_PER_TOKEN, estimate
from smidgen.models.relayout import plan
from smidgen.models.relayout import write as write_copy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="resident memory by mapping is read from /proc"),
]


def resident_bytes(pid: int) -> int:
    rows = re.findall(r"^Rss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps").read_text("utf-8"), re.MULTILINE)
    return 1024 * sum(map(int, rows))


@pytest.mark.parametrize("context", [1024, 3072])
@pytest.mark.parametrize(
    ("model", "as_copy"),
    [("smollm2-135m", False), ("qwen2.5-coder-0.5b", False), ("qwen2.5-coder-0.5b", True), ("gemma-3-270m", False)],
)
async def test_the_estimate_is_within_a_tenth_of_what_a_worker_takes(
    open_engine: Callable[..., AbstractAsyncContextManager[LocalEngine]],
    model_file: Callable[[str], ModelFile],
    write: Callable[..., Awaitable[Generated]],
    tmp_path: Path,
    model: str,
    as_copy: bool,
    context: int,
) -> None:
    path = Path(model_file(model).path)
    header = gguf.read(path)
    if as_copy:
        relayout = plan(header)
        assert relayout is not None
        header, source, path = relayout.header, path, tmp_path / "copy.gguf"
        with path.open("wb") as file:
            deque(write_copy(source, relayout, file), maxlen=0)
    facts = detect(header)
    expected = estimate(facts, header, context=context, simd=hardware.probe().simd)
    line = "The courier returns the signed form. "
    boolean = Constraint(kind="json_schema", source='{"type": "boolean"}')
    async with open_engine(model, path=str(path), context=context) as engine:
        per_line = len(await engine.tokenize((Segment(line * 100),))) / 100
        made = await write(engine, line * int(0.8 * context / per_line), max_tokens=16, ignore_eos=True)
        assert made.usage.prompt_tokens > 0.75 * context
        assert engine.pid is not None
        before = resident_bytes(engine.pid)
        await write(engine, "true or false: ", constraint=boolean)
        taken = resident_bytes(engine.pid)
    table = GRAMMAR_BYTES + GRAMMAR_BYTES_PER_TOKEN * facts.vocab_size
    assert table == pytest.approx(taken - before, rel=0.15), f"{(taken - before) / 2**20:.0f} MiB are the table's"
    assert expected.total == pytest.approx(taken, rel=0.1), f"{taken / 2**20:.0f} MiB are resident; {expected}"
