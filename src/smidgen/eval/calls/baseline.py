"""The model alone: its own chat template with the tools rendered by it, plain greedy text, lenient reading."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import cast

from smidgen.agent import AgentModel
from smidgen.dialects import fenced_json, python_call
from smidgen.eval import Item, Outcome, as_messages, switched_off
from smidgen.eval.alone import MAX_TOKENS, written
from smidgen.messages import JsonSchema, Message, Prompt, ToolCall, ToolSpec


class Baseline:
    """A `Solver` without steps. A template that has no place for tools gets them in a system message, as JSON."""

    name = "baseline"
    steps: tuple[str, ...] = ()

    def __init__(self, model: AgentModel, *, seed: int = 0, max_tokens: int = MAX_TOKENS) -> None:
        self._model = model
        self._seed = seed
        self._max_tokens = max_tokens

    def with_steps(self, off: Collection[str]) -> Baseline:
        switched_off(self.steps, off)
        return self

    async def solve(self, item: Item) -> Outcome:
        started = time.perf_counter()
        prompt = self._prompt(as_messages(item.request), item.tools)
        generated = await written(self._model, prompt, seed=self._seed, max_tokens=self._max_tokens)
        calls, strategy = read(generated.text, item.tools)
        return Outcome(
            calls=calls,
            prompt_tokens=generated.usage.prompt_tokens,
            completion_tokens=generated.usage.completion_tokens,
            seconds=time.perf_counter() - started,
            notes={
                "text": generated.text,
                "parsed_by": strategy,
                "finish_reason": generated.finish_reason,
                "cached_tokens": generated.usage.cached_tokens,
            },
        )

    def _prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Prompt:
        template = self._model.template
        prompt = template.render(messages, tools)
        written = "".join(segment.text for segment in prompt)
        if all(tool.name in written for tool in tools):
            return prompt
        told = Message(role="system", content=fenced_json.instructions(tools))
        return template.render((told, *messages))


def read(text: str, tools: Sequence[ToolSpec]) -> tuple[tuple[ToolCall, ...], str]:
    """Calls as the text has them, and what read them ("" if nothing did): JSON in tags, fences or bare, of any name;
    else Python calls of the tools. Arguments keep the types they were written in: converting them would be help."""
    untyped = tuple(_untyped(tool) for tool in tools)
    found = fenced_json.parse(text, untyped)
    if not found.calls:
        found = python_call.parse(text, untyped)
        known = {tool.name for tool in tools}
        if any(call.name not in known for call in found.calls):
            return (), ""
    return found.calls, found.strategy


def _untyped(tool: ToolSpec) -> ToolSpec:
    """With the names of its parameters only, which positional arguments need."""
    properties = cast(dict[str, JsonSchema], tool.parameters.get("properties", {}))
    parameters: JsonSchema = {"type": "object", "properties": {name: {} for name in properties}}
    parameters["required"] = [*properties]
    return ToolSpec(name=tool.name, description=tool.description, parameters=parameters)
