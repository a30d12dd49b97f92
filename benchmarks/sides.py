"""The two sides that are always there: smidgen's engine, asked from this process, and the bare loop in another one."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.engine.local import LocalEngine
from smidgen.errors import SmidgenError
from smidgen.events import Failed, Generated, Prefilled
from smidgen.messages import GenerateRequest, Prompt, Segment, Usage
from smidgen.wire import LoadOptions

BATCH = 512


@dataclass(frozen=True)
class Ran:
    """`first_s` from the request to its first token, `after_first_s` from there to the end, as the caller sees them."""

    text: str
    usage: Usage
    first_s: float
    after_first_s: float

    @property
    def total_s(self) -> float:
        return self.first_s + self.after_first_s

    @property
    def prefilled(self) -> int:
        return self.usage.prompt_tokens - self.usage.cached_tokens


def prompt_of(text: str) -> Prompt:
    return (Segment(text),)


class Ours:
    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    async def count(self, text: str) -> int:
        return len(await self.engine.tokenize(prompt_of(text)))

    async def run(self, text: str, new_tokens: int, **more: Any) -> Ran:
        request = GenerateRequest(prompt=prompt_of(text), max_tokens=new_tokens, **more)
        started = time.perf_counter()
        first = started
        async for event in self.engine.generate(request):
            if isinstance(event, Prefilled):
                first = time.perf_counter()
            elif isinstance(event, Generated):
                return Ran(event.text, event.usage, first - started, time.perf_counter() - first)
            elif isinstance(event, Failed):
                raise event.error.to_exception()
        raise SmidgenError("The stream ended without a terminal event.")

    async def forget(self) -> None:
        await self.engine.clear_cache()


@asynccontextmanager
async def our_engine(model: Path, threads: int, context: int) -> AsyncIterator[Ours]:
    options = LoadOptions(path=str(model), threads=threads, context=context, batch=BATCH)
    async with LocalEngine(model.name, options) as engine:
        yield Ours(engine)


class Bare:
    """bare.py in its own process; see there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, **request: Any) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        if request:
            stdin.write(json.dumps(request).encode() + b"\n")
            await stdin.drain()
        line = await stdout.readline()
        if not line:
            raise RuntimeError("the bare loop ended")
        return json.loads(line)

    async def run(self, prompt: str, new_tokens: int) -> dict[str, Any]:
        return await self.ask(do="run", prompt=prompt, new_tokens=new_tokens)


@asynccontextmanager
async def bare_loop(model: Path, threads: int, context: int) -> AsyncIterator[Bare]:
    script = str(Path(__file__).parent / "bare.py")
    argv = [sys.executable, script, str(model), str(threads), str(context), str(BATCH)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, limit=1 << 22)
    bare = Bare(process)
    try:
        await bare.ask()
        yield bare
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
