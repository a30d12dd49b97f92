"""What the model is told at each step: short, flat, and in the words of its own dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

import msgspec

from smidgen.agent.state import Attempt
from smidgen.dialects import Dialect
from smidgen.messages import JsonSchema, Message, ToolSpec

MAX_BEFORE = 200
"""Characters of the exchange before that a routing prompt repeats."""


def with_system(history: Sequence[Message], system: str) -> tuple[Message, ...]:
    """The conversation with the agent's instructions in front; a system message of its own follows them."""
    if not system:
        return tuple(history)
    if history and history[0].role == "system":
        joined = Message(role="system", content=f"{system}\n\n{history[0].content}")
        return (joined, *history[1:])
    return (Message(role="system", content=system), *history)


def exchange_before(history: Sequence[Message]) -> str:
    """The user's request before the last one, for requests that lean on it ("and in feet?"); "" if there is none."""
    asked = [turn.content for turn in history if turn.role == "user"]
    return f"Request before: {asked[-2][:MAX_BEFORE]}" if len(asked) > 1 else ""


def spelled(messages: Sequence[Message], dialect: Dialect) -> tuple[Message, ...]:
    """Earlier calls and results as text in the dialect, so that any template can render them."""
    turns: list[Message] = []
    for turn in messages:
        if turn.role == "tool":
            turns.append(dialect.write_result(turn.name or "tool", turn.content))
        elif turn.tool_calls:
            calls = "\n".join(dialect.write_call(call) for call in turn.tool_calls)
            turns.append(Message(role=turn.role, content=f"{turn.content}\n{calls}".strip()))
        else:
            turns.append(turn)
    return tuple(turns)


def call_messages(
    history: Sequence[Message],
    tools: Sequence[ToolSpec],
    dialect: Dialect,
    *,
    hint: str = "",
    note: str = "",
    alone: bool = False,
    focus: str = "",
) -> tuple[Message, ...]:
    """The prompt for calls of these tools. `alone` leaves the earlier conversation out; `hint` is why a try failed, and
    then no examples are shown any more. `note`: what the tool itself knows of the request.
    `focus`: the part of the request that the call is for."""
    if hint or alone:
        tools = [without_examples(tool) for tool in tools]
    turns = [turn for turn in history if turn.role != "system"]
    if alone:
        last = max(index for index, turn in enumerate(turns) if turn.role == "user")
        turns = turns[last:]
    system = Message(role="system", content=dialect.instructions(tuple(tools)))
    if hint or focus or note:
        request = turns[-1]
        noted = request.content
        if focus:
            noted += f"\n\nNow only this: {focus}"
        if note:
            noted += f"\n\n(In the data: {note}.)"
        if hint:
            noted += f"\n\n(Note: {hint}.)"
        turns = [*turns[:-1], Message(role=request.role, content=noted)]
    return (system, *spelled(turns, dialect))


def without_examples(spec: ToolSpec) -> ToolSpec:
    """The tool with its parameters' examples left out: what small models copy when they don't know better."""
    properties = {
        name: {
            **schema,
            "description": re.split(r"[,;:]?\s*\b(?:for example|e\.g\.|such as)", schema["description"])[0],
        }
        if schema.get("description")
        else schema
        for name, schema in cast(dict[str, JsonSchema], spec.parameters.get("properties", {})).items()
    }
    return msgspec.structs.replace(spec, parameters={**spec.parameters, "properties": properties})


def answer_messages(history: Sequence[Message], attempts: Sequence[Attempt]) -> tuple[Message, ...]:
    """The prompt that puts tools' results into words: the results as data, then the request. The calls themselves
    aren't shown, or small models write other ones instead of an answer."""
    last = max(index for index, turn in enumerate(history) if turn.role == "user")
    told = "\n\n".join(_told(attempt) for attempt in attempts)
    asked = f"{told}\n\nAnswer from the data, in a sentence or two: {history[last].content}"
    return (*history[:last], Message(role="user", content=asked))


def _told(attempt: Attempt) -> str:
    verb = "returned this data" if attempt.ok else "failed"
    text = attempt.text.strip()
    fence = "---"
    while fence in text:
        fence += "-"  # so that no text ends its own block
    return f"{attempt.call.name} {verb}:\n{fence}\n{text}\n{fence}"
