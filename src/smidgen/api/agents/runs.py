"""Starts runs, one at a time in a session, keeps what they tell, and finds them again.

A run belongs to the server, not to the connection that asked for it: it ends when it is done or cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import msgspec

from smidgen.api.agents.live import Live, encode
from smidgen.api.agents.named import Choices, agent_for, named, seed_of
from smidgen.api.agents.requests import RunRequest
from smidgen.api.service import Service
from smidgen.api.streams import Stream
from smidgen.errors import ErrorInfo, SessionBusy, SmidgenError, UnknownRun
from smidgen.events import AgentEvent, Failed, Finished
from smidgen.messages import Message, ToolCall
from smidgen.runtime.agent import Agent, AgentOptions, Chat
from smidgen.sessions import Run, SessionStore, Status
from smidgen.sessions.store import last_turn

log = logging.getLogger("smidgen.api")

CHATS = 64
"""Conversations whose tools' own state (interpreters, writes that can be undone) is kept in memory."""


class _Held(msgspec.Struct):
    """A session's conversation in memory, for as long as nothing about its agent changes."""

    agent_name: str
    choices: Choices
    chat: Chat
    live: Live | None = None


class Runs:
    """Open it before, and close it with `aclose`, which cancels what runs."""

    def __init__(self, service: Service, store: SessionStore) -> None:
        self._service = service
        self.store = store
        self._live: dict[str, Live] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._busy: dict[str, str] = {}
        self._held: dict[str, _Held] = {}

    async def aclose(self) -> None:
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
        asked_live = body.stream or body.background
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
            held = self._conversation(name, choices, body.session or "", before, asks=asked_live)
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
        live = held.live = self._live[run.id] = Live(lambda events: self.store.append_events(run.id, events))
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

    def _conversation(
        self, name: str, choices: Choices, session: str, before: tuple[Message, ...], *, asks: bool
    ) -> _Held:
        """The session's as it is in memory, or one made anew from its messages."""
        held = self._held.get(session) if session else None
        if held is not None and (held.agent_name, held.choices) == (name, choices) and held.chat.messages == before:
            return held
        made: list[_Held] = []

        async def ask(call: ToolCall, preview: str) -> bool:
            live = made[0].live
            return asks and live is not None and await live.ask(call, preview)

        agent = agent_for(self._service, name, choices, ask)
        made.append(_Held(agent_name=name, choices=choices, chat=agent.chat(before)))
        if session and asks:
            if held is not None:
                held.chat.clear()
            self._held[session] = made[0]
            while len(self._held) > CHATS:
                self._held.pop(next(iter(self._held))).chat.clear()
        return made[0]

    # --- one run ------------------------------------------------------------------------------------------------------

    async def _run(self, run: Run, held: _Held, live: Live, given: Sequence[Message], body: RunRequest) -> None:
        options: dict[str, Any] = {
            "seed": seed_of(body.seed),
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
        except asyncio.CancelledError:
            last = Failed(error=ErrorInfo(code="cancelled", message="The run was cancelled.", fault="caller"))
        except Exception as error:
            log.error("a run failed", exc_info=error)
            info = error.info() if isinstance(error, SmidgenError) else ErrorInfo(code="internal", message=repr(error))
            last, status = Failed(error=info), "failed"
        finally:
            await stream.aclose()
            said = held.chat.messages[before:] if status == "finished" and run.session else ()
            end = [encode(last)] if last is not None else []
            held.live = None
            # Whoever cancels a run that ends already doesn't keep its end from being told.
            await asyncio.shield(asyncio.ensure_future(self._ended(run, live, status, end, said)))

    async def _ended(
        self, run: Run, live: Live, status: Status, events: Sequence[bytes], said: Sequence[Message]
    ) -> None:
        """What can't be kept is said; the answer is told all the same."""
        try:
            await self.store.end_run(run.id, status, events=events, messages=said)
        except UnknownRun:
            pass  # it went with its session
        except SmidgenError as error:
            log.error("a run's end could not be kept: %s", error)
        self._free(run)  # whoever sees the last event may go on at once
        live.end(events)

    def _stream(self, held: _Held, given: Sequence[Message], body: RunRequest, options: AgentOptions) -> Stream:
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
        (self._live.get(run_id) or Live(self._nowhere)).approve(yes, event)
        return run

    async def cancel(self, run_id: str) -> Run:
        """Does nothing to a run that is over. Raises UnknownRun."""
        await self.store.run(run_id)
        task = self._tasks.get(run_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        return await self.store.run(run_id)

    @staticmethod
    async def _nowhere(_: Sequence[bytes]) -> None:
        return
