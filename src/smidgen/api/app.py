"""The application: every family's routes over one service, errors in the shape of whoever asked, manners around it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from smidgen.api import faults
from smidgen.api.manners import refusal
from smidgen.api.openai import chat
from smidgen.api.service import Service
from smidgen.errors import ErrorInfo, SmidgenError

log = logging.getLogger("smidgen.api")

FAMILIES = (chat.routes,)


def application(service: Service) -> FastAPI:
    """Without its manners, which `smidgen.api.manners.stack` adds."""
    from smidgen import __version__

    app = FastAPI(
        title="smidgen",
        version=__version__,
        description="Agents on small language models, for clients of OpenAI, Anthropic, Ollama and llama-server.",
        docs_url=None,
        redoc_url=None,
    )
    for routes in FAMILIES:
        app.include_router(routes(service))
    app.add_exception_handler(SmidgenError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _crashed)
    return app


def error_response(path: str, info: ErrorInfo, status: int = 0) -> Response:
    status, headers, body = refusal(
        path,
        status or faults.status_of(info),
        info.message,
        info.hint,
        code=info.code,
        retry_after=faults.retry_after(info),
    )
    return Response(body, status_code=status, headers=dict(headers))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SmidgenError)
    return error_response(request.url.path, error.info())


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(_place(one) for one in error.errors()[:5])
    info = ErrorInfo(code="invalid_request", message=f"The request can't be used: {told}.", fault="caller")
    return error_response(request.url.path, info)


def _place(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    return f"{where}: {error['msg']}" if where else str(error["msg"])


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    info = ErrorInfo(code="not_found" if error.status_code == 404 else "invalid_request", message=str(error.detail))
    response = error_response(request.url.path, info, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _crashed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    info = ErrorInfo(code="internal", message="Something went wrong inside smidgen.", hint="Its log says what.")
    return error_response(request.url.path, info)
