"""An Engine that answers from a script."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from smidgen.engine import validate
from smidgen.errors import EngineUnavailable, SmidgenError
from smidgen.events import EngineEvent, Generated, Prefilled, TextDelta
from smidgen.messages import (
    Embeddings,
    GenerateRequest,
    Prompt,
    ScoreRequest,
    ScoreResult,
    Segment,
    Timings,
    Usage,
)

Answer = str | SmidgenError
EMBEDDING_SIZE = 8


class ScriptedEngine:
    """answers: taken in order, one per `generate`; an exception is raised instead of answering. With a callable, it is
    asked with each request. When they run out, `EngineUnavailable` says so.

    scores: log-probability per candidate; others get -20. chunk: characters per TextDelta. A token is a byte.
    `requests` holds every request, of any kind, as it came. Stop strings and max_tokens are honoured; constraints are
    recorded but not applied: the script is the model.
    """

    def __init__(
        self,
        answers: Iterable[Answer] | Callable[[GenerateRequest], Answer] = (),
        *,
        scores: Mapping[str, float] | None = None,
        name: str = "scripted",
        context: int = 4096,
        chunk: int = 8,
    ) -> None:
        self._answers = answers if callable(answers) else list(answers)
        self._scores = dict(scores or {})
        self._name = name
        self._context = context
        self._chunk = max(1, chunk)
        self._closed = False
        self.requests: list[GenerateRequest | ScoreRequest | tuple[str, ...] | Prompt] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def context(self) -> int:
        return self._context

    @property
    def generated(self) -> list[GenerateRequest]:
        """Only the generations, in order."""
        return [request for request in self.requests if isinstance(request, GenerateRequest)]

    def generate(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        validate.generate_request(request)
        return self._events(request)

    async def _events(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        self._check_open()
        self.requests.append(request)
        answer = self._next(request)
        if isinstance(answer, SmidgenError):
            raise answer
        text, reason, stop_string = answer, "stop", ""
        for stop in request.stop:
            before, found, _ = text.partition(stop)
            if found:
                text, stop_string = before, stop
        if request.max_tokens is not None and len(text.encode()) > request.max_tokens:
            text = text.encode()[: request.max_tokens].decode(errors="ignore")
            reason, stop_string = "length", ""
        prompt_tokens = len(_bytes(request.prompt))
        yield Prefilled(prompt_tokens=prompt_tokens, cached_tokens=0)
        for start in range(0, len(text), self._chunk):
            await asyncio.sleep(0)
            yield TextDelta(text=text[start : start + self._chunk])
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(text.encode()))
        yield Generated(
            text=text,
            finish_reason="length" if reason == "length" else "stop",
            usage=usage,
            timings=Timings(),
            stop_string=stop_string,
        )

    async def score(self, request: ScoreRequest) -> ScoreResult:
        validate.score_request(request)
        self._check_open()
        self.requests.append(request)
        return ScoreResult(
            logprobs=tuple(self._scores.get(text, -20.0) for text in request.candidates),
            token_counts=tuple(len(text.encode()) for text in request.candidates),
            usage=Usage(prompt_tokens=len(_bytes(request.prompt))),
        )

    async def embed(self, texts: tuple[str, ...], *, timeout_s: float | None = None) -> Embeddings:
        """Unit vectors of hashed words: texts that share words are near each other."""
        validate.texts(texts)
        validate.timeout(timeout_s)
        self._check_open()
        self.requests.append(texts)
        vectors = tuple(_hashed(text) for text in texts)
        total = sum(len(text.encode()) for text in texts)
        return Embeddings(vectors=vectors, dimensions=EMBEDDING_SIZE, usage=Usage(prompt_tokens=total))

    async def tokenize(self, prompt: Prompt, *, timeout_s: float | None = None) -> tuple[int, ...]:
        validate.prompt(prompt, allow_empty=True)
        validate.timeout(timeout_s)
        self._check_open()
        return tuple(_bytes(prompt))

    async def detokenize(self, tokens: tuple[int, ...], *, timeout_s: float | None = None) -> str:
        validate.token_ids(tokens, 256)
        validate.timeout(timeout_s)
        self._check_open()
        return bytes(tokens).decode(errors="replace")

    async def stats(self) -> dict[str, Any]:
        self._check_open()
        return {"requests": len(self.requests)}

    async def aclose(self) -> None:
        self._closed = True

    def _next(self, request: GenerateRequest) -> Answer:
        if callable(self._answers):
            return self._answers(request)
        if not self._answers:
            raise EngineUnavailable("The script has no answer left.", retryable=False)
        return self._answers.pop(0)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineUnavailable(f"{self._name} is closed.", retryable=False)


def prompt_text(request: GenerateRequest) -> str:
    """The prompt's segments joined, for a script that looks at what it is asked."""
    return "".join(segment.text for segment in request.prompt)


def prompt_of(text: str) -> Prompt:
    return (Segment(text),)


def _bytes(prompt: Prompt) -> bytes:
    """Raises InvalidRequest for tokens that are no bytes."""
    for segment in prompt:
        validate.token_ids(segment.tokens, 256)
    return b"".join(segment.text.encode() + bytes(segment.tokens) for segment in prompt)


def _hashed(text: str) -> tuple[float, ...]:
    vector = [0.0] * EMBEDDING_SIZE
    for word in text.lower().split() or [text]:
        vector[zlib.crc32(word.encode()) % EMBEDDING_SIZE] += 1.0
    length = sum(value * value for value in vector) ** 0.5
    return tuple(value / length for value in vector)
