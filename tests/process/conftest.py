"""Real worker processes over the fake model. Everything opened through `start` is closed and checked to be gone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smidgen.engine.local import LocalEngine
from smidgen.events import EngineEvent, Failed, Generated, Notice, Resumed, TextDelta
from smidgen.messages import GenerateRequest, Segment
from smidgen.supervise.child import Child
from smidgen.supervise.plan import Limits
from smidgen.testing import FakeBackend
from smidgen.testing.backend import BOS, EOS
from smidgen.wire import LoadOptions

QUICK = Limits(
    progress_limit_s=2.0,
    load_limit_s=20.0,
    abort_grace_s=0.5,
    ping_every_s=0.3,
    close_grace_s=2.0,
    backoff_s=0.05,
    cool_down_s=1.0,
)


def is_running(pid: int) -> bool:
    """A zombie isn't running."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def greedy_text(prompt: str, count: int) -> str:
    """What the fake model answers greedily, worked out without any worker; the end of the answer is ignored."""
    backend = FakeBackend(LoadOptions(path="fake:"))
    tokens = [BOS, *backend.tokenize(prompt, True)]
    position, answer = 0, bytearray()
    while len(answer) < count:
        new = np.array(tokens[position:], dtype=np.int32)
        places = np.arange(position, len(tokens), dtype=np.int32)
        wants = np.zeros(len(new), dtype=np.int8)
        wants[-1] = 1
        backend.decode(new, places, [(0,)] * len(new), wants)
        logits = backend.logits(len(new) - 1)
        logits[EOS] = -np.inf
        position = len(tokens)
        tokens.append(int(logits.argmax()))
        answer.append(tokens[-1])
    return answer.decode()


class Answer:
    """A stream, read to its end."""

    def __init__(self, events: list[EngineEvent]) -> None:
        self.events = events
        self.text = "".join(event.text for event in events if isinstance(event, TextDelta))
        self.resumed = [event for event in events if isinstance(event, Resumed)]
        self.end = events[-1]

    @property
    def generated(self) -> Generated:
        assert isinstance(self.end, Generated), self.end
        assert self.end.text == self.text, "the terminal text is the concatenation of the deltas"
        return self.end

    @property
    def failed(self) -> Failed:
        assert isinstance(self.end, Failed), self.end
        return self.end


def request(prompt: str, count: int = 60, **changes: Any) -> GenerateRequest:
    return GenerateRequest(prompt=(Segment(prompt),), max_tokens=count, ignore_eos=True, **changes)


async def read(engine: LocalEngine, asked: GenerateRequest) -> Answer:
    return Answer([event async for event in engine.generate(asked)])


class Bench:
    """What the tests of this folder share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crashes = folder / "crashes"
        self.notices: list[Notice] = []
        self.engines: list[LocalEngine] = []
        self.pids: set[int] = set()

    request = staticmethod(request)
    read = staticmethod(read)
    greedy = staticmethod(greedy_text)
    is_running = staticmethod(is_running)
    quick = QUICK

    def engine(
        self,
        wishes: str = "",
        *,
        limits: Limits = QUICK,
        module: str = "smidgen.testing.worker",
        on_notice: Callable[[Notice], None] | None = None,
        spare: Child | None = None,
        **options: Any,
    ) -> LocalEngine:
        """An engine that isn't open. `wishes`: see smidgen.testing.worker; `once` counts the fault in a file."""
        if "once" in wishes:
            wishes = wishes.replace("once", f"times=1&counter={self.folder / f'count{len(self.engines)}'}")
        engine = LocalEngine(
            f"fake{len(self.engines)}",
            LoadOptions(path=f"fake:{wishes}", **{"pace_s": 0.0, **options}),
            limits=limits,
            worker_module=module,
            crash_folder=self.crashes,
            on_notice=on_notice or self.notices.append,
            spare=spare,
        )
        self.engines.append(engine)
        return engine

    async def start(self, wishes: str = "", **keywords: Any) -> LocalEngine:
        engine = self.engine(wishes, **keywords)
        await engine.open()
        return engine


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    before = _children()  # servers of other tests
    yield bench
    pids = [engine.pid for engine in bench.engines]
    for engine in bench.engines:
        await engine.aclose()
    assert not [pid for pid in pids if pid is not None and is_running(pid)], "a worker outlived its engine"
    assert not _children() - before, "a child wasn't reaped"


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended since has none
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


@pytest.fixture
def wait_for() -> Callable[..., Any]:
    async def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        import asyncio

        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it didn't come true in time"
            await asyncio.sleep(0.02)

    return wait_for


@pytest.fixture
def own_pid() -> int:
    return os.getpid()
