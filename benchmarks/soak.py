"""Hold a server under load with clients that misbehave, and see that nothing leaks.

    python benchmarks/soak.py [--model NAME] [--clients 64] [--minutes 5] [--tokens N] [--json OUT]

Each client does one of these, drawn anew each time: reads its stream to the end; goes away in the midst of it; goes
away before the first byte; reads a little, stalls for some seconds and reads on; asks for a whole answer; asks wrongly.
At the end: every stream that was read to its end was complete (a finish reason, the usage, `[DONE]`), the queue is
empty, no run is left, and the memory of the server and of its worker is where it was once the load had settled.
docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from serve_smidgen import serving

WAYS = {"reads": 50, "vanishes": 15, "vanishes early": 10, "stalls": 10, "whole": 10, "wrong": 5}
TOPICS = ("a lighthouse", "bread", "the sea", "a chess game", "clouds", "an old clock", "trains", "a garden")
SAMPLE_S = 2.0
SETTLED = 0.2
"""Of the run, after which memory counts as settled."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--tokens", type=int, default=48, help="that an answer has at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    return parser.parse_args()


class Load:
    """Clients against one server. counts: by way and outcome. broken: what was wrong with answers."""

    def __init__(self, port: int, tokens: int, seed: int) -> None:
        self.port, self.tokens = port, tokens
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self.first_s: list[float] = []

    async def client(self, until: float) -> None:
        while time.monotonic() < until:
            way = self.random.choices(list(WAYS), list(WAYS.values()))[0]
            try:
                async with asyncio.timeout(300):
                    outcome = await self.once(way)
            except (OSError, asyncio.IncompleteReadError) as error:
                outcome = "broken"
                self.broken.append(f"{way}: {type(error).__name__}")
            except TimeoutError:
                outcome = "hung"
                self.broken.append(f"{way}: no end in 300 s")
            self.counts[f"{way}: {outcome}"] += 1

    async def once(self, way: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(self.request(way))
            if way == "vanishes early":
                await asyncio.sleep(self.random.random() * 0.5)
                return "gone"
            started = time.monotonic()
            status = int((await reader.readline()).split()[1])
            if status == 503:
                await asyncio.sleep(1)
                return "refused"
            if way == "wrong":
                if status != 400:
                    self.broken.append(f"a wrong request got {status}")
                return "refused as wrong"
            if status != 200:
                self.broken.append(f"{way}: status {status}")
                return f"status {status}"
            if way == "whole":
                return await self.whole(reader)
            return await self.streamed(way, reader, started)
        finally:
            writer.close()

    def request(self, way: str) -> bytes:
        body: dict[str, Any] = {
            "model": "",
            "messages": [{"role": "user", "content": f"Tell me about {self.random.choice(TOPICS)}."}],
            "max_tokens": self.random.randint(4, self.tokens),
            "stream": way != "whole",
            "stream_options": {"include_usage": True},
        }
        if way == "wrong":
            body["temperature"] = "hot"
        data = json.dumps(body).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data

    async def whole(self, reader: asyncio.StreamReader) -> str:
        answer = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        if not answer["choices"][0]["finish_reason"]:
            self.broken.append("a whole answer without a finish reason")
        return "complete"

    async def streamed(self, way: str, reader: asyncio.StreamReader, started: float) -> str:
        finish, usage, done, first, lines = "", 0, False, True, 0
        leaves = self.random.randint(1, 12)
        while line := await reader.readline():
            if not line.startswith(b"data: "):
                continue
            lines += 1
            if way == "vanishes" and lines >= leaves:
                return "gone"
            if way == "stalls" and lines == 3:
                await asyncio.sleep(self.random.uniform(1, 5))
            if line.strip() == b"data: [DONE]":
                done = True
                break
            chunk = json.loads(line[6:])
            if "error" in chunk:
                self.broken.append(f"{way}: {chunk['error']['code']}")
                return "failed"
            for choice in chunk["choices"]:
                if first and choice["delta"].get("content"):
                    first = False
                    self.first_s.append(time.monotonic() - started)
                finish = choice["finish_reason"] or finish
            usage = (chunk.get("usage") or {}).get("completion_tokens", usage)
        if not (done and finish and usage):
            self.broken.append(f"{way}: incomplete (done {done}, finish {finish!r}, tokens {usage})")
            return "incomplete"
        return "complete"


async def metrics(port: int) -> dict[str, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
    text = (await reader.read()).decode()
    writer.close()
    return {name: float(value) for name, value in re.findall(r"^(\w+) ([0-9.e+-]+)$", text, re.MULTILINE)}


def resident(process: psutil.Process) -> tuple[float, float]:
    """MB of the server itself, and of its children."""
    children = sum(child.memory_info().rss for child in process.children(recursive=True))
    return process.memory_info().rss / 1e6, children / 1e6


async def sampled(process: psutil.Process, until: float, samples: list[tuple[float, float]]) -> None:
    while time.monotonic() < until:
        samples.append(resident(process))
        await asyncio.sleep(SAMPLE_S)


async def main(options: argparse.Namespace) -> int:
    async with serving(options.model, "--streams", str(options.clients)) as (url, number):
        port, process = int(url.rpartition(":")[2]), psutil.Process(number)
        load = Load(port, options.tokens, options.seed)
        for _ in range(2):
            await load.once("whole")
        until = time.monotonic() + options.minutes * 60
        samples: list[tuple[float, float]] = []
        await asyncio.gather(sampled(process, until, samples), *(load.client(until) for _ in range(options.clients)))
        await asyncio.sleep(2)
        after = await metrics(port)
        files = process.num_fds()
        settled = samples[int(len(samples) * SETTLED) :]
        third = max(1, len(settled) // 3)
        grown = [
            statistics.median(row[side] for row in settled[-third:])
            - statistics.median(row[side] for row in settled[:third])
            for side in (0, 1)
        ]
        figures = {
            "clients": options.clients,
            "minutes": options.minutes,
            "outcomes": dict(sorted(load.counts.items())),
            "broken": load.broken,
            "running at the end": after.get("smidgen_requests_running"),
            "waiting at the end": after.get("smidgen_requests_waiting"),
            "server MB grown": round(grown[0], 1),
            "worker MB grown": round(grown[1], 1),
            "server MB": round(settled[-1][0], 1),
            "worker MB": round(settled[-1][1], 1),
            "open files at the end": files,
            "first text, s": {
                "median": round(statistics.median(load.first_s), 2),
                "p95": round(sorted(load.first_s)[int(len(load.first_s) * 0.95)], 2),
            },
        }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))
    return 1 if load.broken or after.get("smidgen_requests_running") or after.get("smidgen_requests_waiting") else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(arguments())))
