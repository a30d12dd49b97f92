"""/tokenize, /detokenize and /apply-template: texts, tokens and prompts, without any answer."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from smidgen.api.delivery import encode
from smidgen.api.documented import ANSWERING, documented
from smidgen.api.llama_server import answers, pieces
from smidgen.api.llama_server.requests import DetokenizeRequest, TokenizeRequest
from smidgen.api.llama_server.runs import named
from smidgen.api.openai.requests import ChatRequest
from smidgen.api.openai.translate import translated
from smidgen.api.service import Service


def routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["llama-server"])

    @router.post("/tokenize", **documented("Tokens of a text", answers.TOKENS, refused=ANSWERING))
    async def tokenize(body: TokenizeRequest) -> Response:
        model = named(service, body.model)
        prompt = pieces.prompt(body.content, special=body.parse_special)
        service.keep(model.spec)
        async with service.runtime.lease(model.spec) as lease:
            found = await pieces.tokens(lease.model, prompt, add_special=body.add_special)
            if not body.with_pieces:
                return _json({"tokens": found}, model.told)
            texts = await pieces.pieces(lease.model, found)
        told = [{"id": token, "piece": piece} for token, piece in zip(found, texts, strict=True)]
        return _json({"tokens": told}, model.told)

    @router.post("/detokenize", **documented("The text of tokens", answers.CONTENT, refused=ANSWERING))
    async def detokenize(body: DetokenizeRequest) -> Response:
        model = named(service, body.model)
        service.keep(model.spec)
        async with service.runtime.lease(model.spec) as lease:
            return _json({"content": await pieces.text(lease.model, body.tokens)}, model.told)

    @router.post("/apply-template", **documented("A conversation as a prompt", answers.PROMPT, refused=ANSWERING))
    async def apply_template(body: ChatRequest) -> Response:
        model = named(service, body.model)
        wanted = translated(body)
        tools = [tool.spec for tool in wanted.tools]
        service.keep(model.spec)
        async with service.runtime.lease(model.spec) as lease:
            prompt = lease.model.template.render(wanted.messages, tools or None)
        return _json({"prompt": "".join(segment.text for segment in prompt)}, model.told)

    del tokenize, detokenize, apply_template
    return router


def _json(answer: dict[str, Any], told: tuple[str, ...]) -> Response:
    if told:
        answer["smidgen"] = {"warnings": told}
    return Response(encode(answer), media_type="application/json")
