"""Performs the planner's actions for one run: asks the engine, calls tools, keeps the state and the accounts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, cast
from weakref import WeakKeyDictionary

import msgspec

from smidgen.agent import AgentModel, AgentSettings, Approve, Strategy, Supply, prompts, route, rules, verify
from smidgen.agent.account import Account
from smidgen.agent.calling import outcome_of
from smidgen.agent.context import Fitted, fit
from smidgen.agent.deadline import Deadline
from smidgen.agent.plan import (
    AnyAction,
    Ask,
    Attempt,
    CallTool,
    Choice,
    Escalate,
    Finish,
    Generate,
    Retry,
    Route,
    State,
    Verdict,
    Verify,
    WriteCall,
    after_attempt,
    after_escalation,
    after_retry,
    needs_model,
)
from smidgen.dialects import Dialect
from smidgen.dialects.choose import dialect
from smidgen.engine import Engine
from smidgen.errors import DeadlineExceeded, InvalidRequest, SmidgenError
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
    EngineEvent,
    Failed,
    FellBack,
    Finished,
    FinishReason,
    Generated,
    Notice,
    Resumed,
    Routed,
    TextDelta,
    ToolCalled,
    ToolRecord,
    ToolReturned,
    Verified,
)
from smidgen.messages import (
    GenerateRequest,
    Message,
    Sampling,
    ScoreRequest,
    Segment,
    ToolSpec,
)
from smidgen.tools import Tool
from smidgen.tools.registry import Registry

CALL_TOKENS = 512
"""Longest call that is decoded."""
MAX_PRIORS = 64
_PRIORS: WeakKeyDictionary[Engine, dict[str, tuple[float, ...]]] = WeakKeyDictionary()
SIMPLE_TOOLS = 3
"""Tools offered when the prompt is simplified."""
STREAM_GRACE_S = 1.5
"""An engine ends its stream itself at the run's time limit, and then its figures are exact; this much later it is cut.
All else that a run waits for is cut at the limit."""


class Performer:
    """Raises InvalidRequest for a history without a request, or a tool choice that isn't there."""

    def __init__(
        self,
        supply: Supply,
        tools: Sequence[Tool],
        history: Sequence[Message],
        settings: AgentSettings,
        approve: Approve | None,
    ) -> None:
        self._supply = supply
        self._loaded: AgentModel | None = None
        self._settings = settings
        self._approve = approve
        self._tools = Registry(tools)
        self._history = prompts.with_system(history, settings.system)
        self._request = next((turn.content for turn in reversed(history) if turn.role == "user"), None)
        if self._request is None:
            raise InvalidRequest("There is nothing to answer.", hint="The conversation needs a user message.")
        self._offered = self._offer()
        # A conversation that ends in a tool's result wants it put into words.
        by_tools = bool(self._offered) and history[-1].role == "user"
        must_call = by_tools and settings.tool_choice != "auto"
        strategies = tuple[Strategy, ...](
            way for way in settings.strategies if (not must_call if way == "plain" else by_tools and self._allowed(way))
        )
        self.state = State(strategies=strategies, max_steps=settings.max_steps)
        self.ended = False
        self._deadline = Deadline(settings.timeout_s)
        self._account = Account()
        self._said = ""
        self._told_dropped = False
        self._records: list[ToolRecord] = []
        self._warnings: list[str] = []
        self._finish_reason: FinishReason = "stop"
        self._answering: Strategy | None = None

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
        return way != "rules" or self._settings.tool_choice == "auto"

    def perform(self, action: AnyAction) -> AsyncIterator[AgentEvent]:
        """The events of one action; `state` has changed when they end. Raises typed errors that no strategy cures."""
        if not isinstance(action, Finish):
            self._deadline.remaining()
        if self._loaded is None and needs_model(action):
            return self._load_then(action)
        match action:
            case Route():
                return self._route(action)
            case WriteCall():
                return self._write_call(action)
            case Verify():
                return self._verify(action)
            case CallTool():
                return self._call_tool(action)
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
        self._loaded, notices = await self._deadline.model(self._supply.name, self._supply.load)
        for notice in notices:
            yield notice
        async with aclosing(cast(Any, self.perform(action))) as events:
            async for event in events:
                yield event

    @property
    def _model(self) -> AgentModel:
        if self._loaded is None:
            raise RuntimeError("an action that counts as one without a model asked for the model")
        return self._loaded

    @property
    def _dialect(self) -> Dialect:
        return dialect(self._model.profile.dialect)

    def _change(self, **fields: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)

    def overdue(self, error: DeadlineExceeded) -> Finished | Failed:
        """How a run ends at its time limit: with what was said so far, or with the error if nothing was."""
        self._account.settle()
        if not self._said.strip():
            error.details = {**error.details, "tool_calls": len(self._records)}
            return Failed(error=error.info())
        self._finish_reason = "deadline"
        return self._finished(self._said)

    async def _stream(self, request: GenerateRequest) -> AsyncIterator[EngineEvent]:
        """The engine's events, accounted, up to and with `Generated`. Raises what a `Failed` holds."""
        self._account.begin()
        async with aclosing(cast(Any, self._model.engine.generate(request))) as events:
            while True:
                try:
                    event: EngineEvent = await self._deadline.wait(events.__anext__, STREAM_GRACE_S)
                except StopAsyncIteration:
                    return
                self._account.see(event)
                if isinstance(event, Failed):
                    raise event.error.to_exception()
                yield event

    # --- towards a call -----------------------------------------------------------------------------------------------

    async def _route(self, action: Route) -> AsyncIterator[AgentEvent]:
        request = self._request or ""
        if action.strategy == "rules":
            choice = rules.match(request, self._offered) or Choice(tool="", reason="")
            if choice.call is not None:
                yield Routed(strategy="rules", reason=choice.reason)
            self._change(choice=choice, draft=choice.call)
            return
        try:
            choice = await self._choose(request, action.strategy)
        except InvalidRequest as error:
            yield Notice(code="routing_failed", message=f"No tool could be chosen: {error.message}")
            self._change(choice=Choice(tool="", reason=f"no tool could be chosen: {error.message}", failed=True))
            return
        yield Routed(strategy=action.strategy, reason=choice.reason)
        self._change(choice=choice)

    async def _choose(self, request: str, strategy: Strategy) -> Choice:
        wanted = self._settings.tool_choice
        if wanted not in ("auto", "required"):
            return Choice(tool=wanted, reason="the caller chose the tool")
        tools = self._offered
        if strategy == "simplified":
            failed = {attempt.call.name for attempt in self.state.attempts}
            likely = [
                tool
                for tool in tools
                if tool.name not in failed and (wanted == "required" or route.evidence(request, tool) > 0)
            ]
            tools = tuple(sorted(likely, key=lambda tool: -route.evidence(request, tool))[:SIMPLE_TOOLS])
            if not tools:
                return Choice(tool="", reason="nothing in the request speaks for a tool")
        before = prompts.exchange_before(self._history)
        names = (*(tool.name for tool in tools), route.CHAT)
        said = await self._score(route.routing_messages(request, tools, before), names)
        prior = await self._usual(tools, names)
        found = route.weigh(tools, said, prior, request)
        best = found.best
        told = f"{best} {found.tools[best]:.0%}, no tool {found.chat:.0%}"
        if wanted == "auto" and found.tools[best] < route.THRESHOLD:
            return Choice(tool="", reason=f"no tool is needed ({told})", probability=found.chat)
        return Choice(tool=best, reason=told, probability=found.tools[best])

    async def _usual(self, tools: Sequence[ToolSpec], names: tuple[str, ...]) -> tuple[float, ...]:
        """What the model says of an empty request; measured once per engine and set of tools."""
        known = _PRIORS.setdefault(self._model.engine, {})
        messages = route.routing_messages(route.EMPTY_REQUEST, tools)
        key = messages[0].content
        if key not in known:
            if len(known) >= MAX_PRIORS:
                known.pop(next(iter(known)))
            known[key] = await self._score(messages, names)
        return known[key]

    async def _score(self, messages: Sequence[Message], names: tuple[str, ...]) -> tuple[float, ...]:
        request = ScoreRequest(
            prompt=self._model.template.render(messages),
            candidates=names,
            normalize="choices",
            timeout_s=self._deadline.remaining(),
        )
        result = await self._deadline.wait(lambda: self._model.engine.score(request))
        self._account.usage += result.usage
        return result.logprobs

    async def _write_call(self, action: WriteCall) -> AsyncIterator[AgentEvent]:
        spec = self._tools.get(action.tool).spec
        text = ""
        try:
            fitted = await self._call_prompt(spec, action.hint)
            for notice in self._dropped(fitted):
                yield notice
            request = GenerateRequest(
                prompt=fitted.prompt,
                sampling=self._model.profile.tool_sampling,
                constraint=self._dialect.constraint((spec,)),
                max_tokens=min(CALL_TOKENS, fitted.room),
                timeout_s=self._deadline.remaining(),
            )
            async with aclosing(cast(Any, self._stream(request))) as events:
                async for event in events:
                    match event:
                        case Generated():
                            # A call that was cut off could be read leniently, but must not be made.
                            text = event.text if event.finish_reason == "stop" else ""
                        case Notice() | Resumed():
                            yield event
                        case _:
                            pass
        except InvalidRequest as error:
            async for event in self._escalate(error.message):
                yield event
            return
        parsed = self._dialect.parse(text, (spec,))
        if parsed.calls:
            self._change(draft=parsed.calls[0], verdict=None)
        else:
            self.state = after_retry(self.state, "what was written is no call of the tool")

    async def _call_prompt(self, spec: ToolSpec, hint: str) -> Fitted:
        simple = self.state.strategy == "simplified"
        messages = prompts.call_messages(self._history, spec, self._dialect, hint=hint, alone=simple)
        return await self._deadline.wait(lambda: fit(self._model, messages, CALL_TOKENS))

    def _dropped(self, fitted: Fitted) -> Iterator[Notice]:
        """Says once per run that the conversation was too long."""
        if fitted.dropped and not self._told_dropped:
            self._told_dropped = True
            said = f"{fitted.dropped} older messages did not fit into the context and were left out."
            self._warn(said)
            yield Notice(code="history_dropped", message=said)

    async def _verify(self, action: Verify) -> AsyncIterator[AgentEvent]:
        tool = self._tools.get(action.call.name)
        if self.state.strategy == "rules":
            verdict = Verdict(ok=True)
        else:
            sources = [turn.content for turn in self._history if turn.role != "system"]
            sources += [attempt.text for attempt in self.state.attempts if attempt.ok]
            verdict = verify.check_call(action.call, tool.spec, tool.effect, sources, self._request or "")
        self._change(verdict=verdict)
        yield Verified(check="call", ok=verdict.ok, reason=verdict.reason)

    async def _call_tool(self, action: CallTool) -> AsyncIterator[AgentEvent]:
        tool = self._tools.get(action.call.name)
        call = action.call
        if tool.effect == "write":
            yield ApprovalNeeded(call=call, preview=tool.preview(call.arguments))
        yield ToolCalled(call=call)
        started = time.monotonic()
        outcome = await outcome_of(tool, call, self._settings, self._approve, self._deadline)
        spent = time.monotonic() - started
        yield ToolReturned(call=call, ok=outcome.ok, result=outcome.value, seconds=spent)
        self._records.append(ToolRecord(name=call.name, arguments=call.arguments, result=outcome.value, ok=outcome.ok))
        attempt = Attempt(call=call, ok=outcome.ok, text=outcome.text, answer=outcome.answer, fault=outcome.fault)
        self.state = after_attempt(self.state, attempt)
        if not outcome.ok:
            self._deadline.remaining()

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
            self._warn(f"{left} failed ({reason}); {to or 'nothing'} was tried next")

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
        self._answering = self.state.strategy
        messages = self._history
        if action.attempt is not None:
            messages = prompts.answer_messages(self._history, action.attempt)
        messages = prompts.spelled(messages, self._dialect)
        fitted = await self._deadline.wait(lambda: fit(self._model, messages, self._settings.max_tokens))
        for notice in self._dropped(fitted):
            yield notice
        text, loops = "", False
        async with aclosing(cast(Any, self._stream(self._answer_request(fitted)))) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        text += event.text
                        self._said = text
                        yield event
                        if self._settings.constraint is None and verify.is_looping(text):
                            self._warn("The model began to repeat itself and was stopped.")
                            self._finish_reason = "length"
                            loops = True
                            break
                    case Generated():
                        self._finish_reason = event.finish_reason
                        text = event.text
                    case _:
                        yield event
        if loops:
            await self._settle(text)
        if action.attempt is not None and text.strip():
            left_out = verify.missing_from_answer(text, action.attempt)
            yield Verified(
                check="answer", ok=not left_out, reason="the result is not in the answer" if left_out else ""
            )
            if left_out:
                addition = f"\n\n{action.attempt.call.name}: {left_out}"
                self._warn("The model left the tool's result out; it was added to the answer.")
                yield TextDelta(text=addition)
                text += addition
        self._change(text=text)
        if not text.strip() and action.attempt is None:
            async for event in self._silent():
                yield event

    async def _settle(self, text: str) -> None:
        """Account a generation that was broken off by its text's tokens, or by its pieces if those can't be counted."""
        try:
            tokens = await self._deadline.wait(lambda: self._model.engine.tokenize((Segment(text, special=False),)))
        except SmidgenError:
            self._account.settle()
        else:
            self._account.settle(len(tokens))

    async def _silent(self) -> AsyncIterator[AgentEvent]:
        """Nothing was said: that strategy is over. What ended by deadline or cancellation ends as such."""
        if self._finish_reason in ("deadline", "cancelled"):
            yield self._finished("")
            return
        self._change(text=None)
        async for event in self._escalate("the model's answer was empty"):
            yield event

    def _answer_request(self, fitted: Fitted) -> GenerateRequest:
        settings = self._settings
        if fitted.room < settings.max_tokens:
            self._warn(
                f"The answer may have {fitted.room} tokens instead of {settings.max_tokens}; the context is full."
            )
        return GenerateRequest(
            prompt=fitted.prompt,
            sampling=self._sampling(),
            constraint=settings.constraint,
            max_tokens=min(settings.max_tokens, fitted.room),
            stop=(*self._model.profile.stop, *settings.stop),
            timeout_s=self._deadline.remaining(),
            logprobs=settings.logprobs,
        )

    def _sampling(self) -> Sampling:
        sampling = self._settings.sampling or self._model.profile.sampling
        if self._settings.temperature is not None:
            sampling = msgspec.structs.replace(sampling, temperature=self._settings.temperature)
        if self._settings.seed is not None:
            sampling = msgspec.structs.replace(sampling, seed=self._settings.seed)
        return sampling

    async def _finish(self, action: Finish) -> AsyncIterator[AgentEvent]:
        if action.text:
            yield TextDelta(text=action.text)
        yield self._finished(action.text or self.state.text or "", refused=action.refused)

    def _finished(self, text: str, *, refused: bool = False) -> Finished:
        self.ended = True
        strategy = self._answering or self.state.strategy or "plain"
        return Finished(
            text=text,
            model=(self._loaded or self._supply).name,
            finish_reason=self._finish_reason,
            tool_calls=tuple(self._records),
            usage=self._account.usage,
            timings=self._account.timings,
            warnings=tuple(self._warnings),
            strategy="refusal" if refused else strategy,
        )

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
