"""Which tool, if any, by the model's own likelihoods: one scoring pass over the tools' names and "chat", no sampling.

The prompt sorts requests into tools by example; that a pass over bare yes or no can't tell small talk from work, while
sorting by example can, was measured on Qwen2.5-Coder-0.5B. The prior that a model has for a name, whatever is asked, is
measured on an empty request and divided out in part.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from smidgen.messages import Message, ToolSpec

CHAT = "chat"
THRESHOLD = 0.5
"""Likelihood that a tool, any tool, must have before one is called."""
PRIOR_WEIGHT = 0.3
MAX_REQUEST = 600
_CHAT_LINE = "Talk, explain, write, translate, joke, answer from general knowledge."
_EXAMPLES = (
    ("hello there", CHAT),
    ("write a poem about the sea", CHAT),
    ("who painted the Mona Lisa?", CHAT),
    ("what is democracy?", CHAT),
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
    """A natural-log bonus for words that request and tool share, and a malus where every example of a required argument
    holds a number and the request holds none."""
    asked = set(_words(request))
    about = set(_words(f"{tool.name.replace('_', ' ')} {tool.description}"))
    bonus = 0.5 * min(len(asked & about), 3)
    required = tool.parameters.get("required", [])
    described = [str(tool.parameters["properties"][name].get("description", "")) for name in required]
    examples = [re.findall(r'"([^"]+)"', text) for text in described]
    numeric = any(found and all(re.search(r"\d", example) for example in found) for found in examples)
    return bonus - (3.0 if numeric and not has_number(request) else 0.0)


_NUMBER_WORDS = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy"
    r"|eighty|ninety|hundred|thousand|million|dozen|half|twice|double|triple|quarter)s?\b",
    re.IGNORECASE,
)
_COMMON = {
    "the", "a", "an", "of", "to", "in", "is", "it", "and", "or", "for", "what", "how", "do", "does", "me", "my", "i",
    "you", "that", "this", "with", "on", "at", "from", "by", "be", "are", "was", "some", "which", "there", "one",
    "tell", "write", "text", "get", "show", "give", "find", "out", "may", "can",
}  # fmt: skip


def has_number(text: str) -> bool:
    return bool(_NUMBER_WORDS.search(text))


def _words(text: str) -> list[str]:
    found = re.findall(r"[^\W\d_]{2,}", text.lower())
    return [word[:-1] if word.endswith("s") and len(word) > 3 else word for word in found if word not in _COMMON]
