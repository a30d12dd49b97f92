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
from smidgen.agent.numbers import implied_numbers
from smidgen.agent.work import wants_other_work
from smidgen.messages import ToolSpec
from smidgen.models.tool_use import Gate, Order
from smidgen.tools.words import spaced

Vector = Sequence[float]
MAX_TEXT = 1500
"""Characters of a text that are embedded; the embedder reads 256 tokens."""
MAX_PARTS = 16
_PARTS = re.compile(r"(?<=[.!?;])\s+|\n+|,\s+|(?<!\s)\s+(?:and|then|also|but)\s+", re.IGNORECASE)
SHORTEST_PART = 9
OTHER_WORK = -4.0
"""What speaks against every tool, in natural-log units, where a command is for work of a kind that none speaks of."""
ABOUT, CLEARLY, PLAINLY = 0.3, 0.05, 0.13
"""Cosine from which a part of a request is about a tool, and by how much more than about any other."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence or clause of the request, the tool it is nearest to, and by how much more than to the next one."""

    text: str
    tool: str
    similarity: float
    margin: float


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is about one tool: from a part that is to the next that is about another."""

    tool: str
    start: int
    end: int


class Relevance(msgspec.Struct, frozen=True, kw_only=True):
    """similarities: cosine per tool, in the tools' order. log_odds: that one of them is wanted. parts: in their
    order."""

    similarities: tuple[float, ...]
    log_odds: float
    parts: tuple[Part, ...] = ()

    @property
    def about(self) -> tuple[str, ...]:
        """The tools that parts of the request are about, in the order of the parts."""
        clear = (part.tool for part in self.parts if part.similarity >= ABOUT and part.margin >= CLEARLY)
        return tuple(dict.fromkeys(clear))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Those of them that a part is so plainly about that they are called, where several are offered."""
        plainly = (part.tool for part in self.parts if part.similarity >= ABOUT and part.margin >= PLAINLY)
        return tuple(dict.fromkeys(plainly))

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
        - gate.missing * max(0, numbers_missing(request, best) - implied_numbers(request))
    )
    texts = parts_of(request)
    return Relevance(similarities=near, log_odds=odds, parts=_parts(texts[1:] or texts, tools, vectors))


def stretches(request: str, parts: Sequence[Part]) -> tuple[Stretch, ...]:
    """What stands before the first part that is about a tool goes with it."""
    found: list[Stretch] = []
    at = 0
    for part in parts:
        start = request.find(part.text, at)
        if start < 0:
            continue
        at = start + len(part.text)
        if part.similarity < ABOUT or part.margin < CLEARLY:
            continue
        if not found:
            found.append(Stretch(tool=part.tool, start=0, end=len(request)))
            continue
        last = found[-1]
        if part.tool != last.tool:
            found[-1] = Stretch(tool=last.tool, start=last.start, end=start)
            found.append(Stretch(tool=part.tool, start=start, end=len(request)))
    return tuple(found)


def _parts(texts: Sequence[str], tools: Sequence[ToolSpec], vectors: Mapping[str, Vector]) -> tuple[Part, ...]:
    found: list[Part] = []
    for text in texts:
        near = sorted(((_dot(vectors[text], vectors[text_of(tool)]), tool.name) for tool in tools), reverse=True)
        (similarity, name), *others = near
        margin = similarity - others[0][0] if others else similarity
        found.append(Part(text=text, tool=name, similarity=similarity, margin=margin))
    return tuple(found)


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
