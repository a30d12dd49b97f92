"""The application: every family's routes over one service, errors in the shape of whoever asked, manners around it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route

from smidgen.api import anthropic, catalog, faults, llama_server, ollama, page
from smidgen.api.agents.routes import routes as agents_routes
from smidgen.api.agents.runs import Runs
from smidgen.api.documented import ABOUT, TAGS, Documented
from smidgen.api.manners import refusal
from smidgen.api.mcp.http import PATH as MCP_PATH
from smidgen.api.mcp.http import Mounted
from smidgen.api.openai import chat, completions, embeddings, models, responses
from smidgen.api.service import Service
from smidgen.errors import ErrorInfo, SmidgenError

log = logging.getLogger("smidgen.api")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
FAMILIES = (
    page.routes,
    catalog.routes,
    chat.routes,
    completions.routes,
    embeddings.routes,
    responses.routes,
    models.routes,
    llama_server.routes,
    anthropic.routes,
    ollama.routes,
)


def application(service: Service, runs: Runs | None = None, mcp: Mounted | None = None) -> FastAPI:
    """Without its manners, which `smidgen.api.manners.stack` adds. runs, mcp: what answers there, None for nothing."""
    from smidgen import __version__

    app = Documented(
        title="smidgen",
        version=__version__,
        description=ABOUT,
        openapi_tags=[{"name": name, "description": about} for name, about in TAGS],
        docs_url=None,
        redoc_url=None,
    )
    for routes in FAMILIES:
        app.include_router(routes(service))
    if runs is not None:
        app.include_router(agents_routes(service, runs))
    if mcp is not None:
        app.router.routes.append(Route(MCP_PATH, mcp))
    app.add_exception_handler(SmidgenError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _crashed)
    return app


def error_response(request: Request, info: ErrorInfo, status: int = 0) -> Response:
    status, headers, body = refusal(
        request.url.path,
        status or faults.status_of(info),
        info.message,
        info.hint,
        code=info.code,
        retry_after=faults.retry_after(info),
        request_id=getattr(request.state, "request_id", ""),
        param=str(info.details.get("param") or info.details.get("field") or ""),
    )
    return Response(body, status_code=status, headers=dict(headers))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, SmidgenError)
    return error_response(request, error.info())


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = error.errors()[:5]
    told = "; ".join(_place(one) for one in wrong)
    param = next((str(part) for one in wrong[:1] for part in one["loc"] if part != "body"), "")
    message = f"The request can't be used: {told}."
    info = ErrorInfo(code="invalid_request", message=message, fault="caller", details={"param": param})
    return error_response(request, info)


def _place(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part != "body")
    return f"{where}: {error['msg']}" if where else str(error["msg"])


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    info = ErrorInfo(code="not_found" if error.status_code == 404 else "invalid_request", message=str(error.detail))
    response = error_response(request, info, error.status_code)
    response.headers.update(error.headers or {})
    if error.status_code == 405:
        response.headers["allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    """Methods that the path has: routes know only their own."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    routes: Sequence[BaseRoute] = request.app.routes
    return [
        method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in routes)
    ]


async def _crashed(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    info = ErrorInfo(code="internal", message="Something went wrong inside smidgen.", hint="Its log says what.")
    return error_response(request, info)
