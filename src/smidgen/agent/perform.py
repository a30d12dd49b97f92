"""Performs the planner's actions for one run: asks the engine, calls tools, keeps the state and the accounts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import AgentSettings, Strategy, Supply, prompts, rules, verify
from smidgen.agent.answering import Answerer
from smidgen.agent.asking import Asking
from smidgen.agent.calling import outcome_of
from smidgen.agent.choosing import Chooser, known_to
from smidgen.agent.deadline import Deadline
from smidgen.agent.journal import Journal
from smidgen.agent.plan import (
    AnyAction,
    Ask,
    CallTool,
    Continue,
    Escalate,
    Finish,
    Generate,
    HandOver,
    Retry,
    Route,
    Verify,
    WriteCall,
    needs_model,
)
from smidgen.agent.returned import returned
from smidgen.agent.state import Attempt, Choice, State, Verdict, after_attempt, after_escalation, after_retry
from smidgen.agent.writing import Writer, sources
from smidgen.errors import DeadlineExceeded, InvalidRequest
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
    Failed,
    FellBack,
    Finished,
    Notice,
    Routed,
    TextDelta,
    ToolCalled,
    ToolRecord,
    ToolReturned,
    Verified,
)
from smidgen.messages import Message, ToolCall, ToolSpec
from smidgen.tools import Knowing, Tool
from smidgen.tools.conversation import conversation
from smidgen.tools.external import is_external
from smidgen.tools.permissions.guard import Guard, preview_of
from smidgen.tools.permissions.provenance import Said
from smidgen.tools.registry import Registry
from smidgen.tools.results import LEAST_PART, Results

SHARE, CHARACTERS_PER_TOKEN = 0.4, 3
"""Of the context, that one result may fill; and a cautious count of what a token holds of English or code."""


class Performer:
    """Raises InvalidRequest for a history without a request, or a tool choice that isn't there."""

    def __init__(
        self,
        supply: Supply,
        tools: Sequence[Tool],
        history: Sequence[Message],
        settings: AgentSettings,
        guard: Guard,
        results: Results,
        embedder: Supply | None = None,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._results = results
        self._tools = Registry(tools)
        self._history = prompts.with_system(history, settings.system)
        request = next((turn.content for turn in reversed(history) if turn.role == "user"), None)
        if request is None:
            raise InvalidRequest("There is nothing to answer.", hint="The conversation needs a user message.")
        self._request = request
        self._offered = self._offer()
        # A conversation that ends in tools' results goes on as if they had been run here: they are put into words.
        by_tools = bool(self._offered) and history[-1].role == "user"
        must_call = by_tools and settings.tool_choice != "auto"
        strategies = tuple[Strategy, ...](
            way for way in settings.strategies if (not must_call if way == "plain" else by_tools and self._allowed(way))
        )
        attempts = returned(history)
        self.state = State(
            strategies=strategies,
            attempts=attempts,
            accepted=tuple(attempt.call for attempt in attempts),
            complete=bool(attempts),
            external=frozenset(tool.spec.name for tool in tools if is_external(tool)),
            max_steps=settings.max_steps,
            several="several" not in settings.off,
            asked=rules.asked(request) if "plain" in settings.strategies else 0,
        )
        self.ended = False
        self._deadline = Deadline(settings.timeout_s)
        self._asking = Asking(supply, self._deadline, embedder)
        offered = {spec.name for spec in self._offered}
        held = [tool for tool in self._tools if tool.spec.name in offered]
        self._chooser = Chooser(self._asking, settings, self._history, self._offered, held)
        self._journal = Journal()
        self._writer = Writer(
            self._asking, settings, self._history, self._request, self._tools, self._chooser, self._journal
        )
        self._answerer = Answerer(self._asking, settings, self._history, self._journal)

    def _offer(self) -> tuple[ToolSpec, ...]:
        wanted = self._settings.tool_choice
        if wanted == "none":
            return ()
        if wanted == "required" and not self._tools.specs and self._history[-1].role == "user":
            raise InvalidRequest("A tool call is required, but there are no tools.", hint="Give the agent a tool.")
        if wanted in ("auto", "required"):
            return self._tools.specs
        return (self._tools.get(wanted).spec,)

    def _allowed(self, way: Strategy) -> bool:
        if way in self._settings.off:
            return False
        return way != "rules" or self._settings.tool_choice == "auto"

    def perform(self, action: AnyAction) -> AsyncIterator[AgentEvent]:
        """The events of one action; `state` has changed when they end. Raises typed errors that no strategy cures."""
        if not isinstance(action, Finish):
            self._deadline.remaining()
        if not self._asking.is_loaded and needs_model(action):
            return self._load_then(action)
        match action:
            case Route():
                return self._route(action)
            case WriteCall():
                return self._write_call(action)
            case Verify():
                return self._verify(action)
            case Continue():
                return self._continue(action)
            case CallTool():
                return self._call_tool(action)
            case HandOver():
                return self._hand_over(action)
            case Retry():
                return self._retry(action)
            case Escalate():
                return self._escalate(action.reason)
            case Ask():
                return self._ask(action)
            case Generate():
                return self._generate(action)
            case Finish():
                return self._finish(action)

    async def _load_then(self, action: AnyAction) -> AsyncIterator[AgentEvent]:
        for notice in await self._asking.load():
            yield notice
        async with aclosing(cast(Any, self.perform(action))) as events:
            async for event in events:
                yield event

    def _request_before(self) -> str:
        asked = [turn.content for turn in self._history if turn.role == "user"]
        return asked[-2] if len(asked) > 1 else ""

    def _answered(self) -> str:
        """What was said right before the request."""
        turn = self._history[-2] if len(self._history) > 1 else None
        return turn.content if turn is not None and turn.role == "assistant" else ""

    def _change(self, **fields: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)

    def overdue(self, error: DeadlineExceeded) -> Finished | Failed:
        """How a run ends at its time limit: with what was said so far, or with the error if nothing was."""
        self._asking.account.settle()
        if not self._journal.said.strip():
            error.details = {**error.details, "tool_calls": len(self._journal.records)}
            return Failed(error=error.info())
        self._journal.finish_reason = "deadline"
        return self._finished(self._journal.said)

    # --- towards a call -----------------------------------------------------------------------------------------------

    async def _route(self, action: Route) -> AsyncIterator[AgentEvent]:
        request = self._request
        if action.strategy == "rules":
            found = rules.match(request, self._offered, self._request_before(), self._answered())
            choice = found or self._looked_up() or Choice(tool="", reason="")
            if len(choice.calls) > 1 and not self.state.several:
                choice = Choice(tool="", reason="")
            if choice.calls:
                yield Routed(strategy="rules", reason=choice.reason)
            if len(choice.calls) > 1:
                self._change(choice=choice, accepted=choice.calls, complete=True)
            else:
                self._change(choice=choice, draft=choice.calls[0] if choice.calls else None)
            return
        failed = {attempt.call.name for attempt in self.state.attempts}
        try:
            choice = await self._chooser.choose(simplified=action.strategy == "simplified", failed=failed)
        except InvalidRequest as error:
            yield Notice(code="routing_failed", message=f"No tool could be chosen: {error.message}")
            self._change(choice=Choice(tool="", reason=f"no tool could be chosen: {error.message}", failed=True))
            return
        for notice in self._chooser.notices:
            self._journal.warn(notice.message)
            yield notice
        self._chooser.notices.clear()
        yield Routed(strategy=action.strategy, reason=choice.reason)
        self._change(choice=choice)

    def _looked_up(self) -> Choice | None:
        """Where data that the user gave know of the request, and need no model to be asked."""
        name = known_to(self._request, [tool for tool in self._tools if tool.spec in self._offered])
        tool = self._tools.get(name) if name else None
        arguments = tool.arguments_for(self._request) if isinstance(tool, Knowing) else None
        if name is None or arguments is None:
            return None
        call = ToolCall(name=name, arguments=arguments)
        return Choice(tool=name, reason=f"the request is about what {name} holds", calls=(call,), known=True)

    async def _write_call(self, action: WriteCall) -> AsyncIterator[AgentEvent]:
        async with aclosing(cast(Any, self._writer.write(action, self.state))) as events:
            async for event in events:
                yield event
        self.state = self._writer.state
        if self._writer.refused:
            async for event in self._escalate(self._writer.refused):
                yield event

    async def _continue(self, action: Continue) -> AsyncIterator[AgentEvent]:
        async with aclosing(cast(Any, self._writer.go_on(action, self.state))) as events:
            async for event in events:
                yield event
        self.state = self._writer.state

    async def _verify(self, action: Verify) -> AsyncIterator[AgentEvent]:
        tool = self._tools.get(action.call.name)
        if self.state.strategy == "rules" or "check" in self._settings.off:
            verdict = Verdict(ok=True)
        else:
            said = sources(self._history, self.state.attempts)
            verdict = verify.check_call(action.call, tool.spec, tool.effect, said, self._request)
        self._change(verdict=verdict)
        yield Verified(check="call", ok=verdict.ok, reason=verdict.reason)

    async def _call_tool(self, action: CallTool) -> AsyncIterator[AgentEvent]:
        tool = self._tools.get(action.call.name)
        call = action.call
        with conversation(self._settings.conversation):
            ruling = self._guard.ruling(tool, call.arguments, self._heard())
            preview = preview_of(tool, call.arguments) if ruling.decision == "ask" else ""
        if ruling.decision == "ask":
            yield ApprovalNeeded(call=call, preview=preview, reason=ruling.reason)
        yield ToolCalled(call=call)
        started = time.monotonic()
        outcome = await outcome_of(tool, call, self._settings, self._guard, ruling, self._deadline)
        spent = time.monotonic() - started
        yield ToolReturned(call=call, ok=outcome.ok, result=outcome.value, seconds=spent, tier=outcome.tier)
        for note in self._guard.notes:
            self._journal.warn(note)
            yield Notice(code="not_logged", message=note)
        self._guard.notes.clear()
        self._journal.records.append(
            ToolRecord(name=call.name, arguments=call.arguments, result=outcome.value, ok=outcome.ok)
        )
        text = self._results.shown(outcome.text, self._room())
        attempt = Attempt(
            call=call,
            ok=outcome.ok,
            text=text,
            answer=outcome.answer,
            fault=outcome.fault,
            material=outcome.material,
            quotes=outcome.quotes,
        )
        self.state = after_attempt(self.state, attempt)
        if not outcome.ok:
            self._deadline.remaining()

    def _heard(self) -> Said:
        """What the user said, and what tools did, in this conversation so far. A call that the user wrote themselves
        can come from nowhere else."""
        if self.state.choice is not None and self.state.choice.literal:
            return Said(user=(self._request,))
        returned = [turn.content for turn in self._history if turn.role == "tool"]
        given = [turn for turn in self._history if turn.role != "system"][: self._settings.given]
        returned += [turn.content for turn in given if turn.role == "assistant"]
        # Some are described by what stands in the user's data, which then has been read as well.
        returned += [tool.told for tool in self._tools if isinstance(tool, Knowing) and tool.told]
        return Said(
            user=tuple(turn.content for turn in self._history if turn.role == "user"),
            tools=(*returned, *(attempt.text for attempt in self.state.attempts)),
        )

    def _room(self) -> int:
        """Characters of a result that are read at once: in a small context fewer than the settings allow."""
        most = self._settings.result_chars
        if not self._asking.is_loaded:
            return most
        return min(most, max(LEAST_PART, int(self._asking.model.engine.context * SHARE * CHARACTERS_PER_TOKEN)))

    async def _hand_over(self, action: HandOver) -> AsyncIterator[AgentEvent]:
        for call in action.calls:
            yield ToolCalled(call=call)
        self._journal.finish_reason = "tool_calls"
        yield self._finished("", wanted=action.calls)

    async def _retry(self, action: Retry) -> AsyncIterator[AgentEvent]:
        self.state = after_retry(self.state, action.reason)
        return
        yield  # an async generator without events

    async def _escalate(self, reason: str) -> AsyncIterator[AgentEvent]:
        left, declined = self.state.strategy or "plain", self._declined()
        self.state = after_escalation(self.state, reason)
        to = self.state.strategy
        if not declined:
            yield FellBack(from_strategy=left, to_strategy=to or "refusal", reason=reason)
            self._journal.warn(f"{left} failed ({reason}); {to or 'nothing'} was tried next")

    def _declined(self) -> bool:
        """Moving on because no tool was called for is no failure."""
        return self.state.choice is not None and self.state.choice.declined

    async def _ask(self, action: Ask) -> AsyncIterator[AgentEvent]:
        question = f"For {action.tool.replace('_', ' ')} I need: {', '.join(action.missing)}. What should it be?"
        yield Asked(question=question, missing=action.missing)
        yield TextDelta(text=question)
        yield self._finished(question)

    # --- towards words ------------------------------------------------------------------------------------------------

    async def _generate(self, action: Generate) -> AsyncIterator[AgentEvent]:
        async with aclosing(cast(Any, self._answerer.answer(action, self.state.strategy))) as events:
            async for event in events:
                yield event
        text = self._answerer.text
        self._change(text=text)
        if not text.strip() and not action.attempts:
            async for event in self._silent():
                yield event

    async def _silent(self) -> AsyncIterator[AgentEvent]:
        """Nothing was said: that strategy is over. What ended by deadline or cancellation ends as such."""
        if self._journal.finish_reason in ("deadline", "cancelled"):
            yield self._finished("")
            return
        self._change(text=None)
        async for event in self._escalate("the model's answer was empty"):
            yield event

    async def _finish(self, action: Finish) -> AsyncIterator[AgentEvent]:
        if action.text:
            yield TextDelta(text=action.text)
        yield self._finished(action.text or self.state.text or "", refused=action.refused)

    def _finished(self, text: str, *, refused: bool = False, wanted: tuple[ToolCall, ...] = ()) -> Finished:
        self.ended = True
        strategy = self._journal.answering or self.state.strategy or "plain"
        return Finished(
            text=text,
            model=self._asking.name,
            finish_reason=self._journal.finish_reason,
            tool_calls=tuple(self._journal.records),
            usage=self._asking.account.usage,
            timings=self._asking.account.timings,
            warnings=tuple(self._journal.warnings),
            strategy="refusal" if refused else strategy,
            wanted=wanted,
            stop_string=self._answerer.stop_string,
        )
