"""Measure what HTTP adds: `smidgen serve` against its own engine used directly, with the same model and prompts.

    python benchmarks/serving.py [--model NAME] [--batches 1,16] [--rounds N] [--tokens N] [--json OUT]

Both sides hold the model warm, one works at a time, in alternating rounds; which one is first alternates too. A round
of a batch starts that many requests together, with prompts that each side has in its cache, so that the time to the
first token is short and an addition to it shows. The client is bare sockets in this process, and so is the direct side.
Predicted: 1 % of the tokens per second, 2 ms to the first token, for batches of 1 and of 16. docs/performance.md has
the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from serve_smidgen import serving

TARGETS = {"tokens per second": 0.97, "first token, ms added": 5.0}
SETTLE_S = 0.1
"""Before each round, for what the one before left to do."""
TOPIC = "Write a very long story about a lighthouse keeper, number {}. Go into every detail."


class Timed(NamedTuple):
    """Of one request: seconds to the first text, seconds from there to the end, and tokens written."""

    first: float
    rest: float
    tokens: int


class Round(NamedTuple):
    """Of requests that ran together: the median time to the first text, and all tokens by the time from the first text
    of any to the end of all."""

    first: float
    rate: float


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--batches", default="1,16", type=lambda text: [int(part) for part in text.split(",")])
    parser.add_argument("--rounds", type=int, default=24, help="of a batch of 1 and side; a larger batch has a third")
    parser.add_argument("--tokens", type=int, default=64, help="that each request writes")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures there")
    return parser.parse_args()


# --- the two sides ----------------------------------------------------------------------------------------------------


class Direct:
    """The engine as `smidgen.runtime` opens it: rendered prompts in, events out."""

    def __init__(self, model: Any) -> None:
        self._model = model

    async def one(self, number: int, tokens: int) -> Timed:
        from smidgen.events import Generated, TextDelta
        from smidgen.messages import GenerateRequest, Message, Sampling

        started = time.perf_counter()
        prompt = self._model.template.render([Message(role="user", content=TOPIC.format(number))])
        request = GenerateRequest(prompt=prompt, sampling=Sampling(), max_tokens=tokens)
        first, written = 0.0, 0
        async for event in self._model.engine.generate(request):
            if isinstance(event, TextDelta) and not first:
                first = time.perf_counter()
            elif isinstance(event, Generated):
                written = event.usage.completion_tokens
        return Timed(first - started, time.perf_counter() - first, written)


class Served:
    """/v1/chat/completions as a stream, over a connection that is kept open, as clients do."""

    def __init__(self, port: int, model: str) -> None:
        self._port = port
        self._model = model
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one(self, number: int, tokens: int) -> Timed:
        body = json.dumps(
            {
                "model": self._model,
                "messages": [{"role": "user", "content": TOPIC.format(number)}],
                "max_tokens": tokens,
                "temperature": 0,
                "repeat_penalty": 1.0,
                "stream": True,
                "stream_options": {"include_usage": True},
            }
        ).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        started = time.perf_counter()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(head + body)
        first, written = 0.0, 0
        status = await reader.readline()
        if b" 200 " not in status:
            raise SystemExit(f"the server said {status!r}")
        while True:
            line = await reader.readline()
            if not line:
                raise SystemExit("the server closed the connection")
            if not first and b'"content":"' in line and b'"content":""' not in line:
                first = time.perf_counter()
            if b'"usage":{' in line:
                written = int(re.findall(rb'"completion_tokens":(\d+)', line)[-1])
            if line == b"data: [DONE]\n":
                done = time.perf_counter()
                await reader.readuntil(b"0\r\n\r\n")
                self._idle.append((reader, writer))
                return Timed(first - started, done - first, written)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def round_of(side: Direct | Served, batch: int, tokens: int) -> Round:
    await asyncio.sleep(SETTLE_S)
    began = time.perf_counter()
    all_of_them = await asyncio.gather(*(side.one(number, tokens) for number in range(batch)))
    spent = time.perf_counter() - began
    first = statistics.median(timed.first for timed in all_of_them)
    written = sum(timed.tokens for timed in all_of_them)
    return Round(first, written / (spent - min(timed.first for timed in all_of_them)))


@asynccontextmanager
async def served(model: str) -> AsyncIterator[Served]:
    async with serving(model) as (url, _):
        side = Served(int(url.rpartition(":")[2]), model)
        yield side
        side.close()


# --- figures ----------------------------------------------------------------------------------------------------------


def told(batch: int, pairs: Sequence[tuple[Round, Round]]) -> dict[str, Any]:
    """pairs: (direct, served)."""
    rates = sorted(served.rate / direct.rate for direct, served in pairs)
    added = sorted((served.first - direct.first) * 1000 for direct, served in pairs)
    return {
        "batch": batch,
        "rounds": len(pairs),
        "tokens per second": {"direct": statistics.median(direct.rate for direct, _ in pairs)}
        | {"served": statistics.median(served.rate for _, served in pairs)}
        | {"ratio": statistics.median(rates), "from": rates[0], "to": rates[-1]},
        "first token, ms": {"direct": 1000 * statistics.median(direct.first for direct, _ in pairs)}
        | {"served": 1000 * statistics.median(served.first for _, served in pairs)}
        | {"added": statistics.median(added), "from": added[0], "to": added[-1]},
    }


def printed(figures: dict[str, Any]) -> None:
    rate, first = figures["tokens per second"], figures["first token, ms"]
    print(f"batch of {figures['batch']}, {figures['rounds']} rounds")
    print(
        f"  tokens/s     direct {rate['direct']:7.1f}   served {rate['served']:7.1f}   "
        f"ratio {rate['ratio']:.3f} ({rate['from']:.3f} to {rate['to']:.3f}); asked for: 0.97 at least"
    )
    print(
        f"  first token  direct {first['direct']:5.1f} ms  served {first['served']:5.1f} ms  "
        f"added {first['added']:.1f} ms ({first['from']:.1f} to {first['to']:.1f}); asked for: 5 ms at most"
    )


async def main(options: argparse.Namespace) -> None:
    from smidgen.config import load_config
    from smidgen.runtime.runtime import Runtime

    config = load_config(tuned="off")
    figures: list[dict[str, Any]] = []
    async with Runtime(config, model=options.model) as runtime, runtime.lease() as lease, served(options.model) as http:
        direct = Direct(lease.model)
        for batch in options.batches:
            for side in (direct, http):
                for _ in range(2):
                    await round_of(side, batch, options.tokens)
            pairs: list[tuple[Round, Round]] = []
            for number in range(options.rounds if batch == 1 else max(1, options.rounds // 3)):
                if number % 2:
                    second = await round_of(http, batch, options.tokens)
                    pairs.append((await round_of(direct, batch, options.tokens), second))
                else:
                    first = await round_of(direct, batch, options.tokens)
                    pairs.append((first, await round_of(http, batch, options.tokens)))
            figures.append(told(batch, pairs))
            printed(figures[-1])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    asyncio.run(main(arguments()))
