"""Agents that answer with a pattern, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.api.agents.known import known_agents
from smidgen.config import AgentConfig, Config, config_path
from smidgen.errors import ConfigError

from .conftest import Serving

PATTERN = 'kind = "direct"\nprompt = "In one word: {request}"\nmax_tokens = 20\n'


@pytest.fixture(autouse=True)
def pattern_file(serving: Serving) -> Path:
    path = config_path().with_name("short.toml")
    path.write_text(PATTERN)
    return path


SHORT = {"short": AgentConfig(description="Answers in a word.", pattern="short.toml")}


async def test_a_chat_completion_goes_the_pattern_s_way(serving: Serving):
    async with serving(["Paris"], agents=SHORT) as client:
        asked = {"model": "short", "messages": [{"role": "user", "content": "France?"}]}
        answer = (await client.post("/v1/chat/completions", json=asked)).json()
        assert answer["choices"][0]["message"]["content"] == "Paris"
        assert answer["smidgen"]["strategy"] == "direct"
        prompt = client.models.engines["tiny"].generated[0].prompt  # type: ignore[attr-defined]
        assert "In one word: France?" in prompt[0].text


async def test_what_a_pattern_decides_itself_is_told(serving: Serving):
    async with serving(["Paris"], agents=SHORT) as client:
        asked = {"model": "short", "messages": [{"role": "user", "content": "France?"}], "temperature": 0.5}
        answer = (await client.post("/v1/chat/completions", json=asked)).json()
        assert any("temperature" in warning for warning in answer["smidgen"]["warnings"])


async def test_a_client_s_tools_are_refused(serving: Serving):
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    async with serving(agents=SHORT) as client:
        asked = {"model": "short", "messages": [{"role": "user", "content": "France?"}], "tools": [tool]}
        answer = await client.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 400
        assert "takes no tools" in answer.json()["error"]["message"]
        run = await client.post("/v1/agents/short/runs", json={"input": "France?", "tools": ["calculator"]})
        assert run.status_code == 400


async def test_a_run_of_the_agents_api_does_too(serving: Serving):
    async with serving(["Paris"], agents=SHORT) as client:
        told = (await client.get("/v1/agents")).json()
        assert next(agent for agent in told["agents"] if agent["name"] == "short")["pattern"] == "direct"
        answer = await client.post("/v1/agents/short/runs", json={"input": "France?"})
        assert '"text":"Paris"' in answer.text


async def test_a_pattern_file_that_is_not_there_is_told_at_the_start(serving: Serving, pattern_file: Path):
    pattern_file.unlink()
    with pytest.raises(ConfigError, match=r"\[agents\.short\]: .*short\.toml isn't there"):
        async with serving(agents=SHORT):
            pass


def test_tools_and_a_pattern_do_not_go_together():
    with pytest.raises(ConfigError, match="tools and a pattern"):
        known_agents(Config(agents={"both": AgentConfig(tools=("calculator",), pattern="short.toml")}))


async def test_a_pattern_may_keep_answers_to_what_is_asked_again(serving: Serving, pattern_file: Path):
    pattern_file.write_text('kind = "cached"\nby_meaning = false\n[pattern]\nkind = "direct"\n')
    asked = {"model": "short", "messages": [{"role": "user", "content": "France?"}]}
    async with serving(["Paris", "Lyon", "Nice"], agents=SHORT) as client:
        said = []
        for more in ({}, {}, {"seed": 7}, {"n": 2}):
            answer = (await client.post("/v1/chat/completions", json=asked | more)).json()
            said.append([choice["message"]["content"] for choice in answer["choices"]])
        assert said == [["Paris"], ["Paris"], ["Lyon"], ["Paris", "Nice"]]
        run = await client.post("/v1/agents/short/runs", json={"input": "France?"})
        assert run.json()["answer"]["text"] == "Paris"
