"""What a start in the sandbox adds, and what a warm interpreter spares: `python benchmarks/sandbox.py [STARTS]`.

For each tier that holds here. First `true`, started plainly and in each tier, in turn: medians in milliseconds and what
is added, with the middle half of the differences. Then a program of one line, in turn by a bare `python -c` without a
sandbox, by a Python that is started for it in the tier, and by a pool of warm ones: medians, with the middle half, and
how many times as long as the pool each of them takes, as the median of the rounds' ratios. Before each program for the
pool there is a pause, so that the pool has filled up again; what that costs is outside of the figure.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from smidgen.tools.programs.interpreter import Interpreter
from smidgen.tools.programs.pool import Pool
from smidgen.tools.sandbox import Job
from smidgen.tools.sandbox.box import Sandbox
from smidgen.tools.sandbox.probe import candidates, probe

PROGRAM = "print(sum(range(10)))"
PRINTED = "45\n"
PAUSE_S = 0.15
"""Two interpreters take less than that to start."""

Way = Callable[[], Awaitable[object]]


async def plainly(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return output.decode()


def within(sandbox: Sandbox) -> Way:
    return lambda: sandbox.run(Job(argv=("true",)))


async def holding() -> list[Sandbox]:
    found: dict[str, Sandbox] = {}
    for sandbox in candidates():
        if problem := (await probe(sandbox)).problem:
            print(f"{sandbox.tier} is left out: {problem}")
        else:
            found.setdefault(sandbox.tier, sandbox)
    return list(found.values())


async def starts(sandboxes: list[Sandbox], rounds: int) -> None:
    ways: dict[str, Way] = {"no sandbox": lambda: plainly("true")}
    ways.update((sandbox.tier, within(sandbox)) for sandbox in sandboxes)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, start in ways.items():
            begun = time.perf_counter()
            await start()
            taken[name].append(1000 * (time.perf_counter() - begun))
    for name, times in taken.items():
        added = [time - plain for time, plain in zip(times, taken["no sandbox"], strict=True)]
        low, middle, high = statistics.quantiles(added, n=4)
        print(f"{name:11s} {statistics.median(times):6.1f} ms, added {middle:5.1f} ({low:.1f} to {high:.1f})")


async def programs(sandbox: Sandbox, rounds: int) -> None:
    argv = (sys.executable, "-I", "-c", PROGRAM)
    pool = Pool(lambda: Interpreter.start(sandbox))

    async def bare() -> str:
        return await plainly(*argv)

    async def cold() -> str:
        return (await sandbox.run(Job(argv=argv))).output

    async def warm() -> str:
        return (await pool.run(PROGRAM)).output

    ways: dict[str, Callable[[], Awaitable[str]]] = {"bare": bare, "cold": cold, "warm": warm}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    try:
        await pool.fill()
        for _ in range(rounds):
            for name, run in ways.items():
                if name == "warm":
                    await asyncio.sleep(PAUSE_S)
                begun = time.perf_counter()
                printed = await run()
                taken[name].append(1000 * (time.perf_counter() - begun))
                assert printed == PRINTED, (name, printed)
                if name == "warm":
                    await asyncio.sleep(PAUSE_S)  # the next round's bare start isn't beside two that start
    finally:
        await pool.aclose()
    for name, times in taken.items():
        low, middle, high = statistics.quantiles(times, n=4)
        ratio = statistics.median(time / warm for time, warm in zip(times, taken["warm"], strict=True))
        print(f"{sandbox.tier} {name:5s} {middle:6.2f} ms ({low:.2f} to {high:.2f}), {ratio:5.1f} times the warm one's")


async def main(rounds: int) -> None:
    sandboxes = await holding()
    await starts(sandboxes, rounds)
    for sandbox in sandboxes:
        await programs(sandbox, rounds)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
