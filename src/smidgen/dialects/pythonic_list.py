"""Calls as a Python list, `[f(a=1), g(b="x")]`: Gemma 3, Llama 3.2 and 4 when asked, and LFM2 between its own marks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from smidgen.dialects import Parsed, python_call
from smidgen.dialects.grammar import PYTHON, Grammar, literal, mark
from smidgen.dialects.python_calls import LIST_CLOSE, LIST_OPEN
from smidgen.dialects.reading import Form, Reader, read_all
from smidgen.messages import Constraint, Message, ToolCall, ToolSpec

name = "pythonic_list"


def instructions(tools: Sequence[ToolSpec]) -> str:
    return (
        f"You can call these Python functions:\n\n{python_call.stubs(tools)}\n\n"
        'To call them, write only a list of calls with keyword arguments: [name(argument="value"), other(argument=1)]'
    )


def constraint(tools: Sequence[ToolSpec], *, most: int = 1, special: Collection[str] = ()) -> Constraint:
    """Raises ConstraintError when there is no tool, or a schema that can't be enforced. LFM2's marks are asked for
    where the vocabulary has them; other models don't know them."""
    grammar = Grammar(PYTHON)
    call = grammar.rule(" | ".join(python_call.call_rules(grammar, tools)))
    more = f"({literal(', ')} {call}){{0,{most - 1}}} " if most > 1 else ""
    listed = f"{literal('[')} {call} {more}{literal(']')}"
    if LIST_OPEN in special and LIST_CLOSE in special:
        listed = f"{mark(LIST_OPEN, special)} {listed} {mark(LIST_CLOSE, special)}"
    return Constraint(kind="lark", source=grammar.source(listed))


def forms(tools: Sequence[ToolSpec]) -> tuple[Form, ...]:
    return python_call.forms(tools)


def parse(text: str, tools: Sequence[ToolSpec]) -> Parsed:
    """Calls without the list around them are read as well."""
    return read_all(text, forms(tools), tools)


def reader(tools: Sequence[ToolSpec], *, thinking: bool = False) -> Reader:
    return Reader(forms(tools), tools, thinking=thinking)


def write_call(call: ToolCall) -> str:
    return write_calls((call,))


def write_calls(calls: Sequence[ToolCall]) -> str:
    return f"[{', '.join(python_call.write_call(call) for call in calls)}]"


def write_result(name: str, result: str) -> Message:
    return Message(role="user", content=f"{name} returned:\n{result}", name=name)


def stop() -> tuple[str, ...]:
    return ()
