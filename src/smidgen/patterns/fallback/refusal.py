"""The honest end of a chain: no answer, but what was tried and what the user can do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import msgspec

from smidgen.errors import SmidgenError
from smidgen.events import AgentEvent, Finished, TextDelta
from smidgen.messages import Timings, Usage
from smidgen.patterns import Resources, Task
from smidgen.patterns.fallback.failures import QUIET, Tried
from smidgen.patterns.fallback.within import tried_before

TEXT = "I can't answer this reliably, so I don't.\n\n{tried}\n\n{advice}"
MOST_ADVICE = 3


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """text: what is said, with `{tried}` for what was tried and why it gave no answer, and `{advice}` for what to do.
    No model is asked. Its strategy is "refusal", by which a chain around it knows that this is no answer."""

    name: str = "refusal"
    text: str = TEXT

    @property
    def quick(self) -> bool:
        """It needs no time to speak of."""
        return True

    async def answer(self, task: Task, resources: Resources) -> AsyncGenerator[AgentEvent, None]:
        text = self.said(tried_before(resources))
        yield TextDelta(text=text)
        yield by_code(text, "refusal", task, resources)

    def said(self, tried: Sequence[Tried]) -> str:
        told = [one for one in tried if one.kind not in QUIET] or list(tried)
        lines = [f"- {one}" for one in told]
        advice = list(dict.fromkeys(one.advice for one in told if one.advice))[:MOST_ADVICE]
        parts = {
            "{tried}": "What was tried:\n" + "\n".join(lines) if lines else "Nothing else could be tried.",
            "{advice}": "What you can do: " + " ".join(advice or ["Ask in other words, or for less at once."]),
        }
        text = self.text
        for mark, part in parts.items():
            text = text.replace(mark, part)
        return text


def by_code(text: str, strategy: str, task: Task, resources: Resources) -> Finished:
    """An end that took no model; `model` is the one that would have been asked."""
    try:
        model = resources.supply(task.model).name
    except SmidgenError:
        model = task.model
    return Finished(
        text=text,
        model=model,
        finish_reason="stop",
        tool_calls=(),
        usage=Usage(),
        timings=Timings(),
        warnings=(),
        strategy=strategy,
    )
