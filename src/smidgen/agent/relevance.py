"""How near a request is to each tool, and whether it wants one at all. Pure, given the embeddings of `texts_of`.

A sentence embedder tells which tool a request is about better than a small model does: all-MiniLM-L6-v2 ranks the right
one first for 97 of 100 requests where Qwen2.5-Coder-0.5B does for 89 (docs/quality.md). A request may say more than
what it wants done, so its nearest part counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from smidgen.agent.ground import numbers_missing, properties_of
from smidgen.agent.words import spaced
from smidgen.agent.work import wants_other_work
from smidgen.messages import ToolSpec
from smidgen.models.tool_use import Gate, Order

Vector = Sequence[float]
MAX_TEXT = 1500
"""Characters of a text that are embedded; the embedder reads 256 tokens."""
MAX_PARTS = 6
_PARTS = re.compile(r"(?<=[.!?;])\s+|\n+|,\s+|\s+(?:and|then|also|but)\s+", re.IGNORECASE)
SHORTEST_PART = 9
OTHER_WORK = -4.0
"""What speaks against every tool, in natural-log units, where a command is for work of a kind that none speaks of."""
ABOUT = 0.3
"""Cosine from which a part of a request is about a tool."""


class Relevance(msgspec.Struct, frozen=True, kw_only=True):
    """similarities: cosine per tool, in the tools' order. log_odds: that one of them is wanted. about: the names of the
    tools that the request's parts are nearest to, in the order of the parts."""

    similarities: tuple[float, ...]
    log_odds: float
    about: tuple[str, ...] = ()

    @property
    def best(self) -> int:
        return max(range(len(self.similarities)), key=self.similarities.__getitem__)


def parts_of(request: str) -> tuple[str, ...]:
    """The request, and its sentences and clauses where it has several."""
    pieces = [piece.strip() for piece in _PARTS.split(request) if len(piece.strip()) >= SHORTEST_PART]
    return tuple(dict.fromkeys([request[:MAX_TEXT], *(piece[:MAX_TEXT] for piece in pieces[:MAX_PARTS])]))


def text_of(tool: ToolSpec) -> str:
    """What is embedded for a tool: its name's words, its description, and what its parameters are called."""
    parameters = ", ".join(spaced(name) for name in properties_of(tool))
    return f"{spaced(tool.name)}: {tool.description} ({parameters})"[:MAX_TEXT]


def relevance(request: str, tools: Sequence[ToolSpec], vectors: Mapping[str, Vector], gate: Gate) -> Relevance:
    """vectors: of every text of `parts_of(request)` and `text_of(tool)`, of length 1."""
    parts = [vectors[part] for part in parts_of(request)]
    near = tuple(max(_dot(part, vectors[text_of(tool)]) for part in parts) for tool in tools)
    best = tools[max(range(len(near)), key=near.__getitem__)]
    other_work = all(wants_other_work(request, text_of(tool)) for tool in tools)
    odds = (
        OTHER_WORK * other_work
        + gate.intercept
        + gate.similarity * max(near)
        - gate.missing * numbers_missing(request, best)
    )
    return Relevance(similarities=near, log_odds=odds, about=_about(parts[1:] or parts, tools, vectors))


def _about(parts: Sequence[Vector], tools: Sequence[ToolSpec], vectors: Mapping[str, Vector]) -> tuple[str, ...]:
    found: list[str] = []
    for part in parts:
        near = {tool.name: _dot(part, vectors[text_of(tool)]) for tool in tools}
        best = max(near, key=lambda name: near[name])
        if near[best] >= ABOUT:
            found.append(best)
    return tuple(dict.fromkeys(found))


def shortlist(
    tools: Sequence[ToolSpec], similarities: Sequence[float], most: int, order: Order = "offered"
) -> tuple[ToolSpec, ...]:
    """The nearest tools, in the order in which they were offered or by their nearness."""
    nearest = sorted(range(len(tools)), key=lambda index: -similarities[index])[:most]
    if order == "offered":
        nearest.sort()
    elif order == "nearest_last":
        nearest.reverse()
    return tuple(tools[index] for index in nearest)


def _dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
