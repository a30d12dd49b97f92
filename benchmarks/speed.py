"""The measurements of speed. Each takes the two sides, or a peer's server, and returns its lines of the table."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import workload
from measurement import Measurement, alternate, compared
from peers import Server
from sides import Bare, Ours, Ran, prompt_of

from smidgen.messages import Constraint, ScoreRequest

DECODE_PROMPT, DECODE_NEW = 64, 128
PREFILL_PROMPT = 1500
PREAMBLE, REQUESTS, NEW_EACH = 875, 32, 8


async def decode(ours: Ours, bare: Bare, pairs: int) -> list[Measurement]:
    """Tokens per second after the first, one request, greedy. The bare loop's answer must be ours, token for token."""
    prompts = {n: await workload.text_of(DECODE_PROMPT, 100 + n, ours.count) for n in range(-1, pairs)}
    texts: dict[int, str] = {}
    same: list[bool] = []

    async def our_rate(number: int) -> float:
        await ours.forget()  # a prompt prefilled in other portions may round differently, and part at a near tie
        ran = await ours.run(prompts[number], DECODE_NEW, ignore_eos=True)
        texts[number] = ran.text
        return (ran.usage.completion_tokens - 1) / ran.after_first_s

    async def bare_rate(number: int) -> float:
        ran = await bare.run(prompts[number], DECODE_NEW)
        tokens[number] = tuple(ran["tokens"])
        return (DECODE_NEW - 1) / ran["decode_s"]

    tokens: dict[int, tuple[int, ...]] = {}
    found = await alternate(our_rate, bare_rate, pairs)
    for number, text in texts.items():
        same.append(await ours.engine.detokenize(tokens[number]) == text)
    notes = {"prompt_tokens": DECODE_PROMPT, "new_tokens": DECODE_NEW, "same_text": f"{sum(same)} of {len(same)}"}
    return [compared("decode, one request", "tokens/s", "bare loop", found, 0.97, notes)]


async def prefill(ours: Ours, bare: Bare, pairs: int) -> list[Measurement]:
    """Prompt tokens per second from text to the first token, nothing of it in a cache."""
    prompts = {n: await workload.text_of(PREFILL_PROMPT, 200 + n, ours.count) for n in range(-1, pairs)}
    cached = 0

    async def our_rate(number: int) -> float:
        nonlocal cached
        await ours.forget()
        ran = await ours.run(prompts[number], 1, ignore_eos=True)
        cached += ran.usage.cached_tokens
        return ran.usage.prompt_tokens / ran.total_s

    async def bare_rate(number: int) -> float:
        ran = await bare.run(prompts[number], 1)
        return ran["prompt_tokens"] / ran["prefill_s"]

    found = await alternate(our_rate, bare_rate, pairs)
    notes = {"prompt_tokens": PREFILL_PROMPT, "tokens_from_cache": cached}
    return [compared("prefill, one prompt", "tokens/s", "bare loop", found, 0.95, notes)]


async def shared(ours: Ours, server: Server, pairs: int, target: float) -> list[Measurement]:
    """32 concurrent requests that share a preamble: from cold (a preamble never seen before), then warm (the same one,
    other questions). Prefilled tokens as each side reports them, beside the least possible: preamble plus tails."""
    cases: dict[int, tuple[list[str], list[str]]] = {}
    least = {"cold": 0, "warm": 0}
    prefilled = {(side, kind): 0 for side in ("ours", "theirs") for kind in ("cold", "warm")}
    warm: dict[int, list[float]] = {}
    for number in range(-1, pairs):
        preamble = await workload.text_of(PREAMBLE, 300 + number, ours.count)
        cold_tails, warm_tails = workload.tails(REQUESTS, 2 * number), workload.tails(REQUESTS, 2 * number + 1)
        cases[number] = ([preamble + t for t in cold_tails], [preamble + t for t in warm_tails])
        if number >= 0:
            size = await ours.count(preamble)
            for kind, prompts in zip(("cold", "warm"), cases[number], strict=True):
                own = [await ours.count(prompt) - size for prompt in prompts]
                least[kind] += sum(own) + (size if kind == "cold" else 0)

    async def our_batch(prompts: list[str]) -> int:
        ran = await asyncio.gather(*(ours.run(p, NEW_EACH, ignore_eos=True) for p in prompts))
        return sum(r.prefilled for r in ran)

    async def their_batch(prompts: list[str]) -> int:
        answers = await asyncio.gather(*(server.ask(p, NEW_EACH, ignore_eos=True) for p in prompts))
        return sum(answer["timings"]["prompt_n"] for answer in answers)

    def timed(side: str, batch: Callable[[list[str]], Awaitable[int]]) -> Callable[[int], Awaitable[float]]:
        async def both(number: int) -> float:
            seconds: list[float] = []
            for kind, prompts in zip(("cold", "warm"), cases[number], strict=True):
                started = time.perf_counter()
                counted = await batch(prompts)
                seconds.append(time.perf_counter() - started)
                if number >= 0:
                    prefilled[side, kind] += counted
            warm.setdefault(number, [0.0, 0.0])[side == "theirs"] = seconds[1]
            return seconds[0]

        return both

    await ours.forget()
    cold = await alternate(timed("ours", our_batch), timed("theirs", their_batch), pairs)
    warm_pairs = [(warm[n][0], warm[n][1]) for n in range(pairs)]

    def notes(kind: str) -> dict[str, object]:
        mine, other = prefilled["ours", kind] / pairs, prefilled["theirs", kind] / pairs
        minimum = least[kind] / pairs
        return {"prefilled": mine, "prefilled_by_peer": other, "least": minimum, "over_least": mine / minimum - 1}

    name = f"{REQUESTS} requests, {PREAMBLE} shared tokens"
    return [
        compared(f"{name}, cold", "s", server.kind, cold, target, notes("cold")),
        compared(f"{name}, warm", "s", server.kind, warm_pairs, 1.0, notes("warm")),
    ]


