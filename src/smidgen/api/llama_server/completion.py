"""/completion and /completions: a text continued, as llama-server's own clients ask for it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent import AgentModel
from smidgen.agent.completion import Write
from smidgen.api.delivery import PATIENCE_S, Streamed, comment, encode, sse
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.faults import status_of
from smidgen.api.llama_server import answers, pieces, sampling, shapes
from smidgen.api.llama_server.limits import limited
from smidgen.api.llama_server.requests import CompletionRequest, Generating
from smidgen.api.llama_server.runs import Named, Run, named
from smidgen.api.manners import refusal
from smidgen.api.openai.several import Numbered, Several, ended
from smidgen.api.service import Service, told_headers
from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo, InvalidRequest, SmidgenError
from smidgen.events import AgentEvent, Failed, Finished, Notice, Prefilled, TextDelta
from smidgen.messages import Constraint, GenerateRequest, Prompt, Sampling, Timings, Usage
from smidgen.runtime.leased import completed

MAX_ANSWERS = 128
"""To one request."""

PATH = "/completion"
"""Any of this family's: errors in a stream have its shape."""


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["llama-server"])

    completes = documented("Continue texts", answers.COMPLETIONS, stream=EVENTS, refused=ANSWERING)

    @router.post("/completion", **completes)
    @router.post("/completions", **completes)
    async def complete(body: CompletionRequest, request: Request) -> Response:
        model = named(service, body.model)
        runs = _runs(body, model)
        constraint = sampling.constraint(body)
        prompts = [_prompt(prompt) for prompt in body.prompts]
        starts = [_start(service, model, run, prompts[run.index // body.answers], constraint) for run in runs]
        return await answered(request, Several(starts, service.serve.streams), runs)

    del complete
    return router


async def answered(request: Request, several: Several, runs: Sequence[Run]) -> Response:
    """One object, or a list of as many as were asked for; or all of it in pieces. Raises typed errors."""
    if runs[0].body.stream:
        await several.begin(PATIENCE_S)
        return Streamed(several, CompletionWriter(runs))
    done = await ended(request.receive, several, len(runs))
    if done is None:
        return Response(status_code=499)
    fields = runs[0].body.response_fields
    answers = [shapes.selected(run.answer(end, events), fields) for run, (events, end) in zip(runs, done, strict=True)]
    told = encode(answers if len(answers) > 1 else answers[0])
    return Response(told, media_type="application/json", headers=dict(told_headers(done[0][1])))


def _runs(body: CompletionRequest, model: Named) -> list[Run]:
    count = len(body.prompts) * body.answers
    if count > MAX_ANSWERS:
        raise InvalidRequest(f"{count} answers are too many.", hint=f"Ask for {MAX_ANSWERS} at most.")
    warnings = (*model.told, *sampling.without_effect(body))
    return [Run(body, index, warnings) for index in range(count)]


def _prompt(given: str | list[int | str]) -> Prompt:
    if not given:
        raise InvalidRequest("A prompt is empty.", hint="Give at least one character of text, or one token.")
    return pieces.prompt(given)


def _start(
    service: Service, model: Named, run: Run, prompt: Prompt, constraint: Constraint | None
) -> Callable[[], Stream]:
    body = run.body

    async def write(loaded: AgentModel) -> tuple[GenerateRequest, tuple[Notice, ...]]:
        run.model = loaded
        drawn = sampling.sampling(body, loaded.profile.sampling)
        run.request = GenerateRequest(
            prompt=prompt,
            sampling=varied(drawn, run.index % body.answers),
            constraint=constraint,
            max_tokens=run.max_tokens,
            stop=sampling.stops(body),
            logprobs=body.n_probs or 0,
            ignore_eos=bool(body.ignore_eos),
        )
        return run.request, ()

    return started(service, model, run, write, "completion")


def varied(drawn: Sampling, answer: int) -> Sampling:
    """Each of several answers has a seed of its own."""
    return msgspec.structs.replace(drawn, seed=(drawn.seed + answer) % 2**63)


def started(
    service: Service, model: Named, run: Run, write: Write, kind: str, watch: Callable[[AgentEvent], None] | None = None
) -> Callable[[], Stream]:
    """Starts a run that ends as its body asks for. watch: told of every event."""
    body = run.body
    seconds = None if body.t_max_predict_ms is None or body.t_max_predict_ms < 0 else body.t_max_predict_ms / 1000

    async def events() -> AsyncGenerator[AgentEvent, None]:
        patience = service.serve.answer_s or None
        source = run.seen(completed(service.runtime, model.spec, write, strategy=kind, timeout_s=patience))
        if seconds is not None or body.n_indent:
            source = limited(source, run.count, model=model.name, indent=body.n_indent or 0, seconds=seconds)
        async with aclosing(source):
            async for event in source:
                if watch is not None:
                    watch(event)
                yield event

    return lambda: service.stream(kind, model.spec, events)


class CompletionWriter:
    """Events as server-sent events, each with the index of the answer that it belongs to."""

    media_type = "text/event-stream; charset=utf-8"

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._body: Generating = runs[0].body
        self._events: list[list[AgentEvent]] = [[] for _ in runs]
        self._pieces = [0 for _ in runs]
        self._began = time.perf_counter()
        self._prefilled: dict[int, float] = {}

    def begin(self) -> bytes:
        return b""

    def feed(self, events: Sequence[Numbered]) -> bytes:
        return b"".join(self._said(index, event) for index, event in events)

    def _said(self, index: int, event: AgentEvent) -> bytes:
        run = self._runs[index]
        match event:
            case TextDelta() if not run.hidden:
                return self._piece(run, event)
            case Prefilled():
                self._prefilled[index] = time.perf_counter()
                return b""
            case Notice():
                self._events[index].append(event)
                return b""
            case Finished():
                last = run.answer(event, self._events[index], streamed=True)
                return sse(shapes.selected(last, self._body.response_fields))
            case Failed():
                return self._failed(event.error)
            case _:
                return b""

    def _piece(self, run: Run, event: TextDelta) -> bytes:
        self._pieces[run.index] += max(1, len(event.logprobs))
        read = run.prefilled
        said: dict[str, Any] = {
            "index": run.index,
            "content": event.text,
            "tokens": [],
            "stop": False,
            "id_slot": max(self._body.id_slot or 0, 0),
            "tokens_predicted": self._pieces[run.index],
            "tokens_evaluated": read.prompt_tokens if read else 0,
        }
        if self._body.n_probs:
            said["completion_probabilities"] = shapes.probabilities([event], self._body.n_probs)
        if self._body.timings_per_token:
            said["timings"] = self._timings(run)
        return sse(said)

    def _timings(self, run: Run) -> dict[str, Any]:
        """So far; the exact ones come last."""
        read, at = run.prefilled, self._prefilled.get(run.index, self._began)
        used = Usage(
            prompt_tokens=read.prompt_tokens if read else 0,
            cached_tokens=read.cached_tokens if read else 0,
            completion_tokens=self._pieces[run.index],
        )
        return shapes.timings(used, Timings(prefill_s=at - self._began, decode_s=time.perf_counter() - at))

    def _failed(self, error: ErrorInfo) -> bytes:
        _, _, body = refusal(PATH, status_of(error), error.message, error.hint, code=error.code)
        return b"data: " + body + b"\n\n"

    def quiet(self) -> bytes:
        return comment("still working")

    def crashed(self, error: BaseException) -> bytes:
        if isinstance(error, SmidgenError):
            return self._failed(error.info())
        return self._failed(ErrorInfo(code="internal", message="Something went wrong inside smidgen."))

    def end(self) -> bytes:
        return b""
