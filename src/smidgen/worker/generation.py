"""One generation in the worker: logits in; tokens, text and an end out."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from smidgen.events import FinishReason, TokenLogprob
from smidgen.llama import Backend
from smidgen.messages import GenerateRequest, Timings, Usage
from smidgen.wire import Chunk, Done
from smidgen.worker.constrain import Matcher
from smidgen.worker.draft import Drafter
from smidgen.worker.sample import log_softmax_at, sample, top_indices
from smidgen.worker.sequence import Sequence
from smidgen.worker.stream import TextStream


@dataclass(eq=False, slots=True)
class Generation:
    """limit: total tokens, prompt included, at which the generation ends with `length`. resumed: tokens of an earlier
    worker. force: append tokens that the grammar forces without sampling them."""

    request: GenerateRequest
    sequence: Sequence
    stream: TextStream
    limit: int
    resumed: int = 0
    force: bool = True
    matcher: Matcher | None = None
    wants_matcher: bool = False
    accepted_at: float = field(default_factory=time.perf_counter)
    started_at: float = 0.0
    sampled_at: float = 0.0
    forced: int = 0
    ended: FinishReason | None = None
    announced: bool = False
    _drafter: Drafter | None = None
    _new_tokens: list[int] = field(default_factory=list[int])
    _new_text: list[str] = field(default_factory=list[str])
    _logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])

    @property
    def id(self) -> int:
        return self.sequence.id

    def replay(self, backend: Backend) -> None:
        """Work the tokens of an earlier worker through the stream and the grammar."""
        tokens = self.sequence.tokens[self.sequence.prompt_length :]
        for token in tokens:
            self._new_text.append(self.stream.feed(backend.piece(token)))
        if self.matcher is not None:
            self.matcher.accept(tokens)
        self._end_if_over()

    def use_matcher(self, matcher: Matcher, backend: Backend) -> None:
        """The grammar is ready; what it forces at the start becomes part of the prefill. Raises ConstraintError."""
        self.matcher = matcher
        self.sequence.held = False
        if self.resumed:
            matcher.accept(self.sequence.tokens[self.sequence.prompt_length :])
        self._append_forced(backend)
        self._end_if_over()

    def advance(self, logits: NDArray[np.float32], backend: Backend, end_tokens: Collection[int]) -> None:
        """Draw the next token. Raises BadLogits, ConstraintError."""
        if not self.sampled_at:
            self.sampled_at = time.perf_counter()
        if self.matcher is not None and self.matcher.finished:
            self.ended = "stop"
            return
        raw = logits.copy() if self.request.logprobs else None
        allowed = self.matcher.allowed() if self.matcher is not None else None
        if self.request.ignore_eos and self.matcher is None:
            logits[list(end_tokens)] = -np.inf
        position = len(self.sequence.tokens)
        token = sample(logits, self.request.sampling, position, self.sequence.tokens, allowed)
        if token in end_tokens:
            self.ended = "stop"
            return
        if raw is not None:
            self._logprobs.append(self._logprob(raw, token, backend))
        if self.matcher is not None:
            self.matcher.accept([token])
        self._append([token], backend)
        if self.matcher is not None and self.ended is None:
            self._append_forced(backend)
        self._end_if_over()

    def draft(self, cost: float, end_tokens: Collection[int]) -> list[int]:
        """Tokens that may well come next; see `Drafter.propose`."""
        if self._drafter is None:
            self._drafter = Drafter(self.sequence.tokens, end_tokens)
        draft = self._drafter.propose(cost, singles=self.matcher is not None)[: self.limit - len(self.sequence.tokens)]
        if draft and self.matcher is not None:
            return draft[: self.matcher.allowed_prefix(draft)]
        return draft

    def judge(self, drafted: int, accepted: int) -> None:
        """How the last draft went."""
        if self._drafter is not None:
            self._drafter.observe(drafted, accepted)

    def _append_forced(self, backend: Backend) -> None:
        if self.matcher is None or not self.force:
            return
        forced = self.matcher.forced()
        self.forced += len(forced)
        self._append(forced, backend)

    def _append(self, tokens: list[int], backend: Backend) -> None:
        for token in tokens:
            if len(self.sequence.tokens) >= self.limit:
                self.ended = "length"
                return
            self.sequence.tokens.append(token)
            self._new_tokens.append(token)
            self._new_text.append(self.stream.feed(backend.piece(token)))
            if self.stream.stopped:
                self.ended = "stop"
                return

    def _end_if_over(self) -> None:
        if self.ended is not None:
            return
        if self.stream.stopped or (self.matcher is not None and self.matcher.finished):
            self.ended = "stop"
        elif len(self.sequence.tokens) >= self.limit:
            self.ended = "length"

    def _logprob(self, logits: NDArray[np.float32], token: int, backend: Backend) -> TokenLogprob:
        likeliest = top_indices(logits, self.request.logprobs).tolist()
        values = log_softmax_at(logits, [token, *likeliest]).tolist()

        def text(of: int) -> str:
            return backend.piece(of).decode(errors="replace")

        top = tuple((text(t), value) for t, value in zip(likeliest, values[1:], strict=True))
        return TokenLogprob(text=text(token), logprob=values[0], top=top)

    def take_chunk(self) -> Chunk | None:
        """What is new since the last call, or None."""
        if not self._new_tokens and (self.announced or not self.sampled_at):
            return None
        chunk = Chunk(
            id=self.id,
            tokens=tuple(self._new_tokens),
            text="".join(self._new_text),
            prefilled=None if self.announced else (self.sequence.prompt_length, max(self.sequence.cached, 0)),
            logprobs=tuple(self._logprobs),
        )
        self.announced = True
        self._new_tokens, self._new_text, self._logprobs = [], [], []
        return chunk

    def done(self, reason: FinishReason) -> Done:
        now = time.perf_counter()
        started, sampled = self.started_at or now, self.sampled_at or now
        completion = len(self.sequence.tokens) - self.sequence.prompt_length
        return Done(
            id=self.id,
            finish_reason=reason,
            usage=Usage(
                prompt_tokens=self.sequence.prompt_length,
                cached_tokens=min(max(self.sequence.cached, 0), self.sequence.prompt_length),
                completion_tokens=completion,
                forced_tokens=self.forced,
            ),
            timings=Timings(
                queue_s=started - self.accepted_at,
                prefill_s=max(sampled - started, 0.0),
                decode_s=now - sampled,
            ),
            text="".join(self._new_text) + self.stream.finish(cut=reason != "stop"),
            stop_string=self.stream.stopped,
        )
