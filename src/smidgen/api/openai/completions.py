"""/v1/completions: texts continued as they stand, or a gap filled, without any chat template."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent import AgentModel
from smidgen.api.delivery import PATIENCE_S, Streamed, abandoned_with, comment, encode, sse
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.openai import answers, shapes
from smidgen.api.openai.chat import tokens_of
from smidgen.api.openai.prompts import Given, continued, filled_in, given
from smidgen.api.openai.requests import CompletionRequest
from smidgen.api.openai.several import Numbered, Several, ended
from smidgen.api.openai.translate import SEEDS, constrained, ignored, refused, sampled, token_limit
from smidgen.api.service import Service, fresh_seed, new_id, told_headers
from smidgen.api.streams import Stream
from smidgen.events import AgentEvent, Failed, Finished, Notice, Prefilled, TextDelta, TokenLogprob
from smidgen.messages import GenerateRequest, SamplingChange

MAX_TOKENS = 16
"""As OpenAI documents it."""

MAX_CHOICES = 128
"""Answers to one request."""


class Wanted(msgspec.Struct, kw_only=True):
    """A request, checked. prompts: as text; of those that came as tokens, once the model is there to read them.
    options: of the request to the engine, with `change` and `seed` for its sampling."""

    body: CompletionRequest
    given: tuple[Given, ...]
    prompts: dict[int, str]
    options: dict[str, Any]
    ignored: tuple[str, ...]

    @property
    def answers(self) -> int:
        """To each prompt."""
        return self.body.n or 1

    @property
    def count(self) -> int:
        return len(self.given) * self.answers

    def prompt(self, choice: int) -> str:
        """What stands before this choice's text, "" if it isn't to be repeated."""
        return self.prompts.get(choice // self.answers, "") if self.body.echo else ""


def wanted(body: CompletionRequest) -> Wanted:
    """Raises InvalidRequest, ConstraintError."""
    prompts = given(body.prompt)
    answers = body.n or 1
    if not prompts or any(not prompt for prompt in prompts):
        raise refused("prompt", "A prompt is empty.", "Give at least one character of text.")
    if len(prompts) * answers > MAX_CHOICES:
        raise refused("prompt", f"{len(prompts) * answers} answers are too many.", f"Ask for {MAX_CHOICES} at most.")
    if body.best_of is not None and body.best_of < answers:
        raise refused("best_of", f"best_of is {body.best_of}, less than n.", "Leave it out.")
    limit = token_limit(body)
    if limit == 0:
        hint = "Give at least 1: a prompt's own logprobs can't be had here."
        raise refused("max_tokens", "max_tokens is 0, so that nothing would be written.", hint)
    options = sampled(body)
    options["max_tokens"] = MAX_TOKENS if limit is None else limit if limit > 0 else None
    options["constraint"] = constrained(body)
    options["logprobs"] = 0 if body.logprobs is None else max(1, body.logprobs)
    told = list(ignored(body))
    if body.best_of is not None and body.best_of > answers:
        told.append("best_of has no effect here: only as many answers are written as are given back.")
    if body.echo and body.logprobs is not None:
        told.append("The prompt's own logprobs can't be had here; those of the answer are given.")
    texts = {index: prompt for index, prompt in enumerate(prompts) if isinstance(prompt, str)}
    return Wanted(body=body, given=prompts, prompts=texts, options=options, ignored=tuple(told))


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["OpenAI"])

    @router.post(
        "/v1/completions", **documented("Continue texts", answers.COMPLETION, stream=EVENTS, refused=ANSWERING)
    )
    async def complete(body: CompletionRequest, request: Request) -> Response:
        model = service.model(body.model)
        asked = wanted(body)
        several = Several([_start(service, model, asked, index) for index in range(asked.count)], service.serve.streams)
        if body.stream:
            async with abandoned_with(request.receive, several):
                await several.begin(PATIENCE_S)
            return Streamed(several, CompletionWriter(asked, service.runtime.name_of(model)))
        choices = await ended(request.receive, several, asked.count)
        if choices is None:
            return Response(status_code=499)
        answer = completion(choices, asked)
        return Response(encode(answer), media_type="application/json", headers=dict(told_headers(choices[0][1])))

    del complete
    return router


def _start(service: Service, model: str, asked: Wanted, choice: int) -> Callable[[], Stream]:
    number, answer = divmod(choice, asked.answers)
    options = dict(asked.options)
    change: SamplingChange = options.pop("change")
    seed = options.pop("seed", None)
    seed = fresh_seed() if seed is None else (seed + answer) % SEEDS

    async def write(loaded: AgentModel) -> tuple[GenerateRequest, tuple[Notice, ...]]:
        prompt = asked.given[number]
        if not isinstance(prompt, str):
            prompt = asked.prompts[number] = await loaded.engine.detokenize(prompt)
        suffix = asked.body.suffix
        request = GenerateRequest(
            prompt=filled_in(prompt, suffix, loaded.fim) if suffix else continued(prompt),
            sampling=msgspec.structs.replace(change.applied(loaded.profile.sampling), seed=seed),
            **options,
        )
        return request, ()

    return lambda: service.complete(model, write)


# --- what goes back -------------------------------------------------------------------------------------------------


def completion(choices: Sequence[tuple[Sequence[AgentEvent], Finished]], asked: Wanted) -> dict[str, Any]:
    ends = [end for _, end in choices]
    events = [event for told, _ in choices for event in told]
    return {
        "id": new_id("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": ends[0].model,
        "choices": [_choice(index, told, end, asked) for index, (told, end) in enumerate(choices)],
        "usage": shapes.usage(shapes.usage_of(ends, asked.answers)),
        "timings": shapes.timings_of(ends),
        "smidgen": shapes.told_of(ends, events, asked.ignored, logprobs=asked.body.logprobs is not None),
    }


def _choice(index: int, events: Sequence[AgentEvent], end: Finished, asked: Wanted) -> dict[str, Any]:
    before, logprobs = asked.prompt(index), None
    if (top := asked.body.logprobs) is not None:
        logprobs = old_logprobs(tokens_of(events), top, len(before))
    reason = shapes.finish_reason(end.finish_reason)
    return {"text": before + end.text, "index": index, "logprobs": logprobs, "finish_reason": reason}


def old_logprobs(tokens: Sequence[TokenLogprob], top: int, offset: int) -> dict[str, Any]:
    """In the shape from before there was chat. top: alternatives that were asked for, beside the token itself;
    offset: characters before the first token."""
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [shapes.finite(token.logprob) for token in tokens],
        "top_logprobs": [_alternatives(token, top) for token in tokens] if top else None,
        "text_offset": offsets,
    }


def _alternatives(token: TokenLogprob, top: int) -> dict[str, float]:
    return {text: shapes.finite(logprob) for text, logprob in (*token.top[:top], (token.text, token.logprob))}


class CompletionWriter:
    """Events as chunks."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, asked: Wanted, model: str) -> None:
        self._asked = asked
        self._body = asked.body
        self._notices: dict[int, list[AgentEvent]] = {}
        self._ends: dict[int, Finished] = {}
        self._offsets: dict[int, int] = {}
        self._began = time.monotonic()
        self._base: dict[str, Any] = {
            "id": new_id("cmpl-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._uncounted = {"usage": None} if self._body.counts else {}

    def begin(self) -> bytes:
        return b""

    def feed(self, events: Sequence[Numbered]) -> bytes:
        return b"".join(self._said(index, event) for index, event in events)

    def _said(self, index: int, event: AgentEvent) -> bytes:
        match event:
            case TextDelta():
                return self._text(index, event)
            case Prefilled() if self._body.return_progress:
                progress = shapes.progress(event, time.monotonic() - self._began)
                return self._sent(_piece(index, ""), prompt_progress=progress)
            case Notice():
                self._notices.setdefault(index, []).append(event)
                return b""
            case Finished():
                return self._ended(index, event)
            case Failed():
                return sse(shapes.error(event.error))
            case _:
                return b""

    def _text(self, index: int, event: TextDelta) -> bytes:
        before = "" if index in self._offsets else self._asked.prompt(index)
        offset = self._offsets.get(index, len(before))
        self._offsets[index] = offset + sum(len(token.text) for token in event.logprobs)
        piece = _piece(index, before + event.text)
        if (top := self._body.logprobs) is not None:
            piece["logprobs"] = old_logprobs(event.logprobs, top, offset)
        return self._sent(piece)

    def _ended(self, index: int, end: Finished) -> bytes:
        self._ends[index] = end
        before = "" if index in self._offsets else self._asked.prompt(index)
        asked = self._body.logprobs is not None
        told = shapes.told_of([end], self._notices.get(index, ()), self._asked.ignored, logprobs=asked)
        piece = _piece(index, before, shapes.finish_reason(end.finish_reason))
        return self._sent(piece, timings=shapes.timings(end.usage, end.timings), smidgen=told)

    def _sent(self, choice: dict[str, Any], **extra: Any) -> bytes:
        return sse({**self._base, "choices": [choice], **self._uncounted, **extra})

    def quiet(self) -> bytes:
        return comment("still working")

    def crashed(self, error: BaseException) -> bytes:
        return sse(shapes.error(shapes.crash(error)))

    def end(self) -> bytes:
        if not self._body.counts or not self._ends:
            return b"data: [DONE]\n\n"
        ends = [self._ends[index] for index in sorted(self._ends)]
        used = shapes.usage(shapes.usage_of(ends, self._asked.answers))
        return sse({**self._base, "choices": [], "usage": used}) + b"data: [DONE]\n\n"


def _piece(index: int, text: str, reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}
