"""The page in the browser: plain files, sent as they are, that use the same API as everybody else.

assets   the files in memory: their types, their fingerprint, the headers they go out with
static/  HTML, CSS and ES modules; nothing builds them, and they ask nothing of other servers
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import Response

from smidgen.api.page.assets import Assets
from smidgen.api.service import Service

_ASSETS = Assets()


def page_response(if_none_match: str = "") -> Response:
    """The page itself, for whoever asks for `/` with a browser. if_none_match: the request's header of that name."""
    return _ASSETS.response("index.html", known=if_none_match)


def routes(service: Service) -> APIRouter:
    """The page's files. `/` is not among them: other clients ask for it too."""
    del service
    router = APIRouter(include_in_schema=False)

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def asset(name: str, v: str = "", if_none_match: Annotated[str, Header()] = "") -> Response:
        if name not in _ASSETS:
            raise HTTPException(404, f"The page has no file {name!r}.")
        return _ASSETS.response(name, v, if_none_match)

    del asset
    return router
