"""Finds calls in text that comes in pieces. One reader for all dialects: `feed(chunk)` and `finish()` return events.

A dialect gives its forms: how a call may begin, and how it is read from there. Text is handed on as it comes, except
what may be the beginning of a call; a call as soon as it is complete. How the text is cut into chunks makes no
difference to the calls or to the joined text, because nothing is decided before no continuation could change it.
Nothing here raises, whatever the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from smidgen.dialects import CallFound, Parsed, ReadEvent, TextFound, ThinkingClosed
from smidgen.dialects.convert import convert_call
from smidgen.dialects.opening import SPACE, Opening, opening
from smidgen.messages import ToolCall, ToolSpec

MAX_CALLS = 32
MAX_FAILED = 64
"""Beginnings of calls that turned out to be none; what follows so many is text. Ordinary text has none or a few."""
MAX_UNCLOSED = 8
"""The same for those that never end: a text that was cut off has one."""
MAX_HELD = 200_000
"""Characters that one call may have."""
_THINK_OPEN = opening((("<think>", "<thinking>"),), ignore_case=True)
_THINK_CLOSE = opening((("</think>", "</thinking>"),), ignore_case=True)
_FENCE_CLOSE = opening((SPACE, "```"))


class Found(msgspec.Struct, frozen=True):
    """The text up to `end` is these calls; without calls it is only text."""

    end: int
    calls: tuple[ToolCall, ...] = ()


Read = Callable[[str, re.Match[str], bool], Found | None]
"""(text, match of the opening, whether this is all the text) -> what is there. None while a continuation could still
change the answer, and then also at the end of the text if there is nothing."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One way that a call is written. A `closing` that follows a call belongs to it and is dropped.

    encloses: it takes a fence with it, closing included.
    ends: characters one of which completes a call, so that other chunks needn't be looked at; "" for any.
    """

    strategy: str
    opening: Opening
    read: Read
    closing: Opening | None = None
    encloses: bool = False
    ends: str = ""


class Reader:
    """Reads one answer. `thinking`: the prompt has already opened a thinking block."""

    def __init__(self, forms: Sequence[Form], tools: Sequence[ToolSpec], *, thinking: bool = False) -> None:
        self._forms = tuple(forms)
        self._tools = tuple(tools)
        self._text = ""
        self._position = 0
        self._thinking = thinking
        self._thought = thinking
        self._pending: tuple[Form, re.Match[str]] | None = None
        self._after: Form | None = None
        self._fenced = False
        self._known: set[str] = set()
        self._failed = self._unclosed = 0
        self._next: dict[Opening, tuple[int, re.Match[str] | None]] = {}

    def feed(self, chunk: str) -> list[ReadEvent]:
        """What is certain by now."""
        self._text += chunk
        if self._pending and self._pending[0].ends and not set(chunk) & set(self._pending[0].ends):
            held = len(self._text) - self._position
            if held < MAX_HELD:
                return []
        return self._advance(False)

    def finish(self, chunk: str = "") -> list[ReadEvent]:
        """The last chunk and the rest: a call that was cut off is completed if it can be, else it is text."""
        self._text += chunk
        return self._advance(True)

    def _advance(self, final: bool) -> list[ReadEvent]:
        events: list[ReadEvent] = []
        while self._step(events, final):
            pass
        return events

    def _step(self, events: list[ReadEvent], final: bool) -> bool:
        """Whether to go on; false when more text is needed, or there is none."""
        if self._position >= len(self._text):
            return False
        if self._thinking:
            return self._skip_thinking()
        if self._after is not None:
            return self._skip_closing(self._after, final)
        if self._pending is None:
            return self._look_for_opening(events, final)
        return self._read_call(*self._pending, events, final)

    def _skip_thinking(self) -> bool:
        close = _THINK_CLOSE.find(self._text, self._position)
        if close is None:
            begun = _THINK_CLOSE.begun(self._text, self._position)
            self._position = len(self._text) if begun is None else begun
            return False
        self._thinking = False
        self._position = close.end()
        return True

    def _skip_closing(self, form: Form, final: bool) -> bool:
        closings = [form.closing] if form.closing else []
        if self._fenced:
            closings.append(_FENCE_CLOSE)
        for closing in closings:
            found = closing.at(self._text, self._position)
            if found:
                self._position = found.end()
                self._fenced = self._fenced and "```" not in found.group()
                return True
        if not final and any(closing.begun_at(self._text, self._position) for closing in closings):
            return False
        self._after = None
        return True

    def _look_for_opening(self, events: list[ReadEvent], final: bool) -> bool:
        text, position = self._text, self._position
        forms = () if self._failed >= MAX_FAILED or len(self._known) >= MAX_CALLS else self._forms
        marks: list[tuple[Opening, Form | bool]] = [(_THINK_OPEN, True), (_THINK_CLOSE, False)]
        marks += [(form.opening, form) for form in forms]
        found = [(match, what) for mark, what in marks if (match := self._find(mark))]
        first = min(found, key=lambda pair: pair[0].start(), default=None)
        held = None
        if not final:
            begun = [start for mark, _ in marks if (start := mark.begun(text, position)) is not None]
            held = min(begun, default=None)
        if first is None or (held is not None and held <= first[0].start()):
            self._say(events, len(text) if held is None else held)
            return False
        match, what = first
        self._say(events, match.start())
        if isinstance(what, Form):
            self._pending = (what, match)
        else:
            self._position = match.end()
            self._thinking = what
            if not what and not self._thought:
                events.append(ThinkingClosed())
            self._thought = True
        return True

    def _find(self, mark: Opening) -> re.Match[str] | None:
        """The next opening, looked for once."""
        length, found = self._next.get(mark, (-1, None))
        if found is None and length == len(self._text):
            return None
        if found is None or found.start() < self._position:
            found = mark.find(self._text, self._position)
            self._next[mark] = (len(self._text), found)
        return found

    def _read_call(self, form: Form, match: re.Match[str], events: list[ReadEvent], final: bool) -> bool:
        window = match.start() + MAX_HELD
        final = final or len(self._text) >= window
        text = self._text[:window]
        found = form.read(text, match, False)
        if found is None and not final:
            return False
        self._pending = None
        if found is None:
            self._unclosed += 1
            found = form.read(text, match, True) if self._unclosed <= MAX_UNCLOSED else None
        if found is None or not found.calls:
            self._failed += 1
            self._say(events, min(max(found.end if found else 0, match.start() + 1), len(self._text)))
            return True
        for call in found.calls:
            converted = convert_call(call, self._tools)
            # Small models repeat themselves: the same call again in one answer is not meant.
            if repr(converted) not in self._known and len(self._known) < MAX_CALLS:
                self._known.add(repr(converted))
                events.append(CallFound(call=converted, strategy=form.strategy))
        self._position = max(found.end, match.start() + 1)
        self._after = form
        self._fenced = self._fenced or ("```" in match.group() and not form.encloses)
        return True

    def _say(self, events: list[ReadEvent], end: int) -> None:
        if end > self._position:
            events.append(TextFound(text=self._text[self._position : end]))
            self._position = end


def read_all(text: str, forms: Sequence[Form], tools: Sequence[ToolSpec]) -> Parsed:
    """What a reader finds in the whole text. A thinking block that was open from the start takes all before its end."""
    reader = Reader(forms, tools)
    calls: list[ToolCall] = []
    said: list[str] = []
    strategy = ""
    for event in reader.finish(text):
        match event:
            case TextFound():
                said.append(event.text)
            case CallFound():
                calls.append(event.call)
                strategy = strategy or event.strategy
            case ThinkingClosed():
                calls, said, strategy = [], [], ""
    return Parsed(calls=tuple(calls), text="".join(said).strip(), strategy=strategy)
