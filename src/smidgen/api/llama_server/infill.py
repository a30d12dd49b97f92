"""/infill: what goes where the cursor is, as editors ask for it at each pause in typing.

An editor's request goes before those of chats. What was cut from its prompt for lack of time is read in the background
afterwards, so that the next request finds it in the cache; the reading ahead that editors ask for themselves, with
`n_predict` 0 and no text, is done there too and answered at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent import AgentModel
from smidgen.agent import infill as assembly
from smidgen.agent.infill import FILE, Around, Extra, View
from smidgen.api.delivery import encode
from smidgen.api.documented import ANSWERING, EVENTS, documented
from smidgen.api.llama_server import answers, sampling, shapes
from smidgen.api.llama_server.completion import answered, started, varied
from smidgen.api.llama_server.pace import Pace
from smidgen.api.llama_server.requests import InfillRequest
from smidgen.api.llama_server.runs import Named, Run, named
from smidgen.api.manners import refusal
from smidgen.api.openai.several import Several
from smidgen.api.service import Service
from smidgen.api.streams import Stream
from smidgen.errors import UnsupportedByModel
from smidgen.events import AgentEvent, Failed, Finished, Notice, Prefilled
from smidgen.messages import BACKGROUND, GenerateRequest, Sampling, Segment, Timings, Usage
from smidgen.runtime.leased import completed

EDITOR_PRIORITY = -10
USUAL_TOKENS = 128
"""That are written where a request names no number: a completion isn't a chapter."""

OTHERS_TEMPERATURE = 0.8
"""Of the second answer and those after it, if none is asked for: the likeliest is the first."""

PIECE = 256
"""Tokens that are read ahead in one request."""


