"""/v1/messages/count_tokens: what a conversation takes of the model's context, counted by the model's own tokenizer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from smidgen.agent import AgentModel
from smidgen.agent.deadline import Deadline
from smidgen.agent.prompts import call_messages, spelled
from smidgen.api.anthropic import answers
from smidgen.api.anthropic.requests import CountRequest
from smidgen.api.anthropic.translate import Translated, translated
from smidgen.api.delivery import encode, unless_gone
from smidgen.api.documented import ANSWERING, documented
from smidgen.api.service import Service
from smidgen.dialects.choose import dialect


def routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/v1/messages/count_tokens",
        **documented("How many tokens a conversation takes", answers.COUNTED, refused=ANSWERING),
    )
    async def count(body: CountRequest, request: Request) -> Response:
        model = service.model(body.model)
        counted = await unless_gone(request.receive, _counted(service, model, translated(body)))
        if counted is None:
            return Response(status_code=499)
        return Response(encode(counted), media_type="application/json")

    del count
    return router


async def _counted(service: Service, model: str, wanted: Translated) -> dict[str, Any]:
    deadline = Deadline(service.serve.answer_s or None)
    async with service.admission.turn():
        service.keep(model)
        async with service.runtime.lease(model, deadline) as lease:
            tokens = await tokens_of(wanted, lease.model, deadline.remaining())
            told = {"context_tokens": lease.model.engine.context, "warnings": wanted.ignored}
            return {"input_tokens": tokens, "smidgen": told}


async def tokens_of(wanted: Translated, model: AgentModel, timeout_s: float | None = None) -> int:
    """Of the prompt for an answer in words, or, where that is longer, of the one for a call with all tools told of.
    Raises what the engine raises."""
    speech = dialect(model.profile.dialect)
    prompts = [spelled(wanted.messages, speech)]
    if wanted.tools and wanted.options["tool_choice"] != "none":
        prompts.append(call_messages(wanted.messages, [tool.spec for tool in wanted.tools], speech))
    rendered = [model.template.render(turns) for turns in prompts]
    return max([len(await model.engine.tokenize(prompt, timeout_s=timeout_s)) for prompt in rendered])
