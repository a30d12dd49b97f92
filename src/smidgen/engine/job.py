"""One request from acceptance to its end, across restarts of the worker: what was asked, and what came so far.

A job is sent to a worker any number of times, each time under a new wire id, so that late answers to an earlier sending
can't be taken for answers to the present one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from smidgen.errors import DeadlineExceeded, ErrorInfo, SmidgenError
from smidgen.events import EngineEvent, Failed, FinishReason, Generated, Prefilled, Resumed, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, Timings, Usage
from smidgen.wire import Chunk, Done, ParentMessage, RequestFailed, Submit, WorkerMessage

SHORTEST_S = 0.001
"""Time left that is sent to the worker for a request whose deadline is now."""


class Job:
    """number: for the engine. wire_id: of the present sending, 0 while not with a worker. advanced: messages that told
    of it since. worker_knows_deadline: then the worker is given a moment to end the job at its deadline itself."""

    kind = "job"
    worker_knows_deadline = True

    def __init__(self, number: int, accepted: float, timeout_s: float | None) -> None:
        self.number = number
        self.accepted = accepted
        self.deadline = None if timeout_s is None else accepted + timeout_s
        self.wire_id: int = 0
        self.advanced: int = 0
        self.timer: asyncio.TimerHandle | None = None

    def remaining(self, now: float) -> float | None:
        return None if self.deadline is None else max(SHORTEST_S, self.deadline - now)

    def message(self, wire_id: int, now: float) -> ParentMessage:
        """What to send to a worker now."""
        raise TypeError(f"{type(self).__name__} has no message")

    def fail(self, error: SmidgenError) -> None:
        raise TypeError(f"{type(self).__name__} can't fail")

    def expire(self, now: float) -> None:
        """The deadline passed without the worker ending it."""
        raise TypeError(f"{type(self).__name__} can't expire")

    def interrupted(self, cause: str) -> None:
        """The worker that had it is gone; it will be sent again."""

    def shape(self) -> dict[str, Any]:
        """Counts and parameters, never text."""
        return {"kind": self.kind}


class Question(Job):
    """A request with one answer: score, embed, tokenize and the like. Sent again whole after a crash."""

    def __init__(
        self,
        number: int,
        accepted: float,
        timeout_s: float | None,
        kind: str,
        write: Callable[[int, float | None], ParentMessage],
        shape: dict[str, Any],
        *,
        worker_knows_deadline: bool,
    ) -> None:
        super().__init__(number, accepted, timeout_s)
        self.kind = kind
        self.worker_knows_deadline = worker_knows_deadline
        self._write = write
        self._shape = shape
        self.answer: asyncio.Future[WorkerMessage] = asyncio.get_running_loop().create_future()

    def message(self, wire_id: int, now: float) -> ParentMessage:
        return self._write(wire_id, self.remaining(now))

    def finish(self, message: WorkerMessage) -> None:
        if not self.answer.done():
            self.answer.set_result(message)

    def fail(self, error: SmidgenError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def expire(self, now: float) -> None:
        waited = now - self.accepted
        self.fail(DeadlineExceeded(f"No answer to {self.kind} within {waited:.3g} s.", waited_s=waited))

    def shape(self) -> dict[str, Any]:
        return {"kind": self.kind, **self._shape}


class Generation(Job):
    """A stream of events. What the reader hasn't taken is kept joined: however slow it is, what is kept is at most the
    text itself."""

    kind = "generate"

    def __init__(self, number: int, accepted: float, request: GenerateRequest) -> None:
        super().__init__(number, accepted, request.timeout_s)
        self.request = request
        self.tokens: list[int] = []
        self.sendings = 0
        self.ended = False
        self.refusal: SmidgenError | None = None
        self._yielded = False
        self._texts: list[str] = []
        self._text_bytes = 0
        self._prefilled: Prefilled | None = None
        self._prefilled_at = 0.0
        self._cause = ""
        self._ready: list[EngineEvent] = []
        self._delta: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._wake: asyncio.Future[None] | None = None

    def message(self, wire_id: int, now: float) -> ParentMessage:
        self.sendings += 1
        request = self.request
        if self.deadline is not None:
            request = msgspec.structs.replace(request, timeout_s=self.remaining(now))
        return Submit(id=wire_id, request=request, resume_tokens=tuple(self.tokens), resume_bytes=self._text_bytes)

    # --- from the worker --------------------------------------------------------------------------------------------

    def add(self, chunk: Chunk, now: float) -> None:
        self._say_resumed()
        if chunk.prefilled is not None and self._prefilled is None:
            prompt, cached = chunk.prefilled
            self._prefilled = Prefilled(prompt_tokens=prompt, cached_tokens=cached)
            self._prefilled_at = now
            self._emit(self._prefilled)
        self.tokens += chunk.tokens
        self.advanced += 1
        self._append(chunk.text, chunk.logprobs)

    def done(self, message: Done, now: float) -> None:
        self._say_resumed()
        self._append(message.text, ())
        usage, timings = message.usage, message.timings
        if self.sendings > 1 and self._prefilled is not None:
            # The last worker saw the resumed tokens as prompt: what the first prefill cost is what counts.
            usage = msgspec.structs.replace(usage, cached_tokens=self._prefilled.cached_tokens)
            timings = Timings(
                queue_s=0.0, prefill_s=self._prefilled_at - self.accepted, decode_s=now - self._prefilled_at
            )
        self._finish(message.finish_reason, usage, timings, message.stop_string)

    def failed(self, message: RequestFailed) -> None:
        self._fail(message.error)

    # --- from the engine --------------------------------------------------------------------------------------------

    def interrupted(self, cause: str) -> None:
        self._cause = cause

    def fail(self, error: SmidgenError) -> None:
        self._fail(error.info())

    def refuse(self, error: SmidgenError) -> None:
        """Like `fail`, but before any event it is an exception to the caller: the request wasn't accepted."""
        if self._yielded or self._ready or self._texts:
            self._fail(error.info())
        elif not self.ended:
            self.ended, self.refusal = True, error
            self._rouse()

    def expire(self, now: float) -> None:
        prompt, cached = (0, 0)
        if self._prefilled is not None:
            prompt, cached = self._prefilled.prompt_tokens, self._prefilled.cached_tokens
        usage = Usage(prompt_tokens=prompt, cached_tokens=cached, completion_tokens=len(self.tokens))
        if self._prefilled is None:
            timings = Timings(queue_s=now - self.accepted)
        else:
            timings = Timings(prefill_s=self._prefilled_at - self.accepted, decode_s=now - self._prefilled_at)
        self._finish("deadline", usage, timings, "")

    def shape(self) -> dict[str, Any]:
        request = self.request
        sampling = msgspec.structs.asdict(request.sampling)
        return {
            "kind": self.kind,
            "prompt_tokens": None if self._prefilled is None else self._prefilled.prompt_tokens,
            "prompt_segments": len(request.prompt),
            "prompt_characters": sum(len(segment.text) for segment in request.prompt),
            "emitted_tokens": len(self.tokens),
            "sendings": self.sendings,
            "sampling": sampling,
            "max_tokens": request.max_tokens,
            "stops": len(request.stop),
            "logprobs": request.logprobs,
            "constraint": None if request.constraint is None else request.constraint.kind,
            "constraint_characters": 0 if request.constraint is None else len(request.constraint.source),
        }

    # --- to the reader ----------------------------------------------------------------------------------------------

    async def take(self) -> list[EngineEvent]:
        """What there is, waiting for at least one event. Empty only if the request was refused."""
        while not (self._ready or self._delta or self._logprobs or self.refusal):
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        self._join()
        events, self._ready = self._ready, []
        self._yielded = self._yielded or bool(events)
        return events

    def _say_resumed(self) -> None:
        if self._cause:
            self._emit(Resumed(cause=self._cause, after_tokens=len(self.tokens)))
            self._cause = ""

    def _append(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> None:
        if text:
            self._texts.append(text)
            self._text_bytes += len(text.encode())
            self._delta.append(text)
        if logprobs:
            self._logprobs += logprobs
        if text or logprobs:
            self._rouse()

    def _join(self) -> None:
        if self._delta or self._logprobs:
            self._ready.append(TextDelta(text="".join(self._delta), logprobs=tuple(self._logprobs)))
            self._delta, self._logprobs = [], []

    def _emit(self, event: EngineEvent) -> None:
        self._join()
        self._ready.append(event)
        self._rouse()

    def _finish(self, reason: FinishReason, usage: Usage, timings: Timings, stop: str) -> None:
        if self.ended:
            return
        self.ended = True
        self._emit(
            Generated(text="".join(self._texts), finish_reason=reason, usage=usage, timings=timings, stop_string=stop)
        )

    def _fail(self, error: ErrorInfo) -> None:
        if not self.ended:
            self.ended = True
            self._emit(Failed(error=error))

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