class Editors:
    """What is kept between the requests of editors, for each model."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._paces: dict[str, Pace] = {}
        self._ahead: dict[str, Stream] = {}

    def pace(self, model: Named) -> Pace:
        return self._paces.setdefault(model.spec, Pace())

    def pause(self, model: Named) -> bool:
        """What is read ahead for this model is broken off; as far as it has come, it stays in the cache. False if
        nothing was."""
        earlier = self._ahead.pop(model.spec, None)
        if earlier is None or earlier.over:
            return False
        earlier.abandon()
        return True

    async def _background(
        self, model: Named, events: AsyncGenerator[AgentEvent, None]
    ) -> AsyncGenerator[AgentEvent, None]:
        """Takes no turn: nobody waits for it, and nobody shall wait because of it."""
        self._service.keep(model.spec)
        self._service.background += 1
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            self._service.background -= 1

    def read_ahead(self, model: Named, beginning: Callable[[AgentModel], Awaitable[tuple[int, ...]]]) -> Stream:
        """Reads a prompt's beginning, in tokens, when there is nothing else to do, in place of what was to be read
        ahead for this model before. In pieces, so that it is known how far it came if it is broken off."""
        pace = self.pace(model)
        tokens: tuple[int, ...] | None = None
        read = 0

        async def write(loaded: AgentModel) -> tuple[GenerateRequest, tuple[Notice, ...]]:
            nonlocal tokens, read
            if tokens is None:
                tokens = await beginning(loaded)
                read = pace.cached(tokens)
            read = min(read + PIECE, len(tokens))
            prompt = (Segment("", tokens=tokens[:read]),)
            return GenerateRequest(prompt=prompt, max_tokens=1, priority=BACKGROUND, cache="editor"), ()

        async def events() -> AsyncGenerator[AgentEvent, None]:
            while True:
                last: AgentEvent | None = None
                piece = completed(self._service.runtime, model.spec, write, strategy="infill")
                async with aclosing(piece):
                    async for event in piece:
                        if isinstance(event, Prefilled) and tokens is not None:
                            pace.remember(tokens[:read], event.cached_tokens)
                        if not isinstance(event, Finished | Failed):
                            yield event
                        last = event
                if not isinstance(last, Finished) or tokens is None or read == len(tokens):
                    if last is not None:
                        yield last
                    return

        self.pause(model)
        stream = self._ahead[model.spec] = Stream(self._background(model, events()))
        return stream


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["llama-server"])
    editors = Editors(service)

    @router.post(
        "/infill",
        **documented("Code at the cursor", answers.COMPLETIONS, stream=EVENTS, refused=(*ANSWERING, 501)),
    )
    async def infill(body: InfillRequest, request: Request) -> Response:
        model = named(service, body.model)
        broken_off = editors.pause(model)
        try:
            if body.limit == 0 and not (body.input_prefix or body.input_suffix or body.prompt):
                return await _warmed(editors, model, body)
            warnings = (*model.told, *sampling.without_effect(body, known=("infill",)))
            runs = [Run(body, index, warnings) for index in range(body.answers)]
            starts = [_start(service, editors, model, run, body, broken_off) for run in runs]
            return await answered(request, Several(starts, service.serve.streams), runs)
        except UnsupportedByModel as error:
            status, headers, told = refusal(request.url.path, 501, error.message, error.hint, code=error.code)
            return Response(told, status_code=status, headers=dict(headers))

    del infill
    return router


def _around(body: InfillRequest, start: int = 0) -> Around:
    """start: the character of the text before the cursor to begin at."""
    extras = tuple(Extra(piece.filename or "", piece.text) for piece in body.input_extra or ())
    return Around(
        before=(body.input_prefix + body.prompt)[start:],
        after=body.input_suffix,
        extras=tuple(extra for extra in extras if extra.text.strip()),
        file=body.filename or FILE,
    )


def _room(loaded: AgentModel, limit: int | None) -> int:
    """Tokens of a prompt, the same for all usual numbers of tokens to write."""
    context = loaded.engine.context
    return max(context - max(limit or 0, USUAL_TOKENS), context // 2)


def _start(
    service: Service, editors: Editors, model: Named, run: Run, body: InfillRequest, paused: bool
) -> Callable[[], Stream]:
    pace = editors.pace(model)
    constraint = sampling.constraint(body)
    view: View | None = None
    whole: View | None = None

    async def write(loaded: AgentModel) -> tuple[GenerateRequest, tuple[Notice, ...]]:
        nonlocal view, whole, paused
        run.model = loaded
        paused = editors.pause(model) or paused
        marks = assembly.require(loaded.fim, loaded.name)

        async def tokenize(text: str) -> tuple[int, ...]:
            return await pace.tokenize(loaded, text)

        start = pace.windows.start(body.input_prefix)
        whole = view = await assembly.fitted(_around(body, start), marks, tokenize, _room(loaded, body.limit))
        if body.t_max_prompt_ms is not None and body.t_max_prompt_ms > 0:
            most = pace.readable(body.t_max_prompt_ms / 1000)
            view = await assembly.hurried(whole, marks, tokenize, pace.cached, most)
        run.truncated = bool(view.cut or start)
        if view.around.extras and marks.file is None:
            run.told.append("The model has no mark for files: pieces from elsewhere stand before the text as text.")
        run.request = GenerateRequest(
            prompt=assembly.prompt(view.around, marks),
            sampling=_drawn(body, run.index),
            constraint=constraint,
            max_tokens=run.max_tokens or USUAL_TOKENS,
            stop=sampling.stops(body),
            logprobs=body.n_probs or 0,
            ignore_eos=bool(body.ignore_eos),
            priority=EDITOR_PRIORITY,
            cache="editor",
        )
        return run.request, tuple(Notice(code="prompt_cut", message=text) for text in view.cut)

    async def rest(_: AgentModel) -> tuple[int, ...]:
        return whole.stable if whole else ()

    def watch(event: AgentEvent) -> None:
        if isinstance(event, Prefilled) and view is not None:
            pace.remember(view.tokens, event.cached_tokens)
        elif isinstance(event, Finished) and run.index == 0:
            pace.learn(event.usage, event.timings)
            if view is not whole or paused:
                editors.read_ahead(model, rest)

    if run.index and body.temperature is None:
        run.told.append(f"All answers but the first are drawn at temperature {OTHERS_TEMPERATURE}.")
    return started(service, model, run, write, "infill", watch)


def _drawn(body: InfillRequest, answer: int) -> Sampling:
    drawn = varied(sampling.sampling(body, Sampling(), greedy=True), answer)
    if answer and body.temperature is None:
        return msgspec.structs.replace(drawn, temperature=OTHERS_TEMPERATURE)
    return drawn


async def _warmed(editors: Editors, model: Named, body: InfillRequest) -> Response:
    """Answers as soon as it is known what to read ahead. Raises UnsupportedByModel, and what loading raises."""
    run = Run(body, 0, model.told)
    known = asyncio.Event()

    async def beginning(loaded: AgentModel) -> tuple[int, ...]:
        run.model = loaded
        marks = assembly.require(loaded.fim, loaded.name)

        async def tokenize(text: str) -> tuple[int, ...]:
            return await editors.pace(model).tokenize(loaded, text)

        view = await assembly.fitted(_around(body), marks, tokenize, _room(loaded, None))
        run.truncated = bool(view.cut)
        run.told += view.cut
        known.set()
        return view.stable

    stream = editors.read_ahead(model, beginning)
    waits = [asyncio.ensure_future(known.wait()), asyncio.ensure_future(stream.begin())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if waits[1].done():
            waits[1].result()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
    end = Finished(
        text="",
        model=model.name,
        finish_reason="length",
        tool_calls=(),
        usage=Usage(),
        timings=Timings(),
        warnings=(),
        strategy="infill_ahead",
    )
    return Response(encode(shapes.selected(run.answer(end, ()), body.response_fields)), media_type="application/json")
