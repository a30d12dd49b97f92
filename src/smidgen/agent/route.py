"""Which tool, if any, by the model's own likelihoods: one scoring pass over the tools' names and "chat", no sampling.

The prompt sorts requests into tools by example; that a pass over bare yes or no can't tell small talk from work, while
sorting by example can, was measured on Qwen2.5-Coder-0.5B. The prior that a model has for a name, whatever is asked, is
measured on an empty request and divided out in part.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import cast

import msgspec

from smidgen.agent.numbers import has_number
from smidgen.agent.work import wants_other_work
from smidgen.messages import JsonSchema, Message, ToolSpec
from smidgen.tools.words import stems

CHAT = "chat"
THRESHOLD = 0.5
"""Likelihood that the best tool must have before it is called."""
PRIOR_WEIGHT = 0.5
SHARED_WORD, NUMBER, FILE_NAME, NO_NUMBER, NO_EVIDENCE, OTHER_WORK = 0.8, 1.5, 2.0, -3.0, -3.0, -5.0
"""Weights of plain evidence in natural-log units, set on 56 everyday requests, half of which need no tool."""
MAX_REQUEST = 600
_CHAT_LINE = "Talk, explain, write, translate, joke, answer from general knowledge."
_EXAMPLES = (
    ("hello there", CHAT),
    ("write a poem about the sea", CHAT),
    ("who painted the Mona Lisa?", CHAT),
    ("what is democracy?", CHAT),
    ("how many moons does Mars have?", CHAT),
    ("why is grass green?", CHAT),
    ("give me ideas for a party", CHAT),
)
EMPTY_REQUEST = "..."


class Likelihoods(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities by tool name; they and `chat` sum to 1."""

    tools: dict[str, float]
    chat: float

    @property
    def best(self) -> str:
        return max(self.tools, key=lambda name: self.tools[name])


def routing_messages(request: str, tools: Sequence[ToolSpec], before: str = "") -> tuple[Message, ...]:
    """The prompt whose next words are a tool's name. `before` is the exchange before, for requests that lean on it."""
    lines = [f"- {tool.name}: {tool.description}" for tool in tools]
    examples = [*_own_examples(tools), *_EXAMPLES]
    shown = "\n".join(f"Request: {said}\nTool: {name}" for said, name in examples)
    system = f"Sort each request to the tool that can do it.\n{chr(10).join(lines)}\n- {CHAT}: {_CHAT_LINE}\n\n{shown}"
    asked = request if len(request) <= MAX_REQUEST else f"{request[:400]} … {request[-200:]}"
    lead = f"{before}\n" if before else ""
    return (Message(role="system", content=system), Message(role="user", content=f"{lead}Request: {asked}\nTool:"))


def _own_examples(tools: Sequence[ToolSpec]) -> list[tuple[str, str]]:
    return [(_as_request(tool.description), tool.name) for tool in tools[:8]]


def _as_request(description: str) -> str:
    first = description.split(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def weigh(tools: Sequence[ToolSpec], logprobs: Sequence[float], prior: Sequence[float], request: str) -> Likelihoods:
    """Combine what the model says of the request with its prior for each name and with plain evidence.

    logprobs, prior: natural logs, one per tool and a last one for chat.
    """
    scores = [said - PRIOR_WEIGHT * usual for said, usual in zip(logprobs, prior, strict=True)]
    for index, tool in enumerate(tools):
        scores[index] += evidence(request, tool)
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = sum(weights)
    return Likelihoods(
        tools={tool.name: weight / total for tool, weight in zip(tools, weights, strict=False)},
        chat=weights[-1] / total,
    )


def evidence(request: str, tool: ToolSpec) -> float:
    """What speaks for a tool without any model, in natural-log units: words that request and tool share; a number or a
    file name in the request, where the tool's examples of a required argument show such. Nothing at all speaks against
    it, most of all if the examples show numbers and the request has none."""
    shared = len(stems(request) & stems(_about(tool)))
    examples = _examples(tool)
    numeric = any(found and all(_DIGIT.search(example) for example in found) for found in examples)
    named = any(_FILE_NAME.search(example) for found in examples for example in found)
    bonus = SHARED_WORD * min(shared, 3)
    bonus += NUMBER if numeric and has_number(request) else 0.0
    bonus += FILE_NAME if named and _FILE_NAME.search(request) else 0.0
    if wants_other_work(request, _about(tool)):
        bonus += OTHER_WORK
    if numeric and not has_number(request):
        return bonus + NO_NUMBER
    return bonus or NO_EVIDENCE


def shows_examples(tools: Sequence[ToolSpec]) -> bool:
    """Does every tool that requires something show an example of it?"""
    asking = [tool for tool in tools if tool.parameters.get("required")]
    return bool(asking) and all(any(_examples(tool)) for tool in asking)


def _about(tool: ToolSpec) -> str:
    properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
    described = " ".join(f"{name} {schema.get('description', '')}" for name, schema in properties.items())
    return f"{tool.name} {tool.description} {described}"


def _examples(tool: ToolSpec) -> list[list[str]]:
    """The quoted examples in the description of each required argument."""
    properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
    required = cast(list[str], tool.parameters.get("required", []))
    return [examples_of(properties[name]) for name in required if name in properties]


def examples_of(schema: JsonSchema) -> list[str]:
    """The examples a parameter's description shows in double quotes, and the schema's own `examples`."""
    quoted: list[str] = re.findall(r'"([^"]+)"', str(schema.get("description", "")))
    return [*quoted, *(str(example) for example in cast(list[object], schema.get("examples", [])))]


_DIGIT = re.compile(r"\d")
_FILE_NAME = re.compile(r"(?<![\w.])[\w\-/]*\w\.[A-Za-z]\w{0,4}\b(?!\.)")
