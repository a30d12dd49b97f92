"""What a try asks of a model: a text that goes on from a prompt, and how sure the model was of it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent.asking import Asking
from smidgen.agent.context import Fitted, fit
from smidgen.events import Generated, TextDelta
from smidgen.messages import GenerateRequest, Message, Prompt, SamplingChange, Segment
from smidgen.patterns.run import Run


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """How a try is drawn. seed: beside the task's. temperature: 0 is greedy. model: "" for the task's."""

    seed: int = 0
    temperature: float = 0.0
    model: str = ""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """stop: the string that it ended before, "" if the model ended it itself. whole: it wasn't cut. logprobs: of its
    tokens. tokens: how many."""

    text: str
    stop: str
    whole: bool
    logprobs: tuple[float, ...]
    tokens: int


class Writer:
    """Goes on from one conversation. Nothing is penalised for being there already, whatever is best for the model's
    chat: numbers and names must come again."""

    def __init__(self, run: Run, drawn: Drawn) -> None:
        self._run, self._drawn = run, drawn
        self._asking: Asking | None = None
        self._fitted: Fitted | None = None

    async def write(self, messages: tuple[Message, ...], begun: str, stop: tuple[str, ...], max_tokens: int) -> Piece:
        """messages: the same each time. begun: what the answer begins with. Older turns are left out where not all fit,
        which is a warning. Raises what the engine raises, UnknownModel, ContextOverflow."""
        if self._asking is None:
            self._asking = self._run.asking(self._drawn.model)
            for notice in await self._asking.load():
                self._run.warn(notice.message)
        model = self._asking.model
        if self._fitted is None:
            answer = max_tokens + len(begun.encode())
            self._fitted = await self._asking.deadline.wait(lambda: fit(model, messages, answer))
            if self._fitted.dropped:
                told = f"{self._fitted.dropped} older messages were left out"
                self._run.warn(f"{told}: the context of {self._asking.name} is full.")
        prompt: Prompt = self._fitted.prompt
        seed = self._run.task.seed + self._drawn.seed
        change = SamplingChange(
            temperature=self._drawn.temperature,
            seed=seed,
            repeat_penalty=1.0,
            frequency_penalty=0.0,
            presence_penalty=0.0,
        )
        request = GenerateRequest(
            prompt=(*prompt, Segment(begun, special=False)) if begun else prompt,
            sampling=change.applied(model.profile.sampling),
            max_tokens=max_tokens,
            stop=(*model.profile.stop, *stop),
            timeout_s=self._asking.deadline.remaining(),
            logprobs=1,
        )
        logprobs: list[float] = []
        async with aclosing(cast(Any, self._asking.stream(request))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    logprobs += [token.logprob for token in event.logprobs]
                elif isinstance(event, Generated):
                    return Piece(
                        text=event.text,
                        stop=event.stop_string if event.stop_string in stop else "",
                        whole=event.finish_reason == "stop",
                        logprobs=tuple(logprobs),
                        tokens=event.usage.completion_tokens,
                    )
        raise RuntimeError("a model's stream ended without an end")