async def toolcall(ours: Ours, server: Server, pairs: int) -> list[Measurement]:
    """A call of three arguments under the same JSON schema; the tool's description is in the cache on both sides."""
    prompts = workload.weather_prompts(pairs + 1, 7)
    constraint = Constraint(kind="json_schema", source=json.dumps(workload.WEATHER_SCHEMA))
    rans: list[Ran] = []
    theirs: list[tuple[str, int]] = []

    async def our_call(number: int) -> float:
        ran = await ours.run(prompts[number], 128, constraint=constraint)
        rans.append(ran)
        return ran.total_s

    async def their_call(number: int) -> float:
        started = time.perf_counter()
        answer = await server.ask(prompts[number], 128, json_schema=workload.WEATHER_SCHEMA)
        seconds = time.perf_counter() - started
        theirs.append((answer["content"], answer["timings"]["predicted_n"]))
        return seconds

    found = await alternate(our_call, their_call, pairs)
    valid = [sum(map(workload.is_weather_call, texts)) for texts in ([r.text for r in rans], [t for t, _ in theirs])]
    notes = {
        "tokens": sum(r.usage.completion_tokens for r in rans) / len(rans),
        "forced": sum(r.usage.forced_tokens for r in rans) / len(rans),
        "tokens_of_peer": sum(n for _, n in theirs) / len(theirs),
        "valid": f"{valid[0]} of {len(rans)}",
        "valid_of_peer": f"{valid[1]} of {len(theirs)}",
        "same_call": sum(_parsed(a.text) == _parsed(b) for a, (b, _) in zip(rans, theirs, strict=True)),
    }
    return [compared("tool call, three arguments", "s", server.kind, found, 2.0, notes)]


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


async def score(ours: Ours, server: Server | None, pairs: int) -> list[Measurement]:
    """The intent of a message among 20: scored in one pass, against written out by the server, or by ourselves where
    none is given. The instructions are in the cache, the message is not."""
    if pairs >= len(workload.UTTERANCES):
        raise ValueError("A message must not come twice: the server's cache would know it.")
    prompts = workload.intent_prompts(pairs + 1)
    instructions = workload.intent_instructions()
    scored: dict[int, str] = {}
    written: dict[int, str] = {}

    async def only_instructions() -> None:
        await ours.forget()
        await ours.run(instructions, 1, ignore_eos=True)

    async def our_score(number: int) -> float:
        await only_instructions()
        request = ScoreRequest(prompt=prompt_of(prompts[number]), candidates=workload.INTENTS, normalize="choices")
        started = time.perf_counter()
        result = await ours.engine.score(request)
        seconds = time.perf_counter() - started
        scored[number] = workload.INTENTS[max(range(len(workload.INTENTS)), key=result.logprobs.__getitem__)]
        return seconds

    async def our_text(number: int) -> float:
        await only_instructions()
        ran = await ours.run(prompts[number], 16)
        written[number] = ran.text.strip()
        return ran.total_s

    async def their_text(number: int) -> float:
        assert server is not None
        started = time.perf_counter()
        answer = await server.ask(prompts[number], 32, json_schema={"enum": list(workload.INTENTS)})
        seconds = time.perf_counter() - started
        written[number] = str(_parsed(answer["content"]))
        return seconds

    found = await alternate(our_score, their_text if server else our_text, pairs)
    notes = {"same_intent": f"{sum(scored[n] == written[n] for n in range(pairs))} of {pairs}"}
    writer = server.kind if server else "smidgen"
    return [compared("intent of 20, scored", "s", f"{writer} writing it", found, 5.0, notes)]
