"""SPEAKS: one file per way of calling tools. Each renders the tools, makes the grammar and parses the call, together.

A dialect is stateless. Parsing never raises: text that isn't a call comes back as text.

choose         the dialects by name
fenced_json, hermes, llama3_json, python_call, pythonic_list, qwen3_coder, flat_xml, plain_lines    the dialects
unknown        calls in text of a dialect that nobody named
reading        one incremental reader for all of them; opening: where a call may begin
json_calls, python_calls    the forms that several dialects share
grammar        from JSON Schema to a grammar; raw: values without quotes, written and read
lenient, repair    values that are nearly JSON
convert        arguments as the schema wants them
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from smidgen.messages import Constraint, Message, ToolCall, ToolSpec


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """Calls in the order written, the text around them, and which strategy found them ("" when none did)."""

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    strategy: str = ""


class TextFound(msgspec.Struct, frozen=True, kw_only=True):
    """Text that is no call, in the order written."""

    text: str


class CallFound(msgspec.Struct, frozen=True, kw_only=True):
    call: ToolCall
    strategy: str


class ThinkingClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A thinking block ended that the prompt had opened unnoticed: text and calls told so far were thoughts."""


ReadEvent = TextFound | CallFound | ThinkingClosed


class CallReader(Protocol):
    """Reads an answer as it comes. After `finish` it is used up."""

    def feed(self, chunk: str) -> list[ReadEvent]: ...

    def finish(self) -> list[ReadEvent]: ...


class Dialect(Protocol):
    @property
    def name(self) -> str: ...

    def instructions(self, tools: Sequence[ToolSpec]) -> str:
        """The system text that tells the model of its tools and how to call them."""
        ...

    def constraint(self, tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
        """A grammar whose every sentence is one valid call of one of the tools, or up to `most` of them.

        special: texts of the model's control tokens. Marks of the dialect that are among them are to be written as
        such a token, the others as plain text.
        """
        ...

    def parse(self, text: str, tools: Sequence[ToolSpec]) -> Parsed: ...

    def reader(self, tools: Sequence[ToolSpec], *, thinking: bool = False) -> CallReader:
        """For text that comes in pieces; finds what `parse` finds. `thinking`: the prompt has opened a thinking block,
        which `parse` can see by its end, but a reader can't know before."""
        ...

    def write_call(self, call: ToolCall) -> str:
        """A call as the model would have written it, for the history."""
        ...

    def write_calls(self, calls: Sequence[ToolCall]) -> str:
        """Several calls of one answer, as the model would have written them."""
        ...

    def write_result(self, name: str, result: str) -> Message:
        """A tool's result as the message the model expects next."""
        ...

    def stop(self) -> tuple[str, ...]:
        """Strings after which nothing of the call follows."""
        ...
