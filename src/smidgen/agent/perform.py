"""Performs the planner's actions for one run: asks the engine, calls tools, keeps the state and the accounts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import (
    AgentSettings,
    Approve,
    Strategy,
    Supply,
    apportion,
    described,
    enumerations,
    ground,
    prompts,
    rules,
    settle,
    several,
    verify,
)
from smidgen.agent.asking import Asking
from smidgen.agent.calling import outcome_of
from smidgen.agent.choosing import Chooser, separator, written_calls
from smidgen.agent.context import Fitted, fit
from smidgen.agent.deadline import Deadline
from smidgen.agent.plan import (
    AnyAction,
    Ask,
    Attempt,
    CallTool,
    Choice,
    Continue,
    Escalate,
    Finish,
    Generate,
    Retry,
    Route,
    State,
    Verdict,
    Verify,
    WriteCall,
    after_acceptance,
    after_attempt,
    after_escalation,
    after_retry,
    needs_model,
)
from smidgen.errors import DeadlineExceeded, InvalidRequest
from smidgen.events import (
    AgentEvent,
    ApprovalNeeded,
    Asked,
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
    Prompt,
    Sampling,
    Segment,
    ToolCall,
    ToolSpec,
)
from smidgen.tools import Tool
from smidgen.tools.registry import Registry

CALL_TOKENS = 512
"""Longest call that is decoded."""


class Performer:
    """Raises InvalidRequest for a history without a request, or a tool choice that isn't there."""

    def __init__(
        self,
        supply: Supply,
        tools: Sequence[Tool],
        history: Sequence[Message],
        settings: AgentSettings,
        approve: Approve | None,
        embedder: Supply | None = None,
    ) -> None:
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
        self.state = State(strategies=strategies, max_steps=settings.max_steps, several="several" not in settings.off)
        self.ended = False
        self._deadline = Deadline(settings.timeout_s)
        self._asking = Asking(supply, self._deadline, embedder)
        self._chooser = Chooser(self._asking, settings, self._history, self._offered)
        self._call_prompt: Prompt = ()
        self._derived: list[ToolCall] = []
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

    def _change(self, **fields: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)

    def overdue(self, error: DeadlineExceeded) -> Finished | Failed:
        """How a run ends at its time limit: with what was said so far, or with the error if nothing was."""
        self._asking.account.settle()
        if not self._said.strip():
            error.details = {**error.details, "tool_calls": len(self._records)}
            return Failed(error=error.info())
        self._finish_reason = "deadline"
        return self._finished(self._said)

    # --- towards a call -----------------------------------------------------------------------------------------------

    async def _route(self, action: Route) -> AsyncIterator[AgentEvent]:
        request = self._request or ""
        if action.strategy == "rules":
            choice = rules.match(request, self._offered, self._request_before()) or Choice(tool="", reason="")
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
            self._warn(notice.message)
            yield notice
        self._chooser.notices.clear()
        yield Routed(strategy=action.strategy, reason=choice.reason)
        self._change(choice=choice)

    async def _write_call(self, action: WriteCall) -> AsyncIterator[AgentEvent]:
        grounds = "ground" not in self._settings.off
        said = self._sources()
        spec = self._tools.get(action.tool).spec
        spec = described.spelled_out(spec, said) if grounds else spec
        focus, own = self._focus()
        free = several.without_others(self._request or "", focus, ground.numbers_needed(spec)) if own else said
        free = several.without_held(free, self.state.accepted, spec.name)
        text = ""
        try:
            fitted = await self._fitted(action)
            for notice in self._dropped(fitted):
                yield notice
            self._call_prompt = fitted.prompt
            shown = [call for call in self.state.accepted if not own or call.name == spec.name]
            before = written_calls(self._asking.dialect, shown)
            if own:
                fitted = await self._fitted(action, focus=own)
            following = (Segment(before + separator(self._asking.dialect), special=False),) if before else ()
            request = GenerateRequest(
                prompt=(*fitted.prompt, *following),
                sampling=self._asking.model.profile.tool_sampling,
                constraint=self._asking.constraint(ground.for_grammar(spec, free, own or said) if grounds else spec),
                max_tokens=min(CALL_TOKENS, fitted.room),
                timeout_s=self._deadline.remaining(),
            )
            async with aclosing(cast(Any, self._asking.stream(request))) as events:
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
            if self.state.accepted:
                self._change(complete=True)
                self._warn(f"A further call was left out: {error.message}")
                return
            async for event in self._escalate(error.message):
                yield event
            return
        parsed = self._asking.dialect.parse(text, (spec,))
        if not parsed.calls:
            self.state = after_retry(self.state, "what was written is no call of the tool")
            return
        draft: ToolCall | None = parsed.calls[0]
        if grounds:
            draft, _ = settle.without_inventions(draft, spec, said)
        if self.state.accepted and not several.adds_something(
            draft, self.state.accepted, self._request or "", self._chooser.about
        ):
            following_part = self._chooser.next_part(self.state.accepted, is_done=bool(own))
            if following_part is not None:
                self.state = after_acceptance(self.state, self.state.accepted, following_part)
                return
            draft = None
        self._change(draft=draft, verdict=None, complete=draft is None)

    def _focus(self) -> tuple[tuple[int, int], str]:
        """Where the part of the request stands that the call is for, and the part; "" for all of it."""
        start, end = self.state.choice.focus if self.state.choice else (0, 0)
        return (start, end), (self._request or "")[start:end].strip() if end > start else ""

    async def _fitted(self, action: WriteCall, *, focus: str = "") -> Fitted:
        """The prompt for the calls, the same for all of one request so that it stays in the cache."""
        choice = self.state.choice
        names = (choice.shortlist if choice else ()) or (action.tool,)
        if action.hint and not self.state.accepted:
            names = (action.tool,)
        tools = [self._tools.get(name).spec for name in names]
        simple = self.state.strategy == "simplified"
        messages = prompts.call_messages(
            self._history, tools, self._asking.dialect, hint=action.hint, alone=simple, focus=focus
        )
        return await self._deadline.wait(lambda: fit(self._asking.model, messages, CALL_TOKENS))

    async def _continue(self, action: Continue) -> AsyncIterator[AgentEvent]:
        """Another call of the same request, or none. At most `tool_use.most`."""
        if action.call is None:
            self._change(complete=True, draft=None)
            self._warn(f"A further call was left out: {action.reason}")
            return
        calls = (*self.state.accepted, action.call)
        following = None
        names = self.state.choice.shortlist if self.state.choice else ()
        if len(calls) < min(self._asking.model.profile.tool_use.most, self._settings.max_steps) and names:
            listed = self._listed(action.call, calls)
            if listed is not None:
                following = Choice(tool=listed.name, reason="another of a list", calls=(listed,), shortlist=names)
            else:
                tools = [self._tools.get(name).spec for name in names]
                following = await self._chooser.further(self._call_prompt, calls, tools)
        if following is None and "ground" not in self._settings.off:
            calls = self._apportioned(calls)
        self.state = after_acceptance(self.state, calls, following)
        if following is not None:
            yield Routed(strategy="constrained", reason=following.reason)

    def _listed(self, call: ToolCall, calls: Sequence[ToolCall]) -> ToolCall | None:
        """The next call that one which the model wrote stands for."""
        if call in self._derived:
            self._derived.remove(call)
        else:
            self._derived += enumerations.stands_for(call, self._request or "", calls)[1:]
        self._derived = [other for other in self._derived if other not in calls]
        return self._derived[0] if self._derived else None

    def _apportioned(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        specs = {call.name: described.spelled_out(self._tools.get(call.name).spec, self._sources()) for call in calls}
        return apportion.apportioned(calls, specs, self._request or "")

    def _sources(self) -> str:
        """What was said in the conversation, and what tools returned."""
        said = [turn.content for turn in self._history if turn.role != "system"]
        return "\n".join([*said, *(attempt.text for attempt in self.state.attempts if attempt.ok)])

    def _dropped(self, fitted: Fitted) -> Iterator[Notice]:
        """Says once per run that the conversation was too long."""
        if fitted.dropped and not self._told_dropped:
            self._told_dropped = True
            said = f"{fitted.dropped} older messages did not fit into the context and were left out."
            self._warn(said)
            yield Notice(code="history_dropped", message=said)

    async def _verify(self, action: Verify) -> AsyncIterator[AgentEvent]:
        tool = self._tools.get(action.call.name)
        if self.state.strategy == "rules" or "check" in self._settings.off:
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
        if action.attempts:
            messages = prompts.answer_messages(self._history, action.attempts)
        messages = prompts.spelled(messages, self._asking.dialect)
        fitted = await self._deadline.wait(lambda: fit(self._asking.model, messages, self._settings.max_tokens))
        for notice in self._dropped(fitted):
            yield notice
        text, loops = "", False
        async with aclosing(cast(Any, self._asking.stream(self._answer_request(fitted)))) as events:
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
            await self._asking.settle(text)
        if action.attempts and text.strip():
            left_out = [
                attempt for attempt in action.attempts if attempt.ok and verify.missing_from_answer(text, attempt)
            ]
            reason = "the result is not in the answer" if left_out else ""
            yield Verified(check="answer", ok=not left_out, reason=reason)
            for attempt in left_out:
                addition = f"\n\n{attempt.call.name}: {attempt.text}"
                self._warn("The model left the tool's result out; it was added to the answer.")
                yield TextDelta(text=addition)
                text += addition
        self._change(text=text)
        if not text.strip() and not action.attempts:
            async for event in self._silent():
                yield event

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
            stop=(*self._asking.model.profile.stop, *settings.stop),
            timeout_s=self._deadline.remaining(),
            logprobs=settings.logprobs,
        )

    def _sampling(self) -> Sampling:
        sampling = self._settings.sampling or self._asking.model.profile.sampling
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
            model=self._asking.name,
            finish_reason=self._finish_reason,
            tool_calls=tuple(self._records),
            usage=self._asking.account.usage,
            timings=self._asking.account.timings,
            warnings=tuple(self._warnings),
            strategy="refusal" if refused else strategy,
        )

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)
