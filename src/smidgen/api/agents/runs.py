"""Starts runs, one at a time in a session, keeps what they tell, and finds them again.

A run belongs to the server, not to the connection that asked for it: it ends when it is done or cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.api.agents.conversations import Conversations, Held
from smidgen.api.agents.live import Live, encode, not_kept
from smidgen.api.agents.named import Choices, named
from smidgen.api.agents.requests import RunRequest
from smidgen.api.service import Service, seed_for
from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo, NothingToApprove, SessionBusy, SmidgenError, UnknownRun
from smidgen.events import AgentEvent, Failed, Finished
from smidgen.messages import Message
from smidgen.runtime.agent import Agent, AgentOptions
from smidgen.sessions import Run, SessionStore, Status
from smidgen.sessions.store import INTERRUPTED, last_turn

log = logging.getLogger("smidgen.api")


class Runs:
    """Open it before, and close it with `aclose`, which cancels what runs."""

    def __init__(self, service: Service, store: SessionStore) -> None:
        self._service = service
        self.store = store
        self._live: dict[str, Live] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: dict[str, str] = {}
        self._conversations = Conversations(service)
        self._closing = False
        self._hurried = asyncio.Event()

    async def drain(self, seconds: float) -> None:
        """Lets what runs come to its end for so long, or until `hurry`. Runs that wait for a person are not waited
        for."""
        lasting = {task for run, task in self._tasks.items() if not self._live[run].waiting}
        if not lasting or seconds <= 0:
            return
        ends = {asyncio.ensure_future(asyncio.wait(lasting)), asyncio.ensure_future(self._hurried.wait())}
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        await asyncio.wait(ends)

    def hurry(self) -> None:
        """Nothing is waited for any more."""
        self._hurried.set()

    async def aclose(self) -> None:
        """What still runs is interrupted."""
        self._closing = True
        for task in tuple(self._tasks.values()):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))
        await self.store.aclose()

    def live(self, run_id: str) -> Live | None:
        return self._live.get(run_id)

    async def start(self, name: str, body: RunRequest) -> Run:
        """Raises UnknownAgent, UnknownSession, SessionBusy, and what the agent raises at once."""
        named(self._service, name)
        choices = Choices(
            model=body.model,
            tools=None if body.tools is None else tuple(body.tools),
            system=body.system,
            temperature=body.temperature,
            max_tokens=body.max_tokens,
            dry_run=body.dry_run,
        )
        before: tuple[Message, ...] = ()
        if body.session:
            if body.session in self._busy:
                raise SessionBusy("The session answers something else.", hint="Wait for that run, or cancel it.")
            self._busy[body.session] = ""
        try:
            if body.session:
                before = (await self.store.session(body.session)).messages
                if body.replaces and (await self.store.run(body.replaces)).status == "finished":
                    before = before[: last_turn(before)]
            given = tuple(Message(role=turn.role, content=turn.content) for turn in body.messages or ())
            if body.input is not None:
                given = (Message(role="user", content=body.input),)
            held = self._conversations.find(name, choices, body.session or "", before)
            run = await self.store.start_run(
                agent=name,
                model=held.chat.agent.model,
                session=body.session or "",
                messages=given,
                replaces=body.replaces or "",
            )
        except BaseException:
            self._busy.pop(body.session or "", None)
            raise
        if body.session:
            self._busy[body.session] = run.id
            self._conversations.keep(body.session, held)
        live = Live(lambda events: self.store.append_events(run.id, events), asks=body.stream or body.background)
        held.live = self._live[run.id] = live
        task = asyncio.get_running_loop().create_task(self._run(run, held, live, given, body))
        self._tasks[run.id] = task
        task.add_done_callback(lambda _: self._forget(run))
        return run

    def _forget(self, run: Run) -> None:
        self._tasks.pop(run.id, None)
        self._live.pop(run.id, None)
        self._free(run)

    def _free(self, run: Run) -> None:
        if self._busy.get(run.session) == run.id:
            del self._busy[run.session]

    # --- one run ------------------------------------------------------------------------------------------------------

    async def _run(self, run: Run, held: Held, live: Live, given: Sequence[Message], body: RunRequest) -> None:
        options: dict[str, Any] = {
            "seed": seed_for(held.chat.agent.pattern, body.seed),
            "logprobs": body.logprobs,
            "tool_choice": body.tool_choice,
        }
        before = len(held.chat.messages)
        stream = self._stream(held, given, body, AgentOptions(**options))
        last: AgentEvent | None = None
        status: Status = "cancelled"
        try:
            while events := await stream.take():
                if isinstance(events[-1], Finished | Failed):
                    last = events.pop()
                if events:
                    await live.tell(events)
                if last is not None:
                    break
            status = "finished" if isinstance(last, Finished) else "failed"
            last = last or Failed(error=_outward(RuntimeError("a run without an end")))
        except asyncio.CancelledError:
            last, status = (INTERRUPTED, "interrupted") if self._closing else (_CANCELLED, "cancelled")
        except Exception as error:
            log.error("a run failed", exc_info=error)
            last, status = Failed(error=_outward(error)), "failed"
        finally:
            # Whoever cancels a run that ends already doesn't keep its end from being told.
            ending = self._ended(run, held, live, status, last, before, stream)
            await asyncio.shield(asyncio.ensure_future(ending))

    async def _ended(
        self,
        run: Run,
        held: Held,
        live: Live,
        status: Status,
        last: AgentEvent | None,
        before: int,
        stream: Stream,
    ) -> None:
        """What can't be kept is said; the answer is told all the same."""
        await stream.aclose()
        said = held.chat.messages[before:] if status == "finished" and run.session else ()
        events = [encode(last)] if last is not None else []
        told: list[bytes] = []
        try:
            await self.store.end_run(run.id, status, events=events, messages=said)
        except SmidgenError as error:
            if not isinstance(error, UnknownRun):  # which went with its session
                log.error("a run's end could not be kept: %s", error)
            if live.kept:
                told = [not_kept(error)]
        held.live = None
        self._free(run)  # whoever sees the last event may go on at once
        live.end([*told, *events])

    def _stream(self, held: Held, given: Sequence[Message], body: RunRequest, options: AgentOptions) -> Stream:
        agent: Agent = held.chat.agent
        if body.messages is not None:
            asked = given[-1].content if given else ""
            return self._service.stream(
                "agent", agent.model, lambda: agent.astream(given, **options), asked=lambda: asked
            )
        text = body.input or ""
        return self._service.stream(
            "agent", agent.model, lambda: held.chat.astream(text, **options), asked=lambda: text
        )

    # --- finding and changing them ------------------------------------------------------------------------------------

    async def run(self, run_id: str) -> Run:
        """As it is now. Raises UnknownRun."""
        run = await self.store.run(run_id)
        live = self._live.get(run_id)
        if live is not None and live.waiting and not live.over:
            return msgspec.structs.replace(run, status="waiting")
        return run

    async def approve(self, run_id: str, yes: bool, event: int | None) -> Run:
        """Raises UnknownRun, NothingToApprove."""
        run = await self.store.run(run_id)
        live = self._live.get(run_id)
        if live is None:
            raise NothingToApprove("The run is over.", hint="Start another one.")
        live.approve(yes, event)
        return run

    async def delete(self, session: str) -> None:
        """A session with its runs; one that isn't over is cancelled first. Raises UnknownSession."""
        await self.store.session(session)
        task = self._tasks.get(self._busy.get(session, ""))
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        self._conversations.drop(session)
        await self.store.delete(session)

    async def cancel(self, run_id: str) -> Run:
        """Does nothing to a run that is over. Raises UnknownRun."""
        await self.store.run(run_id)
        task = self._tasks.get(run_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        return await self.store.run(run_id)


_CANCELLED = Failed(error=ErrorInfo(code="cancelled", message="The run was cancelled.", fault="caller"))


def _outward(error: Exception) -> ErrorInfo:
    """What went wrong inside is for the log."""
    if isinstance(error, SmidgenError):
        return error.info()
    return ErrorInfo(code="internal", message="Something went wrong inside smidgen.", hint="Its log says what.")
