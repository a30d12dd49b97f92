"""Requests as they arrive: tokenised, checked against the context, turned into sequences."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from itertools import count

from smidgen.errors import ContextOverflow, InvalidRequest
from smidgen.llama import Backend
from smidgen.messages import Prompt
from smidgen.wire import Score, Submit
from smidgen.worker.generation import Generation
from smidgen.worker.score import Scoring
from smidgen.worker.sequence import Sequence
from smidgen.worker.stream import TextStream

KEPT_TEXTS, KEPT_TOKENS = 256, 500_000
"""Tokenised texts that are kept, and how many tokens they may have together."""


class Intake:
    """forced_tokens: append what a grammar forces without sampling it."""

    def __init__(self, backend: Backend, forced_tokens: bool = True) -> None:
        self._backend = backend
        self._info = backend.info
        self._forced_tokens = forced_tokens
        self._tokenised: OrderedDict[tuple[str, bool], list[int]] = OrderedDict()
        self._arrivals = count()
        self._kept_tokens = 0
        self.hits = 0
        self.misses = 0

    def generation(self, message: Submit) -> Generation:
        """Raises InvalidRequest, ContextOverflow."""
        request = message.request
        sequence = self._sequence(message.id, request.prompt, request.priority, request.timeout_s)
        sequence.pin = min(request.pin, sequence.prompt_length - 1)
        sequence.cache = request.cache
        sequence.tokens.extend(message.resume_tokens)
        limit = self._info.context
        if request.max_tokens is not None:
            limit = min(limit, sequence.prompt_length + request.max_tokens)
        sequence.reserve = max(0, min(limit - len(sequence.tokens), 32))
        sequence.held = request.constraint is not None
        return Generation(
            request=request,
            sequence=sequence,
            stream=TextStream(request.stop, message.resume_bytes),
            limit=limit,
            resumed=len(message.resume_tokens),
            force=self._forced_tokens,
        )

    def scoring(self, message: Score) -> tuple[Scoring, Sequence]:
        """Raises InvalidRequest, ContextOverflow."""
        request = message.request
        sequence = self._sequence(message.id, request.prompt, 0, request.timeout_s)
        candidates = [self._backend.tokenize(text, False) for text in request.candidates]
        if any(not tokens for tokens in candidates):
            raise InvalidRequest("A candidate has no tokens.", hint="Leave empty candidates out.")
        longest = max(len(tokens) for tokens in candidates)
        self._check_length("The prompt with its longest candidate", sequence.prompt_length + longest)
        scoring = Scoring(request, candidates, self._info.end_tokens)
        sequence.reserve = longest
        return scoring, sequence

    def text_to_embed(self, text: str) -> list[int]:
        """With BOS and the closing token where the model wants them. Raises InvalidRequest, ContextOverflow."""
        tokens = self._with_bos(self._backend.tokenize(text, False))
        if self._info.closing >= 0 and tokens[-1:] != [self._info.closing]:
            tokens.append(self._info.closing)
        self._check_length("The text to embed", len(tokens), hint="Embed it in parts.")
        return tokens

    def tokenize(self, prompt: Prompt) -> list[int]:
        """All segments in order, with BOS in front where the model wants one and the text doesn't bring it. Raises
        InvalidRequest for a token that isn't in the vocabulary."""
        tokens: list[int] = []
        for segment in prompt:
            tokens += self._segment(segment.text, segment.special)
            tokens += self._known(segment.tokens)
        return self._with_bos(tokens)

    def _known(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        size = self._info.vocab_size
        for token in tokens:
            if not 0 <= token < size:
                raise InvalidRequest(f"Token {token} isn't in this model's vocabulary of {size}.")
        return tokens

    def _segment(self, text: str, special: bool) -> list[int]:
        found = self._tokenised.get((text, special))
        if found is not None:
            self.hits += 1
            self._tokenised.move_to_end((text, special))
            return found
        self.misses += 1
        found = self._backend.tokenize(text, special)
        if len(found) <= self._info.context:  # a longer one is refused anyway
            self._tokenised[(text, special)] = found
            self._kept_tokens += len(found)
        while len(self._tokenised) > KEPT_TEXTS or self._kept_tokens > KEPT_TOKENS:
            self._kept_tokens -= len(self._tokenised.popitem(last=False)[1])
        return found

    def _with_bos(self, tokens: list[int]) -> list[int]:
        if self._info.add_bos and tokens[:1] != [self._info.bos]:
            return [self._info.bos, *tokens]
        return list(tokens)

    def _sequence(self, request_id: int, prompt: Prompt, priority: int, timeout_s: float | None) -> Sequence:
        if self._info.is_encoder_only:
            raise InvalidRequest("This is an embedding model; it can't generate.", hint="Use a language model.")
        tokens = self.tokenize(prompt)
        if not tokens:
            raise InvalidRequest("The prompt is empty.", hint="Give at least one character of text.")
        self._check_length("The prompt", len(tokens), room=1)
        return Sequence(
            id=request_id,
            tokens=tokens,
            prompt_length=len(tokens),
            arrival=next(self._arrivals),
            priority=priority,
            deadline=math.inf if timeout_s is None else time.monotonic() + timeout_s,
        )

    def _check_length(
        self,
        what: str,
        tokens: int,
        room: int = 0,
        hint: str = "Shorten it, or open the model with a larger context (--context).",
    ) -> None:
        context = self._info.context
        over = tokens + room - context
        if over > 0:
            raise ContextOverflow(
                f"{what} has {tokens} tokens, {over} more than the context of {context} can take"
                f"{f' with {room} for the answer' if room else ''}.",
                hint=hint,
                prompt_tokens=tokens,
                context_tokens=context,
                over_by=over,
                part="prompt",
            )
