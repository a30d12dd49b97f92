"""The paths of the agents API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import Response

from smidgen.api.agents import answers
from smidgen.api.agents.feed import Feed
from smidgen.api.agents.live import encode
from smidgen.api.agents.named import named, told, tools_told
from smidgen.api.agents.requests import ApprovalRequest, RunRequest, SessionRequest, TitleRequest
from smidgen.api.agents.runs import Runs
from smidgen.api.documented import ANSWERING, EVENTS, KEEPING, TEXT, documented
from smidgen.api.service import Service
from smidgen.errors import SmidgenError
from smidgen.events import Failed
from smidgen.sessions import Run

LAST_S = 3600.0
MOST_EVENTS, EVENT_DIGITS = 10**18, 19


def routes(service: Service, runs: Runs) -> APIRouter:
    router = APIRouter(prefix="/v1/agents", tags=["Agents"])

    @router.get("", **documented("Agents", answers.AGENTS))
    async def agents() -> Response:
        return _json({"agents": told(service)})

    @router.get("/tools", **documented("Tools that agents can be given", answers.TOOLS))
    async def tools() -> Response:
        return _json(tools_told(service))

    # --- sessions: before `/{name}/runs`, so that no agent's name stands for them ------------------------------------

    @router.get("/sessions", **documented("Sessions, the latest first", answers.SESSIONS, refused=KEEPING))
    async def sessions(limit: Annotated[int, Query(ge=1, le=200)] = 50, before: str = "") -> Response:
        page = await runs.store.sessions(limit=limit + 1, before=before)
        return _json({"sessions": page[:limit], "more": len(page) > limit})

    @router.post("/sessions", **documented("Begin a session", answers.SESSION, status=201, refused=KEEPING))
    async def new_session(body: SessionRequest) -> Response:
        named(service, body.agent)
        return _json(await runs.store.create_session(body.agent, title=body.title), 201)

    @router.get("/sessions/{session}", **documented("A session", answers.WITH_RUNS, refused=KEEPING))
    async def session(session: str) -> Response:
        found = await runs.store.session(session)
        its_runs = [_told(run) for run in await runs.store.runs(session)]
        return _json({**msgspec.to_builtins(found), "runs": its_runs})

    @router.patch("/sessions/{session}", **documented("Rename a session", answers.SESSION, refused=KEEPING))
    async def rename(session: str, body: TitleRequest) -> Response:
        await runs.store.rename(session, body.title)
        return _json(await runs.store.session(session))

    @router.delete("/sessions/{session}", **documented("Delete a session", status=204, refused=KEEPING))
    async def delete(session: str) -> Response:
        await runs.delete(session)
        return Response(status_code=204)

    # --- runs ---------------------------------------------------------------------------------------------------------

    @router.get("/runs/{run}", **documented("A run", answers.RUN, refused=KEEPING))
    async def run(run: str) -> Response:
        return _json(_told(await runs.run(run)))

    @router.get("/runs/{run}/events", **documented("A run's events", TEXT, kind=EVENTS, refused=KEEPING))
    async def events(
        run: str,
        after: Annotated[int, Query(ge=0, lt=MOST_EVENTS)] = 0,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        sent = last_event_id or ""
        number = int(sent) if sent.isascii() and sent.isdecimal() and len(sent) < EVENT_DIGITS else after
        return Feed(runs, await runs.run(run), number)

    @router.post("/runs/{run}/approval", **documented("Approve a call or not", answers.RUN, refused=(*KEEPING, 409)))
    async def approval(run: str, body: ApprovalRequest) -> Response:
        return _json(_told(await runs.approve(run, body.approve, body.event)))

    @router.post("/runs/{run}/cancel", **documented("Cancel a run", answers.RUN, refused=KEEPING))
    async def cancel(run: str) -> Response:
        return _json(_told(await runs.cancel(run)))

    @router.post(
        "/{name}/runs",
        **documented(
            "Run an agent",
            answers.ANSWERED,
            stream=EVENTS,
            refused=(*ANSWERING, *KEEPING, 409),
            also={202: answers.BEGUN},
        ),
    )
    async def start(name: str, body: RunRequest) -> Response:
        begun = await runs.start(name, body)
        if body.stream:
            return Feed(runs, begun)
        if body.background:
            return _json({"run": _told(begun)}, 202)
        live = runs.live(begun.id)
        number, over = 0, live is None
        while live is not None and not over:
            events, over = await live.after(number, LAST_S)
            number += len(events)
        return await _waited_for(runs, begun, live.events if live is not None else ())

    del agents, tools, sessions, new_session, session, rename, delete, run, events, approval, cancel, start
    return router


async def _waited_for(runs: Runs, begun: Run, events: Sequence[bytes]) -> Response:
    """A run that failed is refused as any other request that does, unless it was cancelled."""
    answer: dict[str, Any] = msgspec.json.decode(events[-1])
    if answer["type"] == "failed" and answer["error"]["code"] not in ("cancelled", "interrupted"):
        raise msgspec.convert(answer, Failed).error.to_exception()
    try:
        ended = await runs.store.run(begun.id)
    except SmidgenError:  # it could not be kept, which a notice told
        ended = msgspec.structs.replace(begun, status="finished" if answer["type"] == "finished" else "failed")
    unkept = [json.loads(data)["message"] for data in events if b'"code":"not_kept"' in data]
    if unkept and "warnings" in answer:
        answer["warnings"] = [*answer["warnings"], *unkept]
    return _json({"run": _told(ended), "answer": answer})


def _told(run: Run) -> dict[str, Any]:
    return msgspec.to_builtins(run)


def _json(data: Any, status: int = 200) -> Response:
    return Response(encode(data), status_code=status, media_type="application/json")
