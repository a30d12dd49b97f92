"""How a model is helped to call tools: the weights of the decisions that code takes with it. Part of a profile.

The gate's defaults were fitted on smidgen's own calibration tasks, those of `More` on the part of BFCL that may be
tuned on (docs/quality.md). Weights are in natural-log units: they add up to the log of the odds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Order = Literal["offered", "nearest_first", "nearest_last"]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a request wants a tool at all: log-odds = intercept + similarity * s - missing * m, where s is the cosine
    of the request, or of the part of it that is nearest, and the nearest tool, and m how many numbers this tool
    requires that nobody said. likelihood: weight of the model's own log-probability of beginning a call, which is not
    asked for at 0."""

    intercept: float = -6.1
    similarity: float = 18.0
    missing: float = 2.75
    likelihood: float = 0.0


class More(msgspec.Struct, frozen=True, kw_only=True):
    """Whether another call follows: the log-odds are the intercept and, each times its weight, what the request says
    and no call holds (smidgen.agent.several.Leftover). likelihood: weight of the model's own log-probability of
    beginning a further call, which is not asked for at 0."""

    intercept: float = -1.45
    likelihood: float = 0.0
    numbers: float = 1.5
    names: float = 0.6
    listed: float = 0.4
    twins: float = 1.0
    tools: float = 0.5
    choices: float = 1.6
    counted: float = 1.8
    asks: float = 0.6
    cue: float = 0.3


class ToolUse(msgspec.Struct, frozen=True, kw_only=True):
    """shortlist: tools that the model is told of at most. order: in which they are told, as they were offered or by
    their nearness to the request. choice: weight of the similarity beside the model's own log-probability of a tool.
    most: calls for one request at most."""

    shortlist: int = 5
    order: Order = "offered"
    choice: float = 10.0
    most: int = 8
    gate: Gate = Gate()
    more: More = More()
