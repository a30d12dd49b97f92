"""Whatever a client sends to the paths of OpenAI's clients is answered or refused: never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.api.conftest import Serving
from tests.unit.api.test_openai_chat import always

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = "chat/completions", "completions", "embeddings", "responses"
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
LONE = "\\ud800"
"""As it stands in JSON; no text in UTF-8 has it."""


def tool(**function: Any) -> dict[str, Any]:
    return {**HI, "tools": [{"type": "function", "function": function}], "tool_choice": "required"}


def called(name: str, arguments: str) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}
    turns = [*HI["messages"], {"role": "assistant", "tool_calls": [call]}]
    return {"messages": [*turns, {"role": "tool", "tool_call_id": "1", "content": "b"}]}


BODIES: list[tuple[str, Any]] = [
    (CHAT, {**HI, "model": "LONE"}),
    (CHAT, {"messages": [{"role": "user", "content": "LONE"}]}),
    (CHAT, {"messages": [{"role": "tool", "content": "x"}]}),
    (CHAT, {"messages": [{"role": "system", "content": "x"}]}),
    (CHAT, {"messages": [{"role": "user", "content": ""}]}),
    (CHAT, {"messages": [*HI["messages"], {"role": "tool", "tool_call_id": "none", "content": "b"}]}),
    (CHAT, called("LONE", "{}")),
    (CHAT, called("f", "[NaN]")),
    (CHAT, called("f", "[" * 100_000)),
    (CHAT, {**HI, "stop": "LONE"}),
    (CHAT, {**HI, "temperature": float("nan")}),
    (CHAT, {**HI, "temperature": float("inf")}),
    (CHAT, {**HI, "seed": 10**30}),
    (CHAT, {**HI, "top_p": 0}),
    (CHAT, {**HI, "metadata": {"a": 10**30}}),
    (CHAT, {**HI, "response_format": {"type": ["LONE"]}}),
    (CHAT, {**HI, "response_format": {"type": "json_schema", "json_schema": {"schema": {"a": float("nan")}}}}),
    (CHAT, {**HI, "response_format": {"type": "json_schema", "json_schema": 5}}),
    (CHAT, {**HI, "tool_choice": {"type": "function", "function": {"name": 5}}}),
    (CHAT, {**HI, "tools": [{"type": "LONE"}]}),
    (CHAT, tool(name="LONE")),
    (CHAT, tool(name="a b/c", description="x", parameters={"type": 5})),
    (CHAT, tool(name="a", parameters={"properties": {"LONE": {"type": "string"}}})),
    (CHAT, tool(name="required")),
    (CHAT, {**HI, "tools": [{"type": "function", "function": {"name": "a"}}] * 2}),
    (CHAT, []),
    (CHAT, None),
    (COMPLETIONS, {"prompt": "LONE"}),
    (COMPLETIONS, {"prompt": [2**31 - 1]}),
    (COMPLETIONS, {"prompt": [True]}),
    (COMPLETIONS, {"prompt": ["a", 5]}),
    (COMPLETIONS, {"prompt": "a\0b", "suffix": "LONE"}),
    (EMBEDDINGS, {"input": "LONE"}),
    (EMBEDDINGS, {"input": [99_999]}),
    (RESPONSES, {"input": "hi", "metadata": {"a": "LONE"}}),
    (RESPONSES, {"input": "hi", "metadata": {"a": float("nan")}}),
    (RESPONSES, {"input": "hi", "instructions": "LONE"}),
    (RESPONSES, {"input": "hi", "stream": True, "user": "LONE"}),
    (RESPONSES, {"input": "hi", "previous_response_id": "LONE"}),
    (RESPONSES, {"input": [{"type": "LONE"}]}),
    (RESPONSES, {"input": [{"type": "function_call_output", "output": "x"}]}),
    (RESPONSES, {"input": "hi", "tools": [{"type": "function", "name": "a", "x": 10**30}]}),
    (RESPONSES, {"input": "hi", "text": {"format": {"type": 5}}}),
    (RESPONSES, {"input": "hi", "tool_choice": {"a": "b"}}),
]


@pytest.mark.parametrize("path, body", BODIES, ids=range(len(BODIES)))
async def test_a_body(serving: Serving, path: str, body: Any) -> None:
    sent = json.dumps(body).replace("LONE", LONE)
    async with serving(always("a()")) as client:
        response = await client.post(f"/v1/{path}", content=sent, headers={"content-type": "application/json"})
    assert response.status_code < 500, response.text
    assert '"internal"' not in response.text


@pytest.mark.parametrize(
    "path", ["/v1/models/%ed%a0%80", "/v1/models/%00", "/v1/models/", "/v1/responses/%ff", "/v1/responses/"]
)
async def test_a_path(serving: Serving, path: str) -> None:
    async with serving() as client:
        response = await client.get(path)
    assert response.status_code < 500, response.text
