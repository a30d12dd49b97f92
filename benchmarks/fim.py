"""Measure code completion while typing: `smidgen serve` beside llama.cpp's own server, with the requests of llama.vim.

    python benchmarks/fim.py [--model NAME] [--edits N] [--peers-python PYTHON] [--json OUT]

The session is a recipe, fim.toml, over files of the running Python's standard library: visits to places in files, where
lines are typed again, with a request at each pause. Both sides answer the same requests over HTTP with the same model
file; they take turns visit by visit, the first one changing, and never work at once: what smidgen reads ahead after an
answer goes on during the pauses of its own visits, and is waited for before the other side's turn.

Predicted: at most the other's time at the median and at the 95th percentile; of all tokens that cold requests would
have to read, at most 15 % are read, those that are read ahead included. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import sysconfig
import time
import tomllib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import peers
from engine import commit, machine, resolve
from serve_smidgen import serving

RECIPE = Path(__file__).with_name("fim.toml")
LINES_BEFORE, LINES_AFTER = 256, 64
KEY_PAUSE_S = 0.3
"""Between an answer and the next request of a person who types on."""

CONTEXT = 8192
SHARE = 0.15
REQUEST: dict[str, Any] = {
    "id_slot": 0,
    "n_predict": 128,
    "stop": [],
    "top_k": 40,
    "top_p": 0.90,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "model": "",
}
"""What llama.vim sends unless told otherwise, but for `response_fields`: all that is told is wanted here."""

WARM_UP = {"n_predict": 0, "temperature": 0.0, "samplers": [], "t_max_prompt_ms": 1, "t_max_predict_ms": 1}


class Visit(NamedTuple):
    """A place in a file, and the requests made there. pause_s: before the first."""

    name: str
    pause_s: float
    requests: list[dict[str, Any]]


class Answered(NamedTuple):
    """One answer. read: tokens of the prompt that were not in the cache."""

    seconds: float
    prompt: int
    read: int
    written: int
    truncated: bool


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="one that fills in the middle")
    parser.add_argument("--edits", type=int, default=75, metavar="N", help="requests to each side")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="for each side")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    parser.add_argument(
        "--peers-python",
        default=os.environ.get("SMIDGEN_BENCH_PEERS", sys.executable),
        metavar="PYTHON",
        help="interpreter of the environment with xllamacpp (or $SMIDGEN_BENCH_PEERS)",
    )
    return parser.parse_args()


# --- the session ------------------------------------------------------------------------------------------------------


def library_file(name: str) -> list[str]:
    return (Path(sysconfig.get_path("stdlib")) / name).read_text("utf-8").splitlines(keepends=True)


def row_of(lines: Sequence[str], at: str) -> int:
    return next(number for number, line in enumerate(lines) if at in line)


def session(edits: int) -> tuple[list[dict[str, Any]], list[Visit]]:
    """Pieces from elsewhere, and visits with about `edits` requests in all, as many in each."""
    recipe = tomllib.loads(RECIPE.read_text("utf-8"))
    extras: list[dict[str, Any]] = []
    for number, extra in enumerate(recipe["extra"]):
        lines = library_file(extra["file"])
        row = row_of(lines, extra["at"])
        text = "".join(lines[row : row + extra["lines"]])
        extras.append({"text": text, "time": float(number), "filename": extra["file"]})
    visits: list[Visit] = []
    for visit in recipe["visit"]:
        requests = [request | {"input_extra": extras} for request in typed(visit)]
        taken = requests[: max(1, round(edits / len(recipe["visit"])))]
        visits.append(Visit(f"{visit['file']} at {visit['at']}", visit["pause_s"], taken))
    return extras, visits


def typed(visit: dict[str, Any]) -> Iterator[dict[str, Any]]:
    lines = library_file(visit["file"])
    first = row_of(lines, visit["at"]) + 1
    rest = lines[first + visit["lines"] :]
    for row in range(first, first + visit["lines"]):
        line = lines[row].rstrip("\n")
        indent = len(line) - len(line.lstrip())
        for column in sorted({*range(indent, len(line), visit["every"]), len(line)}):
            yield REQUEST | {
                "input_prefix": "".join(lines[max(0, row - LINES_BEFORE) : row]),
                "input_suffix": "\n" + "".join(rest[:LINES_AFTER]),
                "prompt": line[:column],
                "n_indent": indent,
            }


# --- the two sides ----------------------------------------------------------------------------------------------------


class Side:
    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.client = httpx.AsyncClient(base_url=url, timeout=600, trust_env=False)
        self.answers: list[Answered] = []
        self.ahead = 0
        """Tokens read otherwise than for an answer."""

    async def warm_up(self, extras: list[dict[str, Any]]) -> None:
        nothing = {"input_prefix": "", "input_suffix": "", "prompt": "", "input_extra": extras}
        (await self.client.post("/infill", json=REQUEST | WARM_UP | nothing)).raise_for_status()

    async def visit(self, visit: Visit) -> None:
        before = await self._read_in_all()
        await asyncio.sleep(visit.pause_s)
        for request in visit.requests:
            await asyncio.sleep(KEY_PAUSE_S)
            self.answers.append(await self._ask(request))
        await self.until_idle()
        read = sum(answer.read for answer in self.answers[-len(visit.requests) :])
        self.ahead += max(0, await self._read_in_all() - before - read)

    async def _ask(self, request: dict[str, Any]) -> Answered:
        started = time.perf_counter()
        response = await self.client.post("/infill", json=request)
        seconds = time.perf_counter() - started
        response.raise_for_status()
        answer = response.json()
        timings = answer["timings"]
        read, cached = timings["prompt_n"], timings["cache_n"]
        return Answered(seconds, read + cached, read, timings["predicted_n"], answer["truncated"])

    async def until_idle(self) -> None:
        while True:
            slots = await self.client.get("/slots")
            if slots.status_code != 200 or not any(slot["is_processing"] for slot in slots.json()):
                return
            await asyncio.sleep(0.05)

    async def until_loaded(self) -> None:
        """Asks for a completion, which waits for the model."""
        (await self.client.post("/completion", json={"prompt": "1, 2,", "n_predict": 1})).raise_for_status()

    async def _read_in_all(self) -> int:
        """Tokens of prompts that went through the model since the start, if that is told."""
        page = await self.client.get("/metrics")
        found = re.search(r"^smidgen_engine_prefilled_tokens (\S+)", page.text, re.MULTILINE)
        return int(float(found[1])) if page.status_code == 200 and found else 0


@asynccontextmanager
async def ours(model: str, threads: int) -> AsyncIterator[Side]:
    settings = {"SMIDGEN_THREADS": str(threads), "SMIDGEN_CONTEXT": str(CONTEXT), "SMIDGEN_SERVE_KEEP_ALIVE_S": "0"}
    async with serving(model, **settings) as (url, _):
        side = Side("smidgen", url)
        async with side.client:
            await side.until_loaded()
            yield side


@asynccontextmanager
async def theirs(peer: peers.Peer, model: Path, threads: int) -> AsyncIterator[Side]:
    port = peers.free_port()
    with peers.process(peers.command(peer, model, port, threads, 1, CONTEXT)) as child:
        side = Side(peer.kind, f"http://127.0.0.1:{port}")
        async with side.client:
            server = peers.Server(peer.kind, f"http://127.0.0.1:{port}")
            await server.ready(child)
            await server.aclose()
            yield side


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(side: Side) -> dict[str, Any]:
    seconds = sorted(answer.seconds for answer in side.answers)
    prompt, read = sum(a.prompt for a in side.answers), sum(a.read for a in side.answers)
    return {
        "requests": len(seconds),
        "p50_ms": 1000 * statistics.median(seconds),
        "p95_ms": 1000 * seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))],
        "prompt_tokens": statistics.mean(answer.prompt for answer in side.answers),
        "written_tokens": statistics.mean(answer.written for answer in side.answers),
        "truncated": sum(answer.truncated for answer in side.answers),
        "share_read": read / prompt,
        "share_read_ahead_too": (read + side.ahead) / prompt,
    }


def printed(name: str, found: dict[str, Any]) -> None:
    print(
        f"{name:14} p50 {found['p50_ms']:6.0f} ms  p95 {found['p95_ms']:6.0f} ms  "
        f"prompt {found['prompt_tokens']:5.0f} tokens, read {found['share_read']:.1%} "
        f"(with what is read ahead {found['share_read_ahead_too']:.1%})  written {found['written_tokens']:.1f}"
    )


async def main(options: argparse.Namespace) -> None:
    found = [peer for peer in peers.installed(options.peers_python) if peer.kind == "xllamacpp"]
    model = resolve(options.model)
    header = {
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "commit": commit(),
        "python": sys.version.split()[0],
        "model": options.model,
        "machine": machine(),
        "peers": {peer.kind: peer.version for peer in found},
    }
    print(json.dumps(header, ensure_ascii=False, indent=2))
    if not found:
        print(peers.HOW_TO_INSTALL, file=sys.stderr)
    extras, visits = session(options.edits)
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(ours(options.model, options.threads))]
        sides += [await stack.enter_async_context(theirs(peer, model, options.threads)) for peer in found[:1]]
        for side in sides:
            await side.warm_up(extras)
            await side.until_idle()
        for number, visit in enumerate(visits):
            for side in sides if number % 2 == 0 else reversed(sides):
                await side.visit(visit)
            medians = (
                statistics.median(answer.seconds for answer in side.answers[-len(visit.requests) :]) for side in sides
            )
            print(f"{visit.name}: median {', '.join(f'{1000 * median:.0f} ms' for median in medians)}", flush=True)
        told = {side.name: figures(side) for side in sides}
    for name, line in told.items():
        printed(name, line)
    mine, *others = told.values()
    for other in others:
        ratios = ", ".join(f"{name} {mine[f'{name}_ms'] / other[f'{name}_ms']:.2f}" for name in ("p50", "p95"))
        print(f"smidgen's time, of the other's: {ratios}; asked for: 1 at most")
    print(f"share of the prompts' tokens read: {mine['share_read_ahead_too']:.1%}; asked for: {SHARE:.0%} at most")
    if options.json:
        answers = {side.name: [answer._asdict() for answer in side.answers] for side in sides}
        options.json.write_text(json.dumps({**header, "figures": told, "answers": answers}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    asyncio.run(main(arguments()))
