"""Solvers of tool calls. No tool is run: only the calls count.

baseline  the model alone: its own template, greedy, whatever can be read as a call
pipeline  the agent's own way to a call
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smidgen.eval import Bench, Item, Outcome, Prepared, Verdict
from smidgen.messages import ToolCall

CheckCalls = Callable[[Item, Sequence[ToolCall]], Verdict]


async def prepared(bench: Bench, check: CheckCalls) -> Prepared:
    """Raises what a lease of the sentence embedder raises, by which tools are chosen."""
    from smidgen.eval.calls.baseline import Baseline
    from smidgen.eval.calls.pipeline import Pipeline

    async def checked(item: Item, outcome: Outcome) -> Verdict:
        return check(item, outcome.calls)

    if bench.baseline:
        return Prepared(solver=Baseline(bench.model, seed=bench.seed), check=checked)
    embedder = await bench.runtime.lease_embedder(bench.stack)
    return Prepared(solver=Pipeline(bench.model, embedder, seed=bench.seed), check=checked)
