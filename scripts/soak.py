"""Kill workers under streams, at random moments, and say what came of it: every stream must end with the text that it
has uninterrupted.

    .venv/bin/python scripts/soak.py [--streams 1000] [--seed 1]

The worker is the real one over a model of one token per byte (`smidgen.testing.worker`), so no model file is needed and
greedy and sampled texts are exact. Streams run in groups on one engine. A group's worker is killed with SIGKILL when
one of its streams, drawn by the seed, has got a number of tokens further, also drawn, at any phase of a step. In a
quarter of the cases its replacement is killed too, while it starts, loads or has just taken the streams over.

Every stream is told of CLEARED_AFTER times between two deaths, for one that isn't is rightly given up in the end
(see `smidgen.engine.quarantine`). Exit status 1 if a text differs or a process is left.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil

from smidgen.engine.local import LocalEngine
from smidgen.engine.quarantine import CLEARED_AFTER
from smidgen.events import Failed, Generated, Notice, Resumed, TextDelta
from smidgen.messages import GenerateRequest, Sampling, Segment
from smidgen.supervise.plan import Limits
from smidgen.wire import LoadOptions

WORKER = "smidgen.testing.worker"
LIMITS = Limits(restarts=1_000_000, load_restarts=1_000_000, max_backoff_s=0.0, window_s=1.0)
STEP_S = 0.003
STEPS_TOLD = 2
"""Steps that share a message, so that a death can take tokens with it that nobody was told of."""
SPREAD = 25
"""Tokens between the earliest and the latest moment of a death."""
RESTART_S = 0.4
"""A replacement is killed at most this long after its predecessor."""
TOKENS = 200
PROMPT_S = 0.05
NOTICE_S = 30.0
"""A death that isn't noticed within this long ends the soak."""
DRAWN = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """different: numbers of the streams whose text isn't that of an uninterrupted one. interruptions: per stream.
    notice_s: from each kill to the supervisor's notice that the worker is replaced, its crash report written. pause_s:
    from each kill, or pair of kills, to the first stream that went on. left: processes that still run at the end."""

    streams: int
    deaths: int
    different: tuple[int, ...]
    interruptions: tuple[int, ...]
    notice_s: tuple[float, ...]
    pause_s: tuple[float, ...]
    left: tuple[int, ...]

    @property
    def good(self) -> bool:
        return not self.different and not self.left


def request(number: int, tokens: int) -> GenerateRequest:
    """Every second stream is sampled, with a seed of its own; the others are greedy."""
    sampling = msgspec.structs.replace(DRAWN, seed=number) if number % 2 else Sampling()
    prompt = (Segment(f"stream {number}"),)
    return GenerateRequest(prompt=prompt, sampling=sampling, max_tokens=tokens, ignore_eos=True)


class Reading:
    """A stream while it is read. `fresh`: characters since the last death of its worker; `told`: in how many pieces."""

    def __init__(self, moved: asyncio.Event) -> None:
        self._moved = moved
        self.text = ""
        self.fresh = self.told = 0
        self.interruptions = 0
        self.resumed_at = 0.0
        self.end: Generated | Failed | None = None

    async def read(self, engine: LocalEngine, asked: GenerateRequest) -> None:
        async for event in engine.generate(asked):
            match event:
                case TextDelta(text=text):
                    self.text += text
                    self.fresh += len(text)
                    self.told += 1
                case Resumed():
                    self.fresh = self.told = 0
                    self.interruptions += 1
                    self.resumed_at = time.monotonic()
                case Generated() | Failed():
                    self.end = event
                case _:
                    pass
            self._moved.set()

    def is_whole(self, expected: str) -> bool:
        return isinstance(self.end, Generated) and self.end.text == self.text == expected


