"""What a start in the sandbox adds, for each tier that holds here: `python benchmarks/sandbox.py [STARTS]`.

`true`, started plainly and in each tier, in turn. Prints medians in milliseconds and what is added, with the middle
half of the differences.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from smidgen.tools.sandbox import Job
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import candidates, probe


async def plainly() -> None:
    process = await asyncio.create_subprocess_exec(
        "true", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await process.communicate()


def within(sandbox: Sandbox) -> Callable[[], Awaitable[object]]:
    return lambda: sandbox.run(Job(argv=("true",)))


async def main(starts: int) -> None:
    ways: dict[str, Callable[[], Awaitable[object]]] = {"no sandbox": plainly}
    for sandbox in candidates():
        found = await probe(sandbox)
        if found.problem:
            print(f"{sandbox.tier} is left out: {found.problem}")
        else:
            ways[sandbox.tier] = within(sandbox)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(starts):
        for name, start in ways.items():
            begun = time.perf_counter()
            await start()
            taken[name].append(1000 * (time.perf_counter() - begun))
    for name, times in taken.items():
        added = [time - plain for time, plain in zip(times, taken["no sandbox"], strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        print(f"{name:11s} {statistics.median(times):6.1f} ms, added {middle:5.1f} ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
