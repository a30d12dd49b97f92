"""Figures of the server for Prometheus. Names are stable; the labels are few and bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from smidgen.events import AgentEvent, Failed, FellBack, Finished, Resumed, Routed, TextDelta, ToolReturned
from smidgen.patterns.cached.store import HITS, OUTCOMES

LATENCIES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

CACHES = {
    "tokens": ("smidgen_engine_token_cache_hits", "smidgen_engine_token_cache_misses"),
    "embeddings": ("smidgen_engine_kept_vector_hits", "smidgen_engine_kept_vector_misses"),
    "grammars": ("smidgen_engine_grammar_hits", "smidgen_engine_grammar_misses"),
    "prefixes": ("smidgen_engine_cached_tokens", "smidgen_engine_prefilled_tokens"),
}
"""Of each cache of the engines, the gauges of what was there and of what wasn't; of prefixes, in tokens."""
_ANSWERS = "cached: "
"""What a strategy begins with that tells what became of a request in a cache of answers."""


class Metrics:
    """`answering` a request counts what its events tell; `page` writes everything, with the gauges as they are now."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter("smidgen_requests", "Requests by how they ended", ("kind", "end"), registry=registry)
        self.prompt_tokens = Counter("smidgen_prompt_tokens", "Tokens of prompts", ("model",), registry=registry)
        self.cached_tokens = Counter(
            "smidgen_cached_tokens", "Tokens of prompts that were not prefilled again", ("model",), registry=registry
        )
        self.completion_tokens = Counter(
            "smidgen_completion_tokens", "Tokens of answers", ("model",), registry=registry
        )
        self.forced_tokens = Counter(
            "smidgen_forced_tokens", "Tokens of answers that a grammar forced", ("model",), registry=registry
        )
        self.tool_calls = Counter("smidgen_tool_calls", "Calls of tools run here", ("ok",), registry=registry)
        self.fallbacks = Counter("smidgen_fallbacks", "Strategies given up", ("left",), registry=registry)
        self.resumed = Counter("smidgen_resumed", "Streams that went on after a worker died", registry=registry)
        self.queue_seconds = Histogram("smidgen_queue_seconds", "Wait for a turn", buckets=LATENCIES, registry=registry)
        self.first_token_seconds = Histogram(
            "smidgen_first_token_seconds",
            "From the turn to the first text",
            ("kind",),
            buckets=LATENCIES,
            registry=registry,
        )
        self.answer_seconds = Histogram(
            "smidgen_answer_seconds", "From the turn to the end", ("kind",), buckets=LATENCIES, registry=registry
        )
        self.cached_answers = Counter(
            "smidgen_cached_answers", "Requests to caches of answers, by outcome", ("outcome",), registry=registry
        )
        self.hit_rate = Gauge(
            "smidgen_cache_hit_rate",
            "Share of what was looked for that a cache had; of prefixes, of the prompts' tokens",
            ("cache",),
            registry=registry,
        )
        self.gauges: dict[str, Gauge] = {}
        self._values: dict[str, float] = {}
        self._answers = {True: 0, False: 0}

    @contextmanager
    def answering(self, kind: str, model: str, waited_s: float) -> Generator[Callable[[AgentEvent], None], None, None]:
        began = time.monotonic()
        first = True
        end = "gone"
        self.queue_seconds.observe(waited_s)

        def seen(event: AgentEvent) -> None:
            nonlocal first, end
            match event:
                case TextDelta():
                    if first:
                        first = False
                        self.first_token_seconds.labels(kind).observe(time.monotonic() - began)
                case Finished():
                    end = event.finish_reason
                    usage = event.usage
                    self.prompt_tokens.labels(event.model).inc(usage.prompt_tokens)
                    self.cached_tokens.labels(event.model).inc(usage.cached_tokens)
                    self.completion_tokens.labels(event.model).inc(usage.completion_tokens)
                    self.forced_tokens.labels(event.model).inc(usage.forced_tokens)
                case Failed():
                    end = event.error.code
                case ToolReturned():
                    self.tool_calls.labels(str(event.ok).lower()).inc()
                case FellBack():
                    self.fallbacks.labels(event.from_strategy).inc()
                case Resumed():
                    self.resumed.inc()
                case Routed():
                    self._count_answer(event.strategy)
                case _:
                    pass

        try:
            yield seen
        finally:
            self.requests.labels(kind, end).inc()
            self.answer_seconds.labels(kind).observe(time.monotonic() - began)

    def set(self, name: str, help: str, value: float) -> None:
        """A gauge that is read when the page is asked for."""
        if name not in self.gauges:
            self.gauges[name] = Gauge(name, help, registry=self.registry)
        self.gauges[name].set(value)
        self._values[name] = value

    def _count_answer(self, strategy: str) -> None:
        outcome = strategy.removeprefix(_ANSWERS)
        if outcome in OUTCOMES and outcome != strategy:
            self.cached_answers.labels(outcome).inc()
            self._answers[outcome in HITS] += 1

    def _set_hit_rates(self) -> None:
        pairs = {name: tuple(self._values.get(one, 0.0) for one in gauges) for name, gauges in CACHES.items()}
        pairs["answers"] = (self._answers[True], self._answers[False])
        for name, (hits, misses) in pairs.items():
            if hits + misses:
                self.hit_rate.labels(name).set(hits / (hits + misses))

    def page(self) -> bytes:
        self._set_hit_rates()
        return generate_latest(self.registry)
