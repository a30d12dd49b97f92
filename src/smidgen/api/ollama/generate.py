"""/api/generate: a prompt answered as in a chat, continued as it stands, or a gap filled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent import AgentModel
from smidgen.api.documented import ANSWERING, LINES, documented
from smidgen.api.ollama import answers, options, translate
from smidgen.api.ollama.durations import keep
from smidgen.api.ollama.headers import Headers
from smidgen.api.ollama.lines import Asked, answered, context_of
from smidgen.api.ollama.loading import only_loaded
from smidgen.api.ollama.names import named
from smidgen.api.ollama.requests import GenerateRequest, Options
from smidgen.api.openai.prompts import continued, filled_in
from smidgen.api.service import Keep, Service, fresh_seed
from smidgen.api.streams import Stream
from smidgen.errors import InvalidRequest
from smidgen.events import Notice
from smidgen.messages import GenerateRequest as EngineRequest
from smidgen.messages import Prompt, SamplingChange, Segment

Write = Callable[[AgentModel], Prompt]


def routes(service: Service, headers: Headers) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/api/generate",
        **documented("Answer a prompt, or fill a gap", answers.GENERATED, stream=LINES, refused=ANSWERING),
    )
    async def generate(body: GenerateRequest, request: Request) -> Response:
        model = await asyncio.to_thread(named, service, body.asked)
        keep_s = keep(body.keep_alive)
        translate.refuse_images(body.images)
        if not body.prompt and not body.suffix:
            return await only_loaded(service, request, model, keep_s, {"response": ""}, body.streams)
        write = _written(body)
        if write is None and await _is_base(service, headers, model):
            write = _plain(body)
        ignored = (*options.ignored(body), *_ignored(body, as_it_stands=write is not None))
        name = service.runtime.name_of(model)
        asked = Asked("generate", body, name, context_of(service), ignored=ignored)
        if write is None:
            wanted = translate.prompted(body)
            stream = service.chat(model, wanted.messages, kind="generate", keep_s=keep_s, **wanted.options)
        else:
            stream = _completed(service, model, body, write, keep_s)
        return await answered(request, stream, asked, streams=body.streams)

    del generate
    return router


def _written(body: GenerateRequest) -> Write | None:
    """How the prompt is written where no chat template has a part in it, else None. Raises InvalidRequest."""
    prompt = body.prompt or ""
    if body.raw:
        for name in ("system", "template", "context", "suffix"):
            if getattr(body, name):
                raise InvalidRequest(f"raw has no use for {name}.", hint="Leave one of them out.", param=name)
        return lambda model: continued(prompt)
    suffix = body.suffix
    return (lambda model: filled_in(prompt, suffix, model.fim)) if suffix else None


def _plain(body: GenerateRequest) -> Write:
    """For models that only continue text."""
    return lambda model: (Segment(body.prompt or "", special=False),)


def _ignored(body: GenerateRequest, *, as_it_stands: bool) -> list[str]:
    """What the client is told. as_it_stands: no chat template is used."""
    told: list[str] = []
    if body.template:
        told.append("template has no effect here: the model's own is used.")
    if body.context:
        told.append("context has no effect here: send the conversation to /api/chat.")
    if body.system and as_it_stands:
        told.append("system has no effect here: the text is only continued.")
    return told


async def _is_base(service: Service, headers: Headers, model: str) -> bool:
    """Whether it only continues text, as far as its file tells."""
    file = await asyncio.to_thread(service.runtime.resolve, model)
    return (await headers.of(file)).kind == "base"


def _completed(service: Service, model: str, body: GenerateRequest, prompt: Write, keep_s: Keep) -> Stream:
    """Raises InvalidRequest, ConstraintError."""
    given = body.options or Options()
    chosen = options.sampled(given)
    change: SamplingChange = chosen["change"]
    seed: int = chosen.get("seed", fresh_seed())
    limit, logprobs = options.limit(given), options.logprobs(body)
    constraint = options.constraint(body.format)

    async def write(loaded: AgentModel) -> tuple[EngineRequest, tuple[Notice, ...]]:
        request = EngineRequest(
            prompt=prompt(loaded),
            sampling=msgspec.structs.replace(change.applied(loaded.profile.sampling), seed=seed),
            constraint=constraint,
            max_tokens=limit,
            stop=chosen["stop"],
            logprobs=logprobs,
        )
        return request, ()

    return service.complete(model, write, kind="generate", keep_s=keep_s)
