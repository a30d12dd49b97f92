"""Answers in words, from tools' results if there are some; a result that an answer leaves out is added to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import msgspec

from smidgen.agent import AgentSettings, Strategy, answer_checks, prompts
from smidgen.agent.asking import Asking
from smidgen.agent.context import Fitted, fit
from smidgen.agent.journal import Journal
from smidgen.agent.plan import Generate
from smidgen.events import AgentEvent, Generated, TextDelta, Verified
from smidgen.messages import GenerateRequest, Message, Sampling

_LEFT_OUT = "The model left the tool's result out"


class Answerer:
    """text: the answer, once its events have ended; stop_string: the one of the settings' own that ended it."""

    def __init__(self, asking: Asking, settings: AgentSettings, history: Sequence[Message], journal: Journal) -> None:
        self._asking, self._settings, self._history, self._journal = asking, settings, history, journal
        self.text = self.stop_string = ""

    async def answer(self, action: Generate, strategy: Strategy | None) -> AsyncIterator[AgentEvent]:
        """Raises ContextOverflow, and what the engine raises."""
        self._journal.answering = strategy
        messages = self._history
        if action.attempts:
            messages = prompts.answer_messages(self._history, action.attempts)
        messages = prompts.spelled(messages, self._asking.dialect)
        fitted = await self._asking.deadline.wait(lambda: fit(self._asking.model, messages, self._wanted()))
        for notice in self._journal.dropped(fitted):
            yield notice
        async with aclosing(cast(Any, self._said(fitted))) as events:
            async for event in events:
                yield event
        if action.attempts and self.text.strip() and self._settings.constraint is None:
            for event in self._completed(action):
                yield event

    async def _said(self, fitted: Fitted) -> AsyncIterator[AgentEvent]:
        """What the model says, until it repeats itself."""
        text, loops = "", False
        async with aclosing(cast(Any, self._asking.stream(self._request(fitted)))) as events:
            async for event in events:
                match event:
                    case TextDelta():
                        text += event.text
                        self._journal.said = text
                        yield event
                        if self._settings.constraint is None and answer_checks.is_looping(text):
                            self._journal.warn("The model began to repeat itself and was stopped.")
                            self._journal.finish_reason = "length"
                            loops = True
                            break
                    case Generated():
                        self._journal.finish_reason = event.finish_reason
                        text = event.text
                        if event.stop_string in self._settings.stop:
                            self.stop_string = event.stop_string
                    case _:
                        yield event
        if loops:
            await self._asking.settle(text)
        self.text = text

    def _completed(self, action: Generate) -> list[AgentEvent]:
        """The results that the answer should hold and doesn't, added to it."""
        good = [attempt for attempt in action.attempts if attempt.ok]
        left_out = [attempt for attempt in good if answer_checks.missing_from_answer(self.text, attempt)]
        reason = "the result is not in the answer" if left_out else ""
        stray = answer_checks.unfounded_number(self.text, good, self._asked())
        if stray:
            left_out, reason = good, f"{stray} is in the answer, but not in what it rests on"
        events: list[AgentEvent] = [Verified(check="answer", ok=not reason, reason=reason)]
        quotes = [] if left_out else [quote for attempt in good for quote in attempt.quotes]
        if quote := answer_checks.resting_on(self.text, quotes, self._asked()):
            events.append(TextDelta(text=f"\n\n({quote})"))
            self.text += f"\n\n({quote})"
        for attempt in left_out:
            addition = f"\n\n{attempt.call.name}: {attempt.text}"
            told = f"The model said {stray}, which isn't in the tool's result" if stray else _LEFT_OUT
            self._journal.warn(f"{told}; it was added to the answer.")
            events.append(TextDelta(text=addition))
            self.text += addition
        return events

    def _wanted(self) -> int:
        """Tokens to keep free for the answer."""
        return self._settings.max_tokens or self._asking.model.engine.context // 4

    def _asked(self) -> str:
        return next((turn.content for turn in reversed(self._history) if turn.role == "user"), "")

    def _request(self, fitted: Fitted) -> GenerateRequest:
        settings = self._settings
        wanted = settings.max_tokens or fitted.room
        if fitted.room < wanted:
            self._journal.warn(f"The answer may have {fitted.room} tokens instead of {wanted}; the context is full.")
        return GenerateRequest(
            prompt=fitted.prompt,
            sampling=self._sampling(),
            constraint=settings.constraint,
            max_tokens=min(wanted, fitted.room),
            stop=(*self._asking.model.profile.stop, *settings.stop),
            timeout_s=self._asking.deadline.remaining(),
            logprobs=settings.logprobs,
        )

    def _sampling(self) -> Sampling:
        sampling = self._settings.sampling or self._asking.model.profile.sampling
        if self._settings.temperature is not None:
            sampling = msgspec.structs.replace(sampling, temperature=self._settings.temperature)
        if self._settings.seed is not None:
            sampling = msgspec.structs.replace(sampling, seed=self._settings.seed)
        return self._settings.change.applied(sampling)
