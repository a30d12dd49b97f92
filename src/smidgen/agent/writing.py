"""Calls as the model writes them: under a grammar of what was said, one after the other until none is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import AgentSettings, apportion, described, enumerations, ground, prompts, settle, several
from smidgen.agent.asking import Asking
from smidgen.agent.choosing import Chooser, separator, written_calls
from smidgen.agent.context import Fitted, fit
from smidgen.agent.journal import Journal
from smidgen.agent.plan import Continue, WriteCall
from smidgen.agent.state import Attempt, Choice, State, after_acceptance, after_retry
from smidgen.errors import InvalidRequest
from smidgen.events import AgentEvent, Generated, Notice, Resumed, Routed
from smidgen.messages import GenerateRequest, Message, Prompt, Segment, ToolCall, ToolSpec
from smidgen.tools import Knowing
from smidgen.tools.registry import Registry

CALL_TOKENS = 512
"""Longest call that is decoded."""


def sources(history: Sequence[Message], attempts: Sequence[Attempt]) -> list[str]:
    """What was said in the conversation, and what tools returned."""
    said = [turn.content for turn in history if turn.role != "system"]
    return [*said, *(attempt.text for attempt in attempts if attempt.ok)]


class Writer:
    """state: the run's, as an action's events leave it when they end. refused: why a call couldn't be asked for, "" if
    it could."""

    def __init__(
        self,
        asking: Asking,
        settings: AgentSettings,
        history: Sequence[Message],
        request: str,
        tools: Registry,
        chooser: Chooser,
        journal: Journal,
    ) -> None:
        self._asking, self._settings, self._chooser, self._journal = asking, settings, chooser, journal
        self._history, self._request, self._tools = history, request, tools
        self._prompt: Prompt = ()
        self._derived: list[ToolCall] = []
        self._grounds = "ground" not in settings.off
        self.state = State(strategies=(), max_steps=0)
        self.refused = ""

    async def write(self, action: WriteCall, state: State) -> AsyncIterator[AgentEvent]:
        """The draft of a call, from the model."""
        self.state, self.refused = state, ""
        if not state.accepted:
            self._derived.clear()
            self._chooser.look_again()
        spec, said = self._tools.get(action.tool).spec, self._said()
        spec = described.spelled_out(spec, said) if self._grounds else spec
        text = ""
        try:
            request, notices = await self._call_request(action, spec, said)
            for notice in notices:
                yield notice
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
            if state.accepted:
                self._change(complete=True)
                self._journal.warn(f"A further call was left out: {error.message}")
            else:
                self.refused = error.message
            return
        parsed = self._asking.dialect.parse(text, (spec,))
        if not parsed.calls:
            self.state = after_retry(state, "what was written is no call of the tool")
            return
        self._draft(parsed.calls[0], spec, said)

    async def _call_request(
        self, action: WriteCall, spec: ToolSpec, said: str
    ) -> tuple[GenerateRequest, tuple[Notice, ...]]:
        """Raises ContextOverflow and ConstraintError, and what the engine raises."""
        focus, own = self._focus()
        free = several.without_others(self._request, focus, ground.numbers_needed(spec)) if own else said
        free = several.without_held(free, self.state.accepted, spec.name)
        fitted = await self._fitted(action)
        self._prompt = fitted.prompt
        notices = tuple(self._journal.dropped(fitted))
        shown = [call for call in self.state.accepted if not own or call.name == spec.name]
        before = written_calls(self._asking.dialect, shown)
        if own:
            fitted = await self._fitted(action, focus=own)
        following = (Segment(before + separator(self._asking.dialect), special=False),) if before else ()
        request = GenerateRequest(
            prompt=(*fitted.prompt, *following),
            sampling=self._asking.model.profile.tool_sampling,
            constraint=self._asking.constraint(ground.for_grammar(spec, free, own or said) if self._grounds else spec),
            max_tokens=min(CALL_TOKENS, fitted.room),
            timeout_s=self._asking.deadline.remaining(),
        )
        return request, notices

    def _draft(self, call: ToolCall, spec: ToolSpec, said: str) -> None:
        """Where the call adds nothing to those before, the next part of the request is looked at, or none follows."""
        draft: ToolCall | None = (
            settle.without_inventions(call, spec, said, self._request)[0] if self._grounds else call
        )
        accepted = self.state.accepted
        if accepted and not several.adds_something(draft, accepted, self._request, self._chooser.about):
            part = self._chooser.next_part(accepted, is_done=bool(self._focus()[1]))
            if part is not None:
                self.state = after_acceptance(self.state, accepted, part)
                return
            draft = None
        self._change(draft=draft, verdict=None, complete=draft is None)

    def _focus(self) -> tuple[tuple[int, int], str]:
        """Where the part of the request stands that the call is for, and the part; "" for all of it."""
        start, end = self.state.choice.focus if self.state.choice else (0, 0)
        return (start, end), self._request[start:end].strip() if end > start else ""

    async def _fitted(self, action: WriteCall, *, focus: str = "") -> Fitted:
        """The prompt for the calls, the same for all of one request so that it stays in the cache."""
        choice = self.state.choice
        names = (choice.shortlist if choice else ()) or (action.tool,)
        if action.hint and not self.state.accepted:
            names = (action.tool,)
        tools = [self._tools.get(name).spec for name in names]
        messages = prompts.call_messages(
            self._history,
            tools,
            self._asking.dialect,
            hint=action.hint,
            note=self._note(action.tool),
            alone=self.state.strategy == "simplified",
            focus=focus,
        )
        return await self._asking.deadline.wait(lambda: fit(self._asking.model, messages, CALL_TOKENS))

    def _note(self, name: str) -> str:
        tool = self._tools.get(name)
        return tool.note_for(self._request) if isinstance(tool, Knowing) else ""

    # --- a further call -----------------------------------------------------------------------------------------------

    async def go_on(self, action: Continue, state: State) -> AsyncIterator[AgentEvent]:
        """Another call of the same request, or none. At most `tool_use.most`."""
        self.state = state
        if action.call is None:
            self._change(complete=True, draft=None)
            self._journal.warn(f"A further call was left out: {action.reason}")
            return
        calls = (*state.accepted, action.call)
        following = await self._following(action.call, calls)
        if following is None and self._grounds:
            calls = self._apportioned(calls)
        self.state = after_acceptance(state, calls, following)
        if following is not None:
            yield Routed(strategy="constrained", reason=following.reason)

    async def _following(self, call: ToolCall, calls: Sequence[ToolCall]) -> Choice | None:
        names = self.state.choice.shortlist if self.state.choice else ()
        most = min(self._asking.model.profile.tool_use.most, self._settings.max_steps)
        if len(calls) >= most or not names:
            return None
        listed = self._listed(call, calls)
        if listed is not None:
            return Choice(tool=listed.name, reason="another of a list", calls=(listed,), shortlist=names)
        return await self._chooser.further(self._prompt, calls, [self._tools.get(name).spec for name in names])

    def _listed(self, call: ToolCall, calls: Sequence[ToolCall]) -> ToolCall | None:
        """The next call that one which the model wrote stands for."""
        if call in self._derived:
            self._derived.remove(call)
        else:
            spec = self._spelled_out(call.name)
            part = self._focus()[1] or self._request
            self._derived += enumerations.stands_for(call, part, calls, spec)[1:]
        self._derived = [other for other in self._derived if other not in calls]
        return self._derived[0] if self._derived else None

    def _apportioned(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        specs = {call.name: self._spelled_out(call.name) for call in calls}
        return apportion.apportioned(calls, specs, self._request)

    def _spelled_out(self, tool: str) -> ToolSpec:
        return described.spelled_out(self._tools.get(tool).spec, self._said())

    def _said(self) -> str:
        return "\n".join(sources(self._history, self.state.attempts))

    def _change(self, **fields: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **fields)
