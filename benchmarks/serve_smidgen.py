"""`smidgen serve` in a process of its own, for the benchmarks that ask it over HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def serving(model: str, *arguments: str, **environment: str) -> AsyncIterator[tuple[str, int]]:
    """Its address, without a slash at the end, and the number of its process. It listens on a free port; its log is
    read, so that it never waits for that."""
    command = [sys.executable, "-m", "smidgen", "serve", "--model", model, "--port", "0", *arguments]
    settings = {**os.environ, "SMIDGEN_AUDIT": "off", "SMIDGEN_TUNED": "off", **environment}
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE, env=settings)
    assert process.stderr is not None
    try:
        while not (found := re.match(rb"listening on (http://\S+)", line := await process.stderr.readline())):
            if not line:
                raise SystemExit("smidgen didn't start")
        log = asyncio.create_task(process.stderr.read())
        yield found[1].decode(), process.pid
        process.terminate()
        await log
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
