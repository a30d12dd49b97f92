"""Start-up, memory, and what a second turn costs. Figures of ours alone: each has a bound in itself."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import workload
from measurement import Measurement, alone
from sides import Ours, bare_loop

MB = 1_000_000
SMIDGEN = str(Path(sys.executable).with_name("smidgen"))


def seconds(argv: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def first_byte(argv: list[str], limit_s: float = 60) -> float:
    """Until the program's first byte of standard output, a terminal, so that it streams. Progress goes to stderr."""
    controller, terminal = pty.openpty()
    started = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.PIPE)
    os.close(terminal)
    try:
        readable, _, _ = select.select([controller], [], [], limit_s)
        elapsed = time.perf_counter() - started
        try:
            began = bool(readable and os.read(controller, 1))
        except OSError:  # Linux tells of the closed terminal this way
            began = False
        if not began:
            assert child.stderr is not None
            child.kill()
            raise RuntimeError(f"{' '.join(argv)} wrote nothing: {child.stderr.read().decode()[-500:]}")
        return elapsed
    finally:
        child.kill()
        child.communicate()
        os.close(controller)


def processes(small_model: Path | None, runs: int) -> list[Measurement]:
    """Each command once to warm the disk cache, then `runs` times; `python -c pass` for scale."""

    def repeated(name: str, argv: list[str], target: float, measure: object = seconds) -> Measurement:
        assert callable(measure)
        values = [measure(argv) for _ in range(runs + 1)][1:]
        return alone(name, "s", values, target, {"bare_interpreter_s": interpreter})

    idle = [sys.executable, "-c", "pass"]
    interpreter = round(sorted(seconds(idle) for _ in range(runs))[runs // 2], 4)
    lines = [
        repeated("smidgen --help", [SMIDGEN, "--help"], 0.15),
        repeated("import smidgen", [sys.executable, "-c", "import smidgen"], 0.1),
    ]
    if small_model:
        argv = [SMIDGEN, "run", "--model", str(small_model), "--no-tools", "--quiet", "Write a line about rain."]
        lines.append(repeated("first token of smidgen run, small model", argv, 1.0, first_byte))
    return lines


async def memory(model: Path, threads: int, context: int = 4096) -> list[Measurement]:
    """Resident bytes of both processes, without the mapped model file and the KV cache."""
    if not sys.platform.startswith("linux"):
        return []
    script = str(Path(__file__).parent / "resident.py")
    argv = [sys.executable, script, str(model), str(threads), str(context)]
    output = await asyncio.to_thread(subprocess.check_output, argv)
    found = json.loads(output)
    async with bare_loop(model, threads, context) as bare:
        kv = (await bare.ask(do="describe"))["kv_bytes"]
    mapped = sum(side["model_file"] for side in found.values())
    total = sum(sum(side.values()) for side in found.values())
    notes = {
        **{f"{who}_{kind}_mb": round(size / MB, 1) for who, side in found.items() for kind, size in side.items()},
        "kv_mb": round(kv / MB, 1),
        "context": context,
    }
    return [alone("resident beyond file and KV cache", "MB", [(total - mapped - kv) / MB], 150, notes)]


async def second_turn(ours: Ours) -> list[Measurement]:
    """Tokens prefilled for the second question, beyond those that are new in it."""
    over: list[float] = []
    notes: dict[str, int] = {}
    for number in range(3):
        first = workload.chat("You are brief.", await workload.text_of(300, 400 + number, ours.count))
        await ours.forget()
        ran = await ours.run(first, 24, ignore_eos=True)
        history = first + ran.text
        follow_up = "<|im_end|>\n<|im_start|>user\nAnd what comes after that?<|im_end|>\n<|im_start|>assistant\n"
        again = await ours.run(history + follow_up, 8, ignore_eos=True)
        new = again.usage.prompt_tokens - await ours.count(history)
        over.append(again.prefilled - new)
        notes = {"prompt_tokens": again.usage.prompt_tokens, "prefilled": again.prefilled, "new": new}
    # The last token of an answer was sampled but never decoded, so it is new to the cache as well.
    return [alone("second turn, prefilled beyond what is new", "tokens", over, 1, notes)]