class Executioner:
    """Kills the worker of an engine, again and again, and takes the time until that is noticed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._noticed: asyncio.Future[float] | None = None
        self.pids: set[int] = set()
        self.notice_s: list[float] = []
        self.pause_s: list[float] = []

    def hear(self, notice: Notice) -> None:
        if notice.code == "worker_restarted" and self._noticed is not None and not self._noticed.done():
            self._noticed.set_result(time.monotonic())

    async def strike(self, engine: LocalEngine, readings: Sequence[Reading], moved: asyncio.Event, kills: int) -> None:
        draw = self._random
        for number in range(kills):
            least = CLEARED_AFTER + 1 if number else 0
            chosen, goal = draw.choice(readings), STEPS_TOLD * least + draw.randrange(SPREAD)

            def due(chosen: Reading = chosen, least: int = least, goal: int = goal) -> bool:
                others = all(reading.end or reading.told >= least for reading in readings)
                return others and (chosen.end is not None or chosen.fresh >= goal)

            await _until(due, moved)
            await asyncio.sleep(draw.random() * STEP_S)
            if all(reading.end for reading in readings):
                return
            killed_at = await self._kill(engine, readings)
            if draw.random() < 0.25:
                await asyncio.sleep(draw.random() * RESTART_S)
                killed_at = await self._kill(engine, readings) or killed_at

            def went_on(killed_at: float = killed_at) -> bool:
                return any(reading.resumed_at > killed_at for reading in readings)

            await _until(lambda went_on=went_on: went_on() or all(reading.end for reading in readings), moved)
            if went_on():
                self.pause_s.append(min(r.resumed_at for r in readings if r.resumed_at > killed_at) - killed_at)

    async def _kill(self, engine: LocalEngine, readings: Sequence[Reading]) -> float:
        """When it was killed; 0.0 if there is no process at the moment."""
        pid, killed_at = engine.pid, time.monotonic()
        if pid is None:
            return 0.0
        self.pids.add(pid)
        self._noticed = asyncio.get_running_loop().create_future()
        os.kill(pid, signal.SIGKILL)
        self.notice_s.append(await asyncio.wait_for(self._noticed, NOTICE_S) - killed_at)
        for reading in readings:
            reading.fresh = reading.told = 0
        return killed_at


async def _until(condition: Callable[[], bool], moved: asyncio.Event) -> None:
    while not condition():
        moved.clear()
        await moved.wait()


async def uninterrupted(numbers: Sequence[int], tokens: int) -> dict[int, str]:
    async with LocalEngine("quiet", LoadOptions(path="fake:"), limits=LIMITS, worker_module=WORKER) as engine:
        readings = {number: Reading(asyncio.Event()) for number in numbers}
        async with asyncio.TaskGroup() as together:
            for number, reading in readings.items():
                together.create_task(reading.read(engine, request(number, tokens)))
    return {number: reading.text for number, reading in readings.items()}


async def soak(streams: int, *, group: int = 20, kills: int = 4, tokens: int = TOKENS, seed: int = 1) -> Outcome:
    """streams: in all, `group` at once. kills: per group."""
    before = _children()
    executioner = Executioner(seed)
    different: list[int] = []
    interruptions: list[int] = []
    with tempfile.TemporaryDirectory() as crashes:
        engine = LocalEngine(
            "soaked",
            LoadOptions(path=f"fake:step={STEP_S}", pace_s=STEPS_TOLD * STEP_S),
            limits=LIMITS,
            worker_module=WORKER,
            crash_folder=Path(crashes),
            on_notice=executioner.hear,
        )
        async with engine:
            for first in range(0, streams, group):
                numbers = range(first, min(first + group, streams))
                expected = await uninterrupted(numbers, tokens)
                moved = asyncio.Event()
                readings = {number: Reading(moved) for number in numbers}
                async with asyncio.TaskGroup() as together:
                    together.create_task(executioner.strike(engine, tuple(readings.values()), moved, kills))
                    for number, reading in readings.items():
                        together.create_task(reading.read(engine, request(number, tokens)))
                interruptions += [reading.interruptions for reading in readings.values()]
                different += [n for n, reading in readings.items() if not reading.is_whole(expected[n])]
    left = (_children() - before) | {pid for pid in executioner.pids if psutil.pid_exists(pid)}
    return Outcome(
        streams=streams,
        deaths=engine.restarts,
        different=tuple(different),
        interruptions=tuple(interruptions),
        notice_s=tuple(executioner.notice_s),
        pause_s=tuple(executioner.pause_s),
        left=tuple(sorted(left)),
    )


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def _distribution(seconds: Sequence[float]) -> str:
    ordered = sorted(1000 * value for value in seconds)
    high = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"median {statistics.median(ordered):.1f} ms, 99 % {high:.1f} ms, longest {ordered[-1]:.1f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill workers under streams and check the texts.")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--group", type=int, default=20, help="streams at once")
    parser.add_argument("--kills", type=int, default=4, help="per group, and every fourth has a second one")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("smidgen").setLevel(logging.ERROR)
    outcome = asyncio.run(soak(arguments.streams, group=arguments.group, kills=arguments.kills, seed=arguments.seed))
    met = sum(outcome.interruptions)
    print(f"{outcome.streams} streams, {outcome.deaths} deaths of their workers, {met} interruptions")
    print(f"per stream: {min(outcome.interruptions)} to {max(outcome.interruptions)} interruptions")
    print(f"texts that differ: {list(outcome.different) or 'none'}; processes left: {list(outcome.left) or 'none'}")
    prompt = sum(seconds < PROMPT_S for seconds in outcome.notice_s)
    print(f"from kill to notice: {_distribution(outcome.notice_s)}")
    print(f"noticed in under {1000 * PROMPT_S:.0f} ms: {prompt} of {len(outcome.notice_s)}")
    print(f"from kill to the first stream that went on: {_distribution(outcome.pause_s)}")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
