"""What smidgen keeps in memory while a model is open: `python resident.py MODEL THREADS CONTEXT`. Linux; prints JSON.

Resident bytes of this process and of its worker, from /proc/PID/smaps, by what the pages are: the mapped model file,
other mapped files (code), and the rest (heap, KV cache, compute buffers, repacked weights).
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from smidgen.engine.local import LocalEngine
from smidgen.messages import GenerateRequest, Segment
from smidgen.wire import LoadOptions

MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(?P<path>.*)$")


def resident(pid: int, model: Path) -> dict[str, int]:
    """Bytes by kind."""
    sums = {"model_file": 0, "other_files": 0, "anonymous": 0}
    kind = "anonymous"
    for line in Path(f"/proc/{pid}/smaps").read_text("utf-8").splitlines():
        if found := MAPPING.match(line):
            path = found["path"]
            kind = "model_file" if path == str(model) else "other_files" if path.startswith("/") else "anonymous"
        elif line.startswith("Rss:"):
            sums[kind] += int(line.split()[1]) * 1024
    return sums


async def main(model: Path, threads: int, context: int) -> None:
    options = LoadOptions(path=str(model), threads=threads, context=context)
    async with LocalEngine(model.name, options) as engine:
        text = "The courier returns the signed form. " * 100
        request = GenerateRequest(prompt=(Segment(text),), max_tokens=32, ignore_eos=True)
        async for _ in engine.generate(request):
            pass
        assert engine.pid is not None
        print(json.dumps({"parent": resident(os.getpid(), model), "worker": resident(engine.pid, model)}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve(), int(sys.argv[2]), int(sys.argv[3])))
